//! Why the spool says no, by what the caller does next.

use orebook_schema::{At, StreamId};

use crate::disk::DiskError;

/// What is wrong with an event that was not taken. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The producer's role may not say this kind, or not by `append` (moved events).
    #[error("its kind is not for this producer to append")]
    NotOurs,
    /// No reader would accept its canonical bytes.
    #[error("it is outside of the format's limits")]
    Illegal,
    /// It refers to a worker or job that was not announced in this epoch, or was retired.
    #[error("it refers to a number that is not announced")]
    Unannounced,
    /// It announces a number that is not the next one.
    #[error("it announces a number out of turn")]
    OutOfTurn,
    /// A block that does not stand right after its share in the same group.
    #[error("a block stands right after its share, in one group")]
    BlockAlone,
}

/// Which room is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullCause {
    /// The spool's own bound, `total_bytes`.
    Bound,
    /// The disk.
    Disk,
}

/// Why the spool did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// Event `index` of the group may not be said. Nothing was written; the rest of the group may be tried alone.
    #[error("event {index} of the group: {fault}")]
    Refused {
        /// Index in the group.
        index: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// The group alone passes a frame's limits: 1,000 events, 48 KiB, 49 days. Nothing was written.
    #[error("the group does not fit into one frame")]
    TooLarge,
    /// What is announced would not fit into half a file any more: retire jobs and workers. Nothing was written.
    #[error("too many workers and jobs are announced: retire some")]
    StateFull,
    /// No room for another file. Nothing of the group was written; cutting, reading and trimming go on, and appending
    /// does when room returns.
    #[error("the spool has no room: {0:?}")]
    Full(FullCause),
    /// A move is not finished: call `move_stream` or `begin` again when there is room.
    #[error("events of a closed stream are not all moved yet")]
    Moving,
    /// `begin` comes first.
    #[error("the spool's epoch is not open yet")]
    NotBegun,
    /// The spool holds nothing of this stream.
    #[error("stream {0} is not in the spool")]
    NoSuchStream(StreamId),
    /// A new stream needs a new id.
    #[error("stream {0} is in the spool already")]
    StreamInUse(StreamId),
    /// The stream has no further epoch.
    #[error("the stream's epochs are used up")]
    EpochsUsedUp,
    /// A policy that no ledger can have, or another than was taught at this place.
    #[error("the policy at {0} is illegal, or differs from the one taught before")]
    Policy(At),
    /// The configuration is outside of its limits.
    #[error("spool configuration: {0}")]
    Config(&'static str),
    /// A file of another ledger or coin.
    #[error("{path} belongs to another ledger or coin")]
    Foreign {
        /// Path of the file.
        path: String,
    },
    /// Durable bytes are not what was written. Nothing was cut or changed: events that miners were promised are in
    /// there, and an operator decides.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// Path of the file.
        path: String,
        /// Offset of the record or head that is damaged.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// The disk failed. After a write or sync the process must end and recover at start.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A write or sync failed before: the process must end.
    #[error("the spool failed before: the process must end")]
    Ended,
}

/// Result of the spool.
pub type SpoolResult<T> = Result<T, SpoolError>;
