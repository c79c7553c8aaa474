//! What readers of the projections stand on: every fold's rows at one and the same position.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use orebook_replay::engine;
use orebook_replay::fold::{Backwards, FoldStop};
use orebook_replay::rows::{StoreFault, View};
use orebook_replay::store::Store;
use orebook_schema::{At, Genesis, Hash, Policy};

/// Longest wait for folds that stand level: they are level after each turn of the feed, a few milliseconds apart.
const LEVEL_WAIT: Duration = Duration::from_secs(2);

/// Where the projections stand, as the feed last left them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Positions applied by every fold.
    pub size: u64,
    /// Root of the ledger's tree of that size.
    pub root: Hash,
    /// Ledger time there, milliseconds since 1970.
    pub ledger_time: u64,
    /// What the ledger is; none before its first position is final.
    pub genesis: Option<Arc<Genesis>>,
    /// The newest policy there, and its place.
    pub policy: Option<(At, Arc<Policy>)>,
    /// Distinct approvals that batches of payouts have which wait for more: (digest, how many).
    pub asked: Vec<(Hash, u64)>,
    /// Streams that are not closed.
    pub streams_open: u64,
    /// Streams that a fork or a move closed.
    pub streams_closed: u64,
    /// Folds that cannot go on in this process: (name, why).
    pub stops: Vec<(&'static str, String)>,
}

/// How far the ledger itself is, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Positions admitted, provisional ones included.
    pub head: u64,
    /// Root there.
    pub head_root: Hash,
    /// Positions that are final.
    pub final_size: u64,
    /// When `final_size` last grew, as this process saw it.
    pub final_since: SystemTime,
}

/// Why there is nothing to read now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Nothing was applied yet.
    #[error("the projections have not begun yet")]
    NotBegun,
    /// Some folds are being rebuilt, or stopped.
    #[error("{0}")]
    NotLevel(String),
    /// The rows cannot be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

#[derive(Debug, Default)]
struct Held {
    tip: Option<Arc<Tip>>,
    heads: Option<Heads>,
    waits_for: Option<String>,
    turns: u64,
}

/// The ledger's frames below a position, which is final, lent for a question.
pub(crate) type LookBack = dyn Fn(u64, &mut dyn FnMut(&dyn Backwards)) + Send + Sync;

struct Shared {
    stores: Vec<(&'static str, Arc<dyn Store>)>,
    look_back: Box<LookBack>,
    held: Mutex<Held>,
    turned: Condvar,
}

/// The projections, for readers. Clones are the same.
#[derive(Clone)]
pub struct Books {
    shared: Arc<Shared>,
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.shared.stores.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

type Views<'b> = Vec<(&'static str, Box<dyn View + 'b>)>;

/// Rows of some folds at one position. Keep it for the length of one answer: in memory, commits wait for it.
pub struct Point<'b> {
    /// The position.
    pub tip: Arc<Tip>,
    /// How far the ledger is.
    pub heads: Heads,
    views: Views<'b>,
    look_back: &'b LookBack,
}

impl fmt::Debug for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Point({})", self.tip.size)
    }
}

impl Point<'_> {
    /// Asks the ledger's frames up to this point.
    ///
    /// # Errors
    /// What `ask` says.
    pub fn looking_back<T>(
        &self,
        ask: impl FnOnce(&dyn Backwards) -> Result<T, FoldStop>,
    ) -> Result<T, FoldStop> {
        let (mut ask, mut said) = (Some(ask), None);
        (self.look_back)(self.tip.size, &mut |past| {
            said = ask.take().map(|ask| ask(past));
        });
        said.unwrap_or_else(|| Err(FoldStop::Unreadable("nobody gives frames".to_owned())))
    }

    /// Rows of a fold.
    ///
    /// # Panics
    /// If the point was not asked for with this fold: a mistake of ours.
    #[must_use]
    pub fn view(&self, fold: &str) -> &dyn View {
        let found = self.views.iter().find(|(name, _)| *name == fold);
        assert!(found.is_some(), "an answer reads the folds that it named");
        match found {
            Some((_, view)) => view.as_ref(),
            None => unreachable!("asserted above"),
        }
    }
}

impl Books {
    pub(crate) fn new(
        stores: Vec<(&'static str, Arc<dyn Store>)>,
        look_back: Box<LookBack>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                stores,
                look_back,
                held: Mutex::default(),
                turned: Condvar::new(),
            }),
        }
    }

    // A panic ends the process (see `orebook`); until it has, what is held is as good as it was.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.shared
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the folds.
    pub fn folds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.shared.stores.iter().map(|(name, _)| *name)
    }

    /// Where the projections stand; none before the first turn.
    #[must_use]
    pub fn tip(&self) -> Option<Arc<Tip>> {
        self.held().tip.clone()
    }

    /// A store's rows as they are now; none if no fold has that name.
    pub(crate) fn newest(&self, fold: &str) -> Option<Result<Box<dyn View + '_>, StoreFault>> {
        let mut stores = self.shared.stores.iter();
        stores
            .find(|(name, _)| *name == fold)
            .map(|(_, store)| store.view())
    }

    /// How far the ledger is; none before the first turn.
    #[must_use]
    pub fn heads(&self) -> Option<Heads> {
        self.held().heads
    }

    /// What the feed waits for, if it does.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        self.held().waits_for.clone()
    }

    pub(crate) fn set_heads(&self, head: u64, head_root: Hash, final_size: u64) {
        let mut held = self.held();
        let before = held.heads.filter(|heads| final_size <= heads.final_size);
        held.heads = Some(Heads {
            head,
            head_root,
            final_size,
            final_since: before.map_or_else(SystemTime::now, |heads| heads.final_since),
        });
    }

    pub(crate) fn set_tip(&self, tip: Tip) {
        let mut held = self.held();
        held.tip = Some(Arc::new(tip));
        held.turns = held.turns.wrapping_add(1);
        drop(held);
        self.shared.turned.notify_all();
    }

    /// Returns whether it is another reason than before.
    pub(crate) fn set_waits_for(&self, why: Option<String>) -> bool {
        let mut held = self.held();
        let other = held.waits_for != why;
        held.waits_for = why;
        other
    }

    /// Reads the rows of `folds` at one position: what `read` sees is what the ledger's first [`Tip::size`] positions give.
    ///
    /// # Errors
    /// [`NotNow`]: the folds did not stand level within two seconds, which says that some are being rebuilt.
    pub fn read<T>(
        &self,
        folds: &[&'static str],
        read: impl FnOnce(&Point<'_>) -> T,
    ) -> Result<T, NotNow> {
        let deadline = Instant::now() + LEVEL_WAIT;
        let mut held = self.held();
        loop {
            let (Some(tip), Some(heads)) = (held.tip.clone(), held.heads) else {
                return Err(NotNow::NotBegun);
            };
            let turns = held.turns;
            drop(held);
            // Such a fold never stands level again: nobody waits for it.
            if let Some((fold, why)) = tip.stops.iter().find(|(fold, _)| folds.contains(fold)) {
                return Err(NotNow::NotLevel(format!("the fold {fold} stopped: {why}")));
            }
            // In memory a view holds commits up, so that level views stay so; RocksDB's are snapshots.
            let views = self.views(folds)?;
            let not_level = first_not_level(&views, tip.size)?;
            let Some((fold, size)) = not_level else {
                let look_back = self.shared.look_back.as_ref();
                return Ok(read(&Point {
                    tip,
                    heads,
                    views,
                    look_back,
                }));
            };
            drop(views);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotNow::NotLevel(why_not_level(&tip, fold, size)));
            }
            let waited = self
                .shared
                .turned
                .wait_timeout_while(self.held(), left, |held| held.turns == turns);
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn views(&self, folds: &[&'static str]) -> Result<Views<'_>, StoreFault> {
        let stores = self.shared.stores.iter();
        stores
            .filter(|(name, _)| folds.contains(name))
            .map(|(name, store)| Ok((*name, store.view()?)))
            .collect()
    }
}

fn first_not_level(
    views: &Views<'_>,
    size: u64,
) -> Result<Option<(&'static str, u64)>, StoreFault> {
    for (name, view) in views {
        let cursor = engine::cursor(view.as_ref())?;
        if cursor.size != size {
            return Ok(Some((name, cursor.size)));
        }
    }
    Ok(None)
}

fn why_not_level(tip: &Tip, fold: &str, size: u64) -> String {
    format!(
        "the fold {fold} stands at {size} of {}: ask again",
        tip.size
    )
}
