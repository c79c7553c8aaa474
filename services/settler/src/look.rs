//! Looking at the chain for one block: the questions, and the sight they add up to.

use orebook_chain::ChainBlock;
use orebook_replay::folds::obeyed::VALUE_MAX;
use orebook_schema::Hash;

use crate::book::OurBlock;
use crate::decide::{Pay, Sight, next_state};
use crate::ethash::{self, EthRules};
use crate::view::{Answer, ChainView, on_top};

/// How the chain's blocks are known to be ours.
#[derive(Clone, Debug)]
pub enum Dialect {
    /// A bitcoin-like's: by their coinbases.
    Bitcoin(Payout),
    /// An ethash-like's: by their headers.
    Ethash(EthRules),
}

/// How a coinbase is known to be ours.
#[derive(Clone, Debug, Default)]
pub struct Payout {
    /// Output scripts that pay us: the one in use and every earlier one. A block that pays none of them is not settled.
    pub scripts: Vec<Vec<u8>>,
    /// Texts that our coinbases carry: the one in use and every earlier one. Empty: a payout script alone is enough to
    /// recover a block by.
    pub texts: Vec<String>,
}

impl Payout {
    /// What a block paid us, base units; none if nothing, or more than the ledger takes.
    fn value(&self, block: &ChainBlock) -> Option<u128> {
        let ours = block
            .coinbase_outputs
            .iter()
            .filter(|(_, script)| self.scripts.contains(script));
        let value = ours.fold(0u128, |sum, (value, _)| sum.saturating_add(*value));
        (0 < value && value <= VALUE_MAX).then_some(value)
    }

    /// What the coinbase of a job of ours paid that pays accounts too: all of it, also where nothing was left for us.
    fn value_of_direct(&self, block: &ChainBlock) -> Option<u128> {
        let outputs = || block.coinbase_outputs.iter();
        if !outputs().any(|(_, script)| self.scripts.contains(script)) {
            return None;
        }
        let value = outputs().fold(0u128, |sum, (value, _)| sum.saturating_add(*value));
        (0 < value && value <= VALUE_MAX).then_some(value)
    }

    /// What a coinbase paid us, if it carries our text; else none: it is not ours.
    #[must_use]
    pub fn of_ours(&self, block: &ChainBlock) -> Option<Pay> {
        let carries = |text: &String| {
            let text = text.as_bytes();
            !text.is_empty()
                && block
                    .coinbase_script_sig
                    .windows(text.len())
                    .any(|part| part == text)
        };
        let is_ours = self.texts.is_empty() || self.texts.iter().any(carries);
        let value = self.value(block).filter(|_| is_ours)?;
        Some(Pay {
            value,
            fees: fees_of_chain(block, value),
        })
    }

    /// What a block that is known to be ours paid us, and accounts where its job says so (money rules, 11.5.1): fees are those of its job's template, if the chain's coinbase is the
    /// one that was named, else as the chain shows them.
    #[must_use]
    pub fn of(&self, ours: &OurBlock, block: &ChainBlock) -> Option<Pay> {
        let is_named = ours.coinbase_txid == block.coinbase_txid;
        let value = if ours.is_direct && is_named {
            self.value_of_direct(block)?
        } else {
            self.value(block)?
        };
        let fees = ours
            .job_fees
            .filter(|_| is_named)
            .unwrap_or_else(|| fees_of_chain(block, value));
        Some(Pay {
            value,
            fees: fees.min(value),
        })
    }
}

/// Fees as the node knows them, or value − subsidy, or none.
fn fees_of_chain(block: &ChainBlock, value: u128) -> u128 {
    let beyond = |subsidy: u128| value.saturating_sub(subsidy);
    let fees = block.fees.or_else(|| block.subsidy.map(beyond));
    fees.unwrap_or(0).min(value)
}

/// Asks what is needed to decide about a block.
///
/// # Errors
/// [`crate::view::NoAnswer`]: nothing was seen.
pub async fn look(view: &impl ChainView, dialect: &Dialect, block: &OurBlock) -> Answer<Sight> {
    match dialect {
        Dialect::Bitcoin(payout) => look_for_coinbase(view, payout, block).await,
        Dialect::Ethash(rules) => ethash::look(view, rules, block).await,
    }
}

async fn look_for_coinbase(
    view: &impl ChainView,
    payout: &Payout,
    block: &OurBlock,
) -> Answer<Sight> {
    if let Some(header) = view.header(block.hash).await?
        && let Some(depth) = on_top(&header)
    {
        let bare = Sight::Ours {
            height: header.height,
            on_top: depth,
            pay: None,
        };
        if next_state(block, &bare).is_none() {
            return Ok(bare);
        }
        let Some(found) = view.block(block.hash).await? else {
            return Ok(Sight::Unknown);
        };
        return Ok(Sight::Ours {
            height: header.height,
            on_top: depth,
            pay: payout.of(block, &found),
        });
    }
    let Some(other) = quorum(block.hash, &view.hash_at_each(block.height).await) else {
        return Ok(Sight::Unknown);
    };
    let depth = view.header(other).await?.as_ref().and_then(on_top);
    Ok(depth.map_or(Sight::Unknown, |on_top| Sight::Other { on_top }))
}

/// The other block at our block's height that more than half of all nodes show, if none shows ours.
pub(crate) fn quorum(ours: Hash, answers: &[Answer<Option<Hash>>]) -> Option<Hash> {
    let shown = || answers.iter().filter_map(|answer| *answer.as_ref().ok()?);
    let first = shown().next()?;
    if shown().any(|hash| hash == ours) {
        return None;
    }
    let votes = |hash: Hash| shown().filter(|shown| *shown == hash).count();
    let most = shown().fold(first, |best, hash| {
        if votes(best) < votes(hash) {
            hash
        } else {
            best
        }
    });
    (answers.len() < votes(most).saturating_mul(2)).then_some(most)
}
