//! The development chain's file: an append-only list of what happened, each record with a checksum, synced before it counts.
//!
//! A record is kind `u8` ‖ length `u32` ‖ payload ‖ CRC32C `u32` of all before, little-endian. The first names the chain's first
//! block and the file's version; then come blocks, orphaned blocks and transactions that were taken to wait, in the order in
//! which they happened. Files of version 0 name no version and have no transactions: they are gone on with as they are.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use orebook_schema::units::Hash;

use super::DevError;
use super::state::{State, Verdict};

/// Most bytes of one record's payload. A longer one is damage.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// What to do with a damaged file.
pub const DAMAGED_HELP: &str = "move the folder away to begin a new chain";

const FILE_NAME: &str = "chain.blocks";
const KIND_GENESIS: u8 = 1;
const KIND_BLOCK: u8 = 2;
const KIND_INVALID: u8 = 3;
const KIND_TRANSACTION: u8 = 4;
/// Version of the files that are begun here.
const VERSION: u8 = 1;
/// Kind, length, checksum.
const FRAMING_BYTES: u64 = 9;

/// The open file, at its end.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    bytes: u64,
    /// A failed write could not be undone, or a sync failed: what the disk holds is not known.
    is_broken: bool,
}

enum Record {
    Whole(u8, Vec<u8>),
    End,
    /// The bytes from here on are no record, and they reach the file's end or are all zero.
    Torn,
    Damaged,
}

impl Log {
    /// Opens or makes the file and replays it into a state that holds the first block only.
    pub(super) fn open(folder: &Path, state: &mut State) -> Result<Self, DevError> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(FILE_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process has it open")
            }
        })?;
        let mut log = Self {
            bytes: 0,
            is_broken: false,
            file,
        };
        log.replay(state)?;
        let on_disk = log.file.metadata()?.len();
        if log.bytes < on_disk {
            tracing::warn!(
                bytes = on_disk - log.bytes,
                "the development chain's torn tail is cut"
            );
            log.file.set_len(log.bytes)?;
        }
        log.file.seek(SeekFrom::Start(log.bytes))?;
        if log.bytes == 0 {
            let first = [state.genesis().0.as_slice(), &[VERSION]].concat();
            log.append(KIND_GENESIS, &first)?;
        }
        log.file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(log)
    }

    /// Keeps a block; it is on disk when this returns.
    pub(super) fn append_block(&mut self, block: &[u8]) -> io::Result<()> {
        self.append(KIND_BLOCK, block)
    }

    /// Keeps that a block was orphaned on request.
    pub(super) fn append_invalid(&mut self, hash: Hash) -> io::Result<()> {
        self.append(KIND_INVALID, &hash.0)
    }

    /// Keeps a transaction that waits.
    pub(super) fn append_transaction(&mut self, raw: &[u8]) -> io::Result<()> {
        self.append(KIND_TRANSACTION, raw)
    }

    fn append(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        let len = u32::try_from(payload.len())
            .ok()
            .filter(|_| payload.len() <= RECORD_BYTES_MAX);
        let len = len
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the record is too long"))?;
        let mut record = vec![kind];
        record.extend(len.to_le_bytes());
        record.extend_from_slice(payload);
        record.extend(crc32c::crc32c(&record).to_le_bytes());
        if let Err(error) = self.file.write_all(&record) {
            // A full disk may have taken a part; the next record must not stand behind it.
            let undone = self
                .file
                .set_len(self.bytes)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            self.is_broken = undone.is_err();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            self.is_broken = true;
            return Err(error);
        }
        self.bytes += u64::from(len) + FRAMING_BYTES;
        Ok(())
    }

    fn replay(&mut self, state: &mut State) -> Result<(), DevError> {
        let on_disk = self.file.metadata()?.len();
        let mut reader = BufReader::new(&self.file);
        loop {
            let (kind, payload) = match read_record(&mut reader, on_disk - self.bytes)? {
                Record::Whole(kind, payload) => (kind, payload),
                Record::End | Record::Torn => return Ok(()),
                Record::Damaged => return Err(DevError::Damaged(self.bytes)),
            };
            apply(state, kind, &payload, self.bytes)?;
            let len = u64::try_from(payload.len()).unwrap_or(u64::MAX);
            self.bytes = self.bytes.saturating_add(len).saturating_add(FRAMING_BYTES);
        }
    }
}

fn apply(state: &mut State, kind: u8, payload: &[u8], at: u64) -> Result<(), DevError> {
    let hash = || {
        <[u8; 32]>::try_from(payload)
            .map(Hash)
            .map_err(|_| DevError::Damaged(at))
    };
    match (kind, at) {
        (KIND_GENESIS, 0) => apply_first(state, payload),
        (KIND_BLOCK, 1..) => match state.judge(payload, None) {
            Verdict::Good(new) => {
                state.insert(*new);
                Ok(())
            }
            Verdict::Refused(_) | Verdict::Undecodable => Err(DevError::Damaged(at)),
        },
        (KIND_INVALID, 1..) => {
            state.invalidate(hash()?);
            Ok(())
        }
        (KIND_TRANSACTION, 1..) => match state.judge_transaction(payload, false) {
            Some(Ok(joining)) => {
                state.join(joining);
                Ok(())
            }
            Some(Err(_)) | None => Err(DevError::Damaged(at)),
        },
        _ => Err(DevError::Damaged(at)),
    }
}

/// The file's version, and whose chain it is.
fn apply_first(state: &State, payload: &[u8]) -> Result<(), DevError> {
    let (genesis, version) = payload.split_at_checked(32).ok_or(DevError::Damaged(0))?;
    match version {
        [] | [VERSION] => {}
        [version] => return Err(DevError::Version(*version)),
        _ => return Err(DevError::Damaged(0)),
    }
    if genesis == state.genesis().0 {
        Ok(())
    } else {
        Err(DevError::OtherChain)
    }
}

/// Reads one record; `left` bytes of the file are not read yet.
fn read_record(reader: &mut impl Read, left: u64) -> io::Result<Record> {
    if left == 0 {
        return Ok(Record::End);
    }
    let mut head = [0; 5];
    if left < FRAMING_BYTES {
        return Ok(Record::Torn);
    }
    reader.read_exact(&mut head)?;
    let [kind, len @ ..] = head;
    let len = u32::from_le_bytes(len);
    let end = u64::from(len) + FRAMING_BYTES;
    if usize::try_from(len).is_ok_and(|len| RECORD_BYTES_MAX < len) {
        return Ok(Record::Damaged);
    }
    if left < end {
        return Ok(Record::Torn);
    }
    let mut payload = vec![0; usize::try_from(len).unwrap_or(0)];
    let mut crc = [0; 4];
    reader.read_exact(&mut payload)?;
    reader.read_exact(&mut crc)?;
    let computed = crc32c::crc32c_append(crc32c::crc32c(&head), &payload);
    if computed == u32::from_le_bytes(crc) {
        return Ok(Record::Whole(kind, payload));
    }
    let is_zero = head == [0; 5] && crc == [0; 4] && rest_is_zero(reader)?;
    Ok(if left == end || is_zero {
        Record::Torn
    } else {
        Record::Damaged
    })
}

fn rest_is_zero(reader: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 4_096];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(true);
        }
        if buffer.iter().take(read).any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}
