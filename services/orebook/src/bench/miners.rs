//! The process with well-behaved miners: each is a thread with a socket of its own, sends a share whenever one is due, and
//! notes how long the answer took. They sleep between, so that what they see is the gateway's time and not a generator's.

use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::echo::ask;
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
    /// Who says back what is said to him (`echo`).
    pub(super) echo: SocketAddr,
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
    /// Microseconds of them until the share was sent: the miner's own, whose core others use too.
    pub(super) late_p99_us: u64,
    pub(super) late_max_us: u64,
    /// What a message to another process on the gateway's core took meanwhile, from when it was due.
    pub(super) echo_p99_us: u64,
    pub(super) echo_max_us: u64,
}

/// A share, or a message that is said back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When it was due, since the start.
    pub(super) due: Duration,
    /// How long after that it was sent, and answered.
    pub(super) late: Duration,
    pub(super) took: Duration,
}

/// What a miner and the process share.
#[derive(Default)]
pub(super) struct Watched {
    samples: Mutex<Vec<Sample>>,
    /// When its next share is due, nanoseconds since the start: all before are answered.
    next_due_ns: AtomicU64,
}

impl Watched {
    /// The next one is due then.
    pub(super) fn expect(&self, due: Duration) {
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        self.next_due_ns.store(due_ns, Ordering::SeqCst);
    }

    pub(super) fn note(&self, sample: Sample) {
        self.held().push(sample);
    }

    fn held(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything that was due before `to` is answered, and takes what was due since `from`.
    fn take<T>(
        &self,
        thread: &JoinHandle<T>,
        (from, to): (Duration, Duration),
    ) -> Result<Vec<Sample>, Failure> {
        let end_ns = u64::try_from(to.as_nanos()).unwrap_or(u64::MAX);
        while self.next_due_ns.load(Ordering::SeqCst) < end_ns && !thread.is_finished() {
            std::thread::sleep(LOOK);
        }
        if thread.is_finished() {
            return Err(Failure::new("a miner ended before its time"));
        }
        let mut samples = self.held();
        let (over, left) = samples.iter().partition(|sample| sample.due < to);
        *samples = left;
        let mut over: Vec<Sample> = over;
        over.retain(|sample| from <= sample.due);
        Ok(over)
    }
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
    let of_echo = Arc::new(Watched::default());
    let echo = {
        let (stop, watched) = (Arc::clone(&stop), Arc::clone(&of_echo));
        std::thread::Builder::new().spawn(move || ask(settings.echo, start, &stop, &watched))
    };
    let echo = echo.map_err(|error| failed("no thread", error))?;
    say(&settings.miners)?;
    let mut last = Duration::ZERO;
    while line()? == "cut" {
        let now = start.elapsed();
        let mut shares = Vec::new();
        for (one, thread) in watched.iter().zip(&threads) {
            shares.extend(one.take(thread, (last, now))?);
        }
        let echoed = of_echo.take(&echo, (last, now))?;
        say(&window(now - last, &shares, &echoed))?;
        last = now;
    }
    stop.store(true, Ordering::SeqCst);
    match echo.join() {
        Ok(ended) => ended?,
        Err(_) => return Err(Failure::new("the one who asks for echoes panicked")),
    }
    let sent = threads.into_iter().map(|thread| match thread.join() {
        Ok(sent) => sent,
        Err(_) => Err(Failure::new("a miner panicked")),
    });
    say(&sent.collect::<Result<Vec<SessionSent>, _>>()?)
}

fn say(what: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(what).map_err(|error| failed("json", error))?)
}

/// What was seen of shares, and of messages that were said back.
fn window(nanos: Duration, shares: &[Sample], echo: &[Sample]) -> Window {
    let took = sorted(shares, |sample| sample.took);
    let late = sorted(shares, |sample| sample.late);
    let echo = sorted(echo, |sample| sample.took);
    Window {
        shares: u64::try_from(took.len()).unwrap_or(u64::MAX),
        nanos: u64::try_from(nanos.as_nanos()).unwrap_or(u64::MAX),
        p50_us: at(&took, 500),
        p99_us: at(&took, 990),
        max_us: at(&took, 1_000),
        late_p99_us: at(&late, 990),
        late_max_us: at(&late, 1_000),
        echo_p99_us: at(&echo, 990),
        echo_max_us: at(&echo, 1_000),
    }
}

fn sorted(samples: &[Sample], time: fn(&Sample) -> Duration) -> Vec<u64> {
    let micros = |sample: &Sample| u64::try_from(time(sample).as_micros()).unwrap_or(u64::MAX);
    let mut times: Vec<u64> = samples.iter().map(micros).collect();
    times.sort_unstable();
    times
}

fn at(times: &[u64], per_mille: usize) -> u64 {
    let place = (times.len() * per_mille / 1_000).min(times.len().saturating_sub(1));
    times.get(place).copied().unwrap_or(0)
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
            watched.expect(due);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
            if stop.load(Ordering::SeqCst) {
                break;
            }
            out.clear();
            self.shares.write(&mut out, self.sent);
            self.stream
                .write_all(&out)
                .map_err(|error| failed(&self.shares.user, error))?;
            let late = start.elapsed().saturating_sub(due);
            let accepted = self.await_answer(&mut buffer)?;
            let took = start.elapsed().saturating_sub(due);
            if !accepted {
                self.refused.push(self.sent);
            }
            self.sent += 1;
            watched.note(Sample { due, late, took });
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
