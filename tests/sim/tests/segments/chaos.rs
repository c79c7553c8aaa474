//! Long lives of one folder: crashes, power cuts, failed syncs and a full disk in any order, against what was promised.

use orebook_ledger::segment::{Record, SegmentStore, StoreConfig, StoreError};
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

use crate::pool::Pool;
use crate::{DIR, SMALL, Store, all, append, grown, sealed_files, verify, written};

const PARTING: u64 = 13;
const SIZE: u64 = 45;

/// A folder, the two futures its ledger may have, and what was promised of it.
struct Life {
    disk: SimDisk,
    futures: [Pool; 2],
    /// Which future is being written.
    now: usize,
    rng: Rng,
    floor: u64,
    durable: u64,
    failures: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        let common = grown(seed, SMALL, PARTING);
        let mut futures = [common.parted(2 * seed), common.parted(2 * seed + 1)];
        futures.iter_mut().for_each(|pool| pool.grow(SIZE));
        let disk = SimDisk::new(seed);
        let rng = Rng::new(seed);
        Self {
            disk,
            futures,
            now: 0,
            rng,
            floor: 0,
            durable: 0,
            failures: 0,
        }
    }

    fn records(&self) -> &[Record] {
        &self.futures[self.now].records
    }

    fn order_a_fault(&mut self) {
        let faults = self.disk.faults();
        let n = self.rng.range(1, 12);
        match self.rng.below(6) {
            0 | 1 => faults.crash_after(n),
            2 | 3 => faults.fail_sync_after(n),
            4 => faults.set_capacity(Some(self.rng.range(0, 30_000))),
            _ => faults.set_capacity(None),
        };
    }

    /// Opens, and holds what is there against what was promised.
    fn start(&mut self) -> Result<Store, StoreError> {
        let config = StoreConfig {
            preallocate_bytes: self.rng.below(3) * 3_000,
        };
        let (disk, ledger) = (self.disk.clone(), self.futures[0].ledger);
        let opened = SegmentStore::open_with(disk, DIR, ledger, self.floor, config);
        if let Err(error @ (StoreError::Damaged { .. } | StoreError::OtherLedger { .. })) = &opened
        {
            panic!("floor {}: {error}", self.floor);
        }
        let (store, _) = opened?;
        let found = all(&store);
        let size = store.size();
        assert!(
            self.durable <= size,
            "{size} of {} durable positions",
            self.durable
        );
        let matches = |pool: &Pool| pool.records.starts_with(&found);
        if !matches(&self.futures[self.now]) {
            self.now = 1 - self.now;
        }
        assert!(
            matches(&self.futures[self.now]),
            "what is there was never written so"
        );
        self.durable = size;
        self.floor = self.floor.max(1.min(size));
        Ok(store)
    }

    /// One thing after the other until something fails; whether all is written.
    fn live(&mut self) -> Result<bool, StoreError> {
        let mut store = self.start()?;
        loop {
            match self.rng.below(9) {
                0..=2 => self.order_a_fault(),
                3 => {
                    let oldest = self.floor.max(store.sealed_size());
                    let size = self.rng.range(oldest, store.size() + 1);
                    self.durable = self.durable.min(size);
                    store.truncate(size)?;
                    if size <= PARTING {
                        self.now = usize::try_from(self.rng.below(2)).unwrap();
                    }
                }
                4 => {
                    self.floor = self
                        .floor
                        .max(self.durable.saturating_sub(self.rng.below(6)));
                    match store.seal(self.floor) {
                        Err(error) if error.is_full() => {}
                        done => done?,
                    }
                }
                _ => self.write(&mut store)?,
            }
            if store.sealed_size() + 5 == SIZE {
                return Ok(true);
            }
        }
    }

    fn write(&mut self, store: &mut Store) -> Result<(), StoreError> {
        // Genesis comes alone: with an unknown floor nothing is cut that whole frames stand behind.
        let batch = if self.floor == 0 {
            1 - store.size()
        } else {
            self.rng.range(1, 9)
        };
        let batch = usize::try_from(batch).unwrap();
        // Counted, since a closure of the next position may be there already, or not.
        let there = store.records(0).count();
        for record in self.records().iter().skip(there).take(batch) {
            append(store, record)?;
        }
        match store.sync() {
            Err(error) if error.is_full() => {}
            done => done?,
        }
        self.durable = store.synced_size();
        self.floor = self.floor.max(1.min(self.durable));
        Ok(())
    }
}

#[test]
fn a_folder_outlives_any_row_of_failures() {
    let mut failures = 0;
    for seed in 0..400 {
        let mut life = Life::new(seed);
        while !matches!(life.live(), Ok(true)) {
            life.failures += 1;
            assert!(
                life.failures < 3_000,
                "seed {seed} does not come to its end"
            );
            if life.failures.is_multiple_of(20) {
                life.disk
                    .faults()
                    .set_capacity(None)
                    .crash_after(0)
                    .fail_sync_after(0);
            }
            if life.rng.chance(1, 2) {
                life.disk.restart()
            } else {
                life.disk.restart_process()
            }
        }
        life.disk
            .faults()
            .set_capacity(None)
            .crash_after(0)
            .fail_sync_after(0);
        let pool = &life.futures[life.now];
        let mut reference = sealed_files(&written(pool, 7, 0, SIZE));
        reference.truncate(sealed_files(&life.disk).len());
        assert!(sealed_files(&life.disk) == reference, "seed {seed}");
        life.disk.restart();
        let durable = life.durable;
        let store = life.start().unwrap();
        assert!(durable <= store.size());
        assert!(
            verify(&life.disk, life.futures[0].ledger)
                .unwrap()
                .positions
                >= durable
        );
        failures += life.failures;
    }
    println!("{failures} failures");
    assert!(1_000 < failures, "nothing happened");
}
