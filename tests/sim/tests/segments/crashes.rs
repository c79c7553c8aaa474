//! Crashes at every operation, full disks, failed syncs.

use orebook_ledger::disk::{Disk, DiskFile};
use orebook_ledger::segment::{Record, SegmentStore, StoreConfig, StoreError};
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

use crate::pool::Pool;
use crate::{DIR, SMALL, Store, all, append, grown, open, sealed_files, verify, written};

const CONFIG: StoreConfig = StoreConfig {
    preallocate_bytes: 4_096,
};

/// What a run has been promised, to be held against what is there after a crash.
#[derive(Debug, Default)]
struct Promised {
    /// Positions that a checkpoint may have been signed for.
    floor: u64,
    /// Positions that a sync returned for.
    synced: u64,
}

/// Two futures of one ledger: the first is cut where they part, and the second is what stays.
struct Script {
    cut: Pool,
    kept: Pool,
    parting: u64,
}

impl Script {
    fn new(seed: u64) -> Self {
        let common = grown(seed, SMALL, 13);
        let (mut cut, mut kept) = (common.parted(2 * seed), common.parted(2 * seed + 1));
        cut.grow(19);
        kept.grow(31);
        Self {
            cut,
            kept,
            parting: 13,
        }
    }

    /// Appends in random batches, syncs, promises, seals; cuts the first future and goes on with the second.
    fn run(&self, disk: &SimDisk, promised: &mut Promised) -> Result<(), StoreError> {
        let ledger = self.kept.ledger;
        let mut rng = Rng::new(7);
        let (mut store, _) = SegmentStore::open_with(disk.clone(), DIR, ledger, 0, CONFIG)?;
        play(&mut store, &self.cut.records[..1], &mut rng, promised)?;
        // Genesis is written by a person, who sees that it was.
        promised.floor = 1;
        play(&mut store, &self.cut.records[1..], &mut rng, promised)?;
        promised.synced = self.parting;
        // From here on a crash may leave the first future or the cut one.
        store.truncate(self.parting)?;
        let rest = self
            .kept
            .records
            .iter()
            .filter(|it| self.parting <= it.position());
        play(
            &mut store,
            &rest.cloned().collect::<Vec<_>>(),
            &mut rng,
            promised,
        )
    }
}

fn play(
    store: &mut Store,
    records: &[Record],
    rng: &mut Rng,
    promised: &mut Promised,
) -> Result<(), StoreError> {
    let mut rest = records;
    while !rest.is_empty() {
        let batch = usize::try_from(rng.range(1, 8)).unwrap().min(rest.len());
        let (now, later) = rest.split_at(batch);
        for record in now {
            append(store, record)?;
        }
        rest = later;
        store.sync()?;
        promised.synced = store.synced_size();
        assert_eq!(promised.synced, store.size());
        // The first future is never promised beyond the parting.
        if rng.chance(2, 3) && (promised.synced < 14 || 22 < promised.synced) {
            promised.floor = promised
                .floor
                .max(promised.synced.saturating_sub(rng.below(3)));
            store.seal(promised.floor)?;
        }
    }
    Ok(())
}

fn is_prefix(found: &[Record], of: &[Record]) -> bool {
    of.starts_with(found)
}

#[test]
fn after_a_crash_at_any_operation_all_that_was_synced_is_there() {
    let (mut runs, mut torn_runs, mut cut_runs) = (0, 0, 0);
    for seed in 0..6 {
        let script = Script::new(seed);
        let counting = SimDisk::new(0);
        script.run(&counting, &mut Promised::default()).unwrap();
        let operations = counting.operations();
        println!("seed {seed}: {operations} operations");
        let reference = sealed_files(&written(&script.kept, 5, 0, 31));
        for crash in 1..=operations {
            for attempt in 0..6 {
                let power_cut = 0 < attempt;
                let disk = SimDisk::new(seed * 10_000 + crash * 10 + attempt);
                disk.faults().crash_after(crash);
                let mut promised = Promised::default();
                let ended = script.run(&disk, &mut promised);
                assert!(
                    ended.is_err(),
                    "seed {seed} crash {crash}: the crash was swallowed"
                );
                if power_cut {
                    disk.restart()
                } else {
                    disk.restart_process()
                }
                let context = format!("seed {seed} crash {crash} attempt {attempt} {promised:?}");
                let torn = recovered(&script, &disk, &promised, &context);
                runs += 1;
                torn_runs += u32::from(torn);
                let (mut store, again) = open(&disk, script.kept.ledger, promised.floor);
                assert_eq!(again, None, "{context}: the second start cuts too");
                cut_runs += u32::from(store.size() != promised.synced);
                finish(&script, &mut store, &disk);
                assert!(
                    sealed_files(&disk) == reference,
                    "{context}: sealed files differ"
                );
            }
        }
    }
    println!("{runs} runs, {torn_runs} torn tails, {cut_runs} with other than what was synced");
    assert!(runs / 100 < torn_runs, "the disk is tame");
}

/// Opens after a crash and holds what is there against what was promised; whether a tail was torn.
fn recovered(script: &Script, disk: &SimDisk, promised: &Promised, context: &str) -> bool {
    let opened = SegmentStore::open_with(
        disk.clone(),
        DIR,
        script.kept.ledger,
        promised.floor,
        CONFIG,
    );
    let (store, torn) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = all(&store);
    let size = store.size();
    assert!(
        promised.synced <= size,
        "{context}: {size} positions are there"
    );
    assert_eq!(store.synced_size(), size, "{context}");
    let known = is_prefix(&found, &script.cut.records) || is_prefix(&found, &script.kept.records);
    assert!(known, "{context}: the records are none of the written ones");
    if let Some(torn) = &torn {
        assert_eq!(torn.position, size, "{context}");
    }
    if 0 < size {
        // What stays at open is durable: a further power cut takes nothing.
        drop(store);
        disk.restart();
        let (store, _) = open(disk, script.kept.ledger, promised.floor);
        assert_eq!(all(&store), found, "{context}: lost after a start");
    }
    let verified =
        verify(disk, script.kept.ledger).unwrap_or_else(|fault| panic!("{context}: {fault}"));
    assert_eq!(verified.positions, size, "{context}");
    torn.is_some()
}

/// Goes on from wherever the crash left it to the end of the second future.
fn finish(script: &Script, store: &mut Store, disk: &SimDisk) {
    let found = all(store);
    let kept = &script.kept.records;
    let same = found.iter().zip(kept).take_while(|(a, b)| a == b).count();
    let size = kept.get(same).map_or(31, Record::position);
    store.truncate(size).unwrap();
    let rest = kept.iter().filter(|record| size <= record.position());
    rest.for_each(|record| append(store, record).unwrap());
    store.sync().unwrap();
    store.seal(31).unwrap();
    assert_eq!(all(store), *kept);
    assert_eq!(
        verify(disk, script.kept.ledger).unwrap().root,
        script.kept.state.root()
    );
}

#[test]
fn after_a_crash_in_a_seal_the_segment_is_open_or_sealed_and_whole() {
    let pool = grown(3, SMALL, 23);
    let before = written(&pool, 4, 16_384, 0);
    let reference = sealed_files(&written(&pool, 4, 0, 23));
    let seal = |disk: &SimDisk| {
        let (mut store, torn) = open(disk, pool.ledger, 23);
        assert_eq!(torn, None);
        store.seal(23)
    };
    let counting = before.fork_copy();
    let (store, _) = open(&counting, pool.ledger, 23);
    drop(store);
    let opening = counting.operations();
    seal(&counting).unwrap();
    let operations = counting.operations() - opening;
    let mut half = 0;
    for crash in opening + 1..=operations {
        for seed in 0..60 {
            let disk = before.fork_copy();
            (0..seed).for_each(|_| disk.restart());
            disk.faults().crash_after(crash);
            seal(&disk).unwrap_err();
            if seed % 3 == 0 {
                disk.restart_process()
            } else {
                disk.restart()
            }
            let unclean = verify(&disk, pool.ledger).is_err();
            half += u32::from(unclean);
            let (store, torn) = open(&disk, pool.ledger, 23);
            assert_eq!(
                (torn, all(&store)),
                (None, pool.records.clone()),
                "crash {crash} seed {seed}"
            );
            verify(&disk, pool.ledger).unwrap();
            drop(store);
            seal(&disk).unwrap();
            assert_eq!(sealed_files(&disk), reference);
        }
    }
    println!("{half} half footers");
    assert!(0 < half, "no crash left a part of a footer");
}

#[test]
fn a_full_disk_loses_nothing_and_later_has_all() {
    for seed in 0..10 {
        let pool = grown(seed, SMALL, 33);
        let reference = sealed_files(&written(&pool, 4, 0, 33));
        for room in (5_000..45_000).step_by(977) {
            let disk = SimDisk::new(seed);
            disk.faults().set_capacity(Some(room));
            let (mut store, _) =
                SegmentStore::open_with(disk.clone(), DIR, pool.ledger, 0, CONFIG).unwrap();
            let mut promised = 0;
            for records in pool.records.chunks(4) {
                records
                    .iter()
                    .for_each(|record| append(&mut store, record).unwrap());
                let done = store.sync().and_then(|()| store.seal(store.size()));
                assert!(done.as_ref().is_ok_and(|()| true) || done.is_err_and(|it| it.is_full()));
                assert!(promised <= store.synced_size());
                promised = store.synced_size();
            }
            assert_eq!(
                all(&store),
                pool.records,
                "what waits is there, full or not"
            );
            let crashed = disk.fork_copy();
            let (reopened, _) = open(&crashed, pool.ledger, promised);
            assert!(promised <= reopened.size() && is_prefix(&all(&reopened), &pool.records));
            disk.faults().set_capacity(None);
            if room % 2 == 0 {
                store.truncate(promised).unwrap();
                let again = pool
                    .records
                    .iter()
                    .filter(|record| promised <= record.position());
                again.for_each(|record| append(&mut store, record).unwrap());
            }
            store.sync().unwrap();
            store.seal(33).unwrap();
            assert_eq!(
                (store.synced_size(), sealed_files(&disk)),
                (33, reference.clone())
            );
            verify(&disk, pool.ledger).unwrap();
        }
    }
}

#[test]
fn pages_of_a_failed_sync_are_written_again_at_the_next_start() {
    for seed in 0..40 {
        let pool = grown(seed, SMALL, 18);
        let disk = SimDisk::new(seed);
        let (mut store, _) = open(&disk, pool.ledger, 0);
        let (first, rest) = pool.records.split_at(8);
        first
            .iter()
            .for_each(|record| append(&mut store, record).unwrap());
        store.sync().unwrap();
        let promised = store.size();
        rest.iter()
            .for_each(|record| append(&mut store, record).unwrap());
        disk.faults().fail_sync_after(1 + seed % 5);
        assert!(store.sync().is_err());
        assert_eq!(store.sync(), Err(StoreError::Failed));
        assert_eq!(store.truncate(promised), Err(StoreError::Failed));
        assert_eq!(append(&mut store, &rest[0]), Err(StoreError::Failed));
        drop(store);
        disk.restart_process();
        let (store, _) = open(&disk, pool.ledger, promised);
        let found = all(&store);
        drop(store);
        disk.restart();
        let (store, torn) = open(&disk, pool.ledger, promised);
        assert_eq!((torn, all(&store)), (None, found), "seed {seed}");
    }
}

#[test]
fn a_write_that_went_astray_is_found_before_the_segment_is_sealed() {
    let pool = grown(11, SMALL, 13);
    let disk = SimDisk::new(1);
    let (mut store, _) =
        SegmentStore::open_with(disk.clone(), DIR, pool.ledger, 0, CONFIG).unwrap();
    for (at, records) in pool.records.chunks(2).enumerate() {
        if at == 1 {
            disk.misdirect_next_write(".open", 512);
        }
        records
            .iter()
            .for_each(|record| append(&mut store, record).unwrap());
        store.sync().unwrap();
    }
    assert!(matches!(store.seal(13), Err(StoreError::Damaged { .. })));
    assert_eq!(store.sync(), Err(StoreError::Failed));
    assert!(sealed_files(&disk).is_empty());
    let opened = SegmentStore::open(disk.clone(), DIR, pool.ledger, 13);
    assert!(matches!(opened, Err(StoreError::Damaged { .. })));
}

#[test]
fn an_open_file_grows_by_steps_and_stays_zero_behind_its_records() {
    let pool = grown(
        12,
        crate::Shape {
            segment_positions: 50,
            ..SMALL
        },
        30,
    );
    let disk = SimDisk::new(1);
    let (mut store, _) =
        SegmentStore::open_with(disk.clone(), DIR, pool.ledger, 0, CONFIG).unwrap();
    let path = format!("{DIR}/{:020}.open", 0);
    for record in &pool.records {
        append(&mut store, record).unwrap();
        store.sync().unwrap();
        let len = disk.open(&path).unwrap().len().unwrap();
        let used = store.segments()[0].bytes;
        assert_eq!(len, used.next_multiple_of(4_096));
        let bytes = disk.read_raw(&path).unwrap();
        assert!(
            bytes[usize::try_from(used).unwrap()..]
                .iter()
                .all(|byte| *byte == 0)
        );
    }
}
