//! What a group goes through: checks, times, the frame it belongs to, room, one write and one sync.

use orebook_schema::{BODY_BYTES_MAX, Event, FRAME_EVENTS_MAX, Frame, HEADER_BYTES};

use super::error::{Fault, FullCause, SpoolError, SpoolResult};
use super::file;
use super::record::{Group, Place, Progress, RecordKind, put_policy, put_record_of, record_bytes};
use super::standing::{Broken, Standing};
use super::state::state_bytes_max;
use super::table::{check_blocks, check_event, state_bytes};
use super::{RESERVE_BYTES, SPACE_RETRY_MS, Spool};
use crate::disk::{Disk, DiskFile};

/// A group is durable: its miners may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Sequence number of its first event.
    pub first_seq: u64,
    /// Sequence number after its last event.
    pub next_seq: u64,
    /// Whether the events before it were cut into a frame, which a [`super::FrameReader`] gives.
    pub cut: bool,
}

/// A group that passed the checks. Its canonical bytes are in the spool's `body`.
#[derive(Clone, Copy, Debug)]
struct Draft {
    count: usize,
    /// The caller's clock at its first event.
    first_ms: u64,
    /// Forced time of its last event.
    last_time: u64,
    /// What the times in the bytes count from.
    base_time: u64,
    /// Whether it belongs to the frame of the unframed events.
    joins: bool,
}

impl Draft {
    fn fits_dt(&self, base_time: u64) -> bool {
        u32::try_from(self.last_time.saturating_sub(base_time)).is_ok()
    }
}

impl<D: Disk> Spool<D> {
    /// Appends a group: each event with the caller's time, milliseconds since 1970. On return all of them are durable,
    /// with one write and one sync, which also take the header of the frame before if that one had no room for them; they
    /// stand in one frame, in this order. Times are forced not to run back within the stream. An empty group does nothing.
    ///
    /// # Errors
    /// [`SpoolError::Refused`], [`SpoolError::TooLarge`], [`SpoolError::StateFull`]: the group is wrong, nothing was
    /// written. [`SpoolError::Full`], [`SpoolError::Moving`], [`SpoolError::NotBegun`]: not now, nothing of the group was
    /// written; the events before it may have been cut into a frame. [`SpoolError::Disk`], [`SpoolError::Ended`]: it may
    /// or may not be durable, and the process must end.
    pub fn append(&mut self, events: &[(u64, Event)]) -> SpoolResult<Appended> {
        self.alive()?;
        if !self.begun {
            return Err(SpoolError::NotBegun);
        }
        if self.is_moving() {
            return Err(SpoolError::Moving);
        }
        if events.is_empty() {
            let next_seq = self.next_seq();
            return Ok(Appended {
                first_seq: next_seq,
                next_seq,
                cut: false,
            });
        }
        let refused = |(index, fault): (usize, Fault)| SpoolError::Refused { index, fault };
        for (index, (_, event)) in events.iter().enumerate() {
            check_event(self.config.role, event).map_err(|fault| refused((index, fault)))?;
        }
        check_blocks(events.iter().map(|(_, event)| event)).map_err(refused)?;
        let added: u64 = events.iter().map(|(_, event)| state_bytes(event)).sum();
        let state = state_bytes_max(&self.standing) + added;
        if 0 < added && self.config.state_bytes_max() < state {
            return Err(SpoolError::StateFull);
        }
        self.commit(events, None)
    }

    /// Makes room for the largest group of shares: where the file in hand has none, its events are cut into a frame and
    /// another file is begun. Whoever was refused with [`SpoolError::Full`] asks so whether he may go on.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: not yet. [`SpoolError::Moving`], [`SpoolError::NotBegun`]; [`SpoolError::Disk`],
    /// [`SpoolError::Ended`]: the process must end.
    pub fn find_room(&mut self, now_ms: u64) -> SpoolResult<()> {
        self.alive()?;
        if !self.begun {
            return Err(SpoolError::NotBegun);
        }
        if self.is_moving() {
            return Err(SpoolError::Moving);
        }
        let needed = record_bytes(Group::HEAD_BYTES + BODY_BYTES_MAX) + RESERVE_BYTES;
        if self.meta.end + needed <= self.meta.len {
            return Ok(());
        }
        self.cut_pending()?;
        self.next_file(None, now_ms)
    }

    /// Appends events whose kinds were checked and notes how far a move has come, in one write. Where they do not fit into
    /// the frame before them, that one's header goes first in the same write.
    pub(super) fn commit(
        &mut self,
        events: &[(u64, Event)],
        progress: Option<Progress>,
    ) -> SpoolResult<Appended> {
        let draft = self.draft(events)?;
        let first_seq = self.next_seq();
        let framed = self.pending_events();
        self.make_room(&draft, progress)?;
        let cut = framed != 0 && self.pending_events() == 0;
        for (kind, payload) in self.policy_records() {
            self.put(kind, [&payload, &[]]);
        }
        self.put_group(&draft)?;
        if let Some(progress) = progress {
            self.put(RecordKind::Progress, [&progress.to_bytes(), &[]]);
        }
        self.write()?;
        self.unsaved.clear();
        let taken = self.take(&draft, events, progress);
        taken.map_err(|what| self.broken(what))?;
        Ok(Appended {
            first_seq,
            next_seq: self.next_seq(),
            cut,
        })
    }

    /// Checks numbers, times and sizes, and writes the canonical bytes into `body`.
    fn draft(&mut self, events: &[(u64, Event)]) -> SpoolResult<Draft> {
        let current = self.standing.current.as_ref().ok_or(SpoolError::NotBegun)?;
        let refused = |(index, fault): (usize, Fault)| SpoolError::Refused { index, fault };
        current
            .table
            .check(events.iter().map(|(_, event)| event))
            .map_err(refused)?;
        let times = events.iter().map(|(given, _)| *given);
        let first_ms = times.clone().next().unwrap_or(0);
        let first_time = current.last_time.max(first_ms);
        let mut draft = Draft {
            count: events.len(),
            first_ms,
            last_time: times.fold(first_time, u64::max),
            base_time: first_time,
            joins: false,
        };
        if FRAME_EVENTS_MAX < events.len() || !draft.fits_dt(first_time) {
            return Err(SpoolError::TooLarge);
        }
        let pending = current.pending.as_ref();
        let pending = pending.map(|it| (it.events.len(), it.body.len(), it.base_time));
        if let Some((count, body_len, base_time)) = pending
            && count + events.len() <= FRAME_EVENTS_MAX
            && draft.fits_dt(base_time)
        {
            write_body(&mut self.body, events, first_time, base_time);
            draft.joins = body_len + self.body.len() <= BODY_BYTES_MAX;
            draft.base_time = if draft.joins { base_time } else { first_time };
        }
        if !draft.joins {
            write_body(&mut self.body, events, first_time, first_time);
        }
        if BODY_BYTES_MAX < self.body.len() {
            return Err(SpoolError::TooLarge);
        }
        Ok(draft)
    }

    /// Frames the events before the group if they and it pass a frame's limits, and begins a file if this one has no room.
    fn make_room(&mut self, draft: &Draft, progress: Option<Progress>) -> SpoolResult<()> {
        if !draft.joins {
            self.frame_pending()?;
        }
        let policies: u64 = self
            .policy_records()
            .iter()
            .map(|it| record_bytes(it.1.len()))
            .sum();
        let group = record_bytes(Group::HEAD_BYTES + self.body.len());
        let progress = progress.map_or(0, |_| record_bytes(Progress::BYTES));
        let needed = self.records.len() as u64 + policies + group + progress + RESERVE_BYTES;
        if self.meta.end + needed <= self.meta.len {
            return Ok(());
        }
        // A header stands in the file of its groups.
        self.cut_pending()?;
        self.next_file(None, draft.first_ms)
    }

    fn policy_records(&self) -> Vec<(RecordKind, Vec<u8>)> {
        let unsaved = self.unsaved.iter();
        let unsaved = unsaved.filter_map(|at| Some((*at, self.standing.policies.get(at)?)));
        let record = |(at, policy): (_, &std::sync::Arc<_>)| {
            let mut payload = Vec::new();
            put_policy(&mut payload, at, policy);
            (RecordKind::Policy, payload)
        };
        unsaved.map(record).collect()
    }

    /// Puts the group's record; none without events. The first group after a header fixes the frame's fields.
    fn put_group(&mut self, draft: &Draft) -> SpoolResult<()> {
        if draft.count == 0 {
            return Ok(());
        }
        let body = std::mem::take(&mut self.body);
        let group = self.group(draft, &body);
        let head = group.map(|group| group.head_bytes());
        if let Ok(head) = &head {
            self.put(RecordKind::Group, [head, &body]);
        }
        self.body = body;
        head.map(|_| ())
    }

    fn group<'b>(&self, draft: &Draft, body: &'b [u8]) -> SpoolResult<Group<'b>> {
        let current = self.standing.current.as_ref().ok_or(SpoolError::NotBegun)?;
        let pending = current.pending.as_ref();
        Ok(Group {
            stream: current.stream,
            epoch: current.epoch,
            schema_set: pending.map_or(self.config.schema_set, |pending| pending.schema_set),
            first_seq: current.next_seq,
            base_time: draft.base_time,
            count: u32::try_from(draft.count).unwrap_or(u32::MAX),
            body,
        })
    }

    /// Takes what was written into the standing.
    fn take(
        &mut self,
        draft: &Draft,
        events: &[(u64, Event)],
        progress: Option<Progress>,
    ) -> Result<(), Broken> {
        if draft.count != 0 {
            if self.pending_events() == 0 {
                self.first_ms = draft.first_ms;
            }
            self.last_ms = draft.first_ms;
            let body = std::mem::take(&mut self.body);
            let group = self.group(draft, &body);
            let group = group.map_err(|_| "a group without a stream")?;
            let last_dt = dt(draft.last_time, draft.base_time);
            let events = events.iter().map(|(_, event)| event.clone());
            self.standing.add_group(&group, events, last_dt)?;
            let span = (group.first_seq, group.next_seq());
            self.meta.note(group.stream, span, draft.last_time);
            self.body = body;
        }
        progress.map_or(Ok(()), |progress| self.standing.add_progress(progress))
    }

    /// Syncs the header of a frame over all unframed events, then gives the frame.
    pub(super) fn cut_pending(&mut self) -> SpoolResult<Option<Frame>> {
        let frame = self.frame_pending()?;
        self.write()?;
        Ok(frame)
    }

    /// Makes a frame of all unframed events and puts its header. The frame must not leave before the header is written.
    fn frame_pending(&mut self) -> SpoolResult<Option<Frame>> {
        let frame = self.standing.frame(&self.config, &self.signer);
        let Some(frame) = frame.map_err(|what| self.broken(what))? else {
            return Ok(None);
        };
        let summary_end = HEADER_BYTES + frame.summary().len();
        let payload = frame.bytes().get(..summary_end).unwrap_or_default();
        self.put(RecordKind::Header, [payload, &[]]);
        let taken = self
            .standing
            .add_header(frame.header(), frame.header_hash());
        taken.map_err(|what| self.broken(what))?;
        Ok(Some(frame))
    }

    /// Makes a turn of the standing durable: by a record, or, where this file has no room for it, by the state of the
    /// next one.
    pub(super) fn turn(
        &mut self,
        kind: RecordKind,
        payload: &[u8],
        next: Standing,
        now_ms: u64,
    ) -> SpoolResult<Standing> {
        if self.meta.end + record_bytes(payload.len()) <= self.meta.len {
            self.put(kind, [payload, &[]]);
            self.write()?;
        } else {
            self.next_file(Some(&next), now_ms)?;
        }
        Ok(std::mem::replace(&mut self.standing, next))
    }

    /// Puts a record behind those that the next write takes.
    fn put(&mut self, kind: RecordKind, payload: [&[u8]; 2]) {
        let (number, start) = (self.meta.number, self.meta.end);
        let place = Place {
            number,
            start,
            durable: start,
        };
        put_record_of(&mut self.records, place, kind, payload);
    }

    /// Writes and syncs the records that were put. Whatever fails here, nobody knows what is on the disk: the spool has
    /// ended.
    fn write(&mut self) -> SpoolResult<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let start = self.meta.end;
        let end = start + self.records.len() as u64;
        assert!(
            end <= self.meta.len,
            "records stay inside of the preallocated file"
        );
        let written = self
            .file
            .write_at(start, &self.records)
            .and_then(|()| self.file.sync());
        if let Err(error) = written {
            self.ended = true;
            return Err(error.into());
        }
        self.records.clear();
        self.meta.end = end;
        Ok(())
    }

    /// Goes on in a new file that begins with the standing, or with `turned`.
    fn next_file(&mut self, turned: Option<&Standing>, now_ms: u64) -> SpoolResult<()> {
        let lens: u64 = self.metas().map(|meta| meta.len).sum();
        if self.config.total_bytes < lens + self.config.file_bytes {
            return Err(SpoolError::Full(FullCause::Bound));
        }
        let waited = self.full_ms.and_then(|full_ms| now_ms.checked_sub(full_ms));
        if waited.is_some_and(|waited| waited < SPACE_RETRY_MS) {
            return Err(SpoolError::Full(FullCause::Disk));
        }
        let standing = turned.unwrap_or(&self.standing);
        let made = file::create(
            &self.disk,
            &self.dir,
            &self.config,
            standing,
            Some(&self.meta),
        );
        let (meta, file) = match made {
            Ok(made) => made,
            Err(SpoolError::Full(cause)) => {
                self.full_ms = Some(now_ms);
                return Err(SpoolError::Full(cause));
            }
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        };
        self.full_ms = None;
        self.file = file;
        self.older
            .push_back(std::mem::replace(&mut self.meta, meta));
        self.unsaved.clear();
        Ok(())
    }
}

/// Writes canonical bytes of events whose times do not run back, from `first_time` on, over those in `body`.
fn write_body(body: &mut Vec<u8>, events: &[(u64, Event)], first_time: u64, base_time: u64) {
    body.clear();
    let mut time = first_time;
    for (given, event) in events {
        time = time.max(*given);
        event.write(dt(time, base_time), body);
    }
}

/// Milliseconds since the base time; that they fit was checked.
fn dt(time: u64, base_time: u64) -> u32 {
    u32::try_from(time.saturating_sub(base_time)).unwrap_or(u32::MAX)
}
