//! Refusals by cause: nothing is written, and the trail says who wanted what.

use orebook_desk::command::COMMAND_LIFE_MS_MAX;
use orebook_desk::judge::judge;
use orebook_ledger::authority::{Authority, thing_digest};
use orebook_schema::account::{NAMES_MAX, Registration, SetBy, Setting, SettingValue};
use orebook_schema::desk::{
    AdjustedBook, Adjustment, Ban, BanAction, BanTarget, Direction, Network, Reason,
};
use orebook_schema::event::{KeyAction, KeyChange, PolicyChange, SchemaEntry, SchemaSet};
use orebook_schema::names::{Pot, RegisteredName, WorkerName};
use orebook_schema::policy::Scheme;
use orebook_schema::{Account, At, Event, Hash, Key, Kind, LedgerId, Policy, Role};

use crate::world::{
    APPROVERS, ARCHIVER, CLERK, DESK, GATEWAY, LEDGER, LIFE_MS, OPERATOR, OTHER_DESK, STRANGER,
    World, approval, fee, genesis, key_change, policy, revoke, signer,
};
use orebook_desk::Submitted;
use orebook_desk::command::Command;

const fn at(position: u64) -> At {
    At { position, index: 0 }
}

fn cause(authority: &Authority, event: &Event) -> &'static str {
    judge(authority, 50, event).map_or_else(|refusal| refusal.name(), |()| "taken")
}

fn policy_with(change: impl Fn(&mut Policy)) -> Event {
    let mut policy = policy(20_000);
    change(&mut policy);
    let expects = At::default();
    Event::Policy(Box::new(PolicyChange { expects, policy }))
}

fn schema_set(number: u32, kind: u8, version: u8) -> Event {
    let entries = vec![SchemaEntry { kind, version }];
    Event::SchemaSet(SchemaSet { number, entries })
}

fn ban(action: BanAction, until_ms: u64, expects: At) -> Event {
    let network = Network::new(&[10, 0, 0, 0], 8).unwrap();
    Event::Ban(Box::new(Ban {
        target: BanTarget::Network(network),
        action,
        until_ms,
        expects,
        reason: Reason::parse("floods").unwrap(),
    }))
}

fn adjustment(amount: u128, expects: At) -> Event {
    Event::Adjustment(Box::new(Adjustment {
        account: Account::parse("name:anna").unwrap(),
        expects,
        book: AdjustedBook::Reserve,
        direction: Direction::ToAccount,
        amount,
        block: None,
        reason: Reason::parse("a mistake of ours").unwrap(),
    }))
}

fn registration(name: &str, workers: &[&str], expects: At) -> Event {
    let workers = workers.iter().map(|name| WorkerName::parse(name).unwrap());
    Event::Account(Box::new(Registration {
        name: RegisteredName::parse(name).unwrap(),
        expects,
        payout: Account::parse("script:51").unwrap(),
        threshold: 0,
        token: None,
        registered_only: true,
        workers: workers.collect(),
    }))
}

fn setting(account: &str, by: SetBy, value: SettingValue, expects: At) -> Event {
    let proof = match by {
        SetBy::Operator => Vec::new(),
        SetBy::Signed | SetBy::Token => vec![1],
    };
    Event::Setting(Box::new(Setting {
        account: Account::parse(account).unwrap(),
        expects,
        by,
        value,
        proof,
    }))
}

#[test]
fn accounts_and_settings_are_refused_by_cause() {
    let zero = At::default();
    let mut authority = Authority::new(genesis());
    authority.apply(at(5), &registration("anna", &["a", "b"], zero));
    let pay = || SettingValue::PayNow;
    authority.apply(at(6), &setting("name:anna", SetBy::Token, pay(), zero));
    let mut new_address = registration("anna", &[], at(5));
    if let Event::Account(said) = &mut new_address {
        said.payout = Account::parse("script:52").unwrap();
    }
    for (event, expected) in [
        (registration("ben", &[], zero), "taken"),
        (registration("anna", &[], zero), "already"),
        (registration("anna", &["a"], at(5)), "already"),
        (registration("anna", &["a", "c"], at(5)), "taken"),
        (registration("anna", &["c"], zero), "expects"),
        (registration("anna", &["c", "a"], at(5)), "malformed"),
        (new_address, "taken"),
        (setting("name:anna", SetBy::Operator, pay(), at(6)), "taken"),
        (
            setting("name:anna", SetBy::Operator, pay(), at(5)),
            "expects",
        ),
        (setting("name:anna", SetBy::Token, pay(), at(5)), "expects"),
        (
            setting("name:ben", SetBy::Operator, pay(), zero),
            "not_registered",
        ),
        (
            setting(
                "script:51",
                SetBy::Operator,
                SettingValue::Threshold(7),
                zero,
            ),
            "taken",
        ),
        (
            setting(
                "script:51",
                SetBy::Operator,
                SettingValue::Donation(1_000_001),
                zero,
            ),
            "malformed",
        ),
    ] {
        assert_eq!(cause(&authority, &event), expected, "{event:?}");
    }
    for number in 1..NAMES_MAX {
        authority.apply(at(7), &registration(&format!("n{number}"), &[], zero));
    }
    let late = registration("late", &[], zero);
    assert_eq!(cause(&authority, &late), "too_many_accounts");
}

#[test]
fn a_registration_is_said_and_the_state_has_all_of_it() {
    let mut world = World::new();
    let first = world.send(OPERATOR, &registration("anna", &["a", "b"], At::default()));
    assert_eq!(first["outcome"], "obeyed", "{first:?}");
    let refused = world.send(CLERK, &registration("ben", &[], At::default()));
    assert_eq!(refused["cause"], "not_allowed");
    for by in [SetBy::Signed, SetBy::Token] {
        let setting = setting("name:anna", by, SettingValue::PayNow, At::default());
        let refused = world.send(OPERATOR, &setting);
        assert_eq!(
            refused["cause"], "not_allowed",
            "an operator speaks in his own name"
        );
    }
    let anna = Account::parse("name:anna").unwrap();
    let state = world.state_of(Some(&anna));
    let known = &state["account"]["registered"];
    assert_eq!(known["at"], first["at"]);
    assert_eq!(known["payout"], "script:51");
    assert_eq!(known["registered_only"], true);
    assert_eq!(known["workers"], serde_json::json!(["a", "b"]));
    assert_eq!(state["account"]["set"], serde_json::json!([0, 0]));
    let ben = world.state_of(Account::parse("name:ben").as_ref());
    assert!(ben["account"]["registered"].is_null());
}

#[test]
fn what_the_ledger_would_not_obey_or_people_would_regret_is_refused_by_cause() {
    use KeyAction::{InForce, Revoked};
    let zero = At::default();
    let mut authority = Authority::new(genesis());
    // One desk alone is left, and a key was in force and is not.
    for (position, event) in [
        (5, key_change(OTHER_DESK, Role::Desk, Revoked, zero)),
        (6, key_change(9, Role::Gateway, InForce, zero)),
    ] {
        authority.apply(at(position), &event);
        let thing = thing_digest(LEDGER, &event);
        authority.apply(at(position + 10), &approval(APPROVERS[0], thing));
    }
    let again = key_change(9, Role::Gateway, Revoked, at(6));
    authority.apply(at(20), &again);
    let thing = thing_digest(LEDGER, &revoke());
    let mut stolen = approval(APPROVERS[0], thing);
    if let Event::Approval(approval) = &mut stolen {
        approval.thing = Hash([1; 32]);
    }
    let weak = KeyChange {
        key: Key([0; 32]),
        role: Role::Gateway,
        action: InForce,
        expects: zero,
    };
    let dear = policy_with(|policy| policy.pots[0].fee_ppm = 1_000_001);
    let scheme = |scheme| policy_with(move |policy| policy.pots[0].scheme = scheme);
    let new_pot = |scheme| {
        policy_with(move |policy| {
            (policy.pots[0].pot, policy.pots[0].scheme) = (Pot(7), scheme);
        })
    };
    let gateway = GATEWAY;
    for (event, expected) in [
        (revoke(), "taken"),
        (
            key_change(GATEWAY, Role::Gateway, Revoked, at(5)),
            "expects",
        ),
        (key_change(gateway, Role::Settler, InForce, zero), "taken"),
        (key_change(gateway, Role::Gateway, InForce, zero), "already"),
        (key_change(77, Role::Gateway, Revoked, zero), "already"),
        (
            key_change(OTHER_DESK, Role::Desk, Revoked, at(5)),
            "already",
        ),
        (key_change(OTHER_DESK, Role::Desk, InForce, zero), "expects"),
        (key_change(OTHER_DESK, Role::Desk, InForce, at(5)), "taken"),
        (key_change(DESK, Role::Desk, Revoked, zero), "last_key"),
        (key_change(DESK, Role::Settler, InForce, zero), "last_key"),
        (
            key_change(ARCHIVER, Role::Archiver, Revoked, zero),
            "last_key",
        ),
        (Event::KeyChange(weak), "no_key"),
        (again, "already"),
        (fee(20_000, zero), "taken"),
        (fee(20_000, at(3)), "expects"),
        (fee(10_000, zero), "already"),
        (dear, "malformed"),
        (scheme(Scheme::Solo), "scheme"),
        (scheme(Scheme::Prop), "scheme"),
        (scheme(Scheme::Pps), "scheme"),
        (scheme(Scheme::Fpps), "scheme"),
        (new_pot(Scheme::Prop), "taken"),
        (new_pot(Scheme::Pps), "taken"),
        (new_pot(Scheme::Fpps), "taken"),
        (policy_with(|policy| policy.pots[0].pot = Pot(7)), "taken"),
        (schema_set(1, Kind::Share as u8, 0), "taken"),
        (schema_set(0, Kind::Share as u8, 0), "already"),
        (schema_set(1, Kind::Share as u8, 1), "unknown_kind"),
        (schema_set(1, 63, 0), "unknown_kind"),
        (approval(APPROVERS[1], thing), "taken"),
        (approval(APPROVERS[0], Hash([7; 32])), "taken"),
        (approval(OPERATOR, thing), "not_approver"),
        (stolen, "approval_signature"),
        (ban(BanAction::Ban, 0, at(6)), "expects"),
        (ban(BanAction::Ban, 9, zero), "taken"),
        (ban(BanAction::Lift, 0, zero), "already"),
        (adjustment(7, zero), "taken"),
        (adjustment(7, at(6)), "expects"),
        (adjustment(0, zero), "malformed"),
        (Event::Heartbeat, "kind"),
    ] {
        assert_eq!(cause(&authority, &event), expected, "{event:?}");
    }
    authority.apply(at(30), &approval(APPROVERS[2], thing));
    assert_eq!(cause(&authority, &approval(APPROVERS[2], thing)), "already");
}

#[test]
fn who_may_not_say_it_or_says_it_wrongly_is_refused_and_nothing_is_written() {
    let mut world = World::new();
    let now = world.now;
    let sign = |who: u8, change: &dyn Fn(&mut Command)| {
        let mut command = Command {
            ledger: LEDGER,
            operator: signer(who).key(),
            nonce: [200; 16],
            until_ms: now + LIFE_MS,
            event: fee(20_000, At::default()),
        };
        change(&mut command);
        command.sign(&signer(who))
    };
    let mut spoiled = sign(OPERATOR, &|_| {});
    let last = spoiled.len() - 1;
    spoiled[last] ^= 1;
    let other = LedgerId([1; 16]);
    let heartbeat = |command: &mut Command| command.event = Event::Heartbeat;
    for (bytes, cause) in [
        (b"no command".to_vec(), "malformed"),
        (sign(OPERATOR, &|it| it.ledger = other), "wrong_ledger"),
        (sign(STRANGER, &|_| {}), "unknown_operator"),
        (
            sign(STRANGER, &|it| it.operator = signer(OPERATOR).key()),
            "signature",
        ),
        (spoiled, "signature"),
        (sign(OPERATOR, &heartbeat), "kind"),
        (sign(CLERK, &|_| {}), "not_allowed"),
        (sign(OPERATOR, &|it| it.until_ms = now - 1), "expired"),
        (
            sign(OPERATOR, &|it| it.until_ms = now + COMMAND_LIFE_MS_MAX + 1),
            "too_long",
        ),
        (
            sign(OPERATOR, &|it| it.event = fee(10_000, At::default())),
            "already",
        ),
    ] {
        let answer = world.send_bytes(&bytes);
        assert_eq!(answer["outcome"], "refused", "{cause}: {answer}");
        assert_eq!(answer["cause"], cause, "{answer}");
    }
    world.turns(50);
    assert_eq!(world.said(), []);
    let counted = world.desks[0].machine().counters().read();
    assert_eq!((counted.refused, counted.wrong_signatures), (10, 5));
}

#[test]
fn a_stale_expectation_is_answered_with_the_present_one() {
    let mut world = World::new();
    let first = world.send(OPERATOR, &fee(20_000, At::default()));
    for of in &APPROVERS[..2] {
        let thing = thing_digest(LEDGER, &fee(20_000, At::default()));
        world.send(*of, &approval(*of, thing));
    }
    let late = world.send(OPERATOR, &fee(30_000, At::default()));
    assert_eq!(late["cause"], "expects", "{late}");
    assert_eq!(late["current"], first["at"], "{late}");
    assert_eq!(world.state()["policy"]["at"], first["at"]);
}

#[test]
fn wrong_signatures_shut_the_door_for_their_address_and_not_for_ever() {
    let mut world = World::new();
    let (mut bytes, _) = world.command(OPERATOR, &revoke());
    let (good, _) = world.command(OPERATOR, &revoke());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    for _ in 0..orebook_desk::WRONG_PER_MINUTE_MAX {
        assert_eq!(world.send_bytes(&bytes)["cause"], "signature");
    }
    assert_eq!(world.send_bytes(&good)["cause"], "too_many");
    world.turns(600);
    assert_eq!(world.send_bytes(&good)["outcome"], "waits");
}

#[test]
fn of_one_subject_one_command_waits_at_a_time() {
    let mut world = World::new();
    let (one, id) = world.command(OPERATOR, &fee(20_000, At::default()));
    let (two, _) = world.command(OPERATOR, &fee(30_000, At::default()));
    let now = world.now;
    assert_eq!(
        world.desks[0].submit(&one, now),
        Ok(Submitted::Waits(id)),
        "written"
    );
    assert_eq!(world.send_bytes(&two)["cause"], "busy");
    assert_eq!(world.await_answer(0, id)["outcome"], "waits");
    assert_eq!(world.send_bytes(&two)["outcome"], "waits", "another thing");
}
