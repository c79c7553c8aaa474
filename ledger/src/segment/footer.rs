//! Footers of sealed segments byte for byte (section 7): facts and two tables. Total on any bytes, as `record` is.

use orebook_schema::bytes::Write;
use orebook_schema::{Hash, StreamId};

use super::flaw::Flaw;
use super::record::{Fields, RecordType, SEGMENT_POSITIONS_MAX, put_record};

/// Bytes of a footer's payload before its tables.
pub const FOOTER_FIXED_BYTES: usize = 80;
/// Bytes of a footer's tables for each position: 8 in the offsets, 32 in the index.
pub const FOOTER_POSITION_BYTES: usize = 40;
/// What a footer says beside its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterFacts {
    /// First position.
    pub first: u64,
    /// Positions, at least 1.
    pub positions: u32,
    /// Closures.
    pub closures: u32,
    /// Root of the tree after the last position.
    pub root: Hash,
    /// SHA-256 of all bytes of the file before the footer's record.
    pub sha256: Hash,
}

/// One entry of a footer's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// The frame's stream.
    pub stream: StreamId,
    /// Its first event's sequence number.
    pub first_seq: u64,
    /// Its position.
    pub position: u64,
}

impl IndexEntry {
    /// Bytes of an entry.
    pub const BYTES: usize = 32;

    /// Reads an entry.
    ///
    /// # Errors
    /// [`Flaw::Short`].
    pub fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut fields = Fields(bytes);
        Ok(Self {
            stream: StreamId(fields.array()?),
            first_seq: fields.u64()?,
            position: fields.u64()?,
        })
    }
}

/// A footer: facts and two tables with an entry for each position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer<'a> {
    /// The facts.
    pub facts: FooterFacts,
    offsets: &'a [u8],
    index: &'a [u8],
}

impl<'a> Footer<'a> {
    /// File offsets of the frames' records, by position.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.offsets
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The index, in its order.
    pub fn index(&self) -> impl Iterator<Item = IndexEntry> + use<'a> {
        let entries = self.index.as_chunks::<{ IndexEntry::BYTES }>().0.iter();
        entries.filter_map(|bytes| IndexEntry::read(bytes).ok())
    }
}

/// Reads a footer's payload.
pub(super) fn read_footer(mut fields: Fields<'_>) -> Result<Footer<'_>, Flaw> {
    let facts = FooterFacts {
        first: fields.u64()?,
        positions: fields.u32()?,
        closures: fields.u32()?,
        root: Hash(fields.array()?),
        sha256: Hash(fields.array()?),
    };
    let positions = usize::try_from(facts.positions).map_err(|_| Flaw::Length)?;
    if Some(fields.0.len()) != positions.checked_mul(FOOTER_POSITION_BYTES) {
        return Err(Flaw::Footer(
            "its tables have another size than its positions",
        ));
    }
    let (offsets, index) = fields
        .0
        .split_at_checked(positions * 8)
        .ok_or(Flaw::Short)?;
    Ok(Footer {
        facts,
        offsets,
        index,
    })
}

/// Appends a footer's record. There are `facts.positions` offsets and index entries, the entries ascending.
///
/// # Panics
/// If there are not.
pub fn put_footer(
    out: &mut Vec<u8>,
    facts: &FooterFacts,
    offsets: impl Iterator<Item = u64>,
    index: impl Iterator<Item = IndexEntry>,
) {
    let positions = usize::try_from(facts.positions).unwrap_or(usize::MAX);
    assert!(
        (1..=SEGMENT_POSITIONS_MAX).contains(&positions),
        "a segment has 1 to 1,048,576 positions"
    );
    let payload_bytes = FOOTER_FIXED_BYTES + FOOTER_POSITION_BYTES * positions;
    put_record(out, RecordType::Footer, payload_bytes, |out| {
        out.put(&facts.first.to_le_bytes());
        out.put(&facts.positions.to_le_bytes());
        out.put(&facts.closures.to_le_bytes());
        out.put(&facts.root.0);
        out.put(&facts.sha256.0);
        offsets.for_each(|offset| out.put(&offset.to_le_bytes()));
        for entry in index {
            out.put(&entry.stream.0);
            out.put(&entry.first_seq.to_le_bytes());
            out.put(&entry.position.to_le_bytes());
        }
    });
}
