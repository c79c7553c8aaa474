//! Where in the log the last final frame stands. A hint that is checked before it is used, in a file of 28 bytes.

use orebook_schema::bytes::{Reader as Bytes, Write};

use crate::disk::{Disk, DiskError, DiskFile, DiskResult, replace_file};

const MAGIC: [u8; 4] = *b"OREA";
const FILE_BYTES: usize = 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Incarnation of the log.
    pub(super) incarnation: u32,
    /// Final size then.
    pub(super) size: u64,
    /// Offset of the frame of position size − 1; 0 if that is not known.
    pub(super) offset: u64,
}

impl Anchor {
    /// None if there is no file, or none that is whole: then the log is read from its beginning.
    pub(super) fn load<D: Disk>(disk: &D, dir: &str) -> DiskResult<Option<Self>> {
        let file = match disk.open(&format!("{dir}/anchor")) {
            Err(DiskError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let mut bytes = [0; FILE_BYTES];
        match file.read_at(0, &mut bytes) {
            Err(DiskError::Short { .. }) => return Ok(None),
            other => other?,
        }
        Ok(Self::read(&bytes))
    }

    /// Replaces the file; durable on return.
    pub(super) fn save<D: Disk>(&self, disk: &D, dir: &str) -> DiskResult<()> {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.put(&MAGIC);
        bytes.put(&self.incarnation.to_le_bytes());
        bytes.put(&self.size.to_le_bytes());
        bytes.put(&self.offset.to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.put(&crc.to_le_bytes());
        replace_file(disk, dir, "anchor", &bytes)
    }

    fn read(bytes: &[u8; FILE_BYTES]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        let mut reader = Bytes::new(body, "anchor");
        let magic: [u8; 4] = reader.array().ok()?;
        if magic != MAGIC || u32::from_le_bytes(*crc) != crc32c::crc32c(body) {
            return None;
        }
        Some(Self {
            incarnation: reader.u32().ok()?,
            size: reader.u64().ok()?,
            offset: reader.u64().ok()?,
        })
    }
}

/// Positions that were final, or kept, when the folder's anchor was written; 0 without one.
pub(crate) fn anchored_size<D: Disk>(disk: &D, dir: &str) -> DiskResult<u64> {
    Ok(Anchor::load(disk, dir)?.map_or(0, |anchor| anchor.size))
}
