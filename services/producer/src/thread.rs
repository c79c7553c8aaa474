//! A thread of turns, until it is stopped or a turn fails.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

/// A running thread. Dropped, it goes on; [`Thread::stop`] ends it.
#[derive(Debug)]
pub struct Thread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Thread {
    /// Takes one turn after the other; a turn waits itself for as long as it likes. A turn that fails is the last: `fatal` is
    /// called once, with name and reason, for the process to end.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start<E: Display>(
        name: &'static str,
        fatal: Arc<dyn Fn(&str) + Send + Sync>,
        mut turn: impl FnMut() -> Result<(), E> + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let body = move || {
            while !seen.load(Ordering::Acquire) {
                if let Err(error) = turn() {
                    fatal(&format!("{name}: {error}"));
                    return;
                }
            }
        };
        let thread = Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { stop, thread })
    }

    /// Asks it to end, without waiting.
    pub fn ask(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Ends it between two turns, and waits for it.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        self.ask();
        self.thread.join()
    }
}

/// A time in which something is left alone. A clock that went back ends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rest {
    since: u64,
    ms: u64,
}

impl Rest {
    /// It begins now, and lasts so many milliseconds.
    pub const fn begin(&mut self, now: u64, ms: u64) {
        (self.since, self.ms) = (now, ms);
    }

    /// Whether it lasts.
    #[must_use]
    pub fn is_on(&self, now: u64) -> bool {
        now.checked_sub(self.since)
            .is_some_and(|rested| rested < self.ms)
    }
}

/// When something is due that has its turn each so many milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    every_ms: u64,
    last: u64,
}

impl Pace {
    /// It is due at once.
    #[must_use]
    pub const fn new(every_ms: u64) -> Self {
        Self { every_ms, last: 0 }
    }

    /// Whether it is due. With a clock that went back it is.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        self.every_ms <= now.checked_sub(self.last).unwrap_or(u64::MAX)
    }

    /// It has its turn now.
    pub const fn taken(&mut self, now: u64) {
        self.last = now;
    }
}
