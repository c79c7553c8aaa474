//! Which of a settler's words are obeyed: the one rule, for every fold that follows blocks (design 5, LEDGER-FORMAT.md
//! section 3, money rules 5 and reading 14).
//!
//! `money`, `blocks` and the settler's own book each keep rows of their own, and ask here with what their rows say. A word
//! that is not obeyed is noted as refused and changes nothing else; it is nobody's last obeyed one.
//!
//! The three agree on every event but one that nobody reaches: `money` alone refuses also a status whose postings might
//! carry the sum over all books past 2^128 sub-units, which takes 2^16 statuses of [`VALUE_MAX`] each, or a thousand times
//! all the ether classic there will ever be. From there on `money` would stay where it is, and the others would go on
//! showing states that move nothing.

use orebook_schema::At;
use orebook_schema::work::{BlockRecovered, BlockStatus};

/// Largest value of a block, base units: 2^80. A status that says more is refused, so that sub-units and their sums stay
/// within u128 for ever.
pub const VALUE_MAX: u128 = 1 << 80;

/// Why a deciding event of a block, or of payouts (money rules, 8), was not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Its subject had moved on.
    Expects = 1,
    /// Nobody named the block before; or there is no such transaction of an obeyed batch.
    Unknown = 2,
    /// A share explains the block; or, of a `block_found`, the block was named before.
    Known = 3,
    /// The value is above [`VALUE_MAX`], or, in `money`, a sum over all books might pass 2^128.
    Value = 4,
    /// The wallet is halted.
    Halted = 5,
    /// The batch is not the wallet's next, or one of the wallet's is on its way.
    Batch = 6,
    /// What it names was not said in parts right before, or is not what it says.
    Whole = 7,
    /// A line's address is not in force, its account has not so much, or below the threshold, or its fee is another.
    Line = 8,
    /// A block that the batch cites is not confirmed.
    Block = 9,
    /// The transaction, or the wallet, is in a state from which this does not follow.
    State = 10,
    /// The batch is not approved.
    Approval = 11,
    /// The account does not owe, or not for long enough.
    Debt = 12,
}

impl Refusal {
    /// Every cause.
    pub const ALL: [Self; 12] = [
        Self::Expects,
        Self::Unknown,
        Self::Known,
        Self::Value,
        Self::Halted,
        Self::Batch,
        Self::Whole,
        Self::Line,
        Self::Block,
        Self::State,
        Self::Approval,
        Self::Debt,
    ];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expects => "expects",
            Self::Unknown => "unknown",
            Self::Known => "known",
            Self::Value => "value",
            Self::Halted => "halted",
            Self::Batch => "batch",
            Self::Whole => "whole",
            Self::Line => "line",
            Self::Block => "block",
            Self::State => "state",
            Self::Approval => "approval",
            Self::Debt => "debt",
        }
    }
}

/// What a fold's row says of a block that a counted `block_found` or an obeyed `block_recovered` named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whether a counted `block_found` named it, first or later.
    pub is_found: bool,
    /// Place of its last obeyed status; none before the first.
    pub last: Option<At>,
}

/// What an obeyed `block_recovered` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It names the block: from here on the block is known.
    Named,
    /// The block was recovered before, and is once more at its turn: only the height's last obeyed event changes.
    Again,
}

/// Whether a status is obeyed: its block is known, it expects the block's last obeyed status, and its value is one. Takes the
/// block's row and gives it back, for there is nothing to change before this.
///
/// # Errors
/// The first test that fails, in this order.
pub fn status<B>(block: Option<B>, said: &BlockStatus) -> Result<B, Refusal>
where
    for<'b> &'b B: Into<Known>,
{
    let block = block.ok_or(Refusal::Unknown)?;
    let known: Known = (&block).into();
    expects(known.last, said.expects)?;
    if VALUE_MAX < said.value {
        return Err(Refusal::Value);
    }
    Ok(block)
}

/// Whether a recovered block is obeyed: it expects the height's last obeyed one, and no share explains the block.
///
/// # Errors
/// The first test that fails, in this order.
pub fn recovered<B>(
    height_last: Option<At>,
    block: Option<&B>,
    said: &BlockRecovered,
) -> Result<Recovery, Refusal>
where
    for<'b> &'b B: Into<Known>,
{
    expects(height_last, said.expects)?;
    match block.map(Into::<Known>::into) {
        None => Ok(Recovery::Named),
        Some(block) if block.is_found => Err(Refusal::Known),
        Some(_) => Ok(Recovery::Again),
    }
}

/// Compare and set: zero stands for "nothing obeyed yet".
fn expects(last: Option<At>, expected: At) -> Result<(), Refusal> {
    if last.unwrap_or_default() == expected {
        Ok(())
    } else {
        Err(Refusal::Expects)
    }
}

#[cfg(test)]
mod tests {
    use orebook_schema::Hash;
    use orebook_schema::work::BlockState;

    use super::*;

    const NONE: At = At {
        position: 0,
        index: 0,
    };
    const FIRST: At = At {
        position: 7,
        index: 2,
    };
    /// The same position, another event of it.
    const SECOND: At = At {
        position: 7,
        index: 3,
    };

    /// A fold's row.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Row(Known);

    impl From<&Row> for Known {
        fn from(row: &Row) -> Self {
            row.0
        }
    }

    const fn known(is_found: bool, last: Option<At>) -> Option<Row> {
        Some(Row(Known { is_found, last }))
    }

    #[test]
    fn a_status_is_obeyed_iff_its_block_is_known_it_expects_the_last_one_and_its_value_is_one() {
        let table = [
            // Block, expects, value: obeyed, or why not.
            (None, NONE, 50, Err(Refusal::Unknown)),
            (None, FIRST, VALUE_MAX + 1, Err(Refusal::Unknown)),
            (known(true, None), NONE, 50, Ok(())),
            (known(false, None), NONE, 50, Ok(())),
            (known(true, None), FIRST, 50, Err(Refusal::Expects)),
            (known(true, Some(FIRST)), FIRST, 50, Ok(())),
            (known(false, Some(FIRST)), FIRST, 0, Ok(())),
            (known(true, Some(FIRST)), NONE, 50, Err(Refusal::Expects)),
            (known(true, Some(FIRST)), SECOND, 50, Err(Refusal::Expects)),
            (known(true, Some(SECOND)), FIRST, 50, Err(Refusal::Expects)),
            (known(true, Some(FIRST)), FIRST, VALUE_MAX, Ok(())),
            (
                known(true, Some(FIRST)),
                FIRST,
                VALUE_MAX + 1,
                Err(Refusal::Value),
            ),
            (known(true, None), NONE, u128::MAX, Err(Refusal::Value)),
            (known(true, None), FIRST, u128::MAX, Err(Refusal::Expects)),
        ];
        for (block, expects, value, obeyed) in table {
            for state in BlockState::ALL {
                let said = BlockStatus {
                    hash: Hash::ZERO,
                    expects,
                    state,
                    height: 9,
                    value,
                    fees: 0,
                };
                let given = status(block, &said);
                assert_eq!(given.map(|_| ()), obeyed, "{block:?}, {said:?}");
                assert!(given.is_err() || given.ok() == block, "the row comes back");
            }
        }
    }

    #[test]
    fn a_recovery_is_obeyed_iff_it_expects_the_heights_last_one_and_no_share_explains_the_block() {
        use Recovery::{Again, Named};
        let table = [
            // The height's last one, the block, expects: what it is, or why it is not obeyed.
            (None, None, NONE, Ok(Named)),
            (None, None, FIRST, Err(Refusal::Expects)),
            (Some(FIRST), None, FIRST, Ok(Named)),
            (Some(FIRST), None, NONE, Err(Refusal::Expects)),
            (Some(FIRST), None, SECOND, Err(Refusal::Expects)),
            (Some(FIRST), known(false, None), FIRST, Ok(Again)),
            // What the block's own last status is does not matter: the subject is the height.
            (Some(FIRST), known(false, Some(SECOND)), FIRST, Ok(Again)),
            (
                Some(FIRST),
                known(false, Some(SECOND)),
                SECOND,
                Err(Refusal::Expects),
            ),
            // Recovered under another height before.
            (None, known(false, None), NONE, Ok(Again)),
            (None, known(true, None), NONE, Err(Refusal::Known)),
            (Some(FIRST), known(true, None), FIRST, Err(Refusal::Known)),
            (Some(FIRST), known(true, None), NONE, Err(Refusal::Expects)),
        ];
        for (last, block, expects, obeyed) in table {
            let said = BlockRecovered {
                hash: Hash::ZERO,
                height: 9,
                expects,
                coinbase_txid: Hash::ZERO,
                // A recovery posts nothing: its value is only shown.
                value: u128::MAX,
                fees: 0,
            };
            let given = recovered(last, block.as_ref(), &said);
            assert_eq!(given, obeyed, "{last:?}, {block:?}");
        }
    }
}
