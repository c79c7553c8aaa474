//! Segment files byte for byte (section 7): file header, record head, the records; a footer's payload is in
//! [`footer`](super::footer). Pure over slices and total:
//! lengths are judged before anything is allocated, and a decoder refuses what the encoder would not have written.

use orebook_schema::bytes::Write;
use orebook_schema::{FRAME_BYTES_MAX, HEADER_BYTES, Hash, LedgerId};

use super::flaw::Flaw;
use super::footer::{FOOTER_FIXED_BYTES, FOOTER_POSITION_BYTES, Footer, read_footer};

/// First bytes of a segment file.
pub const FILE_MAGIC: [u8; 8] = *b"ORESEG0\n";
/// First bytes of a record.
pub const RECORD_MAGIC: [u8; 4] = *b"ORER";
/// Bytes of a file header.
pub const FILE_HEADER_BYTES: usize = 72;
/// Bytes of a record's head.
pub const HEAD_BYTES: usize = 16;
/// Bytes of a frame record's payload before the frame: position, ledger time, append time.
pub const FRAME_PREFIX_BYTES: usize = 24;
/// Bytes of a closure's payload: position, append time, header.
pub const CLOSURE_BYTES: usize = 16 + HEADER_BYTES;
/// Most positions that genesis can allow a segment (section 5).
pub const SEGMENT_POSITIONS_MAX: usize = 1_048_576;
/// Least bytes of a frame: header, one byte of summary, one event's head.
pub const FRAME_BYTES_MIN: usize = HEADER_BYTES + 1 + 8;
/// Most bytes that a frame's record has beside the frame: head, prefix, CRC, padding.
pub const FRAME_OVERHEAD_BYTES_MAX: usize = HEAD_BYTES + FRAME_PREFIX_BYTES + 4 + 7;

/// Header of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The ledger.
    pub ledger: LedgerId,
    /// First position of the segment.
    pub first: u64,
    /// Root of the tree of that size.
    pub root: Hash,
}

impl FileHeader {
    /// The 72 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES);
        out.put(&FILE_MAGIC);
        out.put(&self.ledger.0);
        out.put(&self.first.to_le_bytes());
        out.put(&self.root.0);
        let crc = crc32c::crc32c(&out);
        out.put(&crc.to_le_bytes());
        out.put(&[0; 4]);
        out
    }

    /// Reads the header from the first bytes of a file.
    ///
    /// # Errors
    /// [`Flaw::Short`], [`Flaw::FileMagic`], [`Flaw::FileCrc`], [`Flaw::FileZeros`].
    pub fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut fields = Fields(bytes);
        let (magic, ledger, first) = (fields.array()?, LedgerId(fields.array()?), fields.u64()?);
        let (root, crc, zeros) = (Hash(fields.array()?), fields.u32()?, fields.u32()?);
        if magic != FILE_MAGIC {
            return Err(Flaw::FileMagic);
        }
        if crc32c::crc32c(bytes.get(..64).unwrap_or_default()) != crc {
            return Err(Flaw::FileCrc);
        }
        if zeros == 0 {
            Ok(Self {
                ledger,
                first,
                root,
            })
        } else {
            Err(Flaw::FileZeros)
        }
    }
}

/// Type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordType {
    /// An admitted frame.
    Frame = 1,
    /// Evidence that closed a stream.
    Closure = 2,
    /// End of a sealed segment.
    Footer = 3,
}

/// A record's head, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Type.
    pub record: RecordType,
    /// Bytes of the payload, within the limits of the type.
    pub payload_bytes: usize,
}

impl Head {
    /// Reads the head from the first 16 bytes.
    ///
    /// # Errors
    /// [`Flaw::Short`], [`Flaw::Magic`], [`Flaw::HeadCrc`], [`Flaw::HeadZeros`], [`Flaw::Type`], [`Flaw::Length`].
    pub fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut fields = Fields(bytes);
        let (magic, [record, zeros @ ..]) = (fields.array()?, fields.array::<4>()?);
        let (payload_bytes, crc) = (fields.u32()?, fields.u32()?);
        if magic != RECORD_MAGIC {
            return Err(Flaw::Magic);
        }
        if crc32c::crc32c(bytes.get(..12).unwrap_or_default()) != crc {
            return Err(Flaw::HeadCrc);
        }
        if zeros != [0; 3] {
            return Err(Flaw::HeadZeros);
        }
        let record = match record {
            1 => RecordType::Frame,
            2 => RecordType::Closure,
            3 => RecordType::Footer,
            _ => return Err(Flaw::Type),
        };
        let payload_bytes = usize::try_from(payload_bytes).map_err(|_| Flaw::Length)?;
        let legal = match record {
            RecordType::Frame => {
                let frame = payload_bytes.saturating_sub(FRAME_PREFIX_BYTES);
                (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame)
            }
            RecordType::Closure => payload_bytes == CLOSURE_BYTES,
            RecordType::Footer => {
                let tables = payload_bytes.saturating_sub(FOOTER_FIXED_BYTES);
                tables.is_multiple_of(FOOTER_POSITION_BYTES)
                    && (1..=SEGMENT_POSITIONS_MAX).contains(&(tables / FOOTER_POSITION_BYTES))
            }
        };
        if legal {
            Ok(Self {
                record,
                payload_bytes,
            })
        } else {
            Err(Flaw::Length)
        }
    }

    /// Bytes of the whole record, a multiple of 8.
    #[must_use]
    pub const fn record_bytes(&self) -> usize {
        record_bytes(self.payload_bytes)
    }
}

/// Bytes of a record with a payload of so many bytes.
#[must_use]
pub const fn record_bytes(payload_bytes: usize) -> usize {
    (HEAD_BYTES + payload_bytes + 4).next_multiple_of(8)
}

/// A record's payload, taken apart. What it says of frames and positions is not judged here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Type 1.
    Frame(FrameBody<'a>),
    /// Type 2.
    Closure(ClosureBody<'a>),
    /// Type 3.
    Footer(Footer<'a>),
}

/// A frame in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameBody<'a> {
    /// Position.
    pub position: u64,
    /// Ledger time, milliseconds since 1970.
    pub ledger_time: u64,
    /// The log's append time, milliseconds since 1970.
    pub append_time: u64,
    /// The frame's bytes.
    pub frame: &'a [u8],
}

/// A fork's evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosureBody<'a> {
    /// The position that was next.
    pub position: u64,
    /// The log's append time of the fork, milliseconds since 1970.
    pub append_time: u64,
    /// The fork's header.
    pub header: &'a [u8; HEADER_BYTES],
}

/// Reads the record that `bytes` begin with, and says how many bytes it has.
///
/// # Errors
/// What [`Head::read`] says; [`Flaw::PayloadCrc`], [`Flaw::Padding`], and [`Flaw::Footer`] if its tables have another
/// size than its figures say.
pub fn read_record(bytes: &[u8]) -> Result<(Body<'_>, usize), Flaw> {
    let head = Head::read(bytes)?;
    let len = head.record_bytes();
    let (_, rest) = bytes
        .get(..len)
        .ok_or(Flaw::Short)?
        .split_at_checked(HEAD_BYTES)
        .ok_or(Flaw::Short)?;
    let (payload, mut after) = rest
        .split_at_checked(head.payload_bytes)
        .map(|(a, b)| (a, Fields(b)))
        .ok_or(Flaw::Short)?;
    if crc32c::crc32c(payload) != after.u32()? {
        return Err(Flaw::PayloadCrc);
    }
    if after.0.iter().any(|byte| *byte != 0) {
        return Err(Flaw::Padding);
    }
    let mut fields = Fields(payload);
    let body = match head.record {
        RecordType::Frame => Body::Frame(FrameBody {
            position: fields.u64()?,
            ledger_time: fields.u64()?,
            append_time: fields.u64()?,
            frame: fields.0,
        }),
        RecordType::Closure => Body::Closure(ClosureBody {
            position: fields.u64()?,
            append_time: fields.u64()?,
            header: fields.0.first_chunk().ok_or(Flaw::Short)?,
        }),
        RecordType::Footer => Body::Footer(read_footer(fields)?),
    };
    Ok((body, len))
}

/// Appends a frame's record. `frame` is a whole frame, within the limits of section 2.
///
/// # Panics
/// If it is not: nothing but admitted frames is written.
pub fn put_frame(out: &mut Vec<u8>, body: &FrameBody<'_>) {
    let legal = (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&body.frame.len());
    assert!(legal, "an admitted frame has the sizes of section 2");
    put_record(
        out,
        RecordType::Frame,
        FRAME_PREFIX_BYTES + body.frame.len(),
        |out| {
            out.put(&body.position.to_le_bytes());
            out.put(&body.ledger_time.to_le_bytes());
            out.put(&body.append_time.to_le_bytes());
            out.put(body.frame);
        },
    );
}

/// Appends a closure's record.
pub fn put_closure(out: &mut Vec<u8>, body: &ClosureBody<'_>) {
    put_record(out, RecordType::Closure, CLOSURE_BYTES, |out| {
        out.put(&body.position.to_le_bytes());
        out.put(&body.append_time.to_le_bytes());
        out.put(body.header);
    });
}

pub(super) fn put_record(
    out: &mut Vec<u8>,
    record: RecordType,
    payload_bytes: usize,
    put: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.reserve(record_bytes(payload_bytes));
    out.put(&RECORD_MAGIC);
    out.put(&[record as u8, 0, 0, 0]);
    out.put(
        &u32::try_from(payload_bytes)
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.put(&crc.to_le_bytes());
    let payload = out.len();
    put(out);
    assert!(
        out.len() == payload + payload_bytes,
        "a payload has the length that its head says"
    );
    let crc = crc32c::crc32c(out.get(payload..).unwrap_or_default());
    out.put(&crc.to_le_bytes());
    out.resize(start + record_bytes(payload_bytes), 0);
}

/// Takes fields from the front of bytes.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Flaw> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Flaw> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use orebook_schema::StreamId;

    use super::super::footer::{FooterFacts, IndexEntry, put_footer};
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let frame = vec![7; 301];
        let entry = |n: u8| IndexEntry {
            stream: StreamId([n; 16]),
            first_seq: 3,
            position: u64::from(n),
        };
        let facts = FooterFacts {
            first: 1,
            positions: 2,
            closures: 0,
            root: Hash([3; 32]),
            sha256: Hash([4; 32]),
        };
        let mut all = vec![Vec::new(), Vec::new(), Vec::new()];
        put_frame(
            &mut all[0],
            &FrameBody {
                position: 9,
                ledger_time: 8,
                append_time: 7,
                frame: &frame,
            },
        );
        put_closure(
            &mut all[1],
            &ClosureBody {
                position: 9,
                append_time: 7,
                header: &[5; HEADER_BYTES],
            },
        );
        put_footer(
            &mut all[2],
            &facts,
            [72, 144].into_iter(),
            [entry(1), entry(2)].into_iter(),
        );
        all
    }

    #[test]
    fn records_come_back_and_end_at_multiples_of_8() {
        for bytes in samples() {
            let (body, len) = read_record(&bytes).unwrap();
            assert_eq!((len, len % 8), (bytes.len(), 0));
            let mut again = Vec::new();
            match body {
                Body::Frame(body) => put_frame(&mut again, &body),
                Body::Closure(body) => put_closure(&mut again, &body),
                Body::Footer(body) => {
                    put_footer(&mut again, &body.facts, body.offsets(), body.index())
                }
            }
            assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_file_header_comes_back() {
        let header = FileHeader {
            ledger: LedgerId([1; 16]),
            first: 12,
            root: Hash([2; 32]),
        };
        assert_eq!(header.to_bytes().len(), FILE_HEADER_BYTES);
        assert_eq!(FileHeader::read(&header.to_bytes()), Ok(header));
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_refused() {
        let header = FileHeader {
            ledger: LedgerId([1; 16]),
            first: 12,
            root: Hash([2; 32]),
        }
        .to_bytes();
        for (bytes, is_header) in samples()
            .into_iter()
            .map(|it| (it, false))
            .chain([(header, true)])
        {
            let refused = |bytes: &[u8]| {
                if is_header {
                    FileHeader::read(bytes).is_err()
                } else {
                    read_record(bytes).is_err()
                }
            };
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(refused(&flipped), "bit {bit}");
            }
            assert!((0..bytes.len()).all(|len| refused(&bytes[..len])));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..600), with_head in any::<bool>()) {
            if with_head && 16 <= bytes.len() {
                bytes[..4].copy_from_slice(&RECORD_MAGIC);
                bytes[4] %= 4;
                bytes[5..8].fill(0);
                bytes[10..12].fill(0);
                let crc = crc32c::crc32c(&bytes[..12]);
                bytes[12..16].copy_from_slice(&crc.to_le_bytes());
            }
            prop_assert!(read_record(&bytes).is_err());
            prop_assert!(FileHeader::read(&bytes).is_err());
        }
    }
}
