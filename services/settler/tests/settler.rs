//! The settler against a ledger in memory and a chain that does as it is told.
//!
//! - `settler/chain.rs`: a chain with nodes that are silent, late or lying.
//! - `settler/world.rs`: an archiver, a gateway and settlers around one simulated broker, each on a simulated disk.
//! - `settler/eth.rs`: an ethash-like's blocks, uncles and fees.
//! - `settler/fees.rs`: the mean of the fees of 144 blocks.
//! - `settler/rules.rs`: the rules as tables. `settler/walks.rs`: what becomes of blocks. `settler/crashes.rs`: kills and
//!   faults at every point. `settler/recovered.rs`: coinbases that no share explains. `settler/grace.rs`: how
//!   long one is waited for. `settler/room.rs`: a spool without room. `settler/thread.rs`: the thread itself, on the development chain.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test's numbers are small"
)]

#[path = "settler/chain.rs"]
mod chain;
#[path = "settler/crashes.rs"]
mod crashes;
#[path = "settler/direct.rs"]
mod direct;
#[path = "settler/eth.rs"]
mod eth;
#[path = "settler/fees.rs"]
mod fees;
#[path = "settler/grace.rs"]
mod grace;
#[path = "settler/recovered.rs"]
mod recovered;
#[path = "settler/room.rs"]
mod room;
#[path = "settler/rules.rs"]
mod rules;
#[path = "settler/thread.rs"]
mod thread;
#[path = "settler/walks.rs"]
mod walks;
#[path = "settler/world.rs"]
mod world;
