//! An archiver, a gateway and settlers around one simulated broker, each on a simulated disk. Clocks are numbers.

use std::sync::{Arc, Mutex};

use orebook_ledger::archiver::Archiver;
use orebook_ledger::authority::thing_digest;
use orebook_ledger::segment::StoreConfig;
use orebook_ledger::spool::FILE_BYTES_MIN;
use orebook_replay::engine::SharedReader;
use orebook_replay::store::MemoryStore;
use orebook_schema::event::{Approval, KeyAction, KeyChange};
use orebook_schema::genesis::Genesis;
use orebook_schema::names::{Account, Pot, RegisteredName, WorkerName};
use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::work::{
    BlockFound, BlockRecovered, BlockStatus, Extranonce, Job, Share, Worker,
};
use orebook_schema::{At, Event, Hash, Key, LedgerId, Policy, Role, StreamId, Work};
use orebook_settler::book::OurBlock;
use orebook_settler::look::{Dialect, Payout};
use orebook_settler::machine::{Machine, MachineConfig, MachineError};
use orebook_settler::metrics::Metrics;
use orebook_sim::broker::SimBroker;
use orebook_sim::disk::SimDisk;
use orebook_sim::ground::{self, Speaker};

use crate::chain::{FakeChain, OUR_SCRIPT, OUR_TEXT, txid_of};

pub(crate) const LEDGER: LedgerId = LedgerId([0x1d; 16]);
/// Depths of the genesis policy, in blocks on top.
pub(crate) const IMMATURE: u64 = 2;
pub(crate) const CONFIRMED: u64 = 5;
pub(crate) const ORPHAN: u64 = 3;
/// Fees of every job's template.
pub(crate) const JOB_FEES: u128 = 70;
pub(crate) const GRACE_MS: u64 = 3_000;
/// Milliseconds that a turn takes.
const TURN_MS: u64 = 100;
/// Turns between two ordinary shares: ledger time goes on by them.
const SHARE_TURNS: u64 = 10;
/// Turns without anything said until the world counts as calm: a found block is final by then, and looked at.
const QUIET_TURNS: u32 = 25;

/// A job whose coinbase pays accounts.
pub(crate) const DIRECT_JOB: u32 = 1;

pub(crate) use orebook_sim::ground::{poll, signer};

const DESK: u8 = 1;
const GATEWAY: u8 = 2;
const ARCHIVER: u8 = 3;
pub(crate) const SETTLERS: [u8; 2] = [4, 5];

fn genesis() -> Genesis {
    let mut producers = vec![
        (DESK, Role::Desk),
        (GATEWAY, Role::Gateway),
        (ARCHIVER, Role::Archiver),
    ];
    producers.extend(SETTLERS.map(|name| (name, Role::Settler)));
    let pots = [(0, Scheme::Pplns), (1, Scheme::Fpps)].map(|(pot, scheme)| PotRules {
        fee_ppm: 10_000,
        ..ground::pot(pot, scheme)
    });
    Genesis {
        policy: Policy {
            pots: pots.to_vec(),
            immature_depth: IMMATURE as u32,
            confirmed_depth: CONFIRMED as u32,
            orphan_depth: ORPHAN as u32,
            ..ground::policy()
        },
        ..ground::genesis(LEDGER, &producers)
    }
}

pub(crate) fn disk_with_genesis(seed: u64, dir: &str) -> SimDisk {
    ground::disk_with_genesis(&genesis(), DESK, seed, dir)
}

pub(crate) const fn store_config() -> StoreConfig {
    ground::store_config()
}

fn speaker(role: Role, name: u8, seed: u64, now: u64) -> Speaker {
    let spool = ground::spool_config(LEDGER, role, FILE_BYTES_MIN);
    let disk = disk_with_genesis(seed, "mirror");
    Speaker::new(disk, &genesis(), name, spool, now)
}

pub(crate) fn machine_config(sights: u32) -> MachineConfig {
    MachineConfig {
        spool: ground::spool_config(LEDGER, Role::Settler, FILE_BYTES_MIN),
        dialect: Dialect::Bitcoin(Payout {
            scripts: vec![OUR_SCRIPT.to_vec()],
            texts: vec![OUR_TEXT.to_owned()],
        }),
        sights,
        grace_ms: GRACE_MS,
        watch_heights: 50,
    }
}

/// A settler's process, and the disk that outlives it.
pub(crate) struct SettlerLife {
    pub(crate) disk: SimDisk,
    pub(crate) name: u8,
    pub(crate) sights: u32,
    /// The chain as its nodes show it, where that is not everybody's.
    pub(crate) own_chain: Option<FakeChain>,
    is_eth: bool,
    pub(crate) life: Option<(SharedReader<SimDisk>, Machine<SimDisk>)>,
    pub(crate) starts: u32,
    /// Counters of former lives, summed up.
    pub(crate) said_before: u64,
}

impl SettlerLife {
    fn new(name: u8, sights: u32, is_eth: bool) -> Self {
        Self {
            own_chain: None,
            is_eth,
            disk: disk_with_genesis(u64::from(name), "mirror"),
            name,
            sights,
            life: None,
            starts: 0,
            said_before: 0,
        }
    }

    pub(crate) fn machine(&self) -> &Machine<SimDisk> {
        &self.life.as_ref().expect("it runs").1
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.machine().counters().read()
    }

    /// Statuses and recovered blocks appended, in all lives.
    pub(crate) fn said(&self) -> u64 {
        let now = self.life.as_ref().map_or(0, |(_, machine)| {
            let it = machine.counters().read();
            let states = it.said_seen + it.said_immature + it.said_confirmed + it.said_orphaned;
            let states = states + it.said_uncle + it.said_fee_means;
            states + it.said_recovered
        });
        self.said_before + now
    }

    /// Why it did not start is a fault of its disk.
    pub(crate) fn start(&mut self, now: u64) -> Result<(), String> {
        self.starts += 1;
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let reader = ground::mirror(&self.disk, LEDGER).map_err(|error| words(&error))?;
        let mut config = machine_config(self.sights);
        if self.is_eth {
            config.dialect = crate::eth::dialect();
        }
        let machine = Machine::open(
            self.disk.clone(),
            "settler",
            config,
            signer(self.name),
            Arc::new(MemoryStore::new()),
            now,
            self.stream(now),
        )
        .map_err(|error| words(&error))?;
        self.life = Some((SharedReader(Arc::new(Mutex::new(reader))), machine));
        Ok(())
    }

    pub(crate) fn kill(&mut self) {
        self.said_before = self.said();
        self.life = None;
    }

    fn stream(&self, now: u64) -> StreamId {
        let mut random = [self.name; 10];
        random[..4].copy_from_slice(&self.starts.to_le_bytes());
        StreamId::from_parts(now, random)
    }
}

/// How the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatewayIs {
    Up,
    /// It has miners, and no link to the log.
    CutOff,
    Dead,
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) chain: FakeChain,
    pub(crate) broker: SimBroker,
    /// None while it is away: nothing becomes final.
    pub(crate) keeper: Archiver<SimDisk>,
    pub(crate) keeper_runs: bool,
    gateway: Speaker,
    pub(crate) gateway_is: GatewayIs,
    pub(crate) settlers: Vec<SettlerLife>,
    runtime: tokio::runtime::Runtime,
    nonce: u32,
    /// What its shares are of: job 0, whose coinbase pays the pool alone, or [`DIRECT_JOB`].
    pub(crate) job: u32,
}

impl World {
    /// With settlers that say a change after so many equal sights.
    pub(crate) fn new(settlers: usize, sights: u32) -> Self {
        Self::of(settlers, sights, false)
    }

    /// The same with an ethash-like's chain.
    pub(crate) fn eth(settlers: usize, sights: u32) -> Self {
        Self::of(settlers, sights, true)
    }

    fn of(settlers: usize, sights: u32, is_eth: bool) -> Self {
        let now = 1_000_000;
        let mut world = Self {
            now,
            chain: FakeChain::new(),
            broker: SimBroker::new(7),
            keeper: ground::archiver(disk_with_genesis(100, "archive"), LEDGER, ARCHIVER, now),
            keeper_runs: true,
            gateway: speaker(Role::Gateway, GATEWAY, 101, now),
            gateway_is: GatewayIs::Up,
            settlers: SETTLERS
                .into_iter()
                .take(settlers)
                .map(|name| SettlerLife::new(name, sights, is_eth))
                .collect(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            nonce: 0,
            job: 0,
        };
        if is_eth {
            world.chain.be_eth();
        }
        for settler in &mut world.settlers {
            settler.start(now).unwrap();
        }
        world.announce();
        world.turns(20);
        world
    }

    fn announce(&mut self) {
        let worker = Worker {
            number: 0,
            pot: Pot(0),
            extranonce1: Extranonce::new(&[0; 4]).unwrap(),
            extranonce2_size: 4,
            version_mask: 0,
            account: Account::Name(RegisteredName::parse("anna").unwrap()),
            name: WorkerName::parse("rig").unwrap(),
        };
        let job = Job {
            number: 0,
            policy: At::default(),
            height: 1,
            network_work: 1_000,
            reward: 5_070,
            fees: JOB_FEES,
            version: 0,
            prev: Hash::ZERO,
            nbits: 0x207f_ffff,
            time: 0,
            clean: true,
            coinbase1: vec![1],
            coinbase2: vec![2],
            branches: Vec::new(),
            direct: 0,
        };
        let direct = Job {
            number: DIRECT_JOB,
            direct: 1,
            ..job.clone()
        };
        let events = [
            Event::Worker(Box::new(worker)),
            Event::Job(Box::new(job)),
            Event::Job(Box::new(direct)),
        ];
        self.gateway.write(self.now, &events);
    }

    fn share(&mut self, block: bool) -> Event {
        self.nonce += 1;
        let share = Share {
            worker: 0,
            job: self.job,
            work: Work::new(10).unwrap(),
            block,
            stale: false,
            nonce: self.nonce,
            ntime: 0,
            version: 0,
            extranonce2: Extranonce::new(&self.nonce.to_le_bytes()).unwrap(),
        };
        Event::Share(share)
    }

    /// The gateway records that it found this block of the fake chain.
    pub(crate) fn found(&mut self, hash: Hash, height: u64) {
        self.found_with(hash, height, txid_of(hash));
    }

    /// The gateway records that it found this block.
    pub(crate) fn found_with(&mut self, hash: Hash, height: u64, coinbase_txid: Hash) {
        let share = self.share(true);
        let block = BlockFound {
            hash,
            height,
            coinbase_txid,
            header: vec![0; 80],
        };
        self.gateway
            .write(self.now, &[share, Event::BlockFound(block)]);
    }

    /// Everybody but the settlers.
    fn others_turn(&mut self) {
        self.now += TURN_MS;
        let now = self.now;
        self.broker.deliver(false);
        if self.keeper_runs {
            ground::archive(&mut self.keeper, &mut self.broker, now);
        }
        if self.gateway_is == GatewayIs::Dead {
            return;
        }
        if self.now.is_multiple_of(SHARE_TURNS * TURN_MS) {
            let share = self.share(false);
            self.gateway.write(now, &[share]);
        }
        if self.gateway_is == GatewayIs::CutOff {
            // Its publisher finds a log that answers nothing.
            let mut nowhere = SimBroker::new(8);
            nowhere.set_available(false);
            self.gateway.turn(&mut nowhere, now);
            return;
        }
        self.gateway.turn(&mut self.broker, now);
    }

    /// One settler's turn; an error is its process's end.
    pub(crate) fn settler_turn(&mut self, index: usize) -> Result<(), MachineError> {
        let settler = &mut self.settlers[index];
        let stream = settler.stream(self.now);
        let chain = settler.own_chain.as_ref().unwrap_or(&self.chain);
        let Some((mirror, machine)) = &mut settler.life else {
            return Ok(());
        };
        poll(&mut mirror.0.lock().unwrap(), &self.broker);
        if settler.disk.crashed() {
            return Ok(());
        }
        machine.ledger_turn(mirror, &mut self.broker, self.now, stream)?;
        self.runtime.block_on(machine.chain_turn(chain, self.now))
    }

    pub(crate) fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.others_turn();
            for index in 0..self.settlers.len() {
                self.settler_turn(index).unwrap();
            }
        }
    }

    /// A turn in which settlers' disks may die, and their processes with them. Returns who died.
    pub(crate) fn turn_with_deaths(&mut self) -> Vec<usize> {
        self.others_turn();
        let mut dead = Vec::new();
        for index in 0..self.settlers.len() {
            let failed = self.settler_turn(index).is_err();
            let settler = &mut self.settlers[index];
            assert!(
                !failed || settler.disk.crashed(),
                "it ends by its disk only"
            );
            if settler.disk.crashed() && settler.life.is_some() {
                settler.kill();
                dead.push(index);
            }
        }
        dead
    }

    /// A settler without any sense says these events, as the second settler's key; they are final on return.
    pub(crate) fn blurt(&mut self, events: &[Event]) {
        self.say(Role::Settler, SETTLERS[1], events);
    }

    /// Somebody of this role and name says these events; they are final on return.
    fn say(&mut self, role: Role, name: u8, events: &[Event]) {
        let mut speaker = speaker(role, name, self.now, self.now);
        speaker.say(self.now, events);
        for _ in 0..100 {
            self.turns(1);
            speaker.turn(&mut self.broker, self.now);
            if speaker.is_idle() {
                return;
            }
        }
        panic!("what was blurted out does not become final");
    }

    /// The desk puts a gateway's key in force, or revokes it; none: that of the gateway that runs. `expects` is the key's last
    /// change. Returns the place of this one.
    pub(crate) fn change_key(&mut self, name: Option<u8>, action: KeyAction, expects: At) -> At {
        let key = signer(name.unwrap_or(GATEWAY)).key();
        let change = KeyChange {
            key,
            role: Role::Gateway,
            action,
            expects,
        };
        let change = Event::KeyChange(change);
        let thing = thing_digest(LEDGER, &change);
        let approval = Event::Approval(Approval {
            thing,
            approver: signer(DESK).key(),
            signature: signer(DESK).sign_approval(LEDGER, &thing),
        });
        self.say(Role::Desk, DESK, &[change, approval]);
        self.turns(20);
        let state = self.keeper.reader().settled();
        let mut keys = state.authority().unwrap().keys();
        let (_, _, in_force, last) = keys.find(|(known, ..)| *known == key).unwrap();
        assert_eq!(in_force, action == KeyAction::InForce, "it is obeyed");
        last
    }

    /// Turns until nothing was said for a while and nobody waits for anything.
    pub(crate) fn calm(&mut self) {
        let said = |world: &Self| world.settlers.iter().map(SettlerLife::said).sum::<u64>();
        let mut quiet = 0;
        for _ in 0..2_000 {
            let before = said(self);
            self.turns(1);
            let is_idle = self.settlers.iter().all(|it| it.machine().is_free());
            quiet = if is_idle && before == said(self) {
                quiet + 1
            } else {
                0
            };
            if quiet == QUIET_TURNS {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// What the first settler's book says of a block.
    pub(crate) fn book(&self, hash: Hash) -> Option<OurBlock> {
        let book = self.settlers[0].machine().book();
        book.block(hash).unwrap()
    }

    /// Name of a block's state, "none" before the first.
    pub(crate) fn state(&self, hash: Hash) -> &'static str {
        let obeyed = self.book(hash).and_then(|block| block.obeyed);
        obeyed.map_or("none", |obeyed| obeyed.state.name())
    }

    /// Every settler's event of the final ledger, in order: (place, who, event).
    pub(crate) fn said(&self) -> Vec<(At, Key, Event)> {
        let reader = self.keeper.reader();
        let mut said = Vec::new();
        for position in 0..reader.final_size() {
            let stored = reader.store().read(position).unwrap().unwrap();
            for (index, raw) in (0u16..).zip(stored.frame.events()) {
                let event = raw.unwrap().decode().unwrap();
                if matches!(
                    event,
                    Event::BlockStatus(_) | Event::BlockRecovered(_) | Event::FeeMean(_)
                ) {
                    let key = stored.frame.header().key;
                    said.push((At { position, index }, key, event));
                }
            }
        }
        said
    }

    /// Statuses of a block in the final ledger, obeyed or not.
    pub(crate) fn statuses(&self, hash: Hash) -> Vec<(At, BlockStatus)> {
        let of = |(at, _, event)| match event {
            Event::BlockStatus(status) if status.hash == hash => Some((at, status)),
            _ => None,
        };
        self.said().into_iter().filter_map(of).collect()
    }

    /// Means of fees of the final ledger that were obeyed, in order: (height, mean); by no code of the settler's.
    pub(crate) fn means(&self) -> Vec<(u64, u128)> {
        let (mut last, mut means) = (At::default(), Vec::new());
        for (at, _, event) in self.said() {
            if let Event::FeeMean(mean) = event
                && mean.expects == last
            {
                last = at;
                means.push((mean.height, mean.mean));
            }
        }
        means
    }

    pub(crate) fn recoveries(&self) -> Vec<BlockRecovered> {
        let of = |(_, _, event)| match event {
            Event::BlockRecovered(block) => Some(block),
            _ => None,
        };
        self.said().into_iter().filter_map(of).collect()
    }

    /// States of a block that were obeyed, in order, by the rule of the format page and no code of the settler's.
    pub(crate) fn obeyed(&self, hash: Hash) -> Vec<&'static str> {
        let mut last = At::default();
        let mut states = Vec::new();
        for (at, status) in self.statuses(hash) {
            if status.expects == last {
                last = at;
                states.push(status.state.name());
            }
        }
        states
    }
}
