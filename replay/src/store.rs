//! Where a fold's rows rest: rows and cursor change together or not at all.
//!
//! One store holds one fold. [`MemoryStore`] is for tests, audits and the demo; RocksDB's is another crate's.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::rows::{KeyBytes, MemoryRows, Order, Rows, Span, StoreFault, View, Visit};

/// Changes that are committed together: (table, key) → the new value, or none to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    tables: BTreeMap<u8, Changed>,
}

/// Changes of one table.
type Changed = BTreeMap<KeyBytes, Option<Vec<u8>>>;

/// Table and key of a row.
pub type Place = (u8, KeyBytes);

impl Batch {
    /// No changes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tables: BTreeMap::new(),
        }
    }

    /// Adds a change; returns the one of the same row that it replaces.
    pub fn insert(
        &mut self,
        (table, key): (u8, impl Into<KeyBytes>),
        value: Option<Vec<u8>>,
    ) -> Option<Option<Vec<u8>>> {
        let changed = self.tables.entry(table).or_default();
        changed.insert(key.into(), value)
    }

    /// The change of a row, if there is one.
    #[must_use]
    pub fn get(&self, table: u8, key: &[u8]) -> Option<Option<&[u8]>> {
        let changed = self.tables.get(&table)?.get(key)?;
        Some(changed.as_deref())
    }

    fn remove(&mut self, table: u8, key: &[u8]) {
        if let Some(changed) = self.tables.get_mut(&table) {
            changed.remove(key);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }

    /// All, ascending by table and key.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8], Option<&[u8]>)> {
        self.tables.iter().flat_map(|(table, changed)| {
            changed
                .iter()
                .map(|(key, value)| (*table, &**key, value.as_deref()))
        })
    }
}

impl<K: Into<KeyBytes>> FromIterator<((u8, K), Option<Vec<u8>>)> for Batch {
    fn from_iter<I: IntoIterator<Item = ((u8, K), Option<Vec<u8>>)>>(changes: I) -> Self {
        let mut batch = Self::new();
        for (place, value) in changes {
            batch.insert(place, value);
        }
        batch
    }
}

impl<K: Into<KeyBytes>, const N: usize> From<[((u8, K), Option<Vec<u8>>); N]> for Batch {
    fn from(changes: [((u8, K), Option<Vec<u8>>); N]) -> Self {
        changes.into_iter().collect()
    }
}

/// Rows of one fold at rest.
pub trait Store: Send + Sync {
    /// A consistent view of what is committed: later commits do not change it.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn view(&self) -> Result<Box<dyn View + '_>, StoreFault>;

    /// Makes all changes, or none; durable when it returns, as far as the store promises that.
    ///
    /// # Errors
    /// [`StoreFault`]: the process ends, and goes on from the last commit at its next start.
    fn commit(&self, batch: &Batch) -> Result<(), StoreFault>;
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: RwLock<MemoryRows>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rows: RwLock::new(MemoryRows::new()),
        }
    }
}

/// Holds the lock: commits wait while a view lives, so keep it for the length of one answer.
struct MemoryView<'a>(RwLockReadGuard<'a, MemoryRows>);

impl View for MemoryView<'_> {
    fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.0.get(table, key)
    }

    fn scan(
        &self,
        table: u8,
        span: &Span,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFault> {
        self.0.scan(table, span, order, visit)
    }
}

impl Store for MemoryStore {
    fn view(&self) -> Result<Box<dyn View + '_>, StoreFault> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Box::new(MemoryView(rows)))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreFault> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (table, changed) in &batch.tables {
            let changes = changed.iter();
            rows.change(*table, changes.map(|(key, new)| (key, new.as_deref())));
        }
        Ok(())
    }
}

/// What was committed, with changes on top that are not yet. The engine's; a fold sees it as [`Rows`].
#[derive(Debug, Default)]
pub struct Pending {
    batch: Batch,
    bytes: usize,
    /// What stood in `batch` before each change of the frame in hand.
    undo: Vec<(Place, Option<Option<Vec<u8>>>)>,
}

impl Pending {
    /// No changes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            batch: Batch::new(),
            bytes: 0,
            undo: Vec::new(),
        }
    }

    /// The changes.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Bytes of the changes, roughly: what one row is written over and over counts once.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps the changes of the frame in hand. Returns the (table, key) of each, repeats included.
    pub fn keep(&mut self) -> impl Iterator<Item = Place> + '_ {
        self.undo.drain(..).map(|(place, _)| place)
    }

    /// Takes the changes of the frame in hand back.
    pub fn take_back(&mut self) {
        while let Some(((table, key), before)) = self.undo.pop() {
            match before {
                Some(before) => drop(self.batch.insert((table, key), before)),
                None => self.batch.remove(table, &key),
            }
        }
    }

    /// Forgets all changes: they were committed.
    pub fn clear(&mut self) {
        self.batch = Batch::new();
        self.undo.clear();
        self.bytes = 0;
    }

    /// The rows as they would be after a commit, over what is committed.
    pub fn over<'p>(&'p mut self, base: &'p dyn View) -> Overlay<'p> {
        Overlay {
            base,
            pending: self,
            can_undo: true,
        }
    }

    /// The same for what is kept at once: no frame's, so never taken back, nor given by [`Pending::keep`].
    pub fn kept_over<'p>(&'p mut self, base: &'p dyn View) -> Overlay<'p> {
        Overlay {
            can_undo: false,
            ..self.over(base)
        }
    }

    fn set(&mut self, table: u8, key: &[u8], value: Option<&[u8]>, can_undo: bool) {
        let place: Place = (table, KeyBytes::new(key));
        let undo = can_undo.then(|| place.clone());
        let before = self.batch.insert(place, value.map(<[u8]>::to_vec));
        let size_of = |value: Option<&[u8]>| value.map_or(0, <[u8]>::len);
        self.bytes = match &before {
            Some(before) => self.bytes.saturating_sub(size_of(before.as_deref())),
            None => self.bytes.saturating_add(key.len() + 32),
        };
        self.bytes = self.bytes.saturating_add(size_of(value));
        self.undo.extend(undo.map(|place| (place, before)));
    }
}

/// Pending changes over committed rows.
pub struct Overlay<'p> {
    base: &'p dyn View,
    pending: &'p mut Pending,
    can_undo: bool,
}

impl std::fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Overlay({} changes)", self.pending.batch.len())
    }
}

impl View for Overlay<'_> {
    fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        match self.pending.batch.get(table, key) {
            Some(changed) => Ok(changed.map(<[u8]>::to_vec)),
            None => self.base.get(table, key),
        }
    }

    fn scan(
        &self,
        table: u8,
        span: &Span,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFault> {
        if span.is_empty() {
            return Ok(());
        }
        let Some(changed) = self.pending.batch.tables.get(&table) else {
            return self.base.scan(table, span, order, visit);
        };
        let to = span.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (Bound::Included(span.from.as_slice()), to);
        let mut forward = changed.range::<[u8], _>(bounds);
        let mut backward = changed.range::<[u8], _>(bounds).rev();
        let changes: &mut Changes<'_> = match order {
            Order::Forward => &mut forward,
            Order::Backward => &mut backward,
        };
        merge(self.base, table, span, order, changes, visit)
    }
}

type Changes<'c> = dyn Iterator<Item = (&'c KeyBytes, &'c Option<Vec<u8>>)> + 'c;

/// Visits committed rows and changes in one order; a change hides the committed row of its key.
fn merge(
    base: &dyn View,
    table: u8,
    span: &Span,
    order: Order,
    changes: &mut Changes<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), StoreFault> {
    let mut next = changes.next();
    let mut broke = false;
    base.scan(table, span, order, &mut |key, value| {
        while let Some((changed, new)) = next {
            let turn = match order {
                Order::Forward => (**changed).cmp(key),
                Order::Backward => key.cmp(&**changed),
            };
            if turn.is_gt() {
                break;
            }
            next = changes.next();
            if let Some(new) = new
                && visit(changed, new).is_break()
            {
                broke = true;
                return ControlFlow::Break(());
            }
            if turn.is_eq() {
                return ControlFlow::Continue(());
            }
        }
        let flow = visit(key, value);
        broke = flow.is_break();
        flow
    })?;
    while let Some((changed, new)) = next.filter(|_| !broke) {
        if let Some(new) = new {
            broke = visit(changed, new).is_break();
        }
        next = changes.next();
    }
    Ok(())
}

impl Rows for Overlay<'_> {
    fn put(&mut self, table: u8, key: &[u8], value: &[u8]) -> Result<(), StoreFault> {
        self.pending.set(table, key, Some(value), self.can_undo);
        Ok(())
    }

    fn delete(&mut self, table: u8, key: &[u8]) -> Result<(), StoreFault> {
        self.pending.set(table, key, None, self.can_undo);
        Ok(())
    }
}
