//! The fold `money` against tables (see `money/table.rs`): what goes in, and every book to the sub-unit.
//!
//! Figures are worked by hand from the money rules, not taken from the program.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod pool;

#[path = "money/table.rs"]
mod table;

#[path = "money/paying.rs"]
mod paying;

#[path = "money/later.rs"]
mod later;

#[path = "money/model.rs"]
mod model;

#[path = "money/windows.rs"]
mod windows;

#[path = "money/donations.rs"]
mod donations;

#[path = "money/per_share.rs"]
mod per_share;

#[path = "money/payouts.rs"]
mod payouts;

#[path = "money/payouts_read.rs"]
mod payouts_read;

#[path = "money/payouts_model.rs"]
mod payouts_model;

#[path = "money/preview.rs"]
mod preview;

#[path = "money/prop.rs"]
mod prop;

#[path = "money/scenarios.rs"]
mod scenarios;

#[path = "money/splits.rs"]
mod splits;

#[path = "money/direct.rs"]
mod direct;

#[path = "money/states.rs"]
mod states;

#[path = "money/uncles.rs"]
mod uncles;

#[path = "money/adjustments.rs"]
mod adjustments;

#[path = "money/room.rs"]
mod room;
#[path = "money/settings.rs"]
mod settings;

#[path = "money/dust.rs"]
mod dust;

#[path = "money/dust_model.rs"]
mod dust_model;

#[path = "money/origins.rs"]
mod origins;

#[path = "money/write_offs.rs"]
mod write_offs;
