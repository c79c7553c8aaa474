//! The mirror: one reader for everybody in the process who must know what is admitted and final.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_ledger::admit::State;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{Record, SegmentStore, StoreError, StoredFrame};
use orebook_schema::LedgerId;

use crate::archive::passes;
use crate::shared_log::{LogReader, SharedLog};
use crate::thread::{Fatal, Running};

/// Records taken while the lock is held once.
const RECORDS_MAX: usize = 64;
/// Longest sleep of a turn.
const TURN: Duration = Duration::from_millis(50);
/// Pause after an error that may pass.
const PAUSE: Duration = Duration::from_millis(200);

/// A reader that several threads share. Hold the lock briefly; hot paths try it.
pub type Mirror = Arc<Mutex<Reader<RealDisk>>>;

/// The mirror's reader. A panic elsewhere ends the process; until it has, the reader is as good as it was.
pub fn lock(mirror: &Mirror) -> MutexGuard<'_, Reader<RealDisk>> {
    mirror.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where missing positions come from: an archiver's segment files on this machine.
#[derive(Clone, Debug)]
pub struct Source {
    /// Folder that holds `segments`.
    pub dir: PathBuf,
    /// The ledger.
    pub ledger: LedgerId,
}

impl Source {
    fn open(&self, floor: u64) -> Result<SegmentStore<RealDisk>, StoreError> {
        let disk = RealDisk::new(self.dir.clone());
        SegmentStore::open_read_only(disk, "segments", self.ledger, floor).map(|(store, _)| store)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dir.display())
    }
}

/// Gives a new reader the genesis: a ledger is named by it. Does nothing to a reader that has it.
///
/// # Errors
/// [`ReadError`] if it is not the reader's ledger's, or cannot be stored.
pub fn genesis_into(reader: &mut Reader<RealDisk>, genesis: StoredFrame) -> Result<(), ReadError> {
    if 0 < reader.head().size() {
        return Ok(());
    }
    let mut probe = State::new(reader.head().ledger());
    let bytes = genesis.frame.bytes().to_vec();
    probe.admit(reader.store(), genesis.append_time, bytes)?;
    reader.adopt([Ok(Record::Frame(genesis))], 1, probe.root())
}

/// Runs a mirror on a thread of its own until it is stopped, or `fatal` is called and it ends. Positions that the log does
/// not have any more come from `source`.
///
/// # Errors
/// If the system has no thread left.
pub fn start_mirror(
    mirror: Mirror,
    log: SharedLog,
    log_reader: LogReader,
    source: Source,
    fatal: Fatal,
) -> io::Result<Running> {
    Running::start("mirror", move |stop: &AtomicBool| {
        let mut seen = 0;
        while !stop.load(Ordering::Acquire) {
            let longest = match turn(&mirror, &log, &log_reader) {
                Ok(read) if read == RECORDS_MAX => Duration::ZERO,
                Ok(_) => TURN,
                Err(ReadError::Unopened) => TURN,
                Err(ReadError::Missing { from, to, root }) => {
                    tracing::info!(from, to, %source, "the mirror fetches positions");
                    let store = source.open(to);
                    let adopted = store
                        .map_err(ReadError::from)
                        .and_then(|store| lock(&mirror).adopt(store.records(from), to, root));
                    if let Err(error) = adopted {
                        tracing::warn!(%error, "the mirror cannot fetch yet");
                        std::thread::sleep(PAUSE);
                    }
                    Duration::ZERO
                }
                Err(error) if passes(&error) => {
                    tracing::warn!(%error, "the mirror waits");
                    std::thread::sleep(PAUSE);
                    TURN
                }
                Err(error) => return fatal(&format!("mirror: {error}")),
            };
            seen = log.wait(seen, longest);
        }
    })
}

fn turn(mirror: &Mirror, log: &SharedLog, log_reader: &LogReader) -> Result<usize, ReadError> {
    let mut reader = lock(mirror);
    let read = reader.poll(log, RECORDS_MAX)?;
    let taken = (reader.incarnation(), reader.forgettable_offset());
    drop(reader);
    if let (Some(incarnation), offset) = taken {
        log_reader.taken(incarnation, offset);
    }
    Ok(read)
}
