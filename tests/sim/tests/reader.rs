//! A reader and its log: what the simulation found, each as a test of its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "reader/republish.rs"]
mod republish;

use orebook_ledger::archiver::Archiver;
use orebook_ledger::log::{Log as _, LogRecord};
use orebook_ledger::reader::{ReadError, Reader};
use orebook_schema::{Frame, Kind};
use orebook_sim::broker::SimBroker;
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;
use orebook_sim::world::actors::{Outcome, read};
use orebook_sim::world::{Pool, pool};

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
        let common = bench.pool.common.clone();
        for gateway in &mut bench.pool.gateways {
            gateway
                .start(&common, bench.now, &mut bench.rng)
                .expect("a gateway starts");
        }
        bench.start_keeper();
        bench.start_reader();
        bench
    }

    fn start_keeper(&mut self) {
        let common = self.pool.common.clone();
        self.pool
            .keeper
            .start(&common, self.now, &mut self.rng)
            .expect("the archiver starts");
    }

    fn start_reader(&mut self) {
        let common = self.pool.common.clone();
        self.pool.projectors[0]
            .start(&common)
            .expect("a reader starts");
    }

    fn reader(&mut self) -> &mut Reader<SimDisk> {
        self.pool.projectors[0].life.as_mut().expect("it lives")
    }

    fn final_size(&mut self) -> u64 {
        self.reader().final_size()
    }

    /// Gateways serve and publish, the archiver signs; the reader reads if it may.
    fn rounds(&mut self, count: u32, serves: bool, reads: bool) {
        for _ in 0..count {
            self.now += 400;
            for gateway in &mut self.pool.gateways {
                let Some(life) = &mut gateway.life else {
                    continue;
                };
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
            assert_eq!(
                self.pool
                    .keeper
                    .turn(&mut self.broker, self.now, &mut self.rng),
                Outcome::Alive
            );
            if reads {
                let peer = self.pool.keeper.life.as_ref().map(Archiver::reader);
                let reader = self.pool.projectors[0].life.as_mut().expect("it lives");
                assert_eq!(
                    read(reader, &self.broker, peer, &mut self.rng),
                    Outcome::Alive
                );
            }
        }
    }

    fn archived(&self) -> (u64, orebook_schema::Hash) {
        let keeper = self.pool.keeper.life.as_ref().expect("it lives").reader();
        (keeper.final_size(), keeper.settled().root())
    }

    fn agree(&mut self) {
        self.rounds(120, false, true);
        let (size, root) = self.archived();
        assert_eq!(
            (self.reader().final_size(), self.reader().settled().root()),
            (size, root)
        );
    }
}

/// Offset of the first checkpoint in the log.
fn first_checkpoint(broker: &SimBroker) -> u64 {
    let records = broker.records();
    let is_checkpoint = |record: &&LogRecord| {
        Frame::read(record.bytes.clone())
            .is_ok_and(|frame| frame.header().kinds & Kind::Checkpoint.bit() != 0)
    };
    records
        .iter()
        .find(is_checkpoint)
        .expect("an archiver signed")
        .offset
}

#[test]
fn an_archiver_opens_the_next_incarnation_although_nobody_speaks_in_the_log_that_lost_what_is_final()
 {
    for seed in 0..20 {
        let mut bench = Bench::new(seed);
        bench.rounds(60, true, true);
        let (size, _) = bench.archived();
        let before = bench.broker.newest().expect("it is there");
        bench
            .pool
            .gateways
            .iter_mut()
            .for_each(|gateway| gateway.life = None);
        bench.broker.cut_to(first_checkpoint(&bench.broker) + 1);
        // Started again, as whoever finds a broken broker does: it looks for its place with what it kept.
        bench.pool.keeper.life = None;
        bench.pool.keeper.disk.restart_process();
        bench.start_keeper();
        for _ in 0..40 {
            if before < bench.broker.newest().expect("it is there") {
                break;
            }
            bench.rounds(1, false, false);
        }
        let after = bench.broker.newest().expect("it is there");
        assert!(before < after, "seed {seed}: still {after:?}");
        bench.agree();
        assert!(size <= bench.final_size(), "seed {seed}");
    }
}

#[test]
fn a_reader_takes_nothing_more_from_an_incarnation_that_lost_what_is_final() {
    for seed in 0..20 {
        let mut bench = Bench::new(seed);
        // One gateway is down until the log has lost what is final: it knows of nothing, and goes on from there.
        let mut fresh_gateway = bench.pool.gateways.pop().expect("there are two");
        fresh_gateway.life = None;
        bench.rounds(60, true, true);
        let final_size = bench.final_size();
        let root = bench.reader().settled().root();
        assert!(5 < final_size, "seed {seed}: something is final");
        bench.pool.keeper.life = None;
        bench
            .pool
            .gateways
            .iter_mut()
            .for_each(|gateway| gateway.life = None);
        bench.broker.cut_to(first_checkpoint(&bench.broker) + 1);
        fresh_gateway.disk.restart_process();
        let common = bench.pool.common.clone();
        fresh_gateway
            .start(&common, bench.now, &mut bench.rng)
            .expect("a gateway starts");
        for _ in 0..400 {
            if final_size + 5 < bench.broker.records().len() as u64 {
                break;
            }
            bench.now += 1_100;
            let life = fresh_gateway.life.as_mut().expect("it lives");
            let mut fresh = || {
                bench.next += 1;
                (bench.next, 1)
            };
            life.serve(bench.now, &mut bench.rng, &mut fresh);
            life.turn(&mut bench.broker, None, bench.now, &mut bench.rng);
            let broker = bench.broker.clone();
            // What the log has of the beginning may be taken first; its end is met when a read gives nothing.
            let mut refusal = Ok(1);
            while refusal.as_ref().is_ok_and(|read| 0 < *read) {
                refusal = bench.reader().poll(&broker, 100);
            }
            assert!(
                matches!(refusal, Err(ReadError::Dead { .. })),
                "seed {seed}: {refusal:?}"
            );
            assert_eq!(bench.final_size(), final_size, "seed {seed}");
            assert_eq!(bench.reader().settled().root(), root, "seed {seed}");
            assert_eq!(
                bench.reader().store().size(),
                final_size,
                "seed {seed}: nothing else is stored"
            );
        }
        let end = bench.broker.records().len() as u64;
        assert!(
            final_size + 5 < end,
            "seed {seed}: the log goes on above the reader's final size"
        );
        bench.pool.gateways.push(fresh_gateway);
        for gateway in &mut bench.pool.gateways {
            if gateway.life.is_none() {
                gateway.disk.restart_process();
                gateway
                    .start(&common, bench.now, &mut bench.rng)
                    .expect("a gateway starts");
            }
        }
        bench.pool.keeper.disk.restart_process();
        bench.start_keeper();
        bench.rounds(60, true, true);
        bench.agree();
        assert!(
            final_size < bench.final_size(),
            "seed {seed}: the next incarnation goes on"
        );
    }
}

#[test]
fn an_anchor_holds_only_if_the_very_record_stands_there() {
    for seed in 0..20 {
        let mut bench = Bench::new(seed);
        bench.rounds(30, true, true);
        assert!(1 < bench.final_size(), "seed {seed}: an anchor is written");
        // All is lost while reader and archiver are down, and the same frames come again at the same offsets, later: the
        // bytes at the anchor's offset are the same, the ledger times are not.
        let incarnation = bench.reader().incarnation().expect("it read");
        bench.pool.projectors[0].life = None;
        bench.pool.keeper.life = None;
        let records = bench.broker.records();
        bench.broker.cut_to(1);
        bench.now += 60_000;
        for record in records.iter().skip(1) {
            bench
                .broker
                .send(incarnation, bench.now, &record.bytes)
                .expect("the broker is well");
        }
        bench.pool.projectors[0].disk.restart_process();
        bench.start_reader();
        let broker = bench.broker.clone();
        let refusal = bench.reader().poll(&broker, 10_000);
        assert!(
            matches!(refusal, Err(ReadError::Dead { .. })),
            "seed {seed}: {refusal:?}"
        );
        bench.pool.keeper.disk.restart_process();
        bench.start_keeper();
        bench.rounds(30, true, true);
        bench.agree();
    }
}

#[test]
fn a_reader_that_adopted_and_sealed_starts_again_after_every_crash() {
    let mut adopted = 0;
    for seed in 0..60 {
        let mut bench = Bench::new(seed);
        bench.rounds(50, true, false);
        // An incarnation that opens above genesis: the reader, which was down, must fetch what is below.
        bench.broker.cut_to(1);
        bench.rounds(20, true, false);
        for after in 1..40 {
            let disk = bench.pool.projectors[0].disk.clone();
            disk.faults().crash_after(after);
            let peer = bench.pool.keeper.life.as_ref().map(Archiver::reader);
            let reader = bench.pool.projectors[0].life.as_mut().expect("it lives");
            let before = reader.final_size();
            let outcome = read(reader, &bench.broker, peer, &mut bench.rng);
            adopted += u32::from(before + 3 < reader.head().size());
            if outcome != Outcome::Alive {
                bench.pool.projectors[0].life = None;
                disk.restart();
            }
            disk.faults().crash_after(0);
            if bench.pool.projectors[0].life.is_none() {
                bench.start_reader();
            }
        }
        bench.agree();
    }
    assert!(0 < adopted, "no reader ever adopted");
}
