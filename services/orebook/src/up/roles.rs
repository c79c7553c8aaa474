//! The roles, each started by one function, and ended in the order in which nothing is lost.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orebook_archiver::{
    ArchiveStatus, Fatal, Mirror, Running, SharedLog, Source, genesis_into, new_stream, now_ms,
    start_archiver, start_mirror,
};
use orebook_chain::nodes::Work;
use orebook_gateway::{
    DifficultyRule, FoundBlock, Gateway, GatewayConfig, GatewayHandle, GatewayParts, Limits,
    PortConfig, VERSION_MASK_DEFAULT, VardiffRule, difficulty,
};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::StoreConfig;
use orebook_ledger::spool::{Spool, SpoolConfig};
use orebook_projector::{Accounts, ApiConfig, Member, Metrics, Projector, Server, Verify, router};
use orebook_replay::store::MemoryStore;
use orebook_schema::Role;
use orebook_schema::names::Pot;
use orebook_schema::units::WorkUnit;
use orebook_settler::look::Payout;
use orebook_settler::{MachineConfig, Settler, SettlerConfig, SettlerParts};
use tokio::runtime::Handle;

use super::chain::Chain;
use super::figures::Figures;
use super::place::Place;
use crate::Failure;
use orebook::config::{Config, Gateway as GatewayText, Port};

/// Retargets of a variable difficulty look at so many times the wanted time between shares.
const RETARGET_SHARES: u32 = 12;
/// Archivers' and settlers' spools hold checkpoints and states only.
const SMALL_SPOOL_FILE_BYTES: u64 = 1 << 20;
/// All files of such a spool.
const SMALL_SPOOL_TOTAL_BYTES: u64 = 64 << 20;

/// Everything that runs.
pub(crate) struct Roles {
    pub(crate) log: SharedLog,
    pub(crate) mirror: Mirror,
    archiver: Running,
    archived: Arc<ArchiveStatus>,
    mirror_thread: Running,
    settler: Option<Settler>,
    gateways: Vec<Arc<GatewayHandle>>,
    projector: Option<Projector>,
    server: Option<Server>,
    runtime: Handle,
    fatal: Fatal,
}

fn failed(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{what}: {error}"))
}

fn spool_config(place: &Place, role: Role, file_bytes: u64, total_bytes: u64) -> SpoolConfig {
    SpoolConfig {
        ledger: place.ledger,
        coin: place.genesis.coin,
        role,
        schema_set: 0,
        file_bytes,
        total_bytes,
    }
}

impl Roles {
    /// Starts what the others need: mirror and archiver.
    pub(crate) fn start(place: &Place, fatal: &Fatal, runtime: &Handle) -> Result<Self, Failure> {
        let log = SharedLog::new();
        let (of_mirror, of_archiver) = (log.reader(), log.reader());
        let source = Source {
            dir: place.path().join("ledger"),
            ledger: place.ledger,
        };
        let (mut reader, _) = Reader::open(
            place.disk(),
            "mirror",
            place.ledger,
            StoreConfig::default(),
            0,
        )
        .map_err(|error| failed("mirror", error))?;
        genesis_into(&mut reader, place.first.clone()).map_err(|error| failed("mirror", error))?;
        let mirror: Mirror = Arc::new(Mutex::new(reader));
        let mirror_thread = start_mirror(
            mirror.clone(),
            log.clone(),
            of_mirror,
            source,
            fatal.clone(),
        )
        .map_err(|error| failed("mirror", error))?;
        let config = ArchiverConfig {
            ledger: place.ledger,
            store: StoreConfig::default(),
            spool: spool_config(
                place,
                Role::Archiver,
                SMALL_SPOOL_FILE_BYTES,
                SMALL_SPOOL_TOTAL_BYTES,
            ),
            signer: place.key("archiver-1.key")?,
        };
        let opened = Archiver::open(place.disk(), "ledger", config, now_ms(), new_stream());
        let (archiver, torn) = opened.map_err(|error| failed("archiver", error))?;
        if let Some(torn) = torn {
            tracing::warn!(
                file = torn.file,
                offset = torn.offset,
                "a torn tail was cut"
            );
        }
        let (archiver, archived) =
            start_archiver(archiver, log.clone(), of_archiver, fatal.clone())
                .map_err(|error| failed("archiver", error))?;
        Ok(Self {
            log,
            mirror,
            archiver,
            archived,
            mirror_thread,
            settler: None,
            gateways: Vec::new(),
            projector: None,
            server: None,
            runtime: runtime.clone(),
            fatal: fatal.clone(),
        })
    }

    /// Starts what serves people and miners.
    pub(crate) fn start_serving(
        &mut self,
        config: &Config,
        gateways: &[GatewayText],
        place: &Place,
        chain: &Chain,
        members: Vec<Member>,
    ) -> Result<(), Failure> {
        let metrics = Metrics::new();
        self.start_projector(config, place, chain, members, &metrics)?;
        self.start_settler(config, place, chain)?;
        for (number, gateway) in (1..).zip(gateways) {
            let handle = self.start_gateway(number, gateway, config, place, chain)?;
            self.gateways.push(Arc::new(handle));
        }
        self.feed_templates(chain);
        let figures = Figures {
            gateways: self.gateways.iter().map(Arc::downgrade).collect(),
            archiver: self.archived.clone(),
            log: self.log.clone(),
            settler: self.settler.as_ref().map(Settler::counters),
        };
        metrics.add_source(Box::new(move |out| figures.write(out)));
        Ok(())
    }

    fn start_projector(
        &mut self,
        config: &Config,
        place: &Place,
        chain: &Chain,
        members: Vec<Member>,
        metrics: &Metrics,
    ) -> Result<(), Failure> {
        let started = Projector::start(
            place.ledger,
            members,
            self.mirror.clone(),
            metrics,
            self.fatal.clone(),
        );
        let projector = started.map_err(|error| failed("projector", error))?;
        let (parse, show) = (chain.clone(), chain.clone());
        let api = ApiConfig {
            accounts: Accounts {
                parse: Arc::new(move |text| match orebook_schema::Account::parse(text) {
                    Some(account) => Ok(account),
                    None => parse.account(text),
                }),
                show: Arc::new(move |account| {
                    show.shown(account).unwrap_or_else(|| account.to_string())
                }),
            },
            pot_names: Vec::new(),
            verify: verify_commands(place),
        };
        let listener = std::net::TcpListener::bind(config.http.listen)
            .map_err(|error| failed(&format!("cannot listen at {}", config.http.listen), error))?;
        let server = Server::start(listener, router(projector.books(), api, metrics))
            .map_err(|error| failed("pages", error))?;
        self.projector = Some(projector);
        self.server = Some(server);
        Ok(())
    }

    fn start_settler(
        &mut self,
        config: &Config,
        place: &Place,
        chain: &Chain,
    ) -> Result<(), Failure> {
        let settings = SettlerConfig {
            machine: MachineConfig {
                spool: spool_config(
                    place,
                    Role::Settler,
                    SMALL_SPOOL_FILE_BYTES,
                    SMALL_SPOOL_TOTAL_BYTES,
                ),
                payout: Payout {
                    scripts: vec![chain.payout.bytes().to_vec()],
                    texts: vec![config.pool.text.clone()],
                },
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
            mirror: self.mirror.clone(),
            log: self.log.clone(),
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
        number: usize,
        gateway: &GatewayText,
        config: &Config,
        place: &Place,
        chain: &Chain,
    ) -> Result<GatewayHandle, Failure> {
        let name = format!("gateway-{number}");
        let signer = place.key(&format!("{name}.key"))?;
        let settings = gateway_config(gateway, config, place, chain)?;
        let spool = spool_config(
            place,
            Role::Gateway,
            config.spool.file_bytes,
            config.spool.total_bytes,
        );
        let (spool, recovery) = Spool::open(place.disk(), &format!("{name}/spool"), spool, signer)
            .map_err(|error| failed(&name, error))?;
        if recovery.torn.is_some() || 0 < recovery.unframed_events {
            tracing::info!(?recovery, "{name} goes on where it ended");
        }
        let (accounts, nodes, runtime) = (chain.clone(), chain.nodes.clone(), self.runtime.clone());
        let stop_at = place.stop_at.clone();
        let parts = GatewayParts {
            spool,
            mirror: self.mirror.clone(),
            log: self.log.clone(),
            disk: place.disk(),
            control_dir: format!("{name}/control"),
            parse_account: Box::new(move |login| accounts.account(login)),
            on_block: Box::new(move |found: FoundBlock| {
                let (nodes, stop_at) = (nodes.clone(), stop_at.clone());
                runtime.spawn(async move {
                    stop_at.pass("chain", "submit", false);
                    for (node, answer) in nodes.submit(found.block).await {
                        tracing::info!(height = found.height, hash = %found.hash, node, ?answer, "block");
                    }
                    stop_at.pass("chain", "submit", true);
                });
            }),
            fatal: self.fatal.clone(),
        };
        Gateway::start(settings, parts).map_err(|error| failed(&name, error))
    }

    /// Gives every gateway the newest template, from now on.
    fn feed_templates(&self, chain: &Chain) {
        let mut templates = chain.nodes.templates();
        let gateways: Vec<_> = self.gateways.iter().map(Arc::downgrade).collect();
        self.runtime.spawn(async move {
            loop {
                let work = templates.borrow_and_update().clone();
                for gateway in gateways.iter().filter_map(std::sync::Weak::upgrade) {
                    match &work {
                        Work::Fresh(template) => gateway.template(template.clone()),
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

    /// Ends them: miners first, then who makes their shares final, then who shows them.
    pub(crate) fn stop(self) {
        let quiet = |ended: std::thread::Result<()>| {
            if ended.is_err() {
                tracing::error!("a thread panicked");
            }
        };
        for gateway in self.gateways {
            if let Ok(gateway) = Arc::try_unwrap(gateway) {
                quiet(gateway.stop());
            }
        }
        if let Some(settler) = self.settler {
            quiet(settler.stop());
        }
        quiet(self.archiver.stop());
        quiet(self.mirror_thread.stop());
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

/// What a configuration says of gateways, without starting one.
pub(crate) fn check(config: &Config, gateways: &[GatewayText]) -> Result<(), Failure> {
    let unit = WorkUnit::Sha256d;
    for port in gateways.iter().flat_map(|gateway| &gateway.port) {
        rule(port, unit)?;
    }
    if orebook_chain::template::TEXT_BYTES_MAX < config.pool.text.len() {
        return Err(Failure::new("pool.text is longer than 32 bytes"));
    }
    Ok(())
}

fn rule(port: &Port, unit: WorkUnit) -> Result<DifficultyRule, Failure> {
    let work = |text: &str| {
        difficulty(text, unit)
            .ok_or_else(|| Failure::new(format!("port {}: {text} is no difficulty", port.listen)))
    };
    match (&port.difficulty, &port.vardiff) {
        (Some(text), _) => Ok(DifficultyRule::Fixed(work(text)?)),
        (None, Some(vardiff)) => {
            let target = Duration::from_secs(u64::from(vardiff.seconds_per_share));
            Ok(DifficultyRule::Vardiff(VardiffRule {
                start: work(&vardiff.start)?,
                min: work(&vardiff.min)?,
                max: work(&vardiff.max)?,
                target,
                retarget: target * RETARGET_SHARES,
            }))
        }
        (None, None) => Err(Failure::new(format!("port {}: no difficulty", port.listen))),
    }
}

fn gateway_config(
    gateway: &GatewayText,
    config: &Config,
    place: &Place,
    chain: &Chain,
) -> Result<GatewayConfig, Failure> {
    let unit = place.genesis.algorithm.work_unit();
    let ports = gateway.port.iter().map(|port| {
        Ok(PortConfig {
            address: port.listen,
            pot: Pot(port.pot),
            difficulty: rule(port, unit)?,
        })
    });
    Ok(GatewayConfig {
        algorithm: place.genesis.algorithm,
        ports: ports.collect::<Result<_, Failure>>()?,
        payout_script: chain.payout.bytes().to_vec(),
        coinbase_text: config.pool.text.clone(),
        extranonce2_bytes: orebook_gateway::EXTRANONCE2_BYTES_DEFAULT,
        version_mask: VERSION_MASK_DEFAULT,
        commit_spacing: Duration::from_millis(u64::from(gateway.commit_ms)),
        stale_grace: Duration::from_millis(u64::from(gateway.stale_grace_ms)),
        limits: Limits::default(),
    })
}
