//! Where the engine's frames come from: segment files, or a reader that others share.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orebook_ledger::admit::{AdmitError, History};
use orebook_ledger::disk::Disk;
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::{Record, SegmentStore, StoreError, StoredFrame, Summaries};
use orebook_schema::{Hash, StreamId};

use crate::fold::{Backwards, FoldStop, FrameSummary};

/// The ledger as one machine holds it. It may hold more than is final: the engine asks only for what it was told is.
pub trait Source: History {
    /// Appends the records from position `from` on, in order: the frames `from..below`, at most `frames_max`, each with the
    /// closures before it.
    ///
    /// # Errors
    /// [`FoldStop::Missing`], [`FoldStop::Unreadable`].
    fn records(
        &self,
        from: u64,
        below: u64,
        frames_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), FoldStop>;

    /// The frame of a position; none if it is not here.
    ///
    /// # Errors
    /// [`FoldStop::Unreadable`].
    fn frame(&self, position: u64) -> Result<Option<StoredFrame>, FoldStop>;

    /// Reads header and summary of the frame of a position into `out`, and those of some before it where that is cheap;
    /// whether it is here.
    ///
    /// # Errors
    /// [`FoldStop::Unreadable`].
    fn summaries(&self, position: u64, out: &mut Summaries) -> Result<bool, FoldStop> {
        let stored = self.frame(position)?;
        if let Some(stored) = &stored {
            out.take(stored);
        }
        Ok(stored.is_some())
    }
}

impl<D: Disk + Clone> Source for SegmentStore<D> {
    fn records(
        &self,
        from: u64,
        below: u64,
        frames_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), FoldStop> {
        let mut frames = 0;
        for record in Self::records(self, from) {
            let record = record.map_err(unreadable)?;
            if below <= record.position() || frames == frames_max {
                break;
            }
            frames += usize::from(matches!(record, Record::Frame(_)));
            out.push(record);
        }
        Ok(())
    }

    fn frame(&self, position: u64) -> Result<Option<StoredFrame>, FoldStop> {
        self.read(position).map_err(unreadable)
    }

    fn summaries(&self, position: u64, out: &mut Summaries) -> Result<bool, FoldStop> {
        Self::summaries(self, position, out).map_err(unreadable)
    }
}

fn unreadable(error: StoreError) -> FoldStop {
    FoldStop::Unreadable(error.to_string())
}

/// A reader that the process shares: the lock is held for one call at a time, never while a fold computes.
#[derive(Debug)]
pub struct SharedReader<D: Disk>(pub Arc<Mutex<Reader<D>>>);

impl<D: Disk> Clone for SharedReader<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Disk> SharedReader<D> {
    fn lock(&self) -> MutexGuard<'_, Reader<D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk + Clone> SharedReader<D> {
    /// Positions that are final.
    #[must_use]
    pub fn final_size(&self) -> u64 {
        self.lock().final_size()
    }
}

impl<D: Disk + Clone> History for SharedReader<D> {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        self.lock().store().header_hash(stream, first_seq)
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        self.lock().store().event(stream, seq)
    }
}

impl<D: Disk + Clone> Source for SharedReader<D> {
    fn records(
        &self,
        from: u64,
        below: u64,
        frames_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), FoldStop> {
        let reader = self.lock();
        Source::records(reader.store(), from, below, frames_max, out)
    }

    fn frame(&self, position: u64) -> Result<Option<StoredFrame>, FoldStop> {
        self.lock().store().read(position).map_err(unreadable)
    }

    fn summaries(&self, position: u64, out: &mut Summaries) -> Result<bool, FoldStop> {
        let reader = self.lock();
        reader.store().summaries(position, out).map_err(unreadable)
    }
}

/// A source, as a fold looks back at it: nothing at or above some position.
#[derive(Debug)]
pub struct Past<'s, S> {
    source: &'s S,
    below: u64,
    /// Read ahead of a walk backwards.
    summaries: RefCell<Summaries>,
}

impl<'s, S: Source> Past<'s, S> {
    /// The frames below `below`, which is not above what is final in the source.
    #[must_use]
    pub const fn new(source: &'s S, below: u64) -> Self {
        Self {
            source,
            below,
            summaries: RefCell::new(Summaries::new()),
        }
    }
}

impl<S: Source> Backwards for Past<'_, S> {
    fn frame(&self, position: u64) -> Result<StoredFrame, FoldStop> {
        assert!(position < self.below, "a fold looks back, never ahead");
        let stored = self.source.frame(position)?;
        stored.ok_or(FoldStop::Missing { position })
    }

    fn summary(&self, position: u64, out: &mut FrameSummary) -> Result<(), FoldStop> {
        assert!(position < self.below, "a fold looks back, never ahead");
        let mut read = self.summaries.borrow_mut();
        if read.get(position).is_none() {
            self.source.summaries(position, &mut read)?;
        }
        let found = read.get(position);
        out.read(position, found.ok_or(FoldStop::Missing { position })?)
    }
}
