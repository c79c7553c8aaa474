//! A rig: a connection, its reader, and threads that hash.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orebook_schema::genesis::Algorithm;

use crate::client::{Client, Sharer};

/// Hashes between two looks at the clock and at newer work.
const BATCH_HASHES: u32 = 4_096;
/// The same for scrypt, whose hash takes a thousand times longer.
const BATCH_SCRYPT: u32 = 16;
/// The same for scrypt², whose hash takes most of a second.
const BATCH_SCRYPT2: u32 = 1;
/// Turns of a thread that is held back, a second.
const BATCHES_A_SECOND: u64 = 20;
/// Longest sleep of a thread that is held back.
pub(crate) const NAP: Duration = Duration::from_millis(20);

/// What one rig does.
#[derive(Clone, Debug)]
pub struct Rig {
    /// `host:port`.
    pub url: String,
    /// User: a payout address, then `.worker`.
    pub user: String,
    /// Password.
    pub password: String,
    /// Proof of work; sha256d, scrypt or scrypt².
    pub algorithm: Algorithm,
    /// Threads that hash.
    pub threads: usize,
    /// Most hashes a second of all its threads; `None` for as many as there are.
    pub hashes_per_second: Option<u64>,
}

/// What a rig counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Hashes tried.
    pub hashes: AtomicU64,
    /// Shares sent.
    pub sent: AtomicU64,
    /// Shares answered `true`.
    pub accepted: AtomicU64,
    /// Shares answered otherwise.
    pub refused: AtomicU64,
}

/// A rig at work.
#[derive(Debug)]
pub struct Mining {
    /// What it counted so far.
    pub counts: Arc<Counts>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) reader: JoinHandle<Result<(), String>>,
    pub(crate) socket: TcpStream,
}

/// A named thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, String> {
    let builder = std::thread::Builder::new().name(name);
    builder
        .spawn(work)
        .map_err(|error| format!("no thread: {error}"))
}

/// Holds a thread back to its part of a rate.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<u64>,
    done: u64,
    started: Instant,
}

impl Pace {
    /// One of `threads` with `rate` hashes a second together.
    pub(crate) fn new(rate: Option<u64>, threads: usize) -> Self {
        Self {
            rate: rate.map(|all| all / threads.max(1) as u64),
            done: 0,
            started: Instant::now(),
        }
    }

    /// Whether more was hashed than the time so far allows.
    pub(crate) fn is_ahead(&self) -> bool {
        // Microseconds times rate: allowed hashes in millionths.
        let allowed = |rate: u64| self.started.elapsed().as_micros() * u128::from(rate);
        self.rate
            .is_some_and(|rate| allowed(rate) < u128::from(self.done) * 1_000_000)
    }

    /// Hashes to try at once: `most`, or fewer where that would be more than a twentieth of a second.
    pub(crate) fn batch(&self, most: u64) -> u64 {
        self.rate
            .map_or(most, |rate| (rate / BATCHES_A_SECOND).clamp(1, most))
    }

    pub(crate) fn done(&mut self, hashes: u64) {
        self.done = self.done.saturating_add(hashes);
    }
}

impl Mining {
    /// Connects, subscribes, authorizes, and mines on threads of its own.
    ///
    /// # Errors
    /// Why it could not begin, in words.
    pub fn start(rig: &Rig) -> Result<Self, String> {
        Self::start_counting(rig, Arc::default())
    }

    /// The same, for a rig that comes again or has others beside it: they count together.
    ///
    /// # Errors
    /// As [`Mining::start`].
    pub fn start_counting(rig: &Rig, counts: Arc<Counts>) -> Result<Self, String> {
        let client = Client::connect(rig)?;
        let sharer = client.sharer();
        let socket = client.socket()?;
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..rig.threads).map(|number| {
            let (sharer, counts, stop) = (sharer.clone(), counts.clone(), stop.clone());
            let rig = rig.clone();
            spawn(format!("miner-{number}"), move || {
                mine(&rig, number, &sharer, &counts, &stop);
            })
        });
        let threads = threads.collect::<Result<Vec<_>, _>>()?;
        let counted = counts.clone();
        let reader = spawn("miner-reader".to_owned(), move || client.read(&counted))?;
        Ok(Self {
            counts,
            stop,
            threads,
            reader,
            socket,
        })
    }

    /// Whether the connection ended.
    pub fn is_over(&self) -> bool {
        self.reader.is_finished()
    }

    /// Ends the connection and the threads. Returns why the connection ended, if it did before.
    pub fn stop(self) -> Option<String> {
        let ended = self.reader.is_finished();
        self.stop.store(true, Ordering::Release);
        self.socket
            .shutdown(std::net::Shutdown::Both)
            .unwrap_or_default();
        for thread in self.threads {
            if thread.join().is_err() {
                return Some("a miner's thread panicked".to_owned());
            }
        }
        match self.reader.join() {
            Ok(Err(why)) if ended => Some(why),
            Ok(_) => None,
            Err(_) => Some("the miner's reader panicked".to_owned()),
        }
    }
}

fn mine(rig: &Rig, number: usize, sharer: &Sharer, counts: &Counts, stop: &AtomicBool) {
    let most = match rig.algorithm {
        Algorithm::Sha256d => BATCH_HASHES,
        Algorithm::Scrypt2 => BATCH_SCRYPT2,
        _ => BATCH_SCRYPT,
    };
    let mut pace = Pace::new(rig.hashes_per_second, rig.threads);
    // Of a slow rig fewer: else it finds all of a second's, or of an hour's, at one moment.
    let batch = u32::try_from(pace.batch(u64::from(most))).unwrap_or(most);
    let mut attempt = None;
    while !stop.load(Ordering::Acquire) {
        if pace.is_ahead() {
            std::thread::sleep(NAP);
            continue;
        }
        let Some(attempt) = sharer.refresh(&mut attempt, number) else {
            std::thread::sleep(NAP);
            continue;
        };
        let found = attempt.search(rig.algorithm, batch);
        pace.done(u64::from(batch));
        counts.hashes.fetch_add(u64::from(batch), Ordering::Relaxed);
        for nonce in found {
            counts.sent.fetch_add(1, Ordering::Relaxed);
            if sharer.submit(&rig.user, attempt, nonce).is_err() {
                return;
            }
        }
    }
}
