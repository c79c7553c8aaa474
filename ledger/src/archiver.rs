//! The archiver: a reader that signs. What its checkpoints cover is final.
//!
//! Any number of archivers may sign; each has its own key, stream and disk. Before a signature leaves the process, the
//! segments are synced and the (size, root) it signs is synced beside them, and it never signs what does not extend that.

mod copies;

use orebook_schema::bytes::{Reader as Bytes, Write};
use orebook_schema::event::Checkpoint;
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::{Event, Hash, Kind, LedgerId, StreamId};

use crate::disk::{Disk, DiskError, DiskFile, DiskResult, replace_file};
use crate::log::{Log, LogError};
use crate::publisher::{Clock, PublishError, Publisher, has_passed};
use crate::reader::{ReadError, Reader, anchored_size};
use crate::segment::repair::Promised;
use crate::segment::{StoreConfig, TornTail};
use crate::sign::Signer;
use crate::spool::{Spool, SpoolConfig, SpoolError};

pub use self::copies::{CopiesSeen, NAMES_MAX, NAMES_MS, SEALS_MAX, STREAMS_MAX};

use self::copies::{Copies, lists_voids};

/// A checkpoint follows the first uncovered position that is no heartbeat and no checkpoint after this time.
pub const CHECKPOINT_DELAY_MS: u64 = 500;
/// A checkpoint follows an uncovered heartbeat after this time.
pub const HEARTBEAT_DELAY_MS: u64 = 60_000;
/// A signed checkpoint that nobody obeyed is said again after this time.
pub const REPEAT_DELAY_MS: u64 = 5_000;

/// Why an archiver stopped for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its own spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Sending.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The ledger is not what it signed: nothing may be signed any more.
    #[error(
        "the ledger at size {size} has not the root that was signed: sign nothing, find out why"
    )]
    NotExtending {
        /// Size that was signed.
        size: u64,
    },
}

impl From<DiskError> for ArchiveError {
    fn from(error: DiskError) -> Self {
        Self::Read(ReadError::from(error))
    }
}

impl From<LogError> for ArchiveError {
    fn from(error: LogError) -> Self {
        Self::Read(ReadError::from(error))
    }
}

/// The last tree head that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Positions covered.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
}

/// How a checkpoint is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    AtOnce,
    Soon,
    Heartbeat,
}

/// Everything an archiver is made of.
#[derive(Debug)]
pub struct ArchiverConfig {
    /// Ledger.
    pub ledger: LedgerId,
    /// Segment files.
    pub store: StoreConfig,
    /// Its spool.
    pub spool: SpoolConfig,
    /// Its key.
    pub signer: Signer,
}

/// Reads, keeps segments, signs.
#[derive(Debug)]
pub struct Archiver<D: Disk + Clone> {
    reader: Reader<D>,
    spool: Spool<D>,
    publisher: Publisher<D>,
    signer: Signer,
    dir: String,
    signed: Option<Signed>,
    /// What is uncovered and since when, as this process saw it.
    waiting: Option<(Due, u64)>,
    said_at: u64,
    schema_set: u32,
    copies: Copies,
}

impl<D: Disk + Clone> Archiver<D> {
    /// Opens its folder `dir`: segments, spool, and what it signed last. `new_stream` is used if it has none yet.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open(
        disk: D,
        dir: &str,
        config: ArchiverConfig,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(Self, Option<TornTail>), ArchiveError> {
        disk.create_dir(dir)?;
        let signed = Signed::load(&disk, dir)?;
        let keep = signed.map_or(0, |signed| signed.size);
        let (reader, torn) = Reader::open(disk.clone(), dir, config.ledger, config.store, keep)?;
        let schema_set = config.spool.schema_set;
        let spool_dir = format!("{dir}/spool");
        let (mut spool, _) = Spool::open(disk, &spool_dir, config.spool, config.signer.clone())?;
        spool.begin(now, new_stream)?;
        let archiver = Self {
            reader,
            spool,
            publisher: Publisher::new(),
            signer: config.signer,
            dir: dir.to_owned(),
            signed,
            waiting: None,
            // What was signed may never have been said: a process can die in between.
            said_at: 0,
            schema_set,
            copies: Copies::new(NAMES_MAX),
        };
        Ok((archiver, torn))
    }

    /// Its reader.
    #[must_use]
    pub const fn reader(&self) -> &Reader<D> {
        &self.reader
    }

    /// Its reader, to give it positions that the log does not have any more: [`Reader::adopt`], [`Reader::adopt_final`].
    pub const fn reader_mut(&mut self) -> &mut Reader<D> {
        &mut self.reader
    }

    /// Its spool.
    #[must_use]
    pub const fn spool(&self) -> &Spool<D> {
        &self.spool
    }

    /// What it signed last.
    #[must_use]
    pub const fn signed(&self) -> Option<Signed> {
        self.signed
    }

    /// What it knows of shares that were credited twice.
    #[must_use]
    pub fn copies(&self) -> CopiesSeen {
        self.copies.seen()
    }

    /// Keeps fewer names of shares than [`NAMES_MAX`]: for tests of what happens then.
    pub const fn limit_names(&mut self, names_max: usize) {
        self.copies.limit(names_max);
    }

    /// Writes and syncs all that was admitted, the newest checkpoint included: before an archiver ends, so that the files by
    /// themselves tell what is final.
    ///
    /// # Errors
    /// [`ArchiveError::Read`].
    pub fn persist(&mut self) -> Result<(), ArchiveError> {
        Ok(self.reader.persist()?)
    }

    /// Reads what there is, signs what is due, sends what is its own. `new_stream` is used if its stream was closed.
    /// Returns how many records were read.
    ///
    /// # Errors
    /// [`ArchiveError`]; call again, unless it is fatal.
    pub fn tick(
        &mut self,
        log: &mut impl Log,
        now: u64,
        records_max: usize,
        new_stream: StreamId,
    ) -> Result<usize, ArchiveError> {
        let read = match self.reader.poll(log, records_max) {
            Err(ReadError::Dead { .. } | ReadError::Unopened) => {
                self.open_next(log, now)?;
                0
            }
            other => other?,
        };
        if read < records_max {
            self.sign_if_due(now)?;
            self.take_back_copies(now)?;
        }
        self.publisher.tick(
            &mut self.spool,
            &mut self.reader,
            log,
            Clock::at(now),
            new_stream,
        )?;
        Ok(read)
    }

    /// Opens the log's next incarnation at the newest (size, root) that was signed or is final.
    fn open_next(&mut self, log: &mut impl Log, now: u64) -> Result<(), ArchiveError> {
        let newest = log.newest()?;
        let settled = Signed {
            size: self.reader.final_size(),
            root: self.reader.settled().root(),
        };
        let at = match self.signed {
            Some(signed) if settled.size < signed.size => signed,
            _ if settled.size == 0 => self.genesis()?,
            _ => settled,
        };
        let known = newest.max(self.reader.last_incarnation());
        let opened = IncarnationOpened {
            ledger: self.reader.head().ledger(),
            incarnation: known.map_or(0, |number| number + 1),
            next_position: at.size,
            root: at.root,
        };
        match log.open_incarnation(now, &opened) {
            Ok(()) | Err(LogError::Exists(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing is final yet: the ledger is its genesis, which every reader was given.
    fn genesis(&self) -> Result<Signed, ArchiveError> {
        let one = self.reader.state_at(1)?;
        let none = || Signed {
            size: 0,
            root: crate::tree::Tree::new().root(),
        };
        Ok(one.map_or_else(none, |state| Signed {
            size: 1,
            root: state.root(),
        }))
    }

    fn sign_if_due(&mut self, now: u64) -> Result<(), ArchiveError> {
        let covered = self.signed.map_or(0, |signed| signed.size);
        let Some(due) = self.due(covered) else {
            self.waiting = None;
            return self.repeat_if_unheard(now);
        };
        let since = match self.waiting {
            Some((before, since)) if before == due => since,
            _ => now,
        };
        self.waiting = Some((due, since));
        let delay = match due {
            Due::AtOnce => 0,
            Due::Soon => CHECKPOINT_DELAY_MS,
            Due::Heartbeat => HEARTBEAT_DELAY_MS,
        };
        if !has_passed(delay, since, now) {
            return Ok(());
        }
        self.waiting = None;
        self.sign(now)
    }

    /// How the positions from `covered` on ask for a checkpoint.
    fn due(&self, covered: u64) -> Option<Due> {
        let first = self.reader.final_size();
        let quiet = Kind::Heartbeat.bit() | Kind::Checkpoint.bit();
        let urgent = Kind::ALL
            .iter()
            .filter(|kind| kind.is_urgent() && **kind != Kind::Checkpoint);
        let urgent = urgent.fold(0, |mask, kind| mask | kind.bit());
        let uncovered = (first..)
            .zip(self.reader.provisional())
            .filter(|(position, _)| covered <= *position);
        let dues = uncovered.filter_map(|(_, parsed)| {
            let kinds = parsed.frame().header().kinds;
            if kinds & urgent != 0 {
                Some(Due::AtOnce)
            } else if kinds & !quiet != 0 {
                Some(Due::Soon)
            } else {
                (kinds & Kind::Heartbeat.bit() != 0).then_some(Due::Heartbeat)
            }
        });
        dues.min()
    }

    fn sign(&mut self, now: u64) -> Result<(), ArchiveError> {
        let head = Signed {
            size: self.reader.head().size(),
            root: self.reader.head().root(),
        };
        if let Some(signed) = self.signed {
            let extends = signed.size < head.size
                && (signed.size <= self.reader.final_size()
                    || self.reader.head().root_at(signed.size) == Some(signed.root));
            if !extends {
                return Err(ArchiveError::NotExtending { size: signed.size });
            }
        }
        self.reader.persist()?;
        head.save(self.reader.disk(), &self.dir)?;
        self.signed = Some(head);
        self.reader.keep(head.size);
        self.say(head, now)
    }

    /// Says a void of each final copy, once: after a restart and beside other archivers the ledger tells what was said. Only
    /// while all that was said before stands, so that none of it is said again.
    fn take_back_copies(&mut self, now: u64) -> Result<(), ArchiveError> {
        self.copies.look(&self.reader).map_err(ReadError::from)?;
        let authority = self.reader.settled().authority();
        if !self.publisher.all_stand() || !lists_voids(authority, self.schema_set) {
            return Ok(());
        }
        let voids = self.copies.to_say(&self.reader);
        if voids.is_empty() {
            return Ok(());
        }
        let count = voids.len();
        let events: Vec<(u64, Event)> = voids.into_iter().map(|void| (now, void)).collect();
        match self.spool.append(&events) {
            // What was said before goes first: the publisher makes room.
            Err(SpoolError::Full(_) | SpoolError::StateFull | SpoolError::Moving) => return Ok(()),
            other => other?,
        };
        self.spool.cut()?;
        self.copies.was_said(count);
        Ok(())
    }

    /// A signed tree head may be lost with its stream or its log: it is said again until something covers it.
    fn repeat_if_unheard(&mut self, now: u64) -> Result<(), ArchiveError> {
        match self.signed {
            Some(signed)
                if self.reader.head().final_size() < signed.size
                    && has_passed(REPEAT_DELAY_MS, self.said_at, now)
                    && self.publisher.all_stand() =>
            {
                self.say(signed, now)
            }
            _ => Ok(()),
        }
    }

    fn say(&mut self, head: Signed, now: u64) -> Result<(), ArchiveError> {
        let ledger = self.reader.head().ledger();
        let signature = self.signer.sign_checkpoint(ledger, head.size, &head.root);
        let checkpoint = Checkpoint {
            size: head.size,
            root: head.root,
            signature,
        };
        self.spool.append(&[(now, Event::Checkpoint(checkpoint))])?;
        self.spool.cut()?;
        self.said_at = now;
        Ok(())
    }
}

/// What an archiver's folder `dir` says of its segments beside them: what was signed, and what was final here. A mirror's
/// folder says the latter alone.
///
/// # Errors
/// [`DiskError`], also if what was signed last cannot be read.
pub fn promised<D: Disk>(disk: &D, dir: &str) -> DiskResult<Promised> {
    let signed = Signed::load(disk, dir)?;
    let signed_size = signed.map_or(0, |signed| signed.size);
    Ok(Promised {
        size: anchored_size(disk, dir)?.max(signed_size),
        signed: signed.map(|signed| (signed.size, signed.root)),
        more: false,
    })
}

const SIGNED_MAGIC: [u8; 4] = *b"OREK";

impl Signed {
    fn load<D: Disk>(disk: &D, dir: &str) -> DiskResult<Option<Self>> {
        let path = format!("{dir}/signed");
        let file = match disk.open(&path) {
            Err(DiskError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let mut bytes = [0; 48];
        file.read_at(0, &mut bytes)?;
        let damaged = || {
            DiskError::Fatal {
            path: path.clone(),
            operation: "read",
            cause: "what was signed last cannot be read: restore the file, or give the archiver a new key; see docs/runbooks/archiver-disk-lost.md".to_owned(),
        }
        };
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c(body) {
            return Err(damaged());
        }
        let mut reader = Bytes::new(body, "signed");
        let read = |reader: &mut Bytes<'_>| {
            let magic: [u8; 4] = reader.array()?;
            Ok::<_, orebook_schema::DecodeError>((magic, reader.u64()?, reader.hash()?))
        };
        match read(&mut reader) {
            Ok((SIGNED_MAGIC, size, root)) => Ok(Some(Self { size, root })),
            _ => Err(damaged()),
        }
    }

    fn save<D: Disk>(&self, disk: &D, dir: &str) -> DiskResult<()> {
        let mut bytes = Vec::with_capacity(48);
        bytes.put(&SIGNED_MAGIC);
        bytes.put(&self.size.to_le_bytes());
        bytes.put(&self.root.0);
        let crc = crc32c::crc32c(&bytes);
        bytes.put(&crc.to_le_bytes());
        replace_file(disk, dir, "signed", &bytes)
    }
}
