//! The gateway: accepts miners, checks their shares, records them in the spool, and only then answers.
//!
//! Two threads. The **loop** owns every connection: it reads, lets `stratum` understand and `pow` prove, and knows jobs,
//! difficulties and duplicates. The **writer** owns the spool: it appends what gathered with one sync, gives it back to be
//! answered, cuts frames and publishes them. They meet in a bridge of bounded queues; nothing else is shared. A third thread
//! hands on what the loop counts for the activity log (`activity`); nobody waits for it. Where a share takes long to hash
//! (scrypt²), threads of `checks` do it, and the loop goes on meanwhile (`awaited`).
//!
//! Reading order: [`GatewayConfig`], `handle` (start and stop), `looper` (a turn), `serve` (lines), `judge` (claims), `jobs`,
//! `writer`, `recorder` (numbers in the ledger). Not here: what a share is worth, positions and finality, chain nodes.

mod accounts;
mod activity;
mod agents;
mod awaited;
mod bans;
mod batch;
mod bridge;
mod caches;
mod checks;
mod clock;
mod config;
mod conn;
mod control;
mod doors;
mod edge;
mod firewall;
mod former;
mod guard;
mod handle;
mod jobs;
mod judge;
mod limits;
mod looper;
mod metrics;
mod proxy;
mod recorder;
mod room;
mod seen;
mod serve;
mod sessions;
mod silence;
mod tls;
mod vardiff;
mod writer;

pub use self::accounts::OfferedAccount;
pub use self::activity::{ActivityMetrics, ActivityParts};
pub use self::agents::AgentFamily;
pub use self::bans::OfferedBan;
pub use self::caches::{AHEAD_BLOCKS, CACHES_MAX, CacheFigures, CacheWake, Caches, make_dataset};
pub use self::checks::{CheckMetrics, Scratchpad};
pub use self::config::{
    AskedDifficulty, CLOCK_APART_S_MAX, COINBASE_TEXT_BYTES_MAX, COMMIT_SPACING_DEFAULT,
    COMMIT_SPACING_MAX, ConfigError, DifficultyRule, EXEMPT_MAX, EXTRANONCE1_BYTES,
    EXTRANONCE2_BYTES_DEFAULT, EdgeConfig, Elsewhere, EthashConfig, GatewayConfig, Limits,
    NTIME_AHEAD_S, PORTS_MAX, PortConfig, REGION_BYTES_MAX, REGISTER_BYTES_MAX, REGISTER_DEFAULT,
    Region, VERSION_MASK_DEFAULT, VardiffRule, difficulty,
};
pub use self::control::{OfferedControl, control_size, keep_control};
pub use self::edge::{
    BOUNDS_US, DIALECTS, EdgeCrew, EdgeMetrics, EdgePort, EdgeTime, EdgeTimes, EdgeWay,
};
pub use self::firewall::{FIREWALL_ARGUMENTS_MAX, FirewallConfig, FirewallMetrics};
pub use self::handle::{
    Found, FoundBlock, Gateway, GatewayHandle, GatewayParts, ParseAccount, StartError,
};
pub use self::metrics::{
    ClosedCounts, Distribution, Metrics, RefusedCounts, SessionCounts, SessionMetrics, ShareCounts,
    SpoolMetrics,
};
pub use self::proxy::{Network, NetworkError, PROXY_FROM_MAX, forwarded};
pub use self::room::{ALARM_FROM_PERCENT, NEWCOMERS_UNTIL_PERCENT};
pub use self::tls::{TlsError, TlsFiles};
pub use self::writer::Fatal;
