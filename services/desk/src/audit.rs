//! The audit trail: an append-only file of JSON lines, each with the SHA-256 of the line before it.
//!
//! It is also the desk's memory. A command is noted before it is written, so that one that is sent twice is written once,
//! whatever dies in between. A line is synced before anything follows from it; so a torn last line means that nothing
//! did, and is cut. Damage before the last line is never cut: an operator decides.
//!
//! No secret is in it: what commands and approvals say is public in the ledger, and keys are their public halves.

use orebook_ledger::disk::{Disk, DiskError, DiskFile};
use orebook_schema::Hash;
use orebook_schema::units::{hex, unhex};
use serde_json::{Map, Value};

/// Name of the file, in the desk's folder.
pub const AUDIT_FILE: &str = "audit.jsonl";
/// Most bytes of a line, its end included. The longest holds a command of 2 KiB as hex, its words and its answer.
pub const LINE_BYTES_MAX: usize = 16 << 10;
/// Bytes read at once.
const PIECE_BYTES: u64 = 64 << 10;

/// Fields of a line.
pub type Fields = Map<String, Value>;

/// Why the trail cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A line is not what was written: the chain is broken there. Nothing was changed.
    #[error("line {line} of the audit trail: {what}")]
    Damaged {
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// What a trail holds, as far as it is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Lines.
    pub lines: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// SHA-256 of the last line; zero if there is none.
    pub last: Hash,
    /// Bytes after the last whole line: a write that a crash cut off.
    pub torn_bytes: u64,
}

/// The trail, open for writing.
#[derive(Debug)]
pub struct Audit<D: Disk> {
    file: D::File,
    trail: Trail,
}

impl<D: Disk> Audit<D> {
    /// Opens or makes the trail in folder `dir`, gives each of its lines to `each`, and cuts a torn tail.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn open(
        disk: &D,
        dir: &str,
        each: &mut dyn FnMut(&Fields),
    ) -> Result<(Self, Trail), AuditError> {
        disk.create_dir(dir)?;
        let path = format!("{dir}/{AUDIT_FILE}");
        let mut file = match disk.open(&path) {
            Err(DiskError::NotFound { .. }) => {
                let file = disk.create(&path)?;
                disk.sync_dir(dir)?;
                file
            }
            other => other?,
        };
        let trail = read(&file, each)?;
        if 0 < trail.torn_bytes {
            file.truncate(trail.bytes)?;
            file.sync()?;
        }
        Ok((Self { file, trail }, trail))
    }

    /// Appends a line and syncs it: `what` happened, with these fields.
    ///
    /// # Errors
    /// [`DiskError::Full`]: nothing was noted, and the next line takes its place. Any other: the process ends.
    pub fn note(&mut self, now: u64, what: &str, fields: Fields) -> Result<(), DiskError> {
        let mut line = fields;
        line.insert("line".to_owned(), (self.trail.lines + 1).into());
        line.insert("time_ms".to_owned(), now.into());
        line.insert("what".to_owned(), what.into());
        line.insert("before".to_owned(), hex(&self.trail.last.0).into());
        let mut bytes = Value::Object(line).to_string().into_bytes();
        let last = Hash::of(&[&bytes]);
        bytes.push(b'\n');
        assert!(
            bytes.len() <= LINE_BYTES_MAX,
            "a line of the audit trail fits into its limit"
        );
        if let Err(error) = self.file.write_at(self.trail.bytes, &bytes) {
            if matches!(error, DiskError::Full { .. }) {
                self.file.truncate(self.trail.bytes)?;
            }
            return Err(error);
        }
        self.file.sync()?;
        self.trail.lines += 1;
        self.trail.bytes += bytes.len() as u64;
        self.trail.last = last;
        Ok(())
    }
}

/// Reads a trail and checks its chain, without changing anything.
///
/// # Errors
/// [`AuditError`]; [`DiskError::NotFound`] where there is none.
pub fn verify<D: Disk>(
    disk: &D,
    dir: &str,
    each: &mut dyn FnMut(&Fields),
) -> Result<Trail, AuditError> {
    let file = disk.open(&format!("{dir}/{AUDIT_FILE}"))?;
    read(&file, each)
}

fn read<F: DiskFile>(file: &F, each: &mut dyn FnMut(&Fields)) -> Result<Trail, AuditError> {
    let end = file.len()?;
    let mut trail = Trail::default();
    // The error of a line that is wrong, and whether a write that was cut off may have left it: sectors that were not reached
    // are zero, and nothing follows.
    let mut wrong: Option<(AuditError, bool)> = None;
    let mut held: Vec<u8> = Vec::new();
    let mut at = 0;
    while at < end {
        let mut piece = vec![0; usize::try_from((end - at).min(PIECE_BYTES)).unwrap_or(0)];
        file.read_at(at, &mut piece)?;
        at += piece.len() as u64;
        held.extend_from_slice(&piece);
        let mut from = 0;
        while let Some(rest) = held.get(from..)
            && let Some(len) = rest.iter().position(|byte| *byte == b'\n')
        {
            if let Some((error, _)) = wrong {
                return Err(error);
            }
            let line = rest.get(..len).unwrap_or_default();
            match take(line, &trail) {
                Ok(fields) => {
                    each(&fields);
                    trail.lines += 1;
                    trail.bytes += len as u64 + 1;
                    trail.last = Hash::of(&[line]);
                }
                Err(what) => {
                    let number = trail.lines + 1;
                    let error = AuditError::Damaged { line: number, what };
                    wrong = Some((error, line.contains(&0)));
                }
            }
            from += len + 1;
        }
        held.drain(..from);
        if LINE_BYTES_MAX < held.len() && held.iter().any(|byte| *byte != 0) {
            let line = trail.lines + 1;
            let what = "it is longer than a line can be";
            return Err(AuditError::Damaged { line, what });
        }
    }
    if let Some((error, false)) = wrong {
        return Err(error);
    }
    trail.torn_bytes = end - trail.bytes;
    Ok(trail)
}

/// A line's fields, if it is the one that follows.
fn take(line: &[u8], trail: &Trail) -> Result<Fields, &'static str> {
    if LINE_BYTES_MAX <= line.len() {
        return Err("it is longer than a line can be");
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(line) else {
        return Err("it is no JSON object");
    };
    if fields.get("line").and_then(Value::as_u64) != Some(trail.lines + 1) {
        return Err("its number is not the next one");
    }
    let before = fields.get("before").and_then(Value::as_str).and_then(unhex);
    if before.as_deref() != Some(trail.last.0.as_slice()) {
        return Err("it does not follow the line before it");
    }
    Ok(fields)
}
