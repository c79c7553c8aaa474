//! The fold `hashrate`: work by time, as hashes a second.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use orebook_replay::folds::hashrate::{
    DAY_MS, DAYS_KEPT, HOUR_MS, HOURS_KEPT, Hashrate, MINUTE_MS, MINUTES_HOURS, Point, Step, Who,
    expected_hashes, hashrate, milli_per_second, series, shown_time, work_of,
};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::units::WorkUnit;
use orebook_schema::work::Share;
use orebook_schema::{At, Event, WorkerName};
use pool::{
    GATEWAY, PPLNS, Pen, Pool, SOLO, START, job, moved, named, policy, replayed, share, worker,
};

/// The first full hour after the ledger's begin.
const T0: u64 = (START / HOUR_MS + 1) * HOUR_MS;
/// Work of difficulty 1: 2^48 / 65535 = 4,295,032,833 hashes of sha256d.
const D1: u64 = 1 << 32;

/// Worker 0 is anna's rig-1, 1 ben's rig-1, both in the PPLNS pot; 2 is anna's solo rig-2.
fn pool() -> (Pool, Pen) {
    let mut pool = Pool::new(policy(|rules| rules.stale_ppm = 1_000_000));
    let mut pen = Pen::new(GATEWAY, 1);
    let said = [
        worker(&mut pen, "anna", "rig-1", PPLNS),
        worker(&mut pen, "ben", "rig-1", PPLNS),
        worker(&mut pen, "anna", "rig-2", SOLO),
        job(&mut pen, At::default(), 1_000),
    ];
    pool.say(&mut pen, &said);
    (pool, pen)
}

/// One share of this worker at this time, in a frame of its own that reaches the log at the same time.
fn mined(pool: &mut Pool, pen: &mut Pen, time: u64, worker: u32, work: u64) {
    let nonce = u32::try_from(time % 1_000_000_007).expect("a nonce");
    let said = [(0, Event::Share(share(worker, 0, work, nonce)))];
    pool.clock = time;
    pool.say_at(pen, time, &said);
}

/// Something is said at this time: ledger time is then at least that.
fn passes(pool: &mut Pool, time: u64) {
    let mut other = Pen::new(GATEWAY + 1, 0xbb);
    pool.clock = time;
    if let Some(stream) = pool.state.stream(other.stream) {
        other.next_seq = stream.next_seq;
        other.previous = stream.last_hash;
    }
    pool.say_at(&mut other, time, &[(0, Event::Heartbeat)]);
}

fn fold(pool: &mut Pool) -> std::sync::Arc<MemoryStore> {
    pool.finalise();
    replayed(pool, Hashrate)
}

fn rig(account: &str, name: &str, pot: orebook_schema::names::Pot) -> Who {
    let name = WorkerName::parse(name).expect("a name");
    Who::Worker(named(account), pot, name)
}

fn work(store: &MemoryStore, who: &Who, as_of: u64, window: u64) -> u128 {
    let view = store.view().expect("a view");
    work_of(view.as_ref(), who, as_of, window).expect("rows").1
}

fn rate(store: &MemoryStore, who: &Who, as_of: u64, window: u64) -> u128 {
    let view = store.view().expect("a view");
    hashrate(view.as_ref(), who, as_of, window).expect("rows")
}

fn points(store: &MemoryStore, who: &Who, step: Step, from: u64, as_of: u64) -> Vec<Point> {
    let view = store.view().expect("a view");
    series(view.as_ref(), who, step, from, as_of).expect("rows")
}

#[test]
fn expected_hashes_follow_the_unit_of_the_coin() {
    let d1 = 1u128 << 32;
    // work, unit, hashes: 2^48/65535 and 2^32/65535 of difficulty 1, rounded down
    let table = [
        (0, WorkUnit::Sha256d, 0),
        (1, WorkUnit::Sha256d, 1),
        (d1, WorkUnit::Sha256d, 4_295_032_833),
        (65_535 * d1, WorkUnit::Sha256d, 1 << 48),
        (d1 / 2, WorkUnit::Sha256d, 2_147_516_416),
        (d1, WorkUnit::Scrypt, 65_537),
        (65_535 * d1, WorkUnit::Scrypt, 1 << 32),
        (65_534, WorkUnit::Scrypt, 0),
        (1, WorkUnit::Ethash, 1),
        (131_072, WorkUnit::Ethash, 131_072),
        (u128::MAX, WorkUnit::Sha256d, u128::MAX),
    ];
    for (work, unit, hashes) in table {
        assert_eq!(expected_hashes(work, unit), hashes, "{work} {unit:?}");
    }
    // 65,535 of difficulty 1 in a minute and in a second and a half; of no time.
    let work = 65_535 * d1;
    assert_eq!(
        milli_per_second(work, WorkUnit::Sha256d, 60_000),
        (1 << 48) * 1_000 / 60
    );
    assert_eq!(
        milli_per_second(work, WorkUnit::Scrypt, 1_500),
        (2_000 << 32) / 3
    );
    assert_eq!(milli_per_second(work, WorkUnit::Ethash, 0), 0);
    // A processor on scrypt²: a hash in five seconds.
    assert_eq!(milli_per_second(65_535, WorkUnit::Scrypt, 5_000), 200);
}

#[test]
fn a_window_is_its_whole_minutes_and_the_running_one() {
    let (mut pool, mut pen) = pool();
    // Minute of T0: share's work, one each.
    let minutes = [(0, 1), (1, 10), (2, 100), (3, 1_000), (4, 10_000)];
    for (minute, work) in minutes {
        let time = T0 + minute * MINUTE_MS + 30_000;
        mined(&mut pool, &mut pen, time, 0, work * D1);
    }
    let store = fold(&mut pool);
    let as_of = T0 + 4 * MINUTE_MS + 45_000;
    let all = Who::Pot(PPLNS);
    let d1 = u128::from(D1);
    // window in minutes: work in difficulty 1
    let table = [
        (1, 11_000),
        (2, 11_100),
        (3, 11_110),
        (4, 11_111),
        (10, 11_111),
        (24 * 60, 11_111),
    ];
    for (minutes, sum) in table {
        let got = work(&store, &all, as_of, minutes * MINUTE_MS);
        assert_eq!(got, sum * d1, "{minutes} minutes");
    }
    // Two minutes and 45 seconds: 11,100 of difficulty 1.
    let got = rate(&store, &all, as_of, 2 * MINUTE_MS);
    assert_eq!(got, 11_100 * (1u128 << 48) * 1_000_000 / 65_535 / 165_000);
    // Less than a minute is a minute.
    assert_eq!(
        rate(&store, &all, as_of, 0),
        rate(&store, &all, as_of, MINUTE_MS)
    );
    // An hour later nothing is left of it in ten minutes.
    assert_eq!(rate(&store, &all, as_of + HOUR_MS, 10 * MINUTE_MS), 0);
}

#[test]
fn a_window_never_begins_before_the_ledger_did() {
    let (mut pool, mut pen) = pool();
    mined(&mut pool, &mut pen, START + 90_000, 0, 65_535 * D1);
    let store = fold(&mut pool);
    let who = Who::Account(named("anna"));
    let hashes = 1u128 << 48;
    // Two minutes after the begin, a window of an hour: over two minutes.
    assert_eq!(
        rate(&store, &who, START + 120_000, HOUR_MS),
        hashes * 1_000 / 120
    );
    // At the very begin: over a minute, not over nothing.
    let (mut pool, mut pen) = self::pool();
    mined(&mut pool, &mut pen, START + 4_000, 0, 65_535 * D1);
    let store = fold(&mut pool);
    assert_eq!(
        rate(&store, &who, START + 4_001, HOUR_MS),
        hashes * 1_000 / 60
    );
}

#[test]
fn pot_account_and_worker_each_have_their_own_sum() {
    let (mut pool, mut pen) = pool();
    for (number, work) in [(0, 1), (0, 2), (1, 4), (2, 8)] {
        mined(&mut pool, &mut pen, T0 + work, number, work * D1);
    }
    let store = fold(&mut pool);
    let table = [
        (Who::Pot(PPLNS), 7),
        (Who::Pot(SOLO), 8),
        (Who::Account(named("anna")), 11),
        (Who::Account(named("ben")), 4),
        (rig("anna", "rig-1", PPLNS), 3),
        (rig("anna", "rig-2", SOLO), 8),
        (rig("anna", "rig-1", SOLO), 0),
        (rig("ben", "rig-1", PPLNS), 4),
        (Who::Account(named("nobody")), 0),
    ];
    for (who, sum) in table {
        let got = work(&store, &who, T0 + 1_000, HOUR_MS);
        assert_eq!(got, sum * u128::from(D1), "{who:?}");
    }
}

#[test]
fn it_is_work_and_not_counts_that_makes_hashrate() {
    let (mut pool, mut pen) = pool();
    // Anna: a thousand shares of 0.003. Ben: one of 3, less the rounding of 0.003.
    let small = orebook_schema::Work::from_difficulty("0.003", WorkUnit::Sha256d).expect("work");
    let many: Vec<(u32, Event)> = (0..1_000)
        .map(|nonce| (nonce, Event::Share(share(0, 0, small.units(), nonce))))
        .collect();
    pool.clock = T0 + 1_000;
    pool.say_at(&mut pen, T0, &many);
    mined(&mut pool, &mut pen, T0 + 2_000, 1, 1_000 * small.units());
    let store = fold(&mut pool);
    let of = |name: &str| rate(&store, &Who::Account(named(name)), T0 + 3_000, HOUR_MS);
    assert_eq!(of("anna"), of("ben"));
    assert_ne!(of("anna"), 0);
}

#[test]
fn stale_shares_do_not_count_void_jobs_do_and_moved_ones_once() {
    let (mut pool, mut pen) = pool();
    let stale = Share {
        stale: true,
        ..share(0, 0, 1, 1)
    };
    let void_policy = At {
        position: 1,
        index: 0,
    };
    let void = job(&mut pen, void_policy, 1_000);
    pool.clock = T0;
    let said = [
        (0, Event::Share(stale)),
        (0, void),
        (0, Event::Share(share(0, 1, 20, 2))),
        (0, Event::Share(share(0, 0, 300, 3))),
    ];
    pool.say_at(&mut pen, T0, &said);
    let mut new = Pen::new(GATEWAY, 2);
    let lost = Event::Share(share(0, 0, 4_000, 4));
    let unsaid = pen.clone();
    let said = [
        (0, worker(&mut new, "anna", "rig-1", PPLNS)),
        (0, job(&mut new, At::default(), 1_000)),
        (0, moved(&unsaid, unsaid.next_seq, &lost, 0, 0)),
        (0, moved(&unsaid, unsaid.next_seq, &lost, 0, 0)),
    ];
    pool.say_at(&mut new, T0, &said);
    let store = fold(&mut pool);
    let who = Who::Account(named("anna"));
    // The moved share was made at START, less than an hour before.
    assert_eq!(work(&store, &who, T0, 2 * HOUR_MS), 4_320);
    let hours = points(&store, &who, Step::Hour, START, T0);
    let works: Vec<u128> = hours.iter().map(|point| point.work).collect();
    assert_eq!(works, [4_000, 320]);
}

#[test]
fn a_wrong_clock_moves_a_share_by_a_day_at_most() {
    let now = T0 + 40 * HOUR_MS;
    let table = [
        (now - 1, now - 1),
        (now + 1, now),
        (u64::MAX, now),
        (now - DAY_MS, now - DAY_MS),
        (now - DAY_MS - 1, now - DAY_MS),
        (0, now - DAY_MS),
    ];
    for (clock, shown) in table {
        assert_eq!(shown_time(clock, now), shown, "{clock}");
    }
    // The same through the ledger: hour of the share, by the gateway's clock.
    for (clock, hour) in [
        (now, now),
        (now + 300_000, now),
        (now - 5 * HOUR_MS, now - 5 * HOUR_MS),
        (now - DAY_MS, now - DAY_MS),
        (now - 30 * HOUR_MS, now - DAY_MS),
        (7, now - DAY_MS),
    ] {
        let (mut pool, mut pen) = pool();
        passes(&mut pool, now);
        pool.clock = now;
        let said = [(0, Event::Share(share(0, 0, 5, 1)))];
        pool.say_at(&mut pen, clock, &said);
        let store = fold(&mut pool);
        let hours = points(&store, &Who::Pot(PPLNS), Step::Hour, T0, now + 1_000);
        let found: Vec<u64> = hours
            .iter()
            .filter(|point| point.work == 5)
            .map(|point| point.start_ms)
            .collect();
        assert_eq!(found, [hour / HOUR_MS * HOUR_MS], "{clock}");
    }
}

#[test]
fn old_minutes_become_hours_and_hours_become_days_and_no_work_is_lost() {
    let (mut pool, mut pen) = pool();
    // A share each 7 hours for 30 days, of work 1, 2, 3 … by anna's worker 0.
    let mut time = T0;
    let mut all = Vec::new();
    while time < T0 + 30 * DAY_MS {
        let work = u64::try_from(all.len()).expect("few") + 1;
        mined(&mut pool, &mut pen, time + 61_000, 0, work);
        all.push((time, u128::from(work)));
        time += 7 * HOUR_MS;
    }
    // The last of it is given up by later frames, a piece each.
    for frame in 0..4 {
        passes(&mut pool, time + frame);
    }
    let as_of = time + 10;
    let store = fold(&mut pool);
    let sum = |from: u64, to: u64| -> u128 {
        let inside = all.iter().filter(|(at, _)| from <= *at && *at < to);
        inside.map(|(_, work)| work).sum()
    };
    for who in [Who::Pot(PPLNS), Who::Account(named("anna"))] {
        let days = points(&store, &who, Step::Day, T0, as_of);
        assert_eq!(days.iter().map(|day| day.work).sum::<u128>(), sum(0, as_of));
        for day in &days {
            let expected = sum(day.start_ms, day.start_ms + DAY_MS);
            assert_eq!(day.work, expected, "{who:?} {}", day.start_ms);
        }
    }
    // Hours are exact as long as they are kept, also a worker's, and minutes as long as they are.
    let who = rig("anna", "rig-1", PPLNS);
    for hour in points(
        &store,
        &who,
        Step::Hour,
        as_of - HOURS_KEPT * HOUR_MS,
        as_of,
    ) {
        let expected = sum(hour.start_ms, hour.start_ms + HOUR_MS);
        assert_eq!(hour.work, expected, "{}", hour.start_ms);
    }
    let from = as_of - (MINUTES_HOURS - 2) * HOUR_MS;
    let minutes = points(&store, &who, Step::Minute, from, as_of);
    let works: u128 = minutes.iter().map(|point| point.work).sum();
    assert_eq!(works, sum(from, as_of));
    // What is older than eight days is gone for a worker.
    let old = points(&store, &who, Step::Day, T0, T0 + 10 * DAY_MS);
    assert!(old.iter().all(|day| day.work == 0), "{old:?}");
}

#[test]
fn days_end_after_their_time_and_rows_are_bounded() {
    let (mut pool, mut pen) = pool();
    mined(&mut pool, &mut pen, T0, 0, 5);
    let kept = T0 + DAYS_KEPT * DAY_MS;
    passes(&mut pool, kept - DAY_MS);
    passes(&mut pool, kept);
    let mut later = pool.clone();
    let who = Who::Pot(PPLNS);
    let day_of_share = |store: &MemoryStore| points(store, &who, Step::Day, T0, T0)[0].work;
    let store = fold(&mut pool);
    assert_eq!(day_of_share(&store), 5);
    passes(&mut later, kept + DAY_MS);
    passes(&mut later, kept + DAY_MS + 1);
    let store = fold(&mut later);
    assert_eq!(day_of_share(&store), 0);
}

#[test]
fn what_an_hour_leaves_behind_is_given_up_a_piece_at_a_time_and_read_meanwhile() {
    let (mut pool, mut pen) = pool();
    // 1,300 rigs, so 1,302 subjects whose minutes end together.
    let rigs: Vec<Event> = (0..1_300)
        .map(|rig| worker(&mut pen, "clara", &format!("r{rig}"), PPLNS))
        .collect();
    for part in rigs.chunks(500) {
        pool.say(&mut pen, part);
    }
    for part in 0..2 {
        let shares = (0..650).map(|rig| Event::Share(share(3 + part * 650 + rig, 0, 2, rig)));
        let said: Vec<(u32, Event)> = shares.map(|share| (0, share)).collect();
        pool.clock = T0;
        pool.say_at(&mut pen, T0, &said);
    }
    let clara = Who::Account(named("clara"));
    let rig = rig("clara", "r1299", PPLNS);
    let full = pool;
    // The minutes end, and, after nine days without a frame, minutes and hours at once.
    for (jump, step) in [(30 * HOUR_MS, Step::Hour), (9 * DAY_MS, Step::Day)] {
        let mut pool = full.clone();
        for frame in 0..5 {
            let as_of = T0 + jump + frame;
            passes(&mut pool, as_of);
            let store = replayed(&pool, Hashrate);
            let of = |who: &Who| points(&store, who, step, T0, as_of)[0].work;
            assert_eq!(of(&clara), 2_600, "{step:?} after {frame} frames");
            if step == Step::Hour {
                assert_eq!(of(&rig), 2, "after {frame} frames");
            }
        }
    }
}

#[test]
fn a_series_has_a_point_for_each_step_also_without_work_and_at_most_1500() {
    let (mut pool, mut pen) = pool();
    mined(&mut pool, &mut pen, T0, 0, 65_535 * D1);
    mined(&mut pool, &mut pen, T0 + 3 * MINUTE_MS, 0, 65_535 * D1);
    let store = fold(&mut pool);
    let who = Who::Pot(PPLNS);
    let as_of = T0 + 3 * MINUTE_MS + 30_000;
    let hashes = 1u128 << 48;
    let got = points(&store, &who, Step::Minute, T0, as_of);
    let rates: Vec<u128> = got.iter().map(|point| point.milli_per_second).collect();
    // Of the running minute 30 s have passed; less than a minute counts as a minute.
    assert_eq!(rates, [hashes * 1_000 / 60, 0, 0, hashes * 1_000 / 60]);
    let starts: Vec<u64> = got.iter().map(|point| point.start_ms).collect();
    assert_eq!(starts, [0, 1, 2, 3].map(|minute| T0 + minute * MINUTE_MS));
    assert_eq!(points(&store, &who, Step::Minute, 0, as_of).len(), 1_500);
    // The running hour: what has passed of it.
    let hour = points(&store, &who, Step::Hour, T0, as_of);
    assert_eq!(hour[0].milli_per_second, 2 * hashes * 1_000_000 / 210_000);
}
