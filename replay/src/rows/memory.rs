//! Rows in memory: for tests, audits and the demo.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::{Order, Rows, Span, StoreFault, View, Visit};

/// Rows of all tables, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryRows {
    tables: BTreeMap<u8, BTreeMap<Vec<u8>, Vec<u8>>>,
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
        let mut take = |(key, value): (&Vec<u8>, &Vec<u8>)| visit(key, value);
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
        rows.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, table: u8, key: &[u8]) -> Result<(), StoreFault> {
        if let Some(rows) = self.tables.get_mut(&table) {
            rows.remove(key);
        }
        Ok(())
    }
}
