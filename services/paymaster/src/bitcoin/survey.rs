//! All that a wallet has, and what left it that the ledger does not name.
//!
//! With a key, blocks are read forwards, a few at a time, and what was read is not read again. A spend of ours is told by the coin:
//! one that the node listed, that a block made for our script, or an output of a transaction that the ledger has, whose input
//! then has our public key in the form of our script. The key in an input alone tells nothing: whoever saw it once can write it there.
//! The wallet inside a node lists its own.

use std::collections::BTreeSet;

use orebook_chain::wallet::bitcoin::Outpoint;
use orebook_schema::Hash;

use super::coins::Lock;
use super::look::{parent, unknown};
use super::tx::{Input, Tx, each_transaction};
use super::{BitcoinWallet, no_answer};
use crate::survey::{Asked, FOREIGN_MAX, Foreign, Survey, Surveyed};
use crate::wallet::WalletError;

/// Blocks that one survey reads at most: a paymaster has other things to do between.
const BLOCKS_AT_ONCE: u64 = 16;

/// What was read of blocks so far.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// The first block that was read.
    from: u64,
    /// The next to be read.
    next: u64,
    /// The last that was read; none before the first.
    last: Option<Hash>,
    /// Coins of ours that were not seen spent.
    coins: BTreeSet<Outpoint>,
    /// What spent coins of ours, ours or not, with the height.
    spends: Vec<(Hash, u64)>,
}

impl BitcoinWallet {
    pub(super) async fn survey_all(&self, asked: &Asked) -> Result<Surveyed, WalletError> {
        let standing = self.standing().await?;
        let (_, balance) = self.funds(&standing).await?;
        let mut survey = Survey {
            balance,
            height: standing.height,
            since: None,
            foreign: Vec::new(),
        };
        let Some(since) = asked.since else {
            return Ok(Surveyed::Done(survey));
        };
        let lowest = standing
            .height
            .saturating_add(1)
            .saturating_sub(self.config.scan_blocks.into());
        let from = since.max(lowest);
        let (from, spends) = if self.key.is_none() {
            (from, self.held_spends(from, standing.height).await?)
        } else {
            let scan = self.scan(from, standing.height, asked).await?;
            let left = standing.height.saturating_add(1).saturating_sub(scan.next);
            if 0 < left {
                return Ok(Surveyed::Reading(left));
            }
            (scan.from, scan.spends)
        };
        survey.since = Some(from);
        let strange = spends
            .into_iter()
            .filter(|(txid, _)| !asked.txids.contains(txid));
        let strange: BTreeSet<Foreign> = strange
            .map(|(txid, height)| Foreign {
                txid: Some(txid),
                height: Some(height),
                nonce: None,
            })
            .collect();
        survey.foreign = strange.into_iter().take(FOREIGN_MAX).collect();
        Ok(Surveyed::Done(survey))
    }

    /// By the wallet inside the node: what it lists as sent, in blocks from a height on.
    async fn held_spends(&self, from: u64, tip: u64) -> Result<Vec<(Hash, u64)>, WalletError> {
        let before = match from.checked_sub(1) {
            Some(before) if before <= tip => self.node.hash_at(before).await.map_err(no_answer)?,
            _ => None,
        };
        let sent = self.node.held_sent(before).await.map_err(no_answer)?;
        let placed = sent.into_iter().map(|sent| {
            let above = tip.saturating_add(1).checked_sub(sent.confirmations);
            // A block came in between: another look has it.
            let height = above.ok_or_else(|| unknown("the chain moved"))?;
            Ok((sent.txid, height))
        });
        placed.collect()
    }

    /// Reads on, from where it stands.
    async fn scan(&self, from: u64, tip: u64, asked: &Asked) -> Result<Scan, WalletError> {
        let mut scan = match self.memory.scan().filter(|scan| scan.next <= tip + 1) {
            Some(scan) => scan,
            None => self.begin(from).await?,
        };
        for _ in 0..BLOCKS_AT_ONCE {
            if tip < scan.next {
                break;
            }
            let hash = self.node.hash_at(scan.next).await.map_err(no_answer)?;
            let hash = hash.ok_or_else(|| unknown("the chain moved"))?;
            let bytes = self.node.block(hash).await.map_err(no_answer)?;
            if scan.last.is_some() && scan.last != parent(&bytes) {
                // A reorganisation took what was read: from the beginning.
                self.memory.keep_scan(None);
                return Err(unknown("the chain moved"));
            }
            let height = scan.next;
            let whole = each_transaction(&bytes, |tx| {
                self.note(&tx, height, asked, &mut scan);
                true
            });
            whole.map_err(|error| unknown(&format!("a block cannot be read: {error}")))?;
            (scan.next, scan.last) = (height.saturating_add(1), Some(hash));
        }
        self.memory.keep_scan(Some(scan.clone()));
        Ok(scan)
    }

    async fn begin(&self, from: u64) -> Result<Scan, WalletError> {
        let listed = self.node.coins(self.config.script.bytes()).await;
        let listed = listed.map_err(no_answer)?.coins;
        Ok(Scan {
            from,
            next: from,
            last: None,
            coins: listed.into_iter().map(|coin| coin.outpoint).collect(),
            spends: Vec::new(),
        })
    }

    fn note(&self, tx: &Tx, height: u64, asked: &Asked, scan: &mut Scan) {
        let own = self.config.script.bytes();
        let mut is_spent = false;
        for input in &tx.inputs {
            let of = input.outpoint;
            let is_of_ours = asked.txids.contains(&of.txid) || asked.coinbases.contains(&of.txid);
            is_spent |= scan.coins.remove(&of) || (is_of_ours && self.is_signed_by_us(input));
        }
        let mut txid = None;
        for (vout, output) in (0_u32..).zip(&tx.outputs) {
            if output.script == own {
                let txid = *txid.get_or_insert_with(|| tx.txid());
                scan.coins.insert(Outpoint { txid, vout });
            }
        }
        if is_spent {
            let txid = txid.unwrap_or_else(|| tx.txid());
            scan.spends.push((txid, height));
        }
    }

    /// Whether an input has our public key where an input of our script has it.
    fn is_signed_by_us(&self, input: &Input) -> bool {
        let Some(key) = &self.key else {
            return false;
        };
        match Lock::of(self.config.script.bytes()) {
            Some(Lock::Witness) => {
                input.script_sig.is_empty()
                    && matches!(input.witness.as_slice(), [_, of] if of == key.public())
            }
            Some(Lock::Legacy) => {
                input.witness.is_empty() && input.script_sig.ends_with(key.public())
            }
            Some(Lock::Nested) | None => false,
        }
    }
}
