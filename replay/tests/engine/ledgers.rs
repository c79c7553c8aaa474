//! A ledger with something of everything, and folds for tests.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use orebook_ledger::admit::Trust;
use orebook_replay::engine::Engine;
use orebook_replay::fold::{Backwards, FinalFrame, Fold, FoldStop};
use orebook_replay::folds::money::Money;
use orebook_replay::rows::{ENGINE_TABLES, Order, Rows, Span, StoreFault, get, put};
use orebook_replay::store::{MemoryStore, Store};
use orebook_replay::{canonical_of, row};
use orebook_schema::work::{BlockState, Share};
use orebook_schema::{At, Event, Hash};

use crate::pool::{
    GATEWAY, LEDGER, PPLNS, Pen, Pool, SOLO, block_found, block_status, genesis, hash, job, moved,
    policy, share, worker,
};

row! {
    /// Events by kind.
    pub(crate) struct Tally in table 1 {
        key {
            /// Kind byte.
            kind: u8,
        }
        value {
            /// How many.
            times: u64,
        }
    }
}

/// Counts events by kind; another fold beside `money`.
pub(crate) struct Tallies {
    pub(crate) version: u32,
}

impl Fold for Tallies {
    fn name(&self) -> &'static str {
        "tallies"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        _ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        for (_, _, event) in frame.events() {
            let kind = event.kind() as u8;
            let before: Option<Tally> = get(&*rows, &Tally::key_of(&kind))?;
            let times = before.map_or(0, |row| row.times) + 1;
            put(rows, &Tally { kind, times })?;
        }
        Ok(())
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(table, key, value; Tally)
    }
}

/// Two gateways, a restart, a stream that is given up by a fork, moved shares, blocks in every state.
pub(crate) fn busy() -> Pool {
    let mut genesis = genesis(policy(|rules| {
        (rules.fee_ppm, rules.bonus_ppm, rules.stale_ppm) = (10_000, 5_000, 500_000);
    }));
    genesis.segment_positions = 4;
    let mut pool = Pool::of(&genesis);
    let (mut one, mut two) = (Pen::new(GATEWAY, 1), Pen::new(GATEWAY + 1, 2));
    for (pen, names) in [(&mut one, ["anna", "ben"]), (&mut two, ["ben", "carl"])] {
        let events = [
            worker(pen, names[0], "rig", PPLNS),
            worker(pen, names[1], "rig", PPLNS),
            worker(pen, "solo", "rig", SOLO),
            job(pen, At::default(), 500),
        ];
        pool.say(pen, &events);
    }
    let mut nonce = 0;
    let mut shares = |pool: &mut Pool, pen: &mut Pen, works: &[(u32, u64)], block: Option<u8>| {
        let mut events = Vec::new();
        for (worker, work) in works {
            nonce += 1;
            let mut share = share(*worker, pen.jobs - 1, *work, nonce);
            share.stale = nonce % 5 == 0;
            events.push(Event::Share(share));
        }
        if let (Some(byte), Some(Event::Share(share))) = (block, events.last_mut()) {
            *share = Share {
                block: true,
                ..*share
            };
            events.push(block_found(hash(byte), u64::from(byte)));
        }
        pool.say(pen, &events)
    };
    shares(&mut pool, &mut one, &[(0, 100), (1, 40), (0, 7)], None);
    shares(&mut pool, &mut two, &[(0, 90), (1, 60)], Some(1));
    pool.finalise();
    let seen = pool.settler_says(&[status(1, At::default(), BlockState::Seen)]);
    shares(&mut pool, &mut one, &[(1, 300), (0, 100)], Some(2));
    let immature = pool.settler_says(&[status(1, seen, BlockState::Immature)]);
    pool.settler_says(&[status(2, At::default(), BlockState::Immature)]);
    two.restart();
    let events = [
        worker(&mut two, "dora", "rig", PPLNS),
        job(&mut two, At::default(), 200),
    ];
    pool.say(&mut two, &events);
    shares(&mut pool, &mut two, &[(0, 33), (0, 44)], None);
    pool.settler_says(&[status(1, immature, BlockState::Confirmed)]);
    // Another first frame in the place of gateway 1's: its stream is closed, and what it had in hand is moved.
    let clone = Pen::new(GATEWAY, 1);
    let fork = pool.cut(&clone, pool.clock, &[(0, Event::Heartbeat)]);
    pool.admit(fork).expect_err("a fork");
    let mut heir = Pen::new(GATEWAY, 3);
    let lost = Event::Share(share(0, 0, 11, 777));
    let events = [
        worker(&mut heir, "anna", "rig", PPLNS),
        job(&mut heir, At::default(), 300),
        moved(&one, one.next_seq, &lost, 0, 0),
    ];
    pool.say(&mut heir, &events);
    shares(&mut pool, &mut heir, &[(0, 10)], Some(3));
    pool.settler_says(&[status(3, At::default(), BlockState::Confirmed)]);
    pool.finalise();
    pool
}

fn status(block: u8, expects: At, state: BlockState) -> Event {
    block_status(hash(block), expects, state, 5_000, 10)
}

pub(crate) type Folds = Vec<(Box<dyn Fold + Send>, Arc<dyn Store>)>;

pub(crate) fn money_on(store: &Arc<MemoryStore>) -> Folds {
    let store: Arc<dyn Store> = store.clone();
    vec![(Box::new(Money), store)]
}

pub(crate) fn open(pool: &Pool, folds: Folds) -> Engine {
    let mut engine =
        Engine::open(LEDGER, folds, Trust::Nothing, pool, pool.size()).expect("the engine opens");
    engine.keep_state_each(4);
    engine
}

#[track_caller]
pub(crate) fn advance(engine: &mut Engine, pool: &Pool, below: u64) -> u64 {
    engine
        .advance(pool, below, u64::MAX, &mut |_| {})
        .expect("the engine goes on")
}

/// Every row of the fold, and its digests: all that must be equal, however a fold came to its position.
pub(crate) fn contents(store: &dyn Store) -> BTreeMap<(u8, Vec<u8>), Vec<u8>> {
    let view = store.view().expect("a view");
    let mut found = BTreeMap::new();
    // Cursor's row and state snapshots depend on when was committed.
    let tables = (0..ENGINE_TABLES).chain(0xf3..=0xf5);
    for table in tables {
        view.scan(table, &Span::all(), Order::Forward, &mut |key, value| {
            found.insert((table, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        })
        .expect("rows");
    }
    found
}

/// A copy of a store, as a snapshot that was handed on.
pub(crate) fn copy(store: &dyn Store) -> Arc<MemoryStore> {
    let view = store.view().expect("a view");
    let copy = Arc::new(MemoryStore::new());
    let mut batch = orebook_replay::store::Batch::new();
    for table in 0..=u8::MAX {
        view.scan(table, &Span::all(), Order::Forward, &mut |key, value| {
            batch.insert((table, key.to_vec()), Some(value.to_vec()));
            ControlFlow::Continue(())
        })
        .expect("rows");
    }
    copy.commit(&batch).expect("a copy");
    copy
}

/// A store that was brought to `below` in one go.
pub(crate) fn fresh(pool: &Pool, below: u64) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let mut engine = open(pool, money_on(&store));
    advance(&mut engine, pool, below);
    store
}

pub(crate) fn digest_of(store: &dyn Store) -> Hash {
    let view = store.view().expect("a view");
    orebook_replay::digest::from_scratch(&Money, view.as_ref()).expect("a digest")
}
