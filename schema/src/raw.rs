//! An event's bytes before their fields are understood.

use crate::EVENT_BYTES_MAX;
use crate::bytes::{DecodeError, Decoded, Reader};
use crate::event::{EVENT_HEAD_BYTES, Event, Kind, read_fields};
use crate::work::{Share, share_at_once};

/// One event's bytes, its head understood and its fields not yet.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// Kind byte; may be unknown.
    pub kind: u8,
    /// Version byte.
    pub version: u8,
    /// Milliseconds since the frame's base time.
    pub dt: u32,
    /// All canonical bytes, head included.
    pub bytes: &'a [u8],
}

impl<'a> RawEvent<'a> {
    /// Exactly one event.
    ///
    /// # Errors
    /// [`DecodeError`] if the head is wrong or bytes follow.
    pub fn one(bytes: &'a [u8]) -> Decoded<Self> {
        let (event, rest) = Self::split(bytes)?;
        if rest.is_empty() {
            Ok(event)
        } else {
            Err(DecodeError::Trailing("event"))
        }
    }

    /// The first event of a body and what follows it.
    ///
    /// # Errors
    /// [`DecodeError`] if the head is wrong or the bytes end too early.
    #[inline]
    pub fn split(body: &'a [u8]) -> Decoded<(Self, &'a [u8])> {
        let (head, _) = body
            .split_first_chunk::<EVENT_HEAD_BYTES>()
            .ok_or(DecodeError::Short("event head"))?;
        let [kind, version, len0, len1, dt @ ..] = *head;
        let len = usize::from(u16::from_le_bytes([len0, len1]));
        if !(EVENT_HEAD_BYTES..=EVENT_BYTES_MAX).contains(&len) {
            return Err(DecodeError::Limit("event length"));
        }
        let (bytes, rest) = body
            .split_at_checked(len)
            .ok_or(DecodeError::Short("event"))?;
        Ok((
            Self {
                kind,
                version,
                dt: u32::from_le_bytes(dt),
                bytes,
            },
            rest,
        ))
    }

    /// Bytes after the head.
    #[must_use]
    pub fn fields(&self) -> &'a [u8] {
        self.bytes.get(EVENT_HEAD_BYTES..).unwrap_or_default()
    }

    /// Decodes the fields.
    ///
    /// # Errors
    /// [`DecodeError::UnknownKind`] for a kind or version this software does not know; any other for bytes that are not
    /// canonical.
    #[inline]
    pub fn decode(&self) -> Decoded<Event> {
        // Nearly all events are shares: no detour.
        match self.share() {
            Some(share) => Ok(Event::Share(share)),
            None => self.decode_any(),
        }
    }

    /// The share, if it is one; none for other kinds and for what [`RawEvent::decode`] refuses.
    #[inline(always)]
    #[must_use]
    pub fn share(&self) -> Option<Share> {
        let is_share = self.kind == Kind::Share as u8 && self.version == 0;
        is_share.then(|| share_at_once(self.fields())).flatten()
    }

    fn decode_any(&self) -> Decoded<Event> {
        let unknown = DecodeError::UnknownKind {
            kind: self.kind,
            version: self.version,
        };
        let kind = Kind::from_byte(self.kind).ok_or(unknown)?;
        if self.version != 0 {
            return Err(unknown);
        }
        let mut reader = Reader::new(self.fields(), kind.name());
        let event = read_fields(kind, &mut reader)?;
        reader.end()?;
        Ok(event)
    }
}
