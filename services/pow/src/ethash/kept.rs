//! Caches and datasets as files: a header of one page, then the content, so that a mapped row begins where a line of the
//! processor's cache does.
//!
//! ```text
//!   0   8  magic "oreethsh"
//!   8   4  version, 1
//!  12   4  what it is: 1 cache, 2 dataset
//!  16   4  size epoch
//!  20   4  rounds of the seed
//!  24   8  bytes of content
//!  32  32  seed hash
//!  64  32  SHA-256 of the content
//!  96      zeros up to 4,096
//! ```
//! Numbers are little-endian. Nothing of a file is believed: what is not exactly the epoch's is made again.

use std::fmt;

use orebook_schema::Hash;

use super::epoch::Epoch;

/// Bytes before the content.
pub const FILE_HEADER_BYTES: usize = 4_096;

const MAGIC: [u8; 8] = *b"oreethsh";
const VERSION: u32 = 1;
/// Where the hash of the content lies in a header.
const HASH_AT: std::ops::Range<usize> = 64..96;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Cache = 1,
    Dataset = 2,
}

/// Why a file is not the one that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFlaw {
    /// It is shorter or longer than it must be.
    Length,
    /// Its header names something else: another epoch, another version, another kind of file.
    Header,
    /// The content does not have the hash that the header names.
    Content,
}

impl fmt::Display for FileFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the file has another length",
            Self::Header => "the file's header is of something else",
            Self::Content => "the file's content is damaged",
        })
    }
}

impl std::error::Error for FileFlaw {}

/// The header of a file with this content.
pub(super) fn header(what: What, epoch: Epoch, len: usize, hash: &Hash) -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    let mut left = header.as_mut_slice();
    for part in [
        MAGIC.as_slice(),
        &VERSION.to_le_bytes(),
        &(what as u32).to_le_bytes(),
        &epoch.size().to_le_bytes(),
        &epoch.seed_rounds().to_le_bytes(),
        &(len as u64).to_le_bytes(),
        &epoch.seed().0,
        &hash.0,
    ] {
        let (place, after) = left.split_at_mut(part.len());
        place.copy_from_slice(part);
        left = after;
    }
    header
}

/// Checks a whole file: length, header, and the content by its hash.
pub(super) fn check(what: What, epoch: Epoch, len: usize, file: &[u8]) -> Result<(), FileFlaw> {
    let (found, content) = file
        .split_first_chunk::<FILE_HEADER_BYTES>()
        .ok_or(FileFlaw::Length)?;
    if content.len() != len {
        return Err(FileFlaw::Length);
    }
    let mut hash = Hash::ZERO;
    if let Some(named) = found.get(HASH_AT) {
        hash.0.copy_from_slice(named);
    }
    if *found != header(what, epoch, len, &hash) {
        return Err(FileFlaw::Header);
    }
    if Hash::of(&[content]) == hash {
        Ok(())
    } else {
        Err(FileFlaw::Content)
    }
}

/// Bytes that are held by whoever has them: memory of our own, or a mapped file.
pub(super) struct Held {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    from: usize,
    len: usize,
}

impl Held {
    /// The content of a file whose length was checked.
    pub(super) fn of_file(bytes: impl AsRef<[u8]> + Send + Sync + 'static, len: usize) -> Self {
        Self {
            bytes: Box::new(bytes),
            from: FILE_HEADER_BYTES,
            len,
        }
    }

    /// New bytes, written by `fill` while they are zeros; each row is one line of the processor's cache.
    pub(super) fn made(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = vec![0_u8; len + LINE_BYTES];
        // The number of bytes to the next line; a platform that cannot tell answers with more than there are.
        let from = Some(bytes.as_ptr().align_offset(LINE_BYTES)).filter(|from| *from < LINE_BYTES);
        let from = from.unwrap_or(0);
        if let Some(content) = bytes.get_mut(from..from + len) {
            fill(content);
        }
        Self {
            bytes: Box::new(bytes),
            from,
            len,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let all = (*self.bytes).as_ref();
        all.get(self.from..self.from + self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// Bytes of a line of the processor's cache.
const LINE_BYTES: usize = 64;
