//! The development chain: judged as a node judges, kept over kills, consistent under any schedule.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]
mod file;
mod growth;
mod judgement;
#[path = "../mining/mod.rs"]
mod mining;
mod payments;
mod schedule;
mod wallet;
