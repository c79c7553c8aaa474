//! Blocks of ours: where each was found and by whom, and what became of it.
//!
//! States come by `block_status`, compare and set; which of them are obeyed is [`obeyed`](crate::folds::obeyed)'s to say,
//! and a refused one is counted and changes nothing else. A `block_recovered` (a
//! coinbase of ours that no share explains) makes a block without pot and finder; if its `block_found` comes later, the
//! block gets pot and effort, and still names no finder, as the money rules say. Confirmations are not stored: they are the
//! chain's height less the block's.

mod apply;

use orebook_schema::names::Pot;
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Hash, WorkerName};

use crate::fold::{Backwards, FinalFrame, Fold, FoldStop};
use crate::folds::obeyed::Known;
use crate::folds::rounds::tally::Running;
use crate::rows::{self, KeyField, Order, Rows, Span, StoreFault, View};
use crate::{canonical_of, row};

row! {
    /// A block of ours.
    pub struct Block in table 2 {
        key {
            /// Its hash, header order.
            hash: Hash,
        }
        value {
            /// Where the ledger first names it: its `block_found`, or its `block_recovered`.
            at: At,
            /// Place of its `block_found`: the finding position. None while it is only recovered.
            found_at: Option<At>,
            /// The finding share's pot.
            pot: Option<Pot>,
            /// Its height.
            height: u64,
            /// Id of the coinbase transaction, digest order.
            coinbase_txid: Hash,
            /// Account and worker of the finding share; none for a recovered block.
            finder: Option<(Account, WorkerName)>,
            /// When it was found, milliseconds since 1970: its gateway's time, clamped to the 24 hours before ledger time. Of a
            /// recovered block, ledger time.
            time_ms: u64,
            /// Network work of the finding share's job, 0 while it is only recovered.
            network_work: u128,
            /// Effort of the round it ended, parts of 10^12; none while it is only recovered.
            effort: Option<u128>,
            /// Accepted shares of that round.
            round_shares: Option<u64>,
            /// Whether a `block_recovered` named it first.
            is_recovered: bool,
            /// What the last obeyed status says; none before the first.
            state: Option<BlockState>,
            /// Whether the chain has it as an uncle: its last `immature` or `uncle` was the latter, and it is not orphaned.
            is_uncle: bool,
            /// Place of the last obeyed status: what the next one must expect; zero before the first.
            status_at: At,
            /// Ledger time of the last obeyed status, 0 before the first.
            status_ms: u64,
            /// What the chain pays us in base units, fees included: by the last obeyed status, before it by the
            /// `block_recovered`. None while nobody has said.
            value: Option<u128>,
            /// Transaction fees therein.
            fees: Option<u128>,
            /// Statuses of this block that were refused.
            refused: u64,
        }
    }
}

impl From<&Block> for Known {
    fn from(block: &Block) -> Self {
        Self {
            is_found: block.found_at.is_some(),
            // No status stands at genesis.
            last: (block.status_at != At::default()).then_some(block.status_at),
        }
    }
}

row! {
    /// A block's place in a list.
    struct Listed in table 3 {
        key {
            /// Which list.
            list: List,
            /// Where the ledger named it.
            at: At,
        }
        value {
            /// The block.
            hash: Hash,
        }
    }
}

row! {
    /// How many blocks a list has, by state.
    pub struct Count in table 4 {
        key {
            /// Which list.
            list: List,
        }
        value {
            /// All of them.
            blocks: u64,
            /// Without an obeyed status yet.
            fresh: u64,
            /// The chain has them.
            seen: u64,
            /// Deep enough for immature postings.
            immature: u64,
            /// Uncles, deep enough for the same.
            uncle: u64,
            /// Deep enough to be spent.
            confirmed: u64,
            /// Dropped by the chain.
            orphaned: u64,
        }
    }
}

row! {
    /// The last obeyed `block_recovered` of a height.
    struct Recovered in table 5 {
        key {
            /// The height.
            height: u64,
        }
        value {
            /// Its place.
            at: At,
        }
    }
}

row! {
    /// Deciding events that were recorded and changed nothing.
    pub struct Refused in table 6 {
        key {}
        value {
            /// `block_status` of a block nobody named.
            unknown: u64,
            /// `block_status` that expected something else, or names a value that no chain pays
            /// ([`VALUE_MAX`](crate::folds::obeyed::VALUE_MAX)).
            statuses: u64,
            /// `block_recovered` that expected something else, or whose block was known.
            recoveries: u64,
        }
    }
}

/// A list of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Every block once, by where the ledger first named it.
    All,
    /// Blocks whose finding share is a pot's, by their `block_found`.
    Of(Pot),
    /// Blocks that were recovered, found later or not.
    Recovered,
}

impl KeyField for List {
    fn put_key(&self, out: &mut Vec<u8>) {
        let (kind, pot) = match self {
            Self::All => (0u8, 0),
            Self::Of(pot) => (1, pot.0),
            Self::Recovered => (2, 0),
        };
        kind.put_key(out);
        pot.put_key(out);
    }

    fn take_key(
        reader: &mut orebook_schema::bytes::Reader<'_>,
    ) -> orebook_schema::bytes::Decoded<Self> {
        let (kind, pot) = (u8::take_key(reader)?, Pot::take_key(reader)?);
        match kind {
            0 => Ok(Self::All),
            1 => Ok(Self::Of(pot)),
            2 => Ok(Self::Recovered),
            _ => Err(orebook_schema::bytes::DecodeError::Value("list of blocks")),
        }
    }
}

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocks;

impl Blocks {
    /// Its name.
    pub const NAME: &'static str = "blocks";
}

impl Fold for Blocks {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn version(&self) -> u32 {
        2
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        _ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        apply::apply(frame, rows)
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(table, key, value; Running, Block, Listed, Count, Recovered, Refused, apply::Rig)
    }
}

/// A block by its hash (header order).
///
/// # Errors
/// [`StoreFault`].
pub fn block(view: &(impl View + ?Sized), hash: &Hash) -> Result<Option<Block>, StoreFault> {
    rows::get(view, &Block::key_of(hash))
}

/// How many blocks a list has; zeros if none.
///
/// # Errors
/// [`StoreFault`].
pub fn count(view: &(impl View + ?Sized), list: List) -> Result<Count, StoreFault> {
    let found = rows::get(view, &Count::key_of(&list))?;
    Ok(found.unwrap_or(Count {
        list,
        blocks: 0,
        fresh: 0,
        seen: 0,
        immature: 0,
        uncle: 0,
        confirmed: 0,
        orphaned: 0,
    }))
}

/// Deciding events that changed nothing.
///
/// # Errors
/// [`StoreFault`].
pub fn refused(view: &(impl View + ?Sized)) -> Result<Refused, StoreFault> {
    let found = rows::get(view, &Refused::key_of())?;
    Ok(found.unwrap_or(Refused {
        unknown: 0,
        statuses: 0,
        recoveries: 0,
    }))
}

/// Newest block of a list.
///
/// # Errors
/// [`StoreFault`].
pub fn newest(view: &(impl View + ?Sized), list: List) -> Result<Option<Block>, StoreFault> {
    Ok(page(view, list, None, 1)?.blocks.pop())
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub blocks: Vec<Block>,
    /// Cursor of the next page; none at the end.
    pub next: Option<At>,
}

/// The newest `rows_max` blocks of a list that stand before the cursor (none: from the newest). A block never moves in a
/// list, so pages neither repeat nor skip while blocks come.
///
/// # Errors
/// [`StoreFault`].
pub fn page(
    view: &(impl View + ?Sized),
    list: List,
    before: Option<At>,
    rows_max: usize,
) -> Result<Page, StoreFault> {
    let mut prefix = Vec::new();
    list.put_key(&mut prefix);
    let span = match before {
        Some(before) => Span::prefix_to(&prefix, Listed::key_of(&list, &before)),
        None => Span::prefix(&prefix),
    };
    let mut listed: Vec<Listed> =
        rows::collect(view, &span, Order::Backward, rows_max.saturating_add(1))?;
    let more = rows_max < listed.len();
    listed.truncate(rows_max);
    let next = listed.last().filter(|_| more).map(|last| last.at);
    let mut blocks = Vec::with_capacity(listed.len());
    for place in listed {
        let missing = StoreFault::Damaged {
            table: 3,
            what: "a list names a block that has no row",
        };
        blocks.push(block(view, &place.hash)?.ok_or(missing)?);
    }
    Ok(Page { blocks, next })
}
