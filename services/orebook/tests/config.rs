//! The configuration's corpus, through the fuzz target's own function.

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

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("read"))
        })
        .collect()
}

/// Names begin with what becomes of an input; `any` is what a fuzzer found, where nothing is asked for but no panic.
#[test]
fn the_corpus_is_understood_or_refused_as_its_names_say() {
    let inputs = corpus();
    assert!(300 <= inputs.len(), "{} inputs", inputs.len());
    for (name, bytes) in inputs {
        let is_read = entry::fuzz_config(&bytes);
        match name.split('-').next() {
            Some("ok") => assert!(is_read, "{name} is refused"),
            Some("bad") => assert!(!is_read, "{name} is understood"),
            first => assert_eq!(first, Some("any"), "{name}: what is expected?"),
        }
    }
}

#[test]
fn every_prefix_and_changed_byte_of_the_example_is_understood_or_refused() {
    let text = include_bytes!("../../../orebook.example.toml");
    for at in 0..text.len() {
        entry::fuzz_config(&text[..at]);
        for other in *b"\"[=\n\x009" {
            let mut changed = text.to_vec();
            changed[at] = other;
            entry::fuzz_config(&changed);
        }
    }
}
