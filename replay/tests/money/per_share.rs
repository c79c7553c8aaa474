//! Money rules, 3.6: PPS and FPPS.

use orebook_replay::folds::money::Price;
use orebook_schema::policy::Scheme;

use crate::pool::{PPS, rules};
use crate::table::table;

#[test]
fn each_share_is_paid_for_itself_and_rounded_down_by_itself() {
    // Example 3.6: 2 · 50 · 0.99 / 7 twice, floor(7 / 2) = 3 of a stale share, nothing of a void job.
    table(
        "policy fee=10000 stale=500000
         g1 job 7 pays=51 fees=1
         g2 job 7 void
         g1 frame: ann@pps 2, ann@pps 2, bob@pps 7 stale
         g2 frame: cat@pps 5
         = ann available 28.285714284
         = bob available 21.214285714
         = reserve -49.499999998",
    );
}

#[test]
fn shares_of_frames_before_and_after_a_new_job_are_paid_by_their_own() {
    table(
        "policy
         g1 job 10 pays=100 fees=20
         g1 frame: ann@pps 1
         g1 job 20 pays=40 fees=0
         g1 frame: ann@pps 1, bob@pps 5
         g1 restarts
         g1 frame: bob@pps 5
         = ann available 10
         = bob available 20
         = reserve -30",
    );
}

#[test]
fn an_account_is_one_in_all_its_pots_and_rigs_of_a_frame() {
    table(
        "policy
         g1 job 3 pays=1 fees=0
         g2 job 3 pays=1 fees=0
         g1 frame: ann@pps 1, ann@fpps 1, ann@pps 1
         g2 frame: ann@fpps 1
         = ann available 1.333333332
         = reserve -1.333333332",
    );
}

#[test]
fn a_block_of_such_a_pot_is_the_reserves_whatever_the_policy_takes() {
    for pot in ["pps", "fpps"] {
        table(&format!(
            "policy fee=100000 bonus=100000 keep=yes n=5
             g1 job 10 pays=120 fees=20
             g1 frame: ann@{pot} 1, bob@{pot} 2 finds A
             = ann available 9
             = bob available 18
             = reserve -27
             A immature 120 fees=20
             = ann available 9
             = bob available 18
             = reserve 93
             A confirmed 130 fees=20
             = ann available 9
             = bob available 18
             = reserve 103
             A orphaned 0
             = ann available 9
             = bob available 18
             = reserve -27"
        ));
    }
}

#[test]
fn shares_that_are_paid_one_by_one_are_in_no_window_and_in_no_round() {
    table(
        "policy
         g1 job 10 pays=10 fees=0
         g1 frame: ann 4, bob@pps 3, cat@prop 2, cat@prop 1 finds A, bob@pps 1, ann 6 finds B
         A immature 30
         B immature 100
         = ann immature 100
         = bob available 4
         = cat immature 30
         = reserve -4",
    );
}

#[test]
fn moved_shares_are_paid_once_where_they_were_moved_to() {
    let moved = "g1 job 10 pays=10 fees=0
         g1 frame: ann@pps 1
         g1 lost: ann@pps 2, bob@pps 3, cat 4, cat@pps 5 stale
         g1 moves";
    for again in ["", "\ng1 moves\ng1 moves"] {
        table(&format!(
            "policy stale=400000
             {moved}{again}
             = ann available 3
             = bob available 3
             = cat available 2
             = reserve -8"
        ));
    }
    table(
        "policy
         g1 job 10 pays=10 fees=0
         g1 lost: ann@pps 2, bob@pps 3
         g1 moves twice
         = ann available 2
         = bob available 3
         = reserve -5",
    );
}

#[test]
fn a_share_is_paid_under_its_jobs_policy_whatever_came_later() {
    table(
        "policy fee=500000
         g1 job 10 pays=20 fees=0
         policy fee=0
         g2 job 10
         g1 frame: ann@pps 1
         g2 frame: bob@pps 1
         = ann available 1
         = bob available 4.9
         = reserve -5.9",
    );
}

#[test]
fn a_subsidy_that_no_chain_pays_pays_nothing() {
    // 2^80 is the most, and 2^80 + 1 is too much.
    let most = 1u128 << 80;
    table(&format!(
        "policy
         g1 job 10 pays={most} fees=0
         g1 frame: ann@pps 10
         = ann available {most}
         = reserve -{most}
         g1 job 10 pays={} fees=0
         g1 frame: ann@pps 10
         = ann available {most}
         = reserve -{most}",
        most + 1
    ));
}

#[test]
fn pay_that_no_sum_has_room_for_is_refused_for_all_of_the_frame() {
    let most = 1u128 << 80;
    let largest = (1u64 << 63) - 1;
    let table = table(&format!(
        "policy
         g1 job 1 pays={most} fees=0
         g1 frame: ann@pps 1, bob@pps {largest}
         = nothing
         g1 frame: ann@pps 1
         = ann available {most}
         = reserve -{most}"
    ));
    assert_eq!(table.refusals(), ["value"]);
}

#[test]
fn the_largest_figures_saturate_and_do_not_fail() {
    let price = Price {
        subsidy: 1 << 80,
        mean: 1 << 80,
        network_work: 1,
    };
    let fpps = rules(PPS, Scheme::Fpps);
    assert_eq!(price.of((1 << 63) - 1, &fpps), u128::MAX);
    let large = Price {
        network_work: u128::MAX,
        ..price
    };
    // Twice floor((2^63 − 1) · 2^80 · 10^9 / (2^128 − 1)).
    assert_eq!(large.of((1 << 63) - 1, &fpps), 65_535_999_999_998);
}

#[test]
fn each_part_of_a_price_is_rounded_down_by_itself() {
    // (scheme, credit, fee, subsidy, mean, network work, pay)
    for (scheme, credit, fee_ppm, subsidy, mean, network_work, pay) in [
        (Scheme::Pps, 2, 10_000, 50, 3, 7, 14_142_857_142),
        (Scheme::Fpps, 2, 10_000, 50, 3, 7, 14_999_999_999),
        (Scheme::Fpps, 3, 10_000, 50, 3, 7, 22_499_999_999),
        (Scheme::Fpps, 1, 0, 1, 1, 3, 666_666_666),
        (Scheme::Fpps, 1, 1_000_000, 50, 3, 7, 428_571_428),
        (Scheme::Pps, 0, 0, 50, 3, 7, 0),
        (Scheme::Pplns, 2, 0, 50, 3, 7, 0),
        (Scheme::Solo, 2, 0, 50, 3, 7, 0),
        (Scheme::Prop, 2, 0, 50, 3, 7, 0),
    ] {
        let price = Price {
            subsidy,
            mean,
            network_work,
        };
        let mut rules = rules(PPS, scheme);
        rules.fee_ppm = fee_ppm;
        assert_eq!(price.of(credit, &rules), pay, "{scheme:?} {credit}");
    }
}

#[test]
fn fpps_adds_the_mean_fees_that_stood_before_the_frame() {
    // Example 3.6, FPPS; before the first mean it is PPS.
    table(
        "policy fee=10000 stale=500000
         g1 job 7 pays=51 fees=1
         mean 9 late
         g1 frame: dora@fpps 2
         = dora available 14.142857142
         = reserve -14.142857142
         mean 3
         mean 5 late
         g1 frame: ann@fpps 2, ann@fpps 2, bob@fpps 7 stale, bob@pps 2
         = ann available 29.999999998
         = bob available 36.642857141
         = dora available 14.142857142
         = reserve -80.785714281
         mean 0
         g1 frame: dora@fpps 2
         = ann available 29.999999998
         = bob available 36.642857141
         = dora available 28.285714284
         = reserve -94.928571423",
    );
}

#[test]
fn a_mean_that_expects_something_else_is_refused() {
    let table = table(
        "policy
         mean 3
         mean 4 late
         mean 5
         g1 job 1 pays=0 fees=0
         g1 frame: ann@fpps 1
         = ann available 5
         = reserve -5",
    );
    assert_eq!(table.refusals(), ["expects"]);
}
