//! A disk that fails on order. It keeps everything in memory and knows, for each file and each folder, what is durable
//! and what is only written, so that [`SimDisk::restart`] can leave what a power cut leaves.
//!
//! The model is as hostile as POSIX allows: unsynced writes survive each for itself, in any order, torn at 512 bytes,
//! and the names of different folders survive independently. Folders themselves are durable once made, as
//! `RealDisk` makes them. The same seed and the same operations give the same results.

mod content;
mod files;
mod names;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orebook_ledger::disk::real::{check_folder, check_path, check_rename};
use orebook_ledger::disk::{Disk, DiskError, DiskFile, DiskResult};

use self::state::{State, fatal};

/// Longest file, in bytes; a longer one fails with Fatal, before the machine's memory does.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// How many of the last operations [`SimDisk::operation_log`] keeps.
pub const OPERATION_LOG_MAX: usize = 64;

/// A simulated disk. Clones are handles of the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`]. After a restart it fails with Fatal: it belonged to a former life.
pub struct SimFile {
    state: Arc<Mutex<State>>,
    file: u64,
    life: u64,
    path: String,
    _open: Arc<()>,
}

/// Orders faults of a [`SimDisk`]. What has not happened yet stays ordered over a restart.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    disk: SimDisk,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A test that panicked with the lock held is judged by its panic, not by this one.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultPlan {
    /// Room for all files together, in bytes; `None` is no limit (the default). Creating and growing past it is Full;
    /// writing inside a file's length never is.
    pub fn set_capacity(&self, bytes: Option<u64>) -> &Self {
        lock(&self.disk.state).faults.capacity = bytes;
        self
    }

    /// The `n`-th `sync` or `preallocate` from now (1 is the next, 0 takes the order back) fails with Fatal, and the
    /// pages count as clean: readers see them, a later sync says Ok, a power cut loses them.
    pub fn fail_sync_after(&self, n: u64) -> &Self {
        lock(&self.disk.state).faults.sync_fails_in = n;
        self
    }

    /// The `n`-th mutating operation from now (1 is the next, 0 takes the order back) fails with Fatal "simulated
    /// crash", done or not done as the seed has it, and everything after it fails until a restart.
    pub fn crash_after(&self, n: u64) -> &Self {
        lock(&self.disk.state).faults.crash_in = n;
        self
    }
}

impl SimDisk {
    /// An empty disk; `seed` decides whatever is left to chance.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(seed))),
        }
    }

    /// Where faults are ordered.
    #[must_use]
    pub fn faults(&self) -> FaultPlan {
        FaultPlan { disk: self.clone() }
    }

    /// Mutating operations so far, failed ones included: `write_at`, `preallocate`, `truncate`, `sync`, `create`,
    /// `rename`, `remove`, `sync_dir`. What was refused for its path, or because the disk had crashed, does not count.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.state).operations
    }

    /// The last mutating operations and their paths, oldest first, at most [`OPERATION_LOG_MAX`].
    #[must_use]
    pub fn operation_log(&self) -> Vec<(&'static str, String)> {
        lock(&self.state).log.iter().cloned().collect()
    }

    /// Whether an ordered crash has happened and no restart came after it.
    #[must_use]
    pub fn crashed(&self) -> bool {
        lock(&self.state).crashed
    }

    /// Power cut and start. Of each file every unsynced write survives wholly, not at all, or torn at 512 bytes;
    /// unsynced lengths survive or not; of each folder's unsynced changes of names the first so many survive.
    pub fn restart(&self) {
        lock(&self.state).cut_power();
    }

    /// The process was killed and the machine lives (kill -9): all that was written is there, synced or not, and what
    /// was not synced can still be lost by a later [`SimDisk::restart`].
    pub fn restart_process(&self) {
        lock(&self.state).start_life();
    }

    /// Flips bit `bit % 8` of byte `bit / 8`, on the disk and in its cache.
    ///
    /// # Errors
    /// [`DiskError::NotFound`]; [`DiskError::Short`] if the file ends before that bit.
    pub fn flip_bit(&self, path: &str, bit: u64) -> DiskResult<()> {
        lock(&self.state).flip_bit(path, bit)
    }

    /// The next `write_at` to a file whose path (as it was opened) contains `path_contains` lands `offset_delta` bytes
    /// off, not before byte 0, and reports success. A second order replaces the first.
    pub fn misdirect_next_write(&self, path_contains: &str, offset_delta: i64) {
        let order = Some((path_contains.to_owned(), offset_delta));
        lock(&self.state).faults.misdirect = order;
    }

    /// A file's bytes as a reader would see them; works on a crashed disk too.
    ///
    /// # Errors
    /// [`DiskError::NotFound`]; [`DiskError::Fatal`] for a path that is a folder.
    pub fn read_raw(&self, path: &str) -> DiskResult<Vec<u8>> {
        let state = lock(&self.state);
        let file = state.existing(path, "read_raw")?;
        Ok(state.bytes(file, path, "read_raw")?.to_vec())
    }

    /// Puts `bytes` in place of a file's, or makes the file and its folders; they are durable, and so are all names of
    /// that folder.
    ///
    /// # Errors
    /// [`DiskError::Full`] if a file or folder had to be made and there is no room; [`DiskError::Fatal`] for a path
    /// that no file can have.
    pub fn write_raw(&self, path: &str, bytes: &[u8]) -> DiskResult<()> {
        check_path(path, "write_raw")?;
        lock(&self.state).write_raw(path, bytes.to_vec())
    }

    /// Paths of all files, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        lock(&self.state).paths()
    }

    /// Another disk that holds what this one shows now, all of it durable, with the same capacity and no other fault
    /// ordered: a restored snapshot, a cloned machine. This disk is not changed.
    #[must_use]
    pub fn fork_copy(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(lock(&self.state).copy())),
        }
    }

    fn handle(&self, state: &State, file: u64, path: &str) -> DiskResult<SimFile> {
        let open = Arc::clone(&state.inode(file, path, "open")?.open);
        let path = path.to_owned();
        Ok(SimFile {
            state: Arc::clone(&self.state),
            file,
            life: state.life,
            path,
            _open: open,
        })
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Printing is for failure messages: it must not hang where the lock is held.
        let Ok(state) = self.state.try_lock() else {
            return f.write_str("SimDisk { in use }");
        };
        f.debug_struct("SimDisk")
            .field("life", &state.life)
            .field("crashed", &state.crashed)
            .field("operations", &state.operations)
            .field("paths", &state.paths())
            .finish()
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile")
            .field("path", &self.path)
            .field("file", &self.file)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create_dir(&self, path: &str) -> DiskResult<()> {
        check_folder(path, "create_dir")?;
        let mut state = lock(&self.state);
        state.alive("create_dir", path)?;
        state.create_dir(path)
    }

    fn create(&self, path: &str) -> DiskResult<SimFile> {
        check_path(path, "create")?;
        let mut state = lock(&self.state);
        let file = state.mutate("create", path, |it| it.create(path))?;
        self.handle(&state, file, path)
    }

    fn open(&self, path: &str) -> DiskResult<SimFile> {
        check_path(path, "open")?;
        let state = lock(&self.state);
        state.alive("open", path)?;
        let file = state.existing(path, "open")?;
        self.handle(&state, file, path)
    }

    fn list(&self, dir: &str) -> DiskResult<Vec<String>> {
        check_folder(dir, "list")?;
        let state = lock(&self.state);
        state.alive("list", dir)?;
        state.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> DiskResult<()> {
        check_rename(from, to)?;
        lock(&self.state).mutate("rename", from, |it| it.rename(from, to))
    }

    fn remove(&self, path: &str) -> DiskResult<()> {
        check_path(path, "remove")?;
        lock(&self.state).mutate("remove", path, |it| it.remove(path))
    }

    fn sync_dir(&self, dir: &str) -> DiskResult<()> {
        check_folder(dir, "sync_dir")?;
        lock(&self.state).mutate("sync_dir", dir, |it| it.sync_dir(dir))
    }
}

impl SimFile {
    fn enter(&self, operation: &'static str) -> DiskResult<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        if state.life != self.life {
            return Err(fatal(&self.path, operation, "handle of a former life"));
        }
        state.alive(operation, &self.path)?;
        Ok(state)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> DiskResult<u64> {
        Ok(self
            .enter("len")?
            .bytes(self.file, &self.path, "len")?
            .len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> DiskResult<()> {
        let state = self.enter("read_at")?;
        let bytes = state.bytes(self.file, &self.path, "read_at")?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.checked_add(buf.len());
        let Some(found) = end.and_then(|end| bytes.get(start..end)) else {
            let offset = offset.max(bytes.len() as u64);
            return Err(DiskError::Short {
                path: self.path.clone(),
                offset,
            });
        };
        buf.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> DiskResult<()> {
        let (file, path) = (self.file, &self.path);
        let mut state = self.enter("write_at")?;
        state.mutate("write_at", path, |it| it.write(file, path, offset, bytes))
    }

    fn preallocate(&mut self, len: u64) -> DiskResult<()> {
        let (file, path) = (self.file, &self.path);
        let mut state = self.enter("preallocate")?;
        state.mutate("preallocate", path, |it| it.preallocate(file, path, len))
    }

    fn truncate(&mut self, len: u64) -> DiskResult<()> {
        let (file, path) = (self.file, &self.path);
        self.enter("truncate")?
            .mutate("truncate", path, |it| it.truncate(file, path, len))
    }

    fn sync(&mut self) -> DiskResult<()> {
        let (file, path) = (self.file, &self.path);
        self.enter("sync")?
            .mutate("sync", path, |it| it.sync(file, path, "sync"))
    }
}
