//! Money rules, section 5: what becomes of a block, and what follows for the books.

use crate::table::table;

const FOUND: &str = "policy fee=100000
     g1 job 100
     g1 frame: ben 30, anna 70 finds A";

#[test]
fn credits_are_immature_first_and_available_once_confirmed() {
    table(&format!(
        "{FOUND}
         = nothing
         A seen 50
         = nothing
         A immature 50
         = anna immature 31.5
         = ben immature 13.5
         = fee 5
         A confirmed 50
         = anna available 31.5
         = ben available 13.5
         = fee 5"
    ));
}

#[test]
fn a_block_may_be_confirmed_at_once() {
    table(&format!(
        "{FOUND}
         A confirmed 50
         = anna available 31.5
         = ben available 13.5
         = fee 5"
    ));
}

#[test]
fn an_orphan_takes_everything_back_and_leaves_other_blocks_alone() {
    table(&format!(
        "{FOUND}
         g1 frame: ben 20 finds B
         A immature 50
         B immature 100
         = anna immature 94.5
         = ben immature 40.5
         = fee 15
         A orphaned 0
         = anna immature 63
         = ben immature 27
         = fee 10"
    ));
    // B: the last 100 are ben 20, anna 70, 10 of ben's 30: anna 70, ben 30 of R = 90.
}

#[test]
fn a_block_that_comes_back_pays_its_recorded_weights() {
    table(&format!(
        "{FOUND}
         A immature 50
         A orphaned 50
         = nothing
         A immature 50
         = anna immature 31.5
         = ben immature 13.5
         = fee 5
         A orphaned 50
         A confirmed 40
         = anna available 25.2
         = ben available 10.8
         = fee 4"
    ));
}

#[test]
fn an_orphan_that_was_never_credited_posts_nothing() {
    table(&format!("{FOUND}\nA seen 50\nA orphaned 50\n= nothing"));
}

#[test]
fn another_value_posts_the_difference_by_the_same_weights() {
    table(&format!(
        "{FOUND}
         A immature 50
         A immature 80
         = anna immature 50.4
         = ben immature 21.6
         = fee 8
         A immature 10
         = anna immature 6.3
         = ben immature 2.7
         = fee 1
         A confirmed 20
         = anna available 12.6
         = ben available 5.4
         = fee 2
         A confirmed 30
         = anna available 18.9
         = ben available 8.1
         = fee 3
         A orphaned 0
         = nothing"
    ));
}

#[test]
fn fees_that_are_known_later_are_a_change_of_value() {
    table(
        "policy fee=100000 keep=yes
         g1 job 100
         g1 frame: anna 70 finds A
         A immature 100
         = anna immature 90
         = fee 10
         A immature 100 fees=20
         = anna immature 72
         = fee 28",
    );
}

#[test]
fn a_late_reorganisation_takes_back_what_was_available() {
    table(&format!(
        "{FOUND}
         A immature 50
         A confirmed 50
         A orphaned 50
         = nothing"
    ));
}

#[test]
fn a_late_reorganisation_goes_below_zero_where_it_was_paid_and_later_credits_fill_it_first() {
    // A payout of 30 is on its way when the block goes: 31.5 - 30 - 31.5. B is all anna's: 36 of 40 fill the 30 first.
    table(&format!(
        "{FOUND}
         lives anna X
         A immature 50
         A confirmed 50
         batch of=A: anna 30
         tx 0 signed
         tx 0 broadcast
         A orphaned 50
         = anna available -30
         = anna reserved 30
         tx 0 confirmed fee=2
         = anna available -30
         = anna paid 30
         = network_fees -2
         = wallet 2
         g1 frame: anna 100 finds B
         B confirmed 40
         = anna available 6
         = anna paid 30
         = fee 4
         = network_fees -2
         = wallet 2"
    ));
}

#[test]
fn what_was_posted_stays_where_it_is_while_the_block_is_less_deep_for_a_while() {
    // Rules, reading 10: only an orphan takes anything back.
    table(&format!(
        "{FOUND}
         A immature 50
         A seen 50
         = anna immature 31.5
         = ben immature 13.5
         = fee 5
         A confirmed 50
         A immature 50
         = anna available 31.5
         = ben available 13.5
         = fee 5
         A seen 20
         = anna available 12.6
         = ben available 5.4
         = fee 2
         A confirmed 50
         = anna available 31.5
         = ben available 13.5
         = fee 5
         A orphaned 50
         A seen 50
         = nothing"
    ));
}

#[test]
fn every_posting_of_an_orphan_is_opposed_and_cited() {
    let table = table(&format!(
        "{FOUND}
         A immature 50
         A confirmed 40
         A orphaned 0
         = nothing"
    ));
    // Rules 5.1, 5.3 and 5.4: three of the settlement, three of the difference, two moves; and the opposite of each.
    let postings = table.postings("A");
    assert_eq!(postings.len(), 16);
    let (made, opposed) = postings.split_at(8);
    for (posting, opposite) in made.iter().rev().zip(opposed) {
        assert_eq!(opposite.cites, Some((posting.at, posting.number)));
        assert_eq!(
            (&opposite.debit, &opposite.credit),
            (&posting.credit, &posting.debit)
        );
        assert_eq!(opposite.amount, posting.amount);
        assert_eq!(posting.cites, None);
    }
}

#[test]
fn two_blocks_at_one_height_are_both_immature_until_the_chain_lets_one_survive() {
    table(
        "policy
         g1 job 100
         g2 job 100
         g1 frame: ben 40, anna 60 finds A
         g2 frame: carl 100 finds B
         A immature 50
         B immature 50
         = anna immature 30
         = ben immature 20
         = carl immature 50
         B orphaned 50
         A confirmed 50
         = anna available 30
         = ben available 20",
    );
}

#[test]
fn a_status_that_expects_something_else_changes_nothing() {
    let table = table(&format!(
        "{FOUND}
         A immature 50
         A confirmed 50 late
         A orphaned 50 late
         = anna immature 31.5
         = ben immature 13.5
         = fee 5
         A confirmed 50
         = anna available 31.5
         = ben available 13.5
         = fee 5"
    ));
    assert_eq!(table.refusals(), ["expects", "expects"]);
}

#[test]
fn a_status_of_a_block_that_nobody_named_changes_nothing() {
    let table = table(&format!("{FOUND}\nZ immature 50\n= nothing"));
    assert_eq!(table.refusals(), ["unknown"]);
}

#[test]
fn a_value_that_no_chain_pays_is_refused() {
    let table = table(&format!(
        "{FOUND}
         A immature 340282366920938463463374607431768211455 late
         = nothing"
    ));
    assert_eq!(table.refusals(), ["expects"]);
    let table = crate::table::table(&format!(
        "{FOUND}
         A immature 1208925819614629174706177
         = nothing"
    ));
    // 2^80 + 1. The table goes on expecting that status, which was not obeyed.
    assert_eq!(table.refusals(), ["value"]);
}

#[test]
fn a_hash_that_is_found_twice_is_one_block() {
    let table = table(
        "policy
         g1 job 100
         g1 frame: anna 100 finds A
         g1 frame: ben 100 finds A
         A immature 50
         = anna immature 50",
    );
    assert_eq!(table.refusals(), ["known"]);
}

#[test]
fn a_share_that_comes_after_its_block_was_recovered_names_no_finder() {
    let table = table(
        "policy
         g1 job 100
         recovered A
         A immature 50
         = reserve 50
         g1 frame: anna 100 finds A
         A confirmed 50
         = reserve 50",
    );
    assert_eq!(table.refusals(), ["known"]);
}

#[test]
fn what_was_recovered_and_found_later_is_not_recovered_again() {
    let table = table(
        "policy
         g1 job 100
         recovered A
         recovered again A
         g1 frame: anna 100 finds A
         recovered again A
         A immature 50
         = reserve 50",
    );
    assert_eq!(
        table.refusals(),
        ["known", "known"],
        "the share's word, then the last recovery"
    );
}

#[test]
fn a_block_that_a_share_found_is_not_recovered() {
    let table = table(
        "policy
         g1 job 100
         g1 frame: anna 100 finds A
         recovered A
         A immature 50
         = anna immature 50",
    );
    assert_eq!(table.refusals(), ["known"]);
}
