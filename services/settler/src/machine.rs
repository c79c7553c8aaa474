//! One settler without threads or clocks: a turn with the ledger, then a turn with the chain, again and again.
//!
//! Blocks are looked at only while [`Machine::is_free`]: what was said is final and read back (`orebook-producer`).

mod refused;

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_ledger::admit::State;
use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::SpoolConfig;
use orebook_producer::decider::DeciderConfig;
use orebook_producer::{Decider, ProducerError};
use orebook_replay::engine::SharedReader;
use orebook_replay::rows::StoreFault;
use orebook_replay::store::Store;
use orebook_schema::policy::Scheme;
use orebook_schema::work::{BlockRecovered, BlockState, BlockStatus};
use orebook_schema::{Event, Hash, StreamId};

use crate::book::{Book, Depths, OurBlock, Watch};
use crate::decide::{Sight, decide, next_state};
use crate::fee_mean::FeeMeans;
use crate::grace;
use crate::look::{Dialect, look};
use crate::metrics::Counters;
use crate::scan::{Scan, ScanRules, ScanStop};
use crate::view::ChainView;

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
/// So often a settler says the same state and value of a block against another's word in one life. Beyond that somebody keeps
/// saying otherwise, whose nodes disagree with ours; that is an alarm, and no reason to move money back and forth for ever.
pub const SAME_WORDS_MAX: u32 = 3;
/// See [`MachineConfig::grace_ms`].
pub const GRACE_MS_DEFAULT: u64 = 60_000;
/// Blocks whose words are counted at once; beyond that the lowest hash is forgotten.
const WORDS_BLOCKS_MAX: usize = 4_096;
/// Different words of one block that are counted, and said, in one life; one more is an alarm.
pub const WORDS_PER_BLOCK_MAX: usize = 32;

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
    /// Its turn with the ledger.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// Its rows cannot be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// A settler. See the module.
#[derive(Debug)]
pub struct Machine<D: Disk + Clone> {
    config: MachineConfig,
    decider: Decider<D>,
    book: Book,
    counters: Arc<Counters>,
    /// What the sights of a block called for, with its value, and how often in a row.
    steady: BTreeMap<Hash, (BlockState, u128, u32)>,
    /// How often each word was said of a block that is still watched, against another's after the first time; the last one
    /// stands last.
    words: BTreeMap<Hash, Vec<(Word, u32)>>,
    scan: Scan,
    fees: FeeMeans,
    last_open: Hash,
    last_late: (u64, Hash),
}

impl<D: Disk + Clone> Machine<D> {
    /// Opens the spool in folder `dir` of `disk`, and its epoch; `new_stream` is used if it has none yet. `store` holds the
    /// rows of [`Watch`]; it may be empty or in memory, then the ledger is read from its beginning.
    ///
    /// # Errors
    /// [`MachineError::Producer`].
    pub fn open(
        disk: D,
        dir: &str,
        config: MachineConfig,
        signer: Signer,
        store: Arc<dyn Store>,
        now: u64,
        new_stream: StreamId,
    ) -> Result<Self, MachineError> {
        let decider = DeciderConfig {
            name: "settler",
            spool: config.spool,
            fold: || Box::new(Watch),
        };
        let book = Book::new(store.clone());
        Ok(Self {
            decider: Decider::open(decider, disk, dir, signer, store, now, new_stream)?,
            config,
            book,
            counters: Arc::default(),
            steady: BTreeMap::new(),
            words: BTreeMap::new(),
            scan: Scan::new(),
            fees: FeeMeans::default(),
            last_open: Hash::ZERO,
            last_late: (0, Hash::ZERO),
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
        self.decider.is_free()
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
        let (before, refused) = (
            self.decider.follower().size(),
            self.counters.read().refused_events,
        );
        self.decider.turn(mirror, log, now, new_stream)?;
        let size = self.decider.follower().size();
        if before < size {
            Counters::set(&self.counters.refused_events, self.book.refused()?);
            // What a former life read it does not tell again.
            if 0 < before && refused < self.counters.read().refused_events {
                self.tell_refused(mirror, before, size)?;
            }
        }
        self.count();
        Ok(())
    }

    fn count(&self) {
        let (counters, outbox) = (&self.counters, self.decider.outbox());
        Counters::set(&counters.final_size, self.decider.follower().size());
        Counters::set(&counters.key_refused, u64::from(outbox.is_key_refused()));
        Counters::set(&counters.spool_full, outbox.no_room());
        Counters::set(&counters.waiting, u64::from(outbox.is_waiting()));
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
        let Some(state) = self.decider.state() else {
            return Ok(());
        };
        let Some(depths) = Depths::newest(state) else {
            return Ok(());
        };
        let gateways = self.book.gateways(state)?;
        let rules = ScanRules {
            dialect: &self.config.dialect,
            depth: u64::from(depths.immature),
            grace_ms: self.config.grace_ms,
            facts: grace::Facts {
                now,
                ledger_time: state.ledger_time(),
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
        let authority = self.decider.state().and_then(State::authority);
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
        if self.is_disputed(block, &status) {
            return Judged::Disputed;
        }
        self.steady.remove(&block.hash);
        Judged::Say(status)
    }

    /// Whether this was said too often against another's word, or too much of the block. What stands on our own last word follows
    /// the chain, as often as that changes its mind.
    fn is_disputed(&self, block: &OurBlock, status: &BlockStatus) -> bool {
        let Some(words) = self.words.get(&status.hash) else {
            return false;
        };
        match words.iter().find(|word| word.0 == word_of(status)) {
            Some((_, count)) => SAME_WORDS_MAX <= *count && !is_last(words, block),
            // Of an ethash-like six distances, one canonical value with and without fees, and few states of each.
            None => WORDS_PER_BLOCK_MAX <= words.len(),
        }
    }

    /// Counts a word that was said: what found no room was not.
    fn count_word(&mut self, status: &BlockStatus) -> Result<(), MachineError> {
        let block = self.book.block(status.hash)?;
        if WORDS_BLOCKS_MAX <= self.words.len() && !self.words.contains_key(&status.hash) {
            self.words.pop_first();
        }
        let words = self.words.entry(status.hash).or_default();
        let word = word_of(status);
        let is_ours = block.is_some_and(|block| is_last(words, &block));
        let place = words.iter().position(|known| known.0 == word);
        let count = match place.map(|place| words.remove(place)) {
            Some((_, count)) if is_ours => count,
            Some((_, count)) => count.saturating_add(1),
            None => 1,
        };
        words.push((word, count));
        Ok(())
    }

    /// Appends what changed, as one frame. Without room nothing is said, and the next turn decides anew.
    fn say(&mut self, now: u64, events: Vec<Event>) -> Result<(), MachineError> {
        if !self.decider.say(now, &events)? {
            return Ok(());
        }
        for event in &events {
            match event {
                Event::BlockStatus(status) => {
                    self.count_word(status)?;
                    self.counters.said(status.state);
                    let (hash, height) = (status.hash, status.height);
                    tracing::info!(%hash, height, state = status.state.name(), "block");
                }
                Event::BlockRecovered(BlockRecovered { hash, height, .. }) => {
                    Counters::add(&self.counters.said_recovered, 1);
                    tracing::warn!(
                        %hash,
                        height,
                        "a coinbase of ours that no share explains: recovered; see docs/runbooks/coinbase-recovered.md"
                    );
                }
                Event::FeeMean(mean) => {
                    Counters::add(&self.counters.said_fee_means, 1);
                    tracing::info!(height = mean.height, mean = %mean.mean, "mean of fees");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A state and its value.
type Word = (BlockState, u128);

const fn word_of(status: &BlockStatus) -> Word {
    (status.state, status.value)
}

/// Whether what stands of the block is what was said last.
fn is_last(words: &[(Word, u32)], block: &OurBlock) -> bool {
    let stands = block.obeyed.map(|it| (it.state, it.value));
    words.last().map(|last| last.0) == stands
}

/// What comes of a sight.
enum Judged {
    Say(BlockStatus),
    Unpaid,
    Disputed,
    Nothing,
}
