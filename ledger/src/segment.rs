//! Segment files (section 7): admitted frames and the evidence of closures, in order, cut by position only.
//!
//! [`SegmentStore`] writes and reads them; [`verify_files`] is the auditor's check of all their bytes. Who may write what
//! is decided elsewhere: frames come here after admission, and what is final comes as a number.
//!
//! Reading order: [`record`] and [`footer`] (bytes), `scan` (walks over files), `index` and `sealed` (what a file
//! holds), `view` (reading), `summaries` (reading without bodies), `recover` (opening), `trees`, `write` and [`store`] (writing), `report`, [`verify`] and [`repair`].

mod flaw;

pub mod record;

pub mod footer;

mod scan;

mod index;

mod sealed;

mod view;

mod summaries;

mod recover;

mod trees;

mod write;

mod first;

pub mod store;

mod report;

pub mod verify;

pub mod repair;

use orebook_schema::LedgerId;

pub use first::first_frame;
pub use flaw::Flaw;
pub use recover::TornTail;
pub use report::{Fault, Progress, Verified};
pub use store::{SegmentInfo, SegmentStore, StoreConfig};
pub use summaries::{Summaries, Summarised};
pub use verify::verify_files;
pub use view::{Record, Records, StoredFrame};

use crate::admit::AdmitError;
use crate::disk::{Disk, DiskError, DiskResult};

/// Why the store did not do what it was asked. Ask [`StoreError::is_full`] before giving up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk refused or failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes that were promised are not what they were. Nothing is cut: repair the file from a peer.
    #[error("{file} offset {offset} position {position}: {what}")]
    Damaged {
        /// Path below the disk's root.
        file: String,
        /// Offset in the file of the record or header that is wrong.
        offset: u64,
        /// The position that should stand there.
        position: u64,
        /// What is wrong.
        what: String,
    },
    /// The file is of another ledger.
    #[error("{file} belongs to ledger {found}")]
    OtherLedger {
        /// Path below the disk's root.
        file: String,
        /// Its ledger.
        found: LedgerId,
    },
    /// A write or sync failed before: the process must end, and recover at start.
    #[error("a write or sync of the segments failed before: end the process and start again")]
    Failed,
    /// The store was opened by [`SegmentStore::open_read_only`].
    #[error("the segments are open for reading only")]
    ReadOnly,
    /// What is sealed is final: nothing is cut from it or added to it.
    #[error("positions below {sealed_size} are sealed")]
    Sealed {
        /// Positions that are sealed.
        sealed_size: u64,
    },
    /// So much waits for a sync that nothing more is taken: sync first.
    #[error(
        "{bytes} bytes wait for a sync, {} are allowed",
        store::PENDING_BYTES_MAX
    )]
    Pending {
        /// Bytes that wait.
        bytes: usize,
    },
}

impl StoreError {
    /// Whether there was no room: nothing of the batch is promised, nothing before it is harmed, and a later sync may
    /// succeed.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Disk(DiskError::Full { .. }))
    }
}

impl From<StoreError> for AdmitError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Disk(error) => Self::Disk(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

fn damaged(file: &str, offset: u64, position: u64, what: impl ToString) -> StoreError {
    StoreError::Damaged {
        file: file.to_owned(),
        offset,
        position,
        what: what.to_string(),
    }
}

/// A length in memory; one that memory cannot have is the largest, which no slice has.
fn as_index(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// A segment file's name, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileName {
    first: u64,
    sealed: bool,
    path: String,
}

/// First positions from here on are none: counting behind them must not overflow, and nobody gets there.
const FIRST_POSITIONS_END: u64 = 1 << 63;
const OPEN_ENDING: &str = ".open";
const SEALED_ENDING: &str = ".seg";

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

fn path_of(dir: &str, first: u64, sealed: bool) -> String {
    let ending = if sealed { SEALED_ENDING } else { OPEN_ENDING };
    join(dir, &format!("{first:020}{ending}"))
}

/// What a name in a folder of segments is.
enum Named {
    Segment(FileName),
    /// Another ending: not ours.
    Another,
    /// Our ending and no position.
    Wrong,
}

fn file_name(dir: &str, name: &str) -> Named {
    let (stem, sealed) = match (
        name.strip_suffix(SEALED_ENDING),
        name.strip_suffix(OPEN_ENDING),
    ) {
        (Some(stem), _) => (stem, true),
        (_, Some(stem)) => (stem, false),
        (None, None) => return Named::Another,
    };
    let path = join(dir, name);
    let first = stem.parse().unwrap_or(0);
    if path != path_of(dir, first, sealed) || FIRST_POSITIONS_END <= first {
        return Named::Wrong;
    }
    Named::Segment(FileName {
        first,
        sealed,
        path,
    })
}

/// The segment files of a folder, by position, with what is wrong with the first name that is. Files with another
/// ending are not ours and are passed over.
fn list_files<D: Disk>(disk: &D, dir: &str) -> DiskResult<Result<Vec<FileName>, StoreError>> {
    let mut files: Vec<FileName> = Vec::new();
    // Names are sorted, and all of ours have 20 digits: so the files come by position.
    for name in disk.list(dir)? {
        let FileName {
            first,
            sealed,
            path,
        } = match file_name(dir, &name) {
            Named::Segment(file) => file,
            Named::Another => continue,
            Named::Wrong => {
                let path = join(dir, &name);
                return Ok(Err(damaged(&path, 0, 0, "the name is no segment's")));
            }
        };
        if let Some(last) = files.last() {
            if last.first == first {
                return Ok(Err(damaged(
                    &path,
                    0,
                    first,
                    "two files begin at one position",
                )));
            }
            if sealed && !last.sealed {
                return Ok(Err(damaged(
                    &path,
                    0,
                    first,
                    "an open segment stands before a sealed one",
                )));
            }
        }
        files.push(FileName {
            first,
            sealed,
            path,
        });
    }
    if let Some(file) = files.first().filter(|file| file.first != 0) {
        return Ok(Err(damaged(
            &file.path,
            0,
            0,
            "the segments before it are missing",
        )));
    }
    Ok(Ok(files))
}
