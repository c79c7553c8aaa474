//! A payout that spends the change of one that is no more: it goes with it, and everybody is paid once in the end.

use orebook_replay::folds::money::payouts::TxState;
use orebook_schema::Event;

use crate::chain::{Tx, outpoint};
use crate::setup::{LAST, PAID, STUCK_MS, Setup, TURN_MS, account};
use crate::world::World;

fn halts(world: &World) -> usize {
    let said = world.events_from(0);
    let is_halt = |(_, _, event): &&(_, _, Event)| matches!(event, Event::PayoutHalt(_));
    said.iter().filter(is_halt).count()
}

/// Batch 0 is confirmed, in its second version if so; batch 1 spends its change and waits. The chain then forgets both.
fn forgotten(replaced: bool) -> World {
    let setup = Setup {
        coins: 1,
        ..Setup::new(false)
    };
    let mut world = World::with(setup, &[(account(1), 500)]);
    world.until("seen", |world| world.state(0, 0) == Some(TxState::Seen));
    if replaced {
        world.turns((STUCK_MS / TURN_MS) as u32);
        world.until("replaced", |world| world.txs(0)[0].txids.len() == 2);
        world.until("seen", |world| world.state(0, 0) == Some(TxState::Seen));
    }
    world.chain.mine(PAID);
    world.until("confirmed", |world| {
        world.state(0, 0) == Some(TxState::Confirmed)
    });
    world.give(&[(account(2), 300)]);
    world.until("the next is seen", |world| {
        world.state(1, 0) == Some(TxState::Seen)
    });
    let mined = world.txs(0)[0].txid.expect("a version");
    assert_eq!(
        Tx::read(&world.raws(1)[0]).spends,
        [outpoint(mined)],
        "it spends the change"
    );
    world.chain.reorganise(PAID, false);
    world.chain.forget();
    world
}

#[test]
fn it_waits_for_the_one_before_where_that_is_only_taken_back() {
    let mut world = forgotten(false);
    world.settle();
    world.check_all_paid("both are sent again");
    assert_eq!((world.wallet().batches, world.chain.signatures()), (2, 2));
    assert_eq!(halts(&world), 0);
}

#[test]
fn it_is_cancelled_where_another_version_was_mined_and_nobody_is_asked() {
    let mut world = forgotten(true);
    let first = world.raws(0)[0].clone();
    world.chain.mine_this(&first);
    // As long as that may be taken back nobody knows.
    world.until("unknown", |world| {
        world.state(1, 0) == Some(TxState::Unknown)
    });
    world.chain.mine(LAST);
    world.until("cancelled", |world| {
        world.state(1, 0) == Some(TxState::Cancelled)
    });
    assert_eq!(world.txs(1)[0].txid, Some(Tx::read(&first).txid()));
    world.settle();
    world.check_all_paid("another version");
    assert_eq!((world.wallet().batches, halts(&world)), (3, 0));
    assert_eq!(world.compare().0, Vec::<String>::new());
}

#[test]
fn it_comes_back_where_the_other_version_is_reorganised_away_in_time() {
    let mut world = forgotten(true);
    let raws = world.raws(0);
    world.chain.mine_this(&raws[0]);
    world.until("unknown", |world| {
        world.state(1, 0) == Some(TxState::Unknown)
    });
    world.chain.reorganise(1, false);
    world.chain.forget();
    world.chain.mine_this(&raws[1]);
    world.settle();
    world.check_all_paid("the version whose change it spends");
    assert_eq!((world.wallet().batches, halts(&world)), (2, 0));
}

#[test]
fn it_is_cancelled_with_one_that_a_stranger_killed_and_people_are_asked_once() {
    let mut world = forgotten(false);
    let by = world.chain.steal(&world.txs(0)[0].spends);
    world.chain.deposit();
    world.chain.mine(LAST);
    world.until("a halt", |world| world.wallet().halted.is_some());
    world.turns(40);
    assert_eq!(world.state(1, 0), Some(TxState::Conflicted));
    world.resume();
    world.until("both are cancelled", |world| {
        world.state(0, 0) == Some(TxState::Cancelled)
            && world.state(1, 0) == Some(TxState::Cancelled)
    });
    assert_eq!(world.txs(1)[0].txid, Some(by));
    world.settle();
    world.check_all_paid("killed by a stranger");
    assert_eq!(
        halts(&world),
        1,
        "what people looked at they are not asked again"
    );
    assert_eq!(world.compare().0, Vec::<String>::new());
}
