//! Moving: the events of a closed stream that were not admitted are said again in a new one, with what they refer to.
//!
//! Each step is durable before the next: the closure itself, then groups of moved events, each with how far it comes. So
//! a crash or a full disk loses nothing and repeats at most one group; the ledger counts a moved event once.

use orebook_schema::event::{Moved, NO_NUMBER, RecoveryCode, RecoveryNote};
use orebook_schema::work::{Difficulty, ShareRef};
use orebook_schema::{Event, StreamId};

use super::Spool;
use super::error::{SpoolError, SpoolResult};
use super::numbers::{Batch, Live, Moving, Renumbered, Unit};
use super::record::{Progress, RecordKind, StreamClosed};
use super::source::{SourceGroup, Walk};
use super::standing::{Broken, Standing};
use super::state::state_bytes_max;
use crate::disk::Disk;

/// Room in a state for what one moved share may announce: a job and a worker.
const UNIT_STATE_BYTES_MAX: u64 = 33_280;

impl<D: Disk> Spool<D> {
    /// The stream `closed` takes no frames any more (fork, closed, stale epoch, inconsistent): its events from
    /// `admitted_next` on are said again. If it is the stream in hand, `new_stream` is opened at epoch 0; what the events
    /// refer to and the live workers and jobs are announced there with new numbers; then each share and block is appended
    /// as moved. Returns the new numbers of the live workers and jobs.
    ///
    /// Repeating it is harmless: for a stream that was closed before, `new_stream` is not used, an unfinished move goes
    /// on, and a lower `admitted_next` moves more. When in doubt name what is *final*: the ledger counts an event once.
    /// Go by header hashes: behind a fork another producer's frames may stand at the same sequence numbers.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: call it again when there is room; appending is refused until then.
    /// [`SpoolError::NoSuchStream`], [`SpoolError::StreamInUse`], [`SpoolError::NotBegun`]; [`SpoolError::Damaged`] if the
    /// events cannot be read; [`SpoolError::Disk`], [`SpoolError::Ended`]: the process must end.
    pub fn move_stream(
        &mut self,
        now_ms: u64,
        closed: StreamId,
        admitted_next: u64,
        new_stream: StreamId,
    ) -> SpoolResult<Renumbered> {
        self.alive()?;
        if !self.begun {
            return Err(SpoolError::NotBegun);
        }
        let held = self
            .standing
            .streams
            .iter()
            .find(|held| held.stream == closed);
        match held.map(|held| held.closure.as_ref()) {
            None => return Err(SpoolError::NoSuchStream(closed)),
            Some(None) => self.close(now_ms, closed, admitted_next, new_stream)?,
            Some(Some(closure)) if admitted_next < closure.admitted_next => {
                self.reopen(now_ms, closed, admitted_next)?;
            }
            Some(Some(_)) => {}
        }
        self.finish_move(now_ms)
    }

    /// Closes the stream in hand and opens another.
    fn close(
        &mut self,
        now_ms: u64,
        closed: StreamId,
        admitted_next: u64,
        opened: StreamId,
    ) -> SpoolResult<()> {
        if self.standing.order(opened).is_some() {
            return Err(SpoolError::StreamInUse(opened));
        }
        self.cut_pending()?;
        let record = StreamClosed {
            closed,
            admitted_next,
            opened,
        };
        let next = self
            .standing
            .after_close(record)
            .map_err(|what| self.broken(what))?;
        let was_moving = self.is_moving();
        let old = self.turn(RecordKind::Move, &record.to_bytes(), next, now_ms)?;
        // In an unfinished move the sessions' numbers are still those of before it.
        let live = if was_moving {
            self.moving.take().and_then(|moving| moving.live)
        } else {
            old.current.map(Live::of)
        };
        self.moving = Some(Moving::of(live));
        Ok(())
    }

    /// Less of a closed stream was admitted than was thought.
    fn reopen(&mut self, now_ms: u64, closed: StreamId, admitted_next: u64) -> SpoolResult<()> {
        self.cut_pending()?;
        let current = self.standing.current.as_ref().ok_or(SpoolError::NotBegun)?;
        let opened = current.stream;
        // Unless a move is unfinished, sessions go on with the numbers they have.
        let moving = if self.is_moving() {
            Moving::default()
        } else {
            Moving::keeping(current.clone())
        };
        let record = StreamClosed {
            closed,
            admitted_next,
            opened,
        };
        let mut next = self.standing.clone();
        next.reopen(record).map_err(|what| self.broken(what))?;
        self.turn(RecordKind::Move, &record.to_bytes(), next, now_ms)?;
        self.moving.get_or_insert(moving);
        Ok(())
    }

    /// Does what is left of a move, if anything is.
    pub(super) fn finish_move(&mut self, now_ms: u64) -> SpoolResult<Renumbered> {
        if !self.is_moving() {
            return Ok(Renumbered::default());
        }
        let mut moving = self.moving.take().unwrap_or_default();
        match self.carry(now_ms, &mut moving) {
            Ok(()) => Ok(moving.renumbered()),
            Err(error) => {
                moving.forget_unannounced(&self.standing);
                self.moving = Some(moving);
                Err(error)
            }
        }
    }

    fn carry(&mut self, now_ms: u64, moving: &mut Moving) -> SpoolResult<()> {
        if !moving.noted {
            let note = note_of(&self.standing);
            self.commit(&[(now_ms, note)], None)?;
            moving.noted = true;
        }
        while let Some((stream, closure)) = self.standing.unmoved() {
            let (from, end) = (closure.moved_next, closure.end);
            let mut batch = Batch::new(now_ms, Some(stream), &self.standing);
            if let Some(mut walk) = Walk::start(self, stream, from, end)? {
                while let Some(group) = walk.next_group(self)? {
                    self.carry_group(moving, &mut batch, &walk, &group)?;
                }
            }
            self.flush(&mut batch, end)?;
        }
        // What only moved events referred to is not needed any more.
        let (workers, jobs) = moving.kept();
        if let Some(current) = &mut self.standing.current {
            current.table.retain(
                |number| workers.contains(&number),
                |number| jobs.contains(&number),
            );
        }
        let live = moving.live.take();
        let announced = live
            .as_ref()
            .map_or(Ok(()), |live| self.announce(now_ms, moving, live));
        moving.live = live;
        announced
    }

    fn carry_group(
        &mut self,
        moving: &mut Moving,
        batch: &mut Batch,
        walk: &Walk<D>,
        group: &SourceGroup,
    ) -> SpoolResult<()> {
        let mut unit = Unit::default();
        for (seq, moved) in group.moved().map_err(|what| walk.damaged(what))? {
            if moved.worker == NO_NUMBER {
                unit.events.push(Event::Moved(moved));
                continue;
            }
            self.place(batch, std::mem::take(&mut unit))?;
            // Groups are moved whole, so one that was begun before says again what was moved of it.
            unit.seq = seq.max(walk.from());
            let state = state_bytes_max(&self.standing) + batch.state_bytes + UNIT_STATE_BYTES_MAX;
            if self.config.state_bytes_max() < state {
                // The state is bounded: announcements begin anew, and some are repeated.
                self.flush(batch, unit.seq)?;
                self.forget(moving);
            }
            let said = self.renumber(moving, batch, walk, moved, &mut unit.events);
            said.map_err(|what| walk.damaged(what))?;
        }
        self.place(batch, unit)
    }

    /// Puts a unit into the batch, and writes the batch before if they would be more than a frame.
    fn place(&mut self, batch: &mut Batch, unit: Unit) -> SpoolResult<()> {
        if !batch.fits(&unit) {
            self.flush(batch, unit.seq)?;
        }
        batch.add(unit);
        Ok(())
    }

    /// Writes the batch; events of the closed stream below `next` are moved then.
    fn flush(&mut self, batch: &mut Batch, next: u64) -> SpoolResult<()> {
        let progress = batch.closed.map(|closed| Progress { closed, next });
        self.commit(&batch.events, progress)?;
        batch.clear();
        Ok(())
    }

    /// Forgets everything announced in the new stream: it is announced again where needed.
    fn forget(&mut self, moving: &mut Moving) {
        if let Some(current) = &mut self.standing.current {
            current.table.retain(|_| false, |_| false);
        }
        moving.forget_unannounced(&self.standing);
    }

    /// Gives a moved share the new stream's numbers; what it refers to is announced before it.
    fn renumber(
        &self,
        moving: &mut Moving,
        batch: &mut Batch,
        walk: &Walk<D>,
        moved: Moved,
        said: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let source = walk.current().ok_or("a group without an epoch")?;
        let origin = |number: u32| (source.stream, source.epoch, number);
        let inner = moved.inner().ok().and_then(|inner| inner.share());
        let ShareRef { work, .. } = inner.ok_or("a moved share that is none")?;
        let worker = moving.worker(batch, origin(moved.worker), &source.table, said)?;
        let job = moving.job(batch, origin(moved.job), &source.table, said)?;
        // A share's work is its worker's newest or previous difficulty, here as there.
        let works = moving.works(worker, &self.standing);
        if !works.contains(&Some(work)) {
            let [newest, _] = *works;
            *works = [Some(work), newest];
            said.push(Event::Difficulty(Difficulty { worker, work }));
        }
        said.push(Event::Moved(Moved {
            worker,
            job,
            ..moved
        }));
        Ok(())
    }

    /// Announces the live workers and jobs that no moved event referred to, and difficulties that differ.
    fn announce(&mut self, now_ms: u64, moving: &mut Moving, live: &Live) -> SpoolResult<()> {
        let mut batch = Batch::new(now_ms, None, &self.standing);
        for (number, entry) in &live.table.workers {
            let mut unit = Unit::default();
            let origin = live.origin(*number);
            let worker = moving.worker(&mut batch, origin, &live.table, &mut unit.events);
            let worker = worker.map_err(|what| self.broken(what))?;
            let [newest, _] = *moving.works(worker, &self.standing);
            if let Some(work) = entry.work.filter(|work| newest != Some(*work)) {
                unit.events
                    .push(Event::Difficulty(Difficulty { worker, work }));
            }
            self.place(&mut batch, unit)?;
        }
        for number in live.table.jobs.keys() {
            let mut unit = Unit::default();
            let origin = live.origin(*number);
            let job = moving.job(&mut batch, origin, &live.table, &mut unit.events);
            job.map_err(|what| self.broken(what))?;
            self.place(&mut batch, unit)?;
        }
        if batch.events.is_empty() {
            Ok(())
        } else {
            self.flush(&mut batch, 0)
        }
    }
}

/// Says which stream was closed last, and from where on its events are moved.
fn note_of(standing: &Standing) -> Event {
    let closed = standing.streams.iter().rev();
    let mut closed = closed.filter_map(|held| Some((held.stream, held.closure.as_ref()?)));
    let text = closed.next().map(|(stream, closure)| {
        format!(
            "stream {stream} is closed: events from {} on are moved",
            closure.admitted_next
        )
    });
    let code = RecoveryCode::StreamMoved;
    Event::RecoveryNote(RecoveryNote {
        code,
        text: text.unwrap_or_default(),
    })
}
