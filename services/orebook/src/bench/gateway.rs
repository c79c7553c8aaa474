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
    ActivityParts, COMMIT_SPACING_DEFAULT, DifficultyRule, EXTRANONCE2_BYTES_DEFAULT, EdgeConfig,
    EthashConfig, Gateway, GatewayConfig, GatewayHandle, GatewayParts, Limits, Metrics, PortConfig,
    Region, TlsFiles, VERSION_MASK_DEFAULT,
};
use orebook_ledger::activity::{Ring, RingConfig};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{Record, StoreConfig};
use orebook_ledger::spool::{FILE_BYTES_DEFAULT, Spool};
use orebook_schema::genesis::Algorithm;
use orebook_schema::{Kind, Role, Work};
use serde::{Deserialize, Serialize};

use super::ground::{
    ARCHIVE, COIN, LEDGER, MIRROR, POT, account, eth_work, failed, payout_script, signer,
    spool_config, template, template_of, write_genesis,
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
/// The activity log, and the time between its reports: as configured unless told otherwise.
const ACTIVITY_BYTES: u64 = 64 << 20;
const ACTIVITY_FLUSH: Duration = Duration::from_secs(10);
/// The archiver's spool holds checkpoints only.
const SMALL_SPOOL: (u64, u64) = (1 << 20, 64 << 20);

/// What the process is told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct GatewaySettings {
    /// An empty folder; over brokers one with the genesis in the mirror's folder.
    pub(super) dir: PathBuf,
    /// `host:port` of brokers; none: the embedded log, with archiver and mirror in the process.
    pub(super) brokers: Vec<String>,
    /// It keeps an activity log, as a pool does unless told otherwise.
    pub(super) activity: bool,
    /// Certificate and key of its port; none: plain.
    pub(super) tls: Option<(PathBuf, PathBuf)>,
    /// A chain of ethash instead of sha256d: the epoch of its work, and the folder of caches.
    pub(super) ethash: Option<(u64, PathBuf)>,
}

/// What it says first: miners may come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) address: SocketAddr,
}

/// What it is told next, a line each.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum GatewayOrder {
    /// New jobs of one parent, so far apart; said when the last one is out: [`Broadcasts`].
    Jobs { count: u32, apart_ms: u64 },
    /// What it counted so far: [`Counts`].
    Tell,
    /// Everything is to become final: [`GatewayFigures`].
    Finish,
}

/// How long new jobs took to everybody.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Broadcasts {
    pub(super) count: u64,
    /// From a job's making to the return of its last write, nanoseconds.
    pub(super) p50_ns: u64,
    pub(super) max_ns: u64,
}

/// What a gateway counted.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) miners: u64,
    pub(super) logins: u64,
    pub(super) failed_logins: u64,
    pub(super) kept_out: u64,
    pub(super) turned_away: u64,
    pub(super) activity_bytes: u64,
    pub(super) activity_lost: u64,
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
    let disk = RealDisk::new(settings.dir.clone());
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
    let keeper = Keeper::open(&disk, settings.algorithm(), paused.clone(), stop.clone())?;
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
    let gateway = start(&disk, &mirror, log, &settings)?;
    until("a job", || Ok(0 < gateway.metrics().sessions.counts.jobs))?;
    paused.store(true, Ordering::SeqCst);
    let address = gateway.addresses().first().copied();
    let address = address.ok_or_else(|| Failure::new("the gateway has no port"))?;
    say(&Ready { address })?;
    obey(&gateway, &mut line)?;
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
    let log = orebook_kafka::KafkaLog::open(&config, COIN, LEDGER).map_err(kafka)?;
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
    let gateway = start(disk, &mirror, log, &GatewaySettings::default())?;
    until("a job", || Ok(0 < gateway.metrics().sessions.counts.jobs))?;
    let address = gateway.addresses().first().copied();
    let address = address.ok_or_else(|| Failure::new("the gateway has no port"))?;
    say(&Ready { address })?;
    obey(&gateway, line)?;
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

impl GatewaySettings {
    const fn algorithm(&self) -> Algorithm {
        match self.ethash {
            None => Algorithm::Sha256d,
            Some(_) => Algorithm::Ethash,
        }
    }
}

/// Does what it is told, until it is to finish.
fn obey(
    gateway: &GatewayHandle,
    line: &mut impl FnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    loop {
        let said = line()?;
        match serde_json::from_str(&said).map_err(|error| failed(&said, error))? {
            GatewayOrder::Jobs { count, apart_ms } => {
                say(&broadcast(gateway, count, Duration::from_millis(apart_ms))?)?;
            }
            GatewayOrder::Tell => say(&counts(&gateway.metrics()))?,
            GatewayOrder::Finish => return Ok(()),
        }
    }
}

fn broadcast(gateway: &GatewayHandle, count: u32, apart: Duration) -> Result<Broadcasts, Failure> {
    // Made before anything is measured: elsewhere a node's answer is read by another thread.
    let templates = (1..=count).map(|number| template_of(number).map(Arc::new));
    let templates = templates.collect::<Result<Vec<_>, _>>()?;
    let before = gateway.metrics().sessions.broadcast_ns;
    let start = Instant::now();
    for (number, template) in (1..).zip(templates) {
        gateway.template(template);
        let next = apart * number;
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    let wanted = before.count() + u64::from(count);
    until("the last job to be out", || {
        Ok(wanted <= gateway.metrics().sessions.broadcast_ns.count())
    })?;
    let after = gateway.metrics().sessions.broadcast_ns;
    Ok(Broadcasts {
        count: u64::from(count),
        p50_ns: after.per_mille(500),
        max_ns: after.per_mille(1_000),
    })
}

fn counts(metrics: &Metrics) -> Counts {
    let counts = &metrics.sessions.counts;
    Counts {
        accepted: counts.accepted,
        miners: counts.miners,
        logins: counts.logins,
        failed_logins: counts.failed_logins,
        kept_out: counts.bans,
        turned_away: counts.refused.all(),
        activity_bytes: metrics.activity.bytes,
        activity_lost: metrics.activity.lost,
    }
}

fn start<L: WaitLog>(
    disk: &RealDisk,
    mirror: &Mirror,
    log: L,
    settings: &GatewaySettings,
) -> Result<GatewayHandle, Failure> {
    let config = spool_config(Role::Gateway, FILE_BYTES_DEFAULT, SPOOL_TOTAL_BYTES);
    let opened = Spool::open(disk.clone(), "gateway/spool", config, signer(Role::Gateway));
    let (spool, _) = opened.map_err(|error| failed("spool", error))?;
    // The least work there is: one hash of 65,536 misses it, of ethash none.
    let work = Work::new(1).ok_or_else(|| Failure::new("work"))?;
    let config = GatewayConfig {
        algorithm: settings.algorithm(),
        ports: vec![PortConfig {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            pot: POT,
            difficulty: DifficultyRule::Fixed(work),
            proxy_from: Vec::new(),
            elsewhere: Vec::new(),
            tls: settings
                .tls
                .clone()
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            region: Region::default(),
        }],
        payout_script: payout_script(),
        coinbase_text: "bench".to_owned(),
        extranonce2_bytes: EXTRANONCE2_BYTES_DEFAULT,
        version_mask: VERSION_MASK_DEFAULT,
        commit_spacing: COMMIT_SPACING_DEFAULT,
        stale_grace: Duration::from_secs(60),
        limits: Limits::default(),
        edge: EdgeConfig::default(),
        ethash: EthashConfig {
            cache_folder: settings.ethash.as_ref().map(|(_, folder)| folder.clone()),
            ..EthashConfig::default()
        },
    };
    let parts = GatewayParts {
        spool,
        mirror: mirror.clone(),
        log,
        disk: disk.clone(),
        control_dir: "gateway/control".to_owned(),
        parse_account: Box::new(account),
        on_block: Box::new(|_| {}),
        activity: settings.activity.then(|| activity(disk)).transpose()?,
        fatal: Arc::new(|why| {
            tracing::error!(why, "the bench ends");
            std::process::abort();
        }),
    };
    let gateway = Gateway::start(config, parts).map_err(|error| failed("gateway", error))?;
    match &settings.ethash {
        None => gateway.template(Arc::new(template()?)),
        Some((epoch, _)) => gateway.eth_work(eth_work(*epoch)?),
    }
    Ok(gateway)
}

/// The activity log in files, as `orebook up` has it.
fn activity(disk: &RealDisk) -> Result<ActivityParts, Failure> {
    let keep = RingConfig {
        bytes_max: ACTIVITY_BYTES,
        age_ms_max: u64::MAX,
    };
    let ring = Ring::open(disk.clone(), "activity", keep, now_ms());
    Ok(ActivityParts {
        sink: Box::new(ring.map_err(|error| failed("activity", error))?),
        signer: signer(Role::Gateway),
        coin: COIN,
        flush: ACTIVITY_FLUSH,
    })
}

impl Keeper {
    fn open(
        disk: &RealDisk,
        algorithm: Algorithm,
        paused: Arc<AtomicBool>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let now = now_ms();
        write_genesis(disk, (65_536, algorithm), now, &[ARCHIVE, MIRROR])?;
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
            let shares = events.filter(|event| {
                event.kind == Kind::Share as u8 || event.kind == Kind::EthashShare as u8
            });
            self.shares += shares.map(|_| 1).sum::<u64>();
            self.positions = stored.position + 1;
        }
        Ok(())
    }
}
