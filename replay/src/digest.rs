//! Digests: the hash of a fold's whole state at a position, so that two machines can say "equal" in 32 bytes.
//!
//! - A row's hash is SHA-256(`orebook/row/0\n` ‖ table `u8` ‖ key length `u16` ‖ key ‖ canonical value): never over bytes
//!   at rest. Its bucket is the first 12 bits of SHA-256(table ‖ key).
//! - A bucket's hash is SHA-256(`orebook/bucket/0\n` ‖ row hashes, ascending by table and key).
//! - The digest is SHA-256(`orebook/digest/0\n` ‖ name length `u8` ‖ name ‖ version `u32` ‖ the 4,096 bucket hashes).
//!
//! Row hashes rest beside the rows, by bucket: a digest costs what changed since the one before, not what there is.
//! A digest is named by the size it stands for: the number of positions applied.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use orebook_schema::{Event, Hash};

use crate::fold::{FinalFrame, Fold};
use crate::row;
use crate::rows::{self, ENGINE_TABLES, KeyBytes, Order, Rows, Span, StoreFault, View};

/// Buckets of a digest.
pub const BUCKETS: u16 = 4_096;
/// There is a digest at every size that is a multiple of this.
pub const DIGEST_POSITIONS: u64 = 65_536;
/// Row hashes by bucket ‖ table ‖ key.
const INDEX_TABLE: u8 = 0xf3;
/// Bucket hashes by bucket.
const BUCKET_TABLE: u8 = 0xf4;
/// Changed rows that are noted before repeats among them are looked for.
const NOTED: usize = 65_536;
/// Digests by size.
const DIGEST_TABLE: u8 = 0xf5;

row! {
    /// A digest that was computed.
    pub struct Digest in table 0xf5 {
        key {
            /// Positions applied.
            size: u64,
        }
        value {
            /// The digest.
            digest: Hash,
            /// Root of the ledger's tree of that size.
            root: Hash,
        }
    }
}

const _: () = assert!(
    DIGEST_TABLE == <Digest as rows::Row>::TABLE,
    "one table, one number"
);

/// The digest at a size, if there was one.
///
/// # Errors
/// [`StoreFault`].
pub fn at(view: &dyn View, size: u64) -> Result<Option<Digest>, StoreFault> {
    rows::get(view, &Digest::key_of(&size))
}

/// The newest digest.
///
/// # Errors
/// [`StoreFault`].
pub fn newest(view: &dyn View) -> Result<Option<Digest>, StoreFault> {
    rows::first(view, &Span::all(), Order::Backward)
}

/// Whether folds have a digest after this frame: at round sizes, and after whatever moves money.
#[must_use]
pub fn is_point(frame: &FinalFrame<'_>) -> bool {
    use orebook_schema::Kind;
    frame.size().is_multiple_of(DIGEST_POSITIONS)
        || frame.has(Kind::BlockStatus)
        || frame.has(Kind::BlockRecovered)
        || (frame.has(Kind::Adjustment) || frame.has(Kind::Approval)) && adjusts(frame)
        || frame.has(Kind::PayoutProposed)
        || frame.has(Kind::PayoutCancelled)
        || frame.has(Kind::PayoutStep) && pays(frame)
        || (frame.has(Kind::BlockFound) || frame.has(Kind::Moved))
            && frame.blocks().next().is_some()
}

/// Whether a payout's transaction is said to be in a block: other steps move no money.
fn pays(frame: &FinalFrame<'_>) -> bool {
    let mut events = frame.events();
    events
        .any(|(_, _, event)| matches!(event, Event::PayoutStep(said) if said.step.is_in_a_block()))
}

fn adjusts(frame: &FinalFrame<'_>) -> bool {
    let authority = frame.authority();
    authority.is_some_and(|it| it.adjustments_taken_at(frame.position).next().is_some())
}

/// Keeps a fold's digest up to date with its rows.
#[derive(Clone, Debug)]
pub struct Digester {
    buckets: Vec<Hash>,
    /// Rows that changed and whose hashes are not made again yet, in any order; those that changed again come again.
    changed: Vec<(u8, KeyBytes)>,
    /// As many are sorted, and each named once, before one more is noted.
    sort_at: usize,
    /// Buckets that hold one whose hash was made again.
    dirty: BTreeSet<u16>,
}

impl Digester {
    /// Goes on from what a store holds; `dirty` as [`Digester::dirty`] gave it at the last commit.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn load(view: &dyn View, dirty: &[u16]) -> Result<Self, StoreFault> {
        let empty = bucket_hash(std::iter::empty());
        let mut buckets = vec![empty; usize::from(BUCKETS)];
        let mut fault = None;
        view.scan(
            BUCKET_TABLE,
            &Span::all(),
            Order::Forward,
            &mut |key, value| {
                let place = <[u8; 2]>::try_from(key).ok().map(u16::from_be_bytes);
                let slot = place.and_then(|place| buckets.get_mut(usize::from(place)));
                match (slot, <[u8; 32]>::try_from(value)) {
                    (Some(slot), Ok(hash)) => {
                        *slot = Hash(hash);
                        ControlFlow::Continue(())
                    }
                    _ => {
                        fault = Some(StoreFault::Damaged {
                            table: BUCKET_TABLE,
                            what: "a bucket",
                        });
                        ControlFlow::Break(())
                    }
                }
            },
        )?;
        fault.map_or(Ok(()), Err)?;
        Ok(Self {
            buckets,
            changed: Vec::new(),
            sort_at: NOTED,
            dirty: dirty.iter().copied().collect(),
        })
    }

    /// Notes that a row changed.
    pub fn note(&mut self, table: u8, key: impl Into<KeyBytes>) {
        if ENGINE_TABLES <= table {
            return;
        }
        if self.changed.len() == self.sort_at {
            self.sort();
            self.sort_at = NOTED.max(self.changed.len() * 2);
        }
        self.changed.push((table, key.into()));
    }

    fn sort(&mut self) {
        self.changed.sort_unstable();
        self.changed.dedup();
    }

    /// Buckets whose hashes are not made again yet.
    #[must_use]
    pub fn dirty(&self) -> Vec<u16> {
        self.dirty.iter().copied().collect()
    }

    /// Makes the hashes of the changed rows again. Before every commit, so that no change is forgotten.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn settle(&mut self, fold: &dyn Fold, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        self.sort();
        let mut hashes = Vec::with_capacity(self.changed.len());
        for (table, key) in &self.changed {
            let bucket = bucket_of(*table, key);
            let hash = match rows.get(*table, key)? {
                Some(value) => {
                    let canonical = fold.canonical(*table, key, &value)?;
                    Some(row_hash(*table, key, &canonical))
                }
                None => None,
            };
            hashes.push((bucket, index_key(bucket, *table, key), hash));
        }
        // In the index's own order: each lies beside the one before.
        hashes.sort_unstable_by(|(_, one, _), (_, other, _)| one.cmp(other));
        let mut last = None;
        for (bucket, index, hash) in hashes {
            if last.replace(bucket) != Some(bucket) {
                self.dirty.insert(bucket);
            }
            match hash {
                Some(hash) => rows.put(INDEX_TABLE, &index, &hash.0)?,
                None => rows.delete(INDEX_TABLE, &index)?,
            }
        }
        self.changed.clear();
        self.sort_at = NOTED;
        Ok(())
    }

    /// The digest of the rows as they are; only buckets that changed are made again.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn digest(&mut self, fold: &dyn Fold, rows: &mut dyn Rows) -> Result<Hash, StoreFault> {
        self.settle(fold, rows)?;
        while let Some(bucket) = self.dirty.first().copied() {
            let mut hashes = Vec::new();
            let span = Span::prefix(&bucket.to_be_bytes());
            rows.scan(INDEX_TABLE, &span, Order::Forward, &mut |_, hash| {
                hashes.extend_from_slice(hash);
                ControlFlow::Continue(())
            })?;
            let hash = bucket_hash(std::iter::once(hashes.as_slice()));
            rows.put(BUCKET_TABLE, &bucket.to_be_bytes(), &hash.0)?;
            if let Some(slot) = self.buckets.get_mut(usize::from(bucket)) {
                *slot = hash;
            }
            self.dirty.pop_first();
        }
        Ok(root(fold, &self.buckets))
    }
}

/// The digest of a fold's rows, computed from all of them: what an auditor does, and what [`Digester`] must equal.
///
/// # Errors
/// [`StoreFault`].
pub fn from_scratch(fold: &dyn Fold, view: &dyn View) -> Result<Hash, StoreFault> {
    let mut buckets: Vec<Vec<u8>> = vec![Vec::new(); usize::from(BUCKETS)];
    let mut fault = None;
    for table in 0..ENGINE_TABLES {
        view.scan(
            table,
            &Span::all(),
            Order::Forward,
            &mut |key, value| match fold.canonical(table, key, value) {
                Ok(canonical) => {
                    let hash = row_hash(table, key, &canonical);
                    if let Some(bucket) = buckets.get_mut(usize::from(bucket_of(table, key))) {
                        bucket.extend_from_slice(&hash.0);
                    }
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    fault = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
    }
    fault.map_or(Ok(()), Err)?;
    let hashes: Vec<Hash> = buckets
        .iter()
        .map(|hashes| bucket_hash(std::iter::once(hashes.as_slice())))
        .collect();
    Ok(root(fold, &hashes))
}

fn root(fold: &dyn Fold, buckets: &[Hash]) -> Hash {
    let name = fold.name().as_bytes();
    let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let version = fold.version().to_le_bytes();
    let joined: Vec<u8> = buckets.iter().flat_map(|hash| hash.0).collect();
    Hash::of(&[b"orebook/digest/0\n", &[len], name, &version, &joined])
}

fn bucket_hash<'a>(hashes: impl Iterator<Item = &'a [u8]>) -> Hash {
    let parts: Vec<&[u8]> = std::iter::once(b"orebook/bucket/0\n".as_slice())
        .chain(hashes)
        .collect();
    Hash::of(&parts)
}

fn row_hash(table: u8, key: &[u8], canonical: &[u8]) -> Hash {
    let len = u16::try_from(key.len());
    assert!(len.is_ok(), "a key has at most 65,535 bytes");
    let len = len.unwrap_or(u16::MAX).to_le_bytes();
    Hash::of(&[b"orebook/row/0\n", &[table], &len, key, canonical])
}

fn bucket_of(table: u8, key: &[u8]) -> u16 {
    let Hash([first, second, ..]) = Hash::of(&[&[table], key]);
    u16::from_be_bytes([first, second]) >> 4
}

fn index_key(bucket: u16, table: u8, key: &[u8]) -> KeyBytes {
    let [high, low] = bucket.to_be_bytes();
    KeyBytes::after([high, low, table], key)
}
