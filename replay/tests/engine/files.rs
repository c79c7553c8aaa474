//! Segment files as the engine's source: those of a reader that follows a log, shared or opened for reading only.

use std::path::Path;
use std::sync::{Arc, Mutex};

use orebook_ledger::admit::Trust;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::{EmbeddedLog, Log};
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::{SegmentStore, StoreConfig};
use orebook_replay::engine::{Engine, EngineError, SharedReader, Source};
use orebook_replay::fold::FoldStop;
use orebook_replay::store::MemoryStore;
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::{Frame, HEADER_BYTES, Hash};

use crate::ledgers::{busy, contents, fresh, money_on};
use crate::pool::{LEDGER, Pool};

/// The pool's records, through a log, into segments of four positions below `dir`.
fn read(pool: &Pool, dir: &Path) -> Reader<RealDisk> {
    let mut log = EmbeddedLog::new();
    let opened = IncarnationOpened {
        ledger: LEDGER,
        incarnation: 0,
        next_position: 0,
        root: Hash::of(&[]),
    };
    log.open_incarnation(0, &opened).expect("a log");
    for (append_time, bytes) in &pool.sent {
        log.send(0, *append_time, bytes).expect("room");
    }
    let config = StoreConfig {
        preallocate_bytes: 0,
    };
    let disk = RealDisk::new(dir.to_owned());
    let (mut reader, _) = Reader::open(disk, "mirror", LEDGER, config, 0).expect("an empty folder");
    reader.poll(&log, usize::MAX).expect("the log is read");
    reader
}

fn replay(source: &impl Source, below: u64) -> (Engine, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let folds = money_on(&store);
    let mut engine =
        Engine::open(LEDGER, folds, Trust::CheckedBefore, source, below).expect("opens");
    engine
        .advance(source, below, u64::MAX, &mut |_| {})
        .expect("the segments are right");
    (engine, store)
}

#[test]
fn a_shared_reader_gives_final_positions_and_money_is_the_same() {
    let pool = busy();
    let dir = tempfile::tempdir().expect("a folder");
    let reader = Arc::new(Mutex::new(read(&pool, dir.path())));
    let source = SharedReader(reader.clone());
    let below = source.final_size();
    assert_eq!(below, pool.state.final_size());
    assert!(pool.size() - 2 <= below && below < pool.size());
    let (engine, store) = replay(&source, below);
    assert!(contents(store.as_ref()) == contents(fresh(&pool, below).as_ref()));
    let reader = reader.lock().expect("no panic");
    assert_eq!(engine.state().root(), reader.settled().root());
    assert!(3 < reader.store().segments().len());
}

#[test]
fn segments_opened_for_reading_only_give_the_same() {
    let pool = busy();
    let dir = tempfile::tempdir().expect("a folder");
    let below = read(&pool, dir.path()).final_size();
    let disk = RealDisk::new(dir.path().to_owned());
    let (segments, _) =
        SegmentStore::open_read_only(disk, "mirror/segments", LEDGER, below).expect("segments");
    let (_, store) = replay(&segments, below);
    assert!(contents(store.as_ref()) == contents(fresh(&pool, below).as_ref()));
    // From the middle of them, closures included.
    for stop in 1..below {
        let store = Arc::new(MemoryStore::new());
        let open = || {
            let folds = money_on(&store);
            Engine::open(LEDGER, folds, Trust::Nothing, &segments, below).expect("opens")
        };
        advance_on(&mut open(), &segments, stop);
        advance_on(&mut open(), &segments, below);
        assert!(contents(store.as_ref()) == contents(fresh(&pool, below).as_ref()));
    }
}

fn advance_on(engine: &mut Engine, source: &impl Source, below: u64) {
    engine
        .advance(source, below, u64::MAX, &mut |_| {})
        .expect("the segments are right");
}

/// Flips the bit of a file below `dir` that stands so many bytes after where `bytes` begin.
fn flip(dir: &Path, bytes: &[u8], after: usize) {
    let folder = std::fs::read_dir(dir.join("mirror/segments")).expect("a folder");
    let mut flipped = 0;
    for path in folder.map(|entry| entry.expect("a file").path()) {
        let mut file = std::fs::read(&path).expect("a segment");
        // The header begins as it did, whatever was flipped behind it.
        let begins = |at: &[u8]| at == &bytes[..64];
        if let Some(start) = file.windows(64).position(begins) {
            file[start + after] ^= 1;
            std::fs::write(&path, file).expect("written");
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1);
}

#[test]
fn a_window_waits_for_a_damaged_summary_and_does_not_ask_for_bodies() {
    let pool = busy();
    let dir = tempfile::tempdir().expect("a folder");
    let below = read(&pool, dir.path()).final_size();
    let disk = RealDisk::new(dir.path().to_owned());
    let opened = SegmentStore::open_read_only(disk, "mirror/segments", LEDGER, below);
    let (segments, _) = opened.expect("segments");
    let frame = |position| {
        Source::frame(&segments, position)
            .expect("read")
            .expect("here")
    };
    // Position 9 settles the block of position 5; the window goes down to genesis.
    let (older, newer) = (frame(2).frame, frame(4).frame);
    assert_eq!(older.header().stream, newer.header().stream);
    let body = |frame: &Frame| frame.bytes().len() - 1;
    for (bytes, after, waits) in [
        (newer.bytes(), HEADER_BYTES + 4, true),
        (older.bytes(), 200, true),
        (older.bytes(), HEADER_BYTES, true),
        (older.bytes(), body(&older), false),
    ] {
        let store = Arc::new(MemoryStore::new());
        let opened = Engine::open(LEDGER, money_on(&store), Trust::Nothing, &segments, below);
        let mut engine = opened.expect("opens");
        advance_on(&mut engine, &segments, 9);
        flip(dir.path(), bytes, after);
        let result = engine.advance(&segments, 10, u64::MAX, &mut |_| {});
        let waited = matches!(result, Err(EngineError::Waits(FoldStop::Unreadable(_))));
        assert_eq!(waited, waits, "byte {after}: {result:?}");
        flip(dir.path(), bytes, after);
        advance_on(&mut engine, &segments, below);
        assert!(contents(store.as_ref()) == contents(fresh(&pool, below).as_ref()));
    }
}
