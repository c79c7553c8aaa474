//! The one read path: log → admission → segment files → final positions. Whoever needs the ledger (archiver, projector,
//! gateway) runs a [`Reader`]; folds then read its segments below [`Reader::final_size`].

mod anchor;

mod late;

mod place;

mod seek;

mod tail;

pub(crate) use self::anchor::anchored_size;
pub use self::late::{LATE_MS, LateFrames, is_late};
pub use self::place::ADOPTED_FRAMES_MAX;
pub use self::seek::SEEK_CLOCK_MS_MAX;

use std::collections::{BTreeSet, VecDeque};

use orebook_schema::{Hash, Header, Key, LedgerId, StreamId};

use crate::admit::{AdmitError, Cause, History, Parsed, State};
use crate::disk::{Disk, DiskError};
use crate::log::{Log, LogError};
use crate::segment::{SegmentStore, StoreConfig, StoreError, TornTail};

use self::anchor::Anchor;
use self::seek::{Attached, Seek};
use self::tail::{TailItem, advance, replay_record};

/// Records read from the log at once.
const BATCH_RECORDS: usize = 256;
/// Most notices kept for [`Reader::take_notices`]; the oldest go first.
const NOTICES_MAX: usize = 1_024;

/// Most wrong checkpoints remembered; beyond it a few may be read again once more.
const DOUBTED_MAX: usize = 1_024;

/// Incarnation in the anchor of a reader that never read a log: it says what is durable, not what is final.
const NO_INCARNATION: u32 = u32::MAX;

/// Why a reader stopped for now. What it holds as final stays as it is in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The log cannot be read now: try again.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The segment files. [`StoreError`] says whether waiting helps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Admission cannot go on.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// The log's newest incarnation opens after what this reader has: fetch the positions `from..to` from an archiver or
    /// another reader, and give them to [`Reader::adopt`].
    #[error("positions {from} to {to} are missing: fetch them from an archiver's segments")]
    Missing {
        /// First position missing.
        from: u64,
        /// Position after the last missing.
        to: u64,
        /// Root of the tree of size `to`.
        root: Hash,
    },
    /// The log has deleted what follows the last position that is final here. What is deleted was final and archived: fetch
    /// newer positions from an archiver or another reader, and give them to [`Reader::adopt_final`].
    #[error(
        "the log begins at offset {first}, after position {from}, the first that is not final here: positions must come from \
         peers (configure [ledger] peers; docs/runbooks/topic-trimmed.md)"
    )]
    Behind {
        /// First position that is not final here.
        from: u64,
        /// First offset that the log still has.
        first: u64,
    },
    /// The newest incarnation does not give this reader's final prefix: nothing after it becomes final here. An archiver
    /// opens the next one; everybody else waits for it.
    #[error(
        "incarnation {incarnation} does not give position {position}, which is final here: {what}"
    )]
    Dead {
        /// The incarnation.
        incarnation: u32,
        /// First position that differs or is not there.
        position: u64,
        /// How it differs.
        what: &'static str,
    },
    /// The log was never opened: an archiver opens it.
    #[error("the log has no incarnation yet")]
    Unopened,
}

impl From<DiskError> for ReadError {
    fn from(error: DiskError) -> Self {
        Self::Store(StoreError::from(error))
    }
}

/// A frame that got no position, for whoever sent it and for alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Why.
    pub cause: Cause,
    /// Its header; none if it has none that can be read.
    pub header: Option<Header>,
    /// Header hash; zero if there is no header.
    pub header_hash: Hash,
}

/// A tree head that an archiver signed and this reader obeyed: whoever has the key can check it without the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Positions covered.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
    /// The archiver's key.
    pub key: Key,
    /// Its signature over ledger, size and root ([`crate::sign::verify_checkpoint`]).
    pub signature: [u8; 64],
}

#[derive(Clone, Copy, Debug)]
struct Place {
    incarnation: u32,
    generation: u64,
    next_offset: u64,
}

/// Reads a log into segment files on one disk, and knows what of it is final.
#[derive(Debug)]
pub struct Reader<D: Disk> {
    disk: D,
    dir: String,
    store: SegmentStore<D>,
    /// State at the final size.
    settled: State,
    /// State after the last record read.
    head: State,
    tail: VecDeque<TailItem>,
    place: Option<Place>,
    /// Largest size that an obeyed checkpoint covers; `settled` follows once the segments are synced.
    target: u64,
    /// The newest checkpoint that was obeyed since the start, as it was signed.
    obeyed: Option<TreeHead>,
    /// Positions below this are never given up: an archiver signed for them (genesis: everybody's).
    keep: u64,
    /// The checkpoint that says what is final here is not in the files.
    is_proof_waiting: bool,
    /// Closures that the kept tail on disk holds and the log must show again.
    kept_closures: Vec<(u64, StreamId)>,
    anchor: Option<Anchor>,
    /// The anchor that the log was asked for and that lay after its end.
    beyond_end: Option<Anchor>,
    /// A search for the last final frame that goes on at the next poll.
    seek: Option<Seek>,
    /// The trimmed incarnation that is waited for; what is adopted is of it, or of one before.
    behind_in: Option<u32>,
    /// The trimmed incarnation whose opening root was compared with this reader's own.
    compared: Option<u32>,
    /// Checkpoints that still disagree after the tail was read again: wrong, and ignored.
    doubted: BTreeSet<Hash>,
    notices: VecDeque<Notice>,
    late: LateFrames,
}

impl<D: Disk + Clone> Reader<D> {
    /// Opens the segments below `dir` and judges them again. `keep` = positions that this process signed for, 0 if it never
    /// signs. Provisional positions above both are dropped: the log gives them again.
    ///
    /// # Errors
    /// [`ReadError::Store`] for damage, [`ReadError::Admit`] if the files are not a ledger's.
    pub fn open(
        disk: D,
        dir: &str,
        ledger: LedgerId,
        config: StoreConfig,
        keep: u64,
    ) -> Result<(Self, Option<TornTail>), ReadError> {
        disk.create_dir(dir)?;
        let anchor = Anchor::load(&disk, dir)?;
        let floor = anchor.map_or(0, |anchor| anchor.size).max(keep);
        let segments = format!("{dir}/segments");
        let (store, torn) =
            SegmentStore::open_with(disk.clone(), &segments, ledger, floor, config)?;
        let mut reader = Self {
            disk,
            dir: dir.to_owned(),
            settled: State::new(ledger),
            head: State::new(ledger),
            tail: VecDeque::new(),
            place: None,
            target: 0,
            obeyed: None,
            keep: keep.max(store.size().min(1)),
            is_proof_waiting: false,
            kept_closures: Vec::new(),
            anchor,
            beyond_end: None,
            seek: None,
            behind_in: None,
            compared: None,
            doubted: BTreeSet::new(),
            notices: VecDeque::new(),
            late: LateFrames::default(),
            store,
        };
        reader.replay(floor)?;
        reader.found_anchor()?;
        Ok((reader, torn))
    }

    /// Positions that are final here; segments below are what folds may read.
    #[must_use]
    pub const fn final_size(&self) -> u64 {
        self.settled.size()
    }

    /// State at the final size.
    #[must_use]
    pub const fn settled(&self) -> &State {
        &self.settled
    }

    /// State after the last record read; provisional.
    #[must_use]
    pub const fn head(&self) -> &State {
        &self.head
    }

    /// The signed tree head whose size is the final one; none before one was obeyed since the start.
    #[must_use]
    pub fn tree_head(&self) -> Option<TreeHead> {
        let size = self.final_size();
        self.obeyed.filter(|head| head.size == size)
    }

    /// The segment files.
    #[must_use]
    pub const fn store(&self) -> &SegmentStore<D> {
        &self.store
    }

    /// Its folder on the disk.
    #[must_use]
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// The disk.
    #[must_use]
    pub const fn disk(&self) -> &D {
        &self.disk
    }

    /// Incarnation that is read; none before the first poll.
    #[must_use]
    pub fn incarnation(&self) -> Option<u32> {
        self.place.map(|place| place.incarnation)
    }

    /// Newest incarnation that this reader ever took a final position from.
    #[must_use]
    pub fn last_incarnation(&self) -> Option<u32> {
        let before = self
            .anchor
            .map(|anchor| anchor.incarnation)
            .filter(|number| *number != NO_INCARNATION);
        self.place.map(|place| place.incarnation).or(before)
    }

    /// Offset below which the log may be forgotten as far as this reader is concerned.
    #[must_use]
    pub fn forgettable_offset(&self) -> u64 {
        let here = |anchor: &Anchor| Some(anchor.incarnation) == self.incarnation();
        self.anchor.filter(here).map_or(0, |anchor| anchor.offset)
    }

    /// Positions that this process signed for: they are never given up.
    pub fn keep(&mut self, size: u64) {
        self.keep = self.keep.max(size);
    }

    /// Late frames that it took from the log since it was opened.
    #[must_use]
    pub const fn late(&self) -> &LateFrames {
        &self.late
    }

    /// Takes the notices that `ours` accepts, oldest first. At most 1,024 wait, the newest.
    pub fn take_notices(&mut self, ours: impl Fn(&Notice) -> bool) -> Vec<Notice> {
        let (taken, left): (VecDeque<_>, _) = self.notices.drain(..).partition(ours);
        self.notices = left;
        taken.into()
    }

    /// Whether this very frame stands in the ledger below `state`'s size.
    ///
    /// # Errors
    /// [`AdmitError`] if the index cannot be read.
    pub fn stands(
        &self,
        state: &State,
        stream: StreamId,
        first_seq: u64,
        hash: Hash,
    ) -> Result<bool, AdmitError> {
        let reached = state
            .stream(stream)
            .is_some_and(|stream| stream.reaches(first_seq));
        Ok(reached && self.store.header_hash(stream, first_seq)? == Some(hash))
    }

    /// Frames that are provisional, with their events.
    pub fn provisional(&self) -> impl Iterator<Item = &Parsed> {
        self.tail.iter().filter_map(|item| match item {
            TailItem::Frame { parsed, .. } => Some(parsed.as_ref()),
            TailItem::Closure { .. } => None,
        })
    }

    /// Reads what the log has, at most `records_max` records. Returns how many were read; fewer than asked for means that
    /// the log had no more at once; 0, that its end was reached. Segments are written, and synced where something became final.
    ///
    /// # Errors
    /// [`ReadError`]; the next call goes on where this one stopped. [`StoreError::Failed`] from then on if the disk failed in
    /// any call: the process must end.
    pub fn poll(&mut self, log: &impl Log, records_max: usize) -> Result<usize, ReadError> {
        // Adopting may be what failed, and who asks peers takes its errors for the peer's: here it is said to all.
        self.store.writable()?;
        let read = self.read(log, records_max);
        if matches!(read, Err(ReadError::Dead { .. })) {
            // What the dead incarnation gave is not this ledger's.
            self.cut()?;
        }
        read
    }

    fn read(&mut self, log: &impl Log, records_max: usize) -> Result<usize, ReadError> {
        self.settle()?;
        let mut read = 0;
        let mut was_cut = false;
        while read < records_max {
            let place = match self.attach(log, records_max - read)? {
                Attached::At(place) => place,
                Attached::Seeking(looked) => {
                    read += looked;
                    continue;
                }
            };
            let want = BATCH_RECORDS.min(records_max - read);
            let records = match log.read(place.incarnation, place.next_offset, want) {
                // A second time at once: the log has forgotten what follows the final position here.
                // Below the log's beginning too: the place is looked for in what is left.
                Err(LogError::OutOfRange { .. } | LogError::Trimmed { .. }) if !was_cut => {
                    self.cut()?;
                    was_cut = true;
                    continue;
                }
                other => other?,
            };
            was_cut = false;
            let is_all = records.len() < want;
            if records.is_empty() {
                self.check_end(place)?;
                break;
            }
            for record in records {
                read += 1;
                if !self.take(record)? {
                    break;
                }
            }
            self.settle()?;
            if is_all && self.place.is_some() && self.check_end(place).is_ok() {
                // Whether more comes is asked by who waits for it: a broker answers that half a second later. Who still
                // lacks what is final asks now: in a busy log a later read never gives nothing.
                break;
            }
        }
        Ok(read)
    }

    /// Writes and syncs all that was admitted: an archiver does so before it signs.
    ///
    /// # Errors
    /// [`ReadError::Store`].
    pub fn persist(&mut self) -> Result<(), ReadError> {
        Ok(self.store.sync()?)
    }

    /// From now on it is known how much was durable here: what is torn behind it may be cut at the next start.
    fn found_anchor(&mut self) -> Result<(), ReadError> {
        if self.anchor.is_none() && 0 < self.store.size() {
            let size = self.final_size().max(self.keep.min(self.store.size()));
            let anchor = Anchor {
                incarnation: NO_INCARNATION,
                size,
                offset: 0,
            };
            anchor.save(&self.disk, &self.dir)?;
            self.anchor = Some(anchor);
        }
        Ok(())
    }

    /// Rebuilds both states from the files; frames above what must be kept are dropped.
    fn replay(&mut self, floor: u64) -> Result<(), ReadError> {
        let store = &self.store;
        let mut head = State::new(self.head.ledger());
        let mut settled = State::new(self.head.ledger());
        let mut tail = VecDeque::new();
        let read_before = self
            .anchor
            .filter(|anchor| anchor.incarnation != NO_INCARNATION);
        // What is sealed was final when it was sealed.
        let mut target = read_before
            .map_or(0, |anchor| anchor.size)
            .max(store.sealed_size());
        for record in store.records(0) {
            let item = replay_record(&mut head, store, record?)?;
            tail.push_back(item);
            target = target.max(head.final_size());
            advance(&mut settled, store, &mut tail, target.min(head.size()))?;
        }
        let must_keep = self.keep.max(floor);
        if head.size() < floor {
            let what = "the files end before what was signed or final";
            return Err(ReadError::Dead {
                incarnation: 0,
                position: head.size(),
                what,
            });
        }
        self.target = settled.size();
        self.settled = settled;
        self.head = head;
        self.tail = tail;
        self.truncate_tail(must_keep.max(self.settled.size()))?;
        Ok(self.store.resume_tree(self.head.tree().clone())?)
    }

    /// Drops what stands at and above `size`; the tail and the head are made again from what is left on disk.
    fn truncate_tail(&mut self, size: u64) -> Result<(), ReadError> {
        self.store.truncate(size)?;
        let mut head = self.settled.clone();
        let mut tail = VecDeque::new();
        self.kept_closures.clear();
        for record in self.store.records(self.final_size()) {
            let item = replay_record(&mut head, &self.store, record?)?;
            if let TailItem::Closure { position, header } = &item {
                self.kept_closures.push((*position, header.stream));
            }
            tail.push_back(item);
        }
        self.head = head;
        self.tail = tail;
        Ok(())
    }

    /// Gives up what is provisional, and reads the log again from the last final position.
    fn cut(&mut self) -> Result<(), ReadError> {
        self.place = None;
        self.target = self.final_size();
        self.truncate_tail(self.keep.max(self.final_size()))
    }

    /// State of a size, from what is stored; none if less is.
    ///
    /// # Errors
    /// [`ReadError`] if the segments cannot be read.
    pub fn state_at(&self, size: u64) -> Result<Option<State>, ReadError> {
        let above = self.final_size() <= size;
        let mut state = if above {
            self.settled.clone()
        } else {
            State::new(self.head.ledger())
        };
        for record in self.store.records(state.size()) {
            if size <= state.size() {
                break;
            }
            replay_record(&mut state, &self.store, record?)?;
        }
        Ok((state.size() == size).then_some(state))
    }

    fn dead(&self, position: u64, what: &'static str) -> ReadError {
        ReadError::Dead {
            incarnation: self.last_incarnation().unwrap_or(0),
            position,
            what,
        }
    }
}
