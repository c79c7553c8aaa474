//! The activity log's ring of files: crashes, limits, a reader beside the writer.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_ledger::activity::{
    ActivityError, ActivitySink as _, ActivitySource as _, RING_FILE_BYTES, ReportFault, Ring,
    RingConfig, RingReader, open, seal,
};
use orebook_ledger::disk::{Disk as _, DiskFile as _};
use orebook_ledger::sign::Signer;
use orebook_schema::LedgerId;
use orebook_schema::activity::{Entry, EntryKind, Report};
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

const DAY_MS: u64 = 86_400_000;
const KEEP: RingConfig = RingConfig {
    bytes_max: 8 * RING_FILE_BYTES,
    age_ms_max: 14 * DAY_MS,
};

fn signer() -> Signer {
    Signer::from_seed(&[2; 32])
}

fn report(number: u64, now: u64) -> Vec<u8> {
    let rest = Entry::Rest {
        of: EntryKind::Bans,
        count: number + 1,
    };
    let report = Report {
        ledger: LedgerId([7; 16]),
        coin: 1,
        key: signer().key(),
        run: 1,
        number,
        from_ms: now,
        span_ms: 0,
        sessions: 0,
        lost: 0,
        entries: vec![rest; 40],
    };
    seal(&report, &signer())
}

fn numbers(reports: Vec<Vec<u8>>) -> Vec<u64> {
    let reports = reports.iter();
    reports
        .map(|bytes| {
            let key = signer().key();
            open(bytes, |known| *known == key)
                .expect("a report of ours")
                .number
        })
        .collect()
}

fn all(disk: &SimDisk) -> Vec<u64> {
    let mut reader = RingReader::new(disk.clone(), "activity");
    numbers(reader.read(usize::MAX).expect("the disk works"))
}

fn start(disk: &SimDisk, config: RingConfig, now: u64) -> Ring<SimDisk> {
    Ring::open(disk.clone(), "activity", config, now).expect("the disk works")
}

#[test]
fn a_crash_tears_the_tail_and_what_follows_is_read() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let (mut next, mut expected) = (0, Vec::new());
        for life in 0..4 {
            let mut ring = start(&disk, KEEP, life);
            for _ in 0..rng.below(8) {
                if ring.append(life, &report(next, life), 1).is_ok() {
                    expected.push(next);
                }
                next += 1;
            }
            let is_killed = rng.below(2) == 0;
            if is_killed {
                disk.restart_process();
                assert_eq!(
                    all(&disk),
                    expected,
                    "seed {seed}: kill -9 loses nothing written"
                );
            } else {
                disk.restart();
                // A power cut may take what was never synced, wholly or in part, and nothing else comes.
                drop(start(&disk, KEEP, life));
                let left = all(&disk);
                assert!(left.is_sorted(), "seed {seed}");
                assert!(left.iter().all(|one| expected.contains(one)), "seed {seed}");
                expected = left;
            }
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_the_ring_goes_on_behind_it() {
    let disk = SimDisk::new(1);
    let mut ring = start(&disk, KEEP, 0);
    for number in 0..3 {
        ring.append(0, &report(number, 0), 1).expect("room");
    }
    drop(ring);
    let mut file = disk.open("activity/0000000000.act").expect("the file");
    let whole = file.len().expect("a length");
    for torn in [1_u16, 60, 500] {
        let cut = u64::from(torn);
        file.truncate(whole - cut).expect("cut");
        assert_eq!(all(&disk), [0, 1], "{cut} bytes are gone");
        file.write_at(whole - cut, &vec![0xa5; usize::from(torn)])
            .expect("room");
        assert_eq!(all(&disk), [0, 1], "{cut} bytes are noise");
    }
    let mut ring = start(&disk, KEEP, 0);
    ring.append(0, &report(3, 0), 1).expect("room");
    assert_eq!(all(&disk), [0, 1, 3]);
}

#[test]
fn the_oldest_files_go_by_size_and_by_age_and_a_reader_passes_over_them() {
    let disk = SimDisk::new(2);
    let config = RingConfig {
        bytes_max: 3 * RING_FILE_BYTES,
        ..KEEP
    };
    let mut ring = start(&disk, config, 0);
    let mut reader = RingReader::new(disk.clone(), "activity");
    let mut read = Vec::new();
    let of_a_file = RING_FILE_BYTES.div_ceil(report(0, 0).len() as u64 + 8);
    for number in 0..10 * of_a_file {
        ring.append(0, &report(number, 0), 1).expect("room");
        if number % 100 == 0 {
            read.extend(numbers(reader.read(40).expect("the disk works")));
        }
    }
    assert_eq!(disk.list("activity").expect("a folder").len(), 3);
    let kept = all(&disk);
    assert_eq!(kept.last(), Some(&(10 * of_a_file - 1)));
    assert!(kept.len() as u64 <= 3 * of_a_file, "{}", kept.len());
    assert!(2 * of_a_file <= kept.len() as u64, "{}", kept.len());
    // The slow reader lost what was removed before it came there, and nothing of the rest.
    read.extend(numbers(reader.read(usize::MAX).expect("the disk works")));
    assert!(read.is_sorted_by(|a, b| a < b), "each once and in order");
    assert!(read.ends_with(&kept[kept.len() - usize::try_from(of_a_file).expect("few")..]));
    // After a start the ages are those that the reports say.
    drop(ring);
    let mut ring = start(&disk, config, 15 * DAY_MS);
    ring.append(15 * DAY_MS, &report(0, 15 * DAY_MS), 1)
        .expect("room");
    assert_eq!(disk.list("activity").expect("a folder").len(), 1);
}

#[test]
fn a_full_disk_is_said_and_a_later_report_is_taken() {
    let disk = SimDisk::new(3);
    let mut ring = start(&disk, KEEP, 0);
    ring.append(0, &report(0, 0), 1).expect("room");
    disk.faults().set_capacity(Some(0));
    assert_eq!(ring.append(0, &report(1, 0), 1), Err(ActivityError::Full));
    disk.faults().set_capacity(None);
    ring.append(0, &report(2, 0), 1).expect("room again");
    assert_eq!(all(&disk), [0, 2]);
}

#[test]
fn a_report_of_another_key_or_with_another_bit_is_refused() {
    let bytes = report(0, 0);
    let key = signer().key();
    assert!(open(&bytes, |known| *known == key).is_ok());
    assert_eq!(open(&bytes, |_| false), Err(ReportFault::Signature));
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&changed, |known| *known == key).is_err(), "bit {bit}");
    }
}
