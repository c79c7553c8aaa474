//! The process that sends shares: one thread, many sockets, byte templates. What it sends of a share is its number: the
//! extranonce2, and the nonce made of it; so the ledger can be asked for each.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ground::{LOGIN, failed};
use super::process::cpu_ns;
use crate::{Failure, print};

/// Bytes read from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Events of one turn.
const EVENTS: usize = 1_024;
/// Longest sleep of a turn.
const TURN: Duration = Duration::from_millis(50);
/// Longest sleep of a turn where times are told: what is measured takes a hundred times as long.
const SHORT_TURN: Duration = Duration::from_millis(1);
/// How long the last answers may take.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// A share that is sent this much later than it was due was not evenly spaced.
const LATE_NS: u64 = 1_000_000;
/// Bytes of extranonce2 that a share's number is written in.
const EXTRANONCE2_BYTES: u64 = 4;

/// What the process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LoadSettings {
    pub(super) address: SocketAddr,
    pub(super) connections: u32,
    /// Shares of a connection that wait for their answers.
    pub(super) in_flight: u32,
    /// Shares a second over all connections; 0 = as fast as answers come.
    pub(super) pace: u32,
    pub(super) warm_ms: u64,
    pub(super) measure_ms: u64,
    /// Whose processor time is measured.
    pub(super) gateway_pid: u32,
    /// Whether to say when each share was answered; then the process sleeps between shares.
    pub(super) tell_times: bool,
}

/// What was sent over one connection: the shares 0..sent, all of them answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SessionSent {
    pub(super) extranonce1: String,
    pub(super) sent: u32,
    /// Numbers of those that were not answered `true`.
    pub(super) refused: Vec<u32>,
}

/// What it says at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LoadFigures {
    /// Answered `true` within the measured time.
    pub(super) accepted: u64,
    pub(super) nanos: u64,
    pub(super) gateway_cpu_ns: u64,
    pub(super) generator_cpu_ns: u64,
    pub(super) answer_p50_us: u32,
    pub(super) answer_p99_us: u32,
    /// Shares that were sent later than they were due.
    pub(super) late: u64,
    pub(super) sessions: Vec<SessionSent>,
    /// When each share was answered `true` in the measured time, microseconds since 1970, ascending; only if it was asked.
    pub(super) answered_us: Vec<u64>,
    /// Shares answered `true` before the first of those.
    pub(super) answered_before: u64,
}

/// The nonce of a share.
pub(super) const fn nonce(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761)
}

/// Runs until the measured time is over and everything is answered.
pub(super) fn run() -> Result<(), Failure> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| failed("settings", error))?;
    let settings: LoadSettings =
        serde_json::from_str(&line).map_err(|error| failed("settings", error))?;
    let figures = Generator::open(settings)?.run()?;
    print(&serde_json::to_string(&figures).map_err(|error| failed("json", error))?)
}

/// A connection.
struct Conn {
    stream: TcpStream,
    extranonce1: String,
    shares: Shares,
    sent: u32,
    refused: Vec<u32>,
    /// When the unanswered shares were due, nanoseconds since the start.
    waiting: VecDeque<u64>,
    out: Vec<u8>,
    /// The beginning of a line whose end did not come yet.
    rest: Vec<u8>,
}

/// What came in.
#[derive(Default)]
struct Tally {
    accepted: u64,
    /// Microseconds to each answer, while it is measured.
    measured: Option<Vec<u32>>,
    /// When answers came, microseconds since 1970, if it was asked for.
    answered_us: Option<Vec<u64>>,
    /// Answers before the first of those.
    answered_before: u64,
}

/// Figures at one moment.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    accepted: u64,
    gateway_cpu_ns: u64,
    generator_cpu_ns: u64,
}

struct Generator {
    settings: LoadSettings,
    poll: Poll,
    conns: Vec<Conn>,
    tally: Tally,
    late: u64,
    start: Instant,
}

fn hex8(out: &mut Vec<u8>, value: u32) {
    for byte in value.to_be_bytes() {
        for nibble in [byte >> 4, byte & 15] {
            out.push(if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            });
        }
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// Number and verdict of an answer to a submit; none if the line is something else.
pub(super) fn answer(line: &[u8]) -> Option<(u32, bool)> {
    let rest = line.strip_prefix(b"{\"id\":")?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let (id, rest) = rest.split_at_checked(digits)?;
    let id = str::from_utf8(id).ok()?.parse().ok()?;
    Some((id, rest.starts_with(b",\"result\":true")))
}

/// How a rig's shares of a job are written.
pub(super) struct Shares {
    pub(super) user: String,
    /// From a submit's id to the extranonce2, and from there to the nonce.
    head: Vec<u8>,
    middle: Vec<u8>,
}

impl Shares {
    /// Of the job with this id and time.
    pub(super) fn work_on(&mut self, (job, time): &(String, String)) {
        let user = &self.user;
        self.head =
            format!(",\"method\":\"mining.submit\",\"params\":[\"{user}\",\"{job}\",\"").into();
        self.middle = format!("\",\"{time}\",\"").into();
    }

    /// Writes the share of this number; its answer has it as the id.
    pub(super) fn write(&self, out: &mut Vec<u8>, number: u32) {
        out.extend_from_slice(b"{\"id\":");
        // Writing to a Vec cannot fail.
        write!(out, "{number}").unwrap_or_default();
        out.extend_from_slice(&self.head);
        hex8(out, number);
        out.extend_from_slice(&self.middle);
        hex8(out, nonce(number));
        out.extend_from_slice(b"\"]}\n");
    }
}

/// What a login gave.
pub(super) struct LoggedIn {
    pub(super) extranonce1: String,
    pub(super) shares: Shares,
    /// Bytes that came behind.
    pub(super) more: Vec<u8>,
}

/// Logs a rig in and waits for its first job.
pub(super) fn log_in(stream: &std::net::TcpStream, number: u32) -> Result<LoggedIn, Failure> {
    let lost = |error: std::io::Error| failed(&format!("connection {number}"), error);
    stream.set_nodelay(true).map_err(lost)?;
    stream.set_read_timeout(Some(LAST_ANSWERS)).map_err(lost)?;
    let user = format!("{LOGIN}.rig{number}");
    let subscribe = json!({"id": "s", "method": "mining.subscribe", "params": ["bench"]});
    let authorize = json!({"id": "a", "method": "mining.authorize", "params": [user, "x"]});
    (&*stream)
        .write_all(format!("{subscribe}\n{authorize}\n").as_bytes())
        .map_err(lost)?;
    let mut lines = BufReader::new(stream);
    let (mut extranonce1, mut is_in, mut job) = (None, false, None);
    while extranonce1.is_none() || !is_in || job.is_none() {
        let mut line = String::new();
        if lines.read_line(&mut line).map_err(lost)? == 0 {
            return Err(Failure::new(format!("connection {number} was closed")));
        }
        let said: Value = serde_json::from_str(&line).map_err(|error| failed(&line, error))?;
        let result = said.get("result");
        match said.get("id").and_then(Value::as_str) {
            Some("s") => {
                let size = result
                    .and_then(|result| result.get(2))
                    .and_then(Value::as_u64);
                let text = result
                    .and_then(|result| result.get(1))
                    .and_then(Value::as_str);
                extranonce1 = text
                    .filter(|_| size == Some(EXTRANONCE2_BYTES))
                    .map(str::to_owned);
                if extranonce1.is_none() {
                    return Err(Failure::new(format!("subscribe: {line}")));
                }
            }
            Some("a") if result == Some(&Value::Bool(true)) => is_in = true,
            Some(_) => return Err(Failure::new(format!("authorize: {line}"))),
            None => job = job_of(&said).or(job),
        }
    }
    let mut shares = Shares {
        user,
        head: Vec::new(),
        middle: Vec::new(),
    };
    if let Some(job) = job {
        shares.work_on(&job);
    }
    Ok(LoggedIn {
        extranonce1: extranonce1.unwrap_or_default(),
        shares,
        more: lines.buffer().to_vec(),
    })
}

impl Conn {
    fn login(settings: &LoadSettings, number: u32) -> Result<Self, Failure> {
        let lost = |error: std::io::Error| failed(&format!("connection {number}"), error);
        let stream = std::net::TcpStream::connect(settings.address).map_err(lost)?;
        let LoggedIn {
            extranonce1,
            shares,
            more,
        } = log_in(&stream, number)?;
        stream.set_read_timeout(None).map_err(lost)?;
        stream.set_nonblocking(true).map_err(lost)?;
        let mut conn = Self {
            stream: TcpStream::from_std(stream),
            extranonce1,
            shares,
            sent: 0,
            refused: Vec::new(),
            waiting: VecDeque::new(),
            out: Vec::new(),
            rest: Vec::new(),
        };
        conn.take(&more, 0, &mut Tally::default())?;
        Ok(conn)
    }

    /// Writes the next share behind what waits to be sent.
    fn submit(&mut self, due_ns: u64) {
        self.waiting.push_back(due_ns);
        self.shares.write(&mut self.out, self.sent);
        self.sent += 1;
    }

    fn fill(&mut self, in_flight: u32, now_ns: u64) {
        while self.waiting.len() < usize::try_from(in_flight).unwrap_or(usize::MAX) {
            self.submit(now_ns);
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let mut written = 0;
        while written < self.out.len() {
            match self
                .stream
                .write(self.out.get(written..).unwrap_or_default())
            {
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&self.shares.user, error)),
            }
        }
        self.out.drain(..written);
        Ok(())
    }

    /// Reads what there is.
    fn read(&mut self, buffer: &mut [u8], now_ns: u64, tally: &mut Tally) -> Result<(), Failure> {
        loop {
            let len = match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(Failure::new(format!(
                        "{}: the gateway hung up",
                        self.shares.user
                    )));
                }
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(&self.shares.user, error)),
            };
            self.take(buffer.get(..len).unwrap_or_default(), now_ns, tally)?;
            // A short read took everything; what comes later is another event.
            if len < buffer.len() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], now_ns: u64, tally: &mut Tally) -> Result<(), Failure> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            if self.rest.is_empty() {
                self.line(line, now_ns, tally)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole, now_ns, tally)?;
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8], now_ns: u64, tally: &mut Tally) -> Result<(), Failure> {
        let shown = || String::from_utf8_lossy(line).into_owned();
        let Some((number, accepted)) = answer(line) else {
            let said: Value =
                serde_json::from_slice(line).map_err(|error| failed(&shown(), error))?;
            if let Some(job) = job_of(&said) {
                self.shares.work_on(&job);
            }
            return Ok(());
        };
        let unanswered = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let due = self.waiting.pop_front();
        let (Some(due_ns), true) = (due, self.sent.checked_sub(unanswered) == Some(number)) else {
            return Err(Failure::new(format!("an answer out of order: {}", shown())));
        };
        if accepted {
            tally.accepted += 1;
            if let Some(measured) = &mut tally.measured {
                let micros = now_ns.saturating_sub(due_ns) / 1_000;
                measured.push(u32::try_from(micros).unwrap_or(u32::MAX));
                if let Some(times) = &mut tally.answered_us {
                    times.push(now_us());
                }
            }
        } else {
            self.refused.push(number);
        }
        Ok(())
    }
}

/// Job id and time of a notify.
pub(super) fn job_of(said: &Value) -> Option<(String, String)> {
    let params = said
        .get("params")
        .filter(|_| said.get("method") == Some(&"mining.notify".into()))?;
    let text = |index: usize| params.get(index).and_then(Value::as_str).map(str::to_owned);
    text(0).zip(text(7))
}

impl Generator {
    fn open(settings: LoadSettings) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(|error| failed("poll", error))?;
        let mut conns = Vec::new();
        for number in 0..settings.connections {
            let mut conn = Conn::login(&settings, number)?;
            let token = Token(conns.len());
            poll.registry()
                .register(
                    &mut conn.stream,
                    token,
                    Interest::READABLE | Interest::WRITABLE,
                )
                .map_err(|error| failed("poll", error))?;
            conns.push(conn);
        }
        Ok(Self {
            settings,
            poll,
            conns,
            tally: Tally::default(),
            late: 0,
            start: Instant::now(),
        })
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn moment(&self) -> Result<Moment, Failure> {
        Ok(Moment {
            accepted: self.tally.accepted,
            gateway_cpu_ns: cpu_ns(self.settings.gateway_pid)?,
            generator_cpu_ns: cpu_ns(std::process::id())?,
            at: Instant::now(),
        })
    }

    fn run(mut self) -> Result<LoadFigures, Failure> {
        self.start = Instant::now();
        let warm = Duration::from_millis(self.settings.warm_ms);
        let over = warm + Duration::from_millis(self.settings.measure_ms);
        let mut buffer = vec![0; READ_BYTES];
        let mut events = Events::with_capacity(EVENTS);
        let (mut first, mut last, mut paced) = (None, None, 0);
        if self.settings.pace == 0 {
            for conn in &mut self.conns {
                conn.fill(self.settings.in_flight, 0);
                conn.flush()?;
            }
        }
        loop {
            let elapsed = self.start.elapsed();
            if first.is_none() && warm <= elapsed {
                self.tally.measured = Some(Vec::new());
                self.tally.answered_us = self.settings.tell_times.then(Vec::new);
                self.tally.answered_before = self.tally.accepted;
                first = Some(self.moment()?);
            }
            if last.is_none() && over <= elapsed {
                last = Some((
                    self.moment()?,
                    self.tally.measured.take().unwrap_or_default(),
                ));
            }
            let is_over = last.is_some();
            if is_over && self.conns.iter().all(|conn| conn.waiting.is_empty()) {
                break;
            }
            if over + LAST_ANSWERS < elapsed {
                return Err(Failure::new("some shares were never answered"));
            }
            self.turn(&mut events, &mut buffer, is_over)?;
            if 0 < self.settings.pace && !is_over {
                self.send_due(&mut paced)?;
            }
        }
        let (Some(first), Some((last, measured))) = (first, last) else {
            return Err(Failure::new("nothing was measured"));
        };
        Ok(self.figures(&first, &last, measured))
    }

    fn turn(
        &mut self,
        events: &mut Events,
        buffer: &mut [u8],
        is_over: bool,
    ) -> Result<(), Failure> {
        // Timers are too coarse for a thousand shares a second: an even pace looks at the clock all the time.
        let longest = match self.settings.pace {
            0 => TURN,
            _ if self.settings.tell_times => SHORT_TURN,
            _ => Duration::ZERO,
        };
        match self.poll.poll(events, Some(longest)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(failed("poll", error));
            }
            _ => {}
        }
        let now_ns = self.now_ns();
        for event in events.iter() {
            let Some(conn) = self.conns.get_mut(event.token().0) else {
                continue;
            };
            if event.is_readable() {
                conn.read(buffer, now_ns, &mut self.tally)?;
                if self.settings.pace == 0 && !is_over {
                    conn.fill(self.settings.in_flight, now_ns);
                }
            }
            if !conn.out.is_empty() {
                conn.flush()?;
            }
        }
        Ok(())
    }

    /// Sends the shares whose time has come, each on the next connection.
    fn send_due(&mut self, paced: &mut u64) -> Result<(), Failure> {
        let spacing = 1_000_000_000 / u64::from(self.settings.pace);
        loop {
            let due_ns = paced.saturating_mul(spacing);
            let now_ns = self.now_ns();
            if now_ns < due_ns {
                return Ok(());
            }
            self.late += u64::from(LATE_NS < now_ns - due_ns);
            let connections = u64::from(self.settings.connections);
            let at = usize::try_from(*paced % connections).unwrap_or(0);
            *paced += 1;
            if let Some(conn) = self.conns.get_mut(at) {
                conn.submit(due_ns);
                conn.flush()?;
            }
        }
    }

    fn figures(self, first: &Moment, last: &Moment, mut measured: Vec<u32>) -> LoadFigures {
        measured.sort_unstable();
        let at = |per_mille: usize| {
            let place = (measured.len() * per_mille / 1_000).min(measured.len().saturating_sub(1));
            measured.get(place).copied().unwrap_or(0)
        };
        let nanos = last.at.duration_since(first.at).as_nanos();
        LoadFigures {
            accepted: last.accepted - first.accepted,
            nanos: u64::try_from(nanos).unwrap_or(u64::MAX),
            gateway_cpu_ns: last.gateway_cpu_ns - first.gateway_cpu_ns,
            generator_cpu_ns: last.generator_cpu_ns - first.generator_cpu_ns,
            answer_p50_us: at(500),
            answer_p99_us: at(990),
            late: self.late,
            answered_us: self.tally.answered_us.unwrap_or_default(),
            answered_before: self.tally.answered_before,
            sessions: self
                .conns
                .into_iter()
                .map(|conn| SessionSent {
                    extranonce1: conn.extranonce1,
                    sent: conn.sent,
                    refused: conn.refused,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_everything_else() {
        for (line, said) in [
            (
                &b"{\"id\":17,\"result\":true,\"error\":null}"[..],
                Some((17, true)),
            ),
            (
                b"{\"id\":0,\"result\":null,\"error\":[23,\"low\",null]}",
                Some((0, false)),
            ),
            (
                b"{\"id\":null,\"method\":\"mining.notify\",\"params\":[]}",
                None,
            ),
            (b"{\"id\":", None),
            (b"", None),
        ] {
            assert_eq!(answer(line), said);
        }
    }

    #[test]
    fn numbers_are_written_as_eight_hex_digits() {
        let mut out = Vec::new();
        hex8(&mut out, 0x00ab_cd9f);
        assert_eq!(out, b"00abcd9f");
    }
}
