//! Digests: incremental equals from scratch, at the sizes that the design names.

use std::sync::Arc;

use orebook_replay::digest::{self, DIGEST_POSITIONS, Digester};
use orebook_replay::fold::{Backwards, FinalFrame, Fold, FoldStop};
use orebook_replay::folds::money::Money;
use orebook_replay::rows::{MemoryRows, Rows, StoreFault, View, put};
use orebook_replay::store::{MemoryStore, Store};
use orebook_replay::{canonical_of, row};
use orebook_schema::{Event, Kind};

use crate::ledgers::{Tallies, Tally, advance, busy, digest_of, fresh, money_on, open};
use crate::pool::{Pool, parsed, policy};

/// Sizes after frames with blocks or their states.
fn points(pool: &Pool) -> Vec<u64> {
    let frames = pool.records.iter().filter_map(|record| match record {
        orebook_ledger::segment::Record::Frame(stored) => Some(stored),
        orebook_ledger::segment::Record::Closure { .. } => None,
    });
    let kinds = Kind::BlockFound.bit() | Kind::BlockStatus.bit() | Kind::BlockRecovered.bit();
    frames
        .filter(|stored| stored.frame.header().kinds & kinds != 0)
        .map(|stored| stored.position + 1)
        .collect()
}

#[test]
fn every_digest_is_the_one_computed_from_all_rows_at_that_size() {
    let pool = busy();
    let live = fresh(&pool, pool.size());
    let view = live.view().expect("a view");
    let expected = points(&pool);
    assert_eq!(expected.len(), 8);
    let mut seen = std::collections::BTreeSet::new();
    for size in 1..=pool.size() {
        let found = digest::at(view.as_ref(), size).expect("rows");
        assert_eq!(found.is_some(), expected.contains(&size), "size {size}");
        let Some(found) = found else { continue };
        let store = fresh(&pool, size);
        assert_eq!(found.digest, digest_of(store.as_ref()), "size {size}");
        let cursor = {
            let view = store.view().expect("a view");
            orebook_replay::engine::cursor(view.as_ref()).expect("a cursor")
        };
        assert_eq!(found.root, cursor.root);
        seen.insert(found.digest);
    }
    assert_eq!(seen.len(), expected.len(), "each changed something");
    let newest = digest::newest(view.as_ref()).expect("rows").expect("one");
    assert_eq!(Some(&newest.size), expected.last());
}

#[test]
fn commits_between_digests_forget_no_change() {
    // One position a commit, so that rows change in one commit and are digested in another.
    let pool = busy();
    let store = Arc::new(MemoryStore::new());
    for size in 1..=pool.size() {
        let mut engine = open(&pool, money_on(&store));
        advance(&mut engine, &pool, size);
    }
    let (slow, fast) = (store, fresh(&pool, pool.size()));
    let (slow, fast) = (slow.view().expect("a view"), fast.view().expect("a view"));
    for size in points(&pool) {
        let digests = [&slow, &fast].map(|view| digest::at(view.as_ref(), size).expect("rows"));
        assert!(digests[0].is_some());
        assert_eq!(digests[0], digests[1], "size {size}");
    }
}

#[test]
fn round_sizes_are_digest_points_whatever_the_frame_says() {
    let pool = Pool::new(policy(|_| {}));
    let frame = pool.cut(
        &crate::pool::Pen::new(crate::pool::GATEWAY, 1),
        pool.clock,
        &[(0, Event::Heartbeat)],
    );
    let parsed = parsed(&frame);
    let at = |position| FinalFrame {
        position,
        ledger_time: 0,
        parsed: &parsed,
        counts: &[],
        state: &pool.state,
    };
    for (position, is_point) in [
        (0, false),
        (DIGEST_POSITIONS - 2, false),
        (DIGEST_POSITIONS - 1, true),
        (DIGEST_POSITIONS, false),
        (5 * DIGEST_POSITIONS - 1, true),
    ] {
        assert_eq!(digest::is_point(&at(position)), is_point, "{position}");
    }
}

#[test]
fn rows_that_come_change_and_go_leave_the_digest_of_what_is_there() {
    let fold = Tallies { version: 1 };
    let mut rows = MemoryRows::new();
    let mut digester = Digester::load(&rows, &[]).expect("an empty store");
    let mut state = 7u64;
    let mut digests = std::collections::BTreeSet::new();
    for step in 0..600u64 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        let kind = state.to_le_bytes()[7] % 40;
        let row = Tally { kind, times: step };
        let key = Tally::key_of(&kind);
        if state.to_le_bytes()[6].is_multiple_of(3) {
            rows.delete(1, &key).expect("memory");
        } else {
            put(&mut rows, &row).expect("memory");
        }
        digester.note(1, key);
        if step.is_multiple_of(7) {
            let digest = digester.digest(&fold, &mut rows).expect("memory");
            assert_eq!(digest, digest::from_scratch(&fold, &rows).expect("memory"));
            digests.insert(digest);
        }
        if step % 50 == 49 {
            // As at a commit and a start.
            digester.settle(&fold, &mut rows).expect("memory");
            let dirty = digester.dirty();
            digester = Digester::load(&rows, &dirty).expect("memory");
        }
    }
    assert!(80 < digests.len());
}

#[test]
fn a_digest_names_its_fold_its_version_and_every_row() {
    let mut rows = MemoryRows::new();
    let row = Tally { kind: 3, times: 9 };
    let digest =
        |fold: &dyn Fold, rows: &MemoryRows| digest::from_scratch(fold, rows).expect("memory");
    let empty = digest(&Tallies { version: 1 }, &rows);
    assert_ne!(empty, digest(&Tallies { version: 2 }, &rows));
    assert_ne!(empty, digest(&Money, &rows));
    put(&mut rows, &row).expect("memory");
    let one = digest(&Tallies { version: 1 }, &rows);
    assert_ne!(one, empty);
    put(&mut rows, &Tally { times: 10, ..row }).expect("memory");
    assert_ne!(one, digest(&Tallies { version: 1 }, &rows));
}

#[test]
fn a_digest_is_these_bytes_hashed() {
    // The definition at the head of digest.rs, written out once more.
    use orebook_schema::Hash;
    let fold = Tallies { version: 1 };
    let mut rows = MemoryRows::new();
    put(&mut rows, &Tally { kind: 3, times: 9 }).expect("memory");
    let key = [3u8];
    let row = Hash::of(&[
        b"orebook/row/0\n",
        &[1],
        &1u16.to_le_bytes(),
        &key,
        &9u64.to_le_bytes(),
    ]);
    let place = Hash::of(&[&[1], &key]).0;
    let place = usize::from(place[0]) << 4 | usize::from(place[1]) >> 4;
    let mut all = Vec::new();
    for bucket in 0..4_096 {
        let inside: &[u8] = if bucket == place { &row.0 } else { &[] };
        all.extend_from_slice(&Hash::of(&[b"orebook/bucket/0\n", inside]).0);
    }
    let expected = Hash::of(&[
        b"orebook/digest/0\n",
        &[7],
        b"tallies",
        &1u32.to_le_bytes(),
        &all,
    ]);
    assert_eq!(digest::from_scratch(&fold, &rows), Ok(expected));
    let view: &dyn View = &rows;
    let mut digester = Digester::load(view, &[]).expect("memory");
    digester.note(1, key.to_vec());
    assert_eq!(digester.digest(&fold, &mut rows), Ok(expected));
}

#[test]
fn rows_that_change_more_often_than_are_noted_at_once_are_all_in_the_digest() {
    let (fold, mut rows) = (Tallies { version: 1 }, MemoryRows::new());
    let mut digester = Digester::load(&rows, &[]).expect("memory");
    for step in 0..200_000u64 {
        // Some change all the time, and each thousandth is another row.
        let kind = match step % 1_000 {
            0 => 100 + (step / 1_000).to_le_bytes()[0] % 100,
            other => other.to_le_bytes()[0] % 7,
        };
        put(&mut rows, &Tally { kind, times: step }).expect("memory");
        digester.note(1, Tally::key_of(&kind));
    }
    let digest = digester.digest(&fold, &mut rows).expect("memory");
    assert_eq!(digest, digest::from_scratch(&fold, &rows).expect("memory"));
}

row! {
    /// A row of a table with very many.
    struct Many in table 2 {
        key {
            /// Its number.
            number: u32,
        }
        value {
            /// What changes.
            times: u64,
        }
    }
}

/// A fold of many rows.
struct Crowd;

impl Fold for Crowd {
    fn name(&self) -> &'static str {
        "crowd"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(
        &mut self,
        _frame: &FinalFrame<'_>,
        _rows: &mut dyn Rows,
        _ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        Ok(())
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(table, key, value; Many)
    }
}

#[test]
fn more_rows_than_are_noted_at_once_are_all_in_one_digest() {
    // 65,536 are noted before repeats are looked for; then twice as many as are left.
    let mut rows = MemoryRows::new();
    let mut digester = Digester::load(&rows, &[]).expect("memory");
    for round in 0..2u64 {
        for number in 0..150_000u32 {
            let row = Many {
                number,
                times: round,
            };
            put(&mut rows, &row).expect("memory");
            digester.note(2, Many::key_of(&number));
        }
        let digest = digester.digest(&Crowd, &mut rows).expect("memory");
        assert_eq!(
            digest,
            digest::from_scratch(&Crowd, &rows).expect("memory"),
            "round {round}"
        );
    }
}
