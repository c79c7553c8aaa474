//! The feed: a thread that gives final positions to the engine, and says where the projections stand.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orebook_ledger::admit::Trust;
use orebook_ledger::authority::Authority;
use orebook_ledger::disk::Disk;
use orebook_ledger::reader::Reader;
use orebook_replay::engine::{self, Engine, EngineError, SharedReader};
use orebook_replay::fold::Fold;
use orebook_replay::folds::money::payouts;
use orebook_replay::store::Store;
use orebook_schema::{Hash, LedgerId};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::books::{Books, Tip};
use crate::folds::MONEY;
use crate::metrics::{Metrics, Summary};

/// Positions applied and committed in one turn while the ledger is near.
const POSITIONS_A_TURN: u64 = 256;
/// Most positions of a turn while the ledger is far ahead: a commit writes each row once, however many frames changed it.
const POSITIONS_A_TURN_MAX: u64 = 4_096;
/// A turn that took longer is followed by a shorter one. The API is so much older than it could be while it catches up, and a
/// process that is asked to end goes on so long.
const TURN_MAX: Duration = Duration::from_secs(4);
/// How often the feed looks for new final positions.
const LOOK: Duration = Duration::from_millis(25);
/// Pause while the ledger's files do not give what they should.
const PAUSE: Duration = Duration::from_millis(500);

/// What a thread calls when the process must end, with the reason in words.
pub type Fatal = Arc<dyn Fn(&str) + Send + Sync>;

/// A fold with the store of its rows.
pub type Member = (Box<dyn Fold + Send>, Arc<dyn Store>);

/// Running projections. Dropped, they end at the next turn; [`Projector::stop`] waits for that.
#[derive(Debug)]
pub struct Projector {
    books: Books,
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

struct Feed<D: Disk> {
    reader: Arc<Mutex<Reader<D>>>,
    source: SharedReader<D>,
    books: Books,
    figures: Figures,
}

#[derive(Clone, Debug)]
struct Figures {
    size: Gauge,
    head: Gauge,
    final_size: Gauge,
    stopped: Gauge,
    waits: Counter,
    turn: Arc<Summary>,
}

impl Figures {
    fn new(metrics: &Metrics) -> Self {
        let turn = metrics.summary(
            "orebook_projector_turn_seconds",
            "Time to apply and commit up to 256 positions, 4,096 while it catches up",
            "step",
            &["apply"],
        );
        let figures = Self {
            size: Gauge::default(),
            head: Gauge::default(),
            final_size: Gauge::default(),
            stopped: Gauge::default(),
            waits: Counter::default(),
            turn,
        };
        metrics.register(|registry| {
            let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
                registry.register(name, help, gauge.clone());
            };
            gauge(
                "orebook_projector_size",
                "Positions applied by every fold",
                &figures.size,
            );
            gauge(
                "orebook_projector_head",
                "Positions admitted, provisional ones included",
                &figures.head,
            );
            gauge(
                "orebook_projector_final",
                "Positions that are final",
                &figures.final_size,
            );
            gauge(
                "orebook_projector_folds_stopped",
                "Folds that cannot go on in this process",
                &figures.stopped,
            );
            registry.register(
                "orebook_projector_waits",
                "Turns that ended because the ledger's files did not give a position",
                figures.waits.clone(),
            );
        });
        figures
    }
}

fn shown(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Projector {
    /// Starts the feed: `members` are the folds with their stores, `reader` is the process's mirror, which is locked for
    /// one batch of frames at a time. `fatal` is called once if the projections cannot go on in this process.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start<D: Disk + Clone + Send + 'static>(
        ledger: LedgerId,
        members: Vec<Member>,
        reader: Arc<Mutex<Reader<D>>>,
        metrics: &Metrics,
        fatal: Fatal,
    ) -> std::io::Result<Self> {
        let stores = members
            .iter()
            .map(|(fold, store)| (fold.name(), store.clone()));
        let books = Books::new(stores.collect());
        let (stop, stopped) = sync_channel(1);
        let feed = Feed {
            source: SharedReader(reader.clone()),
            reader,
            books: books.clone(),
            figures: Figures::new(metrics),
        };
        let thread = std::thread::Builder::new()
            .name("projector".to_owned())
            .spawn(move || {
                if let Err(error) = feed.run(ledger, members, &stopped) {
                    tracing::error!(%error, "the projections cannot go on");
                    fatal(&format!("projector: {error}"));
                }
            })?;
        Ok(Self {
            books,
            stop,
            thread,
        })
    }

    /// The projections, for readers.
    #[must_use]
    pub fn books(&self) -> Books {
        self.books.clone()
    }

    /// Ends the feed after the turn in hand, and waits for it.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        // The feed ends when nobody can tell it anything any more.
        drop(self.stop);
        self.thread.join()
    }
}

/// Waits; true if the feed is to end.
fn told_to_stop(stopped: &Receiver<()>, wait: Duration) -> bool {
    !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

/// Says so if a store is ahead of what the ledger gives: after a power loss the ledger is read from the log again first.
fn ahead_of(members: &[Member], below: u64) -> Result<Option<String>, EngineError> {
    for (fold, store) in members {
        let name = fold.name();
        let cursor = store.view().and_then(|view| engine::cursor(view.as_ref()));
        let cursor = cursor.map_err(|fault| EngineError::Store { fold: name, fault })?;
        if below < cursor.size {
            let size = cursor.size;
            return Ok(Some(format!(
                "{name} stands at {size}, the ledger gives {below} final positions"
            )));
        }
    }
    Ok(None)
}

/// How many positions the next turn may take, by how long the one before took; the fewest once the ledger was reached.
fn positions_next(positions: u64, took: Duration, more: bool) -> u64 {
    let next = if !more {
        POSITIONS_A_TURN
    } else if TURN_MAX < took {
        positions / 2
    } else if took < TURN_MAX / 2 {
        positions.saturating_mul(2)
    } else {
        positions
    };
    next.clamp(POSITIONS_A_TURN, POSITIONS_A_TURN_MAX)
}

impl<D: Disk + Clone> Feed<D> {
    fn lock(&self) -> MutexGuard<'_, Reader<D>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(
        &self,
        ledger: LedgerId,
        members: Vec<Member>,
        stopped: &Receiver<()>,
    ) -> Result<(), EngineError> {
        let mut below = self.look();
        while let Some(why) = ahead_of(&members, below)? {
            if self.books.set_waits_for(Some(why.clone())) {
                tracing::info!(why, "the projections wait for the ledger");
            }
            if told_to_stop(stopped, PAUSE) {
                return Ok(());
            }
            below = self.look();
        }
        let trust = Trust::CheckedBefore;
        let mut engine = Engine::open(ledger, members, trust, &self.source, below)?;
        self.say(&engine);
        let mut wait = Duration::ZERO;
        let mut positions = POSITIONS_A_TURN;
        while !told_to_stop(stopped, wait) {
            let start = Instant::now();
            wait = self.turn(&mut engine, positions)?;
            positions = positions_next(positions, start.elapsed(), wait.is_zero());
        }
        Ok(())
    }

    /// How far the ledger is; returns its final size.
    fn look(&self) -> u64 {
        let reader = self.lock();
        let (head, final_size) = (reader.head().size(), reader.final_size());
        let root = reader.head().root();
        drop(reader);
        self.books.set_heads(head, root, final_size);
        self.figures.head.set(shown(head));
        self.figures.final_size.set(shown(final_size));
        final_size
    }

    /// One turn of at most so many positions; returns how long to wait before the next.
    fn turn(&self, engine: &mut Engine, positions_max: u64) -> Result<Duration, EngineError> {
        let below = self.look();
        if below <= engine.size() {
            return Ok(LOOK);
        }
        let start = Instant::now();
        let advanced = engine.advance(&self.source, below, positions_max, &mut |_| {});
        self.figures.turn.record("apply", start.elapsed());
        match advanced {
            Ok(_) => {
                self.say(engine);
                self.books.set_waits_for(None);
                Ok(Duration::ZERO)
            }
            Err(EngineError::Waits(why)) => {
                self.figures.waits.inc();
                if self.books.set_waits_for(Some(why.to_string())) {
                    tracing::warn!(%why, "the projections wait");
                }
                Ok(PAUSE)
            }
            Err(error) => Err(error),
        }
    }

    fn say(&self, engine: &Engine) {
        let state = engine.state();
        let authority = state.authority();
        let closed = state.streams().filter(|(_, stream)| stream.closed).count();
        let all = state.streams().count();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let policy = authority.and_then(|authority| {
            let (at, policy) = authority.newest_policy();
            Some((at, policy?.policy.clone()))
        });
        let before = self.books.tip();
        let stops: Vec<_> = engine
            .stops()
            .map(|(name, stop)| (name, stop.to_string()))
            .collect();
        if before.is_none_or(|before| before.stops.len() < stops.len()) {
            for (fold, why) in &stops {
                tracing::error!(fold, why, "a fold stopped; the others go on");
            }
        }
        self.figures.size.set(shown(state.size()));
        self.figures.stopped.set(shown(count(stops.len())));
        self.books.set_tip(Tip {
            size: state.size(),
            root: state.root(),
            ledger_time: state.ledger_time(),
            genesis: authority.map(|authority| Arc::new(authority.genesis().clone())),
            policy,
            asked: asked(authority, &self.books),
            streams_open: count(all.saturating_sub(closed)),
            streams_closed: count(closed),
            stops,
        });
    }
}

/// Approvals of the batches that wait for some: rows have what is needed, the ledger's authority what was said.
fn asked(authority: Option<&Authority>, books: &Books) -> Vec<(Hash, u64)> {
    let (Some(authority), Some(Ok(view))) = (authority, books.newest(MONEY)) else {
        return Vec::new();
    };
    // What cannot be read now is said by the first question that reads it.
    let wallets = payouts::wallets(view.as_ref()).unwrap_or_default();
    let newest = wallets.iter().filter_map(|wallet| {
        let batch = wallet.batches.checked_sub(1)?;
        payouts::batch(view.as_ref(), wallet.wallet, batch).ok()?
    });
    let waits = newest.filter(|batch| batch.approved.is_none());
    let asked = waits.map(|batch| {
        let had = authority.approved_by(&batch.digest).count();
        (batch.digest, u64::try_from(had).unwrap_or(u64::MAX))
    });
    asked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_grow_while_they_are_short_and_the_ledger_is_far() {
        let (half, whole, ms) = (TURN_MAX / 2, TURN_MAX, Duration::from_millis(1));
        let table = [
            (256, ms, true, 512),
            (256, half, true, 256),
            (256, whole + ms, true, 256),
            (2_048, half - ms, true, 4_096),
            (2_048, whole, true, 2_048),
            (2_048, whole + ms, true, 1_024),
            (4_096, ms, true, 4_096),
            (4_096, ms, false, 256),
        ];
        for (positions, took, more, next) in table {
            assert_eq!(
                positions_next(positions, took, more),
                next,
                "{positions} in {took:?}"
            );
        }
    }
}
