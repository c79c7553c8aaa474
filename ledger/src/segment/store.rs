//! The segments of one ledger, written by one process.

use orebook_schema::{Frame, HEADER_BYTES, Hash, Header, LedgerId, StreamId};

use super::index::{Limits, Rules, SegmentIndex};
use super::record::{ClosureBody, FileHeader, FrameBody, put_closure, put_frame};
use super::recover::recover;
use super::sealed::Sealed;
use super::trees::Trees;
use super::view::{Open, View};
use super::write::{seal_segment, sync_segment};
use super::{Records, StoreError, StoredFrame, Summaries, TornTail, path_of};
use crate::admit::{AdmitError, History};
use crate::disk::{Disk, DiskFile, DiskResult, zero};
use crate::tree::{Tree, leaf_hash};

/// Bytes that may wait for a sync. What does not fit is refused with [`StoreError::Pending`]: the caller syncs first.
pub const PENDING_BYTES_MAX: usize = 64 << 20;

/// What may differ from machine to machine without a difference in what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// An open file grows by zero-filled steps of so many bytes, up to what its segment may hold; with 0 it grows with
    /// each sync.
    pub preallocate_bytes: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            preallocate_bytes: 4 << 20,
        }
    }
}

/// A segment's file, for tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// File name within the folder.
    pub name: String,
    /// First position.
    pub first: u64,
    /// Positions, synced or not.
    pub positions: u64,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Bytes in use: of an open file up to the end of its last record, synced or not.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    ReadOnly,
    Failed,
}

/// The segments of a ledger. One process at a time may have a folder open for writing.
///
/// After [`DiskError::Fatal`] the store refuses to write for ever: the process ends, and the next one recovers.
#[derive(Debug)]
pub struct SegmentStore<D: Disk> {
    disk: D,
    dir: String,
    ledger: LedgerId,
    config: StoreConfig,
    limits: Option<Limits>,
    sealed: Vec<Sealed>,
    open: Vec<Open<D::File>>,
    trees: Trees,
    health: Health,
}

impl<D: Disk> SegmentStore<D> {
    /// Opens the folder `dir` of `disk` with the default configuration; one that does not exist is an empty ledger.
    /// See [`SegmentStore::open_with`].
    ///
    /// # Errors
    /// As [`SegmentStore::open_with`].
    pub fn open(
        disk: D,
        dir: &str,
        ledger: LedgerId,
        floor: u64,
    ) -> Result<(Self, Option<TornTail>), StoreError> {
        Self::open_with(disk, dir, ledger, floor, StoreConfig::default())
    }

    /// Opens for writing. `floor` is how many positions are known to be durable: a checkpoint that covers them was
    /// signed or obeyed; 0 if nothing is known. What was not promised and is not whole is cut and reported; with an
    /// unknown floor only if no whole frame stands behind it. What stays is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if something is missing or wrong that was promised, or may have been;
    /// [`StoreError::OtherLedger`]; [`StoreError::Disk`].
    pub fn open_with(
        disk: D,
        dir: &str,
        ledger: LedgerId,
        floor: u64,
        config: StoreConfig,
    ) -> Result<(Self, Option<TornTail>), StoreError> {
        disk.create_dir(dir)?;
        Self::recovered(disk, dir, ledger, floor, config, Health::Good)
    }

    /// Opens for reading what is there now, while another process may be writing: no byte is changed. A torn tail is
    /// left out and reported. With an unknown `floor` a batch that is just being written may look like damage.
    ///
    /// # Errors
    /// As [`SegmentStore::open_with`]; [`DiskError::NotFound`] if a file was sealed meanwhile: try again.
    pub fn open_read_only(
        disk: D,
        dir: &str,
        ledger: LedgerId,
        floor: u64,
    ) -> Result<(Self, Option<TornTail>), StoreError> {
        let config = StoreConfig::default();
        Self::recovered(disk, dir, ledger, floor, config, Health::ReadOnly)
    }

    fn recovered(
        disk: D,
        dir: &str,
        ledger: LedgerId,
        floor: u64,
        config: StoreConfig,
        health: Health,
    ) -> Result<(Self, Option<TornTail>), StoreError> {
        let rules = Rules {
            ledger,
            limits: None,
        };
        let found = recover(&disk, dir, rules, floor, health == Health::Good)?;
        let dir = dir.to_owned();
        let (limits, sealed, open) = (found.limits, found.sealed, found.open);
        let trees = Trees::default();
        let store = Self {
            disk,
            dir,
            ledger,
            config,
            limits,
            sealed,
            open,
            trees,
            health,
        };
        Ok((store, found.torn))
    }

    /// Positions, those that wait for a sync too: the next frame's position.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.view().size()
    }

    /// Positions that are durable here.
    #[must_use]
    pub fn synced_size(&self) -> u64 {
        let waiting = self.open.iter().find(|open| !open.pending.is_empty());
        waiting.map_or(self.size(), |open| {
            open.index.first() + open.index.positions_before(open.synced)
        })
    }

    /// Positions in sealed segments: all final, and never cut.
    #[must_use]
    pub fn sealed_size(&self) -> u64 {
        self.view().sealed_size()
    }

    /// The frame of a position; none if there is none yet.
    ///
    /// # Errors
    /// [`StoreError::Disk`], [`StoreError::Damaged`].
    pub fn read(&self, position: u64) -> Result<Option<StoredFrame>, StoreError> {
        self.view().frame(position)
    }

    /// Reads header and summary of the frame of a position into `out`, and those of some frames before it, for a walk
    /// backwards; whether there is such a frame. What must not change while a walk lasts is asked for only: final frames.
    ///
    /// Bodies are not read, except of the first frame of each stream that a walk meets; see [`Summaries`] and its module
    /// for what is checked. A frame before the asked one that cannot be read is an error when it is asked for.
    ///
    /// # Errors
    /// [`StoreError::Disk`], [`StoreError::Damaged`].
    pub fn summaries(&self, position: u64, out: &mut Summaries) -> Result<bool, StoreError> {
        self.view().summaries(position, out)
    }

    /// All records from position `from` on, in order, those that wait for a sync too. A closure comes before the frame
    /// of its position.
    #[must_use]
    pub fn records(&self, from: u64) -> Records<'_, D> {
        self.view().records(from)
    }

    /// The files, by position.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let sealed = self.sealed.iter().map(|it| SegmentInfo {
            name: name(&it.path),
            first: it.first(),
            positions: u64::from(it.facts.positions),
            sealed: true,
            bytes: it.bytes,
        });
        let open = self.open.iter().map(|it| SegmentInfo {
            name: name(&it.path),
            first: it.index.first(),
            positions: it.index.positions(),
            sealed: false,
            bytes: it.index.end(),
        });
        sealed.chain(open).collect()
    }

    /// Gives the store the ledger's tree of some size, as a snapshot has it. Without it the store reads the whole ledger
    /// when it begins the first new segment after a start. A tree that is larger than the ledger is of no use and is
    /// passed over.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a segment begins at that size with another root.
    pub fn resume_tree(&mut self, tree: Tree) -> Result<(), StoreError> {
        let view = View {
            disk: &self.disk,
            sealed: &self.sealed,
            open: &self.open,
        };
        self.trees.give(view, tree)
    }

    /// Adds the next frame. It waits in memory for [`SegmentStore::sync`].
    ///
    /// # Errors
    /// [`StoreError::Pending`]; [`StoreError::Failed`], [`StoreError::ReadOnly`]; [`StoreError::Disk`] and
    /// [`StoreError::Damaged`] if the tree had to be made from the files. The frame is not taken then.
    ///
    /// # Panics
    /// If `position` is not the next one, the frame is another ledger's, or position 0 is no genesis: only frames that
    /// were admitted here may come here.
    pub fn append_frame(
        &mut self,
        position: u64,
        ledger_time: u64,
        append_time: u64,
        frame: &Frame,
    ) -> Result<(), StoreError> {
        self.check_room()?;
        assert!(
            position == self.size(),
            "frames are stored in the order of their positions"
        );
        assert!(
            frame.header().ledger == self.ledger,
            "a store holds one ledger"
        );
        if position == 0 {
            self.limits = Limits::of_genesis(frame);
            self.trees.start();
        }
        let limits = self.limits;
        assert!(limits.is_some(), "position 0 is the genesis frame");
        let bytes = frame.bytes();
        let takes =
            |open: &Open<D::File>| limits.is_some_and(|it| open.index.takes(bytes.len(), &it));
        if !self.open.last().is_some_and(takes) {
            self.begin_segment(position)?;
        }
        self.trees
            .push(leaf_hash(&frame.leaf_entry(position, ledger_time)));
        if let Some(open) = self.open.last_mut() {
            let before = open.pending.len();
            let body = FrameBody {
                position,
                ledger_time,
                append_time,
                frame: bytes,
            };
            put_frame(&mut open.pending, &body);
            open.index
                .push_frame(frame.header(), bytes.len(), open.pending.len() - before);
        }
        Ok(())
    }

    /// Adds the evidence that closed a stream; `position` is the next one. It waits in memory for
    /// [`SegmentStore::sync`], in the segment of the position before.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if that segment is sealed: its closures are final. [`StoreError::Pending`],
    /// [`StoreError::Failed`], [`StoreError::ReadOnly`]. The closure is not taken then.
    ///
    /// # Panics
    /// If `position` is not the next one, or 0: before genesis no stream is open.
    pub fn append_closure(
        &mut self,
        position: u64,
        append_time: u64,
        header: &Header,
    ) -> Result<(), StoreError> {
        self.check_room()?;
        assert!(
            position == self.size(),
            "a closure belongs to the next position"
        );
        assert!(0 < position, "no stream is closed before genesis");
        let sealed_size = self.sealed_size();
        let Some(open) = self.open.last_mut() else {
            return Err(StoreError::Sealed { sealed_size });
        };
        let before = open.pending.len();
        let header: [u8; HEADER_BYTES] = header.to_bytes();
        put_closure(
            &mut open.pending,
            &ClosureBody {
                position,
                append_time,
                header: &header,
            },
        );
        open.index.push_closure(open.pending.len() - before);
        Ok(())
    }

    /// Makes all that waits durable: for each segment one write and one sync, and a sync of the folder where a file is
    /// new.
    ///
    /// # Errors
    /// [`DiskError::Full`] ([`StoreError::is_full`]): what was not synced goes on waiting, and a later sync may succeed;
    /// a crash meanwhile leaves any part of it. [`DiskError::Fatal`]: nothing is known of what waited, and the store
    /// refuses to write from now on.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.writable()?;
        let (step, limits) = (
            self.config.preallocate_bytes,
            self.limits.unwrap_or(Limits::NONE),
        );
        for open in self.open.iter_mut().filter(|open| !open.pending.is_empty()) {
            let done = sync_segment(&self.disk, &self.dir, open, step, &limits);
            judge(&mut self.health, done)?;
        }
        Ok(())
    }

    /// Seals the full segments that are final: the next position after the segment is below `final_size` too, since
    /// until then a fork could still put a closure into it. A segment whose successor is not synced here waits.
    ///
    /// # Errors
    /// [`DiskError::Full`]: the segment stays open, a later call may succeed. [`StoreError::Damaged`] if the file does
    /// not hold what was written to it. [`DiskError::Fatal`]: the store refuses to write from now on; at the next start
    /// the segment is open or sealed, and whole.
    pub fn seal(&mut self, final_size: u64) -> Result<(), StoreError> {
        self.writable()?;
        let synced = self.synced_size();
        while let [open, next, ..] = self.open.as_mut_slice() {
            let end = next.index.first();
            if final_size <= end || synced <= end {
                break;
            }
            let done = seal_segment(&self.disk, &self.dir, self.ledger, open, next.root);
            let sealed = judge(&mut self.health, done)?;
            self.open.remove(0);
            self.sealed.push(sealed);
            self.trees.forget_below(end);
        }
        Ok(())
    }

    /// Removes frames and closures of positions from `size` on, durably. A sealed segment keeps its closures, which are
    /// final. More than there is removes nothing.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if `size` lies below what is sealed: nothing is removed. [`DiskError::Fatal`]: the store
    /// refuses to write from now on, and at the next start the ledger ends at `size` or behind.
    pub fn truncate(&mut self, size: u64) -> Result<(), StoreError> {
        self.writable()?;
        let sealed_size = self.sealed_size();
        if size < sealed_size {
            return Err(StoreError::Sealed { sealed_size });
        }
        if size < self.size() {
            self.trees.cut(size);
        }
        let done = self.cut(size);
        judge(&mut self.health, done.map_err(StoreError::Disk))?;
        if self.size() == 0 {
            self.limits = None;
        }
        Ok(())
    }

    fn cut(&mut self, size: u64) -> DiskResult<()> {
        while let Some(mut open) = self.open.pop_if(|open| size <= open.index.first()) {
            // One by one and from the end, so that a crash in between leaves no gap.
            if open.file.take().is_some() {
                self.disk.remove(&open.path)?;
                self.disk.sync_dir(&self.dir)?;
            }
        }
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        let end = open.index.cut(size);
        let kept = end.saturating_sub(open.synced);
        open.pending.truncate(super::as_index(kept));
        if let Some(file) = &mut open.file
            && end < open.touched
        {
            zero(file, end, open.touched.min(file.len()?))?;
            file.sync()?;
            open.touched = end;
        }
        open.synced = open.synced.min(end);
        Ok(())
    }

    fn begin_segment(&mut self, first: u64) -> Result<(), StoreError> {
        let view = View {
            disk: &self.disk,
            sealed: &self.sealed,
            open: &self.open,
        };
        let root = self.trees.begin(view)?;
        let header = FileHeader {
            ledger: self.ledger,
            first,
            root,
        };
        self.open.push(Open {
            path: path_of(&self.dir, first, false),
            root,
            index: SegmentIndex::new(first),
            file: None,
            named: false,
            synced: 0,
            touched: 0,
            pending: header.to_bytes(),
        });
        Ok(())
    }

    /// Whether it may be written: a store that failed once says so for ever.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::ReadOnly`].
    pub(crate) const fn writable(&self) -> Result<(), StoreError> {
        match self.health {
            Health::Good => Ok(()),
            Health::ReadOnly => Err(StoreError::ReadOnly),
            Health::Failed => Err(StoreError::Failed),
        }
    }

    fn check_room(&self) -> Result<(), StoreError> {
        self.writable()?;
        let bytes = self.open.iter().map(|open| open.pending.len()).sum();
        if PENDING_BYTES_MAX < bytes {
            Err(StoreError::Pending { bytes })
        } else {
            Ok(())
        }
    }

    fn view(&self) -> View<'_, D> {
        View {
            disk: &self.disk,
            sealed: &self.sealed,
            open: &self.open,
        }
    }
}

/// Want of room changes nothing; after any other error nobody knows what the files hold.
fn judge<T>(health: &mut Health, done: Result<T, StoreError>) -> Result<T, StoreError> {
    if done.as_ref().is_err_and(|error| !error.is_full()) {
        *health = Health::Failed;
    }
    done
}

impl<D: Disk> History for SegmentStore<D> {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        self.view().header_hash(stream, first_seq)
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        self.view().event(stream, seq)
    }
}
