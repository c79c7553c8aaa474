//! Role × kind, schema sets, and what may stand at position 0.

use orebook_ledger::admit::{AdmitError, Cause, State, Verdict};
use orebook_schema::account::SetBy;
use orebook_schema::desk::BanTarget;
use orebook_schema::event::{Part, RecoveryCode, RecoveryNote, SchemaEntry};
use orebook_schema::summary::Summary;
use orebook_schema::{Account, Event, Genesis, Hash, Kind, LedgerId, Role};

use crate::accounts::{fee_mean, registration, setting, void};
use crate::causes::{assert_admitted, assert_cause};
use crate::desk::{adjust, ban};
use crate::dust;
use crate::ethash::{ethash_job, ethash_share};
use crate::payouts;
use crate::world::{
    ARCHIVER, DESK, Draft, GATEWAY, LEDGER, NONE, PAYMASTER, Pen, SETTLER, STRANGER, World,
    all_kinds, approved, at, block_found, block_recovered, block_status, checkpoint, difficulty,
    genesis, hello, job, moved, nonce, policy_change, pot_summary, revoke, schema_set, winner,
    worker,
};

/// The last column of section 3, typed from the page: D desk, G gateway, A archiver, S settler, P paymaster.
const SAID_BY: [(Kind, &str); 34] = [
    (Kind::Genesis, ""),
    (Kind::SchemaSet, "D"),
    (Kind::KeyChange, "D"),
    (Kind::Policy, "D"),
    (Kind::Approval, "D"),
    (Kind::Checkpoint, "A"),
    (Kind::Heartbeat, "DGASP"),
    (Kind::RecoveryNote, "DGASP"),
    (Kind::Part, "DGASP"),
    (Kind::Moved, "G"),
    (Kind::Ban, "D"),
    (Kind::Adjustment, "D"),
    (Kind::Worker, "G"),
    (Kind::Difficulty, "G"),
    (Kind::Job, "G"),
    (Kind::Share, "G"),
    (Kind::BlockFound, "G"),
    (Kind::BlockStatus, "S"),
    (Kind::BlockRecovered, "S"),
    (Kind::EthashJob, "G"),
    (Kind::EthashShare, "G"),
    (Kind::Void, "A"),
    (Kind::Account, "D"),
    (Kind::Setting, "D"),
    (Kind::FeeMean, "S"),
    (Kind::PayoutProposed, "P"),
    (Kind::PayoutSigned, "P"),
    (Kind::PayoutStep, "P"),
    (Kind::PayoutCancelled, "P"),
    (Kind::PayoutHalt, "DP"),
    (Kind::PayoutResume, "D"),
    (Kind::WriteOff, "D"),
    (Kind::InactiveDust, "D"),
    (Kind::Reconciled, "P"),
];

/// Events with one of this kind, right in themselves for the producer named.
fn example(kind: Kind, name: u8) -> Vec<Event> {
    let with_hello = |events: &[Event]| [hello().as_slice(), events].concat();
    let thing = || policy_change(NONE, |_| {});
    match kind {
        Kind::Genesis => vec![Event::Genesis(Box::new(genesis()))],
        Kind::SchemaSet => vec![schema_set(1, all_kinds())],
        Kind::KeyChange => vec![revoke(STRANGER, Role::Gateway)],
        Kind::Policy => vec![thing()],
        Kind::Approval => vec![approved(thing())[1].clone()],
        Kind::Checkpoint => vec![checkpoint(name, 1, Hash::ZERO)],
        Kind::Heartbeat => vec![Event::Heartbeat],
        Kind::RecoveryNote => vec![Event::RecoveryNote(RecoveryNote {
            code: RecoveryCode::Repaired,
            text: String::new(),
        })],
        Kind::Part => vec![Event::Part(Part {
            whole: Hash::ZERO,
            index: 0,
            of: 1,
            bytes: vec![1],
        })],
        Kind::Moved => with_hello(&[moved(9, 0, &nonce(1))]),
        Kind::Ban => vec![ban(
            BanTarget::Account(Account::parse("name:anna").unwrap()),
            NONE,
        )],
        Kind::Adjustment => vec![adjust("anna", 1, NONE)],
        Kind::Worker => vec![worker(0, 0)],
        Kind::Difficulty => vec![worker(0, 0), difficulty(0)],
        Kind::Job => vec![job(0, NONE)],
        Kind::Share => with_hello(&[nonce(1)]),
        Kind::BlockFound => with_hello(&[winner(1), block_found()]),
        Kind::BlockStatus => vec![block_status(NONE)],
        Kind::BlockRecovered => vec![block_recovered(NONE)],
        Kind::EthashJob => vec![ethash_job(0, NONE)],
        Kind::EthashShare => vec![worker(0, 0), ethash_job(0, NONE), ethash_share(1)],
        Kind::Void => vec![void(at(0, 1), NONE, NONE)],
        Kind::Account => vec![registration("anna", NONE)],
        Kind::Setting => vec![setting("anna", SetBy::Operator, NONE)],
        Kind::FeeMean => vec![fee_mean(NONE)],
        Kind::PayoutProposed => vec![payouts::proposed(1, NONE, 0)],
        Kind::PayoutSigned => vec![payouts::signed(NONE)],
        Kind::PayoutStep => vec![payouts::step(NONE)],
        Kind::PayoutCancelled => vec![payouts::cancelled(NONE)],
        Kind::PayoutHalt => vec![payouts::halt()],
        Kind::PayoutResume => vec![payouts::resume(NONE)],
        Kind::WriteOff => vec![payouts::write_off("anna", NONE)],
        Kind::InactiveDust => vec![dust::dust(0, &["anna"], NONE)],
        Kind::Reconciled => vec![dust::reconciled(0)],
    }
}

#[test]
fn every_role_says_the_kinds_of_the_table_and_no_other() {
    let (plain, ethash) = (World::ready(), World::of_ethash());
    let roles = [
        ("D", DESK, Role::Desk),
        ("G", GATEWAY, Role::Gateway),
        ("A", ARCHIVER, Role::Archiver),
        ("S", SETTLER, Role::Settler),
        ("P", PAYMASTER, Role::Paymaster),
    ];
    assert_eq!(SAID_BY.map(|(kind, _)| kind).as_slice(), Kind::ALL);
    for (letter, name, role) in roles {
        for (kind, said_by) in SAID_BY {
            let is_of_ethash = matches!(kind, Kind::EthashJob | Kind::EthashShare | Kind::Void);
            let world = if is_of_ethash { &ethash } else { &plain };
            let pen = Pen::new(name, 0x50);
            let events = example(kind, name);
            assert!(events.iter().any(|event| event.kind() == kind));
            let draft = world.draft(&pen, &events);
            let what = format!("{} by {}", kind.name(), role.name());
            if said_by.contains(letter) {
                assert_admitted(world, &what, draft.bytes());
            } else if kind == Kind::Genesis {
                assert_cause(world, &what, draft.bytes(), Cause::Malformed);
            } else {
                assert_cause(world, &what, draft.bytes(), Cause::Refused);
            }
            let listed = said_by.contains(letter) || kind == Kind::Genesis && role == Role::Desk;
            assert_eq!(role.may_say(kind), listed, "{what}");
            assert_eq!(role.kinds() & kind.bit() != 0, listed, "{what}");
        }
    }
}

#[test]
fn one_kind_that_the_role_may_not_say_refuses_the_whole_frame() {
    let world = World::ready();
    let mut events = example(Kind::Share, GATEWAY);
    events.push(block_status(NONE));
    let bytes = world.draft(&Pen::new(GATEWAY, 1), &events).bytes();
    assert_cause(&world, "a share and a status", bytes, Cause::Refused);
}

#[test]
fn kinds_outside_of_the_frame_s_schema_set_are_inconsistent() {
    let mut world = World::ready();
    let few = [Kind::Heartbeat, Kind::Moved, Kind::Worker, Kind::Job];
    let entries = few.map(|kind| SchemaEntry {
        kind: kind as u8,
        version: 0,
    });
    let unannounced = world
        .draft(&Pen::new(GATEWAY, 1), &hello())
        .edit(|header| header.schema_set = 3);
    assert_cause(
        &world,
        "not announced",
        unannounced.bytes(),
        Cause::Inconsistent,
    );
    let inside = world.draft(&world.desk, &[schema_set(3, all_kinds())]);
    let inside = inside.edit(|header| header.schema_set = 3).bytes();
    assert_cause(
        &world,
        "announced by the same frame",
        inside,
        Cause::Inconsistent,
    );
    world.desk_says(&[schema_set(3, entries.to_vec())]);
    assert_admitted(&world, "announced", unannounced.bytes());
    let events = [hello().as_slice(), &[nonce(1)]].concat();
    let draft = world.draft(&Pen::new(GATEWAY, 1), &events);
    assert_admitted(&world, "set 0", draft.bytes());
    let with_set_3 = draft.edit(|header| header.schema_set = 3).bytes();
    assert_cause(
        &world,
        "a share is not in set 3",
        with_set_3,
        Cause::Inconsistent,
    );
    // A number keeps its first meaning.
    world.desk_says(&[schema_set(3, all_kinds()), schema_set(0, entries.to_vec())]);
    let with_set_3 = world
        .draft(&Pen::new(GATEWAY, 1), &events)
        .edit(|header| header.schema_set = 3);
    assert_cause(
        &world,
        "set 3 said again",
        with_set_3.bytes(),
        Cause::Inconsistent,
    );
    assert_admitted(
        &world,
        "set 0 said again",
        world.draft(&Pen::new(GATEWAY, 1), &events).bytes(),
    );
}

#[test]
fn kinds_that_are_announced_but_unknown_stop_the_reader() {
    let mut world = World::ready();
    let pen = Pen::new(GATEWAY, 1);
    let unknown = |kind: u8, version: u8| {
        let event = vec![kind, version, 8, 0, 0, 0, 0, 0];
        Draft::new(&pen, 5, &Summary::default(), event)
    };
    assert_cause(&world, "kind 30", unknown(30, 0).bytes(), Cause::Malformed);
    assert_cause(&world, "version 1", unknown(7, 1).bytes(), Cause::Malformed);
    let mut entries = all_kinds();
    entries.push(SchemaEntry {
        kind: 7,
        version: 1,
    });
    entries.push(SchemaEntry {
        kind: 30,
        version: 0,
    });
    entries.sort();
    world.desk_says(&[schema_set(1, entries)]);
    for (kind, version) in [(30, 0), (7, 1)] {
        let before = world.state.clone();
        let bytes = unknown(kind, version)
            .edit(|header| header.schema_set = 1)
            .bytes();
        assert_eq!(
            world.try_admit(bytes),
            Err(AdmitError::UnknownKind { kind, version })
        );
        assert!(world.state == before, "nothing was decided");
    }
    assert_cause(&world, "kind 31", unknown(31, 0).bytes(), Cause::Malformed);
    assert_cause(&world, "version 2", unknown(7, 2).bytes(), Cause::Malformed);
    assert_admitted(&world, "what is known", world.draft(&pen, &hello()).bytes());
}

#[test]
fn position_zero_is_the_genesis_frame_and_nothing_else() {
    let ready = World::ready();
    let empty = {
        let mut world = World::ready();
        world.state = State::new(LEDGER);
        world
    };
    let pen = Pen::new(DESK, 0xd0);
    let said = |edit: fn(&mut Genesis)| {
        let mut genesis = genesis();
        edit(&mut genesis);
        Event::Genesis(Box::new(genesis))
    };
    let draft = || empty.draft(&pen, &[said(|_| {})]);
    assert_admitted(&empty, "genesis", draft().bytes());
    assert_cause(&ready, "genesis again", draft().bytes(), Cause::Malformed);
    let late = ready.draft(&ready.desk, &[said(|_| {})]).bytes();
    assert_cause(&ready, "genesis later", late, Cause::Malformed);
    let malformed = [
        ("a heartbeat", empty.draft(&pen, &[Event::Heartbeat])),
        (
            "genesis twice",
            empty.draft(&pen, &[said(|_| {}), said(|_| {})]),
        ),
        (
            "genesis and more",
            empty.draft(&pen, &[said(|_| {}), Event::Heartbeat]),
        ),
        ("epoch 1", draft().edit(|header| header.epoch = 1)),
        ("schema set 1", draft().edit(|header| header.schema_set = 1)),
        ("another coin", draft().edit(|header| header.coin = 2)),
        (
            "another ledger",
            draft().edit(|header| header.ledger = LedgerId([8; 16])),
        ),
        (
            "another ledger inside",
            empty.draft(&pen, &[said(|it| it.ledger = LedgerId([8; 16]))]),
        ),
        (
            "a coin inside",
            empty.draft(&pen, &[said(|it| it.coin = 2)]),
        ),
        (
            "first_seq 1",
            draft().edit(|header| {
                header.first_seq = 1;
                header.previous = Hash([1; 32]);
            }),
        ),
    ];
    for (what, draft) in malformed {
        assert_cause(&empty, what, draft.bytes(), Cause::Malformed);
    }
    let refused = [
        ("another's signature", draft().signed_by(GATEWAY)),
        (
            "a gateway's",
            empty.draft(&Pen::new(GATEWAY, 1), &[said(|_| {})]).bytes(),
        ),
        (
            "a stranger's",
            empty.draft(&Pen::new(STRANGER, 1), &[said(|_| {})]).bytes(),
        ),
    ];
    for (what, bytes) in refused {
        assert_cause(&empty, what, bytes, Cause::Refused);
    }
}

#[test]
fn genesis_lists_its_own_kind_and_has_the_summary_of_no_shares() {
    let world = World::ready();
    let mut empty = world.clone();
    empty.state = State::new(LEDGER);
    let pen = Pen::new(DESK, 0xd0);
    let with_set = |kind, version| {
        let mut genesis = genesis();
        genesis.schema_set = vec![SchemaEntry { kind, version }];
        empty.draft(&pen, &[Event::Genesis(Box::new(genesis))])
    };
    assert_admitted(&empty, "only genesis", with_set(1, 0).bytes());
    for (kind, version) in [(1, 1), (7, 0)] {
        let verdict = empty.clone().admit(with_set(kind, version).bytes());
        assert_eq!(
            verdict,
            Verdict::Refused(Cause::Inconsistent),
            "{kind} {version}"
        );
    }
    let summary = Summary {
        pots: vec![pot_summary(0, 0, &[(0, 1, 0)])],
    };
    let verdict = empty
        .clone()
        .admit(with_set(1, 0).with_summary(&summary).bytes());
    assert_eq!(verdict, Verdict::Refused(Cause::Inconsistent));
}
