//! Segments that are missing for a while, stores that fail, folds that meet what they do not know.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use orebook_ledger::admit::{AdmitError, History, Trust};
use orebook_ledger::segment::{Record, StoredFrame};
use orebook_replay::engine::{Engine, EngineError, Source};
use orebook_replay::fold::{Backwards, FinalFrame, Fold, FoldStop};
use orebook_replay::folds::money::Money;
use orebook_replay::rows::{Rows, StoreFault, View, delete, put};
use orebook_replay::store::{Batch, MemoryStore, Store};
use orebook_schema::{At, Hash, StreamId};

use crate::ledgers::{Folds, Tallies, Tally, busy, contents, fresh, money_on, open};
use crate::pool::{GATEWAY, LEDGER, Pen, Pool, job, policy};

/// A ledger of which old frames cannot be read again below a position.
struct Thin<'p> {
    pool: &'p Pool,
    gone_below: Cell<u64>,
}

impl History for Thin<'_> {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        self.pool.header_hash(stream, first_seq)
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        self.pool.event(stream, seq)
    }
}

impl Source for Thin<'_> {
    fn records(
        &self,
        from: u64,
        below: u64,
        frames_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), FoldStop> {
        self.pool.records(from, below, frames_max, out)
    }

    fn frame(&self, position: u64) -> Result<Option<StoredFrame>, FoldStop> {
        if position < self.gone_below.get() {
            return Ok(None);
        }
        self.pool.frame(position)
    }
}

#[test]
fn a_fold_waits_for_a_missing_segment_names_it_and_goes_on() {
    let pool = busy();
    let source = Thin {
        pool: &pool,
        gone_below: Cell::new(5),
    };
    let (money, tallies) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let folds: Folds = {
        let (money, tallies): (Arc<dyn Store>, Arc<dyn Store>) = (money.clone(), tallies.clone());
        vec![
            (Box::new(Tallies { version: 1 }), tallies),
            (Box::new(Money), money),
        ]
    };
    let mut engine =
        Engine::open(LEDGER, folds, Trust::Nothing, &source, pool.size()).expect("opens");
    for _ in 0..3 {
        let waits = engine.advance(&source, pool.size(), u64::MAX, &mut |_| {});
        assert_eq!(
            waits,
            Err(EngineError::Waits(FoldStop::Missing { position: 4 }))
        );
    }
    source.gone_below.set(0);
    engine
        .advance(&source, pool.size(), u64::MAX, &mut |_| {})
        .expect("the segment came");
    assert!(contents(money.as_ref()) == contents(fresh(&pool, pool.size()).as_ref()));
    // The other fold, which had applied the frame in question before, has applied it once.
    let alone = Arc::new(MemoryStore::new());
    let on: Arc<dyn Store> = alone.clone();
    let mut engine = open(&pool, vec![(Box::new(Tallies { version: 1 }), on)]);
    engine
        .advance(&pool, pool.size(), u64::MAX, &mut |_| {})
        .expect("nothing is missing");
    assert!(contents(alone.as_ref()) == contents(tallies.as_ref()));
}

/// Writes, then stumbles over every frame a few times, before it applies it.
struct Stumbling {
    inner: Tallies,
    tries: u64,
}

impl Fold for Stumbling {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn version(&self) -> u32 {
        self.inner.version()
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        self.inner.apply(frame, rows, ledger)?;
        self.tries += 1;
        if self.tries.is_multiple_of(3) {
            return Ok(());
        }
        for kind in 0..40 {
            put(rows, &Tally { kind, times: 999 })?;
            delete::<Tally>(rows, &Tally::key_of(&(kind / 2)))?;
        }
        Err(FoldStop::Missing { position: 0 })
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        self.inner.canonical(table, key, value)
    }
}

#[test]
fn what_a_fold_wrote_before_it_stopped_is_taken_back() {
    let pool = busy();
    let replay = |fold: Box<dyn Fold + Send>| {
        let store = Arc::new(MemoryStore::new());
        let on: Arc<dyn Store> = store.clone();
        let mut engine = open(&pool, vec![(fold, on)]);
        let mut waits = 0u64;
        while engine
            .cursors()
            .any(|(_, cursor)| cursor.size < pool.size())
        {
            match engine.advance(&pool, pool.size(), u64::MAX, &mut |_| {}) {
                Ok(_) => {}
                Err(EngineError::Waits(_)) => waits += 1,
                Err(other) => panic!("{other}"),
            }
        }
        (contents(store.as_ref()), waits)
    };
    let inner = Tallies { version: 1 };
    let (stumbled, waits) = replay(Box::new(Stumbling { inner, tries: 0 }));
    assert_eq!(waits, 2 * pool.size());
    let (straight, none) = replay(Box::new(Tallies { version: 1 }));
    assert_eq!(none, 0);
    assert!(stumbled == straight);
}

/// A store that fails from a call on: reads and commits are counted.
struct Failing {
    inner: Arc<MemoryStore>,
    calls_left: AtomicU64,
}

impl Failing {
    fn call(&self) -> Result<(), StoreFault> {
        let left = self.calls_left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(StoreFault::Failed("planted".to_owned()));
        }
        self.calls_left.store(left - 1, Ordering::SeqCst);
        Ok(())
    }
}

impl Store for Failing {
    fn view(&self) -> Result<Box<dyn View + '_>, StoreFault> {
        self.call()?;
        self.inner.view()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreFault> {
        self.call()?;
        self.inner.commit(batch)
    }
}

#[test]
fn a_store_that_fails_at_any_call_loses_nothing_that_was_committed() {
    let pool = busy();
    let whole = contents(fresh(&pool, pool.size()).as_ref());
    let mut failures = 0;
    for calls in 0..200 {
        let inner = Arc::new(MemoryStore::new());
        let failing: Arc<dyn Store> = Arc::new(Failing {
            inner: inner.clone(),
            calls_left: AtomicU64::new(calls),
        });
        let folds: Folds = vec![(Box::new(Money), failing)];
        let opened = Engine::open(LEDGER, folds, Trust::Nothing, &pool, pool.size());
        let outcome = opened.and_then(|mut engine| {
            engine.keep_state_each(3);
            // Some of it in small steps, so that there are many commits.
            while engine.advance(&pool, pool.size(), 2, &mut |_| {})? != 0 {}
            Ok(())
        });
        match outcome {
            Ok(()) => {}
            Err(EngineError::Store { fold: "money", .. }) => failures += 1,
            Err(other) => panic!("{other}"),
        }
        let mut engine = open(&pool, money_on(&inner));
        engine
            .advance(&pool, pool.size(), u64::MAX, &mut |_| {})
            .expect("the store works again");
        assert!(contents(inner.as_ref()) == whole, "failed at call {calls}");
    }
    assert!(20 < failures && failures < 200, "{failures}");
}

/// A fold of a software that is older than the ledger from a position on.
struct Older {
    from: u64,
}

impl Fold for Older {
    fn name(&self) -> &'static str {
        "older"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        _rows: &mut dyn Rows,
        _ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        if frame.position < self.from {
            return Ok(());
        }
        let (what, position) = ("the scheme of tomorrow", frame.position);
        Err(FoldStop::Unknown { what, position })
    }

    fn canonical(&self, _table: u8, _key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        Ok(value.to_vec())
    }
}

#[test]
fn a_fold_that_meets_what_it_does_not_know_stops_with_a_message_and_no_other_does() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = Pen::new(GATEWAY, 1);
    for _ in 0..3 {
        let event = job(&mut pen, At::default(), 10);
        pool.say(&mut pen, &[event]);
    }
    pool.finalise();
    let from = 2;
    let (older, tallies): (Arc<dyn Store>, Arc<dyn Store>) =
        (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let folds: Folds = vec![
        (Box::new(Older { from }), older),
        (Box::new(Tallies { version: 1 }), tallies),
    ];
    let mut engine = open(&pool, folds);
    engine
        .advance(&pool, pool.size(), u64::MAX, &mut |_| {})
        .expect("the other fold goes on");
    let stops: Vec<String> = engine
        .stops()
        .map(|(name, stop)| format!("{name}: {stop}"))
        .collect();
    assert_eq!(
        stops,
        [format!(
            "older: this software does not know the scheme of tomorrow, which position {from} uses: upgrade it"
        )]
    );
    let sizes: Vec<u64> = engine.cursors().map(|(_, cursor)| cursor.size).collect();
    assert_eq!(sizes, [from, pool.size()]);
}
