//! The thread and its listener, asked over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orebook_desk::{Desk, DeskConfig, DeskParts, router};
use orebook_ledger::reader::Reader;
use orebook_schema::StreamId;
use orebook_sim::disk::SimDisk;
use serde_json::Value;

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
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let service = router(desk.handle()).into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, service).await.unwrap();
        });
        Self {
            world,
            desk,
            mirror,
            clock,
            address,
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
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    (
        status.expect("a status"),
        serde_json::from_str(body).unwrap_or_default(),
    )
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
