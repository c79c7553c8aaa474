//! The spool: a gateway's durable queue between "answered true" and "final in the ledger" (design, section 4).
//!
//! A group of events is synced, then miners are answered. A frame's header is synced before the frame leaves, and an
//! epoch before the port opens, so bytes that were said once are never said otherwise. The files' bytes are in
//! `schema/SPOOL-FORMAT.md`. One writer, synchronous; times are arguments.
//!
//! Reading order: this page, `spool/append.rs` (what a group goes through), `spool/standing.rs` (the one set of
//! transitions), `spool/recover.rs`, `spool/moving.rs`. Not here: sending, and what was admitted (the publisher's).

mod append;
mod error;
mod file;
mod moving;
mod numbers;
mod read;
mod record;
mod recover;
mod source;
mod standing;
mod state;
mod table;
mod trim;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use orebook_schema::{
    At, BODY_BYTES_MAX, FRAME_EVENTS_MAX, Frame, Key, LedgerId, Policy, Role, SUMMARY_BYTES_MAX,
    StreamId,
};

use self::file::FileMeta;
use self::numbers::Moving;
use self::record::{EpochOpened, RecordKind};
use self::standing::Standing;
use self::table::Table;
use crate::disk::Disk;
use crate::sign::Signer;

pub use self::append::Appended;
pub use self::error::{Fault, FullCause, SpoolError, SpoolResult};
pub use self::numbers::Renumbered;
pub use self::read::FrameReader;
pub use self::recover::{SpoolRecovery, TornTail};
pub use self::trim::HeldStream;

/// Smallest file: half of it holds a state, the other half a group and the reserve.
pub const FILE_BYTES_MIN: u64 = 262_144;
/// Largest file: offsets are 32 bits, and recovery zero-scans the last one.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// File size unless configured otherwise.
pub const FILE_BYTES_DEFAULT: u64 = 64 << 20;
/// Bytes that stay free behind unframed events: the longest header record (49,480) with room for an epoch and a move
/// record. So cutting needs no new file, and a spool on a full disk can be drained.
pub const RESERVE_BYTES: u64 = 65_536;
/// A frame with at least [`CUT_EVENTS`] events is cut this long after its first event, in milliseconds.
pub const CUT_MANY_MS: u64 = 200;
/// Any frame is cut this long after its first event, in milliseconds.
pub const CUT_MS: u64 = 1_000;
/// Events from which [`CUT_MANY_MS`] holds.
pub const CUT_EVENTS: usize = 50;
/// Silence after which a heartbeat is due, in milliseconds.
pub const HEARTBEAT_MS: u64 = 10_000;
/// How long a full disk is left alone before another file is tried, in milliseconds: a try fills what is left of it.
pub const SPACE_RETRY_MS: u64 = 1_000;

/// Bytes of the largest share: a body without room for it is at its limit.
const SHARE_BYTES_MAX: usize = 46;
/// Most summary bytes that one share adds: its own pot and row.
const SUMMARY_SHARE_BYTES_MAX: usize = 42;
const _: () = assert!(
    3 + FRAME_EVENTS_MAX * SUMMARY_SHARE_BYTES_MAX <= SUMMARY_BYTES_MAX,
    "a frame's events never pass the limit of its summary"
);

/// What a spool is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The ledger.
    pub ledger: LedgerId,
    /// SLIP-44 coin type of the ledger.
    pub coin: u32,
    /// The producer's role: what it may not say is refused here already.
    pub role: Role,
    /// Schema set that frames begun from now on name.
    pub schema_set: u32,
    /// Preallocated size of a file, [`FILE_BYTES_MIN`] to [`FILE_BYTES_MAX`], divisible by 8.
    pub file_bytes: u64,
    /// Bound of all files together, at least two files.
    pub total_bytes: u64,
}

/// A producer's spool. See the module.
#[derive(Debug)]
pub struct Spool<D: Disk> {
    disk: D,
    dir: String,
    config: SpoolConfig,
    signer: Signer,
    standing: Standing,
    older: VecDeque<FileMeta>,
    /// The file in hand.
    meta: FileMeta,
    file: D::File,
    /// Records that the next write takes, as they will stand at the end of the file.
    records: Vec<u8>,
    /// Canonical bytes of the group in hand; its memory is used again.
    body: Vec<u8>,
    /// Policies that are on no disk yet.
    unsaved: BTreeSet<At>,
    moving: Option<Moving>,
    begun: bool,
    /// A write or sync failed.
    ended: bool,
    /// The caller's clock at the first unframed event and at the last group.
    first_ms: u64,
    last_ms: u64,
    /// The caller's clock when the disk was found full.
    full_ms: Option<u64>,
}

impl SpoolConfig {
    fn check(&self) -> SpoolResult<()> {
        if !(FILE_BYTES_MIN..=FILE_BYTES_MAX).contains(&self.file_bytes)
            || !self.file_bytes.is_multiple_of(8)
        {
            return Err(SpoolError::Config(
                "file_bytes is 256 KiB to 1 GiB, divisible by 8",
            ));
        }
        if self.total_bytes / 2 < self.file_bytes {
            return Err(SpoolError::Config(
                "total_bytes is at least twice file_bytes",
            ));
        }
        Ok(())
    }

    /// Most bytes of a state, so that half of a file is left for events.
    const fn state_bytes_max(&self) -> u64 {
        self.file_bytes / 2
    }
}

impl<D: Disk> Spool<D> {
    /// Opens the spool in folder `dir`, or makes it. Reads all of it; a tail that never was durable is cut and reported.
    ///
    /// # Errors
    /// [`SpoolError::Config`], [`SpoolError::Foreign`]; [`SpoolError::Damaged`]: durable bytes are not what was written,
    /// nothing was cut; [`SpoolError::Full`] if the first file finds no room; [`SpoolError::Disk`].
    pub fn open(
        disk: D,
        dir: &str,
        config: SpoolConfig,
        signer: Signer,
    ) -> SpoolResult<(Self, SpoolRecovery)> {
        config.check()?;
        let found = recover::recover(&disk, dir, &config)?;
        let standing = found.standing;
        let current = standing.current.as_ref();
        let files = found.older.len() + usize::from(found.current.is_some());
        let recovery = SpoolRecovery {
            files: files as u64,
            stream: current.map(|current| (current.stream, current.epoch)),
            next_seq: current.map_or(0, |current| current.next_seq),
            unframed_events: standing
                .unframed()
                .map_or(0, |(_, pending)| pending.events.len()),
            moving: standing.unmoved().is_some(),
            torn: found.torn,
        };
        let (meta, file) = match found.current {
            Some(current) => current,
            None => file::create(&disk, dir, &config, &standing, None)?,
        };
        let spool = Self {
            disk,
            dir: dir.to_owned(),
            config,
            signer,
            standing,
            older: found.older,
            meta,
            file,
            records: Vec::new(),
            body: Vec::new(),
            unsaved: BTreeSet::new(),
            moving: None,
            begun: false,
            ended: false,
            first_ms: 0,
            last_ms: 0,
            full_ms: None,
        };
        Ok((spool, recovery))
    }

    /// Opens the epoch, once after [`Spool::open`]: the former life's unframed events become one frame of the old
    /// epoch, unchanged; then the stream goes on with epoch + 1, or `new_stream` begins at epoch 0 if the spool holds
    /// none; then an unfinished move is gone on with. All of it is durable on return. May be called again after
    /// [`SpoolError::Full`], and does what is left.
    ///
    /// After a change of the producer's key nobody may go on with the old key's stream: the publisher's first turn moves
    /// what it holds.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: drain, trim, call again. [`SpoolError::EpochsUsedUp`]; [`SpoolError::Disk`],
    /// [`SpoolError::Ended`]: the process must end.
    pub fn begin(&mut self, now_ms: u64, new_stream: StreamId) -> SpoolResult<()> {
        self.alive()?;
        if !self.begun {
            self.cut_pending()?;
            let (stream, epoch, next_seq) = match &self.standing.current {
                None => (new_stream, Some(0), 0),
                Some(old) => (old.stream, old.epoch.checked_add(1), old.next_seq),
            };
            let epoch = epoch.ok_or(SpoolError::EpochsUsedUp)?;
            let opened = EpochOpened {
                stream,
                epoch,
                next_seq,
            };
            let next = self
                .standing
                .after_epoch(opened)
                .map_err(|what| self.broken(what))?;
            self.turn(RecordKind::Epoch, &opened.to_bytes(), next, now_ms)?;
            self.begun = true;
            self.last_ms = now_ms;
        }
        self.finish_move(now_ms).map(|_| ())
    }

    /// The key that new frames are signed with.
    #[must_use]
    pub fn key(&self) -> Key {
        self.signer.key()
    }

    /// Makes a frame of all unframed events. Its header is durable before it is returned; `None` if there is nothing to
    /// cut. It needs no room beyond what appending left free.
    ///
    /// # Errors
    /// [`SpoolError::Disk`], [`SpoolError::Ended`]: the process must end.
    pub fn cut(&mut self) -> SpoolResult<Option<Frame>> {
        self.alive()?;
        self.cut_pending()
    }

    /// Whether the unframed events should be cut now: a block or another urgent kind is among them, a limit is reached,
    /// [`CUT_MANY_MS`] passed since the first of at least [`CUT_EVENTS`], or [`CUT_MS`] since the first at all. A clock
    /// that went back cuts too.
    #[must_use]
    pub fn should_cut(&self, now_ms: u64) -> bool {
        let Some((_, pending)) = self.standing.unframed() else {
            return false;
        };
        let count = pending.events.len();
        let limit = FRAME_EVENTS_MAX <= count
            || BODY_BYTES_MAX < pending.body.len() + SHARE_BYTES_MAX
            || pending.events.iter().any(|event| event.kind().is_urgent());
        let patience = if CUT_EVENTS <= count {
            CUT_MANY_MS
        } else {
            CUT_MS
        };
        limit
            || now_ms
                .checked_sub(self.first_ms)
                .is_none_or(|waited| patience <= waited)
    }

    /// Whether nothing was appended for [`HEARTBEAT_MS`]: append a heartbeat. A clock that went back asks for one too.
    #[must_use]
    pub fn heartbeat_due(&self, now_ms: u64) -> bool {
        let silence = now_ms.checked_sub(self.last_ms);
        self.begun && silence.is_none_or(|silence| HEARTBEAT_MS <= silence)
    }

    /// Teaches the policy whose event stands at `at`: obeyed and final, since jobs that cite it promise it. A job that is
    /// appended while its policy is unknown is void. Written beside the next group.
    ///
    /// # Errors
    /// [`SpoolError::Policy`] if it is illegal or differs from what was taught for this place; [`SpoolError::StateFull`]
    /// if live jobs cite 64 others.
    pub fn learn_policy(&mut self, at: At, policy: Arc<Policy>) -> SpoolResult<()> {
        if !policy.is_legal() {
            return Err(SpoolError::Policy(at));
        }
        match self.standing.policies.get(&at) {
            Some(known) if *known == policy => Ok(()),
            Some(_) => Err(SpoolError::Policy(at)),
            None if !self.standing.takes_policy() => Err(SpoolError::StateFull),
            None => {
                self.standing.add_policy(at, policy);
                self.unsaved.insert(at);
                Ok(())
            }
        }
    }

    /// Forgets jobs below `number`: nothing that refers to them is appended any more. Bounds the state.
    pub fn retire_jobs_below(&mut self, number: u32) {
        if let Some(table) = self.live_table() {
            table.retire_jobs_below(number);
        }
    }

    /// Forgets a worker whose session is gone: nothing that refers to it is appended any more. Bounds the state.
    pub fn retire_worker(&mut self, number: u32) {
        if let Some(table) = self.live_table() {
            table.retire_worker(number);
        }
    }

    /// The stream in hand; none before the first [`Spool::begin`].
    #[must_use]
    pub fn stream(&self) -> Option<StreamId> {
        self.standing.current.as_ref().map(|current| current.stream)
    }

    /// Epoch of the stream in hand; 0 before the first [`Spool::begin`].
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.standing
            .current
            .as_ref()
            .map_or(0, |current| current.epoch)
    }

    /// Sequence number that the next event of the stream in hand gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.standing
            .current
            .as_ref()
            .map_or(0, |current| current.next_seq)
    }

    /// Number that the next announced worker has.
    #[must_use]
    pub fn next_worker(&self) -> u32 {
        self.standing
            .current
            .as_ref()
            .map_or(0, |current| current.table.next_worker)
    }

    /// Number that the next announced job has.
    #[must_use]
    pub fn next_job(&self) -> u32 {
        self.standing
            .current
            .as_ref()
            .map_or(0, |current| current.table.next_job)
    }

    /// Durable events that no frame covers yet.
    #[must_use]
    pub fn pending_events(&self) -> usize {
        self.standing
            .unframed()
            .map_or(0, |(_, pending)| pending.events.len())
    }

    /// Whose spool it is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.config.role
    }

    /// Bytes in use: of the file in hand what is written, of older files all.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.older.iter().map(|meta| meta.len).sum::<u64>() + self.meta.end
    }

    /// How much of the room for whole files is used, in percent, rounded down; 100 while the disk was full when last asked.
    #[must_use]
    pub fn used_percent(&self) -> u8 {
        let room = self.config.total_bytes - self.config.total_bytes % self.config.file_bytes;
        if self.full_ms.is_some() || room <= self.used_bytes() {
            return 100;
        }
        let percent = self.used_bytes().saturating_mul(100) / room.max(1);
        u8::try_from(percent).unwrap_or(100)
    }

    /// Whether 80 % of the room for whole files is used, or the disk was full when last asked.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        let room = self.config.total_bytes - self.config.total_bytes % self.config.file_bytes;
        self.full_ms.is_some() || room / 5 * 4 <= self.used_bytes()
    }

    /// Whether events of a closed stream wait to be moved; appending is refused meanwhile.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.moving.is_some() || self.standing.unmoved().is_some()
    }

    /// The table that sessions' numbers are of: in an unfinished move still the closed stream's.
    fn live_table(&mut self) -> Option<&mut Table> {
        let moving = self.moving.as_mut().and_then(|moving| moving.live.as_mut());
        let current = self.standing.current.as_mut();
        moving
            .map(|live| &mut live.table)
            .or(current.map(|current| &mut current.table))
    }

    fn metas(&self) -> impl Iterator<Item = &FileMeta> {
        self.older.iter().chain([&self.meta])
    }

    const fn alive(&self) -> SpoolResult<()> {
        if self.ended {
            Err(SpoolError::Ended)
        } else {
            Ok(())
        }
    }

    /// A rule of our own was broken: what stands in memory cannot be trusted any more.
    fn broken(&mut self, what: &'static str) -> SpoolError {
        self.ended = true;
        let path = file::path(&self.dir, self.meta.number);
        SpoolError::Damaged {
            path,
            offset: self.meta.end,
            what,
        }
    }
}
