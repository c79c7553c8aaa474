//! Doors: the ports, who came through them, and who is kept out.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::config::{Limits, PortConfig};
use crate::proxy::Network;

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
    /// Load balancers.
    proxy_from: Vec<Network>,
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

/// Who is inside or failed to log in, by address.
#[derive(Debug, Default)]
struct Visitors {
    by_address: HashMap<IpAddr, Visitor>,
}

/// All ports of a gateway.
#[derive(Debug)]
pub(crate) struct Doors {
    doors: Vec<Door>,
    visitors: Visitors,
    limits: Limits,
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
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let mut doors = Vec::with_capacity(ports.len());
        for (index, port) in ports.iter().enumerate() {
            let door = Door::open(registry, index, port);
            doors.push(door.map_err(|error| (port.address, error))?);
        }
        Ok(Self {
            doors,
            visitors: Visitors::default(),
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
                let is_counted = !door.is_balancer(address);
                let has_room = door.connections < self.limits.connections_per_port;
                if has_room && (!is_counted || self.visitors.arrive(address, &self.limits, now)) {
                    door.connections += 1;
                    entered.push(Entered {
                        stream,
                        port,
                        address,
                        is_counted,
                    });
                } else {
                    refused += 1;
                }
            }
        }
        refused
    }

    /// Somebody whom a load balancer brought is known now. Whether there is room at his address; then he counts there.
    pub(crate) fn arrive(&mut self, address: IpAddr, now: Instant) -> bool {
        self.visitors.arrive(address, &self.limits, now)
    }

    /// Somebody left, who counted at this address, if at any.
    pub(crate) fn left(&mut self, port: usize, address: Option<IpAddr>) {
        if let Some(door) = self.doors.get_mut(port) {
            door.connections = door.connections.saturating_sub(1);
        }
        if let Some(address) = address {
            self.visitors.left(address);
        }
    }

    /// A login of this address failed. Whether the address is kept out from now on, and was not before.
    pub(crate) fn failed_login(&mut self, address: IpAddr, now: Instant) -> bool {
        let visitor = self.visitors.of(address);
        visitor.forget_old(now);
        visitor.failing_since.get_or_insert(now);
        visitor.failures = visitor.failures.saturating_add(1);
        visitor.failures == self.limits.failed_logins_per_address
    }
}

impl Visitors {
    fn of(&mut self, address: IpAddr) -> &mut Visitor {
        if ADDRESSES_MAX <= self.by_address.len() {
            self.by_address.retain(|_, visitor| 0 < visitor.connections);
        }
        self.by_address.entry(address).or_default()
    }

    /// Counts one more, if he may enter.
    fn arrive(&mut self, address: IpAddr, limits: &Limits, now: Instant) -> bool {
        let visitor = self.of(address);
        let may_enter = visitor.may_enter(limits, now);
        visitor.connections += usize::from(may_enter);
        may_enter
    }

    fn left(&mut self, address: IpAddr) {
        if let Some(visitor) = self.by_address.get_mut(&address) {
            visitor.connections = visitor.connections.saturating_sub(1);
            if visitor.connections == 0 && visitor.failures == 0 {
                self.by_address.remove(&address);
            }
        }
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
    fn open(registry: &Registry, index: usize, port: &PortConfig) -> io::Result<Self> {
        let mut listener = TcpListener::bind(port.address)?;
        registry.register(&mut listener, Token(index), Interest::READABLE)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            proxy_from: port.proxy_from.clone(),
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
            visitors: Visitors::default(),
            limits,
        };
        let mut bans = 0;
        let mut may_enter = |after: u64, fails: u32, doors: &mut Doors| {
            let now = start + Duration::from_secs(after);
            let banned = (0..fails).filter(|_| doors.failed_login(address, now));
            bans += banned.count();
            let visitor = doors.visitors.of(address);
            visitor.may_enter(&limits, now)
        };
        assert!(may_enter(0, 2, &mut doors));
        assert!(!may_enter(1, 1, &mut doors));
        assert!(!may_enter(59, 0, &mut doors));
        assert!(may_enter(60, 0, &mut doors));
        assert!(may_enter(61, 2, &mut doors));
        assert!(!may_enter(62, 7, &mut doors));
        assert_eq!(bans, 2, "each time once");
    }
}
