//! What holds of every fold that shows: figures do not depend on how events were cut into frames, and a fold that was
//! stopped anywhere goes on to the same digest.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use std::sync::Arc;

use orebook_replay::digest;
use orebook_replay::fold::Fold;
use orebook_replay::folds::blocks::{self, Blocks, List};
use orebook_replay::folds::control::Control;
use orebook_replay::folds::hashrate::{self, Hashrate, Step, Who};
use orebook_replay::folds::rounds::{self, Rounds};
use orebook_replay::folds::workers::{self, Workers};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::work::{BlockState, Difficulty, Share};
use orebook_schema::{At, Event, Hash, Work};
use pool::{
    GATEWAY, PPLNS, Pen, Pool, SOLO, START, block_found, block_status, hash, job, named, opened,
    policy, replayed, share, worker,
};

const SEEDS: std::ops::Range<u64> = 1..13;
const MINUTE: u64 = 60_000;

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn number(&mut self, below: u32) -> u32 {
        u32::try_from(self.below(u64::from(below))).expect("a small number")
    }
}

/// Events of one gateway that stand in one frame together: a share with its block, or one event. All at one time.
struct Unit {
    gateway: usize,
    time: u64,
    events: Vec<Event>,
}

/// What two gateways saw, in the ledger's order. Worker numbers and jobs are announced by the first unit of each.
fn story(seed: u64) -> Vec<Unit> {
    let mut random = Random(seed);
    let mut pens = [Pen::new(GATEWAY, 1), Pen::new(GATEWAY + 1, 2)];
    let mut units = Vec::new();
    let mut time = START + 5_000;
    let mut blocks = 0;
    for (gateway, pen) in pens.iter_mut().enumerate() {
        let events = vec![
            worker(pen, "anna", "rig-1", PPLNS),
            worker(pen, "anna", "rig-1", PPLNS),
            worker(pen, "ben", "rig-2", PPLNS),
            worker(pen, "anna", "rig-3", SOLO),
            job(pen, At::default(), 1_000_003),
            job(pen, At::default(), 7),
            // No policy stands at position 1: void.
            job(
                pen,
                At {
                    position: 1,
                    index: 0,
                },
                1_000_003,
            ),
        ];
        units.push(Unit {
            gateway,
            time,
            events,
        });
    }
    for nonce in 0..400u32 {
        time += random.below(40_000);
        let gateway = usize::try_from(random.below(2)).expect("two");
        let from = random.number(4);
        let kind = random.below(20);
        let events = match kind {
            0 => vec![Event::Difficulty(Difficulty {
                worker: from,
                work: Work::new(1 + random.below(5_000)).expect("work"),
            })],
            _ => {
                let on = random.number(3);
                let mut made = share(from, on, 1 + random.below(5_000), nonce);
                made.stale = kind == 1;
                made.block = kind == 2;
                let mut events = vec![Event::Share(made)];
                if made.block {
                    let name = Hash::of(&[&nonce.to_le_bytes()]);
                    let name = if blocks == 0 { hash(11) } else { name };
                    blocks += 1;
                    events.push(block_found(name, u64::from(nonce)));
                }
                events
            }
        };
        units.push(Unit {
            gateway,
            time,
            events,
        });
    }
    units
}

/// The story cut into frames: after each unit with a chance of one in `cut`, and wherever the gateway changes. Chance is
/// taken from another seed than the story.
fn ledger(story: &[Unit], cut: u64, seed: u64) -> Pool {
    let mut random = Random(seed ^ 0x5eed);
    let mut pool = Pool::new(policy(|rules| rules.stale_ppm = 300_000));
    let mut pens = [Pen::new(GATEWAY, 1), Pen::new(GATEWAY + 1, 2)];
    let mut at = 0;
    while at < story.len() {
        let mut end = at + 1;
        while end < story.len()
            && story[end].gateway == story[at].gateway
            && random.below(cut) != 0
            && 2 * (end - at) < 900
        {
            end += 1;
        }
        let base = story[at].time;
        let events: Vec<(u32, Event)> = story[at..end]
            .iter()
            .flat_map(|unit| {
                let dt = u32::try_from(unit.time - base).expect("a short frame");
                unit.events.iter().map(move |event| (dt, event.clone()))
            })
            .collect();
        pool.clock = story[end - 1].time;
        pool.say_at(&mut pens[story[at].gateway], base, &events);
        at = end;
    }
    // The settler comes at the same time in every cut.
    pool.clock = story.last().map_or(START, |unit| unit.time) + 20 * MINUTE;
    let time = pool.clock;
    let mut settler = pool.settler.clone();
    let said = block_status(hash(11), At::default(), BlockState::Seen, 50, 1);
    pool.say_at(&mut settler, time, &[(0, said)]);
    pool.settler = settler;
    pool.clock = time;
    pool.finalise();
    pool
}

/// All figures that a page could show, as text. Places are left out, since they are where the frames were cut.
fn figures(pool: &Pool) -> String {
    let as_of = pool.state.ledger_time();
    let mut out = Vec::new();
    let store = replayed(pool, Rounds);
    let view = store.view().expect("a view");
    for pot in [PPLNS, SOLO] {
        let mut begun_ms = None;
        for mut round in rounds::page(view.as_ref(), pot, None, 1_000)
            .expect("rows")
            .into_iter()
            .rev()
        {
            // The first round begins with the ledger time of its first frame.
            round.since_ms = begun_ms.unwrap_or(0);
            begun_ms = Some(round.found_ms);
            round.at = At::default();
            out.push(format!("{round:?}"));
        }
        let running = rounds::running(view.as_ref(), pot)
            .expect("rows")
            .expect("a round");
        out.push(format!(
            "{:?}",
            (running.shares, running.work, running.effort)
        ));
        let window = rounds::window(view.as_ref(), pot, 100).expect("rows");
        out.push(format!("{window:?} {:?}", window.chance_of_worse()));
    }
    let store = replayed(pool, Blocks);
    let view = store.view().expect("a view");
    for list in [List::All, List::Of(PPLNS), List::Of(SOLO)] {
        for block in blocks::page(view.as_ref(), list, None, 1_000)
            .expect("rows")
            .blocks
        {
            let shown = (
                block.hash,
                block.pot,
                block.finder,
                block.time_ms,
                block.effort,
                block.round_shares,
                block.state,
                block.value,
            );
            out.push(format!("{shown:?}"));
        }
        out.push(format!(
            "{:?}",
            blocks::count(view.as_ref(), list).expect("rows")
        ));
    }
    let store = replayed(pool, Hashrate);
    let view = store.view().expect("a view");
    let rig = orebook_schema::WorkerName::parse("rig-1").expect("a name");
    for who in [
        Who::Pot(PPLNS),
        Who::Pot(SOLO),
        Who::Account(named("anna")),
        Who::Worker(named("anna"), PPLNS, rig),
    ] {
        let series = hashrate::series(view.as_ref(), &who, Step::Minute, START, as_of);
        out.push(format!("{:?}", series.expect("rows")));
        let rate = hashrate::hashrate(view.as_ref(), &who, as_of, 60 * MINUTE);
        out.push(format!("{rate:?}"));
    }
    let store = replayed(pool, Workers);
    let view = store.view().expect("a view");
    for pot in [PPLNS, SOLO] {
        out.push(format!(
            "{:?}",
            workers::pot(view.as_ref(), pot).expect("rows")
        ));
    }
    for account in ["anna", "ben"] {
        let page = workers::workers(view.as_ref(), &named(account), None, 100).expect("rows");
        for worker in page.workers {
            for machine in workers::machines(view.as_ref(), &worker, 100).expect("rows") {
                let shown = (
                    machine.number,
                    machine.shares,
                    machine.difficulty,
                    machine.recent,
                    machine.silent_ms,
                    machine.is_active,
                );
                out.push(format!("{shown:?}"));
            }
            out.push(format!("{worker:?}"));
        }
        out.push(format!(
            "{:?}",
            workers::account(view.as_ref(), &named(account)).expect("rows")
        ));
    }
    out.join("\n")
}

#[test]
fn figures_do_not_depend_on_how_shares_were_cut_into_frames() {
    for seed in SEEDS {
        println!("seed {seed}");
        let story = story(seed);
        let whole = ledger(&story, u64::MAX, seed);
        let expected = figures(&whole);
        assert!(expected.contains("found_ms"), "the story has a block");
        for cut in [1, 2, 5] {
            let pool = ledger(&story, cut, seed);
            assert!(cut != 1 || whole.size() < pool.size());
            let got = figures(&pool);
            for (got, expected) in got.lines().zip(expected.lines()) {
                assert_eq!(got, expected, "cut after one in {cut}");
            }
            assert_eq!(got.lines().count(), expected.lines().count());
        }
    }
}

/// Digest of all rows, by the slow way.
fn digest_of(fold: &dyn Fold, store: &MemoryStore) -> Hash {
    let view = store.view().expect("a view");
    digest::from_scratch(fold, view.as_ref()).expect("rows")
}

fn stops_and_goes_on(fold: impl Fold + Clone + Send + 'static, pool: &Pool, random: &mut Random) {
    let expected = digest_of(&fold, &replayed(pool, fold.clone()));
    let store = Arc::new(MemoryStore::new());
    let mut size = 0;
    while size < pool.size() {
        let mut engine = opened(pool, fold.clone(), &store);
        assert_eq!(engine.size(), size, "it goes on where it stopped");
        let steps = 1 + random.below(120);
        engine
            .advance(pool, pool.size(), steps, &mut |_| {})
            .expect("the ledger is replayed");
        size = engine.size();
    }
    assert_eq!(digest_of(&fold, &store), expected, "{}", fold.name());
    // The settler's word is a digest point: what the engine kept there is what a replay up to there gives.
    let view = store.view().expect("a view");
    let newest = digest::newest(view.as_ref()).expect("rows");
    let newest = newest.expect("there was a digest point");
    let fresh = Arc::new(MemoryStore::new());
    let mut engine = opened(pool, fold.clone(), &fresh);
    engine
        .advance(pool, newest.size, u64::MAX, &mut |_| {})
        .expect("the ledger is replayed");
    assert_eq!(digest_of(&fold, &fresh), newest.digest, "{}", fold.name());
}

#[test]
fn a_fold_that_stops_anywhere_goes_on_to_the_same_digest() {
    // Each start judges the ledger again from its begin, so there are fewer of these.
    for seed in SEEDS.take(3) {
        println!("seed {seed}");
        let mut random = Random(seed);
        let pool = ledger(&story(seed), 3, seed);
        stops_and_goes_on(Rounds, &pool, &mut random);
        stops_and_goes_on(Blocks, &pool, &mut random);
        stops_and_goes_on(Hashrate, &pool, &mut random);
        stops_and_goes_on(Workers, &pool, &mut random);
        stops_and_goes_on(Control, &pool, &mut random);
    }
}

/// The running round and the finished ones by a bookkeeper who goes through all shares with pencil and paper.
#[test]
fn rounds_equal_a_plain_sum_over_all_shares() {
    for seed in SEEDS {
        println!("seed {seed}");
        let pool = ledger(&story(seed), 4, seed);
        for (pot, workers) in [(PPLNS, 0..3), (SOLO, 3..4)] {
            let mut rounds_seen = Vec::new();
            let (mut shares, mut effort) = (0u64, 0u128);
            let mut last: Option<Share> = None;
            for record in &pool.records {
                let orebook_ledger::segment::Record::Frame(stored) = record else {
                    continue;
                };
                for event in stored.frame.decode().expect("events") {
                    match event {
                        Event::Share(share) => {
                            last = Some(share);
                            if !workers.contains(&share.worker) {
                                continue;
                            }
                            let work = u128::from(share.work.units());
                            let credit = match (share.job, share.stale) {
                                (2, _) => 0,
                                (_, true) => work * 300_000 / 1_000_000,
                                (_, false) => work,
                            };
                            let network_work = if share.job == 1 { 7 } else { 1_000_003 };
                            shares += 1;
                            effort += credit * 1_000_000_000_000 / network_work;
                        }
                        Event::BlockFound(_) => {
                            let finder = last.expect("a share stands before").worker;
                            if workers.contains(&finder) {
                                rounds_seen.push((shares, effort));
                                (shares, effort) = (0, 0);
                            }
                        }
                        _ => {}
                    }
                }
            }
            let store = replayed(&pool, Rounds);
            let view = store.view().expect("a view");
            let mut got: Vec<(u64, u128)> = rounds::page(view.as_ref(), pot, None, 1_000)
                .expect("rows")
                .iter()
                .map(|round| (round.shares, round.effort))
                .collect();
            got.reverse();
            let running = rounds::running(view.as_ref(), pot)
                .expect("rows")
                .expect("a round");
            got.push((running.shares, running.effort));
            rounds_seen.push((shares, effort));
            assert_eq!(got, rounds_seen, "{pot}");
        }
    }
}
