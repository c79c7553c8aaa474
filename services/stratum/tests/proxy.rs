//! What load balancers say before a miner's first byte: a table, the corpus that `fuzz/make_proxy_corpus.py` wrote, and
//! generated headers, through the entry point of the fuzz target.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../fuzz/proxy_entry.rs"]
mod entry;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use entry::{Outcome, fuzz_proxy};
use orebook_stratum::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX, Proxied, ProxyFault, read_proxy};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn v1(source: IpAddr, target: IpAddr, ports: [u16; 2]) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let [from, to] = ports;
    format!("PROXY {family} {source} {target} {from} {to}\r\n").into_bytes()
}

fn v2(source: IpAddr, target: IpAddr, ports: [u16; 2], more: &[u8]) -> Vec<u8> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut body = [octets(source), octets(target)].concat();
    for port in ports {
        body.extend(port.to_be_bytes());
    }
    body.extend_from_slice(more);
    let len = u16::try_from(body.len()).expect("short").to_be_bytes();
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let fixed = [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &len].concat();
    [fixed, body].concat()
}

#[test]
fn headers_say_whose_a_connection_is_and_where_they_end() {
    let four = ip("198.51.100.7");
    let six = ip("2001:db8::7");
    let mapped = IpAddr::V6(Ipv6Addr::from([
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7,
    ]));
    let table = [
        (v1(four, ip("203.0.113.9"), [51_234, 3_333]), four),
        (v1(six, ip("::1"), [1, 65_535]), six),
        (v1(mapped, ip("::1"), [1, 2]), four),
        (v2(four, ip("203.0.113.9"), [1, 2], b""), four),
        (v2(four, ip("203.0.113.9"), [1, 2], &[4, 0, 1, 0]), four),
        (v2(six, ip("::1"), [1, 2], b""), six),
        (v2(mapped, ip("::1"), [1, 2], b""), four),
    ];
    for (header, address) in table {
        let said = [&header[..], b"{\"id\":1}\n"].concat();
        let expected = Ok(Some((Proxied::From(address), header.len())));
        assert_eq!(read_proxy(&said), expected, "{}", said.escape_ascii());
    }
}

#[test]
fn each_fault_is_named() {
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    for (bytes, fault) in [
        (&b"{\"id\":1}"[..], ProxyFault::Missing),
        (&endless, ProxyFault::TooLong),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x02\x09", ProxyFault::TooLong),
        (b"PROXY TCP4 1.2.3.4\r\n", ProxyFault::Malformed),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0b",
            ProxyFault::Malformed,
        ),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0c", ProxyFault::NotTcp),
    ] {
        assert_eq!(read_proxy(bytes), Err(fault), "{}", bytes.escape_ascii());
    }
    assert_eq!(PROXY_V1_BYTES_MAX + 429, PROXY_V2_BYTES_MAX);
}

/// Inputs of the corpus, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/proxy");
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("it is read"))
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn the_corpus_is_understood_as_its_names_say() {
    let inputs = corpus();
    assert!(60 <= inputs.len(), "{} inputs, too few", inputs.len());
    let mut seen: BTreeMap<Outcome, usize> = BTreeMap::new();
    for (name, bytes) in inputs {
        let outcome = fuzz_proxy(&bytes);
        let expected = match name.split('-').next().unwrap_or_default() {
            "from" => Outcome::From,
            "own" => Outcome::Own,
            "more" => Outcome::More,
            "refused" => Outcome::Refused,
            "any" => outcome,
            other => panic!("{name}: what is {other}?"),
        };
        assert_eq!(outcome, expected, "{name}: {}", bytes.escape_ascii());
        *seen.entry(outcome).or_default() += 1;
    }
    assert_eq!(seen.len(), 4, "every outcome comes: {seen:?}");
}

#[test]
fn every_changed_byte_of_the_corpus_is_read_or_refused() {
    let mut count = 0;
    for (name, bytes) in corpus() {
        for at in 0..bytes.len().min(64) {
            for wrong in [0, b' ', b'\r', b'\n', b'0', b'9', b':', b'.', 0x7f, 0xff] {
                let mut changed = bytes.clone();
                *changed.get_mut(at).expect("a byte") = wrong;
                fuzz_proxy(&changed);
                count += 1;
            }
        }
        assert!(!name.is_empty());
    }
    assert!(10_000 <= count, "{count} changes");
}

/// Both addresses of one family.
fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let mapped = any::<[u8; 4]>().prop_map(|octets| {
        let four = std::net::Ipv4Addr::from(octets);
        IpAddr::V6(four.to_ipv6_mapped())
    });
    let six = || any::<[u8; 16]>().prop_map(IpAddr::from);
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        (six(), six()),
        (mapped, six()),
    ]
}

fn run<S: Strategy>(cases: u32, values: &S, check: impl Fn(S::Value)) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(values, |value| {
        check(value);
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn what_was_said_is_what_is_read_by_both_versions_and_at_every_split() {
    let said = (
        addresses(),
        any::<[u16; 2]>(),
        vec(any::<u8>(), 0..300),
        vec(any::<u8>(), 0..60),
    );
    run(5_000, &said, |((source, target), ports, tlvs, after)| {
        for header in [v1(source, target, ports), v2(source, target, ports, &tlvs)] {
            let bytes = [&header[..], &after].concat();
            let read = read_proxy(&bytes);
            let expected = Proxied::From(source.to_canonical());
            assert_eq!(read, Ok(Some((expected, header.len()))));
            // Asks every shorter beginning too.
            assert_eq!(fuzz_proxy(&bytes), Outcome::From);
        }
    });
}

#[test]
fn any_bytes_behind_either_signature_are_read_or_refused() {
    let begin = prop_oneof![
        Just(b"PROXY ".to_vec()),
        Just(b"PROXY TCP4 ".to_vec()),
        Just(b"\r\n\r\n\0\r\nQUIT\n".to_vec()),
        Just(b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec()),
        Just(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00".to_vec()),
        Just(Vec::new()),
    ];
    run(
        20_000,
        &(begin, vec(any::<u8>(), 0..80)),
        |(begin, rest)| {
            fuzz_proxy(&[begin, rest].concat());
        },
    );
}

#[test]
fn a_header_with_changed_bytes_is_read_or_refused() {
    let said = (
        addresses(),
        any::<bool>(),
        vec((any::<Index>(), any::<u8>()), 1..4),
    );
    run(20_000, &said, |((source, target), is_v1, changes)| {
        let mut bytes = if is_v1 {
            v1(source, target, [1, 2])
        } else {
            v2(source, target, [1, 2], b"")
        };
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            *bytes.get_mut(at).expect("a byte") = byte;
        }
        fuzz_proxy(&bytes);
    });
}
