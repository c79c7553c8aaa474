//! What is cut and what never is: torn tails, damage, truncation.

use orebook_ledger::segment::{SegmentStore, StoreError};
use orebook_sim::disk::SimDisk;

use crate::pool::Shape;
use crate::{DIR, SMALL, all, append, grown, open, sealed_files, verify, written};

/// The same files with damage at one record, opened with different floors.
#[test]
fn what_was_promised_is_never_cut_and_what_was_not_is() {
    let pool = grown(
        8,
        Shape {
            segment_positions: 50,
            ..SMALL
        },
        20,
    );
    let disk = written(&pool, 30, 1 << 16, 0);
    let path = format!("{DIR}/{:020}.open", 0);
    let bytes = disk.read_raw(&path).unwrap();
    let offsets = crate::flips::record_offsets(&bytes);
    for (record, at) in pool.records.iter().zip(&offsets).skip(1) {
        let position = record.position();
        let broken = disk.fork_copy();
        broken.flip_bit(&path, (at + 100) * 8).unwrap();
        let is_last = *at == offsets[offsets.len() - 2];
        for floor in [0, 1, position, position + 1, 20] {
            let copy = broken.fork_copy();
            let opened = SegmentStore::open(copy.clone(), DIR, pool.ledger, floor);
            if position < floor || floor == 0 && !is_last {
                let Err(StoreError::Damaged {
                    file,
                    offset,
                    position: said,
                    ..
                }) = opened
                else {
                    panic!("floor {floor}: damage at {position} was not told: {opened:?}");
                };
                assert_eq!((file, offset, said), (path.clone(), *at, position));
                assert_eq!(
                    copy.read_raw(&path),
                    broken.read_raw(&path),
                    "nothing is cut"
                );
                continue;
            }
            let (store, torn) = opened.unwrap();
            let torn = torn.unwrap();
            assert_eq!(
                (torn.file, torn.offset, torn.position),
                (path.clone(), *at, position)
            );
            assert_eq!(store.size(), position);
            let left = copy.read_raw(&path).unwrap();
            let cut = usize::try_from(*at).unwrap();
            assert!(left[cut..].iter().all(|byte| *byte == 0) && left[..cut] == bytes[..cut]);
        }
    }
}

#[test]
fn bytes_behind_a_full_segment_are_a_footer_or_damage() {
    let pool = grown(13, SMALL, 20);
    let disk = written(&pool, 3, 8_192, 0);
    let path = format!("{DIR}/{:020}.open", 0);
    let end = *crate::flips::record_offsets(&disk.read_raw(&path).unwrap())
        .last()
        .unwrap();
    for (floor, damage) in [(0, true), (20, true), (6, true), (5, false), (1, false)] {
        let disk = disk.fork_copy();
        disk.flip_bit(&path, 8 * end + 77).unwrap();
        match SegmentStore::open(disk.clone(), DIR, pool.ledger, floor) {
            Err(StoreError::Damaged {
                file,
                offset,
                position,
                ..
            }) => {
                assert!(damage, "floor {floor}");
                assert_eq!((file, offset, position), (path.clone(), end, 5));
            }
            opened => {
                assert!(!damage, "floor {floor}");
                let (store, torn) = opened.unwrap();
                let torn = torn.unwrap();
                assert_eq!(
                    (store.size(), torn.file, torn.offset),
                    (5, path.clone(), end)
                );
                assert_eq!(disk.paths(), std::slice::from_ref(&path));
            }
        }
    }
}

#[test]
fn missing_positions_are_damage_if_they_were_promised() {
    let pool = grown(9, SMALL, 20);
    let disk = written(&pool, 3, 8_192, 0);
    for floor in 0..25 {
        let opened = SegmentStore::open(disk.fork_copy(), DIR, pool.ledger, floor);
        assert_eq!(opened.is_err(), 20 < floor, "floor {floor}");
    }
    let nothing = SegmentStore::open(SimDisk::new(1), DIR, pool.ledger, 1);
    assert!(matches!(
        nothing,
        Err(StoreError::Damaged { position: 0, .. })
    ));
}

#[test]
fn a_segment_that_was_only_begun_is_removed() {
    let pool = grown(10, SMALL, 15);
    let path = format!("{DIR}/{:020}.open", 15);
    let whole = written(&pool, 3, 8_192, 0);
    let header = whole.read_raw(&format!("{DIR}/{:020}.open", 10)).unwrap()[..72].to_vec();
    let mut torn_header = header.clone();
    torn_header[30] ^= 4;
    for (bytes, cut) in [
        (vec![], 0),
        (vec![0; 4_096], 0),
        (torn_header, 68),
        (vec![1; 30], 30),
    ] {
        let disk = whole.fork_copy();
        disk.write_raw(&path, &bytes).unwrap();
        assert_eq!(verify(&disk, pool.ledger).is_ok(), cut == 0);
        for floor in [16, 0, 15] {
            let opened = SegmentStore::open(disk.clone(), DIR, pool.ledger, floor);
            if floor == 16 {
                assert!(matches!(
                    opened,
                    Err(StoreError::Damaged { position: 15, .. })
                ));
                continue;
            }
            let (store, torn) = opened.unwrap();
            assert_eq!(store.size(), 15);
            assert_eq!(
                torn.map_or(0, |torn| torn.bytes),
                if floor == 0 { cut } else { 0 }
            );
            assert!(!disk.paths().contains(&path));
        }
    }
}

#[test]
fn truncation_takes_frames_and_closures_and_is_durable() {
    for seed in 0..20 {
        let pool = grown(seed, SMALL, 40);
        for size in 16..=41 {
            let disk = written(&pool, 6, 8_192, 17);
            let (mut store, _) = open(&disk, pool.ledger, 16);
            assert_eq!(
                store.truncate(14),
                Err(StoreError::Sealed { sealed_size: 15 })
            );
            store.truncate(size).unwrap();
            drop(store);
            disk.restart();
            let (mut store, torn) = open(&disk, pool.ledger, 16);
            assert_eq!((torn, store.size()), (None, size.min(40)));
            let (kept, gone): (Vec<_>, Vec<_>) = pool
                .records
                .iter()
                .cloned()
                .partition(|record| record.position() < size);
            assert_eq!(all(&store), kept);
            gone.iter()
                .for_each(|record| append(&mut store, record).unwrap());
            store.sync().unwrap();
            store.seal(40).unwrap();
            assert_eq!(sealed_files(&disk), sealed_files(&written(&pool, 9, 0, 40)));
            verify(&disk, pool.ledger).unwrap();
        }
    }
}

#[test]
fn a_truncated_segment_takes_as_many_bytes_as_before() {
    let pool = grown(
        2,
        Shape {
            segment_positions: 1_000,
            shares_max: 300,
            ..SMALL
        },
        40,
    );
    let whole = written(&pool, 4, 0, 40);
    for size in 1..40 {
        let disk = SimDisk::new(1);
        let (mut store, _) = open(&disk, pool.ledger, 0);
        pool.records
            .iter()
            .for_each(|record| append(&mut store, record).unwrap());
        store.truncate(size).unwrap();
        let gone = pool
            .records
            .iter()
            .filter(|record| size <= record.position());
        gone.for_each(|record| append(&mut store, record).unwrap());
        store.sync().unwrap();
        store.seal(40).unwrap();
        assert!(sealed_files(&disk) == sealed_files(&whole), "size {size}");
    }
}
