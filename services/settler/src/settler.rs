//! The settler's thread.

use std::sync::{Arc, Mutex};
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

use crate::machine::{Machine, MachineConfig, MachineError};
use crate::metrics::{Counters, Metrics};
use crate::view::ChainView;

/// Between two turns with the ledger, in milliseconds.
pub const TURN_MS_DEFAULT: u64 = 50;
/// Between two turns with the chain, in milliseconds.
pub const POLL_MS_DEFAULT: u64 = 5_000;

/// What the thread is told.
#[derive(Clone, Debug)]
pub struct SettlerConfig {
    /// What to say, and when.
    pub machine: MachineConfig,
    /// Folder of its spool, below the disk's root.
    pub dir: String,
    /// Between two turns with the ledger, in milliseconds.
    pub turn_ms: u64,
    /// Between two turns with the chain, in milliseconds.
    pub poll_ms: u64,
}

/// What the thread is given.
pub struct SettlerParts<D: Disk, L, V> {
    /// Disk of its spool.
    pub disk: D,
    /// Its key.
    pub signer: Signer,
    /// The process's reader; somebody else polls it.
    pub mirror: Arc<Mutex<Reader<D>>>,
    /// Where frames are sent.
    pub log: L,
    /// The chain.
    pub view: V,
    /// Rows of [`crate::book::Watch`]; a store in memory does, then each start reads the ledger from its beginning.
    pub store: Arc<dyn Store>,
    /// A multi-threaded runtime with time and IO, for questions to the chain.
    pub runtime: Handle,
    /// Milliseconds since 1970.
    pub now_ms: Box<dyn Fn() -> u64 + Send>,
    /// A name for a new stream, from good randomness.
    pub new_stream: Box<dyn Fn() -> StreamId + Send>,
    /// Called once, with the reason, if the settler cannot go on: the process ends and starts again.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl<D: Disk, L, V> std::fmt::Debug for SettlerParts<D, L, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SettlerParts")
    }
}

/// Why a settler did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its spool.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The system has no thread left.
    #[error("no thread for the settler: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running settler. Dropped, it goes on; [`Settler::stop`] ends it.
#[derive(Debug)]
pub struct Settler {
    thread: Thread,
    counters: Arc<Counters>,
}

impl Settler {
    /// Opens the spool and starts the thread.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start<D, L, V>(
        config: SettlerConfig,
        parts: SettlerParts<D, L, V>,
    ) -> Result<Self, StartError>
    where
        D: Disk + Clone + Send + 'static,
        L: Log + Send + 'static,
        V: ChainView + Send + Sync + 'static,
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
        let thread = Thread::start(
            "settler",
            parts.fatal.clone(),
            turns(machine, &config, parts),
        )?;
        Ok(Self { thread, counters })
    }

    /// What it counted so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.counters.read()
    }

    /// The counters themselves, for whoever shows them while the settler runs.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Asks it to end, without waiting.
    pub fn ask(&self) {
        self.thread.ask();
    }

    /// Ends it between two turns, and waits for it. A question to the chain that is under way is waited for.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        self.thread.stop()
    }
}

/// Its turns, one a call.
fn turns<D, L, V>(
    mut machine: Machine<D>,
    config: &SettlerConfig,
    mut parts: SettlerParts<D, L, V>,
) -> impl FnMut() -> Result<(), MachineError> + Send + use<D, L, V>
where
    D: Disk + Clone + Send + 'static,
    L: Log + Send + 'static,
    V: ChainView + Send + Sync + 'static,
{
    let mirror = SharedReader(parts.mirror.clone());
    let mut pace = Pace::new(config.poll_ms);
    let rest = Duration::from_millis(config.turn_ms);
    move || {
        let now = (parts.now_ms)();
        machine.ledger_turn(&mirror, &mut parts.log, now, (parts.new_stream)())?;
        if pace.is_due(now) && machine.is_free() {
            pace.taken(now);
            let turn = machine.chain_turn(&parts.view, now);
            parts.runtime.block_on(turn)?;
        }
        std::thread::sleep(rest);
        Ok(())
    }
}
