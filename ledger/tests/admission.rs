//! Admission (LEDGER-FORMAT.md, section 6): every cause, every effect, against a small ledger in memory.
//!
//! - `admission/world.rs`: producers, drafts of frames, a history in maps; builders of events.
//! - `admission/causes.rs`: each test, their order, and what a fork does.
//! - `admission/kinds.rs`: role × kind, schema sets, position 0.
//! - `admission/things.rs`: keys and policies, approvals. `admission/credits.rs`: void jobs, stale shares, summaries.
//! - `admission/desk.rs`: bans and adjustments.
//! - `admission/dust.rs`: announcements of dust, reconciliations, pots that pay by the coinbase.
//! - `admission/ethash.rs`: ethash's jobs, shares and blocks, and that no ledger has both kinds of work.
//! - `admission/finality.rs`: checkpoints and ledger time. `admission/moves.rs`: moved events.
//! - `admission/snapshots.rs`: the state as bytes, spoiled in every way.
//! - `admission/interleavings.rs`: thousands of seeds of chaos; readers agree and nothing is paid twice.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "admission/accounts.rs"]
mod accounts;
#[path = "admission/causes.rs"]
mod causes;
#[path = "admission/credits.rs"]
mod credits;
#[path = "admission/desk.rs"]
mod desk;
#[path = "admission/dust.rs"]
mod dust;
#[path = "admission/ethash.rs"]
mod ethash;
#[path = "admission/finality.rs"]
mod finality;
#[path = "admission/interleavings.rs"]
mod interleavings;
#[path = "admission/kinds.rs"]
mod kinds;
#[path = "admission/moves.rs"]
mod moves;
#[path = "admission/payouts.rs"]
mod payouts;
#[path = "admission/snapshots.rs"]
mod snapshots;
#[path = "admission/things.rs"]
mod things;
#[path = "admission/world.rs"]
mod world;
