//! The transport of frames: an ordered log with append times, in incarnations. It may duplicate, reorder between streams, lose
//! acknowledgements and lose a suffix; admission makes of it what counts. Two implementations here and in `ledger/kafka`,
//! and a simulated one that fails on purpose.

use std::collections::VecDeque;

use orebook_schema::frame::IncarnationOpened;

/// One record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it stands; dense from 0 in one incarnation. A hint, never a position.
    pub offset: u64,
    /// When the log took it, milliseconds since 1970.
    pub append_time: u64,
    /// The bytes that were sent.
    pub bytes: Vec<u8>,
}

/// Why the log did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Nobody knows whether it happened. Try again; for a send, what was sent may be there.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The offset is past the end: the log was cut since.
    #[error("offset {offset} is out of range: the log ends at {end}")]
    OutOfRange {
        /// Offset asked for.
        offset: u64,
        /// First offset that is not there.
        end: u64,
    },
    /// The offset is below what the log still has: what stood there was final, archived and deleted. Positions come from
    /// an archiver or another reader.
    #[error("offset {offset} was deleted: the log begins at {first}")]
    Trimmed {
        /// Offset asked for.
        offset: u64,
        /// First offset that is there.
        first: u64,
    },
    /// There is no such incarnation (any more).
    #[error("incarnation {0} does not exist")]
    Gone(u32),
    /// Another opened this incarnation first.
    #[error("incarnation {0} exists already")]
    Exists(u32),
    /// The log's buffer is full for now.
    #[error("the log's buffer is full")]
    Full,
}

/// Result of a log operation.
pub type LogResult<T> = Result<T, LogError>;

/// A log of one ledger.
pub trait Log {
    /// Newest incarnation; none if the log was never opened.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    fn newest(&self) -> LogResult<Option<u32>>;
    /// A number that changes whenever a suffix of this incarnation may have been lost (Kafka: leader epoch).
    ///
    /// # Errors
    /// [`LogError::Unavailable`], [`LogError::Gone`].
    fn generation(&self, incarnation: u32) -> LogResult<u64>;
    /// Records from `offset` on, at least one where there are some and at most `max`; empty at the end.
    ///
    /// # Errors
    /// [`LogError::Unavailable`], [`LogError::Gone`], [`LogError::OutOfRange`] if `offset` is past the end,
    /// [`LogError::Trimmed`] if it is below the beginning. Offset 0, the opening record, is never below it.
    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>>;
    /// First offset above 0 that is still there and whose append time is `append_time` (milliseconds since 1970) or later;
    /// none if there is no such record. A hint: where clocks ran back, an earlier time may follow it.
    ///
    /// # Errors
    /// [`LogError::Unavailable`], [`LogError::Gone`].
    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>>;
    /// Sends a record. `Ok` says that the log has it or has taken it on its way; only reading it back tells that it is
    /// there. An error says that nobody knows, but for [`LogError::Full`]: then it was not taken.
    ///
    /// # Errors
    /// [`LogError`].
    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()>;
    /// Makes a new incarnation that begins with this record.
    ///
    /// # Errors
    /// [`LogError::Exists`] if that number is taken, [`LogError::Unavailable`].
    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()>;
}

/// Most records the embedded log holds; beyond it `send` says [`LogError::Full`] and frames wait in their spools.
pub const EMBEDDED_RECORDS_MAX: usize = 4_096;

/// The embedded log: a broker in the process. Its records live in memory; what they become lives in segments, and what
/// is not final lives in spools, which send it again after a restart. Each start is a new incarnation.
#[derive(Debug, Default)]
pub struct EmbeddedLog {
    opened: Option<(u32, LogRecord)>,
    /// Records after the opening one that are still held, the first of them at offset `forgotten + 1`.
    records: VecDeque<LogRecord>,
    forgotten: u64,
    last_time: u64,
}

impl EmbeddedLog {
    /// A log without an incarnation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets records below `offset`, which every reader of this process has taken as final. The opening one stays.
    pub fn forget_below(&mut self, offset: u64) {
        while self.forgotten + 1 < offset && !self.records.is_empty() {
            self.records.pop_front();
            self.forgotten += 1;
        }
    }

    /// Records held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.records.len()
    }

    fn opening(&self, incarnation: u32) -> LogResult<&LogRecord> {
        match &self.opened {
            Some((number, record)) if *number == incarnation => Ok(record),
            _ => Err(LogError::Gone(incarnation)),
        }
    }

    fn time(&mut self, now: u64) -> u64 {
        self.last_time = self.last_time.max(now);
        self.last_time
    }
}

impl Log for EmbeddedLog {
    fn newest(&self) -> LogResult<Option<u32>> {
        Ok(self.opened.as_ref().map(|(number, _)| *number))
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.opening(incarnation).map(|_| 0)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        let opening = self.opening(incarnation)?;
        let end = self.forgotten + 1 + self.records.len() as u64;
        if offset == 0 {
            return Ok(vec![opening.clone()]);
        }
        if end < offset {
            return Err(LogError::OutOfRange { offset, end });
        }
        let first = self.forgotten + 1;
        let skip = offset.checked_sub(first);
        let skip = skip.ok_or(LogError::Trimmed { offset, first })?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(self.records.iter().skip(skip).take(max).cloned().collect())
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.opening(incarnation)?;
        let mut held = self.records.iter();
        let found = held.find(|record| append_time <= record.append_time);
        Ok(found.map(|record| record.offset))
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        self.opening(incarnation)?;
        if EMBEDDED_RECORDS_MAX <= self.records.len() {
            return Err(LogError::Full);
        }
        let offset = self.forgotten + 1 + self.records.len() as u64;
        let append_time = self.time(now);
        self.records.push_back(LogRecord {
            offset,
            append_time,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        if self
            .newest()?
            .is_some_and(|newest| opened.incarnation <= newest)
        {
            return Err(LogError::Exists(opened.incarnation));
        }
        let append_time = self.time(now);
        let record = LogRecord {
            offset: 0,
            append_time,
            bytes: opened.to_bytes(),
        };
        self.opened = Some((opened.incarnation, record));
        self.records.clear();
        self.forgotten = 0;
        Ok(())
    }
}
