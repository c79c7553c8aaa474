//! The mirror: one reader for everybody in the process who must know what is admitted and final.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use orebook_ledger::admit::State;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{Record, StoredFrame};

use crate::archive::passes;
use crate::control::Shelf;
use crate::runbook::runbook;
use crate::shared_log::{LogReader, WaitLog};
use crate::source::{Filler, Lack, Source};
use crate::thread::{Fatal, Running, Waits, rest};

/// Records taken while the lock is held once. A mirror that is far behind syncs once for so many: a disk that syncs in milliseconds
/// makes it wait as long as it computes with a quarter of this. They are 12 MiB at most.
const RECORDS_MAX: usize = 256;
/// Longest sleep of a turn.
const TURN: Duration = Duration::from_millis(50);
/// What was read and is not final is written down after so long without finality: it may be all that is left of it when the
/// log and its producer's disk are lost (docs/runbooks/log-lost-final-positions.md).
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);
/// Pause after an error that may pass.
const PAUSE: Duration = Duration::from_millis(200);

/// A reader that several threads share. Hold the lock briefly; hot paths try it.
pub type Mirror = Arc<Mutex<Reader<RealDisk>>>;

/// The mirror's reader. A panic elsewhere ends the process; until it has, the reader is as good as it was.
pub fn lock(mirror: &Mirror) -> MutexGuard<'_, Reader<RealDisk>> {
    mirror.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a mirror's thread shows.
#[derive(Debug, Default)]
pub struct MirrorStatus {
    /// Why it waits for peers, in words, for `/readyz`; nothing if it does not.
    pub waits: Waits,
    /// What the log answered instead of records, with the runbook's name; nothing once it gives some.
    pub trouble: Waits,
    /// What it serves of `control`.
    pub control: Shelf,
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
) -> io::Result<(Running, Arc<MirrorStatus>)> {
    let status = Arc::new(MirrorStatus::default());
    let shown = status.clone();
    let running = Running::start("mirror", move |stop: &AtomicBool| {
        let mut seen = 0;
        let mut filler = Filler::new(source);
        let mut unwritten = None;
        while !stop.load(Ordering::Acquire) {
            let turned = turn(&mirror, &log, log_reader.as_ref(), &shown).and_then(|read| {
                write_down(&mut lock(&mirror), &mut unwritten)?;
                Ok(read)
            });
            let longest = match turned {
                Ok(read) => {
                    shown.waits.set(None);
                    shown.trouble.set(None);
                    if read == RECORDS_MAX {
                        Duration::ZERO
                    } else {
                        TURN
                    }
                }
                Err(ReadError::Unopened) => TURN,
                Err(error) => match Lack::of(&error) {
                    Some(lack) => {
                        let filled = filler.fill(lack, |give| give(&mut lock(&mirror)));
                        shown.waits.after(&error, filled, stop);
                        Duration::ZERO
                    }
                    None if passes(&error) => {
                        let page = runbook(&error);
                        tracing::warn!(%error, runbook = page, "the mirror waits");
                        shown.trouble.set(Some(format!("{error}; see {page}")));
                        rest(stop, PAUSE);
                        TURN
                    }
                    None => return fatal(&format!("mirror: {error}; see {}", runbook(&error))),
                },
            };
            seen = log.wait(seen, longest);
        }
    })?;
    Ok((running, status))
}

/// What waits to be written: since when the files end where they end.
#[derive(Debug)]
struct Unwritten {
    from: u64,
    since: Instant,
}

/// Syncs what waits for finality longer than [`WRITTEN_WITHIN`]. Readers sync by themselves when something becomes final.
fn write_down(
    reader: &mut Reader<RealDisk>,
    unwritten: &mut Option<Unwritten>,
) -> Result<(), ReadError> {
    let (from, size) = (reader.store().synced_size(), reader.store().size());
    if from == size {
        *unwritten = None;
        return Ok(());
    }
    let known = unwritten.take().filter(|known| known.from == from);
    let known = known.unwrap_or_else(|| Unwritten {
        from,
        since: Instant::now(),
    });
    if WRITTEN_WITHIN <= known.since.elapsed() {
        return reader.persist();
    }
    *unwritten = Some(known);
    Ok(())
}

fn turn(
    mirror: &Mirror,
    log: &impl WaitLog,
    log_reader: Option<&LogReader>,
    shown: &MirrorStatus,
) -> Result<usize, ReadError> {
    let mut reader = lock(mirror);
    let read = reader.poll(log, RECORDS_MAX)?;
    let taken = (reader.incarnation(), reader.forgettable_offset());
    let changed = shown.control.look(&reader);
    drop(reader);
    if let Some(changed) = changed {
        shown.control.put(&changed);
    }
    if let ((Some(incarnation), offset), Some(log_reader)) = (taken, log_reader) {
        log_reader.taken(incarnation, offset);
    }
    Ok(read)
}
