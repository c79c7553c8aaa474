//! Through a load balancer: connections begin with a PROXY header, and count as their clients'.

use std::net::IpAddr;

use orebook_gateway::{Limits, Network};
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn behind(networks: &[&str], limits: Limits) -> Pool {
    let network = |text: &&str| Network::parse(text).expect("a network");
    let pool = Pool::start(&Setup {
        proxy_from: networks.iter().map(network).collect(),
        limits,
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    pool
}

fn v1(client: &str) -> Vec<u8> {
    let client: IpAddr = client.parse().expect("an address");
    let (family, own) = if client.is_ipv4() {
        ("TCP4", "203.0.113.9")
    } else {
        ("TCP6", "2001:db8::9")
    };
    format!("PROXY {family} {client} {own} 51234 3333\r\n").into_bytes()
}

fn v2(client: &str) -> Vec<u8> {
    let client: IpAddr = client.parse().expect("an address");
    let (family, octets) = match client {
        IpAddr::V4(address) => (0x11, address.octets().to_vec()),
        IpAddr::V6(address) => (0x21, address.octets().to_vec()),
    };
    // Its own address and both ports, then something that nobody asked for.
    let own = vec![1; octets.len() + 4];
    let body = [octets, own, vec![0x04, 0, 2, 7, 7]].concat();
    let len = u8::try_from(body.len()).expect("short");
    [V2, &[0x21, family, 0, len], &body].concat()
}

/// Subscribes and logs in.
fn log_in(miner: &mut Miner) {
    miner.subscribe();
    let reply = miner.authorize("name-a");
    assert_eq!(reply["result"], json!(true), "{reply}");
}

#[test]
fn each_client_counts_at_his_own_address_by_both_versions() {
    let limits = Limits {
        connections_per_address: 2,
        ..Limits::default()
    };
    let pool = behind(&["127.0.0.0/8"], limits);
    type Header = fn(&str) -> Vec<u8>;
    let table: [(Header, &str); 4] = [
        (v1, "198.51.100.1"),
        (v2, "198.51.100.2"),
        (v1, "2001:db8::1"),
        (v2, "2001:db8:0:1::2"),
    ];
    let mut inside = Vec::new();
    for (header, client) in table {
        for _ in 0..2 {
            let mut miner = Miner::connect(pool.address(0));
            // The first line may come with the header.
            miner.raw(
                &[
                    &header(client)[..],
                    b"{\"id\":9,\"method\":\"mining.ping\"}\n",
                ]
                .concat(),
            );
            assert_eq!(miner.reply()["result"], json!("pong"), "{client}");
            log_in(&mut miner);
            inside.push(miner);
        }
        let mut third = Miner::connect(pool.address(0));
        third.raw(&header(client));
        assert!(third.is_closed(), "{client}");
    }
    // Who is refused is counted as such first, and leaves afterwards.
    let metrics = pool.until("all are counted, and four left", |metrics| {
        let counts = &metrics.sessions.counts;
        (counts.refused.address, counts.connections) == (4, 8)
    });
    assert_eq!(metrics.sessions.counts.proxied, 12);
    // Who leaves makes room at his address, and nowhere else.
    drop(inside.remove(0));
    pool.until("one left", |metrics| {
        metrics.sessions.counts.connections == 7
    });
    let mut again = Miner::connect(pool.address(0));
    again.raw(&v2("198.51.100.1"));
    log_in(&mut again);
    let job = again.job();
    let found = again.mine(&job);
    assert_eq!(code(&again.submit("name-a", &found)), 0);
}

#[test]
fn a_header_is_understood_however_its_bytes_are_split() {
    let pool = behind(&["127.0.0.1"], Limits::default());
    for header in [v1("2001:db8::7"), v2("198.51.100.7")] {
        let ping = b"{\"id\":9,\"method\":\"mining.ping\"}\n";
        let bytes = [&header[..], ping].concat();
        let mut miner = Miner::connect(pool.address(0));
        for (at, byte) in bytes.iter().enumerate() {
            miner.raw(&[*byte]);
            if at == header.len() / 2 {
                // The gateway has read the beginning alone: it waits for the rest, and serves others.
                let mut other = Miner::connect(pool.address(0));
                other.raw(&v2("198.51.100.8"));
                log_in(&mut other);
            }
        }
        assert_eq!(miner.reply()["result"], json!("pong"));
    }
}

#[test]
fn without_a_header_nobody_comes_in_from_a_balancer() {
    let pool = behind(&["127.0.0.0/8", "::1"], Limits::default());
    let wrong = [
        &b"{\"id\":1,\"method\":\"mining.subscribe\"}\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0c",
    ];
    for (count, bytes) in (1..).zip(wrong) {
        let mut miner = Miner::connect(pool.address(0));
        miner.raw(bytes);
        let said = miner.try_line().expect("a word before the end");
        let why = "a PROXY header is due from this address";
        assert_eq!(said["error"][1], json!(why), "{}", bytes.escape_ascii());
        assert!(miner.is_closed());
        pool.until("it is counted", |metrics| {
            metrics.sessions.counts.closed.proxy == count
        });
    }
}

#[test]
fn a_header_is_believed_from_the_list_only_and_only_once() {
    let why = "a PROXY header is not taken from this address";
    for networks in [&[][..], &["10.0.0.0/8", "::/0"]] {
        let pool = behind(networks, Limits::default());
        for header in [v1("198.51.100.1"), v2("198.51.100.1")] {
            // All at once, and with its signature in two parts.
            for cut in [0, 3] {
                let mut liar = Miner::connect(pool.address(0));
                let (first, rest) = header.split_at(cut);
                liar.raw(first);
                let mut honest = Miner::connect(pool.address(0));
                log_in(&mut honest);
                liar.raw(rest);
                let said = liar.try_line().expect("a word before the end");
                assert_eq!(said["error"][1], json!(why), "{said}");
                assert!(liar.is_closed());
            }
        }
        assert_eq!(pool.gateway.metrics().sessions.counts.proxied, 0);
    }
    let pool = behind(&["127.0.0.1"], Limits::default());
    let mut twice = Miner::connect(pool.address(0));
    twice.raw(&[v2("198.51.100.1"), v1("198.51.100.2")].concat());
    let said = twice.try_line().expect("a word before the end");
    assert_eq!(said["error"][1], json!(why), "{said}");
    assert!(twice.is_closed());
}

#[test]
fn a_balancers_own_connections_are_served_and_counted_at_its_own_address() {
    let limits = Limits {
        connections_per_address: 1,
        ..Limits::default()
    };
    let pool = behind(&["127.0.0.1"], limits);
    let local = [V2, &[0x20, 0, 0, 0]].concat();
    for header in [&local[..], b"PROXY UNKNOWN\r\n"] {
        // A check connects, says so, and goes.
        let mut check = Miner::connect(pool.address(0));
        check.raw(header);
        assert_eq!(
            check.ask("mining.ping", &json!([]))["result"],
            json!("pong")
        );
        let mut second = Miner::connect(pool.address(0));
        second.raw(header);
        assert!(second.is_closed(), "the balancer has one address too");
        drop((check, second));
        pool.until("all left", |metrics| {
            metrics.sessions.counts.connections == 0
        });
    }
    let counts = pool.gateway.metrics().sessions.counts;
    assert_eq!((counts.proxied, counts.closed.proxy), (0, 0));
}

#[test]
fn failed_logins_keep_one_client_out_and_not_the_balancer() {
    let limits = Limits {
        failed_logins_per_connection: 2,
        failed_logins_per_address: 2,
        ..Limits::default()
    };
    let pool = behind(&["127.0.0.1"], limits);
    let mut flood = Miner::connect(pool.address(0));
    flood.raw(&v2("198.51.100.1"));
    flood.subscribe();
    (0..2).for_each(|_| assert_eq!(code(&flood.authorize("nobody")), 24));
    assert!(flood.is_closed());
    let mut again = Miner::connect(pool.address(0));
    again.raw(&v1("198.51.100.1"));
    assert!(again.is_closed(), "his address is kept out");
    let mut other = Miner::connect(pool.address(0));
    other.raw(&v2("198.51.100.2"));
    log_in(&mut other);
}

#[test]
fn who_never_ends_his_header_is_sent_away_in_time() {
    let limits = Limits {
        login_timeout: std::time::Duration::from_millis(300),
        ..Limits::default()
    };
    let pool = behind(&["127.0.0.1"], limits);
    let mut slow = Miner::connect(pool.address(0));
    slow.raw(b"PROXY TCP4 198.51.100.1");
    assert!(slow.is_closed());
    pool.until("it is counted", |metrics| {
        metrics.sessions.counts.closed.login_timeout == 1
    });
    let mut endless = Miner::connect(pool.address(0));
    endless.raw(&[b'x'; 40].map(|_| b"PROXY UNKNOWN ".as_slice()).concat());
    assert!(endless.is_closed());
    pool.until("it is counted", |metrics| {
        metrics.sessions.counts.closed.proxy == 1
    });
}
