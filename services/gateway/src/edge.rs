//! What happens at the doors, by port, dialect and program of the miner: sets that are closed, so that nobody can make a
//! label, and never an address. The loop's thread alone counts, without a lock; `/metrics` reads.
//!
//! A port has [`DIALECTS`] × [`AgentFamily::COUNT`] places; memory for what is counted there is taken once, by the first
//! connection that comes there, and kept.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orebook_schema::Work;
use orebook_schema::activity::LoginFault;
use orebook_stratum::{Dialect, StratumError};

use crate::agents::AgentFamily;
use crate::config::{PortConfig, Region};
use crate::conn::Cause;
use crate::limits::Turned;

/// Dialects and, first, of who said nothing yet.
pub const DIALECTS: usize = 1 + Dialect::ALL.len();
/// Upper bounds of the buckets that times are counted in, microseconds; what is longer counts in none.
pub const BOUNDS_US: [u64; 14] = [
    100,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    30_000_000,
    120_000_000,
];
/// Accepted work is counted in millions of hashes: in hashes it would be too much for 64 bits within minutes.
const WORK_STEP: u64 = 1_000_000;

/// A count, written by one thread.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    fn take(&self, less: u64) {
        self.set(self.get().saturating_sub(less));
    }

    fn set(&self, value: u64) {
        // One writer: nothing comes between.
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of a closed set.
#[derive(Debug)]
struct Counts<const N: usize>([Count; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl<const N: usize> Counts<N> {
    fn add(&self, index: usize) {
        if let Some(count) = self.0.get(index) {
            count.add(1);
        }
    }

    /// With their names; what never happened is left out.
    fn read(&self, names: &[&'static str; N]) -> Vec<(&'static str, u64)> {
        let all = names.iter().copied().zip(self.0.iter().map(Count::get));
        all.filter(|(_, count)| 0 < *count).collect()
    }
}

/// Times in buckets.
#[derive(Debug, Default)]
struct Times {
    buckets: Counts<{ BOUNDS_US.len() + 1 }>,
    sum_ns: Count,
}

impl Times {
    fn note(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| bound.saturating_mul(1_000) < ns);
        self.buckets.add(bucket);
        self.sum_ns.add(ns);
    }

    fn read(&self) -> EdgeTimes {
        // In this order: a count that is read a moment late is in no bucket before it.
        let buckets = std::array::from_fn(|index| self.buckets.0.get(index).map_or(0, Count::get));
        EdgeTimes {
            buckets,
            sum_ns: self.sum_ns.get(),
        }
    }
}

/// Which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeTime {
    /// A TLS handshake.
    Handshake,
    /// Age of a job when it was handed out.
    JobHandedOut,
    /// Age of a job when a share of it came.
    JobAtShare,
    /// From a share's being read to its verdict.
    Validation,
    /// From a share's being handed to the spool to its answer's being written.
    Answer,
    /// From the first reply to the client's next request.
    RoundTrip,
}

impl EdgeTime {
    /// All, in the order of their indices.
    pub const ALL: [Self; 6] = [
        Self::Handshake,
        Self::JobHandedOut,
        Self::JobAtShare,
        Self::Validation,
        Self::Answer,
        Self::RoundTrip,
    ];
}

/// What a share came to, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareResult {
    Accepted,
    Stale,
    Other,
    UnknownJob,
    Duplicate,
    Low,
    Unauthorized,
    NotSubscribed,
    Busy,
    Unrecorded,
}

const SHARES: [&str; 10] = [
    "accepted",
    "stale",
    "other",
    "unknown_job",
    "duplicate",
    "low",
    "unauthorized",
    "not_subscribed",
    "busy",
    "unrecorded",
];

impl ShareResult {
    pub(crate) const fn of(error: StratumError) -> Self {
        match error {
            StratumError::JobNotFound => Self::UnknownJob,
            StratumError::Duplicate => Self::Duplicate,
            StratumError::LowDifficulty => Self::Low,
            StratumError::Unauthorized => Self::Unauthorized,
            StratumError::NotSubscribed => Self::NotSubscribed,
            _ => Self::Other,
        }
    }
}

/// What a login came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginResult {
    Ok,
    Failed(LoginFault),
    KeptOut,
    Unavailable,
}

const LOGINS: [&str; 9] = [
    "ok",
    "name",
    "too_many_workers",
    "no_pot",
    "request",
    "banned",
    "kept_out",
    "unavailable",
    "unregistered_worker",
];

impl LoginResult {
    const fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::Failed(LoginFault::Name) => 1,
            Self::Failed(LoginFault::Workers) => 2,
            Self::Failed(LoginFault::Pot) => 3,
            Self::Failed(LoginFault::Request) => 4,
            Self::Failed(LoginFault::Banned) => 5,
            Self::KeptOut => 6,
            Self::Unavailable => 7,
            Self::Failed(LoginFault::Unregistered) => 8,
        }
    }
}

const TURNED: [&str; 4] = ["port", "address", "rate", "banned"];

/// Counts of a port and dialect.
#[derive(Debug, Default)]
struct Way {
    accepts: Count,
    handshakes: Count,
    logins: Counts<{ LOGINS.len() }>,
    closed: Counts<{ Cause::NAMES.len() }>,
    times: [Times; EdgeTime::ALL.len()],
}

/// Counts of a port, dialect and program.
#[derive(Debug, Default)]
struct Crew {
    connections: Count,
    miners: Count,
    shares: Counts<{ SHARES.len() }>,
    work: Count,
    /// Of [`WORK_STEP`], not counted yet.
    work_rest: Count,
    expected: Count,
}

/// Where a connection is counted: its port, dialect and program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EdgePlace(u16);

impl EdgePlace {
    pub(crate) fn new(port: usize, dialect: Option<Dialect>, agent: AgentFamily) -> Self {
        let dialect = dialect.map_or(0, dialect_index);
        let index = (port * DIALECTS + dialect) * AgentFamily::COUNT + agent.index();
        // 64 ports have 8,960 places.
        Self(u16::try_from(index).unwrap_or_default())
    }

    /// Whether this is its dialect's place.
    pub(crate) fn is_of(self, dialect: Option<Dialect>) -> bool {
        self.way() % DIALECTS == dialect.map_or(0, dialect_index)
    }

    fn crew(self) -> usize {
        usize::from(self.0)
    }

    fn way(self) -> usize {
        self.crew() / AgentFamily::COUNT
    }
}

/// Dialects are declared in the order of [`Dialect::ALL`].
const fn dialect_index(dialect: Dialect) -> usize {
    dialect as usize + 1
}

fn dialect_name(index: usize) -> &'static str {
    let dialect = index
        .checked_sub(1)
        .and_then(|index| Dialect::ALL.get(index));
    dialect.map_or("none", |dialect| dialect.name())
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Edge {
    regions: Vec<Region>,
    turned: Vec<Counts<{ TURNED.len() }>>,
    ways: Vec<OnceLock<Box<Way>>>,
    crews: Vec<OnceLock<Box<Crew>>>,
}

fn places<T>(count: usize) -> Vec<OnceLock<Box<T>>> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

impl Edge {
    pub(crate) fn new(ports: &[PortConfig]) -> Self {
        Self {
            regions: ports.iter().map(|port| port.region.clone()).collect(),
            turned: ports.iter().map(|_| Counts::default()).collect(),
            ways: places(ports.len() * DIALECTS),
            crews: places(ports.len() * DIALECTS * AgentFamily::COUNT),
        }
    }

    fn way(&self, place: EdgePlace) -> Option<&Way> {
        let way = self.ways.get(place.way())?;
        Some(way.get_or_init(Box::default))
    }

    fn crew(&self, place: EdgePlace) -> Option<&Crew> {
        let crew = self.crews.get(place.crew())?;
        Some(crew.get_or_init(Box::default))
    }

    pub(crate) fn turned_away(&self, port: usize, why: Turned) {
        let index = match why {
            Turned::Port => 0,
            Turned::Address => 1,
            Turned::Rate(_) => 2,
            Turned::Banned(..) => 3,
        };
        if let Some(turned) = self.turned.get(port) {
            turned.add(index);
        }
    }

    pub(crate) fn accepted(&self, place: EdgePlace) {
        if let Some(way) = self.way(place) {
            way.accepts.add(1);
        }
        self.come(place, false, 0);
    }

    /// Somebody is there now, as a miner or not, and so much is expected of him.
    pub(crate) fn come(&self, place: EdgePlace, is_miner: bool, expected: u64) {
        if let Some(crew) = self.crew(place) {
            crew.connections.add(1);
            crew.miners.add(u64::from(is_miner));
            crew.expected.add(expected);
        }
    }

    /// The opposite of [`Self::come`].
    pub(crate) fn go(&self, place: EdgePlace, is_miner: bool, expected: u64) {
        if let Some(crew) = self.crew(place) {
            crew.connections.take(1);
            crew.miners.take(u64::from(is_miner));
            crew.expected.take(expected);
        }
    }

    pub(crate) fn mines(&self, place: EdgePlace) {
        if let Some(crew) = self.crew(place) {
            crew.miners.add(1);
        }
    }

    /// What is expected of a session, hashes a second, instead of what was.
    pub(crate) fn expect(&self, place: EdgePlace, was: u64, is: u64) {
        if let Some(crew) = self.crew(place) {
            crew.expected.take(was);
            crew.expected.add(is);
        }
    }

    pub(crate) fn closed(&self, place: EdgePlace, cause: Cause) {
        if let Some(way) = self.way(place) {
            way.closed.add(cause.index());
        }
    }

    /// A handshake is before any dialect, also where the first line came with its end.
    pub(crate) fn handshake(&self, port: usize, took: Duration) {
        let place = EdgePlace::new(port, None, AgentFamily::NONE);
        if let Some(way) = self.way(place) {
            way.handshakes.add(1);
        }
        self.time(place, EdgeTime::Handshake, took);
    }

    pub(crate) fn login(&self, place: EdgePlace, result: LoginResult) {
        if let Some(way) = self.way(place) {
            way.logins.add(result.index());
        }
    }

    pub(crate) fn share(&self, place: EdgePlace, result: ShareResult) {
        if let Some(crew) = self.crew(place) {
            crew.shares.add(result as usize);
        }
    }

    /// Work of a share that was accepted.
    pub(crate) fn work(&self, place: EdgePlace, work: Work) {
        if let Some(crew) = self.crew(place) {
            let whole = crew.work_rest.get().saturating_add(work.units());
            crew.work.add(whole / WORK_STEP);
            crew.work_rest.set(whole % WORK_STEP);
        }
    }

    pub(crate) fn time(&self, place: EdgePlace, what: EdgeTime, time: Duration) {
        let way = self.way(place);
        if let Some(times) = way.and_then(|way| way.times.get(what as usize)) {
            times.note(time);
        }
    }

    /// What was counted so far, where anything was.
    pub(crate) fn read(&self) -> EdgeMetrics {
        let ports = self.regions.iter().zip(&self.turned).enumerate();
        let ports = ports.map(|(port, (region, turned))| {
            let ways = self.ways.iter().skip(port * DIALECTS).take(DIALECTS);
            let ways = ways.enumerate();
            let of_port = DIALECTS * AgentFamily::COUNT;
            let crews = self.crews.iter().skip(port * of_port).take(of_port);
            let crews = crews.enumerate();
            EdgePort {
                region: region.clone(),
                turned_away: turned.read(&TURNED),
                ways: ways
                    .filter_map(|(dialect, way)| Some(way.get()?.read(dialect_name(dialect))))
                    .collect(),
                crews: crews
                    .filter_map(|(place, crew)| Some(crew.get()?.read(place)))
                    .collect(),
            }
        });
        EdgeMetrics {
            ports: ports.collect(),
        }
    }
}

impl Way {
    fn read(&self, dialect: &'static str) -> EdgeWay {
        EdgeWay {
            dialect,
            accepts: self.accepts.get(),
            handshakes: self.handshakes.get(),
            logins: self.logins.read(&LOGINS),
            closed: self.closed.read(&Cause::NAMES),
            times: std::array::from_fn(|index| {
                self.times.get(index).map(Times::read).unwrap_or_default()
            }),
        }
    }
}

impl Crew {
    fn read(&self, place: usize) -> EdgeCrew {
        EdgeCrew {
            dialect: dialect_name(place / AgentFamily::COUNT),
            agent: AgentFamily::name_of(place % AgentFamily::COUNT),
            connections: self.connections.get(),
            miners: self.miners.get(),
            shares: self.shares.read(&SHARES),
            work: u128::from(self.work.get()) * u128::from(WORK_STEP),
            expected: self.expected.get(),
        }
    }
}

/// What happened at the doors, port by port in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct EdgeMetrics {
    /// The ports.
    pub ports: Vec<EdgePort>,
}

/// A port.
#[derive(Clone, Debug)]
pub struct EdgePort {
    /// Where it stands, as configured.
    pub region: Region,
    /// Connections closed at once, by why.
    pub turned_away: Vec<(&'static str, u64)>,
    /// By dialect.
    pub ways: Vec<EdgeWay>,
    /// By dialect and program.
    pub crews: Vec<EdgeCrew>,
}

/// What was counted by port and dialect. A connection counts where it stands when something happens: at first it has no dialect.
#[derive(Clone, Debug)]
pub struct EdgeWay {
    /// [`Dialect::name`], or `none`.
    pub dialect: &'static str,
    /// Connections accepted.
    pub accepts: u64,
    /// TLS handshakes that succeeded; those that failed are among `closed`.
    pub handshakes: u64,
    /// Logins by result.
    pub logins: Vec<(&'static str, u64)>,
    /// Connections that ended, by cause.
    pub closed: Vec<(&'static str, u64)>,
    /// By the index of [`EdgeTime::ALL`].
    pub times: [EdgeTimes; EdgeTime::ALL.len()],
}

impl EdgeWay {
    /// One of its times.
    #[must_use]
    pub fn time(&self, what: EdgeTime) -> EdgeTimes {
        self.times.get(what as usize).copied().unwrap_or_default()
    }
}

/// What was counted by port, dialect and program.
#[derive(Clone, Debug)]
pub struct EdgeCrew {
    /// [`Dialect::name`], or `none`.
    pub dialect: &'static str,
    /// [`AgentFamily::name`].
    pub agent: &'static str,
    /// Connections open now.
    pub connections: u64,
    /// Those among them that have work.
    pub miners: u64,
    /// Shares by result, each once.
    pub shares: Vec<(&'static str, u64)>,
    /// Work of accepted shares, hashes, to a million.
    pub work: u128,
    /// Hashes a second at which the miners would send shares at the pace that their ports want, at their difficulties now.
    pub expected: u64,
}

/// Times in buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeTimes {
    /// Up to each of [`BOUNDS_US`], not counting what is in a bucket before; then the rest.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// Sum, nanoseconds.
    pub sum_ns: u64,
}

impl EdgeTimes {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_the_first_bucket_that_holds_it() {
        let times = Times::default();
        for (us, ns, bucket) in [
            (0, 0, 0),
            (100, 0, 0),
            (100, 1, 1),
            (500, 0, 1),
            (1_000, 0, 2),
            (120_000_000, 0, 13),
            (120_000_000, 1, 14),
            (u64::MAX / 1_000, 0, 14),
        ] {
            let before = times.read().buckets;
            times.note(Duration::from_micros(us) + Duration::from_nanos(ns));
            let after = times.read().buckets;
            let changed: Vec<usize> = (0..after.len())
                .filter(|index| before[*index] != after[*index])
                .collect();
            assert_eq!(changed, [bucket], "{us} us {ns} ns");
        }
    }

    #[test]
    fn names_stand_where_their_indices_are() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect_name(dialect_index(dialect)), dialect.name());
        }
        for (index, time) in EdgeTime::ALL.into_iter().enumerate() {
            assert_eq!(time as usize, index);
        }
        assert_eq!(Cause::NAMES[Cause::Stopping.index()], "stopping");
        assert_eq!(Cause::NAMES[Cause::Banned.index()], "banned");
        assert_eq!(Cause::NAMES[Cause::Idle.index()], "idle");
        assert_eq!(SHARES[ShareResult::Unrecorded as usize], "unrecorded");
        assert_eq!(SHARES[ShareResult::Low as usize], "low");
        assert_eq!(LOGINS[LoginResult::Unavailable.index()], "unavailable");
    }

    #[test]
    fn every_place_of_every_port_is_its_own() {
        let mut seen = std::collections::HashSet::new();
        let dialects = [None].into_iter().chain(Dialect::ALL.into_iter().map(Some));
        for port in 0..crate::PORTS_MAX {
            for dialect in dialects.clone() {
                for agent in ["", "ethminer", "cgminer/4", "what"] {
                    let agent = orebook_schema::activity::AgentText::of(agent);
                    let place = EdgePlace::new(port, dialect, AgentFamily::of(&agent));
                    assert!(seen.insert(place.0), "{port} {dialect:?} {agent:?}");
                }
            }
        }
    }

    #[test]
    fn work_of_many_shares_is_counted_to_the_million_and_loses_nothing() {
        let edge = Edge {
            crews: places(1),
            ..Edge::default()
        };
        let place = EdgePlace(0);
        for _ in 0..10 {
            edge.work(place, Work::new(350_000).unwrap());
        }
        edge.work(place, Work::new(Work::MAX).unwrap());
        let crew = edge.crew(place).unwrap().read(0);
        let whole = u128::from(Work::MAX) + 3_500_000;
        assert_eq!(crew.work, whole - whole % 1_000_000);
    }
}
