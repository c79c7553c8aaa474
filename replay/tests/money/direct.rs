//! Money rules, section 11: blocks that pay accounts by their own coinbase, and the list that coinbases are made by.

use orebook_replay::engine::Past;
use orebook_replay::folds::money::direct::list::{Coinbase, List, Room, differences, list};
use orebook_replay::folds::money::payouts::payable;
use orebook_replay::rows::View;
use orebook_replay::store::Store as _;
use orebook_schema::work::Job;
use orebook_schema::{Account, Event};

use crate::paying::{address, policy};
use crate::pool::{PPLNS, Pen, job, replayed};
use crate::table::{Table, coinbase2, table};
use orebook_replay::folds::money::Money;

/// Example 11.3 and the balances of 11.5, up to the list.
const BEFORE: &str = "policy fee=10000 direct=5 threshold=20
     lives ann A
     lives bob B
     lives cat C
     lives dan D
     adjust bob +4.6 reserve
     adjust cat -1 reserve
     g1 job 10
     g1 frame: bob 4
     g1 frame: cat 5
     g1 frame: ann 3, dan 1";

/// The block of example 11.5: eve's shares come after the list, and bob finds.
fn found() -> String {
    format!(
        "{BEFORE}
         g1 job 10 direct=now pool=4 outs=C:23,A:14,B:9
         g1 frame: eve 9, bob 2 finds X"
    )
}

const NOTHING_MOVED: &str = "
     = bob available 4.6
     = cat available -1
     = reserve -3.6";

#[test]
fn a_coinbase_pays_what_it_pays_of_the_block_first_and_then_of_the_balance() {
    let found = found();
    let table = table(&format!(
        "{found}
         {NOTHING_MOVED}
         X seen 50
         {NOTHING_MOVED}
         X immature 50
         = ann immature 0.85
         = ann reserved 14
         = bob available 0.55
         = bob reserved 9
         = cat immature 1.75
         = cat available -1
         = cat reserved 23
         = dan immature 4.95
         = fee 0.5
         = reserve -3.6
         X confirmed 50
         = ann available 0.85
         = ann paid 14
         = bob available 0.55
         = bob paid 9
         = cat available 0.75
         = cat paid 23
         = dan available 4.95
         = fee 0.5
         = reserve -3.6"
    ));
    let postings = table.postings("X");
    let shown: Vec<String> = postings
        .iter()
        .map(|row| format!("{} > {} {}", row.debit, row.credit, row.amount).replace("name:", ""))
        .collect();
    assert_eq!(
        shown,
        [
            "reward > immature:ann 14850000000",
            "reward > immature:bob 4950000000",
            "reward > immature:cat 24750000000",
            "reward > immature:dan 4950000000",
            "reward > fee 500000000",
            "immature:ann > reserved:ann 14000000000",
            "immature:bob > reserved:bob 4950000000",
            "available:bob > reserved:bob 4050000000",
            "immature:cat > reserved:cat 23000000000",
            "reserved:ann > paid:ann 14000000000",
            "reserved:bob > paid:bob 9000000000",
            "reserved:cat > paid:cat 23000000000",
            "immature:ann > available:ann 850000000",
            "immature:cat > available:cat 1750000000",
            "immature:dan > available:dan 4950000000",
        ]
    );
}

#[test]
fn an_orphan_restores_what_was_carried_also_after_it_was_confirmed() {
    let found = found();
    for before in [
        "X immature 50",
        "X confirmed 50",
        "X immature 50\nX confirmed 50",
    ] {
        table(&format!(
            "{found}\n{before}\nX orphaned 50\n{NOTHING_MOVED}"
        ));
    }
    // It comes back, and pays what it paid.
    table(&format!(
        "{found}
         X confirmed 50
         X orphaned 50
         X confirmed 50
         = ann available 0.85
         = ann paid 14
         = bob available 0.55
         = bob paid 9
         = cat available 0.75
         = cat paid 23
         = dan available 4.95
         = fee 0.5
         = reserve -3.6"
    ));
}

#[test]
fn another_value_moves_what_the_block_bears_and_not_what_the_coinbase_paid() {
    let found = found();
    let after = "
         = ann available -0.635
         = ann paid 14
         = bob available 0.055
         = bob paid 9
         = cat available -1.725
         = cat paid 23
         = dan available 4.455
         = fee 0.45
         = reserve -3.6";
    table(&format!(
        "{found}
         X immature 50
         X immature 45
         = ann available -0.635
         = ann reserved 14
         = bob available 0.055
         = bob reserved 9
         = cat available -1.725
         = cat reserved 23
         = dan immature 4.455
         = fee 0.45
         = reserve -3.6
         X confirmed 45
         {after}"
    ));
    table(&format!("{found}\nX confirmed 50\nX immature 45\n{after}"));
    table(&format!(
        "{found}\nX immature 45\nX immature 50\nX confirmed 45\n{after}"
    ));
    table(&format!(
        "{found}\nX immature 50\nX immature 45\nX orphaned 0\n{NOTHING_MOVED}"
    ));
}

#[test]
fn a_list_stands_on_positions_before_its_job_whatever_the_job_says() {
    // The list says a position far ahead: all before the job count, and nothing after it.
    let far = found().replace("direct=now", "direct=99999");
    let now = found();
    let end = "\nX confirmed 50\n= nothing";
    let books = |text: &str| {
        let text = text.replace(end, "");
        let mut table = table(&format!("{text}{NOTHING_MOVED}"));
        table.then("X confirmed 50")
    };
    assert_eq!(books(&far), books(&now));
    // A list of an older position knows less: bob's 4 and cat's 5, W = 9.
    let old = BEFORE.replace("g1 frame: ann", "mark\n     g1 frame: ann");
    table(&format!(
        "{old}
         g1 job 10 direct=mark pool=27 outs=C:23
         g1 frame: ann 1 finds X
         X confirmed 50
         = bob available 26.6
         = cat available 3.5
         = cat paid 23
         = fee 0.5
         = reserve -3.6"
    ));
}

#[test]
fn what_a_coinbase_pays_to_others_is_theirs_below_zero() {
    table(
        "policy direct=5
         lives ann A
         g1 job 10
         g1 frame: ann 10
         g1 job 10 direct=now pool=20 outs=A:7,X:3,A:20
         g1 frame: ann 1 finds B
         B immature 50
         = ann immature 23
         = ann reserved 27
         = X available -3
         = X reserved 3
         B confirmed 50
         = ann available 23
         = ann paid 27
         = X available -3
         = X paid 3",
    );
}

#[test]
fn the_address_at_the_lists_position_is_whose_an_output_is() {
    // Ann moves house after the list; and ben, who comes first, lives where she did.
    table(
        "policy direct=5
         lives ann A
         g1 job 10
         g1 frame: ann 6, ben 4
         mark
         lives ann Z
         lives ben A
         g1 job 10 direct=mark pool=36 outs=A:14
         g1 frame: ben 1 finds X
         X confirmed 50
         = ann available 16
         = ann paid 14
         = ben available 20",
    );
    // Two of the window live in one place: the first in the order of accounts is paid there.
    table(
        "policy direct=5
         lives ben A
         lives ann A
         g1 job 10
         g1 frame: ann 6, ben 4
         g1 job 10 direct=now pool=36 outs=A:14
         g1 frame: ben 1 finds X
         X confirmed 50
         = ann available 16
         = ann paid 14
         = ben available 20",
    );
}

#[test]
fn a_pot_that_does_not_pay_by_the_coinbase_has_its_own_weights() {
    for (policy, pot) in [("policy", ""), ("policy direct=5", "@solo")] {
        table(&format!(
            "{policy}
             lives ann A
             g1 job 10
             g1 frame: ann{pot} 10
             g1 job 10 direct=now pool=40 outs=A:10
             g1 frame: ben{pot} 10 finds X
             X confirmed 50
             = ann available -10
             = ann paid 10
             = ben available 50"
        ));
    }
    // All is the reserve's: the job is void.
    table(
        "policy direct=5
         lives ann A
         g1 job 10
         g1 frame: ann 10
         g1 job 10 void direct=now pool=40 outs=A:10
         g1 frame: ben 10 finds X
         X confirmed 50
         = ann available -10
         = ann paid 10
         = reserve 50",
    );
}

#[test]
fn an_output_is_the_first_of_the_weighed_then_of_the_registered_then_of_the_script() {
    // Example 11.4: whose the 7 to A are. The 3 to X are X's.
    for (weights, job, finds, whose) in [
        ("ann 10", "", "ann 1", "ann"),
        ("ben 6, cat 4", "", "ann 1", "ben"),
        ("A 5, ben 5", "", "ann 1", "A"),
        ("cat 10", "", "ann 1", "ann"),
        ("ben 10", " void", "ben 1", "ann"),
        ("ben 10", "", "X@solo 1", "ann"),
        ("ben 10", "", "cat@pps 1", "ann"),
    ] {
        let mut table = table(&format!(
            "policy direct=5
             lives ben A
             lives ann A
             lives cat C
             g1 job 10
             g1 frame: {weights}
             g1 job 10{job} direct=now pool=40 outs=A:7,X:3
             g1 frame: {finds} finds Y
             Y seen 50
             adjust dan +1 reserve
             lives dan A
             {}",
            if finds.contains("pps") {
                "= cat available 4.9\n= dan available 1\n= reserve -5.9"
            } else {
                "= dan available 1\n= reserve -1"
            }
        ));
        let books = table.then("Y confirmed 50");
        let owner = |name: &str| match name.starts_with(char::is_uppercase) {
            true => address(name),
            false => crate::pool::named(name),
        };
        let paid = books.iter().filter(|(book, _)| book.starts_with("paid:"));
        let paid: Vec<(String, u128)> = paid
            .map(|(book, (_, amount))| (book.clone(), *amount))
            .collect();
        let mut expected = vec![
            (format!("paid:{}", owner(whose)), 7_000_000_000),
            (format!("paid:{}", address("X")), 3_000_000_000),
        ];
        expected.sort();
        assert_eq!(paid, expected, "{weights}; {finds}{job}");
    }
}

/// Whom a line may pay under a policy.
fn may_be_paid(table: &Table, rules: &str) -> String {
    let store = replayed(&table.pool, Money);
    let view = store.view().expect("a view");
    let rules = policy(rules);
    let found = payable(view.as_ref(), table.pool.clock, &rules, 10).expect("rows");
    let names = found
        .iter()
        .map(|one| one.account.to_string().replace("name:", ""));
    names.collect::<Vec<String>>().join(" ")
}

#[test]
fn who_waits_for_a_coinbase_waits_wherever_he_lives_meanwhile() {
    // Example 11.5c: at a threshold of 4 a line may pay bob, at 20 a list carries what he has.
    let found = found();
    let mut table = table(&format!("{found}\ng1 frame: eve 9\n{NOTHING_MOVED}"));
    for (said, line, wants) in [
        ("lives bob Z", "", 4),
        ("lives dan B", "", 4),
        ("X seen 50", "", 4),
        ("X orphaned 50", "bob", 9),
        ("X seen 50", "bob", 9),
        ("X immature 50", "", 5),
    ] {
        table.then(said);
        assert_eq!(may_be_paid(&table, "threshold=4"), line, "{said}");
        // 1 of the last 10 is his: 4.95 of 50, as in the example.
        let asked = coinbase(&table, 50);
        let list = listed(&table, "fee=10000 direct=1 threshold=20", &asked).expect("a list");
        let bob = list
            .outputs
            .iter()
            .find(|one| one.account.to_string() == "name:bob");
        assert_eq!(bob.map(|one| one.amount), Some(wants), "{said}");
    }
}

#[test]
fn an_account_whose_own_script_a_coinbase_pays_waits_though_it_lived_elsewhere_at_the_list() {
    let mut table = table(
        "policy direct=5
         g1 job 10
         g1 frame: A 10 finds Y
         Y confirmed 50
         lives A Z
         g1 job 10 direct=now pool=43 outs=A:7
         g1 frame: A 5, ben 5 finds X
         = A available 50",
    );
    let own = address("A");
    let name = own.to_string();
    // Half of 200, and the 50 where nobody waits.
    for (said, line, wants) in [
        ("X seen 50", "", 100),
        ("X orphaned 50", name.as_str(), 150),
    ] {
        table.then(said);
        assert_eq!(may_be_paid(&table, "threshold=4"), line, "{said}");
        let asked = coinbase(&table, 200);
        let list = listed(&table, "direct=1 threshold=60", &asked).expect("a list");
        let found = list.outputs.iter().find(|output| output.account == own);
        assert_eq!(found.map(|output| output.amount), Some(wants), "{said}");
    }
}

#[test]
fn a_moved_block_pays_by_the_job_that_was_announced_again() {
    table(
        "policy direct=5
         lives ann A
         g1 job 10
         g1 frame: ann 10
         g1 job 10 direct=now pool=40 outs=A:10
         g1 lost: ben 10 finds X
         g1 moves
         X confirmed 50
         = ann available 40
         = ann paid 10",
    );
}

fn coinbase(table: &Table, value: u64) -> Coinbase {
    Coinbase {
        size: table.pool.size(),
        ledger_time: table.pool.clock,
        pot: PPLNS,
        network_work: 10,
        value,
        fees: 0,
        room: Room {
            bytes: 1_000,
            sigops: 4_000,
            outputs: 1_000,
        },
    }
}

fn listed(table: &Table, rules: &str, coinbase: &Coinbase) -> Option<List> {
    let store = replayed(&table.pool, Money);
    let view = store.view().expect("a view");
    let past = Past::new(&table.pool, table.pool.size());
    list(view.as_ref(), &past, &policy(rules), coinbase).expect("rows")
}

fn shown(list: Option<List>) -> String {
    let list = list.expect("the pot pays by the coinbase");
    let outputs = list.outputs.iter().map(|output| {
        assert_eq!(
            Account::Script(output.script.clone()),
            address(match output.account.to_string().as_str() {
                "name:ann" => "A",
                "name:bob" => "B",
                "name:cat" => "C",
                _ => "D",
            })
        );
        format!("{} {}", output.account, output.amount).replace("name:", "")
    });
    format!(
        "{}, pool {}",
        outputs.collect::<Vec<_>>().join(", "),
        list.rest
    )
}

fn before(more: &str) -> Table {
    table(&format!("{BEFORE}\n{more}\n{NOTHING_MOVED}"))
}

const RULES: &str = "fee=10000 direct=5 threshold=20";

#[test]
fn the_list_is_the_rules_example() {
    let table = before("");
    let fifty = coinbase(&table, 50);
    let with = |room: Room| Coinbase { room, ..fifty };
    for (rules, asked, expected) in [
        (RULES, fifty, "cat 23, ann 14, bob 9, pool 4"),
        (
            "fee=10000 direct=5 threshold=20 outputs=2",
            fifty,
            "cat 23, ann 14, pool 13",
        ),
        // The paymaster may pay bob's 4.6.
        (
            "fee=10000 direct=4 threshold=4",
            fifty,
            "cat 23, ann 14, bob 4, dan 4, pool 5",
        ),
        ("fee=10000 direct=15 threshold=20", fifty, "cat 23, pool 27"),
        (
            RULES,
            with(Room {
                outputs: 1,
                ..fifty.room
            }),
            "cat 23, pool 27",
        ),
        // Scripts of 11 bytes: 20 each.
        (
            RULES,
            with(Room {
                bytes: 40,
                ..fifty.room
            }),
            "cat 23, ann 14, pool 13",
        ),
        (
            RULES,
            with(Room {
                bytes: 0,
                ..fifty.room
            }),
            ", pool 50",
        ),
    ] {
        assert_eq!(
            shown(listed(&table, rules, &asked)),
            expected,
            "{rules} {asked:?}"
        );
    }
    for rules in ["fee=10000", "direct=0"] {
        assert_eq!(listed(&table, rules, &fifty), None, "{rules}");
    }
    let none = Coinbase {
        pot: crate::pool::SOLO,
        ..fifty
    };
    assert_eq!(listed(&table, RULES, &none), None);
}

#[test]
fn a_list_ends_where_the_coinbase_does() {
    let mut table = before("");
    table.then("adjust bob +35.4 reserve");
    let rules = "fee=0 direct=5 threshold=100";
    let fifty = coinbase(&table, 50);
    assert_eq!(
        shown(listed(&table, rules, &fifty)),
        "bob 45, cat 5, pool 0"
    );
    let less = "fee=0 direct=6 threshold=100";
    assert_eq!(shown(listed(&table, less, &fifty)), "bob 45, pool 5");
}

#[test]
fn what_a_block_pays_waits_until_it_is_settled_or_orphaned() {
    let ready = |table: &Table| may_be_paid(table, "threshold=1");
    let mut table = table(&format!("{}\n{NOTHING_MOVED}", found()));
    let fifty = coinbase(&table, 50);
    // Bob's 2 and eve's 9 are in the window now; what he wants has nothing of his 4.6.
    let asked = "fee=10000 direct=1 threshold=20";
    assert_eq!(ready(&table), "");
    let bob = |list: Option<List>| {
        let outputs = list.expect("a list").outputs.into_iter();
        let bob = outputs.filter(|output| output.account.to_string() == "name:bob");
        bob.map(|output| output.amount).sum::<u64>()
    };
    // The last 10 are bob 2 and 8 of eve's 9: 9.9 of 49.5.
    assert_eq!(bob(listed(&table, asked, &fifty)), 9);
    table.then("X orphaned 50");
    let fifty = coinbase(&table, 50);
    assert_eq!(bob(listed(&table, asked, &fifty)), 14);
    assert_eq!(ready(&table), "bob");
    table.then("X immature 50");
    let fifty = coinbase(&table, 50);
    assert_eq!(bob(listed(&table, asked, &fifty)), 10);
}

#[test]
fn an_auditor_is_told_each_output_that_is_not_the_rules() {
    let table = before("");
    let store = replayed(&table.pool, Money);
    let view = store.view().expect("a view");
    let past = Past::new(&table.pool, table.pool.size());
    let asked = coinbase(&table, 50);
    let told_of = |rules: &str, outputs: &[(u64, &str)], is_older: bool| {
        let script = |name: &str| match address(name) {
            Account::Script(script) => script.bytes().to_vec(),
            other => panic!("{other}"),
        };
        let mut all = vec![(4, b"the pool".to_vec())];
        all.extend(outputs.iter().map(|(amount, name)| (*amount, script(name))));
        let Event::Job(said) = job(&mut Pen::new(10, 1), orebook_schema::At::default(), 10) else {
            panic!("a job");
        };
        let said = Job {
            coinbase2: coinbase2(&all),
            ..*said
        };
        let view: &dyn View = view.as_ref();
        let newest = orebook_schema::At {
            position: u64::from(is_older),
            index: 0,
        };
        differences(view, &past, (newest, &policy(rules)), &asked, &said).expect("rows")
    };
    let told = |rules: &str, outputs: &[(u64, &str)]| told_of(rules, outputs, false);
    assert_eq!(told(RULES, &[(23, "C"), (14, "A"), (9, "B")]), [""; 0]);
    // There may have been no room for more.
    assert_eq!(told(RULES, &[(23, "C")]), [""; 0]);
    for (outputs, differ) in [
        (
            &[(23, "C"), (13, "A"), (9, "B")][..],
            &["output 2: 13 to"][..],
        ),
        (
            &[(14, "A"), (23, "C")],
            &["output 1: 14 to", "output 2: 23 to"],
        ),
        (
            &[(23, "C"), (14, "A"), (9, "B"), (4, "D")],
            &["output 4: 4 to"],
        ),
    ] {
        let told = told(RULES, outputs);
        assert_eq!(told.len(), differ.len(), "{told:?}");
        for (said, begins) in told.iter().zip(differ) {
            assert!(said.starts_with(begins), "{said}");
        }
    }
    assert_eq!(told("fee=1", &[(23, "C")]).len(), 1);
    // The job cites another policy than its list follows: also where each output is right (11.6.1).
    assert_eq!(
        told_of(RULES, &[(23, "C")], true),
        ["the job cites the policy at 0.0, its list follows the one at 1.0"]
    );
}
