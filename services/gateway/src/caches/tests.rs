#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use orebook_pow::ethash::{Epoch, EpochRule, FILE_HEADER_BYTES, PAGE_BYTES, Question};
use orebook_schema::Hash;

use super::{AHEAD_BLOCKS, CacheFigures, Caches};

/// A cache takes half a second to make; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

fn epoch(height: u64) -> Epoch {
    EpochRule::Ethash.epoch(height).expect("a known epoch")
}

fn start(folder: Option<&Path>) -> (Caches, Receiver<()>) {
    let (said, heard) = channel();
    let wake = Arc::new(move || said.send(()).unwrap_or_default());
    let caches = Caches::start(EpochRule::Ethash, folder, wake).expect("started");
    (caches, heard)
}

fn one_of(caches: &Caches, height: u64) -> orebook_pow::ethash::Answer {
    let question = Question {
        seal: Hash([7; 32]),
        nonce: 42,
    };
    let mut answers = Vec::new();
    caches.wait(epoch(height)).prove(&[question], &mut answers);
    answers[0]
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_next_epochs_cache_is_made_ahead_and_two_are_held() {
    let (caches, heard) = start(None);
    assert_eq!(caches.follow(u64::MAX), None, "nobody knows that epoch");
    assert_eq!(caches.follow(30_000 - AHEAD_BLOCKS - 1), Some(epoch(0)));
    heard.recv_timeout(PATIENCE).expect("made");
    assert!(caches.get(epoch(0)).is_some());
    assert_eq!(caches.figures().held, 1, "the next one is not wanted yet");
    // Work of the same height again wants nothing again.
    assert_eq!(caches.follow(30_000 - AHEAD_BLOCKS), Some(epoch(0)));
    assert_eq!(caches.follow(30_000 - AHEAD_BLOCKS), Some(epoch(0)));
    heard.recv_timeout(PATIENCE).expect("made ahead");
    assert!(caches.get(epoch(30_000)).is_some());
    // Late shares of the epoch before are still answered.
    assert_eq!(caches.follow(30_000), Some(epoch(30_000)));
    assert!(caches.get(epoch(0)).is_some());
    assert_eq!(caches.follow(59_999), Some(epoch(30_000)));
    heard.recv_timeout(PATIENCE).expect("made ahead");
    assert!(caches.get(epoch(0)).is_none(), "the oldest goes");
    assert!(caches.get(epoch(30_000)).is_some() && caches.get(epoch(60_000)).is_some());
    let expected = CacheFigures {
        made: 3,
        held: 2,
        ..CacheFigures::default()
    };
    assert_eq!(caches.figures(), expected);
}

#[test]
fn a_kept_cache_is_taken_at_the_next_start_and_a_damaged_one_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("caches");
    let (caches, _heard) = start(Some(&folder));
    let answer = one_of(&caches, 0);
    assert_eq!(caches.figures().made, 1);
    drop(caches);
    let file = folder.join("cache-00000-00000.ethash");
    assert_eq!(names(&folder), ["cache-00000-00000.ethash"]);
    let good = fs::read(&file).expect("kept");

    let (caches, _heard) = start(Some(&folder));
    assert_eq!(one_of(&caches, 0), answer);
    let expected = CacheFigures {
        loaded: 1,
        held: 1,
        ..CacheFigures::default()
    };
    assert_eq!(caches.figures(), expected);
    drop(caches);

    let mut turned = good.clone();
    turned[good.len() / 2] ^= 1;
    for (damaged, what) in [
        (turned, "a bit"),
        (good[..good.len() - 64].to_vec(), "cut"),
        (Vec::new(), "empty"),
        (b"something else".to_vec(), "foreign"),
    ] {
        fs::write(&file, damaged).expect("our own file");
        let (caches, _heard) = start(Some(&folder));
        assert_eq!(one_of(&caches, 0), answer, "{what}");
        let figures = caches.figures();
        assert_eq!(
            (figures.made, figures.loaded),
            (1, 0),
            "{what}: {figures:?}"
        );
        assert_eq!(figures.refused + figures.failed, 1, "{what}: {figures:?}");
        drop(caches);
        assert!(
            fs::read(&file).expect("kept") == good,
            "{what}: written again"
        );
    }
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_file_only() {
    let folder = tempfile::tempdir().expect("a folder");
    // A folder stands where the file would be written.
    fs::create_dir(folder.path().join("cache-00000-00000.ethash.new")).expect("made");
    let (caches, _heard) = start(Some(folder.path()));
    assert_eq!(one_of(&caches, 0), one_of(&start(None).0, 0));
    let figures = caches.figures();
    assert_eq!((figures.made, figures.failed), (1, 1), "{figures:?}");
}

#[test]
fn files_of_old_epochs_go_and_others_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let others = ["cache-mine.txt", "dataset-00000-00000.ethash.new", "notes"];
    let old: Vec<String> = (10..14)
        .map(|epoch| format!("cache-000{epoch}-000{epoch}.ethash"))
        .collect();
    for name in others.iter().copied().chain(old.iter().map(String::as_str)) {
        fs::write(folder.path().join(name), name).expect("written");
    }
    super::files::forget_old(folder.path()).expect("forgotten");
    let mut expected: Vec<&str> = old[1..].iter().map(String::as_str).chain(others).collect();
    expected.sort_unstable();
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn the_pages_of_a_dataset_are_each_written_once_by_any_number_of_threads() {
    const PAGES: u64 = 40_000;
    let named = |first: u32, part: &mut [u8]| {
        for (page, index) in part.chunks_mut(PAGE_BYTES).zip(first..) {
            page.fill(7);
            page[..4].copy_from_slice(&index.to_le_bytes());
        }
    };
    for threads in [0, 1, 3] {
        let file = tempfile::tempfile().expect("a file");
        let most = AtomicU64::new(0);
        let progress = |done: u64, all: u64| {
            assert_eq!(all, PAGES);
            most.fetch_max(done, Ordering::Relaxed);
        };
        let hash = super::files::write_pages(&file, PAGES, threads, &named, &progress);
        let mut expected = vec![0; usize::try_from(PAGES).expect("small") * PAGE_BYTES];
        named(0, &mut expected);
        let mut found = vec![1; expected.len()];
        file.read_exact_at(&mut found, FILE_HEADER_BYTES as u64)
            .expect("written");
        assert!(found == expected, "{threads} threads");
        assert_eq!(hash.expect("hashed"), Hash::of(&[&expected]));
        assert_eq!(most.into_inner(), PAGES);
    }
}
