//! Shares by the hundred thousand: rigs that hash nothing. At the least difficulty every header is a share, so a rig only
//! counts: its extranonce2 is the number of the session, its nonce the number of the share. They come again whenever they
//! are sent away, and remember what each share was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orebook_schema::genesis::Algorithm;
use orebook_tests::pool::{DEADLINE, Pool};
use orebook_tests::shares::each_share;
use serde_json::{Value, json};

/// Shares of a connection that wait for their answers.
const IN_FLIGHT: usize = 256;
/// Longest that a rig waits for anything before it looks whether it is over, or comes again.
const PATIENCE: Duration = Duration::from_millis(20);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// How long spools may take to drain on a busy machine, once nothing fails any more.
const DRAIN: Duration = Duration::from_secs(120);

/// The walk's pool at the least difficulty: every hash but one of 65,536 is a share. Blocks are as rare as before.
const CONFIG: &str = r#"
[pool]
text = "/flood/"

[development]
difficulty = "BLOCK"
block_seconds = 2
maturity = 3
foreign_one_in = 6
orphan_one_in = 9
miners = []

[http]
listen = "127.0.0.1:0"

[settler]
poll_ms = 100
grace_ms = 2000

[spool]
file_bytes = 16777216
total_bytes = 1073741824

[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.00000000025"

[[gateway]]
commit_ms = 0
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.00000000025"
[[gateway.port]]
listen = "127.0.0.1:0"
pot = 1
difficulty = "0.00000000025"
"#;

/// That pool's configuration. The first blocks have this difficulty; 0.000001 is one of 4,295 shares.
pub(crate) fn config(block: &str) -> String {
    CONFIG.replace("BLOCK", block)
}

/// Rigs: port of that pool, and user.
pub(crate) const FLOOD: [(usize, &str); 4] = [
    (0, "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu.one"),
    (0, "ob1qh5cxgfwcw0wra8732g8xjw256mtqt69ddndjl4.two"),
    (1, "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu.three"),
    (2, "ob1qh5cxgfwcw0wra8732g8xjw256mtqt69ddndjl4.solo"),
];

/// What a rig knows of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was sent; the connection ended before the answer.
    Unknown,
    /// `true`.
    Accepted,
    /// An error.
    Refused,
}

/// Shares of each session, by its number: the share's own is its place.
type Told = BTreeMap<u32, Vec<Fate>>;

/// What all rigs share, over every life of a pool.
#[derive(Debug)]
struct Common {
    started: Instant,
    /// Shares a second of all rigs.
    pace: u64,
    /// Rigs that have a connection.
    connected: AtomicU64,
    /// Shares that were allowed to leave.
    sent: AtomicU64,
    stop: AtomicBool,
    sessions: AtomicU32,
    accepted: AtomicU64,
    told: Mutex<Told>,
    /// Where the pool listens now; none while it is down.
    ports: Mutex<Vec<SocketAddr>>,
}

/// Rigs on threads of their own.
#[derive(Debug)]
pub(crate) struct Flood {
    common: Arc<Common>,
    threads: Vec<JoinHandle<()>>,
}

/// What became of everything that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) sessions: usize,
    pub(crate) accepted: u64,
    pub(crate) unknown: u64,
    pub(crate) refused: u64,
}

impl Flood {
    /// A rig for each of these, port of the pool and user: together so many shares a second at most.
    pub(crate) fn start(rigs: &[(usize, &str)], pace: u64) -> Self {
        let common = Arc::new(Common {
            started: Instant::now(),
            pace,
            connected: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            sessions: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            told: Mutex::default(),
            ports: Mutex::default(),
        });
        let start = |(port, user): &(usize, &str)| {
            let (common, port, user) = (common.clone(), *port, (*user).to_owned());
            std::thread::spawn(move || {
                while !common.stop.load(Ordering::Acquire) {
                    let address = common.held(&common.ports).get(port).copied();
                    // Without a pool, or sent away: it comes again.
                    if address.is_none_or(|address| common.session(address, &user).is_err()) {
                        std::thread::park_timeout(PATIENCE);
                    }
                }
            })
        };
        Self {
            threads: rigs.iter().map(start).collect(),
            common,
        }
    }

    /// The pool listens here from now on.
    pub(crate) fn goes_to(&self, ports: &[SocketAddr]) {
        ports.clone_into(&mut self.common.held(&self.common.ports));
    }

    /// The rigs rest until they are told where to go. What was sent before is answered, or never will be.
    pub(crate) fn pause(&self) {
        self.goes_to(&[]);
        let started = Instant::now();
        while 0 < self.common.connected.load(Ordering::Acquire) {
            assert!(started.elapsed() < DEADLINE, "rigs do not rest");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Shares that were answered `true` so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.common.accepted.load(Ordering::Acquire)
    }

    /// Waits until so many shares more were answered `true`.
    pub(crate) fn go_on(&self, shares: u64, what: &str) {
        let until = self.accepted() + shares;
        let started = Instant::now();
        while self.accepted() < until {
            assert!(started.elapsed() < DEADLINE, "{what}: miners notice");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Ends it. Returns what was answered.
    pub(crate) fn end(self) -> Answers {
        self.common.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().expect("a rig's thread");
        }
        Answers(std::mem::take(&mut *self.common.held(&self.common.told)))
    }
}

/// Waits until the pages show as many shares of all users as were answered `true`.
pub(crate) fn drained(pool: &Pool, accepted: u64) {
    let shown = |account: &str| {
        let said = pool.json(&format!("/api/v1/accounts/{account}"));
        let count = |what: &str| said[what].as_u64().expect("a count");
        count("accepted") + count("stale")
    };
    let accounts: BTreeSet<&str> = FLOOD
        .iter()
        .filter_map(|(_, user)| user.split('.').next())
        .collect();
    let started = Instant::now();
    loop {
        let sum: u64 = accounts.iter().map(|account| shown(account)).sum();
        if accepted <= sum {
            return;
        }
        assert!(
            started.elapsed() < DRAIN,
            "{sum} of {accepted} shares are shown"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// What rigs were answered.
#[derive(Debug)]
pub(crate) struct Answers(Told);

impl Answers {
    /// Shares that were answered `true`.
    pub(crate) fn accepted(&self) -> u64 {
        let fates = self.0.values().flatten();
        fates.filter(|fate| **fate == Fate::Accepted).count() as u64
    }

    /// What was answered `true` is once in the ledger below `dir`, nothing is there twice, and nothing that was refused or
    /// that nobody sent; each is worth what the ledger says.
    pub(crate) fn are_in(&self, dir: &Path) -> Sums {
        let mut times: BTreeMap<u32, Vec<u8>> = self
            .0
            .iter()
            .map(|(session, told)| (*session, vec![0; told.len()]))
            .collect();
        each_share(dir, Algorithm::Sha256d, |counted| {
            let (share, position) = (counted.share, counted.position);
            assert!(
                counted.has_its_work,
                "position {position}: {share:?} has not its work"
            );
            let session: Option<[u8; 4]> = share.extranonce2.bytes().try_into().ok();
            let session = session.map(u32::from_be_bytes).unwrap_or(u32::MAX);
            let place = times.get_mut(&session).and_then(|times| {
                times.get_mut(usize::try_from(share.nonce).unwrap_or(usize::MAX))
            });
            let place =
                place.unwrap_or_else(|| panic!("position {position}: nobody sent {share:?}"));
            *place = place.saturating_add(1);
        });
        let mut sums = Sums {
            sessions: self.0.len(),
            ..Sums::default()
        };
        for (session, told) in &self.0 {
            for (number, (fate, times)) in told.iter().zip(&times[session]).enumerate() {
                let (counter, right) = match fate {
                    Fate::Accepted => (&mut sums.accepted, *times == 1),
                    Fate::Unknown => (&mut sums.unknown, *times <= 1),
                    Fate::Refused => (&mut sums.refused, *times == 0),
                };
                *counter += 1;
                assert!(
                    right,
                    "share {number} of session {session}, {fate:?}, is in the ledger {times} times"
                );
            }
        }
        sums
    }
}

impl Common {
    fn held<'m, T>(&self, mutex: &'m Mutex<T>) -> std::sync::MutexGuard<'m, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of so many shares may leave now.
    fn allow(&self, wanted: usize) -> usize {
        let millis = u64::try_from(self.started.elapsed().as_millis()).expect("not for ever");
        let due = millis * self.pace / 1_000;
        let left = due.saturating_sub(self.sent.load(Ordering::Acquire));
        let allowed = wanted.min(usize::try_from(left).unwrap_or(usize::MAX));
        self.sent.fetch_add(allowed as u64, Ordering::AcqRel);
        allowed
    }

    /// One connection, until it ends or the pool moves elsewhere.
    fn session(&self, address: SocketAddr, user: &str) -> std::io::Result<()> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // Numbers are not used twice, in no life of the pool.
        let number = self.sessions.fetch_add(1, Ordering::AcqRel);
        let mut session = Session {
            stream,
            user: user.to_owned(),
            number,
            job: None,
            told: Vec::new(),
            waiting: 0,
            rest: Vec::new(),
        };
        self.connected.fetch_add(1, Ordering::AcqRel);
        let ended = session.run(self, address);
        self.connected.fetch_sub(1, Ordering::AcqRel);
        if !session.told.is_empty() {
            self.held(&self.told).insert(number, session.told);
        }
        ended
    }
}

struct Session {
    stream: TcpStream,
    user: String,
    number: u32,
    /// Id and time of the newest job.
    job: Option<(String, String)>,
    told: Vec<Fate>,
    /// Unanswered shares: the last so many.
    waiting: usize,
    /// The beginning of a line whose end did not come yet.
    rest: Vec<u8>,
}

impl Session {
    fn run(&mut self, common: &Common, address: SocketAddr) -> std::io::Result<()> {
        let subscribe = json!({"id": "s", "method": "mining.subscribe", "params": ["flood"]});
        let authorize =
            json!({"id": "a", "method": "mining.authorize", "params": [self.user, "x"]});
        self.stream
            .write_all(format!("{subscribe}\n{authorize}\n").as_bytes())?;
        let mut buffer = vec![0; READ_BYTES];
        let mut last = Instant::now();
        loop {
            // Its pool moves, or all is over: what was sent is waited for, then it goes.
            let moved = !common.held(&common.ports).contains(&address);
            let over = moved || common.stop.load(Ordering::Acquire);
            if over && self.waiting == 0 {
                return Ok(());
            }
            if !over && self.job.is_some() {
                self.fill(common)?;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => {
                    last = Instant::now();
                    self.take(&buffer[..len], common);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    // A process that is killed closes its connections, one that lives answers.
                    let in_time = self.waiting == 0 || last.elapsed() < DEADLINE;
                    assert!(in_time, "{}: no answer", self.user);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends shares until enough wait for their answers.
    fn fill(&mut self, common: &Common) -> std::io::Result<()> {
        let Some((job, time)) = &self.job else {
            return Ok(());
        };
        // Half of them at once: few large writes.
        if IN_FLIGHT / 2 < self.waiting {
            return Ok(());
        }
        let allowed = common.allow(IN_FLIGHT - self.waiting);
        let mut out = String::new();
        for _ in 0..allowed {
            let share = self.told.len();
            let (user, number) = (&self.user, self.number);
            out += &format!(
                "{{\"id\":{share},\"method\":\"mining.submit\",\"params\":[\"{user}\",\"{job}\",\"{number:08x}\",\"{time}\",\
                 \"{share:08x}\"]}}\n"
            );
            self.told.push(Fate::Unknown);
        }
        self.waiting += allowed;
        self.stream.write_all(out.as_bytes())
    }

    fn take(&mut self, bytes: &[u8], common: &Common) {
        self.rest.extend_from_slice(bytes);
        let mut accepted = 0;
        let whole = std::mem::take(&mut self.rest);
        let mut lines = whole.as_slice();
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = lines.split_at(end);
            lines = &rest[1..];
            accepted += u64::from(self.line(line));
        }
        self.rest = lines.to_vec();
        common.accepted.fetch_add(accepted, Ordering::AcqRel);
    }

    /// Whether the line says that a share was accepted.
    fn line(&mut self, line: &[u8]) -> bool {
        let digits = line
            .strip_prefix(b"{\"id\":")
            .and_then(|rest| Some((rest, rest.iter().position(|byte| !byte.is_ascii_digit())?)))
            .filter(|(_, digits)| 0 < *digits);
        if let Some((rest, digits)) = digits {
            let id = str::from_utf8(&rest[..digits]).expect("digits");
            let place: usize = id.parse().expect("a share's number");
            let accepted = rest[digits..].starts_with(b",\"result\":true");
            assert_eq!(self.told[place], Fate::Unknown, "answered twice");
            self.told[place] = if accepted {
                Fate::Accepted
            } else {
                Fate::Refused
            };
            self.waiting -= 1;
            return accepted;
        }
        let said: Value = serde_json::from_slice(line).expect("a line of JSON");
        if said["method"] == "mining.notify" {
            let text = |index: usize| said["params"][index].as_str().map(str::to_owned);
            self.job = text(0).zip(text(7));
        }
        false
    }
}
