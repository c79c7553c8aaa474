//! An answer is read at one position, also while folds stand apart: their commits come one after another.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../../../replay/store/tests/world/mod.rs"]
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use orebook_projector::{Member, Metrics, NotNow, Projector, folds};
use orebook_replay::engine;
use orebook_replay::rows::{StoreFault, View};
use orebook_replay::store::{Batch, MemoryStore, Store};

use world::{LEDGER, small_ledger};

/// Longest wait for another thread.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store whose commits wait while its gate is closed, and that counts the views taken.
#[derive(Default)]
struct Gated {
    rows: MemoryStore,
    is_closed: Mutex<bool>,
    opened: Condvar,
    views: AtomicUsize,
}

impl Gated {
    fn close(&self, closed: bool) {
        *self.is_closed.lock().expect("nobody panicked") = closed;
        self.opened.notify_all();
    }
}

impl Store for Gated {
    fn view(&self) -> Result<Box<dyn View + '_>, StoreFault> {
        self.views.fetch_add(1, Ordering::SeqCst);
        self.rows.view()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreFault> {
        let closed = self.is_closed.lock().expect("nobody panicked");
        let waited = self.opened.wait_while(closed, |closed| *closed);
        drop(waited.expect("nobody panicked"));
        self.rows.commit(batch)
    }
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn size(store: &dyn Store) -> u64 {
    let view = store.view().expect("a view");
    engine::cursor(view.as_ref()).expect("a cursor").size
}

#[test]
fn a_reader_waits_for_folds_that_stand_apart_and_sees_one_position() {
    let mut world = small_ledger();
    let before = world.lock().final_size();
    let gated = Arc::new(Gated::default());
    let money = Arc::new(MemoryStore::new());
    let members = folds().into_iter().map(|fold| -> Member {
        let store: Arc<dyn Store> = match fold.name() {
            "money" => money.clone(),
            "workers" => gated.clone(),
            _ => Arc::new(MemoryStore::new()),
        };
        (fold, store)
    });
    let fatal = Arc::new(|why: &str| panic!("fatal: {why}"));
    let reader = world.reader.clone();
    let projector = Projector::start(LEDGER, members.collect(), reader, &Metrics::new(), fatal);
    let projector = projector.expect("a thread");
    let books = projector.books();
    wait_until("it begins", || {
        books.tip().is_some_and(|tip| tip.size == before)
    });

    gated.close(true);
    world.clock += 60_000;
    world.finalise();
    let after = world.lock().final_size();
    assert!(before < after);
    wait_until("money goes ahead", || size(money.as_ref()) == after);
    assert_eq!(size(gated.as_ref()), before, "and workers cannot follow");

    // The feed waits at the gate, so that the next view of `workers` is the reader's.
    let views = gated.views.load(Ordering::SeqCst);
    let asked = books.clone();
    let answer = std::thread::spawn(move || {
        loop {
            let answer = asked.read(&["money", "workers"], |point| {
                let at = |fold| engine::cursor(point.view(fold)).expect("a cursor").size;
                (point.tip.size, at("money"), at("workers"))
            });
            // On a busy machine the gate may open later than a reader waits; then it asks again, as a client would.
            if !matches!(answer, Err(NotNow::NotLevel(_))) {
                return answer;
            }
        }
    });
    wait_until("the reader looks", || {
        views < gated.views.load(Ordering::SeqCst)
    });
    gated.close(false);
    let answer = answer.join().expect("a reader");
    assert_eq!(answer, Ok((after, after, after)));
    projector.stop().expect("the feed ends");
}
