//! Walks over the records of a file in large pieces. Knows bytes and offsets, judges nothing that a record says.

use orebook_schema::Hash;
use sha2::{Digest, Sha256};

use super::record::{Body, HEAD_BYTES, Head, RECORD_MAGIC, read_record};
use super::{Flaw, as_index};
use crate::disk::{DiskError, DiskFile, DiskResult};

/// Bytes read at a time: large enough that the system call costs nothing beside its bytes.
pub(super) const PIECE_BYTES: usize = 1 << 20;
/// How many heads may look right over a wrong payload before a search gives up and says "found": each costs a CRC over
/// up to 98 KiB, and a file full of them is no torn tail.
const FALSE_HEADS_MAX: usize = 1_000;

/// A piece of a file in memory.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    at: u64,
    bytes: Vec<u8>,
}

impl Pieces {
    /// `len` bytes from `offset`; `None` if they reach past `to`, which lies within the file.
    pub(super) fn get<F: DiskFile>(
        &mut self,
        file: &F,
        offset: u64,
        len: usize,
        to: u64,
    ) -> DiskResult<Option<&[u8]>> {
        if to.checked_sub(offset).is_none_or(|left| left < len as u64) {
            return Ok(None);
        }
        let start = offset.checked_sub(self.at).map_or(usize::MAX, as_index);
        if self
            .bytes
            .get(start..)
            .is_some_and(|kept| len <= kept.len())
        {
            return Ok(self.bytes.get(start..start + len));
        }
        let piece = as_index(to - offset).min(PIECE_BYTES).max(len);
        self.bytes.resize(piece, 0);
        self.at = offset;
        if let Err(error) = file.read_at(offset, &mut self.bytes) {
            // What stands in the buffer now is not the file's.
            self.bytes.clear();
            return Err(error);
        }
        Ok(self.bytes.get(..len))
    }
}

/// A record.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// All its bytes, padding included.
    pub(super) bytes: &'a [u8],
    /// What it says.
    pub(super) body: Body<'a>,
}

/// Why a walk does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The disk failed.
    Disk(DiskError),
    /// The record at the walk's offset is none.
    Flaw(Flaw),
}

/// Goes from record to record.
#[derive(Debug)]
pub(super) struct Walk {
    pieces: Pieces,
    offset: u64,
    to: u64,
}

impl Walk {
    /// Over the records from one offset to another, which lies within the file.
    pub(super) fn new(from: u64, to: u64) -> Self {
        Self {
            pieces: Pieces::default(),
            offset: from,
            to,
        }
    }

    /// Where the next record should stand.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record; none at the end. After a [`Stop`] the walk stands where it stood.
    pub(super) fn next<F: DiskFile>(&mut self, file: &F) -> Result<Option<Found<'_>>, Stop> {
        let Self {
            pieces,
            offset: next,
            to,
        } = self;
        let (offset, to) = (*next, *to);
        if offset == to {
            return Ok(None);
        }
        let head = pieces
            .get(file, offset, HEAD_BYTES, to)
            .map_err(Stop::Disk)?;
        let head = head
            .ok_or(Flaw::Short)
            .and_then(Head::read)
            .map_err(Stop::Flaw)?;
        let bytes = pieces
            .get(file, offset, head.record_bytes(), to)
            .map_err(Stop::Disk)?;
        let bytes = bytes.ok_or(Stop::Flaw(Flaw::Short))?;
        let (body, _) = read_record(bytes).map_err(Stop::Flaw)?;
        *next += bytes.len() as u64;
        Ok(Some(Found { bytes, body }))
    }
}

/// Offset after the last byte from `from` to `to` that is not zero; none if all are.
pub(super) fn last_nonzero<F: DiskFile>(file: &F, from: u64, to: u64) -> DiskResult<Option<u64>> {
    let mut pieces = Pieces::default();
    let (mut at, mut last) = (from, None);
    while at < to {
        let len = as_index(to - at).min(PIECE_BYTES);
        let piece = pieces.get(file, at, len, to)?.unwrap_or_default();
        if !is_zero(piece) {
            let inside = piece.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            last = Some(at + inside as u64 + 1);
        }
        at += len as u64;
    }
    Ok(last)
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Without an exit inside a chunk the compiler takes many bytes at a time.
    bytes
        .chunks(256)
        .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Whether a whole record of a frame with a position of at least `next` stands at a multiple of 8 from `from` to `to`.
/// Also true for a file full of heads that look right: then nobody should cut it either.
pub(super) fn has_later_frame<F: DiskFile>(
    file: &F,
    from: u64,
    to: u64,
    next: u64,
) -> DiskResult<bool> {
    let mut pieces = Pieces::default();
    let mut record = Pieces::default();
    let mut false_heads = 0;
    let mut at = from.next_multiple_of(8);
    while let Some(head) = pieces.get(file, at, HEAD_BYTES, to)? {
        if head.starts_with(&RECORD_MAGIC)
            && let Ok(head) = Head::read(head)
            && let Some(bytes) = record.get(file, at, head.record_bytes(), to)?
        {
            match read_record(bytes) {
                Ok((Body::Frame(frame), _)) if next <= frame.position => return Ok(true),
                Ok(_) => {}
                Err(_) => false_heads += 1,
            }
            if FALSE_HEADS_MAX < false_heads {
                return Ok(true);
            }
        }
        at += 8;
    }
    Ok(false)
}

/// SHA-256 of a file's first `to` bytes.
pub(super) fn sha256<F: DiskFile>(file: &F, to: u64) -> DiskResult<Hash> {
    let mut pieces = Pieces::default();
    let mut hasher = Sha256::new();
    let mut at = 0;
    while at < to {
        let len = as_index(to - at).min(PIECE_BYTES);
        hasher.update(pieces.get(file, at, len, to)?.unwrap_or_default());
        at += len as u64;
    }
    Ok(Hash(hasher.finalize().into()))
}
