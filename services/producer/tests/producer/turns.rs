//! The thread, its pace, the counters.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use orebook_producer::Thread;
use orebook_producer::thread::{Pace, Rest};

mod metrics {
    orebook_producer::counters! {
        "test":
        /// Turns.
        turns,
        /// 1 while it is on.
        is_on,
    }
}

#[test]
fn a_turn_that_fails_is_the_last_and_fatal_is_told_once() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let (heard, mut turns) = (told.clone(), 0);
    let fatal = Arc::new(move |why: &str| heard.lock().unwrap().push(why.to_owned()));
    let turn = move || {
        turns += 1;
        if turns == 3 { Err("it broke") } else { Ok(()) }
    };
    let thread = Thread::start("counter", fatal, turn).unwrap();
    while told.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    thread.stop().unwrap();
    assert_eq!(*told.lock().unwrap(), ["counter: it broke"]);
}

#[test]
fn a_thread_that_is_stopped_ends_between_two_turns() {
    let (began, begins) = channel();
    let (ended, ends) = channel();
    let turn = move || {
        began.send(()).unwrap();
        ended.send(()).unwrap();
        Ok::<(), String>(())
    };
    let fatal = Arc::new(|why: &str| panic!("{why}"));
    let thread = Thread::start("counter", fatal, turn).unwrap();
    begins.recv().unwrap();
    thread.ask();
    thread.stop().unwrap();
    let (began, ended) = (1 + begins.iter().count(), ends.iter().count());
    assert_eq!(began, ended, "a turn that began came to its end");
}

#[test]
fn something_is_due_at_its_pace_and_at_once_when_the_clock_went_back() {
    let table = [
        // Every, taken at, now: whether it is due.
        (100, None, 100, true),
        (100, None, 99, false),
        (100, Some(1_000), 1_000, false),
        (100, Some(1_000), 1_099, false),
        (100, Some(1_000), 1_100, true),
        (100, Some(1_000), 999, true),
        (0, Some(1_000), 1_000, true),
    ];
    for (every_ms, taken, now, is_due) in table {
        let mut pace = Pace::new(every_ms);
        if let Some(at) = taken {
            pace.taken(at);
        }
        assert_eq!(pace.is_due(now), is_due, "{every_ms} {taken:?} {now}");
    }
}

#[test]
fn a_rest_ends_with_its_time_or_with_a_clock_that_went_back() {
    let mut rest = Rest::default();
    assert!(!rest.is_on(0) && !rest.is_on(1_000));
    rest.begin(1_000, 100);
    let table = [
        (999, false),
        (1_000, true),
        (1_099, true),
        (1_100, false),
        (u64::MAX, false),
    ];
    for (now, is_on) in table {
        assert_eq!(rest.is_on(now), is_on, "{now}");
    }
    rest.begin(u64::MAX, u64::MAX);
    assert!(rest.is_on(u64::MAX) && !rest.is_on(0));
}

#[test]
fn counters_are_read_by_their_names() {
    let counters = metrics::Counters::default();
    metrics::Counters::add(&counters.turns, 2);
    metrics::Counters::add(&counters.turns, 3);
    metrics::Counters::set(&counters.is_on, 1);
    let now = counters.read();
    assert_eq!((now.turns, now.is_on), (5, 1));
    assert_eq!(now.entries(), [("turns", 5), ("is_on", 1)]);
}
