//! Logs that show something else, for planted faults.

use orebook_ledger::log::{Log, LogRecord, LogResult};
use orebook_schema::frame::IncarnationOpened;

use crate::broker::SimBroker;

/// A log that leaves a record out.
#[derive(Debug)]
pub(super) struct Skipping<'a>(pub(super) &'a SimBroker);

impl Log for Skipping<'_> {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.0.newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.0.generation(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        let records = self.0.read(incarnation, offset, max)?;
        Ok(if 1 < records.len() {
            records.into_iter().skip(1).collect()
        } else {
            records
        })
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.0.offset_at(incarnation, append_time)
    }

    fn send(&mut self, _: u32, _: u64, _: &[u8]) -> LogResult<()> {
        Ok(())
    }

    fn open_incarnation(&mut self, _: u64, _: &IncarnationOpened) -> LogResult<()> {
        Ok(())
    }
}

/// What is sent goes to a second log too, if there is one.
#[derive(Debug)]
pub(super) struct Both<'a> {
    pub(super) shown: &'a mut SimBroker,
    pub(super) other: Option<&'a mut SimBroker>,
}

impl Log for Both<'_> {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.shown.newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.shown.generation(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        self.shown.read(incarnation, offset, max)
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.shown.offset_at(incarnation, append_time)
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        if let Some(other) = &mut self.other {
            // What becomes of the second copy is of no interest to the sender.
            other.send(incarnation, now + 1, bytes).unwrap_or_default();
        }
        self.shown.send(incarnation, now, bytes)
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        self.shown.open_incarnation(now, opened)
    }
}
