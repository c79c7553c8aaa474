//! Which shares a ledger on disk holds, found by its own bytes: every share's header is put together and hashed again.

use std::collections::BTreeMap;
use std::path::Path;

use orebook_ledger::admit::{Parsed, State, Trust, Verdict};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{Record, SegmentStore, first_frame};
use orebook_pow::{Claim, PreparedJob};
use orebook_schema::event::NO_NUMBER;
use orebook_schema::genesis::Algorithm;
use orebook_schema::work::{Share, Worker};
use orebook_schema::{Event, Hash, StreamId};

/// What a share of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// How often it counts.
    pub times: usize,
    /// Position where it counted first.
    pub position: u64,
    /// Its work.
    pub work: u64,
}

#[derive(Default)]
struct Announced {
    workers: BTreeMap<u32, Worker>,
    jobs: BTreeMap<u32, PreparedJob>,
}

/// Every share that counts in the segments below `dir`, by the SHA-256d of its header.
///
/// # Panics
/// If the ledger is not whole, or a share's numbers were not announced.
#[must_use]
pub fn shares_of(dir: &Path, algorithm: Algorithm) -> BTreeMap<Hash, Held> {
    let disk = RealDisk::new(dir.to_path_buf());
    let ledger = first_frame(&disk, "segments")
        .expect("a genesis")
        .frame
        .header()
        .ledger;
    let (store, torn) = SegmentStore::open_read_only(disk, "segments", ledger, 0).expect("opens");
    assert_eq!(torn, None, "the pool was stopped");
    let mut state = State::new(ledger);
    let mut announced: BTreeMap<(StreamId, u32), Announced> = BTreeMap::new();
    let mut held = BTreeMap::new();
    for record in store.records(0) {
        let stored = match record.expect("whole") {
            Record::Frame(stored) => stored,
            Record::Closure { header, .. } => {
                assert!(state.close_by_evidence(&store, &header).expect("judged"));
                continue;
            }
        };
        let parsed = Parsed::read(stored.frame.bytes().to_vec()).expect("a frame");
        let verdict = state
            .admit_parsed(&store, stored.append_time, &parsed, Trust::CheckedBefore)
            .expect("judged");
        let Verdict::Admitted(admitted) = verdict else {
            panic!("position {}: {verdict:?}", stored.position);
        };
        let header = parsed.frame().header();
        let mine = announced.entry((header.stream, header.epoch)).or_default();
        let mut counts = admitted.counts.iter();
        for event in parsed.events() {
            let share = match event {
                Event::Worker(worker) => {
                    mine.workers.insert(worker.number, worker.as_ref().clone());
                    continue;
                }
                Event::Job(job) => {
                    let prepared = PreparedJob::new(job, algorithm).expect("a job of ours");
                    mine.jobs.insert(job.number, prepared);
                    continue;
                }
                Event::Share(share) => *share,
                Event::Moved(moved) => {
                    let counted = *counts.next().expect("one for each moved event");
                    match moved.inner().expect("decodes") {
                        Event::Share(share) if counted && moved.worker != NO_NUMBER => Share {
                            worker: moved.worker,
                            job: moved.job,
                            ..share
                        },
                        _ => continue,
                    }
                }
                _ => continue,
            };
            let worker = &mine.workers[&share.worker];
            let claim = Claim {
                extranonce1: worker.extranonce1,
                extranonce2: share.extranonce2,
                ntime: share.ntime,
                nonce: share.nonce,
                version: share.version,
            };
            let proof = mine.jobs[&share.job].prove(&claim);
            let one = held.entry(proof.block_hash).or_insert(Held {
                times: 0,
                position: stored.position,
                work: share.work.units(),
            });
            one.times += 1;
        }
    }
    held
}
