//! An archiver, a desk and producers around one simulated broker, each on a simulated disk. Clocks are numbers.
//!
//! What a producer says here compares nothing: were it not for the shell, a number would be said twice or left out.

use std::sync::{Arc, Mutex};

use orebook_ledger::archiver::Archiver;
use orebook_ledger::authority::thing_digest;
use orebook_ledger::spool::FILE_BYTES_MIN;
use orebook_producer::decider::DeciderConfig;
use orebook_producer::{Decider, ProducerError};
use orebook_replay::engine::SharedReader;
use orebook_replay::folds::control::Control;
use orebook_replay::store::MemoryStore;
use orebook_schema::event::{Approval, KeyAction, KeyChange};
use orebook_schema::genesis::Genesis;
use orebook_schema::work::FeeMean;
use orebook_schema::{At, Event, Frame, LedgerId, Role, StreamId};
use orebook_sim::broker::SimBroker;
use orebook_sim::disk::SimDisk;
use orebook_sim::ground::{self, Speaker, signer};

pub(crate) const LEDGER: LedgerId = LedgerId([0x3d; 16]);
/// Milliseconds that a turn takes.
const TURN_MS: u64 = 100;

const DESK: u8 = 1;
const ARCHIVER: u8 = 3;
pub(crate) const COUNTER: u8 = 4;
/// A key that genesis does not put in force.
pub(crate) const STRANGER: u8 = 9;

fn genesis() -> Genesis {
    let producers = [
        (DESK, Role::Desk),
        (ARCHIVER, Role::Archiver),
        (COUNTER, Role::Settler),
    ];
    ground::genesis(LEDGER, &producers)
}

pub(crate) fn disk(seed: u64, dir: &str) -> SimDisk {
    ground::disk_with_genesis(&genesis(), DESK, seed, dir)
}

pub(crate) fn number(height: u64) -> Event {
    Event::FeeMean(FeeMean {
        height,
        expects: At::default(),
        mean: 0,
    })
}

/// A process that counts, and the disk that outlives it.
pub(crate) struct Life {
    pub(crate) disk: SimDisk,
    pub(crate) name: u8,
    pub(crate) life: Option<(SharedReader<SimDisk>, Decider<SimDisk>)>,
    starts: u8,
    /// Says nothing of itself any more.
    pub(crate) is_silent: bool,
}

impl Life {
    fn new(name: u8, seed: u64) -> Self {
        Self {
            disk: disk(seed, "mirror"),
            name,
            life: None,
            starts: 0,
            is_silent: false,
        }
    }

    /// Why it did not start is a fault of its disk.
    pub(crate) fn start(&mut self, now: u64) -> Result<(), String> {
        self.starts += 1;
        let reader = ground::mirror(&self.disk, LEDGER).map_err(|error| error.to_string())?;
        let config = DeciderConfig {
            name: "counter",
            spool: ground::spool_config(LEDGER, Role::Settler, FILE_BYTES_MIN),
            fold: || Box::new(Control),
        };
        let opened = Decider::open(
            config,
            self.disk.clone(),
            "counter",
            signer(self.name),
            Arc::new(MemoryStore::new()),
            now,
            self.stream(now),
        );
        let decider = opened.map_err(|error| error.to_string())?;
        self.life = Some((SharedReader(Arc::new(Mutex::new(reader))), decider));
        Ok(())
    }

    pub(crate) fn decider(&self) -> &Decider<SimDisk> {
        &self.life.as_ref().expect("it runs").1
    }

    fn stream(&self, now: u64) -> StreamId {
        let mut random = [self.name; 10];
        random[0] = self.starts;
        StreamId::from_parts(now, random)
    }

    /// One turn; an error is its process's end.
    fn turn(&mut self, broker: &mut SimBroker, now: u64) -> Result<(), ProducerError> {
        let stream = self.stream(now);
        let Some((mirror, decider)) = &mut self.life else {
            return Ok(());
        };
        ground::poll(&mut mirror.0.lock().unwrap(), broker);
        if self.disk.crashed() {
            return Ok(());
        }
        decider.turn(mirror, broker, now, stream)?;
        if decider.is_free() && !self.is_silent {
            let next = 1 + last(mirror, decider.follower().size());
            decider.say(now, &[number(next)])?;
        }
        Ok(())
    }
}

/// The highest number among the first so many positions.
fn last(mirror: &SharedReader<SimDisk>, size: u64) -> u64 {
    let reader = mirror.0.lock().unwrap();
    let below = (0..size).map(|position| reader.store().read(position).unwrap().unwrap());
    let events = below.flat_map(|stored| stored.frame.decode().unwrap());
    events
        .filter_map(|event| number_of(&event))
        .max()
        .unwrap_or(0)
}

fn number_of(event: &Event) -> Option<u64> {
    match event {
        Event::FeeMean(mean) => Some(mean.height),
        _ => None,
    }
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) broker: SimBroker,
    pub(crate) keeper: Archiver<SimDisk>,
    /// While it does not run nothing becomes final.
    pub(crate) keeper_runs: bool,
    desk: Speaker,
    pub(crate) counters: Vec<Life>,
}

impl World {
    /// With one that counts, under this key.
    pub(crate) fn new(name: u8) -> Self {
        let now = 1_000_000;
        let spool = ground::spool_config(LEDGER, Role::Desk, FILE_BYTES_MIN);
        let mut world = Self {
            now,
            broker: SimBroker::new(7),
            keeper: ground::archiver(disk(100, "archive"), LEDGER, ARCHIVER, now),
            keeper_runs: true,
            desk: Speaker::new(disk(101, "mirror"), &genesis(), DESK, spool, now),
            counters: vec![Life::new(name, u64::from(name))],
        };
        world.counters[0].start(now).unwrap();
        world
    }

    /// A snapshot of the first one's machine runs beside it, with its key and its stream.
    pub(crate) fn clone_it(&mut self) {
        let mut clone = Life::new(self.counters[0].name, 0);
        clone.disk = self.counters[0].disk.fork_copy();
        clone.starts = 100;
        clone.start(self.now).unwrap();
        self.counters.push(clone);
    }

    fn others_turn(&mut self) {
        self.now += TURN_MS;
        self.broker.deliver(false);
        if self.keeper_runs {
            ground::archive(&mut self.keeper, &mut self.broker, self.now);
        }
        self.desk.turn(&mut self.broker, self.now);
    }

    pub(crate) fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.others_turn();
            for counter in &mut self.counters {
                counter.turn(&mut self.broker, self.now).unwrap();
            }
        }
    }

    /// A turn in which the first one's disk may die, and its process with it. Whether it did.
    pub(crate) fn turn_with_death(&mut self) -> bool {
        self.others_turn();
        let counter = &mut self.counters[0];
        let failed = counter.turn(&mut self.broker, self.now).is_err();
        assert!(
            !failed || counter.disk.crashed(),
            "it ends by its disk only"
        );
        let died = counter.disk.crashed() && counter.life.is_some();
        if died {
            counter.life = None;
        }
        died
    }

    /// Turns until nobody waits for anything, and nobody says more.
    pub(crate) fn calm(&mut self) {
        self.keeper_runs = true;
        self.broker.set_faults(Default::default());
        self.broker.deliver(true);
        for counter in &mut self.counters {
            counter.is_silent = true;
        }
        for _ in 0..1_000 {
            self.turns(1);
            if self.counters.iter().all(|it| it.decider().is_free()) {
                self.turns(10);
                return;
            }
        }
        panic!("it does not come to rest")
    }

    /// The desk puts a key in force as a settler's; final on return.
    pub(crate) fn put_in_force(&mut self, name: u8) {
        let change = Event::KeyChange(KeyChange {
            key: signer(name).key(),
            role: Role::Settler,
            action: KeyAction::InForce,
            expects: At::default(),
        });
        let thing = thing_digest(LEDGER, &change);
        let approval = Event::Approval(Approval {
            thing,
            approver: signer(DESK).key(),
            signature: signer(DESK).sign_approval(LEDGER, &thing),
        });
        self.desk.say(self.now, &[change, approval]);
        self.until_the_desk_is_heard();
    }

    /// The desk says so many heartbeats, a frame each; final on return.
    pub(crate) fn heartbeats(&mut self, count: u64) {
        for _ in 0..count {
            self.desk.say(self.now, &[Event::Heartbeat]);
        }
        self.until_the_desk_is_heard();
    }

    fn until_the_desk_is_heard(&mut self) {
        for _ in 0..1_000 {
            self.turns(1);
            if self.desk.is_idle() {
                self.turns(5);
                return;
            }
        }
        panic!("what the desk said does not become final")
    }

    /// The numbers of the final ledger, in its order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let reader = self.keeper.reader();
        let frames = (0..reader.final_size()).map(|position| reader.store().read(position));
        let events = frames.flat_map(|stored| stored.unwrap().unwrap().frame.decode().unwrap());
        events.filter_map(|event| number_of(&event)).collect()
    }

    /// Records that the broker has.
    pub(crate) fn records(&self) -> usize {
        self.broker.records().len()
    }

    /// Of those, the ones that this key signed.
    pub(crate) fn records_of(&self, name: u8) -> usize {
        let records = self.broker.records().into_iter();
        let frames = records.filter_map(|record| Frame::read(record.bytes).ok());
        let key = signer(name).key();
        frames.filter(|frame| frame.header().key == key).count()
    }
}
