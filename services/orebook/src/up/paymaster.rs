//! The paymaster's role: its wallet, its rows of `money`, the projectors that it asks.

mod alarms;
mod digests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::routing::get;
use orebook_archiver::{Fatal, Mirror, new_stream, now_ms};
use orebook_chain::DevChain;
use orebook_paymaster::machine::MachineConfig;
use orebook_paymaster::metrics::{Counters, Metrics};
use orebook_paymaster::paymaster::{Standing, TURN_MS_DEFAULT};
use orebook_paymaster::plan::Plan;
use orebook_paymaster::{Paymaster, PaymasterConfig, PaymasterParts};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::{Account, Role};
use tokio::runtime::Handle;

pub(super) use self::alarms::watch;
pub(crate) use self::digests::Projectors;
use super::Stores;
use super::chain::Addresses;
use super::duty::Duty;
use super::place::Place;
use super::pool_log::PoolLog;
use super::roles::{failed, small_spool};
use super::wallet;
use crate::Failure;
use orebook::config::{Config, Wallet, base_units};

/// Its key, in the folder of keys: of the ledger, not of the wallet.
const KEY_FILE: &str = "paymaster.key";
/// Its spool, in the pool's folder.
const SPOOL: &str = "paymaster/spool";
/// Its rows, there.
const ROWS: &str = "paymaster/rows";

/// After a plan that paid nobody, on the development chain, whose first blocks are confirmed soon: milliseconds.
const DEVELOPMENT_RETRY_MS: u64 = 2_000;

/// What it is given of the process around it.
pub(super) struct Around {
    pub(super) duty: Duty,
    pub(super) mirror: Mirror,
    pub(super) log: PoolLog,
    /// Pages of this process, if it has a projector.
    pub(super) pages: Option<SocketAddr>,
    pub(super) runtime: Handle,
    pub(super) fatal: Fatal,
}

/// What a running paymaster shows; empty until it runs.
pub(super) type Shown = Arc<OnceLock<(Arc<Counters>, Arc<Mutex<Standing>>)>>;

/// `GET /paymaster/plan`: what it waits for, and what it planned last. Nothing in it is secret: projectors show the same balances.
pub(super) fn plan_router(shown: Shown, addresses: Addresses) -> Router {
    let answer = move || async move {
        let (why, plan) = match shown.get() {
            None => ("the paymaster is not started".to_owned(), None),
            Some((_, standing)) => {
                let standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
                (standing.why.to_string(), standing.plan.clone())
            }
        };
        let plan = plan.as_ref().map(|plan| planned(plan, addresses));
        axum::Json(serde_json::json!({ "why": why, "plan": plan }))
    };
    Router::new().route("/paymaster/plan", get(answer))
}

fn planned(plan: &Plan, addresses: Addresses) -> serde_json::Value {
    let shown = |account: &Account| {
        let address = addresses.shown(account);
        address.unwrap_or_else(|| account.to_string())
    };
    let lines: Vec<serde_json::Value> = plan
        .lines
        .iter()
        .map(|line| {
            serde_json::json!({
                "account": line.account.to_string(),
                "address": shown(&line.address),
                "amount": line.amount.to_string(),
                "fee": line.fee.to_string(),
            })
        })
        .collect();
    serde_json::json!({
        "total": plan.total.to_string(),
        "fee": plan.fee.to_string(),
        "lines": lines,
    })
}

/// Rows of `money`, its own: what it pays by is not what it is asked to compare.
pub(super) fn rows(place: &Place, stores: Stores) -> Result<Arc<dyn Store>, Failure> {
    let rows: Arc<dyn Store> = match stores {
        Stores::Memory => Arc::new(MemoryStore::default()),
        #[cfg(feature = "rocksdb")]
        Stores::Rocks => {
            let dir = place.path().join(ROWS);
            crate::replay::money_store(&dir, place.ledger)?
        }
    };
    Ok(place.stop_at.store(ROWS, rows))
}

/// What a paymaster alone needs of its configuration.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    if config.node.is_empty() {
        return Err(Failure::new("a paymaster alone needs a node")
            .hint("the development chain is in the process of `orebook up`"));
    }
    match &config.wallet {
        None => Err(Failure::new("the configuration has no [wallet]")
            .hint("orebook.example.toml has every key of it")),
        Some(wallet) if wallet.projectors.is_empty() => Err(Failure::new(
            "wallet.projectors: say who is asked for digests",
        )
        .hint("nothing is proposed unless a projector has the same figures")),
        Some(_) => Ok(()),
    }
}

/// Starts it. With `up` it runs where there is a wallet: a configured one, or the development chain's, whose key `init` made.
pub(super) fn start(
    config: &Config,
    place: &Place,
    chain: Option<DevChain>,
    rows: Arc<dyn Store>,
    around: Around,
) -> Result<Option<Paymaster>, Failure> {
    let is_development = chain.is_some();
    if around.duty == Duty::Paymaster {
        check(config)?;
    } else if config.wallet.is_none() && !is_development {
        tracing::info!("there is no [wallet] in the configuration: nobody is paid");
        return Ok(None);
    }
    let said = config.wallet.clone().unwrap_or_default();
    let Some(wallet) = wallet::open(config, &said, place, chain)? else {
        tracing::warn!("there is no wallet.key in the folder of keys: nobody is paid");
        return Ok(None);
    };
    let settings = PaymasterConfig {
        machine: machine(&said, place, is_development)?,
        dir: SPOOL.to_owned(),
        turn_ms: TURN_MS_DEFAULT,
        poll_ms: said.poll_ms(is_development),
    };
    let is_dry_run = settings.machine.dry_run;
    let parts = PaymasterParts {
        disk: place.disk(),
        signer: place.key(KEY_FILE)?,
        mirror: around.mirror,
        log: around.log,
        wallet,
        digests: Projectors::new(&said.projectors, around.pages.map(reached)),
        store: rows,
        runtime: around.runtime,
        now_ms: Box::new(now_ms),
        new_stream: Box::new(new_stream),
        fatal: around.fatal,
    };
    let paymaster = Paymaster::start(settings, parts).map_err(|error| {
        failed("paymaster", error).hint("see docs/runbooks/paymaster-disk-lost.md")
    })?;
    tracing::info!(wallet = said.number, is_dry_run, "the paymaster runs");
    Ok(Some(paymaster))
}

fn machine(said: &Wallet, place: &Place, is_development: bool) -> Result<MachineConfig, Failure> {
    let units = |key, text: &Option<String>| base_units(key, text.as_deref()).map_err(Failure::new);
    let mut machine = MachineConfig::new(small_spool(&place.genesis, Role::Paymaster), said.number);
    machine.dry_run = said.is_dry_run(is_development);
    machine.lines_max = usize::from(said.lines_max);
    machine.interval_ms = said.interval_ms(is_development);
    machine.stuck_ms = said.stuck_ms;
    machine.reconcile_ms = said.reconcile_ms;
    if is_development {
        machine.retry_ms = DEVELOPMENT_RETRY_MS;
    }
    machine.batch_max = units("batch_max", &said.batch_max)?.unwrap_or(machine.batch_max);
    machine.day_max = units("day_max", &said.day_max)?.unwrap_or(machine.day_max);
    machine.balance_min = units("balance_min", &said.balance_min)?.unwrap_or(0);
    machine.fee_max = units("fee_max", &said.fee_max)?.unwrap_or(machine.fee_max);
    Ok(machine)
}

/// Where this process's own pages are reached from itself.
fn reached(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Why a paymaster alone does not do its work, by what it counts; none if it does.
pub(super) fn not_ready(metrics: Option<Metrics>) -> Option<String> {
    let Some(metrics) = metrics else {
        return Some("the paymaster is not started yet".to_owned());
    };
    [
        (
            metrics.key_refused,
            "the paymaster's key is not in force; see docs/runbooks/paymaster-host-lost.md",
        ),
        (
            metrics.halted,
            "the wallet is halted: `orebook pay status` says since when and why; see docs/runbooks/wallet-halted.md",
        ),
    ]
    .into_iter()
    .find(|(is_so, _)| *is_so != 0)
    .map(|(_, why)| why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paymaster_is_ready_unless_it_is_halted_or_its_key_refused() {
        let well = Metrics::default();
        let halted = Metrics { halted: 1, ..well };
        let refused = Metrics {
            key_refused: 1,
            ..halted
        };
        for (metrics, says) in [
            (None, Some("not started")),
            (Some(well), None),
            (Some(halted), Some("the wallet is halted")),
            (Some(refused), Some("the paymaster's key is not in force")),
        ] {
            let said = not_ready(metrics);
            assert_eq!(said.is_some(), says.is_some(), "{said:?}");
            assert!(said.unwrap_or_default().contains(says.unwrap_or_default()));
        }
    }

    #[test]
    fn own_pages_are_asked_at_the_loopback_where_they_are_for_everybody() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.5:80", "10.0.0.5:80"),
        ] {
            assert_eq!(reached(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
