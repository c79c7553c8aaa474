//! Where in the log a reader goes on (ADR 0008): at its anchor, at an incarnation's beginning, or nowhere.

use orebook_schema::Hash;
use orebook_schema::frame::IncarnationOpened;

use super::seek::{Attached, is_it};
use super::tail::TailItem;
use super::{Place, ReadError, Reader};
use crate::admit::{Parsed, State, Trust, Verdict};
use crate::disk::Disk;
use crate::log::{Log, LogError};
use crate::segment::{Record, StoreError};

/// After so many adopted frames what is final among them is settled and synced: what is in memory stays below what the
/// segments may hold back (48 KiB each).
pub const ADOPTED_FRAMES_MAX: usize = 1_024;

impl<D: Disk + Clone> Reader<D> {
    /// Takes positions from another's segments, up to the `size` and `root` that an incarnation opened with.
    ///
    /// # Errors
    /// [`ReadError::Dead`] if they do not extend what is final here or do not have that root; then nothing is taken but what
    /// an archiver signed for.
    pub fn adopt(
        &mut self,
        records: impl IntoIterator<Item = Result<Record, StoreError>>,
        size: u64,
        root: Hash,
    ) -> Result<(), ReadError> {
        if let Err(error) = self.take_records(records, size, false) {
            return match self.cut() {
                // The first error names the file.
                Ok(()) | Err(ReadError::Store(StoreError::Failed)) => Err(error),
                Err(worse) => Err(worse),
            };
        }
        if self.head.size() != size || self.head.root() != root {
            self.cut()?;
            return Err(self.dead(size, "another's segments have another root"));
        }
        self.store.sync()?;
        Ok(())
    }

    /// Takes positions from another's segments as far as archivers signed for them, and no further: every frame is judged
    /// again, and every checkpoint must have the root that is found here. At most some [`ADOPTED_FRAMES_MAX`] final frames
    /// at once, so that who holds a lock on the reader can let go in between. Returns the final size then; if it is as
    /// before, there is nothing newer in these segments.
    ///
    /// # Errors
    /// If nothing new became final: [`ReadError::Dead`] if the segments are not what admission gives, or what was wrong with
    /// them; else what this reader's own disk says.
    pub fn adopt_final(
        &mut self,
        records: impl IntoIterator<Item = Result<Record, StoreError>>,
    ) -> Result<u64, ReadError> {
        let before = self.final_size();
        let taken = self.take_records(records, u64::MAX, true);
        // Whoever sent it and whatever came after it: what an archiver signed for is final.
        let settled = self.settle();
        // What nobody signed for comes from the log.
        let own = settled.and(self.cut());
        match (taken, own) {
            // A store that failed before says no more than that; the first error names the file.
            (Err(error), Ok(()) | Err(ReadError::Store(StoreError::Failed)))
                if self.final_size() == before || self.store.writable().is_err() =>
            {
                Err(error)
            }
            (_, own) => own.map(|()| self.final_size()),
        }
    }

    /// Judges records from the last final position on, up to `size`; to the first turn with something new that is final, if
    /// `in_turns`. All is in the files afterwards, and settled as far as it is final.
    fn take_records(
        &mut self,
        records: impl IntoIterator<Item = Result<Record, StoreError>>,
        size: u64,
        in_turns: bool,
    ) -> Result<(), ReadError> {
        self.cut()?;
        self.expect_again()?;
        self.head = self.settled.clone();
        let mut unsynced = 0;
        for record in records {
            let record = record?;
            if record.position() < self.final_size() {
                continue;
            }
            if size <= self.head.size() {
                break;
            }
            if !self.adopt_record(record)? {
                let what = "another's segments are not what admission gives";
                return Err(self.dead(self.head.size(), what));
            }
            unsynced += 1;
            if ADOPTED_FRAMES_MAX <= unsynced {
                unsynced = 0;
                self.store.sync()?;
                let before = self.final_size();
                self.settle()?;
                if in_turns && before < self.final_size() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn adopt_record(&mut self, record: Record) -> Result<bool, ReadError> {
        match record {
            Record::Frame(stored) => {
                let Ok(parsed) = Parsed::read(stored.frame.bytes().to_vec()) else {
                    return Ok(false);
                };
                let time = stored.append_time;
                let verdict = self
                    .head
                    .admit_parsed(&self.store, time, &parsed, Trust::Nothing)?;
                let Verdict::Admitted(admitted) = verdict else {
                    return Ok(false);
                };
                if admitted.position != stored.position
                    || admitted.ledger_time != stored.ledger_time
                {
                    return Ok(false);
                }
                self.store_frame(&admitted, time, &parsed)?;
                self.note_obeyed(&admitted, &parsed);
                self.tail.push_back(TailItem::Frame {
                    append_time: time,
                    offset: None,
                    parsed: Box::new(parsed),
                });
            }
            Record::Closure {
                append_time,
                header,
                ..
            } => {
                let position = self.head.size();
                if !self.head.close_by_evidence(&self.store, &header)? {
                    return Ok(false);
                }
                self.take_closure(position, append_time, &header)?;
            }
        }
        Ok(true)
    }

    /// Finds its place in the log's newest incarnation.
    pub(super) fn attach(
        &mut self,
        log: &impl Log,
        records_max: usize,
    ) -> Result<Attached, ReadError> {
        let newest = log.newest()?.ok_or(ReadError::Unopened)?;
        let generation = log.generation(newest)?;
        if let Some(place) = self.place {
            if place.incarnation == newest && place.generation == generation {
                return Ok(Attached::At(place));
            }
            if place.incarnation == newest {
                self.cut()?;
            }
            // A newer incarnation may open above the final size, with what the tail has: it is not cut yet.
            self.place = None;
        }
        if self.is_seeking(newest, generation) {
            return self.go_on_seeking(log, records_max);
        }
        let opened = self.opening(log, newest)?;
        let next_offset = match self.resume(log, newest)? {
            Some(offset) => offset,
            None => match self.trimmed_to(log, newest)? {
                Some(first) => {
                    self.begin_seek(log, (newest, generation), &opened, first)?;
                    return Ok(Attached::Seeking(0));
                }
                None => self.enter(&opened)?,
            },
        };
        self.head.enter_incarnation(opened.next_position);
        let place = Place {
            incarnation: newest,
            generation,
            next_offset,
        };
        self.place = Some(place);
        Ok(Attached::At(place))
    }

    /// Goes on right after the last final frame, if it still stands where the anchor says.
    pub(super) fn resume(&mut self, log: &impl Log, newest: u32) -> Result<Option<u64>, ReadError> {
        let Some(anchor) = self.anchor.filter(|anchor| anchor.incarnation == newest) else {
            return Ok(None);
        };
        // Offset 0 is the opening record's: then it says what is final, and not where.
        if anchor.size != self.final_size() || anchor.size == 0 || anchor.offset == 0 {
            return Ok(None);
        }
        // To ask again would be another suspicion, and every place found meanwhile be given up for it.
        if self.beyond_end == Some(anchor) {
            return Ok(None);
        }
        let record = match log.read(newest, anchor.offset, 1) {
            Err(LogError::OutOfRange { .. }) => {
                self.beyond_end = Some(anchor);
                return Ok(None);
            }
            Err(LogError::Trimmed { .. }) => return Ok(None),
            other => other?.into_iter().next(),
        };
        let last = self.store.read(anchor.size - 1)?;
        let same = match (record, last) {
            (Some(record), Some(last)) => is_it(&record.bytes, record.append_time, &last),
            _ => false,
        };
        if !same {
            return Ok(None);
        }
        self.expect_again()?;
        self.head = self.settled.clone();
        Ok(Some(anchor.offset + 1))
    }

    /// The incarnation's first record.
    pub(super) fn opening(
        &self,
        log: &impl Log,
        newest: u32,
    ) -> Result<IncarnationOpened, ReadError> {
        let first = log.read(newest, 0, 1)?.into_iter().next();
        let opened = first.and_then(|record| IncarnationOpened::read(&record.bytes).ok());
        opened
            .filter(|opened| opened.ledger == self.head.ledger())
            .ok_or(ReadError::Dead {
                incarnation: newest,
                position: 0,
                what: "it does not open as an incarnation of this ledger",
            })
    }

    /// Begins after the incarnation's first record.
    pub(super) fn enter(&mut self, opened: &IncarnationOpened) -> Result<u64, ReadError> {
        let dead = |position, what| ReadError::Dead {
            incarnation: opened.incarnation,
            position,
            what,
        };
        let size = opened.next_position;
        let head = self
            .state_at(size)?
            .filter(|head| head.root() == opened.root);
        if size <= self.final_size() {
            let head = head.ok_or_else(|| dead(size, "it opens with another root"))?;
            self.expect_again()?;
            self.head = head;
        } else {
            let missing = ReadError::Missing {
                from: self.final_size(),
                to: size,
                root: opened.root,
            };
            self.keep_only_below(size, head.ok_or(missing)?)?;
        }
        Ok(1)
    }

    /// An incarnation opened at `size`: what stands below belongs to it, the rest is read again.
    pub(super) fn keep_only_below(&mut self, size: u64, head: State) -> Result<(), ReadError> {
        self.truncate_tail(size.max(self.keep))?;
        let below = size - self.final_size();
        let mut frames = 0;
        self.tail.retain(|item| {
            frames += u64::from(matches!(item, TailItem::Frame { .. }));
            match item {
                TailItem::Frame { .. } => frames <= below,
                TailItem::Closure { position, .. } => *position < size,
            }
        });
        self.kept_closures.retain(|(position, _)| size <= *position);
        self.head = head;
        Ok(())
    }

    /// The log gives everything above the final size again; what must be kept on disk is compared with it.
    pub(super) fn expect_again(&mut self) -> Result<(), ReadError> {
        self.truncate_tail(self.keep.max(self.final_size()))?;
        self.tail.clear();
        Ok(())
    }

    /// At the log's end: what is final, or was signed, must have come by.
    pub(super) fn check_end(&self, place: Place) -> Result<(), ReadError> {
        let must = self.final_size().max(self.keep.min(self.store.size()));
        if self.head.size() < must {
            let what = "the log ends before it";
            return Err(ReadError::Dead {
                incarnation: place.incarnation,
                position: self.head.size(),
                what,
            });
        }
        Ok(())
    }
}
