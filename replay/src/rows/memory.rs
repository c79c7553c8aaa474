//! Rows in memory: for tests, audits and the demo.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::{KeyBytes, Order, Rows, Span, StoreFault, View, Visit};

/// Changes are many where they are more than one for so many rows.
const MANY: usize = 8;

/// Rows of all tables, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryRows {
    tables: BTreeMap<u8, BTreeMap<KeyBytes, Vec<u8>>>,
}

impl MemoryRows {
    /// No rows.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tables: BTreeMap::new(),
        }
    }

    /// Rows of a table.
    #[must_use]
    pub fn len(&self, table: u8) -> usize {
        self.tables.get(&table).map_or(0, BTreeMap::len)
    }

    /// Makes changes of one table, ascending by key. Where they are many, one walk over all rows is less than a search for each.
    pub(crate) fn change<'c>(
        &mut self,
        table: u8,
        changes: impl ExactSizeIterator<Item = (&'c KeyBytes, Option<&'c [u8]>)>,
    ) {
        let rows = self.tables.entry(table).or_default();
        if changes.len() < rows.len() / MANY {
            for (key, value) in changes {
                match value {
                    Some(value) => drop(rows.insert(key.clone(), value.to_vec())),
                    None => drop(rows.remove(key)),
                }
            }
            return;
        }
        let mut new = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            match value {
                Some(value) => new.push((key.clone(), value.to_vec())),
                None => drop(rows.remove(key)),
            }
        }
        // They are in order, so that the map is made without a search.
        let mut new: BTreeMap<KeyBytes, Vec<u8>> = new.into_iter().collect();
        rows.append(&mut new);
    }

    /// Whether no table has a row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }
}

impl View for MemoryRows {
    fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(self
            .tables
            .get(&table)
            .and_then(|rows| rows.get(key))
            .cloned())
    }

    fn scan(
        &self,
        table: u8,
        span: &Span,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFault> {
        let Some(rows) = self.tables.get(&table).filter(|_| !span.is_empty()) else {
            return Ok(());
        };
        let to = span.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = rows.range::<[u8], _>((Bound::Included(span.from.as_slice()), to));
        let mut take = |(key, value): (&KeyBytes, &Vec<u8>)| visit(key, value);
        let (ControlFlow::Continue(()) | ControlFlow::Break(())) = match order {
            Order::Forward => found.into_iter().try_for_each(&mut take),
            Order::Backward => found.into_iter().rev().try_for_each(&mut take),
        };
        Ok(())
    }
}

impl Rows for MemoryRows {
    fn put(&mut self, table: u8, key: &[u8], value: &[u8]) -> Result<(), StoreFault> {
        let rows = self.tables.entry(table).or_default();
        rows.insert(KeyBytes::new(key), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, table: u8, key: &[u8]) -> Result<(), StoreFault> {
        if let Some(rows) = self.tables.get_mut(&table) {
            rows.remove(key);
        }
        Ok(())
    }
}
