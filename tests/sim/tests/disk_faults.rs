//! The faults a simulated disk makes on order: crashes at every operation, failing syncs, no room, damage, clones.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

use std::collections::BTreeSet;

use orebook_ledger::disk::{Disk, DiskError, DiskFile, DiskResult};
use orebook_sim::disk::{FILE_BYTES_MAX, OPERATION_LOG_MAX, SimDisk};
use orebook_sim::rng::Rng;

fn is_fatal<T>(result: &DiskResult<T>, part: &str) -> bool {
    matches!(result, Err(DiskError::Fatal { cause, .. }) if cause.contains(part))
}

/// Replaces file `f` by way of another name, each step synced: eight operations at most.
fn replace(disk: &SimDisk, bytes: &[u8]) -> DiskResult<()> {
    match disk.remove("f.new") {
        Ok(()) | Err(DiskError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut file = disk.create("f.new")?;
    file.preallocate(1_024)?;
    file.write_at(0, bytes)?;
    file.truncate(bytes.len() as u64)?;
    file.sync()?;
    disk.rename("f.new", "f")?;
    disk.sync_dir("")
}

fn with_old(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    replace(&disk, &[1; 600]).unwrap();
    disk
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_file_or_the_new_one() {
    let counting = with_old(0);
    let before = counting.operations();
    replace(&counting, &[2; 900]).unwrap();
    let operations = counting.operations() - before;
    assert_eq!(operations, 8);
    let mut outcomes = BTreeSet::new();
    for (seed, n, power) in (0..100)
        .flat_map(|seed| (1..=operations).map(move |n| (seed, n)))
        .flat_map(|(seed, n)| [(seed, n, false), (seed, n, true)])
    {
        let disk = with_old(seed);
        disk.faults().crash_after(n);
        let context = |disk: &SimDisk| format!("seed {seed}, {n}: {:?}", disk.operation_log());
        assert!(
            is_fatal(&replace(&disk, &[2; 900]), "simulated crash"),
            "{}",
            context(&disk)
        );
        assert!(disk.crashed());
        assert_eq!(disk.operations(), before + n);
        assert!(is_fatal(&disk.open("f"), "simulated crash"));
        assert!(is_fatal(&disk.list(""), "simulated crash"));
        assert!(is_fatal(&disk.create_dir("a"), "simulated crash"));
        assert!(is_fatal(&disk.sync_dir(""), "simulated crash"));
        assert_eq!(
            disk.operations(),
            before + n,
            "what a dead disk refuses does not count"
        );
        if power {
            disk.restart()
        } else {
            disk.restart_process()
        }
        assert!(!disk.crashed());
        let bytes = disk.read_raw("f").unwrap();
        let is_new = bytes == [2; 900];
        assert!(is_new || bytes == [1; 600], "{}", context(&disk));
        outcomes.insert((n, power, is_new));
        replace(&disk, &[3; 10]).unwrap();
        assert_eq!(disk.read_raw("f").unwrap(), [3; 10], "{}", context(&disk));
    }
    // Rename is the seventh: before it the old file stands, at it either, after it a killed process left the new one.
    for n in 1..=6 {
        assert!(!outcomes.contains(&(n, false, true)) && !outcomes.contains(&(n, true, true)));
    }
    for both in [(7, false), (7, true), (8, true)] {
        assert!(outcomes.contains(&(both.0, both.1, true)), "{both:?}");
        assert!(outcomes.contains(&(both.0, both.1, false)), "{both:?}");
    }
    assert!(!outcomes.contains(&(8, false, false)));
}

#[test]
fn a_failed_operation_has_happened_half_of_the_time() {
    let happened = (0..1_000).filter(|seed| {
        let disk = SimDisk::new(*seed);
        disk.faults().crash_after(1);
        assert!(is_fatal(&disk.create("f"), "simulated crash"));
        disk.restart_process();
        disk.open("f").is_ok()
    });
    assert!((400..600).contains(&happened.count()));
}

#[test]
fn a_crash_inside_preallocate_may_leave_part_of_the_length() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..1_000 {
        let disk = SimDisk::new(seed);
        let mut file = disk.create("f").unwrap();
        disk.sync_dir("").unwrap();
        disk.faults().crash_after(1);
        assert!(is_fatal(&file.preallocate(4_096), "simulated crash"));
        disk.restart();
        outcomes.insert(disk.read_raw("f").unwrap().len());
    }
    assert_eq!(outcomes, (0..=8).map(|sectors| sectors * 512).collect());
}

#[test]
fn a_killed_process_loses_nothing_until_the_power_goes() {
    let mut lost = 0;
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let mut file = disk.create("f").unwrap();
        file.write_at(0, b"unsynced").unwrap();
        disk.restart_process();
        assert!(is_fatal(&file.len(), "handle of a former life"));
        assert!(is_fatal(&file.write_at(0, b"x"), "handle of a former life"));
        assert_eq!(disk.read_raw("f").unwrap(), b"unsynced");
        disk.restart();
        lost += u64::from(disk.read_raw("f").ok().as_deref() != Some(b"unsynced"));
    }
    assert!((10..100).contains(&lost), "{lost}");
}

#[test]
fn handles_of_a_former_life_fail_after_a_power_cut() {
    let disk = with_old(1);
    let mut old = disk.open("f").unwrap();
    disk.restart();
    let mut new = disk.open("f").unwrap();
    assert!(is_fatal(
        &old.read_at(0, &mut [0]),
        "handle of a former life"
    ));
    assert!(is_fatal(&old.sync(), "handle of a former life"));
    new.sync().unwrap();
}

#[test]
fn a_failed_sync_loses_what_it_should_have_synced_though_a_later_one_says_ok() {
    for seed in 0..1_000 {
        let disk = with_old(seed);
        let mut file = disk.open("f").unwrap();
        disk.faults().fail_sync_after(2);
        file.write_at(0, &[2; 10]).unwrap();
        file.sync().unwrap();
        file.write_at(10, &[3; 10]).unwrap();
        file.write_at(700, &[3; 10]).unwrap();
        assert!(is_fatal(&file.sync(), "simulated sync failure"));
        file.write_at(20, &[4; 10]).unwrap();
        file.sync().unwrap();
        assert_eq!(
            disk.read_raw("f").unwrap()[10..20],
            [3; 10],
            "readers see the lost pages"
        );
        disk.restart_process();
        assert_eq!(disk.read_raw("f").unwrap()[10..20], [3; 10]);
        disk.restart();
        let bytes = disk.read_raw("f").unwrap();
        assert_eq!(bytes.len(), 600);
        let expected = [[2; 10], [1; 10], [4; 10]].concat();
        assert_eq!(bytes[..30], expected[..]);
    }
}

#[test]
fn a_full_disk_refuses_growth_only_and_keeps_what_it_has() {
    let full = |path: &str| {
        Err(DiskError::Full {
            path: path.to_owned(),
        })
    };
    let mut parts = BTreeSet::new();
    for seed in 0..2_000 {
        let disk = SimDisk::new(seed);
        disk.faults().set_capacity(Some(1_000));
        let mut file = disk.create("f").unwrap();
        file.preallocate(900).unwrap();
        assert_eq!(file.preallocate(1_001), full("f"));
        assert_eq!(file.len().unwrap(), 900, "the former length");
        file.sync().unwrap();
        disk.sync_dir("").unwrap();
        assert_eq!(file.write_at(890, &[1; 200]), full("f"));
        parts.insert(file.len().unwrap());
        file.truncate(900).unwrap();
        file.preallocate(1_000).unwrap();
        file.write_at(0, &[2; 1_000]).unwrap();
        file.sync().unwrap();
        assert_eq!(disk.create("g").map(drop), full("g"));
        assert_eq!(disk.create_dir("d"), full("d"));
        assert_eq!(
            disk.create("f").map(drop),
            Err(DiskError::Exists {
                path: "f".to_owned()
            })
        );
        disk.rename("f", "g").unwrap();
        assert_eq!(disk.read_raw("g").unwrap(), [2; 1_000]);
        disk.remove("g").unwrap();
        disk.create("g").unwrap().preallocate(1_000).unwrap();
        disk.faults().set_capacity(None);
        disk.create("h").unwrap().write_at(5_000, b"x").unwrap();
    }
    let (least, most) = (parts.first().copied(), parts.last().copied());
    assert_eq!(
        (least, most),
        (Some(900), Some(1_000)),
        "a refused write may have happened in part"
    );
}

#[test]
fn a_file_larger_than_the_simulator_is_refused_before_memory_is() {
    let mut file = SimDisk::new(0).create("f").unwrap();
    assert!(is_fatal(&file.write_at(FILE_BYTES_MAX, b"x"), "too large"));
    assert!(is_fatal(&file.preallocate(FILE_BYTES_MAX + 1), "too large"));
}

#[test]
fn a_copy_of_a_disk_goes_its_own_way() {
    for seed in 0..100 {
        let disk = with_old(seed);
        let mut file = disk.open("f").unwrap();
        file.write_at(0, b"unsynced").unwrap();
        disk.rename("f", "g").unwrap();
        disk.faults().crash_after(1);
        let copy = disk.fork_copy();
        copy.restart();
        assert_eq!(copy.paths(), ["g"], "what the copy showed is durable");
        assert_eq!(copy.read_raw("g").unwrap()[..8], *b"unsynced");
        copy.write_raw("g", b"copy").unwrap();
        copy.create("h").unwrap();
        assert_eq!(disk.paths(), ["g"]);
        assert_eq!(disk.read_raw("g").unwrap()[..8], *b"unsynced");
        assert!(is_fatal(&disk.create("i"), "simulated crash"));
        assert!(!copy.crashed());
        assert_eq!(copy.read_raw("g").unwrap(), b"copy");
    }
}

#[test]
fn a_flipped_bit_stays_flipped() {
    for (seed, synced) in (0..50).flat_map(|seed| [(seed, false), (seed, true)]) {
        let disk = with_old(seed);
        let mut file = disk.open("f").unwrap();
        file.write_at(100, &[1; 50]).unwrap();
        disk.flip_bit("f", 100 * 8 + 3).unwrap();
        if synced {
            file.sync().unwrap();
        }
        disk.restart();
        let mut expected = [1; 600];
        expected[100] = 0b1001;
        assert_eq!(disk.read_raw("f").unwrap(), expected);
        let short = DiskError::Short {
            path: "f".to_owned(),
            offset: 600,
        };
        assert_eq!(disk.flip_bit("f", 600 * 8), Err(short));
        assert_eq!(
            disk.flip_bit("g", 0),
            Err(DiskError::NotFound {
                path: "g".to_owned()
            })
        );
    }
}

#[test]
fn one_write_lands_elsewhere_and_says_ok() {
    let disk = with_old(0);
    replace(&disk, b"0123456789").unwrap();
    disk.misdirect_next_write("f", -3);
    let mut file = disk.open("f").unwrap();
    disk.create("other")
        .unwrap()
        .write_at(0, b"not me")
        .unwrap();
    file.write_at(5, b"ab").unwrap();
    file.write_at(8, b"yz").unwrap();
    file.sync().unwrap();
    disk.restart();
    assert_eq!(disk.read_raw("f").unwrap(), b"01ab4567yz");
    assert_eq!(
        disk.read_raw("g").unwrap_err(),
        DiskError::NotFound {
            path: "g".to_owned()
        }
    );
}

#[test]
fn raw_bytes_are_durable_and_the_log_is_bounded() {
    let disk = SimDisk::new(9);
    disk.write_raw("a/b/f", b"raw").unwrap();
    disk.restart();
    assert_eq!(disk.paths(), ["a/b/f"]);
    assert_eq!(disk.read_raw("a/b/f").unwrap(), b"raw");
    let mut file = disk.open("a/b/f").unwrap();
    for _ in 0..100 {
        file.write_at(0, b"x").unwrap();
    }
    disk.write_raw("a/b/f", b"").unwrap();
    assert_eq!(file.len().unwrap(), 0, "an open handle sees it");
    assert_eq!(
        disk.operations(),
        100,
        "the hand of the test does not count"
    );
    assert_eq!(disk.operation_log().len(), OPERATION_LOG_MAX);
    assert_eq!(disk.operation_log()[0], ("write_at", "a/b/f".to_owned()));
    assert!(
        format!("{disk:?} {file:?}").len() < 300,
        "no file's bytes in a message"
    );
}

/// A walk over three files with power cuts, as one text.
fn walk(seed: u64) -> String {
    let (disk, mut rng, mut told) = (SimDisk::new(seed), Rng::new(99), String::new());
    for _ in 0..60 {
        let path = ["a", "b", "c"][usize::try_from(rng.below(3)).unwrap()];
        if let Ok(mut file) = disk.open(path).or_else(|_| disk.create(path)) {
            file.write_at(rng.below(2_000), &[rng.next_u64().to_le_bytes()[0]; 700])
                .unwrap();
        }
        match rng.below(6) {
            0 => disk.restart(),
            1 => disk.sync_dir("").unwrap(),
            _ => disk.rename(path, "c").unwrap(),
        }
        let files = disk
            .paths()
            .into_iter()
            .map(|path| (disk.read_raw(&path), path));
        told += &format!("{:?}\n", files.collect::<Vec<_>>());
    }
    told
}

#[test]
fn the_same_seed_gives_the_same_disk_and_another_seed_another() {
    assert!(walk(4) == walk(4));
    assert!(walk(4) != walk(5));
}

#[test]
fn a_disk_and_its_files_go_to_another_thread() {
    let disk = with_old(0);
    let mut file = disk.open("f").unwrap();
    std::thread::spawn(move || file.write_at(0, b"there"))
        .join()
        .unwrap()
        .unwrap();
    assert_eq!(disk.read_raw("f").unwrap()[..5], *b"there");
}
