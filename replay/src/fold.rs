//! What a fold is: a pure state machine over final frames, whose state is rows.

use orebook_ledger::admit::{Parsed, State};
use orebook_ledger::authority::Authority;
use orebook_ledger::credit::{self, Announced, JobTerms};
use orebook_ledger::segment::{StoredFrame, Summarised};
use orebook_schema::event::{Moved, NO_NUMBER, RawEvent};
use orebook_schema::names::Pot;
use orebook_schema::summary::Summary;
use orebook_schema::work::{BlockFound, Share, ShareRef};
use orebook_schema::{At, Event, Header, Kind, StreamId};

use crate::rows::{Rows, StoreFault, View};

/// Why a fold did not apply a frame. Nothing of the frame was applied. A fold cannot fail on an admitted event otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldStop {
    /// Its rows could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A frame that it needs is not here: fetch its segment, then try again.
    #[error("the segment of position {position} is missing: fetch it from an archiver or a peer")]
    Missing {
        /// The position.
        position: u64,
    },
    /// The segments could not be read; their own words. Try again, or repair them.
    #[error("the segments cannot be read: {0}")]
    Unreadable(String),
    /// The ledger uses something that this fold does not know: upgrade the software. Nothing is skipped.
    #[error("this software does not know {what}, which position {position} uses: upgrade it")]
    Unknown {
        /// What it does not know.
        what: &'static str,
        /// Where it is used.
        position: u64,
    },
}

impl FoldStop {
    /// Whether the same frame may be tried again in this process.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Unreadable(_))
    }
}

/// A fold.
pub trait Fold {
    /// Its name, lower case: names its store and its digest.
    fn name(&self) -> &'static str;

    /// Version of its meaning. Another one is another fold: the store is deleted and the ledger replayed.
    fn version(&self) -> u32;

    /// Applies the next final frame. What it keeps in `self` may be a cache of its rows, and changes until [`Fold::flush`].
    ///
    /// # Errors
    /// [`FoldStop`]; the engine takes the rows back that were written for this frame, and calls [`Fold::forget`].
    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        ledger: &dyn Backwards,
    ) -> Result<(), FoldStop>;

    /// Drops every cache: rows were taken back. What was kept back for [`Fold::flush`] is lost with it, so a fold that keeps
    /// changes back gives no [`FoldStop`] but a store's, and applies nothing more after that.
    fn forget(&mut self) {}

    /// Writes the changes that [`Fold::apply`] kept back, so that a row that many frames change is written once; called
    /// before every digest and every commit. When it is called must not change what the rows are then.
    ///
    /// # Errors
    /// [`StoreFault`]; the process ends.
    fn flush(&mut self, _rows: &mut dyn Rows) -> Result<(), StoreFault> {
        Ok(())
    }

    /// Canonical little-endian form of a row's value, for the digest. Use [`canonical_of!`](crate::canonical_of).
    ///
    /// # Errors
    /// [`StoreFault::Damaged`].
    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault>;

    /// Whether it has digests. Folds whose figures nobody is paid by may say no.
    fn has_digest(&self) -> bool {
        true
    }

    /// Checks whatever must hold of all rows; called at every digest point. Asserts what is a mistake of ours.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn check(&self, _rows: &dyn View) -> Result<(), StoreFault> {
        Ok(())
    }
}

/// The ledger before the frame in hand: what a fold may look back at.
pub trait Backwards {
    /// The frame of a position below the one that is applied.
    ///
    /// # Errors
    /// [`FoldStop::Missing`], [`FoldStop::Unreadable`].
    fn frame(&self, position: u64) -> Result<StoredFrame, FoldStop>;

    /// What header and summary of a frame say, into `out`, whose memory is used again; cheaper than the frame where the
    /// source can do that, and cheapest from position to position downwards.
    ///
    /// # Errors
    /// As [`Backwards::frame`]; what `out` is then is nothing's.
    fn summary(&self, position: u64, out: &mut FrameSummary) -> Result<(), FoldStop>;
}

/// A frame without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSummary {
    /// Its position.
    pub position: u64,
    /// Its stream.
    pub stream: StreamId,
    /// Stream epoch.
    pub epoch: u32,
    /// Time of its last event, milliseconds since 1970: its producer's.
    pub last_time: u64,
    /// Bit k: an event of kind k is in the body.
    pub kinds: u64,
    /// What its shares are worth; moved events are left out.
    pub summary: Summary,
}

impl Default for FrameSummary {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameSummary {
    /// Of nothing: to be read into.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            position: 0,
            stream: StreamId([0; 16]),
            epoch: 0,
            last_time: 0,
            kinds: 0,
            summary: Summary { pots: Vec::new() },
        }
    }

    /// Becomes that of a frame.
    ///
    /// # Errors
    /// [`FoldStop::Unreadable`] if the summary does not decode, which admission does not let happen.
    pub fn read(&mut self, position: u64, found: Summarised<'_>) -> Result<(), FoldStop> {
        let read = self.summary.read_again(found.summary);
        read.map_err(|error| FoldStop::Unreadable(format!("position {position}: {error}")))?;
        self.position = position;
        self.stream = found.header.stream;
        self.epoch = found.header.epoch;
        self.last_time = found.header.last_time;
        self.kinds = found.header.kinds;
        Ok(())
    }

    /// Whether the frame has an event of this kind.
    #[must_use]
    pub const fn has(&self, kind: Kind) -> bool {
        self.kinds & kind.bit() != 0
    }
}

/// A final frame, with what admission knows of it.
#[derive(Clone, Copy, Debug)]
pub struct FinalFrame<'a> {
    /// Position.
    pub position: u64,
    /// Ledger time, milliseconds since 1970.
    pub ledger_time: u64,
    /// The frame, its events and its summary.
    pub parsed: &'a Parsed,
    /// For each moved event of the frame, in order, whether it counts.
    pub counts: &'a [bool],
    /// Admission's state after this frame.
    pub state: &'a State,
}

/// A share that counts: one of the frame's own, or a moved one.
#[derive(Clone, Copy, Debug)]
pub struct ShareEntry<'a> {
    /// Its place in the ledger; weights order by it.
    pub at: At,
    /// Number of its worker, in the frame's (stream, epoch).
    pub worker: u32,
    /// Number of its job, in the frame's (stream, epoch).
    pub job: u32,
    /// Producer's time, milliseconds since 1970. Shown, never paid by.
    pub time: u64,
    /// The share, of whatever algorithm. Of a moved one, its own `worker` and `job` are numbers of the stream it came from.
    pub share: ShareRef,
    /// Set if it was moved: where it came from.
    pub moved: Option<&'a Moved>,
}

/// A block that counts as found.
#[derive(Clone, Debug)]
pub struct BlockEntry<'a> {
    /// Place of the event.
    pub at: At,
    /// Producer's time, milliseconds since 1970.
    pub time: u64,
    /// The event.
    pub found: BlockFound,
    /// The share that found it, right before it. A moved share may have been counted elsewhere already: the block counts
    /// all the same.
    pub share: ShareEntry<'a>,
}

impl<'a> FinalFrame<'a> {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &'a Header {
        self.parsed.frame().header()
    }

    /// The summary of the frame's own shares; moved ones are left out.
    #[must_use]
    pub const fn summary(&self) -> &'a Summary {
        self.parsed.summary()
    }

    /// Positions that are applied after this frame; cursors and digests are named by it.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.position.saturating_add(1)
    }

    /// Whether the frame has an event of this kind.
    #[must_use]
    pub const fn has(&self, kind: Kind) -> bool {
        self.has_any(kind.bit())
    }

    /// Whether the frame has an event of a kind whose bit is set: [`Kind::SHARES`], [`Kind::JOBS`].
    #[must_use]
    pub const fn has_any(&self, kinds: u64) -> bool {
        self.parsed.frame().header().kinds & kinds != 0
    }

    /// Keys and policies after this frame; there from position 0 on.
    #[must_use]
    pub const fn authority(&self) -> Option<&'a Authority> {
        self.state.authority()
    }

    /// Events with their places, and with their producer's times in milliseconds since 1970.
    pub fn events(&self) -> impl Iterator<Item = (At, u64, &'a Event)> + use<'a> {
        let (position, base) = (self.position, self.header().base_time);
        let raws = self.parsed.frame().events().map_while(Result::ok);
        (0u16..)
            .zip(raws)
            .zip(self.parsed.events())
            .map(move |((index, raw), event)| {
                let time = base.saturating_add(u64::from(raw.dt));
                (At { position, index }, time, event)
            })
    }

    /// Moved events with their places, and whether each counts.
    pub fn moved(&self) -> impl Iterator<Item = (At, &'a Moved, bool)> + use<'a> {
        let moved = self.events().filter_map(|(at, _, event)| match event {
            Event::Moved(moved) => Some((at, moved)),
            _ => None,
        });
        moved
            .zip(self.counts)
            .map(|((at, moved), counts)| (at, moved, *counts))
    }

    /// Every share that counts, in order: the frame's own, and moved ones that count.
    pub fn shares(&self) -> impl Iterator<Item = ShareEntry<'a>> + use<'a> {
        match self.parsed.shares() {
            Some(shares) => Shares::Alone(self.shares_alone(shares)),
            None => Shares::AmongOthers(self.shares_among_others()),
        }
    }

    /// Of a frame that has nothing else; most have not.
    fn shares_alone(
        &self,
        shares: &'a [(u32, Share)],
    ) -> impl Iterator<Item = ShareEntry<'a>> + use<'a> {
        let (position, base) = (self.position, self.header().base_time);
        (0u16..).zip(shares).map(move |(index, (dt, share))| {
            let time = base.saturating_add(u64::from(*dt));
            own_share(At { position, index }, time, share.into())
        })
    }

    fn shares_among_others(&self) -> impl Iterator<Item = ShareEntry<'a>> + use<'a> {
        let mut counts = self.counts.iter();
        self.events()
            .filter_map(move |(at, time, event)| match event {
                Event::Moved(moved) => counts
                    .next()
                    .filter(|counts| **counts)
                    .and_then(|_| moved_share(at, moved)),
                _ => event.share().map(|share| own_share(at, time, share)),
            })
    }

    /// Every block that counts as found, in order, with its share.
    pub fn blocks(&self) -> impl Iterator<Item = BlockEntry<'a>> + use<'a> {
        let mut counts = self.counts.iter();
        let mut before: Option<ShareEntry<'a>> = None;
        self.events()
            .filter_map(move |(at, time, event)| match event {
                Event::BlockFound(found) => before.map(|share| BlockEntry {
                    at,
                    time,
                    found: found.clone(),
                    share,
                }),
                Event::Moved(moved) => {
                    let counted = counts.next().is_some_and(|counts| *counts);
                    if moved.worker != NO_NUMBER {
                        before = moved_share(at, moved);
                        return None;
                    }
                    let (time, inner) = inner_of(moved)?;
                    match inner {
                        Event::BlockFound(found) if counted => before.map(|share| BlockEntry {
                            at,
                            time,
                            found,
                            share,
                        }),
                        _ => None,
                    }
                }
                _ => {
                    if let Some(share) = event.share() {
                        before = Some(own_share(at, time, share));
                    }
                    None
                }
            })
    }

    /// What was announced in the frame's (stream, epoch), this frame's announcements included.
    #[must_use]
    pub fn announced(&self) -> Option<&'a Announced> {
        let stream = self.state.stream(self.header().stream)?;
        Some(&stream.announced)
    }

    /// Pot of a worker of the frame's (stream, epoch).
    #[must_use]
    pub fn pot(&self, worker: u32) -> Option<Pot> {
        let workers = &self.announced()?.workers;
        workers.get(usize::try_from(worker).ok()?).copied()
    }

    /// Terms of a job of the frame's (stream, epoch); their policy is none if the job is void.
    #[must_use]
    pub fn terms(&self, job: u32) -> Option<&'a JobTerms> {
        let jobs = &self.announced()?.jobs;
        jobs.get(usize::try_from(job).ok()?)
    }

    /// What a share of this frame is credited.
    #[must_use]
    pub fn credit(&self, entry: &ShareEntry<'_>) -> u128 {
        match (self.pot(entry.worker), self.terms(entry.job)) {
            (Some(pot), Some(terms)) => credit::credit(entry.share, pot, terms),
            _ => 0,
        }
    }
}

/// Shares of a frame, by whether it has anything else.
enum Shares<A, O> {
    Alone(A),
    AmongOthers(O),
}

impl<'a, A, O> Iterator for Shares<A, O>
where
    A: Iterator<Item = ShareEntry<'a>>,
    O: Iterator<Item = ShareEntry<'a>>,
{
    type Item = ShareEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Alone(shares) => shares.next(),
            Self::AmongOthers(shares) => shares.next(),
        }
    }
}

#[inline]
fn own_share<'a>(at: At, time: u64, share: ShareRef) -> ShareEntry<'a> {
    ShareEntry {
        at,
        worker: share.worker,
        job: share.job,
        time,
        share,
        moved: None,
    }
}

fn moved_share(at: At, moved: &Moved) -> Option<ShareEntry<'_>> {
    let (time, inner) = inner_of(moved)?;
    Some(ShareEntry {
        at,
        worker: moved.worker,
        job: moved.job,
        time,
        share: inner.share()?,
        moved: Some(moved),
    })
}

/// Producer's time and the event that was moved; decoding `moved` made sure that there is one.
fn inner_of(moved: &Moved) -> Option<(u64, Event)> {
    let raw = RawEvent::one(&moved.event).ok()?;
    let event = raw.decode().ok()?;
    Some((moved.base_time.saturating_add(u64::from(raw.dt)), event))
}
