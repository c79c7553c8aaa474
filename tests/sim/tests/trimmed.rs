//! A reader of a log that has lost its beginning: where it goes on, whom it believes, and when it must not go on.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_ledger::archiver::Archiver;
use orebook_ledger::reader::{ADOPTED_FRAMES_MAX, ReadError, Reader};
use orebook_ledger::segment::{Record, StoreError};
use orebook_schema::Hash;
use orebook_sim::broker::SimBroker;
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;
use orebook_sim::world::actors::{Outcome, read};
use orebook_sim::world::{Pool, pool};

const SEEDS: u64 = 15;

/// A pool whose readers read only when a test lets them.
struct Bench {
    pool: Pool,
    broker: SimBroker,
    rng: Rng,
    now: u64,
    next: u32,
}

impl Bench {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut bench = Self {
            pool: pool(seed),
            broker: SimBroker::new(seed),
            rng: Rng::new(seed),
            now: 1_700_000_000_000,
            next: 0,
        };
        let (common, now, rng) = (bench.pool.common.clone(), bench.now, &mut bench.rng);
        let pool = &mut bench.pool;
        for gateway in &mut pool.gateways {
            gateway.start(&common, now, rng).expect("starts");
        }
        pool.keeper.start(&common, now, rng).expect("starts");
        for projector in &mut pool.projectors {
            projector.start(&common).expect("starts");
        }
        bench
    }

    fn keeper(&self) -> &Reader<SimDisk> {
        self.pool.keeper.life.as_ref().expect("it lives").reader()
    }

    fn reader(&mut self, index: usize) -> &mut Reader<SimDisk> {
        self.pool.projectors[index].life.as_mut().expect("it lives")
    }

    /// Gateways and archiver work; the readers with these numbers read.
    fn rounds(&mut self, count: u32, serves: bool, reading: &[usize]) {
        for _ in 0..count {
            self.now += 400;
            for gateway in &mut self.pool.gateways {
                let life = gateway.life.as_mut().expect("it lives");
                if serves {
                    let mut fresh = || {
                        self.next += 1;
                        (self.next, 1)
                    };
                    life.serve(self.now, &mut self.rng, &mut fresh);
                }
                let peer = self.pool.keeper.life.as_ref().map(Archiver::reader);
                let outcome = life.turn(&mut self.broker, peer, self.now, &mut self.rng);
                assert_eq!(outcome, Outcome::Alive);
            }
            let (keeper, rng) = (&mut self.pool.keeper, &mut self.rng);
            assert_eq!(keeper.turn(&mut self.broker, self.now, rng), Outcome::Alive);
            for index in reading {
                let peer = self.pool.keeper.life.as_ref().map(Archiver::reader);
                let reader = self.pool.projectors[*index].life.as_mut();
                let reader = reader.expect("it lives");
                let outcome = read(reader, &self.broker, peer, &mut self.rng);
                assert_eq!(outcome, Outcome::Alive);
            }
        }
    }

    /// Deletes what the archiver needs no more. First offset left.
    fn trim(&self) -> u64 {
        let first = self.keeper().forgettable_offset();
        self.broker.trim(first);
        first
    }

    fn poll(&mut self, index: usize) -> Result<usize, ReadError> {
        let broker = self.broker.clone();
        self.reader(index).poll(&broker, 10_000)
    }

    /// All that the archiver has, as whoever serves it might change it.
    fn records(&self) -> Vec<Record> {
        let records = self.keeper().store().records(0);
        records.map(|record| record.expect("whole")).collect()
    }

    fn adopt(&mut self, index: usize, records: Vec<Record>) -> Result<u64, ReadError> {
        let records = records.into_iter().map(Ok);
        self.reader(index).adopt_final(records)
    }

    /// Root at a size, as the archiver has it.
    fn root_at(&self, size: u64) -> Hash {
        let state = self.keeper().state_at(size).expect("read");
        state.expect("it has them").root()
    }

    fn agree(&mut self, index: usize) {
        self.rounds(120, false, &[index]);
        let (size, root) = (self.keeper().final_size(), self.keeper().settled().root());
        let reader = self.reader(index);
        assert_eq!((reader.final_size(), reader.settled().root()), (size, root));
    }
}

#[test]
fn a_reader_goes_on_in_a_trimmed_log_once_it_has_what_was_deleted() {
    for seed in 0..SEEDS {
        for had_read in [false, true] {
            let mut bench = Bench::new(seed);
            // From nothing, or overtaken while it was stopped.
            bench.rounds(20, true, if had_read { &[0] } else { &[] });
            let had = bench.reader(0).final_size();
            bench.rounds(50, true, &[]);
            let first = bench.trim();
            assert!(1 < first, "seed {seed}: something is deleted");
            let said = bench.poll(0);
            assert_eq!(said, Err(ReadError::Behind { from: had, first }));
            let size = bench.adopt(0, bench.records()).expect("signed for");
            assert!(had < size && size <= bench.keeper().final_size());
            // What was adopted is final also after a restart, and after another.
            for _ in 0..2 {
                let common = bench.pool.common.clone();
                bench.pool.projectors[0].life = None;
                bench.pool.projectors[0].disk.restart();
                bench.pool.projectors[0].start(&common).expect("starts");
                assert_eq!(bench.reader(0).final_size(), size, "seed {seed}");
            }
            assert!(0 < bench.poll(0).expect("it finds its place"));
            bench.agree(0);
            bench.rounds(20, true, &[0]);
            bench.agree(0);
        }
    }
}

#[test]
fn who_lags_behind_the_logs_beginning_is_no_help_until_it_has_more() {
    for seed in 0..SEEDS {
        let mut bench = Bench::new(seed);
        bench.rounds(30, true, &[1]);
        let lagging = bench.reader(1).final_size();
        assert!(1 < lagging);
        bench.rounds(40, true, &[]);
        let first = bench.trim();
        let old = bench.reader(1).store().records(0);
        let old: Vec<Record> = old.map(|record| record.expect("whole")).collect();
        let from = bench.adopt(0, old.clone()).expect("signed for");
        assert!(1 < from && from <= lagging);
        assert_eq!(bench.poll(0), Err(ReadError::Behind { from, first }));
        assert_eq!(bench.adopt(0, old), Ok(from), "nothing newer");
        assert_eq!(bench.poll(0), Err(ReadError::Behind { from, first }));
        // Who lagged catches up at the archiver, and is as good as it then.
        bench.agree(1);
        let new = bench.reader(1).store().records(0);
        let new: Vec<Record> = new.map(|record| record.expect("whole")).collect();
        assert!(from < bench.adopt(0, new).expect("signed for"));
        bench.agree(0);
    }
}

#[test]
fn the_record_after_the_deleted_one_is_not_taken_for_its_successor() {
    for seed in 0..SEEDS {
        let mut bench = Bench::new(seed);
        bench.rounds(40, true, &[0]);
        let from = bench.reader(0).final_size();
        let at = bench.reader(0).forgettable_offset();
        bench.rounds(40, true, &[]);
        // The very last final record is there: nothing to fetch.
        bench.pool.projectors[0].life = None;
        bench.pool.projectors[0].disk.restart_process();
        bench.broker.trim(at);
        let common = bench.pool.common.clone();
        bench.pool.projectors[0].start(&common).expect("starts");
        assert!(0 < bench.poll(0).expect("it is there"));
        // One more is gone. What follows it is there, but nobody can tell that it does.
        bench.pool.projectors[1].disk = bench.pool.projectors[0].disk.fork_copy();
        bench.pool.projectors[1].start(&common).expect("starts");
        let from_now = bench.reader(1).final_size();
        let at_now = bench.reader(1).forgettable_offset();
        assert_eq!(at_now, 0, "it has not found its place");
        assert!(from <= from_now);
        let at = bench.reader(0).forgettable_offset();
        bench.broker.trim(at + 1);
        let said = bench.poll(1);
        let first = at + 1;
        let expected = ReadError::Behind {
            from: from_now,
            first,
        };
        assert_eq!(said, Err(expected), "seed {seed}");
        assert_eq!(bench.reader(1).head().size(), from_now);
        // The one that runs needs none of it.
        bench.agree(0);
    }
}

#[test]
fn a_lying_peer_is_believed_only_as_far_as_archivers_signed() {
    type Lie = fn(&mut Vec<Record>);
    let lies: [(&str, Lie); 4] = [
        ("leaves a frame out", |records| {
            records.remove(records.len() / 2);
        }),
        ("swaps two frames", |records| {
            let middle = records.len() / 2;
            records.swap(middle, middle + 1);
        }),
        ("says another time", |records| {
            let from = records.len() / 2;
            for record in &mut records[from..] {
                if let Record::Frame(stored) = record {
                    stored.append_time += 1_000;
                    stored.ledger_time += 1_000;
                }
            }
        }),
        ("ends in the middle", |records| {
            records.truncate(records.len() / 2);
        }),
    ];
    for seed in 0..SEEDS {
        for (what, lie) in lies {
            let mut bench = Bench::new(seed);
            bench.rounds(60, true, &[]);
            bench.trim();
            bench.poll(0).expect_err("it is behind");
            let mut records = bench.records();
            lie(&mut records);
            let told = records.len() as u64;
            // An error says that nothing at all was of use.
            let taken = bench.adopt(0, records);
            let size = bench.reader(0).final_size();
            assert!(size < told, "seed {seed}: a peer that {what}: {taken:?}");
            let root = bench.reader(0).settled().root();
            assert_eq!(root, bench.root_at(size), "seed {seed}: a peer that {what}");
            assert_eq!(
                bench.reader(0).head().size(),
                size.max(1),
                "the genesis stays"
            );
            bench.agree(0);
        }
    }
}

#[test]
fn a_trimmed_log_that_also_lost_what_is_final_is_dead() {
    for seed in 0..SEEDS {
        let mut bench = Bench::new(seed);
        bench.rounds(40, true, &[0]);
        let first = bench.trim();
        bench.rounds(40, true, &[0]);
        let lost = bench.reader(0).forgettable_offset();
        assert!(first + 1 < lost, "seed {seed}");
        bench.broker.cut_to(first + 1);
        let said = bench.poll(0);
        assert!(
            matches!(said, Err(ReadError::Dead { incarnation: 0, .. })),
            "seed {seed}: {said:?}"
        );
        let before = bench.reader(0).final_size();
        bench.rounds(60, true, &[0]);
        bench.agree(0);
        assert_eq!(bench.reader(0).incarnation(), Some(1), "the next one");
        assert!(before < bench.reader(0).final_size());
    }
}

#[test]
fn what_is_adopted_comes_in_turns_so_that_a_lock_can_be_let_go() {
    let mut bench = Bench::new(3);
    bench.rounds(60, true, &[]);
    while bench.keeper().final_size() < 3 * ADOPTED_FRAMES_MAX as u64 {
        bench.rounds(60, true, &[]);
    }
    bench.trim();
    bench.poll(0).expect_err("it is behind");
    let records = bench.records();
    let mut turns = Vec::new();
    let mut size = 0;
    loop {
        let now = bench.adopt(0, records.clone()).expect("signed for");
        if now == size {
            break;
        }
        turns.push(now - size);
        size = now;
    }
    assert!(3 <= turns.len(), "{turns:?}");
    let most = ADOPTED_FRAMES_MAX as u64 * 2;
    assert!(turns.iter().all(|turn| *turn <= most), "{turns:?}");
    bench.agree(0);
}

#[test]
fn a_disk_that_fails_while_positions_are_adopted_ends_the_process() {
    for seed in 0..SEEDS {
        for deleted in [true, false] {
            let mut bench = Bench::new(seed);
            bench.rounds(60, true, &[]);
            let (size, root) = (bench.keeper().final_size(), bench.keeper().settled().root());
            if deleted {
                bench.trim();
                bench.poll(0).expect_err("it is behind");
            }
            let records = bench.records();
            bench.pool.projectors[0].disk.faults().fail_sync_after(1);
            let said = if deleted {
                bench.adopt(0, records).map(|_| ())
            } else {
                let records = records.into_iter().map(Ok);
                bench.reader(0).adopt(records, size, root)
            };
            let said = said.expect_err("the disk fails");
            let cause = matches!(&said, ReadError::Store(StoreError::Disk(_)));
            assert!(cause, "seed {seed}: the cause is named: {said}");
            // Who asks peers takes that for the peer's; the next poll is the reader's own.
            assert_eq!(bench.poll(0), Err(ReadError::Store(StoreError::Failed)));
            let projector = &mut bench.pool.projectors[0];
            projector.life = None;
            projector.disk.restart_process();
            projector.start(&bench.pool.common).expect("starts");
            bench.agree(0);
        }
    }
}
