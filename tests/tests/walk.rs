//! Whole pools as processes: a miner on one side, the ledger's bytes on the other, and kill -9 in between.
//!
//! `OREBOOK_MOMENTS` says at how many seeded moments a pool is killed, `OREBOOK_SEED` which ones.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "walk/accounts.rs"]
mod accounts;
#[path = "walk/approvals.rs"]
mod approvals;
#[path = "walk/books.rs"]
mod books;
#[path = "walk/btcd.rs"]
mod btcd;
#[path = "../../services/chain/tests/btcnode/mod.rs"]
#[allow(dead_code, reason = "the tests of nodes need more of it")]
mod btcnode;
#[path = "walk/coinbase.rs"]
mod coinbase;
#[path = "walk/desk.rs"]
mod desk;
#[path = "walk/ethash.rs"]
mod ethash;
#[path = "walk/full_disk.rs"]
mod full_disk;
#[path = "walk/geth.rs"]
mod geth;
#[path = "walk/geth_paid.rs"]
mod geth_paid;
#[path = "../../services/chain/tests/golang/mod.rs"]
mod golang;
#[path = "walk/kills.rs"]
mod kills;
#[path = "walk/liars.rs"]
mod liars;
#[path = "walk/litecoin.rs"]
mod litecoin;
#[path = "walk/litecoin_paid.rs"]
mod litecoin_paid;
#[path = "walk/newcomer.rs"]
mod newcomer;
#[path = "walk/paid.rs"]
mod paid;
#[path = "walk/payouts.rs"]
mod payouts;
#[path = "walk/reconcile.rs"]
mod reconcile;
#[path = "walk/repair.rs"]
mod repair;
#[path = "walk/rig.rs"]
mod rig;
#[path = "walk/verium.rs"]
mod verium;
