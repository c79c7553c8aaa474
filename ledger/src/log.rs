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
    /// Records from `offset` on, at most `max`; empty at the end.
    ///
    /// # Errors
    /// [`LogError::Unavailable`], [`LogError::Gone`], [`LogError::OutOfRange`] if `offset` is past the end.
    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>>;
    /// Sends a record. `Ok` says that it is there, any error that nobody knows.
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
    incarnation: Option<u32>,
    /// Offset of the first record held.
    first: u64,
    records: VecDeque<LogRecord>,
    last_time: u64,
}

impl EmbeddedLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets records below `offset`, which every reader of this process has taken as final.
    pub fn forget_below(&mut self, offset: u64) {
        while self.first < offset && 1 < self.records.len() {
            self.records.pop_front();
            self.first += 1;
        }
    }

    fn check(&self, incarnation: u32) -> LogResult<()> {
        if self.incarnation == Some(incarnation) {
            Ok(())
        } else {
            Err(LogError::Gone(incarnation))
        }
    }

    fn push(&mut self, now: u64, bytes: &[u8]) {
        self.last_time = self.last_time.max(now);
        let offset = self.first + self.records.len() as u64;
        self.records.push_back(LogRecord {
            offset,
            append_time: self.last_time,
            bytes: bytes.to_vec(),
        });
    }
}

impl Log for EmbeddedLog {
    fn newest(&self) -> LogResult<Option<u32>> {
        Ok(self.incarnation)
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.check(incarnation).map(|()| 0)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        self.check(incarnation)?;
        let end = self.first + self.records.len() as u64;
        let out_of_range = LogError::OutOfRange { offset, end };
        if end < offset {
            return Err(out_of_range);
        }
        let skip = offset.checked_sub(self.first).ok_or(out_of_range)?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(self.records.iter().skip(skip).take(max).cloned().collect())
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        self.check(incarnation)?;
        if EMBEDDED_RECORDS_MAX <= self.records.len() {
            return Err(LogError::Full);
        }
        self.push(now, bytes);
        Ok(())
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        if self
            .incarnation
            .is_some_and(|newest| opened.incarnation <= newest)
        {
            return Err(LogError::Exists(opened.incarnation));
        }
        self.incarnation = Some(opened.incarnation);
        self.first = 0;
        self.records.clear();
        self.push(now, &opened.to_bytes());
        Ok(())
    }
}
