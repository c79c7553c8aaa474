//! The publisher: sends a spool's frames until they are final, whatever the log loses, and moves to a new stream when the
//! ledger closed the old one or the producer's key is another. It reads its own stream back through a [`Reader`];
//! acknowledgements decide nothing. After an outage of the log a gateway's frames leave by their times.

mod drain;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orebook_schema::{Frame, Hash, Role, StreamId};

use self::drain::{Drain, Look};

use crate::admit::{AdmitError, Cause};
use crate::disk::Disk;
use crate::log::{Log, LogError};
use crate::reader::Reader;
use crate::spool::{FrameReader, Renumbered, Spool, SpoolError};

pub use self::drain::{DRAIN_SPAN_MS_MAX, DRAIN_SPEED, OUTAGE_MS};

/// Frames that may be on their way at once.
pub const IN_FLIGHT_MAX: usize = 32;
/// Frames that are held in memory at once, at most 100 KiB each; further ones wait in the spool.
const WINDOW_MAX: usize = 1_024;
/// Without progress for so long, everything that was not admitted is sent again.
pub const RETRY_MS: u64 = 1_000;

/// Why a publisher cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The index of what was admitted.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// The producer's key is not in force, or may not say this: nothing more is accepted. Frames stay in the spool.
    #[error(
        "the ledger refuses this producer's frames: its key is not in force, or its role may not say this"
    )]
    Refused,
}

/// Times of a tick, milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Now.
    pub now: u64,
    /// Events at or after this time stay in the spool although they are final; `u64::MAX` keeps none.
    pub keep_from: u64,
}

impl Clock {
    /// Keeps nothing that is final.
    #[must_use]
    pub const fn at(now: u64) -> Self {
        Self {
            now,
            keep_from: u64::MAX,
        }
    }
}

/// What a tick did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Frames sent.
    pub sent: usize,
    /// The stream was closed, or is another key's, and its events were moved: live sessions and jobs have new numbers.
    pub moved: Option<Renumbered>,
}

/// Sends frames until they are final.
#[derive(Debug)]
pub struct Publisher<D: Disk> {
    /// Frames that are not final yet, in the spool's order.
    window: VecDeque<Frame>,
    /// Gives the frames after the window.
    rest: Option<FrameReader<D>>,
    /// How many at the front of the window were sent since the last retry.
    sent: usize,
    /// How many of them stood in the ledger's head at the last look.
    standing: usize,
    progress_at: u64,
    refused: bool,
    /// Whether a frame became final that did not stand at the last look.
    settled_unseen: bool,
    drain: Drain,
    /// Below which sequence number each held stream is final.
    settled: BTreeMap<StreamId, u64>,
}

impl<D: Disk + Clone> Default for Publisher<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Disk + Clone> Publisher<D> {
    /// With nothing sent yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: VecDeque::new(),
            rest: None,
            sent: 0,
            standing: 0,
            progress_at: 0,
            refused: false,
            settled_unseen: false,
            drain: Drain::new(),
            settled: BTreeMap::new(),
        }
    }

    /// Whether every frame that was cut is final, as of the last tick.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.window.is_empty()
    }

    /// Whether every frame that was cut stands in the ledger, final or not, as of the last tick; before the first nobody knows.
    #[must_use]
    pub fn all_stand(&self) -> bool {
        self.rest.is_some() && self.standing == self.window.len()
    }

    /// Whether frames wait because the log is away, or for their turn after it was.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.drain.is_on()
    }

    /// One turn: looks what stands, sends what does not, trims what is final and older than `keep_from_ms` (see
    /// [`Spool::trim`]). `new_stream` is used if the stream was closed or is another key's. Call it only while the producer's
    /// key is in force, and the stream's, if that is another, is not: what is moved from an open stream does not count.
    ///
    /// # Errors
    /// [`PublishError`]. A log that fails is no error: what was not admitted is sent again.
    pub fn tick(
        &mut self,
        spool: &mut Spool<D>,
        reader: &mut Reader<D>,
        log: &mut impl Log,
        clock: Clock,
        new_stream: StreamId,
    ) -> Result<Published, PublishError> {
        let now = clock.now;
        self.fill(spool)?;
        self.drop_final(spool, reader, clock.keep_from)?;
        self.fill(spool)?;
        let standing = self.count_standing(reader)?;
        let stood = std::mem::take(&mut self.settled_unseen) || self.standing < standing;
        if standing != self.standing {
            self.progress_at = now;
            self.sent = self.sent.max(standing);
        }
        self.standing = standing;
        let lost = self.heed_notices(reader);
        if self.refused {
            return Err(PublishError::Refused);
        }
        let mut published = Published::default();
        if spool.is_moving() || lost || is_closed(spool, reader) || self.is_foreign(spool, reader) {
            published.moved = self.move_stream(spool, now, new_stream)?;
            self.fill(spool)?;
        }
        if has_passed(RETRY_MS, self.progress_at, now) {
            self.sent = self.standing;
            self.progress_at = now;
        }
        let is_nearly_full = spool.is_nearly_full();
        if spool.role() == Role::Gateway {
            let first = self.window.get(self.standing).map(Frame::header);
            self.drain.look(Look {
                now,
                stood,
                first,
                late: reader.late(),
                is_nearly_full,
            });
        }
        published.sent = self.send(reader, log, now, is_nearly_full);
        Ok(published)
    }

    /// Reads frames into the window, but for those that were moved.
    fn fill(&mut self, spool: &Spool<D>) -> Result<(), PublishError> {
        let held = spool.streams();
        let Some(oldest) = held.first() else {
            return Ok(());
        };
        let rest = match &mut self.rest {
            Some(rest) => rest,
            none => none.insert(spool.frames_from(oldest.stream, 0)?),
        };
        while self.window.len() < WINDOW_MAX {
            let Some(frame) = rest.next_frame(spool)? else {
                break;
            };
            let header = frame.header();
            let moved = held
                .iter()
                .find(|one| one.stream == header.stream)
                .and_then(|one| one.moved_from);
            if moved.is_none_or(|from| header.next_seq() <= from) {
                self.window.push_back(frame);
            }
        }
        Ok(())
    }

    fn drop_final(
        &mut self,
        spool: &mut Spool<D>,
        reader: &Reader<D>,
        keep_from: u64,
    ) -> Result<(), PublishError> {
        while let Some(front) = self.window.front() {
            let header = front.header();
            if !reader.stands(
                reader.settled(),
                header.stream,
                header.first_seq,
                front.header_hash(),
            )? {
                break;
            }
            self.settled.insert(header.stream, header.next_seq());
            self.window.pop_front();
            self.settled_unseen |= self.standing == 0;
            self.sent = self.sent.saturating_sub(1);
            self.standing = self.standing.saturating_sub(1);
        }
        spool.trim(&self.settled, keep_from)?;
        let held = spool.streams();
        self.settled
            .retain(|stream, _| held.iter().any(|one| one.stream == *stream));
        Ok(())
    }

    fn count_standing(&self, reader: &Reader<D>) -> Result<usize, PublishError> {
        let mut standing = 0;
        for frame in &self.window {
            let header = frame.header();
            if !reader.stands(
                reader.head(),
                header.stream,
                header.first_seq,
                frame.header_hash(),
            )? {
                break;
            }
            standing += 1;
        }
        Ok(standing)
    }

    /// Whether the stream in hand is another key's: the producer's key was changed, and nobody may go on with the old one's
    /// stream. Who opened it tells the ledger; where that does not know it yet, the frames that wait do.
    fn is_foreign(&self, spool: &Spool<D>, reader: &Reader<D>) -> bool {
        let Some(stream) = spool.stream() else {
            return false;
        };
        let opened_by = reader.head().stream(stream).map(|known| known.key);
        let mut waiting = self.window.iter().map(Frame::header);
        let framed_by = || {
            waiting
                .find(|header| header.stream == stream)
                .map(|it| it.key)
        };
        let speaker = opened_by.or_else(framed_by);
        speaker.is_some_and(|key| key != spool.key())
    }

    /// Whether a frame of ours that does not stand was refused for good.
    fn heed_notices(&mut self, reader: &mut Reader<D>) -> bool {
        let mut lost = false;
        // As a rule there are no notices: nothing is prepared for them.
        let missing = OnceCell::new();
        let is_missing = |hash: Hash| {
            let standing = self.window.iter().skip(self.standing);
            let hashes = || standing.map(Frame::header_hash).collect::<BTreeSet<_>>();
            missing.get_or_init(hashes).contains(&hash)
        };
        for notice in reader.take_notices(|notice| is_missing(notice.header_hash)) {
            match notice.cause {
                Cause::Refused => self.refused = true,
                Cause::Fork | Cause::Closed | Cause::StaleEpoch | Cause::Inconsistent => {
                    lost = true
                }
                // Malformed cannot be ours but by damage on the way; after a gap, or too early, sending again helps.
                Cause::Malformed | Cause::Duplicate | Cause::Gap | Cause::Early => {}
            }
        }
        lost
    }

    /// Everything that is not final is moved, also what stands provisionally: the log may still lose that, and what is
    /// admitted in the end is not counted again. Without room the move goes on at a later tick: sending and trimming go on
    /// meanwhile, and make room.
    fn move_stream(
        &mut self,
        spool: &mut Spool<D>,
        now: u64,
        new_stream: StreamId,
    ) -> Result<Option<Renumbered>, PublishError> {
        let moved = if spool.is_moving() {
            let held = spool.streams();
            let closed = held.iter().rev().find(|one| one.moved_from.is_some());
            let Some(closed) = closed else {
                return Ok(None);
            };
            spool.move_stream(now, closed.stream, u64::MAX, new_stream)
        } else {
            let Some(old) = spool.stream() else {
                return Ok(None);
            };
            spool.cut()?;
            self.fill(spool)?;
            let waiting = self
                .window
                .iter()
                .find(|frame| frame.header().stream == old);
            let from = waiting.map_or_else(|| spool.next_seq(), |frame| frame.header().first_seq);
            let moved = spool.move_stream(now, old, from, new_stream);
            if spool.stream() != Some(old) {
                self.window.retain(|frame| frame.header().stream != old);
                self.sent = 0;
                self.standing = 0;
                self.progress_at = now;
            }
            moved
        };
        match moved {
            Ok(renumbered) => Ok(Some(renumbered)),
            Err(SpoolError::Full(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn send(
        &mut self,
        reader: &Reader<D>,
        log: &mut impl Log,
        now: u64,
        is_nearly_full: bool,
    ) -> usize {
        let Some(incarnation) = reader.incarnation() else {
            return 0;
        };
        let in_flight_max = if self.drain.is_cut() {
            1
        } else {
            IN_FLIGHT_MAX
        };
        let until = self.window.len().min(self.standing + in_flight_max);
        let mut count = 0;
        while self.sent < until {
            let Some(frame) = self.window.get(self.sent) else {
                break;
            };
            if !self.drain.is_due(frame.header().last_time, is_nearly_full) {
                break;
            }
            match log.send(incarnation, now, frame.bytes()) {
                // After an unavailable log nobody knows whether it is there; the ledger will tell.
                Ok(()) | Err(LogError::Unavailable(_)) => {}
                Err(
                    LogError::Full
                    | LogError::Gone(_)
                    | LogError::Exists(_)
                    | LogError::Trimmed { .. }
                    | LogError::OutOfRange { .. },
                ) => break,
            }
            self.sent += 1;
            count += 1;
        }
        count
    }
}

/// Whether so much time went by since then; also where the clock was set back behind it, since nobody knows then how much did,
/// and waiting would take until the clock is there again.
pub(crate) const fn has_passed(ms: u64, since: u64, now: u64) -> bool {
    now < since || ms <= now - since
}

fn is_closed<D: Disk + Clone>(spool: &Spool<D>, reader: &Reader<D>) -> bool {
    spool.stream().is_some_and(|stream| {
        reader
            .head()
            .stream(stream)
            .is_some_and(|stream| stream.closed)
    })
}
