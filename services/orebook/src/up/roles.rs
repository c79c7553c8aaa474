//! The roles, each started by one function, and ended in the order in which nothing is lost.

use std::net::SocketAddr;
#[cfg(feature = "kafka")]
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
#[cfg(feature = "kafka")]
use std::time::Duration;

#[cfg(feature = "kafka")]
use orebook_archiver::Forgettable;
use orebook_archiver::{
    ArchiveStatus, Fatal, LogReader, Mirror, MirrorStatus, Running, Source, control_router,
    genesis_into, new_stream, now_ms, segments_router, start_archiver, start_mirror,
};
use orebook_chain::nodes::Work;
use orebook_chain::{NodeWork, SubmitEth};
use orebook_gateway::{Found, FoundBlock, Gateway, GatewayHandle, GatewayParts};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::StoreConfig;
use orebook_ledger::spool::{Spool, SpoolConfig};
use orebook_paymaster::Paymaster;
use orebook_projector::{
    Accounts, ActivityReader, ApiConfig, Member, Metrics, MirrorSays, Projector, Server, Verify,
    router,
};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::Role;
use orebook_schema::genesis::Genesis;
use orebook_schema::work::EthashHeader;
use orebook_settler::{MachineConfig, Settler, SettlerConfig, SettlerParts};
use tokio::runtime::Handle;

use super::activity::{self, Sinks};
use super::chain::{Addresses, Chain};
use super::desk::{self, DeskRole, Miners};
use super::direct::{self, Asker};
use super::duty::Duty;
use super::figures::Figures;
use super::gateways::gateway_config;
use super::health::{self, Readiness};
use super::paymaster::{self, Around, Shown};
use super::place::Place;
use super::pool_log::PoolLog;
use crate::Failure;
use orebook::config::{Config, Gateway as GatewayText};

/// Archivers', settlers' and desks' spools hold checkpoints, states and commands only.
pub(super) const SMALL_SPOOL_FILE_BYTES: u64 = 1 << 20;
/// All files of such a spool.
pub(super) const SMALL_SPOOL_TOTAL_BYTES: u64 = 64 << 20;

/// Folder of the archiver's ledger, in the pool's.
const LEDGER: &str = "ledger";
/// Folder of the mirror's.
const MIRROR: &str = "mirror";
/// How often the log is asked to forget what it need not keep.
#[cfg(feature = "kafka")]
const TRIM_EACH: Duration = Duration::from_secs(3_600);
/// How often it is looked whether anything is final at all.
#[cfg(feature = "kafka")]
const TRIM_LOOK: Duration = Duration::from_secs(1);

/// Everything that runs.
pub(crate) struct Roles {
    pub(crate) log: PoolLog,
    duty: Duty,
    /// For everybody here who must know what is final.
    pub(crate) mirror: Option<Mirror>,
    mirror_thread: Option<Running>,
    mirror_status: Option<Arc<MirrorStatus>>,
    archiver: Option<Running>,
    archived: Option<Arc<ArchiveStatus>>,
    settler: Option<Settler>,
    paymaster: Option<Paymaster>,
    /// What the paymaster shows, once it runs: it starts after the pages.
    paid: Shown,
    desk: Option<DeskRole>,
    gateways: Vec<Arc<GatewayHandle>>,
    /// For each of them, what became of its questions for lists.
    asked: Vec<Arc<direct::Asked>>,
    /// Whether it was asked to end.
    ending: Arc<AtomicBool>,
    projector: Option<Projector>,
    activity: Option<ActivityReader>,
    server: Option<Server>,
    runtime: Handle,
    fatal: Fatal,
}

pub(super) fn failed(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{what}: {error}"))
}

/// The spool of a producer that says little, in a ledger of this genesis.
pub(crate) fn small_spool(genesis: &Genesis, role: Role) -> SpoolConfig {
    SpoolConfig {
        ledger: genesis.ledger,
        coin: genesis.coin,
        role,
        schema_set: 0,
        file_bytes: SMALL_SPOOL_FILE_BYTES,
        total_bytes: SMALL_SPOOL_TOTAL_BYTES,
    }
}

pub(super) fn spool_config(
    place: &Place,
    role: Role,
    file_bytes: u64,
    total_bytes: u64,
) -> SpoolConfig {
    SpoolConfig {
        ledger: place.ledger,
        coin: place.genesis.coin,
        role,
        schema_set: 0,
        file_bytes,
        total_bytes,
    }
}

/// Where the mirror finds positions that the log does not have: with an archiver in the process, in that one's files.
fn source(duty: Duty, config: &Config, place: &Place, runtime: &Handle) -> Source {
    if duty.archiver().is_some() {
        return Source::Folder {
            dir: place.path().join(LEDGER),
            ledger: place.ledger,
        };
    }
    peers(config, place, MIRROR, runtime)
}

/// Peers, for the reader whose folder is `own`.
fn peers(config: &Config, place: &Place, own: &str, runtime: &Handle) -> Source {
    Source::Peers {
        addresses: config.ledger.peers.clone(),
        own: place.path().join(own),
        into: place.path().join(format!("fetched-for-{own}")),
        ledger: place.ledger,
        runtime: runtime.clone(),
    }
}

/// Folder in which a gateway's `control` lies, in the pool's.
pub(super) fn control_dir(number: u8) -> String {
    format!("gateway-{number}/control")
}

/// Starts the reader of everybody here who must know what is final.
fn mirror(
    place: &Place,
    log: &PoolLog,
    log_reader: Option<LogReader>,
    source: Source,
    fatal: &Fatal,
) -> Result<(Mirror, Running, Arc<MirrorStatus>), Failure> {
    let opened = Reader::open(
        place.disk(),
        MIRROR,
        place.ledger,
        StoreConfig::default(),
        0,
    );
    let (mut reader, _) = opened
        .map_err(|error| failed("mirror", error).hint("see docs/runbooks/segment-damaged.md"))?;
    genesis_into(&mut reader, place.first.clone()).map_err(|error| failed("mirror", error))?;
    let mirror: Mirror = Arc::new(Mutex::new(reader));
    let started = start_mirror(
        mirror.clone(),
        log.another()?,
        log_reader,
        source,
        fatal.clone(),
    );
    let (thread, status) = started.map_err(|error| failed("mirror", error))?;
    Ok((mirror, thread, status))
}

/// Starts the archiver of this number.
fn archiver(
    number: u8,
    place: &Place,
    log: &PoolLog,
    log_reader: Option<LogReader>,
    source: Source,
    fatal: &Fatal,
) -> Result<(Running, Arc<ArchiveStatus>), Failure> {
    let config = ArchiverConfig {
        ledger: place.ledger,
        store: StoreConfig::default(),
        spool: small_spool(&place.genesis, Role::Archiver),
        signer: place.key(&format!("archiver-{number}.key"))?,
    };
    let opened = Archiver::open(place.disk(), LEDGER, config, now_ms(), new_stream());
    let (archiver, torn) = opened
        .map_err(|error| failed("archiver", error).hint("see docs/runbooks/segment-damaged.md"))?;
    if let Some(torn) = torn {
        tracing::warn!(
            file = torn.file,
            offset = torn.offset,
            "a torn tail was cut"
        );
    }
    start_archiver(archiver, log.another()?, log_reader, source, fatal.clone())
        .map_err(|error| failed("archiver", error))
}

/// What is final, archived here and older than the configuration says is deleted from the brokers. Runs until the process
/// ends; what it deletes no reader of ours needs.
#[cfg(feature = "kafka")]
fn start_trimming(log: &PoolLog, status: &Arc<ArchiveStatus>) -> Result<(), Failure> {
    let PoolLog::Kafka(log) = log.another()? else {
        return Ok(());
    };
    let status = Arc::downgrade(status);
    let trim = move || {
        while let Some(status) = status.upgrade() {
            let forgettable = status.forgettable.lock();
            let forgettable = *forgettable.unwrap_or_else(PoisonError::into_inner);
            drop(status);
            let Some(Forgettable { incarnation, below }) = forgettable.filter(|it| 0 < it.below)
            else {
                // The archiver has not found its place yet.
                std::thread::sleep(TRIM_LOOK);
                continue;
            };
            match log.trim(incarnation, below, now_ms()) {
                Ok(first) => tracing::info!(incarnation, first, "the log begins here"),
                Err(error) => tracing::warn!(%error, "the log cannot be trimmed now"),
            }
            std::thread::sleep(TRIM_EACH);
        }
    };
    let builder = std::thread::Builder::new().name("trim".to_owned());
    let started = builder.spawn(trim);
    started.map(|_| ()).map_err(|error| failed("trim", error))
}

impl Roles {
    /// Starts what the others need: mirror and archiver.
    pub(crate) fn start(
        duty: Duty,
        config: &Config,
        place: &Place,
        log: PoolLog,
        fatal: &Fatal,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        // The embedded log forgets what all its readers have taken: all of them are known before the first record.
        let of_mirror = if duty.has_mirror() {
            log.reader()
        } else {
            None
        };
        let of_archiver = log.reader().filter(|_| duty.archiver().is_some());
        let mut roles = Self {
            log,
            duty,
            mirror: None,
            mirror_thread: None,
            mirror_status: None,
            archiver: None,
            archived: None,
            settler: None,
            paymaster: None,
            paid: Arc::default(),
            desk: None,
            gateways: Vec::new(),
            asked: Vec::new(),
            ending: Arc::new(AtomicBool::new(false)),
            projector: None,
            activity: None,
            server: None,
            runtime: runtime.clone(),
            fatal: fatal.clone(),
        };
        if duty.has_mirror() {
            let (mirror, thread, status) = mirror(
                place,
                &roles.log,
                of_mirror,
                source(duty, config, place, runtime),
                fatal,
            )?;
            (roles.mirror, roles.mirror_thread) = (Some(mirror), Some(thread));
            roles.mirror_status = Some(status);
        }
        if let Some(number) = duty.archiver() {
            let source = peers(config, place, LEDGER, runtime);
            let (thread, status) = archiver(number, place, &roles.log, of_archiver, source, fatal)?;
            #[cfg(feature = "kafka")]
            start_trimming(&roles.log, &status)?;
            (roles.archiver, roles.archived) = (Some(thread), Some(status));
        }
        Ok(roles)
    }

    /// The reader of what is final, where the duty has one.
    fn mirror(&self) -> Result<Mirror, Failure> {
        let mirror = self.mirror.clone();
        mirror.ok_or_else(|| Failure::new("this role has no mirror"))
    }

    /// What the mirror's thread shows, where the duty has one.
    pub(super) fn mirror_status(&self) -> Option<Arc<MirrorStatus>> {
        self.mirror_status.clone()
    }

    /// Starts what serves people and miners.
    pub(crate) fn start_serving(
        &mut self,
        config: &Config,
        gateways: &[(u8, GatewayText)],
        place: &Place,
        chain: Option<&Chain>,
        members: Vec<Member>,
    ) -> Result<(), Failure> {
        let metrics = Metrics::new();
        if self.duty.has_desk() {
            let (mirror, log) = (self.mirror()?, self.log.another()?);
            self.desk = desk::start(self.duty, config, place, mirror, log, &self.fatal)?;
        }
        let pages = if self.duty.has_projector() {
            Some(self.start_projector(config, place, members, &metrics)?)
        } else {
            None
        };
        if let Some(chain) = chain {
            if self.duty.has_settler() {
                self.start_settler(config, place, chain)?;
            }
            let sinks = if gateways.is_empty() {
                None
            } else {
                Some(Sinks::open(config, place)?)
            };
            for (number, gateway) in gateways {
                let sinks = sinks.as_ref();
                let handle = self.start_gateway((*number, gateway), sinks, config, place, chain)?;
                self.gateways.push(Arc::new(handle));
                self.asked.push(Arc::default());
            }
            self.tell_of_nodes(chain);
            let mut ports = gateways.iter().flat_map(|(_, gateway)| &gateway.port);
            if ports.any(|port| port.tls.is_some()) {
                self.heed_hangup()?;
            }
        }
        let figures = Figures {
            gateways: self.gateways.iter().map(Arc::downgrade).collect(),
            lists: self.asked.clone(),
            archiver: self.archived.clone(),
            log: self.log.another()?,
            settler: self.settler.as_ref().map(Settler::counters),
            paymaster: self.paid.clone(),
            spool_bytes: config.spool.total_bytes,
            nodes: chain.map(|chain| chain.nodes.clone()),
            desk: self.desk.as_ref().map(|role| role.desk.counters()),
        };
        metrics.add_source(Box::new(move |out| figures.write(out)));
        let router = pages.unwrap_or_else(|| health::router(&metrics, self.readiness()));
        let segments = if self.duty.archiver().is_some() {
            LEDGER
        } else {
            MIRROR
        };
        let router = router.merge(segments_router(
            place.path().join(segments).join("segments"),
        ));
        let router = if self.duty.has_paymaster() {
            let addresses = Addresses::of(place)?;
            router.merge(paymaster::plan_router(self.paid.clone(), addresses))
        } else {
            router
        };
        let (archived, mirrored) = (self.archived.clone(), self.mirror_status.clone());
        let router = router.merge(control_router(move || {
            let of_archiver = archived.as_ref().and_then(|status| status.control.bytes());
            of_archiver.or_else(|| mirrored.as_ref().and_then(|status| status.control.bytes()))
        }));
        let listener = std::net::TcpListener::bind(config.http.listen)
            .map_err(|error| failed(&format!("cannot listen at {}", config.http.listen), error))?;
        let server = Server::start(listener, router).map_err(|error| failed("pages", error))?;
        self.server = Some(server);
        if let Some(chain) = chain {
            self.feed_templates(chain, gateways, place);
        }
        Ok(())
    }

    /// Starts the paymaster, after the pages: in one process it asks these for their digests.
    pub(crate) fn start_paymaster(
        &mut self,
        config: &Config,
        place: &Place,
        chain: Option<&Chain>,
        rows: Arc<dyn Store>,
    ) -> Result<(), Failure> {
        let around = Around {
            duty: self.duty,
            mirror: self.mirror()?,
            log: self.log.another()?,
            pages: self.http().filter(|_| self.duty.has_projector()),
            runtime: self.runtime.clone(),
            fatal: self.fatal.clone(),
        };
        let chain = chain.and_then(|chain| chain.dev.clone());
        self.paymaster = paymaster::start(config, place, chain, rows, around)?;
        if let Some(running) = &self.paymaster {
            // It is set once, here.
            self.paid
                .get_or_init(|| (running.counters(), running.standing()));
            self.runtime.spawn(paymaster::watch(self.paid.clone()));
        }
        Ok(())
    }

    fn start_projector(
        &mut self,
        config: &Config,
        place: &Place,
        members: Vec<Member>,
        metrics: &Metrics,
    ) -> Result<axum::Router, Failure> {
        let started = Projector::start(
            place.ledger,
            members,
            self.mirror()?,
            metrics,
            self.fatal.clone(),
        );
        let projector = started.map_err(|error| failed("projector", error))?;
        let addresses = Addresses::of(place)?;
        let (read, reader) =
            activity::start_reader(config, place, self.mirror()?, projector.books())?;
        self.activity = Some(reader);
        let api = ApiConfig {
            accounts: Accounts {
                parse: Arc::new(move |text| match orebook_schema::Account::parse(text) {
                    Some(account) => Ok(account),
                    None => addresses.account(text),
                }),
                show: Arc::new(move |account| {
                    let shown = addresses.shown(account);
                    shown.unwrap_or_else(|| account.to_string())
                }),
            },
            pot_names: Vec::new(),
            verify: verify_commands(place),
            activity: Some(read),
            show_networks: config.activity.show_networks,
            mirror: self.mirror_says(),
            settings: self.door().map(|door| door.routes.clone()),
        };
        let router = router(projector.books(), api, metrics);
        self.projector = Some(projector);
        Ok(router)
    }

    /// What `/readyz` of the pages asks the mirror. A gateway in the same process answers from its spool, whatever that waits for.
    fn mirror_says(&self) -> MirrorSays {
        let Some(status) = self.mirror_status.clone() else {
            return MirrorSays::default();
        };
        let of_trouble = Arc::clone(&status);
        MirrorSays {
            waits: Arc::new(move || status.waits.why()),
            trouble: Arc::new(move || of_trouble.trouble.why()),
        }
    }

    fn start_settler(
        &mut self,
        config: &Config,
        place: &Place,
        chain: &Chain,
    ) -> Result<(), Failure> {
        let settings = SettlerConfig {
            machine: MachineConfig {
                spool: small_spool(&place.genesis, Role::Settler),
                dialect: chain.dialect(config, place)?,
                sights: orebook_settler::machine::SIGHTS_DEFAULT,
                grace_ms: config.settler.grace_ms,
                watch_heights: orebook_settler::machine::WATCH_HEIGHTS_DEFAULT,
            },
            dir: "settler".to_owned(),
            turn_ms: orebook_settler::settler::TURN_MS_DEFAULT,
            poll_ms: u64::from(config.settler.poll_ms),
        };
        let parts = SettlerParts {
            disk: place.disk(),
            signer: place.key("settler.key")?,
            mirror: self.mirror()?,
            log: self.log.another()?,
            view: chain.nodes.clone(),
            store: Arc::new(MemoryStore::default()),
            runtime: self.runtime.clone(),
            now_ms: Box::new(now_ms),
            new_stream: Box::new(new_stream),
            fatal: self.fatal.clone(),
        };
        let settler = Settler::start(settings, parts).map_err(|error| failed("settler", error))?;
        self.settler = Some(settler);
        Ok(())
    }

    fn start_gateway(
        &self,
        (number, gateway): (u8, &GatewayText),
        sinks: Option<&Sinks>,
        config: &Config,
        place: &Place,
        chain: &Chain,
    ) -> Result<GatewayHandle, Failure> {
        let name = format!("gateway-{number}");
        let signer = place.key(&format!("{name}.key"))?;
        let settings = gateway_config((number, gateway), config, place, chain)?;
        let spool = spool_config(
            place,
            Role::Gateway,
            config.spool.file_bytes,
            config.spool.total_bytes,
        );
        let activity = sinks.map(|sinks| sinks.parts(config, place, signer.clone()));
        let activity = activity.transpose()?;
        let (spool, recovery) = Spool::open(place.disk(), &format!("{name}/spool"), spool, signer)
            .map_err(|error| failed(&name, error).hint("see docs/runbooks/gateway-disk-lost.md"))?;
        if recovery.torn.is_some() || 0 < recovery.unframed_events {
            tracing::info!(?recovery, "{name} goes on where it ended");
        }
        let addresses = Addresses::of(place)?;
        let (nodes, runtime) = (chain.nodes.clone(), self.runtime.clone());
        let stop_at = place.stop_at.clone();
        let parts = GatewayParts {
            spool,
            mirror: self.mirror()?,
            log: self.log.another()?,
            disk: place.disk(),
            control_dir: control_dir(number),
            parse_account: Box::new(move |login| addresses.account(login)),
            on_block: Box::new(move |found: FoundBlock| {
                let (nodes, stop_at) = (nodes.clone(), stop_at.clone());
                runtime.spawn(async move {
                    stop_at.pass("chain", "submit", false);
                    let answers = match found.what {
                        Found::Block(block) => nodes.submit(block).await,
                        Found::Solution(EthashHeader { seal, nonce, mix }) => {
                            nodes.submit_eth(SubmitEth { seal, nonce, mix }).await
                        }
                    };
                    for (node, answer) in answers {
                        tracing::info!(height = found.height, hash = %found.hash, node, ?answer, "block");
                    }
                    stop_at.pass("chain", "submit", true);
                });
            }),
            activity,
            fatal: self.fatal.clone(),
        };
        Gateway::start(settings, parts).map_err(|error| failed(&name, error))
    }

    /// Whether this process does its work, by the figures that it shows.
    fn readiness(&self) -> Readiness {
        let ending = Arc::clone(&self.ending);
        let gateways: Vec<_> = self.gateways.iter().map(Arc::downgrade).collect();
        let archived = self.archived.clone();
        let mirror = self.mirror.clone();
        let mirrored = self.mirror_status.clone();
        let desk = self.desk.as_ref().map(|role| role.desk.counters());
        let paid = (self.duty == Duty::Paymaster).then(|| self.paid.clone());
        Arc::new(move || {
            if ending.load(Ordering::Acquire) {
                return Some("draining: this process ends".to_owned());
            }
            if desk
                .as_ref()
                .is_some_and(|desk| desk.read().key_refused != 0)
            {
                return Some("the desk's key is not in force".to_owned());
            }
            if let Some(paid) = &paid
                && let Some(why) =
                    paymaster::not_ready(paid.get().map(|(counters, _)| counters.read()))
            {
                return Some(why);
            }
            let is_full = |gateway: &GatewayHandle| gateway.metrics().spool.is_full;
            let mut alive = gateways.iter().filter_map(std::sync::Weak::upgrade);
            if alive.any(|gateway| is_full(&gateway)) {
                return Some(
                    "the spool is full: shares are refused; see docs/runbooks/spool-full.md"
                        .to_owned(),
                );
            }
            // A gateway answers from its spool, whatever its mirror waits for.
            let waits = match (&archived, &mirrored) {
                (Some(status), _) => status.waits.why(),
                (None, Some(status)) if gateways.is_empty() => status.waits.why(),
                _ => None,
            };
            if waits.is_some() {
                return waits;
            }
            let knows = archived
                .as_ref()
                .map(|status| status.head.load(Ordering::Relaxed));
            if knows == Some(0) {
                return Some("the archiver has read no position of the ledger yet".to_owned());
            }
            // Somebody may hold it for a moment: that is no reason to be taken out of service.
            let is_empty = |mirror: &Mirror| mirror.try_lock().is_ok_and(|m| m.final_size() == 0);
            mirror
                .as_ref()
                .filter(|mirror| gateways.is_empty() && is_empty(mirror))
                .map(|_| "no position of the ledger is final yet".to_owned())
        })
    }

    /// Reads certificates again at SIGHUP, from now on; without any the signal does what it always does.
    fn heed_hangup(&self) -> Result<(), Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = self.runtime.enter();
        let hangup = signal(SignalKind::hangup());
        let mut hangup = hangup.map_err(|error| failed("signals", error))?;
        let gateways: Vec<_> = self.gateways.iter().map(Arc::downgrade).collect();
        self.runtime.spawn(async move {
            while hangup.recv().await.is_some() {
                let alive = gateways.iter().filter_map(std::sync::Weak::upgrade);
                alive.for_each(|gateway| gateway.reload());
            }
        });
        Ok(())
    }

    /// What happens to nodes from now on is activity.
    fn tell_of_nodes(&self, chain: &Chain) {
        let gateways = self.gateways.iter().map(Arc::downgrade).collect();
        self.runtime
            .spawn(super::said::tell(chain.nodes.clone(), gateways));
    }

    /// Gives every gateway the newest template, from now on.
    fn feed_templates(&self, chain: &Chain, said: &[(u8, GatewayText)], place: &Place) {
        let pages = self.http().filter(|_| self.duty.has_projector());
        let unit = place.genesis.algorithm.work_unit();
        let mut gateways = Vec::new();
        for ((handle, asked), (_, text)) in self.gateways.iter().zip(&self.asked).zip(said) {
            let gateway = Arc::downgrade(handle);
            match Asker::new(text, pages, unit, chain.payout.script()) {
                Some(asker) => {
                    let works = chain.nodes.templates();
                    let feed = direct::feed(asker, asked.clone(), gateway, works);
                    self.runtime.spawn(feed);
                }
                None => gateways.push(gateway),
            }
        }
        let mut templates = chain.nodes.templates();
        self.runtime.spawn(async move {
            loop {
                let work = templates.borrow_and_update().clone();
                for gateway in gateways.iter().filter_map(std::sync::Weak::upgrade) {
                    match &work {
                        Work::Fresh(NodeWork::Template(template)) => {
                            gateway.template(template.clone());
                        }
                        Work::Fresh(NodeWork::Eth(work)) => gateway.eth_work(**work),
                        Work::None { why } => gateway.no_work(why),
                    }
                }
                if templates.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Where miners connect, in the configuration's order.
    pub(crate) fn stratum(&self) -> Vec<SocketAddr> {
        let addresses = self.gateways.iter().map(|gateway| gateway.addresses());
        addresses.flatten().copied().collect()
    }

    /// Where pages and API are.
    pub(crate) fn http(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::address)
    }

    /// Where people's commands are taken.
    pub(crate) fn desk(&self) -> Option<SocketAddr> {
        self.desk.as_ref().map(|role| role.server.address())
    }

    /// Where miners say their own settings.
    pub(crate) fn miners(&self) -> Option<SocketAddr> {
        self.door().map(|door| door.server.address())
    }

    fn door(&self) -> Option<&Miners> {
        self.desk.as_ref()?.miners.as_ref()
    }

    /// Ends them: miners first, then who makes their shares final, then who shows them.
    pub(crate) fn stop(self) {
        let quiet = |ended: std::thread::Result<()>| {
            if ended.is_err() {
                tracing::error!("a thread panicked");
            }
        };
        self.ending.store(true, Ordering::Release);
        // Their miners leave at the same time.
        self.gateways.iter().for_each(|gateway| gateway.drain());
        self.gateways
            .iter()
            .for_each(|gateway| quiet(gateway.stop()));
        if let Some(role) = self.desk {
            if let Some(Miners { server, .. }) = role.miners {
                quiet(server.stop());
            }
            quiet(role.server.stop());
            quiet(role.desk.stop());
        }
        if let Some(paymaster) = self.paymaster {
            quiet(paymaster.stop());
        }
        if let Some(settler) = self.settler {
            quiet(settler.stop());
        }
        for thread in [self.archiver, self.mirror_thread].into_iter().flatten() {
            quiet(thread.stop());
        }
        if let Some(activity) = self.activity {
            quiet(activity.stop());
        }
        if let Some(projector) = self.projector {
            quiet(projector.stop());
        }
        if let Some(server) = self.server {
            quiet(server.stop());
        }
    }
}

fn verify_commands(place: &Place) -> Vec<Verify> {
    let data = place.path().display();
    let one = |what: &str, command: String| Verify {
        what: what.to_owned(),
        command,
    };
    vec![
        one(
            "Check every byte, hash, root and signature of the ledger.",
            format!("./orebook ledger verify --data {data}"),
        ),
        one(
            "Compute all figures again from the ledger alone.",
            format!("./orebook replay --data {data} --into again"),
        ),
    ]
}
