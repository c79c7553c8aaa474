//! What became of blocks: asks the nodes, appends states by compare and set.
//!
//! The settler reads the final ledger through a fold of its own, looks at the chain through nodes, and says what changed:
//! seen, immature, uncle, confirmed, orphaned, recovered. It says a thing once and waits until that is final before it looks at
//! blocks again. Any number of settlers may run: what one said, the others' word expects no more, and changes nothing.
//! Money is not computed here, and nothing but changes of state and value is said: no depths.
//!
//! Reading order: [`book`] (what the ledger says), [`view`], [`look`] and [`ethash`] (what the chain shows), [`decide`] (the rules),
//! [`scan`] and [`grace`] (coinbases that no share explains), [`fee_mean`], [`machine`] (one settler without threads), [`settler`] (its thread).

pub mod book;

pub mod view;

pub mod decide;

pub mod look;

pub mod ethash;

pub mod grace;

pub mod fee_mean;

pub mod scan;

pub mod metrics;

pub mod machine;

pub mod settler;

pub use machine::{Machine, MachineConfig, MachineError};
pub use settler::{Settler, SettlerConfig, SettlerParts};
