//! Where the loop and the writer meet: batches there, batches back, and how the writer stands. Bounded by the loop, which
//! stops reading sockets when too many shares are unanswered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::Waker;
use orebook_schema::{At, Policy};

use crate::accounts::Accounts;
use crate::bans::Bans;
use crate::batch::{Batch, Tagged};

/// What the writer needs to be true for work to be handed out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// What jobs are made of; none before the epoch is open and a policy is final.
    pub(crate) terms: Option<Terms>,
    /// Why the ledger cannot take shares now.
    pub(crate) closed: Option<&'static str>,
    /// Why new sessions are refused, where those that are here go on.
    pub(crate) newcomers: Option<&'static str>,
    /// Whom nobody serves.
    pub(crate) bans: Arc<Bans>,
    /// Whom user names that are no addresses name.
    pub(crate) accounts: Arc<Accounts>,
}

/// What jobs are made of, from the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Place of the policy to be cited.
    pub(crate) at: At,
    pub(crate) policy: Arc<Policy>,
    /// What the coinbase says of the stream and epoch.
    pub(crate) tag: [u8; 8],
    pub(crate) tagged: Tagged,
}

#[derive(Debug, Default)]
struct ToWriter {
    batches: Vec<Batch>,
    stop: bool,
    /// How many more shares wake the writer, which sleeps; none while it works.
    wanted: Option<usize>,
}

impl ToWriter {
    /// Whether the writer sleeps and these shares are enough for it. Says so once.
    fn wakes(&mut self, shares: usize) -> bool {
        let left = self.wanted.map(|wanted| wanted.saturating_sub(shares));
        self.wanted = left.filter(|left| 0 < *left);
        left == Some(0)
    }
}

#[derive(Debug, Default)]
struct ToLoop {
    done: Vec<Batch>,
    standing: Option<Standing>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Bridge {
    to_writer: Mutex<ToWriter>,
    filled: Condvar,
    to_loop: Mutex<ToLoop>,
    waker: Waker,
    /// The process is about to end: nobody is answered any more.
    ended: AtomicBool,
    /// The clock is far from the node's.
    doubted: AtomicBool,
}

impl Bridge {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            to_writer: Mutex::default(),
            filled: Condvar::new(),
            to_loop: Mutex::default(),
            waker,
            ended: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
        }
    }

    /// Says whether this process's clock is far from the node's: frames stay in the spool meanwhile. Whether that is news.
    pub(crate) fn doubt_clock(&self, doubted: bool) -> bool {
        self.doubted.swap(doubted, Ordering::SeqCst) != doubted
    }

    /// Whether the clock is far from the node's.
    pub(crate) fn is_clock_doubted(&self) -> bool {
        self.doubted.load(Ordering::SeqCst)
    }

    /// Hands a batch to the writer.
    pub(crate) fn send(&self, batch: Batch) {
        let mut to_writer = lock(&self.to_writer);
        let wakes = to_writer.wakes(batch.shares.len());
        to_writer.batches.push(batch);
        drop(to_writer);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// No further batch follows: the writer finishes and ends.
    pub(crate) fn stop(&self) {
        lock(&self.to_writer).stop = true;
        self.filled.notify_one();
    }

    /// Whether the loop will send no more.
    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.to_writer).stop
    }

    /// Waits for batches until `until`, and puts them into `batches`, which is empty.
    pub(crate) fn wait(&self, until: Instant, batches: &mut Vec<Batch>) {
        let mut to_writer = lock(&self.to_writer);
        while to_writer.batches.is_empty() && !to_writer.stop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // Any batch will do, one without shares too.
            to_writer.wanted = Some(0);
            to_writer = wait(&self.filled, to_writer, left);
        }
        to_writer.wanted = None;
        std::mem::swap(&mut to_writer.batches, batches);
    }

    /// Waits until `until`, or until `batches` and those that came have `enough` shares together; adds those that came.
    pub(crate) fn gather(&self, until: Instant, enough: usize, batches: &mut Vec<Batch>) {
        let held = shares_of(batches);
        let mut to_writer = lock(&self.to_writer);
        while !to_writer.stop {
            let wanted = enough.saturating_sub(held + shares_of(&to_writer.batches));
            let left = until.saturating_duration_since(Instant::now());
            if wanted == 0 || left.is_zero() {
                break;
            }
            to_writer.wanted = Some(wanted);
            to_writer = wait(&self.filled, to_writer, left);
        }
        to_writer.wanted = None;
        batches.append(&mut to_writer.batches);
    }

    /// Gives batches back, each share with its outcome. `batches` is empty on return.
    pub(crate) fn give_back(&self, batches: &mut Vec<Batch>) {
        lock(&self.to_loop).done.append(batches);
        self.wake();
    }

    /// Takes the batches that came back into `done`, and the newest standing, if there is one.
    pub(crate) fn take_done(&self, done: &mut Vec<Batch>) -> Option<Standing> {
        let mut to_loop = lock(&self.to_loop);
        done.append(&mut to_loop.done);
        to_loop.standing.take()
    }

    /// Says how the writer stands.
    pub(crate) fn stand(&self, standing: Standing) {
        lock(&self.to_loop).standing = Some(standing);
        self.wake();
    }

    /// The process must end: nobody is answered any more.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.filled.notify_one();
        self.wake();
    }

    /// Whether the process must end.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Wakes the loop.
    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the loop cannot be woken");
        }
    }
}

fn shares_of(batches: &[Batch]) -> usize {
    batches.iter().map(|batch| batch.shares.len()).sum()
}

/// A panic ends the process; until it has, what is queued is as good as it was.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'m, T>(
    condition: &Condvar,
    guard: MutexGuard<'m, T>,
    longest: Duration,
) -> MutexGuard<'m, T> {
    condition
        .wait_timeout(guard, longest)
        .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_woken_once_when_it_has_what_it_waits_for() {
        for (wanted, batches, woken) in [
            (None, &[1, 500][..], &[false, false][..]),
            (Some(0), &[0, 0, 7], &[true, false, false]),
            (Some(3), &[2, 0, 1, 9], &[false, false, true, false]),
            (Some(256), &[255, 1], &[false, true]),
            (Some(256), &[300], &[true]),
        ] {
            let mut to_writer = ToWriter {
                wanted,
                ..ToWriter::default()
            };
            let wakes = batches.iter().map(|shares| to_writer.wakes(*shares));
            assert_eq!(wakes.collect::<Vec<bool>>(), woken, "{wanted:?}");
        }
    }
}
