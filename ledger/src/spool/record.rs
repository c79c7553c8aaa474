//! Bytes of a spool file: its head, its records, their payloads (`schema/SPOOL-FORMAT.md`).

use crc32c::{crc32c, crc32c_append};
use orebook_schema::bytes::{DecodeError, Decoded, Reader, Write};
use orebook_schema::event::{PolicyChange, RawEvent};
use orebook_schema::{At, Event, HEADER_BYTES, Header, LedgerId, Policy, StreamId};

/// First bytes of a spool file.
const FILE_MAGIC: [u8; 8] = *b"ORESPL0\n";
/// First bytes of a record.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"ORSR";
/// Bytes of a file's head.
pub(super) const FILE_HEAD_BYTES: usize = 64;
/// Bytes of a record's head.
pub(super) const RECORD_HEAD_BYTES: usize = 40;
/// Records begin at multiples of this.
pub(super) const ALIGN_BYTES: u64 = 8;
/// Most bytes of a record's payload; the longest are parts of a state and headers with their summary.
pub(super) const PAYLOAD_BYTES_MAX: usize = 65_536;
/// Most bytes of a policy in a state or a policy record: 16 pots, with room.
pub(super) const POLICY_BYTES_MAX: u64 = 512;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RecordKind {
    /// A part of what recovery needs if all earlier files are gone.
    State = 1,
    /// A policy that jobs may cite.
    Policy = 2,
    /// A stream or an epoch begins.
    Epoch = 3,
    /// Events that became durable together.
    Group = 4,
    /// The header and summary of a frame over the groups since the last one.
    Header = 5,
    /// A stream was closed; its events go to another.
    Move = 6,
    /// How far they went.
    Progress = 7,
}

impl RecordKind {
    const ALL: [Self; 7] = [
        Self::State,
        Self::Policy,
        Self::Epoch,
        Self::Group,
        Self::Header,
        Self::Move,
        Self::Progress,
    ];
}

/// Head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHead {
    pub(super) ledger: LedgerId,
    pub(super) coin: u32,
    /// Which file, from 0 without gaps.
    pub(super) number: u64,
    /// Offset after the last record of the file before; 0 in the first file.
    pub(super) previous_end: u64,
    /// Offset after the state; all below was durable before the file had its name.
    pub(super) state_end: u64,
}

impl FileHead {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEAD_BYTES);
        out.put(&FILE_MAGIC);
        out.put(&self.ledger.0);
        out.put(&self.coin.to_le_bytes());
        out.put(&[0; 4]);
        out.put(&self.number.to_le_bytes());
        out.put(&self.previous_end.to_le_bytes());
        out.put(&self.state_end.to_le_bytes());
        out.put(&[0; 4]);
        out.put(&crc32c(&out).to_le_bytes());
        out
    }

    pub(super) fn read(bytes: &[u8]) -> Decoded<Self> {
        let wrong = DecodeError::Value("spool file head");
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(wrong)?;
        let mut reader = Reader::new(covered, "spool file head");
        let magic: [u8; 8] = reader.array()?;
        let (ledger, coin) = (LedgerId(reader.array()?), reader.u32()?);
        let zeros: [u8; 4] = reader.array()?;
        let (number, previous_end, state_end) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let more_zeros: [u8; 4] = reader.array()?;
        reader.end()?;
        let whole = magic == FILE_MAGIC && zeros == [0; 4] && more_zeros == [0; 4];
        if whole && crc32c(covered) == u32::from_le_bytes(*crc) {
            Ok(Self {
                ledger,
                coin,
                number,
                previous_end,
                state_end,
            })
        } else {
            Err(wrong)
        }
    }
}

/// Where records are put: which file, and what was synced there before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) number: u64,
    /// File offset of the first byte of the buffer.
    pub(super) start: u64,
    /// Below this offset everything was synced when the record was written.
    pub(super) durable: u64,
}

/// A record's head, understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHead {
    pub(super) kind: RecordKind,
    pub(super) payload_len: usize,
    pub(super) durable: u64,
    payload_crc: u32,
}

/// Bytes of a record with its head and padding.
pub(super) const fn record_bytes(payload_len: usize) -> u64 {
    ((RECORD_HEAD_BYTES + payload_len) as u64).next_multiple_of(ALIGN_BYTES)
}

/// Appends a record to a buffer that will stand at `place`.
pub(super) fn put_record(out: &mut Vec<u8>, place: Place, kind: RecordKind, payload: &[u8]) {
    put_record_of(out, place, kind, [payload, &[]]);
}

/// The same for a payload in two pieces.
pub(super) fn put_record_of(out: &mut Vec<u8>, place: Place, kind: RecordKind, pieces: [&[u8]; 2]) {
    let [first, second] = pieces;
    let len = first.len() + second.len();
    assert!(
        len <= PAYLOAD_BYTES_MAX,
        "a record's payload has at most 65,536 bytes"
    );
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let start = out.len();
    let payload_crc = crc32c_append(crc32c(first), second);
    out.put(&RECORD_MAGIC);
    out.put(&[kind as u8, 0, 0, 0]);
    out.put(&small(len as u64));
    out.put(&payload_crc.to_le_bytes());
    out.put(&place.number.to_le_bytes());
    out.put(&small(place.start + start as u64));
    out.put(&small(place.durable));
    out.put(&[0; 4]);
    let head_crc = crc32c(out.get(start..).unwrap_or_default());
    out.put(&head_crc.to_le_bytes());
    out.put(first);
    out.put(second);
    out.resize(out.len().next_multiple_of(8), 0);
}

impl RecordHead {
    /// The head that stands at `offset` of file `number`; `None` for any other bytes, heads of other places included.
    pub(super) fn read(bytes: &[u8], number: u64, offset: u64) -> Option<Self> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c(covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut reader = Reader::new(covered, "record head");
        let magic: [u8; 4] = reader.array().ok()?;
        let kind = reader.u8().ok()?;
        let kind = RecordKind::ALL
            .into_iter()
            .find(|known| *known as u8 == kind)?;
        let zeros: [u8; 3] = reader.array().ok()?;
        let payload_len = usize::try_from(reader.u32().ok()?).ok()?;
        let payload_crc = reader.u32().ok()?;
        let here = (reader.u64().ok()?, u64::from(reader.u32().ok()?));
        let durable = u64::from(reader.u32().ok()?);
        let more_zeros: [u8; 4] = reader.array().ok()?;
        let whole = magic == RECORD_MAGIC && zeros == [0; 3] && more_zeros == [0; 4];
        (whole && here == (number, offset) && payload_len <= PAYLOAD_BYTES_MAX).then_some(Self {
            kind,
            payload_len,
            durable,
            payload_crc,
        })
    }

    /// The payload, if the bytes after the head are it and its padding.
    pub(super) fn payload<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (payload, padding) = bytes.split_at_checked(self.payload_len)?;
        let whole = crc32c(payload) == self.payload_crc;
        (whole && padding.iter().all(|byte| *byte == 0)).then_some(payload)
    }
}

/// Payload of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) stream: StreamId,
    pub(super) epoch: u32,
    pub(super) schema_set: u32,
    pub(super) first_seq: u64,
    pub(super) base_time: u64,
    pub(super) count: u32,
    /// Canonical events.
    pub(super) body: &'a [u8],
}

impl<'a> Group<'a> {
    /// Bytes before the body.
    pub(super) const HEAD_BYTES: usize = 44;

    /// The bytes before the body.
    pub(super) fn head_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::HEAD_BYTES);
        out.put(&self.stream.0);
        out.put(&self.epoch.to_le_bytes());
        out.put(&self.schema_set.to_le_bytes());
        out.put(&self.first_seq.to_le_bytes());
        out.put(&self.base_time.to_le_bytes());
        out.put(&self.count.to_le_bytes());
        out
    }

    pub(super) fn read(bytes: &'a [u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes, "group");
        Ok(Self {
            stream: StreamId(reader.array()?),
            epoch: reader.u32()?,
            schema_set: reader.u32()?,
            first_seq: reader.u64()?,
            base_time: reader.u64()?,
            count: reader.u32()?,
            body: reader.take_rest(),
        })
    }

    /// Sequence number after the last event.
    pub(super) fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.count))
    }
}

/// Payload of an epoch record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EpochOpened {
    pub(super) stream: StreamId,
    pub(super) epoch: u32,
    /// Sequence number of its first event.
    pub(super) next_seq: u64,
}

impl EpochOpened {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = self.stream.0.to_vec();
        out.put(&self.epoch.to_le_bytes());
        out.put(&self.next_seq.to_le_bytes());
        out
    }

    pub(super) fn read(bytes: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes, "epoch record");
        let stream = StreamId(reader.array()?);
        let opened = Self {
            stream,
            epoch: reader.u32()?,
            next_seq: reader.u64()?,
        };
        reader.end()?;
        Ok(opened)
    }
}

/// Payload of a move record: `closed` is closed and `opened` begins at epoch 0, or is the stream in hand already and more
/// of `closed` is moved than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamClosed {
    pub(super) closed: StreamId,
    pub(super) admitted_next: u64,
    pub(super) opened: StreamId,
}

impl StreamClosed {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = self.closed.0.to_vec();
        out.put(&self.admitted_next.to_le_bytes());
        out.put(&self.opened.0);
        out
    }

    pub(super) fn read(bytes: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes, "move record");
        let (closed, admitted_next) = (StreamId(reader.array()?), reader.u64()?);
        let moved = Self {
            closed,
            admitted_next,
            opened: StreamId(reader.array()?),
        };
        reader.end()?;
        Ok(moved)
    }
}

/// Payload of a progress record: events of `closed` below `next` were said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) closed: StreamId,
    pub(super) next: u64,
}

impl Progress {
    /// Bytes of the payload.
    pub(super) const BYTES: usize = 24;

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = self.closed.0.to_vec();
        out.put(&self.next.to_le_bytes());
        out
    }

    pub(super) fn read(bytes: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes, "progress record");
        let progress = Self {
            closed: StreamId(reader.array()?),
            next: reader.u64()?,
        };
        reader.end()?;
        Ok(progress)
    }
}

/// A policy with its place, as in policy records and states: the policy stands there as a canonical event.
pub(super) fn put_policy(out: &mut Vec<u8>, at: At, policy: &Policy) {
    let change = PolicyChange {
        expects: At::default(),
        policy: policy.clone(),
    };
    out.put_at(at);
    Event::Policy(Box::new(change)).write(0, out);
}

/// Reads what [`put_policy`] wrote.
pub(super) fn read_policy(reader: &mut Reader<'_>) -> Decoded<(At, Policy)> {
    let at = reader.at()?;
    match take_event(reader)?.decode()? {
        Event::Policy(change) => Ok((at, change.policy)),
        _ => Err(DecodeError::Value("policy record")),
    }
}

/// Takes one canonical event from the front.
pub(super) fn take_event<'a>(reader: &mut Reader<'a>) -> Decoded<RawEvent<'a>> {
    let (event, _) = RawEvent::split(reader.rest())?;
    reader.take(event.bytes.len())?;
    Ok(event)
}

/// Header and summary of a header record.
pub(super) fn read_header(payload: &[u8]) -> Decoded<(Header, &[u8])> {
    let short = DecodeError::Short("header record");
    let (head, summary) = payload.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
    Ok((Header::read(head)?, summary))
}
