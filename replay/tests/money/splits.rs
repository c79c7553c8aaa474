//! Money rules, section 4: what becomes of a reward.

use orebook_replay::folds::money::{SUB_UNITS, split, window_work};
use orebook_replay::folds::obeyed::VALUE_MAX;
use orebook_schema::policy::Scheme;

use crate::pool::{PPLNS, rules};
use crate::table::table;

#[test]
fn what_division_leaves_goes_to_rounding() {
    // 100 · 10^9 / 3 = 33,333,333,333 and 1 left.
    table(
        "policy
         g1 job 3
         g1 frame: anna 1, ben 1, carl 1 finds A
         A immature 100
         = anna immature 33.333333333
         = ben immature 33.333333333
         = carl immature 33.333333333
         = rounding 0.000000001",
    );
}

#[test]
fn bonus_comes_first_then_the_fee_then_the_split() {
    // G = 100: bonus 10; fee 10 % of 90 = 9; R = 81 by 1 : 2.
    table(
        "policy fee=100000 bonus=100000
         g1 job 3
         g1 frame: anna 1, ben 2 finds A
         A immature 100
         = anna immature 27
         = ben immature 64
         = fee 9",
    );
}

#[test]
fn kept_transaction_fees_go_to_the_pool_and_are_not_shared() {
    // G = 100, T = 20, G' = 80: bonus 8, fee 7.2, R = 64.8.
    table(
        "policy fee=100000 bonus=100000 keep=yes
         g1 job 3
         g1 frame: anna 1, ben 2 finds A
         A immature 100 fees=20
         = anna immature 21.6
         = ben immature 51.2
         = fee 27.2",
    );
    table(
        "policy fee=100000 bonus=100000 keep=no
         g1 job 3
         g1 frame: anna 1, ben 2 finds A
         A immature 100 fees=20
         = anna immature 27
         = ben immature 64
         = fee 9",
    );
}

#[test]
fn a_window_without_work_pays_into_the_reserve() {
    // The finding share is stale, and stale shares are unpaid: W = 0. Bonus and fee are taken all the same.
    table(
        "policy fee=100000 bonus=100000
         g1 job 100
         g1 frame: anna 10 stale finds A
         A immature 100
         = anna immature 10
         = fee 9
         = reserve 81",
    );
}

#[test]
fn a_block_of_a_void_job_is_the_reserves() {
    table(
        "policy fee=100000 bonus=100000
         g1 job 100
         g1 frame: ben 50
         g1 job 100 void
         g1 frame: anna 10 finds A
         A immature 100
         = reserve 100",
    );
}

#[test]
fn a_recovered_block_is_the_reserves() {
    table(
        "policy fee=100000
         g1 job 100
         g1 frame: ben 50
         recovered A
         A immature 100
         = reserve 100
         A confirmed 100
         = reserve 100",
    );
}

#[test]
fn parts_per_million_round_down() {
    // 1 base unit: fee floor(10^9 · 333,333 / 10^6) = 333,333,000; R = 666,667,000 by 1 : 6 → 95,238,142 and 571,428,857.
    table(
        "policy fee=333333
         g1 job 7
         g1 frame: anna 1, ben 6 finds A
         A immature 1
         = anna immature 0.095238142
         = ben immature 0.571428857
         = fee 0.333333
         = rounding 0.000000001",
    );
}

#[test]
fn a_reward_of_nothing_posts_nothing() {
    table(
        "policy fee=10000
         g1 job 7
         g1 frame: anna 1 finds A
         A immature 0
         = nothing
         A confirmed 3
         = anna available 2.97
         = fee 0.03",
    );
}

#[test]
fn the_largest_values_and_weights_still_add_up() {
    let mut rules = rules(PPLNS, Scheme::Pplns);
    (rules.fee_ppm, rules.bonus_ppm) = (12_345, 67_890);
    let weights = [u128::MAX / 2, u128::MAX / 3, 1, 0];
    // The function asserts that the parts add up to the whole.
    let split = split(VALUE_MAX, VALUE_MAX, &rules, &weights);
    assert_eq!(split.whole, VALUE_MAX * SUB_UNITS);
    assert_eq!(split.parts.len(), weights.len());
    assert_eq!(split.parts.last(), Some(&0));
    let all_fees = {
        rules.keep_tx_fees = true;
        orebook_replay::folds::money::split(VALUE_MAX, VALUE_MAX, &rules, &weights)
    };
    assert_eq!(all_fees.fee, all_fees.whole);
}

#[test]
fn a_windows_work_is_rounded_down_but_never_nothing() {
    for (n_ppm, network_work, work) in [
        (1_000_000, 100, 100),
        (1, 999_999, 1),
        (1, 1_000_000, 1),
        (1, 2_000_000, 2),
        (1_999_999, 1, 1),
        (2_500_000, 3, 7),
        (u64::MAX, u128::MAX, u128::MAX),
    ] {
        assert_eq!(
            window_work(n_ppm, network_work),
            work,
            "{n_ppm} {network_work}"
        );
    }
}
