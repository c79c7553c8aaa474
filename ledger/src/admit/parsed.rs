//! Test 1: what needs no prefix. It can be made on any thread.

use std::sync::OnceLock;

use orebook_schema::bytes::DecodeError;
use orebook_schema::event::{Moved, RawEvent};
use orebook_schema::frame::{FRAME_DOMAIN, SIGNED_BYTES};
use orebook_schema::summary::Summary;
use orebook_schema::work::{BlockFound, EthashHeader, Share};
use orebook_schema::{Event, Frame, Hash, Kind};

use crate::sign::Verifier;
use crate::tree::root_of_entries;

/// A frame that passed the tests that need no prefix: it can be made on any thread.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(super) frame: Frame,
    events: Events,
    pub(super) summary: Summary,
}

/// The events of a body. Most bodies are shares and nothing else, which need a third of the room.
#[derive(Clone, Debug)]
enum Events {
    /// Nothing but shares, with their `dt`; as events if anybody asks.
    Shares(Vec<(u32, Share)>, OnceLock<Vec<Event>>),
    /// Anything.
    Mixed(Vec<Event>),
}

impl Parsed {
    /// Test 1, apart from the ledger's identity.
    ///
    /// # Errors
    /// [`DecodeError`] of the first rule broken; [`DecodeError::UnknownKind`] may mean that the software is too old.
    pub fn read(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        let frame = Frame::read(bytes)?;
        let (events, root) = decode_body(&frame)?;
        let header = frame.header();
        let ok = root == header.events_root
            && Hash::of(&[frame.summary()]) == header.summary_hash
            && events.kinds() == header.kinds
            && blocks_follow_shares(events.mixed())
            && (header.first_seq == 0) == (header.previous == Hash::ZERO);
        if !ok {
            return Err(DecodeError::Value("frame"));
        }
        let summary = Summary::read(frame.summary())?;
        Ok(Self {
            frame,
            events,
            summary,
        })
    }

    /// The frame.
    #[must_use]
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Its events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        match &self.events {
            Events::Shares(shares, events) => events.get_or_init(|| {
                shares
                    .iter()
                    .map(|(_, share)| Event::Share(*share))
                    .collect()
            }),
            Events::Mixed(events) => events,
        }
    }

    /// Its events, if they are shares and nothing else: milliseconds after the frame's base time, share.
    #[must_use]
    pub fn shares(&self) -> Option<&[(u32, Share)]> {
        match &self.events {
            Events::Shares(shares, _) => Some(shares),
            Events::Mixed(_) => None,
        }
    }

    /// Its events, or none where they are shares and nothing else.
    pub(super) fn mixed(&self) -> &[Event] {
        self.events.mixed()
    }

    /// Whether it has an event of this kind.
    pub(super) const fn has(&self, kind: Kind) -> bool {
        self.frame.header().kinds & kind.bit() != 0
    }

    /// Whether it has work of a kind whose bit is set, moved or its own.
    pub(super) fn works_by(&self, kinds: u64) -> bool {
        let moves = |event: &Event| match event {
            Event::Moved(moved) => {
                let kind = moved.event.first().copied().and_then(Kind::from_byte);
                kind.is_some_and(|kind| kind.bit() & kinds != 0)
            }
            _ => false,
        };
        self.frame.header().kinds & kinds != 0
            || self.has(Kind::Moved) && self.mixed().iter().any(moves)
    }

    /// Its summary.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Frame and events.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        self.frame
    }

    /// Signatures of the frame and, inside, of its checkpoints, by the frame's key.
    pub(super) fn signatures_hold(&self, verifier: &Verifier) -> bool {
        let header = self.frame.header();
        let signed = self
            .frame
            .header_bytes()
            .get(..SIGNED_BYTES)
            .unwrap_or_default();
        verifier.verify(FRAME_DOMAIN, signed, &header.signature)
            && self.mixed().iter().all(|event| match event {
                Event::Checkpoint(c) => {
                    verifier.verify_checkpoint(header.ledger, c.size, &c.root, &c.signature)
                }
                _ => true,
            })
    }
}

impl Events {
    fn with_capacity(count: usize) -> Self {
        Self::Shares(Vec::with_capacity(count), OnceLock::new())
    }

    #[inline]
    fn push(&mut self, raw: &RawEvent<'_>) -> Result<(), DecodeError> {
        if let Self::Shares(shares, _) = self
            && let Some(share) = raw.share()
        {
            shares.push((raw.dt, share));
            return Ok(());
        }
        self.push_any(raw.decode()?);
        Ok(())
    }

    fn push_any(&mut self, event: Event) {
        match self {
            Self::Mixed(events) => events.push(event),
            Self::Shares(shares, _) => {
                let mut events = Vec::with_capacity(shares.capacity());
                events.extend(shares.drain(..).map(|(_, share)| Event::Share(share)));
                events.push(event);
                *self = Self::Mixed(events);
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Shares(shares, _) => shares.len(),
            Self::Mixed(events) => events.len(),
        }
    }

    /// None where all are shares.
    fn mixed(&self) -> &[Event] {
        match self {
            Self::Shares(..) => &[],
            Self::Mixed(events) => events,
        }
    }

    fn kinds(&self) -> u64 {
        match self {
            Self::Shares(shares, _) if shares.is_empty() => 0,
            Self::Shares(..) => Kind::Share.bit(),
            Self::Mixed(events) => kinds_of(events),
        }
    }
}

/// The events, in order of time, and the root over them: one pass, and one for the hashes.
fn decode_body(frame: &Frame) -> Result<(Events, Hash), DecodeError> {
    let header = frame.header();
    let count = usize::try_from(header.count).unwrap_or(0);
    let mut entries = Vec::with_capacity(count);
    let mut events = Events::with_capacity(count);
    let mut last_dt = 0;
    for raw in frame.events() {
        let raw = raw?;
        if raw.dt < last_dt {
            return Err(DecodeError::Order("event times"));
        }
        last_dt = raw.dt;
        events.push(&raw)?;
        entries.push(raw.bytes);
    }
    let times_ok = header.base_time.checked_add(u64::from(last_dt)) == Some(header.last_time);
    if times_ok && events.len() == count {
        Ok((events, root_of_entries(entries)))
    } else {
        Err(DecodeError::Value("frame count or time"))
    }
}

/// Kinds mask of events.
#[must_use]
pub fn kinds_of(events: &[Event]) -> u64 {
    events
        .iter()
        .fold(0, |mask, event| mask | event.kind().bit())
}

/// A block stands right after its share, a moved one after its moved share.
fn blocks_follow_shares(events: &[Event]) -> bool {
    let mut before: Option<&Event> = None;
    events.iter().all(|event| {
        let ok = match event {
            Event::BlockFound(block) => before.is_some_and(|share| is_block_of(share, block)),
            Event::Moved(moved) if moved.worker == orebook_schema::event::NO_NUMBER => {
                matches!(before, Some(Event::Moved(share)) if is_moved_block_of(share, moved))
            }
            _ => true,
        };
        before = Some(event);
        ok
    })
}

/// Whether a share may be followed by this block. Of ethash all that the share alone tells is asked: the nonce and the name.
/// That the seal hash is the job's is asked by whoever hashes the share again.
pub(crate) fn is_block_of(share: &Event, block: &BlockFound) -> bool {
    match share {
        Event::Share(share) => share.block,
        Event::EthashShare(share) => {
            let header = EthashHeader::read(&block.header);
            let named = header.is_some_and(|header| {
                header.nonce == share.nonce && header.found(block.height) == *block
            });
            share.block && named
        }
        _ => false,
    }
}

fn is_moved_block_of(share: &Moved, block: &Moved) -> bool {
    let follows = share.stream == block.stream
        && share.epoch == block.epoch
        && share.seq.checked_add(1) == Some(block.seq);
    match (follows, share.inner(), block.inner()) {
        (true, Ok(share), Ok(Event::BlockFound(block))) => is_block_of(&share, &block),
        _ => false,
    }
}
