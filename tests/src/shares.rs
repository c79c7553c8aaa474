//! Which shares a ledger on disk holds, found by its own bytes: every share's header is put together and hashed again, and
//! its coinbase's tag must name the stream and epoch that it was answered in.

use std::collections::BTreeMap;
use std::path::Path;

use orebook_ledger::admit::{Parsed, State, Trust, Verdict};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{Record, SegmentStore, first_frame};
use orebook_pow::{Claim, PreparedJob, coinbase_tag};
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
    jobs: BTreeMap<u32, Announcement>,
}

struct Announcement {
    prepared: PreparedJob,
    coinbase1: Vec<u8>,
}

/// Whether a job's coinbase carries the tag of a stream and epoch: in the 8 bytes before extranonce1 (LEDGER-FORMAT.md,
/// section 3).
#[must_use]
pub fn is_tagged(coinbase1: &[u8], stream: StreamId, epoch: u32) -> bool {
    coinbase1.ends_with(&coinbase_tag(stream, epoch))
}

/// A share that counts, hashed again.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// What the ledger says of it.
    pub share: &'a Share,
    /// SHA-256d of its header.
    pub hash: Hash,
    /// Whether its hash is worth what the ledger says.
    pub has_its_work: bool,
    /// Where it counts.
    pub position: u64,
}

/// Every share that counts in the segments below `dir`, by the SHA-256d of its header.
///
/// # Panics
/// If the ledger is not whole, a share's numbers were not announced, or its coinbase has another stream's tag.
#[must_use]
pub fn shares_of(dir: &Path, algorithm: Algorithm) -> BTreeMap<Hash, Held> {
    let mut held = BTreeMap::new();
    each_share(dir, algorithm, |counted| {
        let one = held.entry(counted.hash).or_insert(Held {
            times: 0,
            position: counted.position,
            work: counted.share.work.units(),
        });
        one.times += 1;
    });
    held
}

/// Calls `take` for every share that counts in the segments below `dir`, in the ledger's order.
///
/// # Panics
/// As [`shares_of`].
pub fn each_share(dir: &Path, algorithm: Algorithm, mut take: impl FnMut(Counted<'_>)) {
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
            let (share, stream, epoch) = match event {
                Event::Worker(worker) => {
                    mine.workers.insert(worker.number, worker.as_ref().clone());
                    continue;
                }
                Event::Job(job) => {
                    let prepared = PreparedJob::new(job, algorithm).expect("a job of ours");
                    let announced = Announcement {
                        prepared,
                        coinbase1: job.coinbase1.clone(),
                    };
                    mine.jobs.insert(job.number, announced);
                    continue;
                }
                Event::Share(share) => (*share, header.stream, header.epoch),
                Event::Moved(moved) => {
                    let counted = *counts.next().expect("one for each moved event");
                    match moved.inner().expect("decodes") {
                        Event::Share(share) if counted && moved.worker != NO_NUMBER => {
                            let share = Share {
                                worker: moved.worker,
                                job: moved.job,
                                ..share
                            };
                            (share, moved.stream, moved.epoch)
                        }
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
            let job = &mine.jobs[&share.job];
            assert!(
                share.block || is_tagged(&job.coinbase1, stream, epoch),
                "position {}: a share of stream {stream}, epoch {epoch}, has the coinbase of another",
                stored.position
            );
            let proof = job.prepared.prove(&claim);
            let unit = algorithm.work_unit();
            take(Counted {
                share: &share,
                hash: proof.block_hash,
                has_its_work: proof.value() <= share.work.target(unit),
                position: stored.position,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coinbase_is_tagged_iff_its_last_eight_bytes_are_those_of_stream_and_epoch() {
        let stream = StreamId([0x51; 16]);
        // SHA-256 of sixteen bytes 51 and 03 00 00 00, by another hand (python3, hashlib).
        let tag = [0x22, 0x97, 0x6c, 0xb5, 0x09, 0x11, 0xdb, 0xb9];
        let with = |before: &[u8], tag: &[u8], after: &[u8]| [before, tag, after].concat();
        for (coinbase1, epoch, expected) in [
            (with(&[1, 2], &tag, &[]), 3, true),
            (with(&[], &tag, &[]), 3, true),
            (with(&[1, 2], &tag, &[]), 4, false),
            // One byte later, before or shorter.
            (with(&[1, 2], &tag, &[0]), 3, false),
            (with(&tag, &[1, 2], &[]), 3, false),
            (tag[1..].to_vec(), 3, false),
            (Vec::new(), 3, false),
        ] {
            let found = is_tagged(&coinbase1, stream, epoch);
            assert_eq!(found, expected, "{coinbase1:02x?}, epoch {epoch}");
        }
        let other = StreamId([0x52; 16]);
        assert!(!is_tagged(&tag, other, 3));
    }
}
