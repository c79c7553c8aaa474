//! What is announced in the epoch in hand: live workers and jobs with their canonical bytes, and the checks of a group
//! against them. Numbers and terms follow [`crate::credit`], so that admission finds the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_schema::names::Pot;
use orebook_schema::work::{ShareRef, Worker};
use orebook_schema::{At, Event, Kind, Policy, Role, Work};

use super::error::Fault;
use crate::admit::is_block_of;
use crate::credit::{Announced, JobTerms};

/// Policies by the place of their event.
pub(super) type Policies = BTreeMap<At, Arc<Policy>>;

/// A worker whose number may still be used.
#[derive(Clone, Debug)]
pub(super) struct WorkerEntry {
    /// Canonical event with dt 0.
    pub(super) event: Box<[u8]>,
    pub(super) pot: Pot,
    /// Its newest difficulty.
    pub(super) work: Option<Work>,
}

/// A job whose number may still be used.
#[derive(Clone, Debug)]
pub(super) struct JobEntry {
    /// Canonical event with dt 0.
    pub(super) event: Box<[u8]>,
    /// The policy it cites.
    pub(super) cites: At,
    pub(super) terms: JobTerms,
}

/// Announced workers and jobs of one epoch, without those that were retired.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) workers: BTreeMap<u32, WorkerEntry>,
    pub(super) jobs: BTreeMap<u32, JobEntry>,
    pub(super) next_worker: u32,
    pub(super) next_job: u32,
    /// Bytes of the entries in a state record.
    bytes: u64,
}

/// Bytes of a worker in a state beside its event.
const WORKER_EXTRA_BYTES: u64 = 8;
/// Bytes of a job in a state beside its event.
const JOB_EXTRA_BYTES: u64 = 1;

/// Bytes that an event adds to a state.
pub(super) fn state_bytes(event: &Event) -> u64 {
    match event {
        Event::Worker(_) => event.to_bytes(0).len() as u64 + WORKER_EXTRA_BYTES,
        Event::Job(_) | Event::EthashJob(_) => event.to_bytes(0).len() as u64 + JOB_EXTRA_BYTES,
        _ => 0,
    }
}

impl Table {
    /// Bytes of the entries in a state record.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Checks the numbers of a group without taking it.
    pub(super) fn check<'e>(
        &self,
        events: impl Iterator<Item = &'e Event>,
    ) -> Result<(), (usize, Fault)> {
        let (mut workers, mut jobs) = (self.next_worker, self.next_job);
        // A rig's shares often come together: what the last share referred to is known.
        let mut known = None;
        for (index, event) in events.enumerate() {
            let worker =
                |n: u32| self.workers.contains_key(&n) || self.next_worker <= n && n < workers;
            let job = |n: u32| self.jobs.contains_key(&n) || self.next_job <= n && n < jobs;
            let mut share = |it: ShareRef| {
                let numbers = Some((it.worker, it.job));
                if known != numbers && (!worker(it.worker) || !job(it.job)) {
                    return Some(Fault::Unannounced);
                }
                known = numbers;
                None
            };
            let fault = match event {
                Event::Share(it) => share(it.into()),
                Event::EthashShare(it) => share(it.into()),
                Event::Worker(it) if it.number != workers => Some(Fault::OutOfTurn),
                Event::Job(it) if it.number != jobs => Some(Fault::OutOfTurn),
                Event::EthashJob(it) if it.number != jobs => Some(Fault::OutOfTurn),
                Event::Difficulty(it) if !worker(it.worker) => Some(Fault::Unannounced),
                Event::Moved(it)
                    if it.worker != orebook_schema::event::NO_NUMBER
                        && (!worker(it.worker) || !job(it.job)) =>
                {
                    Some(Fault::Unannounced)
                }
                _ => None,
            };
            if let Some(fault) = fault {
                return Err((index, fault));
            }
            // The last number means "none" in moved events: it is never announced.
            let next = |n: u32| n.checked_add(1).ok_or((index, Fault::OutOfTurn));
            match event {
                Event::Worker(_) => workers = next(workers)?,
                Event::Job(_) | Event::EthashJob(_) => jobs = next(jobs)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes an event that [`Table::check`] passed; a job's terms are fixed here, by the policies known now.
    pub(super) fn add(&mut self, event: &Event, policies: &Policies) {
        match event {
            Event::Worker(worker) => self.add_worker(worker, None),
            Event::Difficulty(it) => {
                if let Some(entry) = self.workers.get_mut(&it.worker) {
                    entry.work = Some(it.work);
                }
            }
            _ => {}
        }
        if let Some(job) = event.job() {
            self.next_job = job.number.saturating_add(1);
            self.add_job(event, policies.get(&job.policy).cloned());
        }
        if let Event::Worker(worker) = event {
            self.next_worker = worker.number.saturating_add(1);
        }
    }

    /// Puts a worker in place; the next number stays.
    pub(super) fn add_worker(&mut self, worker: &Worker, work: Option<Work>) {
        let event = Event::Worker(Box::new(worker.clone()))
            .to_bytes(0)
            .into_boxed_slice();
        self.bytes += event.len() as u64 + WORKER_EXTRA_BYTES;
        self.workers.insert(
            worker.number,
            WorkerEntry {
                event,
                pot: worker.pot,
                work,
            },
        );
    }

    /// Puts a job, of whatever algorithm, in place; the next number stays. Another event changes nothing.
    pub(super) fn add_job(&mut self, event: &Event, policy: Option<Arc<Policy>>) {
        let Some(job) = event.job() else { return };
        let event = event.to_bytes(0).into_boxed_slice();
        self.bytes += event.len() as u64 + JOB_EXTRA_BYTES;
        let terms = JobTerms {
            network_work: job.network_work,
            policy,
        };
        self.jobs.insert(
            job.number,
            JobEntry {
                event,
                cites: job.policy,
                terms,
            },
        );
    }

    /// Keeps the workers and jobs that are wanted; the numbers of the others are never used again.
    pub(super) fn retain(&mut self, worker: impl Fn(u32) -> bool, job: impl Fn(u32) -> bool) {
        self.workers.retain(|number, _| worker(*number));
        self.jobs.retain(|number, _| job(*number));
        let workers = self
            .workers
            .values()
            .map(|it| it.event.len() as u64 + WORKER_EXTRA_BYTES);
        let jobs = self
            .jobs
            .values()
            .map(|it| it.event.len() as u64 + JOB_EXTRA_BYTES);
        self.bytes = workers.sum::<u64>() + jobs.sum::<u64>();
    }

    /// Takes out jobs below a number; they are never used again.
    pub(super) fn retire_jobs_below(&mut self, number: u32) {
        let kept = self.jobs.split_off(&number);
        let gone = std::mem::replace(&mut self.jobs, kept);
        let bytes = gone
            .values()
            .map(|it| it.event.len() as u64 + JOB_EXTRA_BYTES);
        self.bytes -= bytes.sum::<u64>();
    }

    /// Takes a worker out; its number is never used again.
    pub(super) fn retire_worker(&mut self, number: u32) {
        if let Some(entry) = self.workers.remove(&number) {
            self.bytes -= entry.event.len() as u64 + WORKER_EXTRA_BYTES;
        }
    }

    /// The dense lists that summaries need. What was retired has a stand-in that nothing refers to.
    pub(super) fn announced(&self) -> Announced {
        let pot = |number| self.workers.get(&number).map_or(Pot(0), |entry| entry.pot);
        let void = || JobTerms {
            network_work: 1,
            policy: None,
        };
        let terms = |number| {
            self.jobs
                .get(&number)
                .map_or_else(void, |entry| entry.terms.clone())
        };
        Announced {
            workers: (0..self.next_worker).map(pot).collect(),
            jobs: (0..self.next_job).map(terms).collect(),
        }
    }
}

/// Whether a producer of this role may append the event by itself, and any reader would accept it. Genesis is in no
/// spool, and moved events are the spool's own.
pub(super) fn check_event(role: Role, event: &Event) -> Result<(), Fault> {
    let kind = event.kind();
    if !role.may_say(kind) || matches!(kind, Kind::Genesis | Kind::Moved) {
        return Err(Fault::NotOurs);
    }
    if lengths_fit(event) && event.is_legal() {
        Ok(())
    } else {
        Err(Fault::Illegal)
    }
}

/// Lengths that the writer of canonical bytes relies on.
fn lengths_fit(event: &Event) -> bool {
    match event {
        Event::BlockFound(block) => block.header.len() <= 80,
        Event::RecoveryNote(note) => note.text.len() <= 512,
        Event::Part(part) => part.bytes.len() <= 32_000,
        Event::SchemaSet(set) => set.entries.len() <= 64,
        Event::Policy(change) => change.policy.pots.len() <= 16,
        Event::Job(job) => {
            job.coinbase1.len() <= 8_192
                && job.coinbase2.len() <= 16_384
                && job.branches.len() <= 16
        }
        _ => true,
    }
}

/// Each block of a group stands right after its share, as admission asks it.
pub(super) fn check_blocks<'e>(
    events: impl Iterator<Item = &'e Event>,
) -> Result<(), (usize, Fault)> {
    let mut before: Option<&Event> = None;
    for (index, event) in events.enumerate() {
        if let Event::BlockFound(block) = event
            && !before.is_some_and(|share| is_block_of(share, block))
        {
            return Err((index, Fault::BlockAlone));
        }
        before = Some(event);
    }
    Ok(())
}
