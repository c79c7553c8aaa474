//! Bans and adjustments: things like keys and policies, each with its own subject, approvals and limits.

use orebook_ledger::authority::thing_digest;
use orebook_schema::desk::{
    AdjustedBook, Adjustment, BANS_MAX, Ban, BanAction, BanTarget, Direction, Network, Reason,
};
use orebook_schema::genesis::Approved;
use orebook_schema::names::Script;
use orebook_schema::{Account, At, Event};

use crate::world::{ANNA, BEN, CLARA, DESK, LEDGER, NONE, STRANGER, World, approve, approved, at};

fn account(name: &str) -> Account {
    Account::parse(&format!("name:{name}")).unwrap()
}

fn of(name: &str) -> BanTarget {
    BanTarget::Account(account(name))
}

fn net(address: [u8; 4], prefix: u8) -> BanTarget {
    BanTarget::Network(Network::new(&address, prefix).unwrap())
}

fn said(target: BanTarget, action: BanAction, until_ms: u64, expects: At) -> Event {
    Event::Ban(Box::new(Ban {
        target,
        action,
        until_ms,
        expects,
        reason: Reason::parse("botnet").unwrap(),
    }))
}

pub(crate) fn ban(target: BanTarget, expects: At) -> Event {
    said(target, BanAction::Ban, 0, expects)
}

fn lift(target: BanTarget, expects: At) -> Event {
    said(target, BanAction::Lift, 0, expects)
}

pub(crate) fn adjust(name: &str, amount: u128, expects: At) -> Event {
    Event::Adjustment(Box::new(Adjustment {
        account: account(name),
        expects,
        book: AdjustedBook::Reserve,
        direction: Direction::ToAccount,
        amount,
        block: None,
        reason: Reason::parse("found block 7").unwrap(),
    }))
}

/// Place of a target's last obeyed ban or lift, and what it says.
fn standing(world: &World, target: &BanTarget) -> Option<(At, BanAction, u64)> {
    let obeyed = world.state.authority().unwrap().ban(target)?;
    assert_eq!(&obeyed.ban.target, target);
    Some((obeyed.at, obeyed.ban.action, obeyed.effective))
}

/// Amounts that took effect in the frame of a position, with their places and where they took effect.
fn taken(world: &World, position: u64) -> Vec<(u128, At, At)> {
    let authority = world.state.authority().unwrap();
    let all = authority.adjustments_taken_at(position);
    all.map(|taken| (taken.adjustment.amount, taken.at, taken.effective))
        .collect()
}

fn last(world: &World, name: &str) -> At {
    let authority = world.state.authority().unwrap();
    authority.last_adjustment(&account(name))
}

/// A ledger whose bans need so many approvals.
fn bans_need(needed: u8) -> World {
    World::with(|genesis| genesis.approvals.push((Approved::Ban, needed)))
}

#[test]
fn a_ban_is_obeyed_at_once_unless_genesis_asks_for_approvals() {
    let anna = of("anna");
    let mut world = World::ready();
    let position = world.desk_says(&[ban(anna.clone(), NONE)]);
    let obeyed = Some((at(position, 0), BanAction::Ban, position));
    assert_eq!(standing(&world, &anna), obeyed);

    let mut world = bans_need(1);
    let said = world.desk_says(&[Event::Heartbeat, ban(anna.clone(), NONE)]);
    assert_eq!(standing(&world, &anna), None);
    let approval = world.desk_says(&[approve(CLARA, &ban(anna.clone(), NONE))]);
    let obeyed = Some((at(said, 1), BanAction::Ban, approval));
    assert_eq!(standing(&world, &anna), obeyed);
}

#[test]
fn a_ban_compares_and_sets_on_its_target_alone() {
    let (anna, ben) = (of("anna"), of("ben"));
    let (wide, narrow) = (net([10, 0, 0, 0], 8), net([10, 1, 0, 0], 16));
    let mut world = World::ready();
    // Position, what is said there, and the place of what stands for its target afterwards.
    let steps = [
        (2, ban(anna.clone(), NONE), Some((2, BanAction::Ban))),
        (3, ban(anna.clone(), NONE), Some((2, BanAction::Ban))),
        (4, lift(anna.clone(), NONE), Some((2, BanAction::Ban))),
        (5, lift(anna.clone(), at(2, 1)), Some((2, BanAction::Ban))),
        (6, lift(anna.clone(), at(2, 0)), Some((6, BanAction::Lift))),
        (7, ban(anna.clone(), at(2, 0)), Some((6, BanAction::Lift))),
        (8, ban(anna.clone(), at(6, 0)), Some((8, BanAction::Ban))),
        // At its turn again, with an end: the newest counts.
        (
            9,
            said(anna, BanAction::Ban, 99, at(8, 0)),
            Some((9, BanAction::Ban)),
        ),
        (10, ban(ben.clone(), at(9, 0)), None),
        (11, ban(ben, NONE), Some((11, BanAction::Ban))),
        (12, ban(wide.clone(), NONE), Some((12, BanAction::Ban))),
        (13, ban(narrow.clone(), at(12, 0)), None),
        (14, ban(narrow.clone(), NONE), Some((14, BanAction::Ban))),
        (15, lift(wide, at(12, 0)), Some((15, BanAction::Lift))),
    ];
    for (position, event, stands) in steps {
        let Event::Ban(said) = &event else {
            panic!("a ban")
        };
        let target = said.target.clone();
        assert_eq!(world.desk_says(std::slice::from_ref(&event)), position);
        let expected = stands.map(|(position, action)| (at(position, 0), action, position));
        assert_eq!(
            standing(&world, &target),
            expected,
            "at {position}: {event:?}"
        );
    }
    assert!(standing(&world, &narrow).is_some(), "the narrow one stays");
}

#[test]
fn what_needs_approvals_takes_effect_with_the_last_one_in_whatever_order() {
    let target = of("anna");
    let things = [ban(target.clone(), NONE), adjust("anna", 7, NONE)];
    for thing in things {
        let [thing, anna, ben] = approved(thing);
        let orders = [
            [&thing, &anna, &ben],
            [&thing, &ben, &anna],
            [&anna, &thing, &ben],
            [&ben, &thing, &anna],
            [&anna, &ben, &thing],
            [&ben, &anna, &thing],
        ];
        for order in orders {
            let place = order.iter().position(|event| *event == &thing).unwrap();
            let place = u64::try_from(place).unwrap();
            // One frame each.
            let mut apart = bans_need(2);
            let first = apart.state.size();
            for (said, event) in order.iter().enumerate() {
                assert_eq!(standing(&apart, &target), None, "too early: {said}");
                assert_eq!(last(&apart, "anna"), NONE, "too early: {said}");
                apart.desk_says(&[(*event).clone()]);
            }
            let (own, whole) = (at(first + place, 0), at(first + 2, 0));
            // All in one.
            let mut together = bans_need(2);
            together.desk_says(&order.map(Event::clone));
            let index = u16::try_from(place).unwrap();
            if matches!(thing, Event::Ban(_)) {
                let obeyed = Some((own, BanAction::Ban, whole.position));
                assert_eq!(standing(&apart, &target), obeyed);
                let obeyed = Some((at(first, index), BanAction::Ban, first));
                assert_eq!(standing(&together, &target), obeyed);
            } else {
                assert_eq!(taken(&apart, whole.position), [(7, own, whole)]);
                assert_eq!(last(&apart, "anna"), own);
                let own = at(first, index);
                assert_eq!(taken(&together, first), [(7, own, at(first, 2))]);
                assert_eq!(last(&together, "anna"), own);
            }
        }
    }
}

#[test]
fn an_adjustment_takes_effect_once_whatever_is_said_again() {
    let mut world = World::ready();
    let [thing, anna, ben] = approved(adjust("anna", 7, NONE));
    let first = world.desk_says(&[thing.clone(), anna.clone(), ben.clone()]);
    assert_eq!(taken(&world, first), [(7, at(first, 0), at(first, 2))]);
    let clara = approve(CLARA, &thing);
    for again in [thing.clone(), anna, ben, clara] {
        let position = world.desk_says(&[again.clone(), again.clone(), thing.clone()]);
        assert_eq!(taken(&world, position), [], "{again:?}");
        assert_eq!(last(&world, "anna"), at(first, 0));
    }
    // The same once more is said at its turn, and approved anew.
    let next = world.desk_says(&approved(adjust("anna", 7, at(first, 0))));
    assert_eq!(taken(&world, next), [(7, at(next, 0), at(next, 2))]);
    assert_eq!(taken(&world, first), [], "only the newest is remembered");
}

#[test]
fn approvals_that_do_not_count_leave_an_adjustment_waiting() {
    let thing = || adjust("anna", 7, NONE);
    let table = [
        ("none", vec![]),
        ("one", vec![approve(ANNA, &thing())]),
        (
            "one twice",
            vec![approve(ANNA, &thing()), approve(ANNA, &thing())],
        ),
        (
            "a stranger's",
            vec![approve(ANNA, &thing()), approve(STRANGER, &thing())],
        ),
        (
            "the desk's",
            vec![approve(ANNA, &thing()), approve(DESK, &thing())],
        ),
        (
            "of another amount",
            vec![
                approve(ANNA, &thing()),
                approve(BEN, &adjust("anna", 8, NONE)),
            ],
        ),
        (
            "of another account",
            vec![
                approve(ANNA, &thing()),
                approve(BEN, &adjust("ben", 7, NONE)),
            ],
        ),
        (
            "of another turn",
            vec![
                approve(ANNA, &thing()),
                approve(BEN, &adjust("anna", 7, at(1, 0))),
            ],
        ),
    ];
    for (what, approvals) in table {
        let mut after = World::ready();
        after.desk_says(&[[thing()].as_slice(), &approvals].concat());
        let mut before = World::ready();
        before.desk_says(&[&approvals, [thing()].as_slice()].concat());
        for mut world in [after, before] {
            assert_eq!(last(&world, "anna"), NONE, "{what}");
            let waiting: Vec<_> = world.state.authority().unwrap().waiting().collect();
            let [waits] = waiting.as_slice() else {
                panic!("{what}: {waiting:?}")
            };
            assert_eq!(waits.digest, thing_digest(LEDGER, &thing()));
            assert_eq!((&waits.event, waits.needed), (&thing(), 2));
            // The approvals that are missing complete it.
            world.desk_says(&[approve(ANNA, &thing()), approve(CLARA, &thing())]);
            assert_ne!(last(&world, "anna"), NONE, "{what}");
        }
    }
}

#[test]
fn an_adjustment_whose_account_was_adjusted_meanwhile_is_not_obeyed() {
    let mut world = World::ready();
    let early = adjust("anna", 7, NONE);
    world.desk_says(&[early.clone(), approve(ANNA, &early)]);
    let other = world.desk_says(&approved(adjust("ben", 5, NONE)));
    assert_eq!(
        last(&world, "ben"),
        at(other, 0),
        "another account's turn is its own"
    );
    let late = world.desk_says(&approved(adjust("anna", 8, NONE)));
    assert_eq!(taken(&world, late), [(8, at(late, 0), at(late, 2))]);
    let position = world.desk_says(&[approve(BEN, &early), approve(CLARA, &early), early]);
    assert_eq!(taken(&world, position), []);
    assert_eq!(last(&world, "anna"), at(late, 0));
}

#[test]
fn two_adjustments_of_a_frame_take_effect_in_the_order_of_their_last_approvals() {
    let mut world = World::ready();
    let (one, two) = (adjust("anna", 1, NONE), adjust("ben", 2, NONE));
    let events = [
        one.clone(),
        approve(ANNA, &one),
        two.clone(),
        approve(ANNA, &two),
        approve(BEN, &two),
        approve(BEN, &one),
    ];
    let position = world.desk_says(&events);
    let expected = [
        (2, at(position, 2), at(position, 4)),
        (1, at(position, 0), at(position, 5)),
    ];
    assert_eq!(taken(&world, position), expected);
}

#[test]
fn who_is_the_only_approver_approves_alone_and_genesis_may_ask_for_more_or_less() {
    // Approvers, what genesis lists, approvals until it takes effect.
    let table = [(1, None, 1), (3, None, 2), (3, Some(1), 1), (3, Some(3), 3)];
    for (approvers, listed, needed) in table {
        let mut world = World::with(|genesis| {
            genesis.approvals.clear();
            genesis
                .approvals
                .extend(listed.map(|needed| (Approved::Adjustment, needed)));
            let anna = crate::world::key(ANNA);
            genesis
                .approvers
                .retain(|key| approvers == 3 || *key == anna);
        });
        let thing = adjust("anna", 7, NONE);
        world.desk_says(std::slice::from_ref(&thing));
        let mut given = 0;
        for name in [ANNA, BEN, CLARA] {
            if last(&world, "anna") == NONE {
                world.desk_says(&[approve(name, &thing)]);
                given += 1;
            }
        }
        assert_eq!(given, needed, "{approvers} approvers, {listed:?}");
        assert_ne!(last(&world, "anna"), NONE);
    }
}

#[test]
fn so_many_targets_are_banned_and_no_more_until_one_is_lifted() {
    let target = |number: usize| {
        let bytes = u32::try_from(number).unwrap().to_be_bytes();
        BanTarget::Account(Account::Script(Script::new(&bytes).unwrap()))
    };
    let mut world = World::ready();
    let all: Vec<Event> = (0..BANS_MAX)
        .map(|number| ban(target(number), NONE))
        .collect();
    for some in all.chunks(500) {
        world.desk_says(some);
    }
    let banned = |world: &World| {
        let bans = world.state.authority().unwrap().bans();
        bans.filter(|obeyed| obeyed.ban.action == BanAction::Ban)
            .count()
    };
    assert_eq!(banned(&world), BANS_MAX);
    let more = target(BANS_MAX);
    world.desk_says(&[ban(more.clone(), NONE)]);
    assert_eq!(standing(&world, &more), None, "one too many");
    // One that is banned may be banned otherwise, and anybody's may be lifted.
    let (first, _, _) = standing(&world, &target(0)).unwrap();
    let again = world.desk_says(&[said(target(0), BanAction::Ban, 5, first)]);
    assert_eq!(standing(&world, &target(0)).unwrap().0, at(again, 0));
    world.desk_says(&[lift(of("anna"), NONE)]);
    world.desk_says(&[ban(more.clone(), NONE)]);
    assert_eq!(standing(&world, &more), None, "still one too many");
    world.desk_says(&[lift(target(0), at(again, 0)), ban(more.clone(), NONE)]);
    assert!(standing(&world, &more).is_some());
    assert_eq!(banned(&world), BANS_MAX);
}
