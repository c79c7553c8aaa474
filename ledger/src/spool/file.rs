//! Files of the spool: their names, what is known of each, and a scanner over their records.

use std::collections::{BTreeMap, VecDeque};

use orebook_schema::StreamId;

use super::SpoolConfig;
use super::error::{FullCause, SpoolError, SpoolResult};
use super::record::{
    ALIGN_BYTES, FILE_HEAD_BYTES, FileHead, PAYLOAD_BYTES_MAX, Place, RECORD_HEAD_BYTES,
    RECORD_MAGIC, RecordHead, RecordKind, put_record, record_bytes,
};
use super::standing::Standing;
use super::state::write_state;
use crate::disk::{Disk, DiskError, DiskFile};

/// Ending of a file that has its whole state.
const ENDING: &str = ".spool";
/// Ending of a file that is being made; nothing in it was promised.
const NEW_ENDING: &str = ".new";
/// Bytes read at a time.
const WINDOW_BYTES: u64 = 262_144;

/// What is known of a file.
#[derive(Clone, Debug)]
pub(super) struct FileMeta {
    pub(super) number: u64,
    /// Bytes preallocated.
    pub(super) len: u64,
    /// Offset after the last record.
    pub(super) end: u64,
    /// Of each stream with events in it, the sequence numbers of the first and after the last.
    pub(super) spans: BTreeMap<StreamId, (u64, u64)>,
    /// Time of its newest event, milliseconds since 1970; 0 without events.
    pub(super) last_time: u64,
}

impl FileMeta {
    /// Notes that the file has events of a stream from `first` to before `next`.
    pub(super) fn note(&mut self, stream: StreamId, (first, next): (u64, u64), last_time: u64) {
        self.spans.entry(stream).or_insert((first, next)).1 = next;
        self.last_time = self.last_time.max(last_time);
    }

    /// Sequence number after the last event of a stream in the file.
    pub(super) fn end_of(&self, stream: StreamId) -> Option<u64> {
        self.spans.get(&stream).map(|(_, next)| *next)
    }
}

/// Path of a file.
pub(super) fn path(dir: &str, number: u64) -> String {
    format!("{dir}/{number:020}{ENDING}")
}

/// Path of a file while it is made.
pub(super) fn new_path(dir: &str, number: u64) -> String {
    format!("{dir}/{number:020}{NEW_ENDING}")
}

/// Number in a file's name.
fn number(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A record that was read.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) kind: RecordKind,
    pub(super) payload: Vec<u8>,
    /// Below this offset everything was synced when it was written.
    pub(super) durable: u64,
    /// Offset of the next one.
    pub(super) next: u64,
}

/// What stands after the last whole record of the last file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    /// Offset after the last byte that is not zero.
    pub(super) end: u64,
    /// Whether a later record shows that the bytes here were durable.
    pub(super) was_durable: bool,
}

/// Reads records one after another, with a window so that small ones cost no system call each.
#[derive(Debug)]
pub(super) struct Scanner<F> {
    file: F,
    path: String,
    number: u64,
    window_start: u64,
    window: Vec<u8>,
}

impl<F: DiskFile> Scanner<F> {
    pub(super) fn open<D: Disk<File = F>>(disk: &D, dir: &str, number: u64) -> SpoolResult<Self> {
        let path = path(dir, number);
        let file = disk.open(&path)?;
        Ok(Self {
            file,
            path,
            number,
            window_start: 0,
            window: Vec::new(),
        })
    }

    pub(super) fn into_file(self) -> F {
        self.file
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn len(&self) -> SpoolResult<u64> {
        Ok(self.file.len()?)
    }

    /// The error that names a place in this file.
    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> SpoolError {
        SpoolError::Damaged {
            path: self.path.clone(),
            offset,
            what,
        }
    }

    /// Head of the file. Whose file it is, the caller judges.
    pub(super) fn file_head(&mut self) -> SpoolResult<FileHead> {
        let limit = self.len()?;
        let bytes = self.bytes(0, FILE_HEAD_BYTES, limit)?;
        let head = bytes.and_then(|bytes| FileHead::read(bytes).ok());
        let head = head.filter(|head| head.number == self.number && head.state_end <= limit);
        head.ok_or_else(|| self.damaged(0, "no head of a spool file"))
    }

    /// The record at `offset`; `None` if none stands there before `limit`. Bytes before `limit` must be final: they are
    /// kept in the window.
    pub(super) fn record(&mut self, offset: u64, limit: u64) -> SpoolResult<Option<Record>> {
        let number = self.number;
        let Some(bytes) = self.bytes(offset, RECORD_HEAD_BYTES, limit)? else {
            return Ok(None);
        };
        let Some(head) = RecordHead::read(bytes, number, offset) else {
            return Ok(None);
        };
        let len = record_bytes(head.payload_len);
        let Some(bytes) = self.bytes(offset, usize::try_from(len).unwrap_or(usize::MAX), limit)?
        else {
            return Ok(None);
        };
        let payload = head.payload(bytes.get(RECORD_HEAD_BYTES..).unwrap_or_default());
        let next = offset.saturating_add(len);
        Ok(payload.map(|payload| Record {
            kind: head.kind,
            durable: head.durable,
            payload: payload.to_vec(),
            next,
        }))
    }

    /// Looks at everything from `offset`, where no record stands, to the end of the file.
    pub(super) fn tail(&mut self, offset: u64) -> SpoolResult<Tail> {
        let limit = self.len()?;
        let number = self.number;
        let mut tail = Tail {
            end: offset,
            was_durable: false,
        };
        let mut at = offset;
        while at < limit {
            let len = usize::try_from((limit - at).min(ALIGN_BYTES)).unwrap_or(0);
            let Some(bytes) = self.bytes(at, len, limit)? else {
                break;
            };
            let used = bytes.iter().rposition(|byte| *byte != 0);
            tail.end = used.map_or(tail.end, |last| at + last as u64 + 1);
            if bytes.starts_with(&RECORD_MAGIC)
                && let Some(bytes) = self.bytes(at, RECORD_HEAD_BYTES, limit)?
                && let Some(head) = RecordHead::read(bytes, number, at)
            {
                tail.was_durable |= offset < head.durable;
            }
            at += ALIGN_BYTES;
        }
        Ok(tail)
    }

    fn bytes(&mut self, offset: u64, len: usize, limit: u64) -> SpoolResult<Option<&[u8]>> {
        let Some(end) = offset.checked_add(len as u64).filter(|end| *end <= limit) else {
            return Ok(None);
        };
        let window_end = self.window_start.saturating_add(self.window.len() as u64);
        if offset < self.window_start || window_end < end {
            let wanted = (len as u64).max(WINDOW_BYTES.min(limit - offset));
            // Its memory is used again; after an error it is empty.
            let mut window = std::mem::take(&mut self.window);
            window.resize(usize::try_from(wanted).unwrap_or(0), 0);
            self.file.read_at(offset, &mut window)?;
            self.window = window;
            self.window_start = offset;
        }
        let from = usize::try_from(offset.saturating_sub(self.window_start)).unwrap_or(usize::MAX);
        Ok(from
            .checked_add(len)
            .and_then(|to| self.window.get(from..to)))
    }
}

/// Files of the folder in order; unfinished new ones are removed.
pub(super) fn list<D: Disk>(disk: &D, dir: &str) -> SpoolResult<VecDeque<u64>> {
    let names = disk.list(dir)?;
    for unfinished in names.iter().filter_map(|name| number(name, NEW_ENDING)) {
        disk.remove(&new_path(dir, unfinished))?;
    }
    let numbers: VecDeque<u64> = names
        .iter()
        .filter_map(|name| number(name, ENDING))
        .collect();
    for (before, after) in numbers.iter().zip(numbers.iter().skip(1)) {
        let next = before.saturating_add(1);
        if *after != next {
            let what = "the file is missing";
            return Err(SpoolError::Damaged {
                path: path(dir, next),
                offset: 0,
                what,
            });
        }
    }
    Ok(numbers)
}

/// Makes the next file: its head and state are durable before it has its name, and its name before anything is put
/// into it. Full leaves nothing behind.
pub(super) fn create<D: Disk>(
    disk: &D,
    dir: &str,
    config: &SpoolConfig,
    standing: &Standing,
    before: Option<&FileMeta>,
) -> SpoolResult<(FileMeta, D::File)> {
    let number = before.map_or(0, |meta| meta.number.saturating_add(1));
    let previous_end = before.map_or(0, |meta| meta.end);
    let bytes = first_bytes(config, standing, number, previous_end);
    let end = bytes.len() as u64;
    assert!(end < config.file_bytes, "a state is smaller than its file");
    let (new, named) = (new_path(dir, number), path(dir, number));
    // One may be left from a try that found the disk full and could not be taken back.
    remove_if_there(disk, &new)?;
    let mut file = disk.create(&new).map_err(full_or_disk)?;
    if let Err(error) = file.preallocate(config.file_bytes) {
        if matches!(error, DiskError::Full { .. }) {
            remove_if_there(disk, &new)?;
        }
        return Err(full_or_disk(error));
    }
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(&new, &named)?;
    disk.sync_dir(dir)?;
    let meta = FileMeta {
        number,
        len: config.file_bytes,
        end,
        spans: BTreeMap::new(),
        last_time: 0,
    };
    Ok((meta, file))
}

fn remove_if_there<D: Disk>(disk: &D, path: &str) -> SpoolResult<()> {
    match disk.remove(path) {
        Ok(()) | Err(DiskError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn first_bytes(
    config: &SpoolConfig,
    standing: &Standing,
    number: u64,
    previous_end: u64,
) -> Vec<u8> {
    let place = Place {
        number,
        start: FILE_HEAD_BYTES as u64,
        durable: 0,
    };
    let mut records = Vec::new();
    for part in write_state(standing).chunks(PAYLOAD_BYTES_MAX) {
        put_record(&mut records, place, RecordKind::State, part);
    }
    let state_end = (FILE_HEAD_BYTES + records.len()) as u64;
    let (ledger, coin) = (config.ledger, config.coin);
    let head = FileHead {
        ledger,
        coin,
        number,
        previous_end,
        state_end,
    };
    [head.to_bytes(), records].concat()
}

/// No room on the disk, as the spool says it.
fn full_or_disk(error: DiskError) -> SpoolError {
    match error {
        DiskError::Full { .. } => SpoolError::Full(FullCause::Disk),
        other => SpoolError::Disk(other),
    }
}
