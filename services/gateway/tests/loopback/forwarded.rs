//! getwork through proxies of the web: whose a request is, is said by X-Forwarded-For, and believed from named proxies only.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use orebook_gateway::{Limits, Network};
use serde_json::json;

use crate::ethash::{Dialect, HARD, Rig, given, setup};
use crate::pool::{DEADLINE, Pool, Setup};
use crate::tls::{Tunnel, certificate};

fn behind(networks: &[&str], setup: Setup) -> Pool {
    let network = |text: &&str| Network::parse(text).expect("a network");
    let pool = Pool::start(&Setup {
        proxy_from: networks.iter().map(network).collect(),
        ..setup
    });
    pool.give(given("seal", "parent", HARD));
    pool
}

/// A connection of a proxy.
struct Proxy(TcpStream);

impl Proxy {
    fn connect(pool: &Pool) -> Self {
        let stream = TcpStream::connect(pool.address(0)).expect("somebody listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        Self(stream)
    }

    /// Asks for work for a user, with these lines among its headers; the status.
    fn ask(&mut self, user: &str, headers: &str) -> u16 {
        let body = json!({"id": 1, "method": "eth_getWork", "params": []}).to_string();
        let len = body.len();
        let request = format!(
            "POST /{user} HTTP/1.1\r\nHost: pool\r\n{headers}Content-Length: {len}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).expect("it reads");
        self.status()
    }

    fn status(&mut self) -> u16 {
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(b"\r\n\r\n") {
            assert_eq!(self.0.read(&mut byte).expect("in time"), 1, "it answers");
            said.push(byte[0]);
        }
        let said = String::from_utf8(said).expect("ASCII");
        let len = said.split_once("Content-Length: ").expect("a length").1;
        let len = len.split_once("\r\n").expect("a line").0;
        let mut body = vec![0; len.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("the body");
        let status = said.split(' ').nth(1).expect("a status");
        status.parse().expect("a number")
    }

    fn is_closed(&mut self) -> bool {
        let read = self.0.read_to_end(&mut Vec::new());
        let is_reset = |error: std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        read.map_or_else(is_reset, |_| true)
    }
}

fn one_each() -> Setup {
    Setup {
        limits: Limits {
            connections_per_address: 1,
            ..Limits::default()
        },
        ..setup()
    }
}

#[test]
fn a_request_counts_where_the_last_named_proxy_says_it_came_from() {
    let pool = behind(&["127.0.0.0/8"], one_each());
    let mut turned_away = 0;
    for (header, first, second, is_same) in [
        (
            "one after another",
            "X-Forwarded-For: 198.51.100.1\r\n",
            "X-Forwarded-For: 198.51.100.2\r\n",
            false,
        ),
        (
            "the same twice",
            "X-Forwarded-For: 198.51.100.1\r\n",
            "X-Forwarded-For: 198.51.100.1\r\n",
            true,
        ),
        (
            "what the client wrote before",
            "X-Forwarded-For: 1.1.1.1, 198.51.100.1\r\n",
            "X-Forwarded-For: 2.2.2.2, 198.51.100.1\r\n",
            true,
        ),
        (
            "a named proxy behind",
            "X-Forwarded-For: 198.51.100.1, 127.0.0.9\r\n",
            "X-Forwarded-For: 198.51.100.1\r\n",
            true,
        ),
        (
            "an unnamed one behind",
            "X-Forwarded-For: 198.51.100.1, 10.0.0.9\r\n",
            "X-Forwarded-For: 198.51.100.2, 10.0.0.9\r\n",
            true,
        ),
        (
            "two lines",
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.1\r\n",
            "X-Forwarded-For: 198.51.100.1\r\n",
            true,
        ),
        (
            "one customer's IPv6",
            "X-Forwarded-For: 2001:db8:1:2::1\r\n",
            "X-Forwarded-For: \"[2001:db8:1:2::9]:443\"\r\n",
            false,
        ),
        (
            "one customer's IPv6, as proxies write it",
            "X-Forwarded-For: 2001:db8:1:2::1\r\n",
            "X-Forwarded-For: [2001:db8:1:2::9]:443\r\n",
            true,
        ),
        (
            "two customers' IPv6",
            "X-Forwarded-For: 2001:db8:1:2::1\r\n",
            "X-Forwarded-For: 2001:db8:1:3::1\r\n",
            false,
        ),
        (
            "garbage is the proxy's own",
            "X-Forwarded-For: unknown\r\n",
            "\r\n".trim(),
            true,
        ),
        (
            "garbage behind an address",
            "X-Forwarded-For: 198.51.100.1, x\r\n",
            "X-Forwarded-For: 198.51.100.2, x\r\n",
            true,
        ),
    ] {
        let (mut one, mut other) = (Proxy::connect(&pool), Proxy::connect(&pool));
        assert_eq!(one.ask("name-a", first), 200, "{header}");
        let status = other.ask("name-b", second);
        assert_eq!(status == 429, is_same, "{header}: {status}");
        if is_same {
            assert!(other.is_closed(), "{header}");
            turned_away += 1;
        }
        drop((one, other));
        let metrics = pool.until("both left", |metrics| {
            metrics.sessions.counts.connections == 0
        });
        let counts = &metrics.sessions.counts;
        let counted = (counts.refused.address, counts.closed.turned_away);
        assert_eq!(counted, (turned_away, turned_away), "{header}");
    }
}

#[test]
fn who_is_no_named_proxy_is_whom_he_seems_to_be() {
    let pool = behind(&["10.0.0.0/8"], one_each());
    let mut liar = Proxy::connect(&pool);
    assert_eq!(liar.ask("name-a", "X-Forwarded-For: 198.51.100.1\r\n"), 200);
    let mut second = Proxy::connect(&pool);
    assert!(second.is_closed(), "he has one address");
    assert_eq!(pool.gateway.metrics().sessions.counts.proxied, 0);
}

#[test]
fn requests_of_many_clients_over_one_connection_count_each_at_its_own_address() {
    let limits = Limits {
        failed_logins_per_connection: 100,
        failed_logins_per_address: 2,
        ..Limits::default()
    };
    let pool = behind(&["127.0.0.1"], Setup { limits, ..setup() });
    let mut proxy = Proxy::connect(&pool);
    let (bad, good) = (
        "X-Forwarded-For: 198.51.100.1\r\n",
        "X-Forwarded-For: 2001:db8::7\r\n",
    );
    for _ in 0..2 {
        assert_eq!(proxy.ask("nobody", bad), 200, "told why, in JSON");
        assert_eq!(proxy.ask("name-b", good), 200);
    }
    assert_eq!(pool.gateway.metrics().sessions.counts.bans, 1);
    assert_eq!(proxy.ask("name-a", bad), 429, "his address is kept out");
    assert!(proxy.is_closed());
    let mut proxy = Proxy::connect(&pool);
    assert_eq!(proxy.ask("name-b", good), 200, "and nobody else's");
}

#[test]
fn a_named_proxy_speaks_plainly_or_by_tls_and_says_nothing_else() {
    let (tls, _dir) = certificate();
    for tls in [None, Some(tls)] {
        let over_tls = tls.is_some();
        let pool = behind(&["127.0.0.1"], Setup { tls, ..setup() });
        let tunnel = over_tls.then(|| Tunnel::plainly(&pool));
        let address = tunnel.map_or(pool.address(0), |tunnel| tunnel.address);
        let mut rig = Rig::new(Dialect::GetWork, address, "name-a.rig");
        rig.headers = "X-Forwarded-For: 198.51.100.7\r\n".to_owned();
        let reply = rig.ask("eth_getWork", &json!([]));
        assert!(reply["result"].is_array(), "{reply}");
        assert_eq!(pool.gateway.metrics().sessions.counts.proxied, 1);
        // Stratum needs a PROXY header, before the hello: a line says no address.
        let mut line = TcpStream::connect(address).expect("somebody listens");
        line.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let login = "{\"id\":1,\"method\":\"eth_submitLogin\",\"params\":[\"name-a\"]}\n";
        line.write_all(login.as_bytes()).expect("it reads");
        let mut said = String::new();
        line.read_to_string(&mut said).expect("in time");
        assert!(said.contains("a PROXY header is due"), "{over_tls}: {said}");
        pool.until("it is counted", |metrics| {
            metrics.sessions.counts.closed.proxy == 1
        });
    }
}
