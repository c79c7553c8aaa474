//! Checkpoints, final positions and ledger time.

use orebook_ledger::admit::{Admitted, Cause, State, Verdict};
use orebook_schema::{Event, Hash, LEDGER_TIME_LEAD_MS_MAX};

use crate::world::{
    ARCHIVER, GATEWAY, LEDGER, Pen, STRANGER, World, approved, checkpoint, hello, key_change, nonce,
};

/// A world of four positions, one of them final; with the root at each size.
fn four() -> (World, Vec<Hash>) {
    let mut world = World::new();
    let mut roots = vec![Hash::of(&[]), world.state.root()];
    let mut pen = Pen::new(GATEWAY, 1);
    world.finalise();
    roots.push(world.state.root());
    for events in [hello().to_vec(), vec![nonce(1)]] {
        world.say(&mut pen, &events);
        roots.push(world.state.root());
    }
    (world, roots)
}

fn sign(world: &mut World, events: &[Event]) -> Admitted {
    let mut pen = world.archiver.clone();
    let admitted = world.say(&mut pen, events);
    world.archiver = pen;
    admitted
}

#[test]
fn a_checkpoint_with_the_reader_s_own_root_makes_its_positions_final() {
    for size in 2..=4 {
        let (mut world, roots) = four();
        assert_eq!(
            (world.state.final_size(), world.state.final_root()),
            (1, roots[1])
        );
        let index = usize::try_from(size).unwrap();
        assert_eq!(world.state.root_at(size), Some(roots[index]));
        let admitted = sign(&mut world, &[checkpoint(ARCHIVER, size, roots[index])]);
        assert_eq!((admitted.obeyed, admitted.disagrees), (Some(size), false));
        assert_eq!(
            (world.state.final_size(), world.state.final_root()),
            (size, roots[index])
        );
        assert_eq!(world.state.root_at(size - 1), None, "below what is final");
        assert_eq!(world.state.root_at(5), Some(world.state.root()));
        assert_eq!(world.state.root_at(6), None, "not there yet");
    }
}

#[test]
fn a_checkpoint_that_is_not_above_the_obeyed_one_is_ignored() {
    let (mut world, roots) = four();
    sign(&mut world, &[checkpoint(ARCHIVER, 3, roots[3])]);
    for (size, root) in [
        (1, roots[1]),
        (3, roots[3]),
        (1, Hash::ZERO),
        (2, roots[1]),
        (3, Hash::ZERO),
    ] {
        let admitted = sign(&mut world, &[checkpoint(ARCHIVER, size, root)]);
        assert_eq!(
            (admitted.obeyed, admitted.disagrees),
            (None, false),
            "{size}"
        );
        assert_eq!(world.state.final_size(), 3);
    }
}

#[test]
fn a_checkpoint_with_another_root_disagrees_and_is_not_obeyed() {
    let (mut world, roots) = four();
    for (size, root) in [(4, roots[3]), (2, Hash::ZERO), (3, roots[4])] {
        let admitted = sign(&mut world, &[checkpoint(ARCHIVER, size, root)]);
        assert_eq!(
            (admitted.obeyed, admitted.disagrees),
            (None, true),
            "{size}"
        );
        assert_eq!(world.state.final_size(), 1);
    }
    let admitted = sign(&mut world, &[checkpoint(ARCHIVER, 4, roots[4])]);
    assert_eq!((admitted.obeyed, admitted.disagrees), (Some(4), false));
}

#[test]
fn a_checkpoint_covers_less_than_its_own_position() {
    let (mut world, roots) = four();
    assert_eq!(world.state.size(), 4);
    for size in [5, 6, u64::MAX] {
        let pen = world.archiver.clone();
        let cause = world.refusal(&pen, &[checkpoint(ARCHIVER, size, roots[4])]);
        assert_eq!(cause, Cause::Inconsistent, "{size}");
    }
    assert_eq!(
        sign(&mut world, &[checkpoint(ARCHIVER, 4, roots[4])]).obeyed,
        Some(4)
    );
}

#[test]
fn checkpoints_of_one_frame_are_judged_in_their_order() {
    let right = |size: u64, roots: &[Hash]| {
        checkpoint(ARCHIVER, size, roots[usize::try_from(size).unwrap()])
    };
    let wrong = |size| checkpoint(ARCHIVER, size, Hash::ZERO);
    let cases = [
        (vec![2, 3, 4], Vec::new(), Some(4), false),
        (vec![4, 3, 2], Vec::new(), Some(4), false),
        (vec![2], vec![3], Some(2), true),
        (vec![4], vec![3], Some(4), false),
        (Vec::new(), vec![3, 4], None, true),
    ];
    for (good, bad, obeyed, disagrees) in cases {
        let (mut world, roots) = four();
        let good = good.iter().map(|size| right(*size, &roots));
        let events: Vec<Event> = good.chain(bad.into_iter().map(wrong)).collect();
        let admitted = sign(&mut world, &events);
        assert_eq!((admitted.obeyed, admitted.disagrees), (obeyed, disagrees));
    }
    let (mut world, roots) = four();
    let admitted = sign(&mut world, &[wrong(3), right(4, &roots)]);
    assert_eq!((admitted.obeyed, admitted.disagrees), (Some(4), true));
}

#[test]
fn every_archiver_in_force_is_believed_and_no_other_key() {
    let (mut world, roots) = four();
    let mut pen = Pen::new(STRANGER, 9);
    let event = checkpoint(STRANGER, 2, roots[2]);
    assert_eq!(
        world.refusal(&pen, std::slice::from_ref(&event)),
        Cause::Refused
    );
    let change = key_change(
        STRANGER,
        orebook_schema::Role::Archiver,
        orebook_schema::event::KeyAction::InForce,
        crate::world::NONE,
    );
    world.desk_says(&approved(change));
    assert_eq!(world.say(&mut pen, &[event]).obeyed, Some(2));
    let lent = checkpoint(ARCHIVER, 3, roots[3]);
    assert_eq!(
        world.refusal(&pen, &[lent]),
        Cause::Refused,
        "signed by another archiver"
    );
}

/// A heartbeat with this last time, appended then; its ledger time.
fn ledger_time(world: &mut World, append_time: u64, base_time: u64, dt: u32) -> u64 {
    let mut pen = world.desk.clone();
    let event = Event::Heartbeat.to_bytes(dt);
    let draft = crate::world::Draft::new(
        &pen,
        base_time,
        &orebook_schema::summary::Summary::default(),
        event,
    );
    world.clock = append_time.wrapping_sub(10);
    let admitted = world.admitted(&mut pen, &draft);
    world.desk = pen;
    assert_eq!(world.state.ledger_time(), admitted.ledger_time);
    admitted.ledger_time
}

#[test]
fn ledger_time_is_the_log_s_held_near_the_producer_s_and_never_runs_back() {
    assert_eq!(LEDGER_TIME_LEAD_MS_MAX, 600_000);
    let mut world = World::ready();
    let start = world.state.ledger_time();
    let rows = [
        // (append time, base time, dt, ledger time), counted from the start.
        (10, 5, 0, 10, "the log's"),
        (10, 5, 0, 10, "the same again"),
        (7, 5, 0, 10, "not back"),
        (20, 1_000_000, 0, 20, "a producer ahead changes nothing"),
        (600_025, 20, 5, 600_025, "as far as it may run ahead"),
        (600_027, 20, 6, 600_026, "a millisecond further"),
        (9_000_000, 20, 6, 600_026, "not back for an old frame"),
        (
            9_000_000,
            100_000,
            0,
            700_000,
            "ten minutes ahead of an old frame",
        ),
        (9_000_000, 9_000_000, 0, 9_000_000, "a new frame"),
        (0, 9_000_000, 0, 9_000_000, "a log that lost its clock"),
    ];
    for (append_time, base_time, dt, expected, what) in rows {
        let found = ledger_time(&mut world, start + append_time, start + base_time, dt);
        assert_eq!(found - start, expected, "{what}");
    }
    assert_eq!(
        ledger_time(&mut world, u64::MAX - 5, u64::MAX - 3, 3),
        u64::MAX - 5
    );
    assert_eq!(ledger_time(&mut world, u64::MAX, u64::MAX, 0), u64::MAX);
}

#[test]
fn ledger_time_begins_with_genesis() {
    for (append_time, expected) in [(0, 0), (5, 5), (600_003, 600_003), (600_004, 600_003)] {
        let mut world = World::new();
        world.state = State::new(LEDGER);
        let genesis = Event::Genesis(Box::new(crate::world::genesis()));
        world.clock = 3;
        let bytes = world
            .draft(&Pen::new(crate::world::DESK, 0xd0), &[genesis])
            .bytes();
        let (verdict, _) = world
            .state
            .admit(&world.memory, append_time, bytes)
            .unwrap();
        let Verdict::Admitted(admitted) = verdict else {
            panic!("refused: {verdict:?}");
        };
        assert_eq!((admitted.position, admitted.ledger_time), (0, expected));
    }
}

#[test]
fn until_an_incarnation_s_opening_is_final_only_archivers_are_heard() {
    let (mut world, roots) = four();
    let mut pen = Pen::new(GATEWAY, 2);
    let hellos = world.draft(&pen, &hello());
    world.state.enter_incarnation(4);
    let desk = world.desk.clone();
    let before = world.state.clone();
    assert_eq!(world.cause(hellos.bytes()), Cause::Early);
    assert_eq!(world.refusal(&desk, &[Event::Heartbeat]), Cause::Early);
    assert!(world.state == before, "what is early changes nothing");
    sign(&mut world, &[Event::Heartbeat]);
    for (size, root) in [(2, roots[2]), (3, roots[3]), (4, Hash::ZERO)] {
        sign(&mut world, &[checkpoint(ARCHIVER, size, root)]);
        assert_eq!(
            world.cause(hellos.bytes()),
            Cause::Early,
            "{size} is not enough"
        );
    }
    sign(&mut world, &[checkpoint(ARCHIVER, 4, roots[4])]);
    world.admitted(&mut pen, &hellos);
    world.desk_says(&[Event::Heartbeat]);
}

#[test]
fn an_incarnation_that_opens_at_what_is_final_waits_for_nothing() {
    for opened_at in [0, 1] {
        let (mut world, _) = four();
        world.state.enter_incarnation(opened_at);
        world.desk_says(&[Event::Heartbeat]);
    }
    let (mut world, _) = four();
    world.state.enter_incarnation(2);
    let desk = world.desk.clone();
    assert_eq!(world.refusal(&desk, &[Event::Heartbeat]), Cause::Early);
}

#[test]
fn a_fork_closes_its_stream_before_the_opening_is_final_as_well() {
    let (mut world, _) = four();
    world.state.enter_incarnation(4);
    assert_eq!(
        world.refusal(&Pen::new(GATEWAY, 1), &[Event::Heartbeat]),
        Cause::Fork
    );
    assert!(world.is_closed(1));
}
