//! Settings that miners say themselves: who may, what is refused, that each stands once whatever dies, and what the money fold makes
//! of a changed address.

use std::sync::Arc;

use orebook_desk::Submitted;
use orebook_desk::audit::verify;
use orebook_desk::machine::{Sent, Shown};
use orebook_desk::setting::{ProofError, TextError, Wanted, check};
use orebook_ledger::admit::Trust;
use orebook_replay::engine::Engine;
use orebook_replay::fold::Fold;
use orebook_replay::folds::money::Money;
use orebook_replay::folds::money::settings::settings;
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::account::{Registration, SetBy, Setting, SettingValue};
use orebook_schema::names::RegisteredName;
use orebook_schema::units::hex;
use orebook_schema::{Account, At, Event, Hash, LedgerId};
use orebook_sim::broker::SendFaults;
use serde_json::Value;

use crate::owners::{NETWORK, Owner, text};
use crate::world::{HOLD_MS, LEDGER, OPERATOR, OTHER_DESK, World};

const TOKEN: [u8; 32] = [0x7a; 32];

fn settings_of(world: &World) -> Vec<(At, Setting)> {
    let said = world.said().into_iter();
    let settings = said.filter_map(|(at, event)| match event {
        Event::Setting(setting) => Some((at, *setting)),
        _ => None,
    });
    settings.collect()
}

fn changed(text: &str, change: impl Fn(&mut Wanted)) -> String {
    let mut wanted = Wanted::read(text, NETWORK).expect("a text");
    change(&mut wanted);
    wanted.text(NETWORK)
}

fn by_token(text: &str, token: [u8; 32]) -> Sent {
    Sent {
        text: text.to_owned(),
        shown: Shown::Token(Hash::of(&[&token])),
    }
}

fn with_token(world: &mut World, name: &str) {
    let said = world.send(
        OPERATOR,
        &Event::Account(Box::new(Registration {
            name: RegisteredName::parse(name).unwrap(),
            expects: At::default(),
            payout: Owner::new(9).account(),
            threshold: 0,
            token: (name == "anna").then(|| Hash::of(&[&TOKEN])),
            registered_only: false,
            workers: Vec::new(),
        })),
    );
    assert_eq!(said["outcome"], "obeyed", "{said}");
}

#[test]
fn each_thing_is_set_by_a_signed_text_and_an_auditor_can_check_the_proof() {
    let mut world = World::new();
    let (owner, other) = (Owner::new(7), Owner::new(8).address());
    for (what, value) in [
        ("threshold", "5000000"),
        ("address", other.as_str()),
        ("donation", "1000000"),
        ("pay_now", ""),
    ] {
        let text = owner.text(&mut world, what, value);
        let answer = world.set(&owner.signed(&text));
        assert_eq!(answer["outcome"], "obeyed", "{text}: {answer}");
    }
    let said = settings_of(&world);
    assert_eq!(said.len(), 4);
    let authority = world.settled().authority().expect("genesis");
    assert_eq!(authority.last_setting(&owner.account()), said[3].0);
    for (_, setting) in &said {
        assert_eq!(
            (setting.by, &setting.account),
            (SetBy::Signed, &owner.account())
        );
        assert_eq!(check(setting, LEDGER, NETWORK), Ok(()));
        let ledger = LedgerId([1; 16]);
        let wrong = check(setting, ledger, NETWORK);
        assert_eq!(wrong, Err(ProofError::Text(TextError::Ledger)));
        let forged = |change: &dyn Fn(&mut Setting)| {
            let mut forged = setting.clone();
            change(&mut forged);
            check(&forged, LEDGER, NETWORK)
        };
        let another = Err(ProofError::Another);
        assert_eq!(forged(&|it| it.value = SettingValue::Donation(1)), another);
        assert_eq!(forged(&|it| it.account = Owner::new(8).account()), another);
        assert_eq!(forged(&|it| it.expects.index += 1), another);
        assert_eq!(forged(&|it| it.proof.truncate(40)), Err(ProofError::Form));
        assert!(forged(&|it| it.proof[150] ^= 1).is_err());
    }
}

#[test]
fn a_text_is_refused_by_its_cause_and_nothing_is_written() {
    let mut world = World::new();
    let owner = Owner::new(7);
    let good = owner.text(&mut world, "donation", "5");
    let now_s = world.now / 1_000;
    let old = changed(&good, |it| it.until_s = now_s - 1);
    let far = changed(&good, |it| it.until_s = now_s + 86_402);
    let elsewhere = changed(&good, |it| it.ledger = LedgerId([1; 16]));
    let later = changed(&good, |it| it.expects.position = 3);
    let mut others = Owner::new(8).signed(&good);
    let mut cases = vec![
        (owner.signed(&old), "expired"),
        (owner.signed(&far), "too_long"),
        (owner.signed(&elsewhere), "wrong_ledger"),
        (owner.signed(&later), "expects"),
        (
            owner.signed(&good.replace("donation 5", "donation 6 ")),
            "text",
        ),
        (owner.signed("hello"), "text"),
        (owner.signed(&"x".repeat(5_000)), "text"),
        (others.clone(), "signature"),
        (by_token(&good, TOKEN), "token"),
    ];
    others.text = good.clone();
    others.shown = Shown::Signature("no signature".to_owned());
    cases.push((others, "signature"));
    // What he signed was another value.
    cases.push((
        Sent {
            text: changed(&good, |it| it.value = SettingValue::Donation(6)),
            shown: owner.signed(&good).shown,
        },
        "signature",
    ));
    for (sent, cause) in cases {
        let answer = world.set(&sent);
        assert_eq!(answer["cause"], cause, "{}: {answer}", sent.text);
    }
    assert!(settings_of(&world).is_empty());
    let metrics = world.desks[0].machine().counters().read();
    assert_eq!(
        (
            metrics.settings_said,
            metrics.settings_refused,
            metrics.settings_wrong
        ),
        (0, 11, 4)
    );
    let answer = world.set(&owner.signed(&good));
    assert_eq!(answer["outcome"], "obeyed", "{answer}");
}

#[test]
fn an_old_text_says_nothing_again_at_this_desk_or_another() {
    let mut world = World::new();
    world.add_desk(OTHER_DESK);
    world.turns(20);
    let owner = Owner::new(7);
    let first = owner.text(&mut world, "donation", "5");
    let done = world.set(&owner.signed(&first));
    assert_eq!(done["outcome"], "obeyed", "{done}");
    // The same answer again, though another signature came with it; and no second event.
    let mut again = owner.signed(&first);
    assert_eq!(world.set(&again), done);
    again.shown = Shown::Signature(owner.sign_with(&first, 31));
    assert_ne!(again, owner.signed(&first));
    assert_eq!(world.set(&again), done);
    let back = owner.text(&mut world, "donation", "0");
    assert_eq!(world.set(&owner.signed(&back))["outcome"], "obeyed");
    assert_eq!(world.set(&owner.signed(&first)), done);
    // A desk that never heard of it.
    let now = world.now;
    let Ok(Submitted::Answered(answer)) = world.desks[1].set(&owner.signed(&first), now) else {
        panic!("answered at once");
    };
    assert_eq!(answer.body["cause"], "expects", "{}", answer.body);
    world.now += 2 * 3_600 * 1_000;
    assert_eq!(world.set(&owner.signed(&first))["cause"], "expired");
    assert_eq!(settings_of(&world).len(), 2);
}

#[test]
fn a_token_sets_its_own_account_within_what_a_thief_may_do_and_is_written_nowhere() {
    let mut world = World::new();
    with_token(&mut world, "anna");
    with_token(&mut world, "ben");
    let address = Owner::new(8).address();
    for (name, token, what, value, expected) in [
        ("anna", TOKEN, "threshold", "7", "obeyed"),
        ("anna", TOKEN, "address", address.as_str(), "obeyed"),
        ("anna", TOKEN, "donation", "50000", "obeyed"),
        ("anna", TOKEN, "donation", "50001", "token_may"),
        ("anna", [1; 32], "pay_now", "", "token"),
        ("ben", TOKEN, "pay_now", "", "token"),
    ] {
        let text = text(&mut world, name, what, value);
        let answer = world.set(&by_token(&text, token));
        let said = answer.get("cause").unwrap_or(&answer["outcome"]);
        assert_eq!(said, expected, "{text}: {answer}");
    }
    // A key signs for its own address only, never for a name that is paid there.
    let pay = text(&mut world, "anna", "pay_now", "");
    assert_eq!(world.set(&Owner::new(9).signed(&pay))["cause"], "signature");
    for (_, setting) in settings_of(&world) {
        assert_eq!(setting.by, SetBy::Token);
        assert_eq!(setting.proof, Hash::of(&[&TOKEN]).0);
    }
    let trail = world.desks[0]
        .disk
        .read_raw("desk/audit.jsonl")
        .expect("it is there");
    let trail = String::from_utf8(trail).expect("UTF-8");
    assert!(trail.contains("name:anna") && !trail.contains(&hex(&TOKEN)));
}

#[test]
fn where_an_address_does_not_wait_for_a_day_a_token_does_not_change_it() {
    let mut world = World::new();
    with_token(&mut world, "anna");
    let mut policy = crate::world::policy(10_000);
    policy.address_hold_ms = HOLD_MS - 1;
    let event = Event::Policy(Box::new(orebook_schema::event::PolicyChange {
        expects: At::default(),
        policy,
    }));
    let thing = orebook_ledger::authority::thing_digest(LEDGER, &event);
    world.send(OPERATOR, &event);
    for of in [crate::world::APPROVERS[0], crate::world::APPROVERS[1]] {
        world.send(of, &crate::world::approval(of, thing));
    }
    let text = text(&mut world, "anna", "address", &Owner::new(8).address());
    assert_eq!(world.set(&by_token(&text, TOKEN))["cause"], "token_may");
    // A key may: it is the account.
    let owner = Owner::new(7);
    let text = owner.text(&mut world, "address", &Owner::new(8).address());
    assert_eq!(world.set(&owner.signed(&text))["outcome"], "obeyed");
}

#[test]
fn wrong_signatures_and_too_many_settings_close_the_door_for_a_while() {
    let mut world = World::new();
    let owner = Owner::new(7);
    for number in 0..10 {
        let text = owner.text(&mut world, "donation", &number.to_string());
        assert_eq!(world.set(&owner.signed(&text))["outcome"], "obeyed");
        // Each minute's tries.
        world.now += 60_000;
    }
    let more = owner.text(&mut world, "donation", "11");
    assert_eq!(world.set(&owner.signed(&more))["cause"], "too_often");
    let other = Owner::new(8);
    let text = other.text(&mut world, "donation", "11");
    for _ in 0..10 {
        assert_eq!(world.set(&owner.signed(&text))["cause"], "signature");
    }
    assert_eq!(world.set(&other.signed(&text))["cause"], "too_many");
    assert_eq!(
        world.send(OPERATOR, &crate::world::revoke())["outcome"],
        "waits"
    );
    world.now += 60_000;
    assert_eq!(world.set(&other.signed(&text))["outcome"], "obeyed");
}

/// Ledger time as far as the desk's ledger is final.
fn final_time(world: &World) -> u64 {
    let (mirror, _) = world.desks[0].running.as_ref().expect("it runs");
    mirror.0.lock().unwrap().settled().ledger_time()
}

/// Turns until ledger time is as late.
fn until(world: &mut World, time: u64) {
    world.now = world.now.max(time);
    for _ in 0..200 {
        if time <= final_time(world) {
            return;
        }
        world.turns(10);
    }
    panic!("ledger time stands still at {}", final_time(world));
}

#[test]
fn a_changed_address_is_in_force_when_its_hold_is_over_and_the_owner_may_take_it_back() {
    let mut world = World::new();
    let (owner, new) = (Owner::new(7), Owner::new(8));
    let text = owner.text(&mut world, "address", &new.address());
    let answer = world.set(&owner.signed(&text));
    assert_eq!(answer["outcome"], "obeyed", "{answer}");
    let address = |world: &World| -> (Option<Account>, bool) {
        let (mirror, _) = world.desks[0].running.as_ref().expect("it runs");
        let store = Arc::new(MemoryStore::new());
        let kept: Arc<dyn Store> = store.clone();
        let folds: Vec<(Box<dyn Fold + Send>, Arc<dyn Store>)> = vec![(Box::new(Money), kept)];
        let below = mirror.final_size();
        let mut engine = Engine::open(LEDGER, folds, Trust::Nothing, mirror, below).unwrap();
        engine
            .advance(mirror, below, u64::MAX, &mut |_| {})
            .unwrap();
        let time = final_time(world);
        let row = settings(store.view().unwrap().as_ref(), &owner.account()).unwrap();
        (
            row.address_at(time).cloned(),
            row.waiting_at(time).is_some(),
        )
    };
    assert_eq!(address(&world), (Some(owner.account()), true));
    let said = final_time(&world);
    until(&mut world, said + HOLD_MS - 600_000);
    assert_eq!(address(&world), (Some(owner.account()), true));
    until(&mut world, said + HOLD_MS);
    assert_eq!(address(&world), (Some(new.account()), false));
    // A thief's change is dropped by naming the address in force.
    for (to, waits) in [(Owner::new(9), true), (new, false)] {
        let text = owner.text(&mut world, "address", &to.address());
        assert_eq!(world.set(&owner.signed(&text))["outcome"], "obeyed");
        assert_eq!(address(&world), (Some(Owner::new(8).account()), waits));
    }
}

/// A setting is sent each fifth turn until it is answered; the disk dies at its `at`th operation from then on. Says whether it died.
fn story(at: u64, power: bool, faults: SendFaults) -> bool {
    let mut world = World::new();
    let owner = Owner::new(7);
    let text = owner.text(&mut world, "donation", "5");
    let sent = owner.signed(&text);
    world.broker.set_faults(faults);
    let disk = world.desks[0].disk.clone();
    disk.faults().crash_after(at);
    let mut died = false;
    let mut answer = Value::Null;
    for turn in 0..60 {
        let now = world.now;
        if turn % 5 == 0
            && world.desks[0].running.is_some()
            && let Ok(Submitted::Answered(given)) = world.desks[0].set(&sent, now)
        {
            answer = given.body;
        }
        world.others_turn();
        let failed = world.desk_turn(0).is_err();
        assert!(!failed || disk.crashed(), "it ends by its disk only");
        if disk.crashed() {
            died = true;
            world.desks[0].kill();
            if power {
                disk.restart();
            } else {
                disk.restart_process();
            }
            let now = world.now;
            world.desks[0].start(now).expect("it starts again");
        }
    }
    disk.faults().crash_after(0);
    world.broker.set_faults(SendFaults::default());
    world.turns(40);
    if answer["outcome"] != "obeyed" {
        answer = world.set(&sent);
    }
    assert_eq!(
        answer["outcome"], "obeyed",
        "at {at}, power {power}: {answer}"
    );
    assert_eq!(world.set(&sent), answer, "at {at}, power {power}");
    assert_eq!(settings_of(&world).len(), 1, "at {at}, power {power}");
    verify(&disk, "desk", &mut |_| {}).expect("the chain holds");
    died
}

#[test]
fn killed_or_without_power_at_any_operation_a_signed_setting_stands_once() {
    for power in [false, true] {
        let deaths = (1..10_000).take_while(|at| story(*at, power, SendFaults::default()));
        let deaths = deaths.count();
        assert!(10 < deaths, "the disk died {deaths} times only");
    }
}

#[test]
fn a_log_that_fails_or_fails_and_does_it_changes_nothing_of_that() {
    for (lost, ack_lost, late, twice) in [(500, 0, 0, 0), (0, 400, 300, 300)] {
        let faults = SendFaults {
            lost,
            ack_lost,
            late,
            twice,
        };
        for at in (1..60).step_by(7) {
            story(at, true, faults);
        }
    }
}
