//! What to say of a block: a pure function of what the final ledger says and what the chain shows.
//!
//! Only changes of state are said, one at a time, each expecting the one before. A block is orphaned by another block at
//! its height and by nothing else: not by a node that does not know it, not by an error, not by silence.

use orebook_schema::work::{BlockState, BlockStatus};

use crate::book::OurBlock;

/// What the chain paid us with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pay {
    /// To our scripts, base units.
    pub value: u128,
    /// Transaction fees therein, base units, at most `value`.
    pub fees: u128,
}

/// What the chain shows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It stands on the best chain.
    Ours {
        /// Its height there.
        height: u64,
        /// Blocks on top of it.
        on_top: u64,
        /// What it paid us; none if that was not asked, or if it pays none of our scripts.
        pay: Option<Pay>,
    },
    /// Another block stands at its height, and a quorum of nodes says so.
    Other {
        /// Blocks on top of that one.
        on_top: u64,
    },
    /// Nobody can tell: no answer, a node that does not know the block, nodes that disagree.
    Unknown,
}

/// The state that a sight calls for; none if nothing is to be said.
#[must_use]
pub fn next_state(block: &OurBlock, sight: &Sight) -> Option<BlockState> {
    use BlockState::{Confirmed, Immature, Orphaned, Seen};
    let state = block.obeyed.map(|obeyed| obeyed.state);
    match *sight {
        Sight::Ours { on_top, .. } => {
            let is_immature = u64::from(block.depths.immature) <= on_top;
            let is_confirmed = u64::from(block.depths.confirmed) <= on_top;
            match state {
                None => Some(Seen),
                Some(Seen | Orphaned) => is_immature.then_some(Immature),
                Some(Immature) => is_confirmed.then_some(Confirmed),
                Some(Confirmed) => None,
            }
        }
        Sight::Other { on_top } => {
            let is_orphaned = u64::from(block.depths.orphan) <= on_top;
            (is_orphaned && state != Some(Orphaned)).then_some(Orphaned)
        }
        Sight::Unknown => None,
    }
}

/// The event to append; none if nothing is to be said, or if what the block paid us is not known.
#[must_use]
pub fn decide(block: &OurBlock, sight: &Sight) -> Option<BlockStatus> {
    let state = next_state(block, sight)?;
    let (height, pay) = match *sight {
        Sight::Ours { height, pay, .. } => (height, pay?),
        // What it would have paid: shown beside the orphan, and zero if nobody ever saw it on the chain.
        Sight::Other { .. } => {
            let last = block.obeyed.map(|last| Pay {
                value: last.value,
                fees: last.fees,
            });
            (block.height, last.unwrap_or(Pay { value: 0, fees: 0 }))
        }
        Sight::Unknown => return None,
    };
    Some(BlockStatus {
        hash: block.hash,
        expects: block.obeyed.map(|last| last.at).unwrap_or_default(),
        state,
        height,
        value: pay.value,
        fees: pay.fees.min(pay.value),
    })
}
