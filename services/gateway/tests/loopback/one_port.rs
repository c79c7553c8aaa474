//! One port for the coins of several algorithms: a real HAProxy with deploy/haproxy/one-port.cfg, a gateway a coin behind it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use orebook_gateway::{DifficultyRule, Network};
use orebook_schema::genesis::Algorithm;
use serde_json::json;

use crate::ethash::{self, DIALECTS, HARD as HARD_HASH, Rig, given};
use crate::miner::{Miner, code};
use crate::pool::{DEADLINE, HARD, Pool, Setup, work};

/// The file that operators take, relative to this crate.
const CONFIG: &str = "../../deploy/haproxy/one-port.cfg";
/// Its address and servers, in the order of [`Coins`].
const BIND: &str = "bind :3333";
const SERVERS: [&str; 3] = [
    "ethash-gateway:3333",
    "scrypt-gateway:3333",
    "sha256d-gateway:3333",
];
/// Its connections need two descriptors each, more than a test may have.
const MOST: &str = "maxconn 33000";
/// How often another port is tried when somebody took the free one meanwhile.
const TRIES: u32 = 5;

struct Coins {
    ethash: Pool,
    scrypt: Pool,
    sha256d: Pool,
}

impl Coins {
    fn start() -> Self {
        let behind = |setup: Setup| {
            Pool::start(&Setup {
                proxy_from: vec![Network::parse("127.0.0.1/32").expect("a network")],
                ..setup
            })
        };
        let scrypt = Setup {
            algorithm: Algorithm::Scrypt,
            ports: vec![DifficultyRule::Fixed(work("0.0001"))],
            ..Setup::default()
        };
        Self {
            ethash: behind(ethash::setup()),
            scrypt: behind(scrypt),
            sha256d: behind(Setup::default()),
        }
    }

    fn pools(&self) -> [&Pool; 3] {
        [&self.ethash, &self.scrypt, &self.sha256d]
    }

    /// Shares that each accepted.
    fn shares(&self) -> [u64; 3] {
        self.pools()
            .map(|pool| pool.gateway.metrics().sessions.counts.shares.accepted)
    }
}

/// A HAProxy that ends with the test.
struct Front {
    child: Child,
    address: SocketAddr,
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Front {
    fn start(coins: &Coins, dir: &Path) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIG);
        let text = std::fs::read_to_string(path).expect("the file of deploy");
        for _ in 0..TRIES {
            let address = free_address();
            let mut config = put(&text, BIND, &format!("bind {address}"));
            config = put(&config, MOST, "maxconn 64");
            for (server, pool) in SERVERS.into_iter().zip(coins.pools()) {
                config = put(&config, server, &pool.address(0).to_string());
            }
            let file = dir.join("haproxy.cfg");
            std::fs::write(&file, config).expect("the disk works");
            let child = Command::new("haproxy")
                .args(["-db", "-f"])
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("./orebook test installs haproxy");
            let mut front = Self { child, address };
            if front.listens() {
                return front;
            }
        }
        panic!("no port was free, {TRIES} times");
    }

    /// Whether it came up; it did not if somebody else took its port.
    fn listens(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            if self.child.try_wait().expect("a child").is_some() {
                let stderr = self.child.stderr.take().expect("it is ours");
                let lines: Vec<_> = BufReader::new(stderr).lines().collect();
                let said = format!("{lines:?}");
                assert!(said.contains("cannot bind"), "{said}");
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        panic!("HAProxy did not come up");
    }
}

fn put(text: &str, what: &str, by: &str) -> String {
    assert_eq!(text.matches(what).count(), 1, "{what}");
    text.replace(what, by)
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

#[test]
fn one_port_serves_every_dialect_of_three_algorithms_and_each_share_is_its_own_coins() {
    let coins = Coins::start();
    let seal = coins.ethash.give(given("seal", "parent", HARD_HASH)).seal;
    coins.scrypt.work_at(1, HARD);
    coins.sha256d.work_at(1, HARD);
    let dir = tempfile::tempdir().expect("a folder");
    let front = Front::start(&coins, dir.path());
    let mut due = [0; 3];

    for (number, dialect) in DIALECTS.into_iter().enumerate() {
        let mut rig = Rig::new(dialect, front.address, &format!("name-{number}.rig"));
        let job = rig.job(seal);
        // Each searches elsewhere: the same nonce twice is a duplicate, also in another dialect.
        rig.next_nonce = u64::try_from(number).expect("few") << 20;
        let nonce = rig.share(&job);
        let mix = ethash::answer(job.seal, nonce).mix;
        assert_eq!(rig.submit(&job, nonce, mix), 0, "{dialect:?}");
        due[0] += 1;
        assert_eq!(coins.shares(), due, "{dialect:?}");
    }
    // As real programs begin: what cpuminer says, what a machine with version rolling says, and a bare one.
    let mut cpu = Miner::connect(front.address);
    cpu.algorithm = Algorithm::Scrypt;
    cpu.subscribe_as("cpuminer/2.5.1");
    mined(&mut cpu, "name-cpu");
    due[1] += 1;
    assert_eq!(coins.shares(), due);
    let mut asic = Miner::connect(front.address);
    let mask = json!({ "version-rolling.mask": "1fffe000" });
    asic.ask("mining.configure", &json!([["version-rolling"], mask]));
    asic.subscribe_as("cgminer/4.11.1");
    mined(&mut asic, "name-asic");
    due[2] += 1;
    let mut bare = Miner::connect(front.address);
    bare.subscribe();
    mined(&mut bare, "name-bare");
    due[2] += 1;
    assert_eq!(coins.shares(), due);

    assert_eq!(coins.ethash.final_nonces(DIALECTS.len()).len(), 5);
    assert_eq!(coins.scrypt.final_shares(1).len(), 1);
    assert_eq!(coins.sha256d.final_shares(2).len(), 2);
    for pool in coins.pools() {
        let counts = pool.gateway.metrics().sessions.counts;
        assert_eq!(counts.proxied, counts.accepted, "each with its own address");
    }
}

/// Logs in and has a share accepted.
fn mined(miner: &mut Miner, user: &str) {
    let reply = miner.authorize(user);
    assert_eq!(reply["result"], json!(true), "{reply}");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit(user, &found)), 0);
}
