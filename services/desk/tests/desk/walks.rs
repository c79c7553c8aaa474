//! What becomes of commands, by the desk's answers and by the archiver's view of the ledger.

use orebook_ledger::authority::thing_digest;
use orebook_schema::desk::{
    AdjustedBook, Adjustment, Ban, BanAction, BanTarget, Direction, Network, Reason,
};
use orebook_schema::event::{KeyAction, SchemaSet};
use orebook_schema::{Account, At, Event, Kind, Role};

use crate::world::{
    APPROVERS, CLERK, DESK, GATEWAY, LEDGER, Life, OPERATOR, OTHER_DESK, World, approval, fee,
    key_change, revoke, signer,
};

#[test]
fn a_key_is_revoked_by_an_operator_and_an_approver() {
    let mut world = World::new();
    let (bytes, id) = world.command(CLERK, &revoke());
    let said = world.send_bytes(&bytes);
    assert_eq!(said["outcome"], "waits", "{said}");
    assert_eq!(said["thing"]["missing"], 1, "{said}");
    let thing = thing_digest(LEDGER, &revoke());
    assert_eq!(said["thing"]["digest"], thing.to_string());
    let waiting = &world.state()["waiting"][0];
    assert_eq!(waiting["digest"], thing.to_string(), "approvers see it");
    let approved = world.send(APPROVERS[1], &approval(APPROVERS[1], thing));
    assert_eq!(approved["outcome"], "counted", "{approved}");
    assert_eq!(approved["thing"]["missing"], 0, "{approved}");
    assert_eq!(world.desks[0].ask(id)["outcome"], "obeyed");
    let authority = world.settled().authority().expect("genesis");
    assert_eq!(authority.role(&signer(GATEWAY).key()), None);
    assert_eq!(world.said().len(), 2);
}

#[test]
fn an_approval_may_come_before_its_thing() {
    let mut world = World::new();
    let thing = thing_digest(LEDGER, &revoke());
    // An operator carries what an approver signed offline.
    let approved = world.send(OPERATOR, &approval(APPROVERS[0], thing));
    assert_eq!(approved["outcome"], "counted", "{approved}");
    assert!(approved["thing"]["needed"].is_null(), "{approved}");
    let said = world.send(OPERATOR, &revoke());
    assert_eq!(said["outcome"], "obeyed", "{said}");
}

#[test]
fn a_policy_needs_two_approvals_and_counts_them() {
    let mut world = World::new();
    let event = fee(25_000, At::default());
    let thing = thing_digest(LEDGER, &event);
    let said = world.send(OPERATOR, &event);
    assert_eq!(said["thing"]["missing"], 2, "{said}");
    let again = world.send(OPERATOR, &event);
    assert_eq!(again["cause"], "already", "another command, the same thing");
    for (of, missing) in [(APPROVERS[0], 1), (APPROVERS[2], 0)] {
        let approved = world.send(of, &approval(of, thing));
        assert_eq!(approved["thing"]["missing"], missing, "{approved}");
    }
    let (_, newest) = world
        .settled()
        .authority()
        .expect("genesis")
        .newest_policy();
    assert_eq!(newest.expect("obeyed").policy.pots[0].fee_ppm, 25_000);
    assert_eq!(
        world.state()["policy"]["says"]["pots"][0]["fee_ppm"],
        25_000
    );
}

#[test]
fn a_schema_set_needs_no_approval_and_a_key_may_come_back() {
    let mut world = World::new();
    let set = Event::SchemaSet(SchemaSet {
        number: 1,
        entries: Kind::known(),
    });
    assert_eq!(world.send(OPERATOR, &set)["outcome"], "obeyed");
    let revoked = world.send(OPERATOR, &revoke());
    let thing = thing_digest(LEDGER, &revoke());
    world.send(APPROVERS[0], &approval(APPROVERS[0], thing));
    let expects = At {
        position: revoked["at"][0].as_u64().expect("a position"),
        index: 0,
    };
    let back = key_change(GATEWAY, Role::Gateway, KeyAction::InForce, expects);
    assert_eq!(world.send(OPERATOR, &back)["outcome"], "waits");
    let thing = thing_digest(LEDGER, &back);
    world.send(APPROVERS[0], &approval(APPROVERS[0], thing));
    let authority = world.settled().authority().expect("genesis");
    assert_eq!(authority.role(&signer(GATEWAY).key()), Some(Role::Gateway));
}

#[test]
fn a_command_sent_again_is_answered_again_and_written_once() {
    let mut world = World::new();
    let (bytes, id) = world.command(OPERATOR, &revoke());
    let now = world.now;
    for _ in 0..3 {
        world.desks[0].submit(&bytes, now).unwrap();
    }
    assert_eq!(world.desks[0].ask(id)["outcome"], "unknown");
    let first = world.await_answer(0, id);
    assert_eq!(world.send_bytes(&bytes), first);
    world.desks[0].kill();
    world.desks[0].start(now).unwrap();
    world.turns(5);
    assert_eq!(world.send_bytes(&bytes), first, "after a restart");
    assert_eq!(world.desks[0].ask(id), first);
    assert_eq!(world.said().len(), 1);
    // Long after its time it is not known any more, and not taken either.
    world.now += 2 * crate::world::LIFE_MS;
    world.turns(1);
    assert_eq!(world.send_bytes(&bytes)["cause"], "expired");
    assert_eq!(world.said().len(), 1);
}

#[test]
fn two_desks_at_once_change_a_thing_once() {
    for key in [OTHER_DESK, DESK] {
        // Another key, and the same key in another folder by mistake: streams of their own.
        let mut world = World::new();
        world.add_desk(key);
        world.turns(30);
        let thing = thing_digest(LEDGER, &fee(20_000, At::default()));
        for of in &APPROVERS[..2] {
            world.send(*of, &approval(*of, thing));
            let other = thing_digest(LEDGER, &fee(30_000, At::default()));
            world.send(*of, &approval(*of, other));
        }
        let (one, first) = world.command(OPERATOR, &fee(20_000, At::default()));
        let (two, second) = world.command(OPERATOR, &fee(30_000, At::default()));
        let now = world.now;
        world.desks[0].submit(&one, now).unwrap();
        world.desks[1].submit(&two, now).unwrap();
        world.await_answer(0, first);
        world.turns(30);
        let mut outcomes = [world.desks[0].ask(first), world.desks[1].ask(second)]
            .map(|answer| answer["outcome"].as_str().expect("a text").to_owned());
        outcomes.sort();
        assert_eq!(outcomes, ["obeyed", "overtaken"]);
        assert_eq!(world.said().len(), 6);
    }
}

#[test]
fn a_copy_of_the_desks_folder_is_a_fork_and_both_desks_say_so_and_go_on() {
    let mut world = World::new();
    let (bytes, id) = world.command(OPERATOR, &revoke());
    let (other_bytes, _) = world.command(OPERATOR, &fee(20_000, At::default()));
    let mut copy = Life::on(world.desks[0].disk.fork_copy(), DESK, 7);
    // The original ends, its copy and itself start with one and the same epoch.
    world.desks[0].kill();
    let now = world.now;
    world.desks[0].start(now).unwrap();
    copy.start(now).unwrap();
    world.desks.push(copy);
    world.turns(5);
    world.desks[0].submit(&bytes, now).unwrap();
    world.desks[1].submit(&other_bytes, now).unwrap();
    for _ in 0..200 {
        world.turns(1);
    }
    let moves: u64 = (0..2)
        .map(|desk| world.desks[desk].machine().counters().read().moves)
        .sum();
    assert!(
        0 < moves,
        "somebody's stream was closed, and it was counted"
    );
    // Whatever was lost is said to be, and may be sent again.
    for desk in 0..2 {
        assert!(world.desks[desk].machine().is_free(), "desk {desk}");
    }
    if world.desks[0].ask(id)["outcome"] == "lost" {
        assert_eq!(world.send_bytes(&bytes)["outcome"], "waits");
    }
    let revoked = |world: &World| {
        let said = world.said();
        said.iter().filter(|(_, event)| *event == revoke()).count()
    };
    assert_eq!(revoked(&world), 1, "{:?}", world.said());
}

#[test]
fn a_ban_and_an_adjustment_take_effect_with_the_approvals_that_genesis_asks_for() {
    let mut world = World::new();
    let network = Network::new(&[10, 0, 0, 0], 8).unwrap();
    let target = BanTarget::Network(network);
    let ban = |action, expects| {
        Event::Ban(Box::new(Ban {
            target: BanTarget::Network(network),
            action,
            until_ms: 0,
            expects,
            reason: Reason::parse("floods").unwrap(),
        }))
    };
    let account = Account::parse("name:anna").unwrap();
    let adjustment = Event::Adjustment(Box::new(Adjustment {
        account: account.clone(),
        expects: At::default(),
        book: AdjustedBook::Reserve,
        direction: Direction::ToAccount,
        amount: 5,
        block: None,
        reason: Reason::parse("a mistake of ours").unwrap(),
    }));
    let finish = |world: &mut World, event: &Event| {
        let mut answer = world.send(OPERATOR, event);
        let thing = thing_digest(LEDGER, event);
        for of in APPROVERS {
            if answer["outcome"] == "obeyed" || answer["thing"]["missing"] == 0 {
                return;
            }
            answer = world.send(of, &approval(of, thing));
        }
        assert_eq!(answer["thing"]["missing"], 0, "{answer}");
    };
    finish(&mut world, &ban(BanAction::Ban, At::default()));
    assert_eq!(world.state()["bans"][0]["action"], "ban");
    let at = world
        .settled()
        .authority()
        .unwrap()
        .ban(&target)
        .unwrap()
        .at;
    assert_eq!(
        world.send(OPERATOR, &ban(BanAction::Ban, at))["cause"],
        "already"
    );
    finish(&mut world, &ban(BanAction::Lift, at));
    assert_eq!(world.state()["bans"][0]["action"], "lift");
    finish(&mut world, &adjustment);
    let authority = world.settled().authority().unwrap();
    assert_ne!(authority.last_adjustment(&account), At::default());
    let clerk = world.send(CLERK, &adjustment);
    assert_eq!(clerk["cause"], "not_allowed", "{clerk}");
}

#[test]
fn a_desk_whose_key_is_revoked_says_so_and_writes_nothing() {
    let mut world = World::new();
    let gone = key_change(DESK, Role::Desk, KeyAction::Revoked, At::default());
    let thing = thing_digest(LEDGER, &gone);
    world.send(APPROVERS[0], &approval(APPROVERS[0], thing));
    assert_eq!(world.send(OPERATOR, &gone)["outcome"], "obeyed");
    let said = world.said().len();
    let refused = world.send(OPERATOR, &revoke());
    assert_eq!(refused["cause"], "key_not_in_force", "{refused}");
    world.turns(150);
    assert_eq!(world.desks[0].machine().counters().read().key_refused, 1);
    assert_eq!(world.said().len(), said);
}
