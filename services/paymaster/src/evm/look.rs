//! Where a transaction stands: what the best chain's blocks say, not what a node remembers.

use orebook_chain::node::NodeError;
use orebook_chain::wallet::evm::{EvmReceipt, EvmState, EvmTransaction};
use orebook_schema::Hash;

use super::tx::{Fees, Tx};
use super::wallet::{EvmWallet, no_answer};
use crate::wallet::{Sight, WalletError, Watched};

/// Blocks that are searched for the transaction that used up a nonce, where the node has no state so old. Beyond it nobody tells
/// which it was, and a conflict has no name.
pub const CONFLICT_BLOCKS_MAX: u64 = 256;

/// Bytes of what a transaction spends: the wallet's address and the nonce.
const SPENDS_BYTES: usize = 28;

/// What every version of a transaction spends.
pub(super) fn spends(address: &[u8; 20], nonce: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(SPENDS_BYTES);
    out.extend_from_slice(address);
    out.extend_from_slice(&nonce.to_le_bytes());
    out
}

/// The nonce of what a transaction spends, if it is this wallet's.
pub(super) fn nonce_of(spends: &[u8], address: &[u8; 20]) -> Option<u64> {
    let nonce = spends.strip_prefix(address.as_slice())?;
    nonce.try_into().ok().map(u64::from_le_bytes)
}

impl EvmWallet {
    pub(super) async fn sight(&self, tx: &Watched) -> Result<Sight, WalletError> {
        let Some(nonce) = nonce_of(&tx.spends, &self.address()) else {
            let words = "what it spends is not this wallet's".to_owned();
            return Err(WalletError::Cannot(words));
        };
        self.check_chain().await?;
        // Asked first: if a version has used the nonce by now, its receipt is there afterwards.
        let is_used = nonce < self.count(EvmState::Latest).await.map_err(no_answer)?;
        for (txid, raw) in tx.versions.iter().rev() {
            if let Some(mined) = self.mined(*txid, raw).await? {
                return Ok(mined);
            }
        }
        if is_used {
            return self.conflict(nonce, tx).await;
        }
        for (txid, _) in tx.versions.iter().rev() {
            match self.node.transaction(*txid).await.map_err(no_answer)? {
                Some(EvmTransaction { block: None, .. }) => {
                    return Ok(Sight::Pending { txid: *txid });
                }
                Some(EvmTransaction {
                    block: Some((_, block)),
                    ..
                }) if self.depth(block).await?.is_some() => return Err(moved()),
                _ => {}
            }
        }
        Ok(Sight::Nowhere)
    }

    /// A version in a block of the best chain. A receipt of another block is none.
    async fn mined(&self, txid: Hash, raw: &[u8]) -> Result<Option<Sight>, WalletError> {
        let Some(receipt) = self.node.receipt(txid).await.map_err(no_answer)? else {
            return Ok(None);
        };
        let Some((height, confirmations)) = self.depth(receipt.block).await? else {
            return Ok(None);
        };
        let price = match Tx::read(raw).map(|signed| signed.tx.fees) {
            Ok(Fees::Legacy { price }) => Some(price),
            _ => None,
        };
        Ok(Some(Sight::Mined {
            txid,
            height,
            block: receipt.block,
            confirmations,
            paid: receipt.paid,
            fee: cost(&receipt, price)?,
        }))
    }

    /// A block's height and confirmations; none if it is not the best chain's.
    pub(super) async fn depth(&self, block: Hash) -> Result<Option<(u64, u64)>, WalletError> {
        let header = self.node.eth().header(block).await.map_err(no_answer)?;
        let depth = header.and_then(|header| {
            let confirmations = u64::try_from(header.confirmations).ok()?;
            Some((header.height, confirmations))
        });
        Ok(depth.filter(|(_, confirmations)| 0 < *confirmations))
    }

    /// The nonce is used, and by no version.
    pub(super) async fn conflict(&self, nonce: u64, tx: &Watched) -> Result<Sight, WalletError> {
        let tip = self.node.eth().tip().await.map_err(no_answer)?.height;
        let (first, searched) = self.used_since(nonce, tip).await?;
        for height in (0..=first)
            .rev()
            .take(usize::try_from(searched).unwrap_or(1))
        {
            let at = self.node.transactions_at(height).await.map_err(no_answer)?;
            let (header, transactions) = at.ok_or_else(moved)?;
            let is_it =
                |other: &&EvmTransaction| other.from == self.address() && other.nonce == nonce;
            let Some(other) = transactions.iter().find(is_it) else {
                continue;
            };
            if tx.versions.iter().any(|(txid, _)| *txid == other.hash) {
                return Err(moved());
            }
            let receipt = self.node.receipt(other.hash).await.map_err(no_answer)?;
            let receipt = receipt.filter(|receipt| receipt.block == header.hash);
            let (height, confirmations) = self.depth(header.hash).await?.ok_or_else(moved)?;
            return Ok(Sight::Conflict {
                by: other.hash,
                height,
                confirmations,
                // Whoever signed it did so with this wallet's key.
                fee: cost(&receipt.ok_or_else(moved)?, None)?,
            });
        }
        Ok(Sight::Conflict {
            by: Hash::ZERO,
            height: 0,
            confirmations: tip.saturating_sub(first).saturating_add(1),
            fee: 0,
        })
    }

    /// The lowest block that is known to have used a nonce, and how many blocks down from it may have been the first to: one if
    /// the block below had not. By the account's count at heights, as far down as the node has states.
    async fn used_since(&self, nonce: u64, tip: u64) -> Result<(u64, u64), WalletError> {
        if self.is_used_at(nonce, tip).await? != Some(true) {
            return Err(moved());
        }
        let (mut used, mut step) = (tip, 1);
        // A block at or below which nothing is known, or the nonce is unused.
        let mut below = loop {
            let height = used.saturating_sub(step);
            if self.is_used_at(nonce, height).await? != Some(true) {
                break height;
            }
            if height == 0 {
                return Ok((0, 1));
            }
            (used, step) = (height, step.saturating_mul(2));
        };
        while 1 < used.saturating_sub(below) {
            let middle = below.midpoint(used);
            if self.is_used_at(nonce, middle).await? == Some(true) {
                used = middle;
            } else {
                below = middle;
            }
        }
        let is_first = self.is_used_at(nonce, below).await? == Some(false);
        Ok((used, if is_first { 1 } else { CONFLICT_BLOCKS_MAX }))
    }

    /// Whether a nonce was used after the block of a height; none if the node has no state there.
    async fn is_used_at(&self, nonce: u64, height: u64) -> Result<Option<bool>, WalletError> {
        match self.count(EvmState::Height(height)).await {
            Ok(count) => Ok(Some(nonce < count)),
            Err(NodeError::Fault { .. }) => Ok(None),
            Err(error) => Err(no_answer(error)),
        }
    }
}

/// What a transaction cost: its receipt's price, or a legacy transaction's own.
fn cost(receipt: &EvmReceipt, price: Option<u128>) -> Result<u128, WalletError> {
    let price = receipt.price.or(price);
    let cost = price.and_then(|price| price.checked_mul(u128::from(receipt.gas_used)));
    cost.ok_or_else(|| WalletError::NoAnswer("a receipt without a price".to_owned()))
}

/// Two answers that do not fit, since a block came between them.
fn moved() -> WalletError {
    WalletError::NoAnswer("the chain moved while it was looked at".to_owned())
}
