//! An ethash-like's blocks, uncles and fees: what is said of them, by one settler and by two, and by nodes that are silent,
//! late, lying, or without receipts.

use orebook_chain::Rewards;
use orebook_schema::Hash;
use orebook_settler::ethash::{EthRules, UNCLE_REACH};
use orebook_settler::look::Dialect;
use orebook_settler::machine::{SAME_WORDS_MAX, WORDS_PER_BLOCK_MAX};

use crate::chain::{Coinbase, FakeChain, Mood, OUR_TEXT, PAYEE, name_of};
use crate::world::{CONFIRMED, GRACE_MS, IMMATURE, ORPHAN, World};

const REWARD: u128 = 3_200;
const NEPHEW: u128 = 100;
/// An uncle of distance 1: seven eighths.
const UNCLE: u128 = 2_800;
const GRACE_TURNS: u32 = GRACE_MS as u32 / 100 + 30;

pub(crate) fn dialect() -> Dialect {
    Dialect::Ethash(EthRules {
        payees: vec![PAYEE],
        texts: vec![OUR_TEXT.to_owned()],
        rewards: Rewards::fixed(REWARD).unwrap(),
    })
}

/// A block of ours of height 1, found and on top of the chain: its hash on the chain.
fn found_on_top(world: &mut World, fees: Option<u128>) -> Hash {
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.set(hash, &[], fees);
    world.found_with(name_of(hash), world.chain.height(), Hash::ZERO);
    world.calm();
    hash
}

/// A block of ours of height 1 that another stands in place of, and that the next includes as an uncle.
fn uncle(world: &mut World) -> Hash {
    world.chain.mine_foreign(1);
    let hash = world.chain.make(1, &Coinbase::ours());
    world.found_with(name_of(hash), 1, Hash::ZERO);
    world.chain.include(&[hash]);
    hash
}

fn said(world: &World, hash: Hash) -> Vec<(&'static str, u128, u128)> {
    let said = world.statuses(name_of(hash)).into_iter();
    said.map(|(_, it)| (it.state.name(), it.value, it.fees))
        .collect()
}

#[test]
fn a_block_is_worth_its_reward_its_nephews_and_its_fees() {
    let mut world = World::eth(1, 1);
    let stale = world.chain.make(0, &Coinbase::foreign());
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.set(hash, &[stale, stale], Some(70));
    world.found_with(name_of(hash), 1, Hash::ZERO);
    world.calm();
    let value = REWARD + 2 * NEPHEW + 70;
    for on_top in 0..=CONFIRMED {
        let expected = match on_top {
            n if n < IMMATURE => "seen",
            n if n < CONFIRMED => "immature",
            _ => "confirmed",
        };
        assert_eq!(world.state(name_of(hash)), expected, "{on_top} on top");
        world.chain.mine_foreign(1);
        world.calm();
    }
    let all = ["seen", "immature", "confirmed"].map(|state| (state, value, 70));
    assert_eq!(said(&world, hash), all);
    assert_eq!(
        world.state(hash),
        "none",
        "the chain's own hash names nothing"
    );
}

#[test]
fn a_second_solution_becomes_an_uncle_and_is_confirmed_as_one() {
    let mut world = World::eth(1, 1);
    let hash = uncle(&mut world);
    for on_top in 0..CONFIRMED + 2 {
        world.calm();
        let expected = match on_top {
            n if n < IMMATURE => "none",
            n if n < CONFIRMED => "uncle",
            _ => "confirmed",
        };
        assert_eq!(
            world.state(name_of(hash)),
            expected,
            "{on_top} on the nephew"
        );
        world.chain.mine_foreign(1);
    }
    assert_eq!(
        said(&world, hash),
        [("uncle", UNCLE, 0), ("confirmed", UNCLE, 0)]
    );
}

#[test]
fn an_uncle_of_every_distance_is_found_and_one_beyond_is_none() {
    for distance in 1..=UNCLE_REACH {
        let mut world = World::eth(1, 1);
        world.chain.mine_foreign(distance);
        let hash = world.chain.make(1, &Coinbase::ours());
        world.found_with(name_of(hash), 1, Hash::ZERO);
        world.chain.include(&[hash]);
        world.chain.mine_foreign(IMMATURE);
        world.calm();
        let value = u128::from(8 - distance) * REWARD / 8;
        if distance < UNCLE_REACH {
            assert_eq!(
                said(&world, hash),
                [("uncle", value, 0)],
                "distance {distance}"
            );
        } else {
            assert_eq!(said(&world, hash), [], "the chain takes no such uncle");
        }
    }
}

#[test]
fn a_block_turns_into_an_uncle_and_back_also_after_it_was_confirmed() {
    let mut world = World::eth(1, 1);
    let hash = found_on_top(&mut world, Some(70));
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let other = world.chain.make(1, &Coinbase::foreign());
    world.chain.put(other);
    world.chain.include(&[hash]);
    world.calm();
    assert_eq!(
        world.state(name_of(hash)),
        "confirmed",
        "the nephew is not deep enough"
    );
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    assert_eq!(world.state(name_of(hash)), "uncle");
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    world.chain.put(hash);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let full = REWARD + 70;
    let expected = [
        ("seen", full, 70),
        ("immature", full, 70),
        ("confirmed", full, 70),
        ("uncle", UNCLE, 0),
        ("confirmed", UNCLE, 0),
        ("immature", full, 70),
        ("confirmed", full, 70),
    ];
    assert_eq!(said(&world, hash), expected);
}

#[test]
fn an_uncle_that_another_block_includes_is_worth_what_that_one_gives() {
    let mut world = World::eth(1, 1);
    let hash = uncle(&mut world);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let other = world.chain.make(2, &Coinbase::foreign());
    world.chain.put(other);
    world.chain.include(&[hash]);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let expected = [
        ("uncle", UNCLE, 0),
        ("confirmed", UNCLE, 0),
        ("uncle", 2_400, 0),
        ("confirmed", 2_400, 0),
    ];
    assert_eq!(said(&world, hash), expected);
}

#[test]
fn a_block_is_an_orphan_only_when_no_block_can_include_it_any_more() {
    let mut world = World::eth(1, 1);
    let hash = found_on_top(&mut world, Some(0));
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let other = world.chain.make(1, &Coinbase::foreign());
    world.chain.put(other);
    for on_top in 0..UNCLE_REACH + ORPHAN {
        world.calm();
        assert_eq!(
            world.state(name_of(hash)),
            "confirmed",
            "{on_top} on the other"
        );
        world.chain.mine_foreign(1);
    }
    world.calm();
    assert_eq!(world.state(name_of(hash)), "orphaned");
    world.chain.put(hash);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    assert_eq!(world.state(name_of(hash)), "immature", "it may return");
}

#[test]
fn neither_silence_nor_ignorance_nor_a_late_node_changes_a_block() {
    for make in [found_on_top_bare as fn(&mut World) -> Hash, uncle] {
        let mut world = World::eth(1, 1);
        let hash = make(&mut world);
        world.chain.mine_foreign(IMMATURE);
        world.calm();
        let state = world.state(name_of(hash));
        let nephew = world.chain.best_at(2).unwrap();
        world.chain.mine_foreign(CONFIRMED + ORPHAN + UNCLE_REACH);
        for mood in [
            Mood::Silent,
            Mood::Without(world.chain.best_at(1).unwrap()),
            Mood::Without(nephew),
            Mood::Late(CONFIRMED + ORPHAN + UNCLE_REACH + IMMATURE),
        ] {
            world.chain.set_nodes(std::slice::from_ref(&mood));
            let before = world.chain.questions();
            world.turns(40);
            assert!(before < world.chain.questions(), "it was asked");
            let now = world.state(name_of(hash));
            assert!(now == state || now == "confirmed", "{mood:?}: {now}");
        }
        world.chain.set_nodes(&[Mood::Honest]);
        world.calm();
        assert_eq!(world.state(name_of(hash)), "confirmed");
    }
}

fn found_on_top_bare(world: &mut World) -> Hash {
    found_on_top(world, Some(0))
}

#[test]
fn one_liar_among_three_nodes_makes_neither_an_orphan_nor_an_uncle() {
    for make in [found_on_top_bare as fn(&mut World) -> Hash, uncle] {
        let mut world = World::eth(1, 1);
        let hash = make(&mut world);
        world.chain.mine_foreign(IMMATURE);
        world.calm();
        let state = world.state(name_of(hash));
        let lie = Mood::Lying {
            height: 1,
            other: Hash([9; 32]),
            on_top: 45,
        };
        for others in [
            [Mood::Honest, Mood::Honest],
            [Mood::Honest, Mood::Silent],
            [Mood::Silent, Mood::Silent],
        ] {
            let [second, third] = others.clone();
            world.chain.set_nodes(&[lie.clone(), second, third]);
            world.turns(30);
            assert_eq!(world.state(name_of(hash)), state, "{others:?}");
        }
        world.chain.set_nodes(&[lie.clone(), lie, Mood::Silent]);
        world.turns(20);
        assert_eq!(
            world.state(name_of(hash)),
            "orphaned",
            "two of three are a quorum"
        );
    }
}

#[test]
fn one_glitch_orphans_nothing_of_an_ethash_like_either() {
    let mut world = World::eth(1, 3);
    let hash = found_on_top_bare(&mut world);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    for _ in 0..4 {
        world.chain.set_nodes(&[Mood::Lying {
            height: 1,
            other: Hash([9; 32]),
            on_top: 45,
        }]);
        world.turns(2);
        world.chain.set_nodes(&[Mood::Honest]);
        world.turns(1);
    }
    assert_eq!(world.obeyed(name_of(hash)), ["seen", "immature"]);
}

#[test]
fn fees_that_no_node_can_tell_come_later_and_never_go_again() {
    let mut world = World::eth(1, 1);
    let hash = found_on_top(&mut world, None);
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    world.chain.set(hash, &[], Some(70));
    world.calm();
    world.chain.set(hash, &[], None);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let full = REWARD + 70;
    let expected = [
        ("seen", REWARD, 0),
        ("immature", REWARD, 0),
        ("immature", full, 70),
        ("confirmed", full, 70),
    ];
    assert_eq!(said(&world, hash), expected);
}

#[test]
fn fees_may_come_after_confirmation_too() {
    let mut world = World::eth(1, 1);
    let hash = found_on_top(&mut world, None);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    world.chain.set(hash, &[], Some(70));
    world.calm();
    assert_eq!(
        said(&world, hash).last(),
        Some(&("confirmed", REWARD + 70, 70))
    );
}

#[test]
fn a_node_that_says_less_than_was_said_is_an_alarm() {
    let mut world = World::eth(1, 1);
    let hash = found_on_top(&mut world, Some(70));
    world.chain.mine_foreign(IMMATURE);
    world.calm();
    world.chain.set(hash, &[], Some(60));
    world.chain.mine_foreign(CONFIRMED);
    world.turns(40);
    assert_eq!(world.state(name_of(hash)), "immature");
    assert_eq!(world.settlers[0].metrics().unpaid_blocks, 1);
}

#[test]
fn a_block_that_pays_somebody_else_is_an_alarm_and_is_not_settled() {
    let mut world = World::eth(1, 1);
    let hash = world.chain.mine(&Coinbase::foreign());
    world.found_with(name_of(hash), 1, Hash::ZERO);
    world.chain.mine_foreign(CONFIRMED);
    world.turns(40);
    assert_eq!(world.state(name_of(hash)), "none");
    assert_eq!(world.settlers[0].metrics().unpaid_blocks, 1);
}

#[test]
fn two_settlers_change_nothing_twice() {
    let mut world = World::eth(2, 1);
    let hash = found_on_top(&mut world, Some(70));
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let other = world.chain.make(1, &Coinbase::foreign());
    world.chain.put(other);
    world.chain.include(&[hash]);
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let expected = ["seen", "immature", "confirmed", "uncle", "confirmed"];
    assert_eq!(world.obeyed(name_of(hash)), expected);
    assert!(
        expected.len() < said(&world, hash).len(),
        "they met: both said the same"
    );
    for settler in &world.settlers {
        let book = settler.machine().book();
        assert_eq!(
            book.block(name_of(hash)).unwrap(),
            world.book(name_of(hash))
        );
    }
}

#[test]
fn two_settlers_on_nodes_that_disagree_change_nothing_twice_and_end() {
    let mut world = World::eth(2, 1);
    let hash = found_on_top(&mut world, Some(70));
    // The second's nodes are on a branch where it is an uncle, and stay there.
    let branch = world.chain.fork();
    let other = branch.make(1, &Coinbase::foreign());
    branch.put(other);
    branch.include(&[hash]);
    let both: [&FakeChain; 2] = [&world.chain, &branch];
    both.into_iter()
        .for_each(|chain| chain.mine_foreign(CONFIRMED + 2));
    world.settlers[1].own_chain = Some(branch);
    world.turns(600);
    let obeyed = world.obeyed(name_of(hash));
    assert!(
        obeyed.contains(&"uncle") && obeyed.contains(&"immature"),
        "{obeyed:?}"
    );
    for pair in obeyed.windows(2) {
        assert_ne!(pair[0], pair[1], "{obeyed:?}");
    }
    let words = obeyed.iter().filter(|state| **state == "uncle").count();
    assert!(words <= SAME_WORDS_MAX as usize, "{obeyed:?}");
    let before = said(&world, hash).len();
    world.turns(200);
    assert_eq!(said(&world, hash).len(), before, "it has an end");
    let disputed = world.settlers.iter().map(|it| it.metrics().disputed_blocks);
    assert_eq!(disputed.max(), Some(1), "and is an alarm");
}

#[test]
fn a_block_that_is_said_to_be_worth_more_each_time_it_comes_back_is_an_alarm_in_the_end() {
    let mut world = World::eth(1, 1);
    let hash = found_on_top(&mut world, Some(70));
    let (ours, other) = (world.chain.fork(), world.chain.fork());
    ours.mine_foreign(IMMATURE);
    other.put(other.make(1, &Coinbase::foreign()));
    other.mine_foreign(ORPHAN + UNCLE_REACH + 1);
    let mut expected = vec![("seen", REWARD + 70, 70)];
    for fees in 71..71 + WORDS_PER_BLOCK_MAX as u128 {
        ours.set(hash, &[], Some(fees));
        for (chain, state) in [(&ours, "immature"), (&other, "orphaned")] {
            world.settlers[0].own_chain = Some(chain.clone());
            world.calm();
            expected.push((state, REWARD + fees, fees));
        }
        let is_disputed = WORDS_PER_BLOCK_MAX < expected.len();
        let disputed = world.settlers[0].metrics().disputed_blocks;
        assert_eq!(disputed, u64::from(is_disputed), "{fees}");
    }
    expected.truncate(WORDS_PER_BLOCK_MAX);
    assert_eq!(said(&world, hash), expected);
}

#[test]
fn a_block_and_an_uncle_without_a_share_are_recovered() {
    let mut world = World::eth(1, 1);
    let lost = world.chain.mine(&Coinbase::ours());
    world.chain.set(lost, &[], Some(70));
    let second = world.chain.make(1, &Coinbase::ours());
    world.chain.include(&[second]);
    // Ours by the address, and without our text: somebody mines for us, or to our address.
    world.chain.mine(&Coinbase {
        text: "/someone/",
        ..Coinbase::ours()
    });
    world.chain.mine_foreign(IMMATURE);
    world.turns(10);
    assert_eq!(world.settlers[0].metrics().strangers, 2);
    assert!(
        world.recoveries().is_empty(),
        "the gateway's spool may be late"
    );
    world.turns(GRACE_TURNS);
    world.calm();
    let mut recovered: Vec<_> = world
        .recoveries()
        .into_iter()
        .map(|it| (it.hash, it.height, it.value, it.fees))
        .collect();
    recovered.sort_by_key(|it| it.2);
    // Two of one height: the second expects the first.
    assert_eq!(
        recovered
            .iter()
            .map(|it| (it.0, it.1, it.2, it.3))
            .collect::<std::collections::BTreeSet<_>>(),
        [
            (name_of(second), 1, UNCLE, 0),
            (name_of(lost), 1, REWARD + 70, 70)
        ]
        .into()
    );
    assert_eq!(world.obeyed(name_of(lost))[..2], ["seen", "immature"]);
    assert_eq!(world.obeyed(name_of(second)), ["uncle"]);
}

#[test]
fn a_share_that_comes_late_explains_an_ethash_like_s_block() {
    let mut world = World::eth(1, 1);
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.mine_foreign(IMMATURE);
    world.turns(15);
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    world.found_with(name_of(hash), 1, Hash::ZERO);
    world.turns(GRACE_TURNS);
    world.calm();
    assert!(world.recoveries().is_empty());
    assert_eq!(world.obeyed(name_of(hash)), ["seen", "immature"]);
}
