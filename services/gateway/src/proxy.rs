//! Who comes through a load balancer: networks whose connections begin with a PROXY header, and what becomes of a connection's
//! first bytes. A header is taken from those networks only, and from them nothing else is: a client that could say where it
//! comes from could say anything.

use std::net::IpAddr;

use orebook_stratum::{Proxied, Recognised, begins_as_proxy, read_proxy, recognise};

use crate::batch::ConnId;
use crate::conn::{Cause, Conn};
use crate::doors::turned_line;
use crate::looper::Loop;

/// Most networks of a port.
pub const PROXY_FROM_MAX: usize = 64;

/// What is said to who sends a header and may not.
const NOT_TAKEN: &[u8] = b"{\"id\":null,\"result\":null,\"error\":[20,\"a PROXY header is not taken from this address\",null]}\n";
/// What is said to who should send one and does not, or sends a wrong one.
const DUE: &[u8] = b"{\"id\":null,\"result\":null,\"error\":[20,\"a PROXY header is due from this address\",null]}\n";

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No address, or no number behind the slash.
    #[error("not a network as 10.0.0.0/8 or 2001:db8::/32, nor an address")]
    Malformed,
    /// More bits than an address of its family has.
    #[error("more bits than the address has")]
    Bits,
    /// Bits are set that do not belong to the network: perhaps another one was meant.
    #[error("bits are set behind the network's own")]
    Host,
}

impl Network {
    /// Reads `address/bits`, or an address alone, which is a network of one. An IPv4 address within IPv6 (`::ffff:1.2.3.4`)
    /// is refused: write it as IPv4.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        if address.to_canonical() != address {
            return Err(NetworkError::Malformed);
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map_err(|_| NetworkError::Malformed)?
            }
            Some(_) => return Err(NetworkError::Malformed),
        };
        if most < bits {
            return Err(NetworkError::Bits);
        }
        let network = Self { address, bits };
        if network.own(address) == number(address) {
            Ok(network)
        } else {
            Err(NetworkError::Host)
        }
    }

    /// Its first address, and how many bits of it count.
    #[must_use]
    pub const fn parts(&self) -> (IpAddr, u8) {
        (self.address, self.bits)
    }

    /// Whether an address lies in it. IPv4 within IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.own(address) == number(self.address)
    }

    /// The bits of an address that the network looks at.
    fn own(&self, address: IpAddr) -> u128 {
        let most: u32 = if address.is_ipv4() { 32 } else { 128 };
        let behind = most.saturating_sub(u32::from(self.bits));
        let shifted = number(address).checked_shr(behind).unwrap_or(0);
        shifted.checked_shl(behind).unwrap_or(0)
    }
}

/// Most addresses of an X-Forwarded-For header that are looked at, from its end.
const FORWARDED_MAX: usize = 16;

/// Whose an HTTP request is: the peer's, unless it is a named proxy; then the last address of X-Forwarded-For that is none.
/// Each proxy writes its peer at the end, so that what stands before an unnamed one is anybody's word and is not read, nor
/// is what stands before something that is no address.
#[must_use]
pub fn forwarded(header: &str, peer: IpAddr, named: &[Network]) -> IpAddr {
    let is_named = |address| named.iter().any(|network| network.contains(address));
    let mut whose = peer.to_canonical();
    for text in header.rsplit(',').take(FORWARDED_MAX) {
        if !is_named(whose) {
            break;
        }
        let Some(address) = forwarded_address(text.trim()) else {
            break;
        };
        whose = address.to_canonical();
    }
    whose
}

/// An address as proxies write it: alone, IPv6 also in brackets, with or without a port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.split_once(']'))
        .map(|(address, _)| address);
    let address = bare.unwrap_or(text);
    address.parse().ok().or_else(|| {
        let with_port: Option<std::net::SocketAddr> = text.parse().ok();
        with_port.map(|address| address.ip())
    })
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Loop {
    /// Takes a connection's first bytes: the header, if one is due. Gives what follows it, once that is known to be none.
    pub(crate) fn unwrap_first(
        &mut self,
        conn: &mut Conn,
        id: ConnId,
        bytes: &[u8],
    ) -> Option<Vec<u8>> {
        let mut first = std::mem::take(&mut conn.partial);
        first.extend_from_slice(bytes);
        if !conn.is_counted {
            match read_proxy(&first) {
                Ok(None) => {
                    conn.partial = first;
                    return None;
                }
                Ok(Some((whose, len))) if conn.tls.is_none() => {
                    if !self.arrive(conn, id, whose) {
                        return None;
                    }
                    first.drain(..len);
                }
                _ if self.may_be_forwarded(conn, &first) => {
                    if recognise(&first) == Recognised::More {
                        conn.partial = first;
                        return None;
                    }
                    return Some(first);
                }
                found => {
                    tracing::debug!(peer = %conn.address, ?found, "refused");
                    conn.out(&mut self.spare).extend_from_slice(DUE);
                    self.send_away(conn, id, Cause::Proxy);
                    return None;
                }
            }
        }
        match begins_as_proxy(&first) {
            Some(false) => Some(first),
            None => {
                conn.partial = first;
                None
            }
            Some(true) => {
                conn.out(&mut self.spare).extend_from_slice(NOT_TAKEN);
                self.send_away(conn, id, Cause::Proxy);
                None
            }
        }
    }

    /// Whose a connection is has become known: from now on it counts at that address, if there is room.
    fn arrive(&mut self, conn: &mut Conn, id: ConnId, whose: Proxied) -> bool {
        if let Proxied::From(address) = whose {
            (conn.address, conn.peer) = (address, address);
            self.counts.proxied += 1;
        }
        let arrived = self.doors.arrive(conn.address, self.now);
        conn.is_counted = arrived.is_ok();
        if let Err(why) = arrived {
            // As at a door.
            self.counts.refused.count(why);
            self.edge.turned_away(conn.port, why);
            let line = turned_line(why);
            conn.out(&mut self.spare).extend_from_slice(line.as_bytes());
            self.send_away(conn, id, Cause::TurnedAway);
        }
        conn.is_counted
    }
}

impl Loop {
    /// Whether first words without a PROXY header may be a proxy's of the web, where the port takes getwork: an HTTP request, or
    /// the TLS in which one comes.
    fn may_be_forwarded(&self, conn: &Conn, first: &[u8]) -> bool {
        self.config.is_ethash()
            && match recognise(first) {
                Recognised::Http => true,
                Recognised::More => !first.trim_ascii_start().is_empty(),
                Recognised::Tls => conn.tls.is_none() && self.certificates.is_tls(conn.port),
                Recognised::Lines => false,
            }
    }

    /// An HTTP request came: from now on its connection counts at the address of whom it is, by what named proxies say. They
    /// bring requests of several clients over one connection. Whether it may go on.
    pub(crate) fn take_forwarded(&mut self, conn: &mut Conn, id: ConnId) -> bool {
        let Some(header) = conn.session.take_forwarded_for() else {
            return true;
        };
        let Some(port) = self.config.ports.get(conn.port) else {
            return true;
        };
        let whose = forwarded(&header, conn.peer, &port.proxy_from);
        if conn.is_counted && whose == conn.address {
            return true;
        }
        let from = conn.is_counted.then_some((conn.address, conn.is_proved));
        if conn.is_counted {
            self.doors.earn(conn.address, conn.earned);
        }
        (conn.earned, conn.is_proved) = (0, false);
        conn.address = whose;
        self.counts.proxied += u64::from(whose != conn.peer);
        let passed = self.doors.pass_on(from, whose, self.now);
        conn.is_counted = passed.is_ok();
        if let Err(why) = passed {
            self.counts.refused.count(why);
            self.edge.turned_away(conn.port, why);
            let why = why.words();
            let len = why.len() + 1;
            let answer = format!(
                "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n{why}\n"
            );
            conn.out(&mut self.spare)
                .extend_from_slice(answer.as_bytes());
            self.send_away(conn, id, Cause::TurnedAway);
        }
        conn.is_counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("fe80::/10", "febf::1", "fec0::1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?}");
        }
    }

    #[test]
    fn a_forwarded_address_is_believed_as_far_as_named_proxies_wrote_it() {
        let named = ["10.0.0.0/8", "2001:db8::/32"].map(|text| Network::parse(text).unwrap());
        for (peer, header, whose) in [
            ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.1,10.9.9.9", "198.51.100.1"),
            ("2001:db8::1", "[2001:db9::7]:443", "2001:db9::7"),
            ("10.0.0.1", "198.51.100.1:5000", "198.51.100.1"),
            ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ] {
            let found = forwarded(header, peer.parse().unwrap(), &named);
            assert_eq!(found.to_string(), whose, "{peer}: {header}");
        }
        let long = format!("198.51.100.1{}", ", 10.0.0.2".repeat(FORWARDED_MAX));
        let found = forwarded(&long, "10.0.0.1".parse().unwrap(), &named);
        assert_eq!(found.to_string(), "10.0.0.2", "no further than that");
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for (text, error) in [
            ("", NetworkError::Malformed),
            ("balancer", NetworkError::Malformed),
            ("10.0.0.0/", NetworkError::Malformed),
            ("10.0.0.0/+8", NetworkError::Malformed),
            ("10.0.0.0/8/8", NetworkError::Malformed),
            ("10.0.0.0/256", NetworkError::Malformed),
            ("10.0.0.0:80", NetworkError::Malformed),
            ("::ffff:10.0.0.0/104", NetworkError::Malformed),
            ("10.0.0.0/33", NetworkError::Bits),
            ("::/129", NetworkError::Bits),
            ("10.0.0.1/8", NetworkError::Host),
            ("2001:db8::1/32", NetworkError::Host),
        ] {
            assert_eq!(Network::parse(text), Err(error), "{text}");
        }
    }
}
