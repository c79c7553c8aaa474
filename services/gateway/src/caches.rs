//! Caches of ethash: one of an epoch for the whole process, the next epoch's made ahead, all kept on disk.
//!
//! Making a cache takes seconds, so a thread does it while everything else goes on. A cache that was made is written to a file
//! and mapped from there: the next start has it at once, and gateways of one machine share the memory. At most
//! [`CACHES_MAX`] are held: the epoch's and its neighbour. Where a whole dataset's file lies beside them, it answers instead
//! ([`make_dataset`]). Not here: which questions are asked (`checks`), what a cache is ([`orebook_pow::ethash`]).

mod files;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use orebook_pow::ethash::{Cache, Epoch, EpochRule, Prove};

pub use self::files::make_dataset;

/// Caches that are held at most, 72 MiB each at epoch 450: the work's epoch, and the one before or after it.
pub const CACHES_MAX: usize = 2;
/// So many blocks before its first one an epoch's cache is made: three and a half hours at 13 seconds a block.
pub const AHEAD_BLOCKS: u64 = 1_000;

/// Called, in the thread that makes caches, when one became ready.
pub type CacheWake = Arc<dyn Fn() + Send + Sync>;

/// What was done for caches since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Made from their seed.
    pub made: u64,
    /// Taken from files, datasets too.
    pub loaded: u64,
    /// Files that were damaged, or of something else, and not used.
    pub refused: u64,
    /// Times that the disk failed; the cache is held in memory then.
    pub failed: u64,
    /// Held now.
    pub held: u64,
}

/// The caches of a coin. Dropped, it waits for the cache that is being made, if there is one.
pub struct Caches {
    rule: EpochRule,
    shared: Arc<Shared>,
    maker: Option<JoinHandle<()>>,
}

struct Shared {
    folder: Option<PathBuf>,
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Default)]
struct Book {
    /// What must be there; the first one first.
    wanted: Vec<Epoch>,
    /// What is there; the newest last.
    ready: Vec<Arc<dyn Prove>>,
    figures: CacheFigures,
    stopped: bool,
}

impl Caches {
    /// Starts the thread. Files are kept in `folder`, which is made; without one caches are held in memory only.
    ///
    /// # Errors
    /// The folder cannot be made, or the system gives no thread.
    pub fn start(rule: EpochRule, folder: Option<&Path>, wake: CacheWake) -> io::Result<Self> {
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
        }
        let shared = Arc::new(Shared {
            folder: folder.map(Path::to_path_buf),
            book: Mutex::new(Book::default()),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let maker = std::thread::Builder::new().name("ethash-caches".to_owned());
        let maker = maker.spawn(move || of_thread.make_wanted(&wake))?;
        Ok(Self {
            rule,
            shared,
            maker: Some(maker),
        })
    }

    /// Says that there is work of this height: its epoch's cache is wanted, and the next one's from [`AHEAD_BLOCKS`] before its
    /// first block on. `None` where the epoch is not known: no claim of such work can be checked.
    #[must_use]
    pub fn follow(&self, height: u64) -> Option<Epoch> {
        let epoch = self.rule.epoch(height)?;
        let mut wanted = vec![epoch];
        if let Some((first, next)) = self.rule.next(height)
            && first - height <= AHEAD_BLOCKS
        {
            wanted.push(next);
        }
        let mut book = self.shared.lock();
        if book.wanted != wanted {
            book.wanted = wanted;
            self.shared.changed.notify_all();
        }
        Some(epoch)
    }

    /// What answers questions of an epoch, if it is ready.
    #[must_use]
    pub fn get(&self, epoch: Epoch) -> Option<Arc<dyn Prove>> {
        self.shared.lock().get(epoch)
    }

    /// Wants an epoch's cache and waits until it is ready: seconds. For those who serve nobody meanwhile.
    #[must_use]
    pub fn wait(&self, epoch: Epoch) -> Arc<dyn Prove> {
        let mut book = self.shared.lock();
        loop {
            if let Some(cache) = book.get(epoch) {
                return cache;
            }
            if book.wanted != [epoch] {
                book.wanted = vec![epoch];
                self.shared.changed.notify_all();
            }
            book = self.shared.wait(book);
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn figures(&self) -> CacheFigures {
        let book = self.shared.lock();
        CacheFigures {
            held: book.ready.len() as u64,
            ..book.figures
        }
    }
}

impl Drop for Caches {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(maker) = self.maker.take()
            && maker.join().is_err()
        {
            tracing::error!("the thread that makes caches had ended");
        }
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caches")
            .field("rule", &self.rule)
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}

impl Book {
    fn get(&self, epoch: Epoch) -> Option<Arc<dyn Prove>> {
        let found = self.ready.iter().find(|cache| cache.epoch() == epoch);
        found.map(Arc::clone)
    }

    fn missing(&self) -> Option<Epoch> {
        let mut wanted = self.wanted.iter().copied();
        wanted.find(|epoch| self.get(*epoch).is_none())
    }

    /// Takes a cache; the oldest that nobody wants goes where there are too many.
    fn take(&mut self, cache: Arc<dyn Prove>) {
        self.ready.push(cache);
        while CACHES_MAX < self.ready.len() {
            let unwanted = |cache: &Arc<dyn Prove>| !self.wanted.contains(&cache.epoch());
            let goes = self.ready.iter().position(unwanted).unwrap_or(0);
            self.ready.remove(goes);
        }
    }
}

impl Shared {
    /// A panic ends the process; until it has, what was held is as good as it was.
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'b>(&self, book: MutexGuard<'b, Book>) -> MutexGuard<'b, Book> {
        let woken = self.changed.wait(book);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    fn make_wanted(&self, wake: &CacheWake) {
        let mut book = self.lock();
        while !book.stopped {
            let Some(epoch) = book.missing() else {
                book = self.wait(book);
                continue;
            };
            drop(book);
            let cache = self.load_or_make(epoch);
            book = self.lock();
            book.take(cache);
            self.changed.notify_all();
            drop(book);
            wake();
            book = self.lock();
        }
    }

    fn load_or_make(&self, epoch: Epoch) -> Arc<dyn Prove> {
        let Some(folder) = &self.folder else {
            return self.made(Cache::build(epoch));
        };
        let count = |counted: fn(&mut CacheFigures) -> &mut u64| {
            *counted(&mut self.lock().figures) += 1;
        };
        let found = files::load(folder, epoch, &mut |path, problem| match problem {
            files::Problem::Flaw(flaw) => {
                count(|figures| &mut figures.refused);
                tracing::warn!(file = %path.display(), %flaw, "a kept file is not used");
            }
            files::Problem::Io(error) => {
                count(|figures| &mut figures.failed);
                tracing::warn!(file = %path.display(), %error, "a kept file cannot be read");
            }
        });
        if let Some(found) = found {
            count(|figures| &mut figures.loaded);
            return found;
        }
        let cache = Cache::build(epoch);
        match files::keep(folder, &cache) {
            Ok(Some(mapped)) => self.made(mapped),
            // What was written does not read back as it was: the memory is right.
            Ok(None) => {
                count(|figures| &mut figures.refused);
                self.made(cache)
            }
            Err(error) => {
                count(|figures| &mut figures.failed);
                tracing::warn!(folder = %folder.display(), %error, "a cache is not kept on disk");
                self.made(cache)
            }
        }
    }

    fn made(&self, cache: Cache) -> Arc<dyn Prove> {
        self.lock().figures.made += 1;
        tracing::info!(epoch = ?cache.epoch(), "an ethash cache was made");
        Arc::new(cache)
    }
}

#[cfg(test)]
mod tests;
