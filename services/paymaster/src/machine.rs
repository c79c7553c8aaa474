//! One paymaster without threads or clocks: a turn with the ledger, then a turn with the chain, again and again.
//!
//! Anything is done only while [`Machine::is_free`]: what was said is final and read back (`orebook-producer`). So whatever
//! fails, and also if it failed but happened, the next turn starts from what the ledger says: a signature that did not get there
//! is of no consequence, a transaction that did is sent again as it stands and never built again, and the chain tells what
//! became of it. A second paymaster changes nothing: each event compares and sets, and the ledger obeys one of two.

mod follow;

mod propose;

mod reconcile;

mod refused;

mod say;

mod sign;

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_ledger::admit::State;
use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::SpoolConfig;
use orebook_producer::decider::DeciderConfig;
use orebook_producer::thread::Rest;
use orebook_producer::{Decider, ProducerError};
use orebook_replay::engine::SharedReader;
use orebook_replay::folds::money::Money;
use orebook_replay::rows::StoreFault;
use orebook_replay::store::Store;
use orebook_schema::payout::{PAYOUT_MAX, Step};
use orebook_schema::{At, Event, Hash, Policy, StreamId};

use crate::book::Book;
use crate::decide::Depths;
use crate::digests::Digests;
use crate::metrics::Counters;
use crate::plan::{LINES_MAX, Plan};
use crate::wallet::{Wallet, WalletError};
use crate::why::Why;

use self::reconcile::Nightly;

/// Transactions looked at in one turn at most; the others have the next turns.
pub const LOOKS_PER_TURN: usize = 256;
/// Transactions signed in one turn at most; the others have the next turns.
pub const SIGNS_PER_TURN: usize = 1_024;
/// Versions of one transaction at most; then it waits, and that is an alarm.
pub const VERSIONS_MAX: usize = 16;
/// So often a paymaster takes the same transaction's confirmation back in one life. Beyond that somebody keeps saying otherwise,
/// whose node disagrees with ours; that is an alarm, and no reason to go on for ever.
pub const BACK_MAX: u32 = 8;
/// See [`MachineConfig::sights`].
pub const SIGHTS_DEFAULT: u32 = 3;
/// See [`MachineConfig::silences`].
pub const SILENCES_DEFAULT: u32 = 12;
/// See [`MachineConfig::interval_ms`]: an hour.
pub const INTERVAL_MS_DEFAULT: u64 = 3_600_000;
/// See [`MachineConfig::stuck_ms`]: an hour.
pub const STUCK_MS_DEFAULT: u64 = 3_600_000;
/// See [`MachineConfig::approve_within_ms`]: seven days.
pub const APPROVE_WITHIN_MS_DEFAULT: u64 = 604_800_000;
/// See [`MachineConfig::reconcile_ms`]: a day.
pub const RECONCILE_MS_DEFAULT: u64 = 86_400_000;
/// See [`MachineConfig::retry_ms`].
pub const RETRY_MS_DEFAULT: u64 = 60_000;

/// What a paymaster is told.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Its spool; the role is the paymaster's. A batch of 1,000 lines is about 200 KiB: leave 4 MiB.
    pub spool: SpoolConfig,
    /// Which wallet it pays from.
    pub wallet: u16,
    /// Nothing is said, signed or sent: it follows and plans.
    pub dry_run: bool,
    /// Lines of a batch at most.
    pub lines_max: usize,
    /// Base units of a batch at most.
    pub batch_max: u128,
    /// Base units of the batches of 24 hours of ledger time at most.
    pub day_max: u128,
    /// Most that one transaction may cost, base units; a replacement, too.
    pub fee_max: u128,
    /// Between two batches, in milliseconds of ledger time.
    pub interval_ms: u64,
    /// A transaction that waits in memory pools for longer is replaced by one that pays more, in milliseconds of ledger time.
    pub stuck_ms: u64,
    /// A batch that was not approved within is cancelled, in milliseconds of ledger time.
    pub approve_within_ms: u64,
    /// Between two reconciliations, in milliseconds of ledger time.
    pub reconcile_ms: u64,
    /// A wallet with less, base units, is said to be low.
    pub balance_min: u128,
    /// After a word that was not obeyed, a plan that paid nobody and a replacement that failed, in milliseconds of our clock.
    pub retry_ms: u64,
    /// Equal sights in a row, at least 1, before a step is said that takes something back or cannot be taken back.
    pub sights: u32,
    /// Looks without an answer in a row, at least 1, after which a transaction is said to be unknown.
    pub silences: u32,
}

impl MachineConfig {
    /// With the defaults, and no limit on a batch, a day and a fee but the format's.
    #[must_use]
    pub const fn new(spool: SpoolConfig, wallet: u16) -> Self {
        Self {
            spool,
            wallet,
            dry_run: false,
            lines_max: LINES_MAX,
            batch_max: PAYOUT_MAX,
            day_max: PAYOUT_MAX,
            fee_max: PAYOUT_MAX,
            interval_ms: INTERVAL_MS_DEFAULT,
            stuck_ms: STUCK_MS_DEFAULT,
            approve_within_ms: APPROVE_WITHIN_MS_DEFAULT,
            reconcile_ms: RECONCILE_MS_DEFAULT,
            balance_min: 0,
            retry_ms: RETRY_MS_DEFAULT,
            sights: SIGHTS_DEFAULT,
            silences: SILENCES_DEFAULT,
        }
    }
}

/// Why a paymaster's turn failed: its process ends, and starts again from what is durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// Its turn with the ledger.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// Its rows cannot be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// What a word of ours moves if it is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Batch(u64),
    Tx { batch: u64, tx: u16, expects: At },
}

/// What a turn with the chain goes by.
#[derive(Clone, Debug)]
struct Facts {
    now: u64,
    ledger_time: u64,
    policy: Policy,
    depths: Depths,
    batches: u64,
    halted: Option<At>,
    /// Place of the wallet's last halt or resume.
    last: At,
}

/// A paymaster. See the module.
#[derive(Debug)]
pub struct Machine<D: Disk + Clone> {
    config: MachineConfig,
    decider: Decider<D>,
    book: Book,
    counters: Arc<Counters>,
    /// Words that the ledger did not obey are told from here on; none until this process was level with the ledger.
    refused_from: Option<At>,
    /// What was said last, until it is read back and obeyed or not.
    said: Vec<Subject>,
    /// Place at which the newest batch was approved, as far as the ledger is read.
    approved: Option<At>,
    /// Whether that changed since a turn with the chain, or that turn said something else first.
    is_news: bool,
    /// While it lasts nothing is said, since the last word was not obeyed.
    rest: Rest,
    /// The transaction that was looked at last.
    looked: Option<(u64, u16)>,
    /// The grave step that looks called for, and how often in a row.
    steady: BTreeMap<(u64, u16), (Step, Hash, u32)>,
    /// Looks without an answer in a row.
    silent: BTreeMap<(u64, u16), u32>,
    /// How often a confirmation was taken back.
    backs: BTreeMap<(u64, u16), u32>,
    /// Looks at a wallet that has less than is owed, in a row.
    short: u32,
    /// While they last no plan is made, and nothing replaced.
    plan_rest: Rest,
    replace_rest: Rest,
    /// The reconciliation that is under way, and what the last one found.
    nightly: Nightly,
    plan: Option<Plan>,
    /// Why the last plan came to nothing.
    no_plan: Why,
    why: Why,
}

impl<D: Disk + Clone> Machine<D> {
    /// Opens the spool in folder `dir` of `disk`, and its epoch; `new_stream` is used if it has none yet. `store` holds the
    /// rows of `money`, and nobody else's; it may be empty or in memory, then the ledger is read from its beginning.
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
            name: "paymaster",
            spool: config.spool,
            fold: || Box::new(Money),
        };
        let book = Book::new(store.clone(), config.wallet);
        Ok(Self {
            decider: Decider::open(decider, disk, dir, signer, store, now, new_stream)?,
            book,
            config,
            counters: Arc::default(),
            refused_from: None,
            said: Vec::new(),
            approved: None,
            is_news: false,
            rest: Rest::default(),
            looked: None,
            steady: BTreeMap::new(),
            silent: BTreeMap::new(),
            backs: BTreeMap::new(),
            short: 0,
            plan_rest: Rest::default(),
            replace_rest: Rest::default(),
            nightly: Nightly::default(),
            plan: None,
            no_plan: Why::Reading,
            why: Why::Reading,
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

    /// Why nothing is proposed or signed now.
    #[must_use]
    pub const fn why_waiting(&self) -> &Why {
        &self.why
    }

    /// The plan that was made last: what a dry run would have proposed, or what was.
    #[must_use]
    pub const fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Whether everything final is read, and everything said is final: only then anything is done.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.decider.is_free()
    }

    /// Whether something was said and not looked at since: there is something to do as soon as [`Machine::is_free`].
    #[must_use]
    pub fn has_said(&self) -> bool {
        !self.said.is_empty()
    }

    /// Whether the newest batch was approved and had no turn since: there is something to sign as soon as [`Machine::is_free`].
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.is_news
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
        let before = self.decider.follower().size();
        if self.config.dry_run {
            self.decider.turn_silently(mirror)?;
        } else {
            self.decider.turn(mirror, log, now, new_stream)?;
        }
        self.count();
        if before < self.decider.follower().size() {
            self.heed_approval()?;
        }
        if self.decider.follower().is_level() {
            self.tell_refused(mirror)?;
        }
        Ok(())
    }

    /// What people said is not left to the next look at the chain.
    fn heed_approval(&mut self) -> Result<(), MachineError> {
        let newest = self.book.wallet()?.batches.checked_sub(1);
        let newest = newest.map(|newest| self.book.batch(newest)).transpose()?;
        let approved = newest.flatten().and_then(|batch| batch.approved);
        if self.approved != approved {
            self.approved = approved;
            self.is_news = approved.is_some();
        }
        Ok(())
    }

    fn count(&self) {
        let (counters, outbox) = (&self.counters, self.decider.outbox());
        Counters::set(&counters.final_size, self.decider.follower().size());
        Counters::set(&counters.key_refused, u64::from(outbox.is_key_refused()));
        Counters::set(&counters.spool_full, outbox.no_room());
        Counters::set(&counters.waiting, u64::from(outbox.is_waiting()));
    }

    /// A turn with the chain: looks, sends, signs and proposes, and appends what changed. Does nothing unless
    /// [`Machine::is_free`].
    ///
    /// # Errors
    /// [`MachineError`]. A wallet or projectors that do not answer are no error.
    pub async fn chain_turn(
        &mut self,
        wallet: &impl Wallet,
        digests: &impl Digests,
        now: u64,
    ) -> Result<(), MachineError> {
        let why = self.act(wallet, digests, now).await?;
        if self.why != why {
            tracing::debug!(%why, "the next payout waits");
        }
        Counters::set(&self.counters.why, why.number());
        self.why = why;
        Ok(())
    }

    async fn act(
        &mut self,
        wallet: &impl Wallet,
        digests: &impl Digests,
        now: u64,
    ) -> Result<Why, MachineError> {
        if self.decider.outbox().is_resting(now) {
            return Ok(Why::KeyRefused);
        }
        if !self.is_free() {
            return Ok(if self.decider.follower().is_level() {
                Why::Saying
            } else {
                Why::Reading
            });
        }
        self.is_news = false;
        self.heed_obeyed(now)?;
        if self.rest.is_on(now) {
            return Ok(Why::Resting);
        }
        let Some(facts) = self.facts(now)? else {
            return Ok(Why::Reading);
        };
        self.show_reconciled(&facts)?;
        let mut events = Vec::new();
        let answers = self.look_at_txs(wallet, &facts, &mut events).await?;
        let mut why = match answers {
            Ok(()) => Why::Nothing,
            Err(error) => Why::Wallet(error.to_string()),
        };
        if events.is_empty() && why == Why::Nothing {
            self.reconcile(wallet, &facts, &mut events).await?;
            // What waited behind it, an approved batch perhaps, does not wait for the next look.
            self.is_news = !events.is_empty();
        }
        if events.is_empty() && why == Why::Nothing {
            why = self.sign(wallet, &facts, &mut events).await?;
        }
        if events.is_empty() && why == Why::Nothing {
            why = self.propose(wallet, digests, &facts, &mut events).await?;
        }
        self.say(now, events)?;
        Ok(why)
    }

    /// None before genesis is read.
    fn facts(&self, now: u64) -> Result<Option<Facts>, MachineError> {
        let Some(state) = self.decider.state() else {
            return Ok(None);
        };
        let Some(policy) = newest_policy(state) else {
            return Ok(None);
        };
        let wallet = self.book.wallet()?;
        Counters::set(&self.counters.batches, wallet.batches);
        Counters::set(&self.counters.halted, u64::from(wallet.halted.is_some()));
        Ok(Some(Facts {
            now,
            ledger_time: state.ledger_time(),
            depths: Depths {
                paid: u64::from(policy.payout_depth),
                last: u64::from(policy.payout_final_depth),
            },
            policy,
            batches: wallet.batches,
            halted: wallet.halted,
            last: wallet.last,
        }))
    }

    /// What was said is read back: whether it was obeyed. What another paymaster said first is no reason to rest.
    fn heed_obeyed(&mut self, now: u64) -> Result<(), MachineError> {
        for subject in std::mem::take(&mut self.said) {
            let has_moved = match subject {
                Subject::Batch(batch) => batch < self.book.wallet()?.batches,
                Subject::Tx { batch, tx, expects } => self
                    .book
                    .tx(batch, tx)?
                    .is_some_and(|row| row.last != expects),
            };
            if !has_moved {
                Counters::add(&self.counters.not_obeyed, 1);
                tracing::warn!(?subject, "the ledger did not obey what was said");
                self.rest.begin(now, self.config.retry_ms);
            }
        }
        Ok(())
    }

    fn count_no_answer(&self, error: &WalletError) {
        Counters::add(&self.counters.no_answers, 1);
        tracing::debug!(%error, "the wallet");
    }
}

/// The policy that is the newest obeyed one.
fn newest_policy(state: &State) -> Option<Policy> {
    let (_, obeyed) = state.authority()?.newest_policy();
    obeyed.map(|obeyed| obeyed.policy.as_ref().clone())
}

/// Events to be appended, in order.
type Events = Vec<Event>;
