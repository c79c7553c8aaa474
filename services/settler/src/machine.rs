//! One settler without threads or clocks: a turn with the ledger, then a turn with the chain, again and again.
//!
//! Between the two stands one rule: what was said is final and read back before blocks are looked at again. So whatever
//! fails, and also if it failed but happened, the next turn starts from what the ledger says and nothing is said twice.
//! After a crash the spool still holds what was said; it is sent, and waited for, like before.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use orebook_ledger::admit::{AdmitError, Trust};
use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::publisher::{Clock, PublishError, Publisher};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig, SpoolError};
use orebook_replay::engine::{Engine, EngineError, SharedReader};
use orebook_replay::rows::StoreFault;
use orebook_replay::store::Store;
use orebook_schema::policy::Scheme;
use orebook_schema::work::{BlockRecovered, BlockState, BlockStatus};
use orebook_schema::{Event, Frame, Hash, Kind, StreamId};

use crate::book::{Book, Depths, OurBlock, Watch};
use crate::decide::{Sight, decide, next_state};
use crate::fee_mean::FeeMeans;
use crate::grace;
use crate::look::{Dialect, look};
use crate::metrics::Counters;
use crate::scan::{Scan, ScanRules, ScanStop};
use crate::view::ChainView;

/// Final positions that one turn reads at most; the next goes on.
pub const POSITIONS_PER_TURN: u64 = 1_024;
/// Blocks that are neither confirmed nor orphaned, looked at in one turn at most; the others have the next turns.
pub const LOOKS_OPEN_MAX: usize = 64;
/// Confirmed and orphaned blocks looked at in one turn at most; the others have the next turns.
pub const LOOKS_LATE_MAX: usize = 16;
/// Recovered blocks said in one turn at most; the others have the next turns.
pub const RECOVERED_PER_TURN: usize = 64;
/// Confirmed and orphaned blocks so far below the tip are not looked at any more.
pub const WATCH_HEIGHTS_DEFAULT: u64 = 1_000;
/// Equal sights in a row before a change is said, other than that a block was seen.
pub const SIGHTS_DEFAULT: u32 = 3;
/// So often a settler says the same state and value of an ethash-like's block in one life. Beyond that somebody keeps saying
/// otherwise, whose nodes disagree with ours; that is an alarm, and no reason to go on for ever.
pub const SAME_WORDS_MAX: u32 = 3;
/// See [`MachineConfig::grace_ms`].
pub const GRACE_MS_DEFAULT: u64 = 60_000;
/// Blocks whose words are counted at once; beyond that the lowest hash is forgotten.
const WORDS_BLOCKS_MAX: usize = 4_096;
/// Different words of one block that are counted.
const WORDS_PER_BLOCK_MAX: usize = 32;
/// After the ledger refused our key, nothing is sent for so long, in milliseconds: somebody may put the key in force.
pub const REFUSED_MS: u64 = 60_000;

/// What a settler is told.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Its spool; the role is the settler's.
    pub spool: SpoolConfig,
    /// How the chain's blocks are known to be ours.
    pub dialect: Dialect,
    /// Equal sights in a row before a change is said, at least 1; one glitch of a node then changes nothing.
    pub sights: u32,
    /// A coinbase without a share counts as recovered so long after every gateway could have said it, in milliseconds
    /// ([`grace`]).
    pub grace_ms: u64,
    /// Confirmed and orphaned blocks so far below the tip are not looked at any more.
    pub watch_heights: u64,
}

/// Why a settler's turn failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The ledger cannot be followed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its rows cannot be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Its spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Sending.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The index of what was admitted.
    #[error(transparent)]
    Admit(#[from] AdmitError),
}

/// A frame of ours that says something of blocks or fees and is not read back yet.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    stream: StreamId,
    first_seq: u64,
    hash: Hash,
}

impl Awaited {
    fn of(frame: &Frame) -> Option<Self> {
        let header = frame.header();
        let blocks = Kind::BlockStatus.bit() | Kind::BlockRecovered.bit();
        let says = blocks | Kind::FeeMean.bit();
        (header.kinds & says != 0).then(|| Self {
            stream: header.stream,
            first_seq: header.first_seq,
            hash: frame.header_hash(),
        })
    }
}

/// A settler. See the module.
#[derive(Debug)]
pub struct Machine<D: Disk + Clone> {
    config: MachineConfig,
    spool: Spool<D>,
    publisher: Publisher<D>,
    /// None until the mirror has what the store has.
    engine: Option<Engine>,
    book: Book,
    counters: Arc<Counters>,
    /// Whether every final position is read.
    is_level: bool,
    awaited: Vec<Awaited>,
    refused_until: u64,
    /// What the sights of a block called for, with its value, and how often in a row.
    steady: BTreeMap<Hash, (BlockState, u128, u32)>,
    /// How often each word was said of a block of an ethash-like that is still watched.
    words: BTreeMap<Hash, Vec<(BlockState, u128, u32)>>,
    scan: Scan,
    fees: FeeMeans,
    last_open: Hash,
    last_late: (u64, Hash),
    store: StoreHolder,
}

/// The store of [`Watch`], until the engine is opened and after.
struct StoreHolder(Arc<dyn Store>);

impl std::fmt::Debug for StoreHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl<D: Disk + Clone> Machine<D> {
    /// Opens the spool in folder `dir` of `disk`, and its epoch; `new_stream` is used if it has none yet. `store` holds the
    /// rows of [`Watch`]; it may be empty or in memory, then the ledger is read from its beginning.
    ///
    /// # Errors
    /// [`MachineError::Spool`].
    pub fn open(
        disk: D,
        dir: &str,
        config: MachineConfig,
        signer: Signer,
        store: Arc<dyn Store>,
        now: u64,
        new_stream: StreamId,
    ) -> Result<Self, MachineError> {
        let (mut spool, _) = Spool::open(disk, dir, config.spool, signer)?;
        spool.begin(now, new_stream)?;
        let awaited = awaited_in(&spool)?;
        Ok(Self {
            config,
            spool,
            publisher: Publisher::new(),
            engine: None,
            book: Book::new(store.clone()),
            counters: Arc::default(),
            is_level: false,
            awaited,
            refused_until: 0,
            steady: BTreeMap::new(),
            words: BTreeMap::new(),
            scan: Scan::new(),
            fees: FeeMeans::default(),
            last_open: Hash::ZERO,
            last_late: (0, Hash::ZERO),
            store: StoreHolder(store),
        })
    }

    /// What the ledger says, as far as it was read.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Its counters.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Whether everything final is read, and everything said is final: only then blocks are looked at.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.is_level && self.awaited.is_empty() && !self.spool.is_moving()
    }

    /// A turn with the ledger: reads what is final, sends what was said, looks whether it is final. `new_stream` is used if
    /// the stream was closed.
    ///
    /// # Errors
    /// [`MachineError`]: the process ends, and starts again from what is durable.
    pub fn ledger_turn(
        &mut self,
        mirror: &SharedReader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(), MachineError> {
        self.follow(mirror)?;
        if self.spool.heartbeat_due(now) {
            self.append(&[(now, Event::Heartbeat)])?;
        }
        if self.spool.should_cut(now) {
            self.cut()?;
        }
        if self.refused_until <= now {
            self.publish(mirror, log, now, new_stream)?;
        }
        self.heed_final(mirror)?;
        let waiting = u64::from(!self.awaited.is_empty());
        Counters::set(&self.counters.waiting, waiting);
        Ok(())
    }

    /// A turn with the chain: looks at blocks and appends what changed. Does nothing unless [`Machine::is_free`].
    ///
    /// # Errors
    /// [`MachineError`], as [`Machine::ledger_turn`]. A chain that does not answer is no error.
    pub async fn chain_turn(
        &mut self,
        view: &impl ChainView,
        now: u64,
    ) -> Result<(), MachineError> {
        if !self.is_free() {
            return Ok(());
        }
        let mut events = Vec::new();
        let goes_on = self.look_at_blocks(view, &mut events).await?;
        if goes_on {
            self.look_for_strangers(view, now, &mut events).await?;
            self.look_at_fees(view, &mut events).await?;
        }
        self.say(now, events)
    }

    fn follow(&mut self, mirror: &SharedReader<D>) -> Result<(), MachineError> {
        self.is_level = false;
        let below = mirror.final_size();
        let engine = match &mut self.engine {
            Some(engine) => engine,
            none => {
                let fold: Box<dyn orebook_replay::fold::Fold + Send> = Box::new(Watch);
                let folds = vec![(fold, self.store.0.clone())];
                let ledger = self.config.spool.ledger;
                match Engine::open(ledger, folds, Trust::CheckedBefore, mirror, below) {
                    Ok(engine) => none.insert(engine),
                    Err(EngineError::Waits(why)) => {
                        tracing::debug!(%why, "the settler waits for the mirror");
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let before = self.counters.read().final_size;
        match engine.advance(mirror, below, POSITIONS_PER_TURN, &mut |_| {}) {
            Ok(_) | Err(EngineError::Waits(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // An engine whose fold stopped would go on without it.
        if let Some((_, stop)) = engine.stops().next() {
            return Err(EngineError::Waits(stop.clone()).into());
        }
        self.is_level = 0 < below && engine.size() == below;
        Counters::set(&self.counters.final_size, engine.size());
        if before < engine.size() {
            Counters::set(&self.counters.refused_events, self.book.refused()?);
        }
        Ok(())
    }

    fn publish(
        &mut self,
        mirror: &SharedReader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(), MachineError> {
        let mut reader = mirror.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticked = self.publisher.tick(
            &mut self.spool,
            &mut reader,
            log,
            Clock::at(now),
            new_stream,
        );
        drop(reader);
        match ticked {
            Ok(published) => {
                if published.moved.is_some() {
                    // Only shares and blocks are moved. What was said is lost, or stands in the closed stream; both show.
                    self.awaited.clear();
                    tracing::warn!("the settler's stream was closed; it goes on in a new one");
                }
                Counters::set(&self.counters.key_refused, 0);
                Ok(())
            }
            Err(PublishError::Refused) => {
                self.refused_until = now.saturating_add(REFUSED_MS);
                self.publisher = Publisher::new();
                Counters::set(&self.counters.key_refused, 1);
                tracing::error!("{}", PublishError::Refused);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is read back is waited for no more.
    fn heed_final(&mut self, mirror: &SharedReader<D>) -> Result<(), MachineError> {
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let reader = mirror.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = Vec::new();
        for awaited in self.awaited.drain(..) {
            let Awaited {
                stream,
                first_seq,
                hash,
            } = awaited;
            if !reader.stands(engine.state(), stream, first_seq, hash)? {
                left.push(awaited);
            }
        }
        self.awaited = left;
        Ok(())
    }

    /// False if the chain does not answer.
    async fn look_at_blocks(
        &mut self,
        view: &impl ChainView,
        events: &mut Vec<Event>,
    ) -> Result<bool, MachineError> {
        let Ok(tip) = view.tip().await else {
            Counters::add(&self.counters.no_answers, 1);
            return Ok(false);
        };
        let lowest = tip.height.saturating_sub(self.config.watch_heights);
        let open = self.book.open(self.last_open, LOOKS_OPEN_MAX)?;
        let late = self.book.late(lowest, self.last_late, LOOKS_LATE_MAX)?;
        self.last_open = open.last().map_or(self.last_open, |block| block.hash);
        self.last_late = late
            .last()
            .map_or(self.last_late, |block| (block.height, block.hash));
        let mut unpaid: Vec<Hash> = Vec::new();
        let mut disputed = 0;
        for block in open.iter().chain(&late) {
            Counters::add(&self.counters.looks, 1);
            let Ok(sight) = look(view, &self.config.dialect, block).await else {
                Counters::add(&self.counters.no_answers, 1);
                return Ok(false);
            };
            match self.judge(block, &sight) {
                Judged::Say(status) => events.push(Event::BlockStatus(status)),
                Judged::Unpaid => unpaid.push(block.hash),
                Judged::Disputed => disputed += 1,
                Judged::Nothing => {}
            }
        }
        self.alarm_unpaid(&unpaid);
        if 0 < disputed && self.counters.read().disputed_blocks == 0 {
            tracing::error!(
                "another settler keeps saying otherwise of a block: whose nodes are right?"
            );
        }
        Counters::set(&self.counters.disputed_blocks, disputed);
        Ok(true)
    }

    /// Says so once, and counts as long as it lasts.
    fn alarm_unpaid(&self, unpaid: &[Hash]) {
        let is_new = self.counters.read().unpaid_blocks == 0;
        if let Some(hash) = unpaid.first().filter(|_| is_new) {
            tracing::error!(%hash, "a block of ours pays nobody of ours, or less than was said of it: it is not settled");
        }
        let count = u64::try_from(unpaid.len()).unwrap_or(u64::MAX);
        Counters::set(&self.counters.unpaid_blocks, count);
    }

    async fn look_for_strangers(
        &mut self,
        view: &impl ChainView,
        now: u64,
        events: &mut Vec<Event>,
    ) -> Result<(), MachineError> {
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let Some(depths) = Depths::newest(engine.state()) else {
            return Ok(());
        };
        let gateways = self.book.gateways(engine.state())?;
        let rules = ScanRules {
            dialect: &self.config.dialect,
            depth: u64::from(depths.immature),
            grace_ms: self.config.grace_ms,
            facts: grace::Facts {
                now,
                ledger_time: engine.state().ledger_time(),
                gateways: &gateways,
            },
        };
        let found = self.scan.turn(view, &self.book, rules).await;
        let waiting = u64::try_from(self.scan.waiting()).unwrap_or(u64::MAX);
        Counters::set(&self.counters.strangers, waiting);
        let height = self.scan.next_height().unwrap_or(0);
        Counters::set(&self.counters.scan_height, height);
        match found {
            Ok(found) => {
                let said = found.into_iter().take(RECOVERED_PER_TURN);
                events.extend(said.map(Event::BlockRecovered));
                Ok(())
            }
            Err(ScanStop::Chain(_)) => {
                Counters::add(&self.counters.no_answers, 1);
                Ok(())
            }
            Err(ScanStop::Store(fault)) => Err(fault.into()),
        }
    }

    /// The mean of fees, where the newest policy has a pot that pays by it.
    async fn look_at_fees(
        &mut self,
        view: &impl ChainView,
        events: &mut Vec<Event>,
    ) -> Result<(), MachineError> {
        let authority = self.engine.as_ref().and_then(|it| it.state().authority());
        let newest = authority.and_then(|authority| authority.newest_policy().1);
        let Some(policy) = newest.map(|obeyed| &obeyed.policy) else {
            return Ok(());
        };
        if !policy.pots.iter().any(|pot| pot.scheme == Scheme::Fpps) {
            return Ok(());
        }
        let depth = u64::from(policy.immature_depth);
        let last = self.book.last_mean()?;
        let said = self
            .fees
            .turn(view, &self.config.dialect, depth, last)
            .await;
        match said {
            Ok(mean) => events.extend(mean.map(Event::FeeMean)),
            Err(why) => {
                Counters::add(&self.counters.no_answers, 1);
                tracing::debug!(%why, "the mean of fees");
            }
        }
        Ok(())
    }

    fn judge(&mut self, block: &OurBlock, sight: &Sight) -> Judged {
        if next_state(block, sight).is_none() {
            if *sight != Sight::Unknown {
                self.steady.remove(&block.hash);
            }
            return Judged::Nothing;
        }
        let Some(status) = decide(block, sight) else {
            return Judged::Unpaid;
        };
        let (state, value) = (status.state, status.value);
        let needed = match state {
            BlockState::Seen => 1,
            _ => self.config.sights,
        };
        let entry = self.steady.entry(block.hash);
        let entry = entry.or_insert((state, value, 0));
        if (entry.0, entry.1) != (state, value) {
            *entry = (state, value, 0);
        }
        entry.2 = entry.2.saturating_add(1);
        if entry.2 < needed {
            return Judged::Nothing;
        }
        self.steady.remove(&block.hash);
        if matches!(self.config.dialect, Dialect::Ethash(_)) && !self.is_undisputed(&status) {
            return Judged::Disputed;
        }
        Judged::Say(status)
    }

    /// Counts a word. False if it was said too often.
    fn is_undisputed(&mut self, status: &BlockStatus) -> bool {
        if WORDS_BLOCKS_MAX <= self.words.len() && !self.words.contains_key(&status.hash) {
            self.words.pop_first();
        }
        let words = self.words.entry(status.hash).or_default();
        let is_full = WORDS_PER_BLOCK_MAX <= words.len();
        let place = words
            .iter_mut()
            .find(|(state, value, _)| (*state, *value) == (status.state, status.value));
        match place {
            Some((_, _, count)) if SAME_WORDS_MAX <= *count => false,
            Some((_, _, count)) => {
                *count += 1;
                true
            }
            // Six distances, one canonical value with and without fees, and few states of each.
            None if is_full => false,
            None => {
                words.push((status.state, status.value, 1));
                true
            }
        }
    }

    /// Appends what changed, as one frame. Without room nothing is said, and the next turn decides anew.
    fn say(&mut self, now: u64, events: Vec<Event>) -> Result<(), MachineError> {
        if events.is_empty() {
            return Ok(());
        }
        let timed: Vec<(u64, Event)> = events.into_iter().map(|event| (now, event)).collect();
        if !self.append(&timed)? {
            return Ok(());
        }
        for (_, event) in &timed {
            match event {
                Event::BlockStatus(BlockStatus {
                    hash,
                    state,
                    height,
                    ..
                }) => {
                    self.counters.said(*state);
                    tracing::info!(%hash, height, state = state.name(), "block");
                }
                Event::BlockRecovered(BlockRecovered { hash, height, .. }) => {
                    Counters::add(&self.counters.said_recovered, 1);
                    tracing::warn!(%hash, height, "a coinbase of ours that no share explains: recovered");
                }
                Event::FeeMean(mean) => {
                    Counters::add(&self.counters.said_fee_means, 1);
                    tracing::info!(height = mean.height, mean = %mean.mean, "mean of fees");
                }
                _ => {}
            }
        }
        self.cut()
    }

    /// False if there is no room now, or a move is under way.
    fn append(&mut self, events: &[(u64, Event)]) -> Result<bool, MachineError> {
        match self.spool.append(events) {
            Ok(_) => Ok(true),
            Err(SpoolError::Full(_) | SpoolError::Moving) => {
                Counters::add(&self.counters.spool_full, 1);
                tracing::warn!("the settler's spool has no room now");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn cut(&mut self) -> Result<(), MachineError> {
        let frame = self.spool.cut()?;
        self.awaited.extend(frame.as_ref().and_then(Awaited::of));
        Ok(())
    }
}

/// What comes of a sight.
enum Judged {
    Say(BlockStatus),
    Unpaid,
    Disputed,
    Nothing,
}

/// Frames that a former life said and that may not be final yet.
fn awaited_in<D: Disk + Clone>(spool: &Spool<D>) -> Result<Vec<Awaited>, SpoolError> {
    let held = spool.streams();
    let Some(oldest) = held.first() else {
        return Ok(Vec::new());
    };
    let mut awaited = Vec::new();
    let mut frames = spool.frames_from(oldest.stream, 0)?;
    while let Some(frame) = frames.next_frame(spool)? {
        let stream = frame.header().stream;
        let is_moved = held
            .iter()
            .any(|held| held.stream == stream && held.moved_from.is_some());
        awaited.extend(Awaited::of(&frame).filter(|_| !is_moved));
    }
    Ok(awaited)
}
