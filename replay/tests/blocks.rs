//! The fold `blocks`: who found what, and what became of it by compare and set.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use orebook_replay::folds::blocks::{self, Block, Blocks, Count, List, Refused};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::work::{BlockState, Share};
use orebook_schema::{At, Event, WorkerName};
use pool::{
    GATEWAY, PPLNS, Pen, Pool, SOLO, START, block_found, block_recovered, block_status, hash, job,
    moved, named, policy, replayed, share, worker,
};

const NONE: At = At {
    position: 0,
    index: 0,
};

fn finding(worker: u32, block: u8) -> [Event; 2] {
    let share = Share {
        block: true,
        ..share(worker, 0, 100, u32::from(block))
    };
    [
        Event::Share(share),
        block_found(hash(block), 1_000 + u64::from(block)),
    ]
}

/// Worker 0 is anna's in the PPLNS pot, worker 1 ben's in the SOLO pot.
fn pool() -> (Pool, Pen) {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = Pen::new(GATEWAY, 1);
    let said = [
        worker(&mut pen, "anna", "rig-1", PPLNS),
        worker(&mut pen, "ben", "rig-2", SOLO),
        job(&mut pen, NONE, 1_000),
    ];
    pool.say(&mut pen, &said);
    (pool, pen)
}

fn fold(pool: &mut Pool) -> std::sync::Arc<MemoryStore> {
    pool.finalise();
    replayed(pool, Blocks)
}

fn block(store: &MemoryStore, byte: u8) -> Block {
    let view = store.view().expect("a view");
    let block = blocks::block(view.as_ref(), &hash(byte)).expect("rows");
    block.expect("the block is known")
}

fn listed(store: &MemoryStore, list: List) -> Vec<u8> {
    let view = store.view().expect("a view");
    let page = blocks::page(view.as_ref(), list, None, 1_000).expect("rows");
    page.blocks.iter().map(|block| block.hash.0[0]).collect()
}

fn count(store: &MemoryStore, list: List) -> Count {
    let view = store.view().expect("a view");
    blocks::count(view.as_ref(), list).expect("rows")
}

fn refused(store: &MemoryStore) -> Refused {
    let view = store.view().expect("a view");
    blocks::refused(view.as_ref()).expect("rows")
}

#[test]
fn a_found_block_says_who_found_it_where_and_with_what_effort() {
    let (mut pool, mut pen) = pool();
    let said = [Event::Share(share(0, 0, 150, 99))];
    pool.say(&mut pen, &said);
    let [found, event] = finding(0, 0xb1);
    let at = pool.say_at(&mut pen, START + 5_000, &[(250, found), (250, event)]);
    let store = fold(&mut pool);
    let block = block(&store, 0xb1);
    let place = At {
        position: at.position,
        index: 1,
    };
    let rig = WorkerName::parse("rig-1").expect("a name");
    assert_eq!(block.at, place);
    assert_eq!(block.found_at, Some(place));
    assert_eq!(block.pot, Some(PPLNS));
    assert_eq!(block.height, 1_000 + 0xb1);
    assert_eq!(block.finder, Some((named("anna"), rig)));
    assert_eq!(block.network_work, 1_000);
    assert_eq!(block.round_shares, Some(2));
    // 150 + 100 of 1,000
    assert_eq!(block.effort, Some(250_000_000_000));
    assert_eq!((block.state, block.value, block.fees), (None, None, None));
    assert_eq!(block.status_at, NONE);
}

#[test]
fn the_time_of_a_block_is_its_gateways_within_the_day_before_ledger_time() {
    const DAY: u64 = 86_400_000;
    let now = START + 10 * DAY;
    // What the gateway's clock says: what is shown.
    let table = [
        (now - 5_000, now - 5_000),
        (now, now),
        // Five minutes ahead, less than what admission takes off.
        (now + 300_000, now),
        (now - DAY, now - DAY),
        (now - DAY - 1, now - DAY),
        (1, now - DAY),
    ];
    for (clock, shown) in table {
        let (mut pool, mut pen) = pool();
        // A frame of another producer brings ledger time to `now`.
        pool.clock = now;
        let mut other = Pen::new(GATEWAY + 1, 2);
        pool.say_at(&mut other, now, &[(0, Event::Heartbeat)]);
        pool.clock = now;
        let [found, event] = finding(0, 0xb1);
        let said = pool.say_at(&mut pen, clock, &[(0, found), (0, event)]);
        assert_eq!(said.ledger_time, now, "{clock}");
        let store = fold(&mut pool);
        assert_eq!(block(&store, 0xb1).time_ms, shown, "{clock}");
    }
}

#[test]
fn a_status_is_obeyed_iff_it_expects_the_last_obeyed_one() {
    let (mut pool, mut pen) = pool();
    let [found, event] = finding(0, 0xb1);
    pool.say(&mut pen, &[found, event]);
    let b1 = hash(0xb1);
    let status = |expects, state, value| block_status(b1, expects, state, value, 1);
    let wrong = At {
        position: 1,
        index: 0,
    };

    // Each line: what the settler says, whether it is obeyed, and state and value after it.
    let early = pool.settler_says(&[status(wrong, BlockState::Seen, 9)]);
    let seen = pool.settler_says(&[status(NONE, BlockState::Seen, 50)]);
    // A second settler, a moment later: refused, and it does not count as the last.
    let twice = pool.settler_says(&[status(NONE, BlockState::Orphaned, 51)]);
    let on_refused = pool.settler_says(&[status(twice, BlockState::Immature, 52)]);
    let immature = pool.settler_says(&[status(seen, BlockState::Immature, 53)]);
    let replay = pool.settler_says(&[status(seen, BlockState::Orphaned, 54)]);
    let confirmed = pool.settler_says(&[status(immature, BlockState::Confirmed, 55)]);
    let orphaned = pool.settler_says(&[status(confirmed, BlockState::Orphaned, 56)]);
    let back = pool.settler_says(&[status(orphaned, BlockState::Seen, 57)]);

    let table = [
        (early, None, None, NONE, 1),
        (seen, Some(BlockState::Seen), Some(50), seen, 1),
        (twice, Some(BlockState::Seen), Some(50), seen, 2),
        (on_refused, Some(BlockState::Seen), Some(50), seen, 3),
        (immature, Some(BlockState::Immature), Some(53), immature, 3),
        (replay, Some(BlockState::Immature), Some(53), immature, 4),
        (
            confirmed,
            Some(BlockState::Confirmed),
            Some(55),
            confirmed,
            4,
        ),
        (orphaned, Some(BlockState::Orphaned), Some(56), orphaned, 4),
        (back, Some(BlockState::Seen), Some(57), back, 4),
    ];
    let full = pool.clone();
    for (at, state, value, last, refusals) in table {
        let mut part = full.clone();
        part.records
            .retain(|record| record.position() <= at.position);
        let store = replayed_to(&part, at.position + 1);
        let block = block(&store, 0xb1);
        assert_eq!(block.state, state, "after {at}");
        assert_eq!(block.value, value, "after {at}");
        assert_eq!(block.status_at, last, "after {at}");
        assert_eq!(block.refused, refusals, "after {at}");
        assert_eq!(refused(&store).statuses, refusals, "after {at}");
    }
}

/// The fold over the first positions of a ledger.
fn replayed_to(pool: &Pool, below: u64) -> std::sync::Arc<MemoryStore> {
    let store = std::sync::Arc::new(MemoryStore::new());
    let mut engine = pool::opened(pool, Blocks, &store);
    let done = engine.advance(pool, below, u64::MAX, &mut |_| {});
    done.expect("the ledger is replayed");
    store
}

#[test]
fn statuses_of_blocks_that_nobody_named_and_impossible_values_are_refused() {
    let (mut pool, mut pen) = pool();
    let [found, event] = finding(0, 0xb1);
    pool.settler_says(&[block_status(hash(0xb1), NONE, BlockState::Seen, 50, 1)]);
    pool.say(&mut pen, &[found, event]);
    let too_much = orebook_replay::folds::obeyed::VALUE_MAX + 1;
    pool.settler_says(&[block_status(
        hash(0xb1),
        NONE,
        BlockState::Seen,
        too_much,
        1,
    )]);
    let store = fold(&mut pool);
    let got = refused(&store);
    assert_eq!((got.unknown, got.statuses, got.recoveries), (1, 1, 0));
    assert_eq!(block(&store, 0xb1).state, None);
}

#[test]
fn counts_follow_states_and_lists_are_newest_first() {
    let (mut pool, mut pen) = pool();
    for (worker, byte) in [(0, 0xb1), (1, 0xb2), (0, 0xb3), (0, 0xb4)] {
        let [found, event] = finding(worker, byte);
        pool.say(&mut pen, &[found, event]);
    }
    for (byte, state) in [
        (0xb1, BlockState::Confirmed),
        (0xb2, BlockState::Immature),
        (0xb3, BlockState::Orphaned),
        (0xb4, BlockState::Uncle),
    ] {
        pool.settler_says(&[block_status(hash(byte), NONE, state, 50, 1)]);
    }
    let store = fold(&mut pool);
    assert_eq!(listed(&store, List::All), [0xb4, 0xb3, 0xb2, 0xb1]);
    assert_eq!(listed(&store, List::Of(PPLNS)), [0xb4, 0xb3, 0xb1]);
    assert_eq!(listed(&store, List::Of(SOLO)), [0xb2]);
    assert_eq!(listed(&store, List::Recovered), [0u8; 0]);
    let of = |list| {
        let all = count(&store, list);
        [
            all.blocks,
            all.fresh,
            all.seen,
            all.immature,
            all.uncle,
            all.confirmed,
            all.orphaned,
        ]
    };
    assert_eq!(of(List::All), [4, 0, 0, 1, 1, 1, 1]);
    assert_eq!(of(List::Of(PPLNS)), [3, 0, 0, 0, 1, 1, 1]);
    assert_eq!(of(List::Of(SOLO)), [1, 0, 0, 1, 0, 0, 0]);
    let view = store.view().expect("a view");
    let newest = blocks::newest(view.as_ref(), List::Of(PPLNS)).expect("rows");
    assert_eq!(newest.map(|block| block.hash), Some(hash(0xb4)));
}

#[test]
fn a_block_is_an_uncle_by_the_last_word_that_says_which_of_the_two_it_is() {
    use BlockState::{Confirmed, Immature, Orphaned, Seen, Uncle};
    let (mut pool, mut pen) = pool();
    let [found, event] = finding(0, 0xb1);
    pool.say(&mut pen, &[found, event]);
    let mut expects = NONE;
    for (state, is_uncle) in [
        (Seen, false),
        (Immature, false),
        (Uncle, true),
        (Seen, true),
        (Confirmed, true),
        (Immature, false),
        (Confirmed, false),
        (Uncle, true),
        (Orphaned, false),
        (Uncle, true),
    ] {
        expects = pool.settler_says(&[block_status(hash(0xb1), expects, state, 50, 0)]);
        let store = fold(&mut pool);
        let block = block(&store, 0xb1);
        assert_eq!((block.state, block.is_uncle), (Some(state), is_uncle));
        let all = count(&store, List::All);
        assert_eq!(all.uncle, u64::from(state == Uncle));
        assert_eq!(all.blocks, 1, "an uncle is a block that was found");
    }
}

#[test]
fn pages_neither_repeat_nor_skip_for_every_page_length() {
    let (mut pool, mut pen) = pool();
    for byte in 1..=7 {
        let [found, event] = finding(0, byte);
        pool.say(&mut pen, &[found, event]);
    }
    let store = fold(&mut pool);
    let view = store.view().expect("a view");
    for length in 1..=8 {
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = blocks::page(view.as_ref(), List::Of(PPLNS), before, length).expect("rows");
            assert!(page.blocks.len() <= length);
            seen.extend(page.blocks.iter().map(|block| block.hash.0[0]));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1], "{length} a page");
    }
}

#[test]
fn a_recovered_block_has_no_pot_and_no_finder_also_if_its_share_comes_later() {
    let (mut pool, mut pen) = pool();
    let recovered = pool.settler_says(&[block_recovered(hash(0xb1), 1_177, NONE)]);
    let seen = pool.settler_says(&[block_status(hash(0xb1), NONE, BlockState::Seen, 49, 2)]);
    let store = fold(&mut pool);
    let before = block(&store, 0xb1);
    assert!(before.is_recovered);
    assert_eq!((before.pot, before.found_at), (None, None));
    assert_eq!((before.at, before.status_at), (recovered, seen));
    assert_eq!((before.value, before.fees), (Some(49), Some(2)));
    assert_eq!(listed(&store, List::Recovered), [0xb1]);

    // The gateway's spool gives the share after all.
    let [found, event] = finding(0, 0xb1);
    let position = pool.say(&mut pen, &[found, event]);
    let store = fold(&mut pool);
    let after = block(&store, 0xb1);
    assert_eq!(after.finder, None);
    assert_eq!(after.pot, Some(PPLNS));
    assert_eq!(after.found_at, Some(At { position, index: 1 }));
    assert_eq!(after.effort, Some(100_000_000_000));
    assert_eq!((after.at, after.state), (recovered, Some(BlockState::Seen)));
    assert_eq!(listed(&store, List::All), [0xb1]);
    assert_eq!(listed(&store, List::Of(PPLNS)), [0xb1]);
    assert_eq!(count(&store, List::Of(PPLNS)).seen, 1);
    // Its round ended: the next block's effort is its own.
    let [found, event] = finding(0, 0xb2);
    pool.say(&mut pen, &[found, event]);
    let store = fold(&mut pool);
    assert_eq!(block(&store, 0xb2).effort, Some(100_000_000_000));
}

#[test]
fn recoveries_compare_and_set_on_the_height() {
    let (mut pool, mut pen) = pool();
    let [found, event] = finding(0, 0xb1);
    pool.say(&mut pen, &[found, event]);
    // A found block is not recovered.
    pool.settler_says(&[block_recovered(hash(0xb1), 1_177, NONE)]);
    let first = pool.settler_says(&[block_recovered(hash(0xc1), 8, NONE)]);
    // A second settler says the same, and another block at the height that expects nothing there.
    pool.settler_says(&[block_recovered(hash(0xc1), 8, NONE)]);
    pool.settler_says(&[block_recovered(hash(0xc2), 8, NONE)]);
    // After a reorganisation another block of ours stands there.
    pool.settler_says(&[block_recovered(hash(0xc3), 8, first)]);
    // Another height is another subject.
    pool.settler_says(&[block_recovered(hash(0xc4), 9, NONE)]);
    let store = fold(&mut pool);
    assert_eq!(listed(&store, List::Recovered), [0xc4, 0xc3, 0xc1]);
    assert_eq!(refused(&store).recoveries, 3);
    assert!(!block(&store, 0xb1).is_recovered);
    assert_eq!(count(&store, List::All).blocks, 4);
}

#[test]
fn a_moved_block_is_found_once_where_it_was_moved_to() {
    let (mut pool, mut pen) = pool();
    pool.say(&mut pen, &[Event::Share(share(0, 0, 1, 7))]);
    let unsaid = pen.clone();
    let [found, event] = finding(0, 0xb1);
    let mut new = Pen::new(GATEWAY, 2);
    let said = [
        worker(&mut new, "clara", "rig-9", SOLO),
        worker(&mut new, "anna", "rig-1", PPLNS),
        job(&mut new, NONE, 1_000),
        moved(&unsaid, unsaid.next_seq, &found, 1, 0),
        moved(&unsaid, unsaid.next_seq + 1, &event, 1, 0),
    ];
    let position = pool.say(&mut new, &said);
    let again = [
        moved(&unsaid, unsaid.next_seq, &found, 1, 0),
        moved(&unsaid, unsaid.next_seq + 1, &event, 1, 0),
    ];
    pool.say(&mut new, &again);
    let store = fold(&mut pool);
    let got = block(&store, 0xb1);
    assert_eq!(got.finder.map(|(account, _)| account), Some(named("anna")));
    assert_eq!(got.found_at, Some(At { position, index: 4 }));
    assert_eq!(got.effort, Some(101_000_000_000));
    assert_eq!(count(&store, List::All).blocks, 1);
}
