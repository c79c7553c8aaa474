//! The process with the gateway. Archiver and mirror of the embedded ledger live in it too; they stand still while shares
//! are counted, since elsewhere they are other processes, and read everything afterwards.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[cfg(feature = "kafka")]
use orebook_archiver::{Fatal, Source, start_mirror};
use orebook_archiver::{LogReader, Mirror, SharedLog, WaitLog, lock, new_stream, now_ms};
use orebook_gateway::{
    COMMIT_SPACING_DEFAULT, DifficultyRule, EXTRANONCE2_BYTES_DEFAULT, EdgeConfig, EthashConfig,
    Gateway, GatewayConfig, GatewayHandle, GatewayParts, Limits, Metrics, PortConfig,
    VERSION_MASK_DEFAULT,
};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{Record, StoreConfig};
use orebook_ledger::spool::{FILE_BYTES_DEFAULT, Spool};
use orebook_schema::genesis::Algorithm;
use orebook_schema::{Kind, Role, Work};
use serde::{Deserialize, Serialize};

use super::ground::{
    ARCHIVE, LEDGER, MIRROR, POT, account, failed, payout_script, signer, spool_config, template,
    write_genesis,
};
#[cfg(feature = "kafka")]
use crate::up::pool_log::PoolLog;
use crate::{Failure, print};

/// Longest wait for anything that must happen.
const DEADLINE: Duration = Duration::from_secs(180);
/// Sleep between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// Longest sleep of archiver and mirror.
const TURN: Duration = Duration::from_millis(10);
/// Records taken in one turn.
const RECORDS_MAX: usize = 256;
/// All files of the spool: what is answered while the archiver stands still fits several times.
const SPOOL_TOTAL_BYTES: u64 = 8 << 30;
/// The archiver's spool holds checkpoints only.
const SMALL_SPOOL: (u64, u64) = (1 << 20, 64 << 20);

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GatewaySettings {
    /// An empty folder; over brokers one with the genesis in the mirror's folder.
    pub(super) dir: PathBuf,
    /// `host:port` of brokers; none: the embedded log, with archiver and mirror in the process.
    pub(super) brokers: Vec<String>,
}

/// What it says first: miners may come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) address: SocketAddr,
}

/// What it says at the end, when everything it recorded is final.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GatewayFigures {
    pub(super) accepted: u64,
    pub(super) recorded: u64,
    pub(super) commits: u64,
    pub(super) share_turns: u64,
    pub(super) jobs: u64,
    pub(super) sync_p50_ns: u64,
    pub(super) sync_p99_ns: u64,
}

/// Archiver and mirror on one thread.
struct Keeper {
    archiver: Archiver<RealDisk>,
    mirror: Mirror,
    log: SharedLog,
    readers: [LogReader; 2],
    paused: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

/// Runs until it is told to finish.
pub(super) fn run() -> Result<(), Failure> {
    let mut lines = std::io::stdin().lock().lines();
    let mut line = || match lines.next() {
        Some(Ok(line)) => Ok(line),
        _ => Err(Failure::new("nobody tells this process what to do").hint("use `orebook bench`")),
    };
    let settings: GatewaySettings =
        serde_json::from_str(&line()?).map_err(|error| failed("settings", error))?;
    let disk = RealDisk::new(settings.dir);
    if !settings.brokers.is_empty() {
        #[cfg(feature = "kafka")]
        return over_brokers(&disk, settings.brokers, &mut line);
        #[cfg(not(feature = "kafka"))]
        return Err(Failure::new("this program was built without Kafka"));
    }
    let (paused, stop) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let keeper = Keeper::open(&disk, paused.clone(), stop.clone())?;
    let (mirror, log) = (keeper.mirror.clone(), keeper.log.clone());
    let fault: Arc<Mutex<Option<String>>> = Arc::default();
    let seen = fault.clone();
    let thread = std::thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(move || {
            if let Err(why) = keeper.run() {
                *seen
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
            }
        })
        .map_err(|error| failed("no thread", error))?;
    let sound = || match fault.lock() {
        Ok(fault) => fault
            .as_ref()
            .map_or(Ok(()), |why| Err(failed("archiver or mirror", why))),
        Err(_) => Err(Failure::new("archiver or mirror panicked")),
    };
    until("the genesis to be final", || {
        sound()?;
        let reader = lock(&mirror);
        Ok(0 < reader.final_size() && reader.incarnation().is_some())
    })?;
    let gateway = start(&disk, &mirror, log)?;
    until("a job", || Ok(0 < gateway.metrics().sessions.counts.jobs))?;
    paused.store(true, Ordering::SeqCst);
    let address = gateway.addresses().first().copied();
    let address = address.ok_or_else(|| Failure::new("the gateway has no port"))?;
    say(&Ready { address })?;
    line()?;
    let metrics = gateway.metrics();
    paused.store(false, Ordering::SeqCst);
    let mut counted = Counted::default();
    until("all shares to be final", || {
        sound()?;
        counted.go_on(&lock(&mirror))?;
        Ok(metrics.spool.shares <= counted.shares)
    })?;
    let ended = gateway.stop();
    ended.map_err(|_| Failure::new("a thread of the gateway panicked"))?;
    stop.store(true, Ordering::SeqCst);
    let ended = thread.join();
    ended.map_err(|_| Failure::new("archiver or mirror panicked"))?;
    sound()?;
    // The checkpoint that made them final is in memory yet.
    let kept = lock(&mirror).persist();
    kept.map_err(|error| failed("mirror", error))?;
    say_figures(&metrics)
}

/// The gateway as on a machine of its own: it sends to brokers, and its mirror reads back from them. Archivers are elsewhere.
#[cfg(feature = "kafka")]
fn over_brokers(
    disk: &RealDisk,
    brokers: Vec<String>,
    line: &mut impl FnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let config = orebook_kafka::KafkaConfig::development(brokers);
    let kafka = |error: orebook_kafka::OpenError| failed("kafka", error);
    let log = orebook_kafka::KafkaLog::open(&config, super::ground::COIN, LEDGER).map_err(kafka)?;
    let log = PoolLog::Kafka(log);
    let opened = Reader::open(disk.clone(), MIRROR, LEDGER, StoreConfig::default(), 0);
    let (reader, _) = opened.map_err(|error| failed("mirror", error))?;
    let mirror: Mirror = Arc::new(Mutex::new(reader));
    let nowhere = Source::Folder {
        dir: MIRROR.into(),
        ledger: LEDGER,
    };
    let fatal: Fatal = Arc::new(|why: &str| {
        tracing::error!(why, "the bench ends");
        std::process::abort();
    });
    let thread = start_mirror(mirror.clone(), log.another()?, None, nowhere, fatal);
    let (thread, _) = thread.map_err(|error| failed("no thread", error))?;
    until("the genesis to be final", || {
        let reader = lock(&mirror);
        Ok(0 < reader.final_size() && reader.incarnation().is_some())
    })?;
    let gateway = start(disk, &mirror, log)?;
    until("a job", || Ok(0 < gateway.metrics().sessions.counts.jobs))?;
    let address = gateway.addresses().first().copied();
    let address = address.ok_or_else(|| Failure::new("the gateway has no port"))?;
    say(&Ready { address })?;
    line()?;
    let metrics = gateway.metrics();
    let mut counted = Counted::default();
    until("all shares to be final", || {
        counted.go_on(&lock(&mirror))?;
        Ok(metrics.spool.shares <= counted.shares)
    })?;
    let ended = gateway.stop();
    ended.map_err(|_| Failure::new("a thread of the gateway panicked"))?;
    let ended = thread.stop();
    ended.map_err(|_| Failure::new("the mirror panicked"))?;
    let kept = lock(&mirror).persist();
    kept.map_err(|error| failed("mirror", error))?;
    say_figures(&metrics)
}

fn say_figures(metrics: &Metrics) -> Result<(), Failure> {
    say(&GatewayFigures {
        accepted: metrics.sessions.counts.shares.accepted,
        recorded: metrics.spool.shares,
        commits: metrics.spool.commits,
        share_turns: metrics.sessions.counts.share_turns,
        jobs: metrics.sessions.counts.jobs,
        sync_p50_ns: metrics.spool.sync_ns.per_mille(500),
        sync_p99_ns: metrics.spool.sync_ns.per_mille(990),
    })
}

fn say(what: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(what).map_err(|error| failed("json", error))?)
}

fn until(what: &str, mut done: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let start = Instant::now();
    while !done()? {
        if DEADLINE < start.elapsed() {
            return Err(Failure::new(format!("waited {DEADLINE:?} for {what}")));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn start<L: WaitLog>(disk: &RealDisk, mirror: &Mirror, log: L) -> Result<GatewayHandle, Failure> {
    let config = spool_config(Role::Gateway, FILE_BYTES_DEFAULT, SPOOL_TOTAL_BYTES);
    let opened = Spool::open(disk.clone(), "gateway/spool", config, signer(Role::Gateway));
    let (spool, _) = opened.map_err(|error| failed("spool", error))?;
    // The least work there is: one hash of 65,536 misses it.
    let work = Work::new(1).ok_or_else(|| Failure::new("work"))?;
    let config = GatewayConfig {
        algorithm: Algorithm::Sha256d,
        ports: vec![PortConfig {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            pot: POT,
            difficulty: DifficultyRule::Fixed(work),
            proxy_from: Vec::new(),
            elsewhere: Vec::new(),
            tls: None,
        }],
        payout_script: payout_script(),
        coinbase_text: "bench".to_owned(),
        extranonce2_bytes: EXTRANONCE2_BYTES_DEFAULT,
        version_mask: VERSION_MASK_DEFAULT,
        commit_spacing: COMMIT_SPACING_DEFAULT,
        stale_grace: Duration::from_secs(60),
        limits: Limits::default(),
        edge: EdgeConfig::default(),
        ethash: EthashConfig::default(),
    };
    let parts = GatewayParts {
        spool,
        mirror: mirror.clone(),
        log,
        disk: disk.clone(),
        control_dir: "gateway/control".to_owned(),
        parse_account: Box::new(account),
        on_block: Box::new(|_| {}),
        activity: None,
        fatal: Arc::new(|why| {
            tracing::error!(why, "the bench ends");
            std::process::abort();
        }),
    };
    let gateway = Gateway::start(config, parts).map_err(|error| failed("gateway", error))?;
    gateway.template(Arc::new(template()?));
    Ok(gateway)
}

impl Keeper {
    fn open(
        disk: &RealDisk,
        paused: Arc<AtomicBool>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let now = now_ms();
        write_genesis(disk, 65_536, now, &[ARCHIVE, MIRROR])?;
        let config = ArchiverConfig {
            ledger: LEDGER,
            store: StoreConfig::default(),
            spool: spool_config(Role::Archiver, SMALL_SPOOL.0, SMALL_SPOOL.1),
            signer: signer(Role::Archiver),
        };
        let opened = Archiver::open(disk.clone(), ARCHIVE, config, now, new_stream());
        let (archiver, _) = opened.map_err(|error| failed("archiver", error))?;
        let opened = Reader::open(disk.clone(), MIRROR, LEDGER, StoreConfig::default(), 0);
        let (reader, _) = opened.map_err(|error| failed("mirror", error))?;
        let log = SharedLog::new();
        Ok(Self {
            archiver,
            mirror: Arc::new(Mutex::new(reader)),
            readers: [log.reader(), log.reader()],
            log,
            paused,
            stop,
        })
    }

    fn run(mut self) -> Result<(), String> {
        let mut seen = 0;
        while !self.stop.load(Ordering::SeqCst) {
            if self.paused.load(Ordering::SeqCst) {
                std::thread::sleep(LOOK * 10);
                continue;
            }
            let ticked = self
                .archiver
                .tick(&mut self.log, now_ms(), RECORDS_MAX, new_stream());
            let archived = ticked.map_err(|error| error.to_string())?;
            let mut reader = lock(&self.mirror);
            let mirrored = match reader.poll(&self.log, RECORDS_MAX) {
                Ok(read) => read,
                Err(ReadError::Unopened) => 0,
                Err(error) => return Err(error.to_string()),
            };
            let of_mirror = (reader.incarnation(), reader.forgettable_offset());
            drop(reader);
            let reader = self.archiver.reader();
            let of_archiver = (reader.incarnation(), reader.forgettable_offset());
            for (reader, (incarnation, offset)) in self.readers.iter().zip([of_archiver, of_mirror])
            {
                if let Some(incarnation) = incarnation {
                    reader.taken(incarnation, offset);
                }
            }
            let full = archived == RECORDS_MAX || mirrored == RECORDS_MAX;
            let longest = if full { Duration::ZERO } else { TURN };
            seen = self.log.wait(seen, longest);
        }
        Ok(())
    }
}

/// Shares in final frames, counted as they become final.
#[derive(Default)]
struct Counted {
    positions: u64,
    shares: u64,
}

impl Counted {
    fn go_on(&mut self, reader: &Reader<RealDisk>) -> Result<(), Failure> {
        let end = reader.final_size();
        for record in reader.store().records(self.positions) {
            let record = record.map_err(|error| failed("mirror", error))?;
            let Record::Frame(stored) = record else {
                continue;
            };
            if end <= stored.position {
                break;
            }
            let events = stored.frame.events().map_while(Result::ok);
            let shares = events.filter(|event| event.kind == Kind::Share as u8);
            self.shares += shares.map(|_| 1).sum::<u64>();
            self.positions = stored.position + 1;
        }
        Ok(())
    }
}
