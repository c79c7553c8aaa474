//! The threads around the ledger: the archiver that keeps and signs, the mirror that follows for everybody else in the
//! process, and the embedded log between them where no Kafka is. Nothing is decided here: `ledger` does that.

mod archive;
mod clock;
mod control;
mod donor;
mod mirror;
mod peer;
mod runbook;
mod segments;
mod shared_log;
mod source;
mod thread;

pub use self::archive::{ArchiveStatus, Forgettable, start_archiver};
pub use self::clock::{new_stream, now_ms};
pub use self::control::{
    CONTROL_BYTES_MAX, ControlError, Shelf, control_router, fetch_control, read_control,
};
pub use self::donor::{FolderDonor, PeerDonor};
pub use self::mirror::{Mirror, MirrorStatus, genesis_into, lock, start_mirror};
pub use self::peer::FetchError;
pub use self::segments::{PIECE_BYTES_MAX, segments_router};
pub use self::shared_log::{LogReader, SharedLog, WaitLog};
pub use self::source::Source;
pub use self::thread::{Fatal, Running, Waits};
