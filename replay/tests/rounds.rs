//! The fold `rounds`: efforts to the last part, and what chance predicts.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use orebook_replay::folds::rounds::chance::{CHANCE_BLOCKS_MAX, CHANCE_SCALE, of_doing_worse};
use orebook_replay::folds::rounds::{self, Finished, Rounds, Running};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::names::Pot;
use orebook_schema::work::Share;
use orebook_schema::{At, Event};
use pool::{
    GATEWAY, PPLNS, Pen, Pool, SOLO, block_found, hash, job, moved, policy, replayed, share, worker,
};

/// Parts of effort 1.
const ONE: u128 = 1_000_000_000_000;

fn fresh(worker: u32, work: u64, nonce: u32) -> Event {
    Event::Share(share(worker, 0, work, nonce))
}

fn finding(worker: u32, work: u64, nonce: u32, block: u8) -> [Event; 2] {
    let share = Share {
        block: true,
        ..share(worker, 0, work, nonce)
    };
    [Event::Share(share), block_found(hash(block), 7)]
}

fn running(store: &MemoryStore, pot: Pot) -> Option<Running> {
    let view = store.view().expect("a view");
    rounds::running(view.as_ref(), pot).expect("rows")
}

fn finished(store: &MemoryStore, pot: Pot) -> Vec<Finished> {
    let view = store.view().expect("a view");
    let mut all = rounds::page(view.as_ref(), pot, None, 1_000).expect("rows");
    all.reverse();
    all
}

/// (shares, work, effort) of finished rounds, oldest first, and of the running one.
fn figures(store: &MemoryStore, pot: Pot) -> Vec<(u64, u128, u128)> {
    let done = finished(store, pot);
    let mut all: Vec<_> = done
        .iter()
        .map(|round| (round.shares, round.work, round.effort))
        .collect();
    if let Some(round) = running(store, pot) {
        all.push((round.shares, round.work, round.effort));
    }
    all
}

/// A pool with one gateway; worker 0 is in the PPLNS pot, worker 1 in the SOLO pot; job 0 has this network work.
fn pool_with(network_work: u128, stale_ppm: u32) -> (Pool, Pen) {
    let mut pool = Pool::new(policy(|rules| rules.stale_ppm = stale_ppm));
    let mut pen = Pen::new(GATEWAY, 1);
    let said = [
        worker(&mut pen, "anna", "rig", PPLNS),
        worker(&mut pen, "ben", "rig", SOLO),
        job(&mut pen, At::default(), network_work),
    ];
    pool.say(&mut pen, &said);
    (pool, pen)
}

#[test]
fn a_round_ends_with_the_finding_share_and_the_next_begins_right_behind_it() {
    let (mut pool, mut pen) = pool_with(1_000, 0);
    pool.say(&mut pen, &[fresh(0, 100, 1), fresh(0, 200, 2)]);
    let [found, block] = finding(0, 300, 3, 0xb1);
    pool.say(&mut pen, &[fresh(0, 25, 4), found, block, fresh(0, 50, 5)]);
    let [found, block] = finding(0, 10, 6, 0xb2);
    pool.say(&mut pen, &[found, block]);
    pool.say(&mut pen, &[fresh(0, 7, 7)]);
    pool.finalise();
    let store = replayed(&pool, Rounds);
    assert_eq!(
        figures(&store, PPLNS),
        [
            // 100 + 200 + 25 + 300 of 1,000
            (4, 625, 625 * ONE / 1_000),
            // 50 + 10
            (2, 60, 60 * ONE / 1_000),
            (1, 7, 7 * ONE / 1_000),
        ]
    );
    let done = finished(&store, PPLNS);
    assert_eq!(done[0].hash, hash(0xb1));
    assert_eq!(done[0].network_work, 1_000);
    assert_eq!(done[1].since_ms, done[0].found_ms);
    assert_eq!(running(&store, SOLO), None);
}

#[test]
fn two_blocks_in_one_frame_end_two_rounds_and_pots_do_not_mix() {
    let (mut pool, mut pen) = pool_with(100, 0);
    let [found_a, block_a] = finding(0, 5, 1, 0xb1);
    let [found_b, block_b] = finding(1, 50, 2, 0xb2);
    let [found_c, block_c] = finding(0, 9, 3, 0xb3);
    let said = [
        fresh(0, 1, 10),
        fresh(1, 2, 11),
        found_a,
        block_a,
        fresh(0, 3, 12),
        found_b,
        block_b,
        found_c,
        block_c,
        fresh(1, 4, 13),
    ];
    pool.say(&mut pen, &said);
    pool.finalise();
    let store = replayed(&pool, Rounds);
    let hundredth = ONE / 100;
    assert_eq!(
        figures(&store, PPLNS),
        [(2, 6, 6 * hundredth), (2, 12, 12 * hundredth), (0, 0, 0)]
    );
    assert_eq!(
        figures(&store, SOLO),
        [(2, 52, 52 * hundredth), (1, 4, 4 * hundredth)]
    );
}

#[test]
fn effort_is_rounded_down_share_by_share_and_not_for_the_sum() {
    let (mut pool, mut pen) = pool_with(3, 0);
    let shares: Vec<Event> = (0..3).map(|nonce| fresh(0, 1, nonce)).collect();
    pool.say(&mut pen, &shares);
    pool.finalise();
    let store = replayed(&pool, Rounds);
    assert_eq!(figures(&store, PPLNS), [(3, 3, 999_999_999_999)]);
}

#[test]
fn effort_counts_by_the_network_work_of_each_shares_own_job() {
    let (mut pool, mut pen) = pool_with(1_000, 0);
    let harder = job(&mut pen, At::default(), 2_000);
    pool.say(&mut pen, &[fresh(0, 100, 1), harder]);
    pool.say(&mut pen, &[Event::Share(share(0, 1, 100, 2))]);
    pool.finalise();
    let store = replayed(&pool, Rounds);
    assert_eq!(figures(&store, PPLNS), [(2, 200, ONE / 10 + ONE / 20)]);
}

#[test]
fn stale_shares_add_their_ppm_and_void_jobs_nothing_and_both_are_counted() {
    let (mut pool, mut pen) = pool_with(1_000, 250_000);
    let stale = Event::Share(Share {
        stale: true,
        ..share(0, 0, 100, 1)
    });
    // Position 1 is a checkpoint and no policy: the job is void.
    let void_policy = At {
        position: 1,
        index: 0,
    };
    let void = job(&mut pen, void_policy, 1_000);
    pool.say(&mut pen, &[stale, void]);
    pool.say(&mut pen, &[Event::Share(share(0, 1, 100, 2))]);
    pool.finalise();
    let store = replayed(&pool, Rounds);
    assert_eq!(figures(&store, PPLNS), [(2, 25, 25 * ONE / 1_000)]);
}

#[test]
fn moved_shares_and_blocks_count_once_and_where_they_are_moved_to() {
    let (mut pool, mut pen) = pool_with(1_000, 0);
    pool.say(&mut pen, &[fresh(0, 100, 1)]);
    // The gateway was going to say these, and its stream was closed by a fork of it.
    let unsaid = pen.clone();
    let lost = fresh(0, 40, 2);
    let [found, block] = finding(0, 60, 3, 0xb1);
    let mut new = Pen::new(GATEWAY, 2);
    let said = [
        worker(&mut new, "anna", "rig", PPLNS),
        job(&mut new, At::default(), 1_000),
        fresh(0, 5, 4),
        moved(&unsaid, unsaid.next_seq, &lost, 0, 0),
        moved(&unsaid, unsaid.next_seq + 1, &found, 0, 0),
        moved(&unsaid, unsaid.next_seq + 2, &block, 0, 0),
        fresh(0, 7, 5),
        // Said again: none of it counts.
        moved(&unsaid, unsaid.next_seq, &lost, 0, 0),
        moved(&unsaid, unsaid.next_seq + 1, &found, 0, 0),
        moved(&unsaid, unsaid.next_seq + 2, &block, 0, 0),
    ];
    pool.say(&mut new, &said);
    // The same block again with another share, in the new stream itself: it was found already.
    let [found, block] = finding(0, 1, 6, 0xb1);
    pool.say(&mut new, &[found, block]);
    pool.finalise();
    let store = replayed(&pool, Rounds);
    assert_eq!(
        figures(&store, PPLNS),
        [
            // 100, 5, 40, 60
            (4, 205, 205 * ONE / 1_000),
            (2, 8, 8 * ONE / 1_000)
        ]
    );
}

#[test]
fn luck_over_several_blocks_is_the_mean_effort() {
    let (mut pool, mut pen) = pool_with(1_000, 0);
    // Rounds of effort 0.5, 2, 1.25: the last of them are asked for.
    for (work, block) in [(500, 0xb1), (2_000, 0xb2), (1_250, 0xb3)] {
        let [found, said] = finding(0, work, u32::from(block), block);
        pool.say(&mut pen, &[found, said]);
    }
    pool.finalise();
    let store = replayed(&pool, Rounds);
    let view = store.view().expect("a view");
    let window = |blocks| rounds::window(view.as_ref(), PPLNS, blocks).expect("rows");
    // blocks asked for: blocks, mean effort, luck, chance of doing worse, in parts of 10^12
    let table = [
        // e^-1.25
        (1, 1, 1_250_000_000_000, 800_000_000_000, 286_504_796_860),
        // e^-3.25 (1 + 3.25)
        (2, 2, 1_625_000_000_000, 615_384_615_384, 164_790_383_285),
        // e^-3.75 (1 + 3.75 + 3.75^2 / 2)
        (3, 3, 1_250_000_000_000, 800_000_000_000, 277_068_443_366),
        (9, 3, 1_250_000_000_000, 800_000_000_000, 277_068_443_366),
    ];
    for (asked, blocks, mean, luck, worse) in table {
        let got = window(asked);
        assert_eq!(got.blocks, blocks, "{asked}");
        assert_eq!(got.mean_effort(), Some(mean), "{asked}");
        assert_eq!(got.luck(), Some(luck), "{asked}");
        assert_eq!(got.chance_of_worse(), Some(worse), "{asked}");
    }
    assert_eq!(window(0).mean_effort(), None);
    assert_eq!(window(0).chance_of_worse(), None);
    let total = rounds::total(view.as_ref(), PPLNS).expect("rows");
    assert_eq!((total.blocks, total.effort), (3, 3_750_000_000_000));
    let newest = rounds::of_block(view.as_ref(), &hash(0xb3)).expect("rows");
    assert_eq!(newest.map(|round| round.effort), Some(1_250_000_000_000));
}

#[test]
fn pages_of_rounds_go_on_where_the_last_one_ended() {
    let (mut pool, mut pen) = pool_with(1_000, 0);
    for block in 1..=5 {
        let [found, said] = finding(0, u64::from(block), u32::from(block), block);
        pool.say(&mut pen, &[found, said]);
    }
    pool.finalise();
    let store = replayed(&pool, Rounds);
    let view = store.view().expect("a view");
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = rounds::page(view.as_ref(), PPLNS, before, 2).expect("rows");
        let Some(last) = page.last() else { break };
        before = Some(last.at);
        seen.extend(page.iter().map(|round| round.work));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}

/// (effort, blocks, probability), parts of 10^12. Made with Python's `decimal` at 80 digits: Σ e^-s s^k / k!, k below blocks,
/// rounded to the nearest.
const CHANCES: [(u128, u32, u64); 33] = [
    (0, 1, 1_000_000_000_000),
    (1, 1, 999_999_999_999),
    (1_000_000_000, 1, 999_000_499_833),
    (100_000_000_000, 1, 904_837_418_036),
    (500_000_000_000, 1, 606_530_659_713),
    (693_147_180_560, 1, 500_000_000_000),
    (1_000_000_000_000, 1, 367_879_441_171),
    (2_000_000_000_000, 1, 135_335_283_237),
    (2_500_000_000_000, 1, 82_084_998_624),
    (5_000_000_000_000, 1, 6_737_946_999),
    (10_000_000_000_000, 1, 45_399_930),
    (27_000_000_000_000, 1, 2),
    (28_000_000_000_000, 1, 1),
    (29_000_000_000_000, 1, 0),
    (100_000_000_000_000, 1, 0),
    (0, 10, 1_000_000_000_000),
    (1_000_000_000_000, 2, 735_758_882_343),
    (2_000_000_000_000, 2, 406_005_849_710),
    (10_000_000_000_000, 10, 457_929_714_472),
    (8_000_000_000_000, 10, 716_624_258_727),
    (15_000_000_000_000, 10, 69_853_660_699),
    (30_000_000_000_000, 10, 7_121_751),
    (64_000_000_000_000, 64, 483_376_012_496),
    (100_000_000_000_000, 100, 486_701_201_721),
    (90_000_000_000_000, 100, 841_779_010_814),
    (130_000_000_000_000, 100, 2_750_408_367),
    (256_000_000_000_000, 256, 491_688_523_699),
    (1_000_000_000_000_000, 1_000, 495_794_755_820),
    (1_100_000_000_000_000, 1_000, 1_059_323_254),
    (1_200_000_000_000_000, 1_000, 1_288),
    (900_000_000_000_000, 1_000, 999_450_097_734),
    (1_123_456_789_012_345, 1_000, 83_446_449),
    (1_000_000_000_000, 1_000, 1_000_000_000_000),
];

#[test]
fn what_chance_predicts_is_right_to_the_last_part() {
    for (effort, blocks, worse) in CHANCES {
        let got = of_doing_worse(effort, blocks);
        assert_eq!(got, Some(worse), "{effort} in {blocks} blocks");
    }
}

#[test]
fn chance_has_an_answer_for_every_effort_and_falls_with_it() {
    for blocks in [1, 2, 3, 17, 100, CHANCE_BLOCKS_MAX] {
        let mut last = CHANCE_SCALE;
        // Steps that grow by an eighth, from one part to far above the largest effort that is computed.
        let mut effort = 1u128;
        while effort < 1 << 120 {
            let worse = of_doing_worse(effort, blocks).expect("an answer");
            assert!(worse <= last, "{effort} in {blocks}: {worse} after {last}");
            last = worse;
            effort += effort / 8 + 1;
        }
        assert_eq!(last, 0, "{blocks}");
        assert_eq!(of_doing_worse(u128::MAX, blocks), Some(0));
    }
    assert_eq!(of_doing_worse(ONE, 0), None);
    assert_eq!(of_doing_worse(ONE, CHANCE_BLOCKS_MAX + 1), None);
}
