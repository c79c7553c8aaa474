//! The one door to files. Everything in this crate that touches a disk goes through [`Disk`], so that the simulator can
//! lose, tear, misdirect and refuse writes under the very code that runs in production.

pub mod real;

use std::fmt::Debug;

/// Why a disk operation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// No file of that name.
    #[error("{path}: no such file")]
    NotFound {
        /// Path below the disk's root.
        path: String,
    },
    /// A file of that name stands already.
    #[error("{path}: exists already")]
    Exists {
        /// Path below the disk's root.
        path: String,
    },
    /// No room. Nothing that was durable is harmed; the caller refuses new work and may try again later.
    #[error("{path}: no space left on the disk")]
    Full {
        /// Path below the disk's root.
        path: String,
    },
    /// A read reached past the end of the file.
    #[error("{path}: ends before byte {offset}")]
    Short {
        /// Path below the disk's root.
        path: String,
        /// First byte that could not be read.
        offset: u64,
    },
    /// The state of the file is not known any more (a failed write or sync): the process must end and recover at start.
    #[error("{path}: {operation} failed: {cause}")]
    Fatal {
        /// Path below the disk's root.
        path: String,
        /// The operation that failed.
        operation: &'static str,
        /// What the system said.
        cause: String,
    },
}

/// Result of a disk operation.
pub type DiskResult<T> = Result<T, DiskError>;

/// An open file. Offsets and lengths are in bytes.
#[allow(
    clippy::len_without_is_empty,
    reason = "a length that can fail; emptiness is no question here"
)]
pub trait DiskFile: Debug + Send {
    /// Length as of now.
    ///
    /// # Errors
    /// [`DiskError::Fatal`].
    fn len(&self) -> DiskResult<u64>;
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// [`DiskError::Short`] if the file ends before `offset + buf.len()`; [`DiskError::Fatal`].
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> DiskResult<()>;
    /// Writes all of `bytes` at `offset`, growing the file where needed. Durable only after [`DiskFile::sync`].
    ///
    /// # Errors
    /// [`DiskError::Full`] when the file had to grow and could not (nothing is promised of the range written);
    /// [`DiskError::Fatal`].
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> DiskResult<()>;
    /// Zero-fills from the present end up to `len`, so that later writes below `len` need no new space and no new
    /// metadata. Shorter files only; a longer file is left as it is. Synced on return.
    ///
    /// # Errors
    /// [`DiskError::Full`]: the file keeps its former length; [`DiskError::Fatal`].
    fn preallocate(&mut self, len: u64) -> DiskResult<()>;
    /// Cuts the file to `len` bytes. Durable only after [`DiskFile::sync`].
    ///
    /// # Errors
    /// [`DiskError::Fatal`].
    fn truncate(&mut self, len: u64) -> DiskResult<()>;
    /// Makes all bytes and the length durable (fdatasync).
    ///
    /// # Errors
    /// [`DiskError::Fatal`], always: after a failed sync nobody knows what is on the disk.
    fn sync(&mut self) -> DiskResult<()>;
}

/// A folder of files. Paths are relative, `/`-separated and never contain `..`. Names that were created, renamed or
/// removed are durable only after [`Disk::sync_dir`] of their folder.
pub trait Disk: Debug + Send {
    /// Open file of this disk.
    type File: DiskFile;
    /// Makes a folder and its parents; one that exists is no error.
    ///
    /// # Errors
    /// [`DiskError::Full`], [`DiskError::Fatal`].
    fn create_dir(&self, path: &str) -> DiskResult<()>;
    /// Makes an empty file.
    ///
    /// # Errors
    /// [`DiskError::Exists`], [`DiskError::Full`], [`DiskError::Fatal`].
    fn create(&self, path: &str) -> DiskResult<Self::File>;
    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// [`DiskError::NotFound`], [`DiskError::Fatal`].
    fn open(&self, path: &str) -> DiskResult<Self::File>;
    /// Names (without the folder) of the files in a folder, sorted; a folder that does not exist is empty.
    ///
    /// # Errors
    /// [`DiskError::Fatal`].
    fn list(&self, dir: &str) -> DiskResult<Vec<String>>;
    /// Renames within a folder, replacing a file of the new name.
    ///
    /// # Errors
    /// [`DiskError::NotFound`], [`DiskError::Fatal`].
    fn rename(&self, from: &str, to: &str) -> DiskResult<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// [`DiskError::NotFound`], [`DiskError::Fatal`].
    fn remove(&self, path: &str) -> DiskResult<()>;
    /// Makes the folder's names durable.
    ///
    /// # Errors
    /// [`DiskError::Fatal`].
    fn sync_dir(&self, dir: &str) -> DiskResult<()>;
}

/// Bytes read or written at once.
const PIECE_BYTES: u64 = 256 << 10;

/// Writes a range's own bytes over it. Not synced. After a failed sync the system may hold pages for clean that never
/// reached the disk: a process that starts again reads them, and only writing them again makes the next sync true.
///
/// # Errors
/// As [`DiskFile::read_at`] and [`DiskFile::write_at`].
pub fn rewrite<F: DiskFile>(file: &mut F, from: u64, to: u64) -> DiskResult<()> {
    let mut at = from;
    let mut bytes = Vec::new();
    while at < to {
        bytes.resize(usize::try_from((to - at).min(PIECE_BYTES)).unwrap_or(0), 0);
        file.read_at(at, &mut bytes)?;
        file.write_at(at, &bytes)?;
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Writes zeros over a range that lies within the file. Not synced.
///
/// # Errors
/// As [`DiskFile::write_at`].
pub fn zero<F: DiskFile>(file: &mut F, from: u64, to: u64) -> DiskResult<()> {
    let mut at = from;
    while at < to {
        let zeros = vec![0; usize::try_from((to - at).min(PIECE_BYTES)).unwrap_or(0)];
        file.write_at(at, &zeros)?;
        at += zeros.len() as u64;
    }
    Ok(())
}

/// A small file, its first `max` bytes at most; none if it is not there.
///
/// # Errors
/// [`DiskError`].
pub fn small_file<D: Disk>(
    disk: &D,
    dir: &str,
    name: &str,
    max: usize,
) -> DiskResult<Option<Vec<u8>>> {
    let file = match disk.open(&format!("{dir}/{name}")) {
        Err(DiskError::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len.min(max)];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Replaces a small file by write, sync, rename and folder sync: after a crash the old or the new one stands, whole.
///
/// # Errors
/// [`DiskError`]; the former file stands then.
pub fn replace_file<D: Disk>(disk: &D, dir: &str, name: &str, bytes: &[u8]) -> DiskResult<()> {
    let (new, path) = (format!("{dir}/{name}.new"), format!("{dir}/{name}"));
    match disk.remove(&new) {
        Ok(()) | Err(DiskError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut file = disk.create(&new)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(&new, &path)?;
    disk.sync_dir(dir)
}
