//! Blocks of ethash-likes: canonical ones, uncles, and what they are worth (docs/rules.md 5.7 to 5.9).
//!
//! A block's hash in the ledger is its share's name, and a header's name follows from its fields, which its hash commits to. So
//! a node cannot show a block of ours that is none, nor hide an uncle from a chain of headers that other nodes show too.

use orebook_chain::eth::UNCLE_DEPTH;
use orebook_chain::{EthHeader, Rewards};
use orebook_replay::folds::obeyed::VALUE_MAX;
use orebook_schema::Hash;
use orebook_schema::work::{BlockState, ethash_name};

use crate::book::OurBlock;
use crate::decide::{Pay, Sight, next_state};
use crate::look::quorum;
use crate::view::{Answer, ChainView};

/// An orphan has so many more blocks on top than its policy's orphan_depth: the six that may include it as an uncle, and
/// their own first.
pub const UNCLE_REACH: u64 = UNCLE_DEPTH + 1;

/// How blocks of an ethash-like are known to be ours, and what they are worth.
#[derive(Clone, Debug)]
pub struct EthRules {
    /// Addresses that our nodes' blocks pay: the one in use and every earlier one. A block that pays none of them is not settled.
    pub payees: Vec<[u8; 20]>,
    /// Texts in our blocks' extra data: the one in use and every earlier one. Empty: an address alone is enough to recover a block by.
    pub texts: Vec<String>,
    /// What the chain pays.
    pub rewards: Rewards,
}

impl EthRules {
    /// Those of a pool whose nodes' blocks pay this address. Their extra data is the nodes' own, so no text is asked for.
    #[must_use]
    pub fn new(payee: [u8; 20], rewards: Rewards) -> Self {
        Self {
            payees: vec![payee],
            texts: Vec::new(),
            rewards,
        }
    }

    /// Whether a header is a block of ours, by whom it pays and what it says.
    #[must_use]
    pub fn is_ours(&self, header: &EthHeader) -> bool {
        let says = |text: &String| {
            let text = text.as_bytes();
            !text.is_empty() && header.extra.windows(text.len()).any(|part| part == text)
        };
        self.pays_us(header) && (self.texts.is_empty() || self.texts.iter().any(says))
    }

    fn pays_us(&self, header: &EthHeader) -> bool {
        self.payees.contains(&header.miner)
    }

    /// What a canonical block pays without its fees: new coins and nephew rewards; none if it pays somebody else, or if its
    /// height is not in the table.
    fn fixed(&self, header: &EthHeader, uncles: usize) -> Option<u128> {
        if !self.pays_us(header) {
            return None;
        }
        let uncles = u128::try_from(uncles).ok()?;
        let nephews = self.rewards.nephew(header.number)?.checked_mul(uncles)?;
        self.rewards.block(header.number)?.checked_add(nephews)
    }

    fn uncle(&self, header: &EthHeader, included_at: u64) -> Option<Pay> {
        let value = self.rewards.uncle(header.number, included_at)?;
        (self.pays_us(header) && 0 < value).then_some(Pay { value, fees: 0 })
    }
}

/// The name that a block has in the ledger.
#[must_use]
pub fn name(header: &EthHeader) -> Hash {
    ethash_name(&header.seal, header.nonce)
}

/// Asks what is needed to decide about a block.
///
/// # Errors
/// [`crate::view::NoAnswer`]: nothing was seen.
pub async fn look(view: &impl ChainView, rules: &EthRules, block: &OurBlock) -> Answer<Sight> {
    let tip = view.tip().await?.height;
    let Some(on_top) = tip.checked_sub(block.height) else {
        return Ok(Sight::Unknown);
    };
    let Some(here) = view.eth_at(block.height).await? else {
        return Ok(Sight::Unknown);
    };
    if name(&here) == block.hash {
        return ours(view, rules, block, &here, on_top).await;
    }
    let each = view.eth_at_each(block.height).await;
    if quorum(block.hash, &hashes(&each, block.hash)) != Some(here.hash) {
        return Ok(Sight::Unknown);
    }
    let mut below = here;
    for height in (block.height + 1..).take(usize::try_from(UNCLE_DEPTH).unwrap_or(usize::MAX)) {
        let Some(above) = view.eth_at(height).await? else {
            return Ok(Sight::Unknown);
        };
        // Another node, or another chain, since the last question.
        if above.parent != below.hash {
            return Ok(Sight::Unknown);
        }
        let uncles = view.uncles(&above).await?;
        if let Some(uncle) = uncles.iter().find(|uncle| name(uncle) == block.hash) {
            if !is_shown_by_most(view, &above).await {
                return Ok(Sight::Unknown);
            }
            return Ok(Sight::Uncle {
                on_top: tip.saturating_sub(height),
                pay: rules.uncle(uncle, height),
            });
        }
        below = above;
    }
    // Who shows the last of these headers shows all of them: each names the one below, and the hash of its uncles.
    if !is_shown_by_most(view, &below).await {
        return Ok(Sight::Unknown);
    }
    let beyond = on_top.checked_sub(UNCLE_REACH);
    Ok(beyond.map_or(Sight::Unknown, |on_top| Sight::Other { on_top }))
}

/// What is seen of a block that stands on the best chain. What it paid is asked for only where something is to be said, or its
/// fees may be missing.
async fn ours(
    view: &impl ChainView,
    rules: &EthRules,
    block: &OurBlock,
    header: &EthHeader,
    on_top: u64,
) -> Answer<Sight> {
    let sight = |pay| Sight::Ours {
        height: header.number,
        on_top,
        pay,
    };
    let standing = block.obeyed.filter(|obeyed| {
        let stands = matches!(obeyed.state, BlockState::Immature | BlockState::Confirmed);
        stands && !obeyed.is_uncle
    });
    let lacks_fees = standing.is_some_and(|obeyed| obeyed.fees == 0) && 0 < header.gas_used;
    if next_state(block, &sight(None)).is_none() && !lacks_fees {
        return Ok(sight(None));
    }
    let uncles = view.uncles(header).await?.len();
    let Some(fixed) = rules.fixed(header, uncles) else {
        return Ok(sight(None));
    };
    let said = standing.map(|obeyed| Pay {
        value: obeyed.value,
        fees: obeyed.fees,
    });
    let pay = match view.fees(header).await {
        Ok(fees) => Pay {
            value: fixed.saturating_add(fees),
            fees,
        },
        // A node without receipts: what was said stands, else the block goes on without its fees, and gets them later.
        Err(_) => said.unwrap_or(Pay {
            value: fixed,
            fees: 0,
        }),
    };
    let is_less = said.is_some_and(|said| pay.value < said.value);
    let is_payable = 0 < pay.value && pay.value <= VALUE_MAX && !is_less;
    Ok(sight(is_payable.then_some(pay)))
}

/// Blocks of ours, canonical and uncles, that a height of the best chain has; by name, with the height that each is of. None if
/// the node has no such height. The hash is the block's own.
pub(crate) async fn ours_at(
    view: &impl ChainView,
    rules: &EthRules,
    height: u64,
) -> Answer<Option<(Hash, Vec<(Hash, u64)>)>> {
    let Some(header) = view.eth_at(height).await? else {
        return Ok(None);
    };
    let uncles = view.uncles(&header).await?;
    let all = std::iter::once(&header).chain(&uncles);
    let ours = all.filter(|header| rules.is_ours(header));
    let named = ours.map(|header| (name(header), header.number));
    Ok(Some((header.hash, named.collect())))
}

async fn is_shown_by_most(view: &impl ChainView, header: &EthHeader) -> bool {
    let each = view.eth_at_each(header.number).await;
    let shown = each.iter().filter(|answer| {
        let shown = answer.as_ref().ok().and_then(Option::as_ref);
        shown.is_some_and(|shown| shown.hash == header.hash)
    });
    each.len() < shown.count().saturating_mul(2)
}

/// Each node's hash; of our own block its name.
fn hashes(each: &[Answer<Option<EthHeader>>], ours: Hash) -> Vec<Answer<Option<Hash>>> {
    let hash = |header: &EthHeader| {
        if name(header) == ours {
            ours
        } else {
            header.hash
        }
    };
    let answers = each.iter().map(|answer| match answer {
        Ok(header) => Ok(header.as_ref().map(hash)),
        Err(why) => Err(why.clone()),
    });
    answers.collect()
}
