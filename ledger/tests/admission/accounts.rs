//! Registered accounts and settings: things like bans; voids and mean fees: what admission asks of them.

use orebook_ledger::admit::Cause;
use orebook_ledger::authority::thing_digest;
use orebook_schema::account::{
    NAMES_MAX, REGISTERED_WORKERS_MAX, Registration, SetBy, Setting, SettingValue, WORKERS_MAX,
};
use orebook_schema::genesis::Approved;
use orebook_schema::names::{RegisteredName, WorkerName};
use orebook_schema::void::Void;
use orebook_schema::work::FeeMean;
use orebook_schema::{Account, At, Event};

use crate::causes::{assert_admitted, assert_cause};
use crate::world::{
    ANNA, ARCHIVER, BEN, DESK, LEDGER, NONE, Pen, SETTLER, World, approve, at, policy_change,
};

fn with_workers(of: &str, expects: At, workers: &[String]) -> Event {
    let Event::Account(mut said) = registration(of, expects) else {
        panic!("a registration");
    };
    said.workers = workers
        .iter()
        .map(|worker| WorkerName::parse(worker).unwrap())
        .collect();
    Event::Account(said)
}

fn name(text: &str) -> RegisteredName {
    RegisteredName::parse(text).unwrap()
}

pub(crate) fn void(share: At, first: At, expects: At) -> Event {
    Event::Void(Void {
        share,
        first,
        expects,
    })
}

pub(crate) fn registration(of: &str, expects: At) -> Event {
    Event::Account(Box::new(Registration {
        name: name(of),
        expects,
        payout: Account::parse("script:51").unwrap(),
        threshold: 0,
        token: None,
        registered_only: false,
        workers: Vec::new(),
    }))
}

pub(crate) fn setting(of: &str, by: SetBy, expects: At) -> Event {
    let proof = match by {
        SetBy::Operator => Vec::new(),
        SetBy::Signed | SetBy::Token => vec![1],
    };
    Event::Setting(Box::new(Setting {
        account: Account::Name(name(of)),
        expects,
        by,
        value: SettingValue::PayNow,
        proof,
    }))
}

pub(crate) fn fee_mean(expects: At) -> Event {
    Event::FeeMean(FeeMean {
        height: 7,
        expects,
        mean: 5,
    })
}

/// Last registration of a name, last setting of its account.
fn last(world: &World, of: &str) -> (At, At) {
    let authority = world.state.authority().unwrap();
    let account = Account::Name(name(of));
    (
        authority.last_registration(&name(of)),
        authority.last_setting(&account),
    )
}

/// Places of events, each with where it took effect.
type Effects = Vec<(At, At)>;

/// What took effect in the frame of a position: places of registrations and settings, each with where it did.
fn taken(world: &World, position: u64) -> (Effects, Effects) {
    let authority = world.state.authority().unwrap();
    let registrations = authority.registrations_taken_at(position);
    let settings = authority.settings_taken_at(position);
    (
        registrations.map(|it| (it.at, it.effective)).collect(),
        settings.map(|it| (it.at, it.effective)).collect(),
    )
}

#[test]
fn names_and_accounts_compare_and_set_each_on_its_own() {
    let mut world = World::ready();
    let by = SetBy::Token;
    // What is said in one frame, and the last places of anna afterwards.
    let steps = [
        (vec![registration("anna", NONE)], (at(2, 0), NONE)),
        (vec![registration("anna", NONE)], (at(2, 0), NONE)),
        (vec![registration("ben", NONE)], (at(2, 0), NONE)),
        (vec![setting("anna", by, at(2, 0))], (at(2, 0), NONE)),
        // Two who expect the same: the first is obeyed.
        (
            vec![setting("anna", by, NONE), setting("anna", by, NONE)],
            (at(2, 0), at(6, 0)),
        ),
        (
            vec![
                registration("anna", at(2, 0)),
                setting("anna", by, at(6, 0)),
            ],
            (at(7, 0), at(7, 1)),
        ),
        (vec![setting("anna", by, at(6, 0))], (at(7, 0), at(7, 1))),
    ];
    for (number, (events, expected)) in (2..).zip(steps) {
        assert_eq!(world.desk_says(&events), number);
        assert_eq!(last(&world, "anna"), expected, "at {number}");
    }
    assert_eq!(last(&world, "ben"), (at(4, 0), NONE));
    let at_seven = (vec![(at(7, 0), at(7, 0))], vec![(at(7, 1), at(7, 1))]);
    assert_eq!(taken(&world, 7), at_seven);
    assert_eq!(taken(&world, 8), (vec![], vec![]));
}

#[test]
fn approvals_are_asked_of_the_operator_and_never_of_the_owner() {
    let mut world = World::with(|genesis| {
        genesis.approvals.push((Approved::Account, 1));
        genesis.approvals.push((Approved::Setting, 2));
    });
    let said = world.desk_says(&[
        registration("anna", NONE),
        setting("anna", SetBy::Operator, NONE),
        setting("ben", SetBy::Signed, NONE),
        setting("clara", SetBy::Token, NONE),
    ]);
    assert_eq!(last(&world, "anna"), (NONE, NONE));
    assert_eq!(last(&world, "ben"), (NONE, at(said, 2)));
    assert_eq!(last(&world, "clara"), (NONE, at(said, 3)));
    let waiting = world.state.authority().unwrap().waiting();
    let needed: Vec<(At, usize)> = waiting.map(|one| (one.at, one.needed)).collect();
    assert_eq!(needed.len(), 2);
    assert!(needed.contains(&(at(said, 0), 1)) && needed.contains(&(at(said, 1), 2)));
    let digest = thing_digest(LEDGER, &registration("anna", NONE));
    assert!(
        world
            .state
            .authority()
            .unwrap()
            .waiting()
            .any(|one| one.digest == digest)
    );

    let first = world.desk_says(&[
        approve(ANNA, &registration("anna", NONE)),
        approve(ANNA, &setting("anna", SetBy::Operator, NONE)),
    ]);
    assert_eq!(last(&world, "anna"), (at(said, 0), NONE));
    assert_eq!(
        taken(&world, first),
        (vec![(at(said, 0), at(first, 0))], vec![])
    );
    // The owner is faster: what the operator said is refused for ever.
    let owner = world.desk_says(&[setting("anna", SetBy::Token, NONE)]);
    world.desk_says(&[approve(BEN, &setting("anna", SetBy::Operator, NONE))]);
    assert_eq!(last(&world, "anna"), (at(said, 0), at(owner, 0)));
    assert_eq!(world.state.authority().unwrap().waiting().count(), 0);
}

#[test]
fn what_is_cited_is_earlier() {
    let (plain, ethash) = (World::ready(), World::of_ethash());
    let here = plain.state.size();
    assert_eq!(here, ethash.state.size());
    let (before, same) = (at(here - 1, 9), at(here, 0));
    let cases: Vec<(&World, u8, Event, bool)> = vec![
        (&ethash, ARCHIVER, void(before, NONE, NONE), true),
        (&ethash, ARCHIVER, void(before, NONE, before), true),
        (&ethash, ARCHIVER, void(same, NONE, NONE), false),
        (&ethash, ARCHIVER, void(before, NONE, same), false),
        (&plain, DESK, registration("anna", before), true),
        (&plain, DESK, registration("anna", same), false),
        (&plain, DESK, setting("anna", SetBy::Token, before), true),
        (&plain, DESK, setting("anna", SetBy::Token, same), false),
        (&plain, SETTLER, fee_mean(before), true),
        (&plain, SETTLER, fee_mean(same), false),
    ];
    for (number, (world, producer, event, legal)) in (0..).zip(cases) {
        let bytes = world
            .draft(
                &Pen::new(producer, 0x60 + number),
                std::slice::from_ref(&event),
            )
            .bytes();
        if legal {
            assert_admitted(world, &format!("{event:?}"), bytes);
        } else {
            assert_cause(world, &format!("{event:?}"), bytes, Cause::Inconsistent);
        }
    }
}

#[test]
fn a_void_is_malformed_where_tags_make_it_impossible() {
    let world = World::ready();
    let bytes = world
        .draft(&Pen::new(ARCHIVER, 0x60), &[void(at(0, 1), NONE, NONE)])
        .bytes();
    assert_cause(&world, "a void of sha256d", bytes, Cause::Malformed);
}

#[test]
fn a_name_has_every_worker_that_any_registration_added() {
    let mut world = World::ready();
    let names = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let first = world.desk_says(&[with_workers("anna", NONE, &names(&["b", "c"]))]);
    let second = world.desk_says(&[
        with_workers("anna", at(first, 0), &names(&["a", "c"])),
        // Refused: it expects what is not so any more.
        with_workers("anna", at(first, 0), &names(&["d"])),
    ]);
    let bytes = world.state.to_snapshot_bytes();
    let read = orebook_ledger::admit::State::from_snapshot_bytes(&bytes).unwrap();
    for state in [&world.state, &read] {
        let authority = state.authority().unwrap();
        let registered = authority.registered_as(&name("anna")).unwrap();
        let workers: Vec<&str> = registered.workers.iter().map(WorkerName::as_str).collect();
        assert_eq!(workers, ["a", "b", "c"]);
        assert_eq!(
            (registered.at, registered.effective),
            (at(second, 0), second)
        );
        assert_eq!(authority.registered().count(), 1);
    }
    assert_eq!(read, world.state);
}

#[test]
fn a_change_has_the_hold_of_the_policy_that_is_in_force_where_it_takes_effect() {
    let mut world = World::with(|genesis| genesis.policy.address_hold_ms = 7);
    let longer = policy_change(NONE, |policy| policy.address_hold_ms = 9);
    let by = SetBy::Token;
    let said = world.desk_says(&[
        registration("anna", NONE),
        longer.clone(),
        setting("anna", by, NONE),
        approve(ANNA, &longer),
        approve(BEN, &longer),
        registration("ben", NONE),
        setting("ben", by, NONE),
    ]);
    let authority = world.state.authority().unwrap();
    let registrations = authority.registrations_taken_at(said);
    let settings = authority.settings_taken_at(said);
    let holds: Vec<u64> = registrations
        .map(|it| it.hold_ms)
        .chain(settings.map(|it| it.hold_ms))
        .collect();
    assert_eq!(holds, [7, 9, 7, 9]);
}

#[test]
fn so_many_names_and_workers_are_registered_and_no_more() {
    let mut world = World::ready();
    let is_known = |world: &World, of: &str| {
        let authority = world.state.authority().unwrap();
        authority.registered_as(&name(of)).is_some()
    };
    let all: Vec<Event> = (1..NAMES_MAX)
        .map(|number| registration(&format!("n{number}"), NONE))
        .collect();
    for some in all.chunks(400) {
        world.desk_says(some);
    }
    let rigs: Vec<String> = (0..WORKERS_MAX - 1)
        .map(|rig| format!("{rig:05}"))
        .collect();
    let mut farm = NONE;
    for some in rigs.chunks(REGISTERED_WORKERS_MAX) {
        farm = at(world.desk_says(&[with_workers("farm", farm, some)]), 0);
    }
    assert!(is_known(&world, "farm"));
    // A name too many, and two workers where one finds room.
    let two = ["x".to_owned(), "y".to_owned()];
    world.desk_says(&[
        registration("late", NONE),
        with_workers("n1", at(2, 0), &two),
    ]);
    assert!(!is_known(&world, "late"));
    let workers = |world: &World, of: &str| {
        let authority = world.state.authority().unwrap();
        authority.registered_as(&name(of)).unwrap().workers.len()
    };
    assert_eq!(workers(&world, "n1"), 0);
    // Those that are registered already need none.
    let again = [rigs[0].clone(), "x".to_owned()];
    world.desk_says(&[with_workers("farm", farm, &again)]);
    assert_eq!(workers(&world, "farm"), WORKERS_MAX);
    world.desk_says(&[with_workers("n1", at(2, 0), &two[..1])]);
    assert_eq!(workers(&world, "n1"), 0);
}
