//! The desk against a ledger in memory, on disks that die.
//!
//! - `desk/world.rs`: an archiver and desks around one simulated broker, each on a simulated disk.
//! - `desk/rules.rs`: refusals by cause. `desk/walks.rs`: what becomes of commands. `desk/crashes.rs`: kills at every
//!   operation of the disk, and logs that fail. `desk/owners.rs`: keys and tokens of miners. `desk/settings.rs`: what they say themselves. `desk/trail.rs`: the audit trail. `desk/live.rs`: the thread and its listener.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "desk/crashes.rs"]
mod crashes;
#[path = "desk/live.rs"]
mod live;
#[path = "desk/owners.rs"]
mod owners;
#[path = "desk/payouts.rs"]
mod payouts;
#[path = "desk/rules.rs"]
mod rules;
#[path = "desk/settings.rs"]
mod settings;
#[path = "desk/trail.rs"]
mod trail;
#[path = "desk/walks.rs"]
mod walks;
#[path = "desk/world.rs"]
mod world;
