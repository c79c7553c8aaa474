//! The rows of payouts. Amounts and fees are base units.

use orebook_schema::{Account, At, Hash, StreamId};

use crate::folds::money::tables::byte_field;
use crate::row;

row! {
    /// A hot wallet of which something was obeyed.
    pub struct WalletRow in table 60 {
        key {
            /// Its number.
            wallet: u16,
        }
        value {
            /// Batches of which a proposal was obeyed: the number of the next.
            batches: u64,
            /// Transactions of all batches that are neither confirmed nor at an end: it is free if there are none.
            open: u32,
            /// Where it was halted; none if it is not.
            halted: Option<At>,
            /// Place of its last obeyed halt or resume: what the next resume must expect; zero if there was none.
            last: At,
            /// What its lines that stand as sent sent, base units, their fees not included.
            paid: u128,
            /// What the chain took of it, base units: what stands in the book `wallet`.
            fees: u128,
        }
    }
}

row! {
    /// A batch whose proposal was obeyed.
    pub struct BatchRow in table 61 {
        key {
            /// Which wallet pays.
            wallet: u16,
            /// Its number, dense from 0.
            batch: u64,
        }
        value {
            /// Place of its proposal.
            at: At,
            /// Ledger time there, milliseconds since 1970.
            ledger_time: u64,
            /// What approvers sign: its digest as of a thing.
            digest: Hash,
            /// SHA-256 of its body.
            body: Hash,
            /// Transactions: 1, or as many as lines.
            txs: u16,
            /// Lines.
            lines: u16,
            /// Sum of the lines' amounts, base units.
            total: u128,
            /// Network fee that was expected, base units.
            fee: u128,
            /// Approvals that it needs.
            needed: u8,
            /// Place of the event at which it was approved: its proposal, or the last approval that it needed.
            approved: Option<At>,
            /// Confirmed blocks that it pays of, ascending.
            cited: Vec<Hash>,
            /// Place of the policy that was the newest obeyed one.
            policy: At,
        }
    }
}

row! {
    /// A line of a batch.
    pub struct LineRow in table 62 {
        key {
            /// Which wallet pays.
            wallet: u16,
            /// In which batch.
            batch: u64,
            /// Its number in the body, from 0.
            number: u16,
        }
        value {
            /// Whom.
            account: Account,
            /// Where: a script or an EVM address.
            address: Account,
            /// What is taken from the account, base units.
            amount: u128,
            /// What of it goes to the network, base units; the rest arrives.
            fee: u128,
            /// The transaction that pays it.
            tx: u16,
        }
    }
}

row! {
    /// A transaction of a batch.
    pub struct TxRow in table 63 {
        key {
            /// Which wallet pays.
            wallet: u16,
            /// In which batch.
            batch: u64,
            /// Its number, from 0.
            tx: u16,
        }
        value {
            /// Where it is.
            state: TxState,
            /// Place of its last obeyed event: what the next must expect; zero before any.
            last: At,
            /// Names of its signed versions, oldest first.
            txids: Vec<Hash>,
            /// Places of the events that said them, in the same order.
            signed: Vec<At>,
            /// What every version spends; nothing before the first.
            spends: Vec<u8>,
            /// Whether its lines stand as sent: in `paid`, and no more in `reserved`.
            posted: bool,
            /// What stands posted as its cost, base units.
            fee: u128,
            /// Which transaction its last event meant: a version, or of a conflict and a cancel the other one; none before.
            txid: Option<Hash>,
            /// Height that its last event said; 0 for none.
            height: u64,
            /// Block that its last event said.
            block: Option<Hash>,
        }
    }
}

row! {
    /// Something that happened to a batch.
    pub struct StepRow in table 64 {
        key {
            /// Which wallet.
            wallet: u16,
            /// Which batch.
            batch: u64,
            /// Where.
            at: At,
            /// Which transaction; 0 where all of the batch is meant.
            tx: u16,
        }
        value {
            /// Ledger time there, milliseconds since 1970.
            ledger_time: u64,
            /// What.
            what: What,
            /// Which transaction was meant: a version, or the other one of a conflict and a cancel.
            txid: Option<Hash>,
            /// Height that was said; 0 for none.
            height: u64,
            /// What it cost, base units, where that was said; of a proposal what was expected, of a signed version the most.
            fee: u128,
        }
    }
}

row! {
    /// Raw bytes of a signed version.
    pub struct RawRow in table 65 {
        key {
            /// Which wallet.
            wallet: u16,
            /// Which batch.
            batch: u64,
            /// Which transaction.
            tx: u16,
            /// Place of the event that said it.
            at: At,
        }
        value {
            /// The transaction, as it is sent.
            bytes: Vec<u8>,
        }
    }
}

row! {
    /// Lines by account.
    pub struct LineOfRow in table 66 {
        key {
            /// Whom it pays.
            account: Account,
            /// Place of the proposal.
            at: At,
        }
        value {
            /// Which wallet.
            wallet: u16,
            /// Which batch.
            batch: u64,
            /// Which line of it.
            number: u16,
        }
    }
}

row! {
    /// What a stream says in parts. A stream has one at most.
    pub struct WholeRow in table 67 {
        key {
            /// The stream.
            stream: StreamId,
        }
        value {
            /// SHA-256 that the whole has, if the parts are right.
            whole: Hash,
            /// Parts that it has.
            of: u16,
            /// Index of the next part; `of` if all are there.
            next: u16,
        }
    }
}

row! {
    /// A part of what a stream says in parts.
    pub struct PartRow in table 68 {
        key {
            /// The stream.
            stream: StreamId,
            /// Its index.
            index: u16,
        }
        value {
            /// Its bytes.
            bytes: Vec<u8>,
        }
    }
}

row! {
    /// A halt or a resume of a wallet.
    pub struct HaltRow in table 70 {
        key {
            /// Which wallet.
            wallet: u16,
            /// Place of the event.
            at: At,
        }
        value {
            /// Ledger time there, milliseconds since 1970.
            ledger_time: u64,
            /// Whether it halts.
            halts: bool,
            /// Why.
            reason: String,
            /// Of a resume: what it expects; of a halt zero.
            expects: At,
            /// Of a resume: what approvers sign; of a halt zero.
            digest: Hash,
            /// Of a resume: approvals that it needs; of a halt 0.
            needed: u8,
            /// The event where it took effect; none of a resume that waits for approvals, or was refused when they came.
            taken: Option<At>,
        }
    }
}

row! {
    /// What approvals of a digest are waited for by.
    pub struct AskedRow in table 71 {
        key {
            /// The digest.
            digest: Hash,
        }
        value {
            /// Of which wallet.
            wallet: u16,
            /// Which batch; none: a resume of the wallet.
            batch: Option<u64>,
            /// Place of the event that asks.
            at: At,
        }
    }
}

row! {
    /// A transaction that is not at an end.
    pub struct LiveRow in table 72 {
        key {
            /// Which wallet.
            wallet: u16,
            /// Which batch.
            batch: u64,
            /// Which transaction.
            tx: u16,
        }
        value {}
    }
}

row! {
    /// A wallet on the chain was compared with the books.
    pub struct ReconciledRow in table 78 {
        key {
            /// Which wallet.
            wallet: u16,
            /// Place of the event.
            at: At,
        }
        value {
            /// Ledger time there, milliseconds since 1970.
            ledger_time: u64,
            /// Every position up to this one was compared.
            compared_position: u64,
            /// The digest of money that was the newest there.
            money: Hash,
            /// What the wallets hold by the books, base units.
            expected: u128,
            /// What the chain says that the wallet holds, base units.
            found: u128,
            /// Transactions compared.
            transactions: u32,
            /// Blocks compared.
            blocks: u32,
            /// Differences found.
            differences: u32,
            /// The first of them, one a line; empty if there is none.
            report: String,
        }
    }
}

/// Where a transaction is (money rules, 8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TxState {
    /// Nobody signed it.
    Unsigned = 0,
    /// A version is signed, and may be sent.
    Signed = 1,
    /// It was sent.
    Broadcast = 2,
    /// The network has it.
    Seen = 3,
    /// It counts as paid.
    Confirmed = 4,
    /// It is paid for good.
    Final = 5,
    /// Another transaction spends what it spends.
    Conflicted = 6,
    /// It is in a block, and did nothing.
    Failed = 7,
    /// Nobody knows it.
    Unknown = 8,
    /// It will never be paid.
    Cancelled = 9,
}

impl TxState {
    /// Every one, by number.
    pub const ALL: [Self; 10] = [
        Self::Unsigned,
        Self::Signed,
        Self::Broadcast,
        Self::Seen,
        Self::Confirmed,
        Self::Final,
        Self::Conflicted,
        Self::Failed,
        Self::Unknown,
        Self::Cancelled,
    ];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Seen => "seen",
            Self::Confirmed => "confirmed",
            Self::Final => "final",
            Self::Conflicted => "conflicted",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Final | Self::Failed | Self::Cancelled)
    }

    /// Whether its wallet is not free because of it: neither confirmed nor at an end.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !self.is_end() && !matches!(self, Self::Confirmed)
    }

    /// Whether its lines went back to their accounts.
    #[must_use]
    pub const fn is_returned(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
}

/// What happened to a batch or to one of its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum What {
    /// The batch was proposed, and obeyed.
    Proposed = 0,
    /// A version was signed.
    Signed = 1,
    /// It was sent.
    Broadcast = 2,
    /// The network has it.
    Seen = 3,
    /// It counts as paid.
    Confirmed = 4,
    /// It is paid for good.
    Final = 5,
    /// Another transaction spends what it spends.
    Conflicted = 6,
    /// It is in a block, and did nothing.
    Failed = 7,
    /// Nobody knows it.
    Unknown = 8,
    /// It will never be paid: the paymaster says so.
    Cancelled = 9,
    /// The batch was approved, by the last approval that it needed.
    Approved = 10,
    /// It will never be paid: it was not signed, and a block that the batch cites stopped being confirmed.
    BlockLost = 11,
}

impl What {
    /// Every one, by number.
    pub const ALL: [Self; 12] = [
        Self::Proposed,
        Self::Signed,
        Self::Broadcast,
        Self::Seen,
        Self::Confirmed,
        Self::Final,
        Self::Conflicted,
        Self::Failed,
        Self::Unknown,
        Self::Cancelled,
        Self::Approved,
        Self::BlockLost,
    ];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Seen => "seen",
            Self::Confirmed => "confirmed",
            Self::Final => "final",
            Self::Conflicted => "conflicted",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
            Self::Approved => "approved",
            Self::BlockLost => "block_lost",
        }
    }
}

impl WalletRow {
    /// One of which nothing was obeyed yet.
    #[must_use]
    pub const fn new(wallet: u16) -> Self {
        Self {
            wallet,
            batches: 0,
            open: 0,
            halted: None,
            last: At {
                position: 0,
                index: 0,
            },
            paid: 0,
            fees: 0,
        }
    }

    /// Whether every transaction of it is confirmed or at an end: another batch may be proposed, if it is not halted.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.open == 0
    }
}

impl LineRow {
    /// What arrives, base units.
    #[must_use]
    pub const fn sent(&self) -> u128 {
        self.amount - self.fee
    }
}

impl TxRow {
    /// One that nobody signed.
    #[must_use]
    pub const fn new(wallet: u16, batch: u64, tx: u16) -> Self {
        Self {
            wallet,
            batch,
            tx,
            state: TxState::Unsigned,
            last: At {
                position: 0,
                index: 0,
            },
            txids: Vec::new(),
            signed: Vec::new(),
            spends: Vec::new(),
            posted: false,
            fee: 0,
            txid: None,
            height: 0,
            block: None,
        }
    }

    /// Whether its lines stand in `reserved`: neither sent nor given back.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        !self.posted && !self.state.is_returned()
    }
}

byte_field!(TxState, "state of a transaction");
byte_field!(What, "what happened to a batch");
