//! Frames (section 2): a signed header, a summary, a body of events.

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::event::{Event, RawEvent};
use crate::names::{Key, LedgerId, StreamId};
use crate::units::Hash;
use crate::{BODY_BYTES_MAX, FRAME_EVENTS_MAX, HEADER_BYTES, SUMMARY_BYTES_MAX};

/// First bytes of a frame.
pub const FRAME_MAGIC: [u8; 4] = *b"OREF";
/// First bytes of an incarnation's opening record.
pub const INCARNATION_MAGIC: [u8; 4] = *b"OREI";
/// Bytes of a header that are signed.
pub const SIGNED_BYTES: usize = 224;
/// What precedes the signed bytes of a frame.
pub const FRAME_DOMAIN: &[u8] = b"orebook/frame/0\n";
/// What precedes the signed bytes of a checkpoint.
pub const CHECKPOINT_DOMAIN: &[u8] = b"orebook/checkpoint/0\n";
/// What precedes the signed bytes of an approval.
pub const APPROVAL_DOMAIN: &[u8] = b"orebook/approval/0\n";
/// What precedes the hashed bytes of a thing.
pub const THING_DOMAIN: &[u8] = b"orebook/thing/0\n";

/// A frame's header. Field for field as in section 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Ledger.
    pub ledger: LedgerId,
    /// Producer's stream.
    pub stream: StreamId,
    /// SLIP-44 coin type.
    pub coin: u32,
    /// Stream epoch.
    pub epoch: u32,
    /// Sequence number of the first event.
    pub first_seq: u64,
    /// Events in the body.
    pub count: u32,
    /// Bytes of the body.
    pub body_len: u32,
    /// What the events' dt count from, milliseconds since 1970.
    pub base_time: u64,
    /// Time of the last event, milliseconds since 1970.
    pub last_time: u64,
    /// Header hash of the stream's previous frame.
    pub previous: Hash,
    /// RFC 6962 root over the events.
    pub events_root: Hash,
    /// SHA-256 of the summary.
    pub summary_hash: Hash,
    /// Bit k: an event of kind k is in the body.
    pub kinds: u64,
    /// Schema set in use.
    pub schema_set: u32,
    /// Bytes of the summary.
    pub summary_len: u32,
    /// Producer's key.
    pub key: Key,
    /// Producer's signature.
    pub signature: [u8; 64],
}

impl Header {
    /// The canonical 288 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.put(&FRAME_MAGIC);
        out.put(&0u32.to_le_bytes());
        out.put(&self.ledger.0);
        out.put(&self.stream.0);
        out.put(&self.coin.to_le_bytes());
        out.put(&self.epoch.to_le_bytes());
        out.put(&self.first_seq.to_le_bytes());
        out.put(&self.count.to_le_bytes());
        out.put(&self.body_len.to_le_bytes());
        out.put(&self.base_time.to_le_bytes());
        out.put(&self.last_time.to_le_bytes());
        out.put(&self.previous.0);
        out.put(&self.events_root.0);
        out.put(&self.summary_hash.0);
        out.put(&self.kinds.to_le_bytes());
        out.put(&self.schema_set.to_le_bytes());
        out.put(&self.summary_len.to_le_bytes());
        out.put(&self.key.0);
        out.put(&self.signature);
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(&out);
        bytes
    }

    /// Reads a header and judges its sizes.
    ///
    /// # Errors
    /// [`DecodeError`]: magic, version, or a size outside of section 2.
    pub fn read(bytes: &[u8; HEADER_BYTES]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes, "frame header");
        if reader.array()? != FRAME_MAGIC || reader.u32()? != 0 {
            return Err(DecodeError::Value("frame magic or version"));
        }
        let ledger = LedgerId(reader.array()?);
        let stream = StreamId(reader.array()?);
        let header = Self {
            ledger,
            stream,
            coin: reader.u32()?,
            epoch: reader.u32()?,
            first_seq: reader.u64()?,
            count: reader.u32()?,
            body_len: reader.u32()?,
            base_time: reader.u64()?,
            last_time: reader.u64()?,
            previous: reader.hash()?,
            events_root: reader.hash()?,
            summary_hash: reader.hash()?,
            kinds: reader.u64()?,
            schema_set: reader.u32()?,
            summary_len: reader.u32()?,
            key: Key(reader.array()?),
            signature: reader.array()?,
        };
        let count_ok = 1 <= header.count && size(header.count) <= FRAME_EVENTS_MAX;
        let body_ok = 8 <= header.body_len && size(header.body_len) <= BODY_BYTES_MAX;
        let summary_ok = 1 <= header.summary_len && size(header.summary_len) <= SUMMARY_BYTES_MAX;
        if count_ok
            && body_ok
            && summary_ok
            && header
                .first_seq
                .checked_add(u64::from(header.count))
                .is_some()
        {
            Ok(header)
        } else {
            Err(DecodeError::Limit("frame size"))
        }
    }

    /// Sequence number after the last event.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.count))
    }
}

fn size(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A frame: its bytes as they travel, and its header understood.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    header: Header,
    header_hash: Hash,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Frame({} epoch {} seq {}+{})",
            self.header.stream, self.header.epoch, self.header.first_seq, self.header.count
        )
    }
}

impl Frame {
    /// Takes a frame apart: header and sizes are judged, the rest is not.
    ///
    /// # Errors
    /// [`DecodeError`] if the header is wrong or the sizes do not add up to the bytes.
    pub fn read(bytes: Vec<u8>) -> Decoded<Self> {
        let (head, rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(DecodeError::Short("frame header"))?;
        let header = Header::read(head)?;
        if rest.len() != size(header.summary_len) + size(header.body_len) {
            return Err(DecodeError::Limit("frame length"));
        }
        let header_hash = Hash::of(&[head]);
        Ok(Self {
            header,
            header_hash,
            bytes,
        })
    }

    /// Joins the pieces. The sizes in the header must be theirs.
    ///
    /// # Errors
    /// [`DecodeError`] if they are not, or outside of section 2.
    pub fn join(header: &Header, summary: &[u8], body: &[u8]) -> Decoded<Self> {
        Self::read([header.to_bytes().as_slice(), summary, body].concat())
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the header's bytes.
    #[must_use]
    pub const fn header_hash(&self) -> Hash {
        self.header_hash
    }

    /// All bytes: header, summary, body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The header's bytes.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        self.bytes.get(..HEADER_BYTES).unwrap_or_default()
    }

    /// The summary's bytes.
    #[must_use]
    pub fn summary(&self) -> &[u8] {
        self.bytes
            .get(HEADER_BYTES..self.body_start())
            .unwrap_or_default()
    }

    /// The body's bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body_start()..).unwrap_or_default()
    }

    /// The events, heads understood.
    #[must_use]
    pub fn events(&self) -> RawEvents<'_> {
        RawEvents { rest: self.body() }
    }

    /// The events, decoded.
    ///
    /// # Errors
    /// The first event's that does not decode.
    pub fn decode(&self) -> Decoded<Vec<Event>> {
        self.events().map(|raw| raw?.decode()).collect()
    }

    /// Entry of this frame's leaf in the ledger's tree.
    #[must_use]
    pub fn leaf_entry(&self, position: u64, ledger_time: u64) -> Vec<u8> {
        leaf_entry(position, ledger_time, self.header_bytes())
    }

    fn body_start(&self) -> usize {
        HEADER_BYTES + size(self.header.summary_len)
    }
}

/// Leaf entry: position, ledger time, header (section 2).
#[must_use]
pub fn leaf_entry(position: u64, ledger_time: u64, header: &[u8]) -> Vec<u8> {
    [
        position.to_le_bytes().as_slice(),
        &ledger_time.to_le_bytes(),
        header,
    ]
    .concat()
}

/// Iterates over the events of a body.
#[derive(Clone, Debug)]
pub struct RawEvents<'a> {
    rest: &'a [u8],
}

impl<'a> RawEvents<'a> {
    /// Over the bytes of a body.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }
}

impl<'a> Iterator for RawEvents<'a> {
    type Item = Decoded<RawEvent<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match RawEvent::split(self.rest) {
            Ok((event, rest)) => {
                self.rest = rest;
                Some(Ok(event))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// First record of a log (section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncarnationOpened {
    /// Ledger.
    pub ledger: LedgerId,
    /// Which incarnation, from 0.
    pub incarnation: u32,
    /// Position that its first admitted frame gets.
    pub next_position: u64,
    /// Root of the tree of that size.
    pub root: Hash,
}

impl IncarnationOpened {
    /// The 68 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(68);
        out.put(&INCARNATION_MAGIC);
        out.put(&0u32.to_le_bytes());
        out.put(&self.ledger.0);
        out.put(&self.incarnation.to_le_bytes());
        out.put(&self.next_position.to_le_bytes());
        out.put(&self.root.0);
        out
    }

    /// Reads it back.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn read(bytes: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes, "incarnation");
        if reader.array()? != INCARNATION_MAGIC || reader.u32()? != 0 {
            return Err(DecodeError::Value("incarnation magic or version"));
        }
        let opened = Self {
            ledger: LedgerId(reader.array()?),
            incarnation: reader.u32()?,
            next_position: reader.u64()?,
            root: reader.hash()?,
        };
        reader.end()?;
        Ok(opened)
    }
}
