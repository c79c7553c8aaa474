//! The mean of the fees of 144 chain blocks.

use orebook_schema::At;
use orebook_settler::fee_mean::{LastMean, MEAN_BLOCKS, height_due};

use crate::chain::{Coinbase, Mood, SUBSIDY};
use crate::world::{IMMATURE, World};

#[test]
fn a_mean_is_due_for_the_newest_twelfth_height_that_is_deep_and_new() {
    for (tip, depth, last, due) in [
        (0, 0, 0, None),
        (1, 2, 0, None),
        // 143 blocks of height 0 to 142 are too few.
        (143, 0, 0, None),
        (144, 0, 0, Some(144)),
        (155, 0, 0, Some(144)),
        (145, 2, 0, None),
        (146, 2, 0, Some(144)),
        (157, 2, 0, Some(144)),
        (158, 2, 0, Some(156)),
        (158, 2, 144, Some(156)),
        (157, 2, 144, None),
        // The chain may become shorter; what was said stands.
        (150, 2, 156, None),
        (10_000, 120, 156, Some(9_876)),
    ] {
        let last = LastMean {
            at: At::default(),
            height: last,
        };
        assert_eq!(
            height_due(tip, depth, last),
            due,
            "{tip}, {depth}, {last:?}"
        );
    }
}

/// A block whose transactions paid somebody these fees.
fn mine(world: &World, count: u64, fees: u128) {
    for _ in 0..count {
        world.chain.mine(&Coinbase {
            text: "/someone/",
            outputs: vec![(SUBSIDY + fees, b"\x51theirs".to_vec())],
        });
    }
}

/// So many turns read a mean's blocks, some at a time.
const READ_TURNS: u32 = 60;

#[test]
fn the_mean_is_that_of_the_newest_blocks_and_follows_them() {
    let mut world = World::new(1, 1);
    mine(&world, 143, 5);
    world.turns(READ_TURNS);
    assert!(world.means().is_empty(), "the chain is too short");
    mine(&world, 1 + IMMATURE, 149);
    world.turns(READ_TURNS);
    // Heights 1 to 144: 143 of 5 and one of 149.
    assert_eq!(world.means(), [(144, 6)]);
    mine(&world, 11, 5);
    world.turns(READ_TURNS);
    assert_eq!(world.means().len(), 1, "not before the next twelfth");
    mine(&world, 1, 5);
    world.turns(READ_TURNS);
    // Heights 13 to 156: 141 of 5, three of 149: 1,152 over 144.
    assert_eq!(world.means(), [(144, 6), (156, 8)]);
    assert_eq!(world.settlers[0].metrics().said_fee_means, 2);
}

#[test]
fn an_ethash_like_s_fees_are_those_of_its_receipts() {
    let mut world = World::eth(1, 1);
    for height in 1..=144 + IMMATURE {
        let hash = world.chain.mine(&Coinbase::foreign());
        world.chain.set(hash, &[], Some(u128::from(height)));
    }
    world.turns(READ_TURNS);
    // (1 + … + 144) / 144 = 72.5
    assert_eq!(world.means(), [(144, 72)]);
}

#[test]
fn a_node_without_receipts_or_answers_delays_a_mean_and_makes_none_up() {
    let mut world = World::eth(1, 1);
    let mut unknown = None;
    for height in 1..=MEAN_BLOCKS + IMMATURE {
        let hash = world.chain.mine(&Coinbase::foreign());
        world.chain.set(hash, &[], (height != 99).then_some(7));
        unknown = unknown.or((height == 99).then_some(hash));
    }
    world.turns(READ_TURNS);
    world.chain.set_nodes(&[Mood::Silent]);
    world.turns(READ_TURNS);
    assert!(world.means().is_empty());
    world.chain.set_nodes(&[Mood::Honest]);
    world.chain.set(unknown.unwrap(), &[], Some(7));
    world.turns(READ_TURNS);
    assert_eq!(world.means(), [(144, 7)]);
}

#[test]
fn blocks_that_were_reorganised_while_they_were_read_are_read_again() {
    let mut world = World::new(1, 1);
    mine(&world, 144 + IMMATURE, 5);
    // Some of the blocks are read, not all.
    world.turns(4);
    assert!(world.means().is_empty());
    let other = world.chain.make(100, &Coinbase::foreign());
    world.chain.put(other);
    mine(&world, 44 + IMMATURE, 149);
    world.turns(2 * READ_TURNS);
    // 99 of 5, one of 0, 44 of 149: 7,051 over 144.
    assert_eq!(world.means(), [(144, 48)]);
}

#[test]
fn two_settlers_say_a_mean_once() {
    let mut world = World::new(2, 1);
    mine(&world, 144 + IMMATURE, 5);
    world.turns(READ_TURNS);
    mine(&world, 12, 5);
    world.turns(READ_TURNS);
    assert_eq!(world.means(), [(144, 5), (156, 5)]);
    for settler in &world.settlers {
        assert_eq!(settler.machine().book().last_mean().unwrap().height, 156);
    }
}
