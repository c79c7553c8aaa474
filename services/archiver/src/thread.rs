//! A named thread that can be told to stop.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

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
