//! What is not the ledger is found and named: the engine judges every stored frame again.

use std::sync::Arc;

use orebook_ledger::admit::Trust;
use orebook_ledger::segment::Record;
use orebook_replay::engine::{Engine, EngineError};
use orebook_replay::store::MemoryStore;
use orebook_schema::Frame;

use crate::ledgers::{busy, contents, fresh, money_on};
use crate::pool::{LEDGER, Pool};

fn replay(pool: &Pool, trust: Trust) -> Result<u64, EngineError> {
    let store = Arc::new(MemoryStore::new());
    let mut engine = Engine::open(LEDGER, money_on(&store), trust, pool, pool.size())?;
    engine.advance(pool, pool.size(), u64::MAX, &mut |_| {})
}

/// The ledger with one stored frame changed.
fn spoilt(position: u64, spoil: impl Fn(&mut orebook_ledger::segment::StoredFrame)) -> Pool {
    let mut pool = busy();
    let record = pool.records.iter_mut().find(|record| match record {
        Record::Frame(stored) => stored.position == position,
        Record::Closure { .. } => false,
    });
    match record {
        Some(Record::Frame(stored)) => spoil(stored),
        _ => panic!("no position {position}"),
    }
    pool
}

#[test]
fn a_changed_bit_of_a_frame_is_named_with_its_position() {
    let position = 5;
    let size = match &busy().records[5] {
        Record::Frame(stored) => stored.frame.bytes().len(),
        Record::Closure { .. } => 0,
    };
    assert!(300 < size);
    for byte in (0..size).step_by(7) {
        let pool = spoilt(position, |stored| {
            let mut bytes = stored.frame.bytes().to_vec();
            bytes[byte] ^= 1;
            // A header that cannot be read at all never comes out of a segment.
            if let Ok(frame) = Frame::read(bytes) {
                stored.frame = frame;
            }
        });
        if pool.records == busy().records {
            continue;
        }
        let found = replay(&pool, Trust::Nothing);
        assert!(
            matches!(
                found,
                Err(EngineError::Damaged { position: 5, .. }
                    | EngineError::UnknownKind { position: 5, .. })
            ),
            "byte {byte}: {found:?}"
        );
    }
}

#[test]
fn a_changed_ledger_time_is_named() {
    let pool = spoilt(4, |stored| stored.ledger_time += 1);
    let found = replay(&pool, Trust::CheckedBefore);
    assert!(
        matches!(found, Err(EngineError::Damaged { position: 4, .. })),
        "{found:?}"
    );
}

#[test]
fn a_closure_that_is_no_fork_is_named() {
    let mut pool = busy();
    let header = pool.records.iter().find_map(|record| match record {
        Record::Frame(stored) if stored.position == 3 => Some(stored.frame.header().clone()),
        _ => None,
    });
    let place = pool
        .records
        .iter()
        .position(|record| record.position() == 6);
    pool.records.insert(
        place.expect("position 6"),
        Record::Closure {
            position: 6,
            append_time: 0,
            header: header.expect("position 3"),
        },
    );
    let found = replay(&pool, Trust::Nothing);
    assert!(
        matches!(found, Err(EngineError::Damaged { position: 6, .. })),
        "{found:?}"
    );
}

#[test]
fn what_was_applied_before_the_damage_is_committed() {
    let pool = spoilt(9, |stored| stored.ledger_time += 1);
    let store = Arc::new(MemoryStore::new());
    let mut engine =
        Engine::open(LEDGER, money_on(&store), Trust::Nothing, &pool, pool.size()).expect("opens");
    let found = engine.advance(&pool, pool.size(), u64::MAX, &mut |_| {});
    assert!(
        matches!(found, Err(EngineError::Damaged { position: 9, .. })),
        "{found:?}"
    );
    assert!(contents(store.as_ref()) == contents(fresh(&pool, 9).as_ref()));
}

#[test]
fn with_and_without_signatures_the_rows_are_the_same() {
    let pool = busy();
    assert!(
        pool.records
            .iter()
            .any(|record| matches!(record, Record::Closure { .. }))
    );
    let trusted = Arc::new(MemoryStore::new());
    let folds = money_on(&trusted);
    let mut engine =
        Engine::open(LEDGER, folds, Trust::CheckedBefore, &pool, pool.size()).expect("opens");
    let mut last = None;
    engine
        .advance(&pool, pool.size(), u64::MAX, &mut |progress| {
            last = Some(progress)
        })
        .expect("the ledger is right");
    assert!(contents(trusted.as_ref()) == contents(fresh(&pool, pool.size()).as_ref()));
    assert_eq!(
        last.map(|progress| (progress.size, progress.below)),
        Some((pool.size(), pool.size()))
    );
}
