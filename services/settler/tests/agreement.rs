//! Three folds follow blocks: `money`, `blocks` and the settler's own book. Whatever settlers say, they obey the same of it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeMap;

use orebook_replay::folds::blocks::{self, Blocks};
use orebook_replay::folds::money::{self, HeightRow, Money, RefusedRow};
use orebook_replay::folds::obeyed::{Refusal, VALUE_MAX};
use orebook_replay::rows::{Order, Span, collect, get};
use orebook_replay::store::Store as _;
use orebook_schema::work::{BlockState, Share};
use orebook_schema::{At, Event, Kind};
use orebook_settler::book::{Book, Watch};
use orebook_sim::rng::Rng;

#[path = "../../../replay/tests/pool/mod.rs"]
mod pool;

use pool::{
    GATEWAY, PPLNS, Pen, Pool, block_found, block_recovered, block_status, hash, job, policy,
    replayed, share, worker,
};

const SEEDS: u64 = 40;
const WORDS: u32 = 120;
/// Few blocks at fewer heights, so that words meet.
const BLOCKS: u64 = 6;
const HEIGHTS: u64 = 3;

/// A ledger in which settlers say what they like; mostly something that was right once.
fn ledger(seed: u64) -> Pool {
    let mut rng = Rng::new(seed);
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = Pen::new(GATEWAY, 1);
    let said = [
        worker(&mut pen, "anna", "rig-1", PPLNS),
        job(&mut pen, At::default(), 1_000),
    ];
    pool.say(&mut pen, &said);
    let mut places = vec![At::default()];
    for nonce in 0..WORDS {
        let byte = u8::try_from(rng.below(BLOCKS)).expect("a byte") + 1;
        let height = rng.below(HEIGHTS);
        // One of the last places at which anything was said, or none.
        let back = usize::try_from(rng.below(4)).expect("a small number");
        let last = places.len() - 1 - back.min(places.len() - 1);
        let expects = places[if rng.chance(1, 4) { 0 } else { last }];
        match rng.below(8) {
            0 => {
                let finding = Share {
                    block: true,
                    ..share(0, 0, 10, nonce)
                };
                let events = [Event::Share(finding), block_found(hash(byte), height)];
                pool.say(&mut pen, &events);
            }
            1 | 2 => {
                places.push(pool.settler_says(&[block_recovered(hash(byte), height, expects)]))
            }
            _ => {
                let state = BlockState::ALL[usize::try_from(rng.below(5)).expect("an index")];
                let value = [0, 50, VALUE_MAX, VALUE_MAX + 1]
                    [usize::try_from(rng.below(4)).expect("an index")];
                let said = block_status(hash(byte), expects, state, value, 0);
                places.push(pool.settler_says(&[said]));
            }
        }
    }
    pool.finalise();
    pool
}

#[test]
fn money_blocks_and_the_settlers_book_obey_the_same_words() {
    let mut causes = BTreeMap::new();
    let mut obeyed = 0_u32;
    for seed in 0..SEEDS {
        let pool = ledger(seed);
        let (paid, shown, watched) = (
            replayed(&pool, Money),
            replayed(&pool, Blocks),
            replayed(&pool, Watch),
        );
        let paid = paid.view().expect("a view");
        let shown = shown.view().expect("a view");
        let book = Book::new(watched);
        for byte in 1..=u8::try_from(BLOCKS).expect("a byte") {
            let hash = hash(byte);
            let paid = money::block(paid.as_ref(), &hash).expect("rows");
            let shown = blocks::block(shown.as_ref(), &hash).expect("rows");
            let watched = book.block(hash).expect("rows");
            let paid = paid.map(|it| it.status.map(|last| (last.at, last.state, last.value)));
            let watched = watched.map(|it| it.obeyed.map(|last| (last.at, last.state, last.value)));
            let shown = shown.map(|it| {
                let last = it.state.zip(it.value);
                last.map(|(state, value)| (it.status_at, state, value))
            });
            assert_eq!(paid, shown, "seed {seed}, block {byte}");
            assert_eq!(paid, watched, "seed {seed}, block {byte}");
            obeyed += u32::from(paid.flatten().is_some());
        }
        for height in 0..HEIGHTS {
            let row: Option<HeightRow> =
                get(paid.as_ref(), &HeightRow::key_of(&height)).expect("rows");
            let watched = book.recovered_at(height).expect("rows");
            let last = row.map(|row| row.last).unwrap_or_default();
            assert_eq!(last, watched, "seed {seed}, height {height}");
        }
        let refused: Vec<RefusedRow> =
            collect(paid.as_ref(), &Span::all(), Order::Forward, usize::MAX).expect("rows");
        // A block that is found twice is refused by `money` too, and is no settler's word.
        let refused: Vec<&RefusedRow> = refused
            .iter()
            .filter(|row| kind_at(&pool, row.at) != Kind::BlockFound)
            .collect();
        for row in &refused {
            *causes
                .entry((kind_at(&pool, row.at), row.why.name()))
                .or_insert(0) += 1;
        }
        let count = |kind| {
            let of = refused.iter().filter(|row| kind_at(&pool, row.at) == kind);
            u64::try_from(of.count()).expect("a small number")
        };
        let counted = blocks::refused(shown.as_ref()).expect("rows");
        let statuses = counted.unknown + counted.statuses;
        assert_eq!(count(Kind::BlockStatus), statuses, "seed {seed}");
        assert_eq!(
            count(Kind::BlockRecovered),
            counted.recoveries,
            "seed {seed}"
        );
        let unknown = refused.iter().filter(|row| row.why == Refusal::Unknown);
        assert_eq!(unknown.count() as u64, counted.unknown, "seed {seed}");
        let all = statuses + counted.recoveries;
        assert_eq!(book.refused().expect("rows"), all, "seed {seed}");
    }
    println!("{obeyed} blocks with an obeyed status; refused: {causes:?}");
    assert!(100 < obeyed, "{obeyed} blocks with an obeyed status");
    for cause in [
        (Kind::BlockStatus, "unknown"),
        (Kind::BlockStatus, "expects"),
        (Kind::BlockStatus, "value"),
        (Kind::BlockRecovered, "expects"),
        (Kind::BlockRecovered, "known"),
    ] {
        assert!(
            10 < *causes.get(&cause).unwrap_or(&0),
            "{cause:?}: {causes:?}"
        );
    }
}

fn kind_at(pool: &Pool, at: At) -> Kind {
    use orebook_ledger::segment::Record;
    let found = pool.records.iter().find_map(|record| match record {
        Record::Frame(stored) if stored.position == at.position => {
            let raw = stored.frame.events().nth(usize::from(at.index))?;
            raw.ok()?.decode().ok().map(|event| event.kind())
        }
        _ => None,
    });
    found.expect("an event stands there")
}
