//! Doors: the ports, who came through them, and who is kept out.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use crate::config::{Limits, PortConfig};
use crate::limits::{Offence, Place, Turned, Visitors};
use crate::proxy::Network;

/// Most connections accepted in one turn, of all ports together: shares are read between turns.
const ACCEPTS_PER_TURN: usize = 32;
/// Pause after the system had no descriptor left for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Questions of keep-alive without an answer that mean that the peer is gone.
const KEEPALIVE_PROBES: u32 = 4;
/// Connections that are told within a second why they are turned away; the others are closed without a word.
const WORDS_PER_SECOND: u32 = 1_000;

/// A port.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    address: SocketAddr,
    /// Load balancers.
    proxy_from: Vec<Network>,
    /// Plain words would be noise.
    speaks_tls: bool,
    connections: usize,
    is_ready: bool,
    retry_at: Option<Instant>,
}

/// All ports of a gateway.
#[derive(Debug)]
pub(crate) struct Doors {
    doors: Vec<Door>,
    /// The port that is looked at first in the next turn: a flood at one keeps nobody out of another.
    first: usize,
    visitors: Visitors,
    connections_per_port: usize,
    words: Words,
}

/// How many may be told why they are turned away, so that a flood of them costs no more than closing.
#[derive(Debug)]
struct Words {
    since: Instant,
    said: u32,
}

/// Somebody who came in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) stream: TcpStream,
    pub(crate) port: usize,
    pub(crate) address: IpAddr,
    /// Whether it counts at its address; what a load balancer brings counts when its client is known.
    pub(crate) is_counted: bool,
}

impl Entered {
    /// The address at which it counts.
    pub(crate) fn visitor(&self) -> Option<IpAddr> {
        self.is_counted.then_some(self.address)
    }
}

impl Doors {
    /// Opens the ports; the token of each is its index.
    ///
    /// # Errors
    /// The address that cannot be listened at, and why.
    pub(crate) fn open(
        registry: &Registry,
        ports: &[PortConfig],
        limits: Limits,
        exempt: Vec<Network>,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let now = Instant::now();
        let mut doors = Vec::with_capacity(ports.len());
        for (index, port) in ports.iter().enumerate() {
            let door = Door::open(registry, index, port, limits.keepalive);
            doors.push(door.map_err(|error| (port.address, error))?);
        }
        Ok(Self {
            doors,
            first: 0,
            visitors: Visitors::new(limits, exempt, now),
            connections_per_port: limits.connections_per_port,
            words: Words {
                since: now,
                said: 0,
            },
        })
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().map(|door| door.address).collect()
    }

    /// How many tokens they use.
    pub(crate) const fn len(&self) -> usize {
        self.doors.len()
    }

    /// Somebody knocks.
    pub(crate) fn knock(&mut self, index: usize) {
        if let Some(door) = self.doors.get_mut(index) {
            door.is_ready = true;
        }
    }

    /// Whether somebody may wait to be let in now.
    pub(crate) fn any_ready(&self, now: Instant) -> bool {
        self.doors
            .iter()
            .any(|door| door.is_ready && door.retry_at.is_none_or(|retry_at| retry_at <= now))
    }

    /// Nobody comes in any more.
    pub(crate) fn close(&mut self, registry: &Registry) {
        for mut door in self.doors.drain(..) {
            if let Err(error) = registry.deregister(&mut door.listener) {
                tracing::warn!(%error, "a port was not deregistered");
            }
        }
    }

    /// Lets in who waits, a bounded number, and counts who is turned away, whose sockets are `gone`.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        entered: &mut Vec<Entered>,
        gone: &mut Vec<TcpStream>,
        mut refused: impl FnMut(usize, Turned),
    ) {
        let count = self.doors.len();
        let first = self.first.checked_rem(count).unwrap_or(0);
        self.first = first + 1;
        let mut left = ACCEPTS_PER_TURN;
        for port in (first..count).chain(0..first) {
            let Some(door) = self.doors.get_mut(port) else {
                continue;
            };
            if !door.is_ready || door.retry_at.is_some_and(|retry_at| now < retry_at) {
                continue;
            }
            door.retry_at = None;
            while 0 < left {
                left -= 1;
                let Some((mut stream, address)) = door.next(now) else {
                    break;
                };
                let is_counted = !door.is_balancer(address);
                let turned = if self.connections_per_port <= door.connections {
                    Err(Turned::Port)
                } else if is_counted {
                    self.visitors.arrive(address, now)
                } else {
                    Ok(())
                };
                match turned {
                    Ok(()) => {
                        door.connections += 1;
                        entered.push(Entered {
                            stream,
                            port,
                            address,
                            is_counted,
                        });
                    }
                    Err(why) => {
                        refused(port, why);
                        if !door.speaks_tls {
                            self.words.say(&mut stream, why, now);
                        }
                        gone.push(stream);
                    }
                }
            }
        }
    }

    /// Somebody whom a load balancer brought is known now. Whether there is room at his address; then he counts there.
    ///
    /// # Errors
    /// Why he is turned away.
    pub(crate) fn arrive(&mut self, address: IpAddr, now: Instant) -> Result<(), Turned> {
        self.visitors.arrive(address, now)
    }

    /// Somebody left, who counted at this address, if at any, and had a good share or not.
    pub(crate) fn left(
        &mut self,
        port: usize,
        address: Option<IpAddr>,
        had_proved: bool,
        now: Instant,
    ) {
        if let Some(door) = self.doors.get_mut(port) {
            door.connections = door.connections.saturating_sub(1);
        }
        if let Some(address) = address {
            self.visitors.left(address, had_proved, now);
        }
    }

    /// The connection of one address, where it counted, is another's from now on, if there is room at his.
    ///
    /// # Errors
    /// Why he is turned away; the connection counts nowhere then.
    pub(crate) fn pass_on(
        &mut self,
        from: Option<(IpAddr, bool)>,
        to: IpAddr,
        now: Instant,
    ) -> Result<(), Turned> {
        if let Some((address, had_proved)) = from {
            self.visitors.left(address, had_proved, now);
        }
        self.visitors.arrive(to, now)
    }

    /// A connection of this address had its first good share.
    pub(crate) fn prove(&mut self, address: IpAddr) {
        self.visitors.prove(address);
    }

    /// Good shares were sent from this address.
    pub(crate) fn earn(&mut self, address: IpAddr, shares: u32) {
        self.visitors.earn(address, shares);
    }

    /// An offence of this address. The place, if it is kept out from now on, and was not before.
    pub(crate) fn offend(
        &mut self,
        address: IpAddr,
        offence: Offence,
        now: Instant,
    ) -> Option<Place> {
        self.visitors.offend(address, offence, now)
    }
}

impl Words {
    /// Tells why, if the socket takes it at once.
    fn say(&mut self, stream: &mut TcpStream, why: Turned, now: Instant) {
        if Duration::from_secs(1) <= now.saturating_duration_since(self.since) {
            (self.since, self.said) = (now, 0);
        }
        if WORDS_PER_SECOND <= self.said {
            return;
        }
        self.said += 1;
        let line = turned_line(why);
        if let Err(error) = stream.write_all(line.as_bytes()) {
            tracing::debug!(%error, "who is turned away does not hear why");
        }
    }
}

/// What somebody hears who is turned away before he asked anything.
pub(crate) fn turned_line(why: Turned) -> String {
    let why = why.words();
    format!("{{\"id\":null,\"result\":null,\"error\":[20,\"{why}\",null]}}\n")
}

/// What connections take over from the socket that they were accepted by (Linux), so that none costs these six calls: lines
/// are not held back, and the system finds a peer that is gone, also one to whom nothing is said (RFC 1122, 4.2.3.6; RFC 5482).
fn set_options(listener: &TcpListener, keepalive: Duration) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    let interval = (keepalive / KEEPALIVE_PROBES).max(Duration::from_secs(1));
    let alive = TcpKeepalive::new()
        .with_time(keepalive)
        .with_interval(interval);
    socket.set_tcp_keepalive(&alive.with_retries(KEEPALIVE_PROBES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(keepalive * 2))?;
    Ok(())
}

impl Door {
    fn open(
        registry: &Registry,
        index: usize,
        port: &PortConfig,
        keepalive: Duration,
    ) -> io::Result<Self> {
        let mut listener = TcpListener::bind(port.address)?;
        set_options(&listener, keepalive)?;
        registry.register(&mut listener, Token(index), Interest::READABLE)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            proxy_from: port.proxy_from.clone(),
            speaks_tls: port.tls.is_some(),
            connections: 0,
            is_ready: false,
            retry_at: None,
        })
    }

    /// Whether who comes from there brings others.
    fn is_balancer(&self, address: IpAddr) -> bool {
        self.proxy_from
            .iter()
            .any(|network| network.contains(address))
    }

    /// The next one who waits. IPv4 within IPv6 is the same machine.
    fn next(&mut self, now: Instant) -> Option<(TcpStream, IpAddr)> {
        loop {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    return Some((stream, address.ip().to_canonical()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_ready = false;
                    return None;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    // As a rule no descriptor is left: who waits is let in later.
                    tracing::warn!(port = %self.address, %error, "a connection cannot be accepted now");
                    self.retry_at = Some(now + PAUSE);
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn few_come_in_at_a_time_and_a_flood_at_one_port_keeps_nobody_out_of_another() {
        let mut poll = Poll::new().unwrap();
        let port = |pot| PortConfig {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            pot: orebook_schema::names::Pot(pot),
            difficulty: crate::config::DifficultyRule::Fixed(orebook_schema::Work::new(1).unwrap()),
            proxy_from: Vec::new(),
            elsewhere: Vec::new(),
            tls: None,
            region: crate::config::Region::default(),
        };
        let ports = [port(0), port(1)];
        let limits = Limits::default();
        let mut doors = Doors::open(poll.registry(), &ports, limits, Vec::new()).unwrap();
        let addresses = doors.addresses();
        let connect = |port: usize| std::net::TcpStream::connect(addresses[port]).unwrap();
        let crowd: Vec<_> = (0..ACCEPTS_PER_TURN * 3).map(|_| connect(0)).collect();
        let few: Vec<_> = (0..3).map(|_| connect(1)).collect();
        let mut events = Events::with_capacity(8);
        while doors.doors.iter().any(|door| !door.is_ready) {
            poll.poll(&mut events, Some(Duration::from_secs(30)))
                .unwrap();
            for event in &events {
                doors.knock(event.token().0);
            }
        }
        let (now, mut turns) = (Instant::now(), Vec::new());
        while doors.any_ready(now) {
            let mut entered = Vec::new();
            let turned = |port, why| panic!("{port}: {why:?}");
            doors.accept(now, &mut entered, &mut Vec::new(), turned);
            let of = |port| entered.iter().filter(|one| one.port == port).count();
            turns.push([of(0), of(1)]);
        }
        // The look that finds nobody any more is one of them.
        assert_eq!(turns.get(..2), Some(&[[32, 0], [28, 3]][..]), "{turns:?}");
        assert_eq!(turns.iter().map(|[one, _]| one).sum::<usize>(), crowd.len());
        assert_eq!(
            turns.iter().map(|[_, other]| other).sum::<usize>(),
            few.len()
        );
    }

    #[test]
    fn who_comes_in_has_the_options_of_the_door() {
        let mut poll = Poll::new().unwrap();
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let keepalive = Duration::from_secs(77);
        set_options(&listener, keepalive).unwrap();
        poll.registry()
            .register(&mut listener, Token(0), Interest::READABLE)
            .unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        poll.poll(&mut Events::with_capacity(1), Some(Duration::from_secs(30)))
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive);
        let interval = socket.tcp_keepalive_interval().unwrap();
        assert_eq!(interval, Duration::from_secs(19));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(154))
        );
    }
}
