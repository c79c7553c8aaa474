//! Shares into the spool: numbers for rigs, difficulties and jobs, announced with the first share that needs them.
//!
//! The loop names rigs and jobs by keys of its own. Numbers are given here, in the order of the spool, so that a group that
//! was not written leaves no gap, and a move to another stream changes nothing for the loop.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use orebook_ledger::disk::Disk;
use orebook_ledger::spool::{Renumbered, Spool, SpoolError};
use orebook_schema::work::{BlockFound, Difficulty, EthashJob, EthashShare, Job, Share, Worker};
use orebook_schema::{BODY_BYTES_MAX, Event, FRAME_EVENTS_MAX, Work};

use crate::batch::{
    Announced, Batch, Candidate, JobKey, Outcome, Proof, Refusal, Tagged, WorkerKey,
};

/// Canonical bytes of the longest share.
const SHARE_BYTES_MAX: usize = 46;
/// Canonical bytes of a difficulty.
const DIFFICULTY_BYTES: usize = 20;
/// Canonical bytes of the longest rig.
const WORKER_BYTES_MAX: usize = 164;
/// Canonical bytes of the longest block.
const BLOCK_BYTES_MAX: usize = 161;
/// Canonical bytes of a job beside its coinbase and branches.
const JOB_BYTES: usize = 180;
/// Canonical bytes of an ethash job.
const ETHASH_JOB_BYTES: usize = 160;

#[derive(Debug)]
struct WorkerBook {
    worker: Box<Worker>,
    /// Its number, once announced.
    number: Option<u32>,
    /// Newest and previous difficulty that were announced.
    works: [Option<Work>; 2],
}

#[derive(Debug)]
struct JobBook {
    job: Announced,
    tagged: Tagged,
    number: Option<u32>,
}

impl JobBook {
    /// Canonical bytes of the job.
    fn bytes(&self) -> usize {
        match &self.job {
            Announced::Built(job) => {
                JOB_BYTES + job.coinbase1.len() + job.coinbase2.len() + 32 * job.branches.len()
            }
            Announced::Given(_) => ETHASH_JOB_BYTES,
        }
    }

    /// The job with its number.
    fn said(&self, number: u32) -> Event {
        match &self.job {
            Announced::Built(job) => Event::Job(Box::new(Job {
                number,
                ..(**job).clone()
            })),
            Announced::Given(job) => Event::EthashJob(Box::new(EthashJob { number, ..**job })),
        }
    }

    /// Whether it is of a stream of before: its coinbase names that one. The header of an ethash job names none.
    fn is_of_old_stream(&self, tagged: Tagged) -> bool {
        matches!(self.job, Announced::Built(_)) && self.tagged != tagged
    }
}

/// Why the writer must end the process.
pub(crate) type Ended = SpoolError;

/// What was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) groups: u32,
    pub(crate) shares: u32,
    /// Shares that found no room: no more may be handed work until there is some.
    pub(crate) no_room: bool,
}

/// Rigs and jobs that shares may refer to.
#[derive(Debug)]
pub(crate) struct Recorder {
    workers: HashMap<WorkerKey, WorkerBook, BuildHasherDefault<KeyHasher>>,
    jobs: BTreeMap<JobKey, JobBook>,
    /// The opening of a stream that shares are recorded under now.
    tagged: Tagged,
    /// Nothing is recorded: see [`Recorder::bar`].
    barred: bool,
    group: Vec<(u64, Event)>,
    /// Whose shares are in it.
    places: Vec<Place>,
    /// What the group in hand announces, to be forgotten if it is not written.
    fresh: Fresh,
}

#[derive(Debug, Default)]
struct Fresh {
    workers: Vec<WorkerKey>,
    jobs: Vec<JobKey>,
    /// Rigs with the difficulties they had before.
    works: Vec<(WorkerKey, [Option<Work>; 2])>,
    next_worker: u32,
    next_job: u32,
    bytes: usize,
}

/// A share of the group in hand: which batch, which share.
type Place = (usize, usize);

/// Hashes keys that the loop counts up: nobody chooses them, so they need no defence against who would make them collide.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        // The golden ratio's bits: neighbours go far apart, in the high bits too.
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed.rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Recorder {
    pub(crate) fn new(tagged: Tagged) -> Self {
        Self {
            workers: HashMap::default(),
            jobs: BTreeMap::new(),
            tagged,
            barred: false,
            group: Vec::new(),
            places: Vec::new(),
            fresh: Fresh::default(),
        }
    }

    /// Appends all shares of the batches, in order, in as few groups as frames allow; each share has its outcome on return.
    ///
    /// # Errors
    /// [`Ended`]: the process must end, and nobody may be answered.
    pub(crate) fn record<D: Disk>(
        &mut self,
        spool: &mut Spool<D>,
        batches: &mut [Batch],
    ) -> Result<Recorded, Ended> {
        let mut recorded = Recorded::default();
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        self.begin_group(spool);
        for at in 0..batches.len() {
            let Some(batch) = batches.get_mut(at) else {
                break;
            };
            self.learn(batch);
            let mut blocks = std::mem::take(&mut batch.blocks).into_iter().peekable();
            for index in 0..batch_len(batches, at) {
                let block = blocks
                    .next_if(|(of, _)| usize::try_from(*of) == Ok(index))
                    .map(|(_, block)| block);
                let room = self.bytes_of(batches, (at, index)) + self.fresh.bytes;
                if FRAME_EVENTS_MAX < self.group.len() + 5 || BODY_BYTES_MAX < room {
                    self.write(spool, batches, &mut places, &mut recorded)?;
                }
                if self.push(batches, (at, index), block) {
                    places.push((at, index));
                }
            }
        }
        self.write(spool, batches, &mut places, &mut recorded)?;
        self.places = places;
        for batch in batches.iter() {
            self.forget(spool, batch);
        }
        Ok(recorded)
    }

    /// The stream was closed: what is live has new numbers. Jobs of before name another stream in their coinbase, so from now
    /// on only their blocks are taken, which the nodes have already.
    pub(crate) fn moved(&mut self, map: &Renumbered, tagged: Tagged) {
        for book in self.workers.values_mut() {
            book.number = book.number.and_then(|old| map.workers.get(&old).copied());
            let [newest, _] = book.works;
            // What was the newest is announced in the new stream; what was before it may not be.
            book.works = [newest.filter(|_| book.number.is_some()), None];
        }
        for book in self.jobs.values_mut() {
            book.number = book.number.and_then(|old| map.jobs.get(&old).copied());
        }
        self.tagged = tagged;
    }

    /// From now on every share is refused, or none is for this: the gateway's key is not in force, or is again.
    pub(crate) const fn bar(&mut self, barred: bool) {
        self.barred = barred;
    }

    fn learn(&mut self, batch: &mut Batch) {
        for (key, worker) in batch.new_workers.drain(..) {
            let book = WorkerBook {
                worker,
                number: None,
                works: [None, None],
            };
            self.workers.insert(key, book);
        }
        for (key, job, tagged) in batch.new_jobs.drain(..) {
            let book = JobBook {
                job,
                tagged,
                number: None,
            };
            self.jobs.insert(key, book);
        }
    }

    /// Nothing refers any more to rigs that left and jobs that went.
    fn forget<D: Disk>(&mut self, spool: &mut Spool<D>, batch: &Batch) {
        for key in &batch.gone_workers {
            if let Some(number) = self.workers.remove(key).and_then(|book| book.number) {
                spool.retire_worker(number);
            }
        }
        for key in &batch.gone_jobs {
            self.jobs.remove(key);
        }
        if !batch.gone_jobs.is_empty() {
            let announced = self.jobs.values().filter_map(|book| book.number);
            let lowest = announced.min().unwrap_or_else(|| spool.next_job());
            spool.retire_jobs_below(lowest);
        }
    }

    fn begin_group<D: Disk>(&mut self, spool: &Spool<D>) {
        self.group.clear();
        self.fresh.workers.clear();
        self.fresh.jobs.clear();
        self.fresh.works.clear();
        self.fresh.bytes = 0;
        self.fresh.next_worker = spool.next_worker();
        self.fresh.next_job = spool.next_job();
    }

    /// Most bytes that a share adds to the group, with what it has to announce.
    fn bytes_of(&self, batches: &[Batch], place: Place) -> usize {
        let Some(share) = candidate(batches, place) else {
            return 0;
        };
        let job = self
            .jobs
            .get(&share.job)
            .filter(|book| book.number.is_none());
        let job = job.map_or(0, JobBook::bytes);
        let block = if share.block { BLOCK_BYTES_MAX } else { 0 };
        SHARE_BYTES_MAX + WORKER_BYTES_MAX + DIFFICULTY_BYTES + job + block
    }

    /// Puts a share into the group, after what it refers to. `false` if it is refused.
    fn push(&mut self, batches: &mut [Batch], place: Place, block: Option<BlockFound>) -> bool {
        let now_ms = batches.get(place.0).map_or(0, |batch| batch.now_ms);
        let Some(share) = candidate_mut(batches, place) else {
            return false;
        };
        let numbers = self.announce(share, now_ms);
        let (worker, job) = match numbers {
            Ok(numbers) => numbers,
            Err(refusal) => {
                share.outcome = Outcome::Refused(refusal);
                return false;
            }
        };
        let event = match share.proof {
            Proof::Header {
                nonce,
                ntime,
                version,
                extranonce2,
            } => Event::Share(Share {
                worker,
                job,
                work: share.work,
                block: share.block,
                stale: share.stale,
                nonce,
                ntime,
                version,
                extranonce2,
            }),
            Proof::Nonce(nonce) => Event::EthashShare(EthashShare {
                worker,
                job,
                work: share.work,
                block: share.block,
                stale: share.stale,
                nonce,
            }),
        };
        self.say(now_ms, event, SHARE_BYTES_MAX);
        if let Some(block) = block {
            self.say(now_ms, Event::BlockFound(block), BLOCK_BYTES_MAX);
        }
        true
    }

    fn say(&mut self, now_ms: u64, event: Event, bytes: usize) {
        self.group.push((now_ms, event));
        self.fresh.bytes += bytes;
    }

    /// Numbers of a share's rig and job; what has none yet is announced.
    fn announce(&mut self, share: &Candidate, now_ms: u64) -> Result<(u32, u32), Refusal> {
        let (Some(job), Some(worker)) = (
            self.jobs.get_mut(&share.job),
            self.workers.get_mut(&share.worker),
        ) else {
            return Err(Refusal::Fault);
        };
        if job.is_of_old_stream(self.tagged) && !share.block {
            return Err(Refusal::OldStream);
        }
        let job_number = job.number.unwrap_or_else(|| {
            let number = self.fresh.next_job;
            self.fresh.next_job = number.saturating_add(1);
            self.fresh.jobs.push(share.job);
            self.fresh.bytes += job.bytes();
            self.group.push((now_ms, job.said(number)));
            number
        });
        job.number = Some(job_number);
        let number = *worker.number.get_or_insert_with(|| {
            let number = self.fresh.next_worker;
            self.fresh.next_worker = number.saturating_add(1);
            self.fresh.workers.push(share.worker);
            let said = Worker {
                number,
                ..(*worker.worker).clone()
            };
            self.fresh.bytes += WORKER_BYTES_MAX;
            self.group.push((now_ms, Event::Worker(Box::new(said))));
            number
        });
        if !worker.works.contains(&Some(share.work)) {
            let [newest, _] = worker.works;
            self.fresh.works.push((share.worker, worker.works));
            worker.works = [Some(share.work), newest];
            let said = Difficulty {
                worker: number,
                work: share.work,
            };
            self.fresh.bytes += DIFFICULTY_BYTES;
            self.group.push((now_ms, Event::Difficulty(said)));
        }
        Ok((number, job_number))
    }

    /// Appends the group in hand and begins the next one.
    fn write<D: Disk>(
        &mut self,
        spool: &mut Spool<D>,
        batches: &mut [Batch],
        places: &mut Vec<Place>,
        recorded: &mut Recorded,
    ) -> Result<(), Ended> {
        if places.is_empty() {
            // Announcements alone are not said.
            self.unsay();
            self.begin_group(spool);
            return Ok(());
        }
        let appended = (!self.barred).then(|| spool.append(&self.group));
        let refusal = match appended {
            None => Some(Refusal::NotInForce),
            Some(Ok(_)) => {
                recorded.groups += 1;
                recorded.shares += u32::try_from(places.len()).unwrap_or(u32::MAX);
                None
            }
            Some(Err(SpoolError::Full(_) | SpoolError::Moving | SpoolError::NotBegun)) => {
                recorded.no_room = true;
                Some(Refusal::NoRoom)
            }
            Some(Err(SpoolError::StateFull)) => Some(Refusal::TooMany),
            Some(Err(error @ (SpoolError::Refused { .. } | SpoolError::TooLarge))) => {
                tracing::error!(%error, "the spool does not take a group of ours");
                self.unsay();
                return self.write_singly(spool, batches, places, recorded);
            }
            Some(Err(error)) => return Err(error),
        };
        let outcome = refusal.map_or(Outcome::Recorded, Outcome::Refused);
        if refusal.is_some() {
            self.unsay();
        }
        for place in places.drain(..) {
            if let Some(share) = candidate_mut(batches, place) {
                share.outcome = outcome;
            }
        }
        self.begin_group(spool);
        Ok(())
    }

    /// A group was refused for a fault of ours: each share is tried alone, so that one takes no other with it.
    fn write_singly<D: Disk>(
        &mut self,
        spool: &mut Spool<D>,
        batches: &mut [Batch],
        places: &mut Vec<Place>,
        recorded: &mut Recorded,
    ) -> Result<(), Ended> {
        let blocks = self.group.iter().filter_map(|(_, event)| match event {
            Event::BlockFound(block) => Some(block.clone()),
            _ => None,
        });
        let mut blocks: std::collections::VecDeque<BlockFound> = blocks.collect();
        for place in std::mem::take(places) {
            self.begin_group(spool);
            let is_block = candidate(batches, place).is_some_and(|share| share.block);
            let block = if is_block { blocks.pop_front() } else { None };
            if !self.push(batches, place, block) {
                self.unsay();
                continue;
            }
            let outcome = match spool.append(&self.group) {
                Ok(_) => {
                    recorded.groups += 1;
                    recorded.shares += 1;
                    Outcome::Recorded
                }
                Err(SpoolError::Full(_) | SpoolError::Moving | SpoolError::NotBegun) => {
                    recorded.no_room = true;
                    Outcome::Refused(Refusal::NoRoom)
                }
                Err(SpoolError::StateFull) => Outcome::Refused(Refusal::TooMany),
                Err(SpoolError::Refused { .. } | SpoolError::TooLarge) => {
                    Outcome::Refused(Refusal::Fault)
                }
                Err(error) => return Err(error),
            };
            if outcome != Outcome::Recorded {
                self.unsay();
            }
            if let Some(share) = candidate_mut(batches, place) {
                share.outcome = outcome;
            }
        }
        self.begin_group(spool);
        Ok(())
    }

    /// The group in hand was not written: what it announced has no number.
    fn unsay(&mut self) {
        for key in self.fresh.jobs.drain(..) {
            if let Some(book) = self.jobs.get_mut(&key) {
                book.number = None;
            }
        }
        for (key, works) in self.fresh.works.drain(..).rev() {
            if let Some(book) = self.workers.get_mut(&key) {
                book.works = works;
            }
        }
        for key in self.fresh.workers.drain(..) {
            if let Some(book) = self.workers.get_mut(&key) {
                book.number = None;
            }
        }
    }
}

fn batch_len(batches: &[Batch], at: usize) -> usize {
    batches.get(at).map_or(0, |batch| batch.shares.len())
}

fn candidate(batches: &[Batch], (batch, share): Place) -> Option<&Candidate> {
    batches.get(batch)?.shares.get(share)
}

fn candidate_mut(batches: &mut [Batch], (batch, share): Place) -> Option<&mut Candidate> {
    batches.get_mut(batch)?.shares.get_mut(share)
}

#[cfg(test)]
mod tests;
