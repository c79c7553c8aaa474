//! The embedded log: one process, whose log lives in memory. What is not final comes again from the spools.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeSet;

use orebook_ledger::archiver::{Archiver, REPEAT_DELAY_MS};
use orebook_ledger::log::{EMBEDDED_RECORDS_MAX, EmbeddedLog, Log, LogError};
use orebook_ledger::reader::ReadError;
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::{Hash, LedgerId};
use orebook_sim::checks::{Miners, count_shares, exactly_once, leaves};
use orebook_sim::rng::Rng;
use orebook_sim::world::actors::{Outcome, read};
use orebook_sim::world::{Pool, final_records, pool};

/// A process with every role, from start to power cut.
struct Process<'p> {
    pool: &'p mut Pool,
    log: EmbeddedLog,
    now: &'p mut u64,
    next: &'p mut u32,
    miners: &'p mut Miners,
    rng: &'p mut Rng,
}

impl Process<'_> {
    fn start(&mut self) {
        let (common, now) = (self.pool.common.clone(), *self.now);
        for gateway in &mut self.pool.gateways {
            gateway
                .start(&common, now, self.rng)
                .expect("a gateway starts");
        }
        for projector in &mut self.pool.projectors {
            projector.start(&common).expect("a reader starts");
        }
        self.pool
            .keeper
            .start(&common, now, self.rng)
            .expect("the archiver starts");
    }

    /// Whether the archiver lives on.
    fn turn(&mut self, serves: bool) -> bool {
        *self.now += self.rng.range(50, 400);
        for gateway in &mut self.pool.gateways {
            let Some(life) = &mut gateway.life else {
                continue;
            };
            if serves {
                let mut fresh = || {
                    *self.next += 1;
                    (*self.next, 1)
                };
                let (sent, _) = life.serve(*self.now, self.rng, &mut fresh);
                for one in sent {
                    assert!(one.answered, "nothing fails here");
                    self.miners.sent.insert(one.id);
                    self.miners.accepted.insert(one.id);
                }
            }
            let peer = self.pool.keeper.life.as_ref().map(Archiver::reader);
            assert_eq!(
                life.turn(&mut self.log, peer, *self.now, self.rng),
                Outcome::Alive
            );
        }
        if self.pool.keeper.turn(&mut self.log, *self.now, self.rng) != Outcome::Alive {
            return false;
        }
        let peer = self.pool.keeper.life.as_ref().map(Archiver::reader);
        for projector in &mut self.pool.projectors {
            let Some(reader) = &mut projector.life else {
                continue;
            };
            assert_eq!(read(reader, &self.log, peer, self.rng), Outcome::Alive);
        }
        self.log.forget_below(self.forgettable());
        true
    }

    /// What every reader of the process has taken as final.
    fn forgettable(&self) -> u64 {
        let gateways = self
            .pool
            .gateways
            .iter()
            .filter_map(|one| Some(one.life.as_ref()?.reader.forgettable_offset()));
        let readers = self
            .pool
            .projectors
            .iter()
            .filter_map(|one| Some(one.life.as_ref()?.forgettable_offset()));
        let keeper = self
            .pool
            .keeper
            .life
            .as_ref()
            .map(|life| life.reader().forgettable_offset());
        gateways.chain(readers).chain(keeper).min().unwrap_or(0)
    }

    fn is_done(&self) -> bool {
        let Some(keeper) = &self.pool.keeper.life else {
            return false;
        };
        let size = keeper.reader().final_size();
        self.pool
            .gateways
            .iter()
            .all(|one| one.life.as_ref().is_some_and(|life| life.is_done()))
            && self.pool.projectors.iter().all(|one| {
                one.life
                    .as_ref()
                    .is_some_and(|life| life.final_size() == size)
            })
    }

    /// Every role dies at once, as at kill -9: what was written stays.
    fn kill(&mut self) {
        for gateway in &mut self.pool.gateways {
            gateway.life = None;
            gateway.disk.restart_process();
        }
        for projector in &mut self.pool.projectors {
            projector.life = None;
            projector.disk.restart_process();
        }
        self.pool.keeper.life = None;
        self.pool.keeper.disk.restart_process();
    }

    fn power_cut(&mut self) {
        for gateway in &mut self.pool.gateways {
            gateway.life = None;
            gateway.disk.restart();
        }
        for projector in &mut self.pool.projectors {
            projector.life = None;
            projector.disk.restart();
        }
        self.pool.keeper.life = None;
        self.pool.keeper.disk.restart();
    }
}

#[test]
fn power_cuts_of_the_whole_process_lose_and_repeat_nothing() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut pool = pool(seed);
        let mut rng = Rng::new(seed);
        let (mut now, mut next) = (1_700_000_000_000, 0);
        let mut miners = Miners::default();
        for life in 0..5 {
            let log = EmbeddedLog::new();
            let (now, next, miners) = (&mut now, &mut next, &mut miners);
            let mut process = Process {
                pool: &mut pool,
                log,
                now,
                next,
                miners,
                rng: &mut rng,
            };
            process.start();
            // Lives may be short; the one before the last is long enough for something to become final.
            let turns = process.rng.range(if life == 3 { 20 } else { 1 }, 40);
            (0..turns).for_each(|_| assert!(process.turn(true), "nothing fails here"));
            if life < 4 {
                process.power_cut();
                continue;
            }
            let calm = (0..300).any(|_| process.turn(false) && process.is_done());
            assert!(calm, "seed {seed}: not everything became final");
            assert!(
                process.log.held() < 64,
                "seed {seed}: what is final is forgotten: {}",
                process.log.held()
            );
            // A life in which nothing became final leaves no trace, not even its number.
            let newest = process.log.newest().expect("it is open");
            assert!(
                newest.is_some_and(|number| (1..5).contains(&number)),
                "seed {seed}: {newest:?}"
            );
        }
        let keeper = pool.keeper.life.as_ref().expect("it lives");
        let records = final_records(keeper.reader()).expect("its own segments");
        let checked = exactly_once(&miners, &count_shares(&records), &BTreeSet::new());
        assert_eq!(checked, Ok(()), "seed {seed}");
        assert!(!miners.accepted.is_empty(), "seed {seed}");
        for projector in &pool.projectors {
            let own = final_records(projector.life.as_ref().expect("it lives"))
                .expect("its own segments");
            assert_eq!(
                leaves(&own),
                leaves(&records),
                "seed {seed}: {}",
                projector.name
            );
        }
    }
}

/// Between keeping what it signs and putting it into its spool an archiver may die; nobody hears it then, and nothing but
/// archivers is heard until its size is final again.
#[test]
fn killed_at_any_step_of_its_archiver_a_process_makes_everything_final_before_a_repetition_is_due()
{
    let (seed, mut killed) = (5, 0);
    for operation in 0..120 {
        let mut pool = pool(seed);
        let mut rng = Rng::new(seed);
        let (mut now, mut next) = (1_700_000_000_000, 0);
        let mut miners = Miners::default();
        let mut process = Process {
            pool: &mut pool,
            log: EmbeddedLog::new(),
            now: &mut now,
            next: &mut next,
            miners: &mut miners,
            rng: &mut rng,
        };
        process.start();
        (0..10).for_each(|_| assert!(process.turn(true), "nothing fails here"));
        process.pool.keeper.disk.faults().crash_after(operation);
        let died = (0..30).any(|_| !process.turn(true));
        killed += usize::from(died);
        process.kill();
        process.log = EmbeddedLog::new();
        process.start();
        let started = *process.now;
        let calm = (0..300).any(|_| process.turn(false) && process.is_done());
        assert!(calm, "operation {operation}: not everything became final");
        let took = *process.now - started;
        assert!(
            took < REPEAT_DELAY_MS,
            "operation {operation}: everything was final after {took} ms of simulated time only"
        );
        let keeper = pool.keeper.life.as_ref().expect("it lives");
        let records = final_records(keeper.reader()).expect("its own segments");
        let checked = exactly_once(&miners, &count_shares(&records), &BTreeSet::new());
        assert_eq!(checked, Ok(()), "operation {operation}");
    }
    assert!(100 <= killed, "{killed} of 120 were killed");
}

#[test]
fn a_reader_that_comes_after_the_log_has_forgotten_is_told_and_does_not_turn_for_ever() {
    let seed = 11;
    let (mut first, mut late) = (pool(seed), pool(seed));
    let mut rng = Rng::new(seed);
    let (mut now, mut next) = (1_700_000_000_000, 0);
    let mut miners = Miners::default();
    let mut process = Process {
        pool: &mut first,
        log: EmbeddedLog::new(),
        now: &mut now,
        next: &mut next,
        miners: &mut miners,
        rng: &mut rng,
    };
    process.start();
    (0..40).for_each(|_| assert!(process.turn(true), "nothing fails here"));
    let mut log = process.log;
    log.forget_below(5);
    let common = late.common.clone();
    let one = late.projectors.first_mut().expect("a projector");
    one.start(&common).expect("a reader starts");
    let reader = one.life.as_mut().expect("it lives");
    let said = reader.poll(&log, 100);
    assert!(
        matches!(said, Err(ReadError::Behind { from: 0, .. })),
        "{said:?}"
    );
    assert_eq!(reader.head().size(), 1, "the genesis stays");
}

fn opened(incarnation: u32) -> IncarnationOpened {
    IncarnationOpened {
        ledger: LedgerId([3; 16]),
        incarnation,
        next_position: 1,
        root: Hash([4; 32]),
    }
}

#[test]
fn the_embedded_log_is_bounded_and_says_so() {
    let mut log = EmbeddedLog::new();
    assert_eq!(log.newest(), Ok(None));
    assert_eq!(log.send(0, 5, b"early"), Err(LogError::Gone(0)));
    assert_eq!(log.open_incarnation(10, &opened(0)), Ok(()));
    for number in 0..EMBEDDED_RECORDS_MAX {
        assert_eq!(log.send(0, number as u64, b"frame"), Ok(()));
    }
    assert_eq!(log.send(0, 1, b"one more"), Err(LogError::Full));
    log.forget_below(3);
    assert_eq!(
        log.send(0, 1, b"one more"),
        Ok(()),
        "what is forgotten makes room"
    );
    assert_eq!(
        log.read(0, 2, 1),
        Err(LogError::Trimmed {
            offset: 2,
            first: 3
        })
    );
    let first = log.read(0, 3, 1).expect("it is held");
    assert_eq!(
        first
            .first()
            .map(|record| (record.offset, record.append_time)),
        Some((3, 10)),
        "time never runs back"
    );
    let opening = log.read(0, 0, 9).expect("the opening record stays");
    assert_eq!(opening.len(), 1);
    assert_eq!(IncarnationOpened::read(&opening[0].bytes), Ok(opened(0)));
    let end = EMBEDDED_RECORDS_MAX as u64 + 2;
    assert_eq!(log.read(0, end, 1), Ok(Vec::new()), "the end is no error");
    assert_eq!(
        log.read(0, end + 1, 1),
        Err(LogError::OutOfRange {
            offset: end + 1,
            end
        })
    );
}

#[test]
fn an_incarnation_is_opened_once_and_replaces_the_one_before() {
    let mut log = EmbeddedLog::new();
    assert_eq!(log.open_incarnation(1, &opened(4)), Ok(()));
    assert_eq!(
        log.open_incarnation(1, &opened(4)),
        Err(LogError::Exists(4))
    );
    assert_eq!(
        log.open_incarnation(1, &opened(3)),
        Err(LogError::Exists(3))
    );
    assert_eq!(log.send(4, 1, b"frame"), Ok(()));
    assert_eq!(log.open_incarnation(2, &opened(5)), Ok(()));
    assert_eq!(log.read(4, 1, 1), Err(LogError::Gone(4)));
    assert_eq!(log.held(), 0);
}
