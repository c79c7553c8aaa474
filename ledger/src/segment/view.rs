//! Reading: frames by position, records in order, and the history that admission asks for.

use orebook_schema::{Frame, Hash, Header, StreamId};

use super::index::SegmentIndex;
use super::record::{Body, FILE_HEADER_BYTES, HEAD_BYTES, Head, RecordType, read_record};
use super::scan::{Stop, Walk};
use super::sealed::Sealed;
use super::{Flaw, StoreError, as_index, damaged};
use crate::admit::{AdmitError, History};
use crate::disk::{Disk, DiskError, DiskFile};

/// An admitted frame in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// Position.
    pub position: u64,
    /// Ledger time, milliseconds since 1970.
    pub ledger_time: u64,
    /// The log's append time, milliseconds since 1970.
    pub append_time: u64,
    /// The frame.
    pub frame: Frame,
}

/// What segments hold, in the ledger's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An admitted frame.
    Frame(StoredFrame),
    /// The evidence that closed a stream.
    Closure {
        /// The position that was next.
        position: u64,
        /// The log's append time of the fork, milliseconds since 1970.
        append_time: u64,
        /// The fork's header.
        header: Header,
    },
}

impl Record {
    /// Its position: a closure's is that of the next frame.
    #[must_use]
    pub const fn position(&self) -> u64 {
        match self {
            Self::Frame(stored) => stored.position,
            Self::Closure { position, .. } => *position,
        }
    }

    fn read(body: &Body<'_>) -> Result<Self, Flaw> {
        match body {
            Body::Frame(body) => Ok(Self::Frame(StoredFrame {
                position: body.position,
                ledger_time: body.ledger_time,
                append_time: body.append_time,
                frame: Frame::read(body.frame.to_vec()).map_err(|_| Flaw::FrameHeader)?,
            })),
            Body::Closure(body) => Ok(Self::Closure {
                position: body.position,
                append_time: body.append_time,
                header: Header::read(body.header).map_err(|_| Flaw::FrameHeader)?,
            }),
            Body::Footer(_) => Err(Flaw::Footer("it stands among the records")),
        }
    }
}

/// A segment that is not sealed: its index, its file if that was made, and what waits for a sync.
#[derive(Debug)]
pub(super) struct Open<F> {
    pub(super) path: String,
    /// Root of the tree at its first position.
    pub(super) root: Hash,
    pub(super) index: SegmentIndex,
    pub(super) file: Option<F>,
    /// Whether the file's name is durable.
    pub(super) named: bool,
    /// Offset up to which the file is durable; `pending` goes there.
    pub(super) synced: u64,
    /// Offset up to which a failed write may have left bytes; at least `synced`.
    pub(super) touched: u64,
    pub(super) pending: Vec<u8>,
}

/// All segments of a folder, to read from.
#[derive(Debug)]
pub(super) struct View<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) sealed: &'a [Sealed],
    pub(super) open: &'a [Open<D::File>],
}

impl<D: Disk> Clone for View<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Disk> Copy for View<'_, D> {}

impl<'a, D: Disk> View<'a, D> {
    /// Positions.
    pub(super) fn size(&self) -> u64 {
        let open = self.open.last().map(|open| open.index.next());
        open.unwrap_or_else(|| self.sealed_size())
    }

    /// Positions that are sealed.
    pub(super) fn sealed_size(&self) -> u64 {
        self.sealed.last().map_or(0, Sealed::next)
    }

    /// The frame of a position.
    pub(super) fn frame(&self, position: u64) -> Result<Option<StoredFrame>, StoreError> {
        if let Some(open) = self.open_segment(position) {
            let Some(offset) = open.index.offset(position) else {
                return Ok(None);
            };
            let Some(file) = open.file.as_ref().filter(|_| offset < open.synced) else {
                let waiting = open.pending.get(as_index(offset - open.synced)..);
                return frame_of(waiting.unwrap_or_default(), position)
                    .map(Some)
                    .map_err(|flaw| damaged(&open.path, offset, position, flaw));
            };
            return read_frame(file, &open.path, offset, open.synced, position).map(Some);
        }
        let Some(sealed) = self.sealed_segment(position) else {
            return Ok(None);
        };
        let file = self.disk.open(&sealed.path)?;
        let short = |error| no_longer(error, &sealed.path, position);
        let offset = sealed.offset(&file, position).map_err(short)?;
        read_frame(&file, &sealed.path, offset, sealed.footer_offset, position).map(Some)
    }

    /// Records from a position on.
    pub(super) fn records(self, from: u64) -> Records<'a, D> {
        // A closure of `from` stands in the segment of the position before.
        let before = from.saturating_sub(1);
        let sealed = self
            .sealed
            .partition_point(|sealed| sealed.next() <= before);
        let open = self
            .open
            .partition_point(|open| open.index.next() <= before);
        Records {
            view: self,
            from,
            segment: sealed + open,
            current: None,
            failed: false,
        }
    }

    /// Position of the frame of `stream` with the largest first seq not above `seq`, newest segment first.
    fn find(&self, stream: StreamId, seq: u64) -> Result<Option<u64>, StoreError> {
        let mut open = self.open.iter().rev();
        if let Some(position) = open.find_map(|open| open.index.find(stream, seq)) {
            return Ok(Some(position));
        }
        for sealed in self
            .sealed
            .iter()
            .rev()
            .filter(|sealed| sealed.may_have(stream, seq))
        {
            let file = self.disk.open(&sealed.path)?;
            let short = |error| no_longer(error, &sealed.path, sealed.first());
            if let Some(position) = sealed.find(&file, stream, seq).map_err(short)? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// The frame with this event, which was admitted. A sealed index is read a few entries at a time, without its checksum:
    /// one that leads elsewhere is damaged, and must not make a copy of an admitted frame look like a fork.
    fn covering(&self, stream: StreamId, seq: u64) -> Result<StoredFrame, StoreError> {
        let position = self.find(stream, seq)?;
        let stored = position.map(|position| self.frame(position)).transpose()?;
        let right = |stored: &StoredFrame| {
            let header = stored.frame.header();
            header.stream == stream && (header.first_seq..header.next_seq()).contains(&seq)
        };
        if let Some(stored) = stored.flatten().filter(right) {
            return Ok(stored);
        }
        let position = position.unwrap_or(0);
        let path = self
            .sealed_segment(position)
            .map_or("", |sealed| &sealed.path);
        Err(damaged(
            path,
            0,
            position,
            Flaw::Footer("its index names another frame"),
        ))
    }

    pub(super) fn open_segment(&self, position: u64) -> Option<&'a Open<D::File>> {
        let after = self
            .open
            .partition_point(|open| open.index.first() <= position);
        self.open.get(after.checked_sub(1)?)
    }

    pub(super) fn sealed_segment(&self, position: u64) -> Option<&'a Sealed> {
        let at = self
            .sealed
            .partition_point(|sealed| sealed.next() <= position);
        self.sealed.get(at)
    }
}

impl<D: Disk> History for View<'_, D> {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        let stored = self.covering(stream, first_seq)?;
        let exact = stored.frame.header().first_seq == first_seq;
        Ok(exact.then(|| stored.frame.header_hash()))
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        let stored = self.covering(stream, seq)?;
        let index = as_index(seq - stored.frame.header().first_seq);
        let event = stored.frame.events().nth(index).transpose();
        let event = event.map_err(|error| {
            AdmitError::Damaged(format!("position {}: {error}", stored.position))
        })?;
        Ok(event.map(|event| event.bytes.to_vec()))
    }
}

/// A file that was longer once is damaged; it is not the disk that failed.
pub(super) fn no_longer(error: DiskError, path: &str, position: u64) -> StoreError {
    match error {
        DiskError::Short { offset, .. } => damaged(path, offset, position, Flaw::Short),
        other => StoreError::Disk(other),
    }
}

fn read_frame<F: DiskFile>(
    file: &F,
    path: &str,
    offset: u64,
    to: u64,
    position: u64,
) -> Result<StoredFrame, StoreError> {
    let flaw = |flaw| damaged(path, offset, position, flaw);
    let mut head = [0; HEAD_BYTES];
    file.read_at(offset, &mut head)
        .map_err(|error| no_longer(error, path, position))?;
    let head = Head::read(&head).map_err(flaw)?;
    let left = to.saturating_sub(offset);
    if head.record != RecordType::Frame || left < head.record_bytes() as u64 {
        return Err(flaw(Flaw::Length));
    }
    let mut bytes = vec![0; head.record_bytes()];
    file.read_at(offset, &mut bytes)
        .map_err(|error| no_longer(error, path, position))?;
    frame_of(&bytes, position).map_err(flaw)
}

fn frame_of(bytes: &[u8], position: u64) -> Result<StoredFrame, Flaw> {
    let (body, _) = read_record(bytes)?;
    match Record::read(&body)? {
        Record::Frame(stored) if stored.position == position => Ok(stored),
        _ => Err(Flaw::Position),
    }
}

/// Records in the ledger's order, read from the files in large pieces, then from what waits for a sync. After an error
/// there is nothing more.
#[derive(Debug)]
pub struct Records<'a, D: Disk> {
    view: View<'a, D>,
    from: u64,
    segment: usize,
    current: Option<Current<'a, D::File>>,
    failed: bool,
}

#[derive(Debug)]
struct Current<'a, F> {
    path: &'a str,
    /// File and walk over it; none if there is nothing to read from it.
    file: Option<(F, Walk)>,
    /// Offset in the file and bytes of what is not in it yet.
    waiting: (u64, &'a [u8]),
    /// The position that should come next, for messages.
    position: u64,
}

impl<F: DiskFile> Current<'_, F> {
    fn next(&mut self) -> Result<Option<Record>, StoreError> {
        let (path, position) = (self.path, self.position);
        let mut record = None;
        if let Some((file, walk)) = &mut self.file {
            let offset = walk.offset();
            let flaw = |flaw| damaged(path, offset, position, flaw);
            match walk.next(file) {
                Ok(Some(found)) => record = Some(Record::read(&found.body).map_err(flaw)?),
                Ok(None) => self.file = None,
                Err(Stop::Flaw(cause)) => return Err(flaw(cause)),
                Err(Stop::Disk(error)) => return Err(no_longer(error, path, position)),
            }
        }
        let (offset, bytes) = self.waiting;
        if record.is_none() && !bytes.is_empty() {
            let flaw = |flaw| damaged(path, offset, position, flaw);
            let (body, len) = read_record(bytes).map_err(flaw)?;
            record = Some(Record::read(&body).map_err(flaw)?);
            self.waiting = (offset + len as u64, bytes.get(len..).unwrap_or_default());
        }
        if let Some(Record::Frame(stored)) = &record {
            self.position = stored.position.saturating_add(1);
        }
        Ok(record)
    }
}

impl<'a, D: Disk> Records<'a, D> {
    /// Opens the segment whose turn it is; none after the last.
    fn begin(&self) -> Result<Option<Current<'a, D::File>>, StoreError> {
        // The frame before `from` is where to start: closures of `from` follow it.
        let before = self.from.saturating_sub(1);
        if let Some(sealed) = self.view.sealed.get(self.segment) {
            let file = self.view.disk.open(&sealed.path)?;
            let position = sealed.first().max(before);
            let short = |error| no_longer(error, &sealed.path, position);
            let offset = sealed.offset(&file, position).map_err(short)?;
            let walk = Walk::new(offset, sealed.footer_offset);
            if sealed.footer_offset < offset {
                return Err(damaged(
                    &sealed.path,
                    offset,
                    position,
                    Flaw::Footer("an offset"),
                ));
            }
            let file = Some((file, walk));
            return Ok(Some(Current {
                path: &sealed.path,
                file,
                waiting: (0, &[]),
                position,
            }));
        }
        let Some(open) = self.view.open.get(self.segment - self.view.sealed.len()) else {
            return Ok(None);
        };
        let position = open.index.first().max(before);
        let offset = open.index.offset(position).unwrap_or(open.index.end());
        let from = offset.max(open.synced).max(FILE_HEADER_BYTES as u64);
        let waiting = open
            .pending
            .get(as_index(from - open.synced)..)
            .unwrap_or_default();
        let file = if offset < open.synced {
            Some((
                self.view.disk.open(&open.path)?,
                Walk::new(offset, open.synced),
            ))
        } else {
            None
        };
        Ok(Some(Current {
            path: &open.path,
            file,
            waiting: (from, waiting),
            position,
        }))
    }

    fn step(&mut self) -> Result<Option<Record>, StoreError> {
        loop {
            if self.current.is_none() {
                self.current = self.begin()?;
            }
            let Some(current) = &mut self.current else {
                return Ok(None);
            };
            match current.next()? {
                Some(record) if self.from <= record.position() => return Ok(Some(record)),
                Some(_) => {}
                None => {
                    self.current = None;
                    self.segment += 1;
                }
            }
        }
    }
}

impl<D: Disk> Iterator for Records<'_, D> {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.step().transpose();
        self.failed = !matches!(next, Some(Ok(_)));
        next
    }
}
