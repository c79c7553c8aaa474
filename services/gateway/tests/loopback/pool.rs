//! A pool of one gateway: ledger, archiver, mirror and gateway in one process and one folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orebook_chain::{Template, TemplateFields};
use orebook_gateway::{
    ActivityParts, DifficultyRule, EdgeConfig, Elsewhere, EthashConfig, FoundBlock, Gateway,
    GatewayConfig, GatewayHandle, GatewayParts, Limits, Metrics, Network, PortConfig, Region,
    TlsFiles, VERSION_MASK_DEFAULT, difficulty,
};
use orebook_ledger::activity::{ActivitySource as _, Ring, RingConfig, RingReader, open};
use orebook_ledger::admit::{Parsed, State, Trust, Verdict};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::{EmbeddedLog, Log, LogRecord, LogResult};
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{Record, SegmentStore, StoreConfig};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig};
use orebook_schema::activity::Report;
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot, RegisteredName, Script};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::work::{Job, Share, Worker};
use orebook_schema::{
    Account, Event, Hash, Header, Key, Kind, LedgerId, Policy, Role, StreamId, Work,
};
use tempfile::TempDir;

/// Longest that a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const UNIT: orebook_schema::units::WorkUnit = orebook_schema::units::WorkUnit::Sha256d;
/// Folder of activity reports.
const ACTIVITY: &str = "activity";
pub(crate) const LEDGER: LedgerId = LedgerId([9; 16]);
/// Compact target that nobody meets here.
pub(crate) const HARD: u32 = 0x1700_ffff;
/// Compact target that every second hash meets.
pub(crate) const EASY: u32 = 0x207f_ffff;

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("before the year 500 million")
}

pub(crate) fn signer(role: Role) -> Signer {
    Signer::from_seed(&[role as u8; 32])
}

pub(crate) fn stream() -> StreamId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::SeqCst).to_le_bytes();
    let mut random = [0; 10];
    random[..8].copy_from_slice(&next);
    StreamId::from_parts(now_ms(), random)
}

/// Work of a decimal.
pub(crate) fn work(text: &str) -> Work {
    difficulty(text, UNIT).expect("a difficulty")
}

/// The embedded log behind a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestLog {
    log: Arc<(Mutex<EmbeddedLog>, Condvar)>,
    /// While it is down, nothing is taken and nothing is given.
    down: Arc<AtomicBool>,
}

impl TestLog {
    pub(crate) fn held(&self) -> MutexGuard<'_, EmbeddedLog> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn ask(&self) -> LogResult<()> {
        if self.down.load(Ordering::SeqCst) {
            let why = "the test says so".to_owned();
            return Err(orebook_ledger::log::LogError::Unavailable(why));
        }
        Ok(())
    }

    /// Waits a moment, or until something was sent.
    fn wait(&self) {
        drop(
            self.log
                .1
                .wait_timeout(self.held(), Duration::from_millis(5)),
        );
    }
}

impl Log for TestLog {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.ask()?;
        self.held().newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.ask()?;
        self.held().generation(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        self.ask()?;
        self.held().read(incarnation, offset, max)
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.ask()?;
        self.held().offset_at(incarnation, append_time)
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        self.ask()?;
        let sent = self.held().send(incarnation, now, bytes);
        self.log.1.notify_all();
        sent
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        self.ask()?;
        self.held().open_incarnation(now, opened)
    }
}

/// What differs from test to test.
pub(crate) struct Setup {
    pub(crate) ports: Vec<DifficultyRule>,
    pub(crate) limits: Limits,
    /// Where every port listens.
    pub(crate) listen: SocketAddr,
    pub(crate) edge: EdgeConfig,
    pub(crate) stale_grace: Duration,
    pub(crate) spool_bytes: (u64, u64),
    pub(crate) algorithm: Algorithm,
    /// Whose key the gateway has.
    pub(crate) key: Role,
    /// Load balancers of every port.
    pub(crate) proxy_from: Vec<Network>,
    /// Where its miners are sent.
    pub(crate) elsewhere: Vec<Elsewhere>,
    /// Certificate of every port.
    pub(crate) tls: Option<TlsFiles>,
    /// Hears in the loop's thread of each login, and `block` of each block.
    pub(crate) watch: Option<Watch>,
}

pub(crate) type Watch = Arc<dyn Fn(&str) + Send + Sync>;

impl Default for Setup {
    fn default() -> Self {
        Self {
            ports: vec![DifficultyRule::Fixed(work("0.000001"))],
            limits: Limits::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            edge: EdgeConfig::default(),
            stale_grace: Duration::from_secs(60),
            spool_bytes: (1 << 20, 16 << 20),
            algorithm: Algorithm::Sha256d,
            key: Role::Gateway,
            proxy_from: Vec::new(),
            elsewhere: Vec::new(),
            tls: None,
            watch: None,
        }
    }
}

/// The ledger of a test, which outlives its gateway.
pub(crate) struct Ledger {
    dir: TempDir,
    pub(crate) log: TestLog,
    pub(crate) mirror: Arc<Mutex<Reader<RealDisk>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A running pool.
pub(crate) struct Pool {
    pub(crate) ledger: Ledger,
    pub(crate) gateway: GatewayHandle,
    pub(crate) blocks: Arc<Mutex<Vec<FoundBlock>>>,
    pub(crate) fatal: Arc<Mutex<Vec<String>>>,
}

fn policy() -> Policy {
    let pot = |pot, scheme| PotRules {
        pot: Pot(pot),
        scheme,
        n_ppm: 2_000_000,
        fee_ppm: 10_000,
        bonus_ppm: 0,
        stale_ppm: 500_000,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    };
    Policy {
        pots: vec![pot(0, Scheme::Pplns), pot(1, Scheme::Solo)],
        immature_depth: 1,
        confirmed_depth: 6,
        orphan_depth: 3,
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

fn genesis(algorithm: Algorithm) -> Genesis {
    let roles = [Role::Desk, Role::Gateway, Role::Archiver];
    let mut producers: Vec<(Key, Role)> = roles.map(|role| (signer(role).key(), role)).to_vec();
    producers.sort_unstable();
    Genesis {
        ledger: LEDGER,
        coin: 1,
        coin_name: CoinName::parse("test").expect("a name"),
        algorithm,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 65_536,
        segment_bytes: 256 << 20,
        digest_answers: 1,
        approvers: vec![signer(Role::Paymaster).key()],
        approvals: vec![(Approved::Key, 1), (Approved::Policy, 1)],
        producers,
        schema_set: Kind::known(),
        policy: policy(),
    }
}

fn write_genesis(disk: &RealDisk, folders: [&str; 2], algorithm: Algorithm) {
    let now = now_ms();
    let genesis = genesis(algorithm);
    let frame = genesis_frame(&genesis, stream(), now, &signer(Role::Desk)).expect("a genesis");
    for folder in folders {
        let (mut store, _) =
            SegmentStore::open(disk.clone(), folder, LEDGER, 0).expect("a new store");
        let mut state = State::new(LEDGER);
        let verdict = state.admit(&store, now, frame.bytes().to_vec());
        let Ok((Verdict::Admitted(admitted), _)) = verdict else {
            panic!("the genesis is not admitted: {verdict:?}");
        };
        store
            .append_frame(admitted.position, admitted.ledger_time, now, &frame)
            .expect("room");
        store.sync().expect("a good disk");
    }
}

impl Ledger {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = RealDisk::new(dir.path().to_path_buf());
        write_genesis(&disk, ["archive/segments", "mirror/segments"], algorithm);
        Self::open(dir, TestLog::default())
    }

    fn open(dir: TempDir, log: TestLog) -> Self {
        let disk = RealDisk::new(dir.path().to_path_buf());
        let config = ArchiverConfig {
            ledger: LEDGER,
            store: StoreConfig::default(),
            spool: spool_config(Role::Archiver, (1 << 20, 16 << 20)),
            signer: signer(Role::Archiver),
        };
        let (archiver, _) =
            Archiver::open(disk.clone(), "archive", config, now_ms(), stream()).expect("it opens");
        let (mirror, _) =
            Reader::open(disk, "mirror", LEDGER, StoreConfig::default(), 0).expect("it opens");
        let mirror = Arc::new(Mutex::new(mirror));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (log, mirror, stop) = (log.clone(), Arc::clone(&mirror), Arc::clone(&stop));
            std::thread::spawn(move || keep(archiver, log, &mirror, &stop))
        };
        Self {
            dir,
            log,
            mirror,
            stop,
            thread: Some(thread),
        }
    }

    /// All reports of the activity log, oldest first.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let mut reader = RingReader::new(self.disk(), ACTIVITY);
        let key = signer(Role::Gateway).key();
        let reports = reader.read(usize::MAX).expect("the disk works");
        let reports = reports
            .iter()
            .map(|bytes| open(bytes, |known| *known == key));
        reports.collect::<Result<_, _>>().expect("reports of ours")
    }

    pub(crate) fn disk(&self) -> RealDisk {
        RealDisk::new(self.dir.path().to_path_buf())
    }

    pub(crate) fn reader(&self) -> MutexGuard<'_, Reader<RealDisk>> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything final, in the ledger's order.
    pub(crate) fn events(&self) -> Vec<Event> {
        let reader = self.reader();
        let mut events = Vec::new();
        for record in reader.store().records(0) {
            let record = record.expect("sound segments");
            if let Record::Frame(stored) = record
                && stored.position < reader.final_size()
            {
                events.extend(stored.frame.decode().expect("an admitted frame decodes"));
            }
        }
        events
    }

    /// A folder of the ledger's disk.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Each stream with final frames of shares, in the order of their first, and whether it is closed.
    pub(crate) fn share_streams(&self) -> Vec<(StreamId, bool)> {
        let reader = self.reader();
        let mut streams: Vec<(StreamId, bool)> = Vec::new();
        for record in reader.store().records(0) {
            let Record::Frame(stored) = record.expect("sound segments") else {
                continue;
            };
            let header = stored.frame.header();
            let shares = Kind::Share.bit() | Kind::Moved.bit();
            let is_known = streams.iter().any(|(stream, _)| *stream == header.stream);
            if header.kinds & shares != 0 && !is_known {
                let standing = reader.head().stream(header.stream);
                let is_closed = standing.is_some_and(|stream| stream.closed);
                streams.push((header.stream, is_closed));
            }
        }
        streams
    }

    /// The newest final job, and the header of its frame.
    pub(crate) fn newest_job(&self) -> Option<(Header, Job)> {
        let reader = self.reader();
        let mut newest = None;
        for record in reader.store().records(0) {
            let Record::Frame(stored) = record.expect("sound segments") else {
                continue;
            };
            let events = stored.frame.decode().expect("an admitted frame decodes");
            if let Some((_, job)) = jobs(&events).into_iter().next_back() {
                newest = Some((stored.frame.header().clone(), job));
            }
        }
        newest
    }

    /// The next process: nothing of memory is left, and the log is a new one.
    pub(crate) fn restart(mut self) -> Self {
        self.end();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().expect("a folder"));
        Self::open(dir, TestLog::default())
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the ledger's thread did not fail");
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Archiver and mirror, until they are told to stop.
fn keep(
    mut archiver: Archiver<RealDisk>,
    mut log: TestLog,
    mirror: &Mutex<Reader<RealDisk>>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::SeqCst) {
        match archiver.tick(&mut log, now_ms(), 256, stream()) {
            Ok(_) => {}
            Err(error) if format!("{error:?}").contains("Unavailable") => {}
            Err(error) => panic!("archiver: {error}"),
        }
        let mut reader = mirror.lock().unwrap_or_else(PoisonError::into_inner);
        match reader.poll(&log, 256) {
            Ok(_) | Err(ReadError::Log(_) | ReadError::Unopened) => {}
            Err(ReadError::Missing { from, to, root }) => {
                let records: Vec<_> = archiver.reader().store().records(from).collect();
                reader.adopt(records, to, root).expect("the archiver's");
            }
            Err(error) => panic!("mirror: {error}"),
        }
        drop(reader);
        log.wait();
    }
}

pub(crate) fn spool_config(role: Role, (file_bytes, total_bytes): (u64, u64)) -> SpoolConfig {
    SpoolConfig {
        ledger: LEDGER,
        coin: 1,
        role,
        schema_set: 0,
        file_bytes,
        total_bytes,
    }
}

/// Logins of these tests: `name-…`, which is an account of that name; anything else is wrong.
/// Reports go into files beside the ledger, each 20 ms.
fn activity_parts(ledger: &Ledger, key: Role) -> ActivityParts {
    let keep = RingConfig {
        bytes_max: 4 << 20,
        age_ms_max: u64::MAX,
    };
    let ring = Ring::open(ledger.disk(), ACTIVITY, keep, now_ms()).expect("a ring");
    ActivityParts {
        sink: Box::new(ring),
        signer: signer(key),
        coin: 1,
        flush: Duration::from_millis(20),
    }
}

fn parse_account(login: &str) -> Result<Account, String> {
    let name = RegisteredName::parse(login).filter(|_| login.starts_with("name-"));
    name.map(Account::Name)
        .ok_or_else(|| "a login begins with name-".to_owned())
}

/// The account of a login.
pub(crate) fn account(login: &str) -> Account {
    parse_account(login).expect("a login")
}

impl Pool {
    pub(crate) fn start(setup: &Setup) -> Self {
        Self::on(Ledger::new(setup.algorithm), setup)
    }

    pub(crate) fn on(ledger: Ledger, setup: &Setup) -> Self {
        let (spool, _) = Spool::open(
            ledger.disk(),
            "spool",
            spool_config(Role::Gateway, setup.spool_bytes),
            signer(setup.key),
        )
        .expect("a sound spool");
        let blocks = Arc::new(Mutex::new(Vec::new()));
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let (found, ended) = (Arc::clone(&blocks), Arc::clone(&fatal));
        let (watch, watch_blocks) = (setup.watch.clone(), setup.watch.clone());
        let ports = setup.ports.iter().enumerate();
        let config = GatewayConfig {
            algorithm: setup.algorithm,
            ports: ports
                .map(|(pot, difficulty)| PortConfig {
                    address: setup.listen,
                    pot: Pot(u16::try_from(pot).expect("few ports")),
                    difficulty: *difficulty,
                    proxy_from: setup.proxy_from.clone(),
                    elsewhere: setup.elsewhere.clone(),
                    tls: setup.tls.clone(),
                    region: Region::parse("test").expect("a region"),
                })
                .collect(),
            payout_script: Script::new(&[0x51]).expect("a script").bytes().to_vec(),
            coinbase_text: "orebook".to_owned(),
            extranonce2_bytes: 4,
            version_mask: VERSION_MASK_DEFAULT,
            commit_spacing: Duration::from_millis(1),
            stale_grace: setup.stale_grace,
            limits: setup.limits,
            edge: setup.edge.clone(),
            ethash: EthashConfig::default(),
        };
        let parts = GatewayParts {
            spool,
            mirror: Arc::clone(&ledger.mirror),
            log: ledger.log.clone(),
            disk: ledger.disk(),
            control_dir: "gateway".to_owned(),
            parse_account: Box::new(move |login| {
                if let Some(watch) = &watch {
                    watch(login);
                }
                parse_account(login)
            }),
            on_block: Box::new(move |block| {
                if let Some(watch) = &watch_blocks {
                    watch("block");
                }
                found.lock().expect("no panic").push(block);
            }),
            activity: Some(activity_parts(&ledger, setup.key)),
            fatal: Arc::new(move |why| ended.lock().expect("no panic").push(why.to_owned())),
        };
        let gateway = Gateway::start(config, parts).expect("it starts");
        Self {
            ledger,
            gateway,
            blocks,
            fatal,
        }
    }

    /// Ends the gateway as a service manager does; the ledger goes on.
    pub(crate) fn stop(self) -> Ledger {
        self.stop_and_count().0
    }

    /// Like [`Self::stop`], with its last figures: nothing is counted after them.
    pub(crate) fn stop_and_count(self) -> (Ledger, Metrics) {
        self.gateway.stop().expect("no thread panicked");
        assert_eq!(self.fatal.lock().expect("no panic").as_slice(), [""; 0]);
        (self.ledger, self.gateway.metrics())
    }

    pub(crate) fn address(&self, port: usize) -> SocketAddr {
        self.gateway.addresses()[port]
    }

    /// A template of this height for everybody; waits until a job is made of it.
    pub(crate) fn work_at(&self, height: u64, nbits: u32) -> Arc<Template> {
        self.work(template(height, nbits, 0))
    }

    /// Waits until a job is made of this template.
    pub(crate) fn work(&self, template: Template) -> Arc<Template> {
        let template = Arc::new(template);
        let before = self.gateway.metrics().sessions.counts.jobs;
        self.gateway.template(Arc::clone(&template));
        self.until("a job", |metrics| before < metrics.sessions.counts.jobs);
        template
    }

    /// Waits until the gateway's figures say something.
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Metrics) -> bool) -> Metrics {
        let start = Instant::now();
        loop {
            let metrics = self.gateway.metrics();
            if done(&metrics) {
                return metrics;
            }
            assert!(start.elapsed() < DEADLINE, "{what}: {metrics:?}");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Waits until so many shares are final; all of them.
    pub(crate) fn final_shares(&self, count: usize) -> Vec<Share> {
        self.ledger.final_shares(count)
    }
}

impl Ledger {
    /// Waits until so many shares are final; all of them.
    pub(crate) fn final_shares(&self, count: usize) -> Vec<Share> {
        let start = Instant::now();
        loop {
            let shares = shares(&self.events());
            if count <= shares.len() {
                return shares;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{} of {count} shares are final",
                shares.len()
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Ledger {
    /// Final shares that count, moved ones too, by an admission of our own.
    pub(crate) fn counted_shares(&self) -> usize {
        let reader = self.reader();
        let store = reader.store();
        let mut state = State::new(LEDGER);
        let mut count = 0;
        for record in store.records(0) {
            let stored = match record.expect("sound segments") {
                Record::Frame(stored) if stored.position < reader.final_size() => stored,
                Record::Frame(_) => break,
                Record::Closure { header, .. } => {
                    state.close_by_evidence(store, &header).expect("judged");
                    continue;
                }
            };
            let parsed = Parsed::read(stored.frame.bytes().to_vec()).expect("a frame");
            let judged = state.admit_parsed(store, stored.append_time, &parsed, Trust::Nothing);
            let Ok(Verdict::Admitted(admitted)) = judged else {
                panic!("position {} is not admitted again", stored.position);
            };
            let mut counts = admitted.counts.iter();
            count += parsed
                .events()
                .iter()
                .filter(|event| match event {
                    Event::Share(_) => true,
                    Event::Moved(moved) => {
                        let counted = *counts.next().expect("one for each moved event");
                        counted && matches!(moved.inner(), Ok(Event::Share(_)))
                    }
                    _ => false,
                })
                .count();
        }
        count
    }

    /// Waits until so many shares that count are final.
    pub(crate) fn until_counted(&self, count: usize) {
        let start = Instant::now();
        while self.counted_shares() < count {
            let so_far = self.counted_shares();
            assert!(start.elapsed() < DEADLINE, "{so_far} of {count} shares");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until the mirror knows a gateway's key as one in force.
    pub(crate) fn until_in_force(&self, key: Role) {
        let start = Instant::now();
        let key = signer(key).key();
        let role = || {
            let reader = self.reader();
            reader.head().authority().and_then(|known| known.role(&key))
        };
        while role() != Some(Role::Gateway) {
            assert!(start.elapsed() < DEADLINE, "the key is not in force");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// A template; `salt` makes another one of the same parent.
pub(crate) fn template(height: u64, nbits: u32, salt: u64) -> Template {
    let mut fields = template_fields(height, nbits);
    fields.reward += salt;
    Template::new(fields).expect("a template")
}

/// Its fields.
pub(crate) fn template_fields(height: u64, nbits: u32) -> TemplateFields {
    let time = u32::try_from(now_ms() / 1_000).expect("before 2106");
    TemplateFields {
        height,
        prev: Hash::of(&[b"parent", &height.to_le_bytes()]),
        version: 0x2000_0000,
        nbits,
        time,
        mintime: time - 600,
        reward: 5_000_000_000,
        ..TemplateFields::default()
    }
}

pub(crate) fn shares(events: &[Event]) -> Vec<Share> {
    let share = |event: &Event| match event {
        Event::Share(share) => Some(*share),
        _ => None,
    };
    events.iter().filter_map(share).collect()
}

pub(crate) fn workers(events: &[Event]) -> Vec<Worker> {
    let worker = |event: &Event| match event {
        Event::Worker(worker) => Some((**worker).clone()),
        _ => None,
    };
    events.iter().filter_map(worker).collect()
}

pub(crate) fn jobs(events: &[Event]) -> BTreeMap<u32, Job> {
    let job = |event: &Event| match event {
        Event::Job(job) => Some((job.number, (**job).clone())),
        _ => None,
    };
    events.iter().filter_map(job).collect()
}
