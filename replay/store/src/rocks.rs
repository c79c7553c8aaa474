//! One fold's rows in one column family. Key at rest = table byte ‖ key, so that a table is a range.

use std::fmt;
use std::sync::Arc;

use orebook_replay::rows::{Order, Span, StoreFault, View, Visit};
use orebook_replay::store::{Batch, Store};
use rocksdb::{
    BoundColumnFamily, DBWithThreadMode, ErrorKind, MultiThreaded, ReadOptions,
    SnapshotWithThreadMode, WriteBatch,
};

pub(crate) type Db = DBWithThreadMode<MultiThreaded>;

/// What RocksDB writes of a change beside key and value: its kind, the family's number, two lengths, the table. A guess.
const WRITE_BYTES: usize = 14;

/// Rows of one fold in RocksDB. Made by [`Folder::store`](crate::Folder::store).
pub struct RocksStore {
    db: Arc<Db>,
    family: String,
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RocksStore({})", self.family)
    }
}

/// A fault in words; of damage it says what to do.
pub(crate) fn failed(error: rocksdb::Error) -> StoreFault {
    let damaged = error.kind() == ErrorKind::Corruption;
    let what = error.into_string();
    StoreFault::Failed(if damaged {
        format!("{what}; the rows are damaged: delete their folder, the ledger gives them again")
    } else {
        what
    })
}

impl RocksStore {
    pub(crate) const fn new(db: Arc<Db>, family: String) -> Self {
        Self { db, family }
    }

    fn family(&self) -> Result<Arc<BoundColumnFamily<'_>>, StoreFault> {
        let family = self.db.cf_handle(&self.family);
        family
            .ok_or_else(|| StoreFault::Failed(format!("the rows of {} were dropped", self.family)))
    }
}

impl Store for RocksStore {
    fn view(&self) -> Result<Box<dyn View + '_>, StoreFault> {
        Ok(Box::new(RocksView {
            family: self.family()?,
            snapshot: self.db.snapshot(),
        }))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreFault> {
        let family = self.family()?;
        let bytes = batch.iter().map(|(_, key, value)| {
            let value = value.map_or(0, <[u8]>::len);
            WRITE_BYTES + key.len() + value
        });
        let mut writes = WriteBatch::with_capacity_bytes(bytes.sum());
        let mut place = Vec::new();
        for (table, key, value) in batch.iter() {
            place.clear();
            place.push(table);
            place.extend_from_slice(key);
            match value {
                Some(value) => writes.put_cf(&family, &place, value),
                None => writes.delete_cf(&family, &place),
            }
        }
        self.db.write(writes).map_err(failed)
    }
}

fn at_rest(table: u8, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.push(table);
    bytes.extend_from_slice(key);
    bytes
}

struct RocksView<'a> {
    family: Arc<BoundColumnFamily<'a>>,
    snapshot: SnapshotWithThreadMode<'a, Db>,
}

impl View for RocksView<'_> {
    fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        let found = self.snapshot.get_cf(&self.family, at_rest(table, key));
        found.map_err(failed)
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
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(at_rest(table, &span.from));
        let upper = match &span.to {
            Some(to) => Some(at_rest(table, to)),
            None => table.checked_add(1).map(|next| vec![next]),
        };
        if let Some(upper) = upper {
            options.set_iterate_upper_bound(upper);
        }
        let mut rows = self.snapshot.raw_iterator_cf_opt(&self.family, options);
        match order {
            Order::Forward => rows.seek_to_first(),
            Order::Backward => rows.seek_to_last(),
        }
        while let Some((key, value)) = rows.item() {
            // Bounds keep the scan inside the table, so that the first byte is always there.
            let key = key.get(1..).unwrap_or_default();
            if visit(key, value).is_break() {
                return Ok(());
            }
            match order {
                Order::Forward => rows.next(),
                Order::Backward => rows.prev(),
            }
        }
        rows.status().map_err(failed)
    }
}
