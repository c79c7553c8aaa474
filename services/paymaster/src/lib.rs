//! The only process that reaches a wallet: proposes, signs, sends and follows payouts.
//!
//! Everything is an event before it is an effect (design 5): no signature before the approvals are final, no broadcast before
//! this signed transaction is final as the batch's. Any number of paymasters may run on one wallet: the ledger obeys one.
//!
//! Reading order: [`wallet`] (what a chain's wallet can do), [`bitcoin`], [`evm`] (two that do), [`plan`] (who is paid how much),
//! [`book`] (what the ledger says), [`decide`] (what a sight of the chain calls for), [`survey`] and [`reconcile`] (ledger and chain
//! compared as a whole), [`machine`] (one paymaster without threads: its
//! turns with the ledger and with the chain), [`digests`] (asking projectors), [`why`] (what the next payout waits for),
//! [`paymaster`] (its thread).

pub mod bitcoin;
pub mod book;
pub mod decide;
pub mod digests;
pub mod evm;
pub mod machine;
pub mod metrics;
pub mod paymaster;
pub mod plan;
pub mod reconcile;
pub mod survey;
pub mod wallet;
pub mod why;

pub use machine::{Machine, MachineConfig, MachineError};
pub use paymaster::{Paymaster, PaymasterConfig, PaymasterParts};
