//! The process with well-behaved miners: each is a thread with a socket of its own, sends a share whenever one is due, and
//! notes how long the answer took. They sleep between, so that what they see is the gateway's time and not a generator's.

use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ground::failed;
use super::load::{LoggedIn, SessionSent, Shares, answer, job_of, log_in};
use crate::{Failure, print};

/// Bytes read from a socket at once: jobs of some seconds may have gathered.
const READ_BYTES: usize = 65_536;
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Sleep between two looks at whether everything before a cut is answered.
const LOOK: Duration = Duration::from_millis(1);

/// What the process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MinersSettings {
    pub(super) address: SocketAddr,
    pub(super) miners: u32,
    /// Shares a second of all of them, evenly spaced.
    pub(super) pace: u32,
}

/// What it says at the line `cut`: of the shares that were due since the last one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) shares: u64,
    pub(super) nanos: u64,
    /// Microseconds from when a share was due to its answer.
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

/// When a share was due, since the start, and how long its answer took after that.
type Sample = (Duration, Duration);

/// What a miner and the process share.
#[derive(Default)]
struct Watched {
    samples: Mutex<Vec<Sample>>,
    /// When its next share is due, nanoseconds since the start: all before are answered.
    next_due_ns: AtomicU64,
}

/// A miner.
struct Miner {
    stream: TcpStream,
    extranonce1: String,
    shares: Shares,
    rest: Vec<u8>,
    sent: u32,
    refused: Vec<u32>,
}

/// Runs until it is told to `end`; then says what each session sent.
pub(super) fn run() -> Result<(), Failure> {
    let mut lines = std::io::stdin().lock().lines();
    let mut line = || match lines.next() {
        Some(Ok(line)) => Ok(line),
        _ => Err(Failure::new("nobody tells the miners what to do")),
    };
    let settings: MinersSettings =
        serde_json::from_str(&line()?).map_err(|error| failed("settings", error))?;
    let miners: Vec<Miner> = (0..settings.miners)
        .map(|number| Miner::open(settings.address, number))
        .collect::<Result<_, _>>()?;
    let (start, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let spacing = Duration::from_secs(1) / settings.pace.max(1);
    let (mut watched, mut threads) = (Vec::new(), Vec::new());
    for (number, miner) in (0..).zip(miners) {
        let its = Arc::new(Watched::default());
        let (stop, of_thread) = (Arc::clone(&stop), Arc::clone(&its));
        let (first, each) = (spacing * number, spacing * settings.miners);
        let thread = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || miner.mine(start, (first, each), &stop, &of_thread));
        threads.push(thread.map_err(|error| failed("no thread", error))?);
        watched.push(its);
    }
    say(&settings.miners)?;
    let mut last = Duration::ZERO;
    while line()? == "cut" {
        let now = start.elapsed();
        say(&window(&watched, &threads, last, now)?)?;
        last = now;
    }
    stop.store(true, Ordering::SeqCst);
    let sent = threads.into_iter().map(|thread| match thread.join() {
        Ok(sent) => sent,
        Err(_) => Err(Failure::new("a miner panicked")),
    });
    say(&sent.collect::<Result<Vec<SessionSent>, _>>()?)
}

fn say(what: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(what).map_err(|error| failed("json", error))?)
}

/// Waits until everything that was due before `to` is answered, and takes its times.
fn window(
    watched: &[Arc<Watched>],
    threads: &[JoinHandle<Result<SessionSent, Failure>>],
    from: Duration,
    to: Duration,
) -> Result<Window, Failure> {
    let end_ns = u64::try_from(to.as_nanos()).unwrap_or(u64::MAX);
    let mut took = Vec::new();
    for (one, thread) in watched.iter().zip(threads) {
        while one.next_due_ns.load(Ordering::SeqCst) < end_ns && !thread.is_finished() {
            std::thread::sleep(LOOK);
        }
        if thread.is_finished() {
            return Err(Failure::new("a miner ended before its time"));
        }
        let mut samples = one.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|(due, time)| {
            let is_over = *due < to;
            if is_over && from <= *due {
                took.push(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
            }
            !is_over
        });
    }
    took.sort_unstable();
    let at = |per_mille: usize| {
        let place = (took.len() * per_mille / 1_000).min(took.len().saturating_sub(1));
        took.get(place).copied().unwrap_or(0)
    };
    Ok(Window {
        shares: u64::try_from(took.len()).unwrap_or(u64::MAX),
        nanos: u64::try_from((to - from).as_nanos()).unwrap_or(u64::MAX),
        p50_us: at(500),
        p99_us: at(990),
        max_us: at(1_000),
    })
}

impl Miner {
    fn open(address: SocketAddr, number: u32) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).map_err(|error| failed("a miner", error))?;
        let LoggedIn {
            extranonce1,
            shares,
            more,
        } = log_in(&stream, number)?;
        let timeout = stream.set_read_timeout(Some(ANSWER_MAX));
        timeout.map_err(|error| failed("a miner", error))?;
        Ok(Self {
            stream,
            extranonce1,
            shares,
            rest: more,
            sent: 0,
            refused: Vec::new(),
        })
    }

    fn mine(
        mut self,
        start: Instant,
        (first, each): (Duration, Duration),
        stop: &AtomicBool,
        watched: &Watched,
    ) -> Result<SessionSent, Failure> {
        let (mut due, mut out, mut buffer) = (first, Vec::new(), vec![0; READ_BYTES]);
        loop {
            let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            watched.next_due_ns.store(due_ns, Ordering::SeqCst);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
            if stop.load(Ordering::SeqCst) {
                break;
            }
            out.clear();
            self.shares.write(&mut out, self.sent);
            self.stream
                .write_all(&out)
                .map_err(|error| failed(&self.shares.user, error))?;
            let accepted = self.await_answer(&mut buffer)?;
            let took = start.elapsed().saturating_sub(due);
            if !accepted {
                self.refused.push(self.sent);
            }
            self.sent += 1;
            let mut samples = watched
                .samples
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            samples.push((due, took));
            drop(samples);
            due += each;
        }
        Ok(SessionSent {
            extranonce1: self.extranonce1,
            sent: self.sent,
            refused: self.refused,
        })
    }

    /// Whether the share that was sent last is accepted. Jobs that come are taken.
    fn await_answer(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        let mut verdict = None;
        loop {
            let mut whole = std::mem::take(&mut self.rest);
            while let Some(end) = whole.iter().position(|byte| *byte == b'\n') {
                let after = whole.split_off(end + 1);
                if let Some((number, accepted)) = answer(&whole) {
                    verdict = (number == self.sent).then_some(accepted);
                } else if let Ok(said) = serde_json::from_slice::<Value>(&whole)
                    && let Some(job) = job_of(&said)
                {
                    self.shares.work_on(&job);
                }
                whole = after;
            }
            self.rest = whole;
            if let Some(accepted) = verdict {
                return Ok(accepted);
            }
            match self.stream.read(buffer) {
                Ok(0) => {
                    let user = &self.shares.user;
                    return Err(Failure::new(format!("{user}: the gateway hung up")));
                }
                Ok(len) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    self.rest.extend_from_slice(bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&self.shares.user, error)),
            }
        }
    }
}
