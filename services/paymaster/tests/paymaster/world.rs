//! An archiver, a gateway, two projectors and paymasters around one simulated broker, each on a simulated disk, and a
//! simulated chain. Clocks are numbers.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use orebook_ledger::admit::Trust;
use orebook_ledger::archiver::Archiver;
use orebook_ledger::authority::thing_digest;
use orebook_paymaster::machine::{Machine, MachineError};
use orebook_paymaster::metrics::Metrics;
use orebook_paymaster::why::Why;
use orebook_replay::engine::{Engine, SharedReader};
use orebook_replay::folds::money::{self, Money, SUB_UNITS, payouts};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::account::{SetBy, Setting, SettingValue};
use orebook_schema::desk::{AdjustedBook, Adjustment, Direction, Reason};
use orebook_schema::names::{Pot, RegisteredName, WorkerName};
use orebook_schema::payout::{PayoutHalt, PayoutResume};
use orebook_schema::work::{BlockFound, BlockState, BlockStatus, Extranonce, Job, Share, Worker};
use orebook_schema::{Account, At, Event, Hash, Role, StreamId, Work};
use orebook_sim::broker::SimBroker;
use orebook_sim::disk::SimDisk;
use orebook_sim::ground::{self, Speaker, poll};

use crate::chain::{Chain, Edge};
use crate::setup::*;

/// A paymaster's process, and the disk that outlives it.
pub(crate) struct Life {
    pub(crate) disk: SimDisk,
    name: u8,
    setup: Setup,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) life: Option<(SharedReader<SimDisk>, Machine<SimDisk>)>,
    starts: u32,
    /// Its clock goes so much behind everybody else's.
    pub(crate) behind_ms: u64,
}

impl Life {
    pub(crate) fn machine(&self) -> &Machine<SimDisk> {
        &self.life.as_ref().expect("it runs").1
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.machine().counters().read()
    }

    /// Why it did not start is a fault of its disk.
    pub(crate) fn start(&mut self, now: u64) -> Result<(), String> {
        self.starts += 1;
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let reader = ground::mirror(&self.disk, LEDGER).map_err(|error| words(&error))?;
        let machine = Machine::open(
            self.disk.clone(),
            "paymaster",
            self.setup.machine_config(),
            signer(self.name),
            self.store.clone(),
            now,
            self.stream(now),
        )
        .map_err(|error| words(&error))?;
        self.life = Some((SharedReader(Arc::new(Mutex::new(reader))), machine));
        Ok(())
    }

    /// Somebody gives it another's key, and another disk.
    pub(crate) fn become_(&mut self, name: u8) {
        self.name = name;
        self.disk = self.setup.disk_with_genesis(300, "mirror");
    }

    /// The process is killed, and started again on what is left.
    pub(crate) fn restart(&mut self, now: u64, power: bool) {
        self.life = None;
        if power {
            self.disk.restart();
        } else {
            self.disk.restart_process();
        }
        // A disk that dies while its process starts: again.
        while self.start(now).is_err() {
            self.disk.restart();
        }
    }

    fn stream(&self, now: u64) -> StreamId {
        let mut random = [self.name; 10];
        random[..4].copy_from_slice(&self.starts.to_le_bytes());
        StreamId::from_parts(now, random)
    }
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) setup: Setup,
    pub(crate) chain: Chain,
    pub(crate) broker: SimBroker,
    pub(crate) keeper: Archiver<SimDisk>,
    /// While it does not run nothing becomes final.
    pub(crate) keeper_runs: bool,
    gateway: Speaker,
    projector: (SharedReader<SimDisk>, Engine),
    pub(crate) projectors: Projectors,
    pub(crate) paymasters: Vec<Life>,
    /// Others' spools: desk and settler.
    others: BTreeMap<u8, Speaker>,
    runtime: tokio::runtime::Runtime,
    nonce: u32,
    /// Base units that each account was given.
    pub(crate) given: BTreeMap<Account, u128>,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let now = 1_000_000;
        let disk = setup.disk_with_genesis(100, "archive");
        let keeper = ground::archiver(disk, LEDGER, ARCHIVER, now);
        let gateway = setup.speaker(GATEWAY, Role::Gateway);
        let others = [(DESK, Role::Desk), (SETTLER, Role::Settler)]
            .map(|(name, role)| (name, setup.speaker(name, role)));
        let disk = setup.disk_with_genesis(102, "mirror");
        let reader = ground::mirror(&disk, LEDGER).unwrap();
        let mirror = SharedReader(Arc::new(Mutex::new(reader)));
        let store = Arc::new(MemoryStore::new());
        let folds: Vec<(Box<dyn orebook_replay::fold::Fold + Send>, Arc<dyn Store>)> =
            vec![(Box::new(Money), store.clone())];
        let engine = Engine::open(LEDGER, folds, Trust::CheckedBefore, &mirror, 0).unwrap();
        let paymasters = PAYMASTERS.into_iter().take(setup.paymasters);
        let mut world = Self {
            now,
            setup,
            chain: Chain::new(setup.one_each, setup.coins),
            broker: SimBroker::new(7),
            keeper,
            keeper_runs: true,
            gateway,
            projector: (mirror, engine),
            projectors: Projectors {
                store,
                moods: Arc::new(Mutex::new([Mood::Honest; 2])),
            },
            paymasters: paymasters
                .map(|name| Life {
                    disk: setup.disk_with_genesis(u64::from(name), "mirror"),
                    name,
                    setup,
                    store: Arc::default(),
                    life: None,
                    starts: 0,
                    behind_ms: 0,
                })
                .collect(),
            others: BTreeMap::from(others),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            nonce: 0,
            given: BTreeMap::new(),
        };
        for paymaster in &mut world.paymasters {
            paymaster.start(now).unwrap();
        }
        world.announce();
        world
    }

    /// With these accounts' balances, base units, final on return.
    pub(crate) fn with(setup: Setup, balances: &[(Account, u128)]) -> Self {
        let mut world = Self::new(setup);
        world.give(balances);
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
            reward: 5_000,
            fees: 0,
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
        let events = [Event::Worker(Box::new(worker)), Event::Job(Box::new(job))];
        self.gateway.write(self.now, &events);
    }

    fn share(&mut self, block: bool) -> Event {
        self.nonce += 1;
        let share = Share {
            worker: 0,
            job: 0,
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

    /// A block of ours at this height is found and confirmed; final on return.
    pub(crate) fn confirmed_block(&mut self, height: u64) -> Hash {
        let hash = Hash::of(&[b"our block", &height.to_le_bytes()]);
        let share = self.share(true);
        let found = BlockFound {
            hash,
            height,
            coinbase_txid: Hash::of(&[&hash.0]),
            header: vec![0; 80],
        };
        self.gateway
            .write(self.now, &[share, Event::BlockFound(found)]);
        self.turns(20);
        let mut expects = At::default();
        for state in [
            BlockState::Seen,
            BlockState::Immature,
            BlockState::Confirmed,
        ] {
            expects = self.status(hash, height, state, expects);
        }
        hash
    }

    /// The settler says a block's state; returns its place.
    pub(crate) fn status(&mut self, hash: Hash, height: u64, state: BlockState, expects: At) -> At {
        let status = BlockStatus {
            hash,
            expects,
            state,
            height,
            value: 5_000,
            fees: 0,
        };
        self.say(SETTLER, &[Event::BlockStatus(status)])
    }

    /// The place of a block's last status.
    pub(crate) fn last_status(&self, hash: Hash) -> At {
        let view = self.projectors.store.view().unwrap();
        let block = money::block(&*view, &hash).unwrap().unwrap();
        block.status.unwrap().at
    }

    /// Adjusts accounts by so many base units each.
    pub(crate) fn give(&mut self, balances: &[(Account, u128)]) {
        for chunk in balances.chunks(100) {
            let mut events = Vec::new();
            for (account, amount) in chunk {
                let expects = self.last_adjustment(account);
                *self.given.entry(account.clone()).or_default() += amount;
                let adjustment = Event::Adjustment(Box::new(Adjustment {
                    account: account.clone(),
                    expects,
                    book: AdjustedBook::Reserve,
                    direction: Direction::ToAccount,
                    // Some sub-units stay with every account.
                    amount: amount * SUB_UNITS + 7,
                    block: None,
                    reason: Reason::parse("a test gives it").unwrap(),
                }));
                let thing = thing_digest(LEDGER, &adjustment);
                events.push(adjustment);
                events.push(approval(thing, APPROVERS[0]));
            }
            self.say(DESK, &events);
        }
    }

    fn last_adjustment(&self, account: &Account) -> At {
        let (_, engine) = &self.projector;
        let authority = engine.state().authority();
        authority.map_or(At::default(), |it| it.last_adjustment(account))
    }

    /// A setting of an account, by the operator.
    pub(crate) fn set(&mut self, account: &Account, value: SettingValue) {
        let (_, engine) = &self.projector;
        let expects = engine.state().authority().unwrap().last_setting(account);
        let setting = Setting {
            account: account.clone(),
            expects,
            by: SetBy::Operator,
            value,
            proof: Vec::new(),
        };
        self.say(DESK, &[Event::Setting(Box::new(setting))]);
    }

    /// Approvers approve a thing.
    pub(crate) fn approve(&mut self, thing: Hash, by: &[u8]) {
        let events: Vec<Event> = by.iter().map(|name| approval(thing, *name)).collect();
        self.say(DESK, &events);
    }

    /// The digest that approvers of a batch sign.
    pub(crate) fn digest_of(&self, batch: u64) -> Hash {
        self.batch(batch).expect("it is there").digest
    }

    pub(crate) fn halt(&mut self) {
        let reason = Reason::parse("a test halts it").unwrap();
        let halt = PayoutHalt { wallet: 0, reason };
        self.say(DESK, &[Event::PayoutHalt(Box::new(halt))]);
    }

    pub(crate) fn resume(&mut self) {
        self.resume_with("a test resumes it");
    }

    pub(crate) fn resume_with(&mut self, reason: &str) {
        let resume = Event::PayoutResume(Box::new(PayoutResume {
            wallet: 0,
            expects: self.wallet().last,
            reason: Reason::parse(reason).unwrap(),
        }));
        let digest = thing_digest(LEDGER, &resume);
        self.say(DESK, &[resume]);
        self.approve(digest, &APPROVERS[..1]);
    }

    /// Desk or settler say these events; they are final on return. Returns the place of the first.
    fn say(&mut self, name: u8, events: &[Event]) -> At {
        self.others.get_mut(&name).unwrap().say(self.now, events);
        let before = self.final_size();
        for _ in 0..400 {
            self.turns(1);
            let is_idle = self.others[&name].is_idle();
            if is_idle && before < self.final_size() {
                let key = signer(name).key();
                let found = self.events_from(before).into_iter();
                let mut found = found.filter(|(_, by, event)| *by == key && *event == events[0]);
                if let Some((at, ..)) = found.next_back() {
                    self.turns(1);
                    return at;
                }
            }
        }
        panic!("what {name} said does not become final")
    }

    pub(crate) fn final_size(&self) -> u64 {
        self.keeper.reader().final_size()
    }

    /// Everybody but the paymasters.
    fn others_turn(&mut self) {
        self.now += TURN_MS;
        let now = self.now;
        self.broker.deliver(false);
        if self.keeper_runs {
            ground::archive(&mut self.keeper, &mut self.broker, now);
        }
        if self.now.is_multiple_of(SHARE_TURNS * TURN_MS) {
            let share = self.share(false);
            self.gateway.write(now, &[share]);
        }
        self.gateway.turn(&mut self.broker, now);
        for speaker in self.others.values_mut() {
            speaker.turn(&mut self.broker, now);
        }
        let (mirror, engine) = &mut self.projector;
        poll(&mut mirror.0.lock().unwrap(), &self.broker);
        let below = mirror.final_size();
        engine.advance(mirror, below, 1_024, &mut |_| {}).unwrap();
    }

    /// One paymaster's turn; an error is its process's end.
    pub(crate) fn paymaster_turn(&mut self, index: usize) -> Result<(), MachineError> {
        let life = &mut self.paymasters[index];
        let stream = life.stream(self.now);
        let now = self.now - life.behind_ms;
        let Some((mirror, machine)) = &mut life.life else {
            return Ok(());
        };
        poll(&mut mirror.0.lock().unwrap(), &self.broker);
        if life.disk.crashed() {
            return Ok(());
        }
        machine.ledger_turn(mirror, &mut self.broker, now, stream)?;
        let turn = machine.chain_turn(&self.chain, &self.projectors, now);
        self.runtime.block_on(turn)
    }

    pub(crate) fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.others_turn();
            for index in 0..self.paymasters.len() {
                self.paymaster_turn(index).unwrap();
            }
        }
    }

    /// A turn in which paymasters' disks may die, and their processes with them. Returns who died.
    pub(crate) fn turn_with_deaths(&mut self) -> Vec<usize> {
        self.others_turn();
        let mut dead = Vec::new();
        for index in 0..self.paymasters.len() {
            let failed = self.paymaster_turn(index).is_err();
            let life = &mut self.paymasters[index];
            let is_dead = life.disk.crashed() || life.store.failed.swap(false, Ordering::Relaxed);
            assert!(!failed || is_dead, "it ends by its disk or its store only");
            if is_dead && life.life.is_some() {
                life.life = None;
                dead.push(index);
            }
        }
        dead
    }

    /// Turns until this holds; panics with the words if it never does.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if holds(self) {
                return;
            }
            self.turns(1);
        }
        let why: Vec<&Why> = self
            .paymasters
            .iter()
            .map(|it| it.machine().why_waiting())
            .collect();
        panic!("it never comes to: {what}; {why:?}; {:?}", self.states())
    }

    /// Turns until the paymaster looked at a transaction so many times more.
    pub(crate) fn looks(&mut self, count: u64) {
        let until = self.chain.asked(Edge::Look) + count;
        self.until("looks", |world| until <= world.chain.asked(Edge::Look));
    }

    /// Nothing is open, and nobody is owed what could be paid.
    pub(crate) fn is_settled(&self) -> bool {
        let view = self.projectors.store.view().unwrap();
        payouts::live(&*view, 0).unwrap().is_empty()
            && self.paymasters.iter().all(|it| {
                it.life.as_ref().is_some_and(|(_, machine)| {
                    machine.is_free() && matches!(machine.why_waiting(), Why::Nobody(_))
                })
            })
    }

    /// Turns, with a block each few, until that is so.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..400 {
            self.turns(6);
            self.chain.mine(1);
            // A plan that pays nobody is made anew within two of these rounds.
            quiet = if self.is_settled() { quiet + 1 } else { 0 };
            if quiet == 4 {
                return;
            }
        }
        let why: Vec<&Why> = self
            .paymasters
            .iter()
            .map(|it| it.machine().why_waiting())
            .collect();
        panic!("it does not come to rest: {why:?}; {:?}", self.states())
    }
}
