//! Admission and finality (section 6): a pure function of the log's prefix. The only place that compares sequences.

mod judge;

mod parsed;

mod snapshot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orebook_schema::bytes::DecodeError;
use orebook_schema::event::Moved;
use orebook_schema::frame::{FRAME_DOMAIN, SIGNED_BYTES};
use orebook_schema::{
    At, Event, Hash, Header, Key, Kind, LEDGER_TIME_LEAD_MS_MAX, LedgerId, StreamId,
};

use crate::authority::Authority;
use crate::credit::Announced;
use crate::disk::DiskError;
use crate::tree::{Tree, leaf_hash};

use self::judge::role_says;
pub(crate) use self::parsed::is_block_of;
pub use self::parsed::{Parsed, kinds_of};
pub use self::snapshot::STATE_SNAPSHOT_VERSION;

/// Why a frame gets no position, in the order of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Not a frame of this ledger, or not canonical.
    Malformed,
    /// Its producer may not say this.
    Refused,
    /// Admitted before. Silent.
    Duplicate,
    /// Its stream is closed.
    Closed,
    /// Another frame stands at its place in the stream. Closes the stream for ever.
    Fork,
    /// The frames before it are missing.
    Gap,
    /// The stream has a newer epoch.
    StaleEpoch,
    /// The incarnation's opening checkpoint did not come by yet: only archivers are heard until then.
    Early,
    /// The next frame of its stream, but it refers to what was not announced, or its summary is wrong.
    Inconsistent,
}

impl Cause {
    /// Lower-case name, as in metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
            Self::Closed => "closed",
            Self::Fork => "fork",
            Self::Gap => "gap",
            Self::StaleEpoch => "stale_epoch",
            Self::Early => "early",
            Self::Inconsistent => "inconsistent",
        }
    }
}

/// What admission did with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has a position.
    Admitted(Admitted),
    /// It has none.
    Refused(Cause),
}

/// A frame's place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Position.
    pub position: u64,
    /// Ledger time, milliseconds since 1970.
    pub ledger_time: u64,
    /// For each moved event of the frame, in order, whether it counts.
    pub counts: Vec<bool>,
    /// Size of the checkpoint of this frame that is now obeyed.
    pub obeyed: Option<u64>,
    /// Whether a checkpoint of this frame has another root than this reader at that size.
    pub disagrees: bool,
}

/// Admission cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The ledger uses a kind that this software does not know: upgrade it. Nothing is skipped.
    #[error(
        "the ledger uses kind {kind} version {version}, which this software does not know: upgrade it; see docs/runbooks/upgrade-order.md"
    )]
    UnknownKind {
        /// Kind byte.
        kind: u8,
        /// Version byte.
        version: u8,
    },
    /// The history could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The history is damaged.
    #[error("{0}")]
    Damaged(String),
}

/// What was admitted before, beside what [`State`] keeps. Answers must agree with the prefix that the state stands for.
pub trait History {
    /// Header hash of the admitted frame of `stream` that starts at `first_seq`; none if that event stands inside a frame.
    /// Asked only of events that were admitted.
    ///
    /// # Errors
    /// [`AdmitError`] if it cannot be read, or is not there.
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError>;
    /// Canonical bytes of an admitted event. Asked only of such.
    ///
    /// # Errors
    /// [`AdmitError`] if it cannot be read, or is not there.
    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError>;
}

/// One stream, as of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Key that opened it.
    pub key: Key,
    /// Its epoch.
    pub epoch: u32,
    /// Sequence number that its next frame starts with.
    pub next_seq: u64,
    /// Header hash of its last frame.
    pub last_hash: Hash,
    /// Whether it is closed for ever.
    pub closed: bool,
    /// What was announced in its epoch.
    pub announced: Announced,
}

impl Stream {
    /// Whether an admitted frame of this stream may start at `seq`.
    #[must_use]
    pub const fn reaches(&self, seq: u64) -> bool {
        seq < self.next_seq
    }
}

/// Admission's state as of a position, without the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    ledger: LedgerId,
    tree: Tree,
    ledger_time: u64,
    authority: Option<Authority>,
    /// Tree of the newest obeyed checkpoint, and leaves after it, to answer for roots in between.
    final_tree: Tree,
    unfinal_leaves: VecDeque<Hash>,
    streams: BTreeMap<StreamId, Stream>,
    /// Until this is final, only archivers are heard: where the log's incarnation opened.
    opened_at: u64,
    /// Moved events that counted: (stream, seq, hash of the event's bytes).
    moved: BTreeSet<(StreamId, u64, Hash)>,
}

/// How much of a frame is taken on trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: signatures and summaries are checked.
    Nothing,
    /// This very process checked the frame at this very place before: signatures, and the summaries of frames of shares alone,
    /// which the header names, are not made again.
    CheckedBefore,
}

struct Effects {
    added: Announced,
    counts: Vec<bool>,
    moved: Vec<(StreamId, u64, Hash)>,
}

impl State {
    /// Before genesis.
    #[must_use]
    pub const fn new(ledger: LedgerId) -> Self {
        Self {
            ledger,
            tree: Tree::new(),
            ledger_time: 0,
            authority: None,
            final_tree: Tree::new(),
            unfinal_leaves: VecDeque::new(),
            streams: BTreeMap::new(),
            opened_at: 0,
            moved: BTreeSet::new(),
        }
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> LedgerId {
        self.ledger
    }

    /// Positions so far: the next frame gets this one.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The ledger's tree.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Root of the ledger's tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Positions that are final: covered by the newest obeyed checkpoint.
    #[must_use]
    pub const fn final_size(&self) -> u64 {
        self.final_tree.size()
    }

    /// Root of the tree of the final positions.
    #[must_use]
    pub fn final_root(&self) -> Hash {
        self.final_tree.root()
    }

    /// Root at a size that is not below the final one; `None` outside of final..=size.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        let ahead = usize::try_from(size.checked_sub(self.final_size())?).ok()?;
        if self.unfinal_leaves.len() < ahead {
            return None;
        }
        let mut tree = self.final_tree.clone();
        self.unfinal_leaves
            .iter()
            .take(ahead)
            .for_each(|leaf| tree.push(*leaf));
        Some(tree.root())
    }

    /// Ledger time of the last position.
    #[must_use]
    pub const fn ledger_time(&self) -> u64 {
        self.ledger_time
    }

    /// The records that follow are those of an incarnation that opened at `next_position` (section 8).
    pub const fn enter_incarnation(&mut self, next_position: u64) {
        self.opened_at = next_position;
    }

    /// Keys and policies; none before genesis.
    #[must_use]
    pub const fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// A stream that was opened or moved from.
    #[must_use]
    pub fn stream(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.get(&stream)
    }

    /// All streams.
    pub fn streams(&self) -> impl Iterator<Item = (&StreamId, &Stream)> {
        self.streams.iter()
    }

    /// Judges the bytes of a log record and, if they are admitted, takes them into the state. Only a fork changes the state
    /// otherwise: its stream is closed.
    ///
    /// # Errors
    /// [`AdmitError`]: nothing was decided, and the reader stops.
    pub fn admit(
        &mut self,
        history: &impl History,
        append_time: u64,
        bytes: Vec<u8>,
    ) -> Result<(Verdict, Option<Parsed>), AdmitError> {
        let parsed = match Parsed::read(bytes) {
            Ok(parsed) => parsed,
            Err(DecodeError::UnknownKind { kind, version }) if self.lists(kind, version) => {
                return Err(AdmitError::UnknownKind { kind, version });
            }
            Err(_) => return Ok((Verdict::Refused(Cause::Malformed), None)),
        };
        let verdict = self.admit_parsed(history, append_time, &parsed, Trust::Nothing)?;
        Ok((verdict, Some(parsed)))
    }

    /// The same for a frame that was parsed already.
    ///
    /// # Errors
    /// [`AdmitError`]: nothing was decided.
    pub fn admit_parsed(
        &mut self,
        history: &impl History,
        append_time: u64,
        parsed: &Parsed,
        trust: Trust,
    ) -> Result<Verdict, AdmitError> {
        match self.judge(history, parsed, trust)? {
            Ok(effects) => Ok(Verdict::Admitted(self.apply(append_time, parsed, effects))),
            Err(cause) => {
                if cause == Cause::Fork
                    && let Some(stream) = self.streams.get_mut(&parsed.frame.header().stream)
                {
                    stream.closed = true;
                }
                Ok(Verdict::Refused(cause))
            }
        }
    }

    /// Whether this header is one that closes its stream, said with its evidence only: used by readers of segments.
    ///
    /// # Errors
    /// [`AdmitError`] if the history cannot be read.
    pub fn close_by_evidence(
        &mut self,
        history: &impl History,
        header: &Header,
    ) -> Result<bool, AdmitError> {
        let bytes = header.to_bytes();
        let signed = bytes.get(..SIGNED_BYTES).unwrap_or_default();
        let Some(authority) = &self.authority else {
            return Ok(false);
        };
        // Tests 1 and 2, as far as a header tells.
        let is_ours = header.ledger == self.ledger
            && header.coin == authority.genesis().coin
            && header.kinds & (Kind::Genesis.bit() | authority.genesis().algorithm.foreign_kinds())
                == 0
            && (header.first_seq == 0) == (header.previous == Hash::ZERO);
        let may_say = role_says(authority, header);
        let Some(stream) = self.streams.get_mut(&header.stream) else {
            return Ok(false);
        };
        let admitted = header.first_seq < stream.next_seq
            && history.header_hash(header.stream, header.first_seq)? == Some(Hash::of(&[&bytes]));
        let is_fork = !stream.closed
            && is_ours
            && may_say
            && stream.key == header.key
            && !admitted
            && (header.first_seq < stream.next_seq
                || header.first_seq == stream.next_seq && header.previous != stream.last_hash)
            && authority
                .verifier(&header.key)
                .is_some_and(|verifier| verifier.verify(FRAME_DOMAIN, signed, &header.signature));
        stream.closed |= is_fork;
        Ok(is_fork)
    }

    fn lists(&self, kind: u8, version: u8) -> bool {
        self.authority
            .as_ref()
            .is_some_and(|authority| authority.lists(kind, version))
    }

    fn apply(&mut self, append_time: u64, parsed: &Parsed, effects: Effects) -> Admitted {
        let frame = &parsed.frame;
        let header = frame.header();
        let position = self.size();
        let latest = header.last_time.saturating_add(LEDGER_TIME_LEAD_MS_MAX);
        self.ledger_time = self.ledger_time.max(append_time.min(latest));
        let leaf = leaf_hash(&frame.leaf_entry(position, self.ledger_time));
        self.tree.push(leaf);
        self.unfinal_leaves.push_back(leaf);
        self.advance_stream(parsed, effects.added);
        self.moved.extend(effects.moved);
        let (obeyed, disagrees) = self.apply_events(position, parsed);
        Admitted {
            position,
            ledger_time: self.ledger_time,
            counts: effects.counts,
            obeyed,
            disagrees,
        }
    }

    fn advance_stream(&mut self, parsed: &Parsed, added: Announced) {
        let header = parsed.frame.header();
        let stream = self.streams.entry(header.stream).or_insert_with(|| Stream {
            key: header.key,
            epoch: header.epoch,
            next_seq: 0,
            last_hash: Hash::ZERO,
            closed: false,
            announced: Announced::default(),
        });
        assert!(
            stream.next_seq == header.first_seq,
            "an admitted frame is its stream's next"
        );
        if stream.epoch != header.epoch {
            stream.epoch = header.epoch;
            stream.announced = Announced::default();
        }
        stream.announced.workers.extend(added.workers);
        stream.announced.jobs.extend(added.jobs);
        stream.next_seq = header.next_seq();
        stream.last_hash = parsed.frame.header_hash();
    }

    fn apply_events(&mut self, position: u64, parsed: &Parsed) -> (Option<u64>, bool) {
        let (mut obeyed, mut disagrees) = (None, false);
        for (index, event) in (0u16..).zip(parsed.mixed()) {
            match event {
                Event::Genesis(genesis) => {
                    self.authority = Some(Authority::new(genesis.as_ref().clone()))
                }
                Event::Checkpoint(checkpoint) if self.final_size() < checkpoint.size => {
                    if self.root_at(checkpoint.size) == Some(checkpoint.root) {
                        self.finalise(checkpoint.size);
                        obeyed = Some(checkpoint.size);
                    } else {
                        disagrees = true;
                    }
                }
                Event::Moved(moved) => self.close_moved(moved, &parsed.frame.header().key),
                _ => {
                    if let Some(authority) = &mut self.authority {
                        authority.apply(At { position, index }, event);
                    }
                }
            }
        }
        (obeyed, disagrees)
    }

    fn close_moved(&mut self, moved: &Moved, key: &Key) {
        let Some(authority) = &self.authority else {
            return;
        };
        if !self.will_be_closed(authority, moved.stream, key) {
            return;
        }
        let stream = self.streams.entry(moved.stream).or_insert_with(|| Stream {
            key: *key,
            epoch: moved.epoch,
            next_seq: 0,
            last_hash: Hash::ZERO,
            closed: true,
            announced: Announced::default(),
        });
        stream.closed = true;
    }

    fn finalise(&mut self, size: u64) {
        while self.final_size() < size {
            let leaf = self.unfinal_leaves.pop_front();
            assert!(
                leaf.is_some(),
                "a checkpoint covers positions that were admitted"
            );
            self.final_tree.push(leaf.unwrap_or_default());
        }
    }
}
