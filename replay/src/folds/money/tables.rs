//! The rows of `money`.

use orebook_schema::names::Pot;
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Hash, Policy, StreamId};

use crate::folds::obeyed::{Known, Refusal};
use crate::row;

use super::books::{Balance, Book, PostingId};
use super::direct::Direct;

row! {
    /// An account: it had a worker once, was adjusted, or a coinbase paid it.
    pub struct AccountRow in table 1 {
        key {
            /// Who.
            account: Account,
        }
        value {
            /// Its first worker's announcement, the first adjustment that took effect, or the first block whose coinbase paid it,
            /// whichever is known first.
            first: At,
        }
    }
}

row! {
    /// An announced worker, for ever: summaries name workers by number.
    pub struct WorkerRow in table 2 {
        key {
            /// Stream.
            stream: StreamId,
            /// Its epoch.
            epoch: u32,
            /// Number within both.
            number: u32,
        }
        value {
            /// Who is paid.
            account: Account,
            /// The pot of its shares.
            pot: Pot,
        }
    }
}

row! {
    /// A policy that a job cites: obeyed, and final before the job.
    pub struct PolicyRow in table 3 {
        key {
            /// Its place.
            at: At,
        }
        value {
            /// What it says.
            policy: Policy,
        }
    }
}

row! {
    /// The policy of the jobs from a number on, within a stream's epoch, until the next such row. One row per job would be
    /// one each half minute for ever; what a share is credited depends on the policy alone.
    pub struct JobRunRow in table 4 {
        key {
            /// Stream.
            stream: StreamId,
            /// Its epoch.
            epoch: u32,
            /// First job's number.
            from: u32,
        }
        value {
            /// Place of the policy; none if the jobs are void.
            policy: Option<At>,
        }
    }
}

row! {
    /// Which moved events of a frame count; no row if none does.
    pub struct MovedRow in table 5 {
        key {
            /// The frame's position.
            position: u64,
        }
        value {
            /// Their indices, ascending.
            counted: Vec<u16>,
        }
    }
}

row! {
    /// A block of ours, found or recovered.
    pub struct BlockRow in table 6 {
        key {
            /// Block hash, header order.
            hash: Hash,
        }
        value {
            /// Place of the event that named it first.
            at: At,
            /// Ledger time there, milliseconds since 1970.
            ledger_time: u64,
            /// Height.
            height: u64,
            /// Txid of its coinbase.
            coinbase_txid: Hash,
            /// What the finding share says; none if the block was recovered.
            finding: Option<Finding>,
            /// Its last obeyed status; none if there was none.
            status: Option<Status>,
            /// In which of the accounts' books its credits stand, at the value of the last obeyed status.
            held: Held,
            /// Events whose postings stand, in order.
            standing: Vec<At>,
            /// Sub-units of the postings that stand.
            standing_posted: u128,
            /// Σ of the weights; none before the first settlement.
            weights: Option<u128>,
            /// Whether a counted block_found named it after it was recovered.
            found_later: bool,
            /// What its coinbase pays accounts; none if its job was not a direct one.
            direct: Option<Direct>,
        }
    }
}

row! {
    /// Blocks by the place of the event that named them first.
    pub struct BlockAtRow in table 7 {
        key {
            /// The place.
            at: At,
        }
        value {
            /// Which block.
            hash: Hash,
            /// The finding share's pot; none if the block was recovered.
            pot: Option<Pot>,
        }
    }
}

row! {
    /// The last obeyed recovered block of a height.
    pub struct HeightRow in table 8 {
        key {
            /// The height.
            height: u64,
        }
        value {
            /// Its place.
            last: At,
        }
    }
}

row! {
    /// What a block's settlement gives an account: made once, kept for revaluations. It stands as the block's state says.
    pub struct CreditRow in table 9 {
        key {
            /// Place of the block (see [`BlockAtRow`]).
            block: At,
            /// Who.
            account: Account,
        }
        value {
            /// Its work in the block's window.
            weight: u128,
            /// Its part of the reward, sub-units, at the block's newest value.
            amount: u128,
            /// The finder's bonus therein not included, sub-units.
            bonus: u128,
            /// What it donated of its parts when the block was found, parts per million.
            donation_ppm: u32,
            /// Its donation, taken out of the amount, sub-units.
            donation: u128,
            /// What the block's coinbase pays it, sub-units: of the amount first, then of its balance.
            direct: u128,
        }
    }
}

row! {
    /// Credits by account.
    pub struct CreditOfRow in table 10 {
        key {
            /// Who.
            account: Account,
            /// Place of the block.
            block: At,
        }
        value {}
    }
}

row! {
    /// A posting.
    pub struct PostingRow in table 11 {
        key {
            /// The event that made it.
            at: At,
            /// Its number among the event's postings, from 0.
            number: u32,
        }
        value {
            /// The block it comes from; of an adjustment the one it explains, zero if none.
            block: Hash,
            /// Book that it is taken from.
            debit: Book,
            /// Book that it is put into.
            credit: Book,
            /// Sub-units, above zero.
            amount: u128,
            /// The posting that this one opposes.
            cites: Option<PostingId>,
        }
    }
}

row! {
    /// A book's balance.
    pub struct BookRow in table 12 {
        key {
            /// Which book.
            book: Book,
        }
        value {
            /// Taken out, sub-units.
            debits: u128,
            /// Put in, sub-units.
            credits: u128,
        }
    }
}

row! {
    /// Sums over all books.
    pub struct TotalsRow in table 13 {
        key {}
        value {
            /// All debits, sub-units.
            debits: u128,
            /// All credits, sub-units.
            credits: u128,
        }
    }
}

row! {
    /// Sums over blocks that pay by their coinbase.
    pub struct DirectTotalsRow in table 93 {
        key {}
        value {
            /// Reserved: of those that are immature, sub-units.
            reserved: u128,
            /// Paid: of those that are confirmed, sub-units.
            paid: u128,
        }
    }
}

row! {
    /// A deciding event that was not obeyed: it changed nothing.
    pub struct RefusedRow in table 14 {
        key {
            /// Its place.
            at: At,
        }
        value {
            /// The block it names; of an adjustment the one it explains, zero if none.
            hash: Hash,
            /// Why.
            why: Refusal,
        }
    }
}

row! {
    /// An adjustment, from where it was said.
    pub struct AdjustmentRow in table 15 {
        key {
            /// Whose `available`.
            account: Account,
            /// Place of its event.
            at: At,
        }
        value {
            /// The book on the other side.
            book: Book,
            /// Whether it goes from the book to the account, or back.
            to_account: bool,
            /// Sub-units, above zero.
            amount: u128,
            /// The block that it explains.
            block: Option<Hash>,
            /// Why.
            reason: String,
            /// The event where it took effect: its postings are that one's. None as long as approvals are missing, and for
            /// ever if it was refused.
            taken: Option<At>,
        }
    }
}

impl BookRow {
    /// The balance.
    #[must_use]
    pub const fn balance(&self) -> Balance {
        Balance {
            debits: self.debits,
            credits: self.credits,
        }
    }
}

/// What the finding share says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Place of the share: the window ends with it.
    pub share: At,
    /// Who found the block.
    pub account: Account,
    /// The share's pot.
    pub pot: Pot,
    /// Policy of the share's job; none if the job is void.
    pub policy: Option<At>,
    /// Network work of the share's job.
    pub network_work: u128,
}

impl From<&BlockRow> for Known {
    fn from(row: &BlockRow) -> Self {
        Self {
            is_found: row.finding.is_some() || row.found_later,
            last: row.status.map(|status| status.at),
        }
    }
}

impl CreditRow {
    /// What it is given of the block, its donation taken off, sub-units.
    #[must_use]
    pub const fn net(&self) -> u128 {
        self.amount + self.bonus - self.donation
    }

    /// What the coinbase paid of that, sub-units (money rules, 11.5: o_a).
    #[must_use]
    pub const fn direct_of_block(&self) -> u128 {
        if self.direct < self.net() {
            self.direct
        } else {
            self.net()
        }
    }

    /// What the coinbase paid of its balance, sub-units.
    #[must_use]
    pub const fn direct_of_balance(&self) -> u128 {
        self.direct - self.direct_of_block()
    }
}

/// In which of an account's books a block's credits stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Held {
    /// Nothing is posted.
    Nowhere = 0,
    /// In `immature`.
    Immature = 1,
    /// In `available`.
    Available = 2,
}

impl Held {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Nowhere, Self::Immature, Self::Available];
}

/// What an obeyed block_status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its place.
    pub at: At,
    /// The state.
    pub state: BlockState,
    /// What the chain paid us, base units.
    pub value: u128,
    /// Transaction fees therein, base units.
    pub fees: u128,
}

/// A field that is a list of fields.
macro_rules! struct_field {
    ($type:ident { $($field:ident),* }) => {
        impl crate::rows::Field for $type {
            fn encode<E: bincode::enc::Encoder>(
                &self,
                encoder: &mut E,
            ) -> Result<(), bincode::error::EncodeError> {
                $(crate::rows::Field::encode(&self.$field, encoder)?;)*
                Ok(())
            }

            fn decode<D: bincode::de::Decoder>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                Ok(Self { $($field: crate::rows::Field::decode(decoder)?),* })
            }

            fn canonical(&self, out: &mut Vec<u8>) {
                $(crate::rows::Field::canonical(&self.$field, out);)*
            }
        }
    };
}

struct_field!(Finding {
    share,
    account,
    pot,
    policy,
    network_work
});
struct_field!(Status {
    at,
    state,
    value,
    fees
});

pub(super) use struct_field;

/// A field that is one byte of a list of values.
macro_rules! byte_field {
    ($type:ident, $what:literal) => {
        impl crate::rows::Field for $type {
            fn encode<E: bincode::enc::Encoder>(
                &self,
                encoder: &mut E,
            ) -> Result<(), bincode::error::EncodeError> {
                crate::rows::Field::encode(&(*self as u8), encoder)
            }

            fn decode<D: bincode::de::Decoder>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                let byte: u8 = crate::rows::Field::decode(decoder)?;
                let known = Self::ALL.into_iter().find(|value| *value as u8 == byte);
                known.ok_or(bincode::error::DecodeError::Other($what))
            }

            fn canonical(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }
        }
    };
}

pub(super) use byte_field;

byte_field!(Refusal, "refusal");
byte_field!(Held, "where credits stand");
