//! A processor miner that speaks Stratum: what stands on the other side of the wire, for demonstrations and tests. It
//! shares no code with the gateway but the hash functions: what both agree on was agreed on over the wire.
//!
//! [`Client`] is one connection, [`Attempt`] one thread's place in a job, [`Mining`] a rig of several threads; [`EthClient`] is
//! what a miner of ethash says and hears in any of its dialects, [`EthRig`] one with sockets and threads.

mod client;
mod eth_rig;
mod ethash;
mod mining;
mod work;

pub use self::client::{Client, News, Sharer};
pub use self::eth_rig::{EthCaches, EthRig};
pub use self::ethash::{EthClient, EthDialect, EthFound, EthHasher, EthJob, EthLogin, EthNews};
pub use self::mining::{Counts, Mining, Rig};
pub use self::work::{Attempt, PoolWork, Terms};
