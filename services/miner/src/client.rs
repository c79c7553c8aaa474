//! The wire: one connection, one reader, many threads that submit.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_schema::genesis::Algorithm;
use orebook_schema::units::unhex;
use serde_json::{Value, json};

use crate::mining::{Counts, Rig};
use crate::work::{Attempt, PoolWork, Terms};

/// Longest line taken from a pool.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// How long a pool may take to answer at the start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Ids of our own; submits come above.
const SUBSCRIBE_ID: u64 = 1;
const AUTHORIZE_ID: u64 = 2;
const FIRST_SUBMIT_ID: u64 = 10;

#[derive(Debug, Default)]
struct Board {
    terms: Terms,
    work: Option<Arc<PoolWork>>,
}

/// What threads share.
#[derive(Clone, Debug)]
pub struct Sharer {
    board: Arc<Mutex<Board>>,
    /// Changes with every job.
    serial: Arc<AtomicU64>,
    writer: Arc<Mutex<TcpStream>>,
    next_id: Arc<AtomicU64>,
}

/// The reading side.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<TcpStream>,
    /// The beginning of a line whose end did not come yet.
    begun: Vec<u8>,
    sharer: Sharer,
    algorithm: Algorithm,
}

/// What a pool said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A job.
    Work,
    /// An answer to a submission.
    Answer {
        /// The submission's id.
        id: u64,
        /// Code and words of the refusal; none if it was accepted.
        error: Option<(i64, String)>,
    },
    /// Something else.
    Other,
}

fn refusal(line: &Value) -> Option<(i64, String)> {
    if line.get("result") == Some(&Value::Bool(true)) {
        return None;
    }
    let error = line.get("error");
    let part = |index: usize| error.and_then(|error| error.get(index));
    let code = part(0).and_then(Value::as_i64).unwrap_or(0);
    let words = part(1).and_then(Value::as_str).unwrap_or_default();
    Some((code, words.to_owned()))
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sharer {
    /// The thread's attempt at the newest job; none while there is none.
    pub fn refresh<'a>(
        &self,
        attempt: &'a mut Option<Attempt>,
        thread: usize,
    ) -> Option<&'a mut Attempt> {
        let serial = self.serial.load(Ordering::Acquire);
        if attempt.as_ref().is_none_or(|old| old.serial != serial) {
            let work = held(&self.board).work.clone()?;
            *attempt = Some(Attempt::new(work, serial, thread));
        }
        let attempt = attempt.as_mut()?;
        attempt.go_on();
        Some(attempt)
    }

    /// Submits a share. Returns the submission's id.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn submit(&self, user: &str, attempt: &Attempt, nonce: u32) -> Result<u64, String> {
        self.submit_raw(&attempt.submission(user, nonce))
    }

    /// Submits these parameters, whatever they are. Returns the submission's id.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn submit_raw(&self, params: &Value) -> Result<u64, String> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(id, "mining.submit", params)?;
        Ok(id)
    }

    fn send(&self, id: u64, method: &str, params: &Value) -> Result<(), String> {
        let line = format!(
            "{}\n",
            json!({"id": id, "method": method, "params": params})
        );
        held(&self.writer)
            .write_all(line.as_bytes())
            .map_err(|error| format!("the pool cannot be written to: {error}"))
    }
}

impl Client {
    /// Connects, subscribes and authorizes.
    ///
    /// # Errors
    /// Why it could not, in words: the system's or the pool's.
    pub fn connect(rig: &Rig) -> Result<Self, String> {
        let address = rig.url.trim_start_matches("stratum+tcp://");
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        let set = |error: std::io::Error| error.to_string();
        stream.set_nodelay(true).map_err(set)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(set)?;
        let writer = stream.try_clone().map_err(set)?;
        let mut client = Self {
            lines: BufReader::new(stream),
            begun: Vec::new(),
            sharer: Sharer {
                board: Arc::default(),
                serial: Arc::default(),
                writer: Arc::new(Mutex::new(writer)),
                next_id: Arc::new(AtomicU64::new(FIRST_SUBMIT_ID)),
            },
            algorithm: rig.algorithm,
        };
        let agent = concat!("orebook-mine/", env!("CARGO_PKG_VERSION"));
        client
            .sharer
            .send(SUBSCRIBE_ID, "mining.subscribe", &json!([agent]))?;
        let subscribed = client.answer(SUBSCRIBE_ID)?;
        client.subscribed(&subscribed)?;
        let params = json!([rig.user, rig.password]);
        client
            .sharer
            .send(AUTHORIZE_ID, "mining.authorize", &params)?;
        if client.answer(AUTHORIZE_ID)? != Value::Bool(true) {
            return Err(format!("the pool refuses user {}", rig.user));
        }
        // From now on silence is no fault: a job may last long.
        client.lines.get_ref().set_read_timeout(None).map_err(set)?;
        Ok(client)
    }

    /// What threads share.
    #[must_use]
    pub fn sharer(&self) -> Sharer {
        self.sharer.clone()
    }

    /// The connection, to end it from another thread.
    ///
    /// # Errors
    /// If the system has no further handle.
    pub fn socket(&self) -> Result<TcpStream, String> {
        let socket = self.lines.get_ref().try_clone();
        socket.map_err(|error| error.to_string())
    }

    /// Reads until the connection ends, and says why it did.
    ///
    /// # Errors
    /// Why the connection ended: it always ends with one.
    pub fn read(mut self, counts: &Counts) -> Result<(), String> {
        loop {
            if let News::Answer { error, .. } = self.news()? {
                let count = if error.is_none() {
                    &counts.accepted
                } else {
                    &counts.refused
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The next thing that the pool says; notifications are heeded already.
    ///
    /// # Errors
    /// Why nothing more is to be read.
    pub fn news(&mut self) -> Result<News, String> {
        let news = self.news_within()?;
        news.ok_or_else(|| "the pool does not answer".to_owned())
    }

    /// The same; none if the patience ended before something was said.
    ///
    /// # Errors
    /// Why nothing more is to be read.
    pub fn news_within(&mut self) -> Result<Option<News>, String> {
        let Some(line) = self.line_within()? else {
            return Ok(None);
        };
        self.understood(&line).map(Some)
    }

    fn understood(&self, line: &Value) -> Result<News, String> {
        if line.get("method").is_some() {
            let is_work = line.get("method").and_then(Value::as_str) == Some("mining.notify");
            self.notified(line)?;
            return Ok(if is_work { News::Work } else { News::Other });
        }
        let id = line.get("id").and_then(Value::as_u64);
        Ok(match id.filter(|id| FIRST_SUBMIT_ID <= *id) {
            Some(id) => News::Answer {
                id,
                error: refusal(line),
            },
            None => News::Other,
        })
    }

    /// How long [`Client::news`] waits.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_patience(&self, patience: Option<Duration>) -> Result<(), String> {
        let set = self.lines.get_ref().set_read_timeout(patience);
        set.map_err(|error| error.to_string())
    }

    /// The next line; none if the patience ended before it was whole.
    fn line_within(&mut self) -> Result<Option<Value>, String> {
        let room = LINE_BYTES_MAX.saturating_sub(self.begun.len() as u64);
        let mut limited = (&mut self.lines).take(room);
        match limited.read_until(b'\n', &mut self.begun) {
            Ok(0) if room != 0 => return Err("the pool closed the connection".to_owned()),
            Ok(_) if self.begun.ends_with(b"\n") => {}
            Ok(_) if self.begun.len() as u64 == LINE_BYTES_MAX => {
                return Err("the pool's line is too long".to_owned());
            }
            Ok(_) => return Err("the pool closed the connection".to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(format!("the pool cannot be read: {error}")),
        }
        let line = serde_json::from_slice(&self.begun);
        self.begun.clear();
        line.map(Some)
            .map_err(|error| format!("the pool's line is no JSON: {error}"))
    }

    fn line(&mut self) -> Result<Value, String> {
        let line = self.line_within()?;
        line.ok_or_else(|| "the pool does not answer".to_owned())
    }

    /// The result that answers `id`; what comes before it is heeded.
    fn answer(&mut self, id: u64) -> Result<Value, String> {
        loop {
            let mut line = self.line()?;
            if line.get("method").is_some() {
                self.notified(&line)?;
                continue;
            }
            if line.get("id").and_then(Value::as_u64) != Some(id) {
                continue;
            }
            return match line.get("error") {
                None | Some(Value::Null) => {
                    Ok(line.get_mut("result").map(Value::take).unwrap_or_default())
                }
                Some(error) => Err(format!("the pool refuses: {error}")),
            };
        }
    }

    fn subscribed(&self, result: &Value) -> Result<(), String> {
        let wrong = || "the pool's answer to mining.subscribe is not the protocol's".to_owned();
        let extranonce1 = result.get(1).and_then(Value::as_str).and_then(unhex);
        let size = result.get(2).and_then(Value::as_u64);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let mut board = held(&self.sharer.board);
        board.terms.extranonce1 = extranonce1.ok_or_else(wrong)?;
        board.terms.extranonce2_size = size
            .filter(|size| (1..=8).contains(size))
            .ok_or_else(wrong)?;
        Ok(())
    }

    fn notified(&self, line: &Value) -> Result<(), String> {
        let params = line.get("params").and_then(Value::as_array);
        let params = params.map_or(&[][..], Vec::as_slice);
        let mut board = held(&self.sharer.board);
        match line.get("method").and_then(Value::as_str) {
            Some("mining.set_difficulty") => {
                let number = params.first().and_then(Value::as_number);
                // As a decimal: JSON's own way of writing it may have an exponent.
                let shown = number.and_then(serde_json::Number::as_f64);
                board.terms.difficulty = shown.map(|shown| shown.to_string()).unwrap_or_default();
            }
            Some("mining.set_extranonce") => {
                let extranonce1 = params.first().and_then(Value::as_str).and_then(unhex);
                board.terms.extranonce1 = extranonce1.unwrap_or_default();
            }
            Some("mining.notify") => {
                let work = PoolWork::read(params, &board.terms, self.algorithm);
                let work = work.ok_or("the pool's mining.notify is not the protocol's")?;
                board.work = Some(Arc::new(work));
                self.sharer.serial.fetch_add(1, Ordering::Release);
            }
            Some("client.show_message") => {
                let text = params.first().and_then(Value::as_str).unwrap_or_default();
                tracing::info!(text, "the pool says");
            }
            _ => {}
        }
        Ok(())
    }
}
