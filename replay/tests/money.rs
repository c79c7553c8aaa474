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

#[path = "money/model.rs"]
mod model;

#[path = "money/windows.rs"]
mod windows;

#[path = "money/splits.rs"]
mod splits;

#[path = "money/states.rs"]
mod states;

#[path = "money/adjustments.rs"]
mod adjustments;
