//! The mean of the fees of 144 chain blocks, which FPPS adds to a share's pay (docs/rules.md 3.8).
//!
//! Heights divisible by [`EACH_BLOCKS`] only, as deep as an immature block: so two settlers say the same of the same blocks, and what
//! the second says is not obeyed.

use std::collections::BTreeMap;

use orebook_schema::work::{FEE_MEAN_MAX, FeeMean};
use orebook_schema::{At, Hash};

use crate::look::Dialect;
use crate::view::{Answer, ChainView, NoAnswer};

/// Blocks of a mean.
pub const MEAN_BLOCKS: u64 = 144;
/// A mean is said for heights divisible by this.
pub const EACH_BLOCKS: u64 = 12;
/// Blocks whose fees are asked for in one turn at most; the others have the next turns.
pub const BLOCKS_PER_TURN: usize = 16;

/// The last obeyed mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastMean {
    /// Where it stands: what the next one expects. Zero before the first.
    pub at: At,
    /// Height of its newest block, 0 before the first.
    pub height: u64,
}

/// A block's fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFees {
    /// Its hash.
    pub hash: Hash,
    /// The block below.
    pub below: Hash,
    /// What its transactions paid its miner, base units.
    pub fees: u128,
}

/// The newest blocks' fees, as far as they were read.
#[derive(Clone, Debug, Default)]
pub struct FeeMeans {
    blocks: BTreeMap<u64, BlockFees>,
}

/// The newest height that a mean is said for; none where the chain is too short, or nothing new is to be said.
#[must_use]
pub fn height_due(tip: u64, depth: u64, last: LastMean) -> Option<u64> {
    let deep = tip.checked_sub(depth)?;
    let height = deep - deep % EACH_BLOCKS;
    (MEAN_BLOCKS <= height + 1 && last.height < height).then_some(height)
}

impl FeeMeans {
    /// Reads on, and says the mean if all its blocks are read. `depth` is the newest policy's immature depth.
    ///
    /// # Errors
    /// [`NoAnswer`]; also of a node that cannot tell a block's fees.
    pub async fn turn(
        &mut self,
        view: &impl ChainView,
        dialect: &Dialect,
        depth: u64,
        last: LastMean,
    ) -> Answer<Option<FeeMean>> {
        let tip = view.tip().await?.height;
        let Some(height) = height_due(tip, depth, last) else {
            return Ok(None);
        };
        let first = height + 1 - MEAN_BLOCKS;
        self.blocks = self.blocks.split_off(&first);
        let missing = (first..=height).filter(|height| !self.blocks.contains_key(height));
        let missing: Vec<u64> = missing.take(BLOCKS_PER_TURN).collect();
        for height in missing {
            let Some(read) = block_fees(view, dialect, height).await? else {
                return Ok(None);
            };
            self.blocks.insert(height, read);
        }
        let blocks = || self.blocks.range(first..=height).map(|(_, block)| block);
        if u64::try_from(blocks().count()) != Ok(MEAN_BLOCKS) {
            return Ok(None);
        }
        // Blocks of two chains, or of two nodes' chains: all are read again.
        let links = blocks()
            .zip(blocks().skip(1))
            .all(|(below, block)| block.below == below.hash);
        let newest = self.blocks.get(&height).map(|block| block.hash);
        if !links || view.hash_at(height).await? != newest {
            self.blocks.clear();
            return Ok(None);
        }
        let sum = blocks().try_fold(0_u128, |sum, block| sum.checked_add(block.fees));
        let mean = sum.map(|sum| sum / u128::from(MEAN_BLOCKS));
        let mean = mean.filter(|mean| *mean <= FEE_MEAN_MAX);
        let too_large = || NoAnswer("fees beyond what any chain pays".to_owned());
        Ok(Some(FeeMean {
            height,
            expects: last.at,
            mean: mean.ok_or_else(too_large)?,
        }))
    }
}

/// A block's fees; none if the node does not have the block.
async fn block_fees(
    view: &impl ChainView,
    dialect: &Dialect,
    height: u64,
) -> Answer<Option<BlockFees>> {
    match dialect {
        Dialect::Ethash(_) => {
            let Some(header) = view.eth_at(height).await? else {
                return Ok(None);
            };
            Ok(Some(BlockFees {
                hash: header.hash,
                below: header.parent,
                fees: view.fees(&header).await?,
            }))
        }
        Dialect::Bitcoin(_) => {
            let Some(hash) = view.hash_at(height).await? else {
                return Ok(None);
            };
            let Some(block) = view.block(hash).await? else {
                return Ok(None);
            };
            let outputs = block.coinbase_outputs.iter();
            let paid = outputs.fold(0_u128, |sum, (value, _)| sum.saturating_add(*value));
            let beyond = block.subsidy.map(|subsidy| paid.saturating_sub(subsidy));
            let unknown = || NoAnswer("the node has no statistics of its blocks' fees".to_owned());
            Ok(Some(BlockFees {
                hash,
                below: block.header.prev,
                fees: block.fees.or(beyond).ok_or_else(unknown)?,
            }))
        }
    }
}
