//! Moved events: they close what they name, and count once.

use orebook_ledger::admit::{Cause, Verdict};
use orebook_schema::event::KeyAction;
use orebook_schema::{Event, Frame, Role};

use crate::world::{
    Draft, GATEWAY, NONE, OTHER_GATEWAY, Pen, STRANGER, World, approved, block_found, hello,
    key_change, moved, moved_bytes, nonce, revoke, winner,
};

/// Stream 1 of the gateway has hello and nonces 1 and 2 (seq 2 and 3); its streams 2 and, of the other gateway, 3 have hello.
struct Moving {
    world: World,
    one: Pen,
    two: Pen,
    three: Pen,
}

fn moving() -> Moving {
    let mut world = World::ready();
    let mut pens = [(GATEWAY, 1), (GATEWAY, 2), (OTHER_GATEWAY, 3)]
        .map(|(name, number)| Pen::new(name, number));
    pens.iter_mut()
        .for_each(|pen| drop(world.say(pen, &hello())));
    let [mut one, two, three] = pens;
    world.say(&mut one, &[nonce(1), nonce(2)]);
    Moving {
        world,
        one,
        two,
        three,
    }
}

impl Moving {
    fn with_one_closed() -> Self {
        let mut moving = moving();
        assert_eq!(
            moving
                .world
                .refusal(&Pen::new(GATEWAY, 1), &[Event::Heartbeat]),
            Cause::Fork
        );
        assert!(moving.world.is_closed(1));
        moving
    }

    /// What counts of these, said in stream 2.
    fn two_says(&mut self, events: &[Event]) -> Vec<bool> {
        self.world.say(&mut self.two, events).counts
    }

    fn three_says(&mut self, events: &[Event]) -> Vec<bool> {
        self.world.say(&mut self.three, events).counts
    }
}

#[test]
fn a_moved_share_counts_once() {
    let again = [moved(1, 4, &nonce(3))];
    let mut moving = Moving::with_one_closed();
    let twice = [again[0].clone(), again[0].clone()];
    assert_eq!(moving.two_says(&twice), [true, false], "in one frame");
    assert_eq!(moving.two_says(&again), [false], "in two frames");
    assert_eq!(moving.three_says(&again), [false], "in two streams");
    assert_eq!(moving.three_says(&[moved(1, 5, &nonce(4))]), [true]);
    assert_eq!(
        moving.two_says(&[moved(1, 5, &nonce(4))]),
        [false],
        "and back"
    );
    let mut restarted = moving.two.clone().restarted();
    let events = [hello().as_slice(), &again].concat();
    assert_eq!(
        moving.world.say(&mut restarted, &events).counts,
        [false],
        "in two epochs"
    );
}

#[test]
fn a_moved_event_that_was_admitted_does_not_count() {
    let mut moving = Moving::with_one_closed();
    let events = [
        moved(1, 2, &nonce(1)),
        moved(1, 3, &nonce(2)),
        moved(1, 4, &nonce(3)),
    ];
    assert_eq!(moving.two_says(&events), [false, false, true]);
}

#[test]
fn a_moved_event_with_other_bytes_or_another_seq_is_another_event() {
    let mut moving = Moving::with_one_closed();
    let other_bytes = [
        moved(1, 2, &nonce(9)),
        moved(1, 2, &nonce(2)),
        moved(1, 3, &nonce(1)),
    ];
    assert_eq!(moving.two_says(&other_bytes), [true; 3]);
    let other_time = moved_bytes(1, 2, nonce(1).to_bytes(1));
    assert_eq!(
        moving.two_says(&[other_time]),
        [true],
        "dt is one of the bytes"
    );
    let other_seq = [
        moved(1, 4, &nonce(1)),
        moved(1, 0, &nonce(1)),
        moved(1, u64::MAX, &nonce(1)),
    ];
    assert_eq!(moving.two_says(&other_seq), [true; 3]);
    assert_eq!(moving.three_says(&other_seq), [false; 3]);
}

#[test]
fn a_moved_event_closes_its_producer_s_own_stream() {
    let mut moving = moving();
    let late = moving.world.draft(&moving.one, &[nonce(3)]).bytes();
    assert!(!moving.world.is_closed(1));
    assert_eq!(moving.two_says(&[moved(1, 4, &nonce(3))]), [true]);
    assert!(moving.world.is_closed(1) && !moving.world.is_closed(2) && !moving.world.is_closed(3));
    assert_eq!(
        moving.world.cause(late),
        Cause::Closed,
        "the late copy is not admitted"
    );
}

#[test]
fn a_moved_event_that_does_not_count_closes_as_well() {
    let mut moving = moving();
    assert_eq!(moving.two_says(&[moved(1, 2, &nonce(1))]), [false]);
    assert!(moving.world.is_closed(1));
}

#[test]
fn an_open_stream_of_another_key_in_force_is_not_closed_and_its_events_do_not_count() {
    let mut moving = moving();
    let claim = [moved(1, 4, &nonce(3)), moved(1, 2, &nonce(9))];
    assert_eq!(moving.three_says(&claim), [false, false]);
    assert!(!moving.world.is_closed(1));
    moving.world.say(&mut moving.one.clone(), &[nonce(3)]);
    assert_eq!(moving.three_says(&claim), [false, false], "the second try");
}

#[test]
fn a_stream_of_a_key_that_is_not_in_force_any_more_is_closed_by_any_gateway() {
    let mut moving = moving();
    let claim = [moved(1, 4, &nonce(3))];
    assert_eq!(moving.three_says(&claim), [false]);
    moving
        .world
        .desk_says(&approved(revoke(GATEWAY, Role::Gateway)));
    assert_eq!(
        moving.three_says(&claim),
        [true],
        "what did not count before counts now"
    );
    assert!(moving.world.is_closed(1) && !moving.world.is_closed(2));
    assert_eq!(moving.three_says(&claim), [false]);
}

#[test]
fn a_stream_of_a_key_with_another_role_is_still_its_own() {
    let mut moving = moving();
    let change = key_change(GATEWAY, Role::Settler, KeyAction::InForce, NONE);
    moving.world.desk_says(&approved(change));
    assert_eq!(moving.three_says(&[moved(1, 4, &nonce(3))]), [false]);
    assert!(!moving.world.is_closed(1));
}

#[test]
fn a_stream_of_nobody_is_closed_before_its_first_frame() {
    let mut moving = moving();
    let late = moving.world.draft(&Pen::new(GATEWAY, 8), &hello()).bytes();
    assert_eq!(moving.two_says(&[moved(8, 2, &nonce(1))]), [true]);
    assert!(moving.world.is_closed(8));
    assert_eq!(moving.world.cause(late), Cause::Closed);
    let others = moving
        .world
        .draft(&Pen::new(OTHER_GATEWAY, 8), &hello())
        .bytes();
    assert!(
        matches!(moving.world.admit(others), Verdict::Refused(_)),
        "for every key"
    );
    assert_eq!(
        moving.three_says(&[moved(8, 2, &nonce(1)), moved(8, 3, &nonce(1))]),
        [false, true]
    );
}

#[test]
fn what_is_moved_never_has_a_position_afterwards() {
    let mut moving = moving();
    let mut ahead = moving.one.clone();
    let mut other = moving.world.clone();
    let first = other.draft(&ahead, &[nonce(3)]);
    other.admitted(&mut ahead, &first);
    let second = other.draft(&ahead, &[nonce(4)]).bytes();
    let restarted = other.draft(&ahead.clone().restarted(), &hello()).bytes();
    assert_eq!(
        moving.two_says(&[moved(1, 4, &nonce(3)), moved(1, 5, &nonce(4))]),
        [true, true]
    );
    for late in [first.bytes(), second, restarted] {
        assert_eq!(moving.world.cause(late), Cause::Closed);
    }
}

#[test]
fn events_of_the_moving_frame_itself_are_admitted_and_do_not_count_again() {
    let (own, seq) = (2, 2);
    let mut before = moving();
    assert_eq!(
        before.two_says(&[nonce(7), moved(own, seq, &nonce(7))]),
        [false],
        "said before"
    );
    assert!(before.world.is_closed(own));
    let mut after = moving();
    assert_eq!(
        after.two_says(&[moved(own, seq + 1, &nonce(7)), nonce(7)]),
        [false],
        "said after"
    );
    let mut first = World::ready();
    let events = [hello().as_slice(), &[nonce(7), moved(8, 2, &nonce(7))]].concat();
    assert_eq!(
        first.say(&mut Pen::new(GATEWAY, 8), &events).counts,
        [false],
        "in a first frame"
    );
    let mut others = moving();
    let events = [
        moved(own, seq, &nonce(7)),
        moved(own, seq + 1, &nonce(8)),
        nonce(7),
        nonce(9),
    ];
    assert_eq!(
        others.two_says(&events),
        [true, true],
        "other bytes, or another seq"
    );
    assert!(others.world.is_closed(own));
}

#[test]
fn a_stream_may_close_itself_and_then_says_nothing_more() {
    let mut moving = moving();
    assert_eq!(moving.two_says(&[moved(2, 9, &nonce(3))]), [true]);
    let next = moving.two.clone();
    assert_eq!(
        moving.world.refusal(&next, &[Event::Heartbeat]),
        Cause::Closed
    );
}

#[test]
fn a_moved_block_counts_with_its_share() {
    let mut moving = Moving::with_one_closed();
    let pair = [moved(1, 4, &winner(3)), moved(1, 5, &block_found())];
    assert_eq!(moving.two_says(&pair), [true, true]);
    assert_eq!(moving.three_says(&pair), [false, false]);
}

#[test]
fn counts_are_those_of_moved_events_in_their_order() {
    let mut moving = Moving::with_one_closed();
    let events = [
        nonce(1),
        moved(1, 2, &nonce(1)),
        Event::Heartbeat,
        moved(1, 4, &nonce(3)),
        moved(3, 0, &nonce(3)),
        nonce(2),
        moved(1, 4, &nonce(3)),
    ];
    assert_eq!(moving.two_says(&events), [false, true, false, false]);
}

#[test]
fn a_history_that_knows_what_came_later_changes_nothing() {
    let mut moving = moving();
    let mut ahead = moving.world.clone();
    let late = ahead.draft(&moving.one, &[nonce(3)]);
    ahead.admitted(&mut moving.one.clone(), &late);
    moving.world.memory = ahead.memory;
    assert_eq!(moving.two_says(&[moved(1, 4, &nonce(3))]), [true]);
    assert_eq!(moving.world.cause(late.bytes()), Cause::Closed);
}

#[test]
fn moved_events_of_a_refused_frame_close_and_count_nothing() {
    let mut moving = moving();
    let events = [moved(1, 4, &nonce(3))];
    let strange: Draft = moving.world.draft(&Pen::new(STRANGER, 9), &events);
    let wrong = moving
        .world
        .draft(&moving.two, &events)
        .edit(|header| header.schema_set = 5);
    for (bytes, cause) in [
        (strange.bytes(), Cause::Refused),
        (wrong.bytes(), Cause::Inconsistent),
    ] {
        assert!(Frame::read(bytes.clone()).is_ok());
        assert_eq!(moving.world.cause(bytes), cause);
    }
    assert!(!moving.world.is_closed(1));
    assert_eq!(moving.two_says(&events), [true]);
}
