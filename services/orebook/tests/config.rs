//! The corpora of configurations and of lists of workers, through the fuzz targets' own functions.

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

fn corpus(of: &str) -> Vec<(String, Vec<u8>)> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folder = corpora.join(of);
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("read"))
        })
        .collect()
}

/// Whether a parser understands an input.
type Read = fn(&[u8]) -> bool;

/// Names begin with what becomes of an input; `any` is what a fuzzer found, where nothing is asked for but no panic.
#[test]
fn the_corpora_are_understood_or_refused_as_their_names_say() {
    let read: [(&str, usize, Read); 2] = [
        ("config", 300, entry::fuzz_config),
        ("workers", 30, entry::fuzz_workers),
    ];
    for (of, least, read) in read {
        let inputs = corpus(of);
        assert!(least <= inputs.len(), "{} inputs of {of}", inputs.len());
        for (name, bytes) in inputs {
            let is_read = read(&bytes);
            match name.split('-').next() {
                Some("ok") => assert!(is_read, "{name} is refused"),
                Some("bad") => assert!(!is_read, "{name} is understood"),
                first => assert_eq!(first, Some("any"), "{name}: what is expected?"),
            }
        }
    }
}

#[test]
fn every_prefix_and_changed_byte_of_a_list_is_understood_or_refused() {
    for (_, text) in corpus("workers")
        .iter()
        .filter(|(_, text)| text.len() < 500)
    {
        for at in 0..text.len() {
            entry::fuzz_workers(&text[..at]);
            for other in *b"\",\n\r\x00\xff a" {
                let mut changed = text.clone();
                changed[at] = other;
                entry::fuzz_workers(&changed);
            }
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
