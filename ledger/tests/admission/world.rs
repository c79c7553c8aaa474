//! A small ledger in memory: producers with pens, drafts of frames that can be spoiled, a history in maps.

use std::collections::BTreeMap;

use orebook_ledger::admit::{AdmitError, Admitted, Cause, History, State, Verdict};
use orebook_ledger::authority::thing_digest;
use orebook_ledger::credit::{JobTerms, Overlay, summarise};
use orebook_ledger::sign::Signer;
use orebook_ledger::tree::events_root;
use orebook_schema::event::{
    Approval, Checkpoint, KeyAction, KeyChange, Moved, NO_NUMBER, PolicyChange, RawEvent,
    SchemaEntry, SchemaSet,
};
use orebook_schema::frame::{FRAME_DOMAIN, RawEvents, SIGNED_BYTES};
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot, RegisteredName};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::work::{
    BlockFound, BlockRecovered, BlockState, BlockStatus, Difficulty, Extranonce, Job, JobRef,
    Share, Worker,
};
use orebook_schema::{
    Account, At, Event, Frame, Hash, Header, Key, Kind, LedgerId, Policy, Role, StreamId, Work,
    WorkerName,
};

/// Names of keys: the byte that fills the seed.
pub(crate) const DESK: u8 = 1;
pub(crate) const GATEWAY: u8 = 2;
pub(crate) const ARCHIVER: u8 = 3;
pub(crate) const SETTLER: u8 = 4;
pub(crate) const PAYMASTER: u8 = 5;
pub(crate) const OTHER_GATEWAY: u8 = 6;
/// In no ledger's genesis.
pub(crate) const STRANGER: u8 = 7;
pub(crate) const ANNA: u8 = 17;
pub(crate) const BEN: u8 = 18;
pub(crate) const CLARA: u8 = 19;

pub(crate) const LEDGER: LedgerId = LedgerId([9; 16]);
pub(crate) const NONE: At = at(0, 0);
pub(crate) const START: u64 = 1_000_000_000;
/// Network work of every job here: effort counts in 10^6 parts of a unit of work.
pub(crate) const NETWORK_WORK: u128 = 1_000_000;

pub(crate) const fn at(position: u64, index: u16) -> At {
    At { position, index }
}

pub(crate) fn signer(name: u8) -> Signer {
    Signer::from_seed(&[name; 32])
}

pub(crate) fn key(name: u8) -> Key {
    signer(name).key()
}

pub(crate) const fn stream(number: u8) -> StreamId {
    StreamId([number; 16])
}

pub(crate) fn policy() -> Policy {
    let rules = |pot, scheme, stale_ppm| PotRules {
        pot: Pot(pot),
        scheme,
        n_ppm: 2_000_000,
        fee_ppm: 10_000,
        bonus_ppm: 0,
        stale_ppm,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    };
    Policy {
        pots: vec![rules(0, Scheme::Pplns, 333_333), rules(1, Scheme::Solo, 0)],
        immature_depth: 1,
        confirmed_depth: 100,
        orphan_depth: 10,
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

/// Every kind at version 0.
pub(crate) fn all_kinds() -> Vec<SchemaEntry> {
    Kind::known()
}

pub(crate) fn genesis() -> Genesis {
    let roles = [
        (DESK, Role::Desk),
        (GATEWAY, Role::Gateway),
        (ARCHIVER, Role::Archiver),
        (SETTLER, Role::Settler),
        (PAYMASTER, Role::Paymaster),
        (OTHER_GATEWAY, Role::Gateway),
    ];
    let producers: BTreeMap<Key, Role> = roles
        .into_iter()
        .map(|(name, role)| (key(name), role))
        .collect();
    let mut approvers = [ANNA, BEN, CLARA].map(key).to_vec();
    approvers.sort();
    Genesis {
        ledger: LEDGER,
        coin: 1,
        coin_name: CoinName::parse("test").unwrap(),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 100,
        segment_bytes: 65_536,
        digest_answers: 1,
        approvers,
        approvals: vec![(Approved::Key, 2), (Approved::Policy, 2)],
        producers: producers.into_iter().collect(),
        schema_set: all_kinds(),
        policy: policy(),
    }
}

/// What was admitted, as a reader's segments would answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    frames: BTreeMap<(StreamId, u64), Hash>,
    events: BTreeMap<(StreamId, u64), Vec<u8>>,
}

impl Memory {
    pub(crate) fn learn(&mut self, frame: &Frame) {
        let header = frame.header();
        self.frames
            .insert((header.stream, header.first_seq), frame.header_hash());
        for (seq, event) in (header.first_seq..).zip(frame.events()) {
            self.events
                .insert((header.stream, seq), event.unwrap().bytes.to_vec());
        }
    }
}

impl History for Memory {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        Ok(self.frames.get(&(stream, first_seq)).copied())
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        Ok(self.events.get(&(stream, seq)).cloned())
    }
}

/// A producer at the end of its stream.
#[derive(Clone, Debug)]
pub(crate) struct Pen {
    pub(crate) name: u8,
    pub(crate) stream: StreamId,
    pub(crate) epoch: u32,
    pub(crate) next_seq: u64,
    pub(crate) previous: Hash,
}

impl Pen {
    pub(crate) fn new(name: u8, number: u8) -> Self {
        Self {
            name,
            stream: stream(number),
            epoch: 0,
            next_seq: 0,
            previous: Hash::ZERO,
        }
    }

    /// The same producer, started again.
    pub(crate) fn restarted(mut self) -> Self {
        self.epoch += 1;
        self
    }

    fn went_past(&mut self, frame: &Frame) {
        self.next_seq = frame.header().next_seq();
        self.previous = frame.header_hash();
    }
}

/// A frame that is not signed yet and may be spoiled.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) header: Header,
    pub(crate) summary: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) name: u8,
}

impl Draft {
    /// A right frame around these canonical events.
    pub(crate) fn new(pen: &Pen, base_time: u64, summary: &Summary, body: Vec<u8>) -> Self {
        let raws: Vec<RawEvent<'_>> = RawEvents::new(&body).map(|raw| raw.unwrap()).collect();
        let last_dt = raws.last().map_or(0, |raw| u64::from(raw.dt));
        let summary = summary.to_bytes();
        let header = Header {
            ledger: LEDGER,
            stream: pen.stream,
            coin: 1,
            epoch: pen.epoch,
            first_seq: pen.next_seq,
            count: u32::try_from(raws.len()).unwrap(),
            body_len: u32::try_from(body.len()).unwrap(),
            base_time,
            last_time: base_time + last_dt,
            previous: pen.previous,
            events_root: events_root(&body),
            summary_hash: Hash::of(&[&summary]),
            kinds: raws.iter().fold(0, |mask, raw| mask | 1 << raw.kind),
            schema_set: 0,
            summary_len: u32::try_from(summary.len()).unwrap(),
            key: key(pen.name),
            signature: [0; 64],
        };
        Self {
            header,
            summary,
            body,
            name: pen.name,
        }
    }

    pub(crate) fn edit(mut self, edit: impl FnOnce(&mut Header)) -> Self {
        edit(&mut self.header);
        self
    }

    /// Another summary, rightly hashed.
    pub(crate) fn with_summary(self, summary: &Summary) -> Self {
        self.with_summary_bytes(summary.to_bytes())
    }

    pub(crate) fn with_summary_bytes(mut self, summary: Vec<u8>) -> Self {
        self.header.summary_len = u32::try_from(summary.len()).unwrap();
        self.header.summary_hash = Hash::of(&[&summary]);
        self.summary = summary;
        self
    }

    /// Signed by its producer.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.signed_by(self.name)
    }

    pub(crate) fn signed_by(&self, name: u8) -> Vec<u8> {
        let mut header = self.header.clone();
        let signed = header.to_bytes();
        header.signature = signer(name).sign(FRAME_DOMAIN, &signed[..SIGNED_BYTES]);
        [header.to_bytes().as_slice(), &self.summary, &self.body].concat()
    }
}

/// Canonical events one after another, all at the base time.
pub(crate) fn body(events: &[Event]) -> Vec<u8> {
    events.iter().flat_map(|event| event.to_bytes(0)).collect()
}

/// A ledger as one reader has it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) memory: Memory,
    /// Append time of the next record.
    pub(crate) clock: u64,
    pub(crate) archiver: Pen,
    pub(crate) desk: Pen,
}

impl World {
    /// Position 0 is admitted and nothing is final.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with another genesis.
    pub(crate) fn with(edit: impl FnOnce(&mut Genesis)) -> Self {
        let mut genesis = genesis();
        edit(&mut genesis);
        let mut world = Self {
            state: State::new(LEDGER),
            memory: Memory::default(),
            clock: START,
            archiver: Pen::new(ARCHIVER, 0xa0),
            desk: Pen::new(DESK, 0xd0),
        };
        world.desk_says(&[Event::Genesis(Box::new(genesis))]);
        world
    }

    /// Position 1 is a checkpoint of genesis, so jobs may cite its policy.
    pub(crate) fn ready() -> Self {
        let mut world = Self::new();
        world.finalise();
        world
    }

    /// The same where the coin is ethash.
    pub(crate) fn of_ethash() -> Self {
        let mut world = Self::with(|genesis| genesis.algorithm = Algorithm::Ethash);
        world.finalise();
        world
    }

    pub(crate) fn try_admit(&mut self, bytes: Vec<u8>) -> Result<Verdict, AdmitError> {
        self.clock += 10;
        let (verdict, parsed) = self.state.admit(&self.memory, self.clock, bytes)?;
        if let (Verdict::Admitted(_), Some(parsed)) = (&verdict, &parsed) {
            self.memory.learn(parsed.frame());
        }
        Ok(verdict)
    }

    pub(crate) fn admit(&mut self, bytes: Vec<u8>) -> Verdict {
        self.try_admit(bytes).unwrap()
    }

    /// Why these bytes get no position.
    #[track_caller]
    pub(crate) fn cause(&mut self, bytes: Vec<u8>) -> Cause {
        match self.admit(bytes) {
            Verdict::Refused(cause) => cause,
            Verdict::Admitted(admitted) => panic!("admitted: {admitted:?}"),
        }
    }

    /// Why a frame of these events gets no position.
    #[track_caller]
    pub(crate) fn refusal(&mut self, pen: &Pen, events: &[Event]) -> Cause {
        let bytes = self.draft(pen, events).bytes();
        self.cause(bytes)
    }

    #[track_caller]
    pub(crate) fn admitted(&mut self, pen: &mut Pen, draft: &Draft) -> Admitted {
        let bytes = draft.bytes();
        let frame = Frame::read(bytes.clone()).unwrap();
        match self.admit(bytes) {
            Verdict::Admitted(admitted) => {
                pen.went_past(&frame);
                admitted
            }
            Verdict::Refused(cause) => panic!("refused: {}", cause.name()),
        }
    }

    /// Cuts a frame of these events and admits it.
    #[track_caller]
    pub(crate) fn say(&mut self, pen: &mut Pen, events: &[Event]) -> Admitted {
        let draft = self.draft(pen, events);
        self.admitted(pen, &draft)
    }

    #[track_caller]
    pub(crate) fn desk_says(&mut self, events: &[Event]) -> u64 {
        let mut pen = self.desk.clone();
        let admitted = self.say(&mut pen, events);
        self.desk = pen;
        admitted.position
    }

    /// The archiver signs for everything so far.
    #[track_caller]
    pub(crate) fn finalise(&mut self) {
        let size = self.state.size();
        let event = checkpoint(ARCHIVER, size, self.state.root());
        let mut pen = self.archiver.clone();
        assert_eq!(self.say(&mut pen, &[event]).obeyed, Some(size));
        self.archiver = pen;
    }

    /// The next frame of a stream, with the summary that admission wants.
    pub(crate) fn draft(&self, pen: &Pen, events: &[Event]) -> Draft {
        let summary = self.summary(pen, events);
        Draft::new(pen, self.clock, &summary, body(events))
    }

    pub(crate) fn summary(&self, pen: &Pen, events: &[Event]) -> Summary {
        let stream = self.state.stream(pen.stream);
        let same_epoch = stream.filter(|stream| stream.epoch == pen.epoch);
        let mut overlay = Overlay::new(same_epoch.map(|stream| &stream.announced));
        summarise(events, &mut overlay, |job| self.terms(job)).unwrap_or_default()
    }

    fn terms(&self, job: JobRef) -> JobTerms {
        let policy = self
            .state
            .authority()
            .and_then(|authority| authority.policy(job.policy));
        let is_final = |effective| effective < self.state.final_size();
        JobTerms {
            network_work: job.network_work,
            policy: policy
                .filter(|obeyed| is_final(obeyed.effective))
                .map(|obeyed| obeyed.policy.clone()),
        }
    }

    pub(crate) fn role(&self, name: u8) -> Option<Role> {
        self.state.authority().unwrap().role(&key(name))
    }

    pub(crate) fn newest_policy(&self) -> At {
        self.state.authority().unwrap().newest_policy().0
    }

    pub(crate) fn is_closed(&self, number: u8) -> bool {
        self.state
            .stream(stream(number))
            .is_some_and(|stream| stream.closed)
    }
}

// --- events ------------------------------------------------------------------------------------------

pub(crate) fn worker(number: u32, pot: u16) -> Event {
    Event::Worker(Box::new(Worker {
        number,
        pot: Pot(pot),
        extranonce1: Extranonce::default(),
        extranonce2_size: 4,
        version_mask: 0,
        account: Account::Name(RegisteredName::parse("anna").unwrap()),
        name: WorkerName::parse("rig").unwrap(),
    }))
}

pub(crate) fn job(number: u32, policy: At) -> Event {
    Event::Job(Box::new(Job {
        number,
        policy,
        height: 7,
        network_work: NETWORK_WORK,
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

pub(crate) fn share_with(worker: u32, job: u32, work: u64, edit: impl FnOnce(&mut Share)) -> Event {
    let mut share = Share {
        worker,
        job,
        work: Work::new(work).unwrap(),
        block: false,
        stale: false,
        nonce: 0,
        ntime: 0,
        version: 0,
        extranonce2: Extranonce::default(),
    };
    edit(&mut share);
    Event::Share(share)
}

pub(crate) fn share(worker: u32, job: u32, work: u64) -> Event {
    share_with(worker, job, work, |_| {})
}

/// A share of worker 0 and job 0 that differs from others by its nonce.
pub(crate) fn nonce(nonce: u32) -> Event {
    share_with(0, 0, 100, |share| share.nonce = nonce)
}

pub(crate) fn stale(worker: u32, job: u32, work: u64) -> Event {
    share_with(worker, job, work, |share| share.stale = true)
}

pub(crate) fn winner(nonce: u32) -> Event {
    share_with(0, 0, 100, |share| {
        (share.nonce, share.block) = (nonce, true)
    })
}

pub(crate) fn block_found() -> Event {
    Event::BlockFound(BlockFound {
        hash: Hash([8; 32]),
        height: 7,
        coinbase_txid: Hash::ZERO,
        header: Vec::new(),
    })
}

pub(crate) fn difficulty(worker: u32) -> Event {
    let work = Work::new(5).unwrap();
    Event::Difficulty(Difficulty { worker, work })
}

pub(crate) fn block_status(expects: At) -> Event {
    Event::BlockStatus(BlockStatus {
        hash: Hash([8; 32]),
        expects,
        state: BlockState::Seen,
        height: 7,
        value: 50,
        fees: 1,
    })
}

pub(crate) fn block_recovered(expects: At) -> Event {
    Event::BlockRecovered(BlockRecovered {
        hash: Hash([9; 32]),
        height: 8,
        expects,
        coinbase_txid: Hash([10; 32]),
        value: 50,
        fees: 1,
    })
}

/// What a gateway says first: worker 0 of pot 0, and job 0 under genesis' policy.
pub(crate) fn hello() -> [Event; 2] {
    [worker(0, 0), job(0, NONE)]
}

pub(crate) fn checkpoint(name: u8, size: u64, root: Hash) -> Event {
    Event::Checkpoint(Checkpoint {
        size,
        root,
        signature: signer(name).sign_checkpoint(LEDGER, size, &root),
    })
}

pub(crate) fn key_change(name: u8, role: Role, action: KeyAction, expects: At) -> Event {
    Event::KeyChange(KeyChange {
        key: key(name),
        role,
        action,
        expects,
    })
}

pub(crate) fn revoke(name: u8, role: Role) -> Event {
    key_change(name, role, KeyAction::Revoked, NONE)
}

pub(crate) fn policy_change(expects: At, edit: impl FnOnce(&mut Policy)) -> Event {
    let mut policy = policy();
    edit(&mut policy);
    Event::Policy(Box::new(PolicyChange { expects, policy }))
}

pub(crate) fn approve(name: u8, thing: &Event) -> Event {
    let thing = thing_digest(LEDGER, thing);
    Event::Approval(Approval {
        thing,
        approver: key(name),
        signature: signer(name).sign_approval(LEDGER, &thing),
    })
}

/// A thing with the two approvals it needs.
pub(crate) fn approved(thing: Event) -> [Event; 3] {
    let (anna, ben) = (approve(ANNA, &thing), approve(BEN, &thing));
    [thing, anna, ben]
}

pub(crate) fn schema_set(number: u32, entries: Vec<SchemaEntry>) -> Event {
    Event::SchemaSet(SchemaSet { number, entries })
}

/// A share or block of another stream, said again with this stream's worker 0 and job 0.
pub(crate) fn moved(from: u8, seq: u64, inner: &Event) -> Event {
    moved_bytes(from, seq, inner.to_bytes(0))
}

pub(crate) fn moved_bytes(from: u8, seq: u64, event: Vec<u8>) -> Event {
    let number = if event[0] == Kind::BlockFound as u8 {
        NO_NUMBER
    } else {
        0
    };
    Event::Moved(Moved {
        stream: stream(from),
        epoch: 0,
        seq,
        base_time: START,
        worker: number,
        job: number,
        event,
    })
}

/// A summary of one pot: effort and rows of (worker, count, credit).
pub(crate) fn pot_summary(pot: u16, effort: u128, rows: &[(u32, u32, u128)]) -> PotSummary {
    let row = |(worker, count, credit): &(u32, u32, u128)| Row {
        worker: *worker,
        count: *count,
        credit: *credit,
    };
    PotSummary {
        pot: Pot(pot),
        effort,
        rows: rows.iter().map(row).collect(),
    }
}
