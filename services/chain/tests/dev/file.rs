//! The chain's file: cut tails, damage, whose it is.

use std::fs;
use std::path::Path;

use orebook_chain::{DevChain, DevConfig, DevError};

use crate::growth::{Time, config, grow};

pub(crate) fn file_of(folder: &Path) -> std::path::PathBuf {
    folder.join("chain.blocks")
}

pub(crate) fn open(folder: &Path, time: &Time) -> Result<DevChain, DevError> {
    DevChain::open(config(), time.clock(), folder)
}

#[test]
fn a_chain_in_a_folder_goes_on_after_every_cut_of_its_tail() {
    let (folder, time) = (tempfile::tempdir().expect("a folder"), Time::new());
    let chain = open(folder.path(), &time).expect("a chain");
    let blocks = grow(&chain, &time, 4);
    chain.orphan_tip(1).expect("long enough");
    let last = grow(&chain, &time, 1);
    drop(chain);
    let whole = fs::read(file_of(folder.path())).expect("the file");
    let reopened = open(folder.path(), &time).expect("the chain");
    assert_eq!((reopened.tip().height, reopened.tip().hash), (4, last[0]));
    assert_eq!(
        reopened
            .header(blocks[3])
            .map(|header| header.confirmations),
        Some(-1)
    );
    drop(reopened);
    let mut heights = Vec::new();
    for len in (0..whole.len()).rev().step_by(7) {
        fs::write(file_of(folder.path()), &whole[..len]).expect("written");
        let cut =
            open(folder.path(), &time).unwrap_or_else(|error| panic!("cut at {len}: {error}"));
        heights.push(cut.tip().height);
        grow(&cut, &time, 1);
        let tip = cut.tip();
        drop(cut);
        assert_eq!(
            open(folder.path(), &time).expect("the chain").tip(),
            tip,
            "it goes on after the cut at {len}"
        );
    }
    assert_eq!(heights.last(), Some(&0));
    assert_eq!(heights.iter().max(), Some(&4));
    // A tail of zeros is what a preallocating file system leaves.
    fs::write(
        file_of(folder.path()),
        [whole.as_slice(), &[0; 5_000]].concat(),
    )
    .expect("written");
    assert_eq!(
        open(folder.path(), &time).expect("the chain").tip().hash,
        last[0]
    );
}

#[test]
fn damage_in_the_middle_is_named_and_nothing_is_cut() {
    let (folder, time) = (tempfile::tempdir().expect("a folder"), Time::new());
    grow(&open(folder.path(), &time).expect("a chain"), &time, 4);
    let whole = fs::read(file_of(folder.path())).expect("the file");
    // The first record has 42 bytes; the second begins there.
    for (at, byte) in [(10, 0xff), (42, 9), (60, 0xff), (45, 0xff), (300, 0xff)] {
        let mut damaged = whole.clone();
        damaged[at] ^= byte;
        fs::write(file_of(folder.path()), &damaged).expect("written");
        let error = open(folder.path(), &time).expect_err("damage");
        assert!(matches!(error, DevError::Damaged(_)), "byte {at}: {error}");
        assert_eq!(fs::read(file_of(folder.path())).expect("the file"), damaged);
    }
}

#[test]
fn a_folder_belongs_to_one_chain_and_one_process() {
    let (folder, time) = (tempfile::tempdir().expect("a folder"), Time::new());
    let chain = open(folder.path(), &time).expect("a chain");
    assert!(
        matches!(open(folder.path(), &time), Err(DevError::Io(_))),
        "it is open already"
    );
    drop(chain);
    let other = DevChain::open(
        DevConfig {
            seed: 7,
            ..config()
        },
        time.clock(),
        folder.path(),
    );
    assert!(matches!(other, Err(DevError::OtherChain)));
    open(folder.path(), &time).expect("the chain itself");
}

/// A record as the file has it.
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short");
    let head = [&[kind], len.to_le_bytes().as_slice(), payload].concat();
    [head.as_slice(), &crc32c::crc32c(&head).to_le_bytes()].concat()
}

#[test]
fn a_file_without_a_version_goes_on_and_one_of_a_later_version_is_refused() {
    let (folder, time) = (tempfile::tempdir().expect("a folder"), Time::new());
    let chain = open(folder.path(), &time).expect("a chain");
    let blocks = grow(&chain, &time, 3);
    let genesis = chain.genesis();
    drop(chain);
    let whole = fs::read(file_of(folder.path())).expect("the file");
    let first = [genesis.0.as_slice(), &[1]].concat();
    assert_eq!(whole[..42], record(1, &first));
    let old = [record(1, &genesis.0).as_slice(), &whole[42..]].concat();
    fs::write(file_of(folder.path()), &old).expect("written");
    let chain = open(folder.path(), &time).expect("the chain");
    assert_eq!(chain.tip().hash, blocks[2]);
    drop(chain);
    let later = [genesis.0.as_slice(), &[2]].concat();
    let later = [record(1, &later).as_slice(), &whole[42..]].concat();
    fs::write(file_of(folder.path()), &later).expect("written");
    let error = open(folder.path(), &time).expect_err("a later version");
    assert!(matches!(error, DevError::Version(2)), "{error}");
    assert!(error.to_string().contains("move the folder away"));
}
