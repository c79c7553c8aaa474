//! Damage is named and never cut; a tail that never was durable is cut and reported.

use orebook_ledger::spool::SpoolError;
use orebook_schema::Event;
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

use crate::world::{
    Ledger, START_MS, all_frames, announcements, at, begun, nonces, open, shares, stream,
};

fn file(number: u64) -> String {
    format!("spool/{number:020}.spool")
}

/// Two files; in the last one a frame and a few unframed groups. Also the offset after the last record of each.
fn two_files() -> (SimDisk, Vec<usize>) {
    two_files_from(0)
}

fn two_files_from(mut nonce: u32) -> (SimDisk, Vec<usize>) {
    let disk = SimDisk::new(1);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    while disk.paths().len() < 2 {
        spool.append(&shares(START_MS, nonce..nonce + 500)).unwrap();
        nonce += 500;
    }
    spool.cut().unwrap();
    for first in 0..5 {
        spool
            .append(&shares(START_MS, nonce + first..nonce + first + 1))
            .unwrap();
    }
    let ends = disk.paths().iter().map(|path| used(&disk, path)).collect();
    (disk, ends)
}

/// Offset after the last byte of a file that is not zero, up to the next record's place.
fn used(disk: &SimDisk, path: &str) -> usize {
    let bytes = disk.read_raw(path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    (last + 1).next_multiple_of(8)
}

/// Offset of the last record before `end`.
fn last_record(disk: &SimDisk, path: &str, end: usize) -> usize {
    let bytes = disk.read_raw(path).unwrap();
    bytes[..end]
        .windows(4)
        .rposition(|window| window == b"ORSR")
        .unwrap()
}

#[test]
fn a_flipped_bit_in_durable_bytes_is_named_and_nothing_is_changed() {
    let (disk, ends) = two_files();
    let mut rng = Rng::new(5);
    for (number, end) in (0u64..).zip(ends) {
        let path = file(number);
        let end = if number == 0 {
            end
        } else {
            last_record(&disk, &path, end)
        };
        let edges = |place: usize| place < 700 || end < place + 700;
        let places = (0..end).filter(|place| edges(*place) || place % 509 == 0);
        for place in places {
            let copy = disk.fork_copy();
            copy.flip_bit(&path, place as u64 * 8 + rng.below(8))
                .unwrap();
            let before: Vec<_> = copy
                .paths()
                .iter()
                .map(|it| copy.read_raw(it).unwrap())
                .collect();
            match open(&copy).map(|(_, found)| found) {
                Err(SpoolError::Damaged {
                    path: named,
                    offset,
                    ..
                }) => {
                    // A state or a head may be found wrong by the file after it.
                    assert!(
                        named == path || number == 0 && named == file(1),
                        "byte {place}: {named}"
                    );
                    assert!(
                        named != path || offset <= place as u64,
                        "byte {place}: {offset}"
                    );
                }
                other => panic!("byte {place} of {path}: {other:?}"),
            }
            let after: Vec<_> = copy
                .paths()
                .iter()
                .map(|it| copy.read_raw(it).unwrap())
                .collect();
            assert!(before == after, "byte {place}: something was changed");
        }
    }
}

#[test]
fn a_torn_last_write_is_cut_and_reported() {
    let (disk, ends) = two_files();
    let (path, end) = (file(1), ends[1]);
    let start = last_record(&disk, &path, end);
    for kept in start..end {
        let copy = disk.fork_copy();
        let mut bytes = copy.read_raw(&path).unwrap();
        bytes[kept..].fill(0);
        copy.write_raw(&path, &bytes).unwrap();
        let whole = bytes == disk.read_raw(&path).unwrap();
        let (mut spool, found) = open(&copy).unwrap();
        assert_eq!(found.unframed_events, if whole { 5 } else { 4 }, "{kept}");
        let used_now = used(&copy, &path);
        assert_eq!(
            used_now,
            if whole { end } else { start },
            "what is cut is zero again"
        );
        let torn = found.torn.map(|torn| (torn.path, torn.offset as usize));
        let nothing_left = kept == start;
        let expected = (!whole && !nothing_left).then(|| (path.clone(), start));
        assert_eq!(torn, expected, "{kept}");
        spool.begin(START_MS, stream(1)).unwrap();
        drop(spool);
        let (_, found) = open(&copy).unwrap();
        assert_eq!((found.torn, found.unframed_events), (None, 0), "{kept}");
    }
}

#[test]
fn power_cuts_tear_the_last_group_wholly_or_not_at_all() {
    let (mut kept, mut lost, mut torn) = (0, 0, 0);
    for seed in 0..300 {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let mut spool = begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        disk.faults().crash_after(2);
        assert!(spool.append(&shares(START_MS, 0..200)).is_err());
        disk.restart();
        let (mut spool, found) = open(&disk).unwrap();
        spool.begin(START_MS, stream(1)).unwrap();
        let said: Vec<u32> = all_frames(&spool).iter().flat_map(nonces).collect();
        assert!(said.is_empty() || said == (0..200).collect::<Vec<u32>>());
        kept += u32::from(!said.is_empty());
        lost += u32::from(said.is_empty() && found.torn.is_none());
        torn += u32::from(found.torn.is_some());
    }
    assert!(kept > 20 && lost > 5 && torn > 20, "{kept} {lost} {torn}");
}

#[test]
fn missing_and_shortened_files_are_named() {
    let (disk, ends) = two_files();
    let named = |disk: &SimDisk| match open(disk).map(|_| ()) {
        Err(SpoolError::Damaged { path, .. }) => path,
        other => panic!("{other:?}"),
    };
    // The end of an older file is known by the next one's head.
    let copy = disk.fork_copy();
    let mut bytes = copy.read_raw(&file(0)).unwrap();
    bytes[last_record(&disk, &file(0), ends[0])..].fill(0);
    copy.write_raw(&file(0), &bytes).unwrap();
    assert_eq!(named(&copy), file(0));
    let copy = disk.fork_copy();
    let bytes = copy.read_raw(&file(0)).unwrap();
    copy.write_raw(&file(0), &bytes[..1_000]).unwrap();
    assert_eq!(named(&copy), file(0));
    // A gap in the numbers.
    let copy = disk.fork_copy();
    copy.write_raw(&file(3), &bytes).unwrap();
    assert_eq!(named(&copy), file(2));
    // A file in another's place.
    let copy = disk.fork_copy();
    copy.write_raw(&file(1), &bytes).unwrap();
    assert_eq!(named(&copy), file(1));
    // A file of another life that went on from the same length.
    let (other, other_ends) = two_files_from(7);
    assert_eq!(ends[0], other_ends[0]);
    let copy = disk.fork_copy();
    copy.write_raw(&file(1), &other.read_raw(&file(1)).unwrap())
        .unwrap();
    assert_eq!(named(&copy), file(1));
    // A state that was cut short.
    let copy = disk.fork_copy();
    let mut bytes = copy.read_raw(&file(1)).unwrap();
    bytes[100..].fill(0);
    copy.write_raw(&file(1), &bytes).unwrap();
    assert_eq!(named(&copy), file(1));
}

#[test]
fn a_misdirected_write_is_found() {
    for delta in [-40, 512, 8_192] {
        let disk = SimDisk::new(3);
        let mut spool = begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        spool.append(&shares(START_MS, 0..5)).unwrap();
        disk.misdirect_next_write("spool", delta);
        spool.append(&shares(START_MS, 5..10)).unwrap();
        spool.append(&shares(START_MS, 10..15)).unwrap();
        let opened = open(&disk).map(|_| ());
        assert!(
            matches!(opened, Err(SpoolError::Damaged { .. })),
            "{delta}: {opened:?}"
        );
    }
}

#[test]
fn a_reader_names_damage_and_gives_nothing_else() {
    let disk = SimDisk::new(3);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    spool.cut().unwrap();
    let end = used(&disk, &file(0));
    spool.append(&at(START_MS, vec![Event::Heartbeat])).unwrap();
    spool.cut().unwrap();
    disk.flip_bit(&file(0), end as u64 * 8 + 500).unwrap();
    let mut reader = spool.frames_from(stream(100), 0).unwrap();
    assert!(reader.next_frame(&spool).unwrap().is_some());
    for _ in 0..2 {
        let read = reader.next_frame(&spool);
        assert!(matches!(read, Err(SpoolError::Damaged { .. })), "{read:?}");
    }
}

#[test]
fn noise_behind_the_end_is_cut() {
    let (disk, ends) = two_files();
    let mut ledger = Ledger::new();
    let path = file(1);
    let mut bytes = disk.read_raw(&path).unwrap();
    let copy_of_a_record = bytes[last_record(&disk, &path, ends[1])..ends[1]].to_vec();
    // A record in another place than its own is no record, be it the next one or not.
    bytes[ends[1]..][..copy_of_a_record.len()].copy_from_slice(&copy_of_a_record);
    bytes[ends[1] + 4_096..][..copy_of_a_record.len()].copy_from_slice(&copy_of_a_record);
    disk.write_raw(&path, &bytes).unwrap();
    let (mut spool, found) = open(&disk).unwrap();
    assert_eq!(found.torn.map(|torn| torn.offset as usize), Some(ends[1]));
    assert_eq!(found.unframed_events, 5);
    spool.begin(START_MS, stream(1)).unwrap();
    ledger.publish(&spool);
}
