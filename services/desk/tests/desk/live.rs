//! The thread and its listener, asked over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orebook_desk::{Desk, DeskConfig, DeskParts, TRIES_PER_MINUTE_MAX, miners, router};
use orebook_ledger::reader::Reader;
use orebook_schema::StreamId;
use orebook_sim::disk::SimDisk;
use serde_json::Value;

use crate::owners::Owner;
use crate::world::{
    DESK, LEDGER, OPERATOR, World, disk_with_genesis, machine_config, poll, revoke, signer,
    store_config,
};

/// Real time after which a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// A desk's thread and listener in a world whose turns the test makes.
struct Live {
    world: World,
    desk: Desk,
    mirror: Arc<Mutex<Reader<SimDisk>>>,
    clock: Arc<AtomicU64>,
    address: SocketAddr,
    miners: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Live {
    fn new(answer_ms: u64) -> Self {
        let mut world = World::new();
        world.desks.clear();
        let clock = Arc::new(AtomicU64::new(world.now));
        let disk = disk_with_genesis(60, "mirror");
        let (reader, _) = Reader::open(disk.clone(), "mirror", LEDGER, store_config(), 0).unwrap();
        let mirror = Arc::new(Mutex::new(reader));
        poll(&mut mirror.lock().unwrap(), &world.broker);
        let (now, stream) = (clock.clone(), clock.clone());
        let parts = DeskParts {
            disk,
            signer: signer(DESK),
            mirror: mirror.clone(),
            log: world.broker.clone(),
            now_ms: Box::new(move || now.load(Ordering::Relaxed)),
            new_stream: Box::new(move || {
                StreamId::from_parts(stream.load(Ordering::Relaxed), [7; 10])
            }),
            fatal: Arc::new(|why| panic!("{why}")),
        };
        let config = DeskConfig {
            machine: machine_config(),
            dir: "desk".to_owned(),
            turn_ms: 1,
            answer_ms,
        };
        let desk = Desk::start(config, parts).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let serve = |routes: axum::Router| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let service = routes.into_make_service_with_connect_info::<SocketAddr>();
            runtime.spawn(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, service).await.unwrap();
            });
            address
        };
        let address = serve(router(desk.handle()));
        // Whoever a proxy names last, as if every peer were a proxy.
        let whose = |peer, header: &str| {
            let named = header.rsplit(',').next().and_then(|text| text.parse().ok());
            named.unwrap_or(peer)
        };
        let miners = serve(miners::router(desk.handle(), Arc::new(whose)));
        Self {
            world,
            desk,
            mirror,
            clock,
            address,
            miners,
            _runtime: runtime,
        }
    }

    /// Turns of everybody else until the answer is as wanted.
    fn until(&mut self, method: &str, path: &str, body: &[u8], wanted: &str) -> Value {
        let begun = Instant::now();
        loop {
            let (_, answer) = ask(self.address, method, path, body);
            if answer["outcome"] == wanted {
                return answer;
            }
            assert!(begun.elapsed() < DEADLINE, "{wanted}: {answer}");
            self.world.turns(1);
            self.clock.store(self.world.now, Ordering::Relaxed);
            poll(&mut self.mirror.lock().unwrap(), &self.world.broker);
        }
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    ask_with(address, method, path, "", body)
}

/// The same with more lines in the head.
fn ask_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    more: &str,
    body: &[u8],
) -> (u16, Value) {
    let (head, body) = answer_of(address, method, path, more, body);
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    (
        status.expect("a status"),
        serde_json::from_str(&body).unwrap_or_default(),
    )
}

/// Head and body of an answer.
fn answer_of(
    address: SocketAddr,
    method: &str,
    path: &str,
    more: &str,
    body: &[u8],
) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn a_command_is_unknown_until_it_is_final_and_answered_then() {
    let mut live = Live::new(20);
    let (bytes, id) = live.world.command(OPERATOR, &revoke());
    live.until("GET", &format!("/commands/{id}"), b"", "never");
    // Nothing becomes final: nobody makes a turn.
    let (status, answer) = ask(live.address, "POST", "/commands", &bytes);
    assert_eq!((status, &answer["outcome"]), (202, &"unknown".into()));
    let answer = live.until("GET", &format!("/commands/{id}"), b"", "waits");
    assert_eq!(answer["thing"]["missing"], 1);
    let (status, again) = ask(live.address, "POST", "/commands", &bytes);
    assert_eq!((status, again), (200, answer));
    let (status, state) = ask(live.address, "GET", "/state", b"");
    assert_eq!((status, &state["waiting"][0]["needed"]), (200, &1.into()));
    live.desk.stop().unwrap();
}

#[test]
fn what_is_no_command_or_too_long_is_refused_at_the_door() {
    let live = Live::new(20);
    for (method, path, body, expected) in [
        ("POST", "/commands", vec![1; 3], 400),
        ("POST", "/commands", vec![1; 100_000], 400),
        ("GET", "/commands/xyz", Vec::new(), 400),
        ("GET", "/commands", Vec::new(), 405),
        ("GET", "/keys/desk.key", Vec::new(), 404),
    ] {
        let (status, answer) = ask(live.address, method, path, &body);
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
    live.desk.stop().unwrap();
}

#[test]
fn a_miner_asks_for_a_text_posts_it_signed_and_reaches_nothing_else() {
    let mut live = Live::new(20);
    let owner = Owner::new(7);
    // Until the desk has read its ledger.
    let path = format!(
        "/settings/text?account={}&what=threshold&value=5",
        owner.address()
    );
    let begun = Instant::now();
    let text = loop {
        let (status, body) = ask(live.miners, "GET", &path, b"");
        if status == 200 {
            break body["text"].as_str().unwrap().to_owned();
        }
        assert!(begun.elapsed() < DEADLINE, "{body}");
    };
    let signature = owner.sign(&text);
    let posted = serde_json::json!({ "text": text, "signature": signature }).to_string();
    // Nothing becomes final: nobody makes a turn.
    let (status, answer) = ask(live.miners, "POST", "/settings", posted.as_bytes());
    assert_eq!((status, &answer["outcome"]), (202, &"unknown".into()));
    let path = format!("/settings/{}", answer["id"].as_str().unwrap());
    let address = std::mem::replace(&mut live.address, live.miners);
    let answer = live.until("GET", &path, b"", "obeyed");
    let (status, again) = ask(live.miners, "POST", "/settings", posted.as_bytes());
    assert_eq!((status, again), (200, answer));
    // An operator's command is nobody's business here.
    let (bytes, id) = live.world.command(OPERATOR, &revoke());
    ask(address, "POST", "/commands", &bytes);
    let token = "ab".repeat(32);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let only_text = serde_json::json!({ "text": text }).to_string();
    let long = vec![b' '; 3_000];
    for (method, path, more, body, expected, cause) in [
        ("GET", format!("/settings/{id}"), "", "", 404, Value::Null),
        ("GET", "/state".to_owned(), "", "", 404, Value::Null),
        ("POST", "/commands".to_owned(), "", "", 404, Value::Null),
        (
            "POST",
            "/settings".to_owned(),
            "",
            "{}",
            400,
            "question".into(),
        ),
        (
            "POST",
            "/settings".to_owned(),
            "",
            only_text.as_str(),
            400,
            "question".into(),
        ),
        (
            "POST",
            "/settings".to_owned(),
            bearer.as_str(),
            posted.as_str(),
            400,
            "question".into(),
        ),
        (
            "POST",
            "/settings".to_owned(),
            bearer.as_str(),
            only_text.as_str(),
            403,
            "token".into(),
        ),
        (
            "POST",
            "/settings".to_owned(),
            "Authorization: Bearer xyz\r\n",
            only_text.as_str(),
            400,
            "question".into(),
        ),
        (
            "POST",
            "/settings".to_owned(),
            "",
            str::from_utf8(&long).unwrap(),
            400,
            "question".into(),
        ),
    ] {
        let (status, answer) = ask_with(live.miners, method, &path, more, body.as_bytes());
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert_eq!(answer["cause"], cause, "{method} {path}: {answer}");
        assert!(!answer.to_string().contains(&token), "{answer}");
    }
    live.desk.stop().unwrap();
}

#[test]
fn a_browser_is_answered_at_the_pages_own_origin_alone_and_no_other_page_may_read() {
    let live = Live::new(20);
    // Each request has `Host: desk`.
    for (more, is_taken) in [
        // Programs say nothing of a page.
        ("", true),
        // What browsers say to TLS and the loopback.
        (
            "Sec-Fetch-Site: same-origin\r\nOrigin: https://desk\r\n",
            true,
        ),
        ("Sec-Fetch-Site: none\r\n", true),
        // A proxy that asks us by another name.
        (
            "Sec-Fetch-Site: same-origin\r\nOrigin: https://pool.example\r\n",
            true,
        ),
        ("Sec-Fetch-Site: cross-site\r\n", false),
        (
            "Sec-Fetch-Site: cross-site\r\nOrigin: https://desk\r\n",
            false,
        ),
        (
            "Sec-Fetch-Site: same-site\r\nOrigin: https://desk\r\n",
            false,
        ),
        (
            "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
            false,
        ),
        ("Sec-Fetch-Site: \r\n", false),
        // What they say to plain HTTP.
        ("Origin: http://desk\r\n", true),
        ("Origin: http://DESK\r\n", true),
        ("Origin: http://evil.example\r\n", false),
        ("Origin: http://desk.evil.example\r\n", false),
        ("Origin: http://desk:8091\r\n", false),
        (
            "Origin: http://desk\r\nOrigin: http://evil.example\r\n",
            false,
        ),
        ("Origin: null\r\n", false),
        ("Origin: desk\r\n", false),
        ("Origin: \r\n", false),
    ] {
        for (method, path, body) in [
            ("GET", "/settings", ""),
            ("GET", "/settings/text?account=a&what=b", ""),
            ("POST", "/settings", "{}"),
            ("GET", "/settings/xyz", ""),
            ("OPTIONS", "/settings", ""),
            ("GET", "/state", ""),
        ] {
            let (head, text) = answer_of(live.miners, method, path, more, body.as_bytes());
            let said = format!("{method} {path} {more}: {head} {text}");
            let is_refused = text.contains("\"cause\":\"origin\"");
            assert_eq!(head.starts_with("http/1.1 403 "), is_refused, "{said}");
            assert_eq!(is_refused, !is_taken, "{said}");
            assert!(!head.contains("access-control-"), "{said}");
            for line in [
                "x-content-type-options: nosniff",
                "referrer-policy: no-referrer",
                "cross-origin-resource-policy: same-origin",
                "content-security-policy: default-src 'none'",
            ] {
                assert!(head.contains(line), "{line}: {said}");
            }
        }
    }
    let (status, offered) = ask(live.miners, "GET", "/settings", b"");
    assert_eq!((status, &offered["offered"]), (200, &true.into()));
    live.desk.stop().unwrap();
}

#[test]
fn what_a_proxy_brings_is_counted_to_whom_it_names() {
    let live = Live::new(20);
    let path = "/settings/text?account=a&what=b";
    let from = |header: &str| {
        let more = format!("X-Forwarded-For: {header}\r\n");
        ask_with(live.miners, "GET", path, &more, b"")
    };
    for _ in 0..TRIES_PER_MINUTE_MAX {
        let (_, answer) = from("192.0.2.1");
        assert_ne!(answer["cause"], "too_many", "{answer}");
    }
    for (header, is_open) in [
        ("192.0.2.1", false),
        // What somebody wrote before the proxy did is nobody's word.
        ("192.0.2.2,192.0.2.1", false),
        ("192.0.2.2\r\nX-Forwarded-For: 192.0.2.1", false),
        ("192.0.2.2", true),
        ("192.0.2.1,192.0.2.3", true),
        // The proxy itself.
        ("192.0.2.1,unknown", true),
        ("\u{e9}", true),
    ] {
        let (_, answer) = from(header);
        assert_eq!(answer["cause"] != "too_many", is_open, "{header}: {answer}");
    }
    live.desk.stop().unwrap();
}
