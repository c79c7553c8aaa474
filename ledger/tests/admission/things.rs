//! Things: keys and policies by compare and set, with approvals in any order.

use orebook_ledger::admit::Cause;
use orebook_schema::event::{Approval, KeyAction};
use orebook_schema::names::Pot;
use orebook_schema::policy::Scheme;
use orebook_schema::{At, Event, LedgerId, Policy, Role};

use crate::world::{
    ANNA, BEN, CLARA, DESK, GATEWAY, LEDGER, NONE, Pen, SETTLER, STRANGER, World, approve,
    approved, at, block_status, hello, key, key_change, nonce, policy_change, revoke, signer,
};

/// A new gateway.
fn newcomer() -> Event {
    key_change(STRANGER, Role::Gateway, KeyAction::InForce, NONE)
}

fn is_in_force(world: &World) -> bool {
    world.role(STRANGER) == Some(Role::Gateway)
}

/// The newcomer is in force after these events, one frame each, and not before the last.
fn assert_in_force_after(events: &[Event]) {
    let mut world = World::ready();
    for event in events {
        assert!(!is_in_force(&world), "too early");
        world.desk_says(std::slice::from_ref(event));
    }
    assert!(is_in_force(&world), "too late");
    let frame = World::ready()
        .draft(&Pen::new(STRANGER, 9), &hello())
        .bytes();
    assert_eq!(World::ready().cause(frame), Cause::Refused);
    world.say(&mut Pen::new(STRANGER, 9), &hello());
}

/// The newcomer is not in force whatever of these is said, together or apart.
fn assert_never_in_force(what: &str, events: &[Event]) {
    let mut together = World::ready();
    together.desk_says(events);
    let mut apart = World::ready();
    for event in events {
        apart.desk_says(std::slice::from_ref(event));
    }
    assert!(!is_in_force(&together) && !is_in_force(&apart), "{what}");
}

#[test]
fn a_key_is_in_force_with_its_last_approval_in_whatever_order() {
    let [thing, anna, ben] = approved(newcomer());
    let orders = [
        [&thing, &anna, &ben],
        [&thing, &ben, &anna],
        [&anna, &thing, &ben],
        [&ben, &thing, &anna],
        [&anna, &ben, &thing],
        [&ben, &anna, &thing],
    ];
    for order in orders {
        let order = order.map(Event::clone);
        assert_in_force_after(&order);
        let mut world = World::ready();
        world.desk_says(&order);
        assert!(is_in_force(&world), "in one frame");
    }
}

#[test]
fn more_approvals_than_needed_change_nothing() {
    let mut world = World::ready();
    world.desk_says(&approved(newcomer()));
    let before = world
        .state
        .authority()
        .unwrap()
        .keys_in_force()
        .collect::<Vec<_>>();
    world.desk_says(&[approve(CLARA, &newcomer()), newcomer()]);
    let after = world
        .state
        .authority()
        .unwrap()
        .keys_in_force()
        .collect::<Vec<_>>();
    assert_eq!(before, after);
}

#[test]
fn an_approver_counts_once() {
    let anna = approve(ANNA, &newcomer());
    assert_never_in_force("after", &[newcomer(), anna.clone(), anna.clone()]);
    assert_never_in_force("before", &[anna.clone(), anna.clone(), newcomer()]);
    assert_never_in_force("around", &[anna.clone(), newcomer(), anna]);
}

#[test]
fn approvals_that_are_not_an_approver_s_word_on_the_thing_count_nothing() {
    let anna = approve(ANNA, &newcomer());
    let altered = |edit: fn(&mut Approval)| {
        let Event::Approval(mut approval) = approve(BEN, &newcomer()) else {
            panic!("an approval");
        };
        edit(&mut approval);
        Event::Approval(approval)
    };
    let cases = [
        ("a settler's", approve(SETTLER, &newcomer())),
        ("a stranger's", approve(STRANGER, &newcomer())),
        ("the desk's own", approve(DESK, &newcomer())),
        (
            "a flipped signature",
            altered(|approval| approval.signature[5] ^= 1),
        ),
        (
            "another's signature",
            altered(|approval| approval.approver = key(CLARA)),
        ),
        (
            "of another thing",
            approve(BEN, &revoke(STRANGER, Role::Gateway)),
        ),
        ("of the thing that expects more", {
            let other = key_change(STRANGER, Role::Gateway, KeyAction::InForce, at(1, 0));
            approve(BEN, &other)
        }),
        (
            "of another ledger",
            altered(|approval| {
                approval.signature = signer(BEN).sign_approval(LedgerId([8; 16]), &approval.thing);
            }),
        ),
        (
            "of another domain",
            altered(|approval| {
                let message = [LEDGER.0.as_slice(), &approval.thing.0].concat();
                approval.signature = signer(BEN).sign(b"orebook/checkpoint/0\n", &message);
            }),
        ),
    ];
    for (what, approval) in cases {
        assert_never_in_force(what, &[newcomer(), anna.clone(), approval.clone()]);
        assert_never_in_force(what, &[approval, anna.clone(), newcomer()]);
    }
}

#[test]
fn what_genesis_does_not_list_needs_one_approval() {
    let mut world = World::with(|genesis| genesis.approvals.clear());
    world.desk_says(&[newcomer()]);
    assert!(!is_in_force(&world));
    world.desk_says(&[approve(CLARA, &newcomer())]);
    assert!(is_in_force(&world));
    world.desk_says(&[
        approve(ANNA, &policy_change(NONE, |_| {})),
        policy_change(NONE, |_| {}),
    ]);
    assert_eq!(world.newest_policy(), at(3, 1));
}

#[test]
fn a_thing_that_expects_something_else_is_refused_for_ever() {
    for expects in [at(1, 0), at(0, 1), at(0, u16::MAX)] {
        let mut world = World::ready();
        let change = key_change(STRANGER, Role::Gateway, KeyAction::InForce, expects);
        for thing in [change, policy_change(expects, |_| {})] {
            // Approved after it was said, and before it is said again.
            let [thing, anna, ben] = approved(thing);
            world.desk_says(&[thing.clone(), anna, ben, thing]);
        }
        assert_eq!((world.role(STRANGER), world.newest_policy()), (None, NONE));
    }
}

#[test]
fn a_thing_whose_subject_moved_meanwhile_is_not_obeyed() {
    let settler = key_change(STRANGER, Role::Settler, KeyAction::InForce, NONE);
    let mut world = World::ready();
    world.desk_says(&[newcomer(), approve(ANNA, &newcomer())]);
    world.desk_says(&approved(settler));
    assert_eq!(world.role(STRANGER), Some(Role::Settler));
    world.desk_says(&[
        approve(BEN, &newcomer()),
        approve(CLARA, &newcomer()),
        newcomer(),
    ]);
    assert_eq!(world.role(STRANGER), Some(Role::Settler));
}

#[test]
fn a_thing_that_came_too_early_is_not_obeyed_until_it_is_said_again() {
    let mut world = World::ready();
    let position = world.desk_says(&[newcomer()]);
    // It expects what waits only; its approvals are there before the first thing is obeyed, and after.
    let next = key_change(STRANGER, Role::Settler, KeyAction::InForce, at(position, 0));
    world.desk_says(&approved(next.clone()));
    world.desk_says(&[approve(ANNA, &newcomer()), approve(BEN, &newcomer())]);
    assert!(is_in_force(&world));
    world.desk_says(&[approve(CLARA, &next)]);
    assert!(is_in_force(&world), "an approval does not bring it back");
    world.desk_says(&[next]);
    assert_eq!(
        world.role(STRANGER),
        Some(Role::Settler),
        "said again, it is a new event"
    );
}

#[test]
fn a_thing_said_twice_stands_where_it_was_said_first() {
    let mut world = World::ready();
    let first = world.desk_says(&[Event::Heartbeat, newcomer()]);
    world.desk_says(&[newcomer()]);
    world.desk_says(&[approve(ANNA, &newcomer()), approve(BEN, &newcomer())]);
    assert!(is_in_force(&world));
    let revoke_at = |at: At| key_change(STRANGER, Role::Gateway, KeyAction::Revoked, at);
    world.desk_says(&approved(revoke_at(at(first + 1, 0))));
    assert!(is_in_force(&world));
    world.desk_says(&approved(revoke_at(at(first, 1))));
    assert!(!is_in_force(&world));
}

#[test]
fn a_revoked_key_says_nothing_until_it_is_in_force_again() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(&mut pen, &hello());
    let revoked = world.desk_says(&approved(revoke(GATEWAY, Role::Gateway)));
    assert_eq!(world.role(GATEWAY), None);
    assert_eq!(world.refusal(&pen, &[nonce(1)]), Cause::Refused);
    assert_eq!(
        world.refusal(&Pen::new(GATEWAY, 2), &[Event::Heartbeat]),
        Cause::Refused
    );
    let again = |at| approved(key_change(GATEWAY, Role::Gateway, KeyAction::InForce, at));
    world.desk_says(&again(NONE));
    assert_eq!(world.role(GATEWAY), None, "it moved");
    world.desk_says(&again(at(revoked, 0)));
    world.say(&mut pen, &[nonce(1)]);
}

#[test]
fn a_key_may_get_another_role_and_keeps_its_streams() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(&mut pen, &hello());
    world.desk_says(&approved(key_change(
        GATEWAY,
        Role::Settler,
        KeyAction::InForce,
        NONE,
    )));
    assert_eq!(world.refusal(&pen, &[nonce(1)]), Cause::Refused);
    world.say(&mut pen, &[block_status(NONE)]);
}

#[test]
fn effects_take_hold_before_the_next_frame_and_not_in_their_own() {
    let mut world = World::ready();
    let [thing, anna, ben] = approved(revoke(DESK, Role::Desk));
    world.desk_says(&[thing, anna, ben, Event::Heartbeat]);
    let desk = world.desk.clone();
    assert_eq!(world.refusal(&desk, &[Event::Heartbeat]), Cause::Refused);
}

#[test]
fn of_two_policies_that_expect_the_same_the_first_that_is_approved_is_obeyed() {
    let with_threshold = |threshold| policy_change(NONE, |policy| policy.threshold = threshold);
    let mut world = World::ready();
    let early = world.desk_says(&[with_threshold(10), approve(ANNA, &with_threshold(10))]);
    let late = world.desk_says(&[Event::Heartbeat, with_threshold(20)]);
    let approval = world.desk_says(&[
        approve(ANNA, &with_threshold(20)),
        approve(BEN, &with_threshold(20)),
    ]);
    world.desk_says(&[
        approve(BEN, &with_threshold(10)),
        approve(CLARA, &with_threshold(10)),
    ]);
    let authority = world.state.authority().unwrap();
    let (at_of, obeyed) = authority.newest_policy();
    let obeyed = obeyed.unwrap();
    assert_eq!(
        (at_of, obeyed.policy.threshold, obeyed.effective),
        (at(late, 1), 20, approval)
    );
    assert!(authority.policy(at(early, 0)).is_none());
    assert_eq!(
        authority.policy(NONE).unwrap().policy.threshold,
        1,
        "the old one stays known"
    );
    world.desk_says(&approved(with_threshold(30)));
    assert_eq!(world.newest_policy(), at(late, 1));
    let next = policy_change(at(late, 1), |policy| policy.threshold = 30);
    let position = world.desk_says(&approved(next));
    assert_eq!(world.newest_policy(), at(position, 0));
}

#[test]
fn a_pot_keeps_its_scheme_for_ever() {
    type Edit = fn(&mut Policy);
    let mut world = World::ready();
    let mut newest = NONE;
    let steps: [(&str, bool, Edit); 7] = [
        ("pot 0 as SOLO", false, |policy| {
            policy.pots[0].scheme = Scheme::Solo
        }),
        ("without pot 1", true, |policy| policy.pots.truncate(1)),
        ("pot 1 back as PPLNS", false, |policy| {
            policy.pots[1].scheme = Scheme::Pplns
        }),
        ("pot 1 back as PPS", false, |policy| {
            policy.pots[1].scheme = Scheme::Pps
        }),
        ("pot 1 back as it was", true, |policy| {
            policy.pots[1].fee_ppm = 7
        }),
        ("a new pot", true, |policy| {
            policy.pots[1].pot = Pot(2);
            policy.pots[1].scheme = Scheme::Pps;
        }),
        ("the new pot as FPPS", false, |policy| {
            policy.pots[1].pot = Pot(2);
            policy.pots[1].scheme = Scheme::Fpps;
        }),
    ];
    for (what, is_obeyed, edit) in steps {
        let [thing, anna, ben] = approved(policy_change(newest, edit));
        if !is_obeyed {
            world.desk_says(&[thing.clone(), anna.clone(), ben.clone(), thing.clone()]);
            assert_eq!(world.newest_policy(), newest, "{what}");
        }
        let position = world.desk_says(&[anna, ben, thing]);
        newest = if is_obeyed { at(position, 2) } else { newest };
        assert_eq!(world.newest_policy(), newest, "{what}");
    }
}

#[test]
fn a_policy_that_was_never_obeyed_fixes_no_scheme() {
    let mut world = World::ready();
    let pot_2 = |scheme| {
        policy_change(NONE, move |policy| {
            policy.pots[1].pot = Pot(2);
            policy.pots[1].scheme = scheme;
        })
    };
    world.desk_says(&[pot_2(Scheme::Pps), approve(ANNA, &pot_2(Scheme::Pps))]);
    let position = world.desk_says(&approved(pot_2(Scheme::Fpps)));
    assert_eq!(world.newest_policy(), at(position, 0));
}
