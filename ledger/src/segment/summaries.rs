//! Headers and summaries without bodies, walked backwards: how a PPLNS window reads.
//!
//! A record's CRC is over the whole frame, most of which is body, so this path checks in another way. A record's head has
//! a CRC of its own, and the position must be right. A header must hash to what the header of its stream's next frame,
//! walked over before, names as the one before it; the first frame of a stream that a walk meets is read whole, by its
//! CRC. A summary must hash to what its header says. So every flipped bit of a header or a summary is found here. One in
//! a body is not looked for: it is found when the frame is opened. Nor are a record's two times, which are not given out.

use std::collections::BTreeMap;
use std::ops::Range;

use orebook_schema::{HEADER_BYTES, Hash, Header, StreamId};

use super::record::{
    Body, FILE_HEADER_BYTES, FRAME_PREFIX_BYTES, Fields, HEAD_BYTES, Head, RecordType, read_record,
};
use super::view::{StoredFrame, View, no_longer};
use super::{Flaw, StoreError, as_index, damaged};
use crate::disk::{Disk, DiskFile};

/// Most frames read at once: so many system calls are saved, and so much is read for nothing where a walk ends.
const FRAMES_AT_ONCE: u64 = 16;
/// Bytes between two frames' summaries up to which both are read as one: copying them costs less than another call.
const GAP_BYTES_MAX: u64 = 4_096;
/// Bytes up to which neighbours are read as one.
const READ_BYTES_MAX: u64 = 128 << 10;
/// Bytes of a summary read with its header, before any length is known. A longer one costs another call.
const GUESS_BYTES: u64 = 4_096;
/// Bytes by which the longest summary of a batch may be exceeded in the next without another call.
const GUESS_SLACK_BYTES: u64 = 256;
/// Most streams whose next header is remembered, 48 bytes each. Frames of further ones are read whole, each time.
const STREAMS_MAX: usize = 1_024;
/// Bytes of a record before the summary.
const FIXED_BYTES: usize = HEAD_BYTES + FRAME_PREFIX_BYTES + HEADER_BYTES;

/// Headers and summaries of neighbouring frames, and what a walk backwards knows of headers further back. One buffer for
/// a whole walk; filled by [`SegmentStore::summaries`](super::SegmentStore::summaries).
#[derive(Debug, Default)]
pub struct Summaries {
    /// Position of the first entry.
    newest: u64,
    /// By position, descending, without gaps.
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    /// What the header of each stream's frame before those walked over hashes to.
    before: BTreeMap<StreamId, Hash>,
    /// Bytes of the longest summary of the last batch.
    longest: u64,
}

#[derive(Debug)]
struct Entry {
    header: Header,
    /// Where its summary stands in the bytes.
    summary: Range<usize>,
}

/// A frame without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summarised<'a> {
    /// The header.
    pub header: &'a Header,
    /// The summary's bytes: those that were admitted with the header.
    pub summary: &'a [u8],
}

impl Summaries {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            newest: 0,
            entries: Vec::new(),
            bytes: Vec::new(),
            before: BTreeMap::new(),
            longest: GUESS_BYTES,
        }
    }

    /// The frame of a position, if it is among those read last.
    #[must_use]
    pub fn get(&self, position: u64) -> Option<Summarised<'_>> {
        let entry = self
            .entries
            .get(as_index(self.newest.checked_sub(position)?))?;
        Some(Summarised {
            header: &entry.header,
            summary: self.bytes.get(entry.summary.clone())?,
        })
    }

    /// Takes one frame that was read whole, for sources that cannot read less.
    pub fn take(&mut self, stored: &StoredFrame) {
        self.begin(stored.position);
        let summary = stored.frame.summary();
        self.bytes.extend_from_slice(summary);
        self.entries.push(Entry {
            header: stored.frame.header().clone(),
            summary: 0..summary.len(),
        });
        self.remember(stored.frame.header());
    }

    /// Forgets all frames, and what is known of headers further back unless the walk goes on where it was.
    fn begin(&mut self, position: u64) {
        let lowest = self.newest.checked_sub(self.entries.len() as u64);
        if self.entries.is_empty() || lowest != Some(position) {
            self.before.clear();
        }
        self.newest = position;
        self.entries.clear();
        self.bytes.clear();
    }

    fn remember(&mut self, header: &Header) {
        if self.before.contains_key(&header.stream) || self.before.len() < STREAMS_MAX {
            self.before.insert(header.stream, header.previous);
        }
    }

    /// Reads the frames `lowest..=newest` of one file. A flaw ends the batch; it is an error only in the first frame, which
    /// was asked for.
    fn read<F: DiskFile>(&mut self, place: &Place<'_, F>, newest: u64) -> Result<(), StoreError> {
        let extents = place.extents(newest)?;
        let starts = self.read_starts(place, &extents, newest)?;
        let mut longest = 0;
        for (extent, start) in extents.iter().zip(starts).rev() {
            let position = self.newest - self.entries.len() as u64;
            match self.judge(place, position, extent, start) {
                Ok(entry) => {
                    longest = longest.max(entry.summary.len() as u64);
                    self.remember(&entry.header);
                    self.entries.push(entry);
                }
                Err(error) if self.entries.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        self.longest = longest.saturating_add(GUESS_SLACK_BYTES);
        Ok(())
    }

    /// Reads the beginning of each record, as far as its summary probably goes; neighbours at once where little lies
    /// between. Where each stands in the bytes.
    fn read_starts<F: DiskFile>(
        &mut self,
        place: &Place<'_, F>,
        extents: &[Range<u64>],
        newest: u64,
    ) -> Result<Vec<Range<usize>>, StoreError> {
        let wanted = (FIXED_BYTES as u64).saturating_add(self.longest);
        let mut starts = Vec::with_capacity(extents.len());
        let mut reads: Vec<(Range<u64>, usize)> = Vec::with_capacity(extents.len());
        let mut len = 0;
        for extent in extents {
            let end = extent.end.min(extent.start.saturating_add(wanted));
            let near = |read: &Range<u64>| {
                extent.start - read.end <= GAP_BYTES_MAX && end - read.start <= READ_BYTES_MAX
            };
            let at = match reads.last_mut().filter(|(read, _)| near(read)) {
                Some((read, at)) => {
                    read.end = end;
                    *at + as_index(extent.start - read.start)
                }
                None => {
                    reads.push((extent.start..end, len));
                    len
                }
            };
            len = at + as_index(end - extent.start);
            starts.push(at..len);
        }
        self.bytes.resize(len, 0);
        let mut rest = self.bytes.as_mut_slice();
        for (read, _) in reads {
            let (piece, after) = rest.split_at_mut(as_index(read.end - read.start));
            place.fill(read.start, piece, newest)?;
            rest = after;
        }
        Ok(starts)
    }

    /// Judges the record that begins at `extent`, of whose bytes `start` are here, and reads what is missing.
    fn judge<F: DiskFile>(
        &mut self,
        place: &Place<'_, F>,
        position: u64,
        extent: &Range<u64>,
        start: Range<usize>,
    ) -> Result<Entry, StoreError> {
        let flaw = |flaw| damaged(place.path, extent.start, position, flaw);
        let bytes = self.bytes.get(start.clone()).unwrap_or_default();
        let (header, len) = read_start(bytes, position).map_err(flaw)?;
        if extent.end - extent.start < len as u64 {
            return Err(flaw(Flaw::Length));
        }
        let Some(expected) = self.before.get(&header.stream) else {
            return self.judge_whole(place, position, extent.start, len);
        };
        let header_bytes = bytes.get(FIXED_BYTES - HEADER_BYTES..FIXED_BYTES);
        if Hash::of(&[header_bytes.unwrap_or_default()]) != *expected {
            return Err(flaw(Flaw::Unlinked));
        }
        let summary_bytes = as_index(u64::from(header.summary_len));
        let at = if start.len() < FIXED_BYTES + summary_bytes {
            self.append(
                place,
                extent.start + FIXED_BYTES as u64,
                summary_bytes,
                position,
            )?
        } else {
            start.start + FIXED_BYTES
        };
        let summary = at..at + summary_bytes;
        let summary_hash = Hash::of(&[self.bytes.get(summary.clone()).unwrap_or_default()]);
        if summary_hash == header.summary_hash {
            Ok(Entry { header, summary })
        } else {
            Err(flaw(Flaw::Summary))
        }
    }

    /// Judges a record of `len` bytes by its CRC.
    fn judge_whole<F: DiskFile>(
        &mut self,
        place: &Place<'_, F>,
        position: u64,
        offset: u64,
        len: usize,
    ) -> Result<Entry, StoreError> {
        let flaw = |flaw| damaged(place.path, offset, position, flaw);
        let at = self.append(place, offset, len, position)?;
        let bytes = self.bytes.get(at..).unwrap_or_default();
        let (body, _) = read_record(bytes).map_err(flaw)?;
        assert!(
            matches!(body, Body::Frame(_)),
            "read_start takes frames only, and the head has a CRC"
        );
        let (header, _) = read_start(bytes, position).map_err(flaw)?;
        let from = at + FIXED_BYTES;
        let summary = from..from + as_index(u64::from(header.summary_len));
        Ok(Entry { header, summary })
    }

    /// Reads more bytes behind those that are here; where they begin.
    fn append<F: DiskFile>(
        &mut self,
        place: &Place<'_, F>,
        offset: u64,
        len: usize,
        position: u64,
    ) -> Result<usize, StoreError> {
        let at = self.bytes.len();
        self.bytes.resize(at + len, 0);
        let piece = self.bytes.get_mut(at..).unwrap_or_default();
        place.fill(offset, piece, position)?;
        Ok(at)
    }
}

/// Head, position and header of a frame's record, and the record's length; what its header says of lengths is so.
fn read_start(bytes: &[u8], position: u64) -> Result<(Header, usize), Flaw> {
    let head = Head::read(bytes)?;
    if head.record != RecordType::Frame {
        return Err(Flaw::Length);
    }
    let mut fields = Fields(bytes.get(HEAD_BYTES..).ok_or(Flaw::Short)?);
    if fields.u64()? != position {
        return Err(Flaw::Position);
    }
    let _times: [u8; FRAME_PREFIX_BYTES - 8] = fields.array()?;
    let header = fields.0.first_chunk().ok_or(Flaw::Short)?;
    let header = Header::read(header).map_err(|_| Flaw::FrameHeader)?;
    let frame_bytes =
        HEADER_BYTES as u64 + u64::from(header.summary_len) + u64::from(header.body_len);
    if FRAME_PREFIX_BYTES as u64 + frame_bytes == head.payload_bytes as u64 {
        Ok((header, head.record_bytes()))
    } else {
        Err(Flaw::FrameHeader)
    }
}

/// A segment to read from: its file up to some offset, and what waits for a sync behind that.
struct Place<'a, F> {
    path: &'a str,
    /// Offsets of the records of the wanted positions, ascending, and of what follows them.
    offsets: Vec<u64>,
    file: Option<&'a F>,
    file_end: u64,
    waiting: &'a [u8],
}

impl<F: DiskFile> Place<'_, F> {
    /// From where to where each record may reach. The offsets may be a file's, so they are judged.
    fn extents(&self, position: u64) -> Result<Vec<Range<u64>>, StoreError> {
        let end = self.file_end.saturating_add(self.waiting.len() as u64);
        let extents = self
            .offsets
            .iter()
            .zip(self.offsets.iter().skip(1))
            .map(|(from, to)| *from..*to);
        let extents: Vec<Range<u64>> = extents.collect();
        let legal = |extent: &Range<u64>| {
            FILE_HEADER_BYTES as u64 <= extent.start
                && extent.start < extent.end
                && extent.end <= end
        };
        match extents.iter().find(|extent| !legal(extent)) {
            Some(extent) => {
                let what = Flaw::Footer("an offset");
                Err(damaged(self.path, extent.start, position, what))
            }
            None => Ok(extents),
        }
    }

    fn fill(&self, offset: u64, buf: &mut [u8], position: u64) -> Result<(), StoreError> {
        let in_file = as_index(self.file_end.saturating_sub(offset)).min(buf.len());
        let (from_file, from_waiting) = buf.split_at_mut(in_file);
        match self.file {
            _ if from_file.is_empty() => {}
            Some(file) => file
                .read_at(offset, from_file)
                .map_err(|error| no_longer(error, self.path, position))?,
            None => return Err(damaged(self.path, offset, position, Flaw::Short)),
        }
        let skip = as_index(offset.saturating_sub(self.file_end));
        let waiting = self.waiting.get(skip..).unwrap_or_default();
        match waiting.get(..from_waiting.len()) {
            Some(bytes) => {
                from_waiting.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(damaged(self.path, offset, position, Flaw::Short)),
        }
    }
}

impl<D: Disk> View<'_, D> {
    /// Reads the frame of a position and some before it; whether there is one.
    pub(super) fn summaries(&self, position: u64, out: &mut Summaries) -> Result<bool, StoreError> {
        let lowest = position.saturating_sub(FRAMES_AT_ONCE - 1);
        out.begin(position);
        match self.summaries_from(lowest, position, out) {
            // Nobody asked for the frames before it.
            Err(_) if lowest < position => self.summaries_from(position, position, out),
            done => done,
        }
    }

    fn summaries_from(
        &self,
        lowest: u64,
        newest: u64,
        out: &mut Summaries,
    ) -> Result<bool, StoreError> {
        out.bytes.clear();
        if let Some(open) = self.open_segment(newest) {
            if open.index.next() <= newest {
                return Ok(false);
            }
            let positions = lowest.max(open.index.first())..newest + 1;
            let offsets = positions.filter_map(|position| open.index.offset(position));
            let end = open.index.offset(newest + 1).unwrap_or(open.index.end());
            let place = Place {
                path: &open.path,
                offsets: offsets.chain([end]).collect(),
                file: open.file.as_ref(),
                file_end: open.synced,
                waiting: &open.pending,
            };
            return out.read(&place, newest).map(|()| true);
        }
        let Some(sealed) = self.sealed_segment(newest) else {
            return Ok(false);
        };
        let file = self.disk.open(&sealed.path)?;
        let positions = lowest.max(sealed.first())..newest + 1;
        let offsets = sealed.offsets(&file, positions);
        let place = Place {
            path: &sealed.path,
            offsets: offsets.map_err(|error| no_longer(error, &sealed.path, newest))?,
            file: Some(&file),
            file_end: sealed.footer_offset,
            waiting: &[],
        };
        out.read(&place, newest).map(|()| true)
    }
}
