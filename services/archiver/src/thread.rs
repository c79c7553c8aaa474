//! A named thread that can be told to stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use orebook_ledger::reader::ReadError;

use crate::runbook::runbook;
use crate::source::SourceError;

/// Longest sleep of a thread that is asked to end meanwhile.
const SLICE: Duration = Duration::from_millis(50);
/// Pause after peers gave nothing: they have to read on themselves.
const NOTHING_PAUSE: Duration = Duration::from_secs(1);

/// What a thread calls when the process must end. Called at most once per thread, with the reason in words.
pub type Fatal = Arc<dyn Fn(&str) + Send + Sync>;

/// A running thread. Dropped, it goes on; [`Running::stop`] ends it.
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("thread", &self.thread.thread().name())
            .finish()
    }
}

impl Running {
    /// Starts a thread that runs `body`, which looks at its argument between turns.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn start(
        name: &str,
        body: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = Builder::new()
            .name(name.to_owned())
            .spawn(move || body(&seen))?;
        Ok(Self { stop, thread })
    }

    /// Asks the thread to end, without waiting.
    pub fn ask(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Ends the thread and waits for it.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        self.ask();
        self.thread.join()
    }
}

/// Sleeps, but no longer than the thread is wanted.
pub(crate) fn rest(stop: &AtomicBool, longest: Duration) {
    let until = Instant::now() + longest;
    while !stop.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// Why a reader waits for peers, in words; nothing if it does not.
#[derive(Debug, Default)]
pub struct Waits(Mutex<Option<String>>);

impl Waits {
    /// The words.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What became of asking a source because of `error`. If it gave nothing, the thread rests.
    pub(crate) fn after(
        &self,
        error: &ReadError,
        filled: Result<(), SourceError>,
        stop: &AtomicBool,
    ) {
        match filled {
            Ok(()) => {
                tracing::info!(%error, "what the log does not have came from elsewhere");
                self.set(None);
            }
            Err(why) => {
                tracing::warn!(%error, %why, "the reader waits for peers");
                self.set(Some(format!("{error}; {why}; see {}", runbook(error))));
                rest(stop, NOTHING_PAUSE);
            }
        }
    }
}
