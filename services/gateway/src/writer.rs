//! The writer: the one thread that owns the spool. It takes all that gathered, appends it with one sync, and gives it back to
//! be answered; between commits it cuts frames and runs the publisher.

use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use orebook_ledger::disk::DiskError;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::Log;
use orebook_ledger::publisher::{Clock, PublishError, Publisher};
use orebook_ledger::reader::Reader;
use orebook_ledger::spool::{Spool, SpoolError};
use orebook_pow::coinbase_tag;
use orebook_schema::{Event, Role};

use crate::accounts::Accounts;
use crate::bans::Bans;
use crate::batch::{Batch, Tagged};
use crate::bridge::{Bridge, Standing, Terms, lock};
use crate::clock::{new_stream, now_ms};
use crate::control::Control;
use crate::former::{Former, recorded};
use crate::metrics::Shared;
use crate::recorder::Recorder;
use crate::room::Room;

/// Time between looks at what is to be cut, and at the publisher while frames are on their way.
const HOUSE: Duration = Duration::from_millis(20);
/// Time between turns of a publisher that has nothing on its way; policies are learnt then.
const IDLE: Duration = Duration::from_millis(200);
/// Least time between two writings of the registered accounts beside the spool.
const ACCOUNTS_EACH: Duration = Duration::from_secs(1);
/// Time after which a busy mirror is tried again.
const BUSY: Duration = Duration::from_millis(2);
/// Shares that make a commit worth its cost: with so many it waits for no more.
const ENOUGH_SHARES: usize = 256;
/// The part of the spacing that is not worth going to sleep for: the system's own timers are not finer.
const EARLY: u32 = 8;
/// Time between tries to find room in a full spool.
const ROOM: Duration = Duration::from_millis(250);
/// How long a stopping gateway waits for the ledger to take its last frames; what it does not take stays in the spool.
const LAST_FRAMES: Duration = Duration::from_secs(1);

/// Said to miners while the spool has no room.
pub(crate) const NO_ROOM: &str = "cannot record shares now: the spool is full";
/// Said to miners while the ledger would refuse what this gateway says.
pub(crate) const NOT_IN_FORCE: &str =
    "cannot record shares now: the ledger does not take this gateway's key";
/// Said to new sessions while what is left of the spool's room is for those who are here.
pub(crate) const NEARLY_NO_ROOM: &str = "no new sessions now: the spool is nearly full";
/// Said to miners before a policy is known.
const NO_POLICY: &str = "no policy of the ledger is final yet";

/// Called with the reason when the process must end; at most once.
pub type Fatal = Arc<dyn Fn(&str) + Send + Sync>;

/// The writer's belongings.
pub(crate) struct Writer<L> {
    pub(crate) spool: Spool<RealDisk>,
    pub(crate) mirror: Arc<Mutex<Reader<RealDisk>>>,
    pub(crate) log: L,
    pub(crate) disk: RealDisk,
    pub(crate) control_dir: String,
    pub(crate) control: Option<Control>,
    bans: Arc<Bans>,
    /// Final size up to which the ledger's bans were looked through.
    bans_seen: u64,
    accounts: Arc<Accounts>,
    /// Final size up to which the ledger's registered accounts were looked through.
    accounts_seen: u64,
    /// When those that are known and not beside the spool yet may be written; none if all are there.
    accounts_due: Option<Instant>,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) metrics: Arc<Shared>,
    pub(crate) spacing: Duration,
    kept: Duration,
    pub(crate) fatal: Fatal,
    publisher: Publisher<RealDisk>,
    /// Shares of ethash that the spool had at the start.
    former: Former,
    recorder: Recorder,
    tagged: Tagged,
    begun: bool,
    /// The mirror has as many final positions as `control` is of, and the same policy.
    proven: bool,
    full: bool,
    /// The ledger refuses this gateway's frames: they stay in the spool.
    barred: bool,
    room: Room,
    last_commit: Option<Instant>,
    next_house: Instant,
    next_tick: Instant,
    next_room: Instant,
}

/// Everything a writer starts with.
pub(crate) struct WriterParts<L> {
    pub(crate) spool: Spool<RealDisk>,
    pub(crate) mirror: Arc<Mutex<Reader<RealDisk>>>,
    pub(crate) log: L,
    pub(crate) disk: RealDisk,
    pub(crate) control_dir: String,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) metrics: Arc<Shared>,
    pub(crate) spacing: Duration,
    /// How long events stay in the spool when they are final; zero: no longer.
    pub(crate) kept: Duration,
    pub(crate) fatal: Fatal,
}

impl<L: Log> Writer<L> {
    /// Takes what is known of the ledger's rules and opens the epoch; both before any port opens.
    ///
    /// # Errors
    /// [`SpoolError`]; a full spool is none: it is drained first, and the epoch is opened then.
    pub(crate) fn begin(
        parts: WriterParts<L>,
        control: Option<Control>,
    ) -> Result<Self, SpoolError> {
        let now = Instant::now();
        let mut writer = Self {
            spool: parts.spool,
            mirror: parts.mirror,
            log: parts.log,
            disk: parts.disk,
            control_dir: parts.control_dir,
            control: None,
            bans: Arc::default(),
            bans_seen: 0,
            accounts: Arc::default(),
            accounts_seen: 0,
            accounts_due: None,
            bridge: parts.bridge,
            metrics: parts.metrics,
            spacing: parts.spacing,
            kept: parts.kept,
            fatal: parts.fatal,
            publisher: Publisher::new(),
            former: Former::new(),
            recorder: Recorder::new(Tagged(0)),
            tagged: Tagged(0),
            begun: false,
            proven: false,
            full: false,
            barred: false,
            room: Room::default(),
            last_commit: None,
            next_house: now,
            next_tick: now,
            next_room: now,
        };
        if let Some(control) = control {
            writer
                .spool
                .learn_policy(control.at, Arc::clone(&control.policy))?;
            writer.control = Some(control);
        }
        let mirror = Arc::clone(&writer.mirror);
        let ledger = lock(&mirror).head().ledger();
        if let Some(bans) = Bans::load(&writer.disk, &writer.control_dir, ledger)? {
            writer.bans = Arc::new(bans);
        }
        if let Some(accounts) = Accounts::load(&writer.disk, &writer.control_dir, ledger)? {
            writer.accounts = Arc::new(accounts);
        }
        writer.learn(&lock(&mirror))?;
        writer.learn_bans(&lock(&mirror))?;
        writer.learn_accounts(&lock(&mirror));
        writer.begin_epoch()?;
        writer.former = recorded(&writer.spool)?;
        writer.heed_key(&lock(&mirror));
        writer.stand();
        Ok(writer)
    }

    /// Runs until the loop stops, or the process must end.
    pub(crate) fn run(mut self) {
        let result = self.serve();
        if let Err(why) = result {
            self.bridge.end();
            (self.fatal)(&format!("gateway: {why}"));
        }
    }

    fn serve(&mut self) -> Result<(), String> {
        let mut batches = Vec::new();
        loop {
            let until = self.next_house.min(self.next_tick);
            self.bridge.wait(until, &mut batches);
            if !batches.is_empty() {
                self.space(&mut batches);
                self.commit(&mut batches)
                    .map_err(|error| error.to_string())?;
            } else if self.bridge.is_stopping() {
                return self.finish();
            }
            self.keep_house()?;
        }
    }

    /// Keeps commits apart, so that more shares go with each, and takes those that came meanwhile.
    fn space(&mut self, batches: &mut Vec<Batch>) {
        let now = Instant::now();
        let due = self.last_commit.map_or(now, |last| last + self.spacing);
        let left = due.saturating_duration_since(now);
        let until = if left <= self.spacing / EARLY {
            now
        } else {
            due
        };
        self.bridge.gather(until, ENOUGH_SHARES, batches);
        // A sleep that lasted too long does not put off the next commit too.
        self.last_commit = Some(Instant::now().min(until));
    }

    fn commit(&mut self, batches: &mut Vec<Batch>) -> Result<(), SpoolError> {
        let begin = Instant::now();
        let recorded = self.recorder.record(&mut self.spool, batches)?;
        let took = begin.elapsed();
        if 0 < recorded.groups {
            let mut metrics = self.metrics.spool();
            metrics.commits += u64::from(recorded.groups);
            metrics.shares += u64::from(recorded.shares);
            metrics
                .sync_ns
                .record(took / recorded.groups, u64::from(recorded.groups));
        }
        if recorded.no_room {
            self.metrics.spool().full += 1;
            if !self.full {
                self.full = true;
                self.next_room = Instant::now() + ROOM;
                tracing::warn!(
                    used_bytes = self.spool.used_bytes(),
                    "the spool is full: shares are refused; see docs/runbooks/spool-full.md"
                );
                self.stand();
            }
        }
        self.bridge.give_back(batches);
        Ok(())
    }

    fn keep_house(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if self.next_house <= now {
            self.next_house = now + HOUSE;
            self.cut_if_due().map_err(|error| error.to_string())?;
            self.look_at_room();
            let mut metrics = self.metrics.spool();
            metrics.used_bytes = self.spool.used_bytes();
            metrics.pending_events = u64::try_from(self.spool.pending_events()).unwrap_or(u64::MAX);
            drop(metrics);
            self.keep_accounts(false)
                .map_err(|error| error.to_string())?;
        }
        if self.next_tick <= now {
            self.tick()?;
        }
        if self.full && self.next_room <= now {
            self.next_room = now + ROOM;
            self.find_room().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Says once that the spool fills, and once that it has room again.
    fn look_at_room(&mut self) {
        let used_percent = self.spool.used_percent();
        let before = self.room;
        self.room = before.at(used_percent);
        if before == self.room {
            return;
        }
        if self.room.is_alarmed && !before.is_alarmed {
            tracing::error!(
                used_percent,
                "the spool fills: the ledger takes frames too slowly or not at all; see docs/runbooks/spool-full.md"
            );
        }
        if before.is_alarmed && !self.room.is_alarmed {
            tracing::info!(used_percent, "the spool has room enough again");
        }
        self.metrics.spool().is_nearly_full = self.room.is_alarmed;
        if before.is_shut_to_newcomers != self.room.is_shut_to_newcomers {
            let refused = self.room.is_shut_to_newcomers;
            tracing::warn!(used_percent, refused, "new sessions, by the spool's room");
            self.stand();
        }
    }

    fn cut_if_due(&mut self) -> Result<(), SpoolError> {
        let now = now_ms();
        if self.spool.heartbeat_due(now) && !self.spool.is_moving() && !self.barred {
            match self.spool.append(&[(now, Event::Heartbeat)]) {
                Ok(_) | Err(SpoolError::Full(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if self.spool.should_cut(now) && self.spool.cut()?.is_some() {
            self.metrics.spool().cuts += 1;
        }
        Ok(())
    }

    /// One turn of the publisher, if the mirror is free now. Whether it was.
    fn tick(&mut self) -> Result<bool, String> {
        let mirror = Arc::clone(&self.mirror);
        let mut reader = match mirror.try_lock() {
            Ok(reader) => reader,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.metrics.spool().mirror_busy += 1;
                self.next_tick = Instant::now() + BUSY;
                return Ok(false);
            }
        };
        self.prove(&reader)?;
        self.learn(&reader).map_err(|error| error.to_string())?;
        self.learn_bans(&reader)
            .map_err(|error| error.to_string())?;
        self.learn_accounts(&reader);
        self.heed_key(&reader);
        if self.barred {
            self.next_tick = Instant::now() + IDLE;
            return Ok(true);
        }
        let doubted = self.bridge.is_clock_doubted();
        self.metrics.spool().is_clock_doubted = doubted;
        if doubted {
            self.next_tick = Instant::now() + IDLE;
            return Ok(true);
        }
        let mut clock = Clock::at(now_ms());
        if !self.kept.is_zero() {
            let kept_ms = u64::try_from(self.kept.as_millis()).unwrap_or(u64::MAX);
            clock.keep_from = clock.now.saturating_sub(kept_ms);
        }
        let published = self.publisher.tick(
            &mut self.spool,
            &mut reader,
            &mut self.log,
            clock,
            new_stream(),
        );
        drop(reader);
        match published {
            Ok(published) => {
                self.metrics.spool().frames_sent += u64::try_from(published.sent).unwrap_or(0);
                if let Some(map) = published.moved {
                    self.tagged = Tagged(self.tagged.0.saturating_add(1));
                    self.recorder.moved(&map, self.tagged);
                    self.metrics.spool().moves += 1;
                    tracing::warn!(
                        "the ledger closed this gateway's stream: its events were moved to a new one; see docs/runbooks/stream-closed-by-a-fork.md"
                    );
                    self.stand();
                }
            }
            Err(PublishError::Spool(SpoolError::Full(_) | SpoolError::Moving)) => {}
            Err(error) => return Err(error.to_string()),
        }
        if self.spool.is_moving() && !self.full {
            self.full = true;
            self.stand();
        }
        let quiet = self.publisher.is_idle() && self.spool.pending_events() == 0;
        self.next_tick = Instant::now() + if quiet { IDLE } else { HOUSE };
        Ok(true)
    }

    /// Looks whether the ledger takes what this gateway says: its key is in force in its role, and the stream that the spool
    /// goes on with is not another key's that still is. Else no share is answered `true` and nothing is sent; what was
    /// answered stays in the spool, for this key or the one that comes after it.
    fn heed_key(&mut self, reader: &Reader<RealDisk>) {
        let head = reader.head();
        let Some(authority) = head.authority() else {
            return;
        };
        let key = self.spool.key();
        let opened_by = self.spool.stream().and_then(|stream| head.stream(stream));
        let is_others =
            opened_by.is_some_and(|known| known.key != key && authority.role(&known.key).is_some());
        let barred = authority.role(&key) != Some(Role::Gateway) || is_others;
        if barred == self.barred {
            return;
        }
        self.barred = barred;
        self.recorder.bar(barred);
        if barred {
            let why = if is_others {
                "the spool's stream is another key's that is still in force: retire that one first"
            } else {
                "this gateway's key is not in force"
            };
            tracing::error!(%key, why, "the ledger takes nothing from this gateway: shares are refused");
        } else {
            tracing::info!(%key, "the ledger takes what this gateway says");
        }
        self.stand();
    }

    /// What a peer said of `control` before the mirror had the positions (ADR 0015) is compared once it has them: jobs that cite
    /// a policy which the ledger does not have credit nothing, so the process ends before more are made.
    fn prove(&mut self, reader: &Reader<RealDisk>) -> Result<(), String> {
        let Some(known) = self.control.as_ref().filter(|_| !self.proven) else {
            return Ok(());
        };
        if reader.final_size() < known.size {
            return Ok(());
        }
        self.proven = known.is_of(reader);
        if self.proven {
            return Ok(());
        }
        let forgotten = Control::forget(&self.disk, &self.control_dir);
        forgotten.map_err(|error| error.to_string())?;
        Err(format!(
            "`control` cites a policy at {} that the ledger does not have: the peer that gave it is wrong, and shares since \
             then credit nothing; the file is gone, the next start takes the ledger's own",
            known.at
        ))
    }

    /// Teaches the spool the newest policy that is obeyed and final, and keeps it beside the spool.
    fn learn(&mut self, reader: &Reader<RealDisk>) -> Result<(), SpoolError> {
        let Some(authority) = reader.settled().authority() else {
            return Ok(());
        };
        let (at, _) = authority.newest_policy();
        let known = self.control.as_ref();
        // The mirror may be behind what was known before the last start.
        if known.is_some_and(|known| known.at == at || reader.final_size() < known.size) {
            return Ok(());
        }
        let Some(control) = Control::of(reader) else {
            return Ok(());
        };
        let learnt = self
            .spool
            .learn_policy(control.at, Arc::clone(&control.policy));
        match learnt {
            Ok(()) => {}
            // Live jobs cite too many others: it is learnt when some of them went.
            Err(SpoolError::StateFull) => return Ok(()),
            Err(error) => return Err(error),
        }
        match control.save(&self.disk, &self.control_dir) {
            Ok(()) => {}
            Err(error @ DiskError::Fatal { .. }) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "`control` was not written"),
        }
        tracing::info!(policy = %control.at, "jobs follow this policy from now on");
        self.control = Some(control);
        self.stand();
        Ok(())
    }

    /// Takes the ledger's final bans, if any came or went since, and keeps them beside the spool.
    fn learn_bans(&mut self, reader: &Reader<RealDisk>) -> Result<(), SpoolError> {
        // The mirror may be behind what was known before the start. All bans are looked through, so once a final size; what was
        // known before, perhaps by a peer's word, gives way to the mirror's whole list at the first look.
        let (since, final_size) = (self.bans_seen, reader.final_size());
        if final_size < self.bans.size || final_size <= since {
            return Ok(());
        }
        self.bans_seen = final_size;
        let Some(bans) = Bans::of(reader, since).filter(|bans| !bans.say_as(&self.bans)) else {
            return Ok(());
        };
        let ledger = reader.head().ledger();
        match bans.save(&self.disk, &self.control_dir, ledger) {
            Ok(()) => {}
            Err(error @ DiskError::Fatal { .. }) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "`bans` was not written"),
        }
        self.bans = Arc::new(bans);
        self.stand();
        Ok(())
    }

    /// Takes the ledger's final registered accounts, if any came or changed since. They hold at once; the copy beside the spool
    /// follows ([`Self::keep_accounts`]).
    fn learn_accounts(&mut self, reader: &Reader<RealDisk>) {
        // As with bans: the mirror may be behind, and its whole list takes the place of what was known before.
        let (since, final_size) = (self.accounts_seen, reader.final_size());
        if final_size < self.accounts.size || final_size <= since {
            return;
        }
        self.accounts_seen = final_size;
        let accounts = Accounts::of(reader, since);
        if let Some(accounts) = accounts.filter(|accounts| !accounts.say_as(&self.accounts)) {
            self.accounts = Arc::new(accounts);
            // A batch of workers is many events, and the file is megabytes then: it is written once for some of them.
            self.accounts_due
                .get_or_insert_with(|| Instant::now() + ACCOUNTS_EACH);
            self.stand();
        }
    }

    /// Writes the registered accounts beside the spool, if there are others than there and the time has come, or it is the last.
    fn keep_accounts(&mut self, is_last: bool) -> Result<(), SpoolError> {
        if !self
            .accounts_due
            .is_some_and(|due| is_last || due <= Instant::now())
        {
            return Ok(());
        }
        let ledger = lock(&self.mirror).head().ledger();
        match self.accounts.save(&self.disk, &self.control_dir, ledger) {
            Ok(()) => {}
            Err(error @ DiskError::Fatal { .. }) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "`accounts` was not written"),
        }
        self.accounts_due = None;
        Ok(())
    }

    /// Takes the shares of ethash that the spool had at the start.
    pub(crate) fn take_former(&mut self) -> Former {
        std::mem::take(&mut self.former)
    }

    fn begin_epoch(&mut self) -> Result<(), SpoolError> {
        match self.spool.begin(now_ms(), new_stream()) {
            Ok(()) => {
                self.begun = true;
                self.full = false;
                Ok(())
            }
            Err(SpoolError::Full(_)) => {
                self.full = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn find_room(&mut self) -> Result<(), SpoolError> {
        if !self.begun {
            self.begin_epoch()?;
        } else if !self.spool.is_moving() {
            match self.spool.find_room(now_ms()) {
                Ok(()) => self.full = false,
                Err(SpoolError::Full(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if !self.full {
            tracing::info!("the spool has room again");
            self.look_at_room();
            self.stand();
        }
        Ok(())
    }

    /// Tells the loop what jobs are made of, and whether shares are taken.
    fn stand(&self) {
        let stream = self.spool.stream().filter(|_| self.begun);
        let terms = stream
            .zip(self.control.as_ref())
            .map(|(stream, control)| Terms {
                at: control.at,
                policy: Arc::clone(&control.policy),
                tag: coinbase_tag(stream, self.spool.epoch()),
                tagged: self.tagged,
            });
        {
            let mut metrics = self.metrics.spool();
            metrics.is_full = self.full;
            metrics.is_barred = self.barred;
        }
        let closed = if self.barred {
            Some(NOT_IN_FORCE)
        } else if self.full {
            Some(NO_ROOM)
        } else if terms.is_none() {
            Some(NO_POLICY)
        } else {
            None
        };
        let shut = self.room.is_shut_to_newcomers;
        self.bridge.stand(Standing {
            terms,
            closed,
            newcomers: shut.then_some(NEARLY_NO_ROOM),
            bans: Arc::clone(&self.bans),
            accounts: Arc::clone(&self.accounts),
        });
    }

    /// The loop sends no more: what was recorded is framed, and sent as far as the ledger takes it now.
    fn finish(&mut self) -> Result<(), String> {
        self.spool.cut().map_err(|error| error.to_string())?;
        self.keep_accounts(true)
            .map_err(|error| error.to_string())?;
        let until = Instant::now() + LAST_FRAMES;
        loop {
            let looked = self.tick()?;
            if looked && self.publisher.all_stand() || until <= Instant::now() {
                return Ok(());
            }
            std::thread::sleep(BUSY);
        }
    }
}
