//! Floods, as real pools met them: a cluster that is switched on before its workers are registered, and a farm that comes back
//! after a power cut. A process of its own, since its memory is looked at.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test stops at the first surprise and says which; the pool of the other tests can do more than is asked here"
)]

#[path = "loopback/flooder.rs"]
mod flooder;
#[path = "loopback/miner.rs"]
mod miner;
#[path = "loopback/pool.rs"]
mod pool;

use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use orebook_gateway::{Metrics, TlsFiles};
use orebook_schema::activity::{Entry, FLOOD_REPORT_BYTES_MAX};
use serde_json::json;

use crate::flooder::{Flood, Heard};
use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup};

/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(15);
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

/// A flood against a pool with a miner that goes on: ten thousand logins a second, so many on each connection.
fn flooded(addresses: u32, of_connection: u32) {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut good = Miner::ready(pool.address(0), "name-a");
    let (heard, stop) = (Heard::default(), AtomicBool::new(false));
    let flood = Flood {
        // The miner is at 127.0.0.1.
        first: Ipv4Addr::new(127, 1, 0, 0),
        addresses,
        rate: 10_000,
        of_connection,
        at_a_time: if addresses == 1 { 64 } else { 2_048 },
    };
    let login = json!({ "id": 1, "method": "mining.authorize", "params": ["nobody", "secret"] });
    let count = usize::try_from(of_connection).expect("few");
    let lines = format!("{login}\n").repeat(count);
    let to = pool.address(0);
    let shares = std::thread::scope(|scope| {
        scope.spawn(|| flooder::flood(flood, to, lines.as_bytes(), &heard, &stop));
        mine_meanwhile(&mut good, &stop)
    });
    let memory = resident();
    assert!(memory < MEMORY_MAX, "{memory} bytes");
    assert_eq!(pool.final_shares(shares).len(), shares);
    // The ledger has the miner's shares, his worker and jobs; nothing of the flood.
    let events = pool.ledger.events();
    let workers = pool::workers(&events);
    assert_eq!(workers.len(), 1);
    // Logins of the flood are still heard after it: only the last figures are those of the last report.
    let (ledger, metrics) = pool.stop_and_count();
    let counts = metrics.sessions.counts;
    println!("{shares} shares, {heard:?}, {memory} bytes, {counts:?}");
    let refused = heard.refused.load(Ordering::Relaxed);
    assert!(0 < refused && refused <= counts.failed_logins);
    if addresses == 1 {
        assert!(0 < heard.kept_out.load(Ordering::Relaxed), "it is told why");
        assert_eq!(counts.bans, 1);
        // It has so many connections when it has failed too often.
        assert!(counts.failed_logins < 600 + 64 * 8, "then it is kept out");
        assert!(0 < counts.refused.banned);
    } else {
        assert!(u64::from(addresses) <= heard.connections.load(Ordering::Relaxed));
        assert_eq!(counts.bans, 0, "none of them did much");
    }
    // Activity has counts, exact ones, and few bytes however many came.
    let reports = ledger.reports();
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

#[test]
fn failed_logins_of_one_address_are_counted_refused_in_words_and_then_kept_out() {
    let _alone = alone();
    flooded(1, 8);
}

#[test]
fn failed_logins_of_a_thousand_addresses_cost_nobody_a_share() {
    let _alone = alone();
    flooded(1_000, 1);
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
fn ten_thousand_idle_rigs_come_back_after_a_power_cut_and_nobody_notices() {
    let _alone = alone();
    come_and_go(10_000, &Setup::default(), "plain");
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
