//! Frames read back from the spool, byte for byte as they were cut.

use orebook_schema::{Frame, HEADER_BYTES, StreamId};

use super::Spool;
use super::error::{SpoolError, SpoolResult};
use super::file::{FileMeta, Scanner};
use super::record::{FILE_HEAD_BYTES, Group, RecordKind, read_header};
use crate::disk::Disk;

/// Reads frames in order, of a stream and of those opened after it. It borrows nothing: keep it, and ask again when
/// more was cut. It sees what was cut at the time of each call and goes over what was trimmed.
#[derive(Debug)]
pub struct FrameReader<D: Disk> {
    stream: StreamId,
    seq: u64,
    /// File and offset of the next record.
    file: u64,
    offset: u64,
    scanner: Option<Scanner<D::File>>,
    /// Bodies of the groups since the last header.
    body: Vec<u8>,
}

impl<D: Disk> Spool<D> {
    /// A reader of the frames that end above `seq` of `stream`, and of all frames of the streams opened later, in the
    /// order in which they were cut.
    ///
    /// # Errors
    /// [`SpoolError::NoSuchStream`].
    pub fn frames_from(&self, stream: StreamId, seq: u64) -> SpoolResult<FrameReader<D>> {
        let order = self
            .standing
            .order(stream)
            .ok_or(SpoolError::NoSuchStream(stream))?;
        let wanted = |meta: &&FileMeta| {
            meta.spans.iter().any(|(held, (_, next))| {
                if *held == stream {
                    seq < *next
                } else {
                    Some(order) < self.standing.order(*held)
                }
            })
        };
        let first = self.metas().find(wanted).unwrap_or(&self.meta);
        let file = first.number;
        let offset = FILE_HEAD_BYTES as u64;
        Ok(FrameReader {
            stream,
            seq,
            file,
            offset,
            scanner: None,
            body: Vec::new(),
        })
    }
}

impl<D: Disk> FrameReader<D> {
    /// The next frame; `None` if no further one was cut yet.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] if the bytes on the disk are not what was written; [`SpoolError::Disk`].
    pub fn next_frame(&mut self, spool: &Spool<D>) -> SpoolResult<Option<Frame>> {
        let order = spool.standing.order(self.stream);
        while let Some(payload) = self.next_header(spool)? {
            let body = std::mem::take(&mut self.body);
            let (header, summary) = payload.split_at_checked(HEADER_BYTES).unwrap_or_default();
            let frame = Frame::read([header, summary, &body].concat())
                .map_err(|_| self.damaged(spool, "a header of other events"))?;
            let wanted = if frame.header().stream == self.stream {
                self.seq < frame.header().next_seq()
            } else {
                order < spool.standing.order(frame.header().stream)
            };
            if wanted {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Payload of the next header record; the groups before it are in `body` then.
    fn next_header(&mut self, spool: &Spool<D>) -> SpoolResult<Option<Vec<u8>>> {
        loop {
            let Some(meta) = spool.metas().find(|meta| self.file <= meta.number) else {
                return Ok(None);
            };
            if meta.number != self.file {
                self.enter(meta.number);
            }
            if meta.end <= self.offset {
                if meta.number == spool.meta.number {
                    return Ok(None);
                }
                self.enter(meta.number.saturating_add(1));
                continue;
            }
            let end = meta.end;
            let scanner = match &mut self.scanner {
                Some(scanner) => scanner,
                none => none.insert(Scanner::open(&spool.disk, &spool.dir, self.file)?),
            };
            let record = scanner.record(self.offset, end)?;
            let record = record
                .ok_or_else(|| scanner.damaged(self.offset, "no record where one was durable"))?;
            let here = self.offset;
            self.offset = record.next;
            match record.kind {
                RecordKind::Header if read_header(&record.payload).is_ok() => {
                    return Ok(Some(record.payload));
                }
                RecordKind::Group => {
                    let group = Group::read(&record.payload);
                    let group = group.map_err(|_| scanner.damaged(here, "no group of events"))?;
                    self.body.extend_from_slice(group.body);
                }
                _ => {}
            }
        }
    }

    fn enter(&mut self, file: u64) {
        self.file = file;
        self.offset = FILE_HEAD_BYTES as u64;
        self.scanner = None;
        self.body.clear();
    }

    fn damaged(&self, spool: &Spool<D>, what: &'static str) -> SpoolError {
        let path = super::file::path(&spool.dir, self.file);
        SpoolError::Damaged {
            path,
            offset: self.offset,
            what,
        }
    }
}
