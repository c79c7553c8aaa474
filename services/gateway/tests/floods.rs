//! Floods, as real pools met them: a cluster that is switched on before its workers are registered, and a farm that comes back
//! after a power cut. A process of its own, since its memory is looked at.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test stops at the first surprise and says which; the pool of the other tests can do more than is asked here"
)]

#[path = "loopback/miner.rs"]
mod miner;
#[path = "loopback/pool.rs"]
mod pool;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use orebook_gateway::{Limits, Metrics, TlsFiles};
use orebook_schema::activity::{Entry, FLOOD_REPORT_BYTES_MAX};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::miner::{Miner, code};
use crate::pool::{DEADLINE, HARD, Pool, Setup};

/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(3);
/// Bytes of memory that a gateway may have meanwhile; the test's own share of the process comes on top of it.
const MEMORY_MAX: u64 = 256 << 20;

/// Bytes of an idle connection over TLS: the goal of `gateway_idle_connection_tls`.
const TLS_IDLE_BYTES_MAX: u64 = 16_384;

/// Each flood is alone in the process: memory and time are looked at.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    let kib: u64 = kib.expect("a figure").parse().expect("a number");
    kib * 1_024
}

/// A connection that comes from this loopback address.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, to.port())).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// What a flooder heard.
#[derive(Debug, Default)]
struct Heard {
    /// Refusals of a login, with the reason.
    refused: AtomicU64,
    /// Words at the door of one that is kept out.
    kept_out: AtomicU64,
    connections: AtomicU64,
}

/// Sends failing logins from an address, pipelined on each connection as far as one gets, until it is told to stop.
fn flood(address: Ipv4Addr, to: SocketAddr, heard: &Heard, pause: Duration, stop: &AtomicBool) {
    let line = json!({ "id": 1, "method": "mining.authorize", "params": ["nobody", "secret"] });
    let lines = format!("{line}\n").repeat(20);
    while !stop.load(Ordering::Relaxed) {
        // A port may be lacking for a moment: so many connections end here.
        let Ok(mut stream) = connect_from(address, to) else {
            continue;
        };
        heard.connections.fetch_add(1, Ordering::Relaxed);
        // The other end may have closed already; what it said is read all the same.
        drop(stream.write_all(lines.as_bytes()));
        let (mut text, mut buffer) = (Vec::new(), [0; 4_096]);
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            text.extend_from_slice(&buffer[..len]);
        }
        let text = String::from_utf8(text).expect("text");
        let count = |what: &str| text.matches(what).count() as u64;
        let refused = count("a login begins with name-");
        heard.refused.fetch_add(refused, Ordering::Relaxed);
        let kept_out = count("is kept out for 300 s: too many failed logins");
        heard.kept_out.fetch_add(kept_out, Ordering::Relaxed);
        std::thread::park_timeout(pause);
    }
}

/// Shares that a miner sends while others flood, each answered `true`.
fn mine_meanwhile(miner: &mut Miner, stop: &AtomicBool) -> usize {
    let (job, start, mut shares) = (miner.job(), Instant::now(), 0);
    while start.elapsed() < FLOOD {
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
        shares += 1;
    }
    stop.store(true, Ordering::Relaxed);
    shares
}

/// A flood from `addresses`, by so many threads, against a pool with a miner that goes on.
fn flooded(limits: Limits, threads: u8, addresses: u32, pause: Duration) {
    let pool = Pool::start(&Setup {
        limits,
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut good = Miner::ready(pool.address(0), "name-a");
    let (heard, stop) = (Heard::default(), AtomicBool::new(false));
    let (to, next) = (pool.address(0), AtomicU64::new(0));
    let shares = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed) % u64::from(addresses);
                    let number = u32::try_from(number).expect("few");
                    // 127.1.0.0 and what follows; the miner is at 127.0.0.1.
                    let address = Ipv4Addr::from(0x7f01_0000 + number);
                    if addresses == 1 {
                        flood(address, to, &heard, pause, &stop);
                    } else {
                        flood_once(address, to, &heard);
                    }
                }
            });
        }
        mine_meanwhile(&mut good, &stop)
    });
    let memory = resident();
    assert!(memory < MEMORY_MAX, "{memory} bytes");
    let metrics = pool.gateway.metrics();
    let counts = metrics.sessions.counts;
    println!("{shares} shares, {heard:?}, {memory} bytes, {counts:?}");
    let refused = heard.refused.load(Ordering::Relaxed);
    assert!(0 < refused && refused <= counts.failed_logins);
    if addresses == 1 {
        assert!(0 < heard.kept_out.load(Ordering::Relaxed), "it is told why");
        assert_eq!(counts.bans, 1);
        assert!(counts.failed_logins < 1_000, "then it is kept out");
        assert!(0 < counts.refused.banned);
    } else {
        assert!(u64::from(addresses) <= heard.connections.load(Ordering::Relaxed));
        assert_eq!(counts.bans, 0, "none of them did much");
    }
    assert_eq!(pool.final_shares(shares).len(), shares);
    // The ledger has the miner's shares, his worker and jobs; nothing of the flood.
    let events = pool.ledger.events();
    let workers = pool::workers(&events);
    assert_eq!(workers.len(), 1);
    // Activity has counts, exact ones, and few bytes however many came.
    let reports = pool.stop().reports();
    let counted: u64 = reports
        .iter()
        .flat_map(|report| &report.entries)
        .map(|entry| match entry {
            Entry::FailedLogins { group, .. } => group.count,
            Entry::Rest { count, .. } => *count,
            _ => 0,
        })
        .sum();
    assert_eq!(counted, counts.failed_logins);
    let text = format!("{reports:?}");
    assert!(!text.contains("secret") && !text.contains("nobody"));
    let most = u64::try_from(reports.len() * (FLOOD_REPORT_BYTES_MAX + 4_096)).expect("few");
    assert!(metrics.activity.bytes <= most);
}

/// The same once: subscribes and logs in, as a rig does that then gives up.
fn flood_once(address: Ipv4Addr, to: SocketAddr, heard: &Heard) {
    let Ok(mut stream) = connect_from(address, to) else {
        return;
    };
    heard.connections.fetch_add(1, Ordering::Relaxed);
    let subscribe = json!({ "id": 1, "method": "mining.subscribe", "params": [] });
    let login = json!({ "id": 2, "method": "mining.authorize", "params": ["nobody", "secret"] });
    drop(stream.write_all(format!("{subscribe}\n{login}\n").as_bytes()));
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut text = String::new();
    if stream.read_to_string(&mut text).is_ok() {
        let refused = text.matches("a login begins with name-").count() as u64;
        heard.refused.fetch_add(refused, Ordering::Relaxed);
    }
}

#[test]
fn failed_logins_of_one_address_are_counted_refused_in_words_and_then_kept_out() {
    let _alone = alone();
    flooded(Limits::default(), 4, 1, Duration::from_micros(100));
}

#[test]
fn failed_logins_of_a_thousand_addresses_cost_nobody_a_share() {
    let _alone = alone();
    flooded(Limits::default(), 4, 1_000, Duration::ZERO);
}

/// Ten thousand connections from a process of its own: descriptors of one are not enough for both ends. It logs each in, says
/// `ready`, and at a line on its input closes all of them without a word, opens them again, logs in, and says `ready`.
const FARM: &str = r#"
import json, socket, ssl, sys
port, count, secure = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "tls"
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def line(method, params, id):
    return (json.dumps({"id": id, "method": method, "params": params}) + "\n").encode()
def farm():
    socks = []
    for n in range(count):
        s = socket.create_connection(("127.0.0.1", port))
        if secure:
            s = context.wrap_socket(s)
        s.sendall(line("mining.subscribe", ["farm/1"], 1) + line("mining.authorize", ["name-farm.r%d" % n, "x"], 2))
        socks.append(s)
    for s in socks:
        text = b""
        while b'"id":2,"result":true' not in text.replace(b" ", b"") or b"mining.notify" not in text:
            more = s.recv(65536)
            assert more, text
            text += more
    return socks
for turn in range(2):
    socks = farm()
    print("ready", flush=True)
    sys.stdin.readline()
    for s in socks:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
"#;

/// The farm's process; when this returns it has said `ready`.
struct Farm {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Farm {
    fn start(pool: &Pool, rigs: u64, wire: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", FARM])
            .arg(pool.address(0).port().to_string())
            .arg(rigs.to_string())
            .arg(wire)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3, as the other suites need it");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut farm = Self {
            child,
            input: input.expect("a pipe"),
            output: output.expect("a pipe"),
        };
        farm.ready();
        farm
    }

    fn ready(&mut self) {
        let mut said = [0; 6];
        self.output
            .read_exact(&mut said)
            .expect("the farm is served");
        assert_eq!(&said, b"ready\n");
    }

    /// Everything closes at once.
    fn cut_power(&mut self) {
        self.input.write_all(b"\n").expect("it waits");
    }
}

fn miners(metrics: &Metrics) -> u64 {
    metrics.sessions.counts.miners
}

/// A farm of so many comes, loses its power, comes back and goes; a miner goes on meanwhile. Bytes of memory a connection.
fn come_and_go(rigs: u64, setup: &Setup, wire: &str) -> u64 {
    let pool = Pool::start(setup);
    pool.work_at(1, HARD);
    let before = resident();
    let mut farm = Farm::start(&pool, rigs, wire);
    assert_eq!(miners(&pool.gateway.metrics()), rigs);
    let each = resident().saturating_sub(before) / rigs;
    println!("{each} bytes a connection that has a job ({wire})");
    assert!(resident() < MEMORY_MAX);
    let mut good = (wire == "plain").then(|| Miner::ready(pool.address(0), "name-a"));
    let mut mine = || {
        if let Some(good) = &mut good {
            let job = good.job();
            let found = good.mine(&job);
            assert_eq!(code(&good.submit("name-a", &found)), 0);
        }
    };
    mine();
    farm.cut_power();
    mine();
    farm.ready();
    mine();
    let others = u64::from(wire == "plain");
    let here = |metrics: &Metrics| miners(metrics) == rigs + others;
    let metrics = pool.until("all are here again", here);
    assert_eq!(metrics.sessions.counts.refused.all(), 0);
    assert!(resident() < MEMORY_MAX);
    farm.cut_power();
    assert!(farm.child.wait().expect("it ends").success());
    pool.until("the farm left", |metrics| miners(metrics) == others);
    let shares = if others == 0 { 0 } else { 3 };
    assert_eq!(pool.final_shares(shares).len(), shares);
    each
}

#[test]
fn nine_thousand_idle_rigs_come_back_after_a_power_cut_and_nobody_notices() {
    let _alone = alone();
    come_and_go(9_000, &Setup::default(), "plain");
}

#[test]
fn an_idle_rig_over_tls_needs_little_memory() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a folder");
    let fixture = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = TlsFiles {
        certificate: fixture("one.crt").into(),
        key: dir.path().join("one.key"),
    };
    std::fs::copy(fixture("one.key"), &files.key).expect("a file");
    let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&files.key, owner).expect("a file");
    let setup = Setup {
        tls: Some(files),
        ..Setup::default()
    };
    let each = come_and_go(1_000, &setup, "tls");
    assert!(each < TLS_IDLE_BYTES_MAX, "{each} bytes a connection");
}
