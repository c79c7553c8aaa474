//! A processor miner that speaks Stratum V1: what stands on the other side of the wire, for demonstrations and tests. It
//! shares no code with the gateway but the hash functions: what both agree on was agreed on over the wire.
//!
//! [`Client`] is one connection, [`Attempt`] one thread's place in a job, [`Mining`] a rig of several threads.

mod client;
mod mining;
mod work;

pub use self::client::{Client, News, Sharer};
pub use self::mining::{Counts, Mining, Rig};
pub use self::work::{Attempt, PoolWork, Terms};
