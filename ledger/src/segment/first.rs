//! The genesis frame alone: what names a ledger is read before anything is known of the rest.

use orebook_schema::Frame;

use super::record::{
    Body, FILE_HEADER_BYTES, FRAME_OVERHEAD_BYTES_MAX, FileHeader, HEAD_BYTES, Head, read_record,
};
use super::view::StoredFrame;
use super::{StoreError, damaged, path_of};
use crate::disk::{Disk, DiskError, DiskFile};

/// Reads position 0 of the segments in `dir`. No other byte is looked at, so it serves while another process writes, and
/// on a folder whose tail is torn. The frame is not judged: admission does that.
///
/// # Errors
/// [`DiskError::NotFound`] if there is no first segment; [`StoreError::Damaged`] if its first record is no frame of
/// position 0.
pub fn first_frame<D: Disk>(disk: &D, dir: &str) -> Result<StoredFrame, StoreError> {
    let (sealed, open) = (path_of(dir, 0, true), path_of(dir, 0, false));
    let (path, file) = match disk.open(&sealed) {
        Err(DiskError::NotFound { .. }) => (open.clone(), disk.open(&open)?),
        other => (sealed, other?),
    };
    let wrong = |what: &dyn std::fmt::Display| damaged(&path, 0, 0, what);
    let mut start = [0; FILE_HEADER_BYTES + HEAD_BYTES];
    file.read_at(0, &mut start)?;
    let (header, head) = start.split_at(FILE_HEADER_BYTES);
    let header = FileHeader::read(header).map_err(|flaw| wrong(&flaw))?;
    let head = Head::read(head).map_err(|flaw| wrong(&flaw))?;
    // A head that was judged tells a length within the limits.
    debug_assert!(head.record_bytes() <= head.payload_bytes + FRAME_OVERHEAD_BYTES_MAX);
    let mut bytes = vec![0; head.record_bytes()];
    file.read_at(FILE_HEADER_BYTES as u64, &mut bytes)?;
    let (body, _) = read_record(&bytes).map_err(|flaw| wrong(&flaw))?;
    let Body::Frame(body) = body else {
        return Err(wrong(&"the first record is no frame"));
    };
    let frame = Frame::read(body.frame.to_vec()).map_err(|error| wrong(&error))?;
    if body.position != 0 || header.first != 0 || frame.header().ledger != header.ledger {
        return Err(wrong(&"the first record is not position 0 of its ledger"));
    }
    Ok(StoredFrame {
        position: 0,
        ledger_time: body.ledger_time,
        append_time: body.append_time,
        frame,
    })
}
