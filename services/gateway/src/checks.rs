//! Checks that take long, away from the loop: threads of each algorithm, with queues that are bounded and fair.
//!
//! The loop asks and goes on; answers come back through a list that it is woken for. An algorithm has its own threads and its
//! own queue, so a full one delays no other. Sessions have turns, each session's questions keep their order, and overload
//! refuses the newest question at once: whoever waits already is not put off by it. Not here: what a question is about, and
//! what its answer means ([`awaited`](crate::awaited)).

mod ethash;
mod fair;
mod lane;
mod scrypt2;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orebook_pow::{HEADER_BYTES, ethash as pow_ethash};
use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;

use crate::batch::ConnId;
use crate::config::Limits;
use crate::metrics::Distribution;
use ethash::Ethash;
pub(crate) use ethash::EthashQuestion;
use lane::{Lane, LaneLimits};
pub use scrypt2::Scratchpad;
use scrypt2::Scrypt2;

/// Threads of an algorithm at most where the configuration does not say.
const THREADS_MAX: usize = 16;

/// What is to be computed.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// scrypt² of a header.
    Scrypt2([u8; HEADER_BYTES]),
    /// Mix and value of a nonce.
    Ethash(EthashQuestion),
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The proof-of-work hash, header order.
    Scrypt2(Hash),
    Ethash(pow_ethash::Answer),
}

/// An answered question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done<A = Answer> {
    /// The asker's name for it.
    pub(crate) token: u64,
    pub(crate) session: ConnId,
    pub(crate) answer: A,
}

/// Why a question is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// As many wait as may.
    Full,
    /// As many of this session wait as may; fewer may once half of the room is used.
    Session,
    /// It would wait too long.
    Late,
}

/// What the checks did since the gateway started. All zero where no algorithm needs them.
#[derive(Clone, Debug, Default)]
pub struct CheckMetrics {
    /// Questions answered.
    pub checked: u64,
    /// Shares refused since too many waited.
    pub busy: u64,
    /// Questions that wait now.
    pub waiting: u64,
    /// Threads.
    pub threads: u64,
    /// From asking to answer, nanoseconds.
    pub answer_ns: Distribution,
    /// Computing alone, nanoseconds of a thread a question.
    pub check_ns: Distribution,
}

/// Where the threads count.
#[derive(Debug, Default)]
pub(crate) struct CheckFigures(Mutex<CheckMetrics>);

impl CheckFigures {
    /// A panic ends the process; until it has, what was counted is as good as it was.
    pub(crate) fn lock(&self) -> MutexGuard<'_, CheckMetrics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called when answers are there.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The checks of a gateway. Dropped, it ends its threads: what they compute is finished, what waits is forgotten.
#[derive(Debug)]
pub(crate) struct Checks {
    scrypt2: Option<Lane<Scrypt2>>,
    ethash: Option<Lane<Ethash>>,
}

impl Checks {
    /// Starts the threads that an algorithm needs; none for a cheap one.
    ///
    /// # Errors
    /// The system gives no memory or no thread.
    pub(crate) fn start(
        algorithm: Algorithm,
        limits: &Limits,
        wake: &Wake,
        figures: &Arc<CheckFigures>,
    ) -> io::Result<Self> {
        let limits = LaneLimits::of(limits);
        let (mut scrypt2, mut ethash) = (None, None);
        match algorithm {
            Algorithm::Sha256d | Algorithm::Scrypt => {}
            Algorithm::Scrypt2 => {
                let threads = (0..limits.threads).map(|_| Scrypt2::new());
                let threads = threads.collect::<io::Result<Vec<Scrypt2>>>()?;
                scrypt2 = Some(Lane::start(threads, limits, wake, figures)?);
            }
            Algorithm::Ethash | Algorithm::Etchash => {
                let threads = (0..limits.threads).map(|_| Ethash::default());
                ethash = Some(Lane::start(threads.collect(), limits, wake, figures)?);
            }
        }
        Ok(Self { scrypt2, ethash })
    }

    /// Asks; the answer comes with the same token.
    ///
    /// # Errors
    /// [`Busy`]: it was not taken, and what waits is as it was.
    pub(crate) fn ask(&self, token: u64, session: ConnId, question: Question) -> Result<(), Busy> {
        match (question, &self.scrypt2, &self.ethash) {
            (Question::Scrypt2(header), Some(lane), _) => lane.ask(token, session, header),
            (Question::Ethash(question), _, Some(lane)) => lane.ask(token, session, question),
            (Question::Scrypt2(_) | Question::Ethash(_), _, _) => Err(Busy::Full),
        }
    }

    /// Takes the answers that are there.
    pub(crate) fn take_done(&self, done: &mut Vec<Done>) {
        if let Some(lane) = &self.scrypt2 {
            lane.take_done(done, Answer::Scrypt2);
        }
        if let Some(lane) = &self.ethash {
            lane.take_done(done, Answer::Ethash);
        }
    }
}

/// Threads where the configuration does not say: one less than there are cores, which is the loop's.
fn threads_default() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).clamp(1, THREADS_MAX)
}

#[cfg(test)]
mod tests;
