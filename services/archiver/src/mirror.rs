//! The mirror: one reader for everybody in the process who must know what is admitted and final.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_ledger::admit::State;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{Record, SegmentStore, StoreError, StoredFrame};
use orebook_schema::{Hash, LedgerId};
use tokio::runtime::Handle;

use crate::archive::passes;
use crate::peer::{FetchError, Peer};
use crate::shared_log::{LogReader, WaitLog};
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

/// Where positions come from that the log does not have (any more).
#[derive(Clone, Debug)]
pub enum Source {
    /// An archiver's segment files on this machine.
    Folder {
        /// Folder that holds `segments`.
        dir: PathBuf,
        /// The ledger.
        ledger: LedgerId,
    },
    /// Archivers and projectors that serve theirs ([`crate::segments_router`]), asked one after the other.
    Peers {
        /// `host:port` of each.
        addresses: Vec<String>,
        /// Folder whose `segments` are one's own: what is sealed there is not fetched.
        own: PathBuf,
        /// Folder for what is fetched; made if it does not exist, and removed afterwards.
        into: PathBuf,
        /// The ledger.
        ledger: LedgerId,
        /// A runtime with time and IO.
        runtime: Handle,
    },
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("no peer is configured")]
    Nobody,
}

impl Source {
    /// Gives the mirror the positions up to `to`, whose root is `root`.
    fn fill(&self, mirror: &Mirror, (from, to): (u64, u64), root: Hash) -> Result<(), SourceError> {
        match self {
            Self::Folder { dir, ledger } => adopt(mirror, dir, *ledger, (from, to), root),
            Self::Peers {
                addresses,
                own,
                into: all,
                ledger,
                runtime,
            } => {
                let mut last = SourceError::Nobody;
                for (number, address) in addresses.iter().enumerate() {
                    // Each peer has a folder: what one says must not stand in for another.
                    let dir = all.join(number.to_string());
                    let peer = Peer::new(address);
                    let (own, into) = (own.join(SEGMENTS), dir.join(SEGMENTS));
                    let taken = match runtime.block_on(peer.fetch(&own, &into)) {
                        Ok(()) => adopt(mirror, &dir, *ledger, (from, to), root),
                        // What is whole of it is not asked for again.
                        Err(error) => {
                            tracing::warn!(%error, "a peer's segments cannot be fetched");
                            last = error.into();
                            continue;
                        }
                    };
                    // Taken, the mirror has it; refused, nobody wants it.
                    drop(std::fs::remove_dir_all(&dir));
                    match taken {
                        Ok(()) => {
                            drop(std::fs::remove_dir_all(all));
                            return Ok(());
                        }
                        Err(error) => {
                            tracing::warn!(%error, address, "a peer's segments are of no use");
                            last = error;
                        }
                    }
                }
                Err(last)
            }
        }
    }
}

/// Name of the folder of segments in a ledger's folder.
const SEGMENTS: &str = "segments";

fn adopt(
    mirror: &Mirror,
    dir: &Path,
    ledger: LedgerId,
    (from, to): (u64, u64),
    root: Hash,
) -> Result<(), SourceError> {
    let disk = RealDisk::new(dir.to_path_buf());
    let (store, _) = SegmentStore::open_read_only(disk, SEGMENTS, ledger, to)?;
    lock(mirror).adopt(store.records(from), to, root)?;
    Ok(())
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
    log: impl WaitLog,
    log_reader: Option<LogReader>,
    source: Source,
    fatal: Fatal,
) -> io::Result<Running> {
    Running::start("mirror", move |stop: &AtomicBool| {
        let mut seen = 0;
        while !stop.load(Ordering::Acquire) {
            let longest = match turn(&mirror, &log, log_reader.as_ref()) {
                Ok(read) if read == RECORDS_MAX => Duration::ZERO,
                Ok(_) => TURN,
                Err(ReadError::Unopened) => TURN,
                Err(ReadError::Missing { from, to, root }) => {
                    tracing::info!(from, to, "the mirror fetches positions");
                    if let Err(error) = source.fill(&mirror, (from, to), root) {
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

fn turn(
    mirror: &Mirror,
    log: &impl WaitLog,
    log_reader: Option<&LogReader>,
) -> Result<usize, ReadError> {
    let mut reader = lock(mirror);
    let read = reader.poll(log, RECORDS_MAX)?;
    let taken = (reader.incarnation(), reader.forgettable_offset());
    drop(reader);
    if let ((Some(incarnation), offset), Some(log_reader)) = (taken, log_reader) {
        log_reader.taken(incarnation, offset);
    }
    Ok(read)
}
