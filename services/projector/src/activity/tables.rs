//! What reports come to: open workers, the last agent of each, and counts of the last hours. Bounded, whatever comes.

use std::collections::{BTreeMap, VecDeque};

use orebook_schema::activity::{
    AgentText, Closed, Entry, EntryKind, LoginFault, Network, NodeSaid, NodeText, Opened, Reject,
    Report,
};
use orebook_schema::names::WorkerName;
use orebook_schema::{Account, Key};

/// Hours that are counted, the present one included.
pub const HOURS: u64 = 24;
/// Gateways that are remembered; a further one is not shown.
pub const GATEWAYS_MAX: usize = 256;
/// Workers that are remembered. Beyond it those without a session go, oldest first by day; else a further one is not shown.
pub const WORKERS_MAX: usize = 262_144;
/// Accounts with rejects of an hour that are told apart; those of further ones count in the sums only.
pub const REJECTED_MAX: usize = 4_096;
/// Networks with failed logins of an hour that are told apart; those of further ones count in the sums only.
pub const NETWORKS_MAX: usize = 4_096;
/// Things about chain nodes of an hour that are told apart; further ones are not shown.
const NODES_SAID_MAX: usize = 1_024;
/// Runs of a gateway whose reports are known again.
const RUNS_MAX: usize = 16;
/// A gateway that was not heard for so long is away: its sessions are not counted. Three silent minutes.
const AWAY_MS: u64 = 180_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Refused shares by [`Reject::ALL`].
pub(crate) type Reasons = [u64; Reject::ALL.len()];

#[derive(Debug)]
struct Run {
    run: u64,
    /// Number of the first report that was not taken yet.
    next: u64,
    lost: u64,
}

#[derive(Debug, Default)]
struct Gateway {
    /// The newest heard last.
    runs: VecDeque<Run>,
    sessions: u32,
    heard_ms: u64,
    reports: u64,
    open: BTreeMap<u32, Vec<(Account, WorkerName)>>,
}

#[derive(Debug, Default)]
struct Worker {
    open: u32,
    agent: AgentText,
    opened_ms: u64,
}

/// Counts of an hour, or of several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hours {
    pub(crate) rejects: Reasons,
    /// By account; none: nobody had logged in.
    pub(crate) rejected: BTreeMap<Option<Account>, Reasons>,
    /// By [`LoginFault::ALL`].
    pub(crate) failed_logins: [u64; LoginFault::ALL.len()],
    pub(crate) networks: BTreeMap<Network, u64>,
    pub(crate) bans: u64,
    /// What happened to chain nodes, and when it did last, milliseconds since 1970.
    pub(crate) nodes: BTreeMap<(NodeText, NodeSaid), (u64, u64)>,
    /// What found no group, by kind.
    pub(crate) rest: BTreeMap<EntryKind, u64>,
}

/// A gateway as it is shown.
#[derive(Debug)]
pub(crate) struct GatewayView {
    pub(crate) key: Key,
    pub(crate) is_away: bool,
    pub(crate) sessions: u32,
    pub(crate) heard_ms: u64,
    pub(crate) started_ms: u64,
    pub(crate) reports: u64,
    pub(crate) lost: u64,
}

/// A worker as it is shown.
#[derive(Debug)]
pub(crate) struct WorkerView {
    pub(crate) name: WorkerName,
    pub(crate) open: u32,
    pub(crate) agent: AgentText,
    pub(crate) opened_ms: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    gateways: BTreeMap<Key, Gateway>,
    workers: BTreeMap<Account, BTreeMap<WorkerName, Worker>>,
    worker_rows: usize,
    hours: BTreeMap<u64, Hours>,
    /// Reports that were no gateway's.
    pub(crate) refused: u64,
    /// Workers that found no row.
    pub(crate) unlisted: u64,
}

fn add(to: &mut u64, count: u64) {
    *to = to.saturating_add(count);
}

fn note_node(to: &mut (u64, u64), (count, last_ms): (u64, u64)) {
    add(&mut to.0, count);
    to.1 = to.1.max(last_ms);
}

fn place<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().position(|known| known == one).unwrap_or(0)
}

impl Tables {
    /// Takes a report, unless it was taken before. `now_ms`: this machine's clock, milliseconds since 1970.
    pub(crate) fn apply(&mut self, report: &Report, now_ms: u64) {
        if !self.gateways.contains_key(&report.key) && GATEWAYS_MAX <= self.gateways.len() {
            return;
        }
        let gateway = self.gateways.entry(report.key).or_default();
        let Some(is_new_run) = gateway.take(report) else {
            return;
        };
        if is_new_run {
            // Sessions end with their gateway's process.
            let ended = std::mem::take(&mut gateway.open);
            for (account, name) in ended.into_values().flatten() {
                self.leave(&account, &name);
            }
        }
        let hour = report.from_ms.min(now_ms) / HOUR_MS;
        let oldest = (now_ms / HOUR_MS).saturating_sub(HOURS - 1);
        self.hours = self.hours.split_off(&oldest);
        for entry in &report.entries {
            match entry {
                Entry::Opened(opened) => self.opened(report, opened, now_ms),
                Entry::Closed(closed) => self.closed(report.key, closed),
                _ if hour < oldest => {}
                counted => {
                    let hour = self.hours.entry(hour).or_default();
                    hour.count(counted, report.from_ms);
                }
            }
        }
    }

    fn opened(&mut self, report: &Report, opened: &Opened, now_ms: u64) {
        let known = self.workers.get(&opened.account);
        let is_known = known.is_some_and(|names| names.contains_key(&opened.worker));
        if !is_known {
            if WORKERS_MAX <= self.worker_rows {
                self.forget_workers(now_ms);
            }
            if WORKERS_MAX <= self.worker_rows {
                return add(&mut self.unlisted, 1);
            }
            self.worker_rows += 1;
        }
        let names = self.workers.entry(opened.account.clone()).or_default();
        let worker = names.entry(opened.worker.clone()).or_default();
        worker.open = worker.open.saturating_add(1);
        worker.agent = opened.agent.clone();
        worker.opened_ms = report.from_ms.saturating_add(opened.at_ms.into());
        if let Some(gateway) = self.gateways.get_mut(&report.key) {
            let users = gateway.open.entry(opened.session).or_default();
            users.push((opened.account.clone(), opened.worker.clone()));
        }
    }

    fn closed(&mut self, key: Key, closed: &Closed) {
        let gateway = self.gateways.get_mut(&key);
        let users = gateway.and_then(|gateway| gateway.open.remove(&closed.session));
        for (account, name) in users.unwrap_or_default() {
            self.leave(&account, &name);
        }
    }

    fn leave(&mut self, account: &Account, name: &WorkerName) {
        let names = self.workers.get_mut(account);
        if let Some(worker) = names.and_then(|names| names.get_mut(name)) {
            worker.open = worker.open.saturating_sub(1);
        }
    }

    /// Forgets workers without a session: those of before yesterday, and if there are none, all of them.
    fn forget_workers(&mut self, now_ms: u64) {
        for since_ms in [now_ms.saturating_sub(DAY_MS), u64::MAX] {
            for names in self.workers.values_mut() {
                names.retain(|_, worker| 0 < worker.open || since_ms <= worker.opened_ms);
            }
            self.workers.retain(|_, names| !names.is_empty());
            self.worker_rows = self.workers.values().map(BTreeMap::len).sum();
            if self.worker_rows < WORKERS_MAX {
                return;
            }
        }
    }

    /// Gateways by key.
    pub(crate) fn gateways(&self, now_ms: u64) -> Vec<GatewayView> {
        let view = |(key, gateway): (&Key, &Gateway)| GatewayView {
            key: *key,
            is_away: gateway.is_away(now_ms),
            sessions: gateway.sessions,
            heard_ms: gateway.heard_ms,
            started_ms: gateway.runs.back().map_or(0, |run| run.run),
            reports: gateway.reports,
            lost: gateway.runs.iter().map(|run| run.lost).sum(),
        };
        self.gateways.iter().map(view).collect()
    }

    /// Workers with an open session at a gateway that is not away, by what they run: (family, workers), most first.
    pub(crate) fn agents(&self, now_ms: u64) -> Vec<(String, u64)> {
        let mut families = BTreeMap::<&str, u64>::new();
        let here = self.gateways.values().filter(|one| !one.is_away(now_ms));
        for (account, name) in here.flat_map(|gateway| gateway.open.values().flatten()) {
            let worker = self.workers.get(account).and_then(|names| names.get(name));
            if let Some(worker) = worker {
                add(families.entry(worker.agent.family()).or_default(), 1);
            }
        }
        let families = families.into_iter();
        let mut agents: Vec<_> = families.map(|(name, n)| (name.to_owned(), n)).collect();
        agents.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        agents
    }

    /// The workers of an account by name, at most `max`.
    pub(crate) fn workers(&self, account: &Account, max: usize) -> Vec<WorkerView> {
        let names = self.workers.get(account).into_iter().flatten().take(max);
        names
            .map(|(name, worker)| WorkerView {
                name: name.clone(),
                open: worker.open,
                agent: worker.agent.clone(),
                opened_ms: worker.opened_ms,
            })
            .collect()
    }

    /// Refused shares of an account in the last hours, by reason.
    pub(crate) fn rejects(&self, account: &Account, now_ms: u64) -> Reasons {
        let account = Some(account.clone());
        let mut sum = Reasons::default();
        for hour in self.last_hours(now_ms) {
            let counts = hour.rejected.get(&account).into_iter().flatten();
            sum.iter_mut().zip(counts).for_each(|(to, n)| add(to, *n));
        }
        sum
    }

    /// The last hours together.
    pub(crate) fn sums(&self, now_ms: u64) -> Hours {
        let mut sum = Hours::default();
        for hour in self.last_hours(now_ms) {
            let zip = |to: &mut [u64], from: &[u64]| {
                to.iter_mut().zip(from).for_each(|(to, n)| add(to, *n));
            };
            zip(&mut sum.rejects, &hour.rejects);
            zip(&mut sum.failed_logins, &hour.failed_logins);
            add(&mut sum.bans, hour.bans);
            for (network, count) in &hour.networks {
                add(sum.networks.entry(*network).or_default(), *count);
            }
            for (said, counted) in &hour.nodes {
                note_node(sum.nodes.entry(said.clone()).or_default(), *counted);
            }
            for (kind, count) in &hour.rest {
                add(sum.rest.entry(*kind).or_default(), *count);
            }
        }
        sum
    }

    fn last_hours(&self, now_ms: u64) -> impl Iterator<Item = &Hours> {
        let oldest = (now_ms / HOUR_MS).saturating_sub(HOURS - 1);
        self.hours.range(oldest..).map(|(_, hour)| hour)
    }
}

impl Gateway {
    /// Whether the report is new, and if so whether its run is.
    fn take(&mut self, report: &Report) -> Option<bool> {
        let known = self.runs.iter().position(|run| run.run == report.run);
        let is_new_run = known.is_none();
        match known.and_then(|at| self.runs.get_mut(at)) {
            Some(run) if report.number < run.next => return None,
            Some(run) => {
                run.next = report.number.saturating_add(1);
                run.lost = run.lost.max(report.lost);
            }
            None => {
                if RUNS_MAX <= self.runs.len() {
                    self.runs.pop_front();
                }
                self.runs.push_back(Run {
                    run: report.run,
                    next: report.number.saturating_add(1),
                    lost: report.lost,
                });
            }
        }
        self.sessions = report.sessions;
        self.heard_ms = report.from_ms.saturating_add(report.span_ms.into());
        self.reports = self.reports.saturating_add(1);
        Some(is_new_run)
    }

    const fn is_away(&self, now_ms: u64) -> bool {
        self.heard_ms.saturating_add(AWAY_MS) < now_ms
    }
}

impl Hours {
    fn count(&mut self, entry: &Entry, from_ms: u64) {
        match entry {
            Entry::Opened(_) | Entry::Closed(_) => {}
            Entry::FailedLogins {
                reason,
                network,
                group,
            } => {
                if let Some(sum) = self.failed_logins.get_mut(place(LoginFault::ALL, reason)) {
                    add(sum, group.count);
                }
                if self.networks.len() < NETWORKS_MAX || self.networks.contains_key(network) {
                    add(self.networks.entry(*network).or_default(), group.count);
                }
            }
            Entry::Bans { group, .. } => add(&mut self.bans, group.count),
            Entry::Rejects {
                account,
                reason,
                group,
            } => {
                let reason = place(Reject::ALL, reason);
                if let Some(sum) = self.rejects.get_mut(reason) {
                    add(sum, group.count);
                }
                let has_room = self.rejected.len() < REJECTED_MAX;
                if !has_room && !self.rejected.contains_key(account) {
                    return;
                }
                let reasons = self.rejected.entry(account.clone()).or_default();
                if let Some(count) = reasons.get_mut(reason) {
                    add(count, group.count);
                }
            }
            Entry::Node { said, node, group } => {
                let key = (node.clone(), *said);
                if self.nodes.len() < NODES_SAID_MAX || self.nodes.contains_key(&key) {
                    let last_ms = from_ms.saturating_add(group.last_ms.into());
                    note_node(self.nodes.entry(key).or_default(), (group.count, last_ms));
                }
            }
            Entry::Rest { of, count } => add(self.rest.entry(*of).or_default(), *count),
        }
    }
}

#[cfg(test)]
mod tests;
