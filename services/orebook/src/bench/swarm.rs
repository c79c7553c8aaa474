//! The process with many connections: one thread, bytes made beforehand. It holds rigs, lets them lose their power and come
//! back, logs in and goes, or floods with logins that fail, at a rate that does not wait for the gateway.

use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use super::ground::{LOGIN, failed};
use super::process::cpu_ns;
use super::secure;
use crate::{Failure, print};

/// Bytes read from a socket at once.
const READ_BYTES: usize = 65_536;
/// Events of one turn.
const EVENTS: usize = 1_024;
/// Sleep of a turn while connections are due.
const TURN: Duration = Duration::from_millis(1);
/// Time between looks at sockets while none is. Nobody waits at them: that each send to one of ten thousand machines wakes one
/// and the same process is nothing that a gateway would have to pay for.
const LOOK: Duration = Duration::from_millis(5);
/// Connections that are not done at one time: the gateway's files are not only for these.
const UNDONE_MAX: usize = 4_000;
/// How long who was begun in time may need beyond it.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// Longest wait for all rigs to be logged in.
const HOLD_MAX: Duration = Duration::from_secs(60);
/// A connection that is being made: EINPROGRESS of Linux.
const ON_ITS_WAY: i32 = 115;
/// Who nobody knows: a registered name has no such letter.
const NOBODY: &str = "nobody?";

/// What the process is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SwarmSettings {
    pub(super) address: SocketAddr,
}

/// Loopback addresses that connections come from, in turn.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Sources {
    pub(super) first: Ipv4Addr,
    pub(super) count: u32,
}

/// What it is told next, a line each; it answers each with [`SwarmFigures`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum SwarmOrder {
    /// So many connect, log in and stay.
    Hold { from: Sources, rigs: u32 },
    /// So many at a time connect, subscribe, log in, hear of the job and go, and others come, for so long.
    Login {
        from: Sources,
        at_a_time: u32,
        millis: u64,
    },
    /// Logins that fail, so many a second for so long, so many on a connection.
    Flood {
        from: Sources,
        rate: u32,
        of_connection: u32,
        millis: u64,
    },
    /// All that stay lose their power and come back, so many a second; again whenever all are back, for so long.
    PowerCut { rate: u32, millis: u64 },
    /// So many connect over TLS, log in and stay.
    HoldTls { rigs: u32 },
    /// What came meanwhile.
    Tell,
}

/// What it did since it answered last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SwarmFigures {
    pub(super) nanos: u64,
    /// Its own processor time.
    pub(super) cpu_ns: u64,
    pub(super) connections: u64,
    /// Connections that could not be made.
    pub(super) unmade: u64,
    /// Logins that were sent.
    pub(super) logins: u64,
    /// Answered `true`, with a job.
    pub(super) logged_in: u64,
    /// Answered with an error.
    pub(super) refused: u64,
    /// Connections that were told at the door why they are kept out.
    pub(super) told: u64,
    /// Connections that ended without an answer.
    pub(super) unanswered: u64,
    /// Times that all lost their power.
    pub(super) cuts: u64,
    /// Lines that came to who stays.
    pub(super) notified: u64,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    Stay,
    Go,
    /// So many logins fail.
    Fail(u32),
}

/// A connection.
struct Rig {
    stream: TcpStream,
    aim: Aim,
    number: u32,
    from: Ipv4Addr,
    /// What is to be sent.
    out: Vec<u8>,
    /// The beginning of a line.
    rest: Vec<u8>,
    replies: u32,
    is_in: bool,
    is_done: bool,
}

struct Swarm {
    address: SocketAddr,
    poll: Poll,
    rigs: Vec<Option<Rig>>,
    free: Vec<usize>,
    undone: usize,
    staying: usize,
    /// Which of the next connection's things is next.
    next: u32,
    figures: SwarmFigures,
    buffer: Vec<u8>,
    failing: Vec<u8>,
    /// Those over TLS; nobody reads there any more.
    secure: Vec<secure::Held>,
}

/// Does what it is told, until nobody tells it more.
pub(super) fn run() -> Result<(), Failure> {
    let orders = listen()?;
    let first = orders.recv();
    let first = first.map_err(|_| Failure::new("nobody tells the swarm what to do"))?;
    let settings: SwarmSettings =
        serde_json::from_str(&first).map_err(|error| failed("settings", error))?;
    let mut swarm = Swarm::new(settings.address)?;
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match orders.try_recv() {
            Ok(line) => {
                let order = serde_json::from_str(&line).map_err(|error| failed(&line, error))?;
                let figures = swarm.obey(order, &mut events)?;
                let said = serde_json::to_string(&figures);
                print(&said.map_err(|error| failed("json", error))?)?;
            }
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(()),
            Err(std::sync::mpsc::TryRecvError::Empty) => {
                std::thread::sleep(LOOK);
                while swarm.turn(&mut events, Duration::ZERO)? {}
            }
        }
    }
}

/// The lines of the standard input; sockets are served meanwhile.
fn listen() -> Result<Receiver<String>, Failure> {
    let (tell, orders) = sync_channel(4);
    let thread = std::thread::Builder::new().spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    thread.map_err(|error| failed("no thread", error))?;
    Ok(orders)
}

fn subscribe() -> &'static [u8] {
    b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"swarm/1\"]}\n"
}

fn authorize(out: &mut Vec<u8>, user: &str) {
    let line =
        format!("{{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"{user}\",\"x\"]}}\n");
    out.extend_from_slice(line.as_bytes());
}

fn nth(from: Sources, number: u32) -> Ipv4Addr {
    let first = u32::from(from.first);
    Ipv4Addr::from(first.wrapping_add(number % from.count.max(1)))
}

impl Swarm {
    fn new(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Self {
            address,
            poll: Poll::new().map_err(|error| failed("poll", error))?,
            rigs: Vec::new(),
            free: Vec::new(),
            undone: 0,
            staying: 0,
            next: 0,
            figures: SwarmFigures::default(),
            buffer: vec![0; READ_BYTES],
            failing: Vec::new(),
            secure: Vec::new(),
        })
    }

    fn obey(&mut self, order: SwarmOrder, events: &mut Events) -> Result<SwarmFigures, Failure> {
        let (start, cpu) = (Instant::now(), cpu_ns(std::process::id())?);
        match order {
            SwarmOrder::Hold { from, rigs } => self.hold(from, rigs, events)?,
            SwarmOrder::Login {
                from,
                at_a_time,
                millis,
            } => self.log_in_and_go(from, at_a_time, Duration::from_millis(millis), events)?,
            SwarmOrder::Flood {
                from,
                rate,
                of_connection,
                millis,
            } => {
                let time = Duration::from_millis(millis);
                self.flood(from, (rate, of_connection), time, events)?;
            }
            SwarmOrder::PowerCut { rate, millis } => {
                self.cut_power(rate, Duration::from_millis(millis), events)?;
            }
            SwarmOrder::HoldTls { rigs } => {
                self.secure.extend(secure::hold(self.address, rigs)?);
                self.figures.logged_in += u64::from(rigs);
            }
            SwarmOrder::Tell => {}
        }
        let mut figures = std::mem::take(&mut self.figures);
        figures.nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        figures.cpu_ns = cpu_ns(std::process::id())?.saturating_sub(cpu);
        Ok(figures)
    }

    fn hold(&mut self, from: Sources, rigs: u32, events: &mut Events) -> Result<(), Failure> {
        let (start, mut begun) = (Instant::now(), 0);
        while begun < rigs || 0 < self.undone {
            while begun < rigs && self.undone < 256 {
                self.begin(Aim::Stay, nth(from, begun), begun)?;
                begun += 1;
            }
            self.turn(events, TURN)?;
            if HOLD_MAX < start.elapsed() {
                return Err(Failure::new("not all rigs were logged in"));
            }
        }
        if u64::from(rigs) != self.figures.logged_in {
            let figures = &self.figures;
            return Err(Failure::new(format!(
                "not all of {rigs} rigs are logged in: {figures:?}"
            )));
        }
        Ok(())
    }

    fn log_in_and_go(
        &mut self,
        from: Sources,
        at_a_time: u32,
        time: Duration,
        events: &mut Events,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < time {
            while self.undone < usize::try_from(at_a_time).unwrap_or(usize::MAX) {
                let number = self.number();
                self.begin(Aim::Go, nth(from, number), number % 10_000)?;
            }
            self.turn(events, TURN)?;
        }
        self.finish(events)
    }

    /// Begins connections when they are due, whatever became of those before.
    fn flood(
        &mut self,
        from: Sources,
        (rate, of_connection): (u32, u32),
        time: Duration,
        events: &mut Events,
    ) -> Result<(), Failure> {
        let mut line = Vec::new();
        authorize(&mut line, NOBODY);
        self.failing = line.repeat(usize::try_from(of_connection).unwrap_or(1));
        let rate = u128::from(rate / of_connection.max(1));
        let (start, mut begun) = (Instant::now(), 0);
        while start.elapsed() < time {
            let due = start.elapsed().as_micros() * rate / 1_000_000;
            while begun < due && self.undone < UNDONE_MAX {
                let number = self.number();
                self.begin(Aim::Fail(of_connection), nth(from, number), number)?;
                begun += 1;
            }
            self.turn(events, TURN)?;
        }
        self.finish(events)
    }

    fn cut_power(&mut self, rate: u32, time: Duration, events: &mut Events) -> Result<(), Failure> {
        let (start, mut wanted) = (Instant::now(), 0);
        while start.elapsed() < time {
            let mut farm = Vec::with_capacity(self.staying);
            for slot in 0..self.rigs.len() {
                let rig = self.rigs.get(slot).and_then(Option::as_ref);
                if let Some(rig) = rig.filter(|rig| rig.aim == Aim::Stay) {
                    farm.push((rig.from, rig.number));
                    self.end(slot);
                }
            }
            if farm.is_empty() {
                return Err(Failure::new("there is no farm"));
            }
            self.figures.cuts += 1;
            wanted += u64::try_from(farm.len()).unwrap_or(u64::MAX);
            let begun = Instant::now();
            let (mut back, mut count) = (farm.into_iter(), 0);
            while back.len() != 0 || 0 < self.undone {
                let due = begun.elapsed().as_micros() * u128::from(rate) / 1_000_000;
                while count < due
                    && self.undone < UNDONE_MAX
                    && let Some((from, number)) = back.next()
                {
                    self.begin(Aim::Stay, from, number)?;
                    count += 1;
                }
                self.turn(events, TURN)?;
                if HOLD_MAX < begun.elapsed() {
                    return Err(Failure::new("not all rigs came back"));
                }
            }
            if self.figures.logged_in != wanted {
                let figures = &self.figures;
                return Err(Failure::new(format!(
                    "not all of {wanted} rigs came back: {figures:?}"
                )));
            }
        }
        Ok(())
    }

    /// Waits for the last answers, then ends who has none.
    fn finish(&mut self, events: &mut Events) -> Result<(), Failure> {
        let start = Instant::now();
        while 0 < self.undone && start.elapsed() < LAST_ANSWERS {
            self.turn(events, TURN)?;
        }
        for slot in 0..self.rigs.len() {
            let rig = self.rigs.get(slot).and_then(Option::as_ref);
            if rig.is_some_and(|rig| !rig.is_done) {
                self.figures.unanswered += 1;
                self.end(slot);
            }
        }
        Ok(())
    }

    fn number(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn begin(&mut self, aim: Aim, from: Ipv4Addr, number: u32) -> Result<(), Failure> {
        self.figures.connections += 1;
        let mut stream = match self.connect(from) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be made");
                self.figures.unmade += 1;
                return match aim {
                    Aim::Stay => Err(failed("a rig", error)),
                    Aim::Go | Aim::Fail(_) => Ok(()),
                };
            }
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.rigs.push(None);
            self.rigs.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .poll
            .registry()
            .register(&mut stream, Token(slot), interest);
        registered.map_err(|error| failed("poll", error))?;
        let mut out = Vec::new();
        match aim {
            Aim::Stay => {
                out.extend_from_slice(subscribe());
                authorize(&mut out, &format!("{LOGIN}.farm{number}"));
            }
            Aim::Go => out.extend_from_slice(subscribe()),
            Aim::Fail(count) => {
                out.extend_from_slice(&self.failing);
                self.figures.logins += u64::from(count);
            }
        }
        let rig = Rig {
            stream,
            aim,
            number,
            from,
            out,
            rest: Vec::new(),
            replies: 0,
            is_in: false,
            is_done: false,
        };
        if let Some(place) = self.rigs.get_mut(slot) {
            *place = Some(rig);
        }
        self.undone += 1;
        self.staying += usize::from(aim == Aim::Stay);
        self.write(slot);
        Ok(())
    }

    /// Closed, it is gone at once, as a rig without power: no port of ours waits for minutes.
    fn connect(&self, from: Ipv4Addr) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        match socket.connect(&self.address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(ON_ITS_WAY) => {}
            Err(error) => return Err(error),
        }
        Ok(TcpStream::from_std(socket.into()))
    }

    /// Serves sockets once. Whether there may be more of them.
    fn turn(&mut self, events: &mut Events, longest: Duration) -> Result<bool, Failure> {
        match self.poll.poll(events, Some(longest)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(failed("poll", error));
            }
            _ => {}
        }
        for event in events.iter() {
            let Token(slot) = event.token();
            if event.is_writable() {
                self.write(slot);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(slot);
            }
        }
        Ok(EVENTS <= events.iter().count())
    }

    fn write(&mut self, slot: usize) {
        let Some(Some(rig)) = self.rigs.get_mut(slot) else {
            return;
        };
        while !rig.out.is_empty() {
            match rig.stream.write(&rig.out) {
                Ok(len) => {
                    rig.out.drain(..len);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It is not connected yet, or the peer closed: what it said is read.
                Err(_) => break,
            }
        }
        if rig.out.is_empty() {
            rig.out = Vec::new();
        }
    }

    fn read(&mut self, slot: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(Some(rig)) = self.rigs.get_mut(slot) {
            match rig.stream.read(&mut buffer) {
                Ok(len @ 1..) => {
                    self.hear(slot, buffer.get(..len).unwrap_or_default());
                    if len < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => break,
                Ok(_) | Err(_) => self.lost(slot),
            }
        }
        self.buffer = buffer;
    }

    fn lost(&mut self, slot: usize) {
        let rig = self.rigs.get(slot).and_then(Option::as_ref);
        self.figures.unanswered += u64::from(rig.is_some_and(|rig| !rig.is_done));
        self.end(slot);
    }

    fn end(&mut self, slot: usize) {
        let Some(mut rig) = self.rigs.get_mut(slot).and_then(Option::take) else {
            return;
        };
        if let Err(error) = self.poll.registry().deregister(&mut rig.stream) {
            tracing::debug!(%error, "a socket was not deregistered");
        }
        self.undone -= usize::from(!rig.is_done);
        self.staying -= usize::from(rig.aim == Aim::Stay);
        self.free.push(slot);
    }

    fn hear(&mut self, slot: usize, mut bytes: &[u8]) {
        let Some(Some(rig)) = self.rigs.get_mut(slot) else {
            return;
        };
        if rig.is_done {
            let lines = bytes.iter().filter(|byte| **byte == b'\n');
            self.figures.notified += lines.map(|_| 1).sum::<u64>();
            return;
        }
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, after) = bytes.split_at(end);
            rig.rest.extend_from_slice(line);
            rig.line(&mut self.figures);
            rig.rest.clear();
            bytes = after.get(1..).unwrap_or_default();
        }
        rig.rest.extend_from_slice(bytes);
        if rig.is_done {
            rig.rest = Vec::new();
            self.undone -= 1;
        }
        let (is_over, has_more) = (rig.is_done && rig.aim != Aim::Stay, !rig.out.is_empty());
        if has_more {
            self.write(slot);
        }
        if is_over {
            self.end(slot);
        }
    }
}

impl Rig {
    /// What a whole line means.
    fn line(&mut self, figures: &mut SwarmFigures) {
        let line = self.rest.as_slice();
        let has = |what: &[u8]| line.windows(what.len()).any(|window| window == what);
        if has(b"\"mining.notify\"") && line.starts_with(b"{\"id\":null") {
            if self.is_in && !self.is_done {
                figures.logged_in += 1;
                self.is_done = true;
            }
            return;
        }
        if line.starts_with(b"{\"id\":null") {
            if has(b"kept out") || has(b"too many") {
                figures.told += 1;
                self.is_done = true;
            }
            return;
        }
        self.replies += 1;
        match self.aim {
            Aim::Go if self.replies == 1 => {
                authorize(&mut self.out, &format!("{LOGIN}.go{}", self.number));
                figures.logins += 1;
            }
            Aim::Go | Aim::Stay => self.is_in |= line.starts_with(b"{\"id\":2,\"result\":true"),
            Aim::Fail(count) => {
                figures.refused += 1;
                self.is_done = self.replies == count;
            }
        }
    }
}
