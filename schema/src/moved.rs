//! An event of a closed stream, said again (section 3, kind 10).

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::event::{EVENT_HEAD_BYTES, Event, RawEvent};
use crate::names::StreamId;

/// Bytes of a moved event before the inner one: head, stream, epoch, seq, base time, worker, job.
pub(crate) const MOVED_HEAD_BYTES: usize = EVENT_HEAD_BYTES + 16 + 4 + 8 + 8 + 4 + 4;
/// Number in `moved` for "refers to none".
pub const NO_NUMBER: u32 = u32::MAX;

/// An event of a closed stream, said again by its producer's new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The stream it was in.
    pub stream: StreamId,
    /// Epoch there; the coinbase tag is that one's.
    pub epoch: u32,
    /// Sequence number there.
    pub seq: u64,
    /// What the inner event's dt counts from, milliseconds since 1970.
    pub base_time: u64,
    /// This stream's number of the inner share's worker, [`NO_NUMBER`] for a block.
    pub worker: u32,
    /// This stream's number of the inner share's job, [`NO_NUMBER`] for a block.
    pub job: u32,
    /// The inner event's canonical bytes: a share of either kind or a block found.
    pub event: Vec<u8>,
}

impl Moved {
    /// The inner event.
    ///
    /// # Errors
    /// [`DecodeError`]; never for a `Moved` that was decoded itself.
    pub fn inner(&self) -> Decoded<Event> {
        RawEvent::one(&self.event)?.decode()
    }
}

pub(crate) fn write_moved(moved: &Moved, out: &mut Vec<u8>) {
    out.put(&moved.stream.0);
    out.put(&moved.epoch.to_le_bytes());
    out.put(&moved.seq.to_le_bytes());
    out.put(&moved.base_time.to_le_bytes());
    out.put(&moved.worker.to_le_bytes());
    out.put(&moved.job.to_le_bytes());
    out.put(&moved.event);
}

pub(crate) fn read_moved(reader: &mut Reader<'_>) -> Decoded<Moved> {
    let moved = Moved {
        stream: StreamId(reader.array()?),
        epoch: reader.u32()?,
        seq: reader.u64()?,
        base_time: reader.u64()?,
        worker: reader.u32()?,
        job: reader.u32()?,
        event: reader.take_rest().to_vec(),
    };
    let inner = RawEvent::one(&moved.event)?;
    let numbered = match inner.decode()? {
        Event::Share(_) | Event::EthashShare(_) => true,
        Event::BlockFound(_) => false,
        _ => return Err(DecodeError::Value("moved kind")),
    };
    if moved.base_time.checked_add(u64::from(inner.dt)).is_none() {
        return Err(DecodeError::Limit("moved time"));
    }
    let fits = if numbered {
        moved.worker != NO_NUMBER && moved.job != NO_NUMBER
    } else {
        moved.worker == NO_NUMBER && moved.job == NO_NUMBER
    };
    if fits {
        Ok(moved)
    } else {
        Err(DecodeError::Value("moved numbers"))
    }
}
