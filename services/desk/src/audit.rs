//! The audit trail: JSON lines, each with the SHA-256 of the line before it, appended to a file that is never changed.
//! A file that reaches [`FILE_BYTES_MAX`] is put aside under the number of its first line, and the chain goes on in a new one; of
//! those put aside the newest [`FILES_KEPT`] are kept. So the oldest line that is there need not be the first: what it says of
//! the line before it is then believed. Commands whose time is not over are younger by far than what is dropped: a flood of
//! refusals is limited to a few lines a second ([`limit`](crate::limit)).
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

/// A file is put aside rather than grow beyond this.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// Files put aside that are kept: 256 MiB with the running one, some hundred thousand commands.
pub const FILES_KEPT: usize = 15;
/// Name of the running file, in the desk's folder.
pub const AUDIT_FILE: &str = "audit.jsonl";
/// What names of files put aside begin and end with; the number of the first line is between.
const ASIDE: &str = "audit-";
const ENDING: &str = ".jsonl";
/// Name of the next running file until the other is put aside.
const NEXT: &str = "audit.next";
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
    /// Number of the last line; lines were ever written.
    pub lines: u64,
    /// Number of the first line that is kept; 0 if there is none.
    pub first: u64,
    /// Bytes of the running file's lines.
    pub bytes: u64,
    /// SHA-256 of the last line; zero if there is none.
    pub last: Hash,
    /// Bytes after the last whole line of the running file: a write that a crash cut off.
    pub torn_bytes: u64,
}

/// The trail, open for writing.
#[derive(Debug)]
pub struct Audit<D: Disk> {
    disk: D,
    dir: String,
    file: D::File,
    trail: Trail,
    /// Number of the running file's first line, or of the next line if it has none.
    first: u64,
    file_bytes_max: u64,
}

impl<D: Disk + Clone> Audit<D> {
    /// Opens or makes the trail in folder `dir`, gives each of its lines to `each`, and cuts a torn tail. Files are put aside at
    /// `file_bytes_max`, [`FILE_BYTES_MAX`] but in tests.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn open(
        disk: &D,
        dir: &str,
        file_bytes_max: u64,
        each: &mut dyn FnMut(&Fields),
    ) -> Result<(Self, Trail), AuditError> {
        disk.create_dir(dir)?;
        let mut trail = Trail::default();
        read_aside(disk, dir, &mut trail, each)?;
        let first = trail.lines + 1;
        let mut file = match disk.open(&format!("{dir}/{AUDIT_FILE}")) {
            Err(DiskError::NotFound { .. }) => create(disk, dir)?,
            other => other?,
        };
        read(&file, 1, &mut trail, each)?;
        if 0 < trail.torn_bytes {
            file.truncate(trail.bytes)?;
            file.sync()?;
        }
        let audit = Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            file,
            trail,
            first,
            file_bytes_max,
        };
        Ok((audit, trail))
    }

    /// Puts the running file aside and begins another. A crash may leave no running file: the next start makes it. If there is no
    /// room for another, nothing changes.
    fn put_aside(&mut self) -> Result<(), DiskError> {
        let at = |name: &str| format!("{}/{name}", self.dir);
        let (next, running) = (at(NEXT), at(AUDIT_FILE));
        match self.disk.remove(&next) {
            Ok(()) | Err(DiskError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        drop(self.disk.create(&next)?);
        self.disk.rename(&running, &at(&name_of(self.first)))?;
        // The other name is on the disk before this one is taken.
        self.disk.sync_dir(&self.dir)?;
        self.disk.rename(&next, &running)?;
        self.disk.sync_dir(&self.dir)?;
        self.file = self.disk.open(&running)?;
        self.trail.bytes = 0;
        self.first = self.trail.lines + 1;
        let aside = aside(&self.disk, &self.dir)?;
        let over = aside.len().saturating_sub(FILES_KEPT);
        for (_, old) in aside.iter().take(over) {
            self.disk.remove(&at(old))?;
        }
        Ok(())
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
        let len = bytes.len() as u64;
        if 0 < self.trail.bytes && self.file_bytes_max < self.trail.bytes.saturating_add(len) {
            self.put_aside()?;
        }
        if let Err(error) = self.file.write_at(self.trail.bytes, &bytes) {
            if matches!(error, DiskError::Full { .. }) {
                self.file.truncate(self.trail.bytes)?;
            }
            return Err(error);
        }
        self.file.sync()?;
        self.trail.lines += 1;
        self.trail.first = self.trail.first.max(1);
        self.trail.bytes += len;
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
    let mut trail = Trail::default();
    read_aside(disk, dir, &mut trail, each)?;
    match disk.open(&format!("{dir}/{AUDIT_FILE}")) {
        Ok(file) => read(&file, 1, &mut trail, each)?,
        // Between putting one aside and making the next.
        Err(DiskError::NotFound { .. }) if 0 < trail.lines => {}
        Err(error) => return Err(error.into()),
    }
    Ok(trail)
}

fn create<D: Disk>(disk: &D, dir: &str) -> Result<D::File, DiskError> {
    let file = disk.create(&format!("{dir}/{AUDIT_FILE}"))?;
    disk.sync_dir(dir)?;
    Ok(file)
}

/// Name of a file put aside, by its first line: as many digits as names need to be in order.
fn name_of(first: u64) -> String {
    format!("{ASIDE}{first:020}{ENDING}")
}

/// Files put aside, by their first lines.
fn aside<D: Disk>(disk: &D, dir: &str) -> Result<Vec<(u64, String)>, DiskError> {
    let mut found: Vec<(u64, String)> = Vec::new();
    for name in disk.list(dir)? {
        let digits = name
            .strip_prefix(ASIDE)
            .and_then(|name| name.strip_suffix(ENDING));
        if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
            found.push((first, name));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads the files put aside, oldest first.
fn read_aside<D: Disk>(
    disk: &D,
    dir: &str,
    trail: &mut Trail,
    each: &mut dyn FnMut(&Fields),
) -> Result<(), AuditError> {
    let files = match aside(disk, dir) {
        Err(DiskError::NotFound { .. }) => return Ok(()),
        other => other?,
    };
    for (first, name) in files {
        trail.bytes = 0;
        read(&disk.open(&format!("{dir}/{name}"))?, first, trail, each)?;
        if 0 < trail.torn_bytes {
            let line = trail.lines + 1;
            let what = "a file that was put aside ends within it";
            return Err(AuditError::Damaged { line, what });
        }
    }
    trail.bytes = 0;
    Ok(())
}

/// Reads a file's lines behind those that `trail` has. Where it has none, the first one's number is `oldest`.
fn read<F: DiskFile>(
    file: &F,
    oldest: u64,
    trail: &mut Trail,
    each: &mut dyn FnMut(&Fields),
) -> Result<(), AuditError> {
    let end = file.len()?;
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
            match take(line, oldest, trail) {
                Ok((number, fields)) => {
                    each(&fields);
                    trail.lines = number;
                    trail.first = if trail.first == 0 {
                        number
                    } else {
                        trail.first
                    };
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
    Ok(())
}

/// A line's number and fields, if it is the one that follows. Of what the oldest one follows nothing is left to compare.
fn take(line: &[u8], oldest: u64, trail: &Trail) -> Result<(u64, Fields), &'static str> {
    if LINE_BYTES_MAX <= line.len() {
        return Err("it is longer than a line can be");
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(line) else {
        return Err("it is no JSON object");
    };
    let is_oldest = trail.lines == 0 && 1 < oldest;
    let number = if is_oldest { oldest } else { trail.lines + 1 };
    if fields.get("line").and_then(Value::as_u64) != Some(number) {
        return Err("its number is not the next one");
    }
    let before = fields.get("before").and_then(Value::as_str).and_then(unhex);
    if !is_oldest && before.as_deref() != Some(trail.last.0.as_slice()) {
        return Err("it does not follow the line before it");
    }
    Ok((number, fields))
}
