//! What a gateway is told: ports, difficulties, limits. Every limit has a default here and says what happens when it is hit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use orebook_pow::ethash::EpochRule;
use orebook_schema::Work;
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::Pot;
use orebook_schema::units::WorkUnit;
use orebook_stratum::write::Reconnect;
use orebook_stratum::{Dialects, HelloTerms, SessionConfig, SpeakerConfig};

use crate::firewall::FirewallConfig;
use crate::proxy::{Network, PROXY_FROM_MAX};
use crate::tls::TlsFiles;

/// Version bits that miners may roll unless configured otherwise (BIP320).
pub const VERSION_MASK_DEFAULT: u32 = 0x1fff_e000;
/// Bytes of our part of the extranonce: a session number, big-endian.
pub const EXTRANONCE1_BYTES: usize = 4;
/// Bytes of the miner's part unless configured otherwise.
pub const EXTRANONCE2_BYTES_DEFAULT: usize = 4;
/// Least time between the beginnings of two commits unless configured otherwise.
pub const COMMIT_SPACING_DEFAULT: Duration = Duration::from_millis(1);
/// Largest spacing of commits: a miner should not wait longer for the disk.
pub const COMMIT_SPACING_MAX: Duration = Duration::from_millis(5);
/// How far ahead of the clock a share's time may be, seconds: what chains take.
pub const NTIME_AHEAD_S: u32 = 7_200;
/// How far this machine's clock and a template's time may be apart, seconds. Beyond it frames stay in the spool, shares are
/// recorded as before, and an alarm is logged (design, section 3).
pub const CLOCK_APART_S_MAX: u32 = 7_200;
/// Most bytes of the text in the coinbase: what `chain` allows, without `/` and the job's number in hex.
pub const COINBASE_TEXT_BYTES_MAX: usize = orebook_chain::template::TEXT_BYTES_MAX - 9;
/// Most ports of a gateway.
pub const PORTS_MAX: usize = 64;

/// A gateway's configuration.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Proof of work of the coin.
    pub algorithm: Algorithm,
    /// Where miners connect, 1 to [`PORTS_MAX`].
    pub ports: Vec<PortConfig>,
    /// Output script that blocks pay to: the pool's.
    pub payout_script: Vec<u8>,
    /// Text in the coinbase, at most [`COINBASE_TEXT_BYTES_MAX`]; the job's number follows it.
    pub coinbase_text: String,
    /// Bytes of the miner's extranonce, 2 to 8.
    pub extranonce2_bytes: usize,
    /// Version bits that miners may roll.
    pub version_mask: u32,
    /// Time between the beginnings of two commits, so that more shares go with each; at most [`COMMIT_SPACING_MAX`]. Zero
    /// commits as shares come. An eighth less will do, and 256 waiting shares do not wait for it.
    pub commit_spacing: Duration,
    /// How long shares of the previous parent's jobs are taken as stale, instead of error 21.
    pub stale_grace: Duration,
    /// Limits.
    pub limits: Limits,
    /// What else holds at its doors.
    pub edge: EdgeConfig,
    /// What ethash and etchash need.
    pub ethash: EthashConfig,
}

/// What ethash and etchash need beside the rest.
#[derive(Clone, Debug, Default)]
pub struct EthashConfig {
    /// The gateway's number, assigned by people: the first byte of its miners' nonces, so that no two gateways give one miner's
    /// work to another.
    pub gateway: u8,
    /// Where caches are kept; without it they are made again at each start.
    pub cache_folder: Option<PathBuf>,
    /// How the chain counts epochs, where that is not as on its main net.
    pub rule: Option<EpochRule>,
}

/// Largest session number of a gateway of ethash: the two bytes of the nonce behind its own.
const ETHASH_SESSION_LAST: u32 = 0xffff;
/// Errors that EthereumStratum/2.0.0 miners are told to stop after.
const HELLO_ERRORS_MAX: u32 = 5;

impl GatewayConfig {
    /// Whether headers are the nodes' own.
    pub(crate) const fn is_ethash(&self) -> bool {
        matches!(self.algorithm, Algorithm::Ethash | Algorithm::Etchash)
    }

    /// The largest session number.
    pub(crate) const fn session_last(&self) -> u32 {
        if self.is_ethash() {
            ETHASH_SESSION_LAST
        } else {
            u32::MAX
        }
    }

    /// What a connection may speak.
    pub(crate) fn speaker(&self) -> SpeakerConfig {
        let timeout_s = self.limits.idle.as_secs();
        SpeakerConfig {
            dialects: if self.is_ethash() {
                Dialects::ETHASH
            } else {
                Dialects::STRATUM_V1
            },
            session: SessionConfig {
                extranonce2_size: u8::try_from(self.extranonce2_bytes).unwrap_or(u8::MAX),
                version_mask: self.version_mask,
            },
            hello: HelloTerms {
                timeout_s: u32::try_from(timeout_s).unwrap_or(u32::MAX),
                errors_max: HELLO_ERRORS_MAX,
            },
        }
    }
}

/// Most networks that no limit of addresses holds for.
pub const EXEMPT_MAX: usize = 64;

/// How to be registered, where nothing else is said.
pub const REGISTER_DEFAULT: &str =
    "give a payout address as user name, or ask the pool's operator to register it";
/// Longest text that says how to be registered.
pub const REGISTER_BYTES_MAX: usize = 200;

/// What holds at a gateway's doors beside its limits.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Where or how accounts and workers are registered, for those to read whose login names none: 1 to [`REGISTER_BYTES_MAX`]
    /// printable ASCII characters.
    pub register: String,
    /// Addresses that no limit of addresses holds for and that are never kept out, at most [`EXEMPT_MAX`] networks. Limits of
    /// connections and logins hold for them too.
    pub exempt: Vec<Network>,
    /// The command that tells the system's filter of addresses that are kept out.
    pub firewall: Option<FirewallConfig>,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            register: REGISTER_DEFAULT.to_owned(),
            exempt: Vec::new(),
            firewall: None,
        }
    }
}

impl EdgeConfig {
    /// Whether a text may say how to be registered.
    #[must_use]
    pub fn may_register(text: &str) -> bool {
        let legal = |byte: u8| (0x20..=0x7e).contains(&byte);
        (1..=REGISTER_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
    }
}

/// A port.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// Where to listen; port 0 takes any, see `GatewayHandle::addresses`.
    pub address: SocketAddr,
    /// The pot that its shares go to.
    pub pot: Pot,
    /// How hard its shares are.
    pub difficulty: DifficultyRule,
    /// Load balancers, at most [`PROXY_FROM_MAX`] networks: a connection from them begins with a PROXY header, and counts as its
    /// client's.
    pub proxy_from: Vec<Network>,
    /// Where its miners are sent, in turn, when this gateway cannot serve them or ends; none: they are told why, and go where
    /// they like.
    pub elsewhere: Vec<Elsewhere>,
    /// Its certificate, if it speaks TLS; a PROXY header comes before it in plain. What is plain is told so and closed.
    pub tls: Option<TlsFiles>,
    /// Where it stands, for `/metrics`.
    pub region: Region,
}

/// Longest name of a region.
pub const REGION_BYTES_MAX: usize = 16;

/// Where a port stands, as an operator calls it: 1 to [`REGION_BYTES_MAX`] of `a` to `z`, digits and hyphens; `none` unless said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(Box<str>);

impl Region {
    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = !text.is_empty() && text.len() <= REGION_BYTES_MAX && text.bytes().all(is_part);
        fits.then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Region {
    fn default() -> Self {
        Self("none".into())
    }
}

/// A host's name at most (RFC 1035).
const HOST_BYTES_MAX: usize = 253;
/// Seconds that miners are asked to wait before they go there.
const ELSEWHERE_WAIT_S: u32 = 1;

/// Another gateway, as miners are told of it (`client.reconnect`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    host: String,
    port: u16,
}

impl Elsewhere {
    /// Reads `host:port`: a name or address of letters, digits, dots and hyphens, and a port that is not 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        let fits = !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(is_name);
        fits.then(|| Self {
            host: host.to_owned(),
            port,
        })
    }

    /// As the wire has it.
    pub(crate) fn shown(&self) -> Reconnect<'_> {
        Reconnect {
            host: &self.host,
            port: self.port,
            wait_s: ELSEWHERE_WAIT_S,
        }
    }
}

/// How hard a port's shares are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifficultyRule {
    /// The same for everybody; suggestions change nothing.
    Fixed(Work),
    /// Moved so that a session's shares come at a chosen pace.
    Vardiff(VardiffRule),
}

/// Variable difficulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VardiffRule {
    /// Where a session starts, within the bounds.
    pub start: Work,
    /// Least.
    pub min: Work,
    /// Most.
    pub max: Work,
    /// Time a session should need for a share; at least 10 ms.
    pub target: Duration,
    /// Time over which the pace is observed before the difficulty moves; at least `target`.
    pub retarget: Duration,
    /// What `d=` in a password means.
    pub asked: AskedDifficulty,
}

/// What a difficulty in a miner's password (`d=`, `diff=`) means on a port with vardiff; within the port's bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskedDifficulty {
    /// The session starts with it.
    #[default]
    Start,
    /// The session keeps it.
    Fixed,
}

/// Work of a difficulty written as a plain decimal, such that the number a miner is shown is exactly it: six decimals, at
/// least 0.000001. `None` if the text is no plain decimal or the work is out of range.
#[must_use]
pub fn difficulty(text: &str, unit: WorkUnit) -> Option<Work> {
    Work::from_difficulty(text, unit).map(|work| exact(work, unit))
}

/// The nearest work whose shown difficulty says all of it, so that miner and pool mean the same target. Work below 0.000001
/// stays as it is.
#[must_use]
pub(crate) fn exact(work: Work, unit: WorkUnit) -> Work {
    let shown = work.shown(unit);
    Work::from_difficulty(&shown, unit)
        .filter(|back| back.shown(unit) == shown)
        .unwrap_or(work)
}

/// Limits of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one port. A further one is closed at once.
    pub connections_per_port: usize,
    /// Connections of one address over all ports. A further one is closed at once.
    pub connections_per_address: usize,
    /// Time to a first successful authorize. Who needs longer is closed.
    pub login_timeout: Duration,
    /// Time to the end of a TLS handshake. Who needs longer is closed.
    pub handshake_timeout: Duration,
    /// TLS handshakes at one time. A further one is closed at its hello.
    pub handshakes: usize,
    /// Failed logins of one connection. At the last one it is answered, then closed.
    pub failed_logins_per_connection: u32,
    /// Failed logins of one address within a minute. At the last one the address is kept out for [`Limits::ban`], unless
    /// somebody inside had a good share: new connections of it are told why and closed. IPv6 counts by /64.
    pub failed_logins_per_address: u32,
    /// Connections of one address within a minute that spoke another protocol. At the last one it is kept out likewise.
    pub malformed_per_address: u32,
    /// Logins of one address within a minute that were kept out for their shares. At the last one it is kept out likewise.
    pub bad_logins_per_address: u32,
    /// Connections that an address may open within a minute. Further ones take what its shares earned, and are told why and
    /// closed if that is nothing.
    pub connects_per_minute: u32,
    /// Connections that a good share earns its address, kept up to [`Limits::connections_per_address`].
    pub connects_per_share: u32,
    /// For so long after the gateway's start connections are not counted by the minute: everybody comes back. May be zero.
    pub connects_grace: Duration,
    /// Refused shares (20, 22, 23) among [`Limits::invalid_of`] of a user of a connection, percent. Above it the user's login is
    /// kept out of its address for [`Limits::ban`], and told why; the connection is closed if nobody else is on it. Where another
    /// session of the same login stands well, only the connection is closed.
    pub invalid_percent: u32,
    /// Shares after which a user is judged.
    pub invalid_of: u32,
    /// How long an address or a login is kept out.
    pub ban: Duration,
    /// Users of one connection. A further authorize is refused with error 24.
    pub users_per_connection: usize,
    /// Refused shares (20, 22, 23) in a row of one connection, not counting stale ones. At the last one it is answered, then
    /// closed: it wastes hashing on both ends.
    pub bad_shares_in_a_row: u32,
    /// Unanswered shares of one connection. It is read on when answers left.
    pub unanswered_per_connection: usize,
    /// Unanswered shares of all connections. Sockets are read on when answers left.
    pub unanswered: usize,
    /// Bytes that a connection's peer has not read yet. Beyond it the connection is closed.
    pub backlog_bytes: usize,
    /// How long a peer may take nothing of what waits for it. Beyond it the connection is closed.
    pub write_timeout: Duration,
    /// Jobs that are kept. The oldest go: their shares are answered with error 21.
    pub jobs: usize,
    /// Shares remembered for one job to tell duplicates. Reaching it makes a new job from the same template.
    pub seen_per_job: usize,
    /// Shares remembered over all jobs. Beyond it the oldest jobs go. A single job beyond it answers error 20.
    pub seen: usize,
    /// Names of one account that are recorded within an hour. A further one is recorded as `other`.
    pub names_per_account: usize,
    /// Silence after which everybody gets a new job from the same template; keeps connections alive.
    pub renotify: Duration,
    /// Silence of a miner that is borne in any case. Beyond it one is closed who showed a pace and was silent for 64 times as
    /// long as a share at his difficulty needs by it; he may come again with his session's id. Who is gone is found by
    /// keep-alive long before.
    pub idle: Duration,
    /// Pace, in hashes a second, of the slowest rig that is expected, by which a session is judged that has shown none of its
    /// own. Zero: no rig is too slow, and such a session is never closed for its silence.
    pub slowest_hashes_per_s: u64,
    /// Silence of a connection after which the system asks its peer whether it lives. Without an answer for as long again, and
    /// where bytes are not acknowledged for twice this time, the connection is lost. At least a second.
    pub keepalive: Duration,
    /// Miners that a gateway which ends sends elsewhere at a time; more if it would not be done within `drain_max`. Zero: all at
    /// once, as where no port has an `elsewhere`.
    pub drain_wave: usize,
    /// Time between two waves.
    pub drain_interval: Duration,
    /// Beyond it, a miner who was sent elsewhere and did not go is closed.
    pub drain_grace: Duration,
    /// Beyond it, whoever is still there is told why and closed. Shares that are checked are waited for as long at most.
    pub drain_max: Duration,
    /// Threads that check shares which take long to hash (scrypt²: 256 MiB each). 0: one less than there are cores, from 1 to 16.
    pub check_threads: usize,
    /// Shares that wait for such a check. A further one is answered with error 20, busy.
    pub checks_waiting: usize,
    /// The same of one connection. While half of the room or of the time below is used, a connection has one.
    pub checks_waiting_per_connection: usize,
    /// How long a share may be about to wait for its check. One that would wait longer is answered with error 20, busy, at once.
    pub check_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_port: 16_384,
            connections_per_address: 16_384,
            login_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 4_096,
            failed_logins_per_connection: 8,
            failed_logins_per_address: 600,
            malformed_per_address: 600,
            bad_logins_per_address: 64,
            connects_per_minute: 16_384,
            connects_per_share: 1,
            connects_grace: Duration::from_secs(60),
            invalid_percent: 30,
            invalid_of: 100,
            ban: Duration::from_secs(300),
            users_per_connection: 256,
            bad_shares_in_a_row: 1_000,
            unanswered_per_connection: 1_024,
            unanswered: 65_536,
            backlog_bytes: 65_536,
            write_timeout: Duration::from_secs(60),
            jobs: 64,
            seen_per_job: 2_000_000,
            seen: 16_000_000,
            names_per_account: 1_000,
            renotify: Duration::from_secs(30),
            idle: Duration::from_secs(3_600),
            slowest_hashes_per_s: 0,
            keepalive: Duration::from_secs(60),
            drain_wave: 256,
            drain_interval: Duration::from_secs(1),
            drain_grace: Duration::from_secs(10),
            drain_max: Duration::from_secs(30),
            check_threads: 0,
            checks_waiting: 4_096,
            checks_waiting_per_connection: 16,
            check_wait: Duration::from_secs(10),
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No port, or more than [`PORTS_MAX`].
    #[error("a gateway has 1 to {PORTS_MAX} ports, not {0}")]
    Ports(usize),
    /// The miner's extranonce is out of range.
    #[error("extranonce2 has 2 to 8 bytes, not {0}")]
    Extranonce2(usize),
    /// The coinbase's text is too long.
    #[error("the coinbase text of {0} bytes is longer than {COINBASE_TEXT_BYTES_MAX}")]
    CoinbaseText(usize),
    /// Commits are too far apart.
    #[error("commits are at most {COMMIT_SPACING_MAX:?} apart, not {0:?}")]
    CommitSpacing(Duration),
    /// More than [`PROXY_FROM_MAX`] networks of load balancers.
    #[error("port {0}: more than {PROXY_FROM_MAX} networks in proxy_from")]
    ProxyFrom(SocketAddr),
    /// The text that says how to be registered.
    #[error("how to be registered is said in 1 to {REGISTER_BYTES_MAX} printable ASCII characters")]
    Register,
    /// More than [`EXEMPT_MAX`] networks that no limit of addresses holds for.
    #[error("more than {EXEMPT_MAX} networks are exempt")]
    Exempt,
    /// The filter's command cannot be run for an address.
    #[error(
        "the firewall's command: an absolute path, at most 16 arguments, one with %a, and a time"
    )]
    Firewall,
    /// A port's vardiff contradicts itself.
    #[error("port {0}: {1}")]
    Vardiff(SocketAddr, &'static str),
    /// A limit of zero, which nobody could meet.
    #[error("the limit `{0}` is zero")]
    Zero(&'static str),
}

impl GatewayConfig {
    /// Checks the figures that contradict each other or no gateway could work with.
    ///
    /// # Errors
    /// The first [`ConfigError`] in the order of its variants.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=PORTS_MAX).contains(&self.ports.len()) {
            return Err(ConfigError::Ports(self.ports.len()));
        }
        if !(2..=8).contains(&self.extranonce2_bytes) {
            return Err(ConfigError::Extranonce2(self.extranonce2_bytes));
        }
        if COINBASE_TEXT_BYTES_MAX < self.coinbase_text.len() {
            return Err(ConfigError::CoinbaseText(self.coinbase_text.len()));
        }
        if COMMIT_SPACING_MAX < self.commit_spacing {
            return Err(ConfigError::CommitSpacing(self.commit_spacing));
        }
        for port in &self.ports {
            if PROXY_FROM_MAX < port.proxy_from.len() {
                return Err(ConfigError::ProxyFrom(port.address));
            }
            if let DifficultyRule::Vardiff(rule) = port.difficulty {
                rule.check()
                    .map_err(|what| ConfigError::Vardiff(port.address, what))?;
            }
        }
        if !EdgeConfig::may_register(&self.edge.register) {
            return Err(ConfigError::Register);
        }
        if EXEMPT_MAX < self.edge.exempt.len() {
            return Err(ConfigError::Exempt);
        }
        let firewall = self.edge.firewall.as_ref();
        if firewall.is_some_and(|firewall| !firewall.is_sound()) {
            return Err(ConfigError::Firewall);
        }
        self.limits.check()
    }
}

impl VardiffRule {
    fn check(&self) -> Result<(), &'static str> {
        if self.max < self.min {
            Err("the least difficulty is above the most")
        } else if self.start < self.min || self.max < self.start {
            Err("the first difficulty is outside of the bounds")
        } else if self.target < Duration::from_millis(10) {
            Err("a share needs at least 10 ms")
        } else if self.retarget < self.target {
            Err("the pace is observed for at least the time of a share")
        } else {
            Ok(())
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let zeros = [
            ("connections_per_port", self.connections_per_port == 0),
            ("connections_per_address", self.connections_per_address == 0),
            ("login_timeout", self.login_timeout.is_zero()),
            (
                "failed_logins_per_connection",
                self.failed_logins_per_connection == 0,
            ),
            (
                "failed_logins_per_address",
                self.failed_logins_per_address == 0,
            ),
            ("malformed_per_address", self.malformed_per_address == 0),
            ("bad_logins_per_address", self.bad_logins_per_address == 0),
            ("connects_per_minute", self.connects_per_minute == 0),
            ("invalid_percent", self.invalid_percent == 0),
            ("invalid_of", self.invalid_of == 0),
            ("ban", self.ban.is_zero()),
            ("handshake_timeout", self.handshake_timeout.is_zero()),
            ("handshakes", self.handshakes == 0),
            ("users_per_connection", self.users_per_connection == 0),
            ("bad_shares_in_a_row", self.bad_shares_in_a_row == 0),
            (
                "unanswered_per_connection",
                self.unanswered_per_connection == 0,
            ),
            ("unanswered", self.unanswered == 0),
            ("backlog_bytes", self.backlog_bytes == 0),
            ("write_timeout", self.write_timeout.is_zero()),
            ("jobs", self.jobs == 0),
            ("seen_per_job", self.seen_per_job == 0),
            ("seen", self.seen == 0),
            ("names_per_account", self.names_per_account == 0),
            ("renotify", self.renotify.is_zero()),
            ("idle", self.idle.is_zero()),
            ("drain_interval", self.drain_interval.is_zero()),
            ("keepalive", self.keepalive < Duration::from_secs(1)),
            ("checks_waiting", self.checks_waiting == 0),
            (
                "checks_waiting_per_connection",
                self.checks_waiting_per_connection == 0,
            ),
            ("check_wait", self.check_wait.is_zero()),
        ];
        let zero = zeros.iter().find(|(_, zero)| *zero);
        zero.map_or(Ok(()), |(name, _)| Err(ConfigError::Zero(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> GatewayConfig {
        let work = |text| difficulty(text, WorkUnit::Sha256d).unwrap();
        GatewayConfig {
            algorithm: Algorithm::Sha256d,
            ports: vec![PortConfig {
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                pot: Pot(0),
                difficulty: DifficultyRule::Vardiff(VardiffRule {
                    start: work("1"),
                    min: work("0.0001"),
                    max: work("1000"),
                    target: Duration::from_secs(10),
                    retarget: Duration::from_secs(60),
                    asked: AskedDifficulty::Start,
                }),
                proxy_from: Vec::new(),
                elsewhere: Vec::new(),
                tls: None,
                region: Region::default(),
            }],
            payout_script: vec![0x51],
            coinbase_text: "orebook".to_owned(),
            extranonce2_bytes: EXTRANONCE2_BYTES_DEFAULT,
            version_mask: VERSION_MASK_DEFAULT,
            commit_spacing: COMMIT_SPACING_DEFAULT,
            stale_grace: Duration::from_secs(5),
            limits: Limits::default(),
            edge: EdgeConfig::default(),
            ethash: EthashConfig::default(),
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_and_named() {
        type Change = fn(&mut GatewayConfig);
        let rule = |config: &mut GatewayConfig, change: fn(&mut VardiffRule)| {
            if let DifficultyRule::Vardiff(rule) = &mut config.ports[0].difficulty {
                change(rule);
            }
        };
        let table: [(&str, Change); 10] = [
            ("ports", |config| config.ports.clear()),
            ("extranonce2", |config| config.extranonce2_bytes = 9),
            ("text", |config| config.coinbase_text = "x".repeat(24)),
            ("apart", |config| {
                config.commit_spacing = Duration::from_millis(6)
            }),
            ("proxy_from", |config| {
                let one = Network::parse("10.0.0.0/8").unwrap();
                config.ports[0].proxy_from = vec![one; 65];
            }),
            ("exempt", |config| {
                let one = Network::parse("10.0.0.0/8").unwrap();
                config.edge.exempt = vec![one; 65];
            }),
            ("`ban`", |config| config.limits.ban = Duration::ZERO),
            ("`jobs`", |config| config.limits.jobs = 0),
            ("`renotify`", |config| {
                config.limits.renotify = Duration::ZERO
            }),
            ("`write_timeout`", |config| {
                config.limits.write_timeout = Duration::ZERO
            }),
        ];
        assert_eq!(config().check(), Ok(()));
        for (what, change) in table {
            let mut wrong = config();
            change(&mut wrong);
            let said = wrong.check().unwrap_err().to_string();
            assert!(said.contains(what), "{what}: {said}");
        }
        type ChangeRule = fn(&mut VardiffRule);
        let table: [(&str, ChangeRule); 4] = [
            ("least", |rule| std::mem::swap(&mut rule.min, &mut rule.max)),
            ("first", |rule| rule.start = Work::new(1).unwrap()),
            ("10 ms", |rule| rule.target = Duration::ZERO),
            ("observed", |rule| rule.retarget = Duration::from_secs(9)),
        ];
        for (what, change) in table {
            let mut wrong = config();
            rule(&mut wrong, change);
            let said = wrong.check().unwrap_err().to_string();
            assert!(said.contains(what), "{what}: {said}");
        }
    }

    #[test]
    fn a_difficulty_is_exactly_what_is_shown() {
        for text in ["0.0001", "0.003", "1", "1024", "123456.789", "0.000001"] {
            let work = difficulty(text, WorkUnit::Sha256d).unwrap();
            assert_eq!(work.shown(WorkUnit::Sha256d), text);
            assert_eq!(difficulty(text, WorkUnit::Scrypt), Some(work));
        }
        // What no miner could be told is the nearest that one can.
        let rounded = difficulty("0.12345678", WorkUnit::Sha256d);
        assert_eq!(rounded, difficulty("0.123457", WorkUnit::Sha256d));
        assert_eq!(difficulty("0", WorkUnit::Sha256d), None);
        assert_eq!(difficulty("-1", WorkUnit::Sha256d), None);
    }

    #[test]
    fn a_region_is_a_short_name_that_needs_no_escaping() {
        for (text, fits) in [
            ("eu-west", true),
            ("0123456789abcdef", true),
            ("0123456789abcdefg", false),
            ("", false),
            ("EU", false),
            ("a\"b", false),
            ("a b", false),
            ("ü", false),
        ] {
            assert_eq!(Region::parse(text).is_some(), fits, "{text}");
        }
        assert_eq!(Region::parse("none"), Some(Region::default()));
    }

    #[test]
    fn elsewhere_is_a_host_and_a_port_and_nothing_that_breaks_a_line() {
        for (text, fits) in [
            ("gateway-2.pool.example:3333", true),
            ("192.0.2.7:65535", true),
            ("pool.example", false),
            ("pool.example:0", false),
            ("pool.example:65536", false),
            (":3333", false),
            ("pool example:3333", false),
            ("pool\",[]:3333", false),
            ("stratum+tcp://pool.example:3333", false),
        ] {
            assert_eq!(Elsewhere::parse(text).is_some(), fits, "{text}");
        }
        let long = format!("{}:1", "a".repeat(HOST_BYTES_MAX + 1));
        assert_eq!(Elsewhere::parse(&long), None);
        let shown = Elsewhere::parse("pool.example:3333").unwrap();
        assert_eq!(
            (shown.shown().host, shown.shown().port),
            ("pool.example", 3333)
        );
    }
}
