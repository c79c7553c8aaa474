//! What hot wallets ask their nodes: funds, fees, the fate of a transaction, and to take one.
//!
//! The same rules as for blocks: limits before parsing, amounts as integers, and only a node that judged a transaction takes or
//! refuses it. No key comes here.

pub mod bitcoin;
mod decimal;
pub mod evm;
