//! The archiver's thread.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orebook_ledger::archiver::{ArchiveError, Archiver};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::publisher::PublishError;
use orebook_ledger::reader::ReadError;
use orebook_ledger::spool::SpoolError;

use crate::clock::{new_stream, now_ms};
use crate::control::Shelf;
use crate::runbook::runbook;
use crate::shared_log::{LogReader, WaitLog};
use crate::source::{Filler, Lack, Source};
use crate::thread::{Fatal, Running, Waits, rest};

/// Records taken in one turn.
const RECORDS_MAX: usize = 512;
/// Longest sleep of a turn: checkpoints become due by the clock too.
const TURN: Duration = Duration::from_millis(25);
/// Pause after an error that may pass.
const PAUSE: Duration = Duration::from_millis(200);

/// What an archiver's thread shows, for metrics.
#[derive(Debug, Default)]
pub struct ArchiveStatus {
    /// Positions read.
    pub head: AtomicU64,
    /// Positions that are final.
    pub final_size: AtomicU64,
    /// Positions that it signed for.
    pub signed: AtomicU64,
    /// When it last signed more than before, milliseconds since 1970.
    pub signed_at: AtomicU64,
    /// Turns that ended in an error that may pass.
    pub errors: AtomicU64,
    /// Names of shares that are held, to find copies of ethash.
    pub names: AtomicU64,
    /// Names forgotten for want of room before their time: copies of such shares are not found.
    pub names_forgotten: AtomicU64,
    /// Shares that have no name here, since their job's seal hash is not held.
    pub unnamed: AtomicU64,
    /// Voids said.
    pub voids: AtomicU64,
    /// What the log may forget as far as this archiver is concerned: what stands before is final, in synced segments.
    pub forgettable: Mutex<Option<Forgettable>>,
    /// Why it waits for peers, in words, for `/readyz`; nothing if it does not.
    pub waits: Waits,
    /// What it serves of `control`.
    pub control: Shelf,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgettable {
    /// Incarnation.
    pub incarnation: u32,
    /// First offset that is still needed.
    pub below: u64,
}

/// Whether a reader's error passes by itself or with room on the disk.
pub(crate) fn passes(error: &ReadError) -> bool {
    match error {
        ReadError::Log(_)
        | ReadError::Unopened
        | ReadError::Missing { .. }
        | ReadError::Behind { .. }
        | ReadError::Dead { .. } => true,
        ReadError::Store(error) => error.is_full(),
        ReadError::Admit(_) => false,
    }
}

const fn spool_passes(error: &SpoolError) -> bool {
    matches!(
        error,
        SpoolError::Full(_) | SpoolError::StateFull | SpoolError::Moving
    )
}

/// The runbook of an archiver's error.
const fn page(error: &ArchiveError) -> &'static str {
    match error {
        ArchiveError::Read(error) => runbook(error),
        ArchiveError::Spool(_) | ArchiveError::Publish(_) => "docs/runbooks/archiver-disk-lost.md",
        ArchiveError::NotExtending { .. } => "docs/runbooks/segment-damaged.md",
    }
}

fn archive_passes(error: &ArchiveError) -> bool {
    match error {
        ArchiveError::Read(error) => passes(error),
        ArchiveError::Spool(error) | ArchiveError::Publish(PublishError::Spool(error)) => {
            spool_passes(error)
        }
        ArchiveError::Publish(PublishError::Admit(_) | PublishError::Refused)
        | ArchiveError::NotExtending { .. } => false,
    }
}

/// Runs an archiver on a thread of its own until it is stopped, or `fatal` is called and it ends. `reader` tells the embedded
/// log what may be forgotten; another log needs none. Positions that the log does not have any more come from `source`: an
/// archiver that comes late, or whose disk is new, signs nothing before it has them.
///
/// # Errors
/// If the system has no thread left.
pub fn start_archiver(
    mut archiver: Archiver<RealDisk>,
    mut log: impl WaitLog,
    reader: Option<LogReader>,
    source: Source,
    fatal: Fatal,
) -> io::Result<(Running, Arc<ArchiveStatus>)> {
    let status = Arc::new(ArchiveStatus::default());
    let shown = status.clone();
    let running = Running::start("archiver", move |stop: &AtomicBool| {
        let mut seen = 0;
        let mut filler = Filler::new(source);
        while !stop.load(Ordering::Acquire) {
            let longest = match turn(&mut archiver, &mut log, reader.as_ref(), &shown) {
                Ok(read) => {
                    shown.waits.set(None);
                    if read == RECORDS_MAX {
                        Duration::ZERO
                    } else {
                        TURN
                    }
                }
                Err(error) if archive_passes(&error) => {
                    shown.errors.fetch_add(1, Ordering::Relaxed);
                    if let ArchiveError::Read(error) = &error
                        && let Some(lack) = Lack::of(error)
                    {
                        let filled = filler.fill(lack, |give| give(archiver.reader_mut()));
                        shown.waits.after(error, filled, stop);
                    } else {
                        tracing::warn!(%error, runbook = page(&error), "the archiver waits");
                        rest(stop, PAUSE);
                    }
                    TURN
                }
                Err(error) => {
                    return fatal(&format!("archiver: {error}; see {}", page(&error)));
                }
            };
            seen = log.wait(seen, longest);
        }
        if let Err(error) = archiver.persist() {
            tracing::warn!(%error, "the newest positions are not in the files yet; the spools have them");
        }
    })?;
    Ok((running, status))
}

fn turn(
    archiver: &mut Archiver<RealDisk>,
    log: &mut impl WaitLog,
    reader: Option<&LogReader>,
    shown: &ArchiveStatus,
) -> Result<usize, ArchiveError> {
    let now = now_ms();
    let read = archiver.tick(log, now, RECORDS_MAX, new_stream())?;
    let ledger = archiver.reader();
    if let Some(changed) = shown.control.look(ledger) {
        shown.control.put(&changed);
    }
    let below = ledger.forgettable_offset();
    if let Some(incarnation) = ledger.incarnation() {
        if let Some(reader) = reader {
            reader.taken(incarnation, below);
        }
        let forgettable = shown.forgettable.lock();
        *forgettable.unwrap_or_else(PoisonError::into_inner) =
            Some(Forgettable { incarnation, below });
    }
    shown.head.store(ledger.head().size(), Ordering::Relaxed);
    shown
        .final_size
        .store(ledger.final_size(), Ordering::Relaxed);
    let copies = archiver.copies();
    shown.names.store(copies.names, Ordering::Relaxed);
    let forgotten = copies.forgotten_early;
    if shown.names_forgotten.swap(forgotten, Ordering::Relaxed) == 0 && 0 < forgotten {
        tracing::warn!(
            held = copies.names,
            "more shares than names: a copy of a share that is no longer held is not found; see docs/runbooks/copies-not-found.md"
        );
    }
    shown.unnamed.store(copies.unnamed, Ordering::Relaxed);
    shown.voids.store(copies.said, Ordering::Relaxed);
    let signed = archiver.signed().map_or(0, |signed| signed.size);
    if shown.signed.swap(signed, Ordering::Relaxed) < signed {
        shown.signed_at.store(now, Ordering::Relaxed);
    }
    Ok(read)
}
