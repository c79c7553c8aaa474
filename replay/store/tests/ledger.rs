//! The folds on RocksDB: the same rows and digests as in memory, however they come about.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod world;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use orebook_ledger::admit::Trust;
use orebook_ledger::disk::real::RealDisk;
use orebook_replay::digest;
use orebook_replay::engine::{self, Engine, SharedReader};
use orebook_replay::fold::Fold;
use orebook_replay::folds::blocks::Blocks;
use orebook_replay::folds::hashrate::Hashrate;
use orebook_replay::folds::money::Money;
use orebook_replay::folds::rounds::Rounds;
use orebook_replay::folds::workers::Workers;
use orebook_replay::rows::{ENGINE_TABLES, Order, Span, View};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::{Hash, LedgerId};
use orebook_store::{Folder, FolderError, Limits, Manifest, restore};

use world::{LEDGER, World, small_ledger};

type Stores = Vec<(&'static str, Arc<dyn Store>)>;

fn folds() -> Vec<Box<dyn Fold + Send>> {
    vec![
        Box::new(Money),
        Box::new(Blocks),
        Box::new(Rounds),
        Box::new(Hashrate),
        Box::new(Workers),
    ]
}

fn in_memory() -> Stores {
    let store = || -> Arc<dyn Store> { Arc::new(MemoryStore::new()) };
    folds().iter().map(|fold| (fold.name(), store())).collect()
}

fn on_disk(folder: &Folder) -> Stores {
    let store = |fold: &dyn Fold| -> Arc<dyn Store> {
        Arc::new(
            folder
                .store(fold.name(), fold.version())
                .expect("a store")
                .0,
        )
    };
    folds()
        .iter()
        .map(|fold| (fold.name(), store(fold.as_ref())))
        .collect()
}

fn open(dir: &Path) -> Folder {
    Folder::open(dir, LEDGER, Limits::default()).expect("the folder opens")
}

fn source(world: &World) -> SharedReader<RealDisk> {
    SharedReader(world.reader.clone())
}

/// Brings stores to `below`, at most `at_once` positions a commit.
fn advance(world: &World, stores: &Stores, below: u64, at_once: u64) {
    let source = source(world);
    let members = folds()
        .into_iter()
        .zip(stores.iter().map(|(_, store)| store.clone()));
    let opened = Engine::open(LEDGER, members.collect(), Trust::Nothing, &source, below);
    let mut engine = opened.expect("the engine opens");
    while engine.size() < below {
        engine
            .advance(&source, below, at_once, &mut |_| {})
            .expect("it advances");
    }
    assert_eq!(engine.stops().next(), None);
}

/// Rows of a fold: (table, key) to value.
fn rows(view: &dyn View) -> BTreeMap<(u8, Vec<u8>), Vec<u8>> {
    let mut found = BTreeMap::new();
    for table in 0..ENGINE_TABLES {
        view.scan(table, &Span::all(), Order::Forward, &mut |key, value| {
            found.insert((table, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        })
        .expect("a scan");
    }
    found
}

#[track_caller]
fn assert_same(here: &Stores, there: &Stores, size: u64) {
    for ((name, here), (_, there)) in here.iter().zip(there) {
        let (here, there) = (here.view().expect("a view"), there.view().expect("a view"));
        for view in [&here, &there] {
            assert_eq!(
                engine::cursor(view.as_ref()).expect("a cursor").size,
                size,
                "{name}"
            );
        }
        let (mine, theirs) = (rows(here.as_ref()), rows(there.as_ref()));
        assert!(!mine.is_empty(), "{name} has rows");
        assert!(mine == theirs, "{name}: the rows differ");
        let mut digests = 0;
        for at in 0..=size {
            let mine = digest::at(here.as_ref(), at).expect("a digest");
            assert_eq!(
                mine,
                digest::at(there.as_ref(), at).expect("a digest"),
                "{name} at {at}"
            );
            digests += u32::from(mine.is_some());
        }
        assert!(10 < digests, "{name} has {digests} digests");
        let fold = folds()
            .into_iter()
            .find(|fold| fold.name() == *name)
            .expect("a fold");
        assert_eq!(
            digest::from_scratch(fold.as_ref(), here.as_ref()),
            digest::from_scratch(fold.as_ref(), there.as_ref()),
            "{name}"
        );
    }
}

#[test]
fn rocksdb_gives_the_rows_and_digests_of_memory_however_positions_are_batched() {
    let world = small_ledger();
    let size = world.lock().final_size();
    let memory = in_memory();
    advance(&world, &memory, size, u64::MAX);
    for at_once in [1, 7, u64::MAX] {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = on_disk(&open(dir.path()));
        advance(&world, &disk, size, at_once);
        assert_same(&memory, &disk, size);
    }
}

#[test]
fn a_projection_goes_on_where_it_was_and_a_deleted_one_comes_back() {
    let world = small_ledger();
    let size = world.lock().final_size();
    let memory = in_memory();
    advance(&world, &memory, size, u64::MAX);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("rows");
    for stop in (1..size).step_by(11).chain([size]) {
        // Folder, stores and engine are opened again each time, as after a restart.
        let folder = open(&path);
        advance(&world, &on_disk(&folder), stop, 4);
    }
    let folder = open(&path);
    assert_same(&memory, &on_disk(&folder), size);
    drop(folder);

    fs::remove_dir_all(&path).expect("disposable");
    let folder = open(&path);
    let disk = on_disk(&folder);
    advance(&world, &disk, size, u64::MAX);
    assert_same(&memory, &disk, size);
}

#[test]
fn folds_whose_versions_moved_are_rebuilt_beside_those_that_go_on() {
    let world = small_ledger();
    let size = world.lock().final_size();
    let dir = tempfile::tempdir().expect("a folder");
    let folder = open(dir.path());
    let disk = on_disk(&folder);
    advance(&world, &disk, size - 20, u64::MAX);
    drop(disk);
    // As if `blocks` had been of another version: its rows go, the others stand at their cursors.
    folder.store("blocks", 77).expect("another version");
    let disk = on_disk(&folder);
    let at = |name: &str| {
        let (_, store) = disk
            .iter()
            .find(|(found, _)| *found == name)
            .expect("a fold");
        let view = store.view().expect("a view");
        engine::cursor(view.as_ref()).expect("a cursor").size
    };
    assert_eq!((at("blocks"), at("money")), (0, size - 20));
    advance(&world, &disk, size, u64::MAX);
    let memory = in_memory();
    advance(&world, &memory, size, u64::MAX);
    assert_same(&memory, &disk, size);
}

#[test]
fn a_snapshot_with_its_tail_is_the_full_replay() {
    let world = small_ledger();
    let size = world.lock().final_size();
    let dir = tempfile::tempdir().expect("a folder");
    let (live, snapshot, restored) = (
        dir.path().join("live"),
        dir.path().join("snapshots/one"),
        dir.path().join("restored"),
    );
    let folder = open(&live);
    let disk = on_disk(&folder);
    let part = size * 2 / 3;
    advance(&world, &disk, part, u64::MAX);
    let manifest = folder.snapshot(&snapshot).expect("a snapshot");
    // What happens later is not in it.
    advance(&world, &disk, size, u64::MAX);

    assert_eq!(manifest.ledger, LEDGER);
    assert_eq!(manifest.folds.len(), 5);
    let root = world
        .lock()
        .state_at(part)
        .expect("a state")
        .expect("it is there")
        .root();
    for fold in &manifest.folds {
        assert_eq!((fold.size, fold.root), (part, root), "{}", fold.fold);
        assert!(
            fold.digest.is_some_and(|(at, _)| at <= part),
            "{}",
            fold.fold
        );
    }
    assert_eq!(Manifest::read(&snapshot).expect("a manifest"), manifest);
    assert_eq!(
        restore(&snapshot, &restored, LEDGER).expect("a copy"),
        manifest
    );
    let copy = open(&restored);
    assert_eq!(copy.manifest().expect("a manifest"), manifest);
    let copied = on_disk(&copy);
    advance(&world, &copied, size, 5);
    assert_same(&disk, &copied, size);
    let memory = in_memory();
    advance(&world, &memory, size, u64::MAX);
    assert_same(&memory, &copied, size);

    // The snapshot did not change, and can be used again.
    let second = dir.path().join("second");
    assert_eq!(
        restore(&snapshot, &second, LEDGER).expect("a copy"),
        manifest
    );
    let over = folder.snapshot(&snapshot).expect_err("it is there");
    assert!(matches!(over, FolderError::Foreign(_)), "{over}");
    let other =
        restore(&snapshot, &dir.path().join("x"), LedgerId([1; 16])).expect_err("another ledger");
    assert!(matches!(other, FolderError::OtherLedger { .. }), "{other}");
    let used = restore(&snapshot, &second, LEDGER).expect_err("it is in use");
    assert!(matches!(used, FolderError::Foreign(_)), "{used}");
    let none = restore(&live, &dir.path().join("x"), LEDGER).expect_err("no snapshot");
    assert!(matches!(none, FolderError::Foreign(_)), "{none}");
}

#[test]
fn a_snapshot_that_is_not_what_its_manifest_says_is_refused() {
    let world = small_ledger();
    let dir = tempfile::tempdir().expect("a folder");
    let snapshot = dir.path().join("snapshot");
    let folder = open(&dir.path().join("live"));
    advance(&world, &on_disk(&folder), 40, u64::MAX);
    let manifest = folder.snapshot(&snapshot).expect("a snapshot");
    let path = snapshot.join("SNAPSHOT");
    let text = fs::read_to_string(&path).expect("a manifest");
    let root = manifest.folds[0].root.to_string();
    fs::write(&path, text.replace(&root, &Hash([3; 32]).to_string())).expect("a file");
    let refused = restore(&snapshot, &dir.path().join("copy"), LEDGER).expect_err("a lie");
    assert!(matches!(refused, FolderError::Damaged { .. }), "{refused}");
}
