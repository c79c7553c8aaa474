//! The paymaster's thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::reader::Reader;
use orebook_ledger::sign::Signer;
use orebook_producer::Thread;
use orebook_producer::thread::Pace;
use orebook_replay::engine::SharedReader;
use orebook_replay::store::Store;
use orebook_schema::StreamId;
use tokio::runtime::Handle;

use crate::digests::Digests;
use crate::machine::{Machine, MachineConfig, MachineError};
use crate::metrics::{Counters, Metrics};
use crate::plan::Plan;
use crate::wallet::Wallet;
use crate::why::Why;

/// Between two turns with the ledger, in milliseconds.
pub const TURN_MS_DEFAULT: u64 = 50;
/// Between two turns with the chain, in milliseconds.
pub const POLL_MS_DEFAULT: u64 = 5_000;

/// What the thread is told.
#[derive(Clone, Debug)]
pub struct PaymasterConfig {
    /// What to pay, and when.
    pub machine: MachineConfig,
    /// Folder of its spool, below the disk's root.
    pub dir: String,
    /// Between two turns with the ledger, in milliseconds.
    pub turn_ms: u64,
    /// Between two turns with the chain, in milliseconds.
    pub poll_ms: u64,
}

/// What the thread is given.
pub struct PaymasterParts<D: Disk, L, W, G> {
    /// Disk of its spool.
    pub disk: D,
    /// Its key: of the ledger, not of the wallet.
    pub signer: Signer,
    /// The process's reader; somebody else polls it.
    pub mirror: Arc<Mutex<Reader<D>>>,
    /// Where frames are sent.
    pub log: L,
    /// The wallet.
    pub wallet: W,
    /// The projectors.
    pub digests: G,
    /// Rows of `money`, of its own; a store in memory does, then each start reads the ledger from its beginning.
    pub store: Arc<dyn Store>,
    /// A multi-threaded runtime with time and IO, for questions to wallet and projectors.
    pub runtime: Handle,
    /// Milliseconds since 1970.
    pub now_ms: Box<dyn Fn() -> u64 + Send>,
    /// A name for a new stream, from good randomness.
    pub new_stream: Box<dyn Fn() -> StreamId + Send>,
    /// Called once, with the reason, if the paymaster cannot go on: the process ends and starts again.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl<D: Disk, L, W, G> std::fmt::Debug for PaymasterParts<D, L, W, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PaymasterParts")
    }
}

/// Why a paymaster did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its spool.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The system has no thread left.
    #[error("no thread for the paymaster: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the paymaster waits for and plans, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What the next payout waits for.
    pub why: Why,
    /// The last plan.
    pub plan: Option<Plan>,
}

/// A running paymaster. Dropped, it goes on; [`Paymaster::stop`] ends it.
#[derive(Debug)]
pub struct Paymaster {
    thread: Thread,
    counters: Arc<Counters>,
    standing: Arc<Mutex<Standing>>,
}

impl Paymaster {
    /// Opens the spool and starts the thread.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start<D, L, W, G>(
        config: PaymasterConfig,
        parts: PaymasterParts<D, L, W, G>,
    ) -> Result<Self, StartError>
    where
        D: Disk + Clone + Send + 'static,
        L: Log + Send + 'static,
        W: Wallet + 'static,
        G: Digests + 'static,
    {
        let machine = Machine::open(
            parts.disk.clone(),
            &config.dir,
            config.machine.clone(),
            parts.signer.clone(),
            parts.store.clone(),
            (parts.now_ms)(),
            (parts.new_stream)(),
        )?;
        let counters = machine.counters().clone();
        let standing = Arc::new(Mutex::new(Standing {
            why: Why::Reading,
            plan: None,
        }));
        let (fatal, shown) = (parts.fatal.clone(), standing.clone());
        let turns = turns(machine, &config, parts, shown);
        let thread = Thread::start("paymaster", fatal, turns)?;
        Ok(Self {
            thread,
            counters,
            standing,
        })
    }

    /// What it counted so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.counters.read()
    }

    /// The counters themselves, for whoever shows them while the paymaster runs.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// What it waits for and plans, kept up to date while it runs.
    #[must_use]
    pub fn standing(&self) -> Arc<Mutex<Standing>> {
        self.standing.clone()
    }

    /// Asks it to end, without waiting.
    pub fn ask(&self) {
        self.thread.ask();
    }

    /// Ends it between two turns, and waits for it. A question that is under way is waited for.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        self.thread.stop()
    }
}

/// Its turns, one a call.
fn turns<D, L, W, G>(
    mut machine: Machine<D>,
    config: &PaymasterConfig,
    mut parts: PaymasterParts<D, L, W, G>,
    standing: Arc<Mutex<Standing>>,
) -> impl FnMut() -> Result<(), MachineError> + Send + use<D, L, W, G>
where
    D: Disk + Clone + Send + 'static,
    L: Log + Send + 'static,
    W: Wallet + 'static,
    G: Digests + 'static,
{
    let mirror = SharedReader(parts.mirror.clone());
    let mut pace = Pace::new(config.poll_ms);
    let rest = Duration::from_millis(config.turn_ms);
    move || {
        let now = (parts.now_ms)();
        machine.ledger_turn(&mirror, &mut parts.log, now, (parts.new_stream)())?;
        // What was said a moment ago goes on as soon as it is final, what was approved is signed.
        let is_due = pace.is_due(now) || machine.has_said() || machine.has_news();
        let has_turn = machine.is_free() && is_due;
        if has_turn {
            pace.taken(now);
            let turn = machine.chain_turn(&parts.wallet, &parts.digests, now);
            parts.runtime.block_on(turn)?;
        }
        show(&machine, &standing);
        // What that turn said is sent at once.
        if !has_turn || machine.is_free() {
            std::thread::sleep(rest);
        }
        Ok(())
    }
}

fn show<D: Disk + Clone>(machine: &Machine<D>, standing: &Mutex<Standing>) {
    let mut shown = standing.lock().unwrap_or_else(PoisonError::into_inner);
    if shown.why != *machine.why_waiting() {
        shown.why = machine.why_waiting().clone();
    }
    if shown.plan.as_ref() != machine.plan() {
        shown.plan = machine.plan().cloned();
    }
}
