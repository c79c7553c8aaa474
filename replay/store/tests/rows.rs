//! Rows in RocksDB behave as rows in memory, also after a crash, and a folder says what is wrong with it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use orebook_replay::rows::{Order, Span, View};
use orebook_replay::store::{Batch, MemoryStore, Store};
use orebook_schema::LedgerId;
use orebook_store::{Folder, FolderError, Limits, Opened, RocksStore};

const LEDGER: LedgerId = LedgerId([7; 16]);
/// Small, so that files are flushed and logs are dropped within a test.
const SMALL: Limits = Limits {
    wal_bytes_max: 256 << 10,
    cache_bytes: 1 << 20,
    unflushed_bytes: 128 << 10,
};

fn open(dir: &Path) -> Folder {
    Folder::open(dir, LEDGER, SMALL).expect("the folder opens")
}

fn store(folder: &Folder) -> RocksStore {
    folder.store("money", 1).expect("the store opens").0
}

/// A seeded generator (splitmix64): the same choices in every run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn bytes(&mut self, length_max: u64, alphabet: u64) -> Vec<u8> {
        let length = self.below(length_max + 1);
        (0..length)
            .map(|_| {
                [0, 1, 0x7f, 0xfe, 0xff][usize::try_from(self.below(alphabet)).expect("small")]
            })
            .collect()
    }
}

fn rows(
    view: &dyn View,
    table: u8,
    span: &Span,
    order: Order,
    most: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    view.scan(table, span, order, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() == most {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .expect("a scan");
    found
}

#[test]
fn rocksdb_and_memory_give_the_same_rows_in_both_directions() {
    let dir = tempfile::tempdir().expect("a folder");
    for seed in 0..20 {
        println!("seed {seed}");
        let mut choices = Choices(seed);
        let memory = MemoryStore::new();
        let folder = open(&dir.path().join(seed.to_string()));
        let mut rocks = store(&folder);
        for round in 0..30 {
            let mut batch = Batch::new();
            for _ in 0..choices.below(20) {
                let table = [0, 1, 0xf0, 0xff][usize::try_from(choices.below(4)).expect("small")];
                let value = (choices.below(4) != 0).then(|| choices.bytes(9, 5));
                batch.insert((table, choices.bytes(4, 5)), value);
            }
            memory.commit(&batch).expect("memory takes it");
            rocks.commit(&batch).expect("rocksdb takes it");
            if round == 15 {
                drop(rocks);
                rocks = store(&folder);
            }
            let (here, there) = (
                memory.view().expect("a view"),
                rocks.view().expect("a view"),
            );
            for table in [0, 1, 0xf0, 0xff] {
                let spans = [
                    Span::all(),
                    Span::prefix(&choices.bytes(3, 5)),
                    Span::between(choices.bytes(4, 5), choices.bytes(4, 5)),
                    Span::prefix_from(&[0xff], choices.bytes(4, 5)),
                ];
                for span in &spans {
                    for order in [Order::Forward, Order::Backward] {
                        let most = usize::try_from(1 + choices.below(9)).expect("small");
                        assert_eq!(
                            rows(&*here, table, span, order, most),
                            rows(&*there, table, span, order, most),
                            "seed {seed}, round {round}, table {table}, {span:?}, {order:?}"
                        );
                    }
                }
                let key = choices.bytes(4, 5);
                assert_eq!(here.get(table, &key), there.get(table, &key));
            }
        }
    }
}

#[test]
fn a_view_never_changes_while_it_lives() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = open(dir.path());
    let rocks = store(&folder);
    let put = |value: &[u8]| Batch::from([((1, b"k".to_vec()), Some(value.to_vec()))]);
    rocks.commit(&put(b"old")).expect("a commit");
    let view = rocks.view().expect("a view");
    rocks.commit(&put(b"new")).expect("a commit");
    assert_eq!(view.get(1, b"k"), Ok(Some(b"old".to_vec())));
    assert_eq!(rows(&*view, 1, &Span::all(), Order::Forward, 9).len(), 1);
    let view = rocks.view().expect("a view");
    assert_eq!(view.get(1, b"k"), Ok(Some(b"new".to_vec())));
}

#[test]
fn folds_have_rows_of_their_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = open(dir.path());
    let (money, blocks) = (
        store(&folder),
        folder.store("blocks", 1).expect("a store").0,
    );
    let batch = Batch::from([((1, b"k".to_vec()), Some(b"v".to_vec()))]);
    money.commit(&batch).expect("a commit");
    assert_eq!(blocks.view().expect("a view").get(1, b"k"), Ok(None));
}

#[test]
fn rows_of_another_version_are_dropped_and_no_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let batch = Batch::from([((1, b"k".to_vec()), Some(b"v".to_vec()))]);
    let folder = open(dir.path());
    for name in ["money", "blocks"] {
        let (rows, opened) = folder.store(name, 1).expect("a store");
        assert_eq!(opened, Opened::New);
        rows.commit(&batch).expect("a commit");
    }
    drop(folder);
    let folder = open(dir.path());
    let (money, opened) = folder.store("money", 2).expect("a store");
    assert_eq!(opened, Opened::Dropped { had: Some(1) });
    assert_eq!(money.view().expect("a view").get(1, b"k"), Ok(None));
    let (blocks, opened) = folder.store("blocks", 1).expect("a store");
    assert_eq!(opened, Opened::Kept);
    assert_eq!(
        blocks.view().expect("a view").get(1, b"k"),
        Ok(Some(b"v".to_vec()))
    );
}

#[test]
fn a_folder_says_what_is_wrong_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("rows-of-ours");
    let folder = open(&path);
    assert!(!folder.was_emptied());
    store(&folder);

    let second = Folder::open(&path, LEDGER, SMALL).expect_err("it is open already");
    assert!(matches!(second, FolderError::InUse(_)), "{second}");
    drop(folder);

    let other = Folder::open(&path, LedgerId([8; 16]), SMALL).expect_err("another ledger's");
    assert!(
        matches!(other, FolderError::OtherLedger { ledger: LEDGER, .. }),
        "{other}"
    );

    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).expect("a folder");
    fs::write(foreign.join("holiday.jpg"), b"x").expect("a file");
    let refused = Folder::open(&foreign, LEDGER, SMALL).expect_err("not ours");
    assert!(matches!(refused, FolderError::Foreign(_)), "{refused}");
    assert!(foreign.join("holiday.jpg").exists(), "nothing was touched");
    assert_eq!(fs::read_dir(&foreign).expect("a folder").count(), 1);

    let rows = path.join("rows");
    let manifest = fs::read_dir(&rows)
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("MANIFEST"))
        .expect("RocksDB has a manifest");
    fs::write(rows.join(manifest), b"something else altogether").expect("a file");
    let damaged = Folder::open(&path, LEDGER, SMALL).expect_err("damaged");
    assert!(matches!(damaged, FolderError::Damaged { .. }), "{damaged}");
    assert!(damaged.to_string().contains("delete it"), "{damaged}");

    fs::remove_dir_all(&path).expect("as it says");
    store(&open(&path));
}

#[test]
fn a_folder_of_another_layout_is_emptied() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = open(dir.path());
    let batch = Batch::from([((1, b"k".to_vec()), Some(b"v".to_vec()))]);
    store(&folder).commit(&batch).expect("a commit");
    drop(folder);
    let marker = dir.path().join("OREBOOK-ROWS");
    let text = fs::read_to_string(&marker).expect("the marker");
    fs::write(&marker, text.replace("layout 1", "layout 0")).expect("the marker");
    let folder = open(dir.path());
    assert!(folder.was_emptied());
    let (rows, opened) = folder.store("money", 1).expect("a store");
    assert_eq!(opened, Opened::New);
    assert_eq!(rows.view().expect("a view").get(1, b"k"), Ok(None));
    drop((folder, rows));
    assert!(!open(dir.path()).was_emptied());
}

#[test]
fn damage_within_rows_is_found_when_they_are_read_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = open(dir.path());
    let rocks = store(&folder);
    for number in 0..2_000u32 {
        let key = number.to_be_bytes().to_vec();
        let batch = Batch::from([((1, key.clone()), Some(key.repeat(100)))]);
        rocks.commit(&batch).expect("a commit");
    }
    drop((rocks, folder));
    let mut damaged = 0;
    for entry in fs::read_dir(dir.path().join("rows")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "sst") {
            let mut bytes = fs::read(&path).expect("a file");
            bytes[100] ^= 1;
            fs::write(&path, bytes).expect("a file");
            damaged += 1;
        }
    }
    assert!(0 < damaged, "rows were flushed");
    let folder = open(dir.path());
    let view_of = store(&folder);
    let view = view_of.view().expect("a view");
    let fault = view.scan(1, &Span::all(), Order::Forward, &mut |_, _| {
        ControlFlow::Continue(())
    });
    let fault = fault.expect_err("one bit is another").to_string();
    assert!(fault.contains("delete their folder"), "{fault}");
}

const CHILD: &str = "OREBOOK_STORE_CHILD";
const CURSOR: (u8, &[u8]) = (0xf0, b"cursor");

/// Commits rows with their cursor for ever, and says each cursor once its commit returned.
#[test]
fn as_a_child_it_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let folder = open(Path::new(&dir));
    let rocks = store(&folder);
    let start = cursor(&rocks);
    for number in start.map_or(0, |last| last + 1).. {
        let number: u64 = number;
        let mut batch = Batch::new();
        for row in 0..8u8 {
            let mut key = number.to_be_bytes().to_vec();
            key.push(row);
            batch.insert((1, key), Some(vec![row; 500]));
        }
        batch.insert(
            (CURSOR.0, CURSOR.1.to_vec()),
            Some(number.to_be_bytes().to_vec()),
        );
        rocks.commit(&batch).expect("a commit");
        println!("committed {number}");
    }
}

fn cursor(rocks: &RocksStore) -> Option<u64> {
    let view = rocks.view().expect("a view");
    let bytes = view.get(CURSOR.0, CURSOR.1).expect("a row")?;
    Some(u64::from_be_bytes(bytes.try_into().expect("eight bytes")))
}

#[test]
fn rows_and_cursor_agree_after_kill_nine_at_any_moment() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut choices = Choices(3);
    let mut before = None;
    for kill in 0..6 {
        let said_before_the_kill = 1 + choices.below(150);
        println!("kill {kill} after {said_before_the_kill} commits");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "as_a_child_it_writes_until_it_is_killed",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said = lines
            .map_while(Result::ok)
            .filter_map(|line| {
                Some(
                    line.split_once("committed ")?
                        .1
                        .parse::<u64>()
                        .expect("a number"),
                )
            })
            .take(usize::try_from(said_before_the_kill).expect("small"))
            .last()
            .expect("the child commits");
        child.kill().expect("SIGKILL");
        child.wait().expect("it ends");

        let folder = open(dir.path());
        let rocks = store(&folder);
        let cursor = cursor(&rocks).expect("it committed");
        assert!(
            said <= cursor,
            "commit {said} was promised, the cursor is {cursor}"
        );
        assert!(before < Some(cursor));
        before = Some(cursor);
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        let view = rocks.view().expect("a view");
        for (key, value) in rows(&*view, 1, &Span::all(), Order::Forward, usize::MAX) {
            assert_eq!(value, vec![key[8]; 500]);
            *counts
                .entry(u64::from_be_bytes(key[..8].try_into().expect("eight")))
                .or_default() += 1;
        }
        let expected: BTreeMap<u64, usize> = (0..=cursor).map(|number| (number, 8)).collect();
        assert_eq!(counts, expected, "every committed row and no other");
    }
}
