//! How fast a ledger is read again: all of it, by its summaries, and with every fold.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orebook_ledger::admit::Trust;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{SegmentStore, verify_files};
use orebook_replay::engine::{Engine, Past, Source};
use orebook_replay::fold::{Backwards, Fold, FrameSummary};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::{FRAME_EVENTS_MAX, Hash, Kind};

use super::ground::{ARCHIVE, LEDGER, POT, WORKERS, failed};
use super::process::cpu_ns;
use super::sim::{HOUSE_MS, Sim, WORK};
use super::{Milli, Point, Size};
use crate::cat::Object;
use crate::{Failure, say};

/// Frames of 1,000 shares each.
const FRAMES: u64 = 2_000;
/// Frames of the ledger that is folded: as `projector_catchup` has.
const FRAMES_FOLDED: u64 = 4_000;
/// Positions between two commits of the engine.
const POSITIONS_A_TURN: u64 = 4_096;
/// Positions that are replayed with every fold too: the beginning, where every rig has its first shares, which make rows.
const FIRST_POSITIONS: u64 = 400;
/// A run goes over the ledger so long at least, again and again.
const RUN_MIN: Duration = Duration::from_secs(2);

/// A ledger on disk.
struct Book {
    store: SegmentStore<RealDisk>,
    disk: RealDisk,
    final_size: u64,
    root: Hash,
    shares: u64,
    bytes: u64,
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Repeats until a run is long enough; shares a second.
fn rate(shares: u64, mut once: impl FnMut() -> Result<(), Failure>) -> Result<Milli, Failure> {
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < RUN_MIN {
        once()?;
        rounds += 1;
    }
    Ok(Milli::per_second(shares * rounds, nanos(start)))
}

impl Book {
    fn make(dir: &Path, frames: u64) -> Result<Self, Failure> {
        say(&format!("  writing a ledger of {frames} frames"));
        let mut sim = Sim::open(dir, 65_536)?;
        for _ in 0..frames {
            let now = sim.now();
            let count = FRAME_EVENTS_MAX as u64;
            sim.say_shares((0..count).map(|share| now + share * HOUSE_MS / count))?;
            sim.cut()?;
            sim.turn()?;
        }
        sim.settle()?;
        let (final_size, shares) = (sim.final_size(), sim.shares());
        drop(sim);
        let disk = RealDisk::new(dir.to_path_buf());
        let segments = format!("{ARCHIVE}/segments");
        let verified = verify_files(&disk, &segments, Some(LEDGER), &mut |_| {})
            .map_err(|fault| failed("the ledger", fault).found())?;
        if verified.shares != shares || verified.final_size < final_size {
            return Err(Failure::new(format!("{shares} shares were said: {verified:?}")).found());
        }
        let opened = SegmentStore::open_read_only(disk.clone(), &segments, LEDGER, 0);
        let (store, _) = opened.map_err(|error| failed("the ledger", error))?;
        Ok(Self {
            store,
            disk,
            final_size: verified.positions,
            root: verified.root,
            shares,
            bytes: verified.bytes,
        })
    }

    /// Positions below `below` through the engine with these folds.
    fn replay(
        &self,
        below: u64,
        folds: Vec<(Box<dyn Fold + Send>, Arc<dyn Store>)>,
        trust: Trust,
    ) -> Result<(), Failure> {
        let opened = Engine::open(LEDGER, folds, trust, &self.store, below);
        let mut engine = opened.map_err(|error| failed("replay", error).found())?;
        while engine.size() < below {
            engine
                .advance(&self.store, below, POSITIONS_A_TURN, &mut |_| {})
                .map_err(|error| failed("replay", error).found())?;
        }
        let differs = below == self.final_size && engine.state().root() != self.root;
        if differs || engine.stops().next().is_some() {
            return Err(Failure::new("the replay does not end where the ledger does").found());
        }
        Ok(())
    }

    /// The same with every fold alone and with all at once, rows in memory, for the positions below `below`: shares a second.
    fn replay_folded(&self, below: u64) -> Result<String, Failure> {
        let below = below.min(self.final_size);
        let mut shares = 0;
        for position in 0..below {
            let stored = Source::frame(&self.store, position)
                .map_err(|error| failed("the ledger", error))?;
            let events = stored.iter().flat_map(|stored| stored.frame.events());
            let is_share = |kind: u8| kind == Kind::Share as u8;
            shares += events
                .map_while(Result::ok)
                .filter(|event| is_share(event.kind))
                .count() as u64;
        }
        let mut object = Object::new();
        for fold in orebook_projector::folds() {
            let name = fold.name();
            let only = || folds().into_iter().filter(|(fold, _)| fold.name() == name);
            object.raw(
                name,
                rate(shares, || {
                    self.replay(below, only().collect(), Trust::Nothing)
                })?,
            );
        }
        object.raw(
            "all",
            rate(shares, || self.replay(below, folds(), Trust::Nothing))?,
        );
        Ok(object.end())
    }

    fn verify(&self) -> Result<(), Failure> {
        let segments = format!("{ARCHIVE}/segments");
        verify_files(&self.disk, &segments, Some(LEDGER), &mut |_| {})
            .map(|_| ())
            .map_err(|fault| failed("the ledger", fault).found())
    }

    /// What the PPLNS window does with frames that lie within it, by the same call: no body is read, each header is checked
    /// by the one after it, each summary by its header.
    fn sum_up(&self) -> Result<(), Failure> {
        let past = Past::new(&self.store, self.final_size);
        let mut work = vec![0_u128; usize::try_from(WORKERS).unwrap_or(0)];
        let mut frame = FrameSummary::new();
        for position in (0..self.final_size).rev() {
            let wrong = |what: &str| failed(&format!("position {position}"), what).found();
            past.summary(position, &mut frame)
                .map_err(|error| wrong(&error.to_string()))?;
            let pot = frame.summary.pots.iter().find(|pot| pot.pot == POT);
            for row in pot.iter().flat_map(|pot| &pot.rows) {
                let place = usize::try_from(row.worker).unwrap_or(usize::MAX);
                match work.get_mut(place) {
                    Some(sum) => *sum += row.credit,
                    None => return Err(wrong("a worker that was not announced")),
                }
            }
        }
        if work.iter().sum::<u128>() == u128::from(self.shares) * u128::from(WORK) {
            Ok(())
        } else {
            Err(Failure::new("the summaries are not worth what the shares are").found())
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("shares", self.shares.to_string()),
            ("positions", self.final_size.to_string()),
            ("segment_bytes", self.bytes.to_string()),
        ]
    }
}

fn folds() -> Vec<(Box<dyn Fold + Send>, Arc<dyn Store>)> {
    let in_memory = |fold| {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        (fold, store)
    };
    orebook_projector::folds()
        .into_iter()
        .map(in_memory)
        .collect()
}

/// `replay_full`.
pub(super) fn full(dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let book = Book::make(dir, FRAMES)?;
    let with_folds = book.replay_folded(FIRST_POSITIONS)?;
    let all_with_folds = book.replay_folded(book.final_size)?;
    let point = |_| {
        let value = rate(book.shares, || {
            book.replay(book.final_size, Vec::new(), Trust::Nothing)
        })?;
        let verify = rate(book.shares, || book.verify())?;
        say(&format!("  {value} shares/s"));
        let mut extra = book.facts();
        let regime = "\"one thread, files in the page cache, not pinned\"";
        extra.push(("regime", regime.to_owned()));
        extra.push(("ledger_verify_shares_per_second", verify.to_string()));
        extra.push(("with_fold_shares_per_second", with_folds.clone()));
        let whole = "with_fold_whole_ledger_shares_per_second";
        extra.push((whole, all_with_folds.clone()));
        Ok(Point {
            part: "rate",
            value,
            extra,
        })
    };
    (0..runs).map(point).collect()
}

/// `replay_summaries`.
pub(super) fn summaries(dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let book = Book::make(dir, FRAMES)?;
    let point = |_| {
        let value = rate(book.shares, || book.sum_up())?;
        say(&format!("  {value} shares/s"));
        let mut extra = book.facts();
        let regime = "\"one thread, files in the page cache, not pinned; bodies are not read\"";
        extra.push(("regime", regime.to_owned()));
        Ok(Point {
            part: "rate",
            value,
            extra,
        })
    };
    (0..runs).map(point).collect()
}

/// `replay_folds`.
pub(super) fn folded(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let book = Book::make(dir, size.of(FRAMES_FOLDED, 40))?;
    let own = std::process::id();
    let point = |_| {
        let (start, before) = (Instant::now(), cpu_ns(own)?);
        book.replay(book.final_size, folds(), Trust::CheckedBefore)?;
        let (took, cost) = (nanos(start), cpu_ns(own)? - before);
        let value = Milli::per_second(book.shares, cost);
        say(&format!("  {value} shares/s"));
        let mut extra = book.facts();
        let regime = "\"one thread, files in the page cache, not pinned; signatures on trust, as a projector has it\"";
        extra.push(("regime", regime.to_owned()));
        let by_clock = Milli::per_second(book.shares, took);
        extra.push(("shares_per_second_by_clock", by_clock.to_string()));
        Ok(Point {
            part: "rate",
            value,
            extra,
        })
    };
    (0..runs).map(point).collect()
}
