//! What a verification says: how far it is, what it found right, or the first fault.

use std::fmt;

use orebook_schema::{Hash, LedgerId};

use super::{StoreError, TornTail};

/// How far a verification is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Files in all.
    pub files_total: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Positions admitted again.
    pub positions: u64,
}

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The ledger; none if there is no position.
    pub ledger: Option<LedgerId>,
    /// Positions.
    pub positions: u64,
    /// Events in their frames.
    pub events: u64,
    /// Positions that an obeyed checkpoint covers.
    pub final_size: u64,
    /// Root of the tree over all positions.
    pub root: Hash,
    /// Streams that were opened or moved from.
    pub streams: u64,
    /// Streams that were closed by a fork.
    pub closures: u64,
    /// Files.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Accepted shares: those said in their own stream, and moved ones that count.
    pub shares: u64,
    /// A last file that holds no position, its segment was only begun; or, where a repair looked, an end that was never
    /// promised. The next start removes it.
    pub torn: Option<TornTail>,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// Path below the disk's root.
    pub file: String,
    /// Offset of the record in question; 0 for the file header.
    pub offset: u64,
    /// The position that should stand there.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} offset {} position {}: {}",
            self.file, self.offset, self.position, self.what
        )
    }
}

pub(super) fn fault(file: &str, offset: u64, position: u64, what: impl ToString) -> Fault {
    Fault {
        file: file.to_owned(),
        offset,
        position,
        what: what.to_string(),
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged {
                file,
                offset,
                position,
                what,
            } => Self {
                file,
                offset,
                position,
                what,
            },
            other => fault("", 0, 0, other),
        }
    }
}
