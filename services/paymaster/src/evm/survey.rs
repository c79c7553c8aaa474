//! All that a wallet has, which nonces of it were used by what the ledger does not name, and whether the pool's blocks stand.

use std::collections::BTreeSet;

use orebook_chain::eth::{EthHeader, UNCLE_DEPTH};
use orebook_chain::node::NodeError;
use orebook_chain::wallet::evm::EvmState;
use orebook_schema::Hash;
use orebook_schema::work::ethash_name;

use super::look::nonce_of;
use super::wallet::{EvmWallet, no_answer};
use crate::survey::{Asked, FOREIGN_MAX, Foreign, Survey, Surveyed};
use crate::wallet::{Sight, WalletError, Watched};

/// Nonces whose transactions are looked for in one survey; of more only the number is told.
const NAMED_MAX: usize = 4;

impl EvmWallet {
    pub(super) async fn survey_all(&self, asked: &Asked) -> Result<Surveyed, WalletError> {
        let tip = self.check().await?;
        let balance = self.balance(EvmState::Latest).await.map_err(no_answer)?;
        let used = self.count(EvmState::Latest).await.map_err(no_answer)?;
        let pending = match self.count(EvmState::Pending).await {
            Ok(pending) => pending,
            // Not every node makes a pending block.
            Err(NodeError::Fault { .. }) => used,
            Err(error) => return Err(no_answer(error)),
        };
        let address = self.address();
        let spends = asked.spends.iter();
        let ours: BTreeSet<u64> = spends
            .filter_map(|spends| nonce_of(spends, &address))
            .collect();
        let mut survey = Survey {
            balance,
            height: tip.number,
            since: None,
            foreign: Vec::new(),
        };
        // Before the ledger's first nonce the key had another life.
        let Some(first) = ours.first().copied() else {
            return Ok(Surveyed::Done(survey));
        };
        survey.since = asked.since;
        let strange = (first..used.max(pending)).filter(|nonce| !ours.contains(nonce));
        for (number, nonce) in strange.take(FOREIGN_MAX).enumerate() {
            let (txid, height) = if nonce < used && number < NAMED_MAX {
                self.user_of(nonce).await?
            } else {
                (None, None)
            };
            survey.foreign.push(Foreign {
                txid,
                height,
                nonce: Some(nonce),
            });
        }
        Ok(Surveyed::Done(survey))
    }

    /// Whether a block of ours is the best chain's at a height, or an uncle that one of the next blocks names.
    pub(super) async fn stands(&self, name: Hash, height: u64) -> Result<bool, WalletError> {
        let is_it = |header: &EthHeader| ethash_name(&header.seal, header.nonce) == name;
        let eth = self.eth();
        for at in height..=height.saturating_add(UNCLE_DEPTH) {
            let Some(header) = eth.header_at(at).await.map_err(no_answer)? else {
                return Ok(false);
            };
            if at == height {
                if is_it(&header) {
                    return Ok(true);
                }
                continue;
            }
            let uncles = eth.uncles(&header).await.map_err(no_answer)?;
            if uncles
                .iter()
                .any(|uncle| uncle.number == height && is_it(uncle))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Which transaction used a nonce, and the height of its block, as far as the chain tells.
    async fn user_of(&self, nonce: u64) -> Result<(Option<Hash>, Option<u64>), WalletError> {
        let nobodys = Watched {
            versions: Vec::new(),
            spends: Vec::new(),
        };
        match self.conflict(nonce, &nobodys).await? {
            Sight::Conflict { by, height, .. } if by != Hash::ZERO => Ok((Some(by), Some(height))),
            _ => Ok((None, None)),
        }
    }
}
