//! Miners' dialects without sockets: bytes in, actions out. Pure: no clock, no socket, no state but the session's own.
//!
//! The gateway owns the connection. [`Speaker::hear`] takes one line or HTTP request from its bytes, recognises the dialect by
//! the first, writes the replies that need nobody else, and returns an [`Action`] for what the gateway must decide. Behind it
//! stand [`Session`] for Stratum V1 and one session for the five dialects of ethash. Notifications are written by the functions
//! of [`write`](mod@write) and by [`EthashLines`]; what depends on the job only is written once for every session.
//! [`read_proxy`] reads what a load balancer says before a session begins.
//!
//! Not here: whether a share is real (`services/pow`), who may log in, difficulties, clocks, and when a reply may leave.

mod action;
mod dialect;
mod difficulty;
mod error;
mod ethash;
mod extensions;
mod hex;
mod http;
mod id;
mod proxy;
mod request;
mod scan;
mod session;
mod speaker;
mod submit;
mod user;
mod users;
pub mod write;

pub use self::action::{Action, Authorize, Configured, Refused, Subscribe, Suggestion};
pub use self::dialect::{Dialect, Dialects, Recognised, recognise};
pub use self::difficulty::DifficultyText;
pub use self::error::{CloseReason, StratumError};
pub use self::ethash::{
    EthashLines, EthashSubmit, EthashWork, HelloTerms, JobRef, NONCE_PREFIX_BYTES_MAX,
    ethash_difficulty,
};
pub use self::http::{HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
pub use self::id::Id;
pub use self::proxy::{
    PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX, Proxied, ProxyFault, begins_as_proxy, read_proxy,
};
pub use self::session::{Session, SessionConfig};
pub use self::speaker::{FOREIGN_REQUESTS_MAX, Heard, Speaker, SpeakerConfig};
pub use self::submit::{Submit, UserNumber, parse_job_id, show_job_id};
pub use self::user::{Agent, PasswordOptions, UserName};

/// Most bytes of a line, `\n` not counted. The largest honest one, `mining.configure` with `info`, has below 2,048. A longer
/// one is answered with an error and [`CloseReason::LineTooLong`]; whoever splits lines must not buffer more than this.
pub const LINE_BYTES_MAX: usize = 16_384;

/// How many lines that are no request a connection may send before it is closed ([`CloseReason::Malformed`]). A request
/// does not forgive them.
pub const MALFORMED_LINES_MAX: u32 = 3;

/// Most users of a connection; a proxy has one a rig. Above it authorize is refused with error 24.
pub const USERS_MAX: usize = 1_024;

/// Most bytes of a request's `id` that are echoed. A longer one makes the line malformed.
pub const ID_BYTES_MAX: usize = 64;
