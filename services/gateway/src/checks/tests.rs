use std::sync::Condvar;
use std::time::{Duration, Instant};

use orebook_pow::scrypt2;

use super::fair::FairQueue;
use super::lane::Check;
use super::*;

/// Longest that a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

const fn session(slot: u32) -> ConnId {
    ConnId {
        slot,
        generation: slot + 1,
    }
}

/// What threads compute behind a door, and what it was that they computed.
#[derive(Debug, Default)]
struct Door {
    state: Mutex<DoorState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct DoorState {
    is_open: bool,
    /// Batches in the order they were begun.
    batches: Vec<Vec<u64>>,
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, DoorState> {
        self.state.lock().unwrap()
    }

    fn open(&self) {
        self.lock().is_open = true;
        self.changed.notify_all();
    }

    /// Waits until so much holds.
    fn wait(&self, what: &str, holds: impl Fn(&DoorState) -> bool) -> MutexGuard<'_, DoorState> {
        let since = Instant::now();
        let mut state = self.lock();
        while !holds(&state) {
            assert!(since.elapsed() < DEADLINE, "{what}: {state:?}");
            state = self
                .changed
                .wait_timeout(state, Duration::from_millis(100))
                .unwrap()
                .0;
        }
        state
    }
}

/// Doubles numbers once its door is open. Those that share their tens go together.
struct Doubler(Arc<Door>);

impl Check for Doubler {
    type Question = u64;
    type Answer = u64;
    const NAME: &'static str = "test-doubler";
    const TOGETHER: usize = 4;
    const GUESS: Duration = Duration::from_millis(100);

    fn go_together(first: &u64, other: &u64) -> bool {
        first / 10 == other / 10
    }

    fn check(&mut self, questions: &[u64], answers: &mut Vec<u64>) {
        self.0.lock().batches.push(questions.to_vec());
        self.0.changed.notify_all();
        drop(self.0.wait("the door is opened", |state| state.is_open));
        answers.extend(questions.iter().map(|number| 2 * number));
    }
}

/// One thread behind a door, and what wakes its asker.
struct Fixture {
    door: Arc<Door>,
    woken: Arc<Door>,
    figures: Arc<CheckFigures>,
    lane: Lane<Doubler>,
}

fn limits() -> LaneLimits {
    LaneLimits {
        threads: 1,
        waiting: 8,
        waiting_per_session: 3,
        wait: Duration::from_secs(3_600),
    }
}

fn fixture(limits: LaneLimits) -> Fixture {
    let (door, woken) = (Arc::new(Door::default()), Arc::new(Door::default()));
    let figures = Arc::new(CheckFigures::default());
    let wake: Wake = {
        let woken = Arc::clone(&woken);
        Arc::new(move || {
            woken.lock().batches.push(Vec::new());
            woken.changed.notify_all();
        })
    };
    let threads = vec![Doubler(Arc::clone(&door))];
    let lane = Lane::start(threads, limits, &wake, &figures).unwrap();
    Fixture {
        door,
        woken,
        figures,
        lane,
    }
}

impl Fixture {
    /// The thread takes this one and stands at the door.
    fn occupy(&self) {
        self.lane.ask(0, session(99), 0).unwrap();
        drop(
            self.door
                .wait("the thread begins", |state| !state.batches.is_empty()),
        );
    }

    /// Opens the door and takes so many answers: their tokens in the order they came.
    fn finish(&self, count: usize) -> Vec<u64> {
        self.door.open();
        let mut done = Vec::new();
        let since = Instant::now();
        while done.len() < count {
            assert!(since.elapsed() < DEADLINE, "{} of {count} came", done.len());
            let wakes = self.woken.lock().batches.len();
            self.lane.take_done(&mut done, |answer| answer);
            if done.len() < count {
                drop(
                    self.woken
                        .wait("an answer", |state| wakes < state.batches.len()),
                );
            }
        }
        done.into_iter()
            .map(|one: Done<u64>| {
                assert_eq!(one.answer % 2, 0);
                one.token
            })
            .collect()
    }
}

#[test]
fn sessions_have_turns_and_each_keeps_its_order() {
    let mut queue = FairQueue::new();
    for (slot, item) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)] {
        queue.push(session(slot), item);
    }
    assert_eq!((queue.len(), queue.of(session(1))), (6, 3));
    for (slot, ahead) in [(1, 6), (2, 6), (3, 6), (4, 3)] {
        assert_eq!(queue.ahead(session(slot)), ahead, "session {slot}");
    }
    let mut taken = Vec::new();
    for _ in 0..3 {
        queue.take(2, |_, _| true, &mut taken);
    }
    assert_eq!(taken, [10, 20, 30, 11, 21, 12]);
    queue.take(2, |_, _| true, &mut taken);
    assert_eq!((taken.len(), queue.len(), queue.of(session(1))), (6, 0, 0));
}

#[test]
fn what_does_not_go_together_waits_for_its_turn() {
    let mut queue = FairQueue::new();
    for (slot, item) in [(1, 10), (2, 11), (3, 20), (4, 12)] {
        queue.push(session(slot), item);
    }
    let mut batches = Vec::new();
    while 0 < queue.len() {
        let mut taken = Vec::new();
        queue.take(8, |first, other| first / 10 == other / 10, &mut taken);
        batches.push(taken);
    }
    assert_eq!(batches, [vec![10, 11], vec![20], vec![12]]);
}

#[test]
fn a_flooding_session_waits_for_itself_and_a_quiet_one_does_not() {
    let fixture = fixture(limits());
    fixture.occupy();
    for token in 1..=3 {
        fixture.lane.ask(token, session(1), 10 * token).unwrap();
    }
    let refused = fixture.lane.ask(4, session(1), 40);
    assert_eq!(refused, Err(Busy::Session), "three wait already");
    fixture.lane.ask(5, session(2), 50).unwrap();
    // Half of the room is used: who has something waiting waits for it first.
    assert_eq!(fixture.lane.ask(6, session(2), 60), Err(Busy::Session));
    fixture.lane.ask(7, session(3), 70).unwrap();
    assert_eq!(fixture.finish(6), [0, 1, 5, 7, 2, 3]);
    assert_eq!(fixture.figures.lock().busy, 2);
    assert_eq!(fixture.figures.lock().checked, 6);
}

#[test]
fn the_newest_is_refused_when_the_queue_is_full_and_those_before_keep_their_order() {
    let fixture = fixture(limits());
    fixture.occupy();
    for token in 1..=8 {
        let slot = u32::try_from(token).unwrap();
        fixture.lane.ask(token, session(slot), 10 * token).unwrap();
    }
    for slot in [9, 10] {
        assert_eq!(fixture.lane.ask(9, session(slot), 0), Err(Busy::Full));
    }
    assert_eq!(fixture.finish(9), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    // There is room again.
    assert_eq!(fixture.lane.ask(10, session(9), 1), Ok(()));
    assert_eq!(fixture.finish(1), [10]);
}

#[test]
fn answers_that_nobody_takes_are_bounded_too() {
    let fixture = fixture(limits());
    fixture.door.open();
    let room = 8 + Doubler::TOGETHER;
    for token in 0..room {
        let slot = u32::try_from(token).unwrap();
        let number = u64::try_from(token).unwrap();
        fixture
            .lane
            .ask(number, session(slot), 10 * number)
            .unwrap();
        // Answered, and not taken.
        let answered = |state: &DoorState| token < state.batches.len();
        drop(fixture.woken.wait("an answer", answered));
    }
    assert_eq!(fixture.lane.ask(99, session(98), 1), Err(Busy::Full));
    assert_eq!(fixture.finish(room).len(), room);
    assert_eq!(fixture.lane.ask(99, session(98), 1), Ok(()));
}

#[test]
fn a_question_that_would_wait_too_long_is_refused_at_once() {
    // A question is thought to take 100 ms, and one is computed now.
    for (wait_ms, fits) in [(100, 1), (250, 2), (500, 5), (700, 7)] {
        let fixture = fixture(LaneLimits {
            wait: Duration::from_millis(wait_ms),
            ..limits()
        });
        fixture.occupy();
        for slot in 0..fits {
            let asked = fixture.lane.ask(1, session(slot), 10);
            assert_eq!(asked, Ok(()), "{wait_ms} ms, session {slot}");
        }
        let asked = fixture.lane.ask(1, session(50), 10);
        assert_eq!(asked, Err(Busy::Late), "{wait_ms} ms");
        fixture.door.open();
    }
}

#[test]
fn questions_that_go_together_are_computed_together() {
    let fixture = fixture(limits());
    fixture.occupy();
    for (slot, number) in [(1, 11), (2, 12), (3, 13), (4, 14), (5, 15), (6, 26)] {
        fixture.lane.ask(number, session(slot), number).unwrap();
    }
    assert_eq!(fixture.finish(7), [0, 11, 12, 13, 14, 15, 26]);
    let batches = fixture.door.lock().batches.clone();
    let expected = [vec![0], vec![11, 12, 13, 14], vec![15], vec![26]];
    assert_eq!(batches, expected, "four at most, and of one kind");
}

#[test]
fn a_full_lane_delays_no_other() {
    let full = fixture(limits());
    full.occupy();
    for slot in 1..=8 {
        full.lane.ask(1, session(slot), 10).unwrap();
    }
    assert_eq!(full.lane.ask(1, session(9), 10), Err(Busy::Full));
    let other = fixture(limits());
    other.lane.ask(7, session(9), 21).unwrap();
    assert_eq!(other.finish(1), [7]);
    assert_eq!(
        full.door.lock().batches.len(),
        1,
        "it still stands at its door"
    );
    full.door.open();
}

#[test]
fn a_lane_that_ends_finishes_what_it_computes_and_forgets_what_waits() {
    let fixture = fixture(limits());
    fixture.occupy();
    for slot in 1..=3 {
        fixture.lane.ask(1, session(slot), 10).unwrap();
    }
    fixture.lane.stop();
    let Fixture {
        door, lane, woken, ..
    } = fixture;
    door.open();
    drop(lane);
    assert_eq!(door.lock().batches, [vec![0]], "nothing is begun any more");
    assert_eq!(woken.lock().batches.len(), 1, "what was begun is answered");
}

/// Asks a gateway's checks with one thread, and takes the answers by token.
fn answers(algorithm: Algorithm, questions: Vec<Question>) -> Vec<Done> {
    let limits = Limits {
        check_threads: 1,
        checks_waiting_per_connection: questions.len(),
        check_wait: DEADLINE,
        ..Limits::default()
    };
    let woken = Arc::new(Door::default());
    let wake: Wake = {
        let woken = Arc::clone(&woken);
        Arc::new(move || {
            woken.lock().batches.push(Vec::new());
            woken.changed.notify_all();
        })
    };
    let figures = Arc::new(CheckFigures::default());
    let checks = Checks::start(algorithm, &limits, &wake, &figures).unwrap();
    let count = questions.len();
    for (token, question) in (0..).zip(questions) {
        checks.ask(token, session(5), question).unwrap();
    }
    let mut done = Vec::new();
    let since = Instant::now();
    while done.len() < count {
        assert!(since.elapsed() < DEADLINE, "{done:?}");
        let answered = |state: &DoorState| !state.batches.is_empty();
        woken.wait("an answer", answered).batches.clear();
        checks.take_done(&mut done);
    }
    assert_eq!(figures.lock().checked, u64::try_from(count).unwrap());
    assert_eq!(figures.lock().threads, 1);
    done.sort_by_key(|one| one.token);
    done
}

fn expected(answers: impl Iterator<Item = Answer>) -> Vec<Done> {
    let done = |(token, answer)| Done {
        token,
        session: session(5),
        answer,
    };
    (0..).zip(answers).map(done).collect()
}

#[test]
fn the_checks_of_scrypt2_are_what_a_call_gives() {
    let headers = [[1; HEADER_BYTES], [2; HEADER_BYTES], [3; HEADER_BYTES]];
    let found = answers(Algorithm::Scrypt2, headers.map(Question::Scrypt2).to_vec());
    let mut pad = vec![0; orebook_pow::SCRYPT2_PAD_BYTES];
    let plain = headers.map(|header| Answer::Scrypt2(scrypt2(&header, &mut pad).unwrap()));
    assert_eq!(found, expected(plain.into_iter()));
}

#[test]
fn the_checks_of_ethash_are_what_a_call_gives_in_every_epoch() {
    let epochs = [0, 30_000].map(|height| pow_ethash::EpochRule::Ethash.epoch(height).unwrap());
    let caches: Vec<Arc<dyn pow_ethash::Prove>> = epochs
        .iter()
        .map(|epoch| -> Arc<dyn pow_ethash::Prove> { Arc::new(pow_ethash::Cache::build(*epoch)) })
        .collect();
    let (mut questions, mut plain) = (Vec::new(), Vec::new());
    for nonce in 0..21 {
        // Runs of one, two and three of an epoch.
        let by =
            &caches[usize::from([0, 1, 1, 0, 0, 0, 1][usize::try_from(nonce % 7).unwrap()] == 1)];
        let question = pow_ethash::Question {
            seal: Hash::of(&[b"seal"]),
            nonce,
        };
        by.prove(&[question], &mut plain);
        let by = Arc::clone(by);
        questions.push(Question::Ethash(EthashQuestion { by, question }));
    }
    let found = answers(Algorithm::Ethash, questions);
    assert_eq!(found, expected(plain.into_iter().map(Answer::Ethash)));
}

#[test]
fn a_cheap_algorithm_has_no_threads() {
    let wake: Wake = Arc::new(|| {});
    let figures = Arc::new(CheckFigures::default());
    let limits = Limits::default();
    let checks = Checks::start(Algorithm::Sha256d, &limits, &wake, &figures).unwrap();
    let asked = checks.ask(0, session(0), Question::Scrypt2([0; HEADER_BYTES]));
    assert_eq!(asked, Err(Busy::Full));
    assert_eq!(figures.lock().threads, 0);
}
