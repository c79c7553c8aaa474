//! Wherever an engine stops, it goes on to the same rows and digests.

use std::sync::Arc;

use orebook_replay::engine::{self, EngineError};
use orebook_replay::folds::money::Money;
use orebook_replay::store::{MemoryStore, Store};

use crate::ledgers::{
    Folds, Tallies, advance, busy, contents, copy, digest_of, fresh, money_on, open,
};
use crate::pool::{Pool, policy};

#[test]
fn an_engine_that_stops_at_any_position_goes_on_to_the_same_rows() {
    let pool = busy();
    let whole = contents(fresh(&pool, pool.size()).as_ref());
    assert!(40 < whole.len());
    for stop in 0..=pool.size() {
        let store = Arc::new(MemoryStore::new());
        let mut engine = open(&pool, money_on(&store));
        assert_eq!(advance(&mut engine, &pool, stop), stop);
        drop(engine);
        let mut engine = open(&pool, money_on(&store));
        assert_eq!(engine.size(), stop, "it resumes where it stopped");
        assert_eq!(advance(&mut engine, &pool, pool.size()), pool.size() - stop);
        assert!(contents(store.as_ref()) == whole, "stopped at {stop}");
    }
}

#[test]
fn one_position_at_a_time_is_the_same_as_all_at_once() {
    let pool = busy();
    let store = Arc::new(MemoryStore::new());
    let mut engine = open(&pool, money_on(&store));
    for size in 1..=pool.size() {
        let advanced = engine.advance(&pool, pool.size(), 1, &mut |_| {});
        assert_eq!(advanced, Ok(1));
        assert_eq!(engine.size(), size);
    }
    assert!(contents(store.as_ref()) == contents(fresh(&pool, pool.size()).as_ref()));
}

#[test]
fn a_fold_whose_store_was_deleted_is_rebuilt_alone() {
    let pool = busy();
    let (money, tallies) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let folds = |money: &Arc<MemoryStore>, tallies: &Arc<MemoryStore>| -> Folds {
        let (money, tallies): (Arc<dyn Store>, Arc<dyn Store>) = (money.clone(), tallies.clone());
        vec![
            (Box::new(Money), money),
            (Box::new(Tallies { version: 1 }), tallies),
        ]
    };
    let mut engine = open(&pool, folds(&money, &tallies));
    advance(&mut engine, &pool, pool.size() - 3);
    drop(engine);
    let again = Arc::new(MemoryStore::new());
    let mut engine = open(&pool, folds(&money, &again));
    assert_eq!(engine.size(), 0, "the empty one begins at genesis");
    let before = contents(money.as_ref());
    advance(&mut engine, &pool, pool.size() - 3);
    assert!(contents(money.as_ref()) == before, "the other waits");
    advance(&mut engine, &pool, pool.size());
    let sizes: Vec<u64> = engine.cursors().map(|(_, cursor)| cursor.size).collect();
    assert_eq!(sizes, [pool.size(), pool.size()]);
    assert!(contents(money.as_ref()) == contents(fresh(&pool, pool.size()).as_ref()));
    let mut alone = open(&pool, folds(&Arc::new(MemoryStore::new()), &tallies));
    advance(&mut alone, &pool, pool.size());
    assert!(contents(tallies.as_ref()) == contents(again.as_ref()));
}

#[test]
fn a_copy_of_a_store_says_what_it_is_and_goes_on_with_the_tail() {
    let pool = busy();
    let store = fresh(&pool, pool.size() - 4);
    let copied = copy(store.as_ref());
    let manifests = [&store, &copied].map(|store| {
        let view = store.view().expect("a view");
        engine::manifest(view.as_ref())
            .expect("rows")
            .expect("a manifest")
    });
    assert_eq!(manifests[0], manifests[1]);
    assert_eq!(manifests[0].fold, "money");
    assert_eq!(manifests[0].cursor.size, pool.size() - 4);
    assert!(manifests[0].digest.is_some());
    let mut engine = open(&pool, money_on(&copied));
    advance(&mut engine, &pool, pool.size());
    assert_eq!(
        digest_of(copied.as_ref()),
        digest_of(fresh(&pool, pool.size()).as_ref())
    );
    assert!(contents(copied.as_ref()) == contents(fresh(&pool, pool.size()).as_ref()));
}

#[test]
fn an_empty_store_has_no_manifest_and_stands_at_the_empty_tree() {
    let store = MemoryStore::new();
    let view = store.view().expect("a view");
    assert_eq!(engine::manifest(view.as_ref()), Ok(None));
    let cursor = engine::cursor(view.as_ref()).expect("a cursor");
    assert_eq!(
        (cursor.size, cursor.root),
        (0, orebook_schema::Hash::of(&[]))
    );
}

#[test]
fn nothing_at_or_above_the_final_size_is_applied() {
    let pool = busy();
    let store = Arc::new(MemoryStore::new());
    let mut engine = open(&pool, money_on(&store));
    assert_eq!(advance(&mut engine, &pool, 3), 3);
    assert_eq!(advance(&mut engine, &pool, 3), 0);
    assert_eq!(advance(&mut engine, &pool, 2), 0);
    assert_eq!(engine.size(), 3);
}

#[test]
fn a_ledger_shorter_than_the_store_is_waited_for() {
    let pool = busy();
    let store = fresh(&pool, pool.size());
    let opened = engine::Engine::open(
        crate::pool::LEDGER,
        money_on(&store),
        orebook_ledger::admit::Trust::Nothing,
        &pool,
        5,
    );
    assert!(matches!(opened, Err(EngineError::Waits(_))), "{opened:?}");
}

#[test]
fn a_store_of_another_fold_version_or_ledger_is_named() {
    let pool = busy();
    let store = Arc::new(MemoryStore::new());
    let open = |version, ledger| {
        let on: Arc<dyn Store> = store.clone();
        let folds: Folds = vec![(Box::new(Tallies { version }), on)];
        let trust = orebook_ledger::admit::Trust::Nothing;
        engine::Engine::open(ledger, folds, trust, &pool, pool.size())
    };
    let mut engine = open(1, crate::pool::LEDGER).expect("an empty store");
    advance(&mut engine, &pool, 4);
    for wrong in [
        open(2, crate::pool::LEDGER),
        open(1, orebook_schema::LedgerId([8; 16])),
    ] {
        assert!(
            matches!(&wrong, Err(EngineError::Other { fold: "tallies", found })
                if found.starts_with("fold tallies version 1 of ledger 09090909")),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_store_that_stands_on_another_history_is_named() {
    let pool = busy();
    let mut other = Pool::new(policy(|rules| rules.fee_ppm = 77));
    for _ in 0..10 {
        other.finalise();
    }
    let store = fresh(&other, 7);
    let opened = engine::Engine::open(
        crate::pool::LEDGER,
        money_on(&store),
        orebook_ledger::admit::Trust::Nothing,
        &pool,
        pool.size(),
    );
    // The state that is kept beside the rows is the other history's: its next frame does not fit, or its root does not.
    assert!(
        matches!(
            opened,
            Err(EngineError::Forked {
                fold: "money",
                size: 7
            } | EngineError::Damaged { .. })
        ),
        "{opened:?}"
    );
    // Also beside a fold that stands lower, and is right.
    let right = fresh(&pool, 2);
    let (right, wrong): (Arc<dyn Store>, Arc<dyn Store>) = (right, fresh(&other, 3));
    let folds: Folds = vec![(Box::new(Money), right), (Box::new(Money), wrong)];
    let mut engine = open(&pool, folds);
    let advanced = engine.advance(&pool, pool.size(), u64::MAX, &mut |_| {});
    assert_eq!(
        advanced,
        Err(EngineError::Forked {
            fold: "money",
            size: 3
        })
    );
}
