//! Rows: what a fold remembers. A table is a byte, a key orders its rows, a value is one row.
//!
//! Keys are hand-defined and order-preserving (big-endian). A value at rest is bincode 2.0.1 and may be thrown away with
//! the store; digests are over a hand-defined little-endian form instead ([`Field::canonical`]), never over stored bytes.

mod field;

mod key;

mod memory;

mod row;

use std::ops::ControlFlow;

pub use self::field::{Field, KeyField};
pub use self::key::KeyBytes;
pub use self::memory::MemoryRows;

#[doc(hidden)]
pub use self::row::{ROW_BYTES, at_rest, from_rest};

/// Tables from here on are the engine's; folds use those below.
pub const ENGINE_TABLES: u8 = 0xf0;

/// Why rows could not be read or written. The process stops and starts again from the last commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// The store failed; its own words.
    #[error("the store failed: {0}")]
    Failed(String),
    /// A row is not what was written: delete the store and replay.
    #[error("table {table} holds a row that cannot be read ({what}): delete the store and replay")]
    Damaged {
        /// Table.
        table: u8,
        /// What is wrong.
        what: &'static str,
    },
}

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// Which keys of a table a scan visits: `from` ≤ key < `to`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First key.
    pub from: Vec<u8>,
    /// Key after the last; none = to the table's end.
    pub to: Option<Vec<u8>>,
}

impl Span {
    /// All keys of a table.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            from: Vec::new(),
            to: None,
        }
    }

    /// Keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self {
            from: prefix.to_vec(),
            to: after_prefix(prefix),
        }
    }

    /// Keys `from` ≤ key < `to`.
    #[must_use]
    pub const fn between(from: Vec<u8>, to: Vec<u8>) -> Self {
        Self { from, to: Some(to) }
    }

    /// Keys that begin with `prefix` and are ≥ `from`.
    #[must_use]
    pub fn prefix_from(prefix: &[u8], from: Vec<u8>) -> Self {
        Self {
            from,
            to: after_prefix(prefix),
        }
    }

    /// Keys that begin with `prefix` and are < `to`.
    #[must_use]
    pub fn prefix_to(prefix: &[u8], to: Vec<u8>) -> Self {
        Self::between(prefix.to_vec(), to)
    }

    /// Whether no key can be in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    /// Whether a key is in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }
}

/// First key after all that begin with `prefix`; none if that is the table's end.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < u8::MAX {
            next.push(last + 1);
            return Some(next);
        }
    }
    None
}

/// Takes a row of a scan (key, value at rest) and says whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Rows to read from. One view is consistent: it never changes while it lives.
pub trait View {
    /// The value at rest of a key.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Visits the rows of a span in order, until `visit` breaks.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn scan(
        &self,
        table: u8,
        span: &Span,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFault>;
}

/// Rows to read and write: what a fold is given. A read sees the writes before it.
pub trait Rows: View {
    /// Sets the value of a key.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn put(&mut self, table: u8, key: &[u8], value: &[u8]) -> Result<(), StoreFault>;

    /// Removes a key; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn delete(&mut self, table: u8, key: &[u8]) -> Result<(), StoreFault>;
}

/// A typed row. Made by [`crate::row!`].
pub trait Row: Sized {
    /// Its table, below [`ENGINE_TABLES`].
    const TABLE: u8;
    /// Order-preserving bytes of its key.
    fn key(&self) -> Vec<u8>;
    /// Value at rest: bincode 2.0.1.
    fn value(&self) -> Vec<u8>;
    /// The row of a key and a value at rest.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`].
    fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreFault>;
    /// The value's canonical little-endian form, for digests.
    fn canonical(&self, out: &mut Vec<u8>);
}

/// The row of a key.
///
/// # Errors
/// [`StoreFault`].
pub fn get<R: Row>(view: &(impl View + ?Sized), key: &[u8]) -> Result<Option<R>, StoreFault> {
    let value = view.get(R::TABLE, key)?;
    value.map(|value| R::read(key, &value)).transpose()
}

/// Writes a row.
///
/// # Errors
/// [`StoreFault`].
pub fn put<R: Row>(rows: &mut (impl Rows + ?Sized), row: &R) -> Result<(), StoreFault> {
    rows.put(R::TABLE, &row.key(), &row.value())
}

/// Removes the row of a key.
///
/// # Errors
/// [`StoreFault`].
pub fn delete<R: Row>(rows: &mut (impl Rows + ?Sized), key: &[u8]) -> Result<(), StoreFault> {
    rows.delete(R::TABLE, key)
}

/// Visits the rows of a span in order, until `visit` breaks.
///
/// # Errors
/// [`StoreFault`].
pub fn scan<R: Row>(
    view: &(impl View + ?Sized),
    span: &Span,
    order: Order,
    mut visit: impl FnMut(R) -> ControlFlow<()>,
) -> Result<(), StoreFault> {
    let mut fault = None;
    view.scan(
        R::TABLE,
        span,
        order,
        &mut |key, value| match R::read(key, value) {
            Ok(row) => visit(row),
            Err(error) => {
                fault = Some(error);
                ControlFlow::Break(())
            }
        },
    )?;
    fault.map_or(Ok(()), Err)
}

/// The first rows of a span, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn collect<R: Row>(
    view: &(impl View + ?Sized),
    span: &Span,
    order: Order,
    rows_max: usize,
) -> Result<Vec<R>, StoreFault> {
    let mut found = Vec::new();
    if rows_max == 0 {
        return Ok(found);
    }
    scan(view, span, order, |row| {
        found.push(row);
        if found.len() < rows_max {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(found)
}

/// The first row of a span.
///
/// # Errors
/// [`StoreFault`].
pub fn first<R: Row>(
    view: &(impl View + ?Sized),
    span: &Span,
    order: Order,
) -> Result<Option<R>, StoreFault> {
    Ok(collect(view, span, order, 1)?.pop())
}
