//! Money rules, 3.5: PROP.

use crate::table::table;

/// Round A: ann 6, cat 1. Round B: bob 3, cat 4. No fee, 70 each.
const ROUNDS: [&str; 2] = [
    "policy
     g1 job 100
     g1 frame: ann@prop 6
     g1 frame: cat@prop 1 finds A, bob@prop 3",
    "g1 frame: cat@prop 4 finds B",
];

#[track_caller]
fn rounds(between: &str, after: &str) {
    let [first, second] = ROUNDS;
    table(&format!("{first}\n{between}\n{second}\n{after}"));
}

#[test]
fn a_round_is_what_came_after_the_pots_block_before() {
    rounds(
        "",
        "A immature 70
         = ann immature 60
         = cat immature 10
         B immature 70
         = ann immature 60
         = bob immature 30
         = cat immature 50",
    );
}

#[test]
fn a_round_has_no_window_and_reaches_the_ledgers_beginning() {
    // N would be 1.
    table(
        "policy n=1
         g1 job 1
         g1 frame: ann@prop 500, bob 7, cat@solo 9
         g2 job 1
         g2 frame: ann@prop 100
         g1 restarts
         g1 frame: bob@prop 400 finds A
         A immature 100
         = ann immature 60
         = bob immature 40",
    );
}

#[test]
fn an_orphans_weights_are_the_open_rounds() {
    rounds(
        "A orphaned 0",
        "= nothing
         B immature 70
         = ann immature 30
         = bob immature 15
         = cat immature 25",
    );
}

#[test]
fn an_orphan_that_was_paid_before_gives_back_and_brings_its_weights() {
    rounds(
        "A immature 70
         = ann immature 60
         = cat immature 10
         A orphaned 0
         = nothing",
        "B immature 70
         = ann immature 30
         = bob immature 15
         = cat immature 25",
    );
}

#[test]
fn an_orphan_that_returns_while_the_round_is_open_takes_its_weights_back() {
    for back in ["A immature 70", "A seen 70\nA immature 70"] {
        rounds(
            &format!("A orphaned 0\n{back}\n= ann immature 60\n= cat immature 10"),
            "B immature 70
             = ann immature 60
             = bob immature 30
             = cat immature 50",
        );
    }
}

#[test]
fn an_orphan_that_returns_too_late_leaves_its_weights_and_is_paid() {
    // B keeps what it has of A, also where it is settled after A's return.
    let books = "= ann immature 90
         = bob immature 15
         = cat immature 35";
    rounds(
        "A orphaned 0",
        &format!("B immature 70\nA immature 70\n{books}"),
    );
    rounds(
        "A orphaned 0",
        &format!("A immature 70\nB immature 70\n{books}"),
    );
}

#[test]
fn an_orphan_after_the_next_block_is_the_round_afters() {
    rounds(
        "",
        "A orphaned 0
         B immature 70
         = bob immature 30
         = cat immature 40
         g1 frame: dora@prop 7 finds C
         C immature 70
         = ann immature 30
         = bob immature 30
         = cat immature 45
         = dora immature 35",
    );
}

#[test]
fn orphaned_twice_adds_once_and_again_after_a_return_to_the_round_then_open() {
    rounds(
        "A orphaned 0\nA orphaned 3",
        "B immature 70
         = ann immature 30
         = bob immature 15
         = cat immature 25
         A seen 0
         A orphaned 0
         g1 frame: dora@prop 7 finds C
         C immature 70
         = ann immature 60
         = bob immature 15
         = cat immature 30
         = dora immature 35",
    );
}

#[test]
fn an_orphan_of_an_orphan_brings_both() {
    // B's weights are ann 6, bob 3, cat 5; C's those and dora 14.
    rounds(
        "A orphaned 0",
        "B orphaned 0
         g1 frame: dora@prop 14 finds C
         C immature 280
         = ann immature 60
         = bob immature 30
         = cat immature 50
         = dora immature 140",
    );
}

#[test]
fn an_orphan_that_returns_takes_its_own_weights_back_and_no_others() {
    table(
        "policy
         g1 job 100
         g1 frame: ann@prop 6 finds A
         g1 frame: bob@prop 3 finds B
         A orphaned 0
         B orphaned 0
         A confirmed 10
         = ann available 10
         g1 frame: cat@prop 1 finds C
         C immature 40
         = ann available 10
         = bob immature 30
         = cat immature 10",
    );
}

#[test]
fn a_late_reorganisation_brings_the_weights_too() {
    rounds(
        "A confirmed 70
         = ann available 60
         = cat available 10
         A orphaned 0
         = nothing",
        "B confirmed 70
         = ann available 30
         = bob available 15
         = cat available 25",
    );
}

#[test]
fn blocks_in_one_frame_have_a_round_each() {
    table(
        "policy
         g1 job 100
         g1 frame: ann@prop 1, bob@prop 2 finds A, ann@prop 3, cat@prop 4 finds B, ann@prop 5
         g1 frame: dora@prop 5 finds C
         A immature 3
         = ann immature 1
         = bob immature 2
         B immature 7
         = ann immature 4
         = bob immature 2
         = cat immature 4
         C immature 10
         = ann immature 9
         = bob immature 2
         = cat immature 4
         = dora immature 5",
    );
}

#[test]
fn other_pots_blocks_and_recovered_ones_end_no_round() {
    table(
        "policy
         g1 job 100
         g1 frame: ann@prop 6, bob 5 finds P, cat@solo 4 finds S
         recovered R
         g1 frame: cat@prop 4 finds A
         A immature 10
         = ann immature 6
         = cat immature 4",
    );
}

#[test]
fn a_block_of_a_void_job_ends_the_round_and_adds_nothing() {
    table(
        "policy
         g1 job 100
         g1 frame: ann@prop 6
         g1 job 100 void
         g1 frame: bob@prop 1 finds A
         A immature 5
         = reserve 5
         A orphaned 0
         = nothing
         g1 job 100
         g1 frame: cat@prop 1 finds B
         B immature 10
         = cat immature 10",
    );
}

#[test]
fn moved_and_stale_shares_count_in_the_round_that_they_stand_in() {
    // Lost before A was found, moved after it: they are of B's round, and of a stale share half.
    table(
        "policy stale=500000
         g1 job 100
         g2 job 100
         g1 lost: ann@prop 30, bob@prop 10
         g2 frame: cat@prop 1 finds A
         g1 moves twice
         g1 moves
         g2 frame: dora@prop 40 stale, cat@prop 20 finds B
         A immature 7
         = cat immature 7
         B immature 80
         = ann immature 30
         = bob immature 10
         = cat immature 27
         = dora immature 20",
    );
}

#[test]
fn bonus_fee_and_kept_fees_are_taken_as_of_any_block() {
    table(
        "policy fee=100000 bonus=100000 keep=yes
         g1 job 3
         g1 frame: ann@prop 1, bob@prop 2 finds A
         A immature 100 fees=20
         = ann immature 21.6
         = bob immature 51.2
         = fee 27.2",
    );
}

#[test]
fn a_round_without_work_is_the_reserves() {
    table(
        "policy
         g1 job 100
         g1 frame: ann@prop 10 finds A, bob@prop 10 stale finds B
         B immature 10
         = reserve 10",
    );
}
