//! The fold `workers`: who is at work, by what each sent.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use orebook_replay::folds::workers::silence::{
    PACE_SHARES, SILENCE_MS_MAX, SILENCE_MS_MIN, SILENCE_MS_UNKNOWN, explained_ms,
};
use orebook_replay::folds::workers::{
    self, AccountWorkers, MACHINE_KEPT_MS, Machine, WORKER_KEPT_MS, Worker, Workers,
};
use orebook_replay::rows::{ENGINE_TABLES, Order, Row as _, Span};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::names::Pot;
use orebook_schema::units::{WorkUnit, shown_difficulty};
use orebook_schema::work::{Difficulty, Share};
use orebook_schema::{At, Event, Work, WorkerName};
use pool::{
    GATEWAY, PPLNS, Pen, Pool, SOLO, START, job, moved, named, opened, policy, replayed, share,
    worker,
};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn gateway(pool: &mut Pool, stream: u8, rigs: &[(&str, &str, Pot)]) -> Pen {
    let mut pen = Pen::new(GATEWAY + stream, stream);
    announce(pool, &mut pen, rigs);
    pen
}

fn announce(pool: &mut Pool, pen: &mut Pen, rigs: &[(&str, &str, Pot)]) {
    let mut said: Vec<Event> = rigs
        .iter()
        .map(|(account, name, pot)| worker(pen, account, name, *pot))
        .collect();
    said.push(job(pen, At::default(), 1 << 40));
    let timed: Vec<(u32, Event)> = said.into_iter().map(|event| (0, event)).collect();
    pool.say_at(pen, pool.clock, &timed);
}

/// A share of a worker at a time that is also the ledger's.
fn mined(pool: &mut Pool, pen: &mut Pen, time: u64, number: u32, work: u64) {
    pool.clock = time;
    let nonce = u32::try_from(time % 1_000_000_007).expect("a nonce");
    let said = [(0, Event::Share(share(number, 0, work, nonce)))];
    pool.say_at(pen, time, &said);
}

/// The ledger goes on to this time without a share.
fn passes(pool: &mut Pool, time: u64) {
    let mut other = Pen::new(GATEWAY + 7, 0xbb);
    pool.clock = time;
    if let Some(stream) = pool.state.stream(other.stream) {
        other.next_seq = stream.next_seq;
        other.previous = stream.last_hash;
    }
    pool.say_at(&mut other, time, &[(0, Event::Heartbeat)]);
}

fn fold(pool: &Pool) -> Arc<MemoryStore> {
    replayed(pool, Workers)
}

fn active(store: &MemoryStore, pot: Pot) -> (u32, u32) {
    let view = store.view().expect("a view");
    let pot = workers::pot(view.as_ref(), pot).expect("rows");
    (pot.workers_active, pot.machines_active)
}

/// Active workers and machines of a pot at a time, with nothing said between.
fn active_at(pool: &Pool, time: u64, pot: Pot) -> (u32, u32) {
    let mut later = pool.clone();
    passes(&mut later, time);
    active(&fold(&later), pot)
}

fn worker_of(store: &MemoryStore, account: &str, name: &str) -> Option<Worker> {
    let view = store.view().expect("a view");
    let name = WorkerName::parse(name).expect("a name");
    workers::worker(view.as_ref(), &named(account), PPLNS, &name).expect("rows")
}

fn machines_of(store: &MemoryStore, worker: &Worker) -> Vec<Machine> {
    let view = store.view().expect("a view");
    workers::machines(view.as_ref(), worker, 1_000).expect("rows")
}

fn account_of(store: &MemoryStore, account: &str) -> Option<AccountWorkers> {
    let view = store.view().expect("a view");
    workers::account(view.as_ref(), &named(account)).expect("rows")
}

#[test]
fn a_silence_is_explained_for_ten_intervals_of_the_rigs_own_pace() {
    let every = |ms: u64, work: u64| -> Vec<(u64, u64)> {
        (0..8).map(|share| (share * ms, work)).collect()
    };
    // last shares, difficulty, how long a silence is explained
    let table = [
        ("no share", vec![], 5, SILENCE_MS_UNKNOWN),
        ("one share", vec![(7, 5)], 5, SILENCE_MS_UNKNOWN),
        ("12 s apart", every(12 * SECOND, 5), 5, SILENCE_MS_MIN),
        ("30 s apart", every(30 * SECOND, 5), 5, SILENCE_MS_MIN),
        ("a minute apart", every(MINUTE, 5), 5, 10 * MINUTE),
        ("20 minutes apart", every(20 * MINUTE, 5), 5, 200 * MINUTE),
        // The difficulty moved since: the pace is by work, so it is eight times as long, or half as long.
        ("then x 8", every(MINUTE, 5), 40, 80 * MINUTE),
        ("then / 2", every(20 * MINUTE, 10), 5, 100 * MINUTE),
        // 1 in the first minute, then 3 a minute: pace from (3 + 3) in two minutes.
        (
            "pace of the later ones",
            vec![(0, 1), (MINUTE, 3), (2 * MINUTE, 3)],
            3,
            10 * MINUTE,
        ),
        ("all at once", vec![(9, 5); 8], 5, SILENCE_MS_MIN),
        ("out of order", vec![(MINUTE, 5), (0, 5)], 5, 10 * MINUTE),
        ("two days apart", every(2 * DAY, 5), 5, SILENCE_MS_MAX),
        (
            "largest of all",
            vec![(0, 1), (u64::MAX, 1)],
            Work::MAX,
            SILENCE_MS_MAX,
        ),
    ];
    for (what, recent, difficulty, explained) in table {
        assert_eq!(explained_ms(&recent, difficulty), explained, "{what}");
    }
}

#[test]
fn a_slow_worker_is_active_while_his_own_difficulty_explains_the_silence() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(
        &mut pool,
        1,
        &[("anna", "slow", PPLNS), ("ben", "fast", PPLNS)],
    );
    for share in 1..=6 {
        mined(&mut pool, &mut pen, START + share * 20 * MINUTE, 0, 1 << 40);
    }
    let last = START + 120 * MINUTE;
    for share in 0..8 {
        mined(&mut pool, &mut pen, last + share * 10 * SECOND, 1, 1 << 30);
    }
    let fast_last = last + 70 * SECOND;
    // time: active workers
    let table = [
        (fast_last, 2),
        (fast_last + SILENCE_MS_MIN, 2),
        (fast_last + SILENCE_MS_MIN + 1, 1),
        (last + 200 * MINUTE, 1),
        (last + 200 * MINUTE + 1, 0),
    ];
    for (time, workers) in table {
        assert_eq!(active_at(&pool, time, PPLNS), (workers, workers), "{time}");
    }
    // Back at work after a day.
    passes(&mut pool, last + DAY);
    mined(&mut pool, &mut pen, last + DAY + 1, 0, 1 << 40);
    assert_eq!(active(&fold(&pool), PPLNS), (1, 1));
}

#[test]
fn a_difficulty_that_moves_does_not_make_a_worker_idle() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(&mut pool, 1, &[("anna", "rig", PPLNS)]);
    for share in 1..=8 {
        mined(&mut pool, &mut pen, START + share * MINUTE, 0, 1_000);
    }
    // Vardiff makes it sixty times as hard: a share an hour.
    let harder = Event::Difficulty(Difficulty {
        worker: 0,
        work: Work::new(60_000).expect("work"),
    });
    let last = START + 8 * MINUTE;
    assert_eq!(active_at(&pool, last + 11 * MINUTE, PPLNS), (0, 0));
    pool.clock = last + SECOND;
    pool.say_at(&mut pen, last + SECOND, &[(0, harder)]);
    assert_eq!(active_at(&pool, last + 600 * MINUTE, PPLNS), (1, 1));
    assert_eq!(active_at(&pool, last + 600 * MINUTE + 1, PPLNS), (0, 0));
    let store = fold(&pool);
    let anna = worker_of(&store, "anna", "rig").expect("a worker");
    let machines = machines_of(&store, &anna);
    assert_eq!(machines[0].difficulty, 60_000);
    assert_eq!(machines[0].recent.len(), PACE_SHARES);
}

#[test]
fn one_share_alone_is_active_for_half_an_hour() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(&mut pool, 1, &[("anna", "rig", SOLO)]);
    mined(&mut pool, &mut pen, START + MINUTE, 0, 1);
    let last = START + MINUTE;
    assert_eq!(active_at(&pool, last + SILENCE_MS_UNKNOWN, SOLO), (1, 1));
    assert_eq!(
        active_at(&pool, last + SILENCE_MS_UNKNOWN + 1, SOLO),
        (0, 0)
    );
    assert_eq!(active_at(&pool, last, PPLNS), (0, 0));
}

#[test]
fn names_repeat_over_many_machines_and_gateways_and_machines_are_counted() {
    let mut pool = Pool::new(policy(|_| {}));
    let farm = [("anna", "rig", PPLNS); 3];
    let mut one = gateway(&mut pool, 1, &farm);
    let mut two = gateway(
        &mut pool,
        2,
        &[("anna", "rig", PPLNS), ("ben", "rig", PPLNS)],
    );
    for number in 0..3 {
        mined(&mut pool, &mut one, START + MINUTE, number, 10);
    }
    mined(&mut pool, &mut two, START + MINUTE, 0, 100);
    mined(&mut pool, &mut two, START + MINUTE, 1, 7);
    let store = fold(&pool);
    assert_eq!(active(&store, PPLNS), (2, 5));
    let anna = worker_of(&store, "anna", "rig").expect("a worker");
    assert_eq!(anna.machines_active, 4);
    assert_eq!((anna.shares.accepted, anna.shares.accepted_work), (4, 130));
    assert_eq!(machines_of(&store, &anna).len(), 4);
    let account = account_of(&store, "anna").expect("an account");
    assert_eq!(
        (
            account.workers,
            account.workers_active,
            account.machines_active
        ),
        (1, 1, 4)
    );
}

#[test]
fn a_thousand_shares_of_0_003_show_as_3() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(&mut pool, 1, &[("anna", "rig", PPLNS)]);
    let small = Work::from_difficulty("0.003", WorkUnit::Sha256d).expect("work");
    let many: Vec<Event> = (0..1_000)
        .map(|nonce| Event::Share(share(0, 0, small.units(), nonce)))
        .collect();
    for part in many.chunks(300) {
        pool.say(&mut pen, part);
    }
    let store = fold(&pool);
    let anna = worker_of(&store, "anna", "rig").expect("a worker");
    assert_eq!(anna.shares.accepted, 1_000);
    assert_eq!(
        shown_difficulty(anna.shares.accepted_work, WorkUnit::Sha256d),
        "3"
    );
}

#[test]
fn stale_shares_are_counted_apart_and_void_jobs_like_others_and_moved_ones_once() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(&mut pool, 1, &[("anna", "rig", PPLNS)]);
    let stale = Share {
        stale: true,
        ..share(0, 0, 1_000, 1)
    };
    let void_policy = At {
        position: 1,
        index: 0,
    };
    let void = job(&mut pen, void_policy, 5);
    let said = [
        Event::Share(stale),
        void,
        Event::Share(share(0, 1, 20, 2)),
        Event::Share(share(0, 0, 300, 3)),
    ];
    pool.say(&mut pen, &said);
    let mut new = Pen::new(pen.name, 9);
    let lost = Event::Share(share(0, 0, 4_000, 4));
    let said = [
        worker(&mut new, "anna", "rig", PPLNS),
        job(&mut new, At::default(), 5),
        moved(&pen, pen.next_seq, &lost, 0, 0),
        moved(&pen, pen.next_seq, &lost, 0, 0),
    ];
    pool.say(&mut new, &said);
    let store = fold(&pool);
    let anna = worker_of(&store, "anna", "rig").expect("a worker");
    let sums = anna.shares;
    assert_eq!((sums.accepted, sums.accepted_work), (3, 4_320));
    assert_eq!((sums.stale, sums.stale_work), (1, 1_000));
    let account = account_of(&store, "anna").expect("an account");
    assert_eq!(account.shares, sums);
}

#[test]
fn a_gateways_restart_replaces_machines_one_for_one_and_keeps_their_pace() {
    let mut pool = Pool::new(policy(|_| {}));
    let farm = [("anna", "rig", PPLNS); 3];
    let mut pen = gateway(&mut pool, 1, &farm);
    for minutes in 1..=4 {
        for number in 0..3 {
            let time = START + minutes * 20 * MINUTE + u64::from(number);
            mined(&mut pool, &mut pen, time, number, 1 << 40);
        }
    }
    assert_eq!(active(&fold(&pool), PPLNS), (1, 3));
    pen.restart();
    pool.clock = START + 81 * MINUTE;
    announce(&mut pool, &mut pen, &farm[..2]);
    // Announced, and silent yet: the machines before count.
    assert_eq!(active(&fold(&pool), PPLNS), (1, 3));
    for number in 0..2 {
        mined(
            &mut pool,
            &mut pen,
            START + 100 * MINUTE + u64::from(number),
            number,
            1 << 40,
        );
        assert_eq!(active(&fold(&pool), PPLNS), (1, 3));
    }
    let store = fold(&pool);
    let anna = worker_of(&store, "anna", "rig").expect("a worker");
    let epochs: Vec<u32> = machines_of(&store, &anna).iter().map(|m| m.epoch).collect();
    assert_eq!(epochs, [0, 1, 1]);
    assert_eq!(anna.shares.accepted, 14);
    // One share each since, and still the pace of 20 minutes: not idle after half an hour.
    assert_eq!(active_at(&pool, START + 299 * MINUTE, PPLNS), (1, 2));
}

#[test]
fn idle_machines_are_dropped_after_a_week_and_workers_after_ninety_days_and_sums_stay() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(
        &mut pool,
        1,
        &[("anna", "rig", PPLNS), ("anna", "old", PPLNS)],
    );
    mined(&mut pool, &mut pen, START + MINUTE, 0, 10);
    mined(&mut pool, &mut pen, START + MINUTE, 1, 5);
    let last = START + MINUTE;
    let rows = |pool: &Pool| {
        let store = fold(pool);
        let anna = worker_of(&store, "anna", "rig");
        let machines = anna.as_ref().map(|anna| machines_of(&store, anna).len());
        let account = account_of(&store, "anna").expect("an account");
        (machines, account.workers, account.shares.accepted_work)
    };
    passes(&mut pool, last + HOUR);
    passes(&mut pool, last + MACHINE_KEPT_MS);
    assert_eq!(rows(&pool), (Some(1), 2, 15));
    passes(&mut pool, last + MACHINE_KEPT_MS + 1);
    assert_eq!(rows(&pool), (Some(0), 2, 15));
    // The same number sends again: the epoch lives, so it is known.
    mined(&mut pool, &mut pen, last + 30 * DAY, 0, 20);
    assert_eq!(rows(&pool), (Some(1), 2, 35));
    assert_eq!(active(&fold(&pool), PPLNS), (1, 1));
    passes(&mut pool, last + WORKER_KEPT_MS + DAY);
    assert_eq!(rows(&pool), (Some(0), 1, 35));
    passes(&mut pool, last + WORKER_KEPT_MS + 31 * DAY);
    assert_eq!(rows(&pool), (None, 0, 35));
    // And is welcome afterwards.
    mined(&mut pool, &mut pen, last + 200 * DAY, 0, 40);
    assert_eq!(rows(&pool), (Some(1), 1, 75));
}

#[test]
fn pages_of_workers_neither_repeat_nor_skip() {
    let mut pool = Pool::new(policy(|_| {}));
    let names = ["a", "aa", "b", "rig.1", "rig.10", "rig.2"];
    let mut rigs: Vec<(&str, &str, Pot)> = names.iter().map(|n| ("anna", *n, PPLNS)).collect();
    rigs.push(("anna", "a", SOLO));
    rigs.push(("annabel", "a", PPLNS));
    let mut pen = gateway(&mut pool, 1, &rigs);
    for number in 0..8 {
        mined(&mut pool, &mut pen, START + MINUTE, number, 1);
    }
    let store = fold(&pool);
    let view = store.view().expect("a view");
    for length in 1..=8 {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = workers::workers(view.as_ref(), &named("anna"), after.as_ref(), length);
            let page = page.expect("rows");
            assert!(page.workers.len() <= length);
            let names = page.workers.iter();
            seen.extend(names.map(|worker| (worker.pot.0, worker.name.as_str().to_owned())));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected = ["a", "b", "aa", "rig.1", "rig.2", "rig.10"]
            .map(|name| (0, name.to_owned()))
            .into_iter()
            .chain([(1, "a".to_owned())]);
        assert_eq!(seen, expected.collect::<Vec<_>>(), "{length} a page");
    }
}

/// Rows of a table.
fn rows_of(store: &MemoryStore, table: u8) -> usize {
    let view = store.view().expect("a view");
    let mut count = 0;
    let all = Span::all();
    view.scan(table, &all, Order::Forward, &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })
    .expect("rows");
    count
}

#[test]
fn numbers_that_no_event_can_use_any_more_are_forgotten() {
    use orebook_replay::folds::workers::registry::Rig;
    let mut pool = Pool::new(policy(|_| {}));
    let farm = [("anna", "rig", PPLNS); 3];
    let mut pen = gateway(&mut pool, 1, &farm);
    let other = gateway(&mut pool, 2, &farm[..2]);
    assert_eq!(rows_of(&fold(&pool), Rig::TABLE), 5);
    // A restart: the numbers of the epoch before are dead.
    pen.restart();
    announce(&mut pool, &mut pen, &farm[..1]);
    assert_eq!(rows_of(&fold(&pool), Rig::TABLE), 3);
    // The other gateway's stream is given up for a new one.
    let lost = Event::Share(share(0, 0, 10, 1));
    let mut new = Pen::new(other.name, 9);
    let said = [
        worker(&mut new, "anna", "rig", PPLNS),
        job(&mut new, At::default(), 5),
        moved(&other, other.next_seq, &lost, 0, 0),
    ];
    pool.say(&mut new, &said);
    assert_eq!(rows_of(&fold(&pool), Rig::TABLE), 2);
    let anna = worker_of(&fold(&pool), "anna", "rig").expect("a worker");
    assert_eq!(anna.shares.accepted_work, 10);
}

#[test]
fn many_machines_that_fall_silent_together_are_counted_off_over_a_few_frames() {
    let mut pool = Pool::new(policy(|_| {}));
    let names: Vec<String> = (0..1_500).map(|number| format!("rig{number}")).collect();
    let rigs: Vec<(&str, &str, Pot)> = names
        .iter()
        .map(|name| ("anna", name.as_str(), PPLNS))
        .collect();
    let mut pen = Pen::new(GATEWAY, 1);
    for part in rigs.chunks(500) {
        announce(&mut pool, &mut pen, part);
    }
    let time = START + MINUTE;
    for part in 0..3 {
        let shares = (0..500).map(|rig| Event::Share(share(part * 500 + rig, 0, 9, rig)));
        let said: Vec<(u32, Event)> = shares.map(|share| (0, share)).collect();
        pool.clock = time;
        pool.say_at(&mut pen, time, &said);
    }
    assert_eq!(active(&fold(&pool), PPLNS), (1_500, 1_500));
    let silent = time + SILENCE_MS_UNKNOWN + 1;
    passes(&mut pool, silent);
    assert_eq!(active(&fold(&pool), PPLNS), (476, 476));
    passes(&mut pool, silent + 1);
    assert_eq!(active(&fold(&pool), PPLNS), (0, 0));
}

/// What the fold should count, from all shares: the last ones of each machine and its difficulty.
#[derive(Default)]
struct Model {
    machines: BTreeMap<u32, (Vec<(u64, u64)>, u64)>,
}

impl Model {
    fn active(&self, now: u64) -> u32 {
        let is_active = |(shares, difficulty): &&(Vec<(u64, u64)>, u64)| {
            let recent = &shares[shares.len().saturating_sub(PACE_SHARES)..];
            let last = recent.iter().map(|(time, _)| *time).max().unwrap_or(0);
            now <= last + explained_ms(recent, *difficulty)
        };
        let count = self.machines.values().filter(is_active).count();
        u32::try_from(count).expect("few")
    }
}

#[test]
fn counts_of_active_machines_are_exact_after_every_frame() {
    for seed in 1..=20u64 {
        println!("seed {seed}");
        let mut random = seed;
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut pool = Pool::new(policy(|_| {}));
        let names = ["a", "b", "c", "d", "e"];
        let rigs: Vec<(&str, &str, Pot)> =
            names.iter().map(|name| ("anna", *name, PPLNS)).collect();
        let mut pen = gateway(&mut pool, 1, &rigs);
        let store = Arc::new(MemoryStore::new());
        let mut engine = opened(&pool, Workers, &store);
        let mut model = Model::default();
        let mut now = START + MINUTE;
        for step in 0..120u32 {
            now += match next(3) {
                0 => next(10 * SECOND),
                1 => next(10 * MINUTE),
                _ => next(2 * HOUR),
            };
            let number = u32::try_from(next(5)).expect("few");
            let work = 1 << next(12);
            if next(4) == 0 {
                passes(&mut pool, now);
            } else {
                pool.clock = now;
                let event = Event::Share(share(number, 0, work, step));
                pool.say_at(&mut pen, now, &[(0, event)]);
                let machine = model.machines.entry(number).or_default();
                machine.0.push((now, work));
                machine.1 = work;
            }
            let done = engine.advance(&pool, pool.size(), u64::MAX, &mut |_| {});
            done.expect("the ledger is replayed");
            let expected = model.active(now);
            assert_eq!(active(&store, PPLNS), (expected, expected), "step {step}");
        }
    }
}

/// All rows of the fold as they rest, the engine's own left out.
fn rows_at_rest(store: &MemoryStore) -> BTreeMap<(u8, Vec<u8>), Vec<u8>> {
    let view = store.view().expect("a view");
    let mut rows = BTreeMap::new();
    for table in 0..ENGINE_TABLES {
        let mut keep = |key: &[u8], value: &[u8]| {
            rows.insert((table, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        };
        view.scan(table, &Span::all(), Order::Forward, &mut keep)
            .expect("rows");
    }
    rows
}

/// What machines are kept in memory shows in no row, whenever rows are written: over restarts, machines that fall silent and are
/// dropped, and workers that go after ninety days and come back.
#[test]
fn rows_are_the_same_however_many_positions_are_committed_at_once() {
    for seed in 1..=12u64 {
        println!("seed {seed}");
        let mut random = seed;
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut pool = Pool::new(policy(|_| {}));
        let names = ["a", "b", "a", "c", "a"];
        let rigs: Vec<(&str, &str, Pot)> =
            names.iter().map(|name| ("anna", *name, PPLNS)).collect();
        let mut pen = gateway(&mut pool, 1, &rigs);
        let mut now = START + MINUTE;
        for step in 0..200u32 {
            now += match next(24) {
                0 => next(10) * DAY,
                1 => 91 * DAY,
                2..=9 => next(2 * HOUR),
                _ => next(10 * SECOND),
            };
            pool.clock = now;
            match next(20) {
                0 => {
                    pen.restart();
                    announce(&mut pool, &mut pen, &rigs);
                }
                1 => passes(&mut pool, now),
                _ => {
                    let shares = (0..=next(6)).map(|_| {
                        let (number, work) = (next(5), 1 << next(12));
                        let number = u32::try_from(number).expect("few");
                        let nonce = step * 8 + u32::try_from(next(8)).expect("few");
                        (0, Event::Share(share(number, 0, work, nonce)))
                    });
                    let said: Vec<(u32, Event)> = shares.collect();
                    pool.say_at(&mut pen, now, &said);
                }
            }
        }
        let at_once = [1, 2, 7, 40, u64::MAX].map(|positions| {
            let store = Arc::new(MemoryStore::new());
            let mut engine = opened(&pool, Workers, &store);
            while engine.size() < pool.size() {
                let done = engine.advance(&pool, pool.size(), positions, &mut |_| {});
                done.expect("the ledger is replayed");
            }
            rows_at_rest(&store)
        });
        assert!(3 < at_once[0].len(), "there is something to compare");
        for rows in &at_once[1..] {
            assert!(*rows == at_once[0], "seed {seed}");
        }
    }
}
