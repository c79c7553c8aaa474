//! New numbers for what moved events refer to, and the batches in which they are announced.

use std::collections::{BTreeMap, BTreeSet};

use orebook_schema::event::RawEvent;
use orebook_schema::{BODY_BYTES_MAX, Event, FRAME_EVENTS_MAX, StreamId, Work};

use super::standing::{Broken, Current, Standing};
use super::table::{Table, state_bytes};

/// New numbers of the live workers and jobs, by their old ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renumbered {
    /// Workers.
    pub workers: BTreeMap<u32, u32>,
    /// Jobs.
    pub jobs: BTreeMap<u32, u32>,
}

/// A number with the stream and epoch it holds in.
type Origin = (StreamId, u32, u32);

/// A move in hand.
#[derive(Debug, Default)]
pub(super) struct Moving {
    /// What sessions use; none after a restart, since they are gone.
    pub(super) live: Option<Live>,
    /// Whether the recovery note was written.
    pub(super) noted: bool,
    workers: BTreeMap<Origin, u32>,
    jobs: BTreeMap<Origin, u32>,
    /// Newest and previous difficulty of new workers, announcements not yet written included.
    works: BTreeMap<u32, [Option<Work>; 2]>,
}

/// Live workers and jobs with the stream and epoch of their numbers.
#[derive(Debug)]
pub(super) struct Live {
    stream: StreamId,
    epoch: u32,
    pub(super) table: Table,
}

/// Events to be written together.
#[derive(Debug)]
pub(super) struct Batch {
    now_ms: u64,
    /// The closed stream that they come from; none for live announcements.
    pub(super) closed: Option<StreamId>,
    pub(super) events: Vec<(u64, Event)>,
    /// What they add to a state.
    pub(super) state_bytes: u64,
    bytes: usize,
    next_worker: u32,
    next_job: u32,
}

/// What must stay together: announcements, a moved share, its moved block.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// Sequence number of the share in the closed stream.
    pub(super) seq: u64,
    pub(super) events: Vec<Event>,
}

impl Live {
    /// All that is live in a stream.
    pub(super) fn of(current: Current) -> Self {
        Self {
            stream: current.stream,
            epoch: current.epoch,
            table: current.table,
        }
    }

    pub(super) const fn origin(&self, number: u32) -> Origin {
        (self.stream, self.epoch, number)
    }
}

impl Moving {
    /// A move in which what is live gets new numbers.
    pub(super) fn of(live: Option<Live>) -> Self {
        Self {
            live,
            ..Self::default()
        }
    }

    /// A move in which live workers and jobs keep their numbers.
    pub(super) fn keeping(current: Current) -> Self {
        let live = Live::of(current);
        let same = |number: &u32| (live.origin(*number), *number);
        let workers = live.table.workers.keys().map(same).collect();
        let jobs = live.table.jobs.keys().map(same).collect();
        Self {
            workers,
            jobs,
            live: Some(live),
            ..Self::default()
        }
    }

    /// New numbers of what is live, as far as they are known.
    pub(super) fn renumbered(&self) -> Renumbered {
        let Some(live) = &self.live else {
            return Renumbered::default();
        };
        let new = |numbers: &BTreeMap<Origin, u32>, old: &u32| {
            numbers.get(&live.origin(*old)).map(|new| (*old, *new))
        };
        let (workers, jobs) = (live.table.workers.keys(), live.table.jobs.keys());
        Renumbered {
            workers: workers.filter_map(|old| new(&self.workers, old)).collect(),
            jobs: jobs.filter_map(|old| new(&self.jobs, old)).collect(),
        }
    }

    /// The new numbers that are live.
    pub(super) fn kept(&self) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let Renumbered { workers, jobs } = self.renumbered();
        (
            workers.into_values().collect(),
            jobs.into_values().collect(),
        )
    }

    /// Forgets numbers whose announcement was not written.
    pub(super) fn forget_unannounced(&mut self, standing: &Standing) {
        let table = standing.current.as_ref().map(|current| &current.table);
        self.workers
            .retain(|_, new| table.is_some_and(|table| table.workers.contains_key(new)));
        self.jobs
            .retain(|_, new| table.is_some_and(|table| table.jobs.contains_key(new)));
        self.works.clear();
    }

    /// Newest and previous difficulty of a new worker.
    pub(super) fn works(&mut self, worker: u32, standing: &Standing) -> &mut [Option<Work>; 2] {
        let table = standing.current.as_ref().map(|current| &current.table);
        let entry = table.and_then(|table| table.workers.get(&worker));
        let newest = entry.and_then(|entry| entry.work);
        self.works.entry(worker).or_insert([newest, None])
    }

    /// The new number of a worker; where it has none, it is announced in `said`.
    pub(super) fn worker(
        &mut self,
        batch: &mut Batch,
        origin: Origin,
        table: &Table,
        said: &mut Vec<Event>,
    ) -> Result<u32, Broken> {
        if let Some(new) = self.workers.get(&origin) {
            return Ok(*new);
        }
        let entry = table
            .workers
            .get(&origin.2)
            .ok_or("a share of an unknown worker")?;
        let Ok(Event::Worker(mut worker)) = decode(&entry.event) else {
            return Err("a worker that does not decode");
        };
        let new = batch.next_worker;
        batch.next_worker = new.checked_add(1).ok_or("worker numbers are used up")?;
        worker.number = new;
        said.push(Event::Worker(worker));
        self.workers.insert(origin, new);
        Ok(new)
    }

    /// The new number of a job; where it has none, it is announced in `said`.
    pub(super) fn job(
        &mut self,
        batch: &mut Batch,
        origin: Origin,
        table: &Table,
        said: &mut Vec<Event>,
    ) -> Result<u32, Broken> {
        if let Some(new) = self.jobs.get(&origin) {
            return Ok(*new);
        }
        let entry = table
            .jobs
            .get(&origin.2)
            .ok_or("a share of an unknown job")?;
        let unreadable = "a job that does not decode";
        let mut job = decode(&entry.event).map_err(|_| unreadable)?;
        let new = batch.next_job;
        batch.next_job = new.checked_add(1).ok_or("job numbers are used up")?;
        *job.job_number_mut().ok_or(unreadable)? = new;
        said.push(job);
        self.jobs.insert(origin, new);
        Ok(new)
    }
}

impl Batch {
    pub(super) fn new(now_ms: u64, closed: Option<StreamId>, standing: &Standing) -> Self {
        let table = standing.current.as_ref().map(|current| &current.table);
        Self {
            now_ms,
            closed,
            events: Vec::new(),
            state_bytes: 0,
            bytes: 0,
            next_worker: table.map_or(0, |table| table.next_worker),
            next_job: table.map_or(0, |table| table.next_job),
        }
    }

    /// Whether the unit and the batch fit into one frame.
    pub(super) fn fits(&self, unit: &Unit) -> bool {
        self.events.len() + unit.events.len() <= FRAME_EVENTS_MAX
            && self.bytes + unit.bytes() <= BODY_BYTES_MAX
    }

    pub(super) fn add(&mut self, unit: Unit) {
        self.bytes += unit.bytes();
        self.state_bytes += unit.events.iter().map(state_bytes).sum::<u64>();
        self.events
            .extend(unit.events.into_iter().map(|event| (self.now_ms, event)));
    }

    /// The events were written. Numbers go on: the next unit may have taken some.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
        self.state_bytes = 0;
    }
}

impl Unit {
    fn bytes(&self) -> usize {
        self.events
            .iter()
            .map(|event| event.to_bytes(0).len())
            .sum()
    }
}

fn decode(bytes: &[u8]) -> orebook_schema::bytes::Decoded<Event> {
    RawEvent::one(bytes)?.decode()
}
