//! Reads what is final through one fold of its own.

use std::fmt;
use std::sync::Arc;

use orebook_ledger::admit::{State, Trust};
use orebook_ledger::disk::Disk;
use orebook_replay::engine::{Engine, EngineError, SharedReader};
use orebook_replay::fold::Fold;
use orebook_replay::store::Store;
use orebook_schema::LedgerId;

/// Final positions that one turn reads at most; the next goes on.
pub const POSITIONS_PER_TURN: u64 = 1_024;

/// See the module.
pub struct Follower {
    ledger: LedgerId,
    fold: fn() -> Box<dyn Fold + Send>,
    store: Arc<dyn Store>,
    /// None until the mirror has what the store has.
    engine: Option<Engine>,
    is_level: bool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("engine", &self.engine)
            .field("is_level", &self.is_level)
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// `store` holds the fold's rows, and nobody else's; it may be empty or in memory, then the ledger is read from its
    /// beginning.
    #[must_use]
    pub fn new(
        ledger: LedgerId,
        fold: fn() -> Box<dyn Fold + Send>,
        store: Arc<dyn Store>,
    ) -> Self {
        Self {
            ledger,
            fold,
            store,
            engine: None,
            is_level: false,
        }
    }

    /// Whether every position was read that was final at the last turn, and there was one.
    #[must_use]
    pub const fn is_level(&self) -> bool {
        self.is_level
    }

    /// Positions that were read.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.engine.as_ref().map_or(0, Engine::size)
    }

    /// State after them; none before the first turn that found what the store has.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.engine.as_ref().map(Engine::state)
    }

    /// Reads on, [`POSITIONS_PER_TURN`] at most.
    ///
    /// # Errors
    /// [`EngineError`]. That something is not there yet is none, but for a fold that stopped: it would be left behind.
    pub fn turn<D: Disk + Clone>(&mut self, mirror: &SharedReader<D>) -> Result<(), EngineError> {
        self.is_level = false;
        let below = mirror.final_size();
        let engine = match &mut self.engine {
            Some(engine) => engine,
            none => {
                let folds = vec![((self.fold)(), self.store.clone())];
                match Engine::open(self.ledger, folds, Trust::CheckedBefore, mirror, below) {
                    Ok(engine) => none.insert(engine),
                    Err(EngineError::Waits(why)) => {
                        tracing::debug!(%why, "the mirror is waited for");
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        match engine.advance(mirror, below, POSITIONS_PER_TURN, &mut |_| {}) {
            Ok(_) | Err(EngineError::Waits(_)) => {}
            Err(error) => return Err(error),
        }
        if let Some((_, stop)) = engine.stops().next() {
            return Err(EngineError::Waits(stop.clone()));
        }
        self.is_level = 0 < below && engine.size() == below;
        Ok(())
    }
}
