//! Segment files under the simulated disk: they come back, recover, and no bit of them goes bad unseen.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

#[path = "segments/chaos.rs"]
mod chaos;
#[path = "segments/crashes.rs"]
mod crashes;
#[path = "segments/flips.rs"]
mod flips;
#[path = "segments/pool.rs"]
mod pool;
#[path = "segments/repair.rs"]
mod repair;
#[path = "segments/summaries.rs"]
mod summaries;
#[path = "segments/torn.rs"]
mod torn;

use orebook_ledger::admit::{AdmitError, History, Parsed, State, Trust, Verdict};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::disk::{Disk, DiskFile};
use orebook_ledger::segment::{
    Fault, Record, SegmentStore, StoreConfig, StoreError, TornTail, Verified, verify_files,
};
use orebook_ledger::tree::{Tree, leaf_hash};
use orebook_schema::{Hash, LedgerId};
use orebook_sim::disk::SimDisk;

use crate::pool::{Memory, Pool, Shape};

const DIR: &str = "segments";
const SMALL: Shape = Shape {
    segment_positions: 5,
    segment_bytes: 65_536,
    shares_max: 4,
};

type Store<D = SimDisk> = SegmentStore<D>;

fn grown(seed: u64, shape: Shape, size: u64) -> Pool {
    println!("pool seed {seed}");
    let mut pool = Pool::new(seed, shape);
    pool.grow(size);
    pool
}

fn append<D: Disk>(store: &mut Store<D>, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Frame(it) => {
            store.append_frame(it.position, it.ledger_time, it.append_time, &it.frame)
        }
        Record::Closure {
            position,
            append_time,
            header,
        } => store.append_closure(*position, *append_time, header),
    }
}

fn open(disk: &SimDisk, ledger: LedgerId, floor: u64) -> (Store, Option<TornTail>) {
    SegmentStore::open(disk.clone(), DIR, ledger, floor).unwrap()
}

/// A disk with all records of a pool, synced after every `batch`, sealed up to `final_size`.
fn written(pool: &Pool, batch: usize, preallocate_bytes: u64, final_size: u64) -> SimDisk {
    let disk = SimDisk::new(1);
    let config = StoreConfig { preallocate_bytes };
    let (mut store, _) =
        SegmentStore::open_with(disk.clone(), DIR, pool.ledger, 0, config).unwrap();
    for records in pool.records.chunks(batch) {
        records
            .iter()
            .for_each(|record| append(&mut store, record).unwrap());
        store.sync().unwrap();
        store.seal(final_size.min(store.size())).unwrap();
    }
    disk
}

fn all<D: Disk>(store: &Store<D>) -> Vec<Record> {
    store.records(0).map(Result::unwrap).collect()
}

fn verify<D: Disk>(disk: &D, ledger: LedgerId) -> Result<Verified, Fault> {
    verify_files(disk, DIR, Some(ledger), &mut |_| {})
}

fn sealed_files(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let sealed = disk
        .paths()
        .into_iter()
        .filter(|path| path.ends_with(".seg"));
    sealed
        .map(|path| (path.clone(), disk.read_raw(&path).unwrap()))
        .collect()
}

#[test]
fn a_ledger_comes_back_from_small_segments() {
    for seed in 0..20 {
        let pool = grown(seed, SMALL, 43);
        let disk = written(&pool, 3, 8_192, 30);
        let (store, torn) = open(&disk, pool.ledger, 30);
        assert_eq!((torn, store.size(), store.synced_size()), (None, 43, 43));
        assert_eq!(all(&store), pool.records);
        let names: Vec<_> = store
            .segments()
            .iter()
            .map(|it| (it.first, it.sealed))
            .collect();
        let wanted: Vec<_> = (0..9).map(|n| (5 * n, 5 * (n + 1) < 30)).collect();
        assert_eq!(names, wanted);
        for from in 0..=44 {
            let after: Vec<_> = store.records(from).map(Result::unwrap).collect();
            let wanted = pool
                .records
                .iter()
                .filter(|record| from <= record.position());
            assert!(after.iter().eq(wanted), "from {from}");
            let frame = store.read(from).unwrap();
            let wanted = pool.records.iter().find_map(|record| match record {
                Record::Frame(stored) if stored.position == from => Some(stored),
                _ => None,
            });
            assert_eq!(frame.as_ref(), wanted);
        }
        let verified = verify(&disk, pool.ledger).unwrap();
        let closures = pool
            .records
            .iter()
            .filter(|it| matches!(it, Record::Closure { .. }))
            .count();
        assert_eq!(verified.positions, 43);
        assert_eq!(verified.root, pool.state.root());
        assert_eq!(verified.final_size, pool.state.final_size());
        assert_eq!(verified.shares, pool.shares);
        assert_eq!(verified.closures, u64::try_from(closures).unwrap());
        assert_eq!(verified.torn, None);
    }
}

#[test]
fn what_waits_for_a_sync_is_read_too_and_written_by_it_alone() {
    let pool = grown(1, SMALL, 23);
    let disk = SimDisk::new(1);
    let (mut store, _) = open(&disk, pool.ledger, 0);
    let (synced, waiting) = pool.records.split_at(9);
    synced
        .iter()
        .for_each(|record| append(&mut store, record).unwrap());
    store.sync().unwrap();
    let size = store.size();
    let operations = disk.operations();
    waiting
        .iter()
        .for_each(|record| append(&mut store, record).unwrap());
    assert_eq!(disk.operations(), operations);
    assert_eq!((store.synced_size(), store.size()), (size, 23));
    assert_eq!(all(&store), pool.records);
    for position in 0..23 {
        assert_eq!(store.read(position).unwrap().unwrap().position, position);
    }
    assert_eq!(store.read(23), Ok(None));
    store.sync().unwrap();
    assert_eq!((store.synced_size(), all(&store)), (23, pool.records));
}

#[test]
fn a_batch_within_a_segment_is_one_write_and_one_sync() {
    let shape = Shape {
        segment_positions: 100,
        ..SMALL
    };
    let pool = grown(2, shape, 40);
    let disk = SimDisk::new(1);
    let (mut store, _) = open(&disk, pool.ledger, 0);
    let (first, second) = pool.records.split_at(20);
    first
        .iter()
        .for_each(|record| append(&mut store, record).unwrap());
    store.sync().unwrap();
    let before = disk.operations();
    second
        .iter()
        .for_each(|record| append(&mut store, record).unwrap());
    store.sync().unwrap();
    let log: Vec<_> = disk
        .operation_log()
        .into_iter()
        .rev()
        .take(2)
        .map(|it| it.0)
        .collect();
    assert_eq!(
        (disk.operations() - before, log),
        (2, vec!["sync", "write_at"])
    );
}

#[test]
fn segments_are_equal_whatever_the_batches_and_files_were() {
    for seed in 0..10 {
        let pool = grown(seed, SMALL, 60);
        let one = sealed_files(&written(&pool, 1, 0, 60));
        let other = sealed_files(&written(&pool, 17, 4 << 20, 60));
        assert_eq!(one.len(), 11);
        assert!(one == other, "seed {seed}");
    }
}

#[test]
fn a_segment_is_cut_by_bytes_as_well() {
    let shape = Shape {
        segment_positions: 1_000,
        shares_max: 300,
        ..SMALL
    };
    let pool = grown(3, shape, 60);
    let disk = written(&pool, 4, 1 << 20, 60);
    let (store, _) = open(&disk, pool.ledger, 1);
    let segments = store.segments();
    assert!(3 < segments.len());
    for segment in &segments[..segments.len() - 1] {
        assert!(segment.sealed && 16_384 < segment.bytes && segment.bytes < 65_536 + 16_384);
    }
    verify(&disk, pool.ledger).unwrap();
}

/// Admission driven with the store as its history says what it said with all frames in memory.
#[test]
fn the_store_is_the_history_that_admission_needs() {
    for seed in 0..10 {
        let pool = grown(seed, SMALL, 60);
        let disk = SimDisk::new(1);
        let (mut store, _) = open(&disk, pool.ledger, 0);
        let (mut state, mut memory) = (State::new(pool.ledger), Memory::default());
        for record in &pool.records {
            match record {
                Record::Frame(stored) => {
                    let parsed = Parsed::read(stored.frame.bytes().to_vec()).unwrap();
                    let verdict =
                        state.admit_parsed(&store, stored.append_time, &parsed, Trust::Nothing);
                    assert!(matches!(verdict, Ok(Verdict::Admitted(_))), "{verdict:?}");
                    memory.add(&stored.frame);
                }
                Record::Closure { header, .. } => {
                    assert_eq!(state.close_by_evidence(&store, header), Ok(true));
                }
            }
            append(&mut store, record).unwrap();
            if store.size().is_multiple_of(7) {
                store.sync().unwrap();
                store.seal(store.size() - 2).unwrap();
            }
        }
        assert_eq!(state, pool.state);
        let streams: Vec<_> = pool
            .state
            .streams()
            .map(|(id, it)| (*id, it.next_seq))
            .collect();
        for (stream, next) in streams {
            for seq in 0..next {
                let hash = memory.header_hash(stream, seq);
                assert_eq!(store.header_hash(stream, seq), hash, "{stream} {seq}");
                assert_eq!(
                    store.event(stream, seq),
                    memory.event(stream, seq),
                    "{stream} {seq}"
                );
            }
            // Nobody asks for what was never admitted: an index that does not lead to an event is damaged.
            for seq in next..next + 3 {
                assert!(store.header_hash(stream, seq).is_err(), "{stream} {seq}");
                assert!(store.event(stream, seq).is_err(), "{stream} {seq}");
            }
        }
    }
}

/// Seed 1795277926050288 of the simulation: a copy of an admitted frame was judged a fork, and its stream closed.
#[test]
fn a_bit_that_rots_in_a_sealed_index_is_damage_and_never_another_answer() {
    let pool = grown(3, SMALL, 40);
    let disk = written(&pool, 1, 0, 40);
    let (store, _) = open(&disk, pool.ledger, 0);
    let segment = store.segments().into_iter().find(|it| it.sealed).unwrap();
    let path = format!("{DIR}/{}", segment.name);
    let mut memory = Memory::default();
    pool.records.iter().for_each(|record| {
        if let Record::Frame(stored) = record {
            memory.add(&stored.frame);
        }
    });
    let streams = pool.state.streams();
    let places: Vec<_> = streams
        .flat_map(|(id, it)| (0..it.next_seq).map(|seq| (*id, seq)))
        .collect();
    let (mut right, mut found) = (0, 0);
    for bit in 0..8 * 40 * segment.positions {
        let bit = 8 * segment.bytes - 1 - bit;
        disk.flip_bit(&path, bit).unwrap();
        for (stream, seq) in places.iter().copied() {
            match store.header_hash(stream, seq) {
                Ok(hash) => {
                    right += 1;
                    assert_eq!(hash, memory.header_hash(stream, seq).unwrap(), "bit {bit}");
                }
                Err(error) => {
                    found += 1;
                    assert!(matches!(error, AdmitError::Damaged(_)), "{error:?}");
                }
            }
        }
        disk.flip_bit(&path, bit).unwrap();
    }
    assert!(0 < right && 100 < found, "{right} {found}");
}

#[test]
fn a_given_tree_saves_reading_the_ledger_and_a_wrong_one_is_found() {
    let pool = grown(5, SMALL, 60);
    let (before, after) = pool.records.split_at(40);
    let mut tree = Tree::new();
    let mut trees = vec![tree.clone()];
    for record in before {
        if let Record::Frame(it) = record {
            tree.push(leaf_hash(&it.frame.leaf_entry(it.position, it.ledger_time)));
            trees.push(tree.clone());
        }
    }
    let mut part = pool.clone();
    part.records = before.to_vec();
    for given in trees {
        let disk = written(&part, 7, 0, 33);
        let (mut store, _) = open(&disk, pool.ledger, 33);
        store.resume_tree(given).unwrap();
        after
            .iter()
            .for_each(|record| append(&mut store, record).unwrap());
        store.sync().unwrap();
        store.seal(60).unwrap();
        assert_eq!(verify(&disk, pool.ledger).unwrap().root, pool.state.root());
        assert_eq!(sealed_files(&disk), sealed_files(&written(&pool, 9, 0, 60)));
        let mut wrong = Tree::new();
        (0..10).for_each(|_| wrong.push(Hash::ZERO));
        assert!(matches!(
            store.resume_tree(wrong),
            Err(StoreError::Damaged { .. })
        ));
    }
}

/// A closure between two segments stands in the first, so that one is sealed only when it can get no other.
#[test]
fn a_segment_is_sealed_when_the_position_behind_it_is_final() {
    let mut pool = grown(1, SMALL, 4);
    pool.fork();
    pool.grow(11);
    let (before, after) = pool.records.split_at(5);
    assert!(matches!(&after[0], Record::Closure { position: 5, .. }));
    let disk = SimDisk::new(1);
    let (mut store, _) = open(&disk, pool.ledger, 0);
    before
        .iter()
        .for_each(|record| append(&mut store, record).unwrap());
    store.sync().unwrap();
    store.seal(5).unwrap();
    assert_eq!((store.size(), store.sealed_size()), (5, 0));
    append(&mut store, &after[0]).unwrap();
    append(&mut store, &after[1]).unwrap();
    store.sync().unwrap();
    store.seal(5).unwrap();
    assert_eq!((store.size(), store.sealed_size()), (6, 0));
    store.truncate(5).unwrap();
    assert_eq!(all(&store), before);
    after
        .iter()
        .for_each(|record| append(&mut store, record).unwrap());
    store.seal(7).unwrap();
    assert_eq!(store.sealed_size(), 0, "the next segment is not synced yet");
    store.sync().unwrap();
    store.seal(6).unwrap();
    assert_eq!(store.sealed_size(), 5);
    assert_eq!(all(&store), pool.records);
    // Alone, the sealed segment takes no closure of its end, and keeps the one it has.
    let alone = SimDisk::new(2);
    let sealed = &sealed_files(&disk)[0];
    alone.write_raw(&sealed.0, &sealed.1).unwrap();
    let (mut store, _) = open(&alone, pool.ledger, 5);
    assert_eq!(
        append(&mut store, &after[0]),
        Err(StoreError::Sealed { sealed_size: 5 })
    );
    store.truncate(5).unwrap();
    assert_eq!(all(&store), pool.records[..6]);
    after[1..]
        .iter()
        .for_each(|record| append(&mut store, record).unwrap());
    store.sync().unwrap();
    assert_eq!(verify(&alone, pool.ledger).unwrap().root, pool.state.root());
}

#[test]
fn another_ledgers_files_are_refused() {
    let pool = grown(1, SMALL, 13);
    let other = LedgerId::from_parts(1, [2; 10]);
    for final_size in [0, 13] {
        let disk = written(&pool, 3, 0, final_size);
        let opened = SegmentStore::open(disk.clone(), DIR, other, 0);
        assert!(matches!(opened, Err(StoreError::OtherLedger { .. })));
        assert!(
            verify(&disk, other)
                .unwrap_err()
                .what
                .contains("belongs to ledger")
        );
    }
}

#[test]
fn a_missing_or_doubled_segment_is_found() {
    let pool = grown(1, SMALL, 33);
    let name = |first: u64, ending| format!("{DIR}/{first:020}.{ending}");
    for (gone, floor) in [
        (name(0, "seg"), 0),
        (name(10, "seg"), 20),
        (name(25, "open"), 0),
    ] {
        let disk = written(&pool, 3, 0, 23);
        disk.remove(&gone).unwrap();
        let opened = SegmentStore::open(disk.clone(), DIR, pool.ledger, floor);
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{gone}");
        assert!(verify(&disk, pool.ledger).is_err(), "{gone}");
    }
    let disk = written(&pool, 3, 0, 23);
    disk.write_raw(&name(10, "open"), &disk.read_raw(&name(10, "seg")).unwrap())
        .unwrap();
    assert!(SegmentStore::open(disk.clone(), DIR, pool.ledger, 0).is_err());
    assert!(verify(&disk, pool.ledger).is_err());
}

#[test]
fn reading_only_changes_no_byte_and_refuses_to_write() {
    let pool = grown(4, SMALL, 23);
    let disk = written(&pool, 3, 8_192, 12);
    let path = format!("{DIR}/{:020}.open", 20);
    let mut bytes = disk.read_raw(&path).unwrap();
    let len = disk.open(&path).unwrap().len().unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used - 40] ^= 1;
    disk.write_raw(&path, &bytes).unwrap();
    let operations = disk.operations();
    let opened = SegmentStore::open_read_only(disk.clone(), DIR, pool.ledger, 12);
    let (mut store, torn) = opened.unwrap();
    assert_eq!((torn.unwrap().file, store.size()), (path.clone(), 22));
    assert_eq!(
        all(&store),
        pool.records
            .iter()
            .filter(|it| it.position() < 22)
            .cloned()
            .collect::<Vec<_>>()
    );
    assert_eq!(store.sync(), Err(StoreError::ReadOnly));
    assert_eq!(store.truncate(20), Err(StoreError::ReadOnly));
    assert_eq!(store.seal(22), Err(StoreError::ReadOnly));
    assert_eq!(disk.operations(), operations);
    assert_eq!(disk.read_raw(&path).unwrap(), bytes);
    assert_eq!(bytes.len(), usize::try_from(len).unwrap());
}

#[test]
fn the_machines_disk_does_as_the_simulated_one() {
    let pool = grown(6, SMALL, 43);
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path().to_path_buf());
    for records in pool.records.chunks(10) {
        let (mut store, torn) = SegmentStore::open(disk.clone(), DIR, pool.ledger, 0).unwrap();
        assert_eq!(torn, None);
        records
            .iter()
            .for_each(|record| append(&mut store, record).unwrap());
        store.sync().unwrap();
        store.seal(store.size() - 3).unwrap();
    }
    let (store, _) = SegmentStore::open(disk.clone(), DIR, pool.ledger, 0).unwrap();
    assert_eq!(all(&store), pool.records);
    assert_eq!(verify(&disk, pool.ledger).unwrap().root, pool.state.root());
    let simulated = written(&pool, 4, 0, 40);
    for (path, bytes) in sealed_files(&simulated) {
        assert_eq!(
            std::fs::read(folder.path().join(&path)).unwrap(),
            bytes,
            "{path}"
        );
    }
}
