//! A projector's folder: one RocksDB for one ledger.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orebook_schema::LedgerId;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, ErrorKind,
    Options,
};

use crate::marker::Marker;
use crate::rocks::{Db, RocksStore};

/// Layout of keys and values at rest. A folder of another layout is emptied and its folds are rebuilt.
pub const LAYOUT: u32 = 1;
/// The column family that says which version each fold's rows are of.
const META: &str = "default";
/// Files that RocksDB keeps open.
const OPEN_FILES_MAX: i32 = 256;
/// Size and number of RocksDB's own log files.
const INFO_LOG_BYTES: usize = 4 << 20;
const INFO_LOGS: usize = 2;
/// RocksDB's flush and compaction threads.
const BACKGROUND_JOBS: i32 = 2;

/// What a folder may use. Above a limit RocksDB flushes, evicts or slows writers down; nothing is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Write-ahead logs on disk, all folds together; above it the oldest rows in memory are flushed. Bounds the time of
    /// a start after a crash too.
    pub wal_bytes_max: u64,
    /// Blocks of files kept in memory.
    pub cache_bytes: usize,
    /// Rows in memory that are not in files yet, all folds together; twice this while a flush runs.
    pub unflushed_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wal_bytes_max: 64 << 20,
            cache_bytes: 64 << 20,
            unflushed_bytes: 32 << 20,
        }
    }
}

/// Why a folder cannot be used, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// The folder holds something else. Nothing in it was touched.
    #[error("{} holds files that are not rows of this software: give another folder, or empty it yourself", .0.display())]
    Foreign(PathBuf),
    /// The folder is another ledger's. Nothing in it was touched.
    #[error("{} holds rows of ledger {ledger}: give another folder, or delete it", dir.display())]
    OtherLedger {
        /// The folder.
        dir: PathBuf,
        /// The ledger it belongs to.
        ledger: LedgerId,
    },
    /// Another process has it open.
    #[error("{} is in use by another process: stop it, or give another folder", .0.display())]
    InUse(PathBuf),
    /// RocksDB cannot read what it wrote.
    #[error("{} is damaged: delete it, the ledger gives the rows again ({what})", dir.display())]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// RocksDB's words.
        what: String,
    },
    /// The system refused: room, rights.
    #[error("{}: {what}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's words.
        what: String,
    },
}

impl FolderError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            what: error.to_string(),
        }
    }

    pub(crate) fn of(dir: &Path, error: rocksdb::Error) -> Self {
        let kind = error.kind();
        let what = error.into_string();
        let locked = kind == ErrorKind::IOError && what.to_ascii_lowercase().contains("lock");
        match kind {
            _ if locked => Self::InUse(dir.to_owned()),
            // A file that RocksDB misses, or a column family that it does not expect, is damage too.
            ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotFound => {
                Self::Damaged {
                    dir: dir.to_owned(),
                    what,
                }
            }
            ErrorKind::IOError if what.contains("No such file") => Self::Damaged {
                dir: dir.to_owned(),
                what,
            },
            _ => Self::Io {
                path: dir.to_owned(),
                what,
            },
        }
    }
}

/// What became of a fold's rows when its store was opened. Log it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There were none.
    New,
    /// They go on.
    Kept,
    /// They were of another version (none: never finished), and were dropped: the fold is rebuilt from genesis.
    Dropped {
        /// Version of the dropped rows.
        had: Option<u32>,
    },
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Kept => f.write_str("kept"),
            Self::Dropped { had: Some(had) } => write!(f, "rows of version {had} were dropped"),
            Self::Dropped { had: None } => f.write_str("unfinished rows were dropped"),
        }
    }
}

/// One RocksDB for one ledger. Clones are the same.
#[derive(Clone)]
pub struct Folder {
    pub(crate) db: Arc<Db>,
    pub(crate) dir: PathBuf,
    pub(crate) ledger: LedgerId,
    families: Options,
    emptied: bool,
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({})", self.dir.display())
    }
}

impl Folder {
    /// Opens the folder, or makes it. One of another [`LAYOUT`] is emptied first ([`Folder::was_emptied`]).
    ///
    /// # Errors
    /// [`FolderError`], which says what to do.
    pub fn open(dir: &Path, ledger: LedgerId, limits: Limits) -> Result<Self, FolderError> {
        let marker = Marker::read(dir)?;
        if let Some(marker) = marker
            && marker.ledger != ledger
        {
            return Err(FolderError::OtherLedger {
                dir: dir.to_owned(),
                ledger: marker.ledger,
            });
        }
        let emptied = marker.is_some_and(|marker| marker.layout != LAYOUT);
        if emptied {
            let path = dir.join("rows");
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::io(&path, &error));
                }
                _ => {}
            }
        }
        if marker != Some(Marker::ours(ledger)) {
            Marker::ours(ledger).write(dir)?;
        }
        let families = family_options(limits);
        let db = open(&dir.join("rows"), limits, &families)?;
        Ok(Self {
            db: Arc::new(db),
            dir: dir.to_owned(),
            ledger,
            families,
            emptied,
        })
    }

    /// Whether the folder was of another layout and lost its rows.
    #[must_use]
    pub const fn was_emptied(&self) -> bool {
        self.emptied
    }

    /// The folder's path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Rows of the fold `name` at `version`; those of another version are dropped. Open each fold once a process.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn store(&self, name: &str, version: u32) -> Result<(RocksStore, Opened), FolderError> {
        let family = format!("fold-{name}");
        let there = self.db.cf_handle(&family).is_some();
        let had = self.version_of(&family)?;
        let opened = match (there, had) {
            (true, Some(had)) if had == version => Opened::Kept,
            (false, None) => Opened::New,
            (_, had) => Opened::Dropped { had },
        };
        if opened != Opened::Kept {
            self.renew(&family, there, version)?;
        }
        let store = RocksStore::new(self.db.clone(), family);
        Ok((store, opened))
    }

    /// Makes an empty family. Its version is written last: a crash on the way leaves unfinished rows, not wrong ones.
    fn renew(&self, family: &str, there: bool, version: u32) -> Result<(), FolderError> {
        let of = |error| FolderError::of(&self.dir, error);
        self.db.delete(family).map_err(of)?;
        if there {
            self.db.drop_cf(family).map_err(of)?;
        }
        self.db.create_cf(family, &self.families).map_err(of)?;
        self.db.put(family, version.to_le_bytes()).map_err(of)
    }

    pub(crate) fn version_of(&self, family: &str) -> Result<Option<u32>, FolderError> {
        let found = self.db.get(family);
        let found = found.map_err(|error| FolderError::of(&self.dir, error))?;
        let read = |bytes: Vec<u8>| <[u8; 4]>::try_from(bytes).ok().map(u32::from_le_bytes);
        Ok(found.and_then(read))
    }

    /// Column families of folds, in name order: (fold's name, version of its rows).
    pub(crate) fn folds(&self) -> Result<Vec<(String, u32)>, FolderError> {
        let options = Options::default();
        let families = Db::list_cf(&options, self.dir.join("rows"));
        let mut families = families.map_err(|error| FolderError::of(&self.dir, error))?;
        families.sort();
        let mut found = Vec::new();
        for family in families {
            if let Some(name) = family.strip_prefix("fold-")
                && let Some(version) = self.version_of(&family)?
            {
                found.push((name.to_owned(), version));
            }
        }
        Ok(found)
    }
}

fn family_options(limits: Limits) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(limits.cache_bytes));
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_write_buffer_size(limits.unflushed_bytes / 2);
    options.set_max_write_buffer_number(2);
    options
}

fn open(dir: &Path, limits: Limits, families: &Options) -> Result<Db, FolderError> {
    let mut options = families.clone();
    options.create_if_missing(true);
    options.set_db_write_buffer_size(limits.unflushed_bytes);
    options.set_max_total_wal_size(limits.wal_bytes_max);
    // What a crash left of the last batch is cut; every batch before it is whole.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_paranoid_checks(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_keep_log_file_num(INFO_LOGS);
    let there = dir.join("CURRENT").exists();
    let names = if there {
        Db::list_cf(&options, dir).map_err(|error| FolderError::of(dir, error))?
    } else {
        vec![META.to_owned()]
    };
    let descriptors = names
        .into_iter()
        .map(|name| ColumnFamilyDescriptor::new(name, families.clone()));
    Db::open_cf_descriptors(&options, dir, descriptors).map_err(|error| FolderError::of(dir, error))
}
