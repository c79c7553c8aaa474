//! Coinbases of ours that no share explains.

use orebook_schema::work::{BlockRecovered, BlockState, BlockStatus};
use orebook_schema::{At, Event, Hash};

use crate::chain::{Coinbase, Mood, OUR_SCRIPT, SUBSIDY, txid_of};
use crate::world::{CONFIRMED, GRACE_MS, IMMATURE, ORPHAN, World};

/// Turns in which the grace passes in the ledger.
const GRACE_TURNS: u32 = GRACE_MS as u32 / 100 + 30;

/// A block of ours that the gateway could not record: it died between the nodes and its spool.
fn lost_block(world: &mut World) -> Hash {
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.mine_foreign(IMMATURE);
    hash
}

#[test]
fn a_coinbase_without_a_share_is_recovered_and_goes_the_way_of_every_block() {
    let mut world = World::new(1, 1);
    let hash = lost_block(&mut world);
    world.turns(10);
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    assert!(
        world.recoveries().is_empty(),
        "the gateway's spool may be late"
    );
    world.turns(GRACE_TURNS);
    world.calm();
    let recovered = world.recoveries();
    assert_eq!(recovered.len(), 1);
    let block = recovered[0];
    assert_eq!((block.hash, block.height), (hash, 1));
    assert_eq!(block.coinbase_txid, txid_of(hash));
    assert_eq!((block.value, block.fees), (SUBSIDY + 70, 70));
    assert_eq!(world.obeyed(hash), ["seen", "immature"]);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    assert_eq!(world.obeyed(hash), ["seen", "immature", "confirmed"]);
    assert_eq!(world.statuses(hash)[2].1.fees, 70);
    assert_eq!(world.recoveries().len(), 1, "once");
}

#[test]
fn a_share_that_comes_late_explains_its_block() {
    let mut world = World::new(1, 1);
    let hash = lost_block(&mut world);
    world.turns(15);
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    world.found(hash, 1);
    world.turns(GRACE_TURNS);
    world.calm();
    assert!(world.recoveries().is_empty());
    assert_eq!(world.settlers[0].metrics().strangers, 0);
    assert_eq!(world.obeyed(hash), ["seen", "immature"]);
}

#[test]
fn a_share_that_comes_after_the_recovery_changes_nothing() {
    let mut world = World::new(1, 1);
    let hash = lost_block(&mut world);
    world.turns(GRACE_TURNS);
    world.calm();
    assert_eq!(world.recoveries().len(), 1);
    world.found(hash, 1);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    assert_eq!(
        world.book(hash).unwrap().job_fees,
        None,
        "it stays recovered"
    );
    assert_eq!(world.obeyed(hash), ["seen", "immature", "confirmed"]);
    assert_eq!(world.recoveries().len(), 1);
}

#[test]
fn what_is_not_ours_is_not_recovered() {
    let mut world = World::new(1, 1);
    world.chain.mine(&Coinbase {
        text: "/someone/",
        outputs: vec![(50, OUR_SCRIPT.to_vec())],
    });
    world.chain.mine(&Coinbase {
        text: crate::chain::OUR_TEXT,
        outputs: vec![(50, b"\x51theirs".to_vec())],
    });
    world.chain.mine(&Coinbase {
        text: crate::chain::OUR_TEXT,
        outputs: vec![(0, OUR_SCRIPT.to_vec())],
    });
    world.chain.mine_foreign(IMMATURE + 50);
    world.turns(GRACE_TURNS * 2);
    assert_eq!(world.settlers[0].metrics().strangers, 0);
    assert!(world.recoveries().is_empty());
    let height = world.settlers[0].metrics().scan_height;
    assert_eq!(height, world.chain.height() - IMMATURE + 1, "all was read");
}

#[test]
fn a_node_that_knows_the_block_not_hides_it_only_for_a_while() {
    let mut world = World::new(1, 1);
    let hash = lost_block(&mut world);
    world.chain.set_nodes(&[Mood::Without(hash)]);
    world.turns(GRACE_TURNS);
    assert!(world.recoveries().is_empty());
    world.chain.set_nodes(&[Mood::Honest]);
    world.turns(20);
    world.chain.set_nodes(&[Mood::Without(hash)]);
    world.turns(GRACE_TURNS);
    assert!(world.recoveries().is_empty(), "it is not there to be said");
    world.chain.set_nodes(&[Mood::Honest]);
    world.turns(GRACE_TURNS);
    world.calm();
    assert_eq!(world.recoveries().len(), 1);
    assert_eq!(world.obeyed(hash), ["seen", "immature"]);
}

#[test]
fn a_second_block_at_the_height_expects_the_first() {
    let mut world = World::new(1, 1);
    let first = lost_block(&mut world);
    world.turns(GRACE_TURNS);
    world.calm();
    let second = world.chain.make(1, &Coinbase::ours());
    world.chain.put(second);
    world.chain.mine_foreign(ORPHAN.max(IMMATURE) + 1);
    world.turns(GRACE_TURNS);
    world.calm();
    let recovered = world.recoveries();
    assert_eq!(recovered.len(), 2);
    let hashes: Vec<Hash> = recovered.iter().map(|block| block.hash).collect();
    assert_eq!(hashes, [first, second]);
    assert_eq!(recovered[0].expects.position, 0);
    let places: Vec<_> = world
        .said()
        .into_iter()
        .filter(|(_, _, event)| matches!(event, Event::BlockRecovered(_)))
        .map(|(at, _, _)| at)
        .collect();
    assert_eq!(recovered[1].expects, places[0]);
    assert_eq!(world.obeyed(first), ["seen", "immature", "orphaned"]);
    assert_eq!(world.obeyed(second), ["seen", "immature"]);
}

#[test]
fn what_is_not_to_be_obeyed_changes_nothing() {
    let mut world = World::new(1, 1);
    let hash = world.chain.mine(&Coinbase::ours());
    world.found(hash, 1);
    world.calm();
    let (at, seen) = world.statuses(hash)[0];
    let before = world.book(hash);
    let refused = |world: &World| world.settlers[0].metrics().refused_events;
    assert_eq!(refused(&world), 0);
    let status = |edit: fn(&mut BlockStatus)| {
        let mut status = seen;
        (status.expects, status.state) = (at, BlockState::Orphaned);
        edit(&mut status);
        Event::BlockStatus(status)
    };
    let recovery = |hash: Hash, expects: At| {
        Event::BlockRecovered(BlockRecovered {
            hash,
            height: 1,
            expects,
            coinbase_txid: txid_of(hash),
            value: 5,
            fees: 0,
        })
    };
    let not_obeyed = [
        status(|it| it.expects = At::default()),
        status(|it| it.expects.index += 1),
        status(|it| it.hash = Hash([1; 32])),
        status(|it| it.value = (1 << 80) + 1),
        recovery(hash, At::default()),
        recovery(Hash([2; 32]), at),
    ];
    for (count, event) in (1..).zip(not_obeyed) {
        world.blurt(std::slice::from_ref(&event));
        assert_eq!(refused(&world), count, "{event:?}");
        assert_eq!(world.book(hash), before, "{event:?}");
        let book = world.settlers[0].machine().book();
        assert_eq!(book.recovered_at(1).unwrap(), At::default(), "{event:?}");
    }
    world.blurt(&[status(|it| it.value = 1 << 80)]);
    assert_eq!(world.state(hash), "orphaned", "the right one is obeyed");
    world.blurt(&[recovery(Hash([2; 32]), At::default())]);
    let book = world.settlers[0].machine().book();
    let recovered_at = book.recovered_at(1).unwrap();
    assert_ne!(recovered_at, At::default());
    // Said once more at its turn it is obeyed, and the block stays what it is.
    world.blurt(&[recovery(Hash([2; 32]), recovered_at)]);
    let book = world.settlers[0].machine().book();
    assert!(recovered_at < book.recovered_at(1).unwrap());
    assert_eq!(refused(&world), 6);
}

#[test]
fn two_settlers_recover_a_block_once() {
    let mut world = World::new(2, 1);
    let hash = lost_block(&mut world);
    world.turns(GRACE_TURNS);
    world.calm();
    let recovered = world.recoveries();
    assert!(recovered.len() == 2, "both said it: {recovered:?}");
    assert!(recovered.iter().all(|block| block.expects.position == 0));
    let refused = world.settlers[0].metrics().refused_events;
    assert!(0 < refused, "one of the two is not obeyed");
    assert_eq!(world.obeyed(hash), ["seen", "immature"]);
}

#[test]
fn a_restart_in_the_middle_recovers_once() {
    for killed_at in 0..GRACE_TURNS + 20 {
        let mut world = World::new(1, 1);
        let hash = lost_block(&mut world);
        for turn in 0..2 * GRACE_TURNS + 40 {
            if turn == killed_at {
                let settler = &mut world.settlers[0];
                settler.kill();
                settler.disk.restart();
                settler.start(world.now).unwrap();
            }
            world.turns(1);
        }
        world.calm();
        assert_eq!(world.recoveries().len(), 1, "killed at {killed_at}");
        assert_eq!(world.obeyed(hash), ["seen", "immature"]);
    }
}
