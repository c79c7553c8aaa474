//! The PROXY protocol, versions 1 and 2: what a load balancer says about a connection before the miner's first byte
//! (haproxy's `proxy-protocol.txt`). Bytes in, an address out; who may say it is the gateway's matter.
//!
//! Strict where the two ends could read it differently, and nothing is guessed: a header that is not one ends the connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most bytes of a version 1 header with its `\r\n` (section 2.1).
pub const PROXY_V1_BYTES_MAX: usize = 107;
/// Most bytes of a version 2 header that are taken: 16, and 520 for the longest addresses and what may follow them. A balancer
/// that sends more (certificates of its clients) has to be told not to.
pub const PROXY_V2_BYTES_MAX: usize = 536;

/// How version 1 begins.
const V1: &[u8] = b"PROXY ";
/// How version 2 begins (section 2.2).
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses.
const V2_FIXED: usize = 16;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxied {
    /// A client's, at this address. One that is IPv4 within IPv6 is shown as IPv4.
    From(IpAddr),
    /// The balancer's own (LOCAL: a health check), or one whose addresses it does not know (UNKNOWN, UNSPEC, a Unix socket).
    Own,
}

/// Why bytes are no header, in the order of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ProxyFault {
    /// They begin as neither version does.
    #[error("no PROXY header")]
    Missing,
    /// Longer than [`PROXY_V1_BYTES_MAX`] or [`PROXY_V2_BYTES_MAX`].
    #[error("the PROXY header is too long")]
    TooLong,
    /// It begins as one and does not go on as one.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// Of another transport than TCP.
    #[error("the PROXY header is not of TCP")]
    NotTcp,
}

/// Whether bytes begin as a header of either version does; none if that cannot be said of so few.
#[must_use]
pub fn begins_as_proxy(bytes: &[u8]) -> Option<bool> {
    let begins = |signature: &[u8]| {
        let len = signature.len().min(bytes.len());
        let same = bytes.get(..len) == signature.get(..len);
        (same, len == signature.len())
    };
    match (begins(V1), begins(V2)) {
        ((true, true), _) | (_, (true, true)) => Some(true),
        ((true, false), _) | (_, (true, false)) => None,
        ((false, _), (false, _)) => Some(false),
    }
}

/// Reads the header that a connection begins with: whose it is, and how many bytes it takes. None: it goes on in bytes that
/// have not come yet; never more than [`PROXY_V2_BYTES_MAX`] have to be kept for that.
///
/// # Errors
/// [`ProxyFault`]; more bytes would not mend it.
pub fn read_proxy(bytes: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyFault> {
    match begins_as_proxy(bytes) {
        None => Ok(None),
        Some(false) => Err(ProxyFault::Missing),
        Some(true) if bytes.starts_with(V1) => read_v1(bytes),
        Some(true) => read_v2(bytes),
    }
}

fn read_v1(bytes: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyFault> {
    let within = bytes.get(..PROXY_V1_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < PROXY_V1_BYTES_MAX {
            Ok(None)
        } else {
            Err(ProxyFault::TooLong)
        };
    };
    let line = within.get(V1.len()..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").ok_or(ProxyFault::Malformed)?;
    let line = str::from_utf8(line).map_err(|_| ProxyFault::Malformed)?;
    Ok(Some((line_v1(line)?, end + 1)))
}

/// What stands between `PROXY ` and the end of the line.
fn line_v1(line: &str) -> Result<Proxied, ProxyFault> {
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // What follows must be ignored (section 2.1).
        return Ok(Proxied::Own);
    }
    let (Some(source), Some(target), Some(source_port), Some(target_port), None) = (
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) else {
        return Err(ProxyFault::Malformed);
    };
    let source = address_v1(family, source)?;
    address_v1(family, target)?;
    for port in [source_port, target_port] {
        let canonical = port.parse::<u16>().ok().map(|port| port.to_string());
        if canonical.as_deref() != Some(port) {
            return Err(ProxyFault::Malformed);
        }
    }
    Ok(Proxied::From(source.to_canonical()))
}

fn address_v1(family: &str, text: &str) -> Result<IpAddr, ProxyFault> {
    let address = match family {
        "TCP4" => text.parse().ok().map(IpAddr::V4),
        "TCP6" => text.parse().ok().map(IpAddr::V6),
        _ => None,
    };
    address.ok_or(ProxyFault::Malformed)
}

fn read_v2(bytes: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyFault> {
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else {
        return Ok(None);
    };
    let [.., command, family, len_high, len_low] = *fixed;
    let rest = usize::from(u16::from_be_bytes([len_high, len_low]));
    let len = V2_FIXED + rest;
    if PROXY_V2_BYTES_MAX < len {
        return Err(ProxyFault::TooLong);
    }
    // The high half of a byte is the version, or the family; the low one the command, or the transport.
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyFault::Malformed),
    };
    let addresses = match (is_local, family) {
        // A balancer's own: whatever else it says must be ignored.
        (true, _) | (_, 0x00) => 0,
        (_, 0x11) => 12,
        (_, 0x21) => 36,
        (_, 0x31) => 216,
        (_, 0x12 | 0x22 | 0x32) => return Err(ProxyFault::NotTcp),
        _ => return Err(ProxyFault::Malformed),
    };
    if rest < addresses {
        return Err(ProxyFault::Malformed);
    }
    let Some(header) = bytes.get(V2_FIXED..len) else {
        return Ok(None);
    };
    let source = match addresses {
        12 => header
            .first_chunk()
            .map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes))),
        36 => header
            .first_chunk()
            .map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes))),
        _ => None,
    };
    let whose = source.map_or(Proxied::Own, |source| Proxied::From(source.to_canonical()));
    Ok(Some((whose, len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_few_bytes_as_both_begin_with_say_nothing_yet() {
        for (bytes, says) in [
            (&b""[..], None),
            (b"P", None),
            (b"PROXY", None),
            (b"PROXY ", Some(true)),
            (b"PROXYX", Some(false)),
            (b"\r\n", None),
            (b"\r\n\r\n\0\r\nQUIT", None),
            (V2, Some(true)),
            (b"\r\n\r\n\0\r\nQUIZ\n", Some(false)),
            (b"{\"id\":1}", Some(false)),
        ] {
            assert_eq!(begins_as_proxy(bytes), says, "{}", bytes.escape_ascii());
        }
    }
}
