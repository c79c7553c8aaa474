//! Doors: the ports, who came through them, and who is kept out.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::config::{Limits, PortConfig};

/// Most connections accepted by one port in one turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Pause after the system had no descriptor left for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Failed logins of an address are counted for this long.
const FAILURES_KEPT: Duration = Duration::from_secs(60);
/// Addresses remembered. Beyond it those without a connection are forgotten, with their failed logins.
const ADDRESSES_MAX: usize = 65_536;

/// A port.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    address: SocketAddr,
    connections: usize,
    is_ready: bool,
    retry_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Visitor {
    connections: usize,
    failures: u32,
    failing_since: Option<Instant>,
}

/// All ports of a gateway.
#[derive(Debug)]
pub(crate) struct Doors {
    doors: Vec<Door>,
    visitors: HashMap<IpAddr, Visitor>,
    limits: Limits,
}

/// Somebody who came in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) stream: TcpStream,
    pub(crate) port: usize,
    pub(crate) address: IpAddr,
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
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let mut doors = Vec::with_capacity(ports.len());
        for (index, port) in ports.iter().enumerate() {
            let door = Door::open(registry, index, port.address);
            doors.push(door.map_err(|error| (port.address, error))?);
        }
        Ok(Self {
            doors,
            visitors: HashMap::new(),
            limits,
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

    /// Lets in who waits, a bounded number. Returns how many were turned away.
    pub(crate) fn accept(&mut self, now: Instant, entered: &mut Vec<Entered>) -> u64 {
        let mut refused = 0;
        for (port, door) in self.doors.iter_mut().enumerate() {
            if !door.is_ready || door.retry_at.is_some_and(|retry_at| now < retry_at) {
                continue;
            }
            door.retry_at = None;
            for _ in 0..ACCEPTS_PER_TURN {
                let Some((stream, address)) = door.next(now) else {
                    break;
                };
                let visitor = self.visitors.entry(address).or_default();
                if door.connections < self.limits.connections_per_port
                    && visitor.may_enter(&self.limits, now)
                {
                    door.connections += 1;
                    visitor.connections += 1;
                    entered.push(Entered {
                        stream,
                        port,
                        address,
                    });
                } else {
                    refused += 1;
                }
            }
        }
        if ADDRESSES_MAX < self.visitors.len() {
            self.visitors.retain(|_, visitor| 0 < visitor.connections);
        }
        refused
    }

    /// Somebody left.
    pub(crate) fn left(&mut self, port: usize, address: IpAddr) {
        if let Some(door) = self.doors.get_mut(port) {
            door.connections = door.connections.saturating_sub(1);
        }
        if let Some(visitor) = self.visitors.get_mut(&address) {
            visitor.connections = visitor.connections.saturating_sub(1);
            if visitor.connections == 0 && visitor.failures == 0 {
                self.visitors.remove(&address);
            }
        }
    }

    /// A login of this address failed.
    pub(crate) fn failed_login(&mut self, address: IpAddr, now: Instant) {
        let visitor = self.visitors.entry(address).or_default();
        visitor.forget_old(now);
        visitor.failing_since.get_or_insert(now);
        visitor.failures = visitor.failures.saturating_add(1);
    }
}

impl Visitor {
    fn forget_old(&mut self, now: Instant) {
        let over = |since: Instant| FAILURES_KEPT <= now.saturating_duration_since(since);
        if self.failing_since.is_some_and(over) {
            (self.failures, self.failing_since) = (0, None);
        }
    }

    fn may_enter(&mut self, limits: &Limits, now: Instant) -> bool {
        self.forget_old(now);
        self.connections < limits.connections_per_address
            && self.failures < limits.failed_logins_per_address
    }
}

impl Door {
    fn open(registry: &Registry, index: usize, address: SocketAddr) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        registry.register(&mut listener, Token(index), Interest::READABLE)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            connections: 0,
            is_ready: false,
            retry_at: None,
        })
    }

    /// The next one who waits.
    fn next(&mut self, now: Instant) -> Option<(TcpStream, IpAddr)> {
        loop {
            match self.listener.accept() {
                Ok((stream, address)) => return Some((stream, address.ip())),
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
    use super::*;

    #[test]
    fn an_address_with_too_many_failed_logins_stays_outside_for_a_minute() {
        let limits = Limits {
            failed_logins_per_address: 3,
            ..Limits::default()
        };
        let start = Instant::now();
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut doors = Doors {
            doors: Vec::new(),
            visitors: HashMap::new(),
            limits,
        };
        let may_enter = |after: u64, fails: u32, doors: &mut Doors| {
            let now = start + Duration::from_secs(after);
            (0..fails).for_each(|_| doors.failed_login(address, now));
            let visitor = doors.visitors.entry(address).or_default();
            visitor.may_enter(&limits, now)
        };
        assert!(may_enter(0, 2, &mut doors));
        assert!(!may_enter(1, 1, &mut doors));
        assert!(!may_enter(59, 0, &mut doors));
        assert!(may_enter(60, 0, &mut doors));
        assert!(may_enter(61, 2, &mut doors));
    }
}
