//! Miners of ethash in each of their dialects, written from the protocols' descriptions, with real proofs in epoch 0.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use orebook_chain::EthWork;
use orebook_gateway::{DifficultyRule, Found};
use orebook_pow::ethash::{Answer, Cache, EpochRule, Question, prove};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, WorkUnit, hex, unhex};
use orebook_schema::work::{EthashHeader, EthashShare, ethash_name};
use orebook_schema::{Event, Hash, Work};
use serde_json::{Value, json};

use crate::pool::{DEADLINE, Pool, Setup, now_ms, workers};
use crate::tls::{Tunnel, certificate};

/// Hashes that a share takes here.
pub(crate) const HASHES: u64 = 4;
/// A target that nobody meets here.
pub(crate) const HARD: U256 = U256::from_limbs([0, 0, 0, 1]);

fn cache() -> &'static Cache {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    CACHE.get_or_init(|| Cache::build(EpochRule::Ethash.epoch(0).expect("the first")))
}

pub(crate) fn answer(seal: Hash, nonce: u64) -> Answer {
    let mut answers = Vec::new();
    prove(cache(), &[Question { seal, nonce }], &mut answers);
    answers[0]
}

pub(crate) fn start() -> Pool {
    Pool::start(&setup())
}

pub(crate) fn setup() -> Setup {
    let hashes = Work::new(HASHES).expect("work");
    Setup {
        algorithm: Algorithm::Ethash,
        ports: vec![DifficultyRule::Fixed(hashes)],
        stale_grace: Duration::ZERO,
        ..Setup::default()
    }
}

pub(crate) fn given(name: &str, parent: &str, target: U256) -> EthWork {
    EthWork {
        seal: Hash::of(&[name.as_bytes()]),
        target,
        height: 7,
        network_work: WorkUnit::Ethash.network_work(target),
        parent: Hash::of(&[parent.as_bytes()]),
        time: u32::try_from(now_ms() / 1_000).expect("before 2106"),
        seed: Hash::ZERO,
        reward: Some(2_000_000_000_000_000_000),
    }
}

impl Pool {
    /// Waits until miners have this work.
    pub(crate) fn give(&self, work: EthWork) -> EthWork {
        let before = self.gateway.metrics().sessions.counts.jobs;
        self.gateway.eth_work(work);
        self.until("a job", |metrics| before < metrics.sessions.counts.jobs);
        work
    }

    /// Waits until so many shares of ethash are final; all of them.
    pub(crate) fn final_nonces(&self, count: usize) -> Vec<EthashShare> {
        let start = Instant::now();
        loop {
            let events = self.ledger.events();
            let shares = events.iter().filter_map(|event| match event {
                Event::EthashShare(share) => Some(*share),
                _ => None,
            });
            let shares: Vec<_> = shares.collect();
            if count <= shares.len() {
                return shares;
            }
            assert!(start.elapsed() < DEADLINE, "{} of {count}", shares.len());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    EthProxy,
    NiceHash,
    Stratum2,
    Legacy,
    GetWork,
}

pub(crate) const DIALECTS: [Dialect; 5] = [
    Dialect::EthProxy,
    Dialect::NiceHash,
    Dialect::Stratum2,
    Dialect::Legacy,
    Dialect::GetWork,
];

/// A job as a miner has it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    id: String,
    pub(crate) seal: Hash,
}

/// A miner.
pub(crate) struct Rig {
    dialect: Dialect,
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    user: String,
    prefix: Vec<u8>,
    token: String,
    next_id: u64,
    notices: Vec<Value>,
    pub(crate) next_nonce: u64,
    /// Lines of its HTTP requests beside those that are due.
    pub(crate) headers: String,
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a text: {value}"))
        .to_owned()
}

fn hash(value: &Value) -> Hash {
    let digits = text(value);
    let bytes = unhex(digits.strip_prefix("0x").unwrap_or(&digits)).expect("hex");
    Hash(bytes.try_into().expect("32 bytes"))
}

impl Rig {
    /// Connected and logged in.
    pub(crate) fn new(dialect: Dialect, address: SocketAddr, user: &str) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let reader = BufReader::new(stream.try_clone().expect("a descriptor"));
        let mut rig = Self {
            dialect,
            stream,
            reader,
            user: user.to_owned(),
            prefix: Vec::new(),
            token: String::new(),
            next_id: 1,
            notices: Vec::new(),
            next_nonce: 0,
            headers: String::new(),
        };
        rig.log_in();
        rig
    }

    fn log_in(&mut self) {
        let user = self.user.clone();
        match self.dialect {
            Dialect::GetWork => {}
            Dialect::EthProxy => {
                let reply = self.ask("eth_submitLogin", &json!([user, "x"]));
                assert_eq!(reply["result"], json!(true), "{reply}");
            }
            Dialect::NiceHash => {
                let reply = self.ask(
                    "mining.subscribe",
                    &json!(["rig/1", "EthereumStratum/1.0.0"]),
                );
                assert_eq!(reply["result"][0][2], json!("EthereumStratum/1.0.0"));
                self.prefix = unhex(&text(&reply["result"][1])).expect("hex");
                self.authorize();
            }
            Dialect::Stratum2 => {
                let hello = json!({
                    "agent": "rig/1", "host": "pool", "port": "4d2", "proto": "EthereumStratum/2.0.0"
                });
                let reply = self.ask("mining.hello", &hello);
                assert_eq!(
                    reply["result"]["proto"],
                    json!("EthereumStratum/2.0.0"),
                    "{reply}"
                );
                self.ask("mining.subscribe", &json!([]));
                let reply = self.ask("mining.authorize", &json!([user, "x"]));
                self.token = text(&reply["result"]);
            }
            Dialect::Legacy => {
                self.ask("mining.subscribe", &json!([]));
                self.authorize();
            }
        }
    }

    fn authorize(&mut self) {
        let reply = self.ask("mining.authorize", &json!([self.user, "x"]));
        assert_eq!(reply["result"], json!(true), "{reply}");
    }

    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let call = json!({ "id": id, "jsonrpc": "2.0", "method": method, "params": params });
        let call = call.to_string();
        if self.dialect == Dialect::GetWork {
            let (path, len, more) = (&self.user, call.len(), &self.headers);
            let head = format!(
                "POST /{path} HTTP/1.1\r\nHost: pool\r\n{more}Content-Length: {len}\r\n\r\n"
            );
            let request = format!("{head}{call}");
            self.stream.write_all(request.as_bytes()).expect("it reads");
            return self.http_reply();
        }
        self.stream
            .write_all(format!("{call}\n").as_bytes())
            .expect("it reads");
        loop {
            let line = self.line();
            if line["id"] == json!(id) {
                return line;
            }
            self.notices.push(line);
        }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line in time");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("JSON: {line}"))
    }

    fn http_reply(&mut self) -> Value {
        let mut len = 0;
        let mut first = true;
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("a line in time");
            if first {
                assert!(line.starts_with("HTTP/1.1 200"), "{line}");
                first = false;
            }
            if let Some(text) = line.strip_prefix("Content-Length: ") {
                len = text.trim().parse().expect("a number");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; len];
        self.reader.read_exact(&mut body).expect("the body");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// The newest job; waits for one of this seal.
    pub(crate) fn job(&mut self, seal: Hash) -> Job {
        if self.dialect == Dialect::GetWork {
            let reply = self.ask("eth_getWork", &json!([]));
            let job = self.node_job(&reply["result"]);
            assert_eq!(job.seal, seal);
            return job;
        }
        let start = Instant::now();
        loop {
            // Work of another kind may come for ever.
            assert!(start.elapsed() < DEADLINE, "no work of this seal");
            let notices = std::mem::take(&mut self.notices);
            let jobs: Vec<Job> = notices
                .iter()
                .filter_map(|line| self.notified(line))
                .collect();
            if let Some(job) = jobs.into_iter().rev().find(|job| job.seal == seal) {
                return job;
            }
            let line = self.line();
            self.notices.push(line);
        }
    }

    fn node_job(&self, items: &Value) -> Job {
        let target = Work::new(HASHES).expect("work").target(WorkUnit::Ethash);
        assert_eq!(hash(&items[2]), Hash(target.to_be_bytes()), "{items}");
        assert_eq!(hash(&items[1]), Hash::ZERO, "the seed of epoch 0");
        assert_eq!(items[3], json!("0x7"));
        Job {
            id: String::new(),
            seal: hash(&items[0]),
        }
    }

    fn notified(&mut self, line: &Value) -> Option<Job> {
        let params = &line["params"];
        match (self.dialect, line["method"].as_str()) {
            (Dialect::EthProxy, None) => {
                assert_eq!(line["id"], json!(0));
                Some(self.node_job(&line["result"]))
            }
            (Dialect::NiceHash, Some("mining.notify")) => Some(Job {
                id: text(&params[0]),
                seal: hash(&params[2]),
            }),
            (Dialect::Stratum2, Some("mining.notify")) => Some(Job {
                id: text(&params[0]),
                seal: hash(&params[2]),
            }),
            (Dialect::Stratum2, Some("mining.set")) => {
                if let Some(prefix) = params.get("extranonce") {
                    self.prefix = unhex(&text(prefix)).expect("hex");
                }
                None
            }
            (Dialect::Legacy, Some("mining.notify")) => Some(Job {
                id: text(&params[0]),
                seal: hash(&params[1]),
            }),
            _ => None,
        }
    }

    /// A nonce with the session's prefix whose value is at most `most` and above `above`.
    fn mine(&mut self, job: &Job, most: U256, above: U256) -> u64 {
        let mut prefix = [0; 8];
        prefix[..self.prefix.len()].copy_from_slice(&self.prefix);
        loop {
            self.next_nonce += 1;
            let nonce = u64::from_be_bytes(prefix) | self.next_nonce;
            let value = answer(job.seal, nonce).value;
            if value <= most && above < value {
                return nonce;
            }
        }
    }

    pub(crate) fn share(&mut self, job: &Job) -> u64 {
        let target = Work::new(HASHES).expect("work").target(WorkUnit::Ethash);
        self.mine(job, target, U256::ZERO)
    }

    /// Submits; the error's code, 0 if it was accepted.
    pub(crate) fn submit(&mut self, job: &Job, nonce: u64, mix: Hash) -> i64 {
        let bytes = nonce.to_be_bytes();
        let rest = hex(&bytes[self.prefix.len()..]);
        let whole = format!("0x{}", hex(&bytes));
        let (seal, mix) = (
            format!("0x{}", hex(&job.seal.0)),
            format!("0x{}", hex(&mix.0)),
        );
        let (method, params) = match self.dialect {
            Dialect::EthProxy | Dialect::GetWork => ("eth_submitWork", json!([whole, seal, mix])),
            Dialect::NiceHash => ("mining.submit", json!([self.user, job.id, rest])),
            Dialect::Stratum2 => ("mining.submit", json!([job.id, rest, self.token])),
            Dialect::Legacy => (
                "mining.submit",
                json!([self.user, job.id, whole, seal, mix]),
            ),
        };
        let reply = self.ask(method, &params);
        let error = &reply["error"];
        if error.is_null() {
            assert_ne!(reply["result"], json!(false), "{reply}");
            return 0;
        }
        let code = error.get("code").or(error.get(0)).and_then(Value::as_i64);
        code.unwrap_or_else(|| panic!("no code: {reply}"))
    }
}

#[test]
fn each_dialect_gets_work_and_its_share_is_final_once() {
    let pool = start();
    each_dialect(&pool, pool.address(0));
}

#[test]
fn each_dialect_walks_over_tls_as_in_plain() {
    let (tls, _dir) = certificate();
    let pool = Pool::start(&Setup {
        tls: Some(tls),
        ..setup()
    });
    let tunnel = Tunnel::plainly(&pool);
    each_dialect(&pool, tunnel.address);
    let counts = pool.gateway.metrics().sessions.counts;
    assert_eq!(counts.handshakes, 5, "and none came in plain");
}

fn each_dialect(pool: &Pool, address: SocketAddr) {
    let work = pool.give(given("seal", "parent", HARD));
    let mut nonces = Vec::new();
    for (number, dialect) in DIALECTS.into_iter().enumerate() {
        let mut rig = Rig::new(dialect, address, &format!("name-{number}.rig"));
        let job = rig.job(work.seal);
        rig.next_nonce = u64::try_from(number).expect("few") << 20;
        let nonce = rig.share(&job);
        let mix = answer(job.seal, nonce).mix;
        assert_eq!(rig.submit(&job, nonce, mix), 0, "{dialect:?}");
        assert_ne!(rig.submit(&job, nonce, mix), 0, "{dialect:?}: twice");
        let target = Work::new(HASHES).expect("work").target(WorkUnit::Ethash);
        let low = rig.mine(&job, U256::MAX, target);
        let mix = answer(job.seal, low).mix;
        assert_ne!(rig.submit(&job, low, mix), 0, "{dialect:?}: low");
        let prefixed = matches!(dialect, Dialect::NiceHash | Dialect::Stratum2);
        assert_eq!(
            rig.prefix.len(),
            if prefixed { 3 } else { 0 },
            "{dialect:?}"
        );
        nonces.push(nonce);
    }
    let shares = pool.final_nonces(DIALECTS.len());
    let recorded: Vec<u64> = shares.iter().map(|share| share.nonce).collect();
    assert_eq!(recorded, nonces);
    let events = pool.ledger.events();
    let jobs = events.iter().filter_map(|event| match event {
        Event::EthashJob(job) => Some(job.seal),
        _ => None,
    });
    assert_eq!(jobs.collect::<Vec<_>>(), [work.seal], "one job for all");
    for (share, worker) in shares.iter().zip(workers(&events)) {
        let prefix = worker.extranonce1.bytes();
        assert!(share.nonce.to_be_bytes().starts_with(prefix));
        assert_eq!(usize::from(worker.extranonce2_size), 8 - prefix.len());
    }
    let counts = pool.gateway.metrics().sessions.counts.shares;
    assert_eq!((counts.accepted, counts.duplicate, counts.low), (5, 5, 5));
}

#[test]
fn what_one_submitted_is_nobody_elses_in_whichever_dialect() {
    let pool = start();
    let work = pool.give(given("seal", "parent", HARD));
    let mut first = Rig::new(Dialect::EthProxy, pool.address(0), "name-a.rig");
    let job = first.job(work.seal);
    let nonce = first.share(&job);
    let mix = answer(job.seal, nonce).mix;
    assert_eq!(first.submit(&job, nonce, mix), 0);
    for dialect in [Dialect::EthProxy, Dialect::Legacy, Dialect::GetWork] {
        let mut thief = Rig::new(dialect, pool.address(0), "name-thief.rig");
        let job = thief.job(work.seal);
        assert_ne!(thief.submit(&job, nonce, mix), 0, "{dialect:?}");
    }
    // The same work again is the same job, so it is a duplicate still.
    pool.give(given("other", "parent", HARD));
    pool.give(work);
    let job = first.job(work.seal);
    assert_ne!(first.submit(&job, nonce, mix), 0);
    assert_eq!(pool.final_nonces(1).len(), 1);
    assert_eq!(pool.gateway.metrics().sessions.counts.shares.duplicate, 4);
}

#[test]
fn a_mix_that_gives_no_share_costs_no_check() {
    let pool = start();
    let work = pool.give(given("seal", "parent", HARD));
    let mut rig = Rig::new(Dialect::EthProxy, pool.address(0), "name-a.rig");
    let job = rig.job(work.seal);
    let target = Work::new(HASHES).expect("work").target(WorkUnit::Ethash);
    let mut refused = 0;
    for nonce in 0..40 {
        let (seal, mix) = (job.seal, Hash::of(&[&[nonce]]));
        let nonce = u64::from(nonce);
        let question = Question { seal, nonce };
        if target < orebook_pow::ethash::claimed_value(&question, &mix) {
            assert_ne!(rig.submit(&job, nonce, mix), 0);
            refused += 1;
        }
    }
    assert!(0 < refused);
    assert_eq!(pool.gateway.metrics().checks.checked, 0);
    // A mix that would do and is not the nonce's is found by the check.
    let forged = (0..u8::MAX).map(|salt| Hash::of(&[&[salt], b"forged"]));
    let question = Question {
        seal: job.seal,
        nonce: 9,
    };
    let mut forged =
        forged.filter(|mix| orebook_pow::ethash::claimed_value(&question, mix) <= target);
    let forged = forged.next().expect("one of four does");
    assert_ne!(rig.submit(&job, 9, forged), 0);
    assert_eq!(pool.gateway.metrics().checks.checked, 1);
    assert_eq!(pool.gateway.metrics().sessions.counts.shares.accepted, 0);
}

#[test]
fn a_block_goes_to_the_nodes_and_into_the_ledger() {
    let pool = start();
    let easy = U256::MAX >> 1;
    let work = pool.give(given("seal", "parent", easy));
    let mut rig = Rig::new(Dialect::NiceHash, pool.address(0), "name-a.rig");
    let job = rig.job(work.seal);
    // Above the share's own target: a block is a share all the same.
    let target = Work::new(HASHES).expect("work").target(WorkUnit::Ethash);
    let nonce = rig.mine(&job, easy, target);
    let mix = answer(job.seal, nonce).mix;
    assert_eq!(rig.submit(&job, nonce, mix), 0);
    let header = EthashHeader {
        seal: work.seal,
        nonce,
        mix,
    };
    let blocks = pool.blocks.lock().expect("no panic").clone();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].what, Found::Solution(header));
    assert_eq!(
        (blocks[0].hash, blocks[0].height),
        (ethash_name(&work.seal, nonce), 7)
    );
    assert!(pool.final_nonces(1)[0].block);
    let events = pool.ledger.events();
    let found = events.iter().filter_map(|event| match event {
        Event::BlockFound(found) => Some(found.clone()),
        _ => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), [header.found(7)]);
}

#[test]
fn shares_of_the_former_parent_are_late_and_work_on_one_parent_stays_good() {
    let pool = start();
    let first = pool.give(given("first", "one", HARD));
    let mut rig = Rig::new(Dialect::Stratum2, pool.address(0), "name-a.rig");
    let old = rig.job(first.seal);
    let (early, late) = (rig.share(&old), rig.share(&old));
    let second = pool.give(given("second", "one", HARD));
    let job = rig.job(second.seal);
    assert_eq!(rig.submit(&old, early, Hash::ZERO), 0, "of the same parent");
    let third = pool.give(given("third", "two", HARD));
    let newest = rig.job(third.seal);
    assert_ne!(rig.submit(&old, late, Hash::ZERO), 0);
    assert_ne!(rig.submit(&job, late, Hash::ZERO), 0);
    let nonce = rig.share(&newest);
    assert_eq!(rig.submit(&newest, nonce, Hash::ZERO), 0);
    assert_eq!(pool.final_nonces(2).len(), 2);
}

#[test]
fn what_was_submitted_before_a_restart_is_a_duplicate_after_it() {
    let pool = start();
    let work = pool.give(given("seal", "parent", HARD));
    let mut rig = Rig::new(Dialect::EthProxy, pool.address(0), "name-a.rig");
    let job = rig.job(work.seal);
    let (first, second) = (rig.share(&job), rig.share(&job));
    let mix = |nonce| answer(job.seal, nonce).mix;
    assert_eq!(rig.submit(&job, first, mix(first)), 0);
    pool.final_nonces(1);
    let pool = Pool::on(pool.stop(), &setup());
    pool.give(work);
    let mut rig = Rig::new(Dialect::EthProxy, pool.address(0), "name-b.rig");
    assert_eq!(rig.job(work.seal).seal, job.seal, "the node gives it still");
    assert_ne!(rig.submit(&job, first, mix(first)), 0);
    assert_eq!(rig.submit(&job, second, mix(second)), 0);
    let shares = pool.final_nonces(2);
    let nonces: Vec<u64> = shares.iter().map(|share| share.nonce).collect();
    assert_eq!(nonces, [first, second]);
    assert_eq!(pool.gateway.metrics().sessions.counts.shares.duplicate, 1);
}

#[test]
fn each_session_has_a_prefix_of_its_own_behind_the_gateways_number() {
    let pool = start();
    let work = pool.give(given("seal", "parent", HARD));
    let mut first = Rig::new(Dialect::NiceHash, pool.address(0), "name-a.rig");
    let second = Rig::new(Dialect::NiceHash, pool.address(0), "name-b.rig");
    assert_ne!(first.prefix, second.prefix);
    assert_eq!(first.prefix[0], 0, "the gateway's number");
    first.job(work.seal);
    let mut again = Rig::new(Dialect::GetWork, pool.address(0), "name-c/rig");
    let reply = again.ask("eth_getBlockByNumber", &json!(["pending", false]));
    assert_eq!(reply["result"]["number"], json!("0x7"), "{reply}");
}
