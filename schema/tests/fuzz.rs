//! Replays the stored corpus through the entry points of the fuzz targets. `schema/fuzz/make_corpus.py` wrote it; an input
//! that a fuzzer finds is added by hand as `any-found-….bin`, and stays.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::fs;
use std::path::Path;

use entry::{fuzz_activity, fuzz_batch_body, fuzz_coinbase, fuzz_event, fuzz_frame, fuzz_summary};

/// The inputs of a folder of the corpus, by name.
fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(folder);
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Replays a folder; each input must do what its name says, and both outcomes must come.
fn replay(folder: &str, least: usize, entry: impl Fn(&[u8]) -> bool) {
    let inputs = corpus(folder);
    assert!(
        least <= inputs.len(),
        "{folder}: {} inputs, too few",
        inputs.len()
    );
    let (mut read, mut refused) = (0_u32, 0_u32);
    for (name, bytes) in inputs {
        let is_read = entry(&bytes);
        match name.split('-').next() {
            Some("valid") => assert!(is_read, "{folder}/{name} is refused"),
            Some("bad") => assert!(!is_read, "{folder}/{name} is read"),
            first => assert_eq!(first, Some("any"), "{folder}/{name}: what is expected?"),
        }
        *(if is_read { &mut read } else { &mut refused }) += 1;
    }
    assert!(
        0 < read && 20 < refused,
        "{folder}: {read} read, {refused} refused"
    );
}

#[test]
fn the_corpus_of_events_is_refused_or_canonical() {
    replay("event", 200, fuzz_event);
}

#[test]
fn the_corpus_of_frames_is_refused_or_canonical() {
    replay("frame", 60, fuzz_frame);
}

#[test]
fn the_corpus_of_summaries_is_refused_or_canonical() {
    replay("summary", 60, fuzz_summary);
}

#[test]
fn every_prefix_and_every_changed_byte_of_the_corpus_is_refused_or_canonical() {
    type Entry = fn(&[u8]) -> bool;
    let entries: [(&str, Entry); 5] = [
        ("event", fuzz_event),
        ("frame", fuzz_frame),
        ("summary", fuzz_summary),
        ("batch_body", fuzz_batch_body),
        ("coinbase", fuzz_coinbase),
    ];
    for (folder, entry) in entries {
        for (_, mut bytes) in corpus(folder)
            .into_iter()
            .filter(|(_, bytes)| bytes.len() <= 1_000)
        {
            for len in 0..bytes.len() {
                entry(bytes.get(..len).unwrap());
            }
            for at in 0..bytes.len() {
                for change in [0x01, 0x80, 0xff] {
                    *bytes.get_mut(at).unwrap() ^= change;
                    entry(&bytes);
                    *bytes.get_mut(at).unwrap() ^= change;
                }
            }
        }
    }
}

#[test]
fn the_corpus_of_reports_is_refused_or_canonical() {
    replay("activity", 80, fuzz_activity);
}

#[test]
fn the_corpus_of_batch_bodies_is_refused_or_canonical() {
    replay("batch_body", 60, fuzz_batch_body);
}

#[test]
fn the_corpus_of_coinbases_is_refused_or_pays_accounts() {
    replay("coinbase", 60, fuzz_coinbase);
}
