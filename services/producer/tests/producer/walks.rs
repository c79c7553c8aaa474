//! A refused key, a closed stream, a spool without room, heartbeats, a mirror that lags.

use std::sync::{Arc, Mutex};

use orebook_ledger::spool::{FILE_BYTES_MIN, HEARTBEAT_MS};
use orebook_producer::follower::POSITIONS_PER_TURN;
use orebook_producer::outbox::{Place, REFUSED_MS};
use orebook_producer::{Follower, Outbox};
use orebook_replay::engine::SharedReader;
use orebook_replay::folds::control::Control;
use orebook_replay::store::MemoryStore;
use orebook_schema::{Role, StreamId};
use orebook_sim::ground::{self, signer};

use crate::world::{COUNTER, LEDGER, STRANGER, World, disk, number};

#[test]
fn a_refused_key_stops_sending_for_a_while_and_what_was_said_is_said_once() {
    let mut world = World::new(STRANGER);
    let refused = |world: &World| world.counters[0].decider().outbox().is_key_refused();
    for _ in 0..50 {
        world.turns(1);
    }
    assert!(refused(&world), "it is an alarm");
    let now = world.now;
    let sent = world.records_of(STRANGER);
    assert!(0 < sent, "it was sent before");
    world.put_in_force(STRANGER);
    assert!(world.now < now + REFUSED_MS, "the rest is not over");
    assert_eq!(
        world.records_of(STRANGER),
        sent,
        "nothing is sent meanwhile"
    );
    assert!(world.counters[0].decider().outbox().is_resting(world.now));
    assert!(!world.counters[0].decider().is_free(), "nothing is decided");
    while world.numbers().len() < 3 {
        assert!(world.now < now + 2 * REFUSED_MS, "it goes on by itself");
        world.turns(1);
    }
    assert!(!refused(&world), "the alarm is over");
    assert_eq!(world.numbers()[..3], [1, 2, 3]);
}

#[test]
fn a_producer_whose_stream_was_closed_says_again_what_was_lost() {
    let mut world = World::new(COUNTER);
    world.turns(30);
    world.clone_it();
    let before = world.numbers().len();
    world.turns(100);
    let closed = world.keeper.reader().settled().streams();
    let closed = closed.filter(|(_, it)| it.closed).count();
    assert!(0 < closed, "they forked");
    world.calm();
    // Two that compare nothing say the same number twice; neither may leave one out.
    let mut numbers = world.numbers();
    numbers.dedup();
    assert!(before + 3 < numbers.len(), "they go on: {numbers:?}");
    numbers.sort_unstable();
    numbers.dedup();
    let all: Vec<u64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, all, "nothing is left out");
}

#[test]
fn without_room_nothing_is_said_and_it_is_counted() {
    let mut world = World::new(COUNTER);
    world.turns(20);
    world.counters[0].is_silent = true;
    world.calm();
    let before = world.numbers();
    let counter = &mut world.counters[0];
    let disk = counter.disk.clone();
    let now = world.now;
    disk.faults().set_capacity(Some(0));
    let (_, decider) = counter.life.as_mut().unwrap();
    // The file in hand takes some; then there is no other.
    let next = before.len() as u64 + 1;
    let mut said = 0;
    while decider.say(now, &[number(next + said)]).unwrap() {
        said += 1;
        assert!(said < 10_000, "a file has an end");
    }
    assert_eq!(decider.outbox().no_room(), 1);
    disk.faults().set_capacity(None);
    world.calm();
    let numbers: Vec<u64> = (1..next + said).collect();
    assert_eq!(world.numbers(), numbers, "what found room is there, once");
}

#[test]
fn a_heartbeat_is_not_waited_for() {
    let mut world = World::new(COUNTER);
    world.turns(20);
    world.calm();
    world.keeper_runs = false;
    let records = world.records();
    for _ in 0..2 * HEARTBEAT_MS / 100 {
        world.turns(1);
        assert!(world.counters[0].decider().is_free());
    }
    assert!(records < world.records(), "it was sent");
}

#[test]
fn nothing_is_decided_before_everything_final_is_read() {
    let mut world = World::new(COUNTER);
    // Nobody reads: the follower has nothing to be level with, however long it takes.
    let decider = world.counters[0].decider();
    assert!(!decider.is_free() && decider.outbox().is_read_back());
    world.turns(40);
    // Rows that are ahead of the mirror: another mirror wrote them, and this one starts anew.
    let (mirror, _) = world.counters[0].life.as_ref().unwrap();
    let store = Arc::new(MemoryStore::new());
    let mut ahead = Follower::new(LEDGER, || Box::new(Control), store.clone());
    ahead.turn(mirror).unwrap();
    assert!(ahead.is_level() && 1 < ahead.size());
    let size = ahead.size();
    drop(ahead);
    let reader = ground::mirror(&disk(77, "mirror"), LEDGER).unwrap();
    let fresh = SharedReader(Arc::new(Mutex::new(reader)));
    let mut behind = Follower::new(LEDGER, || Box::new(Control), store);
    for _ in 0..400 {
        behind.turn(&fresh).unwrap();
        let final_size = fresh.final_size();
        assert_eq!(behind.is_level(), size <= final_size, "{final_size}");
        if behind.is_level() {
            return;
        }
        fresh.0.lock().unwrap().poll(&world.broker, 1).unwrap();
    }
    panic!("the mirror does not come so far");
}

#[test]
fn a_follower_that_reads_in_several_turns_is_level_after_the_last() {
    let mut world = World::new(COUNTER);
    world.counters[0].is_silent = true;
    world.heartbeats(POSITIONS_PER_TURN);
    let (mirror, _) = world.counters[0].life.as_ref().unwrap();
    let store = Arc::new(MemoryStore::new());
    let mut follower = Follower::new(LEDGER, || Box::new(Control), store);
    follower.turn(mirror).unwrap();
    assert_eq!(follower.size(), POSITIONS_PER_TURN);
    assert!(!follower.is_level(), "there is more");
    follower.turn(mirror).unwrap();
    assert!(POSITIONS_PER_TURN < follower.size() && follower.is_level());
}

#[test]
fn what_a_former_life_said_is_waited_for_and_what_the_spool_holds_can_be_read() {
    let disk = disk(5, "mirror");
    let config = ground::spool_config(LEDGER, Role::Settler, FILE_BYTES_MIN);
    let open = || {
        let stream = StreamId::from_parts(1, [5; 10]);
        let signer = signer(COUNTER);
        Outbox::open(
            "counter",
            disk.clone(),
            "counter",
            config,
            signer,
            1_000,
            stream,
        )
        .unwrap()
    };
    let mut outbox = open();
    assert!(outbox.is_read_back() && !outbox.is_waiting());
    assert!(outbox.say(1_000, &[]).unwrap() && outbox.is_read_back());
    assert!(outbox.say(1_000, &[number(1), number(2)]).unwrap());
    assert!(outbox.is_waiting());
    drop(outbox);
    disk.restart();
    let outbox = open();
    assert!(outbox.is_waiting());
    let held = outbox.held().unwrap();
    let stream = StreamId::from_parts(1, [5; 10]);
    let events: Vec<_> = held.iter().map(|held| held.event.clone()).collect();
    assert_eq!(events, [number(1), number(2)]);
    for (number, held) in (0..).zip(&held) {
        assert_eq!(held.place, Place { stream, number });
        assert!(!held.is_closed);
    }
    assert_eq!(outbox.next_place(), Some(Place { stream, number: 2 }));
}
