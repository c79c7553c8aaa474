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
/// Longest sleep of a thread that is held back.
const NAP: Duration = Duration::from_millis(20);

/// What one rig does.
#[derive(Clone, Debug)]
pub struct Rig {
    /// `host:port`.
    pub url: String,
    /// User: a payout address, then `.worker`.
    pub user: String,
    /// Password.
    pub password: String,
    /// Proof of work; sha256d or scrypt.
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
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    reader: JoinHandle<Result<(), String>>,
    socket: TcpStream,
}

impl Mining {
    /// Connects, subscribes, authorizes, and mines on threads of its own.
    ///
    /// # Errors
    /// Why it could not begin, in words.
    pub fn start(rig: &Rig) -> Result<Self, String> {
        let counts = Arc::new(Counts::default());
        let client = Client::connect(rig)?;
        let sharer = client.sharer();
        let socket = client.socket()?;
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..rig.threads)
            .map(|number| {
                let (sharer, counts, stop) = (sharer.clone(), counts.clone(), stop.clone());
                let rig = rig.clone();
                std::thread::Builder::new()
                    .name(format!("miner-{number}"))
                    .spawn(move || mine(&rig, number, &sharer, &counts, &stop))
                    .map_err(|error| format!("no thread: {error}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let counted = counts.clone();
        let reader = std::thread::Builder::new()
            .name("miner-reader".to_owned())
            .spawn(move || client.read(&counted))
            .map_err(|error| format!("no thread: {error}"))?;
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
    let batch = match rig.algorithm {
        Algorithm::Sha256d => BATCH_HASHES,
        _ => BATCH_SCRYPT,
    };
    let share = rig
        .hashes_per_second
        .map(|all| all / rig.threads.max(1) as u64);
    let (mut done, started) = (0_u64, Instant::now());
    let mut attempt = None;
    while !stop.load(Ordering::Acquire) {
        // Microseconds times rate: allowed hashes in millionths.
        let allowed = |rate: u64| started.elapsed().as_micros() * u128::from(rate);
        if share.is_some_and(|rate| allowed(rate) < u128::from(done) * 1_000_000) {
            std::thread::sleep(NAP);
            continue;
        }
        let Some(attempt) = sharer.refresh(&mut attempt, number) else {
            std::thread::sleep(NAP);
            continue;
        };
        let found = attempt.search(rig.algorithm, batch);
        done += u64::from(batch);
        counts.hashes.fetch_add(u64::from(batch), Ordering::Relaxed);
        for nonce in found {
            counts.sent.fetch_add(1, Ordering::Relaxed);
            if sharer.submit(&rig.user, attempt, nonce).is_err() {
                return;
            }
        }
    }
}
