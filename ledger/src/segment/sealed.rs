//! A sealed segment, of which only small facts stay in memory: its tables are read where they lie.

use std::ops::Range;

use orebook_schema::StreamId;

use super::footer::{FOOTER_FIXED_BYTES, FOOTER_POSITION_BYTES, Footer, FooterFacts, IndexEntry};
use super::index::Rules;
use super::record::{
    Body, FILE_HEADER_BYTES, FileHeader, HEAD_BYTES, Head, RecordType, SEGMENT_POSITIONS_MAX,
    read_record, record_bytes,
};
use super::scan::Pieces;
use super::{Flaw, StoreError, as_index, damaged};
use crate::disk::{Disk, DiskFile, DiskResult};

/// How many streams of a sealed segment are kept in memory with their first seqs: 32 bytes each. With more, lookups
/// search the index in the file.
const STREAMS_KEPT_MAX: usize = 64;

/// Facts of a sealed segment.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) path: String,
    pub(super) header: FileHeader,
    pub(super) facts: FooterFacts,
    /// Offset of the footer's record.
    pub(super) footer_offset: u64,
    /// Length of the file.
    pub(super) bytes: u64,
    /// Smallest first seq of each stream, ascending by stream; none if there are too many streams.
    streams: Option<Vec<(StreamId, u64)>>,
}

impl Sealed {
    /// Of a footer whose tables were judged.
    pub(super) fn new(path: String, header: FileHeader, footer: &Footer<'_>, offset: u64) -> Self {
        let positions = as_index(u64::from(footer.facts.positions));
        let bytes = offset + footer_bytes(positions) as u64;
        let streams = first_of_streams(footer.index());
        Self {
            path,
            header,
            facts: footer.facts,
            footer_offset: offset,
            bytes,
            streams,
        }
    }

    /// Reads header and footer and judges what they say of themselves; the records between are not looked at.
    pub(super) fn read<D: Disk>(
        disk: &D,
        path: String,
        first: u64,
        rules: &Rules,
    ) -> Result<Self, StoreError> {
        let file = disk.open(&path)?;
        let bytes = file.len()?;
        let flaw = |offset, flaw: Flaw| damaged(&path, offset, first, flaw);
        let header = read_file_header(&file, bytes)?.map_err(|cause| flaw(0, cause))?;
        if header.ledger != rules.ledger {
            return Err(StoreError::OtherLedger {
                file: path,
                found: header.ledger,
            });
        }
        let Some((offset, record)) = find_footer(&file, bytes)? else {
            return Err(flaw(
                bytes,
                Flaw::Footer("there is none at the end of the file"),
            ));
        };
        let footer = match read_record(&record) {
            Ok((Body::Footer(footer), _)) => footer,
            Ok(_) => return Err(flaw(offset, Flaw::Footer("another record stands there"))),
            Err(cause) => return Err(flaw(offset, cause)),
        };
        if header.first != first || footer.facts.first != first {
            return Err(flaw(
                offset,
                Flaw::Footer("name, header and footer differ in the position"),
            ));
        }
        judge_tables(&footer, offset).map_err(|what| flaw(offset, Flaw::Footer(what)))?;
        Ok(Self::new(path, header, &footer, offset))
    }

    /// First position.
    pub(super) const fn first(&self) -> u64 {
        self.header.first
    }

    /// The position after the last.
    pub(super) fn next(&self) -> u64 {
        self.first().saturating_add(u64::from(self.facts.positions))
    }

    /// Offset of a position's record, as the footer has it.
    pub(super) fn offset<F: DiskFile>(&self, file: &F, position: u64) -> DiskResult<u64> {
        let mut entry = [0; 8];
        let inside = position.saturating_sub(self.first());
        file.read_at(self.tables() + 8 * inside, &mut entry)?;
        Ok(u64::from_le_bytes(entry))
    }

    /// Offsets of the records of neighbouring positions of the segment, as the footer has them, and of what follows.
    pub(super) fn offsets<F: DiskFile>(
        &self,
        file: &F,
        positions: Range<u64>,
    ) -> DiskResult<Vec<u64>> {
        let inside = positions.start.saturating_sub(self.first());
        // The footer itself follows the last position.
        let entries = positions.end.saturating_add(1).min(self.next()) - positions.start;
        let mut bytes = vec![0; 8 * as_index(entries)];
        file.read_at(self.tables() + 8 * inside, &mut bytes)?;
        let mut offsets: Vec<u64> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|entry| u64::from_le_bytes(*entry))
            .collect();
        if positions.end == self.next() {
            offsets.push(self.footer_offset);
        }
        Ok(offsets)
    }

    /// Whether the segment can have a frame of `stream` that starts at `seq` or before; true if that is not known.
    pub(super) fn may_have(&self, stream: StreamId, seq: u64) -> bool {
        let Some(streams) = &self.streams else {
            return true;
        };
        let found = streams.binary_search_by_key(&stream, |(of, _)| *of);
        found
            .ok()
            .and_then(|at| streams.get(at))
            .is_some_and(|(_, first)| *first <= seq)
    }

    /// Position of the frame of `stream` with the largest first seq that is not above `seq`: a binary search by
    /// positional reads.
    pub(super) fn find<F: DiskFile>(
        &self,
        file: &F,
        stream: StreamId,
        seq: u64,
    ) -> DiskResult<Option<u64>> {
        let index = self.tables() + 8 * u64::from(self.facts.positions);
        let (mut low, mut high) = (0, u64::from(self.facts.positions));
        let mut found = None;
        while low < high {
            let middle = low.midpoint(high);
            let mut entry = [0; IndexEntry::BYTES];
            file.read_at(index + IndexEntry::BYTES as u64 * middle, &mut entry)?;
            match IndexEntry::read(&entry) {
                Ok(entry) if (entry.stream, entry.first_seq) <= (stream, seq) => {
                    found = (entry.stream == stream).then_some(entry.position);
                    low = middle + 1;
                }
                _ => high = middle,
            }
        }
        Ok(found)
    }

    const fn tables(&self) -> u64 {
        self.footer_offset + (HEAD_BYTES + FOOTER_FIXED_BYTES) as u64
    }
}

/// Reads the header of a file of `len` bytes.
pub(super) fn read_file_header<F: DiskFile>(
    file: &F,
    len: u64,
) -> DiskResult<Result<FileHeader, Flaw>> {
    let mut bytes = [0; FILE_HEADER_BYTES];
    if len < bytes.len() as u64 {
        return Ok(Err(Flaw::Short));
    }
    file.read_at(0, &mut bytes)?;
    Ok(FileHeader::read(&bytes))
}

const fn footer_bytes(positions: usize) -> usize {
    record_bytes(FOOTER_FIXED_BYTES + FOOTER_POSITION_BYTES * positions)
}

/// Finds the footer from the end of a file of `len` bytes: its length depends on how many positions it has, so each
/// number is tried until a head says the very length that is left. Offset and bytes.
fn find_footer<F: DiskFile>(file: &F, len: u64) -> DiskResult<Option<(u64, Vec<u8>)>> {
    let mut pieces = Pieces::default();
    let mut loaded_from = len;
    for positions in 1..=SEGMENT_POSITIONS_MAX {
        let bytes = footer_bytes(positions);
        let Some(offset) = len.checked_sub(bytes as u64) else {
            break;
        };
        // Larger and larger pieces that end at the end, so that going backward reads each byte twice at most.
        if offset < loaded_from {
            let piece = (2 * bytes).max(64 * 1024) as u64;
            loaded_from = len - piece.min(len);
            pieces = Pieces::default();
            pieces.get(file, loaded_from, as_index(len - loaded_from), len)?;
        }
        let head = pieces
            .get(file, offset, HEAD_BYTES, len)?
            .unwrap_or_default();
        if Head::read(head)
            .is_ok_and(|head| head.record == RecordType::Footer && head.record_bytes() == bytes)
        {
            let record = pieces.get(file, offset, bytes, len)?.unwrap_or_default();
            return Ok(Some((offset, record.to_vec())));
        }
    }
    Ok(None)
}

/// Judges a footer's tables by themselves.
fn judge_tables(footer: &Footer<'_>, footer_offset: u64) -> Result<(), &'static str> {
    let facts = &footer.facts;
    let Some(next) = facts.first.checked_add(u64::from(facts.positions)) else {
        return Err("its positions do not end");
    };
    let inside = |offset: &u64| FILE_HEADER_BYTES as u64 <= *offset && *offset < footer_offset;
    if !footer.offsets().is_sorted_by(|a, b| a < b) || !footer.offsets().all(|it| inside(&it)) {
        return Err("its offsets are not ascending or not within the file");
    }
    let places = footer.index().map(|entry| (entry.stream, entry.first_seq));
    if !places.is_sorted_by(|a, b| a < b) {
        return Err("its index is not ascending");
    }
    if footer
        .index()
        .all(|entry| (facts.first..next).contains(&entry.position))
    {
        Ok(())
    } else {
        Err("its index names a position outside of the segment")
    }
}

fn first_of_streams(index: impl Iterator<Item = IndexEntry>) -> Option<Vec<(StreamId, u64)>> {
    let mut streams: Vec<(StreamId, u64)> = Vec::new();
    for entry in index {
        if streams
            .last()
            .is_none_or(|(stream, _)| *stream != entry.stream)
        {
            streams.push((entry.stream, entry.first_seq));
        }
        if STREAMS_KEPT_MAX < streams.len() {
            return None;
        }
    }
    Some(streams)
}
