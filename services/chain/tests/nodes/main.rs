//! Nodes from outside: a client against nodes that answer wrongly, late, or not at all; a list of nodes with fail-over,
//! freshness and submission to all.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]
mod eth;
mod fake;
mod lies;
mod list;
#[path = "../mining/mod.rs"]
mod mining;
mod pay;
mod rpc;
