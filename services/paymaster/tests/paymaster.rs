//! The paymaster against a ledger in memory and a chain that does as it is told.
//!
//! - `paymaster/chain.rs`: a chain with wallets, memory pool, reorganisations, and nodes that do not answer.
//! - `paymaster/world.rs`: an archiver, a gateway, projectors and paymasters around one simulated broker;
//!   `paymaster/setup.rs`: how it is made; `paymaster/check.rs`: what must hold of it.
//! - `paymaster/rules.rs`: the rules as tables. `paymaster/walks.rs`: what becomes of payouts; `paymaster/care.rs`: what is not done
//!   though it could be; `paymaster/differences.rs`: ledger and chain compared;
//!   `paymaster/known.rs`: what of it people have looked at; `paymaster/nightly.rs`: by the paymaster itself.
//!   `paymaster/room.rs`: a spool without room. `paymaster/change.rs`: a payout of the change of one that is no more.
//!   `paymaster/faults.rs`: every edge fails, and processes are killed. `paymaster/chaos.rs`: everything at once, by a seed.
//!   `paymaster/thread.rs`: the thread itself.

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

#[path = "paymaster/care.rs"]
mod care;
#[path = "paymaster/chain.rs"]
mod chain;
#[path = "paymaster/change.rs"]
mod change;
#[path = "paymaster/chaos.rs"]
mod chaos;
#[path = "paymaster/check.rs"]
mod check;
#[path = "paymaster/differences.rs"]
mod differences;
#[path = "paymaster/faults.rs"]
mod faults;
#[path = "paymaster/known.rs"]
mod known;
#[path = "paymaster/nightly.rs"]
mod nightly;
#[path = "paymaster/room.rs"]
mod room;
#[path = "paymaster/rules.rs"]
mod rules;
#[path = "paymaster/setup.rs"]
mod setup;
#[path = "paymaster/thread.rs"]
mod thread;
#[path = "paymaster/walks.rs"]
mod walks;
#[path = "paymaster/world.rs"]
mod world;
