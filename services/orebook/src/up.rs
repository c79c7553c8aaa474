//! `orebook up` and `demo`: every role in one process, on the embedded ledger.
//!
//! Reading order: [`run`] (what is started in which order, and how it ends), `place` (the folder), `chain` (nodes),
//! `roles` (one function for each role), `stop_at` (crash tests).

mod activity;
mod chain;
mod desk;
mod direct;
mod duty;
mod figures;
mod first;
mod gateways;
mod health;
mod paymaster;
mod place;
pub(crate) mod pool_log;
mod reading;
mod roles;
mod said;
mod stop_at;
mod wallet;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use orebook_archiver::{Fatal, SharedLog};
use orebook_miner::{Mining, Rig};
use orebook_projector::Member;

pub(crate) use self::chain::{Addresses, Chain};
pub(crate) use self::duty::Duty;
use self::first::First;
pub(crate) use self::paymaster::Projectors;
pub(crate) use self::place::{Place, lock as lock_folder};
use self::pool_log::PoolLog;
pub(crate) use self::reading::Reading;
use self::roles::Roles;
pub(crate) use self::roles::small_spool;
pub(crate) use self::wallet::open as hot_wallet;
use crate::cat::Object;
use crate::cli::{CheckArgs, Format, UpArgs};
use crate::{Failure, print, say};
use orebook::config::{self, Config, Gateway, ReadError};

/// Sleep of a demonstration's rig between two looks, and before it comes again.
const RIG_LOOK: Duration = Duration::from_millis(200);
/// The signal at a write beyond the process's limit of a file, on Linux (SIGXFSZ): unheeded it ends the process.
const FILE_TOO_LARGE: i32 = 25;
/// Threads of the runtime that talks to nodes.
const NODE_THREADS: usize = 2;

/// Where projections rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stores {
    /// In memory; rebuilt from the ledger at each start.
    Memory,
    /// In RocksDB, in the pool's folder.
    #[cfg(feature = "rocksdb")]
    Rocks,
}

/// Why the process ends.
enum End {
    /// An operator asked for it.
    Asked,
    /// A role cannot go on.
    Fatal(String),
}

/// Runs until it is asked to end.
pub(crate) fn run(args: &UpArgs, stores: Stores, duty: Duty) -> Result<(), Failure> {
    let config = configuration(args)?;
    let gateways = duty_gateways(&config, duty)?;
    let place = place(args, &config, duty)?;
    let log = log(&config, &place, duty)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NODE_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))?;
    let chain = if duty.has_chain() {
        Some(Chain::start(duty, &config, &place, runtime.handle())?)
    } else {
        None
    };
    let (ends, end) = channel();
    asked_to_end(runtime.handle(), ends.clone())?;
    let fatal = fatal(ends);
    let mut roles = Roles::start(duty, &config, &place, log, &fatal, runtime.handle())?;
    let first = First {
        roles: &roles,
        duty,
        config: &config,
        place: &place,
        runtime: runtime.handle(),
    };
    if first.wait(&end)?.is_break() {
        roles.stop();
        return Ok(());
    }
    let members = if duty.has_projector() {
        members(&place, stores)?
    } else {
        Vec::new()
    };
    roles.start_serving(&config, &gateways, &place, chain.as_ref(), members)?;
    if duty.has_paymaster() {
        let rows = paymaster::rows(&place, stores)?;
        roles.start_paymaster(&config, &place, chain.as_ref(), rows)?;
    }
    announce(args, &place, &roles)?;
    let dev = chain.as_ref().and_then(|chain| chain.dev.clone());
    let rigs = match dev {
        Some(dev) => {
            chain::start_others(dev, &config.development)
                .map_err(|error| Failure::new(format!("no thread: {error}")))?;
            Some(start_miners(&config, &place, &roles)?)
        }
        None => None,
    };
    let ended = end.recv();
    if let Some(rigs) = rigs {
        rigs.store(true, Ordering::Release);
    }
    match ended {
        Ok(End::Fatal(why)) => Err(Failure::new(why)
            .hint("what was answered is in the spool: start again once the cause is gone")),
        Ok(End::Asked) | Err(_) => {
            roles.stop();
            Ok(())
        }
    }
}

/// The gateways of this process by their numbers, which name their keys and folders.
fn duty_gateways(config: &Config, duty: Duty) -> Result<Vec<(u8, Gateway)>, Failure> {
    let all = config.gateways();
    match duty {
        Duty::All => Ok((1..).zip(all).collect()),
        Duty::Gateway(number) => {
            // A machine's own configuration names its own gateway only; one for all machines names them in order.
            let place = if all.len() == 1 {
                0
            } else {
                usize::from(number).saturating_sub(1)
            };
            let own = all.get(place).cloned().map(|own| (number, own));
            let own = own.ok_or_else(|| {
                Failure::new(format!("the configuration has no gateway {number}"))
                    .hint("one [[gateway]] for each number, or a single one")
            })?;
            Ok(vec![own])
        }
        Duty::Archiver(_) | Duty::Settler | Duty::Projector | Duty::Paymaster | Duty::Desk => {
            Ok(Vec::new())
        }
    }
}

/// The folder: `up` makes one; a role alone has one that `init` made, with its own key in it.
fn place(args: &UpArgs, config: &Config, duty: Duty) -> Result<Place, Failure> {
    if duty != Duty::All {
        return Place::of_role(folder_of_role(args, config)?);
    }
    let data = args.data.as_deref().or(config.data.as_deref());
    let count = u8::try_from(config.gateways().len()).unwrap_or(u8::MAX);
    Place::open(data, &config.pool, count)
}

fn folder_of_role<'a>(args: &'a UpArgs, config: &'a Config) -> Result<&'a Path, Failure> {
    let data = args.data.as_deref().or(config.data.as_deref());
    data.ok_or_else(|| Failure::new("a role needs the folder of its ledger").hint("give --data"))
}

/// A role alone needs a log between processes.
#[cfg_attr(
    not(feature = "kafka"),
    allow(unused_variables, reason = "only Kafka is configured")
)]
fn reaches_others(config: &Config) -> Result<(), Failure> {
    #[cfg(feature = "kafka")]
    if config.kafka.is_some() {
        return Ok(());
    }
    Err(Failure::new("a role alone needs a log that others reach")
        .hint("say [kafka] brokers in the configuration, or run `orebook up`"))
}

/// The log that this process reads and writes.
#[cfg_attr(
    not(feature = "kafka"),
    allow(unused_variables, reason = "only Kafka is configured")
)]
fn log(config: &Config, place: &Place, duty: Duty) -> Result<PoolLog, Failure> {
    #[cfg(feature = "kafka")]
    if let Some(kafka) = &config.kafka {
        let opened = orebook_kafka::KafkaLog::open(kafka, place.genesis.coin, place.ledger);
        return opened
            .map(PoolLog::Kafka)
            .map_err(|error| Failure::new(format!("kafka: {error}")));
    }
    if duty != Duty::All {
        reaches_others(config)?;
    }
    Ok(PoolLog::Embedded(SharedLog::new()))
}

/// `orebook check`. `asks`: whether the brokers are asked too, if the arguments say so.
#[cfg_attr(
    not(feature = "kafka"),
    allow(unused_variables, reason = "only Kafka's brokers are asked")
)]
pub(crate) fn check(args: &CheckArgs, asks: bool) -> Result<(), Failure> {
    let path = args.config.as_deref();
    let path = path.ok_or_else(|| Failure::new("no configuration").hint("give --config"))?;
    let config = config::read(path).map_err(failure)?;
    let gateways = config.gateways();
    let ports: Vec<String> = gateways
        .iter()
        .flat_map(|gateway| &gateway.port)
        .map(|port| port.listen.to_string())
        .collect();
    gateways::check(&config, &gateways)?;
    #[cfg(feature = "kafka")]
    if let Some(data) = args.brokers.as_ref().filter(|_| asks) {
        preflight(&config, data)?;
    }
    let nodes = match config.node.len() {
        0 => "the development chain".to_owned(),
        count => format!("{count} nodes"),
    };
    print(&format!(
        "ok: {} gateways on {}, {nodes}, pages on {}",
        gateways.len(),
        ports.join(", "),
        config.http.listen
    ))
}

/// What a role would run with: its gateways by number, and where it answers people. Nothing is opened or started.
pub(crate) fn judge(
    args: &UpArgs,
    duty: Duty,
) -> Result<(Vec<(u8, Gateway)>, SocketAddr), Failure> {
    let config = configuration(args)?;
    let gateways = duty_gateways(&config, duty)?;
    let texts: Vec<Gateway> = gateways
        .iter()
        .map(|(_, gateway)| gateway.clone())
        .collect();
    gateways::check(&config, &texts)?;
    if duty != Duty::All {
        folder_of_role(args, &config)?;
        reaches_others(&config)?;
    }
    if duty == Duty::Paymaster {
        paymaster::check(&config)?;
    }
    Ok((gateways, config.http.listen))
}

/// What the brokers are set to.
#[cfg(feature = "kafka")]
fn preflight(config: &Config, data: &Path) -> Result<(), Failure> {
    let kafka = config.kafka.as_ref();
    let kafka = kafka.ok_or_else(|| Failure::new("the configuration has no [kafka]"))?;
    let genesis = Place::genesis_in(data)?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("kafka: {error}"));
    let log = orebook_kafka::KafkaLog::open(kafka, genesis.coin, genesis.ledger)
        .map_err(|error| failed(&error))?;
    let found = log.preflight().map_err(|error| failed(&error))?;
    for finding in &found.let_through {
        say(&format!("for development only: {finding}"));
    }
    for finding in &found.refused {
        say(&format!("refused: {finding}"));
    }
    match found.refused.len() {
        0 => Ok(()),
        count => Err(
            Failure::new(format!("{count} settings of Kafka are refused"))
                .hint("kafka.i_know lets through what is dangerous in production only")
                .found(),
        ),
    }
}

fn configuration(args: &UpArgs) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(path) => config::read(path).map_err(failure)?,
        None => Config::default(),
    };
    config.pool.coin = args.coin.or(config.pool.coin);
    config.suit();
    #[cfg(feature = "kafka")]
    if let Some(broker) = &args.kafka {
        let kafka = orebook_kafka::KafkaConfig::development(vec![broker.clone()]);
        config.kafka = Some(kafka);
    }
    if let Some(http) = args.http {
        config.http.listen = http;
    }
    if let Some(stratum) = args.stratum {
        if config.gateway.is_empty() {
            config.gateway.push(Gateway::default());
        }
        let port = config
            .gateway
            .first_mut()
            .and_then(|first| first.port.first_mut());
        if let Some(port) = port {
            port.listen = stratum;
        }
    }
    Ok(config)
}

pub(crate) fn failure(error: ReadError) -> Failure {
    let failure = Failure::new(error.message);
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn fatal(ends: Sender<End>) -> Fatal {
    Arc::new(move |why: &str| {
        tracing::error!(why, "the process ends");
        // Nobody listens only if it ends already.
        drop(ends.send(End::Fatal(why.to_owned())));
    })
}

fn asked_to_end(runtime: &tokio::runtime::Handle, ends: Sender<End>) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let _inside = runtime.enter();
    let failed = |error: std::io::Error| Failure::new(format!("signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // The write fails, and who wrote knows what to do: a disk without room.
    let mut too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE)).map_err(failed)?;
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = too_large.recv() => {}
            }
        }
        drop(ends.send(End::Asked));
    });
    Ok(())
}

#[cfg_attr(
    not(feature = "rocksdb"),
    allow(unused_variables, reason = "only RocksDB needs a folder")
)]
fn members(place: &Place, stores: Stores) -> Result<Vec<Member>, Failure> {
    match stores {
        Stores::Memory => Ok(orebook_projector::folds()
            .into_iter()
            .map(|fold| {
                let store: Arc<dyn orebook_replay::store::Store> =
                    Arc::new(orebook_replay::store::MemoryStore::default());
                (fold, store)
            })
            .collect()),
        #[cfg(feature = "rocksdb")]
        Stores::Rocks => crate::replay::members(&place.path().join("projections"), place.ledger),
    }
}

fn announce(args: &UpArgs, place: &Place, roles: &Roles) -> Result<(), Failure> {
    let http = roles.http().ok_or_else(|| Failure::new("no pages"))?;
    let stratum = roles.stratum();
    match args.format {
        Format::Json => {
            let list: Vec<String> = stratum.iter().map(|port| format!("\"{port}\"")).collect();
            let mut object = Object::new();
            object
                .raw("stratum", format_args!("[{}]", list.join(",")))
                .text("http", http);
            if let Some(desk) = roles.desk() {
                object.text("desk", desk);
            }
            if let Some(miners) = roles.miners() {
                object.text("miners", miners);
            }
            object
                .text("ledger", place.ledger)
                .text("data", place.path().display());
            print(&object.end())
        }
        Format::Text => {
            let list: Vec<String> = stratum.iter().map(ToString::to_string).collect();
            let desk = roles.desk().map(|desk| format!("desk     {desk}\n"));
            let desk = desk.unwrap_or_default();
            let miners = roles.miners().map(|miners| format!("miners   {miners}\n"));
            let miners = miners.unwrap_or_default();
            print(&format!(
                "pages    http://{http}/\nstratum  {}\n{desk}{miners}ledger   {}\ndata     {}",
                list.join(", "),
                place.ledger,
                place.path().display()
            ))?;
            say("ctrl-c ends it");
            Ok(())
        }
    }
}

/// The demonstration's rigs, all on the first port. Like any miner's they come again when they are sent away.
fn start_miners(config: &Config, place: &Place, roles: &Roles) -> Result<Arc<AtomicBool>, Failure> {
    let addresses = Addresses::of(place)?;
    let stop = Arc::new(AtomicBool::new(false));
    let Some(address) = roles.stratum().first().copied() else {
        return Ok(stop);
    };
    for name in &config.development.miners {
        let user = addresses.user_of(name).unwrap_or_else(|| name.clone());
        let rig = Rig {
            url: address.to_string(),
            user,
            password: "x".to_owned(),
            algorithm: place.genesis.algorithm,
            threads: 1,
            hashes_per_second: Some(config.development.miner_hashes_per_second),
        };
        let (name, seen) = (name.clone(), stop.clone());
        std::thread::Builder::new()
            .name("rig".to_owned())
            .spawn(move || keep_mining(&name, &rig, &seen))
            .map_err(|error| Failure::new(format!("no thread: {error}")))?;
    }
    Ok(stop)
}

fn keep_mining(name: &str, rig: &Rig, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match Mining::start(rig) {
            Ok(mining) => {
                while !mining.is_over() && !stop.load(Ordering::Acquire) {
                    std::thread::sleep(RIG_LOOK);
                }
                if let Some(why) = mining.stop() {
                    tracing::info!(name, why, "the rig was sent away");
                }
            }
            Err(why) => tracing::debug!(name, why, "the rig is not let in yet"),
        }
        std::thread::sleep(RIG_LOOK);
    }
}
