//! Who floods: one thread, many sockets, bytes made beforehand, at a rate that does not wait for the gateway.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream as StdStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

/// A connection that is being made: EINPROGRESS of Linux.
const ON_ITS_WAY: i32 = 115;

/// What it heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Refusals of a login, with the reason.
    pub(crate) refused: AtomicU64,
    /// Words at the door of one that is kept out.
    pub(crate) kept_out: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) logins: AtomicU64,
}

/// How it floods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    /// So many from here on, in turn.
    pub(crate) first: Ipv4Addr,
    pub(crate) addresses: u32,
    /// Logins a second, and on each connection.
    pub(crate) rate: u32,
    pub(crate) of_connection: u32,
    /// Connections at a time.
    pub(crate) at_a_time: usize,
}

struct Flooder {
    stream: TcpStream,
    out: Vec<u8>,
    text: Vec<u8>,
}

/// Floods until it is told to stop.
pub(crate) fn flood(flood: Flood, to: SocketAddr, lines: &[u8], heard: &Heard, stop: &AtomicBool) {
    let mut poll = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(1_024);
    let mut slots: Vec<Option<Flooder>> = (0..flood.at_a_time).map(|_| None).collect();
    let mut free: Vec<usize> = (0..flood.at_a_time).collect();
    let (start, mut begun) = (Instant::now(), 0_u32);
    let rate = u128::from(flood.rate / flood.of_connection);
    while !stop.load(Ordering::Relaxed) {
        while u128::from(begun) < start.elapsed().as_micros() * rate / 1_000_000
            && let Some(slot) = free.pop()
        {
            let from = Ipv4Addr::from(u32::from(flood.first) + begun % flood.addresses);
            begun += 1;
            // A port may be lacking for a moment.
            let Ok(mut stream) = connect(from, to) else {
                free.push(slot);
                continue;
            };
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = poll.registry().register(&mut stream, Token(slot), interest);
            registered.expect("a socket");
            heard.connections.fetch_add(1, Ordering::Relaxed);
            let logins = u64::from(flood.of_connection);
            heard.logins.fetch_add(logins, Ordering::Relaxed);
            let (out, text) = (lines.to_vec(), Vec::new());
            slots[slot] = Some(Flooder { stream, out, text });
        }
        let turn = Some(Duration::from_millis(1));
        poll.poll(&mut events, turn).expect("it waits");
        for event in &events {
            let Token(slot) = event.token();
            let Some(flooder) = &mut slots[slot] else {
                continue;
            };
            if flooder.is_over() {
                heard.count(&flooder.text);
                slots[slot] = None;
                free.push(slot);
            }
        }
    }
}

/// Closed, it is gone at once: no port waits for minutes.
fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(ON_ITS_WAY) => Err(error),
        _ => Ok(TcpStream::from_std(StdStream::from(socket))),
    }
}

impl Flooder {
    /// Writes and reads what it can; whether the gateway closed.
    fn is_over(&mut self) -> bool {
        if !self.out.is_empty()
            && let Ok(len) = self.stream.write(&self.out)
        {
            self.out.drain(..len);
            if self.out.is_empty() {
                // It asks nothing more, and hears what was asked; the gateway may be gone already.
                drop(self.stream.shutdown(Shutdown::Write));
            }
        }
        let mut buffer = [0; 4_096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(len @ 1..) => self.text.extend_from_slice(&buffer[..len]),
                Ok(_) => return true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::NotConnected => return false,
                Err(_) => return true,
            }
        }
    }
}

impl Heard {
    fn count(&self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let count = |what: &str| text.matches(what).count() as u64;
        let refused = count("a login begins with name-");
        self.refused.fetch_add(refused, Ordering::Relaxed);
        let kept_out = count("is kept out for 300 s: too many failed logins");
        self.kept_out.fetch_add(kept_out, Ordering::Relaxed);
    }
}
