//! Trimming: what is final leaves, whole files at a time, oldest first.

use std::collections::BTreeMap;

use orebook_schema::StreamId;

use super::Spool;
use super::error::SpoolResult;
use super::file;
use crate::disk::{Disk, DiskError};

/// A stream of which the spool knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldStream {
    /// The stream.
    pub stream: StreamId,
    /// None for the stream in hand; else the sequence number from which on its events were moved.
    pub moved_from: Option<u64>,
}

impl<D: Disk> Spool<D> {
    /// Deletes files all of whose events are final, but not the file in hand, and none with an event at or after
    /// `keep_from_ms` (milliseconds since 1970, by the events' times; `u64::MAX` keeps none for that). `final_next` says
    /// of each stream below which sequence number its events are final; of one that is not named, nothing new. Events
    /// that were moved are final when their copies are. Returns how many files were deleted.
    ///
    /// # Errors
    /// [`super::SpoolError::Disk`], [`super::SpoolError::Ended`]: the process must end.
    pub fn trim(
        &mut self,
        final_next: &BTreeMap<StreamId, u64>,
        keep_from_ms: u64,
    ) -> SpoolResult<u64> {
        self.alive()?;
        let final_next = self.known_final(final_next);
        let released = self.standing.released(&final_next);
        let mut deleted = 0;
        while let Some(oldest) = self.older.front() {
            let is_final = |(stream, (_, next)): (&StreamId, &(u64, u64))| {
                final_next
                    .get(stream)
                    .is_some_and(|reached| next <= reached)
                    || released.get(stream).copied().unwrap_or(false)
            };
            if keep_from_ms <= oldest.last_time || !oldest.spans.iter().all(is_final) {
                break;
            }
            // Each deletion is synced by itself: were a later one to survive alone, a file would be missing.
            let path = file::path(&self.dir, oldest.number);
            let removed = self
                .disk
                .remove(&path)
                .and_then(|()| self.disk.sync_dir(&self.dir));
            removed.map_err(|error| self.end(error))?;
            self.older.pop_front();
            self.full_ms = None;
            deleted += 1;
        }
        let spans = self
            .older
            .iter()
            .chain([&self.meta])
            .map(|meta| &meta.spans);
        self.standing
            .forget_streams(|stream| spans.clone().any(|it| it.contains_key(&stream)));
        Ok(deleted)
    }

    /// The streams that files speak of, in the order they were opened.
    #[must_use]
    pub fn streams(&self) -> Vec<HeldStream> {
        let held = self.standing.streams.iter();
        let moved_from = |closure: &super::standing::Closure| closure.admitted_next;
        held.map(|held| HeldStream {
            stream: held.stream,
            moved_from: held.closure.as_ref().map(moved_from),
        })
        .collect()
    }

    /// What is final by the caller's word, or because it was trimmed: a caller that was restarted does not know of events
    /// that are gone.
    fn known_final(&self, told: &BTreeMap<StreamId, u64>) -> BTreeMap<StreamId, u64> {
        let held = self.standing.streams.iter();
        let reached = held.map(|held| {
            let first = self.metas().find_map(|meta| meta.spans.get(&held.stream));
            let trimmed = first.map_or(u64::MAX, |(first, _)| *first);
            let told = told.get(&held.stream).copied().unwrap_or(0);
            (held.stream, trimmed.max(told))
        });
        reached.collect()
    }

    fn end(&mut self, error: DiskError) -> super::SpoolError {
        self.ended = true;
        error.into()
    }
}
