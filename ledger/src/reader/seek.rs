//! Finding the last final frame again in a log that has lost its beginning (ADR 0015).
//!
//! What was deleted at the beginning was final, so who holds newer final positions than the log has lost needs nothing of it:
//! the record of the last final frame is looked for by its append time, and compared. Only the very frame with the very time
//! will do. What follows it in the log is then all that ever followed it, so no hole can be stepped over; an offset proves
//! nothing, and neither does a frame that merely would be admitted next.

use orebook_schema::frame::IncarnationOpened;

use super::anchor::Anchor;
use super::{BATCH_RECORDS, Place, ReadError, Reader};
use crate::disk::Disk;
use crate::log::{Log, LogError};
use crate::segment::StoredFrame;

/// How much later than the frame that is looked for a record may be for the search to go on, in milliseconds: clocks of
/// brokers may have run back by so much in between. By more, and the reader fetches newer positions instead.
pub const SEEK_CLOCK_MS_MAX: u64 = 600_000;

/// A search that goes on from poll to poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seek {
    incarnation: u32,
    generation: u64,
    /// Final size whose last frame is looked for.
    size: u64,
    /// First offset that the log still has.
    first: u64,
    /// Next offset to look at; none if no record is as new as the frame.
    next: Option<u64>,
}

/// How far an attempt to find one's place came.
pub(super) enum Attached {
    /// It is found.
    At(Place),
    /// So many records were looked at; there are more.
    Seeking(usize),
}

impl<D: Disk + Clone> Reader<D> {
    /// First offset that the log still has, if it has lost the record after the opening one.
    pub(super) fn trimmed_to(&self, log: &impl Log, newest: u32) -> Result<Option<u64>, ReadError> {
        match log.read(newest, 1, 1) {
            Err(LogError::Trimmed { first, .. }) => Ok(Some(first)),
            // A log without a second record has lost nothing at its beginning; what else it lost is found later.
            Ok(_) | Err(LogError::OutOfRange { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to look for the last final frame in a log that begins at `first`.
    pub(super) fn begin_seek(
        &mut self,
        log: &impl Log,
        (incarnation, generation): (u32, u64),
        opened: &IncarnationOpened,
        first: u64,
    ) -> Result<(), ReadError> {
        let size = self.final_size();
        // What was final before the incarnation opened never was in it.
        let last = if opened.next_position < size {
            self.store.read(size - 1)?
        } else {
            None
        };
        let next = match last {
            Some(last) => log.offset_at(incarnation, last.append_time)?,
            None => None,
        };
        self.seek = Some(Seek {
            incarnation,
            generation,
            size,
            first,
            next,
        });
        Ok(())
    }

    /// Whether the search at hand is for this place in this log. Another one is given up.
    pub(super) fn is_seeking(&mut self, incarnation: u32, generation: u64) -> bool {
        let size = self.final_size();
        self.seek = self.seek.filter(|seek| {
            (seek.incarnation, seek.generation, seek.size) == (incarnation, generation, size)
        });
        self.seek.is_some()
    }

    /// Looks at some more records. The search ends with a place, or an error that says why there is none.
    pub(super) fn go_on_seeking(
        &mut self,
        log: &impl Log,
        records_max: usize,
    ) -> Result<Attached, ReadError> {
        let Some(mut seek) = self.seek else {
            return Ok(Attached::Seeking(0));
        };
        let Some(next) = seek.next else {
            return self.not_found(log, seek).map(Attached::At);
        };
        let records = match log.read(
            seek.incarnation,
            next,
            BATCH_RECORDS.min(records_max.max(1)),
        ) {
            Ok(records) => records,
            Err(error @ (LogError::Trimmed { .. } | LogError::OutOfRange { .. })) => {
                // The log lost more meanwhile: the search begins anew.
                self.seek = None;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        let Some(last) = self.store.read(seek.size.saturating_sub(1))? else {
            return self.not_found(log, seek).map(Attached::At);
        };
        let latest = last.append_time.saturating_add(SEEK_CLOCK_MS_MAX);
        let looked = records.len();
        for record in records {
            if is_it(&record.bytes, record.append_time, &last) {
                return Ok(Attached::At(self.found(log, seek, record.offset)?));
            }
            if latest < record.append_time {
                return self.not_found(log, seek).map(Attached::At);
            }
            seek.next = Some(record.offset + 1);
        }
        if looked == 0 {
            return self.not_found(log, seek).map(Attached::At);
        }
        self.seek = Some(seek);
        Ok(Attached::Seeking(looked))
    }

    fn found(&mut self, log: &impl Log, seek: Seek, offset: u64) -> Result<Place, ReadError> {
        let opened = self.opening(log, seek.incarnation)?;
        self.expect_again()?;
        self.head = self.settled.clone();
        self.head.enter_incarnation(opened.next_position);
        let anchor = Anchor {
            incarnation: seek.incarnation,
            size: seek.size,
            offset,
        };
        anchor.save(&self.disk, &self.dir)?;
        self.anchor = Some(anchor);
        self.seek = None;
        let place = Place {
            incarnation: seek.incarnation,
            generation: seek.generation,
            next_offset: offset + 1,
        };
        self.place = Some(place);
        Ok(place)
    }

    /// Why the frame is not there: it was deleted, and newer positions must be fetched; or the log is not what it was. Where
    /// an older final frame still stands, what followed it in the log tells which: the place is there.
    fn not_found(&mut self, log: &impl Log, seek: Seek) -> Result<Place, ReadError> {
        self.seek = None;
        // It was read there, and the log still has records of then: it lost more than its beginning. What somebody else
        // says of append times proves nothing, so an adopted frame says nothing of the kind.
        let stood_there = self.anchor.filter(|anchor| {
            anchor.incarnation == seek.incarnation
                && anchor.size <= seek.size
                && seek.first <= anchor.offset
        });
        if let Some(anchor) = stood_there {
            if anchor.size < seek.size
                && let Some(place) = self.resume_below(log, seek, anchor)?
            {
                return Ok(place);
            }
            return Err(self.dead(
                anchor.size.saturating_sub(1),
                "the log does not have it any more",
            ));
        }
        if self.compared != Some(seek.incarnation) {
            let opened = self.opening(log, seek.incarnation)?;
            let size = opened.next_position;
            if size <= seek.size {
                let own = self.state_at(size)?.map(|state| state.root());
                if own != Some(opened.root) {
                    return Err(self.dead(size, "it opens with another root"));
                }
                self.compared = Some(seek.incarnation);
            }
        }
        self.behind_in = Some(seek.incarnation);
        Err(ReadError::Behind {
            from: seek.size,
            first: seek.first,
        })
    }

    /// A disk that failed between a sync and the anchor's leaves the anchor below the final size. If its frame still stands,
    /// the log is read from there: what is final comes by again, or the log's end shows that it was lost.
    fn resume_below(
        &mut self,
        log: &impl Log,
        seek: Seek,
        anchor: Anchor,
    ) -> Result<Option<Place>, ReadError> {
        let Some(frame) = self.store.read(anchor.size.saturating_sub(1))? else {
            return Ok(None);
        };
        let record = match log.read(seek.incarnation, anchor.offset, 1) {
            Err(LogError::OutOfRange { .. }) => return Ok(None),
            other => other?.into_iter().next(),
        };
        if !record.is_some_and(|record| is_it(&record.bytes, record.append_time, &frame)) {
            return Ok(None);
        }
        let opened = self.opening(log, seek.incarnation)?;
        let Some(mut head) = self.state_at(anchor.size)? else {
            return Ok(None);
        };
        head.enter_incarnation(opened.next_position);
        self.expect_again()?;
        self.head = head;
        let place = Place {
            incarnation: seek.incarnation,
            generation: seek.generation,
            next_offset: anchor.offset + 1,
        };
        self.place = Some(place);
        Ok(Some(place))
    }
}

/// Whether a record is this very frame. A log that lost a suffix and grew again has it with another time, if it has it at all.
pub(super) fn is_it(bytes: &[u8], append_time: u64, frame: &StoredFrame) -> bool {
    append_time == frame.append_time && bytes == frame.frame.bytes()
}
