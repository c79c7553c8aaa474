//! What a wallet is asked for a reconciliation, besides each transaction: all that it has, and what left it that no event names.

use std::collections::BTreeSet;

use orebook_schema::Hash;

/// Spends that one survey names at most; the others have the next ones.
pub const FOREIGN_MAX: usize = 64;

/// What the ledger has of a wallet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Names of every transaction that an event names: signed versions, and the other one of a conflict or a cancel.
    pub txids: BTreeSet<Hash>,
    /// Names of the coinbases of our blocks.
    pub coinbases: BTreeSet<Hash>,
    /// What signed transactions spend.
    pub spends: BTreeSet<Vec<u8>>,
    /// The lowest height that an event gave a transaction of the wallet; none: nothing of it was in a block, and there is
    /// nothing to begin at.
    pub since: Option<u64>,
}

/// Something that the wallet's key spent, and no event names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Foreign {
    /// The transaction; none if the chain does not tell which.
    pub txid: Option<Hash>,
    /// Height of its block; none if it waits, or the chain does not tell.
    pub height: Option<u64>,
    /// Its nonce, where there are nonces.
    pub nonce: Option<u64>,
}

/// What the chain has of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// All base units of the wallet, immature and unconfirmed ones included.
    pub balance: u128,
    /// Height of the best block.
    pub height: u64,
    /// What was spent in blocks from this height on was looked at; none: nothing was.
    pub since: Option<u64>,
    /// What no event names, at most [`FOREIGN_MAX`].
    pub foreign: Vec<Foreign>,
}

/// An answer to a survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surveyed {
    /// So many blocks are left to be read: ask again.
    Reading(u64),
    /// All of it.
    Done(Survey),
}
