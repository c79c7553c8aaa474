//! Builds frames: what a producer does when it cuts one.

use orebook_schema::bytes::{DecodeError, Decoded};
use orebook_schema::event::RawEvent;
use orebook_schema::frame::{FRAME_DOMAIN, RawEvents, SIGNED_BYTES};
use orebook_schema::summary::Summary;
use orebook_schema::{Frame, Genesis, Hash, Header, LedgerId, StreamId};

use crate::sign::Signer;
use crate::tree::events_root;

/// What a producer decides of a frame; the rest follows from its body.
#[derive(Clone, Debug)]
pub struct Cut<'a> {
    /// Ledger.
    pub ledger: LedgerId,
    /// SLIP-44 coin type.
    pub coin: u32,
    /// Producer's stream.
    pub stream: StreamId,
    /// Its epoch.
    pub epoch: u32,
    /// Sequence number of the first event.
    pub first_seq: u64,
    /// What the events' dt count from, milliseconds since 1970.
    pub base_time: u64,
    /// Header hash of the stream's previous frame, zero for the first.
    pub previous: Hash,
    /// Schema set in use.
    pub schema_set: u32,
    /// What the body's shares are worth.
    pub summary: &'a Summary,
    /// Canonical events, one after another.
    pub body: &'a [u8],
}

/// Makes and signs the frame.
///
/// # Errors
/// [`DecodeError`] if the body is not events in time order, or outside of a frame's limits. What is in the events is the
/// caller's promise: their fields are not decoded again.
pub fn build_frame(cut: &Cut<'_>, signer: &Signer) -> Decoded<Frame> {
    let events = RawEvents::new(cut.body).collect::<Decoded<Vec<RawEvent<'_>>>>()?;
    let last_dt = events.last().ok_or(DecodeError::Limit("frame count"))?.dt;
    if !events.is_sorted_by_key(|event| event.dt) {
        return Err(DecodeError::Order("event times"));
    }
    let last_time = cut
        .base_time
        .checked_add(u64::from(last_dt))
        .ok_or(DecodeError::Limit("last time"))?;
    let summary = cut.summary.to_bytes();
    let len = |len: usize| u32::try_from(len).map_err(|_| DecodeError::Limit("frame length"));
    let mut header = Header {
        ledger: cut.ledger,
        stream: cut.stream,
        coin: cut.coin,
        epoch: cut.epoch,
        first_seq: cut.first_seq,
        count: len(events.len())?,
        body_len: len(cut.body.len())?,
        base_time: cut.base_time,
        last_time,
        previous: cut.previous,
        events_root: events_root(cut.body),
        summary_hash: Hash::of(&[&summary]),
        kinds: events.iter().fold(0, |mask, event| {
            mask | 1u64.checked_shl(u32::from(event.kind)).unwrap_or(0)
        }),
        schema_set: cut.schema_set,
        summary_len: len(summary.len())?,
        key: signer.key(),
        signature: [0; 64],
    };
    let unsigned = header.to_bytes();
    header.signature = signer.sign(
        FRAME_DOMAIN,
        unsigned.get(..SIGNED_BYTES).unwrap_or_default(),
    );
    Frame::join(&header, &summary, cut.body)
}

/// The frame of position 0.
///
/// # Errors
/// [`DecodeError`] if genesis is outside of section 5.
pub fn genesis_frame(
    genesis: &Genesis,
    stream: StreamId,
    now: u64,
    desk: &Signer,
) -> Decoded<Frame> {
    let event = orebook_schema::Event::Genesis(Box::new(genesis.clone()));
    if !event.is_legal() {
        return Err(DecodeError::Value("genesis"));
    }
    let cut = Cut {
        ledger: genesis.ledger,
        coin: genesis.coin,
        stream,
        epoch: 0,
        first_seq: 0,
        base_time: now,
        previous: Hash::ZERO,
        schema_set: 0,
        summary: &Summary::default(),
        body: &event.to_bytes(0),
    };
    build_frame(&cut, desk)
}
