//! What to do about a signed transaction: a pure function of what the final ledger says of it and of what the chain shows.
//!
//! A transaction that nobody has is sent again, the newest version that was recorded; nothing is built here. What cannot be
//! taken back in the ledger (final, failed, cancelled) waits for the depth at which the chain does not take it back either. So
//! an EVM transaction of status 0 has failed only there: before, a reorganisation could still make it pay.

use orebook_replay::folds::money::payouts::TxState;
use orebook_schema::Hash;
use orebook_schema::payout::Step;

use crate::wallet::Sight;

/// Depths of the policy that is the newest obeyed one, confirmations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depths {
    /// Confirmations that count as paid.
    pub paid: u64,
    /// Confirmations after which nobody looks any more; more than `paid`.
    pub last: u64,
}

/// What the ledger says of a transaction, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its state.
    pub state: TxState,
    /// Its newest signed version.
    pub newest: Hash,
    /// The block of its last step in one.
    pub block: Option<Hash>,
}

/// What to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The step.
    pub step: Step,
    /// The version that is meant, or the other transaction's name.
    pub txid: Hash,
    /// Height of its block; 0 without one.
    pub height: u64,
    /// Its block.
    pub block: Option<Hash>,
    /// What it cost, base units.
    pub fee: u128,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing: the ledger says what the chain shows.
    Nothing,
    /// The same, and it waits in memory pools: whoever pays more is served first.
    Waits,
    /// Send the newest version. If it is taken and the ledger does not say so yet: broadcast.
    Send,
    /// Say a step.
    Say(Said),
    /// Another transaction spent what it spends and will not be taken back: cancel it, if that one is ours.
    Conflict {
        /// Which; zero if the chain does not tell.
        by: Hash,
        /// Height of its block; 0 if the chain does not tell.
        height: u64,
        /// What it cost us, base units.
        fee: u128,
    },
}

/// Decides. `known` is signed and not at an end.
#[must_use]
pub fn decide(known: &Known, sight: &Sight, depths: Depths) -> Act {
    use TxState::{Confirmed, Conflicted, Seen, Signed};
    let bare = |step: Step, txid: Hash| Said {
        step,
        txid,
        height: 0,
        block: None,
        fee: 0,
    };
    match *sight {
        Sight::Nowhere => Act::Send,
        // A replacement that nobody has yet.
        Sight::Pending { txid } if known.state == Signed && txid != known.newest => Act::Send,
        Sight::Pending { .. } if known.state == Seen => Act::Waits,
        Sight::Pending { txid } => Act::Say(bare(Step::Seen, txid)),
        Sight::Mined {
            txid,
            height,
            block,
            confirmations,
            paid,
            fee,
        } => {
            let mined = |step: Step| {
                Act::Say(Said {
                    step,
                    txid,
                    height,
                    block: Some(block),
                    fee,
                })
            };
            let is_paid = paid && depths.paid <= confirmations;
            let is_last = depths.last <= confirmations;
            match known.state {
                _ if is_last && !paid => mined(Step::Failed),
                Confirmed if is_last => mined(Step::Final),
                Confirmed if is_paid => Act::Nothing,
                // A node that is behind shows the same block less deep.
                Confirmed if paid && known.block == Some(block) => Act::Nothing,
                _ if is_paid => mined(Step::Confirmed),
                Seen => Act::Nothing,
                _ => Act::Say(bare(Step::Seen, txid)),
            }
        }
        Sight::Conflict {
            by,
            height,
            confirmations,
            fee,
        } => match known.state {
            Conflicted if depths.last <= confirmations => Act::Conflict { by, height, fee },
            Conflicted => Act::Nothing,
            _ => Act::Say(bare(Step::Conflicted, by)),
        },
    }
}

/// Whether a step takes something back that the ledger says, or can never be taken back: it wants to be seen more than once.
#[must_use]
pub const fn is_grave(state: TxState, step: Step) -> bool {
    matches!(
        step,
        Step::Final | Step::Failed | Step::Conflicted | Step::Unknown
    ) || matches!(state, TxState::Confirmed)
}
