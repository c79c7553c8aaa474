//! Why nothing is proposed or signed now, in words.

use orebook_schema::At;

use crate::plan::Nobody;

/// What the next payout waits for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The ledger is not read to its end.
    #[error("the ledger is not read to its end yet")]
    Reading,
    /// What was said is not final.
    #[error("what was said last is not final yet")]
    Saying,
    /// The ledger refuses this producer's key.
    #[error("the ledger refuses this paymaster's key")]
    KeyRefused,
    /// People have to resume.
    #[error("the wallet is halted since {at}: {reason}")]
    Halted {
        /// Where it was halted.
        at: At,
        /// As whoever halted it said.
        reason: String,
    },
    /// Approvers have to approve.
    #[error("batch {batch} waits for approvals: {have} of {needed}")]
    Unapproved {
        /// Which.
        batch: u64,
        /// Valid approvals so far.
        have: u8,
        /// Needed.
        needed: u8,
    },
    /// A transaction is neither confirmed nor at an end.
    #[error("transaction {tx} of batch {batch} is {state}")]
    Unfinished {
        /// Its batch.
        batch: u64,
        /// Which.
        tx: u16,
        /// Its state's name.
        state: &'static str,
    },
    /// The last batch was proposed a short while ago.
    #[error("the next batch comes at ledger time {0} ms")]
    Interval(u64),
    /// The wallet's node does not answer, or says what is missing.
    #[error("{0}")]
    Wallet(String),
    /// The chain has less than is owed.
    #[error("the wallet has {balance} base units, and {owed} are owed")]
    Short {
        /// Available and reserved of all accounts, base units.
        owed: u128,
        /// What the chain has.
        balance: u128,
    },
    /// There is nothing to pay.
    #[error(transparent)]
    Nobody(#[from] Nobody),
    /// Projectors are asked before coins move.
    #[error("too few projectors answer with their digest of money: {0}")]
    Digests(String),
    /// The ledger did not obey what was said last; it is tried again a while later.
    #[error("the ledger did not obey what was said last: it is tried again later")]
    Resting,
    /// This paymaster says nothing.
    #[error("this is a dry run: nothing is said, signed or sent")]
    DryRun,
    /// Nothing: something is under way.
    #[error("nothing: a payout is under way")]
    Nothing,
}

impl Why {
    /// Its number, for `/metrics`: stable.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Reading => 1,
            Self::Saying => 2,
            Self::KeyRefused => 3,
            Self::Halted { .. } => 4,
            Self::Unapproved { .. } => 5,
            Self::Unfinished { .. } => 6,
            Self::Interval(_) => 7,
            Self::Wallet(_) => 8,
            Self::Short { .. } => 9,
            Self::Nobody(_) => 10,
            Self::Digests(_) => 11,
            Self::Resting => 12,
            Self::DryRun => 13,
        }
    }
}
