//! What became of a transaction: asked by name, then by what it pays, then by what it spends, and at last by reading blocks.
//!
//! A node without an index of transactions knows names in its memory pool only. An unspent output of ours still tells its block;
//! and if all are spent, the block is found where the coins were spent. A conflict is told only with the transaction that took the
//! coins: as long as that is not found nothing is known, but what made them, which the ledger may know the end of.

use std::collections::{BTreeMap, BTreeSet};

use orebook_chain::wallet::bitcoin::Outpoint;
use orebook_chain::{ChainHeader, ChainTip};
use orebook_schema::Hash;

use super::memory::Spender;
use super::tx::{Tx, each_transaction};
use super::{BitcoinWallet, no_answer, read};
use crate::wallet::{Sight, WalletError, Watched};

/// How often everything is asked again because a block came in between.
const TRIES_MAX: usize = 4;
/// How many outputs of a version, besides our own change, are asked for.
const OUTPUTS_ASKED: usize = 8;

/// A signed version.
struct Version {
    txid: Hash,
    tx: Tx,
}

/// Where a name was found.
enum Place {
    Pool,
    Block(ChainHeader),
}

pub(super) async fn look(wallet: &BitcoinWallet, tx: &Watched) -> Result<Sight, WalletError> {
    let mut versions = Vec::with_capacity(tx.versions.len());
    for (txid, raw) in &tx.versions {
        let tx = read(raw)?;
        if tx.txid() != *txid {
            return Err(WalletError::Cannot("a version has another name".to_owned()));
        }
        versions.push(Version { txid: *txid, tx });
    }
    if versions.is_empty() {
        return Err(WalletError::Cannot(
            "there is no version to look for".to_owned(),
        ));
    }
    let mut tip = wallet.node.tip().await.map_err(no_answer)?;
    for _ in 0..TRIES_MAX {
        let sight = wallet.look_at(&versions, tip).await?;
        let now = wallet.node.tip().await.map_err(no_answer)?;
        // The answers belong together only if no block came between them.
        if now == tip {
            return Ok(sight);
        }
        tip = now;
    }
    Err(unknown("blocks come faster than the node answers"))
}

impl BitcoinWallet {
    async fn look_at(&self, versions: &[Version], tip: ChainTip) -> Result<Sight, WalletError> {
        let mut pending = None;
        for version in versions.iter().rev() {
            match self.place(version.txid).await? {
                Some(Place::Block(header)) => return self.mined(version, header).await,
                Some(Place::Pool) => pending = pending.or(Some(version)),
                None => {}
            }
        }
        if let Some(version) = pending {
            self.note_values(&version.tx).await?;
            let txid = version.txid;
            return Ok(Sight::Pending { txid });
        }
        for version in versions {
            if let Some(header) = self.block_by_outputs(version, tip).await? {
                return self.mined(version, header).await;
            }
        }
        let gone = self.gone_inputs(versions).await?;
        let is_dead = |version: &Version| {
            let mut inputs = version.tx.inputs.iter();
            inputs.any(|input| gone.contains(&input.outpoint))
        };
        if !versions.iter().all(is_dead) {
            return Ok(Sight::Nowhere);
        }
        self.explain(versions, &gone, tip).await
    }

    /// By name: the memory pool, the node's index if it has one, the node's wallet if it is ours.
    async fn place(&self, txid: Hash) -> Result<Option<Place>, WalletError> {
        match self.node.transaction(txid).await.map_err(no_answer)? {
            Some(known) => match known.block {
                None => return Ok(Some(Place::Pool)),
                Some(block) => {
                    if let Some(header) = self.in_best_chain(block).await? {
                        return Ok(Some(Place::Block(header)));
                    }
                }
            },
            None if self.key.is_none() => {
                let held = self.node.held_transaction(txid).await.map_err(no_answer)?;
                if let Some(block) = held.and_then(|held| held.block)
                    && let Some(header) = self.in_best_chain(block).await?
                {
                    return Ok(Some(Place::Block(header)));
                }
            }
            None => {}
        }
        Ok(None)
    }

    async fn in_best_chain(&self, block: Hash) -> Result<Option<ChainHeader>, WalletError> {
        let header = self.node.header(block).await.map_err(no_answer)?;
        Ok(header.filter(|header| 0 < header.confirmations))
    }

    /// By what it pays: an unspent output tells how deep it is. Our own change first, which is spent last.
    async fn block_by_outputs(
        &self,
        version: &Version,
        tip: ChainTip,
    ) -> Result<Option<ChainHeader>, WalletError> {
        let own = self.config.script.bytes();
        let named = (0_u32..).zip(&version.tx.outputs);
        let (change, others): (Vec<_>, Vec<_>) =
            named.partition(|(_, output)| output.script == own);
        let asked = change
            .into_iter()
            .chain(others.into_iter().take(OUTPUTS_ASKED));
        let asked: Vec<Outpoint> = asked
            .map(|(vout, _)| Outpoint {
                txid: version.txid,
                vout,
            })
            .collect();
        let told = self.node.outputs(&asked, false).await.map_err(no_answer)?;
        let Some(coin) = told.into_iter().flatten().next() else {
            return Ok(None);
        };
        let height = tip.height.saturating_add(1).checked_sub(coin.confirmations);
        let height = height.ok_or_else(|| unknown("an output older than the chain"))?;
        let hash = self.node.hash_at(height).await.map_err(no_answer)?;
        let hash = hash.ok_or_else(|| unknown("the chain moved"))?;
        let header = self.in_best_chain(hash).await?;
        header.map(Some).ok_or_else(|| unknown("the chain moved"))
    }

    async fn mined(&self, version: &Version, header: ChainHeader) -> Result<Sight, WalletError> {
        let fee = self.fee(version.txid, &version.tx, header.hash).await?;
        Ok(Sight::Mined {
            txid: version.txid,
            height: header.height,
            block: header.hash,
            confirmations: u64::try_from(header.confirmations).unwrap_or(0),
            paid: true,
            fee,
        })
    }

    /// Keeps what the inputs are worth while the node can still say so.
    async fn note_values(&self, tx: &Tx) -> Result<(), WalletError> {
        let outpoints = tx.inputs.iter().map(|input| input.outpoint);
        let asked: Vec<Outpoint> = outpoints
            .filter(|outpoint| self.memory.value(*outpoint).is_none())
            .collect();
        let told = self.node.outputs(&asked, false).await.map_err(no_answer)?;
        for coin in told.into_iter().flatten() {
            self.memory.keep_value(coin.outpoint, coin.value);
        }
        Ok(())
    }

    /// Which inputs are not there to be spent: neither in the best chain nor made by what waits in the memory pool.
    async fn gone_inputs(&self, versions: &[Version]) -> Result<BTreeSet<Outpoint>, WalletError> {
        let inputs = versions.iter().flat_map(|version| &version.tx.inputs);
        let asked: BTreeSet<Outpoint> = inputs.map(|input| input.outpoint).collect();
        let asked: Vec<Outpoint> = asked.into_iter().collect();
        let told = self.node.outputs(&asked, false).await.map_err(no_answer)?;
        let mut missing = Vec::new();
        for (outpoint, coin) in asked.iter().zip(told) {
            match coin {
                Some(coin) => self.memory.keep_value(coin.outpoint, coin.value),
                None => missing.push(*outpoint),
            }
        }
        let told = self.node.outputs(&missing, true).await.map_err(no_answer)?;
        let gone = missing.iter().zip(told).filter(|(_, coin)| coin.is_none());
        Ok(gone.map(|(outpoint, _)| *outpoint).collect())
    }

    /// By what it spends: who took it? One of ours, then it is mined; else it is a conflict, once every version is dead by
    /// something that was found. The latest such death is told, since until then the batch might have been paid.
    async fn explain(
        &self,
        versions: &[Version],
        gone: &BTreeSet<Outpoint>,
        tip: ChainTip,
    ) -> Result<Sight, WalletError> {
        let spenders = self.spenders(versions, gone, tip).await?;
        for (spender, header) in spenders.values() {
            if let Some(version) = versions.iter().find(|one| one.txid == spender.txid) {
                return self.mined(version, *header).await;
            }
        }
        let mut last: Option<(Spender, ChainHeader)> = None;
        let mut makers = Vec::new();
        for version in versions {
            let inputs = version.tx.inputs.iter().map(|input| input.outpoint);
            let deaths = inputs.clone().filter_map(|of| spenders.get(&of));
            let Some(death) = deaths.min_by_key(|(_, header)| header.height) else {
                let gone = inputs.filter(|of| gone.contains(of));
                makers.push(gone.map(|of| of.txid).collect());
                continue;
            };
            if last.is_none_or(|(_, header)| header.height < death.1.height) {
                last = Some(*death);
            }
        }
        if !makers.is_empty() {
            let blocks = self.config.scan_blocks;
            let words = format!(
                "what the transaction spends is gone, and the last {blocks} blocks do not tell by whom"
            );
            return Err(WalletError::Gone { makers, words });
        }
        let (spender, header) = last.ok_or_else(|| unknown("no version"))?;
        Ok(Sight::Conflict {
            by: spender.txid,
            height: header.height,
            confirmations: u64::try_from(header.confirmations).unwrap_or(0),
            fee: self.fee_of_stranger(spender).await?,
        })
    }

    /// Who spent these, as far as memory and the last blocks tell.
    async fn spenders(
        &self,
        versions: &[Version],
        gone: &BTreeSet<Outpoint>,
        tip: ChainTip,
    ) -> Result<BTreeMap<Outpoint, (Spender, ChainHeader)>, WalletError> {
        let mut found = BTreeMap::new();
        for outpoint in gone {
            if let Some(spender) = self.memory.spender(*outpoint)
                && let Some(header) = self.in_best_chain(spender.block).await?
            {
                found.insert(*outpoint, (spender, header));
            }
        }
        let is_told = |found: &BTreeMap<Outpoint, _>| {
            versions.iter().all(|version| {
                let mut inputs = version.tx.inputs.iter();
                inputs.any(|input| found.contains_key(&input.outpoint))
            })
        };
        let mut block = tip.hash;
        for _ in 0..self.config.scan_blocks {
            if is_told(&found) || block == Hash::ZERO || self.memory.was_missed(gone, block) {
                break;
            }
            let bytes = self.node.block(block).await.map_err(no_answer)?;
            let mut here = Vec::new();
            let whole = each_transaction(&bytes, |tx| {
                let spent = tx.inputs.iter().map(|input| input.outpoint);
                let spent: Vec<Outpoint> = spent.filter(|one| gone.contains(one)).collect();
                if !spent.is_empty() {
                    let txid = tx.txid();
                    here.extend(spent.into_iter().map(|one| (one, Spender { txid, block })));
                }
                true
            });
            whole.map_err(|error| unknown(&format!("a block cannot be read: {error}")))?;
            if !here.is_empty() {
                let header = self.in_best_chain(block).await?;
                let header = header.ok_or_else(|| unknown("the chain moved"))?;
                for (outpoint, spender) in here {
                    self.memory.keep_spender(outpoint, spender);
                    found.entry(outpoint).or_insert((spender, header));
                }
            }
            block = parent(&bytes).ok_or_else(|| unknown("a block without header"))?;
        }
        if !is_told(&found) {
            self.memory.keep_missed(gone, tip.hash);
        }
        Ok(found)
    }

    /// What a transaction of ours cost: its inputs less its outputs.
    async fn fee(&self, txid: Hash, tx: &Tx, block: Hash) -> Result<u128, WalletError> {
        if self.key.is_none() {
            let held = self.node.held_transaction(txid).await.map_err(no_answer)?;
            if let Some(fee) = held.and_then(|held| held.fee) {
                return Ok(u128::from(fee));
            }
        }
        let mut unknown_inputs = BTreeSet::new();
        for input in &tx.inputs {
            if self.memory.value(input.outpoint).is_none()
                && !self.value_by_name(input.outpoint).await?
            {
                unknown_inputs.insert(input.outpoint);
            }
        }
        self.values_by_blocks(unknown_inputs, block).await?;
        let mut spent: u128 = 0;
        for input in &tx.inputs {
            let value = self.memory.value(input.outpoint);
            spent += u128::from(value.ok_or_else(|| unknown("what a mined transaction spent"))?);
        }
        let paid: u128 = tx
            .outputs
            .iter()
            .map(|output| u128::from(output.value))
            .sum();
        let fee = spent.checked_sub(paid);
        fee.ok_or_else(|| unknown("a mined transaction pays more than it spends"))
    }

    /// Whether the node knows the transaction that made a coin, by name; then its outputs are kept.
    async fn value_by_name(&self, outpoint: Outpoint) -> Result<bool, WalletError> {
        let made = self
            .node
            .transaction(outpoint.txid)
            .await
            .map_err(no_answer)?;
        let Some(made) = made else {
            return Ok(false);
        };
        // Extensions that a node puts into a transaction by itself are not read here; then blocks tell.
        Ok(Tx::read(&made.raw).is_ok_and(|made| self.keep_outputs(outpoint.txid, &made)))
    }

    fn keep_outputs(&self, txid: Hash, made: &Tx) -> bool {
        if made.txid() != txid {
            return false;
        }
        for (vout, output) in (0_u32..).zip(&made.outputs) {
            self.memory
                .keep_value(Outpoint { txid, vout }, output.value);
        }
        true
    }

    /// Reads blocks backwards, from the one that has the spending transaction, until every coin's maker was met.
    async fn values_by_blocks(
        &self,
        coins: BTreeSet<Outpoint>,
        from: Hash,
    ) -> Result<(), WalletError> {
        let mut makers: BTreeSet<Hash> = coins.into_iter().map(|coin| coin.txid).collect();
        let mut block = from;
        for _ in 0..self.config.scan_blocks {
            if makers.is_empty() || block == Hash::ZERO {
                return Ok(());
            }
            let bytes = self.node.block(block).await.map_err(no_answer)?;
            let whole = each_transaction(&bytes, |tx| {
                let txid = tx.txid();
                if makers.remove(&txid) {
                    self.keep_outputs(txid, &tx);
                }
                true
            });
            whole.map_err(|error| unknown(&format!("a block cannot be read: {error}")))?;
            block = parent(&bytes).ok_or_else(|| unknown("a block without header"))?;
        }
        if makers.is_empty() {
            return Ok(());
        }
        let blocks = self.config.scan_blocks;
        Err(unknown(&format!(
            "what the transaction spent was made more than {blocks} blocks before: a node with txindex=1 can tell"
        )))
    }

    /// What a conflicting transaction cost us; 0 if it is not ours.
    async fn fee_of_stranger(&self, spender: Spender) -> Result<u128, WalletError> {
        let Some(key) = &self.key else {
            let held = self.node.held_transaction(spender.txid).await;
            let held = held.map_err(no_answer)?;
            return Ok(u128::from(held.and_then(|held| held.fee).unwrap_or(0)));
        };
        let bytes = self.node.block(spender.block).await.map_err(no_answer)?;
        let mut stranger = None;
        let whole = each_transaction(&bytes, |tx| {
            if tx.txid() == spender.txid {
                stranger = Some(tx);
            }
            stranger.is_none()
        });
        whole.map_err(|error| unknown(&format!("a block cannot be read: {error}")))?;
        let stranger = stranger.ok_or_else(|| unknown("the chain moved"))?;
        let is_ours = stranger.inputs.iter().all(|input| {
            let told = input.witness.last().unwrap_or(&input.script_sig);
            told.ends_with(key.public())
        });
        if is_ours {
            self.fee(spender.txid, &stranger, spender.block).await
        } else {
            Ok(0)
        }
    }
}

/// The block before, from a block's header.
pub(super) fn parent(block: &[u8]) -> Option<Hash> {
    let (_version, rest) = block.split_first_chunk::<4>()?;
    rest.first_chunk().copied().map(Hash)
}

pub(super) fn unknown(words: &str) -> WalletError {
    WalletError::NoAnswer(words.to_owned())
}
