//! Any bytes as a setting's text and signature: the stored corpus, which `fuzz/make_corpus.py` wrote, and changed ones, through the entry
//! point of the fuzz target.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::fs;
use std::path::Path;

use entry::fuzz_setting;

/// Inputs of the corpus, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/setting");
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("it is read"))
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn the_corpus_is_read_as_its_names_say() {
    let inputs = corpus();
    assert!(40 <= inputs.len(), "{} inputs, too few", inputs.len());
    for (name, bytes) in inputs {
        let judged = fuzz_setting(&bytes);
        let kind = name.split('-').next().unwrap_or_default();
        match kind {
            "good" => assert_eq!(judged, Some(Ok(())), "{name}"),
            "wrong" => assert!(judged.is_some_and(|judged| judged.is_err()), "{name}"),
            "none" => assert_eq!(judged, None, "{name}"),
            // Found by a fuzzer, and kept.
            "any" => {}
            other => panic!("{name}: what is {other}?"),
        }
    }
}

#[test]
fn no_prefix_and_no_changed_byte_of_a_proof_is_one() {
    let mut tried = 0;
    for (name, bytes) in corpus() {
        if !name.starts_with("good") {
            continue;
        }
        for cut in 0..bytes.len() {
            let judged = fuzz_setting(&bytes[..cut]);
            assert_ne!(judged, Some(Ok(())), "{name}, cut at {cut}");
        }
        for at in 0..bytes.len() {
            for wrong in *b"\0\n 1aZ=\xff" {
                let mut changed = bytes.clone();
                changed[at] = wrong;
                let is_changed = changed != bytes;
                let judged = fuzz_setting(&changed);
                assert!(!is_changed || judged != Some(Ok(())), "{name}, byte {at}");
                tried += 1;
            }
        }
    }
    assert!(10_000 < tried, "{tried} tried, too few");
}
