//! Crashes at every mutating operation, by power cut and by kill: what was answered counts once and in order.

use std::collections::{BTreeMap, BTreeSet};

use orebook_ledger::spool::{Spool, SpoolError, SpoolResult};
use orebook_schema::{Event, StreamId};
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

use crate::world::{
    Ledger, SECOND, START_MS, all_frames, announcements, at, block, difficulty, job, open, share,
    shares, stream, teach, worker,
};

/// What lasts over the lives of a gateway.
struct World {
    disk: SimDisk,
    ledger: Ledger,
    rng: Rng,
    now_ms: u64,
    answered: Vec<u32>,
    /// Groups that got no answer: each stands wholly or not at all.
    unanswered: Vec<Vec<u32>>,
    nonce: u32,
    new_stream: u8,
    /// Bytes of every frame that was returned.
    returned: BTreeMap<(StreamId, u64), Vec<u8>>,
    moves: bool,
}

/// One life.
struct Gateway {
    spool: Spool<SimDisk>,
    workers: Vec<u32>,
    jobs: Vec<u32>,
}

impl World {
    fn new(seed: u64, moves: bool) -> Self {
        Self {
            disk: SimDisk::new(seed),
            ledger: Ledger::new(),
            rng: Rng::new(seed),
            now_ms: START_MS,
            answered: Vec::new(),
            unanswered: Vec::new(),
            nonce: 0,
            new_stream: 99,
            returned: BTreeMap::new(),
            moves,
        }
    }

    fn new_stream(&mut self) -> StreamId {
        self.new_stream += 1;
        stream(self.new_stream)
    }

    /// Opens the spool and looks whether everything is there that must be.
    fn start(&mut self) -> SpoolResult<Gateway> {
        let (mut spool, _) = open(&self.disk)?;
        let held: BTreeMap<_, _> = all_frames(&spool)
            .into_iter()
            .map(|it| {
                (
                    (it.header().stream, it.header().first_seq),
                    it.bytes().to_vec(),
                )
            })
            .collect();
        for (place, bytes) in &self.returned {
            // What is final may be trimmed, and what was moved when its copies are.
            let is_final =
                place.1 < self.ledger.admitted_next(place.0) || self.ledger.is_closed(place.0);
            let found = held.get(place);
            assert!(
                found == Some(bytes) || found.is_none() && is_final,
                "{place:?} was returned"
            );
        }
        let new_stream = self.new_stream();
        spool.begin(self.now_ms, new_stream)?;
        teach(&mut spool);
        let mut gateway = Gateway {
            spool,
            workers: vec![0, 1],
            jobs: vec![0, 1],
        };
        // A move that was interrupted may be asked for again, and so may a finished one.
        let closed = gateway.spool.streams().into_iter().map(|held| held.stream);
        let closed: Vec<StreamId> = closed.filter(|it| self.ledger.is_closed(*it)).collect();
        for one in closed {
            self.move_from(&mut gateway, one)?;
        }
        let (workers, jobs) = (gateway.spool.next_worker(), gateway.spool.next_job());
        gateway.workers = vec![workers, workers + 1];
        gateway.jobs = vec![jobs, jobs + 1];
        let events = vec![
            worker(workers, 0),
            difficulty(workers, 1_000),
            worker(workers + 1, 1),
            difficulty(workers + 1, 1_000),
            job(jobs, orebook_schema::At::default(), 50),
            job(jobs + 1, SECOND, 60),
        ];
        gateway.spool.append(&at(self.now_ms, events))?;
        Ok(gateway)
    }

    fn move_from(&mut self, gateway: &mut Gateway, closed: StreamId) -> SpoolResult<()> {
        let new_stream = self.new_stream();
        let admitted = self.ledger.admitted_next(closed);
        let numbers = gateway
            .spool
            .move_stream(self.now_ms, closed, admitted, new_stream)?;
        let renumber = |old: &mut u32, map: &BTreeMap<u32, u32>| {
            *old = map.get(old).copied().unwrap_or(*old);
        };
        gateway
            .workers
            .iter_mut()
            .for_each(|it| renumber(it, &numbers.workers));
        gateway
            .jobs
            .iter_mut()
            .for_each(|it| renumber(it, &numbers.jobs));
        Ok(())
    }

    fn append(&mut self, gateway: &mut Gateway, count: u32) -> SpoolResult<()> {
        let mut events = Vec::new();
        let first = self.nonce;
        self.nonce += count;
        for nonce in first..self.nonce {
            let pick = self.rng.below(4) as usize;
            let mut one = share(gateway.workers[pick / 2], gateway.jobs[pick % 2], nonce);
            one.stale = self.rng.chance(1, 5);
            one.block = self.rng.chance(1, 30);
            events.push(Event::Share(one));
            if one.block {
                events.push(block(u64::from(nonce)));
            }
        }
        let nonces: Vec<u32> = (first..self.nonce).collect();
        match gateway.spool.append(&at(self.now_ms, events)) {
            Ok(_) => self.answered.extend(nonces),
            Err(SpoolError::Full(_)) => {}
            Err(error) => {
                self.unanswered.push(nonces);
                return Err(error);
            }
        }
        Ok(())
    }

    fn step(&mut self, gateway: &mut Gateway) -> SpoolResult<()> {
        self.now_ms += self.rng.below(400);
        match self.rng.below(100) {
            0..50 => {
                let count = 1 + self.rng.below(6) as u32;
                self.append(gateway, count)?;
            }
            50..65 => self.append(gateway, 400)?,
            65..80 => {
                if let Some(frame) = gateway.spool.cut()? {
                    let place = (frame.header().stream, frame.header().first_seq);
                    self.returned.insert(place, frame.bytes().to_vec());
                }
            }
            80..88 => self.publish(gateway),
            88..92 => {
                gateway.spool.trim(&self.ledger.final_next(), u64::MAX)?;
            }
            92..96 => {
                let number = gateway.spool.next_job();
                let old = gateway.jobs.remove(0);
                gateway
                    .spool
                    .append(&at(self.now_ms, vec![job(number, SECOND, 700)]))?;
                gateway.jobs.push(number);
                gateway.spool.retire_jobs_below(old.min(gateway.jobs[0]));
            }
            96..98 if self.moves => {
                let closed = gateway.spool.stream().unwrap();
                if self.ledger.close(closed) {
                    self.move_from(gateway, closed)?;
                }
            }
            _ => assert!(gateway.spool.next_seq() > 0),
        }
        Ok(())
    }

    fn publish(&mut self, gateway: &Gateway) {
        self.ledger.publish(&gateway.spool);
        self.ledger.checkpoint();
    }

    fn life(&mut self, steps: u64) -> SpoolResult<()> {
        let mut gateway = self.start()?;
        for _ in 0..steps {
            self.step(&mut gateway)?;
        }
        Ok(())
    }

    /// Starts until it succeeds without a crash, publishes all, and judges.
    fn judge(&mut self) {
        let mut gateway = self.start().unwrap();
        gateway.spool.cut().unwrap();
        self.publish(&gateway);
        self.ledger.assert_counted(&self.answered);
        let answered = |it: &&u32| self.answered.binary_search(it).is_ok();
        let order: Vec<u32> = self
            .ledger
            .counted
            .iter()
            .filter(answered)
            .copied()
            .collect();
        assert_eq!(order, self.answered, "in the order of the answers");
        for group in &self.unanswered {
            let counted = group
                .iter()
                .filter(|it| self.ledger.counted.contains(it))
                .count();
            assert!(counted == 0 || counted == group.len(), "a group was split");
        }
        gateway
            .spool
            .trim(&self.ledger.final_next(), u64::MAX)
            .unwrap();
        assert_eq!(
            self.disk.paths().len(),
            1,
            "all is final: {:?}",
            self.disk.paths()
        );
    }

    fn restart(&mut self, power: bool) {
        if power {
            self.disk.restart()
        } else {
            self.disk.restart_process()
        }
    }
}

fn crashed(result: &SpoolResult<()>, world: &World) -> bool {
    assert!(result.is_ok() || world.disk.crashed(), "{result:?}");
    result.is_err()
}

#[test]
fn answered_shares_survive_random_schedules_of_crashes() {
    for seed in 0..400 {
        println!("seed {seed}");
        let mut world = World::new(seed, seed % 2 == 1);
        for _ in 0..5 {
            let after = 1 + world.rng.below(90);
            world.disk.faults().crash_after(after);
            let steps = 20 + world.rng.below(60);
            let result = world.life(steps);
            crashed(&result, &world);
            let power = world.rng.chance(1, 2);
            world.restart(power);
        }
        world.disk.faults().crash_after(0);
        world.judge();
    }
}

/// A short life that touches everything: groups, cuts, a new file, a policy, a trim, a move.
fn script(world: &mut World) -> SpoolResult<()> {
    let mut gateway = world.start()?;
    for round in 0..3 {
        world.append(&mut gateway, 3)?;
        gateway.spool.cut()?;
        world.append(&mut gateway, 900)?;
        world.append(&mut gateway, 900)?;
        world.append(&mut gateway, 2)?;
        if round == 1 {
            world.publish(&gateway);
            gateway.spool.trim(&world.ledger.final_next(), u64::MAX)?;
        }
    }
    let closed = gateway.spool.stream().unwrap();
    assert!(world.ledger.close(closed));
    world.move_from(&mut gateway, closed)?;
    world.append(&mut gateway, 2)
}

#[test]
fn answered_shares_survive_a_crash_at_every_operation() {
    let mut operations = 0;
    for power in [true, false] {
        for at_operation in 1.. {
            println!("power {power}, operation {at_operation}");
            let mut world = World::new(at_operation, true);
            world.disk.faults().crash_after(at_operation);
            let result = script(&mut world);
            if !crashed(&result, &world) {
                operations = at_operation;
                break;
            }
            world.restart(power);
            // The start after it crashes as well, somewhere.
            let again = 1 + at_operation % 13;
            world.disk.faults().crash_after(again);
            let result = world.start().map(|_| ());
            crashed(&result, &world);
            world.restart(!power);
            world.disk.faults().crash_after(0);
            world.judge();
        }
    }
    assert!(operations > 60, "{operations} operations");
}

#[test]
fn a_header_is_durable_before_its_frame_is_returned() {
    for seed in 0..200 {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let mut spool = crate::world::begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        let frame = spool.cut().unwrap().unwrap();
        // The very next operation crashes.
        disk.faults().crash_after(1);
        assert!(spool.append(&at(START_MS, vec![Event::Heartbeat])).is_err());
        assert_eq!(spool.cut(), Err(SpoolError::Ended));
        disk.restart();
        let (spool, _) = open(&disk).unwrap();
        let found = all_frames(&spool);
        assert_eq!(
            found.first().map(orebook_schema::Frame::header_hash),
            Some(frame.header_hash())
        );
        assert_eq!(found[0].bytes(), frame.bytes());
    }
}

#[test]
fn a_header_goes_in_the_write_of_the_group_that_its_frame_has_no_room_for() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let mut spool = crate::world::begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        spool.append(&shares(START_MS, 0..900)).unwrap();
        let copy = disk.fork_copy();
        let (mut twin, _) = open(&copy).unwrap();
        let expected = twin.cut().unwrap().unwrap();
        // Not at all, at the write, at the sync.
        let crash = seed % 3;
        disk.faults().crash_after(crash);
        let before = disk.operations();
        let appended = spool.append(&shares(START_MS, 900..1_100));
        if crash == 0 {
            assert!(appended.unwrap().cut);
            assert_eq!(disk.operations() - before, 2, "one write and one sync");
            assert!(all_frames(&spool) == [expected.clone()]);
        } else {
            assert!(appended.is_err());
            assert_eq!(spool.cut(), Err(SpoolError::Ended));
        }
        disk.restart();
        let (mut spool, found) = open(&disk).unwrap();
        let frames = all_frames(&spool);
        assert!(
            frames.is_empty() || frames == [expected.clone()],
            "seed {seed}"
        );
        let left = match (frames.len(), found.unframed_events) {
            // Nothing of the write, its header alone, all of it.
            (0, 906) | (1, 0) if crash != 0 => 0,
            (1, 200) => 200,
            other => panic!("seed {seed}: {other:?}"),
        };
        seen.insert((frames.len(), left));
        spool.begin(START_MS, stream(5)).unwrap();
        let mut ledger = Ledger::new();
        ledger.publish(&spool);
        ledger.assert_counted(&(0..900 + left).collect::<Vec<u32>>());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn what_a_start_shows_is_durable() {
    let mut shown = 0;
    for seed in 0..100 {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let mut spool = crate::world::begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        // Killed between a header's write and its sync, or within them.
        disk.faults().crash_after(2);
        assert!(spool.cut().is_err());
        disk.restart_process();
        let (spool, found) = open(&disk).unwrap();
        let frames = all_frames(&spool);
        // A publisher may have sent what it was shown, and the power fails.
        disk.restart();
        let (spool, again) = open(&disk).unwrap();
        assert_eq!(all_frames(&spool), frames);
        assert_eq!(again.unframed_events, found.unframed_events);
        shown += frames.len();
    }
    assert!(shown > 50, "{shown}");
}

#[test]
fn what_a_start_after_a_failed_sync_shows_is_durable() {
    for seed in 0..40 {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let mut spool = crate::world::begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        disk.faults().fail_sync_after(1);
        assert!(spool.cut().is_err());
        // The system holds the pages for clean: readers see them, and a sync alone writes nothing.
        disk.restart_process();
        let (spool, _) = open(&disk).unwrap();
        let frames = all_frames(&spool);
        assert_eq!(frames.len(), 1);
        disk.restart();
        let (spool, _) = open(&disk).unwrap();
        assert_eq!(all_frames(&spool), frames);
    }
}

#[test]
fn after_a_failed_sync_the_spool_refuses_everything() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut spool = crate::world::begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        disk.faults().fail_sync_after(1);
        let failed = spool.append(&at(START_MS, vec![Event::Heartbeat]));
        assert!(matches!(failed, Err(SpoolError::Disk(_))), "{failed:?}");
        assert_eq!(
            spool.append(&at(START_MS, vec![Event::Heartbeat])),
            Err(SpoolError::Ended)
        );
        assert_eq!(spool.cut(), Err(SpoolError::Ended));
        assert_eq!(spool.begin(START_MS, stream(1)), Err(SpoolError::Ended));
        assert_eq!(spool.trim(&BTreeMap::new(), 0), Err(SpoolError::Ended));
        let moved = spool.move_stream(START_MS, stream(100), 0, stream(1));
        assert_eq!(moved, Err(SpoolError::Ended));
        // The pages that were not synced are lost; what was answered is not.
        disk.restart();
        let (mut spool, found) = open(&disk).unwrap();
        assert_eq!((found.next_seq, found.unframed_events), (6, 6));
        spool.begin(START_MS, stream(1)).unwrap();
    }
}
