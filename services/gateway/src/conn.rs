//! A connection: its socket, what it has said so far, and what it has not read yet. An idle one owns no buffer.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use orebook_schema::Work;
use orebook_schema::activity::AgentText;
use orebook_schema::names::{Account, WorkerName};
use orebook_schema::units::{U256, WorkUnit};
use orebook_stratum::write::{Reconnect, write_set_difficulty, write_show_message};
use orebook_stratum::{Dialect, DifficultyText, Speaker};

use crate::agents::AgentFamily;
use crate::awaited::Held;
use crate::batch::{JobKey, WorkerKey};
use crate::edge::EdgePlace;
use crate::jobs::{JobWork, LiveJob};
use crate::limits::ShareWindow;
use crate::sessions::Former;
use crate::silence::Silence;
use crate::tls::Tls;
use crate::vardiff::Vardiff;

/// Spare buffers that are kept for connections with something to say.
const SPARE_MAX: usize = 1_024;
/// A spare buffer larger than this is given back to the system.
const SPARE_BYTES_MAX: usize = 16_384;

/// Why a connection is closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It ended, or the socket failed.
    Left,
    Protocol,
    /// A request of the web's.
    Http,
    /// A PROXY header where none is taken, or none where one is due.
    Proxy,
    TlsOnPlain,
    /// Something plain on a port with TLS.
    PlainOnTls,
    /// TLS that is wrong, or of a version that is not spoken.
    Tls,
    /// A handshake that took too long, or was one too many.
    Handshake,
    SlowReader,
    LoginTimeout,
    FailedLogins,
    /// An operator banned its account or its address.
    Banned,
    BadShares,
    /// Its login is kept out for a while, for its shares.
    KeptOut,
    /// What a load balancer brought has no room at its address.
    TurnedAway,
    /// It was silent for longer than its difficulty and pace explain.
    Idle,
    /// Its session goes on at another connection.
    Resumed,
    /// It was sent elsewhere and did not go.
    Drained,
    NoWork,
    /// The gateway stops.
    Stopping,
}

impl Cause {
    /// As `/metrics` has them, by [`Self::index`].
    pub(crate) const NAMES: [&str; 20] = [
        "left",
        "protocol",
        "http",
        "proxy",
        "tls_on_plain",
        "plain_on_tls",
        "tls",
        "handshake",
        "slow_reader",
        "login_timeout",
        "failed_logins",
        "banned",
        "bad_shares",
        "kept_out",
        "turned_away",
        "idle",
        "resumed",
        "drained",
        "no_work",
        "stopping",
    ];

    /// In the order of their declaration.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// A user of a session.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// As it was written at authorize.
    pub(crate) text: Box<str>,
    pub(crate) account: Account,
    pub(crate) name: WorkerName,
    /// How the writer knows it, since its first accepted share, with the version mask it has there.
    pub(crate) introduced: Option<(WorkerKey, u32)>,
    /// The activity log knows of its first accepted share.
    pub(crate) is_said: bool,
    /// Its shares of late.
    pub(crate) window: ShareWindow,
    /// Until then its shares are refused, where others share its connection.
    pub(crate) barred: Option<Instant>,
}

/// What a session's shares of a job must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) work: Work,
    pub(crate) target: U256,
}

/// Where a job got another difficulty, shares that were found at the one before come for so long: a round trip, and what
/// a miner's software takes to heed it.
const UNDERWAY: Duration = Duration::from_secs(5);

/// A job that got another difficulty while its session worked on it.
#[derive(Clone, Copy, Debug)]
struct Eased {
    job: JobKey,
    before: Due,
    until: Instant,
}

/// What a session was sent last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) job: JobKey,
    pub(crate) parent: u32,
    /// At which difficulty.
    pub(crate) work: Work,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Conn {
    /// None once it ended.
    pub(crate) stream: Option<TcpStream>,
    /// Its TLS, once it said hello.
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) generation: u32,
    /// Index of its port.
    pub(crate) port: usize,
    /// Its client's, once [`Conn::is_counted`]; until then the load balancer's.
    pub(crate) address: IpAddr,
    /// Who speaks to us, or the client that a PROXY header named: whom an HTTP request comes from unless it was forwarded.
    pub(crate) peer: IpAddr,
    /// Whether it counts at its address. If not, a PROXY header is due, or an HTTP request.
    pub(crate) is_counted: bool,
    pub(crate) since: Instant,
    /// Session number, once subscribed.
    pub(crate) number: Option<u32>,
    pub(crate) session: Speaker,
    /// By [`orebook_stratum::UserNumber`].
    pub(crate) users: Vec<User>,
    pub(crate) vardiff: Vardiff,
    pub(crate) silence: Silence,
    /// From which job on which difficulty holds, ascending.
    works: Vec<(JobKey, Due)>,
    pub(crate) sent: Option<Sent>,
    eased: Option<Eased>,
    /// What its session was sent last at a former connection.
    resumed: Option<Sent>,
    /// The newest job that its session was sent.
    top: Option<JobKey>,
    /// When it was sent elsewhere.
    pub(crate) told: Option<Instant>,
    /// Bytes of a line that is not whole yet.
    pub(crate) partial: Vec<u8>,
    /// What the peer has not taken yet.
    out: Vec<u8>,
    /// Since when the peer takes nothing.
    pub(crate) blocked: Option<Instant>,
    /// Replies in batches.
    pub(crate) waiting: u32,
    /// Replies that wait for a check, or behind one that does.
    pub(crate) held: VecDeque<Held>,
    /// Claims of this turn that have no verdict yet.
    pub(crate) claims: u32,
    /// It may have bytes to be read.
    pub(crate) is_ready: bool,
    /// It is read on when it has taken its answers.
    pub(crate) is_parked: bool,
    /// Its end stands behind the last bytes: no further event tells of it.
    pub(crate) is_ending: bool,
    /// It waits for a job with another difficulty.
    pub(crate) wants_job: bool,
    pub(crate) has_said_anything: bool,
    pub(crate) failed_logins: u32,
    pub(crate) bad_shares: u32,
    /// Good shares that were not yet counted for its address; the first one was, once [`Conn::is_proved`].
    pub(crate) earned: u32,
    /// It had a good share.
    pub(crate) is_proved: bool,
    /// Shares answered `true`, and refused ones.
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// Users that were introduced and are not said yet.
    pub(crate) unsaid: u32,
    pub(crate) agent: AgentText,
    /// Where it is counted.
    pub(crate) edge: EdgePlace,
    /// What is expected of it there, hashes a second.
    pub(crate) expected: u64,
    /// It is counted there as a miner.
    pub(crate) is_counted_miner: bool,
    pub(crate) trip: Trip,
    /// Closed once everything is answered and taken.
    pub(crate) closing: Option<Cause>,
}

/// How a connection's round trip is measured: from our first reply to what its client says next, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trip {
    Due,
    Begun(Instant),
    Over,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes; there may be more.
    More(usize),
    /// So many bytes, and no more now.
    Last(usize),
    /// The peer sends no more.
    End,
}

impl Conn {
    pub(crate) fn new(
        stream: TcpStream,
        generation: u32,
        (port, address, is_counted): (usize, IpAddr, bool),
        session: Speaker,
        vardiff: Vardiff,
    ) -> Self {
        let now = Instant::now();
        Self {
            stream: Some(stream),
            tls: None,
            generation,
            port,
            address,
            peer: address,
            is_counted,
            since: now,
            number: None,
            session,
            users: Vec::new(),
            vardiff,
            silence: Silence::new(now),
            works: Vec::new(),
            sent: None,
            eased: None,
            resumed: None,
            top: None,
            told: None,
            partial: Vec::new(),
            out: Vec::new(),
            blocked: None,
            waiting: 0,
            held: VecDeque::new(),
            claims: 0,
            is_ready: true,
            is_parked: false,
            is_ending: false,
            wants_job: false,
            has_said_anything: false,
            failed_logins: 0,
            bad_shares: 0,
            earned: 0,
            is_proved: false,
            accepted: 0,
            rejected: 0,
            unsaid: 0,
            agent: AgentText::default(),
            edge: EdgePlace::new(port, None, AgentFamily::NONE),
            expected: 0,
            is_counted_miner: false,
            trip: Trip::Due,
            closing: None,
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// The socket's; the connection is lost.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Found> {
        let Some(stream) = &mut self.stream else {
            return Ok(Found::End);
        };
        if let Some(tls) = &mut self.tls {
            return tls.read(stream, buffer);
        }
        loop {
            return match stream.read(buffer) {
                Ok(0) => Ok(Found::End),
                // epoll(7): a short read of a stream says that it is drained, but for its end.
                Ok(len) if len < buffer.len() && !self.is_ending => Ok(Found::Last(len)),
                Ok(len) => Ok(Found::More(len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Found::Last(0)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// What is to be said next; a spare buffer is taken if it had none.
    pub(crate) fn out(&mut self, spare: &mut Vec<Vec<u8>>) -> &mut Vec<u8> {
        if self.out.capacity() == 0
            && let Some(buffer) = spare.pop()
        {
            self.out = buffer;
        }
        &mut self.out
    }

    /// Whether nothing is left to be taken by the peer.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty() && self.tls.as_ref().is_none_or(|tls| tls.is_flushed())
    }

    /// Bytes that the peer has not taken yet.
    pub(crate) const fn backlog(&self) -> usize {
        self.out.len()
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// The socket's; the connection is lost.
    pub(crate) fn flush(&mut self, spare: &mut Vec<Vec<u8>>, now: Instant) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut done = 0;
        if let Some(tls) = &mut self.tls {
            done = tls.write(stream, &self.out)?;
            if done == self.out.len() && !tls.is_flushed() {
                // The last bytes are enciphered and not taken yet.
                self.out.clear();
                self.blocked.get_or_insert(now);
                return Ok(());
            }
        }
        while let Some(left) = self.out.get(done..)
            && self.tls.is_none()
            && !left.is_empty()
        {
            match stream.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if done == self.out.len() {
            self.blocked = None;
            let mut buffer = std::mem::take(&mut self.out);
            if spare.len() < SPARE_MAX
                && 0 < buffer.capacity()
                && buffer.capacity() <= SPARE_BYTES_MAX
            {
                buffer.clear();
                spare.push(buffer);
            }
        } else {
            self.out.drain(..done);
            if 0 < done {
                self.blocked = None;
            }
            self.blocked.get_or_insert(now);
        }
        Ok(())
    }

    /// Gives its socket and its buffers back: nothing is heard or said any more. What its address has of its shares is
    /// settled.
    pub(crate) fn end(&mut self) {
        self.stream = None;
        self.tls = None;
        self.partial = Vec::new();
        self.out = Vec::new();
        self.is_proved = true;
        self.earned = 0;
    }

    /// Replies that are not said yet.
    pub(crate) fn unsaid_replies(&self) -> usize {
        let waiting = usize::try_from(self.waiting).unwrap_or(usize::MAX);
        waiting.saturating_add(self.held.len())
    }

    /// Whether work may be handed to it.
    pub(crate) fn is_miner(&self) -> bool {
        self.closing.is_none() && self.session.may_send_work()
    }

    /// The difficulty that a job was sent with; `None` if it is older than what this session was ever sent.
    pub(crate) fn work_of(&self, job: JobKey) -> Option<Due> {
        let sent = self.works.iter().rev().find(|(from, _)| *from <= job);
        sent.map(|(_, due)| *due)
    }

    /// What a share of a job must be that comes now. For a while after a job's difficulty changed nobody knows at which one a
    /// share was found: it is the lower of both, so that an honest share is good and a lucky one gains nothing.
    pub(crate) fn due(&self, job: JobKey, now: Instant) -> Option<Due> {
        let due = self.work_of(job)?;
        let eased = self.eased.filter(|eased| eased.job == job);
        let eased = eased.filter(|eased| now < eased.until && eased.before.work < due.work);
        Some(eased.map_or(due, |eased| eased.before))
    }

    /// Gives the job that it works on the difficulty that is wanted now, where the job cannot be made again since its header is
    /// the node's. Whether that is another one. Not while shares of the last change may be on their way.
    pub(crate) fn ease(&mut self, job: JobKey, unit: WorkUnit, now: Instant) -> bool {
        let wanted = self.vardiff.wanted();
        let is_settled = self.eased.is_none_or(|eased| eased.until <= now);
        let before = self.work_of(job).filter(|due| due.work != wanted);
        let Some(before) = before.filter(|_| is_settled && self.top == Some(job)) else {
            return false;
        };
        let due = Due {
            work: wanted,
            target: wanted.target(unit),
        };
        match self.works.last_mut() {
            Some((from, last)) if *from == job => *last = due,
            _ => self.works.push((job, due)),
        }
        self.eased = Some(Eased {
            job,
            before,
            until: now + UNDERWAY,
        });
        true
    }

    /// Sends the job that it has once more, at the difficulty that is wanted now. Whether it did.
    pub(crate) fn send_again(
        &mut self,
        job: &LiveJob,
        unit: WorkUnit,
        now: Instant,
        spare: &mut Vec<Vec<u8>>,
    ) -> bool {
        let has_it = self.sent.is_some_and(|sent| job.key == sent.job);
        let JobWork::Given(given) = &job.work else {
            return false;
        };
        if !self.is_miner() || !has_it || !self.ease(job.key, unit, now) {
            return false;
        }
        let work = self.vardiff.wanted();
        self.wants_job = false;
        if let Some(sent) = &mut self.sent {
            sent.work = work;
        }
        let mut out = std::mem::take(self.out(spare));
        self.session
            .send_ethash(&mut out, &given.lines, work, false);
        self.out = out;
        true
    }

    /// Takes what another connection of its session needs to go on; `None` if it never had a job.
    pub(crate) fn leave(&mut self) -> Option<Former> {
        let works = std::mem::take(&mut self.works);
        (!works.is_empty()).then(|| Former {
            works,
            sent: self.sent.or(self.resumed),
            top: self.top,
            vardiff: self.vardiff,
        })
    }

    /// Goes on where a former connection of its session ended: the jobs of then keep their difficulties.
    pub(crate) fn resume(&mut self, former: Former, now_ms: u64) {
        self.vardiff.resume(former.vardiff, now_ms);
        self.works = former.works;
        self.resumed = former.sent;
        self.top = former.top;
    }

    /// The difficulty of its newest job, or of the next one.
    pub(crate) fn difficulty(&self) -> Work {
        let newest = self.works.last();
        newest.map_or(self.vardiff.wanted(), |(_, due)| due.work)
    }

    /// If its difficulty is another than that of its last job, it wants a new job.
    pub(crate) fn note_difficulty(&mut self) {
        let wanted = self.vardiff.wanted();
        self.wants_job = self.works.last().is_some_and(|(_, due)| due.work != wanted);
    }

    /// Whether what it says may be HTTP.
    pub(crate) fn may_be_web(&self) -> bool {
        matches!(self.session.dialect(), None | Some(Dialect::GetWork))
    }

    /// Says something.
    pub(crate) fn say(
        &mut self,
        spare: &mut Vec<Vec<u8>>,
        write: impl FnOnce(&Speaker, &mut Vec<u8>),
    ) {
        let mut out = std::mem::take(self.out(spare));
        write(&self.session, &mut out);
        self.out = out;
    }

    /// Shows a text to a person, where the dialect has words for that.
    pub(crate) fn show(&mut self, text: &str, spare: &mut Vec<Vec<u8>>) {
        let dialect = self.session.dialect();
        if matches!(dialect, Some(Dialect::StratumV1 | Dialect::NiceHash)) {
            write_show_message(self.out(spare), text);
        }
    }

    /// Sends it elsewhere; whether the dialect has words for that.
    pub(crate) fn reconnect(&mut self, to: Reconnect<'_>, spare: &mut Vec<Vec<u8>>) -> bool {
        let mut is_said = false;
        self.say(spare, |speaker, out| {
            is_said = speaker.reconnect(out, Some(to));
        });
        is_said
    }

    /// The difficulty of a job that it is about to be given, from now on what its shares of the job are worth.
    pub(crate) fn take_job(&mut self, job: &LiveJob, oldest: JobKey, unit: WorkUnit) -> Work {
        // A job keeps the difficulty that it was sent with, also where its session goes on.
        let kept = self.work_of(job.key);
        let kept = kept.filter(|_| self.top.is_some_and(|top| job.key <= top));
        let work = kept.map_or(self.vardiff.wanted(), |due| due.work);
        let differs = self.works.last().is_none_or(|(_, due)| due.work != work);
        if differs && kept.is_none() {
            let needless = self.works.iter().rposition(|(from, _)| *from <= oldest);
            self.works.drain(..needless.unwrap_or(0));
            let due = Due {
                work,
                target: work.target(unit),
            };
            self.works.push((job.key, due));
        }
        self.wants_job = work != self.vardiff.wanted();
        self.top = self.top.max(Some(job.key));
        self.sent = Some(Sent {
            job: job.key,
            parent: job.parent,
            work,
        });
        work
    }

    /// Sends a job, with a new difficulty before it if there is one, unless it has this one. Whether it did.
    pub(crate) fn send_job(
        &mut self,
        job: &LiveJob,
        oldest: JobKey,
        unit: WorkUnit,
        spare: &mut Vec<Vec<u8>>,
    ) -> bool {
        if !self.is_miner() || self.sent.is_some_and(|sent| job.key == sent.job) {
            return false;
        }
        let (told, former) = (self.sent, self.sent.or(self.resumed));
        let clean = former.is_none_or(|sent| sent.parent != job.parent);
        let work = self.take_job(job, oldest, unit);
        match &job.work {
            JobWork::Built(built) => {
                let is_told = told.is_some_and(|told| told.work == work);
                let text = (!is_told)
                    .then(|| DifficultyText::parse(&work.shown(unit)))
                    .flatten();
                let out = self.out(spare);
                if let Some(text) = &text {
                    write_set_difficulty(out, text);
                }
                out.extend_from_slice(built.notification(clean));
            }
            JobWork::Given(given) => {
                let mut out = std::mem::take(self.out(spare));
                self.session
                    .send_ethash(&mut out, &given.lines, work, clean);
                self.out = out;
            }
        }
        true
    }
}
