//! Money rules, 4.7: donations.

use crate::table::table;

/// The block of section 5: ann 3, cat 2, fee 1 %.
const BLOCK: &str = "policy fee=10000 n=1000000
     g1 job 5
     donates ann 15000
     donates cat 1000000
     g1 frame: ann 3, cat 2 finds A";

#[test]
fn donations_follow_their_block_through_its_states() {
    table(&format!(
        "{BLOCK}
         A immature 50
         = ann immature 29.2545
         = donation 20.2455
         = fee 0.5
         A immature 45
         = ann immature 26.32905
         = donation 18.22095
         = fee 0.45
         A confirmed 45
         = ann available 26.32905
         = donation 18.22095
         = fee 0.45
         A confirmed 50
         = ann available 29.2545
         = donation 20.2455
         = fee 0.5
         A orphaned 0
         = nothing
         A confirmed 50
         = ann available 29.2545
         = donation 20.2455
         = fee 0.5"
    ));
}

#[test]
fn the_postings_are_those_of_the_example() {
    let table = table(&format!(
        "{BLOCK}
         A immature 50
         A immature 45
         A confirmed 45
         = ann available 26.32905
         = donation 18.22095
         = fee 0.45"
    ));
    let postings = table.postings("A").into_iter().map(|row| {
        let amount = row.amount;
        format!("{} {} {amount}", row.debit, row.credit).replace("name:", "")
    });
    assert_eq!(
        postings.collect::<Vec<_>>(),
        [
            "reward immature:ann 29700000000",
            "immature:ann donation 445500000",
            "reward immature:cat 19800000000",
            "immature:cat donation 19800000000",
            "reward fee 500000000",
            "immature:ann reward 2970000000",
            "donation immature:ann 44550000",
            "immature:cat reward 1980000000",
            "donation immature:cat 1980000000",
            "fee reward 50000000",
            "immature:ann available:ann 26329050000",
        ]
    );
}

#[test]
fn a_setting_after_the_finding_share_changes_nothing_of_the_block() {
    // Not even where the block is weighed later, changes its value, or returns.
    for at_once in ["", "A immature 50"] {
        table(&format!(
            "{BLOCK}
             {at_once}
             donates ann 0
             A immature 50
             = ann immature 29.2545
             = donation 20.2455
             = fee 0.5
             A orphaned 0
             donates cat 0
             A immature 45
             = ann immature 26.32905
             = donation 18.22095
             = fee 0.45
             g1 frame: ann 3, cat 2 finds B
             A orphaned 0
             B immature 50
             = ann immature 29.7
             = cat immature 19.8
             = fee 0.5"
        ));
    }
}

#[test]
fn the_bonus_is_not_donated_and_solo_gives_of_all_the_rest() {
    table(
        "policy bonus=100000
         donates ann 500000
         g1 job 5
         g1 frame: ann@solo 1 finds A
         A immature 100
         = ann immature 55
         = donation 45",
    );
}

#[test]
fn a_round_of_prop_donates_as_a_window_does() {
    table(
        "policy
         donates ann 333333
         g1 job 5
         g1 frame: ann@prop 1, bob@prop 2 finds A
         A immature 1
         = ann immature 0.222222334
         = bob immature 0.666666666
         = donation 0.111110999
         = rounding 0.000000001",
    );
}

#[test]
fn of_shares_that_are_paid_one_by_one_a_frames_posting_is_donated() {
    // Example 4.7: 15,000 ppm of 28,285,714,284. What is in force is asked at the frame.
    table(
        "policy fee=10000
         donates ann 15000
         g1 job 7 pays=51 fees=1
         g1 frame: ann@pps 2, bob@pps 1, ann@pps 2
         = ann available 27.861428570
         = bob available 7.071428571
         = donation 0.424285714
         = reserve -35.357142855
         donates ann 0
         g1 frame: ann@pps 2
         = ann available 42.004285712
         = bob available 7.071428571
         = donation 0.424285714
         = reserve -49.499999997",
    );
}

#[test]
fn each_account_donates_its_own_and_only_from_where_it_said_so() {
    table(
        "policy
         g1 job 4
         g1 frame: ann 2, bob 2 finds A
         donates bob 250000
         g1 frame: ann 2, bob 2 finds B
         donates bob 750000
         g1 frame: ann 2, bob 2 finds C
         C immature 40
         = ann immature 20
         = bob immature 5
         = donation 15
         B immature 40
         = ann immature 40
         = bob immature 20
         = donation 20
         A immature 40
         = ann immature 60
         = bob immature 40
         = donation 20",
    );
}
