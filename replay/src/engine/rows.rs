//! The engine's own rows, beside the fold's in one store: who it is, how far it is, admission's state.

use std::ops::ControlFlow;

use orebook_ledger::admit::State;
use orebook_schema::{Hash, LedgerId};

use crate::digest;
use crate::row;
use crate::rows::{self, Order, Rows, Span, StoreFault, View, get};

/// Admission's states by size.
const STATE_TABLE: u8 = 0xf2;
/// State snapshots kept in a store: the newest, and one in case a fold beside it stands lower.
const STATES_KEPT: usize = 2;

row! {
    /// Whose rows a store holds.
    pub(super) struct Meta in table 0xf0 {
        key {}
        value {
            /// Of this ledger.
            ledger: LedgerId,
            /// The fold's name.
            name: String,
            /// The fold's version.
            version: u32,
        }
    }
}

row! {
    /// How far a fold is.
    pub(super) struct CursorRow in table 0xf1 {
        key {}
        value {
            /// Positions applied.
            size: u64,
            /// Root of the ledger's tree of that size.
            root: Hash,
            /// Digest buckets that are not made again yet.
            dirty: Vec<u16>,
        }
    }
}

impl Meta {
    pub(super) fn load(view: &dyn View) -> Result<Option<Self>, StoreFault> {
        get(view, &Self::key_of())
    }
}

impl std::fmt::Display for Meta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            ledger,
            name,
            version,
        } = self;
        write!(f, "fold {name} version {version} of ledger {ledger}")
    }
}

impl CursorRow {
    pub(super) fn load(view: &dyn View) -> Result<Self, StoreFault> {
        let start = Self {
            size: 0,
            root: Hash::of(&[]),
            dirty: Vec::new(),
        };
        Ok(get(view, &Self::key_of())?.unwrap_or(start))
    }
}

/// How far a fold is: positions applied, and the root of the ledger's tree of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Positions applied.
    pub size: u64,
    /// Root of the ledger's tree of that size.
    pub root: Hash,
}

/// A store's cursor; size 0 if it is empty.
///
/// # Errors
/// [`StoreFault`].
pub fn cursor(view: &dyn View) -> Result<Cursor, StoreFault> {
    let row = CursorRow::load(view)?;
    Ok(Cursor {
        size: row.size,
        root: row.root,
    })
}

/// What a copy of a store is a copy of. Whoever hands a copy on sends it along; whoever takes one compares it with what
/// [`manifest`] says of the copy, and the digest with another machine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The ledger.
    pub ledger: LedgerId,
    /// The fold's name.
    pub fold: String,
    /// The fold's version.
    pub version: u32,
    /// How far it is.
    pub cursor: Cursor,
    /// Its newest digest, and the size that stands for; none if it has had none.
    pub digest: Option<(u64, Hash)>,
}

/// What a store holds; none if nothing was ever committed to it.
///
/// # Errors
/// [`StoreFault`].
pub fn manifest(view: &dyn View) -> Result<Option<Manifest>, StoreFault> {
    let Some(meta) = Meta::load(view)? else {
        return Ok(None);
    };
    Ok(Some(Manifest {
        ledger: meta.ledger,
        fold: meta.name,
        version: meta.version,
        cursor: cursor(view)?,
        digest: digest::newest(view)?.map(|row| (row.size, row.digest)),
    }))
}

/// Keeps a state beside the rows; the oldest go.
pub(super) fn put_state(rows: &mut dyn Rows, state: &State) -> Result<(), StoreFault> {
    let key = state.size().to_be_bytes();
    rows.put(STATE_TABLE, &key, &state.to_snapshot_bytes())?;
    let mut old = Vec::new();
    let mut seen = 0;
    rows.scan(STATE_TABLE, &Span::all(), Order::Backward, &mut |key, _| {
        seen += 1;
        if STATES_KEPT < seen {
            old.push(key.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    old.iter().try_for_each(|key| rows.delete(STATE_TABLE, key))
}

/// The newest state not above `size`. One that cannot be read is passed over: an older one, or genesis, does as well.
pub(super) fn newest_state(view: &dyn View, size: u64) -> Result<Option<State>, StoreFault> {
    let span = Span::between(Vec::new(), size.saturating_add(1).to_be_bytes().to_vec());
    let mut found = None;
    view.scan(STATE_TABLE, &span, Order::Backward, &mut |_, bytes| {
        found = State::from_snapshot_bytes(bytes).ok();
        if found.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(found)
}

pub(super) fn newest_state_size(view: &dyn View) -> Result<u64, StoreFault> {
    let mut size = 0;
    view.scan(STATE_TABLE, &Span::all(), Order::Backward, &mut |key, _| {
        size = <[u8; 8]>::try_from(key).map_or(0, u64::from_be_bytes);
        ControlFlow::Break(())
    })?;
    Ok(size)
}

const _: () = assert!(
    rows::ENGINE_TABLES <= <Meta as rows::Row>::TABLE,
    "the engine's tables are its own"
);
