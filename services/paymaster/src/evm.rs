//! The hot wallet of an ethash-like: one key, one line of nonces, one transaction for each line of a batch.
//!
//! The key is in a file of this host ([`EvmKey::read`]); the node only relays and tells. A key that a node holds
//! (`eth_signTransaction`) and geth's encrypted key files are deliberately not here. Every figure that a node tells is held
//! against a cap of the operator's before anything is signed.
//!
//! Reading order: [`rlp`], [`EvmKey`], [`Tx`], [`EvmWallet`].

mod fees;
mod key;
mod look;
pub mod rlp;
mod survey;
mod tx;
mod wallet;

pub use key::{EvmKey, KeyError, Proof};
pub use look::CONFLICT_BLOCKS_MAX;
pub use tx::{CHAIN_ID_MAX, Fees, Signed, Tx, TxError};
pub use wallet::{EvmWallet, EvmWalletConfig, PAY_GAS};
