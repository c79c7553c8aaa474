//! Every cause by itself, in every pair, and what each test of section 6 looks at.

use orebook_ledger::admit::{Cause, Verdict};
use orebook_schema::event::{KeyAction, SchemaEntry};
use orebook_schema::summary::Summary;
use orebook_schema::{At, Event, HEADER_BYTES, Hash, Header, Kind, LedgerId, Role};

use crate::world::{
    ARCHIVER, Draft, GATEWAY, NONE, OTHER_GATEWAY, Pen, SETTLER, STRANGER, World, approved, at,
    block_found, block_recovered, block_status, checkpoint, difficulty, hello, job, key_change,
    moved, nonce, policy_change, pot_summary, revoke, schema_set, share, winner, worker,
};

/// Where a frame stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Next,
    Duplicate,
    Fork,
    Gap,
}

/// What is wrong with a frame beside its place, one bit each, in the order of section 6.
#[derive(Clone, Copy, Debug)]
struct Faults {
    malformed: bool,
    refused: bool,
    closed: bool,
    stale: bool,
    early: bool,
    inconsistent: bool,
}

impl Faults {
    fn of_bits(bits: u8) -> Self {
        let [malformed, refused, closed, stale, early, inconsistent] =
            [1, 2, 4, 8, 16, 32].map(|bit| bits & bit != 0);
        Self {
            malformed,
            refused,
            closed,
            stale,
            early,
            inconsistent,
        }
    }
}

/// A frame with any choice of faults against a stream that may be closed: the first fault in the order of section 6 is its
/// cause, whatever else is wrong.
#[test]
fn of_several_faults_the_first_test_s_is_the_cause() {
    let mut seen = std::collections::BTreeMap::new();
    for place in [Place::Next, Place::Duplicate, Place::Fork, Place::Gap] {
        for faults in (0..64).map(Faults::of_bits) {
            let expected = [
                (faults.malformed, Cause::Malformed),
                (faults.refused, Cause::Refused),
                (place == Place::Duplicate, Cause::Duplicate),
                (faults.closed, Cause::Closed),
                (place == Place::Fork, Cause::Fork),
                (place == Place::Gap, Cause::Gap),
                (faults.stale, Cause::StaleEpoch),
                (faults.early, Cause::Early),
                (faults.inconsistent, Cause::Inconsistent),
            ];
            let expected = expected
                .into_iter()
                .find(|(fault, _)| *fault)
                .map(|(_, cause)| cause);
            assert_eq!(judged(place, faults), expected, "{place:?} {faults:?}");
            *seen.entry(expected).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 10, "admitted, and every cause: {seen:?}");
    assert_eq!(seen[&None], 1);
}

/// The cause of a frame at this place with these faults, if it has one.
fn judged(place: Place, faults: Faults) -> Option<Cause> {
    let mut world = World::ready();
    let first = Pen::new(GATEWAY, 1);
    let events = [hello().as_slice(), &[nonce(1)]].concat();
    let first_draft = world.draft(&first, &events);
    let mut second = first.clone();
    world.admitted(&mut second, &first_draft);
    let mut next = second.clone().restarted();
    let second_draft = world.draft(&next, &events);
    world.admitted(&mut next, &second_draft);
    if faults.closed {
        let fork = second_draft.clone().edit(|header| header.schema_set = 77);
        assert_eq!(world.cause(fork.bytes()), Cause::Fork);
    }
    let draft = match place {
        // A frame of the epoch before is the stale one; both announce worker 0 again.
        Place::Duplicate if faults.stale => first_draft,
        Place::Duplicate => second_draft,
        Place::Next => world.draft(&next, &[nonce(2)]),
        Place::Fork => second_draft.edit(|header| {
            header.base_time -= 1;
            header.last_time -= 1;
        }),
        Place::Gap => world
            .draft(&next, &[nonce(2)])
            .edit(|header| header.first_seq += 1),
    };
    let spoilt = |header: &mut Header| {
        header.epoch -= u32::from(faults.stale && place != Place::Duplicate);
        header.schema_set += u32::from(faults.inconsistent && place != Place::Duplicate);
    };
    let mut bytes = draft.edit(spoilt).bytes();
    if faults.malformed {
        *bytes.last_mut().unwrap() ^= 1;
    }
    if faults.refused {
        world.desk_says(&approved(revoke(GATEWAY, Role::Gateway)));
    }
    if faults.early {
        world.state.enter_incarnation(world.state.size());
    }
    match world.admit(bytes) {
        Verdict::Admitted(_) => None,
        Verdict::Refused(cause) => Some(cause),
    }
}

/// A ready world with a gateway's stream 1 after its first frame.
fn started() -> (World, Pen) {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(&mut pen, &hello());
    (world, pen)
}

/// These bytes have this cause, and the state is as it was.
pub(crate) fn assert_cause(world: &World, what: &str, bytes: Vec<u8>, cause: Cause) {
    let mut after = world.clone();
    assert_eq!(after.admit(bytes), Verdict::Refused(cause), "{what}");
    assert!(after.state == world.state, "{what} changes nothing");
}

pub(crate) fn assert_admitted(world: &World, what: &str, bytes: Vec<u8>) {
    let verdict = world.clone().admit(bytes);
    assert!(
        matches!(verdict, Verdict::Admitted(_)),
        "{what}: {verdict:?}"
    );
}

#[test]
fn what_no_frame_of_this_ledger_can_be_is_malformed() {
    let (world, pen) = started();
    let draft = || world.draft(&pen, &[nonce(1), nonce(2)]);
    assert_admitted(&world, "the same without a fault", draft().bytes());
    type Edit = fn(&mut Header);
    let edits: [(&str, Edit); 17] = [
        ("ledger", |header| header.ledger = LedgerId([8; 16])),
        ("coin", |header| header.coin = 2),
        ("no events", |header| header.count = 0),
        ("fewer events", |header| header.count = 1),
        ("more events", |header| header.count = 3),
        ("1,001 events", |header| header.count = 1_001),
        ("shorter body", |header| header.body_len -= 1),
        ("longer body", |header| header.body_len += 1),
        ("longer summary", |header| header.summary_len += 1),
        ("border of summary and body", |header| {
            header.summary_len += 1;
            header.body_len -= 1;
        }),
        ("base time", |header| header.base_time += 1),
        ("last time", |header| header.last_time += 1),
        ("events root", |header| header.events_root.0[31] ^= 1),
        ("summary hash", |header| header.summary_hash.0[0] ^= 1),
        ("a kind too many", |header| {
            header.kinds |= Kind::Heartbeat.bit()
        }),
        ("a kind too few", |header| header.kinds = 0),
        ("zero previous", |header| header.previous = Hash::ZERO),
    ];
    for (what, edit) in edits {
        assert_cause(&world, what, draft().edit(edit).bytes(), Cause::Malformed);
    }
    let first = world.draft(&Pen::new(GATEWAY, 2), &hello());
    assert_admitted(&world, "a first frame", first.bytes());
    let with_previous = first.edit(|header| header.previous = Hash([1; 32])).bytes();
    assert_cause(
        &world,
        "first_seq 0 with a previous",
        with_previous,
        Cause::Malformed,
    );
}

#[test]
fn bytes_that_are_no_frame_are_malformed() {
    let (world, pen) = started();
    let good = world.draft(&pen, &[nonce(1)]).bytes();
    let other = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    let cases = [
        ("nothing", Vec::new()),
        ("half a header", good[..100].to_vec()),
        ("a header alone", good[..HEADER_BYTES].to_vec()),
        ("a byte less", good[..good.len() - 1].to_vec()),
        ("a byte more", [good.as_slice(), &[0]].concat()),
        ("magic", other(0, 1)),
        ("version", other(4, 1)),
        ("a changed event", other(good.len() - 1, 1)),
        ("a changed summary", other(HEADER_BYTES, 1)),
    ];
    for (what, bytes) in cases {
        assert_cause(&world, what, bytes, Cause::Malformed);
    }
}

#[test]
fn bodies_out_of_order_are_malformed() {
    let (world, pen) = started();
    let at_times = |dts: &[u32], base_time: u64| {
        let body: Vec<u8> = dts
            .iter()
            .flat_map(|dt| Event::Heartbeat.to_bytes(*dt))
            .collect();
        Draft::new(&pen, base_time, &Summary::default(), body)
    };
    assert_admitted(
        &world,
        "rising times",
        at_times(&[0, 5, 5, u32::MAX], 1).bytes(),
    );
    let falling = at_times(&[0, 5, 4], 1).bytes();
    assert_cause(&world, "falling times", falling, Cause::Malformed);
    let mut late = at_times(&[0], u64::MAX);
    late.body = Event::Heartbeat.to_bytes(1);
    late.header.events_root = orebook_ledger::tree::events_root(&late.body);
    late.header.last_time = 0;
    assert_cause(
        &world,
        "a time after the last",
        late.bytes(),
        Cause::Malformed,
    );

    let block = |events: &[Event]| world.draft(&pen, events).bytes();
    assert_admitted(&world, "a block", block(&[winner(1), block_found()]));
    let cases = [
        ("a block alone", vec![block_found()]),
        (
            "a block after a share without the flag",
            vec![nonce(1), block_found()],
        ),
        (
            "a block after a heartbeat",
            vec![winner(1), Event::Heartbeat, block_found()],
        ),
        ("a block before its share", vec![block_found(), winner(1)]),
        ("two blocks", vec![winner(1), block_found(), block_found()]),
        (
            "a block after a moved share",
            vec![moved(9, 0, &winner(1)), block_found()],
        ),
        (
            "a moved block after a share",
            vec![winner(1), moved(9, 1, &block_found())],
        ),
        ("a moved block alone", vec![moved(9, 1, &block_found())]),
        (
            "a moved block, not the next seq",
            vec![moved(9, 0, &winner(1)), moved(9, 2, &block_found())],
        ),
        (
            "a moved block of another stream",
            vec![moved(9, 0, &winner(1)), moved(8, 1, &block_found())],
        ),
        (
            "a moved block after no winner",
            vec![moved(9, 0, &nonce(1)), moved(9, 1, &block_found())],
        ),
    ];
    for (what, events) in cases {
        assert_cause(&world, what, block(&events), Cause::Malformed);
    }
    let pair = [moved(9, 0, &winner(1)), moved(9, 1, &block_found())];
    assert_admitted(&world, "a moved block", block(&pair));
    let mut other_epoch = pair;
    if let Event::Moved(moved) = &mut other_epoch[1] {
        moved.epoch = 1;
    }
    assert_cause(
        &world,
        "a moved block of another epoch",
        block(&other_epoch),
        Cause::Malformed,
    );
}

#[test]
fn summaries_that_do_not_decode_are_malformed_and_wrong_ones_inconsistent() {
    let (world, pen) = started();
    let draft = || world.draft(&pen, &[nonce(1)]);
    let right = Summary {
        pots: vec![pot_summary(0, 100_000_000, &[(0, 1, 100)])],
    };
    assert_eq!(draft().summary, right.to_bytes());
    for bytes in [vec![1], vec![0x80, 0], vec![0, 0], vec![1, 0, 0, 0]] {
        let bytes = draft().with_summary_bytes(bytes).bytes();
        assert_cause(&world, "no summary", bytes, Cause::Malformed);
    }
    let others = [
        Vec::new(),
        vec![pot_summary(1, 100_000_000, &[(0, 1, 100)])],
        vec![pot_summary(0, 100_000_001, &[(0, 1, 100)])],
        vec![pot_summary(0, 100_000_000, &[(1, 1, 100)])],
        vec![pot_summary(0, 100_000_000, &[(0, 2, 100)])],
        vec![pot_summary(0, 100_000_000, &[(0, 1, 101)])],
        vec![pot_summary(0, 100_000_000, &[(0, 1, 100), (1, 1, 0)])],
    ];
    for pots in others {
        let what = format!("{pots:?}");
        let bytes = draft().with_summary(&Summary { pots }).bytes();
        assert_cause(&world, &what, bytes, Cause::Inconsistent);
    }
    let heartbeat = world
        .draft(&pen, &[Event::Heartbeat])
        .with_summary(&right)
        .bytes();
    assert_cause(
        &world,
        "a summary of no shares",
        heartbeat,
        Cause::Inconsistent,
    );
}

#[test]
fn what_the_producer_may_not_say_is_refused() {
    let (world, pen) = started();
    let draft = |pen: &Pen| world.draft(pen, &[Event::Heartbeat]);
    let mut flipped = draft(&pen).bytes();
    flipped[224] ^= 1;
    assert_cause(&world, "a wrong signature", flipped, Cause::Refused);
    let signed_by_other = draft(&pen).signed_by(OTHER_GATEWAY);
    assert_cause(
        &world,
        "another's signature",
        signed_by_other,
        Cause::Refused,
    );
    let strange = draft(&Pen::new(STRANGER, 3)).bytes();
    assert_cause(&world, "a key in no genesis", strange, Cause::Refused);
    let mut stolen = pen.clone();
    stolen.name = OTHER_GATEWAY;
    assert_cause(
        &world,
        "another's stream",
        draft(&stolen).bytes(),
        Cause::Refused,
    );
    let zero_key = draft(&pen).edit(|header| header.key.0 = [0; 32]).bytes();
    assert_cause(&world, "a key that is no point", zero_key, Cause::Refused);
    let share = world.draft(&world.desk, &[nonce(1)]).bytes();
    assert_cause(&world, "a share by the desk", share, Cause::Refused);
    let mixed = world
        .draft(
            &pen,
            &[Event::Heartbeat, checkpoint(GATEWAY, 1, Hash::ZERO)],
        )
        .bytes();
    assert_cause(&world, "a checkpoint by a gateway", mixed, Cause::Refused);
    let inner = checkpoint(OTHER_GATEWAY, 1, Hash::ZERO);
    let inner = world.draft(&world.archiver, &[inner]).bytes();
    assert_cause(
        &world,
        "a checkpoint that its archiver did not sign",
        inner,
        Cause::Refused,
    );
}

#[test]
fn what_refers_to_nothing_is_inconsistent() {
    let (mut world, mut pen) = started();
    let number = world.desk_says(&[schema_set(
        5,
        vec![SchemaEntry {
            kind: 7,
            version: 0,
        }],
    )]);
    let size = number + 1;
    assert_eq!(world.state.size(), size);
    world.say(&mut pen, &[nonce(1)]);
    let next = size + 1;
    let gateway = |events: &[Event]| (pen.clone(), events.to_vec());
    let settler = |at: At| (Pen::new(SETTLER, 4), vec![block_status(at)]);
    let desk = |at: At| (world.desk.clone(), vec![policy_change(at, |_| {})]);
    let key_thing = |at: At| key_change(GATEWAY, Role::Gateway, KeyAction::Revoked, at);
    let cases = [
        ("a worker of nobody", gateway(&[share(1, 0, 5)])),
        ("a job of nobody", gateway(&[share(0, 1, 5)])),
        (
            "a worker announced after",
            gateway(&[share(1, 0, 5), worker(1, 0)]),
        ),
        ("a difficulty of nobody", gateway(&[difficulty(1)])),
        ("a worker again", gateway(&[worker(0, 0)])),
        ("a worker too far", gateway(&[worker(2, 0)])),
        ("a worker twice", gateway(&[worker(1, 0), worker(1, 0)])),
        ("a job again", gateway(&[job(0, NONE)])),
        ("a job too far", gateway(&[job(2, NONE)])),
        ("a job of this position", gateway(&[job(1, at(next, 0))])),
        (
            "a job of a position to come",
            gateway(&[job(1, at(u64::MAX, 0))]),
        ),
        ("a status of this position", settler(at(next, 0))),
        (
            "a recovered block of this position",
            (Pen::new(SETTLER, 4), vec![block_recovered(at(next, 0))]),
        ),
        ("a policy of this position", desk(at(next, 0))),
        (
            "a key change of this position",
            (world.desk.clone(), vec![key_thing(at(next, 0))]),
        ),
        ("a checkpoint of the next position", {
            let event = checkpoint(ARCHIVER, next + 1, Hash::ZERO);
            (world.archiver.clone(), vec![event])
        }),
    ];
    for (what, (pen, events)) in cases {
        assert_cause(
            &world,
            what,
            world.draft(&pen, &events).bytes(),
            Cause::Inconsistent,
        );
    }
    let good = [
        (
            "announced before",
            gateway(&[worker(1, 1), share(1, 0, 5), difficulty(1)]),
        ),
        (
            "a job of the last position",
            gateway(&[job(1, at(next - 1, 9))]),
        ),
        ("a status of the last position", settler(at(next - 1, 0))),
        ("a policy of the last position", desk(at(next - 1, 0))),
        (
            "a key change of the last position",
            (world.desk.clone(), vec![key_thing(at(next - 1, 0))]),
        ),
    ];
    for (what, (pen, events)) in good {
        assert_admitted(&world, what, world.draft(&pen, &events).bytes());
    }
}

#[test]
fn moved_events_refer_to_announced_numbers() {
    let (world, pen) = started();
    let with = |worker, job| {
        let mut event = moved(9, 0, &nonce(1));
        if let Event::Moved(moved) = &mut event {
            (moved.worker, moved.job) = (worker, job);
        }
        world.draft(&pen, &[event]).bytes()
    };
    assert_admitted(&world, "announced", with(0, 0));
    assert_cause(
        &world,
        "a worker of nobody",
        with(1, 0),
        Cause::Inconsistent,
    );
    assert_cause(&world, "a job of nobody", with(0, 1), Cause::Inconsistent);
}

#[test]
fn a_duplicate_that_announced_workers_is_silent() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    let first = world.draft(&pen, &[hello().as_slice(), &[nonce(1)]].concat());
    world.admitted(&mut pen, &first);
    assert_cause(&world, "at once", first.bytes(), Cause::Duplicate);
    world.say(&mut pen, &[worker(1, 0)]);
    assert_cause(&world, "later", first.bytes(), Cause::Duplicate);
    world.say(&mut pen.clone().restarted(), &hello());
    assert_cause(&world, "in the next epoch", first.bytes(), Cause::Duplicate);
}

#[test]
fn a_duplicate_on_a_closed_stream_is_a_duplicate() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    let first = world.draft(&pen, &hello());
    world.admitted(&mut pen, &first);
    assert_eq!(
        world.refusal(&Pen::new(GATEWAY, 1), &[Event::Heartbeat]),
        Cause::Fork
    );
    assert_cause(&world, "what was admitted", first.bytes(), Cause::Duplicate);
    let again = world
        .draft(&Pen::new(GATEWAY, 1), &[Event::Heartbeat])
        .bytes();
    assert_cause(&world, "the fork again", again, Cause::Closed);
    let next = world.draft(&pen, &[nonce(1)]).bytes();
    assert_cause(&world, "the next", next, Cause::Closed);
}

#[test]
fn a_fork_closes_its_stream_and_no_other() {
    type Fork = fn(&mut Header);
    let forks: [(&str, Fork); 4] = [
        ("another first frame", |header| {
            header.first_seq = 0;
            header.previous = Hash::ZERO;
        }),
        ("between two frames", |header| header.first_seq = 1),
        ("at the place of the last", |header| header.first_seq = 2),
        ("next, after another previous", |header| {
            header.previous = Hash([1; 32])
        }),
    ];
    for (what, fork) in forks {
        let (mut world, mut pen) = started();
        let mut others = [Pen::new(GATEWAY, 2), Pen::new(OTHER_GATEWAY, 3)];
        others
            .iter_mut()
            .for_each(|other| drop(world.say(other, &hello())));
        world.say(&mut pen, &[nonce(1)]);
        let mut expected = world.state.clone();
        let bytes = world.draft(&pen, &[nonce(2)]).edit(fork).bytes();
        assert_eq!(world.cause(bytes), Cause::Fork, "{what}");
        assert!(
            world.is_closed(1) && !world.is_closed(2) && !world.is_closed(3),
            "{what}"
        );
        assert_eq!(
            (world.state.size(), world.state.root()),
            (expected.size(), expected.root())
        );
        let header = world.draft(&pen, &[nonce(2)]).edit(fork).bytes();
        let header = Header::read(header.first_chunk::<HEADER_BYTES>().unwrap()).unwrap();
        assert_eq!(
            expected.close_by_evidence(&world.memory, &header),
            Ok(true),
            "{what}"
        );
        assert!(
            expected == world.state,
            "{what}: the header alone says the same"
        );
        assert_eq!(
            expected.close_by_evidence(&world.memory, &header),
            Ok(false),
            "{what}: once"
        );
        others
            .iter_mut()
            .for_each(|other| drop(world.say(other, &[nonce(1)])));
    }
}

#[test]
fn evidence_that_is_no_fork_closes_nothing() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    let first = world.draft(&pen, &hello());
    world.admitted(&mut pen, &first);
    let fork = || world.draft(&Pen::new(GATEWAY, 1), &[Event::Heartbeat]);
    let evidence = |world: &World, bytes: &[u8]| {
        let header = Header::read(bytes.first_chunk::<HEADER_BYTES>().unwrap()).unwrap();
        let mut state = world.state.clone();
        let closed = state.close_by_evidence(&world.memory, &header).unwrap();
        assert_eq!(closed, state != world.state);
        closed
    };
    assert!(evidence(&world, &fork().bytes()));
    let next = world.draft(&pen, &[nonce(1)]);
    let gap = next.clone().edit(|header| header.first_seq += 1);
    let unsigned = fork().signed_by(OTHER_GATEWAY);
    let other_key = world.draft(&Pen::new(OTHER_GATEWAY, 1), &[Event::Heartbeat]);
    let unopened = world.draft(&Pen::new(GATEWAY, 2), &hello());
    let not_evidence = [
        ("admitted", first.bytes()),
        ("the next frame", next.bytes()),
        ("a gap", gap.bytes()),
        ("another's signature", unsigned),
        ("another key", other_key.bytes()),
        ("a stream of nobody", unopened.bytes()),
        (
            "another ledger",
            fork()
                .edit(|header| header.ledger = LedgerId([8; 16]))
                .bytes(),
        ),
        (
            "another coin",
            fork().edit(|header| header.coin = 2).bytes(),
        ),
        (
            "first_seq 0 after another",
            fork()
                .edit(|header| header.previous = Hash([1; 32]))
                .bytes(),
        ),
        (
            "kinds of a desk",
            fork()
                .edit(|header| header.kinds |= Kind::Policy.bit())
                .bytes(),
        ),
    ];
    for (what, bytes) in not_evidence {
        assert!(!evidence(&world, &bytes), "{what}");
    }
    let bytes = fork().bytes();
    world.desk_says(&approved(revoke(GATEWAY, Role::Gateway)));
    assert!(!evidence(&world, &bytes), "a key that is not in force");
    assert_cause(&world, "the same in the log", bytes, Cause::Refused);
}

#[test]
fn frames_that_come_too_early_have_no_position_and_come_again() {
    let mut world = World::ready();
    let pen = Pen::new(GATEWAY, 1);
    let (mut ahead, mut drafts) = (pen.clone(), Vec::new());
    let mut other = world.clone();
    for events in [hello().to_vec(), vec![nonce(1)], vec![nonce(2), nonce(3)]] {
        let draft = other.draft(&ahead, &events);
        other.admitted(&mut ahead, &draft);
        drafts.push(draft.bytes());
    }
    assert_cause(&world, "the third first", drafts[2].clone(), Cause::Gap);
    assert_cause(&world, "the second first", drafts[1].clone(), Cause::Gap);
    assert!(world.state.stream(pen.stream).is_none());
    for bytes in drafts {
        assert!(matches!(world.admit(bytes), Verdict::Admitted(_)));
    }
    assert_eq!(
        world.state.stream(pen.stream),
        other.state.stream(pen.stream)
    );
}

#[test]
fn a_restart_numbers_workers_and_jobs_from_zero() {
    let (mut world, mut pen) = started();
    world.say(&mut pen, &[worker(1, 1), nonce(1)]);
    let mut again = pen.clone().restarted();
    assert_eq!(world.refusal(&again, &[nonce(2)]), Cause::Inconsistent);
    assert_eq!(world.refusal(&again, &[worker(2, 0)]), Cause::Inconsistent);
    assert_eq!(world.refusal(&again, &[job(1, NONE)]), Cause::Inconsistent);
    world.say(&mut again, &[worker(0, 1), job(0, NONE), nonce(2)]);
    let stream = world.state.stream(again.stream).unwrap();
    assert_eq!((stream.epoch, stream.next_seq), (1, 7));
    assert_eq!(
        (stream.announced.workers.len(), stream.announced.jobs.len()),
        (1, 1)
    );
    assert_eq!(
        world.refusal(&again, &[share(1, 0, 5)]),
        Cause::Inconsistent
    );
    let mut skipped = again;
    skipped.epoch = 9;
    world.say(&mut skipped, &hello());
    assert_eq!(world.state.stream(skipped.stream).unwrap().epoch, 9);
}

#[test]
fn a_frame_of_an_epoch_before_is_stale() {
    let (mut world, pen) = started();
    let mut restarted = pen.restarted();
    world.say(&mut restarted, &hello());
    let mut late = restarted.clone();
    late.epoch = 0;
    let bytes = world.draft(&late, &[Event::Heartbeat]).bytes();
    assert_cause(&world, "the epoch before", bytes, Cause::StaleEpoch);
    world.say(&mut restarted, &[nonce(1)]);
}

#[test]
fn a_stream_may_begin_in_any_epoch() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    pen.epoch = 7;
    world.say(&mut pen, &hello());
    assert_eq!(world.state.stream(pen.stream).unwrap().epoch, 7);
}
