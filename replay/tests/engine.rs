//! The engine: it resumes where its store stands, checks what it is given, waits for what is missing, and gives the same
//! digests however it came to a position.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod pool;

#[path = "engine/chain.rs"]
mod chain;

#[path = "engine/digests.rs"]
mod digests;

#[path = "engine/faults.rs"]
mod faults;

#[path = "engine/files.rs"]
mod files;

#[path = "engine/resume.rs"]
mod resume;

#[path = "engine/ledgers.rs"]
mod ledgers;
