//! What to say of a block: a pure function of what the final ledger says and what the chain shows.
//!
//! Only changes of state or value are said, one at a time, each expecting the one before. A block is orphaned by another block
//! at its height and by nothing else: not by a node that does not know it, not by an error, not by silence.

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
    /// A block of the best chain includes it as an uncle, and a quorum of nodes says so.
    Uncle {
        /// Blocks on top of the one that includes it.
        on_top: u64,
        /// What that paid us; none if it pays no address of ours.
        pay: Option<Pay>,
    },
    /// Another block stands at its height, and a quorum of nodes says so.
    Other {
        /// Blocks on top of that one; of an ethash-like those beyond the reach of uncles.
        on_top: u64,
    },
    /// Nobody can tell: no answer, a node that does not know the block, nodes that disagree.
    Unknown,
}

/// The state that a sight calls for; none if nothing is to be said.
#[must_use]
pub fn next_state(block: &OurBlock, sight: &Sight) -> Option<BlockState> {
    use BlockState::{Confirmed, Immature, Orphaned, Seen, Uncle};
    let state = block.obeyed.map(|obeyed| obeyed.state);
    let was_uncle = block.obeyed.is_some_and(|obeyed| obeyed.is_uncle);
    let said = block.obeyed.map_or(0, |obeyed| obeyed.value);
    let is_immature = |on_top| u64::from(block.depths.immature) <= on_top;
    let is_confirmed = |on_top| u64::from(block.depths.confirmed) <= on_top;
    match *sight {
        Sight::Ours { on_top, pay, .. } => {
            // Only upwards: two settlers whose nodes disagree would go on for ever.
            let grew = pay.is_some_and(|pay| said < pay.value);
            match state {
                None => Some(Seen),
                Some(Seen | Orphaned | Uncle) => is_immature(on_top).then_some(Immature),
                Some(Immature) if is_confirmed(on_top) => Some(Confirmed),
                Some(Immature) => grew.then_some(Immature),
                Some(Confirmed) if was_uncle => is_immature(on_top).then_some(Immature),
                Some(Confirmed) => grew.then_some(Confirmed),
            }
        }
        Sight::Uncle { on_top, pay } => {
            let is_same = was_uncle && pay.is_none_or(|pay| said == pay.value);
            match state {
                Some(Uncle) if is_same => is_confirmed(on_top).then_some(Confirmed),
                Some(Confirmed) if is_same => None,
                _ => is_immature(on_top).then_some(Uncle),
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
        Sight::Uncle { pay, .. } => (block.height, pay?),
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
