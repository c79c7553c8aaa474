//! The loop: one thread that owns every connection. A turn reads what came, judges all shares of it together, hands them to
//! the writer, and releases the answers that the writer gave back.

mod answer;
mod counting;
mod leave;
mod lost;
mod read;
mod work;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use orebook_chain::{EthWork, Paying, Template};
use orebook_schema::names::Account;
use orebook_schema::units::WorkUnit;
use orebook_stratum::Speaker;

use crate::activity::Activity;
use crate::awaited::Awaited;
use crate::batch::{Batch, ConnId};
use crate::bridge::{Bridge, Standing, lock};
use crate::caches::Caches;
use crate::checks::Checks;
use crate::clock::{new_secret, now_ms};
use crate::config::GatewayConfig;
use crate::conn::{Cause, Conn};
use crate::doors::{Doors, Entered};
use crate::edge::Edge;
use crate::firewall::Firewall;
use crate::former::Former;
use crate::handle::{FoundBlock, Mail, ParseAccount};
use crate::jobs::JobBook;
use crate::judge::{Bench, Claimed};
use crate::limits::Logins;
use crate::metrics::{SessionCounts, Shared};
use crate::sessions::Sessions;
use crate::tls::Certificates;
use crate::vardiff::Vardiff;

/// Token of the waker; ports and connections are below.
pub(crate) const WAKER: Token = Token(usize::MAX);
/// Readiness events taken at once.
const EVENTS: usize = 1_024;
/// Bytes of the buffer that all reads share: the most of one connection in one turn.
const READ_BYTES: usize = 65_536;
/// Time between looks at connections and jobs.
const LOOK: Duration = Duration::from_millis(100);
/// Batches that are kept to be used again.
const BATCHES_MAX: usize = 64;
/// How long a stopping gateway waits for answers to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Said to miners before the first template.
const NO_TEMPLATE: &str = "no node has given work yet";

/// Names of an account within the hour.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) since: Instant,
    pub(crate) names: HashSet<Box<str>>,
}

pub(crate) use self::counting::note_handed_out;
pub(crate) use self::leave::ENDS;

/// See the module.
pub(crate) struct Loop {
    pub(crate) config: GatewayConfig,
    pub(crate) unit: WorkUnit,
    pub(crate) parse_account: ParseAccount,
    pub(crate) on_block: Box<dyn Fn(FoundBlock) + Send>,
    poll: Poll,
    pub(crate) doors: Doors,
    pub(crate) bridge: Arc<Bridge>,
    mail: Arc<Mutex<Mail>>,
    metrics: Arc<Shared>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) activity: Activity,
    pub(crate) logins: Logins,
    pub(crate) firewall: Firewall,
    pub(crate) certificates: Arc<Certificates>,
    /// TLS handshakes that are not over.
    pub(crate) handshakes: usize,
    /// Connections of this turn that may be read before theirs is.
    pub(crate) shakes_left: usize,
    /// Connections with bytes of a handshake to be read.
    shaking: VecDeque<u32>,
    pub(crate) counts: SessionCounts,
    /// What others see of them.
    shown: SessionCounts,
    pub(crate) conns: Vec<Option<Box<Conn>>>,
    free: Vec<u32>,
    /// Sockets that are closed when what happened to them is counted and shown.
    gone: Vec<TcpStream>,
    generation: u32,
    pub(crate) sessions: Sessions,
    pub(crate) elsewhere: leave::Turns,
    /// While miners leave in waves.
    pub(crate) drain: Option<leave::Drain>,
    pub(crate) names: HashMap<Account, Names>,
    pub(crate) next_worker: u32,
    pub(crate) jobs: JobBook,
    work: Option<(NodeWork, Instant)>,
    /// Of ethash and etchash.
    pub(crate) caches: Option<Caches>,
    /// There is work whose epoch has no cache yet.
    lacks_cache: bool,
    /// Why no node has work; none while one has.
    no_work: Option<String>,
    pub(crate) standing: Standing,
    /// Why nobody is served now.
    pub(crate) shut: Option<String>,
    broadcast: Option<work::Broadcast>,
    /// The last sends of one are to be written in this turn.
    broadcast_began: Option<Instant>,
    last_broadcast: Instant,
    /// Connections with bytes to be read.
    ready: read::Ready,
    /// Connections with something to be written.
    dirty: Vec<u32>,
    /// Its memory while they are gone through; empty between.
    flushing: Vec<u32>,
    pub(crate) spare: Vec<Vec<u8>>,
    buffer: Vec<u8>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) claims: Vec<Claimed>,
    pub(crate) orders: Vec<Order>,
    pub(crate) arena: Vec<u8>,
    pub(crate) bench: Bench,
    pub(crate) awaited: Awaited,
    pub(crate) batch: Batch,
    batches: Vec<Batch>,
    done: Vec<Batch>,
    /// Shares that wait for the writer.
    pub(crate) unanswered: usize,
    pub(crate) now: Instant,
    pub(crate) now_ms: u64,
    next_look: Instant,
    look: usize,
    stopping: Option<Instant>,
    /// When it stops, what is checked is waited for until then.
    ends: Option<Instant>,
}

/// A reply of this turn, in the order of the requests.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// As the claim of this index fares.
    Claim(usize),
    /// These bytes of the turn's arena.
    Lines(ConnId, std::ops::Range<usize>),
}

/// What a loop starts with.
pub(crate) struct LoopParts {
    pub(crate) config: GatewayConfig,
    pub(crate) parse_account: ParseAccount,
    pub(crate) on_block: Box<dyn Fn(FoundBlock) + Send>,
    pub(crate) poll: Poll,
    pub(crate) doors: Doors,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) mail: Arc<Mutex<Mail>>,
    pub(crate) metrics: Arc<Shared>,
    pub(crate) activity: Activity,
    pub(crate) checks: Checks,
    pub(crate) caches: Option<Caches>,
    pub(crate) former: Former,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) firewall: Firewall,
}

/// What nodes give.
#[derive(Clone, Debug)]
pub(crate) enum NodeWork {
    /// With what its coinbase pays besides the pool.
    Template(Arc<Template>, Option<Arc<Paying>>),
    Given(EthWork),
}

impl Loop {
    pub(crate) fn new(parts: LoopParts) -> Self {
        let now = Instant::now();
        let config = parts.config;
        Self {
            unit: config.algorithm.work_unit(),
            jobs: JobBook::new(&config, parts.former),
            parse_account: parts.parse_account,
            on_block: parts.on_block,
            poll: parts.poll,
            doors: parts.doors,
            bridge: parts.bridge,
            mail: parts.mail,
            edge: Arc::clone(&parts.metrics.edge),
            metrics: parts.metrics,
            activity: parts.activity,
            logins: Logins::default(),
            firewall: parts.firewall,
            certificates: parts.certificates,
            handshakes: 0,
            shakes_left: 0,
            shaking: VecDeque::new(),
            counts: SessionCounts::default(),
            shown: SessionCounts::default(),
            conns: Vec::new(),
            free: Vec::new(),
            gone: Vec::new(),
            generation: 0,
            sessions: Sessions::new(new_secret(), config.session_last()),
            elsewhere: leave::Turns::default(),
            drain: None,
            names: HashMap::new(),
            next_worker: 0,
            work: None,
            caches: parts.caches,
            lacks_cache: false,
            no_work: Some(NO_TEMPLATE.to_owned()),
            standing: Standing::default(),
            shut: Some(NO_TEMPLATE.to_owned()),
            broadcast: None,
            broadcast_began: None,
            last_broadcast: now,
            ready: read::Ready::default(),
            dirty: Vec::new(),
            flushing: Vec::new(),
            spare: Vec::new(),
            buffer: vec![0; READ_BYTES],
            scratch: Vec::new(),
            claims: Vec::new(),
            orders: Vec::new(),
            arena: Vec::new(),
            bench: Bench::default(),
            awaited: Awaited::new(parts.checks),
            batch: Batch::new(),
            batches: Vec::new(),
            done: Vec::new(),
            unanswered: 0,
            now,
            now_ms: now_ms(),
            next_look: now,
            look: 0,
            stopping: None,
            ends: None,
            config,
        }
    }

    /// Runs until it is told to stop, or the process must end.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.bridge.has_ended() && !self.is_stopped() {
            if let Err(error) = self.poll.poll(&mut events, Some(self.patience()))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the loop cannot wait for sockets");
                break;
            }
            self.now = Instant::now();
            self.now_ms = now_ms();
            self.note(&events);
            self.turn();
        }
        self.bridge.stop();
        self.activity.finish(self.now_ms);
    }

    fn turn(&mut self) {
        self.take_mail();
        self.release();
        self.take_checked();
        if !self.dirty.is_empty() {
            // Answers leave first: who has not taken his yet is not read in this turn.
            self.show_counts();
            self.flush_dirty();
        }
        self.read_proved();
        self.judge();
        self.hand_over();
        if self.has_newcomers() {
            // Their shares are on the way to the disk, and their answers to them, before somebody comes.
            self.show_counts();
            self.flush_dirty();
            self.give_way();
            self.enter();
            self.read_newcomers();
            self.judge();
            self.hand_over();
        }
        if self.broadcast.is_some() {
            self.give_way();
            self.broadcast_slice();
        }
        if self.next_look <= self.now {
            self.next_look = self.now + LOOK;
            self.look_around();
            self.activity
                .look(self.now, self.now_ms, self.counts.miners);
        }
        // Who hears an answer finds it counted.
        self.show_counts();
        self.flush_dirty();
        self.note_broadcast();
        self.show_counts();
        // Who sees his connection end finds that counted too.
        self.gone.clear();
    }

    /// Much is to be done that is no share's: where the writer has this core too, it goes on now with those that it has, and not
    /// when the system's tick takes the core away from this thread (4 ms at 250 Hz).
    fn give_way(&self) {
        if 0 < self.unanswered {
            std::thread::yield_now();
        }
    }

    fn show_counts(&mut self) {
        if self.shown != self.counts {
            self.shown = self.counts;
            self.metrics.sessions().counts = self.counts;
        }
    }

    /// How long nothing is to be done unless something comes.
    fn patience(&self) -> Duration {
        let busy =
            self.has_readable() || self.broadcast.is_some() || self.doors.any_ready(self.now);
        if busy {
            Duration::ZERO
        } else {
            self.next_look.saturating_duration_since(Instant::now())
        }
    }

    /// Marks who may be read or written.
    fn note(&mut self, events: &Events) {
        for event in events {
            let Token(token) = event.token();
            if event.token() == WAKER {
                continue;
            }
            let Some(slot) = token.checked_sub(self.config.ports.len()) else {
                self.doors.knock(token);
                continue;
            };
            let Some(Some(conn)) = self.conns.get_mut(slot) else {
                continue;
            };
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            conn.is_ending |= event.is_read_closed() || event.is_error();
            if (event.is_readable() || event.is_read_closed() || event.is_error()) && !conn.is_ready
            {
                conn.is_ready = true;
                self.ready.push(slot, conn);
            }
            if event.is_writable() && !conn.is_flushed() {
                self.dirty.push(slot);
            }
        }
    }

    /// What the handle and the writer say.
    fn take_mail(&mut self) {
        let (work, nodes, stop) = {
            let mut mail = lock(&self.mail);
            (mail.work.take(), std::mem::take(&mut mail.nodes), mail.stop)
        };
        for (said, node) in nodes {
            self.activity.node(said, node, self.now_ms);
        }
        let mut changed = false;
        match work {
            Some(Ok(work)) => {
                if let NodeWork::Template(template, _) = &work {
                    self.compare_clocks(template);
                }
                self.work = Some((work, self.now));
                self.no_work = None;
                changed = true;
            }
            Some(Err(why)) => {
                self.no_work = Some(why);
                changed = true;
            }
            None => {}
        }
        if let Some(standing) = self.bridge.take_done(&mut self.done) {
            self.take_standing(standing);
            changed = true;
        }
        changed |= self.lacks_cache && self.has_cache();
        if changed {
            self.open_or_shut();
        }
        if stop && self.stopping.is_none() && self.drain.is_none() {
            self.doors.close(self.poll.registry());
            self.begin_to_end();
        }
    }

    /// Lets in who waits at the doors.
    fn enter(&mut self) {
        if self.stopping.is_some() || !self.doors.any_ready(self.now) {
            return;
        }
        let mut entered = Vec::new();
        let (refused, edge) = (&mut self.counts.refused, &self.edge);
        let turned = |port, why| {
            refused.count(why);
            edge.turned_away(port, why);
        };
        let gone = &mut self.gone;
        self.doors.accept(self.now, &mut entered, gone, turned);
        for one in entered {
            let (port, visitor) = (one.port, one.visitor());
            if let Err(error) = self.admit(one) {
                tracing::warn!(%error, "a connection cannot be served");
                self.doors.left(port, visitor, false, self.now);
            }
        }
    }

    fn admit(&mut self, entered: Entered) -> std::io::Result<()> {
        let mut stream = entered.stream;
        let Some(port) = self.config.ports.get(entered.port) else {
            return Ok(());
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.conns.push(None);
            u32::try_from(self.conns.len() - 1).unwrap_or(u32::MAX)
        });
        let place = usize::try_from(slot).unwrap_or(usize::MAX);
        let token = Token(self.doors.len() + place);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
            self.free.push(slot);
            return Err(error);
        }
        let session = Speaker::new(self.config.speaker());
        let vardiff = Vardiff::new(port.difficulty, self.unit, self.now_ms);
        self.generation = self.generation.wrapping_add(1);
        let from = (entered.port, entered.address, entered.is_counted);
        let conn = Conn::new(stream, self.generation, from, session, vardiff);
        self.edge.accepted(conn.edge);
        self.ready.push(slot, &conn);
        if let Some(place) = self.conns.get_mut(place) {
            *place = Some(Box::new(conn));
        }
        self.counts.accepted += 1;
        self.counts.connections += 1;
        Ok(())
    }

    /// Gives the turn's work to the writer.
    fn hand_over(&mut self) {
        self.jobs.take_gone(&mut self.batch.gone_jobs);
        if self.batch.is_empty() {
            return;
        }
        let next = self.batches.pop().unwrap_or_else(Batch::new);
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.received = self.now;
        batch.now_ms = self.now_ms;
        self.unanswered += batch.shares.len();
        self.counts.share_turns += u64::from(!batch.shares.is_empty());
        self.bridge.send(batch);
    }

    /// A connection has something to be written.
    pub(crate) fn soil(&mut self, slot: u32) {
        self.dirty.push(slot);
    }

    fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.flushing);
        std::mem::swap(&mut dirty, &mut self.dirty);
        for slot in dirty.drain(..) {
            self.flush(slot);
        }
        self.flushing = dirty;
    }

    fn flush(&mut self, slot: u32) {
        let place = usize::try_from(slot).unwrap_or(usize::MAX);
        let Some(Some(conn)) = self.conns.get_mut(place) else {
            return;
        };
        if conn.flush(&mut self.spare, self.now).is_err() {
            return self.close(slot, Cause::Left);
        }
        if self.config.limits.backlog_bytes < conn.backlog() {
            return self.close(slot, Cause::SlowReader);
        }
        let held = conn.unsaid_replies();
        if conn.is_flushed() {
            match conn.closing {
                Some(cause) if held == 0 => self.close(slot, cause),
                // It waited for its answers to leave.
                None if conn.is_parked && held < self.config.limits.unanswered_per_connection => {
                    conn.is_parked = false;
                    self.ready.push(slot, conn);
                }
                _ => {}
            }
        }
    }

    /// Forgets a connection. What it sent stays recorded.
    pub(crate) fn close(&mut self, slot: u32, cause: Cause) {
        let place = usize::try_from(slot).unwrap_or(usize::MAX);
        let Some(mut conn) = self.conns.get_mut(place).and_then(Option::take) else {
            return;
        };
        if let Some(tls) = &mut conn.tls {
            self.handshakes = self
                .handshakes
                .saturating_sub(usize::from(tls.since.is_some()));
            if let Some(stream) = &mut conn.stream {
                tls.end(stream);
            }
        }
        if let Some(mut stream) = conn.stream.take() {
            if let Err(error) = self.poll.registry().deregister(&mut stream) {
                tracing::debug!(%error, "a socket was not deregistered");
            }
            self.gone.push(stream);
        }
        let visitor = conn.is_counted.then_some(conn.address);
        self.doors
            .left(conn.port, visitor, conn.is_proved, self.now);
        self.note_ending(&conn, cause);
        let id = ConnId {
            slot,
            generation: conn.generation,
        };
        if let Some(number) = conn.number {
            if 0 < conn.accepted {
                let shares = (conn.accepted, conn.rejected);
                self.activity.closed(number, cause, shares, self.now_ms);
            }
            if self.sessions.end(number, id)
                && let Some(former) = conn.leave()
            {
                self.sessions.keep(number, former, self.now);
            }
        }
        self.counts.connections = self.counts.connections.saturating_sub(1);
        let is_miner = conn.session.may_send_work();
        self.counts.miners = self.counts.miners.saturating_sub(u64::from(is_miner));
        self.counts.closed.count(cause);
        self.edge
            .go(conn.edge, conn.is_counted_miner, conn.expected);
        self.edge.closed(conn.edge, cause);
        self.free.push(slot);
        self.lose(conn, id);
    }

    pub(crate) fn note_handshake_time(&self, took: Duration) {
        self.metrics.sessions().handshake_ns.record(took, 1);
    }

    fn is_stopped(&mut self) -> bool {
        let Some(since) = self.stopping else {
            return false;
        };
        if !self.awaited.is_empty() && self.ends.is_some_and(|ends| self.now < ends) {
            // The time of the last answers begins when the last check ended.
            self.stopping = Some(self.now);
            return false;
        }
        let everybody_left = self.conns.iter().all(Option::is_none) && self.unanswered == 0;
        everybody_left || LAST_ANSWERS <= self.now.saturating_duration_since(since)
    }
}
