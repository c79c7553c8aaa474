//! A pool without chance, over any log: two gateways with shares, stale ones and blocks in two pots, a settler that says what
//! became of the blocks, an archiver, and the folds over what is final. Each frame stands before the next one leaves, so the
//! frames come in the same order whatever the log's pace is. What is left to the log are its append times.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use orebook_ledger::admit::{State, Trust, Verdict};
use orebook_ledger::archiver::{ArchiveError, Archiver, ArchiverConfig};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::log::{EmbeddedLog, Log, LogError, LogRecord, LogResult};
use orebook_ledger::publisher::{Clock, Publisher};
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{SegmentStore, StoreConfig};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{FILE_BYTES_MIN, Spool, SpoolConfig};
use orebook_replay::engine::{Engine, SharedReader};
use orebook_replay::fold::Fold;
use orebook_replay::folds::{money::Money, rounds::Rounds};
use orebook_replay::store::{MemoryStore, Store};
use orebook_replay::{digest, rows};
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::genesis::{Algorithm, Genesis};
use orebook_schema::names::{CoinName, Pot, RegisteredName};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::work::{
    BlockFound, BlockState, BlockStatus, Difficulty, Extranonce, Job, Share, Worker,
};
use orebook_schema::{
    Account, At, Event, Hash, Kind, LedgerId, Policy, Role, StreamId, Work, WorkerName,
};

use crate::disk::SimDisk;
use crate::rng::Rng;

/// Longest that a real log may take for one step.
const PATIENCE: Duration = Duration::from_secs(60);
/// Milliseconds of the producers' clock between two steps.
const STEP_MS: u64 = 100;
/// Steps with shares; every tenth a gateway finds a block.
const STEPS: u64 = 120;
/// Shares of a frame.
const SHARES: u32 = 20;
/// Rigs of a gateway; they mine in the pots in turn.
const RIGS: u32 = 9;
/// What the network's difficulty is worth: windows go back over several frames.
const NETWORK_WORK: u128 = 40_000;

/// A table and its rows: key → canonical value.
pub type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Positions, all final.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
    /// Header hashes of all frames but the archiver's, in the ledger's order, with the positions they have.
    pub frames: Vec<(u64, Hash)>,
    /// Digests of `money` and `rounds` at every digest point: (fold, size) → digest.
    pub digests: BTreeMap<(&'static str, u64), Hash>,
    /// Rows of `money` and `rounds` at the end: (fold, table) → rows.
    pub tables: BTreeMap<(&'static str, u8), Table>,
}

struct Producer {
    spool: Spool<SimDisk>,
    publisher: Publisher<SimDisk>,
    stream: StreamId,
}

/// A log of which we know how many records it holds, since nobody else sends: a read gives all of them, however long they take
/// to come, and never asks whether there is one more.
struct Known<L> {
    log: L,
    end: Arc<AtomicU64>,
}

impl<L: Log> Log for Known<L> {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.log.newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.log.generation(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        let started = Instant::now();
        let end = self.end.load(Ordering::Acquire);
        let wanted = max.min(usize::try_from(end.saturating_sub(offset)).unwrap_or(max));
        let mut records = Vec::new();
        while records.len() < wanted {
            let from = offset + records.len() as u64;
            match self.log.read(incarnation, from, wanted - records.len()) {
                Ok(more) => records.extend(more),
                Err(LogError::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
            assert!(started.elapsed() < PATIENCE, "a record does not come");
        }
        Ok(records)
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.log.offset_at(incarnation, append_time)
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        self.log.send(incarnation, now, bytes)?;
        self.end.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        self.log.open_incarnation(now, opened)?;
        self.end.store(1, Ordering::Release);
        Ok(())
    }
}

struct Pool<L> {
    ledger: LedgerId,
    now: u64,
    rng: Rng,
    reader: Arc<Mutex<Reader<SimDisk>>>,
    archiver: Archiver<SimDisk>,
    /// What producers send to and the reader reads; the archiver's own place in the same log.
    log: Known<L>,
    log_of_archiver: Known<L>,
    /// Two gateways and the settler.
    producers: Vec<Producer>,
    policy: At,
    /// Blocks, each with its place, its last obeyed event and how often it was spoken of.
    blocks: Vec<(Hash, At, u8)>,
    shares: u32,
    frames: Vec<(u64, Hash)>,
}

fn signer(name: u8) -> Signer {
    Signer::from_seed(&[name; 32])
}

/// Keys by name: desk, archiver, settler, two gateways.
const ROLES: [(u8, Role); 5] = [
    (1, Role::Desk),
    (2, Role::Archiver),
    (3, Role::Settler),
    (4, Role::Gateway),
    (5, Role::Gateway),
];

fn genesis(ledger: LedgerId) -> Genesis {
    let mut producers: Vec<_> = ROLES
        .iter()
        .map(|(name, role)| (signer(*name).key(), *role))
        .collect();
    producers.sort_unstable();
    let pot = |number, scheme| PotRules {
        pot: Pot(number),
        scheme,
        n_ppm: 2_000_000,
        fee_ppm: 10_000,
        bonus_ppm: 5_000,
        stale_ppm: 500_000,
        keep_tx_fees: true,
        direct_min: 0,
        direct_outputs: 0,
    };
    Genesis {
        ledger,
        coin: 1,
        coin_name: CoinName::parse("sim").expect("a legal name"),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 64,
        segment_bytes: 1 << 20,
        digest_answers: 1,
        approvers: vec![signer(1).key()],
        approvals: Vec::new(),
        producers,
        schema_set: Kind::known(),
        policy: Policy {
            pots: vec![
                pot(0, Scheme::Pplns),
                pot(1, Scheme::Solo),
                pot(2, Scheme::Prop),
                pot(3, Scheme::Pps),
                pot(4, Scheme::Fpps),
            ],
            immature_depth: 1,
            confirmed_depth: 5,
            orphan_depth: 2,
            threshold: 1,
            address_hold_ms: 0,
            network_fees: NetworkFees::Pool,
            auto_pay_limit: 0,
            payout_depth: 6,
            payout_final_depth: 12,
            writeoff_ms: 0,
            rounding_to_fee: false,
        },
    }
}

fn stream(name: u8, now: u64) -> StreamId {
    StreamId::from_parts(now, [name; 10])
}

/// Runs it. `logs` are two handles on one log without an incarnation, `began` the producers' clock at the beginning, in
/// milliseconds since 1970: twelve seconds and more before the log's own.
///
/// # Panics
/// If anything is refused, or the log does not give what was sent.
pub fn run<L: Log>(ledger: LedgerId, began: u64, logs: [L; 2]) -> Outcome {
    let mut pool = Pool::start(ledger, began, logs);
    pool.announce();
    for step in 0..STEPS {
        let gateway = usize::try_from(step % 2).expect("small");
        pool.shares(gateway, step % 10 == 9);
        if step % 4 == 3 {
            pool.settle_one();
        }
    }
    // Until the last checkpoint covers the last frame of anybody else.
    for _ in 0..20 {
        pool.now += STEP_MS;
        pool.archive();
    }
    pool.outcome()
}

impl<L: Log> Pool<L> {
    fn start(ledger: LedgerId, now: u64, [log, log_of_archiver]: [L; 2]) -> Self {
        let disk = SimDisk::new(1);
        let frame = genesis_frame(&genesis(ledger), stream(1, now), now, &signer(1));
        let frame = frame.expect("a legal genesis");
        let config = StoreConfig {
            preallocate_bytes: 16_384,
        };
        for folder in ["archive", "reader"] {
            let segments = format!("{folder}/segments");
            let (mut store, _) =
                SegmentStore::open_with(disk.clone(), &segments, ledger, 0, config).expect("opens");
            let mut state = State::new(ledger);
            let verdict = state.admit(&store, now, frame.bytes().to_vec());
            let Ok((Verdict::Admitted(admitted), _)) = verdict else {
                panic!("genesis is admitted: {verdict:?}");
            };
            store
                .append_frame(admitted.position, admitted.ledger_time, now, &frame)
                .and_then(|()| store.sync())
                .expect("position 0");
        }
        let spool = |role| SpoolConfig {
            ledger,
            coin: 1,
            role,
            schema_set: 0,
            file_bytes: FILE_BYTES_MIN,
            total_bytes: FILE_BYTES_MIN * 16,
        };
        let archiver = ArchiverConfig {
            ledger,
            store: config,
            spool: spool(Role::Archiver),
            signer: signer(2),
        };
        let opened = Archiver::open(disk.clone(), "archive", archiver, now, stream(2, now));
        let (archiver, _) = opened.expect("opens");
        let opened = Reader::open(disk.clone(), "reader", ledger, config, 0);
        let (reader, _) = opened.expect("opens");
        let open = |(name, role): &(u8, Role)| {
            let opened = Spool::open(
                disk.clone(),
                &format!("spool-{name}"),
                spool(*role),
                signer(*name),
            );
            Producer {
                spool: opened.expect("opens").0,
                publisher: Publisher::new(),
                stream: stream(*name, now),
            }
        };
        let end = Arc::new(AtomicU64::new(0));
        let producers = [ROLES[3], ROLES[4], ROLES[2]].iter().map(open).collect();
        let mut pool = Self {
            ledger,
            now,
            rng: Rng::new(7),
            reader: Arc::new(Mutex::new(reader)),
            archiver,
            log: Known {
                log,
                end: Arc::clone(&end),
            },
            log_of_archiver: Known {
                log: log_of_archiver,
                end,
            },
            producers,
            policy: At::default(),
            blocks: Vec::new(),
            shares: 0,
            frames: Vec::new(),
        };
        while pool.final_size() == 0 {
            pool.now += STEP_MS;
            pool.archive();
        }
        pool
    }

    fn final_size(&self) -> u64 {
        self.reader.lock().expect("alone").final_size()
    }

    fn head_size(&self) -> u64 {
        self.reader.lock().expect("alone").head().size()
    }

    /// Jobs, rigs and their difficulties, once the policy is final.
    fn announce(&mut self) {
        let policy = {
            let reader = self.reader.lock().expect("alone");
            let authority = reader.settled().authority().expect("a genesis");
            let (at, obeyed) = authority.newest_policy();
            (at, Arc::clone(&obeyed.expect("a policy").policy))
        };
        self.policy = policy.0;
        for (index, producer) in self.producers.iter_mut().enumerate() {
            let learned = producer.spool.learn_policy(policy.0, policy.1.clone());
            learned.expect("learned");
            let begun = producer.spool.begin(self.now, producer.stream);
            begun.expect("begins");
            if index == 2 {
                continue;
            }
            let mut group = Vec::new();
            for number in 0..RIGS {
                let name = format!(
                    "miner{}",
                    (number + u32::try_from(index).expect("small")) % 4
                );
                group.push(Event::Worker(Box::new(Worker {
                    number,
                    pot: Pot(u16::try_from(number % 5).expect("small")),
                    extranonce1: Extranonce::new(&number.to_be_bytes()).expect("four bytes"),
                    extranonce2_size: 4,
                    version_mask: 0,
                    account: Account::Name(RegisteredName::parse(&name).expect("a name")),
                    name: WorkerName::parse("rig").expect("a name"),
                })));
                group.push(Event::Difficulty(Difficulty {
                    worker: number,
                    work: work(number),
                }));
            }
            group.push(Event::Job(Box::new(job(0, self.policy))));
            let group: Vec<_> = group.into_iter().map(|event| (self.now, event)).collect();
            producer.spool.append(&group).expect("room");
        }
        for index in 0..2 {
            self.say(index);
        }
    }

    /// A frame of shares, the last of them a block if it is to be.
    fn shares(&mut self, gateway: usize, block: bool) {
        let mut group = Vec::new();
        for number in 0..SHARES {
            self.shares += 1;
            let worker = u32::try_from(self.rng.below(RIGS.into())).expect("small");
            let last = block && number + 1 == SHARES;
            let share = Share {
                worker,
                job: 0,
                work: work(worker),
                block: last,
                stale: !last && self.rng.chance(1, 10),
                nonce: self.shares,
                ntime: 1_700_000_000,
                version: 0x2000_0000,
                extranonce2: Extranonce::new(&self.shares.to_be_bytes()).expect("four bytes"),
            };
            let time = self.now + u64::from(number);
            group.push((time, Event::Share(share)));
            if last {
                let hash = Hash::of(&[b"block", &self.shares.to_le_bytes()]);
                let found = BlockFound {
                    hash,
                    height: 100 + self.blocks.len() as u64,
                    coinbase_txid: Hash::of(&[b"coinbase", &hash.0]),
                    header: vec![7; 80],
                };
                group.push((time, Event::BlockFound(found)));
                let position = self.head_size();
                let index = u16::try_from(SHARES).expect("small");
                self.blocks.push((hash, At { position, index }, 0));
            }
        }
        self.producers[gateway].spool.append(&group).expect("room");
        self.say(gateway);
    }

    /// The settler says the next thing of a block: most are confirmed, every fourth is an orphan in the end.
    fn settle_one(&mut self) {
        let place = self.blocks.iter().position(|(_, _, said)| *said < 3);
        let Some(place) = place else { return };
        let (hash, expects, said) = self.blocks[place];
        let state = match said {
            0 => BlockState::Seen,
            1 => BlockState::Immature,
            _ if place % 4 == 3 => BlockState::Orphaned,
            _ => BlockState::Confirmed,
        };
        let status = BlockStatus {
            hash,
            expects,
            state,
            height: 100 + place as u64,
            value: 5_000_000_777,
            fees: 777,
        };
        let position = self.head_size();
        let event = (self.now, Event::BlockStatus(status));
        self.producers[2].spool.append(&[event]).expect("room");
        self.blocks[place] = (hash, At { position, index: 0 }, said + 1);
        self.say(2);
    }

    /// One frame leaves, stands, and the archiver has seen it.
    fn say(&mut self, index: usize) {
        let producer = &mut self.producers[index];
        let frame = producer.spool.cut().expect("cut").expect("a frame");
        let position = self.reader.lock().expect("alone").head().size();
        self.frames.push((position, frame.header_hash()));
        let started = Instant::now();
        loop {
            let mut reader = self.reader.lock().expect("alone");
            let producer = &mut self.producers[index];
            let told = producer.publisher.tick(
                &mut producer.spool,
                &mut reader,
                &mut self.log,
                Clock::at(self.now),
                producer.stream,
            );
            assert_eq!(told.expect("published").moved, None);
            if position < reader.head().size() {
                break;
            }
            poll(&mut reader, &self.log);
            assert!(started.elapsed() < PATIENCE, "a frame does not come back");
        }
        assert_eq!(self.head_size(), position + 1, "nobody else spoke");
        self.archive();
        self.now += STEP_MS;
    }

    /// The archiver reads what there is, signs if it is due, and what it says is read by all.
    fn archive(&mut self) {
        let started = Instant::now();
        loop {
            let ticked = self.archiver.tick(
                &mut self.log_of_archiver,
                self.now,
                256,
                stream(2, self.now),
            );
            match ticked {
                Ok(_) | Err(ArchiveError::Read(ReadError::Log(_) | ReadError::Unopened)) => {}
                Err(error) => panic!("the archiver: {error}"),
            }
            let mut reader = self.reader.lock().expect("alone");
            poll(&mut reader, &self.log);
            let (own, other) = (self.archiver.reader(), &reader);
            let signed = self.archiver.signed().map_or(0, |signed| signed.size);
            // Its checkpoint came back to both, and nothing is on its way.
            let is_level = own.head().size() == other.head().size()
                && own.final_size() == other.final_size()
                && own.incarnation().is_some()
                && signed <= own.final_size();
            if is_level {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "a checkpoint does not come back"
            );
        }
    }

    fn outcome(self) -> Outcome {
        let source = SharedReader(Arc::clone(&self.reader));
        let mut digests = BTreeMap::new();
        let mut tables = BTreeMap::new();
        let last = self.frames.last().expect("frames").0;
        let size = source.final_size();
        assert!(last < size, "everything said is final");
        let folds: [Box<dyn Fold + Send>; 2] = [Box::new(Money), Box::new(Rounds)];
        for fold in folds {
            let name = fold.name();
            let store = Arc::new(MemoryStore::new());
            let member: (_, Arc<dyn Store>) = (fold, store.clone());
            let opened = Engine::open(self.ledger, vec![member], Trust::Nothing, &source, size);
            let mut engine = opened.expect("opens");
            engine
                .advance(&source, size, u64::MAX, &mut |_| {})
                .expect("applied");
            assert_eq!(engine.stops().next(), None);
            let view = store.view().expect("in memory");
            for size in 0..=size {
                if let Some(found) = digest::at(view.as_ref(), size).expect("in memory") {
                    digests.insert((name, size), found.digest);
                }
            }
            for number in 1..rows::ENGINE_TABLES {
                let mut table = Table::new();
                let mut take = |key: &[u8], value: &[u8]| {
                    table.insert(key.to_vec(), value.to_vec());
                    std::ops::ControlFlow::Continue(())
                };
                view.scan(number, &rows::Span::all(), rows::Order::Forward, &mut take)
                    .expect("in memory");
                if !table.is_empty() {
                    tables.insert((name, number), table);
                }
            }
        }
        let reader = self.reader.lock().expect("alone");
        Outcome {
            size,
            root: reader.settled().root(),
            frames: self.frames,
            digests,
            tables,
        }
    }
}

/// The embedded log with a clock of the test's own: each record has the next of its times.
#[derive(Clone)]
pub struct Stamped(Arc<Mutex<(EmbeddedLog, Times)>>);

type Times = Box<dyn Iterator<Item = u64> + Send>;

impl Stamped {
    /// An embedded log whose records, the opening one first, are appended at these times.
    #[must_use]
    pub fn new(times: impl Iterator<Item = u64> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new((EmbeddedLog::new(), Box::new(times)))))
    }

    fn held(&self) -> MutexGuard<'_, (EmbeddedLog, Times)> {
        self.0.lock().expect("alone")
    }
}

impl fmt::Debug for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamped").finish_non_exhaustive()
    }
}

impl Log for Stamped {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.held().0.newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.held().0.generation(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        self.held().0.read(incarnation, offset, max)
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.held().0.offset_at(incarnation, append_time)
    }

    fn send(&mut self, incarnation: u32, _now: u64, bytes: &[u8]) -> LogResult<()> {
        let mut held = self.held();
        let time = held.1.next().expect("a time for each record");
        held.0.send(incarnation, time, bytes)
    }

    fn open_incarnation(&mut self, _now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        let mut held = self.held();
        let time = held.1.next().expect("a time for each record");
        held.0.open_incarnation(time, opened)
    }
}

fn poll<L: Log>(reader: &mut Reader<SimDisk>, log: &L) {
    match reader.poll(log, 256) {
        Ok(_) | Err(ReadError::Log(_) | ReadError::Unopened) => {}
        Err(error) => panic!("the reader: {error}"),
    }
}

fn work(worker: u32) -> Work {
    Work::new(100 + u64::from(worker) * 7).expect("some")
}

fn job(number: u32, policy: At) -> Job {
    Job {
        number,
        policy,
        height: 100,
        network_work: NETWORK_WORK,
        reward: 5_000_000_777,
        fees: 777,
        version: 0x2000_0000,
        prev: Hash([7; 32]),
        nbits: 0x207f_ffff,
        time: 1_700_000_000,
        clean: true,
        coinbase1: vec![1; 60],
        coinbase2: vec![2; 40],
        branches: Vec::new(),
        direct: 0,
    }
}
