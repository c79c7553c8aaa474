//! The seeded simulator: what fails in the world, failing on order, under the code that runs in production.
//!
//! [`disk`] and [`broker`] fail, [`world`] runs actors on them, [`checks`] judges. The same seed gives the same run.
//! [`ground`] is what tests of one service stand on. [`lockstep`] leaves nothing to chance: one run over two logs, for comparison.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a simulator stops at the first surprise and says which"
)]

pub mod rng;

pub mod disk;

pub mod broker;

pub mod checks;

pub mod ground;

pub mod world;

pub mod lockstep;
