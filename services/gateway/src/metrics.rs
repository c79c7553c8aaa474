//! Figures of a gateway, as a plain struct for `/metrics` and the bench. Each thread records into its own half, once per turn
//! under a lock that nobody else holds for long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::activity::{ActivityMetrics, Figures};
use crate::checks::{CheckFigures, CheckMetrics};
use crate::conn::Cause;
use crate::edge::{Edge, EdgeMetrics};
use crate::firewall::FirewallMetrics;
use crate::limits::Turned;

/// Longest time a histogram tells apart: what took longer counts as this.
const HIGHEST_NS: u64 = 60_000_000_000;
/// Significant decimal digits of a histogram.
const DIGITS: u8 = 2;

/// A distribution; times in nanoseconds.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
}

/// What a gateway did since it started.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connections, requests and shares.
    pub sessions: SessionMetrics,
    /// The spool and the way to the ledger.
    pub spool: SpoolMetrics,
    /// Reports of the activity log.
    pub activity: ActivityMetrics,
    /// Checks that take long.
    pub checks: CheckMetrics,
    /// What happened at the doors, by port, dialect and program.
    pub edge: EdgeMetrics,
    /// The system's filter.
    pub firewall: FirewallMetrics,
    /// Certificates that were read again while they served.
    pub tls_reloads: u64,
    /// Times that files of certificates changed and could not be served.
    pub tls_reload_failures: u64,
}

/// Figures of the loop that serves connections.
#[derive(Clone, Debug, Default)]
pub struct SessionMetrics {
    /// What was counted.
    pub counts: SessionCounts,
    /// From the reading of a share to the sending of its answer, nanoseconds.
    pub answer_ns: Distribution,
    /// From a TLS hello to the handshake's end, nanoseconds.
    pub handshake_ns: Distribution,
    /// From the first write of a job to the last one's return, nanoseconds.
    pub broadcast_ns: Distribution,
}

/// What the loop that serves connections counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// Connections open now.
    pub connections: u64,
    /// Connections that were subscribed and authorized now.
    pub miners: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once, by cause.
    pub refused: RefusedCounts,
    /// Connections whose client's address a PROXY header said.
    pub proxied: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// Connections closed by us, by cause.
    pub closed: ClosedCounts,
    /// Lines read.
    pub lines: u64,
    /// Shares by what they were answered.
    pub shares: ShareCounts,
    /// Blocks that were handed to the nodes.
    pub blocks: u64,
    /// Successful logins.
    pub logins: u64,
    /// Failed logins.
    pub failed_logins: u64,
    /// Addresses, and logins at one, that were kept out for a while from then on.
    pub bans: u64,
    /// Sessions that went on at a new connection.
    pub resumed: u64,
    /// Miners that were sent elsewhere since this gateway ends.
    pub sent_elsewhere: u64,
    /// Jobs made.
    pub jobs: u64,
    /// Those whose coinbase pays accounts.
    pub direct_jobs: u64,
    /// Turns of the loop that had shares.
    pub share_turns: u64,
}

/// Connections closed at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedCounts {
    /// Their port had its connections.
    pub port: u64,
    /// Their address had its connections.
    pub address: u64,
    /// Their address opened too many within the minute.
    pub rate: u64,
    /// Their address was kept out.
    pub banned: u64,
}

/// Shares by what they were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareCounts {
    /// `true`; stale ones among them are counted in `stale` too.
    pub accepted: u64,
    /// `true` within the grace of the previous parent.
    pub stale: u64,
    /// 20: malformed, out of range, or the ledger cannot take it.
    pub other: u64,
    /// 21.
    pub unknown_job: u64,
    /// 22.
    pub duplicate: u64,
    /// 23.
    pub low: u64,
    /// 24.
    pub unauthorized: u64,
    /// 25.
    pub not_subscribed: u64,
    /// 20 among `other`: checked, and not recorded for want of room.
    pub unrecorded: u64,
}

/// Connections closed by us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClosedCounts {
    /// What they sent was no Stratum: lines too long, no JSON.
    pub protocol: u64,
    /// A web browser's or a load balancer's request; it was told what this port is for.
    pub http: u64,
    /// A PROXY header from an address that may not send one, or none from one that has to.
    pub proxy: u64,
    /// A TLS hello on a plain port.
    pub tls_on_plain: u64,
    /// Something plain on a port with TLS; it was told so.
    pub plain_on_tls: u64,
    /// TLS that was wrong, or of a version that is not spoken.
    pub tls: u64,
    /// A handshake that took too long, or was one too many.
    pub handshake: u64,
    /// They did not read.
    pub slow_reader: u64,
    /// They did not log in.
    pub login_timeout: u64,
    /// Too many failed logins.
    pub failed_logins: u64,
    /// Too many refused shares in a row, or too many of a hundred.
    pub bad_shares: u64,
    /// A login that is kept out for its shares came again.
    pub kept_out: u64,
    /// They were silent for longer than their difficulty and pace explain.
    pub idle: u64,
    /// Their sessions went on at another connection.
    pub resumed: u64,
    /// They were sent elsewhere and did not go.
    pub drained: u64,
    /// No work for them: no node, or no room.
    pub no_work: u64,
    /// An operator banned their account or address.
    pub banned: u64,
    /// A load balancer brought them, and their address has its connections or is kept out; they are in `refused` too.
    pub turned_away: u64,
}

/// Figures of the writer.
#[derive(Clone, Debug, Default)]
pub struct SpoolMetrics {
    /// Groups appended, heartbeats left out: each one write and one sync.
    pub commits: u64,
    /// Shares recorded.
    pub shares: u64,
    /// Time of an append with its sync, nanoseconds.
    pub sync_ns: Distribution,
    /// Frames cut apart from appends.
    pub cuts: u64,
    /// Frames sent to the log, repeats included.
    pub frames_sent: u64,
    /// Turns of the publisher that found the mirror busy.
    pub mirror_busy: u64,
    /// Streams that were closed and moved.
    pub moves: u64,
    /// Bytes in use in the spool.
    pub used_bytes: u64,
    /// Events that no frame covers yet.
    pub pending_events: u64,
    /// Whether shares are refused for want of room now.
    pub is_full: bool,
    /// Whether shares are refused since the gateway's key is not in force.
    pub is_barred: bool,
    /// Whether the alarm stands that the spool fills.
    pub is_nearly_full: bool,
    /// Whether frames stay in the spool since this clock is far from the node's.
    pub is_clock_doubted: bool,
    /// How often the spool had no room for a group.
    pub full: u64,
}

impl RefusedCounts {
    pub(crate) const fn count(&mut self, why: Turned) {
        let counter = match why {
            Turned::Port => &mut self.port,
            Turned::Address => &mut self.address,
            Turned::Rate(_) => &mut self.rate,
            Turned::Banned(..) => &mut self.banned,
        };
        *counter += 1;
    }

    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.port + self.address + self.rate + self.banned
    }
}

impl ClosedCounts {
    pub(crate) fn count(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::Left | Cause::Stopping => return,
            Cause::Protocol => &mut self.protocol,
            Cause::Http => &mut self.http,
            Cause::KeptOut => &mut self.kept_out,
            Cause::TurnedAway => &mut self.turned_away,
            Cause::Proxy => &mut self.proxy,
            Cause::TlsOnPlain => &mut self.tls_on_plain,
            Cause::PlainOnTls => &mut self.plain_on_tls,
            Cause::Tls => &mut self.tls,
            Cause::Handshake => &mut self.handshake,
            Cause::SlowReader => &mut self.slow_reader,
            Cause::LoginTimeout => &mut self.login_timeout,
            Cause::FailedLogins => &mut self.failed_logins,
            Cause::BadShares => &mut self.bad_shares,
            Cause::Idle => &mut self.idle,
            Cause::Resumed => &mut self.resumed,
            Cause::Drained => &mut self.drained,
            Cause::NoWork => &mut self.no_work,
            Cause::Banned => &mut self.banned,
        };
        *counter += 1;
    }
}

impl Default for Distribution {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS);
        match histogram {
            Ok(histogram) => Self { histogram },
            Err(_) => unreachable!("the bounds are constants that the constructor takes"),
        }
    }
}

impl Distribution {
    pub(crate) fn record(&mut self, time: Duration, count: u64) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.histogram
            .saturating_record_n(ns.clamp(1, HIGHEST_NS), count);
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The value below or at which so many of a thousand lie; 0 if nothing was recorded.
    #[must_use]
    pub fn per_mille(&self, per_mille: u32) -> u64 {
        self.histogram
            .value_at_quantile(f64::from(per_mille.min(1_000)) / 1_000.0)
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.histogram.max()
    }

    /// Sum of all values, to the histogram's two digits.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let parts = self.histogram.iter_recorded();
        parts.fold(0, |sum, part| {
            let value = part.value_iterated_to();
            sum.saturating_add(value.saturating_mul(part.count_at_value()))
        })
    }
}

/// Both halves.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    sessions: Mutex<SessionMetrics>,
    spool: Mutex<SpoolMetrics>,
    pub(crate) activity: Arc<Figures>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) checks: Arc<CheckFigures>,
}

impl Shared {
    pub(crate) fn new(edge: Edge) -> Self {
        Self {
            edge: Arc::new(edge),
            ..Self::default()
        }
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, SessionMetrics> {
        lock(&self.sessions)
    }

    pub(crate) fn spool(&self) -> MutexGuard<'_, SpoolMetrics> {
        lock(&self.spool)
    }

    pub(crate) fn read(&self) -> Metrics {
        Metrics {
            sessions: self.sessions().clone(),
            spool: self.spool().clone(),
            activity: self.activity.read(),
            checks: self.checks.lock().clone(),
            edge: self.edge.read(),
            firewall: FirewallMetrics::default(),
            tls_reloads: 0,
            tls_reload_failures: 0,
        }
    }
}

/// A panic ends the process; until it has, what was counted is as good as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
