//! The corpus of segment files, which `ledger/fuzz/make_corpus.py` wrote, through the fuzz target's own function.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::fs;
use std::path::Path;

#[path = "../fuzz/entry.rs"]
mod entry;

/// Inputs by name; a name begins with how many records are read before the refusal, or with `none`.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/segment");
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(path).expect("read"))
        })
        .collect()
}

#[test]
fn the_corpus_is_read_as_far_as_its_names_say() {
    let inputs = corpus();
    assert!(200 <= inputs.len(), "{} inputs", inputs.len());
    for (name, bytes) in inputs {
        let expected = name
            .split('-')
            .next()
            .expect("a prefix")
            .parse::<usize>()
            .ok();
        assert_eq!(entry::fuzz_segment(&bytes), expected, "{name}");
    }
}

#[test]
fn every_changed_byte_of_a_record_is_refused_or_one_spelling() {
    let (_, whole) = corpus()
        .into_iter()
        .find(|(name, _)| name.ends_with("whole-window_unfilled.bin"))
        .expect("it is in the corpus");
    for at in 0..whole.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            entry::fuzz_segment(&bytes);
        }
    }
}
