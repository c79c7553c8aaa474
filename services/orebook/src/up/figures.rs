//! Figures of the roles as lines of OpenMetrics, for `/metrics`. Labels come from closed sets: gateways by number, results by
//! name, never an address or a worker.

mod edge;

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use orebook_archiver::ArchiveStatus;
use orebook_chain::nodes::{NodeHealth, Nodes};
use orebook_chain::rpc::{RPC_BOUNDS_MS, RPC_ERRORS};
use orebook_gateway::{Distribution, GatewayHandle, Metrics};
use orebook_settler::metrics::Counters;

use super::direct::Asked;
use super::paymaster::Shown;
use super::pool_log::PoolLog;

/// Quantiles shown of a distribution, per mille.
const QUANTILES: [(&str, u32); 4] = [("0.5", 500), ("0.9", 900), ("0.99", 990), ("1", 1_000)];
/// Nanoseconds of a second.
const NS: u64 = 1_000_000_000;

/// What is shown.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) gateways: Vec<Weak<GatewayHandle>>,
    /// For each of them, what became of its questions for lists.
    pub(crate) lists: Vec<Arc<Asked>>,
    pub(crate) archiver: Option<Arc<ArchiveStatus>>,
    pub(crate) log: PoolLog,
    pub(crate) settler: Option<Arc<Counters>>,
    /// Empty until it runs.
    pub(crate) paymaster: Shown,
    /// Limit of each gateway's spool.
    pub(crate) spool_bytes: u64,
    pub(crate) nodes: Option<Nodes>,
    pub(crate) desk: Option<Arc<orebook_desk::metrics::Counters>>,
}

/// One metric: its name, type and help, then its samples.
struct Family<'o> {
    out: &'o mut String,
    name: &'static str,
}

impl<'o> Family<'o> {
    fn new(out: &'o mut String, name: &'static str, kind: &str, help: &str) -> Self {
        line(out, format_args!("# TYPE {name} {kind}"));
        line(out, format_args!("# HELP {name} {help}"));
        Self { out, name }
    }

    fn sample(&mut self, suffix: &str, labels: &str, value: impl std::fmt::Display) {
        let name = self.name;
        line(self.out, format_args!("{name}{suffix}{labels} {value}"));
    }
}

fn line(out: &mut String, words: std::fmt::Arguments<'_>) {
    // A String takes every byte, so that this write cannot fail.
    writeln!(out, "{words}").unwrap_or_default();
}

fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / NS, ns % NS)
}

/// The buckets of a histogram, from those that count each value once, and how many values there are. Bounds are microseconds;
/// the last bucket has none.
fn each_bucket(family: &mut Family<'_>, labels: &str, (bounds_us, buckets): (&[u64], &[u64])) {
    let ends = bounds_us.iter().map(|us| bound(*us));
    let ends = ends.chain(["+Inf".to_owned()]);
    let mut so_far: u64 = 0;
    for (end, count) in ends.zip(buckets) {
        so_far = so_far.saturating_add(*count);
        family.sample("_bucket", &format!("{{{labels},le=\"{end}\"}}"), so_far);
    }
    family.sample("_count", &format!("{{{labels}}}"), so_far);
}

/// A bucket's bound in seconds, as OpenMetrics wants it: a decimal without needless zeros.
fn bound(us: u64) -> String {
    let (whole, part) = (us / 1_000_000, us % 1_000_000);
    let digits = format!("{part:06}");
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    format!("{whole}.{digits}")
}

impl Figures {
    /// Appends everything.
    pub(crate) fn write(&self, out: &mut String) {
        let gateways: Vec<(usize, Metrics)> = (1..)
            .zip(&self.gateways)
            .filter_map(|(number, gateway)| Some((number, gateway.upgrade()?.metrics())))
            .collect();
        sessions(out, &gateways);
        lists(out, &self.lists);
        closed(out, &gateways);
        shares(out, &gateways);
        spools(out, &gateways);
        if !gateways.is_empty() {
            gauge(
                out,
                "orebook_spool_limit_bytes",
                "Bytes that a gateway's spool may have",
                self.spool_bytes,
            );
        }
        if let Some(nodes) = &self.nodes {
            let nodes = nodes.health();
            chain_nodes(out, &nodes);
            node_questions(out, &nodes);
        }
        edge::write(out, &gateways);
        distribution(
            out,
            &gateways,
            (
                "orebook_gateway_answer_seconds",
                "From reading a share to sending its answer",
            ),
            |metrics| &metrics.sessions.answer_ns,
        );
        distribution(
            out,
            &gateways,
            (
                "orebook_gateway_handshake_seconds",
                "From a TLS hello to the end of the handshake",
            ),
            |metrics| &metrics.sessions.handshake_ns,
        );
        distribution(
            out,
            &gateways,
            (
                "orebook_gateway_broadcast_seconds",
                "From the first write of a job to the last one's return",
            ),
            |metrics| &metrics.sessions.broadcast_ns,
        );
        distribution(
            out,
            &gateways,
            (
                "orebook_spool_sync_seconds",
                "Time of an append with its sync",
            ),
            |metrics| &metrics.spool.sync_ns,
        );
        checks(out, &gateways);
        if let Some(status) = &self.archiver {
            archiver(out, status);
        }
        for (name, kind, help, value) in self.log.figures() {
            let suffix = if kind == "counter" { "_total" } else { "" };
            Family::new(out, name, kind, help).sample(suffix, "", value);
        }
        if let Some(settler) = &self.settler {
            let mut family =
                Family::new(out, "orebook_settler", "gauge", "What the settler counts");
            for (name, value) in settler.read().entries() {
                family.sample("", &format!("{{what=\"{name}\"}}"), value);
            }
        }
        if let Some((paymaster, _)) = self.paymaster.get() {
            let help = "What the paymaster counts";
            let mut family = Family::new(out, "orebook_paymaster", "gauge", help);
            for (name, value) in paymaster.read().entries() {
                family.sample("", &format!("{{what=\"{name}\"}}"), value);
            }
        }
        if let Some(desk) = &self.desk {
            let mut family = Family::new(out, "orebook_desk", "gauge", "What the desk counts");
            for (name, value) in desk.read().entries() {
                family.sample("", &format!("{{what=\"{name}\"}}"), value);
            }
        }
    }
}

fn gauge(out: &mut String, name: &'static str, help: &str, value: u64) {
    Family::new(out, name, "gauge", help).sample("", "", value);
}

/// Nodes by the names that the configuration gives them.
fn chain_nodes(out: &mut String, nodes: &[NodeHealth]) {
    let label = |node: &NodeHealth| format!("{{node=\"{}\"}}", plain(&node.name));
    let help = "1 while a chain node answers and is not behind; docs/runbooks/node-down.md";
    let mut family = Family::new(out, "orebook_node_well", "gauge", help);
    for node in nodes {
        family.sample("", &label(node), u64::from(node.well));
    }
    let help = "Height of the block that a node's newest template would make";
    let mut family = Family::new(out, "orebook_node_height", "gauge", help);
    for node in nodes {
        if let Some(height) = node.height {
            family.sample("", &label(node), height);
        }
    }
}

/// What asking nodes costs. The development chain is in this process and costs nothing.
fn node_questions(out: &mut String, nodes: &[NodeHealth]) {
    let asked: Vec<_> = nodes
        .iter()
        .map(|node| (plain(&node.name), node.rpc.unwrap_or_default()))
        .collect();
    let help = "Time of a question to a chain node, answered or not; long polls left out";
    let mut family = Family::new(out, "orebook_node_rpc_seconds", "histogram", help);
    let bounds_us = RPC_BOUNDS_MS.map(|ms| ms * 1_000);
    for (name, figures) in &asked {
        let labels = format!("node=\"{name}\"");
        each_bucket(&mut family, &labels, (&bounds_us, &figures.buckets));
        family.sample("_sum", &format!("{{{labels}}}"), seconds(figures.sum_ns));
    }
    let help = "Questions to a chain node that failed, by why";
    let mut family = Family::new(out, "orebook_node_rpc_errors", "counter", help);
    for (name, figures) in &asked {
        for (error, count) in RPC_ERRORS.iter().zip(figures.errors) {
            let labels = format!("{{node=\"{name}\",error=\"{error}\"}}");
            family.sample("_total", &labels, count);
        }
    }
}

/// A configured name as a label's value.
fn plain(name: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    name.chars().map(legal).collect()
}

fn archiver(out: &mut String, status: &ArchiveStatus) {
    let load = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
    gauge(
        out,
        "orebook_ledger_head",
        "Positions that the archiver read",
        load(&status.head),
    );
    gauge(
        out,
        "orebook_ledger_final",
        "Positions that are final",
        load(&status.final_size),
    );
    gauge(
        out,
        "orebook_ledger_signed",
        "Positions that the archiver signed for",
        load(&status.signed),
    );
    let mut family = Family::new(
        out,
        "orebook_archiver_errors",
        "counter",
        "Turns of the archiver that ended in an error that may pass",
    );
    family.sample("_total", "", load(&status.errors));
    gauge(
        out,
        "orebook_archiver_names",
        "Names of shares that are held, to find copies (ethash-likes)",
        load(&status.names),
    );
    for (name, help, value) in [
        (
            "orebook_archiver_names_forgotten",
            "Names forgotten before their time: copies of such shares are not found",
            &status.names_forgotten,
        ),
        (
            "orebook_archiver_unnamed_shares",
            "Shares whose job is not held, so that copies of them are not found",
            &status.unnamed,
        ),
        (
            "orebook_archiver_voids",
            "Voids of shares that were credited twice, said",
            &status.voids,
        ),
    ] {
        let mut family = Family::new(out, name, "counter", help);
        family.sample("_total", "", load(value));
    }
}

fn sessions(out: &mut String, gateways: &[(usize, Metrics)]) {
    type Read = fn(&Metrics) -> u64;
    let rows: [(&'static str, &'static str, &'static str, Read); 16] = [
        (
            "orebook_gateway_connections",
            "gauge",
            "Connections open now",
            |m| m.sessions.counts.connections,
        ),
        (
            "orebook_gateway_miners",
            "gauge",
            "Connections that have work now",
            |m| m.sessions.counts.miners,
        ),
        (
            "orebook_gateway_accepts",
            "counter",
            "Connections accepted",
            |m| m.sessions.counts.accepted,
        ),
        (
            "orebook_gateway_proxied",
            "counter",
            "Connections whose client a PROXY header named",
            |m| m.sessions.counts.proxied,
        ),
        (
            "orebook_gateway_turned_away",
            "counter",
            "Connections closed at once",
            |m| m.sessions.counts.refused.all(),
        ),
        (
            "orebook_gateway_logins",
            "counter",
            "Successful logins",
            |m| m.sessions.counts.logins,
        ),
        (
            "orebook_gateway_failed_logins",
            "counter",
            "Failed logins",
            |m| m.sessions.counts.failed_logins,
        ),
        (
            "orebook_gateway_handshakes",
            "counter",
            "TLS handshakes that succeeded",
            |m| m.sessions.counts.handshakes,
        ),
        (
            "orebook_gateway_firewall_told",
            "counter",
            "Bans that the system's filter was told of",
            |m| m.firewall.told,
        ),
        (
            "orebook_gateway_firewall_failed",
            "counter",
            "Bans that the system's filter could not be told of in time",
            |m| m.firewall.failed + m.firewall.dropped,
        ),
        (
            "orebook_gateway_tls_reloads",
            "counter",
            "Certificates read again while they served",
            |m| m.tls_reloads,
        ),
        (
            "orebook_gateway_tls_reload_failures",
            "counter",
            "Times that files of certificates changed and could not be served",
            |m| m.tls_reload_failures,
        ),
        (
            "orebook_gateway_bans",
            "counter",
            "Addresses, and logins at one, that were kept out for a while",
            |m| m.sessions.counts.bans,
        ),
        (
            "orebook_gateway_blocks",
            "counter",
            "Blocks handed to the nodes",
            |m| m.sessions.counts.blocks,
        ),
        ("orebook_gateway_jobs", "counter", "Jobs made", |m| {
            m.sessions.counts.jobs
        }),
        (
            "orebook_gateway_direct_jobs",
            "counter",
            "Jobs whose coinbase pays accounts",
            |m| m.sessions.counts.direct_jobs,
        ),
    ];
    for (name, kind, help, read) in rows {
        each(out, gateways, (name, kind, help), read);
    }
}

fn lists(out: &mut String, asked: &[Arc<Asked>]) {
    if asked.is_empty() {
        return;
    }
    let help =
        "Questions for what coinbases pay accounts; failed alone: docs/runbooks/lists-missing.md";
    let mut family = Family::new(out, "orebook_gateway_lists", "counter", help);
    for (number, asked) in (1u16..).zip(asked) {
        for (result, count) in asked.entries() {
            let labels = format!("{{gateway=\"{number}\",result=\"{result}\"}}");
            family.sample("_total", &labels, count);
        }
    }
}

fn closed(out: &mut String, gateways: &[(usize, Metrics)]) {
    let help = "Connections closed by the gateway";
    let mut family = Family::new(out, "orebook_gateway_closed", "counter", help);
    for (number, metrics) in gateways {
        let counts = metrics.sessions.counts.closed;
        for (cause, count) in [
            ("protocol", counts.protocol),
            ("http", counts.http),
            ("proxy", counts.proxy),
            ("tls_on_plain", counts.tls_on_plain),
            ("plain_on_tls", counts.plain_on_tls),
            ("tls", counts.tls),
            ("handshake", counts.handshake),
            ("slow_reader", counts.slow_reader),
            ("login_timeout", counts.login_timeout),
            ("failed_logins", counts.failed_logins),
            ("bad_shares", counts.bad_shares),
            ("kept_out", counts.kept_out),
            ("idle", counts.idle),
            ("resumed", counts.resumed),
            ("drained", counts.drained),
            ("no_work", counts.no_work),
            ("banned", counts.banned),
            ("turned_away", counts.turned_away),
        ] {
            let labels = format!("{{gateway=\"{number}\",cause=\"{cause}\"}}");
            family.sample("_total", &labels, count);
        }
    }
}

fn shares(out: &mut String, gateways: &[(usize, Metrics)]) {
    let help = "Shares by what they were answered";
    let mut family = Family::new(out, "orebook_gateway_shares", "counter", help);
    for (number, metrics) in gateways {
        let counts = metrics.sessions.counts.shares;
        for (result, count) in [
            ("accepted", counts.accepted - counts.stale),
            ("stale", counts.stale),
            ("other", counts.other),
            ("unknown_job", counts.unknown_job),
            ("duplicate", counts.duplicate),
            ("low", counts.low),
            ("unauthorized", counts.unauthorized),
            ("not_subscribed", counts.not_subscribed),
        ] {
            let labels = format!("{{gateway=\"{number}\",result=\"{result}\"}}");
            family.sample("_total", &labels, count);
        }
    }
}

fn spools(out: &mut String, gateways: &[(usize, Metrics)]) {
    type Read = fn(&Metrics) -> u64;
    let rows: [(&'static str, &'static str, &'static str, Read); 14] = [
        (
            "orebook_activity_reports",
            "counter",
            "Activity reports that were taken",
            |m| m.activity.reports,
        ),
        (
            "orebook_activity_bytes",
            "counter",
            "Bytes of activity reports that were taken",
            |m| m.activity.bytes,
        ),
        (
            "orebook_activity_lost",
            "counter",
            "Things that are in no activity report",
            |m| m.activity.lost,
        ),
        (
            "orebook_spool_commits",
            "counter",
            "Groups of shares synced",
            |m| m.spool.commits,
        ),
        ("orebook_spool_shares", "counter", "Shares recorded", |m| {
            m.spool.shares
        }),
        (
            "orebook_spool_frames_sent",
            "counter",
            "Frames sent, repeats included",
            |m| m.spool.frames_sent,
        ),
        (
            "orebook_spool_moves",
            "counter",
            "Streams that were closed and moved",
            |m| m.spool.moves,
        ),
        ("orebook_spool_used_bytes", "gauge", "Bytes in use", |m| {
            m.spool.used_bytes
        }),
        (
            "orebook_spool_pending_events",
            "gauge",
            "Events that no frame covers yet",
            |m| m.spool.pending_events,
        ),
        (
            "orebook_spool_is_full",
            "gauge",
            "1 while shares are refused for want of room",
            |m| u64::from(m.spool.is_full),
        ),
        (
            "orebook_spool_is_barred",
            "gauge",
            "1 while shares are refused since the gateway's key is not in force",
            |m| u64::from(m.spool.is_barred),
        ),
        (
            "orebook_spool_is_nearly_full",
            "gauge",
            "1 from 80 % of the room on until 70 %",
            |m| u64::from(m.spool.is_nearly_full),
        ),
        (
            "orebook_gateway_is_clock_doubted",
            "gauge",
            "1 while frames stay in the spool since this clock is far from the node's",
            |m| u64::from(m.spool.is_clock_doubted),
        ),
        (
            "orebook_spool_full",
            "counter",
            "Times that a group found no room",
            |m| m.spool.full,
        ),
    ];
    for (name, kind, help, read) in rows {
        each(out, gateways, (name, kind, help), read);
    }
}

/// Gateways whose coin's shares take long to hash.
fn checks(out: &mut String, gateways: &[(usize, Metrics)]) {
    type Read = fn(&Metrics) -> u64;
    let rows: [(&'static str, &'static str, &'static str, Read); 4] = [
        (
            "orebook_gateway_checks",
            "counter",
            "Shares hashed by threads of their own",
            |m| m.checks.checked,
        ),
        (
            "orebook_gateway_checks_busy",
            "counter",
            "Shares answered busy",
            |m| m.checks.busy,
        ),
        (
            "orebook_gateway_checks_waiting",
            "gauge",
            "Shares that wait to be hashed",
            |m| m.checks.waiting,
        ),
        (
            "orebook_gateway_check_threads",
            "gauge",
            "Threads that hash shares",
            |m| m.checks.threads,
        ),
    ];
    for (name, kind, help, read) in rows {
        each(out, gateways, (name, kind, help), read);
    }
    distribution(
        out,
        gateways,
        (
            "orebook_gateway_check_seconds",
            "Time of a thread to hash a share",
        ),
        |metrics| &metrics.checks.check_ns,
    );
    distribution(
        out,
        gateways,
        (
            "orebook_gateway_check_answer_seconds",
            "From a share's being handed to the threads to its hash",
        ),
        |metrics| &metrics.checks.answer_ns,
    );
}

fn each(
    out: &mut String,
    gateways: &[(usize, Metrics)],
    (name, kind, help): (&'static str, &'static str, &'static str),
    read: fn(&Metrics) -> u64,
) {
    let mut family = Family::new(out, name, kind, help);
    let suffix = if kind == "counter" { "_total" } else { "" };
    for (number, metrics) in gateways {
        family.sample(suffix, &format!("{{gateway=\"{number}\"}}"), read(metrics));
    }
}

fn distribution(
    out: &mut String,
    gateways: &[(usize, Metrics)],
    (name, help): (&'static str, &'static str),
    read: fn(&Metrics) -> &Distribution,
) {
    let mut family = Family::new(out, name, "summary", help);
    for (number, metrics) in gateways {
        let times = read(metrics);
        for (shown, per_mille) in QUANTILES {
            let labels = format!("{{gateway=\"{number}\",quantile=\"{shown}\"}}");
            family.sample("", &labels, seconds(times.per_mille(per_mille)));
        }
        let labels = format!("{{gateway=\"{number}\"}}");
        family.sample("_count", &labels, times.count());
        family.sample("_sum", &labels, seconds(times.sum()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_their_bounds_are_decimals() {
        let mut out = String::new();
        let mut family = Family::new(&mut out, "a_seconds", "histogram", "b");
        each_bucket(
            &mut family,
            "c=\"d\"",
            (&[100, 2_500, 1_000_000, 30_000_000], &[1, 0, 2, 0, 4]),
        );
        let expected = [
            "# TYPE a_seconds histogram",
            "# HELP a_seconds b",
            "a_seconds_bucket{c=\"d\",le=\"0.0001\"} 1",
            "a_seconds_bucket{c=\"d\",le=\"0.0025\"} 1",
            "a_seconds_bucket{c=\"d\",le=\"1.0\"} 3",
            "a_seconds_bucket{c=\"d\",le=\"30.0\"} 3",
            "a_seconds_bucket{c=\"d\",le=\"+Inf\"} 7",
            "a_seconds_count{c=\"d\"} 7",
        ];
        assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    }
}
