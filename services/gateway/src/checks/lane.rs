//! The threads of one algorithm and the queue before them.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::fair::FairQueue;
use super::{Busy, CheckFigures, Done, Wake, threads_default};
use crate::batch::ConnId;
use crate::config::Limits;

/// The newest time of a question counts one of so many in the time that the next ones are thought to take.
const MEMORY: u64 = 8;

/// What a thread computes with: its own memory, or what all share.
pub(crate) trait Check: Send + 'static {
    /// What is asked.
    type Question: Send;
    /// What comes out.
    type Answer: Send;
    /// Names its threads.
    const NAME: &'static str;
    /// Most questions that are better computed together.
    const TOGETHER: usize;
    /// How long a question is thought to take before one was measured.
    const GUESS: Duration;

    /// Whether questions can be computed together.
    fn go_together(first: &Self::Question, other: &Self::Question) -> bool;

    /// Called once, on the thread.
    fn begin(&mut self) {}

    /// Appends the answer of each question, in order; at most [`Self::TOGETHER`].
    fn check(&mut self, questions: &[Self::Question], answers: &mut Vec<Self::Answer>);
}

/// What bounds a lane; see [`Limits`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneLimits {
    pub(crate) threads: usize,
    pub(crate) waiting: usize,
    pub(crate) waiting_per_session: usize,
    pub(crate) wait: Duration,
}

impl LaneLimits {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            threads: match limits.check_threads {
                0 => threads_default(),
                threads => threads,
            },
            waiting: limits.checks_waiting,
            waiting_per_session: limits.checks_waiting_per_connection,
            wait: limits.check_wait,
        }
    }
}

/// See the module.
pub(crate) struct Lane<C: Check> {
    shared: Arc<Shared<C>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<C: Check> {
    state: Mutex<State<C>>,
    filled: Condvar,
    limits: LaneLimits,
    wake: Wake,
    figures: Arc<CheckFigures>,
}

struct State<C: Check> {
    queue: FairQueue<Waiting<C::Question>>,
    /// Questions that threads compute.
    running: usize,
    /// Answers that are not taken.
    done: Vec<Done<C::Answer>>,
    /// Time of a question, nanoseconds.
    each_ns: u64,
    stop: bool,
}

struct Waiting<Q> {
    token: u64,
    session: ConnId,
    asked: Instant,
    question: Q,
}

impl<C: Check> fmt::Debug for Lane<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Lane")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl<C: Check> Lane<C> {
    /// Starts a thread for each of `checks`, one at least.
    ///
    /// # Errors
    /// The system gives no thread; those that were started have ended.
    pub(crate) fn start(
        checks: Vec<C>,
        limits: LaneLimits,
        wake: &Wake,
        figures: &Arc<CheckFigures>,
    ) -> io::Result<Self> {
        let guess = u64::try_from(C::GUESS.as_nanos()).unwrap_or(u64::MAX);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: FairQueue::new(),
                running: 0,
                done: Vec::new(),
                each_ns: guess,
                stop: false,
            }),
            filled: Condvar::new(),
            limits: LaneLimits {
                threads: checks.len().max(1),
                ..limits
            },
            wake: Arc::clone(wake),
            figures: Arc::clone(figures),
        });
        let mut lane = Self {
            shared,
            threads: Vec::with_capacity(checks.len()),
        };
        for check in checks {
            let shared = Arc::clone(&lane.shared);
            let thread = Builder::new().name(C::NAME.to_owned());
            lane.threads.push(thread.spawn(move || shared.work(check))?);
        }
        figures.lock().threads += u64::try_from(lane.threads.len()).unwrap_or(0);
        Ok(lane)
    }

    /// Puts a question behind those of its session.
    ///
    /// # Errors
    /// [`Busy`], in the order of its variants.
    pub(crate) fn ask(
        &self,
        token: u64,
        session: ConnId,
        question: C::Question,
    ) -> Result<(), Busy> {
        let mut state = self.shared.lock();
        if let Err(busy) = self.shared.limits.room_for(&state, session) {
            drop(state);
            self.shared.figures.lock().busy += 1;
            return Err(busy);
        }
        state.queue.push(
            session,
            Waiting {
                token,
                session,
                asked: Instant::now(),
                question,
            },
        );
        let waiting = state.queue.len();
        drop(state);
        self.shared.filled.notify_one();
        self.shared.figures.lock().waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Nothing is begun any more; what waits is forgotten.
    pub(super) fn stop(&self) {
        let mut state = self.shared.lock();
        state.stop = true;
        state.queue.clear();
        drop(state);
        self.shared.filled.notify_all();
    }

    /// Takes the answers that are there, in the order they came.
    pub(crate) fn take_done<A>(&self, done: &mut Vec<Done<A>>, named: impl Fn(C::Answer) -> A) {
        let mut state = self.shared.lock();
        done.extend(state.done.drain(..).map(|one| Done {
            token: one.token,
            session: one.session,
            answer: named(one.answer),
        }));
    }
}

impl<C: Check> Drop for Lane<C> {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of {} ended by a panic", C::NAME);
            }
        }
    }
}

impl LaneLimits {
    /// Whether a further question of a session may wait.
    fn room_for<C: Check>(&self, state: &State<C>, session: ConnId) -> Result<(), Busy> {
        let waiting = state.queue.len();
        let unfinished = waiting + state.running + state.done.len();
        if self.waiting <= waiting || self.waiting + self.threads * C::TOGETHER <= unfinished {
            return Err(Busy::Full);
        }
        let of_session = state.queue.of(session);
        let last = self.time_of(state, waiting);
        let is_tight = self.waiting.div_ceil(2) <= waiting || self.wait / 2 <= last;
        if self.waiting_per_session <= of_session || is_tight && 0 < of_session {
            return Err(Busy::Session);
        }
        if self.wait < self.time_of(state, state.queue.ahead(session)) {
            return Err(Busy::Late);
        }
        Ok(())
    }

    /// How long so many questions take after those that are computed now.
    fn time_of<C: Check>(&self, state: &State<C>, ahead: usize) -> Duration {
        let count = u64::try_from(ahead + state.running).unwrap_or(u64::MAX);
        let threads = u64::try_from(self.threads).unwrap_or(u64::MAX);
        Duration::from_nanos(state.each_ns.saturating_mul(count) / threads.max(1))
    }
}

impl<C: Check> Shared<C> {
    /// A panic ends the process; until it has, what is queued is as good as it was.
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread, until the lane is dropped.
    fn work(&self, mut check: C) {
        check.begin();
        let (mut taken, mut questions, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        while self.take(&mut taken) {
            let began = Instant::now();
            let mut names = Vec::with_capacity(taken.len());
            for waiting in taken.drain(..) {
                names.push((waiting.token, waiting.session, waiting.asked));
                questions.push(waiting.question);
            }
            check.check(&questions, &mut answers);
            assert_eq!(
                answers.len(),
                questions.len(),
                "each question has its answer"
            );
            questions.clear();
            self.give_back(&names, &mut answers, began);
        }
    }

    /// Waits for questions and takes some; `false` if the lane ends.
    fn take(&self, taken: &mut Vec<Waiting<C::Question>>) -> bool {
        let mut state = self.lock();
        while state.queue.len() == 0 && !state.stop {
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return false;
        }
        // Idle threads come before batches.
        let share = state.queue.len().div_ceil(self.limits.threads);
        let together = |first: &Waiting<_>, other: &Waiting<_>| {
            C::go_together(&first.question, &other.question)
        };
        state
            .queue
            .take(share.clamp(1, C::TOGETHER), together, taken);
        state.running += taken.len();
        true
    }

    fn give_back(
        &self,
        names: &[(u64, ConnId, Instant)],
        answers: &mut Vec<C::Answer>,
        began: Instant,
    ) {
        let now = Instant::now();
        let count = u64::try_from(names.len()).unwrap_or(u64::MAX).max(1);
        let took = now.saturating_duration_since(began);
        let each_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / count;
        let mut state = self.lock();
        state.running -= names.len();
        state.each_ns = state.each_ns / MEMORY * (MEMORY - 1) + each_ns / MEMORY;
        for ((token, session, _), answer) in names.iter().zip(answers.drain(..)) {
            state.done.push(Done {
                token: *token,
                session: *session,
                answer,
            });
        }
        let waiting = state.queue.len();
        drop(state);
        let mut figures = self.figures.lock();
        figures.checked += count;
        figures.waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        figures
            .check_ns
            .record(Duration::from_nanos(each_ns), count);
        for (_, _, asked) in names {
            figures
                .answer_ns
                .record(now.saturating_duration_since(*asked), 1);
        }
        drop(figures);
        (self.wake)();
    }
}
