//! What becomes of blocks, with one settler and with two, and with nodes that are silent, late or lying.

use orebook_schema::Hash;
use orebook_settler::machine::SAME_WORDS_MAX;

use crate::chain::{Coinbase, FakeChain, Mood};
use crate::world::{CONFIRMED, IMMATURE, JOB_FEES, ORPHAN, World};

/// A block of ours, found and on top of the chain.
fn found_on_top(world: &mut World) -> Hash {
    let hash = world.chain.mine(&Coinbase::ours());
    world.found(hash, world.chain.height());
    world.calm();
    hash
}

#[test]
fn a_block_is_seen_then_immature_then_confirmed() {
    let mut world = World::new(1, 1);
    let hash = found_on_top(&mut world);
    assert_eq!(world.state(hash), "seen");
    for on_top in 1..CONFIRMED + 2 {
        world.chain.mine_foreign(1);
        world.calm();
        let expected = match on_top {
            n if n < IMMATURE => "seen",
            n if n < CONFIRMED => "immature",
            _ => "confirmed",
        };
        assert_eq!(world.state(hash), expected, "{on_top} on top");
    }
    let said = world.statuses(hash);
    assert_eq!(said.len(), 3, "each change is said once: {said:?}");
    for (_, status) in &said {
        assert_eq!((status.value, status.fees), (5_070, JOB_FEES));
        assert_eq!(status.height, 1);
    }
    assert_eq!(world.obeyed(hash), ["seen", "immature", "confirmed"]);
    assert!(world.recoveries().is_empty());
}

#[test]
fn a_block_that_is_deep_at_first_sight_takes_every_step() {
    let mut world = World::new(1, 1);
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.mine_foreign(CONFIRMED + 3);
    world.found(hash, 1);
    world.calm();
    assert_eq!(world.obeyed(hash), ["seen", "immature", "confirmed"]);
    assert_eq!(world.statuses(hash).len(), 3);
}

#[test]
fn a_block_that_the_chain_never_took_is_orphaned_by_the_other_one() {
    let mut world = World::new(1, 1);
    let hash = world.chain.make(1, &Coinbase::ours());
    world.found(hash, 1);
    for _ in 0..=ORPHAN {
        assert_eq!(world.state(hash), "none");
        world.chain.mine_foreign(1);
        world.calm();
    }
    assert_eq!(world.obeyed(hash), ["orphaned"]);
    let (_, status) = world.statuses(hash)[0];
    assert_eq!((status.value, status.fees, status.height), (0, 0, 1));
}

/// Replaces the chain from `height` on by foreign blocks, `on_top` on the first.
fn replace(chain: &FakeChain, height: u64, on_top: u64) {
    let other = chain.make(height, &Coinbase::foreign());
    chain.put(other);
    chain.mine_foreign(on_top);
}

#[test]
fn an_orphan_returns_and_may_go_again() {
    let mut world = World::new(1, 1);
    let hash = found_on_top(&mut world);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    replace(&world.chain, 1, ORPHAN - 1);
    world.calm();
    assert_eq!(
        world.state(hash),
        "immature",
        "the other is not deep enough"
    );
    world.chain.mine_foreign(1);
    world.calm();
    assert_eq!(world.state(hash), "orphaned");
    world.chain.put(hash);
    world.calm();
    assert_eq!(world.state(hash), "orphaned", "not deep enough to return");
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    assert_eq!(world.state(hash), "immature");
    world.chain.mine_foreign(CONFIRMED - IMMATURE);
    world.calm();
    assert_eq!(world.state(hash), "confirmed");
    replace(&world.chain, 1, ORPHAN + 8);
    world.calm();
    let expected = [
        "seen",
        "immature",
        "orphaned",
        "immature",
        "confirmed",
        "orphaned",
    ];
    assert_eq!(world.obeyed(hash), expected, "a late orphan too");
    assert_eq!(world.statuses(hash).len(), expected.len());
    let values: Vec<u128> = world.statuses(hash).iter().map(|it| it.1.value).collect();
    assert_eq!(values, [5_070; 6]);
}

#[test]
fn of_two_blocks_at_one_height_the_chain_keeps_one() {
    let mut world = World::new(1, 1);
    let first = found_on_top(&mut world);
    let second = world.chain.make(1, &Coinbase::ours());
    world.found(second, 1);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    assert_eq!(
        (world.state(first), world.state(second)),
        ("immature", "none")
    );
    world.chain.put(second);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    assert_eq!(
        (world.state(first), world.state(second)),
        ("immature", "immature")
    );
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    assert_eq!(
        (world.state(first), world.state(second)),
        ("orphaned", "confirmed")
    );
    assert!(world.recoveries().is_empty(), "both are explained");
}

#[test]
fn neither_silence_nor_ignorance_nor_a_late_node_orphans() {
    let mut world = World::new(1, 1);
    let hash = found_on_top(&mut world);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    let moods = [Mood::Silent, Mood::Without(hash), Mood::Late(IMMATURE + 1)];
    for mood in moods {
        world.chain.set_nodes(std::slice::from_ref(&mood));
        let before = world.chain.questions();
        world.chain.mine_foreign(ORPHAN + CONFIRMED);
        world.turns(40);
        assert!(before < world.chain.questions(), "it was asked");
        assert_ne!(world.state(hash), "orphaned", "{mood:?}");
    }
    assert!(0 < world.settlers[0].metrics().no_answers);
    world.chain.set_nodes(&[Mood::Honest]);
    world.calm();
    assert_eq!(world.obeyed(hash), ["seen", "immature", "confirmed"]);
}

fn lie(hash: Hash) -> Mood {
    Mood::Lying {
        height: 1,
        other: Hash::of(&[b"lie", &hash.0]),
        on_top: 100,
    }
}

#[test]
fn one_glitch_orphans_nothing() {
    for glitches in 1..3 {
        let mut world = World::new(1, 3);
        let hash = found_on_top(&mut world);
        world.chain.mine_foreign(IMMATURE);
        world.calm();
        for _ in 0..4 {
            world.chain.set_nodes(&[lie(hash)]);
            world.turns(glitches);
            world.chain.set_nodes(&[Mood::Honest]);
            world.turns(1);
        }
        assert_eq!(
            world.obeyed(hash),
            ["seen", "immature"],
            "{glitches} in a row"
        );
        // A node that goes on saying so is believed: it is the only one.
        world.chain.set_nodes(&[lie(hash)]);
        world.turns(20);
        assert_eq!(world.state(hash), "orphaned");
    }
}

#[test]
fn one_liar_among_three_nodes_orphans_nothing_however_long_it_lies() {
    let mut world = World::new(1, 1);
    let hash = found_on_top(&mut world);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    for others in [
        [Mood::Honest, Mood::Honest],
        [Mood::Honest, Mood::Silent],
        [Mood::Silent, Mood::Silent],
        [Mood::Without(hash), Mood::Silent],
    ] {
        let [second, third] = others.clone();
        world.chain.set_nodes(&[lie(hash), second, third]);
        world.turns(30);
        assert_eq!(world.state(hash), "immature", "{others:?}");
    }
    world.chain.set_nodes(&[lie(hash), lie(hash), Mood::Silent]);
    world.turns(10);
    assert_eq!(world.state(hash), "orphaned", "two of three are a quorum");
}

#[test]
fn a_block_that_pays_none_of_our_scripts_is_an_alarm_and_is_not_settled() {
    let mut world = World::new(1, 1);
    let hash = world.chain.mine(&Coinbase::foreign());
    world.found(hash, 1);
    world.chain.mine_foreign(CONFIRMED);
    world.turns(40);
    assert_eq!(world.state(hash), "none");
    assert_eq!(world.settlers[0].metrics().unpaid_blocks, 1);
}

#[test]
fn two_settlers_by_mistake_change_nothing() {
    let mut world = World::new(2, 1);
    let hash = found_on_top(&mut world);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    replace(&world.chain, 1, ORPHAN);
    world.calm();
    let expected = ["seen", "immature", "confirmed", "orphaned"];
    assert_eq!(world.obeyed(hash), expected, "each state is obeyed once");
    let said = world.statuses(hash).len() as u64;
    assert!(4 < said, "they met: both said the same thing");
    let refused = world.settlers[0].metrics().refused_events;
    assert_eq!(refused, said - 4, "what came second was not obeyed");
    for settler in &world.settlers {
        let book = settler.machine().book();
        assert_eq!(book.block(hash).unwrap(), world.book(hash), "they agree");
    }
}

/// Two settlers, each on nodes of one side of a parted network: on the first's our block stands, on the second's another one.
fn parted() -> (World, FakeChain, Hash) {
    let mut world = World::new(2, 3);
    let hash = found_on_top(&mut world);
    let branch = world.chain.fork();
    replace(&branch, 1, ORPHAN + 1);
    world.chain.mine_foreign(IMMATURE);
    world.settlers[1].own_chain = Some(branch.clone());
    world.turns(600);
    (world, branch, hash)
}

#[test]
fn two_settlers_whose_network_stays_parted_do_not_move_money_back_and_forth_for_ever() {
    let (mut world, _, hash) = parted();
    let obeyed = world.obeyed(hash);
    assert!(
        obeyed.contains(&"immature") && obeyed.contains(&"orphaned"),
        "{obeyed:?}"
    );
    for state in ["immature", "orphaned"] {
        let words = obeyed.iter().filter(|word| **word == state).count();
        assert!(words <= SAME_WORDS_MAX as usize, "{obeyed:?}");
    }
    let before = world.statuses(hash).len();
    world.turns(300);
    assert_eq!(world.statuses(hash).len(), before, "it has an end");
    let disputed = world.settlers.iter().map(|it| it.metrics().disputed_blocks);
    assert_eq!(disputed.max(), Some(1), "and is an alarm");
}

#[test]
fn joined_again_two_settlers_say_what_the_longer_branch_has() {
    for ours_wins in [true, false] {
        let (mut world, branch, hash) = parted();
        if ours_wins {
            world.settlers[1].own_chain = None;
        } else {
            world.chain = branch;
        }
        world.chain.mine_foreign(CONFIRMED);
        world.calm();
        let last = if ours_wins { "confirmed" } else { "orphaned" };
        assert_eq!(world.state(hash), last, "{:?}", world.obeyed(hash));
        let disputed = world.settlers.iter().map(|it| it.metrics().disputed_blocks);
        assert_eq!(disputed.max(), Some(0), "nobody disputes it any more");
        for settler in &world.settlers {
            let book = settler.machine().book();
            assert_eq!(book.block(hash).unwrap(), world.book(hash), "they agree");
        }
    }
}

#[test]
fn a_chain_that_changes_its_mind_often_is_followed_by_a_settler_that_is_alone() {
    let mut world = World::new(1, 1);
    let hash = found_on_top(&mut world);
    let (ours, other) = (world.chain.fork(), world.chain.fork());
    replace(&other, 1, ORPHAN + 1);
    ours.mine_foreign(IMMATURE);
    let mut expected = vec!["seen"];
    for _ in 0..2 * SAME_WORDS_MAX {
        for (chain, state) in [(&ours, "immature"), (&other, "orphaned")] {
            world.settlers[0].own_chain = Some(chain.clone());
            world.calm();
            expected.push(state);
            assert_eq!(world.obeyed(hash), expected);
        }
    }
    assert_eq!(world.settlers[0].metrics().disputed_blocks, 0);
}

#[test]
fn who_said_a_word_often_enough_follows_the_chain_from_it_and_back_when_nobody_says_otherwise() {
    let (mut world, branch, hash) = parted();
    let ours = world.chain.fork();
    // Of the two the one stays whose word stands; it said it as often as it may against the other's.
    let gone = usize::from(world.state(hash) == "immature");
    world.settlers.remove(gone);
    for _ in 0..2 {
        for (chain, state) in [(&ours, "immature"), (&branch, "orphaned")] {
            world.settlers[0].own_chain = Some(chain.clone());
            world.calm();
            assert_eq!(world.state(hash), state, "{:?}", world.obeyed(hash));
            assert_eq!(world.settlers[0].metrics().disputed_blocks, 0);
        }
    }
}

#[test]
fn a_cloned_settler_forks_and_both_go_on_in_streams_of_their_own() {
    let mut world = World::new(2, 1);
    // The second is a snapshot of the first's machine, with its key and its stream.
    let (name, disk) = (world.settlers[0].name, world.settlers[0].disk.fork_copy());
    let clone = &mut world.settlers[1];
    clone.kill();
    (clone.name, clone.disk, clone.starts) = (name, disk, 100);
    clone.start(world.now).unwrap();
    let hash = found_on_top(&mut world);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    assert_eq!(world.obeyed(hash), ["seen", "immature", "confirmed"]);
    let closed = world.keeper.reader().settled().streams();
    assert!(
        0 < closed.filter(|(_, it)| it.closed).count(),
        "they forked"
    );
}

#[test]
fn a_key_that_is_not_in_force_is_an_alarm_and_no_end() {
    let mut world = World::new(1, 1);
    world.settlers[0].kill();
    // A stranger's key on a fresh disk.
    world.settlers[0].name = 99;
    world.settlers[0].start(world.now).unwrap();
    let hash = world.chain.mine(&Coinbase::ours());
    world.found(hash, 1);
    world.turns(40);
    assert_eq!(world.settlers[0].metrics().key_refused, 1);
    assert!(world.statuses(hash).is_empty());
}
