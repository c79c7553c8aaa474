//! What ledger and chain say differently, each planted once and found once, and nothing else said.

use orebook_paymaster::book::Standing;
use orebook_paymaster::reconcile::{Comparison, OfBlock, Run, Whole};
use orebook_paymaster::survey::{Foreign, Survey};
use orebook_paymaster::wallet::{Found, Pay, Sight};
use orebook_replay::folds::money::payouts::{TxRow, TxState};
use orebook_schema::{Account, At, Hash};

use crate::chain::{Edge, FEE, Fault};
use crate::setup::{LAST, PAID, Setup, account};
use crate::world::World;

const BOTH: [bool; 2] = [false, true];
const OWN: Account = Account::Evm([0x77; 20]);

fn name(byte: u8) -> Hash {
    Hash([byte; 32])
}

fn row(state: TxState) -> TxRow {
    TxRow {
        state,
        txids: vec![name(1)],
        spends: vec![9],
        fee: 10,
        txid: Some(name(if state == TxState::Cancelled { 2 } else { 1 })),
        height: 5,
        block: Some(name(5)),
        ..TxRow::new(0, 3, 0)
    }
}

fn mined(txid: u8, paid: bool, fee: u128) -> Sight {
    Sight::Mined {
        txid: name(txid),
        height: 5,
        block: name(5),
        confirmations: 99,
        paid,
        fee,
    }
}

fn conflict(by: Hash) -> Sight {
    Sight::Conflict {
        by,
        height: 5,
        confirmations: 99,
        fee: 0,
    }
}

#[test]
fn what_the_chain_shows_of_a_transaction_is_the_same_or_one_sentence() {
    use TxState::{
        Broadcast, Cancelled, Confirmed, Conflicted, Failed, Final, Seen, Signed, Unknown, Unsigned,
    };
    let comparison = Comparison { own: OWN };
    let one = "0101010101010101010101010101010101010101010101010101010101010101";
    let two = one.replace("01", "02");
    let three = one.replace("01", "03");
    let other_block = Sight::Mined {
        txid: name(1),
        height: 5,
        block: name(6),
        confirmations: 9,
        paid: true,
        fee: 10,
    };
    let other_height = Sight::Mined {
        txid: name(1),
        height: 6,
        block: name(5),
        confirmations: 9,
        paid: true,
        fee: 10,
    };
    let pending = |txid| Sight::Pending { txid: name(txid) };
    let says = |words: &str| Some(words.to_owned());
    let table: Vec<(TxState, Sight, Option<String>)> = vec![
        (Final, mined(1, true, 10), None),
        (Confirmed, mined(1, true, 10), None),
        (Failed, mined(1, false, 10), None),
        (Cancelled, conflict(name(2)), None),
        // A reorganisation put it into another block, or another version into one: that is said when it is final.
        (Confirmed, other_block.clone(), None),
        (Confirmed, mined(2, true, 11), None),
        (
            Confirmed,
            mined(1, false, 10),
            says("is confirmed here, and it did nothing in block 5"),
        ),
        // The chain does not tell by which.
        (Cancelled, conflict(Hash::ZERO), None),
        (
            Final,
            Sight::Nowhere,
            says("is final here, and no node knows it"),
        ),
        (
            Confirmed,
            Sight::Nowhere,
            says("is confirmed here, and no node knows it"),
        ),
        (
            Failed,
            Sight::Nowhere,
            says("is failed here, and no node knows it"),
        ),
        (
            Final,
            pending(1),
            says(&format!("is final here, and {one} waits in a memory pool")),
        ),
        (
            Final,
            conflict(name(3)),
            says(&format!(
                "is final here, and {three} spent the same on the chain"
            )),
        ),
        (
            Final,
            conflict(Hash::ZERO),
            says("is final here, and another transaction spent the same on the chain"),
        ),
        (
            Final,
            mined(1, false, 10),
            says("is final here, and it did nothing in block 5"),
        ),
        (
            Failed,
            mined(1, true, 10),
            says("is failed here, and it paid in block 5"),
        ),
        (
            Final,
            mined(2, true, 10),
            says(&format!("is final here as {one}, and {two} is in block 5")),
        ),
        (
            Final,
            mined(1, true, 11),
            says("cost 10 here, and 11 on the chain"),
        ),
        (
            Final,
            other_block,
            says(&format!(
                "is final here in another block than 5 {}",
                one.replace("01", "06")
            )),
        ),
        (
            Final,
            other_height,
            says("is final here at height 5, and at 6 on the chain"),
        ),
        (
            Cancelled,
            mined(1, true, 10),
            says(&format!("is cancelled here, and {one} is in block 5")),
        ),
        (
            Cancelled,
            pending(1),
            says(&format!(
                "is cancelled here, and {one} waits in a memory pool"
            )),
        ),
        (
            Cancelled,
            Sight::Nowhere,
            says(
                "is cancelled here, and what it spends is not spent on the chain: whoever has it can still send it",
            ),
        ),
        (
            Cancelled,
            Sight::Conflict {
                by: name(2),
                height: 6,
                confirmations: 99,
                fee: 0,
            },
            says("is cancelled here since the same was spent at height 5, and on the chain at 6"),
        ),
        (
            Cancelled,
            Sight::Conflict {
                by: Hash::ZERO,
                height: 0,
                confirmations: 99,
                fee: 0,
            },
            None,
        ),
        (
            Cancelled,
            conflict(name(3)),
            says(&format!(
                "is cancelled here since {two} spent the same, and on the chain {three} did"
            )),
        ),
    ];
    for (state, sight, expected) in table {
        let found = comparison.of_tx(&row(state), &sight);
        if let Some(found) = &found {
            assert_eq!(found.what, "batch 3 tx 0");
        }
        let said = found.map(|found| found.says);
        assert_eq!(said, expected, "{state:?} {sight:?}");
    }
    // What is under way the paymaster has yet to say.
    for state in [Unsigned, Signed, Broadcast, Seen, Conflicted, Unknown] {
        for sight in [
            Sight::Nowhere,
            pending(1),
            mined(1, true, 10),
            conflict(name(2)),
        ] {
            assert_eq!(
                comparison.of_tx(&row(state), &sight),
                None,
                "{state:?} {sight:?}"
            );
        }
    }
    let never_signed = TxRow {
        txids: Vec::new(),
        ..row(Cancelled)
    };
    assert_eq!(comparison.of_tx(&never_signed, &Sight::Nowhere), None);
    // A conflict that the chain never named is named by what was spent.
    let unnamed = TxRow {
        txid: Some(Hash::of(&[&[9]])),
        ..row(Cancelled)
    };
    assert_eq!(comparison.of_tx(&unnamed, &conflict(name(3))), None);
}

/// Of what, and what.
type Told = Vec<(String, &'static str)>;

#[test]
fn a_version_pays_each_line_and_nobody_else_but_the_wallet() {
    let comparison = Comparison { own: OWN };
    let pay = |of: u16, amount| Pay {
        address: account(of),
        amount,
    };
    let change = Pay {
        address: OWN,
        amount: 77,
    };
    let lines = [(account(1), pay(1, 50)), (account(2), pay(2, 30))];
    let (anna, ben) = (account(1).to_string(), account(2).to_string());
    let table: [(Vec<Pay>, Told); 6] = [
        (vec![pay(1, 50), pay(2, 30)], vec![]),
        (vec![pay(1, 50), pay(2, 30), change.clone()], vec![]),
        (
            vec![pay(1, 49), pay(2, 30), change.clone()],
            vec![(anna.clone(), "its line is 50 base units, and T pays 49")],
        ),
        (
            vec![pay(1, 50), change.clone()],
            vec![(ben, "its line is 30 base units, and T pays it nothing")],
        ),
        (
            vec![pay(1, 50), pay(2, 30), pay(3, 1)],
            vec![(String::new(), "T pays 1 base units to X, and no line does")],
        ),
        (
            // The same twice is one line, and one too many.
            vec![pay(1, 50), pay(1, 50), pay(2, 30)],
            vec![(String::new(), "T pays 50 base units to X, and no line does")],
        ),
    ];
    for (paid, expected) in table {
        let found = comparison.of_version(&row(TxState::Final), name(1), &lines, &paid);
        let found: Vec<(String, String)> = found
            .into_iter()
            .map(|one| {
                let says = one.says.replace(&name(1).to_string(), "T");
                let says = says.replace(&account(3).to_string(), "X");
                let says = says.replace(&format!("to {anna}"), "to X");
                (one.what.replace("batch 3 tx 0", "").trim().to_owned(), says)
            })
            .collect();
        let expected: Vec<(String, String)> = expected
            .into_iter()
            .map(|(what, says)| (what, says.to_owned()))
            .collect();
        assert_eq!(found, expected, "{paid:?}");
    }
    // A line that pays the wallet itself is one like any other.
    let own = [(account(1), change.clone())];
    let says = |paid: &[Pay]| {
        let found = comparison.of_version(&row(TxState::Final), name(1), &own, paid);
        found.len()
    };
    assert_eq!((says(&[change]), says(&[pay(1, 77)]), says(&[])), (0, 2, 1));
}

#[test]
fn blocks_foreign_spends_and_a_short_wallet_are_told() {
    let comparison = Comparison { own: OWN };
    let foreign = |txid, height, nonce| Foreign {
        txid,
        height,
        nonce,
    };
    let survey = Survey {
        balance: 100,
        height: 9,
        since: Some(1),
        foreign: vec![
            foreign(Some(name(1)), Some(8), None),
            foreign(Some(name(1)), Some(8), Some(4)),
            foreign(None, None, Some(5)),
        ],
    };
    let found: Vec<String> = comparison
        .of_wallet(&survey, 101, 0)
        .iter()
        .map(ToString::to_string)
        .collect();
    let one = name(1);
    assert_eq!(
        found,
        [
            format!(
                "transaction {one}: in block 8 spends the wallet's coins, and no event names it"
            ),
            format!(
                "nonce 4: transaction {one} in block 8 spends the wallet's coins, and no event names it"
            ),
            "nonce 5: a transaction spends the wallet's coins, and no event names it".to_owned(),
            "the wallet: has 100 base units on the chain, and 101 are owed".to_owned(),
        ]
    );
    assert_eq!(comparison.of_wallet(&survey, 100, 0).len(), 3);
    // What an open block paid may be what is missing, and no more than that.
    assert_eq!(comparison.of_wallet(&survey, 101, 1).len(), 3);
    assert_eq!(comparison.of_wallet(&survey, 102, 1).len(), 4);
    // A script's names are shown backwards, as its programs do.
    let script = orebook_schema::names::Script::new(&[0x51]).unwrap();
    let comparison = Comparison {
        own: Account::Script(script),
    };
    let hash = Hash(std::array::from_fn(|at| at as u8));
    let block = Standing {
        hash,
        ..standing(7)
    };
    let OfBlock::Differs(found) = comparison.of_block(&block, Found::At(6)) else {
        panic!("a height of its own");
    };
    assert!(found.what.starts_with("block 7 1f1e1d"), "{found}");
}

/// A confirmed block; the settler may say that it is orphaned when another at its height has three on top.
fn standing(height: u64) -> Standing {
    Standing {
        hash: name(4),
        height,
        said: At::default(),
        value: 50,
        orphan_depth: 3,
    }
}

#[test]
fn a_block_that_lost_its_place_is_open_until_the_settler_ought_to_have_said_so() {
    let script = Account::Script(orebook_schema::names::Script::new(&[0x51]).unwrap());
    let gone = |tip| Found::Gone { tip };
    let lost = Some("is confirmed here, and does not stand on the best chain");
    let (same, open, differs) = ("same", "open", "differs");
    // Height 100. Said when the depth is 3, of an ethash-like 7 + 3; twelve blocks later it ought to be known here.
    for (own, found, is, says) in [
        (&script, Found::At(100), same, None),
        (&OWN, Found::At(100), same, None),
        (
            &OWN,
            Found::At(99),
            differs,
            Some("has the height 100 here, and 99 on the chain"),
        ),
        (&script, gone(100), open, lost),
        (&script, gone(102), open, lost),
        (&script, gone(103), open, lost),
        (&script, gone(114), open, lost),
        (&script, gone(115), differs, lost),
        (&script, gone(u64::MAX), differs, lost),
        (&OWN, gone(115), open, lost),
        (&OWN, gone(121), open, lost),
        (&OWN, gone(122), differs, lost),
        // The branch that took its place is a little shorter; or the node is on no chain that has it.
        (&script, gone(88), open, lost),
        (&script, gone(87), differs, lost),
        (&script, gone(0), differs, lost),
    ] {
        let comparison = Comparison { own: own.clone() };
        let (of, found_says) = match comparison.of_block(&standing(100), found) {
            OfBlock::Same => (same, None),
            OfBlock::Open(found) => (open, Some(found.says)),
            OfBlock::Differs(found) => (differs, Some(found.says)),
        };
        assert_eq!((of, found_says.as_deref()), (is, says), "{own} {found:?}");
    }
}

impl World {
    /// Compares everything; what differs, as text, and the run.
    pub(crate) fn compare(&self) -> (Vec<String>, Run) {
        self.compare_since(None)
    }

    /// The same after an earlier one.
    fn compare_since(&self, before: Option<Whole>) -> (Vec<String>, Run) {
        let book = self.paymasters[0].machine().book().clone();
        let mut run = Run::new(&book, &self.chain, before).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        while !runtime.block_on(run.step(&book, &self.chain, 7)).unwrap() {}
        let found = run.found.iter().map(ToString::to_string).collect();
        (found, run)
    }
}

/// Three are paid for good, and a block of ours is confirmed.
fn paid(one_each: bool) -> (World, Hash) {
    let mut world = World::new(Setup::new(one_each));
    let block = world.confirmed_block(7);
    world.chain.stands(block, Some(7));
    world.give(&[(account(1), 500), (account(2), 300), (account(3), 100)]);
    world.settle();
    world.check_all_paid("before");
    (world, block)
}

#[test]
fn each_planted_difference_is_found_and_nothing_else_is_said() {
    for one_each in BOTH {
        let (world, _) = paid(one_each);
        let (found, run) = world.compare();
        assert_eq!(found, Vec::<String>::new(), "one each {one_each}");
        let txs = world.states().concat().len() as u32;
        assert_eq!((run.txs, run.blocks, run.silences), (txs, 1, 0));
        let survey = run.survey.unwrap();
        assert!(run.owed < survey.balance, "{} {survey:?}", run.owed);

        let (world, block) = paid(one_each);
        world.chain.mine(100);
        world.chain.stands(block, None);
        let (found, run) = world.compare();
        assert_eq!((found.len(), run.open.len()), (1, 0), "{found:?}");
        assert!(found[0].starts_with("block 7 "), "{found:?}");

        let (world, _) = paid(one_each);
        let by = world.chain.sweep();
        let (found, _) = world.compare();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("transaction {by}: ")),
            "{found:?}"
        );

        // The chain forgets all that was paid: each transaction is told, and what was spent of them since is no other's.
        let (world, _) = paid(one_each);
        world.chain.reorganise(1_000, false);
        let (found, _) = world.compare();
        assert_eq!(found.len(), txs as usize, "{found:?}");
        let is_gone = |one: &String| one.ends_with("is final here, and no node knows it");
        assert!(found.iter().all(is_gone), "{found:?}");

        let (world, _) = paid(one_each);
        // A share of the block is anna's, who has no address: 5,000 and something are owed.
        let rest = 8_000_000 - 900 - FEE * u128::from(txs) - 5_001;
        world.chain.hide(rest);
        assert_eq!(
            world.compare().0,
            Vec::<String>::new(),
            "enough to the last unit"
        );
        world.chain.hide(rest + 1);
        assert_eq!(
            world.compare().0,
            ["the wallet: has 5000 base units on the chain, and 5001 are owed"]
        );
    }
}

#[test]
fn a_wallet_that_has_less_than_is_owed_differs() {
    let mut world = World::new(Setup::new(false));
    world.halt();
    world.give(&[(account(1), 500)]);
    world.chain.hide(8_000_000 - 499);
    let (found, run) = world.compare();
    assert_eq!(run.owed, 501, "rounded up: sub-units stay with an account");
    assert_eq!(
        found,
        ["the wallet: has 499 base units on the chain, and 501 are owed"]
    );
}

#[test]
fn what_the_chain_does_not_tell_is_not_compared_and_not_equal() {
    for edge in [Edge::Look, Edge::Block, Edge::Survey] {
        // Once: it is asked again. For ever: it is named.
        for (faults, silences) in [(1, 0), (100, 1)] {
            let (world, _) = paid(false);
            let txs = world.states().concat().len() as u64;
            for after in 0..faults {
                world.chain.fault(edge, after, Fault::Failed);
            }
            let (found, run) = world.compare();
            assert_eq!(found, Vec::<String>::new());
            let of = if edge == Edge::Look { txs as u32 } else { 1 };
            assert_eq!(run.silences, silences * of, "{edge:?} {faults}");
            assert_eq!(run.silent.len() as u32, run.silences);
            assert!(
                run.silent
                    .iter()
                    .all(|it| it.contains("could not be compared"))
            );
            assert_eq!(run.survey.is_none(), edge == Edge::Survey && 1 < faults);
            let compared = if edge == Edge::Look {
                txs as u32 - run.silences
            } else {
                txs as u32
            };
            assert_eq!(run.txs, compared);
        }
    }
}

/// What an earlier comparison would have said of all that is in the ledger now.
fn whole(world: &World, run: &Run) -> Whole {
    Whole {
        position: world.final_size() - 1,
        txs: run.txs,
        blocks: run.blocks,
    }
}

#[test]
fn after_a_whole_comparison_one_block_proves_what_is_below_and_what_changed_since_is_found() {
    for one_each in BOTH {
        let (mut world, _) = paid(one_each);
        let (_, first) = world.compare();
        let before = whole(&world, &first);
        world.give(&[(account(4), 700)]);
        world.settle();
        let looks = |world: &World| {
            (
                world.chain.asked(Edge::Look),
                world.chain.asked(Edge::Block),
            )
        };

        // One look at what came since, and one question about a block.
        let asked = looks(&world);
        let (found, run) = world.compare_since(Some(before));
        let now = looks(&world);
        assert_eq!(found, Vec::<String>::new(), "one each {one_each}");
        assert_eq!(now.0 - asked.0, 1, "one each {one_each}");
        assert!((1..=2).contains(&(now.1 - asked.1)), "{asked:?} {now:?}");
        assert_eq!((run.txs, run.blocks), (first.txs + 1, 1), "all is compared");

        // A block that does not answer proves nothing yet: it is asked again.
        world.chain.fault(Edge::Block, 0, Fault::Failed);
        let (found, run) = world.compare_since(Some(before));
        assert_eq!((found.len(), run.silences, run.txs), (0, 0, first.txs + 1));

        // An earlier one that counted less than it is taken for was none of everything.
        for (txs, blocks) in [(first.txs - 1, 1), (first.txs, 0)] {
            let less = Whole {
                txs,
                blocks,
                ..before
            };
            let asked = looks(&world).0;
            let (found, run) = world.compare_since(Some(less));
            assert_eq!((found.len(), run.txs, run.blocks), (0, first.txs + 1, 1));
            assert!(
                asked + u64::from(run.txs) <= looks(&world).0,
                "each is asked for"
            );
        }

        // The chain forgets everything: each is told.
        world.chain.reorganise(1_000, false);
        let (found, run) = world.compare_since(Some(before));
        assert_eq!(found.len(), run.txs as usize, "{found:?}");
    }
}

#[test]
fn a_node_that_stops_answering_is_not_asked_for_everything() {
    let mut world = World::new(Setup::new(true));
    let accounts: Vec<_> = (0..100).map(|n| (account(n), 100)).collect();
    world.halt();
    world.give(&accounts);
    world.resume();
    world.settle();
    for after in 0..10_000 {
        world.chain.fault(Edge::Look, after, Fault::Failed);
    }
    let asked = world.chain.asked(Edge::Look);
    let (found, run) = world.compare();
    assert_eq!((found.len(), run.txs, run.blocks), (0, 0, 0));
    assert_eq!(world.chain.asked(Edge::Look) - asked, 64);
    assert_eq!(run.silences, 1, "{:?}", run.silent);
    assert!(
        run.survey.is_some(),
        "the wallet itself is asked all the same"
    );
}

#[test]
fn a_conflict_that_people_looked_at_is_named_in_the_ledger_and_no_difference() {
    for one_each in BOTH {
        let mut world = World::with(Setup::new(one_each), &[(account(1), 500)]);
        world.until("seen", |world| world.state(0, 0) == Some(TxState::Seen));
        world.chain.steal(&world.txs(0)[0].spends);
        world.chain.mine(LAST + PAID);
        world.until("a halt", |world| world.wallet().halted.is_some());
        world.resume();
        world.settle();
        let (found, _) = world.compare();
        assert_eq!(found, Vec::<String>::new(), "one each {one_each}");
    }
}
