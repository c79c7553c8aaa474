//! A rig of ethash: one connection in any dialect, its reader, and threads that hash by the cache of the job's epoch.
//!
//! Hashing by a cache is some thousand hashes a second and core: enough for test chains, for demonstrations, and to see what a
//! pool says. Not here: datasets, processors of graphics cards.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use orebook_pow::ethash::{Answer, Cache, Epoch, EpochRule, Prove, Question, TOGETHER_MAX, prove};
use orebook_schema::Hash;

use crate::ethash::{EthClient, EthDialect, EthFound, EthJob, EthLogin, EthNews};
use crate::mining::{Counts, Mining, NAP, Pace, spawn};

/// How long a pool may take to let a rig in, and to take what it is told.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often getwork asks for work.
const ASK_EACH: Duration = Duration::from_millis(250);
/// Calls of getwork that wait for the one before them; beyond it the pool counts as gone.
const CALLS_MAX: usize = 1_024;
/// Bytes read at once.
const READ_BYTES: usize = 4_096;
/// Nonces between where two threads of a rig begin, log2: of a nonce at least so many bits are the rig's in any dialect.
const THREAD_SHIFT: u32 = 32;

/// What one rig of ethash does.
#[derive(Clone, Debug)]
pub struct EthRig {
    /// `host:port`.
    pub url: String,
    /// Who is paid, and the rig's name.
    pub login: EthLogin,
    /// How it speaks.
    pub dialect: EthDialect,
    /// How its chain counts epochs.
    pub rule: EpochRule,
    /// Threads that hash.
    pub threads: usize,
    /// Most hashes a second of all its threads; `None` for as many as there are.
    pub hashes_per_second: Option<u64>,
    /// Where it begins to count nonces. Dialects without a prefix leave the whole nonce to the rigs, so that two which begin
    /// alike, or one that comes again, would find each other's shares: another one for each start.
    pub first_nonce: u64,
    /// Caches, shared by all rigs of a process.
    pub caches: EthCaches,
}

/// The cache of one epoch, made by the first thread that needs it.
#[derive(Clone, Default)]
pub struct EthCaches(Arc<Mutex<Option<Arc<dyn Prove>>>>);

impl fmt::Debug for EthCaches {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EthCaches")
    }
}

impl EthCaches {
    /// What hashes this job; none if nobody knows its epoch. Takes half a second where the epoch is a new one, and more at
    /// later epochs; threads that ask meanwhile wait.
    fn of(&self, rule: EpochRule, job: &EthJob) -> Option<Arc<dyn Prove>> {
        let mut held = held(&self.0);
        let known = held.as_ref().map(|cache| cache.epoch());
        let epoch = known
            .filter(|epoch| job.height.is_none() && job.seed == Some(epoch.seed().0))
            .or_else(|| epoch_of(rule, job))?;
        if known != Some(epoch) {
            // The old one goes first: two of them are twice the memory.
            *held = None;
            *held = Some(Arc::new(Cache::build(epoch)));
        }
        held.clone()
    }
}

/// By the block's number, else by the seed, else by the seed's number.
fn epoch_of(rule: EpochRule, job: &EthJob) -> Option<Epoch> {
    let is_meant = |epoch: &Epoch| match (job.seed, job.epoch) {
        (Some(seed), _) => epoch.seed().0 == seed,
        (None, Some(rounds)) => u64::from(epoch.seed_rounds()) == rounds,
        (None, None) => true,
    };
    if let Some(height) = job.height {
        return rule.epoch(height).filter(is_meant);
    }
    let mut candidate = (0, rule.epoch(0)?);
    while !is_meant(&candidate.1) {
        candidate = rule.next(candidate.0)?;
    }
    Some(candidate.1)
}

/// What reader and threads share.
struct Line {
    desk: Mutex<Desk>,
    /// Changes with every job.
    serial: AtomicU64,
}

struct Desk {
    client: EthClient,
    dialect: EthDialect,
    writer: TcpStream,
    job: Option<Arc<EthJob>>,
    is_ready: bool,
    /// Why there was no work: what a pool of getwork says before it ends the connection of who is not let in.
    last_words: Option<String>,
    /// Calls of getwork, each said when the one before is answered: a server may answer calls of one connection in one order
    /// only, and shares take longer than work.
    calls: VecDeque<Vec<u8>>,
    is_waiting: bool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    fn tell(&mut self, said: Vec<u8>) -> Result<(), String> {
        if said.is_empty() {
            return Ok(());
        }
        if self.dialect != EthDialect::GetWork {
            return self.write(&said);
        }
        if CALLS_MAX <= self.calls.len() {
            return Err("the pool does not answer".to_owned());
        }
        self.calls.push_back(said);
        self.next_call()
    }

    fn next_call(&mut self) -> Result<(), String> {
        if self.is_waiting {
            return Ok(());
        }
        let Some(call) = self.calls.pop_front() else {
            return Ok(());
        };
        self.is_waiting = true;
        self.write(&call)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.writer.write_all(bytes);
        written.map_err(|error| format!("the pool cannot be written to: {error}"))
    }
}

impl Line {
    fn submit(&self, job: &EthJob, found: &EthFound) -> Result<(), String> {
        let mut desk = held(&self.desk);
        let mut said = Vec::new();
        desk.client.submit(&mut said, job, found);
        desk.tell(said)
    }

    /// Asks for work, where a dialect asks and nothing is being asked.
    fn ask(&self) -> Result<(), String> {
        let mut desk = held(&self.desk);
        if desk.is_waiting {
            return Ok(());
        }
        let mut said = Vec::new();
        desk.client.ask_work(&mut said);
        desk.tell(said)
    }

    fn closed(&self) -> String {
        let why = held(&self.desk).last_words.take();
        let why = why.map_or_else(String::new, |words| format!(": {words}"));
        format!("the pool closed the connection{why}")
    }

    fn heard(&self, bytes: &[u8], counts: &Counts) -> Result<(), String> {
        let mut desk = held(&self.desk);
        let mut said = Vec::new();
        let news = desk.client.hear(bytes, &mut said)?;
        if desk.dialect == EthDialect::GetWork && !news.is_empty() {
            desk.is_waiting = false;
        }
        for news in news {
            match news {
                EthNews::Ready => desk.is_ready = true,
                EthNews::Job(job) => {
                    let is_known = desk.job.as_deref() == Some(&job);
                    if !is_known {
                        desk.job = Some(Arc::new(job));
                        self.serial.fetch_add(1, Ordering::Release);
                    }
                }
                EthNews::Answer {
                    id, error: None, ..
                } => {
                    tracing::trace!(id, "accepted");
                    counts.accepted.fetch_add(1, Ordering::Relaxed);
                }
                EthNews::Answer {
                    id,
                    error: Some(words),
                    ..
                } => {
                    tracing::debug!(id, words, "refused");
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                EthNews::NoWork(words) => {
                    tracing::debug!(words, "the pool has no work");
                    desk.last_words = Some(words);
                }
                EthNews::WrongDialect(words) => {
                    return Err(format!("the pool refuses this dialect: {words}"));
                }
                EthNews::LoginRefused(words) => return Err(format!("the pool refuses: {words}")),
                EthNews::Leave => return Err("the pool sends its miners away".to_owned()),
            }
        }
        desk.tell(said)?;
        desk.next_call()
    }
}

/// The reading side.
struct Reader {
    stream: TcpStream,
    line: Arc<Line>,
    asked: Instant,
}

impl Reader {
    /// Hears once; `false` if the pool said nothing for a while.
    fn hear(&mut self, counts: &Counts) -> Result<bool, String> {
        let mut bytes = [0; READ_BYTES];
        let heard = match self.stream.read(&mut bytes) {
            Ok(0) => return Err(self.line.closed()),
            Ok(count) => {
                let bytes = bytes.get(..count).unwrap_or_default();
                self.line.heard(bytes, counts)?;
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                false
            }
            Err(error) => return Err(format!("the pool cannot be read: {error}")),
        };
        let asks = held(&self.line.desk).dialect == EthDialect::GetWork;
        if asks && ASK_EACH <= self.asked.elapsed() {
            self.asked = Instant::now();
            self.line.ask()?;
        }
        Ok(heard)
    }

    /// Until the login is taken.
    fn log_in(&mut self, counts: &Counts) -> Result<(), String> {
        let started = Instant::now();
        while !held(&self.line.desk).is_ready {
            self.hear(counts)?;
            if ANSWER_TIMEOUT < started.elapsed() {
                return Err("the pool does not answer".to_owned());
            }
        }
        Ok(())
    }
}

impl Mining {
    /// Connects, logs in, and mines ethash on threads of its own.
    ///
    /// # Errors
    /// Why it could not begin, in words.
    pub fn start_eth(rig: &EthRig, counts: Arc<Counts>) -> Result<Self, String> {
        let mut reader = connect(rig)?;
        reader.log_in(&counts)?;
        let failed = |error: std::io::Error| error.to_string();
        let is_asking = rig.dialect == EthDialect::GetWork;
        // From now on silence is no fault: a job may last long.
        let patience = is_asking.then_some(ASK_EACH);
        reader.stream.set_read_timeout(patience).map_err(failed)?;
        let socket = reader.stream.try_clone().map_err(failed)?;
        let (line, stop) = (Arc::clone(&reader.line), Arc::new(AtomicBool::new(false)));
        let threads = (0..rig.threads).map(|number| {
            let (line, counts, stop) = (Arc::clone(&line), counts.clone(), stop.clone());
            let rig = rig.clone();
            spawn(format!("miner-{number}"), move || {
                mine(&rig, number, &line, &counts, &stop);
            })
        });
        let threads = threads.collect::<Result<Vec<_>, _>>()?;
        let counted = counts.clone();
        let reader = spawn("miner-reader".to_owned(), move || {
            loop {
                reader.hear(&counted)?;
            }
        })?;
        Ok(Self {
            counts,
            stop,
            threads,
            reader,
            socket,
        })
    }
}

fn connect(rig: &EthRig) -> Result<Reader, String> {
    let address = ["stratum+tcp://", "http://"]
        .iter()
        .fold(rig.url.as_str(), |url, scheme| {
            url.strip_prefix(scheme).unwrap_or(url)
        });
    let failed = |error: std::io::Error| error.to_string();
    let stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(ASK_EACH)).map_err(failed)?;
    let timeout = Some(ANSWER_TIMEOUT);
    stream.set_write_timeout(timeout).map_err(failed)?;
    let mut desk = Desk {
        client: EthClient::new(rig.dialect, rig.login.clone()),
        dialect: rig.dialect,
        writer: stream.try_clone().map_err(failed)?,
        job: None,
        is_ready: false,
        last_words: None,
        calls: VecDeque::new(),
        is_waiting: false,
    };
    let mut said = Vec::new();
    desk.client.begin(&mut said);
    desk.tell(said)?;
    let line = Line {
        desk: Mutex::new(desk),
        serial: AtomicU64::new(0),
    };
    Ok(Reader {
        stream,
        line: Arc::new(line),
        asked: Instant::now(),
    })
}

/// A job and what hashes it.
type Place = Option<(Arc<EthJob>, Arc<dyn Prove>)>;

fn mine(rig: &EthRig, number: usize, line: &Line, counts: &Counts, stop: &AtomicBool) {
    let mut pace = Pace::new(rig.hashes_per_second, rig.threads);
    let mut next = rig
        .first_nonce
        .wrapping_add((number as u64) << THREAD_SHIFT);
    let (mut serial, mut place): (u64, Place) = (0, None);
    // A slow rig looks at the clock after a few: its shares come one by one then, as from a slow one.
    let batch = pace.batch(TOGETHER_MAX as u64);
    let mut questions = Vec::with_capacity(TOGETHER_MAX);
    let mut answers: Vec<Answer> = Vec::with_capacity(TOGETHER_MAX);
    while !stop.load(Ordering::Acquire) {
        let newest = line.serial.load(Ordering::Acquire);
        if newest != serial {
            serial = newest;
            place = placed(rig, line);
        }
        let Some((job, prover)) = place.as_ref().filter(|_| !pace.is_ahead()) else {
            std::thread::sleep(NAP);
            continue;
        };
        questions.clear();
        answers.clear();
        questions.extend((0..batch).map(|step| Question {
            seal: Hash(job.seal),
            nonce: job.nonce(next.wrapping_add(step)),
        }));
        next = next.wrapping_add(batch);
        prove(prover.as_ref(), &questions, &mut answers);
        pace.done(batch);
        counts.hashes.fetch_add(batch, Ordering::Relaxed);
        for (question, answer) in questions.iter().zip(&answers) {
            if job.target < answer.value {
                continue;
            }
            let found = EthFound {
                nonce: question.nonce,
                mix: answer.mix.0,
            };
            counts.sent.fetch_add(1, Ordering::Relaxed);
            if line.submit(job, &found).is_err() {
                return;
            }
        }
    }
}

fn placed(rig: &EthRig, line: &Line) -> Place {
    let job = held(&line.desk).job.clone()?;
    let prover = rig.caches.of(rig.rule, &job);
    if prover.is_none() {
        tracing::warn!(id = job.id, height = job.height, "a job of no known epoch");
    }
    Some((job, prover?))
}

#[cfg(test)]
mod tests {
    use orebook_pow::ethash::EpochRule;
    use orebook_schema::units::U256;

    use super::*;

    fn job(height: Option<u64>, seed: Option<[u8; 32]>, epoch: Option<u64>) -> EthJob {
        EthJob {
            id: String::new(),
            seal: [0; 32],
            seed,
            epoch,
            height,
            target: U256::MAX,
            prefix: Vec::new(),
        }
    }

    #[test]
    fn a_jobs_epoch_is_found_by_whatever_it_says() {
        let rule = EpochRule::Etchash { from: 60_000 };
        let of = |height: u64| rule.epoch(height);
        let seed = |height: u64| of(height).map(|epoch| epoch.seed().0);
        for (job, wanted) in [
            (job(Some(1), None, None), of(1)),
            (job(Some(59_999), seed(59_999), None), of(59_999)),
            (job(Some(59_999), seed(60_000), None), None),
            (job(None, seed(30_000), None), of(30_000)),
            (job(None, seed(130_000), None), of(130_000)),
            (job(None, None, Some(4)), of(130_000)),
            (job(None, Some([7; 32]), None), None),
            (job(Some(u64::MAX), None, None), None),
        ] {
            assert_eq!(epoch_of(rule, &job), wanted, "{job:?}");
        }
    }

    #[test]
    fn a_nonce_begins_with_the_pools_prefix() {
        let mut job = job(None, None, None);
        for (prefix, number, wanted) in [
            (&[][..], u64::MAX, u64::MAX),
            (&[0xaf, 0x4c], u64::MAX, 0xaf4c_ffff_ffff_ffff),
            (&[1, 2, 3], 5, 0x0102_0300_0000_0005),
            (&[1, 2, 3], 1 << THREAD_SHIFT, 0x0102_0301_0000_0000),
        ] {
            job.prefix = prefix.to_vec();
            assert_eq!(job.nonce(number), wanted, "{prefix:?}");
        }
    }
}
