//! Starting, feeding, watching and stopping a gateway.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use mio::{Poll, Waker};
use orebook_chain::{EthWork, Paying, Template};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::disk::{Disk as _, DiskError};
use orebook_ledger::log::Log;
use orebook_ledger::reader::Reader;
use orebook_ledger::spool::{Spool, SpoolError};
use orebook_pow::ethash::EpochRule;
use orebook_schema::activity::{NodeSaid, NodeText};
use orebook_schema::work::EthashHeader;
use orebook_schema::{Account, Hash};

use crate::activity::{self, ActivityParts};
use crate::bridge::{Bridge, lock};
use crate::caches::Caches;
use crate::checks::{Checks, Wake};
use crate::config::{ConfigError, GatewayConfig};
use crate::control::Control;
use crate::doors::Doors;
use crate::edge::Edge;
use crate::firewall;
use crate::former::FORMER_KEPT;
use crate::looper::{Loop, LoopParts, NodeWork, WAKER};
use crate::metrics::{Metrics, Shared};
use crate::tls::{Certificates, TlsError};
use crate::writer::{Fatal, Writer, WriterParts};

/// Tells whose a login is: a payout address or a registered name. What is wrong with it is shown to the miner, so it must say
/// nothing secret.
pub type ParseAccount = Box<dyn Fn(&str) -> Result<Account, String> + Send>;

/// A block on its way to the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBlock {
    /// Its hash, header order; of ethash its name (`ethash_name`).
    pub hash: Hash,
    /// Its height.
    pub height: u64,
    /// What the nodes are given.
    pub what: Found,
}

/// What a node takes as a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The whole block, as `submitblock` takes it.
    Block(Vec<u8>),
    /// A solution of a node's own work, as `eth_submitWork` takes it.
    Solution(EthashHeader),
}

/// What a gateway is made of.
pub struct GatewayParts<L> {
    /// Its spool, opened and not begun.
    pub spool: Spool<RealDisk>,
    /// The process's reader of the ledger, polled by a thread of its own.
    pub mirror: Arc<Mutex<Reader<RealDisk>>>,
    /// Where frames go.
    pub log: L,
    /// The disk of `control_dir`.
    pub disk: RealDisk,
    /// Folder in which `control` is kept, beside the spool. Made if it does not exist.
    pub control_dir: String,
    /// Tells whose a login is.
    pub parse_account: ParseAccount,
    /// Takes a found block before its share is recorded. Must hand it on and return: the loop waits for it.
    pub on_block: Box<dyn Fn(FoundBlock) + Send>,
    /// Where it reports sessions, failed logins and rejects; none if nobody wants to know.
    pub activity: Option<ActivityParts>,
    /// Called when the process must end; nobody is answered any more.
    pub fatal: Fatal,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its spool. A full one is no error: miners are sent away until it has room.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// `control` cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A port's certificate cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A port cannot be opened.
    #[error("cannot listen at {address}: {cause}")]
    Listen {
        /// The port's address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The system has no thread, no poll or no memory for checks left.
    #[error("the system gives no thread, no poll or no memory: {0}")]
    System(#[from] io::Error),
}

/// Things about nodes that wait for the loop, which takes them each turn. Further ones are only in the log.
const NODES_SAID_MAX: usize = 64;

/// What the handle tells the loop: the newest of each.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) work: Option<Result<NodeWork, String>>,
    /// At most [`NODES_SAID_MAX`].
    pub(crate) nodes: Vec<(NodeSaid, NodeText)>,
    pub(crate) stop: bool,
}

/// A running gateway. Dropped, it goes on; [`GatewayHandle::stop`] ends it.
pub struct GatewayHandle {
    certificates: Arc<Certificates>,
    filter: Arc<firewall::Figures>,
    mail: Arc<Mutex<Mail>>,
    bridge: Arc<Bridge>,
    metrics: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The service.
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Opens the spool's epoch, then the ports, and starts threads: the loop of the connections, the writer of the
    /// spool, who hands on activity reports, and who checks shares that take long. Miners are sent away with a reason until there is a template and a final policy.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start<L: Log + Send + 'static>(
        config: GatewayConfig,
        parts: GatewayParts<L>,
    ) -> Result<GatewayHandle, StartError> {
        config.check()?;
        let poll = Poll::new()?;
        let bridge = Arc::new(Bridge::new(Waker::new(poll.registry(), WAKER)?));
        let metrics = Arc::new(Shared::new(Edge::new(&config.ports)));
        parts.disk.create_dir(&parts.control_dir)?;
        let ledger = lock(&parts.mirror).head().ledger();
        let control = Control::load(&parts.disk, &parts.control_dir, ledger)?;
        let mut writer = Writer::begin(
            WriterParts {
                spool: parts.spool,
                mirror: parts.mirror,
                log: parts.log,
                disk: parts.disk,
                control_dir: parts.control_dir,
                bridge: Arc::clone(&bridge),
                metrics: Arc::clone(&metrics),
                spacing: config.commit_spacing,
                kept: if config.is_ethash() {
                    FORMER_KEPT
                } else {
                    Duration::ZERO
                },
                fatal: parts.fatal,
            },
            control,
        )?;
        let certificates = Arc::new(Certificates::open(&config.ports)?);
        let doors = Doors::open(
            poll.registry(),
            &config.ports,
            config.limits,
            config.edge.exempt.clone(),
        )
        .map_err(|(address, cause)| StartError::Listen { address, cause })?;
        let addresses = doors.addresses();
        let (activity, teller) =
            activity::start(parts.activity, ledger, Arc::clone(&metrics.activity));
        let filter = Arc::new(firewall::Figures::default());
        let (firewall, runner) = firewall::start(config.edge.firewall.clone(), &filter);
        let mail = Arc::new(Mutex::new(Mail::default()));
        let wake: Wake = {
            let bridge = Arc::clone(&bridge);
            Arc::new(move || bridge.wake())
        };
        let checks = Checks::start(config.algorithm, &config.limits, &wake, &metrics.checks)?;
        let rule = config.ethash.rule.or(EpochRule::of(config.algorithm));
        let folder = config.ethash.cache_folder.as_deref();
        let caches = rule.map(|rule| Caches::start(rule, folder, wake.clone()));
        let caches = caches.transpose()?;
        let looping = Loop::new(LoopParts {
            config,
            parse_account: parts.parse_account,
            on_block: parts.on_block,
            poll,
            doors,
            bridge: Arc::clone(&bridge),
            mail: Arc::clone(&mail),
            metrics: Arc::clone(&metrics),
            activity,
            checks,
            caches,
            former: writer.take_former(),
            certificates: Arc::clone(&certificates),
            firewall,
        });
        let writer = Builder::new()
            .name("gateway-writer".to_owned())
            .spawn(move || writer.run())?;
        let looping = Builder::new()
            .name("gateway-loop".to_owned())
            .spawn(move || looping.run())?;
        let mut threads = vec![looping, writer];
        if let Some(teller) = teller {
            let name = "gateway-activity".to_owned();
            threads.push(Builder::new().name(name).spawn(move || teller.run())?);
        }
        if let Some(runner) = runner {
            let name = "gateway-firewall".to_owned();
            threads.push(Builder::new().name(name).spawn(move || runner.run())?);
        }
        if certificates.any() {
            let certificates = Arc::clone(&certificates);
            let name = "gateway-tls".to_owned();
            let watch = Builder::new().name(name);
            threads.push(watch.spawn(move || certificates.watch())?);
        }
        Ok(GatewayHandle {
            certificates,
            filter,
            mail,
            bridge,
            metrics,
            addresses,
            threads: Mutex::new(threads),
        })
    }
}

impl GatewayHandle {
    /// Miners work on this from now on.
    pub fn template(&self, template: Arc<Template>) {
        self.put(Ok(NodeWork::Template(template, None)));
    }

    /// The same with a coinbase that pays accounts, by a list for this very template. Where jobs have another policy than the
    /// list, it pays the pool alone.
    pub fn template_paying(&self, template: Arc<Template>, paying: Arc<Paying>) {
        self.put(Ok(NodeWork::Template(template, Some(paying))));
    }

    /// Miners of ethash and etchash work on this from now on. The same work again makes no other job.
    pub fn eth_work(&self, work: EthWork) {
        self.put(Ok(NodeWork::Given(work)));
    }

    /// No node has fresh work: miners are told why, in plain ASCII, and sent away, so that their own fail-over acts.
    pub fn no_work(&self, why: &str) {
        self.put(Err(why.to_owned()));
    }

    /// Something happened to a chain node, which the activity log is to say.
    pub fn node_said(&self, said: NodeSaid, node: &str) {
        let mut mail = lock(&self.mail);
        if mail.nodes.len() < NODES_SAID_MAX {
            mail.nodes.push((said, NodeText::of(node)));
        }
        drop(mail);
        self.bridge.wake();
    }

    fn put(&self, work: Result<NodeWork, String>) {
        lock(&self.mail).work = Some(work);
        self.bridge.wake();
    }

    /// Where it listens, in the order of the configured ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it did so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let (tls_reloads, tls_reload_failures) = self.certificates.counts();
        Metrics {
            tls_reloads,
            tls_reload_failures,
            firewall: self.filter.read(),
            ..self.metrics.read()
        }
    }

    /// Reads certificates and keys again, also those that look as before (SIGHUP). Sessions go on as they are.
    pub fn reload(&self) {
        self.certificates.look_now();
    }

    /// Nobody comes in any more. Who is inside goes where his port's `elsewhere` says, in waves, and is served until then; the
    /// gateway ends when they are gone, at the latest after `drain_max` and five seconds for the last answers.
    pub fn drain(&self) {
        lock(&self.mail).stop = true;
        self.bridge.wake();
    }

    /// Drains, answers what was asked, sends what the ledger takes now, and waits for the threads. What the ledger
    /// does not take stays in the spool. The mirror should still run meanwhile. A second call waits for nothing.
    ///
    /// # Errors
    /// The panic of a thread.
    pub fn stop(&self) -> std::thread::Result<()> {
        self.drain();
        self.certificates.stop();
        self.filter.stop();
        let threads = std::mem::take(&mut *lock(&self.threads));
        let results: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
        results.into_iter().collect()
    }
}

impl fmt::Debug for GatewayHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayHandle")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl<L> fmt::Debug for GatewayParts<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayParts")
            .field("control_dir", &self.control_dir)
            .finish_non_exhaustive()
    }
}
