//! The embedded log, shared by the threads of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_ledger::log::{EmbeddedLog, Log, LogRecord, LogResult};
use orebook_schema::frame::IncarnationOpened;

#[derive(Debug, Default)]
struct Held {
    log: EmbeddedLog,
    /// What each reader of this process has taken as final: (incarnation, offset).
    taken: BTreeMap<u32, Option<(u32, u64)>>,
    next_reader: u32,
    /// Grows with every record.
    changes: u64,
}

/// The embedded log behind a lock. Clones are the same log. Records are forgotten once every [`LogReader`] has taken them.
#[derive(Clone, Debug, Default)]
pub struct SharedLog {
    shared: Arc<(Mutex<Held>, Condvar)>,
}

/// A log whose threads sleep until it may have grown.
pub trait WaitLog: Log + Send + 'static {
    /// Waits until the log may have changed since `seen`, at most `longest`. Returns what to pass as `seen` the next time.
    fn wait(&self, seen: u64, longest: Duration) -> u64;
}

impl WaitLog for SharedLog {
    fn wait(&self, seen: u64, longest: Duration) -> u64 {
        Self::wait(self, seen, longest)
    }
}

/// One reader's word on what it has taken. While it exists, nothing is forgotten that it has not taken.
#[derive(Debug)]
pub struct LogReader {
    log: SharedLog,
    number: u32,
}

impl SharedLog {
    /// A log without an incarnation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a reader; readers of one process register before the archiver starts.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        let mut held = self.held();
        let number = held.next_reader;
        held.next_reader += 1;
        held.taken.insert(number, None);
        drop(held);
        LogReader {
            log: self.clone(),
            number,
        }
    }

    /// Waits until the log changed since `seen`, at most `longest`. Returns what to pass as `seen` the next time.
    #[must_use]
    pub fn wait(&self, seen: u64, longest: Duration) -> u64 {
        let held = self.held();
        let (_, grown) = &*self.shared;
        let waited = grown.wait_timeout_while(held, longest, |held| held.changes == seen);
        waited
            .map_or_else(|poisoned| poisoned.into_inner().0, |(held, _)| held)
            .changes
    }

    /// Records held now.
    #[must_use]
    pub fn held_records(&self) -> usize {
        self.held().log.held()
    }

    // A panic ends the process (see `orebook`); until it has, the log is as good as it was.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, mut held: MutexGuard<'_, Held>) {
        held.changes += 1;
        drop(held);
        self.shared.1.notify_all();
    }
}

impl LogReader {
    /// Says that everything below `offset` of `incarnation` is final for this reader.
    pub fn taken(&self, incarnation: u32, offset: u64) {
        let mut held = self.log.held();
        held.taken.insert(self.number, Some((incarnation, offset)));
        let Ok(Some(newest)) = held.log.newest() else {
            return;
        };
        let lowest = held.taken.values().map(|taken| match taken {
            Some((number, offset)) if *number == newest => *offset,
            _ => 0,
        });
        let lowest = lowest.min().unwrap_or(0);
        held.log.forget_below(lowest);
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.log.held().taken.remove(&self.number);
    }
}

impl Log for SharedLog {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.held().log.newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.held().log.generation(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        self.held().log.read(incarnation, offset, max)
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.held().log.offset_at(incarnation, append_time)
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        let mut held = self.held();
        held.log.send(incarnation, now, bytes)?;
        self.changed(held);
        Ok(())
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        let mut held = self.held();
        held.log.open_incarnation(now, opened)?;
        self.changed(held);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use orebook_schema::{Hash, LedgerId};

    use super::*;

    fn opened(incarnation: u32) -> IncarnationOpened {
        IncarnationOpened {
            ledger: LedgerId([7; 16]),
            incarnation,
            next_position: 1,
            root: Hash([1; 32]),
        }
    }

    #[test]
    fn a_record_is_forgotten_once_every_reader_has_taken_it() {
        let mut log = SharedLog::new();
        let (first, second) = (log.reader(), log.reader());
        log.open_incarnation(1, &opened(0)).unwrap();
        for n in 0..10_u8 {
            log.send(0, 1, &[n]).unwrap();
        }
        first.taken(0, 8);
        assert_eq!(log.held_records(), 10, "the second reader took nothing");
        second.taken(0, 5);
        assert_eq!(log.held_records(), 6, "offsets 5 to 10");
        drop(second);
        first.taken(0, 8);
        assert_eq!(log.held_records(), 3, "a reader that is gone does not hold");
    }

    #[test]
    fn what_was_taken_of_an_older_incarnation_says_nothing_of_the_next() {
        let mut log = SharedLog::new();
        let reader = log.reader();
        log.open_incarnation(1, &opened(0)).unwrap();
        log.open_incarnation(2, &opened(1)).unwrap();
        log.send(1, 3, b"x").unwrap();
        reader.taken(0, 9);
        assert_eq!(log.held_records(), 1);
        reader.taken(1, 2);
        assert_eq!(log.held_records(), 0);
    }

    #[test]
    fn who_waits_is_woken_by_a_record() {
        let mut log = SharedLog::new();
        log.open_incarnation(1, &opened(0)).unwrap();
        let seen = log.wait(u64::MAX, Duration::ZERO);
        let waiter = log.clone();
        let thread = std::thread::spawn(move || waiter.wait(seen, Duration::from_secs(60)));
        log.send(0, 1, b"x").unwrap();
        assert!(seen < thread.join().unwrap());
    }
}
