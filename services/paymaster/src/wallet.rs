//! What a hot wallet can do on its chain. Bitcoin-likes and ethash-likes implement it; tests have a chain of their own.
//!
//! A wallet keeps no state: which coins or nonces are taken follows from the transactions that the ledger has.

use std::future::Future;
use std::ops::Range;

use orebook_schema::{Account, Hash};

use crate::survey::{Asked, Surveyed};

/// A payment within one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pay {
    /// Where to: an output script or an EVM address.
    pub address: Account,
    /// Base units that arrive there.
    pub amount: u128,
}

/// What stands before anything is proposed or signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whose coins they are.
    pub address: Account,
    /// Base units that can be spent now.
    pub spendable: u128,
    /// All base units of the wallet, immature and unconfirmed ones included.
    pub balance: u128,
    /// Height of the best block.
    pub height: u64,
    /// Smallest payment that the chain relays, base units; at least 1.
    pub dust: u128,
}

/// A transaction to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it pays.
    pub pays: Vec<Pay>,
    /// Most that it may cost, base units.
    pub fee_max: u128,
    /// Raw bytes of every signed version of the wallet's transactions that are not final, of other (batch, tx): their coins
    /// and nonces are taken.
    pub taken: Vec<Vec<u8>>,
    /// The version that this one replaces: it spends one of its inputs, or its nonce, and pays a higher fee.
    pub replaces: Option<Vec<u8>>,
}

/// A signed transaction. Nobody has seen it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTx {
    /// What is sent.
    pub raw: Vec<u8>,
    /// Its name: bitcoin-likes as in the chain's bytes, EVM the transaction's hash.
    pub txid: Hash,
    /// Most that it can cost, base units.
    pub fee: u128,
    /// What every version spends: an outpoint (txid 32 ‖ vout u32, little-endian), or address 20 ‖ nonce u64 (little-endian).
    pub spends: Vec<u8>,
}

/// A transaction that the ledger has, with all its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Names and raw bytes of its signed versions, oldest first.
    pub versions: Vec<(Hash, Vec<u8>)>,
    /// What they all spend.
    pub spends: Vec<u8>,
}

/// Where a block of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// On the best chain, at this height.
    At(u64),
    /// Nowhere on it.
    Gone {
        /// Height of the best chain's newest block.
        tip: u64,
    },
}

impl Found {
    /// Its height on the best chain.
    #[must_use]
    pub const fn height(self) -> Option<u64> {
        match self {
            Self::At(height) => Some(height),
            Self::Gone { .. } => None,
        }
    }
}

/// Where a transaction stands on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No node knows any version, and what it spends is not spent: it can be sent again.
    Nowhere,
    /// A version waits in a node's memory pool.
    Pending {
        /// Which.
        txid: Hash,
    },
    /// A version is in a block of the best chain.
    Mined {
        /// Which.
        txid: Hash,
        /// The block's height.
        height: u64,
        /// The block, header order.
        block: Hash,
        /// Blocks on top of it and itself: 1 in the best block.
        confirmations: u64,
        /// False for an EVM transaction of status 0: nothing was paid, gas was.
        paid: bool,
        /// What it cost, base units.
        fee: u128,
    },
    /// What it spends was spent by another transaction, in a block of the best chain.
    Conflict {
        /// Which; zero if the chain does not tell (a nonce that is used up).
        by: Hash,
        /// Height of its block; 0 if the chain does not tell.
        height: u64,
        /// As above.
        confirmations: u64,
        /// What it cost us, base units; 0 if it is not ours.
        fee: u128,
    },
}

/// What a node said of a transaction that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has it, now or since before.
    Taken,
    /// It refuses it, with its own words, at most 200 characters.
    Refused(String),
}

/// A question without an answer, or a wallet that cannot do what is asked. Nothing is known of what happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// A time-out, an RPC error, no node: nothing is known.
    #[error("the wallet's node does not answer: {0}")]
    NoAnswer(String),
    /// What each version of a transaction spends is not there, and the chain does not tell who spent it. Of versions that nobody
    /// is known to have killed, what made what is not there: if that itself will never be mined, nor will they.
    #[error("the wallet's node does not answer: {words}")]
    Gone {
        /// Names of what made it, for each such version.
        makers: Vec<Vec<Hash>>,
        /// What it means where nobody knows more.
        words: String,
    },
    /// A precondition is missing, in words: no peers, locked, not synced, no funds, fee above its cap.
    #[error("the wallet is not ready: {0}")]
    NotReady(String),
    /// An order that it cannot fulfil: an address of another chain, a malformed transaction.
    #[error("the wallet cannot: {0}")]
    Cannot(String),
}

/// A hot wallet. See the module.
pub trait Wallet: Send + Sync {
    /// How the lines of a batch are divided into transactions: all in one, or one each.
    fn divide(&self, lines: usize) -> Vec<Range<usize>>;

    /// Whether it can pay there: an address of its chain. A line whose address it does not accept waits alone.
    fn accepts(&self, address: &Account) -> bool;

    /// Whether the wallet can pay now: peers, synced, unlocked.
    ///
    /// # Errors
    /// [`WalletError`].
    fn ready(&self) -> impl Future<Output = Result<Ready, WalletError>> + Send;

    /// Expected network fee of a batch that pays this, base units, within the configured cap.
    ///
    /// # Errors
    /// [`WalletError`].
    fn estimate(&self, pays: &[Pay]) -> impl Future<Output = Result<u128, WalletError>> + Send;

    /// Chooses coins or a nonce and signs. Nothing leaves the process.
    ///
    /// # Errors
    /// [`WalletError`].
    fn sign(&self, order: &Order) -> impl Future<Output = Result<SignedTx, WalletError>> + Send;

    /// Gives a signed transaction to the nodes. The same bytes may be sent any number of times.
    ///
    /// # Errors
    /// [`WalletError::NoAnswer`]: it may have arrived.
    fn send(&self, raw: &[u8]) -> impl Future<Output = Result<Sent, WalletError>> + Send;

    /// Where a transaction stands.
    ///
    /// # Errors
    /// [`WalletError::NoAnswer`].
    fn look(&self, tx: &Watched) -> impl Future<Output = Result<Sight, WalletError>> + Send;

    /// Whose coins they are: where change goes. Nobody is asked.
    fn address(&self) -> Account;

    /// What a signed transaction pays, in its order, change included.
    ///
    /// # Errors
    /// [`WalletError::Cannot`]: the bytes are none of this chain.
    fn payments(&self, raw: &[u8]) -> Result<Vec<Pay>, WalletError>;

    /// All that it has on the chain, and what was spent of it that the ledger does not name. A wallet that reads blocks for it
    /// reads some of them, and wants to be asked again.
    ///
    /// # Errors
    /// [`WalletError`].
    fn survey(&self, asked: &Asked) -> impl Future<Output = Result<Surveyed, WalletError>> + Send;

    /// The height of a block, header order, if it stands on the best chain.
    ///
    /// # Errors
    /// [`WalletError::NoAnswer`].
    fn block(&self, hash: Hash) -> impl Future<Output = Result<Option<u64>, WalletError>> + Send;

    /// Whether a block of ours stands on the best chain, by the name and the height that the ledger has of it. A block of
    /// an ethash-like has its share's name there, which is not its hash; an uncle stands where a block above names it.
    ///
    /// # Errors
    /// [`WalletError::NoAnswer`].
    fn our_block(
        &self,
        name: Hash,
        height: u64,
    ) -> impl Future<Output = Result<Found, WalletError>> + Send;
}
