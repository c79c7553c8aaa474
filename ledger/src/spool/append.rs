//! What a group goes through: checks, times, the frame it belongs to, room, one write and one sync.

use orebook_schema::{BODY_BYTES_MAX, Event, FRAME_EVENTS_MAX, Frame, HEADER_BYTES};

use super::error::{Fault, FullCause, SpoolError, SpoolResult};
use super::file;
use super::record::{Group, Place, Progress, RecordKind, put_policy, put_record, record_bytes};
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

/// A record to be written.
type Wanted = (RecordKind, Vec<u8>);

/// A group that passed the checks, before it is known which frame it belongs to.
struct Draft<'e> {
    /// Forced times and events.
    events: Vec<(u64, &'e Event)>,
    first_ms: u64,
    body_len: usize,
}

impl Draft<'_> {
    fn first_time(&self) -> u64 {
        self.events.first().map_or(0, |(time, _)| *time)
    }

    fn last_time(&self) -> u64 {
        self.events.last().map_or(0, |(time, _)| *time)
    }

    fn fits_dt(&self, base_time: u64) -> bool {
        u32::try_from(self.last_time().saturating_sub(base_time)).is_ok()
    }
}

impl<D: Disk> Spool<D> {
    /// Appends a group: each event with the caller's time, milliseconds since 1970. On return all of them are durable,
    /// with one write and one sync; they stand in one frame, in this order. Times are forced not to run back within the
    /// stream. An empty group does nothing.
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

    /// Appends events whose kinds were checked and notes how far a move has come, in one write.
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
        let mut records = self.policy_records();
        let group = self.group(&draft)?;
        records.extend(group.iter().map(|group| (RecordKind::Group, group.clone())));
        records.extend(progress.map(|it| (RecordKind::Progress, it.to_bytes())));
        self.write(&records)?;
        self.unsaved.clear();
        let taken = self.take(&draft, group.as_deref(), progress);
        taken.map_err(|what| self.broken(what))?;
        Ok(Appended {
            first_seq,
            next_seq: self.next_seq(),
            cut,
        })
    }

    fn draft<'e>(&self, events: &'e [(u64, Event)]) -> SpoolResult<Draft<'e>> {
        let current = self.standing.current.as_ref().ok_or(SpoolError::NotBegun)?;
        let refused = |(index, fault): (usize, Fault)| SpoolError::Refused { index, fault };
        current
            .table
            .check(events.iter().map(|(_, event)| event))
            .map_err(refused)?;
        let mut time = current.last_time;
        let mut body_len = 0;
        let mut timed = Vec::with_capacity(events.len());
        for (given, event) in events {
            time = time.max(*given);
            timed.push((time, event));
            body_len += event.to_bytes(0).len();
        }
        let first_ms = events.first().map_or(0, |(given, _)| *given);
        let draft = Draft {
            events: timed,
            first_ms,
            body_len,
        };
        let alone = draft.fits_dt(draft.first_time());
        if FRAME_EVENTS_MAX < events.len() || BODY_BYTES_MAX < body_len || !alone {
            return Err(SpoolError::TooLarge);
        }
        Ok(draft)
    }

    /// Cuts the events before the group if they and it pass a frame's limits, and begins a file if this one has no room.
    fn make_room(&mut self, draft: &Draft<'_>, progress: Option<Progress>) -> SpoolResult<()> {
        let fits = self.standing.unframed().is_none_or(|(_, pending)| {
            pending.events.len() + draft.events.len() <= FRAME_EVENTS_MAX
                && pending.body.len() + draft.body_len <= BODY_BYTES_MAX
                && draft.fits_dt(pending.base_time)
        });
        if !fits {
            self.cut_pending()?;
        }
        let policies: u64 = self
            .policy_records()
            .iter()
            .map(|it| record_bytes(it.1.len()))
            .sum();
        let group = record_bytes(Group::HEAD_BYTES + draft.body_len);
        let progress = progress.map_or(0, |_| record_bytes(Progress::BYTES));
        let needed = policies + group + progress + RESERVE_BYTES;
        if self.meta.end + needed <= self.meta.len {
            return Ok(());
        }
        self.cut_pending()?;
        self.next_file(None, draft.first_ms)
    }

    fn policy_records(&self) -> Vec<Wanted> {
        let unsaved = self.unsaved.iter();
        let unsaved = unsaved.filter_map(|at| Some((*at, self.standing.policies.get(at)?)));
        let record = |(at, policy): (_, &std::sync::Arc<_>)| {
            let mut payload = Vec::new();
            put_policy(&mut payload, at, policy);
            (RecordKind::Policy, payload)
        };
        unsaved.map(record).collect()
    }

    /// The group's record; none without events. The first group after a header fixes the frame's fields.
    fn group(&self, draft: &Draft<'_>) -> SpoolResult<Option<Vec<u8>>> {
        if draft.events.is_empty() {
            return Ok(None);
        }
        let current = self.standing.current.as_ref().ok_or(SpoolError::NotBegun)?;
        let pending = current.pending.as_ref();
        let base_time = pending.map_or(draft.first_time(), |pending| pending.base_time);
        let mut body = Vec::with_capacity(draft.body_len);
        for (time, event) in &draft.events {
            event.write(dt(*time, base_time), &mut body);
        }
        let group = Group {
            stream: current.stream,
            epoch: current.epoch,
            schema_set: pending.map_or(self.config.schema_set, |pending| pending.schema_set),
            first_seq: current.next_seq,
            base_time,
            count: u32::try_from(draft.events.len()).unwrap_or(u32::MAX),
            body: &body,
        };
        Ok(Some(group.to_bytes()))
    }

    /// Takes what was written into the standing.
    fn take(
        &mut self,
        draft: &Draft<'_>,
        group: Option<&[u8]>,
        progress: Option<Progress>,
    ) -> Result<(), Broken> {
        if let Some(payload) = group {
            if self.pending_events() == 0 {
                self.first_ms = draft.first_ms;
            }
            self.last_ms = draft.first_ms;
            let group = Group::read(payload).map_err(|_| "a group that does not decode")?;
            let last_dt = dt(draft.last_time(), group.base_time);
            let events = draft
                .events
                .iter()
                .map(|(_, event)| (*event).clone())
                .collect();
            self.standing.add_group(&group, events, last_dt)?;
            let span = (group.first_seq, group.next_seq());
            self.meta.note(group.stream, span, draft.last_time());
        }
        progress.map_or(Ok(()), |progress| self.standing.add_progress(progress))
    }

    /// Syncs the header of a frame over all unframed events, then gives the frame.
    pub(super) fn cut_pending(&mut self) -> SpoolResult<Option<Frame>> {
        let frame = self.standing.frame(&self.config, &self.signer);
        let Some(frame) = frame.map_err(|what| self.broken(what))? else {
            return Ok(None);
        };
        let summary_end = HEADER_BYTES + frame.summary().len();
        let payload = frame
            .bytes()
            .get(..summary_end)
            .unwrap_or_default()
            .to_vec();
        self.write(&[(RecordKind::Header, payload)])?;
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
            self.write(&[(kind, payload.to_vec())])?;
        } else {
            self.next_file(Some(&next), now_ms)?;
        }
        Ok(std::mem::replace(&mut self.standing, next))
    }

    /// Writes and syncs records. Whatever fails here, nobody knows what is on the disk: the spool has ended.
    fn write(&mut self, records: &[Wanted]) -> SpoolResult<()> {
        let (number, start) = (self.meta.number, self.meta.end);
        let place = Place {
            number,
            start,
            durable: start,
        };
        let mut bytes = Vec::new();
        for (kind, payload) in records {
            put_record(&mut bytes, place, *kind, payload);
        }
        let end = start + bytes.len() as u64;
        assert!(
            end <= self.meta.len,
            "records stay inside of the preallocated file"
        );
        let written = self
            .file
            .write_at(start, &bytes)
            .and_then(|()| self.file.sync());
        if let Err(error) = written {
            self.ended = true;
            return Err(error.into());
        }
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

/// Milliseconds since the base time; that they fit was checked.
fn dt(time: u64, base_time: u64) -> u32 {
    u32::try_from(time.saturating_sub(base_time)).unwrap_or(u32::MAX)
}
