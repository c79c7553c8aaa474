//! The feed: a thread that gives final positions to the engine, and says where the projections stand.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orebook_ledger::admit::Trust;
use orebook_ledger::authority::Authority;
use orebook_ledger::disk::Disk;
use orebook_ledger::reader::Reader;
use orebook_replay::engine::{self, Engine, EngineError, Past, SharedReader};
use orebook_replay::fold::Fold;
use orebook_replay::folds::money::payouts;
use orebook_replay::store::Store;
use orebook_schema::{Hash, LedgerId};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::books::{Books, Tip};
use crate::folds::MONEY;
use crate::metrics::{Metrics, Summary};

/// Positions applied in one turn: a process that is asked to end goes on so long.
const POSITIONS_A_TURN: u64 = 256;
/// Longest time between two commits while the ledger is ahead: a commit writes each row once, however many frames changed it. The
/// API is so much older than it could be while it catches up.
const UNCOMMITTED_MAX: Duration = Duration::from_secs(4);
/// Once the ledger's end is reached, commits are so many times as far apart as the last one took, and so far at most. Where a
/// million shares wait and a mirror gives them piece by piece, a commit for each piece would take most of the time; where a
/// commit takes a millisecond, nobody waits.
const COMMIT_SPACING: u32 = 4;
const COMMIT_SPACING_MAX: Duration = Duration::from_secs(1);
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
            "Time to apply up to 256 positions, and to commit what was applied",
            "step",
            &["apply", "commit"],
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
        let source = SharedReader(reader.clone());
        let past = source.clone();
        let books = Books::new(
            stores.collect(),
            Box::new(move |below, ask| ask(&Past::new(&past, below))),
        );
        let (stop, stopped) = sync_channel(1);
        let feed = Feed {
            source,
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

/// When what was applied is committed.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// When the last commit ended.
    committed: Instant,
    /// How long it took.
    took: Duration,
}

impl Pace {
    /// Whether to commit now, so long after the last one: `more` if there are positions to apply.
    fn is_due(took: Duration, since: Duration, more: bool) -> bool {
        if more {
            UNCOMMITTED_MAX <= since
        } else {
            took.saturating_mul(COMMIT_SPACING).min(COMMIT_SPACING_MAX) <= since
        }
    }
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
        let mut pace = Pace {
            committed: Instant::now(),
            took: Duration::ZERO,
        };
        let mut wait = Duration::ZERO;
        while !told_to_stop(stopped, wait) {
            wait = self.turn(&mut engine, &mut pace)?;
        }
        engine.commit()
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

    /// One turn; returns how long to wait before the next.
    fn turn(&self, engine: &mut Engine, pace: &mut Pace) -> Result<Duration, EngineError> {
        let below = self.look();
        let mut applied = Ok(0);
        if engine.size() < below {
            let start = Instant::now();
            applied = engine.apply(&self.source, below, POSITIONS_A_TURN, &mut |_| {});
            self.figures.turn.record("apply", start.elapsed());
        }
        match applied {
            Ok(_) => {
                let more = engine.size() < below;
                let due = Pace::is_due(pace.took, pace.committed.elapsed(), more);
                // A fold that was committed alone shows nothing until the others are.
                if self.is_behind(engine) && (due || !engine.is_level()) {
                    self.commit(engine, pace)?;
                }
                self.books.set_waits_for(None);
                Ok(if more { Duration::ZERO } else { LOOK })
            }
            Err(EngineError::Waits(why)) => {
                self.commit(engine, pace)?;
                self.figures.waits.inc();
                if self.books.set_waits_for(Some(why.to_string())) {
                    tracing::warn!(%why, "the projections wait");
                }
                Ok(PAUSE)
            }
            Err(error @ EngineError::Store { .. }) => Err(error),
            Err(error) => {
                self.commit(engine, pace)?;
                Err(error)
            }
        }
    }

    /// Whether something was applied that readers do not see.
    fn is_behind(&self, engine: &Engine) -> bool {
        self.books.tip().is_none_or(|tip| tip.size < engine.size())
    }

    fn commit(&self, engine: &mut Engine, pace: &mut Pace) -> Result<(), EngineError> {
        let start = Instant::now();
        engine.commit()?;
        pace.took = start.elapsed();
        pace.committed = Instant::now();
        self.figures.turn.record("commit", pace.took);
        self.say(engine);
        Ok(())
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
    fn commits_take_a_fifth_of_the_time_at_the_end_and_less_before_it() {
        let (ms, second) = (Duration::from_millis(1), Duration::from_secs(1));
        let table = [
            // How long the last one took, how long ago, whether there is more: whether it is due.
            (ms, 3 * ms, false, false),
            (ms, 4 * ms, false, true),
            (Duration::ZERO, Duration::ZERO, false, true),
            (100 * ms, 399 * ms, false, false),
            (100 * ms, 400 * ms, false, true),
            (second, 999 * ms, false, false),
            (second, second, false, true),
            (ms, UNCOMMITTED_MAX - ms, true, false),
            (ms, UNCOMMITTED_MAX, true, true),
        ];
        for (took, since, more, due) in table {
            let found = Pace::is_due(took, since, more);
            assert_eq!(found, due, "{took:?} long, {since:?} ago, more: {more}");
        }
    }
}
