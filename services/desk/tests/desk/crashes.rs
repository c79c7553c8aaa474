//! {failed, failed but happened} × {before, after a kill}, at every operation of the desk's disk: a command that is sent
//! until it is answered stands in the ledger once.

use orebook_desk::Submitted;
use orebook_desk::audit::verify;
use orebook_sim::broker::SendFaults;
use serde_json::Value;

use orebook_schema::Event;
use orebook_schema::desk::Reason;
use orebook_schema::payout::PayoutHalt;

use crate::world::{OPERATOR, World, revoke};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// kill -9: what was written is there.
    Kill,
    /// The machine loses power: what was not synced may be gone.
    Power,
}

/// Turns of a story: enough for a command to become final, and sent again.
const TURNS: u32 = 60;

fn restart(world: &mut World, end: End) {
    world.desks[0].kill();
    let disk = world.desks[0].disk.clone();
    match end {
        End::Kill => disk.restart_process(),
        End::Power => disk.restart(),
    }
    let now = world.now;
    world.desks[0].start(now).expect("it starts again");
}

/// A command is sent each fifth turn until it is answered; the disk dies at its `at`th operation from then on. Says whether it
/// died.
fn story(at: u64, end: End, faults: SendFaults) -> bool {
    let mut world = World::new();
    world.broker.set_faults(faults);
    let (bytes, id) = world.command(OPERATOR, &revoke());
    let disk = world.desks[0].disk.clone();
    disk.faults().crash_after(at);
    let mut died = false;
    let mut answer = Value::Null;
    for turn in 0..TURNS {
        let now = world.now;
        if turn % 5 == 0 && world.desks[0].running.is_some() {
            // An error ends the process; nobody knows then whether it was written.
            if let Ok(Submitted::Answered(given)) = world.desks[0].submit(&bytes, now) {
                answer = given.body;
            }
        }
        world.others_turn();
        let failed = world.desk_turn(0).is_err();
        assert!(!failed || disk.crashed(), "it ends by its disk only");
        if disk.crashed() {
            died = true;
            restart(&mut world, end);
        }
    }
    // Disk and log behave again: everything becomes final.
    disk.faults().crash_after(0);
    world.broker.set_faults(SendFaults::default());
    world.turns(40);
    if answer["outcome"] != "waits" {
        answer = world.send_bytes(&bytes);
    }
    assert_eq!(answer["outcome"], "waits", "at {at}, {end:?}: {answer}");
    assert_eq!(world.desks[0].ask(id), answer, "at {at}, {end:?}");
    assert_eq!(
        world.said().len(),
        1,
        "at {at}, {end:?}: {:?}",
        world.said()
    );
    let place = world.said()[0].0;
    assert_eq!(answer["at"][0], place.position, "at {at}, {end:?}");
    let trail = verify(&disk, "desk", &mut |_| {}).expect("the chain holds");
    assert_eq!(trail.torn_bytes, 0);
    died
}

/// The story at every operation of its disk, until one is over before the disk dies.
fn at_every_operation(end: End, faults: SendFaults) {
    for (deaths, at) in (1..10_000).enumerate() {
        if !story(at, end, faults) {
            assert!(10 < deaths, "{end:?}: the disk died {deaths} times only");
            return;
        }
    }
    panic!("the story never ends");
}

#[test]
fn killed_at_any_operation_a_command_is_written_once() {
    at_every_operation(End::Kill, SendFaults::default());
}

#[test]
fn without_power_at_any_operation_a_command_is_written_once() {
    at_every_operation(End::Power, SendFaults::default());
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
            story(at, End::Power, faults);
        }
    }
}

#[test]
fn what_was_noted_and_not_written_is_lost_and_may_be_sent_again() {
    // The disk dies at some operation between the note's sync and the spool's: the next life finds a note without an event.
    let mut lost = 0;
    for at in 1..12 {
        let mut world = World::new();
        let (bytes, id) = world.command(OPERATOR, &revoke());
        world.desks[0].disk.faults().crash_after(at);
        let now = world.now;
        if world.desks[0].submit(&bytes, now).is_ok() {
            break;
        }
        restart(&mut world, End::Kill);
        let standing = world.desks[0].ask(id)["outcome"].clone();
        lost += u32::from(standing == "lost");
        assert!(
            ["lost", "unknown", "never"]
                .iter()
                .any(|known| standing == *known),
            "{standing}"
        );
        world.turns(20);
        assert_eq!(world.send_bytes(&bytes)["outcome"], "waits", "at {at}");
        assert_eq!(world.said().len(), 1, "at {at}");
    }
    assert!(0 < lost, "no crash fell between note and event");
}

#[test]
fn what_was_noted_and_not_written_is_lost_also_where_the_same_was_said_before() {
    // A halt compares nothing, and works always: the spool may hold an equal one that is final.
    let reason = Reason::parse("a wallet behaves strangely").expect("a reason");
    let halt = Event::PayoutHalt(Box::new(PayoutHalt { wallet: 0, reason }));
    let mut lost = 0;
    for end in [End::Kill, End::Power] {
        for at in 1..12 {
            let mut world = World::new();
            assert_eq!(world.send(OPERATOR, &halt)["outcome"], "obeyed");
            let (bytes, id) = world.command(OPERATOR, &halt);
            let disk = world.desks[0].disk.clone();
            disk.faults().crash_after(at);
            let now = world.now;
            if world.desks[0].submit(&bytes, now).is_ok() {
                break;
            }
            restart(&mut world, end);
            disk.faults().crash_after(0);
            lost += u32::from(world.desks[0].ask(id)["outcome"] == "lost");
            world.turns(20);
            let answer = world.send_bytes(&bytes);
            assert_eq!(answer["outcome"], "obeyed", "{end:?} at {at}: {answer}");
            assert_eq!(world.said().len(), 2, "{end:?} at {at}");
        }
    }
    assert!(0 < lost, "no crash fell between note and event");
}
