//! A gateway on the loopback, with real sockets, a real disk and an embedded ledger.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod accounts;
mod activity;
mod bans;
mod direct;
mod edge;
mod ethash;
mod faults;
mod forwarded;
mod keys;
mod leave;
mod limits;
mod measured;
mod miner;
mod moved;
mod one_port;
mod others;
mod pace;
mod pool;
mod proxy;
mod rigs;
mod room;
mod sessions;
mod silence;
mod slow;
mod tls;
mod turns;
mod walk;
mod work;
