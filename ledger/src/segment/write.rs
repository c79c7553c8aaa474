//! What a sync and a seal do to one segment's file.

use orebook_schema::{Hash, LedgerId};
use sha2::{Digest, Sha256};

use super::flaw::Flaw;
use super::index::{Limits, Rules, SegmentIndex};
use super::record::{Body, FileHeader, read_record};
use super::scan::{Stop, Walk};
use super::sealed::{Sealed, read_file_header};
use super::view::Open;
use super::{StoreError, damaged, path_of};
use crate::disk::{Disk, DiskFile};

/// Bytes of a segment's buffer that are kept after a sync, so that usual batches allocate nothing.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

/// Bytes to which an open file is zero-filled when it has to hold `end` bytes.
const fn preallocated(end: u64, step: u64, limits: &Limits) -> u64 {
    let wanted = end.div_ceil(step).saturating_mul(step);
    let most = limits.file_bytes_max();
    let capped = if wanted < most { wanted } else { most };
    if capped < end { end } else { capped }
}

/// Writes what waits of a segment in one piece and syncs it; a new file's name too. `step` is how far the file is
/// zero-filled at a time, 0 for not at all.
pub(super) fn sync_segment<D: Disk>(
    disk: &D,
    dir: &str,
    open: &mut Open<D::File>,
    step: u64,
    limits: &Limits,
) -> Result<(), StoreError> {
    if open.file.is_none() {
        open.file = Some(disk.create(&open.path)?);
    }
    let Some(file) = &mut open.file else {
        return Ok(());
    };
    let end = open.synced + open.pending.len() as u64;
    if 0 < step && file.len()? < end {
        file.preallocate(preallocated(end, step, limits))?;
    }
    // Before the write: a failed one may have left bytes up to there.
    open.touched = open.touched.max(end);
    file.write_at(open.synced, &open.pending)?;
    file.sync()?;
    if !open.named {
        disk.sync_dir(dir)?;
        open.named = true;
    }
    open.synced = end;
    open.pending.clear();
    open.pending.shrink_to(BUFFER_KEPT_BYTES);
    Ok(())
}

/// Seals a segment whose records are synced; `root` is that of the tree after its last position. The file is read again
/// as a whole: what is sealed is what is on the disk.
pub(super) fn seal_segment<D: Disk>(
    disk: &D,
    dir: &str,
    ledger: LedgerId,
    open: &mut Open<D::File>,
    root: Hash,
) -> Result<Sealed, StoreError> {
    let first = open.index.first();
    let header = FileHeader {
        ledger,
        first,
        root: open.root,
    };
    let end = open.index.end();
    let Some(file) = &mut open.file else {
        return Err(damaged(&open.path, 0, first, "the file was never made"));
    };
    let sha256 = hash_written(file, &open.path, &header, &open.index)?;
    let footer = open.index.footer(root, sha256);
    let len = end + footer.len() as u64;
    // Longer first, so that the cut below is one: a failed sync may have left a length that only seems to be right.
    if file.len()? <= len {
        file.preallocate(len + 8)?;
    }
    open.touched = open.touched.max(len);
    file.write_at(end, &footer)?;
    file.truncate(len)?;
    file.sync()?;
    let path = path_of(dir, first, true);
    disk.rename(&open.path, &path)?;
    disk.sync_dir(dir)?;
    match read_record(&footer) {
        Ok((Body::Footer(footer), _)) => Ok(Sealed::new(path, header, &footer, end)),
        _ => Err(damaged(
            &path,
            end,
            first,
            Flaw::Footer("it cannot be read back"),
        )),
    }
}

/// SHA-256 of header and records, which must be those that were written.
fn hash_written<F: DiskFile>(
    file: &F,
    path: &str,
    header: &FileHeader,
    index: &SegmentIndex,
) -> Result<Hash, StoreError> {
    let found = read_file_header(file, file.len()?)?;
    if found != Ok(*header) {
        return Err(damaged(
            path,
            0,
            header.first,
            "the file header is not the one written",
        ));
    }
    let mut hasher = Sha256::new_with_prefix(header.to_bytes());
    let mut rules = Rules {
        ledger: header.ledger,
        limits: Some(Limits::NONE),
    };
    let mut again = SegmentIndex::new(header.first);
    let mut walk = Walk::new(again.end(), index.end());
    loop {
        let flaw = |at: &SegmentIndex, flaw| damaged(path, at.end(), at.next(), flaw);
        match walk.next(file) {
            Ok(Some(found)) => {
                again
                    .take(&found, &mut rules)
                    .map_err(|cause| flaw(&again, cause))?;
                hasher.update(found.bytes);
            }
            Ok(None) => break,
            Err(Stop::Flaw(cause)) => return Err(flaw(&again, cause)),
            Err(Stop::Disk(error)) => return Err(error.into()),
        }
    }
    if again.footer(Hash::ZERO, Hash::ZERO) == index.footer(Hash::ZERO, Hash::ZERO) {
        Ok(Hash(hasher.finalize().into()))
    } else {
        Err(damaged(
            path,
            again.end(),
            again.next(),
            "the records are not those written",
        ))
    }
}
