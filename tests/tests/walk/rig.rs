//! A miner that remembers every share it sent and what it was told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orebook_miner::{Client, News, Rig};
use orebook_pow::sha256d;
use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use orebook_tests::pool::DEADLINE;
use orebook_tests::shares::Held;
use serde_json::Value;

/// How long a rig listens between two attempts.
const PATIENCE: Duration = Duration::from_millis(5);
/// Nonces tried between two looks at the wire.
const BATCH: u32 = 2_048;

/// A pool with two gateways and two pots on the development chain, whose blocks come every second.
pub(crate) const CONFIG: &str = r#"
[pool]
text = "/walk/"

[development]
difficulty = "0.00005"
block_seconds = 1
maturity = 3
foreign_one_in = 6
orphan_one_in = 9
miners = []

[http]
listen = "127.0.0.1:0"

[settler]
poll_ms = 100
grace_ms = 2000

[spool]
file_bytes = 4194304
total_bytes = 67108864

[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.000002"

[[gateway]]
commit_ms = 0
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.000003"
[[gateway.port]]
listen = "127.0.0.1:0"
pot = 1
difficulty = "0.000002"
"#;

/// Rigs: port of that pool, and user.
pub(crate) const RIGS: [(usize, &str); 3] = [
    (0, "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu.rig"),
    (1, "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu.rig"),
    (2, "ob1qh5cxgfwcw0wra8732g8xjw256mtqt69ddndjl4.solo"),
];

/// A share that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Its submission's parameters.
    pub(crate) params: Value,
    /// Whether the pool answered `true`.
    pub(crate) accepted: bool,
}

/// Every share that a rig sent, by its header's SHA-256d.
pub(crate) type Memory = BTreeMap<Hash, Sent>;

/// A rig on a thread of its own, for one life of a pool.
pub(crate) struct Working {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    thread: JoinHandle<Memory>,
}

fn rig(address: SocketAddr, user: &str) -> Rig {
    Rig {
        url: address.to_string(),
        user: user.to_owned(),
        password: "x".to_owned(),
        algorithm: Algorithm::Sha256d,
        threads: 1,
        hashes_per_second: None,
    }
}

impl Working {
    /// Begins to mine.
    pub(crate) fn start(address: SocketAddr, user: &str, salt: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicU64::new(0));
        let (seen, counted) = (stop.clone(), accepted.clone());
        let rig = rig(address, user);
        let thread = std::thread::spawn(move || {
            let mut memory = Memory::new();
            // The pool may send it away, or die at any moment: what was heard before counts.
            while !seen.load(Ordering::Acquire) {
                if mine(&rig, salt, &seen, &counted, &mut memory).is_err() {
                    std::thread::park_timeout(PATIENCE);
                }
            }
            memory
        });
        Self {
            stop,
            accepted,
            thread,
        }
    }

    /// Shares that were answered `true`.
    pub(crate) fn accepted_so_far(&self) -> u64 {
        self.accepted.load(Ordering::Acquire)
    }

    /// Ends it. Returns what it remembers.
    pub(crate) fn end(self) -> Memory {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the rig's thread")
    }
}

fn mine(
    rig: &Rig,
    salt: usize,
    stop: &AtomicBool,
    accepted: &AtomicU64,
    memory: &mut Memory,
) -> Result<(), String> {
    let mut client = Client::connect(rig)?;
    client.set_patience(Some(PATIENCE))?;
    let sharer = client.sharer();
    let mut attempt = None;
    let mut waiting: BTreeMap<u64, Hash> = BTreeMap::new();
    while !stop.load(Ordering::Acquire) {
        if let Some(attempt) = sharer.refresh(&mut attempt, salt) {
            for nonce in attempt.search(rig.algorithm, BATCH) {
                let hash = sha256d(&attempt.header(nonce));
                let params = attempt.submission(&rig.user, nonce);
                let sent = Sent {
                    params: params.clone(),
                    accepted: false,
                };
                memory.insert(hash, sent);
                waiting.insert(sharer.submit_raw(&params)?, hash);
            }
        }
        while let Some(news) = client.news_within()? {
            let News::Answer { id, error } = news else {
                continue;
            };
            let hash = waiting.remove(&id).expect("an answer to what was asked");
            if error.is_none() {
                memory.get_mut(&hash).expect("it was sent").accepted = true;
                accepted.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
    Ok(())
}

/// Sends everything again, on a connection of its own. Returns the codes of the refusals; none for what was accepted.
fn send_again(
    address: SocketAddr,
    user: &str,
    memory: &Memory,
) -> Result<Vec<Option<i64>>, String> {
    let mut client = Client::connect(&rig(address, user))?;
    client.set_patience(Some(Duration::from_secs(30)))?;
    let sharer = client.sharer();
    let mut answers = Vec::new();
    for sent in memory.values() {
        sharer.submit_raw(&sent.params)?;
        loop {
            if let News::Answer { error, .. } = client.news()? {
                answers.push(error.map(|(code, _)| code));
                break;
            }
        }
    }
    Ok(answers)
}

/// Right after a start miners may be sent away for want of work: they come again.
pub(crate) fn send_again_until_heard(
    address: SocketAddr,
    user: &str,
    memory: &Memory,
) -> Vec<Option<i64>> {
    let started = Instant::now();
    loop {
        match send_again(address, user, memory) {
            Ok(answers) => return answers,
            Err(why) => assert!(started.elapsed() < DEADLINE, "{user}: {why}"),
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// What was answered `true` is in the ledger once, nothing is there twice, and nothing is there that nobody sent.
pub(crate) fn exactly_once(sent: &BTreeMap<Hash, bool>, held: &BTreeMap<Hash, Held>) {
    for (hash, accepted) in sent {
        let times = held.get(hash).map_or(0, |held| held.times);
        if *accepted {
            assert_eq!(times, 1, "share {hash} was answered true");
        } else {
            assert!(times <= 1, "share {hash} is in the ledger {times} times");
        }
    }
    for (hash, one) in held {
        assert!(
            sent.contains_key(hash),
            "share {hash} at position {} was sent by nobody",
            one.position
        );
    }
}
