//! What a file holds, found by walking over it: offsets by position, and positions by place in a stream.

use std::collections::BTreeMap;

use orebook_schema::event::Event;
use orebook_schema::frame::RawEvents;
use orebook_schema::{Frame, HEADER_BYTES, Hash, Header, LedgerId, StreamId};

use super::footer::{FooterFacts, IndexEntry, put_footer};
use super::record::{Body, FILE_HEADER_BYTES, FRAME_BYTES_MIN, FRAME_OVERHEAD_BYTES_MAX};
use super::scan::Found;
use super::{Flaw, as_index};

/// How large segments may be: genesis' figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    positions: u64,
    frame_bytes: u64,
}

impl Limits {
    /// For records that were judged before.
    pub(super) const NONE: Self = Self {
        positions: u64::MAX,
        frame_bytes: u64::MAX,
    };

    /// Of the frame of position 0; none if it is no genesis frame.
    pub(super) fn of_genesis(frame: &Frame) -> Option<Self> {
        let mut events = RawEvents::new(frame.body());
        let Event::Genesis(genesis) = events.next()?.ok()?.decode().ok()? else {
            return None;
        };
        let positions = u64::from(genesis.segment_positions);
        Some(Self {
            positions,
            frame_bytes: genesis.segment_bytes,
        })
    }

    /// Bytes that the file of a segment without closures and footer can have.
    pub(super) const fn file_bytes_max(&self) -> u64 {
        let by_bytes = self.frame_bytes / FRAME_BYTES_MIN as u64 + 1;
        let frames = if self.positions < by_bytes {
            self.positions
        } else {
            by_bytes
        };
        let overhead = frames * FRAME_OVERHEAD_BYTES_MAX as u64;
        FILE_HEADER_BYTES as u64 + self.frame_bytes + overhead
    }
}

/// What records of a ledger are judged by; the limits are known from position 0 on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) ledger: LedgerId,
    pub(super) limits: Option<Limits>,
}

#[derive(Clone, Copy, Debug)]
struct FrameEntry {
    offset: u64,
    frame_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct ClosureEntry {
    offset: u64,
    position: u64,
}

/// Index of one segment: 100 bytes of memory a position.
#[derive(Clone, Debug)]
pub(super) struct SegmentIndex {
    first: u64,
    end: u64,
    frame_bytes: u64,
    frames: Vec<FrameEntry>,
    closures: Vec<ClosureEntry>,
    by_seq: BTreeMap<(StreamId, u64), u64>,
}

impl SegmentIndex {
    /// Of a segment without records.
    pub(super) const fn new(first: u64) -> Self {
        Self {
            first,
            end: FILE_HEADER_BYTES as u64,
            frame_bytes: 0,
            frames: Vec::new(),
            closures: Vec::new(),
            by_seq: BTreeMap::new(),
        }
    }

    /// First position.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// The position after the last.
    pub(super) const fn next(&self) -> u64 {
        self.first + self.positions()
    }

    /// Positions.
    pub(super) const fn positions(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Offset after the last record.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Whether a frame of so many bytes still belongs into this segment.
    pub(super) fn takes(&self, frame_bytes: usize, limits: &Limits) -> bool {
        let bytes = self.frame_bytes.saturating_add(frame_bytes as u64);
        self.frames.is_empty() || self.positions() < limits.positions && bytes <= limits.frame_bytes
    }

    /// Adds the next frame, whose record has `record_bytes`.
    pub(super) fn push_frame(&mut self, header: &Header, frame_bytes: usize, record_bytes: usize) {
        let (stream, first_seq) = (header.stream, header.first_seq);
        let (offset, frame_bytes) = (self.end, frame_bytes as u64);
        self.by_seq.insert((stream, first_seq), self.next());
        self.frames.push(FrameEntry {
            offset,
            frame_bytes,
        });
        self.frame_bytes = self.frame_bytes.saturating_add(frame_bytes);
        self.end += record_bytes as u64;
    }

    /// Adds a closure, whose record has `record_bytes`.
    pub(super) fn push_closure(&mut self, record_bytes: usize) {
        self.closures.push(ClosureEntry {
            offset: self.end,
            position: self.next(),
        });
        self.end += record_bytes as u64;
    }

    /// Judges a record by its place and adds it. What admission would say is not asked.
    pub(super) fn take(&mut self, found: &Found<'_>, rules: &mut Rules) -> Result<(), Flaw> {
        match &found.body {
            Body::Frame(body) => {
                if body.position != self.next() {
                    return Err(Flaw::Position);
                }
                let header = self.judge_frame(body.frame, rules)?;
                self.push_frame(&header, body.frame.len(), found.bytes.len());
            }
            Body::Closure(body) => {
                // A closure stands in the segment of the position before its own, so never first.
                if body.position != self.next() || self.frames.is_empty() {
                    return Err(Flaw::Position);
                }
                read_header(body.header, rules)?;
                self.push_closure(found.bytes.len());
            }
            Body::Footer(_) => return Err(Flaw::Footer("it stands where no footer belongs")),
        }
        Ok(())
    }

    fn judge_frame(&self, frame: &[u8], rules: &mut Rules) -> Result<Header, Flaw> {
        let head = frame.first_chunk().ok_or(Flaw::FrameHeader)?;
        let header = read_header(head, rules)?;
        let parts = u64::from(header.summary_len) + u64::from(header.body_len);
        if parts + HEADER_BYTES as u64 != frame.len() as u64 {
            return Err(Flaw::FrameHeader);
        }
        if self.next() == 0 {
            let frame = Frame::read(frame.to_vec()).map_err(|_| Flaw::Genesis)?;
            rules.limits = Some(Limits::of_genesis(&frame).ok_or(Flaw::Genesis)?);
        }
        if !rules
            .limits
            .is_some_and(|limits| self.takes(frame.len(), &limits))
        {
            return Err(Flaw::Full);
        }
        let place = (header.stream, header.first_seq);
        if self.by_seq.contains_key(&place) {
            Err(Flaw::Twice)
        } else {
            Ok(header)
        }
    }

    /// Offset of a position's record.
    pub(super) fn offset(&self, position: u64) -> Option<u64> {
        let inside = position.checked_sub(self.first).map(as_index)?;
        self.frames.get(inside).map(|frame| frame.offset)
    }

    /// Position of the frame of `stream` with the largest first seq that is not above `seq`.
    pub(super) fn find(&self, stream: StreamId, seq: u64) -> Option<u64> {
        let mut up_to = self.by_seq.range((stream, 0)..=(stream, seq));
        up_to.next_back().map(|(_, position)| *position)
    }

    /// How many positions have their records before an offset.
    pub(super) fn positions_before(&self, offset: u64) -> u64 {
        self.frames.partition_point(|frame| frame.offset < offset) as u64
    }

    /// Offset of the first record, closures included, of a position of at least `size`; the end if there is none.
    pub(super) fn offset_from(&self, size: u64) -> u64 {
        let closure = self
            .closures
            .partition_point(|closure| closure.position < size);
        let closure = self
            .closures
            .get(closure)
            .map_or(self.end, |closure| closure.offset);
        let frame = self.offset(size.max(self.first)).unwrap_or(self.end);
        frame.min(closure)
    }

    /// Forgets frames and closures of positions from `size` on; the new end.
    pub(super) fn cut(&mut self, size: u64) -> u64 {
        self.end = self.offset_from(size);
        self.frames
            .truncate(as_index(size.saturating_sub(self.first)));
        self.closures.retain(|closure| closure.position < size);
        self.by_seq.retain(|_, position| *position < size);
        self.frame_bytes = self.frames.iter().map(|frame| frame.frame_bytes).sum();
        self.end
    }

    /// Facts of this segment's footer.
    pub(super) fn facts(&self, root: Hash, sha256: Hash) -> FooterFacts {
        // Both counts are below 2^32: a file of so many records would be larger than any disk file may be.
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let (positions, closures) = (count(self.frames.len()), count(self.closures.len()));
        FooterFacts {
            first: self.first,
            positions,
            closures,
            root,
            sha256,
        }
    }

    /// Offsets of the positions' records.
    pub(super) fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.frames.iter().map(|frame| frame.offset)
    }

    /// The footer's index.
    pub(super) fn entries(&self) -> impl Iterator<Item = IndexEntry> + '_ {
        let entry = |(&(stream, first_seq), &position): (&(StreamId, u64), &u64)| IndexEntry {
            stream,
            first_seq,
            position,
        };
        self.by_seq.iter().map(entry)
    }

    /// The footer's record.
    pub(super) fn footer(&self, root: Hash, sha256: Hash) -> Vec<u8> {
        let mut out = Vec::new();
        put_footer(
            &mut out,
            &self.facts(root, sha256),
            self.offsets(),
            self.entries(),
        );
        out
    }
}

fn read_header(bytes: &[u8; HEADER_BYTES], rules: &Rules) -> Result<Header, Flaw> {
    let header = Header::read(bytes).map_err(|_| Flaw::FrameHeader)?;
    if header.ledger == rules.ledger {
        Ok(header)
    } else {
        Err(Flaw::Ledger)
    }
}
