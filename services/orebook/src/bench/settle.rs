//! How long the books take for one block of a large pool: its window, its postings, its digest, the commit.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use orebook_ledger::admit::Trust;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::SegmentStore;
use orebook_replay::engine::Engine;
use orebook_replay::folds::money::{self, Money};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::work::{BlockFound, BlockState, BlockStatus};
use orebook_schema::{At, Event, FRAME_EVENTS_MAX, Hash, Kind};

use super::ground::{ARCHIVE, LEDGER, failed};
use super::sim::{HOUSE_MS, People, Sim, WORK};
use super::{Milli, Point, Size};
use crate::{Failure, say};

/// What the chain pays, base units; fees among it.
const VALUE: u128 = 315_500_000;
const FEES: u128 = 3_000_000;
/// The block's height.
const HEIGHT: u64 = 900_000;

/// A ledger with one block at its end.
struct Book {
    store: SegmentStore<RealDisk>,
    block: Hash,
    /// Accounts that have shares.
    accounts: u32,
    /// Shares in the block's window: all.
    shares: u64,
    /// Positions before the settler's words, after its first one, and all.
    sizes: [u64; 3],
}

impl Book {
    fn make(dir: &Path, people: People, frames: u64) -> Result<Self, Failure> {
        say(&format!(
            "  writing a ledger of {} rigs, {frames} frames",
            people.rigs
        ));
        let mut sim = Sim::open_for(dir, 65_536, people)?;
        let count = FRAME_EVENTS_MAX as u64;
        for _ in 0..frames {
            let now = sim.now();
            sim.say_shares((0..count).map(|share| now + share * HOUSE_MS / count))?;
            sim.cut()?;
            sim.turn()?;
        }
        let found = BlockFound {
            hash: Hash::of(&[b"block"]),
            height: HEIGHT,
            coinbase_txid: Hash::of(&[b"coinbase"]),
            header: vec![0; 80],
        };
        sim.say_block(&found)?;
        sim.settle()?;
        let before = sim.final_size();
        let mut status = BlockStatus {
            hash: found.hash,
            expects: At::default(),
            state: BlockState::Immature,
            height: HEIGHT,
            value: VALUE,
            fees: FEES,
        };
        let said = sim.settler_says(&Event::BlockStatus(status), (0, Hash::ZERO))?;
        let first = settled_at(&mut sim, before)?;
        status.state = BlockState::Confirmed;
        status.expects = At {
            position: first,
            index: 0,
        };
        sim.settler_says(&Event::BlockStatus(status), (1, said))?;
        let second = settled_at(&mut sim, first + 1)?;
        let shares = sim.shares();
        drop(sim);
        let disk = RealDisk::new(dir.to_path_buf());
        let opened = SegmentStore::open_read_only(disk, &format!("{ARCHIVE}/segments"), LEDGER, 0);
        let (store, _) = opened.map_err(|error| failed("the ledger", error))?;
        Ok(Self {
            store,
            block: found.hash,
            accounts: people.rigs / people.rigs_an_account.max(1),
            shares,
            sizes: [before, first + 1, second + 1],
        })
    }

    /// Milliseconds of processing for the first status (window, postings) and for the second (the move to available), each
    /// with digest and commit.
    fn settle(&self) -> Result<(u64, u64), Failure> {
        let store = Arc::new(MemoryStore::default());
        let rows: Arc<dyn Store> = store.clone();
        let [before, first, second] = self.sizes;
        let wrong = |error: &dyn std::fmt::Display| failed("replay", error).found();
        let opened = Engine::open(
            LEDGER,
            vec![(Box::new(Money), rows)],
            Trust::CheckedBefore,
            &self.store,
            second,
        );
        let mut engine = opened.map_err(|error| wrong(&error))?;
        let mut until = |below: u64| {
            let start = Instant::now();
            let done = engine.advance(&self.store, below, u64::MAX, &mut |_| {});
            done.map_err(|error| wrong(&error))?;
            if engine.size() != below {
                return Err(wrong(&"it stopped"));
            }
            Ok(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
        };
        until(before)?;
        let took = (until(first)?, until(second)?);
        self.check(store.as_ref())?;
        Ok(took)
    }

    /// Every account has its part, the window had every share, and the parts are the reward less the fee; that debits are
    /// credits the fold asserts itself.
    fn check(&self, store: &dyn Store) -> Result<(), Failure> {
        let lost = |error: &dyn std::fmt::Display| failed("rows", error).found();
        let view = store.view().map_err(|error| lost(&error))?;
        let block = money::block(view.as_ref(), &self.block).map_err(|error| lost(&error))?;
        let block = block.ok_or_else(|| lost(&"the block is unknown"))?;
        let credits = money::credits_of_block(view.as_ref(), block.at);
        let credits = credits.map_err(|error| lost(&error))?;
        let work = u128::from(self.shares) * u128::from(WORK);
        let paid: u128 = credits.iter().map(|credit| credit.amount).sum();
        let all = VALUE * money::SUB_UNITS;
        let fee = all / 100;
        let off = (all - fee).abs_diff(paid);
        // Each part is rounded down to a sub-unit.
        if block.weights == Some(work)
            && credits.len() as u64 == u64::from(self.accounts)
            && off <= u128::from(self.accounts) + 1
        {
            return Ok(());
        }
        let found = format!(
            "{} accounts have {paid} of {all}, by weights {:?} of {work}",
            credits.len(),
            block.weights
        );
        Err(Failure::new(found).found())
    }
}

/// Position of the settler's frame, once it is final.
pub(super) fn settled_at(sim: &mut Sim, from: u64) -> Result<u64, Failure> {
    sim.settle()?;
    for position in from..sim.final_size() {
        let stored = sim.store().read(position);
        let stored = stored.map_err(|error| failed("the ledger", error))?;
        let kinds = stored.map_or(0, |stored| stored.frame.header().kinds);
        if kinds & Kind::BlockStatus.bit() != 0 {
            return Ok(position);
        }
    }
    Err(Failure::new("what the settler said is not final").found())
}

/// `settle_100k_accounts`.
pub(super) fn run(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let people = People {
        rigs: size.of(100_000, 500),
        rigs_an_account: 1,
    };
    let book = Book::make(dir, people, size.of(10_000, 20))?;
    let point = |_| {
        let (first, second) = book.settle()?;
        say(&format!("  {first} us, then {second} us"));
        Ok(Point {
            part: "time",
            value: Milli::ratio(u128::from(first), 1_000_000),
            extra: vec![
                (
                    "regime",
                    "\"one thread, rows in memory, files in the page cache, not pinned\""
                        .to_owned(),
                ),
                ("accounts", book.accounts.to_string()),
                ("window_shares", book.shares.to_string()),
                ("first_us", first.to_string()),
                ("confirmed_us", second.to_string()),
            ],
        })
    };
    (0..runs).map(point).collect()
}
