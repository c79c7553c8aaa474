//! The shell of settler, paymaster and desk under a simulated broker and disks.
//!
//! - `producer/world.rs`: an archiver, a desk and producers that count: each says the next number as soon as it may.
//! - `producer/once.rs`: kills and faults at every point: each number stands in the ledger once.
//! - `producer/walks.rs`: a refused key, a closed stream, a spool without room, heartbeats, a mirror that lags.
//! - `producer/turns.rs`: the thread, its pace, the counters.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "producer/once.rs"]
mod once;
#[path = "producer/turns.rs"]
mod turns;
#[path = "producer/walks.rs"]
mod walks;
#[path = "producer/world.rs"]
mod world;
