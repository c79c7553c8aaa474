//! What is asked in the background, so that nobody waits for it: which incarnations there are, whether the newest may have
//! lost a suffix, and whether its settings are still safe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orebook_ledger::log::{LogError, LogResult};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::client::{Ear, PARTITION};
use crate::config;
use crate::preflight::{Inspector, refusal};
use crate::tail::{ANSWER_WAIT, append_time};
use crate::topics::Topics;

/// How often the topics are listed and the newest is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
/// How often the settings are read again.
const INSPECT_EVERY: Duration = Duration::from_secs(10);
/// A question that takes longer is asked again later.
const QUESTION: Duration = Duration::from_secs(3);
/// What was listed longer ago than this says nothing any more.
const STALE: Duration = Duration::from_secs(10);
/// A smaller newest number counts when it was listed so often in a row: a broker that is cut off may list the past.
const SMALLER_LISTINGS: u32 = 3;
/// A topic without a record may be in the middle of being opened for so long.
const OPENING: Duration = Duration::from_secs(10);
/// How often the thread looks whether it is wanted.
const SLICE: Duration = Duration::from_millis(100);

/// What was seen of an incarnation.
#[derive(Debug, Default)]
struct Mark {
    /// Offset and append time of its first record.
    first: Option<(i64, u64)>,
    /// Offset after its last.
    end: i64,
    epoch: Option<i64>,
    empty_since: Option<Instant>,
    seen: bool,
}

#[derive(Debug, Default)]
struct State {
    listed: Option<(Instant, BTreeSet<u32>)>,
    newest: Option<u32>,
    smaller: u32,
    marks: BTreeMap<u32, Mark>,
    /// Grows whenever a suffix of any incarnation may have been lost; one number for all, so that it never repeats.
    changes: u64,
    /// Why the last question had no answer.
    problem: Option<String>,
    /// What the settings' last reading refuses, in words.
    refused: Option<String>,
    /// Somebody waited for an answer that did not come: nobody waits until one does.
    in_vain: bool,
    hurry: bool,
    stop: bool,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's other half.
pub(crate) struct Watch {
    shared: Shared,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(
        client: &ClientConfig,
        topics: Topics,
        inspector: Arc<Inspector>,
    ) -> Result<Self, KafkaError> {
        let consumer = config::watcher(client).create_with_context(Ear::new())?;
        let shared = Shared::default();
        let watcher = Watcher {
            consumer,
            topics,
            inspector,
            shared: Arc::clone(&shared),
            heard: None,
            inspected: None,
        };
        let thread = std::thread::Builder::new()
            .name("kafka-watch".to_owned())
            .spawn(move || watcher.run())
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// See [`orebook_ledger::log::Log::newest`].
    pub(crate) fn newest(&self) -> LogResult<Option<u32>> {
        let state = self.await_state(|state| state.listed.is_some() || state.problem.is_some());
        self.fresh(&state).map(|_| state.newest)
    }

    /// How often a suffix of the incarnation may have been lost, as far as was seen: another leader epoch, another first
    /// record (a topic made anew), an end that moved back, or a report of librdkafka's consumer.
    pub(crate) fn changes(&self, incarnation: u32) -> LogResult<u64> {
        let seen = |state: &State| {
            let newest = state.newest.is_none_or(|newest| incarnation < newest);
            newest || state.marks.get(&incarnation).is_some_and(|mark| mark.seen)
        };
        let state = self.await_state(|state| seen(state) || state.problem.is_some());
        let listed = self.fresh(&state)?;
        if !listed.contains(&incarnation) {
            return Err(LogError::Gone(incarnation));
        }
        if !seen(&state) {
            let what = format!("incarnation {incarnation} was not looked at yet");
            return Err(LogError::Unavailable(what));
        }
        Ok(state.changes)
    }

    /// Whether the incarnation's topic was there at the last look.
    pub(crate) fn lists(&self, incarnation: u32) -> bool {
        let state = lock(&self.shared);
        let listed = state.listed.as_ref();
        listed.is_some_and(|(_, listed)| listed.contains(&incarnation))
    }

    /// Incarnations below this one whose topics were there at the last look.
    pub(crate) fn listed_below(&self, incarnation: u32) -> Vec<u32> {
        let state = lock(&self.shared);
        let listed = state.listed.iter().flat_map(|(_, listed)| listed);
        listed
            .copied()
            .filter(|older| *older < incarnation)
            .collect()
    }

    /// Whether a topic without a record may still get its opening one from whoever made it.
    pub(crate) fn may_be_opening(&self, incarnation: u32) -> bool {
        let mut state = lock(&self.shared);
        let mark = state.marks.entry(incarnation).or_default();
        mark.empty_since.get_or_insert_with(Instant::now).elapsed() < OPENING
    }

    /// A suffix may have been lost.
    pub(crate) fn suspect(&self, incarnation: u32) {
        let mut state = lock(&self.shared);
        if state.marks.contains_key(&incarnation) {
            state.changes += 1;
        }
        state.hurry = true;
    }

    /// This process opened the incarnation: it is the newest without waiting for a listing.
    pub(crate) fn opened(&self, incarnation: u32) {
        let mut state = lock(&self.shared);
        if let Some((_, listed)) = &mut state.listed {
            listed.insert(incarnation);
        }
        state.newest = state.newest.max(Some(incarnation));
        state.hurry = true;
    }

    /// What the settings' last reading refuses.
    pub(crate) fn check_settings(&self) -> LogResult<()> {
        match &lock(&self.shared).refused {
            Some(refused) => Err(LogError::Unavailable(refused.clone())),
            None => Ok(()),
        }
    }

    fn await_state(&self, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = lock(&self.shared);
        let (_, changed) = &*self.shared;
        let waited =
            changed.wait_timeout_while(state, ANSWER_WAIT, |state| !done(state) && !state.in_vain);
        let mut state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        state.in_vain = !done(&state);
        state
    }

    /// What was listed, unless it is too old to say anything or the settings are refused.
    fn fresh<'a>(&self, state: &'a State) -> LogResult<&'a BTreeSet<u32>> {
        if let Some(refused) = &state.refused {
            return Err(LogError::Unavailable(refused.clone()));
        }
        match &state.listed {
            Some((at, listed)) if at.elapsed() < STALE => Ok(listed),
            _ => {
                let problem = state.problem.as_deref();
                let what = problem.unwrap_or("the brokers did not answer yet");
                Err(LogError::Unavailable(what.to_owned()))
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.shared).stop = true;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by it; there is nobody to tell any more.
            drop(thread.join());
        }
    }
}

/// What runs in the thread.
struct Watcher {
    consumer: BaseConsumer<Ear>,
    topics: Topics,
    inspector: Arc<Inspector>,
    shared: Shared,
    /// The incarnation whose leader is heard of.
    heard: Option<u32>,
    inspected: Option<Instant>,
}

impl Watcher {
    fn run(mut self) {
        loop {
            let looked = self.list().and_then(|newest| match newest {
                Some(newest) => self.look(newest),
                None => Ok(()),
            });
            let mut state = lock(&self.shared);
            state.problem = looked.err().map(|error| error.to_string());
            state.in_vain &= state.problem.is_some();
            drop(state);
            self.shared.1.notify_all();
            self.inspect_if_due();
            if self.idle() {
                return;
            }
        }
    }

    /// Serves librdkafka until the next look. Whether the thread is to end.
    fn idle(&self) -> bool {
        let started = Instant::now();
        loop {
            // Nothing is read here: statistics are heard, and errors come back when they matter.
            drop(self.consumer.poll(SLICE));
            let mut state = lock(&self.shared);
            if state.stop {
                return true;
            }
            if state.hurry || LOOK_EVERY < started.elapsed() {
                state.hurry = false;
                return false;
            }
        }
    }

    fn list(&self) -> Result<Option<u32>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(None, QUESTION)?;
        let numbers = metadata
            .topics()
            .iter()
            .filter_map(|topic| self.topics.number(topic.name()));
        let listed: BTreeSet<u32> = numbers.collect();
        let mut state = lock(&self.shared);
        let newest = listed.last().copied();
        if newest < state.newest {
            state.smaller += 1;
        } else {
            state.smaller = 0;
        }
        if state.newest <= newest || SMALLER_LISTINGS <= state.smaller {
            state.newest = newest;
            state.smaller = 0;
        }
        let marks = state.marks.len();
        state.marks.retain(|number, _| listed.contains(number));
        if state.marks.len() < marks {
            state.changes += 1;
        }
        state.listed = Some((Instant::now(), listed));
        Ok(newest)
    }

    fn look(&mut self, newest: u32) -> Result<(), KafkaError> {
        let topic = self.topics.incarnation(newest);
        if self.heard != Some(newest) {
            self.consumer.context().listen_for(&topic);
            self.heard = Some(newest);
        }
        let (begin, end) = self
            .consumer
            .fetch_watermarks(&topic, PARTITION, QUESTION)?;
        let first = if begin < end {
            self.first_record(&topic, begin)?
        } else {
            None
        };
        let epoch = self.consumer.context().epoch();
        let mut state = lock(&self.shared);
        let State { marks, changes, .. } = &mut *state;
        let mark = marks.entry(newest).or_default();
        let other_first = match (mark.first, first) {
            (Some((before, then)), Some((offset, time))) => {
                offset < before || (offset == before && time != then)
            }
            (Some(_), None) => end == 0,
            (None, _) => false,
        };
        let other_leader =
            matches!((mark.epoch, epoch), (Some(before), Some(now)) if before != now);
        if mark.seen && (other_first || other_leader || end < mark.end) {
            tracing::warn!(
                topic,
                other_first,
                other_leader,
                "a suffix of the log may be lost"
            );
            *changes += 1;
        }
        // An empty topic tells nothing of itself: what a reader took since may have been another's of the same name.
        if mark.seen && mark.first.is_none() && first.is_some() {
            *changes += 1;
        }
        mark.first = first.or(mark.first.filter(|_| !other_first));
        mark.epoch = epoch.or(mark.epoch);
        mark.end = end;
        if 0 < end {
            mark.empty_since = None;
        }
        mark.seen = true;
        Ok(())
    }

    /// Offset and append time of the record at `begin`, by which a topic is told from its successor of the same name.
    fn first_record(&self, topic: &str, begin: i64) -> Result<Option<(i64, u64)>, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, PARTITION, Offset::Offset(begin))?;
        self.consumer.assign(&list)?;
        // What the last look paused stays paused when it is assigned again.
        self.consumer.resume(&list)?;
        let started = Instant::now();
        let mut found = None;
        while found.is_none() && started.elapsed() < QUESTION {
            match self.consumer.poll(SLICE) {
                Some(Ok(message)) if message.topic() == topic => {
                    found = Some((message.offset(), append_time(&message).unwrap_or(0)));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => return Err(error),
                Some(Ok(_)) | None => {}
            }
        }
        self.consumer.pause(&list)?;
        Ok(found)
    }

    fn inspect_if_due(&mut self) {
        if self
            .inspected
            .is_some_and(|at| at.elapsed() < INSPECT_EVERY)
        {
            return;
        }
        // Brokers that do not answer refuse nothing; the listing says that they do not.
        let Ok(preflight) = self.inspector.inspect_topics() else {
            return;
        };
        self.inspected = Some(Instant::now());
        let refused = refusal(&preflight);
        if let Some(refused) = &refused {
            tracing::error!("{refused}");
        }
        lock(&self.shared).refused = refused;
    }
}
