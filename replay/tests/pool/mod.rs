//! A small ledger in memory for tests of folds: genesis, producers, frames through admission, checkpoints; and engines over
//! it. Shared by the test files of this crate: `mod pool;`.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses another part of it"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_ledger::admit::{AdmitError, Admitted, Cause, History, Parsed, State, Trust, Verdict};
use orebook_ledger::build::{Cut, build_frame, genesis_frame};
use orebook_ledger::credit::{JobTerms, Overlay, summarise};
use orebook_ledger::segment::{Record, StoredFrame};
use orebook_ledger::sign::Signer;
use orebook_replay::engine::{Engine, Source};
use orebook_replay::fold::{Fold, FoldStop};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::event::{Checkpoint, Moved, NO_NUMBER, PolicyChange};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::{CoinName, Pot, RegisteredName};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::work::{
    BlockFound, BlockRecovered, BlockState, BlockStatus, EthashHeader, EthashJob, EthashShare,
    Extranonce, Job, JobRef, Share, Worker,
};
use orebook_schema::{
    Account, At, Event, Frame, Genesis, Hash, Kind, LedgerId, Policy, Role, StreamId, Work,
    WorkerName,
};

pub const LEDGER: LedgerId = LedgerId([9; 16]);
/// Time of genesis, milliseconds since 1970.
pub const START: u64 = 1_700_000_000_000;
pub const DESK: u8 = 1;
pub const ARCHIVER: u8 = 2;
pub const SETTLER: u8 = 3;
pub const PAYMASTER: u8 = 4;
/// Gateways' keys: this one and the seven after it.
pub const GATEWAY: u8 = 10;
/// What every ethash share of these tests is of.
pub const SEAL: Hash = Hash([0x5e; 32]);
/// Pot 0 is PPLNS, pot 1 is SOLO.
pub const PPLNS: Pot = Pot(0);
pub const SOLO: Pot = Pot(1);
/// Pots of [`policy_of_all`].
pub const PROP: Pot = Pot(2);
pub const PPS: Pot = Pot(3);
pub const FPPS: Pot = Pot(4);

pub fn signer(name: u8) -> Signer {
    Signer::from_seed(&[name; 32])
}

pub fn named(name: &str) -> Account {
    Account::Name(RegisteredName::parse(name).expect("a registered name"))
}

pub fn hash(byte: u8) -> Hash {
    Hash([byte; 32])
}

/// Rules of one pot with the simplest figures: N = network work, no fee, no bonus, stale shares unpaid.
pub fn rules(pot: Pot, scheme: Scheme) -> PotRules {
    PotRules {
        pot,
        scheme,
        n_ppm: 1_000_000,
        fee_ppm: 0,
        bonus_ppm: 0,
        stale_ppm: 0,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    }
}

/// Pot 0 PPLNS and pot 1 SOLO, both changed by `edit`.
pub fn policy(edit: impl Fn(&mut PotRules)) -> Policy {
    let mut pots = vec![rules(PPLNS, Scheme::Pplns), rules(SOLO, Scheme::Solo)];
    pots.iter_mut().for_each(edit);
    Policy {
        pots,
        immature_depth: 1,
        confirmed_depth: 100,
        orphan_depth: 1,
        threshold: 1,
        address_hold_ms: 0,
        network_fees: NetworkFees::Pool,
        auto_pay_limit: 0,
        payout_depth: 6,
        payout_final_depth: 12,
        writeoff_ms: 0,
        rounding_to_fee: false,
    }
}

/// A pot of every scheme, all changed by `edit`.
pub fn policy_of_all(edit: impl Fn(&mut PotRules)) -> Policy {
    let others = [
        (PROP, Scheme::Prop),
        (PPS, Scheme::Pps),
        (FPPS, Scheme::Fpps),
    ];
    let mut policy = policy(&edit);
    let others = others.map(|(pot, scheme)| rules(pot, scheme));
    policy.pots.extend(others.map(|mut rules| {
        edit(&mut rules);
        rules
    }));
    policy
}

pub fn genesis(policy: Policy) -> Genesis {
    let mut producers: Vec<_> = [
        (DESK, Role::Desk),
        (ARCHIVER, Role::Archiver),
        (SETTLER, Role::Settler),
        (PAYMASTER, Role::Paymaster),
    ]
    .into_iter()
    .chain((GATEWAY..GATEWAY + 8).map(|name| (name, Role::Gateway)))
    .map(|(name, role)| (signer(name).key(), role))
    .collect();
    producers.sort_by_key(|(key, _)| *key);
    Genesis {
        ledger: LEDGER,
        coin: 1,
        coin_name: CoinName::parse("test").expect("a coin's name"),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 65_536,
        segment_bytes: 1 << 28,
        digest_answers: 1,
        approvers: vec![signer(DESK).key()],
        approvals: Vec::new(),
        producers,
        schema_set: Kind::known(),
        policy,
    }
}

/// A producer at the end of its stream.
#[derive(Clone, Debug)]
pub struct Pen {
    pub name: u8,
    pub stream: StreamId,
    pub epoch: u32,
    pub next_seq: u64,
    pub previous: Hash,
    /// Numbers of the next worker and job of this epoch.
    pub workers: u32,
    pub jobs: u32,
}

impl Pen {
    /// `name` is the key, `stream` the byte that fills the stream's uuid.
    pub fn new(name: u8, stream: u8) -> Self {
        Self {
            name,
            stream: StreamId([stream; 16]),
            epoch: 0,
            next_seq: 0,
            previous: Hash::ZERO,
            workers: 0,
            jobs: 0,
        }
    }

    /// The same producer, started again: a new epoch, numbers from 0.
    pub fn restart(&mut self) {
        self.epoch += 1;
        self.workers = 0;
        self.jobs = 0;
    }
}

/// A ledger in memory, as one machine's segments would hold it.
#[derive(Clone, Debug)]
pub struct Pool {
    pub state: State,
    pub records: Vec<Record>,
    /// What was sent to the log: append times and bytes, refused frames included.
    pub sent: Vec<(u64, Vec<u8>)>,
    frames: BTreeMap<(StreamId, u64), u64>,
    /// Append time of the next frame, milliseconds since 1970; each frame moves it by `tick`.
    pub clock: u64,
    pub tick: u64,
    archiver: Pen,
    desk: Pen,
    pub settler: Pen,
    pub paymaster: Pen,
}

impl Pool {
    /// Position 0 is genesis, position 1 a checkpoint of it: jobs may cite its policy, which is at (0, 0).
    pub fn new(policy: Policy) -> Self {
        Self::of(&genesis(policy))
    }

    /// The same with another genesis.
    pub fn of(genesis: &Genesis) -> Self {
        let mut pool = Self {
            state: State::new(LEDGER),
            records: Vec::new(),
            sent: Vec::new(),
            frames: BTreeMap::new(),
            clock: START,
            tick: 1_000,
            archiver: Pen::new(ARCHIVER, 0xa0),
            desk: Pen::new(DESK, 0xd0),
            settler: Pen::new(SETTLER, 0xe0),
            paymaster: Pen::new(PAYMASTER, 0xf0),
        };
        let stream = pool.desk.stream;
        let frame = genesis_frame(genesis, stream, START, &signer(DESK));
        let frame = frame.expect("genesis is legal");
        pool.desk.next_seq = 1;
        pool.desk.previous = frame.header_hash();
        pool.admit(frame).expect("genesis is admitted");
        pool.finalise();
        pool
    }

    /// Positions so far.
    pub fn size(&self) -> u64 {
        self.state.size()
    }

    /// Cuts a frame of events, all at the clock's time, and admits it. Returns its position.
    #[track_caller]
    pub fn say(&mut self, pen: &mut Pen, events: &[Event]) -> u64 {
        let timed: Vec<(u32, Event)> = events.iter().map(|event| (0, event.clone())).collect();
        self.say_at(pen, self.clock, &timed).position
    }

    /// Cuts a frame of events with their milliseconds after `base_time`, ascending, and admits it.
    #[track_caller]
    pub fn say_at(&mut self, pen: &mut Pen, base_time: u64, events: &[(u32, Event)]) -> Admitted {
        let frame = self.cut(pen, base_time, events);
        let (next_seq, previous) = (frame.header().next_seq(), frame.header_hash());
        let admitted = self.admit(frame);
        let admitted = admitted.unwrap_or_else(|cause| panic!("refused: {}", cause.name()));
        (pen.next_seq, pen.previous) = (next_seq, previous);
        admitted
    }

    /// The frame, without admitting it.
    #[track_caller]
    pub fn cut(&self, pen: &Pen, base_time: u64, events: &[(u32, Event)]) -> Frame {
        let plain: Vec<Event> = events.iter().map(|(_, event)| event.clone()).collect();
        for event in &plain {
            assert!(event.is_legal(), "{event:?}");
        }
        let same_epoch = self
            .state
            .stream(pen.stream)
            .filter(|stream| stream.epoch == pen.epoch);
        let mut overlay = Overlay::new(same_epoch.map(|stream| &stream.announced));
        let summary = summarise(&plain, &mut overlay, |job| self.terms(job));
        let cut = Cut {
            ledger: LEDGER,
            coin: 1,
            stream: pen.stream,
            epoch: pen.epoch,
            first_seq: pen.next_seq,
            base_time,
            previous: pen.previous,
            schema_set: 0,
            summary: &summary.expect("numbers are announced"),
            body: &events
                .iter()
                .flat_map(|(dt, event)| event.to_bytes(*dt))
                .collect::<Vec<u8>>(),
        };
        build_frame(&cut, &signer(pen.name)).expect("the frame is within its limits")
    }

    /// Admits a frame and stores it.
    pub fn admit(&mut self, frame: Frame) -> Result<Admitted, Cause> {
        let append_time = self.clock;
        self.clock += self.tick;
        self.sent.push((append_time, frame.bytes().to_vec()));
        let mut state = self.state.clone();
        let (verdict, _) = state
            .admit(&*self, append_time, frame.bytes().to_vec())
            .expect("the history can be read");
        self.state = state;
        match verdict {
            Verdict::Admitted(admitted) => {
                let header = frame.header();
                self.frames
                    .insert((header.stream, header.first_seq), admitted.position);
                self.records.push(Record::Frame(StoredFrame {
                    position: admitted.position,
                    ledger_time: admitted.ledger_time,
                    append_time,
                    frame,
                }));
                Ok(admitted)
            }
            Verdict::Refused(cause) => {
                if cause == Cause::Fork {
                    self.records.push(Record::Closure {
                        position: self.size(),
                        append_time,
                        header: frame.header().clone(),
                    });
                }
                Err(cause)
            }
        }
    }

    /// The archiver signs for everything so far.
    #[track_caller]
    pub fn finalise(&mut self) {
        let (size, root) = (self.size(), self.state.root());
        let mut pen = self.archiver.clone();
        let event = Event::Checkpoint(Checkpoint {
            size,
            root,
            signature: signer(ARCHIVER).sign_checkpoint(LEDGER, size, &root),
        });
        self.say(&mut pen, &[event]);
        self.archiver = pen;
    }

    /// The desk brings another policy into force, final when this returns. Returns its place, for jobs to cite.
    #[track_caller]
    pub fn new_policy(&mut self, policy: Policy) -> At {
        let authority = self.state.authority().expect("genesis was admitted");
        let expects = authority.newest_policy().0;
        let thing = Event::Policy(Box::new(PolicyChange { expects, policy }));
        let approval = desk_approves(&thing);
        let mut pen = self.desk.clone();
        let position = self.say(&mut pen, &[thing, approval]);
        self.desk = pen;
        self.finalise();
        At { position, index: 0 }
    }

    /// The desk says something.
    #[track_caller]
    pub fn desk_says(&mut self, events: &[Event]) -> u64 {
        let mut pen = self.desk.clone();
        let position = self.say(&mut pen, events);
        self.desk = pen;
        position
    }

    /// The settler says something. Returns the place of the first event.
    #[track_caller]
    pub fn settler_says(&mut self, events: &[Event]) -> At {
        let mut pen = self.settler.clone();
        let position = self.say(&mut pen, events);
        self.settler = pen;
        At { position, index: 0 }
    }

    /// The paymaster says something. Returns the place of the first event.
    #[track_caller]
    pub fn paymaster_says(&mut self, events: &[Event]) -> At {
        let mut pen = self.paymaster.clone();
        let position = self.say(&mut pen, events);
        self.paymaster = pen;
        At { position, index: 0 }
    }

    /// The event of a place.
    #[track_caller]
    pub fn event_at(&self, at: At) -> Event {
        let stored = self.stored(at.position).expect("a frame");
        let raw = stored.frame.events().nth(usize::from(at.index));
        let raw = raw.expect("an event").expect("an event");
        raw.decode().expect("an event")
    }

    fn terms(&self, job: JobRef) -> JobTerms {
        let authority = self.state.authority();
        let obeyed = authority.and_then(|authority| authority.policy(job.policy));
        JobTerms {
            network_work: job.network_work,
            policy: obeyed
                .filter(|obeyed| obeyed.effective < self.state.final_size())
                .map(|obeyed| obeyed.policy.clone()),
        }
    }

    fn stored(&self, position: u64) -> Option<&StoredFrame> {
        self.records.iter().find_map(|record| match record {
            Record::Frame(stored) if stored.position == position => Some(stored),
            _ => None,
        })
    }
}

impl History for Pool {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        let position = self.frames.get(&(stream, first_seq));
        let stored = position.and_then(|position| self.stored(*position));
        Ok(stored.map(|stored| stored.frame.header_hash()))
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        let frames = self.frames.range((stream, 0)..=(stream, seq));
        let Some(((_, first), position)) = frames.last() else {
            return Ok(None);
        };
        let index = usize::try_from(seq - first).unwrap_or(usize::MAX);
        let stored = self.stored(*position);
        let raw = stored.and_then(|stored| stored.frame.events().nth(index));
        Ok(raw.map(|raw| raw.expect("an event").bytes.to_vec()))
    }
}

impl Source for Pool {
    fn records(
        &self,
        from: u64,
        below: u64,
        frames_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), FoldStop> {
        let mut frames = 0;
        let wanted = |record: &&Record| from <= record.position() && record.position() < below;
        for record in self.records.iter().filter(wanted) {
            if frames == frames_max {
                break;
            }
            frames += usize::from(matches!(record, Record::Frame(_)));
            out.push(record.clone());
        }
        Ok(())
    }

    fn frame(&self, position: u64) -> Result<Option<StoredFrame>, FoldStop> {
        Ok(self.stored(position).cloned())
    }
}

/// An engine with one fold on a store, brought to the end of the ledger. Signatures are checked again.
#[track_caller]
pub fn replayed(pool: &Pool, fold: impl Fold + Send + 'static) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let mut engine = opened(pool, fold, &store);
    engine
        .advance(pool, pool.size(), u64::MAX, &mut |_| {})
        .expect("the ledger is replayed");
    assert_eq!(engine.stops().next(), None);
    store
}

/// An engine with one fold on a store, where that stands.
#[track_caller]
pub fn opened(pool: &Pool, fold: impl Fold + Send + 'static, store: &Arc<MemoryStore>) -> Engine {
    let store: Arc<dyn Store> = store.clone();
    let folds: Vec<(Box<dyn Fold + Send>, Arc<dyn Store>)> = vec![(Box::new(fold), store)];
    Engine::open(LEDGER, folds, Trust::Nothing, pool, pool.size()).expect("the engine opens")
}

/// A frame's events as admission reads them.
pub fn parsed(frame: &Frame) -> Parsed {
    Parsed::read(frame.bytes().to_vec()).expect("a frame")
}

// --- events ---------------------------------------------------------------------------------------------------------

/// The only approver's word on a thing: the desk's own key.
pub fn desk_approves(thing: &Event) -> Event {
    let thing = orebook_ledger::authority::thing_digest(LEDGER, thing);
    Event::Approval(orebook_schema::event::Approval {
        thing,
        approver: signer(DESK).key(),
        signature: signer(DESK).sign_approval(LEDGER, &thing),
    })
}

/// The next worker of a pen.
pub fn worker(pen: &mut Pen, account: &str, rig: &str, pot: Pot) -> Event {
    let number = pen.workers;
    pen.workers += 1;
    Event::Worker(Box::new(Worker {
        number,
        pot,
        extranonce1: Extranonce::default(),
        extranonce2_size: 4,
        version_mask: 0,
        account: named(account),
        name: WorkerName::parse(rig).expect("a worker's name"),
    }))
}

/// The next job of a pen.
pub fn job(pen: &mut Pen, policy: At, network_work: u128) -> Event {
    let number = pen.jobs;
    pen.jobs += 1;
    Event::Job(Box::new(Job {
        number,
        policy,
        height: 7,
        network_work,
        reward: 50,
        fees: 1,
        version: 1,
        prev: Hash::ZERO,
        nbits: 0x207f_ffff,
        time: 1,
        clean: true,
        coinbase1: vec![1],
        coinbase2: vec![2],
        branches: Vec::new(),
        direct: 0,
    }))
}

/// A share that no other share equals: its nonce is the pen's and the test's to choose.
pub fn share(worker: u32, job: u32, work: u64, nonce: u32) -> Share {
    Share {
        worker,
        job,
        work: Work::new(work).expect("work"),
        block: false,
        stale: false,
        nonce,
        ntime: 0,
        version: 0,
        extranonce2: Extranonce::default(),
    }
}

pub fn block_found(hash: Hash, height: u64) -> Event {
    Event::BlockFound(BlockFound {
        hash,
        height,
        coinbase_txid: Hash::ZERO,
        header: Vec::new(),
    })
}

pub fn block_status(hash: Hash, expects: At, state: BlockState, value: u128, fees: u128) -> Event {
    Event::BlockStatus(BlockStatus {
        hash,
        expects,
        state,
        height: 7,
        value,
        fees,
    })
}

pub fn block_recovered(hash: Hash, height: u64, expects: At) -> Event {
    Event::BlockRecovered(BlockRecovered {
        hash,
        height,
        expects,
        coinbase_txid: Hash::ZERO,
        value: 50,
        fees: 0,
    })
}

/// An event of another stream, said again with this stream's numbers of its worker and job.
pub fn moved(from: &Pen, seq: u64, inner: &Event, worker: u32, job: u32) -> Event {
    let is_share = inner.share().is_some();
    Event::Moved(Moved {
        stream: from.stream,
        epoch: from.epoch,
        seq,
        base_time: START,
        worker: if is_share { worker } else { NO_NUMBER },
        job: if is_share { job } else { NO_NUMBER },
        event: inner.to_bytes(0),
    })
}

/// The same event as a gateway of ethash says it. A block has its share's nonce as its height, and is named by it in either.
pub fn in_ethash(event: &Event) -> Event {
    match event {
        Event::Job(job) => Event::EthashJob(Box::new(EthashJob {
            number: job.number,
            policy: job.policy,
            height: job.height,
            network_work: job.network_work,
            reward: job.reward,
            fees: job.fees,
            seal: SEAL,
            seed: Hash::ZERO,
            time: job.time,
            clean: job.clean,
        })),
        Event::Share(share) => Event::EthashShare(EthashShare {
            worker: share.worker,
            job: share.job,
            work: share.work,
            block: share.block,
            stale: share.stale,
            nonce: u64::from(share.nonce),
        }),
        Event::BlockFound(block) => {
            let header = EthashHeader {
                seal: SEAL,
                nonce: block.height,
                mix: Hash([0x31; 32]),
            };
            Event::BlockFound(header.found(block.height))
        }
        Event::Moved(moved) => {
            let inner = in_ethash(&moved.inner().expect("an inner event"));
            let mut moved = moved.clone();
            moved.event = inner.to_bytes(0);
            Event::Moved(moved)
        }
        other => other.clone(),
    }
}
