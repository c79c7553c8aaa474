//! Where the spool stands: the stream in hand, what is announced, what is unframed, which streams were closed. The one
//! set of transitions that both writing and recovery make, so that they cannot differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_schema::frame::RawEvents;
use orebook_schema::names::Pot;
use orebook_schema::{At, Event, Frame, Hash, Header, Policy, StreamId};

use super::SpoolConfig;
use super::record::{EpochOpened, Group, Progress, StreamClosed};
use super::table::{Policies, Table};
use crate::build::{Cut, build_frame};
use crate::credit::{Announced, JobTerms, Overlay, summarise};
use crate::sign::Signer;

/// A record that does not follow from those before it.
pub(super) type Broken = &'static str;

/// Policies that are kept whether a job cites them or not, newest first: new jobs cite the newest one.
pub(super) const POLICIES_MAX: usize = 64;

/// Everything that recovery needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) current: Option<Current>,
    pub(super) policies: Policies,
    /// Streams in the order they were opened; the one in hand is the last.
    pub(super) streams: Vec<Held>,
}

/// The stream in hand.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) stream: StreamId,
    pub(super) epoch: u32,
    pub(super) next_seq: u64,
    /// Header hash of the stream's last frame.
    pub(super) last_hash: Hash,
    /// Time of the stream's last event, milliseconds since 1970.
    pub(super) last_time: u64,
    pub(super) table: Table,
    /// What was announced up to the last frame.
    pub(super) announced: Announced,
    pub(super) pending: Option<Pending>,
}

/// Events that no header covers yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) first_seq: u64,
    pub(super) base_time: u64,
    pub(super) schema_set: u32,
    pub(super) body: Vec<u8>,
    pub(super) events: Vec<Event>,
    /// Terms of the jobs announced among them, in order.
    terms: Vec<JobTerms>,
}

/// A stream that events of the spool are in.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) stream: StreamId,
    /// None for the stream in hand.
    pub(super) closure: Option<Closure>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closure {
    /// Events below were admitted, the others are moved.
    pub(super) admitted_next: u64,
    /// Sequence number after its last event.
    pub(super) end: u64,
    /// Events below need not be moved, or are.
    pub(super) moved_next: u64,
    /// Where the copies stand: below which sequence number of which stream.
    pub(super) copies: Vec<(StreamId, u64)>,
}

impl Current {
    pub(super) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            epoch: 0,
            next_seq: 0,
            last_hash: Hash::ZERO,
            last_time: 0,
            table: Table::default(),
            announced: Announced::default(),
            pending: None,
        }
    }
}

impl Closure {
    pub(super) const fn is_finished(&self) -> bool {
        self.end <= self.moved_next
    }
}

impl Standing {
    /// Index of a stream in the order of opening.
    pub(super) fn order(&self, stream: StreamId) -> Option<usize> {
        self.streams.iter().position(|held| held.stream == stream)
    }

    /// The first stream that has events to be moved, and from where.
    pub(super) fn unmoved(&self) -> Option<(StreamId, &Closure)> {
        let closed = self.streams.iter();
        let closed = closed.filter_map(|held| Some((held.stream, held.closure.as_ref()?)));
        closed
            .into_iter()
            .find(|(_, closure)| !closure.is_finished())
    }

    /// The standing after a stream or epoch is opened.
    pub(super) fn after_epoch(&self, opened: EpochOpened) -> Result<Self, Broken> {
        let mut next = self.without_current();
        let current = match &self.current {
            None if opened.next_seq == 0 && self.order(opened.stream).is_none() => {
                next.streams.push(Held {
                    stream: opened.stream,
                    closure: None,
                });
                Current {
                    epoch: opened.epoch,
                    ..Current::new(opened.stream)
                }
            }
            Some(old) if (old.stream, old.next_seq) == (opened.stream, opened.next_seq) => {
                if old.epoch.checked_add(1) != Some(opened.epoch) || old.pending.is_some() {
                    return Err("an epoch out of turn");
                }
                Current {
                    epoch: opened.epoch,
                    next_seq: old.next_seq,
                    last_hash: old.last_hash,
                    last_time: old.last_time,
                    ..Current::new(opened.stream)
                }
            }
            _ => return Err("an epoch of another stream"),
        };
        next.current = Some(current);
        Ok(next)
    }

    /// The standing after the stream in hand is closed and another opened.
    pub(super) fn after_close(&self, moved: StreamClosed) -> Result<Self, Broken> {
        let old = self.current.as_ref().ok_or("a move without a stream")?;
        let fresh = self.order(moved.opened).is_none();
        if old.stream != moved.closed || old.pending.is_some() || !fresh {
            return Err("a move of another stream");
        }
        let mut next = self.without_current();
        let admitted_next = moved.admitted_next.min(old.next_seq);
        for held in &mut next.streams {
            match &mut held.closure {
                // Its copies so far are in the stream that is closed now.
                Some(closure) if !closure.is_finished() => {
                    closure.copies.push((old.stream, old.next_seq));
                }
                Some(_) => {}
                None => {
                    held.closure = Some(Closure {
                        admitted_next,
                        end: old.next_seq,
                        moved_next: admitted_next,
                        copies: Vec::new(),
                    });
                }
            }
        }
        next.streams.push(Held {
            stream: moved.opened,
            closure: None,
        });
        next.current = Some(Current::new(moved.opened));
        Ok(next)
    }

    /// More of a closed stream was not admitted than was thought.
    pub(super) fn reopen(&mut self, moved: StreamClosed) -> Result<(), Broken> {
        let closure = self.closure_mut(moved.closed)?;
        if moved.admitted_next >= closure.admitted_next {
            return Err("a move that moves nothing");
        }
        closure.admitted_next = moved.admitted_next;
        closure.moved_next = moved.admitted_next;
        Ok(())
    }

    /// Events of a closed stream were moved.
    pub(super) fn add_progress(&mut self, progress: Progress) -> Result<(), Broken> {
        let here = self
            .current
            .as_ref()
            .map(|current| (current.stream, current.next_seq));
        let here = here.ok_or("moved events without a stream")?;
        let closure = self.closure_mut(progress.closed)?;
        if closure.is_finished()
            || progress.next < closure.moved_next
            || closure.end < progress.next
        {
            return Err("moved events out of turn");
        }
        closure.moved_next = progress.next;
        if closure.is_finished() {
            closure.copies.push(here);
        }
        Ok(())
    }

    /// Whether another policy may be taught: there is room, or one that no live job cites can go.
    pub(super) fn takes_policy(&self) -> bool {
        self.policies.len() < POLICIES_MAX || self.uncited_policy().is_some()
    }

    /// Takes a policy in. Beyond [`POLICIES_MAX`] the oldest goes that no live job cites.
    pub(super) fn add_policy(&mut self, at: At, policy: Arc<Policy>) {
        if POLICIES_MAX <= self.policies.len()
            && let Some(oldest) = self.uncited_policy()
        {
            self.policies.remove(&oldest);
        }
        self.policies.insert(at, policy);
    }

    fn uncited_policy(&self) -> Option<At> {
        let jobs = self.current.as_ref().map(|current| &current.table.jobs);
        let cited = |at: &At| jobs.is_some_and(|jobs| jobs.values().any(|job| job.cites == *at));
        self.policies.keys().find(|at| !cited(at)).copied()
    }

    /// Takes a group that was read back.
    pub(super) fn read_group(&mut self, group: &Group<'_>) -> Result<(), Broken> {
        let current = self.current.as_ref().ok_or("a group without an epoch")?;
        let same = (current.stream, current.epoch, current.next_seq);
        if same != (group.stream, group.epoch, group.first_seq) {
            return Err("a group that is not the stream's next");
        }
        let mut events = Vec::new();
        let mut last_dt = current.pending.as_ref().map_or(0, |_| {
            u32::try_from(current.last_time.saturating_sub(group.base_time)).unwrap_or(u32::MAX)
        });
        for raw in RawEvents::new(group.body) {
            let raw = raw.map_err(|_| "a group whose events do not decode")?;
            events.push(
                raw.decode()
                    .map_err(|_| "a group whose events do not decode")?,
            );
            if raw.dt < last_dt {
                return Err("a group whose times run back");
            }
            last_dt = raw.dt;
        }
        if events.is_empty() || u32::try_from(events.len()) != Ok(group.count) {
            return Err("a group whose count is wrong");
        }
        current
            .table
            .check(events.iter())
            .map_err(|_| "a group whose numbers are wrong")?;
        self.add_group(group, events.into_iter(), last_dt)
    }

    /// Takes a group whose numbers were checked. `last_dt` is its last event's, milliseconds since the base time.
    pub(super) fn add_group(
        &mut self,
        group: &Group<'_>,
        events: impl Iterator<Item = Event>,
        last_dt: u32,
    ) -> Result<(), Broken> {
        let current = self.current.as_mut().ok_or("a group without an epoch")?;
        let pending = current.pending.get_or_insert_with(|| Pending {
            first_seq: group.first_seq,
            base_time: group.base_time,
            schema_set: group.schema_set,
            body: Vec::new(),
            events: Vec::new(),
            terms: Vec::new(),
        });
        if (pending.base_time, pending.schema_set) != (group.base_time, group.schema_set) {
            return Err("a group with another base time or schema set than its frame's first");
        }
        pending.body.extend_from_slice(group.body);
        for event in events {
            current.table.add(&event, &self.policies);
            if let Some(job) = event.job()
                && let Some(entry) = current.table.jobs.get(&job.number)
            {
                pending.terms.push(entry.terms.clone());
            }
            pending.events.push(event);
        }
        current.next_seq = group.next_seq();
        current.last_time = group.base_time.saturating_add(u64::from(last_dt));
        Ok(())
    }

    /// The frame over all unframed events; `None` if there are none.
    pub(super) fn frame(
        &self,
        config: &SpoolConfig,
        signer: &Signer,
    ) -> Result<Option<Frame>, Broken> {
        let Some((current, pending)) = self.unframed() else {
            return Ok(None);
        };
        let mut terms = pending.terms.iter().cloned();
        let mut overlay = Overlay::new(Some(&current.announced));
        let summary = summarise(&pending.events, &mut overlay, |job| {
            let void = JobTerms {
                network_work: job.network_work,
                policy: None,
            };
            terms.next().unwrap_or(void)
        });
        let cut = Cut {
            ledger: config.ledger,
            coin: config.coin,
            stream: current.stream,
            epoch: current.epoch,
            first_seq: pending.first_seq,
            base_time: pending.base_time,
            previous: current.last_hash,
            schema_set: pending.schema_set,
            summary: &summary.map_err(|_| "unframed events refer to unannounced numbers")?,
            body: &pending.body,
        };
        build_frame(&cut, signer)
            .map(Some)
            .map_err(|_| "unframed events do not make a frame")
    }

    /// The unframed events are framed by this header.
    pub(super) fn add_header(&mut self, header: &Header, header_hash: Hash) -> Result<(), Broken> {
        let current = self.current.as_mut().ok_or("a header without a stream")?;
        let pending = current.pending.take().ok_or("a header without events")?;
        let covered = (
            current.stream,
            current.epoch,
            pending.first_seq,
            current.next_seq,
        );
        let same = (
            header.stream,
            header.epoch,
            header.first_seq,
            header.next_seq(),
        ) == covered
            && header.previous == current.last_hash
            && header.base_time == pending.base_time
            && usize::try_from(header.body_len) == Ok(pending.body.len());
        if !same {
            return Err("a header of other events");
        }
        let pots = pending.events.iter().filter_map(pot_of);
        current.announced.workers.extend(pots);
        current.announced.jobs.extend(pending.terms);
        current.last_hash = header_hash;
        Ok(())
    }

    /// The stream in hand and its unframed events.
    pub(super) fn unframed(&self) -> Option<(&Current, &Pending)> {
        let current = self.current.as_ref()?;
        Some((current, current.pending.as_ref()?))
    }

    /// Whether a file may begin with this state after what the files before say.
    pub(super) fn follows(&self, before: &Self) -> bool {
        let Some(old) = &before.current else {
            return true;
        };
        let held = self
            .order(old.stream)
            .and_then(|index| self.streams.get(index));
        let closed_there = held.and_then(|held| held.closure.as_ref());
        let goes_on = self.current.as_ref().is_some_and(|new| {
            new.stream == old.stream
                && (new.epoch == old.epoch || old.epoch.checked_add(1) == Some(new.epoch))
                && (new.next_seq, new.last_hash) == (old.next_seq, old.last_hash)
        });
        old.pending.is_none()
            && (goes_on || closed_there.is_some_and(|closure| closure.end == old.next_seq))
    }

    /// Of each closed stream, whether its events above those that are final are so by their copies. `final_next` names,
    /// by stream, the sequence number below which events are final.
    pub(super) fn released(
        &self,
        final_next: &BTreeMap<StreamId, u64>,
    ) -> BTreeMap<StreamId, bool> {
        let mut released = BTreeMap::new();
        // Copies are in streams that were opened later: backwards, each answer is there when it is asked for.
        for held in self.streams.iter().rev() {
            let reached = |stream: &StreamId, next: u64| {
                next <= final_next.get(stream).copied().unwrap_or(0)
                    || released.get(stream).copied().unwrap_or(false)
            };
            let answer = held.closure.as_ref().is_some_and(|closure| {
                let admitted = final_next.get(&held.stream).copied().unwrap_or(0);
                closure.is_finished()
                    && closure.admitted_next <= admitted
                    && closure
                        .copies
                        .iter()
                        .all(|(stream, next)| reached(stream, *next))
            });
            released.insert(held.stream, answer);
        }
        released
    }

    /// Forgets closed streams of which neither files nor copies speak any more.
    pub(super) fn forget_streams(&mut self, has_events: impl Fn(StreamId) -> bool) {
        loop {
            let copies = self.streams.iter().filter_map(|held| held.closure.as_ref());
            let targets: Vec<StreamId> = copies
                .flat_map(|it| it.copies.iter().map(|(stream, _)| *stream))
                .collect();
            let before = self.streams.len();
            self.streams.retain(|held| {
                held.closure.is_none() || has_events(held.stream) || targets.contains(&held.stream)
            });
            if self.streams.len() == before {
                return;
            }
        }
    }

    fn without_current(&self) -> Self {
        Self {
            current: None,
            policies: self.policies.clone(),
            streams: self.streams.clone(),
        }
    }

    fn closure_mut(&mut self, stream: StreamId) -> Result<&mut Closure, Broken> {
        let held = self.streams.iter_mut().find(|held| held.stream == stream);
        held.and_then(|held| held.closure.as_mut())
            .ok_or("a move of a stream that is not closed")
    }
}

fn pot_of(event: &Event) -> Option<Pot> {
    match event {
        Event::Worker(worker) => Some(worker.pot),
        _ => None,
    }
}
