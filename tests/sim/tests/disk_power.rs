//! What a power cut may leave on a simulated disk. Over the seeds each outcome must really occur, or the model is tame,
//! and no other may.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

use std::collections::BTreeSet;

use orebook_ledger::disk::{Disk, DiskFile};
use orebook_sim::disk::{SimDisk, SimFile};
use orebook_sim::rng::Rng;

const SEEDS: u64 = 1_000;

/// Makes a durable file with a durable name.
fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) -> SimFile {
    let mut file = disk.create(path).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path.rsplit_once('/').map_or("", |it| it.0))
        .unwrap();
    file
}

#[test]
fn an_unsynced_write_may_survive_be_lost_or_tear_at_512_bytes() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let mut file = durable(&disk, "f", &[1; 4096]);
        file.write_at(100, &[2; 3000]).unwrap();
        disk.restart();
        let bytes = disk.read_raw("f").unwrap();
        assert_eq!(bytes.len(), 4096);
        assert!(
            bytes[..100]
                .iter()
                .chain(&bytes[3100..])
                .all(|byte| *byte == 1)
        );
        let written = &bytes[100..3100];
        let steps = written
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| pair[0] != pair[1]);
        assert!(
            steps.clone().all(|(at, _)| (100 + at + 1) % 512 == 0),
            "torn inside a sector"
        );
        outcomes.insert((written[0], written[2999], steps.count() > 0));
    }
    for outcome in [
        (1, 1, false),
        (2, 2, false),
        (1, 2, true),
        (2, 1, true),
        (2, 2, true),
    ] {
        assert!(outcomes.contains(&outcome), "never seen: {outcome:?}");
    }
}

#[test]
fn unsynced_growth_may_survive_as_data_as_zeros_or_not_at_all() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let mut file = durable(&disk, "f", b"");
        file.write_at(0, &[1; 512]).unwrap();
        file.write_at(512, &[2; 512]).unwrap();
        disk.restart();
        let bytes = disk.read_raw("f").unwrap();
        assert!(
            bytes
                .chunks(512)
                .all(|it| it.len() == 512 && it.iter().all(|byte| *byte == it[0]))
        );
        outcomes.insert(bytes.into_iter().step_by(512).collect::<Vec<u8>>());
    }
    // [0, 2]: the later write survived and the earlier one did not.
    for seen in [&[][..], &[0], &[1], &[0, 0], &[0, 2], &[1, 0], &[1, 2]] {
        assert!(outcomes.remove(seen), "never seen: {seen:?}");
    }
    assert_eq!(outcomes, BTreeSet::new());
}

#[test]
fn an_unsynced_cut_may_survive_or_not_and_preallocated_length_always_does() {
    let mut lengths = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let mut file = durable(&disk, "f", &[1; 100]);
        file.preallocate(5_000).unwrap();
        file.truncate(700).unwrap();
        disk.restart();
        lengths.insert(disk.read_raw("f").unwrap().len());
    }
    assert_eq!(lengths, BTreeSet::from([700, 5_000]));
}

#[test]
fn what_was_synced_is_never_lost() {
    for seed in 0..SEEDS {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        let mut expected = vec![0; 3_000];
        rng.fill(&mut expected);
        let mut file = durable(&disk, "f", &expected);
        for _ in 0..rng.below(5) {
            let (at, mut bytes) = (
                rng.below(2_000),
                vec![0; usize::try_from(rng.below(1_000)).unwrap()],
            );
            rng.fill(&mut bytes);
            file.write_at(at, &bytes).unwrap();
            let at = usize::try_from(at).unwrap();
            expected[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        file.sync().unwrap();
        // Unsynced noise behind it, and other names, must not reach it.
        file.write_at(3_000, &[9; 700]).unwrap();
        disk.create("g").unwrap();
        disk.rename("g", "h").unwrap();
        disk.restart();
        assert_eq!(
            disk.read_raw("f").unwrap()[..3_000],
            expected[..],
            "seed {seed}"
        );
    }
}

#[test]
fn a_rename_without_sync_dir_may_be_undone_but_is_never_half_done() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable(&disk, "f", b"old");
        let mut new = disk.create("f.new").unwrap();
        new.write_at(0, b"new").unwrap();
        new.sync().unwrap();
        disk.rename("f.new", "f").unwrap();
        let synced = seed % 2 == 0;
        if synced {
            disk.sync_dir("").unwrap();
        }
        disk.restart();
        let names = disk.list("").unwrap().len();
        outcomes.insert((
            synced,
            String::from_utf8(disk.read_raw("f").unwrap()).unwrap(),
            names,
        ));
    }
    let expected = [
        (false, "new", 1),
        (false, "old", 1),
        (false, "old", 2),
        (true, "new", 1),
    ];
    let expected = expected.map(|(synced, text, names)| (synced, text.to_owned(), names));
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn an_unsynced_name_may_vanish_or_come_back_and_its_file_may_be_empty() {
    let (mut created, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable(&disk, "old", b"kept");
        disk.create("new").unwrap().write_at(0, &[1; 1024]).unwrap();
        disk.remove("old").unwrap();
        disk.restart();
        created.insert(disk.read_raw("new").ok().map(|bytes| bytes.len()));
        removed.insert(disk.read_raw("old").ok());
        let in_order = disk.read_raw("old").is_ok() || disk.read_raw("new").is_ok();
        assert!(
            in_order,
            "seed {seed}: the later change survived, the earlier did not"
        );
    }
    assert_eq!(
        created,
        BTreeSet::from([None, Some(0), Some(512), Some(1024)])
    );
    assert_eq!(removed, BTreeSet::from([None, Some(b"kept".to_vec())]));
}

#[test]
fn folders_survive_each_for_itself() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        disk.create_dir("a").unwrap();
        disk.create_dir("b").unwrap();
        disk.create("a/f").unwrap();
        disk.create("b/f").unwrap();
        disk.restart();
        outcomes.insert(disk.paths().concat());
    }
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
}
