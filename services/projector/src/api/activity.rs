//! What happened at gateways' doors. These answers stand on no position: they name this machine's time instead.

use std::time::SystemTime;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use orebook_schema::activity::{LoginFault, Reject};
use serde::Serialize;

use super::accounts::account_of;
use super::query::Query;
use super::{Api, Refusal};
use crate::activity::{Activity, GatewayView, HOURS, Hours};
use crate::moment::{ms_of, rfc3339};

/// Kinds of software, and networks, that are shown.
const TOP_MAX: usize = 10;
/// Things about nodes that are shown.
const NODES_SHOWN_MAX: usize = 50;
/// Workers of an account that are shown.
const WORKERS_SHOWN_MAX: usize = 200;

#[derive(Serialize)]
struct Door {
    time: String,
    /// What is counted is of so many hours, the present one included.
    hours: u64,
    /// Sessions that may be given work now.
    sessions: u64,
    gateways: Vec<GatewayAnswer>,
    agents: Vec<Agent>,
    rejects: Vec<Reason>,
    failed_logins: Vec<Reason>,
    bans: u64,
    /// What happened to chain nodes, newest first.
    nodes: Vec<NodeAnswer>,
    /// Things that found no group of their own, so that they are in no reason: by kind.
    rest: Vec<Reason>,
    /// Of failed logins, most first; null unless the operator shows them.
    networks: Option<Vec<NetworkAnswer>>,
    /// Things that gateways counted and could not report.
    lost: u64,
}

#[derive(Serialize)]
struct GatewayAnswer {
    key: String,
    away: bool,
    sessions: u32,
    heard: String,
    started: String,
    reports: u64,
    lost: u64,
}

#[derive(Serialize)]
struct Agent {
    agent: String,
    workers: u64,
}

#[derive(Serialize)]
struct Reason {
    reason: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct NodeAnswer {
    node: String,
    said: &'static str,
    count: u64,
    last: String,
}

#[derive(Serialize)]
struct NetworkAnswer {
    network: String,
    count: u64,
}

#[derive(Serialize)]
struct OfAccount {
    time: String,
    hours: u64,
    account: String,
    sessions: u64,
    workers: Vec<OfWorker>,
    rejects: Vec<Reason>,
}

#[derive(Serialize)]
struct OfWorker {
    name: String,
    sessions: u32,
    agent: String,
    opened: String,
}

fn rejects_by(counts: &[u64]) -> Vec<Reason> {
    let reasons = Reject::ALL.iter().map(|reason| reason.name());
    reasons
        .zip(counts)
        .map(|(reason, count)| Reason {
            reason,
            count: *count,
        })
        .collect()
}

fn activity(api: &Api) -> Result<Activity, Refusal> {
    let none = || Refusal::NotReady("this process reads no activity log".to_owned());
    api.inner.config.activity.clone().ok_or_else(none)
}

fn gateway(view: GatewayView) -> GatewayAnswer {
    GatewayAnswer {
        key: view.key.to_string(),
        away: view.is_away,
        sessions: view.sessions,
        heard: rfc3339(view.heard_ms),
        started: rfc3339(view.started_ms),
        reports: view.reports,
        lost: view.lost,
    }
}

fn nodes(sums: &Hours) -> Vec<NodeAnswer> {
    let mut nodes: Vec<_> = sums.nodes.iter().collect();
    nodes.sort_by_key(|(key, (_, last_ms))| (std::cmp::Reverse(*last_ms), *key));
    let shown = nodes.into_iter().take(NODES_SHOWN_MAX);
    shown
        .map(|((node, said), (count, last_ms))| NodeAnswer {
            node: node.as_str().to_owned(),
            said: said.name(),
            count: *count,
            last: rfc3339(*last_ms),
        })
        .collect()
}

fn networks(sums: &Hours) -> Vec<NetworkAnswer> {
    let mut networks: Vec<_> = sums.networks.iter().collect();
    networks.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    let shown = networks.into_iter().take(TOP_MAX);
    shown
        .map(|(network, count)| NetworkAnswer {
            network: network.to_string(),
            count: *count,
        })
        .collect()
}

/// `GET /api/v1/activity`.
pub(super) async fn of_all(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Query::parse(query.as_deref(), &[])?;
    let activity = activity(&api)?;
    let _place = api.inner.places.try_acquire().map_err(|_| Refusal::Busy)?;
    let now_ms = ms_of(SystemTime::now());
    let (gateways, agents, sums) = {
        let tables = activity.tables();
        (
            tables.gateways(now_ms),
            tables.agents(now_ms),
            tables.sums(now_ms),
        )
    };
    let here = gateways.iter().filter(|gateway| !gateway.is_away);
    let failed = LoginFault::ALL.iter().zip(sums.failed_logins);
    let answer = Door {
        time: rfc3339(now_ms),
        hours: HOURS,
        sessions: here.map(|gateway| u64::from(gateway.sessions)).sum(),
        lost: gateways.iter().map(|gateway| gateway.lost).sum(),
        gateways: gateways.into_iter().map(gateway).collect(),
        agents: agents
            .into_iter()
            .take(TOP_MAX)
            .map(|(agent, workers)| Agent { agent, workers })
            .collect(),
        rejects: rejects_by(&sums.rejects),
        failed_logins: failed
            .map(|(reason, count)| Reason {
                reason: reason.name(),
                count,
            })
            .collect(),
        bans: sums.bans,
        nodes: nodes(&sums),
        rest: sums
            .rest
            .iter()
            .map(|(kind, count)| Reason {
                reason: kind.name(),
                count: *count,
            })
            .collect(),
        networks: api.inner.config.show_networks.then(|| networks(&sums)),
    };
    Ok(axum::Json(answer).into_response())
}

/// `GET /api/v1/accounts/{account}/activity`.
pub(super) async fn of_account(
    State(api): State<Api>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let account = account_of(&api, &account)?;
    Query::parse(query.as_deref(), &[])?;
    let activity = activity(&api)?;
    let now_ms = ms_of(SystemTime::now());
    let tables = activity.tables();
    let workers = tables.workers(&account, WORKERS_SHOWN_MAX);
    let rejects = tables.rejects(&account, now_ms);
    drop(tables);
    let answer = OfAccount {
        time: rfc3339(now_ms),
        hours: HOURS,
        account: account.to_string(),
        sessions: workers.iter().map(|worker| u64::from(worker.open)).sum(),
        workers: workers
            .into_iter()
            .map(|worker| OfWorker {
                name: worker.name.as_str().to_owned(),
                sessions: worker.open,
                agent: worker.agent.as_str().to_owned(),
                opened: rfc3339(worker.opened_ms),
            })
            .collect(),
        rejects: rejects_by(&rejects),
    };
    Ok(axum::Json(answer).into_response())
}
