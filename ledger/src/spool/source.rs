//! What a closed stream holds: its groups, read back with what was announced there.

use orebook_schema::event::{Moved, NO_NUMBER};
use orebook_schema::frame::RawEvents;
use orebook_schema::{Event, StreamId};

use super::Spool;
use super::error::{SpoolError, SpoolResult};
use super::record::{Group, RecordKind};
use super::recover::Replay;
use super::standing::{Broken, Current};
use crate::disk::Disk;

/// A group of the closed stream.
#[derive(Debug)]
pub(super) struct SourceGroup {
    payload: Vec<u8>,
}

/// Goes through the groups of a closed stream, oldest first.
#[derive(Debug)]
pub(super) struct Walk<D: Disk> {
    replay: Replay<D::File>,
    stream: StreamId,
    from: u64,
    end: u64,
    done: bool,
}

impl SourceGroup {
    /// Its shares and blocks as moved events with their sequence numbers; worker and job are still the source's. What
    /// was moved there already keeps its first stream, epoch, sequence number, base time and bytes.
    pub(super) fn moved(&self) -> Result<Vec<(u64, Moved)>, Broken> {
        let unreadable = |_| "a group whose events do not decode";
        let group = Group::read(&self.payload).map_err(unreadable)?;
        let mut all = Vec::new();
        for (seq, raw) in (group.first_seq..).zip(RawEvents::new(group.body)) {
            let raw = raw.map_err(unreadable)?;
            let moved = |worker, job| Moved {
                stream: group.stream,
                epoch: group.epoch,
                seq,
                base_time: group.base_time,
                worker,
                job,
                event: raw.bytes.to_vec(),
            };
            let event = raw.decode().map_err(unreadable)?;
            if let Some(share) = event.share() {
                all.push((seq, moved(share.worker, share.job)));
            }
            match event {
                Event::BlockFound(_) => all.push((seq, moved(NO_NUMBER, NO_NUMBER))),
                Event::Moved(before) => all.push((seq, before)),
                _ => {}
            }
        }
        Ok(all)
    }
}

impl<D: Disk> Walk<D> {
    /// At the first file with events of `stream` from `from` on; `None` if there is none.
    pub(super) fn start(
        spool: &Spool<D>,
        stream: StreamId,
        from: u64,
        end: u64,
    ) -> SpoolResult<Option<Self>> {
        let first = spool
            .metas()
            .find(|meta| meta.end_of(stream).is_some_and(|end| from < end));
        let Some(number) = first.map(|meta| meta.number) else {
            return Ok(None);
        };
        let replay = Replay::open(&spool.disk, &spool.dir, number)?;
        Ok(Some(Self {
            replay,
            stream,
            from,
            end,
            done: false,
        }))
    }

    /// The next group that ends above `from`.
    pub(super) fn next_group(&mut self, spool: &Spool<D>) -> SpoolResult<Option<SourceGroup>> {
        while !self.done {
            let number = self.replay.scanner.number();
            let Some(meta) = spool.metas().find(|meta| meta.number == number) else {
                return Ok(None);
            };
            if meta.end <= self.replay.offset {
                if meta.number == spool.meta.number {
                    return Ok(None);
                }
                self.replay = Replay::open(&spool.disk, &spool.dir, number.saturating_add(1))?;
                continue;
            }
            let Some(taken) = self.replay.step(meta.end)? else {
                return Err(self.damaged("no record where one was durable"));
            };
            if taken.kind != RecordKind::Group {
                continue;
            }
            let unreadable = |_| self.damaged("no group of events");
            let group = Group::read(&taken.payload).map_err(unreadable)?;
            let next_seq = group.next_seq();
            if group.stream == self.stream && self.from < next_seq {
                self.done = self.end <= next_seq;
                return Ok(Some(SourceGroup {
                    payload: taken.payload,
                }));
            }
        }
        Ok(None)
    }

    /// Sequence number from which on events are moved.
    pub(super) const fn from(&self) -> u64 {
        self.from
    }

    /// The stream as it was after the last group, with what was announced in its epoch.
    pub(super) const fn current(&self) -> Option<&Current> {
        self.replay.standing.current.as_ref()
    }

    /// The error that names the place after the last group.
    pub(super) fn damaged(&self, what: &'static str) -> SpoolError {
        self.replay.scanner.damaged(self.replay.offset, what)
    }
}
