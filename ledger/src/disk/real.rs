//! The disk of the machine: files below one root folder, through the standard library only.

use std::fmt::{self, Debug};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskError, DiskFile, DiskResult};

/// Bytes written at a time while zero-filling. The system caches a file in pieces as large as those it was written in, and ext4
/// goes over every block of such a piece at each small write to it: with 1 MiB a commit cost 20 us more.
const ZERO_PIECE_BYTES: u64 = 16 << 10;
/// Mode of new files: the owner writes, the group (backup, auditors) reads.
const FILE_MODE: u32 = 0o640;
/// Mode of new folders.
const FOLDER_MODE: u32 = 0o750;

/// The folder a path lies in (`""` is the root) and its name there.
#[must_use]
pub fn split_path(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Checks the path of a file: relative, `/`-separated, each part a plain name. Every [`Disk`] refuses what this
/// refuses, so that one file has one spelling.
///
/// # Errors
/// [`DiskError::Fatal`] naming `operation`: empty path or part, leading or trailing `/`, `.`, `..`, or a NUL.
pub fn check_path(path: &str, operation: &'static str) -> DiskResult<()> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if path.split('/').all(plain) {
        return Ok(());
    }
    Err(fatal(path, operation, "not a plain relative path"))
}

/// Checks the path of a folder: as [`check_path`], and `""` is the root.
///
/// # Errors
/// [`DiskError::Fatal`], as [`check_path`].
pub fn check_folder(path: &str, operation: &'static str) -> DiskResult<()> {
    if path.is_empty() {
        Ok(())
    } else {
        check_path(path, operation)
    }
}

/// Checks both paths of a rename: each as [`check_path`], both in one folder.
///
/// # Errors
/// [`DiskError::Fatal`], as [`check_path`], or if the folders differ.
pub fn check_rename(from: &str, to: &str) -> DiskResult<()> {
    check_path(from, "rename")?;
    check_path(to, "rename")?;
    if split_path(from).0 == split_path(to).0 {
        return Ok(());
    }
    Err(fatal(from, "rename", "the new name lies in another folder"))
}

fn fatal(path: &str, operation: &'static str, cause: impl ToString) -> DiskError {
    DiskError::Fatal {
        path: path.to_owned(),
        operation,
        cause: cause.to_string(),
    }
}

/// No room: on the disk, in the quota, or in what the system lets one file be (a limit of the process, which may be lifted
/// while it runs; it must not end at SIGXFSZ then).
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn full_or_fatal(path: &str, operation: &'static str, error: &io::Error) -> DiskError {
    if is_full(error) {
        DiskError::Full {
            path: path.to_owned(),
        }
    } else {
        fatal(path, operation, error)
    }
}

fn missing_or_fatal(path: &str, operation: &'static str, error: &io::Error) -> DiskError {
    if error.kind() == io::ErrorKind::NotFound {
        DiskError::NotFound {
            path: path.to_owned(),
        }
    } else {
        fatal(path, operation, error)
    }
}

/// An operation that changes the disk, for who watches a [`RealDisk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Path below the disk's root.
    pub path: &'a str,
    /// `create`, `write_at`, `preallocate`, `truncate`, `sync`, `rename`, `remove` or `sync_dir`.
    pub name: &'static str,
    /// Whether it succeeded just now; else it is about to happen.
    pub done: bool,
}

/// Is told before an operation and after its success, on the thread that does it.
pub type Watch = Arc<dyn Fn(Operation<'_>) + Send + Sync>;

#[derive(Clone, Default)]
struct Watched(Option<Watch>);

impl Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "watched"
        } else {
            "unwatched"
        })
    }
}

impl Watched {
    /// Runs `operation` between the two calls.
    fn run<T>(
        &self,
        path: &str,
        name: &'static str,
        operation: impl FnOnce() -> DiskResult<T>,
    ) -> DiskResult<T> {
        let tell = |done| {
            if let Some(watch) = &self.0 {
                watch(Operation { path, name, done });
            }
        };
        tell(false);
        let done = operation()?;
        tell(true);
        Ok(done)
    }
}

/// An open file of a [`RealDisk`].
#[derive(Debug)]
pub struct RealFile {
    file: File,
    path: String,
    watched: Watched,
}

impl RealFile {
    fn zero_fill(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; usize::try_from(ZERO_PIECE_BYTES.min(to - from)).unwrap_or(0)];
        let mut at = from;
        while at < to {
            let wanted = usize::try_from(to - at)
                .unwrap_or(usize::MAX)
                .min(zeros.len());
            let piece = zeros.get(..wanted).unwrap_or(&zeros);
            self.file.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn fill_to(&self, len: u64) -> DiskResult<()> {
        let former = self.len()?;
        if former < len
            && let Err(error) = self.zero_fill(former, len)
        {
            if is_full(&error) {
                let restored = self.file.set_len(former);
                restored.map_err(|error| fatal(&self.path, "preallocate", error))?;
            }
            return Err(full_or_fatal(&self.path, "preallocate", &error));
        }
        // Also when nothing was missing: a former process may have filled the file and died before its sync.
        self.file
            .sync_data()
            .map_err(|error| fatal(&self.path, "preallocate", error))
    }
}

impl DiskFile for RealFile {
    fn len(&self) -> DiskResult<u64> {
        let metadata = self.file.metadata();
        metadata
            .map(|it| it.len())
            .map_err(|error| fatal(&self.path, "len", error))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> DiskResult<()> {
        let short = |offset| DiskError::Short {
            path: self.path.clone(),
            offset,
        };
        let end = offset.saturating_add(buf.len() as u64);
        // The system takes offsets as i64, and answers an empty read without looking at the length.
        if i64::try_from(end).is_err() || (buf.is_empty() && end > self.len()?) {
            return Err(short(offset.max(self.len()?)));
        }
        match self.file.read_exact_at(buf, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(short(offset.max(self.len()?)))
            }
            Err(error) => Err(fatal(&self.path, "read_at", error)),
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> DiskResult<()> {
        self.watched.run(&self.path, "write_at", || {
            let written = self.file.write_all_at(bytes, offset);
            written.map_err(|error| full_or_fatal(&self.path, "write_at", &error))
        })
    }

    fn preallocate(&mut self, len: u64) -> DiskResult<()> {
        self.watched
            .run(&self.path, "preallocate", || self.fill_to(len))
    }

    fn truncate(&mut self, len: u64) -> DiskResult<()> {
        if len >= self.len()? {
            return Ok(());
        }
        self.watched.run(&self.path, "truncate", || {
            let cut = self.file.set_len(len);
            cut.map_err(|error| fatal(&self.path, "truncate", error))
        })
    }

    fn sync(&mut self) -> DiskResult<()> {
        self.watched.run(&self.path, "sync", || {
            let synced = self.file.sync_data();
            synced.map_err(|error| fatal(&self.path, "sync", error))
        })
    }
}

/// The files below one folder of the machine. Cheap to clone; holds nothing open.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
    watched: Watched,
}

impl RealDisk {
    /// A disk whose paths lie below `root`. Touches nothing: a root that does not exist is made by
    /// [`Disk::create_dir`], with `""` or any folder below.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            watched: Watched::default(),
        }
    }

    /// The same disk, and `watch` is told of what is done through it: crash tests end the process there.
    #[must_use]
    pub fn watched(self, watch: Watch) -> Self {
        Self {
            watched: Watched(Some(watch)),
            ..self
        }
    }

    fn file(&self, file: File, path: &str) -> RealFile {
        RealFile {
            file,
            path: path.to_owned(),
            watched: self.watched.clone(),
        }
    }

    fn place(&self, path: &str) -> PathBuf {
        // Joining "" would append a slash.
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    // The dot refuses what is no folder, and makes "", the parent of a relative root, one that can be opened.
    File::open(folder.join("."))?.sync_all()
}

/// Makes a folder and syncs every folder that received a name, and those of our own up to `root`: a former process may
/// have made them and died before its sync.
fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    let mut stood = folder;
    while !stood.as_os_str().is_empty() && !stood.try_exists()? {
        stood = stood.parent().unwrap_or(Path::new(""));
    }
    let highest = if root.starts_with(stood) { stood } else { root };
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)?;
    for parent in folder
        .ancestors()
        .skip(1)
        .take_while(|it| it.starts_with(highest))
    {
        sync_folder(parent)?;
    }
    Ok(())
}

impl Disk for RealDisk {
    type File = RealFile;

    /// Durable on return: the folders that received a name are synced.
    fn create_dir(&self, path: &str) -> DiskResult<()> {
        check_folder(path, "create_dir")?;
        let made = make_folders(&self.root, &self.place(path));
        made.map_err(|error| full_or_fatal(path, "create_dir", &error))
    }

    fn create(&self, path: &str) -> DiskResult<RealFile> {
        check_path(path, "create")?;
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE);
        self.watched
            .run(path, "create", || match options.open(self.place(path)) {
                Ok(file) => Ok(self.file(file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Err(DiskError::Exists {
                        path: path.to_owned(),
                    })
                }
                Err(error) => Err(full_or_fatal(path, "create", &error)),
            })
    }

    fn open(&self, path: &str) -> DiskResult<RealFile> {
        check_path(path, "open")?;
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.place(path));
        let file = opened.map_err(|error| missing_or_fatal(path, "open", &error))?;
        Ok(self.file(file, path))
    }

    /// A name that is not UTF-8 is [`DiskError::Fatal`]: it is none of ours, and nothing is passed over in silence.
    fn list(&self, dir: &str) -> DiskResult<Vec<String>> {
        check_folder(dir, "list")?;
        let failed = |error| fatal(dir, "list", error);
        let entries = match fs::read_dir(self.place(dir)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                continue;
            }
            let name = entry.file_name().into_string();
            names.push(name.map_err(|name| fatal(dir, "list", format!("{name:?} is not UTF-8")))?);
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> DiskResult<()> {
        check_rename(from, to)?;
        let failed = |error| missing_or_fatal(from, "rename", &error);
        let old = self.place(from);
        if fs::symlink_metadata(&old).map_err(failed)?.is_dir() {
            return Err(fatal(from, "rename", "is a folder"));
        }
        self.watched.run(from, "rename", || {
            fs::rename(old, self.place(to)).map_err(failed)
        })
    }

    fn remove(&self, path: &str) -> DiskResult<()> {
        check_path(path, "remove")?;
        self.watched.run(path, "remove", || {
            let removed = fs::remove_file(self.place(path));
            removed.map_err(|error| missing_or_fatal(path, "remove", &error))
        })
    }

    fn sync_dir(&self, dir: &str) -> DiskResult<()> {
        check_folder(dir, "sync_dir")?;
        self.watched.run(dir, "sync_dir", || {
            sync_folder(&self.place(dir)).map_err(|error| fatal(dir, "sync_dir", error))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn who_watches_is_told_before_and_after_and_of_no_success_that_was_none() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let watch: Watch = Arc::new(move |it: Operation<'_>| {
            let line = format!("{} {} {}", it.path, it.name, it.done);
            told.lock().unwrap().push(line);
        });
        let disk = RealDisk::new(dir.path().to_path_buf()).watched(watch);
        let mut file = disk.create("a").unwrap();
        file.write_at(0, b"x").unwrap();
        file.sync().unwrap();
        disk.sync_dir("").unwrap();
        assert!(disk.create("a").is_err(), "it stands already");
        let expected = [
            "a create false",
            "a create true",
            "a write_at false",
            "a write_at true",
            "a sync false",
            "a sync true",
            " sync_dir false",
            " sync_dir true",
            "a create false",
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
