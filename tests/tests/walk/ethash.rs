//! The walk on a real go-ethereum: `orebook mine` finds its blocks in one dialect after the other, the pool is killed in between,
//! what was sent before is worth nothing afterwards, and the blocks' values come to the miner's balance.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use orebook_miner::{EthClient, EthDialect, EthFound, EthJob, EthLogin, EthNews};
use orebook_pow::ethash::{Cache, EpochRule, Question, prove};
use orebook_schema::Hash;
use orebook_schema::units::U256;
use orebook_schema::work::ethash_name;
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::{Value, json};

use crate::books;
use crate::geth::{DIFFICULTY, Geth, number};

/// Who mines, and whom the node's blocks pay.
const MINER: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const POOL: &str = "0x00000000000000000000000000000000000000aa";
/// Hashes of a share at the first gateway and at the second.
const HASHES: u64 = 4;
/// Blocks that are waited for in each dialect.
const BLOCKS: u64 = 2;
/// Shares that are sent again.
const AGAIN: usize = 6;
/// Blocks that are waited for until they are confirmed: twelve stand on each.
const CONFIRMED: u64 = 2;
/// What a block pays, without fees and uncles.
const REWARD: u128 = 2_000_000_000_000_000_000;

fn config(geth: &Geth) -> String {
    let rpc = geth.address();
    let gateway = format!(
        "[[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"{HASHES}\"\n"
    );
    format!(
        "[pool]\ncoin = \"ethash-test\"\npayout_address = \"{POOL}\"\nblock_reward = \"2000000000000000000\"\n\
         [[node]]\nname = \"geth\"\nkind = \"ethash\"\nrpc = \"{rpc}\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[settler]\npoll_ms = 200\ngrace_ms = 2000\n{gateway}{gateway}"
    )
}

/// `orebook mine` until so many shares were answered `true`. Returns how many were.
fn mine(port: SocketAddr, dialect: &str, shares: u64) -> u64 {
    let output = Command::new(orebook_binary())
        .args(["mine", "--algorithm", "ethash", "--format", "json"])
        .args(["--rigs", "2", "--hashes-per-second", "60", "--reconnect"])
        .args(["--seconds", &DEADLINE.as_secs().to_string()])
        .args(["--url", &port.to_string(), "--dialect", dialect])
        .args(["--user", &format!("{MINER}.{dialect}")])
        .args(["--shares", &shares.to_string()])
        .output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{dialect}: {}", said(&output));
    let counts: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let accepted = counts["accepted"].as_u64().expect("a count");
    assert!(shares <= accepted, "{dialect}: {counts} {}", said(&output));
    accepted
}

/// Mines until the chain has grown. Returns how many shares were answered `true`.
fn mine_blocks(geth: &Geth, port: SocketAddr, dialect: &str) -> u64 {
    let (before, started) = (geth.height(), Instant::now());
    let mut accepted = 0;
    while geth.height() < before + BLOCKS {
        assert!(started.elapsed() < DEADLINE, "{dialect}: no block");
        accepted += mine(port, dialect, 2 * BLOCKS * DIFFICULTY / HASHES);
    }
    println!("{dialect}: {accepted} shares, height {}", geth.height());
    accepted
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A rig that remembers what it found, of the dialect whose nonces are wholly its own.
struct Rig {
    stream: TcpStream,
    client: EthClient,
    news: VecDeque<EthNews>,
}

impl Rig {
    /// Logged in, with a job. Right after a start miners may be sent away for want of work: they come again.
    fn start(port: SocketAddr, name: &str) -> (Self, EthJob) {
        let started = Instant::now();
        loop {
            match Self::connect(port, name).and_then(|mut rig| rig.job().map(|job| (rig, job))) {
                Ok(rig) => return rig,
                Err(why) => assert!(started.elapsed() < DEADLINE, "{name}: {why}"),
            }
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    fn connect(port: SocketAddr, name: &str) -> Result<Self, String> {
        let mut stream = TcpStream::connect(port).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let login = EthLogin {
            address: MINER.to_owned(),
            rig: name.to_owned(),
            password: "x".to_owned(),
        };
        let mut client = EthClient::new(EthDialect::EthProxy, login);
        let mut said = Vec::new();
        client.begin(&mut said);
        stream.write_all(&said).map_err(|error| error.to_string())?;
        Ok(Self {
            stream,
            client,
            news: VecDeque::new(),
        })
    }

    fn next(&mut self) -> Result<EthNews, String> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(news);
            }
            let (mut bytes, mut said) = ([0; 4_096], Vec::new());
            let read = self.stream.read(&mut bytes);
            let count = read.map_err(|error| error.to_string())?;
            if count == 0 {
                return Err("the pool closed the connection".to_owned());
            }
            self.news
                .extend(self.client.hear(&bytes[..count], &mut said)?);
            let written = self.stream.write_all(&said);
            written.map_err(|error| error.to_string())?;
        }
    }

    fn job(&mut self) -> Result<EthJob, String> {
        loop {
            if let EthNews::Job(job) = self.next()? {
                return Ok(job);
            }
        }
    }

    /// The refusal's words; none if it was accepted.
    fn submit(&mut self, job: &EthJob, found: &EthFound) -> Option<String> {
        let mut said = Vec::new();
        let sent = self.client.submit(&mut said, job, found);
        self.stream.write_all(&said).expect("the pool reads");
        loop {
            match self.next().expect("an answer") {
                EthNews::Answer { id, error, .. } if id == sent => return error,
                _ => {}
            }
        }
    }
}

/// Shares of a job that are no blocks: the chain stays where it is.
fn shares_of(cache: &Cache, job: &EthJob, count: usize) -> Vec<EthFound> {
    let block = U256::MAX / U256::from(DIFFICULTY);
    assert!(block < job.target, "a share is easier than a block");
    let asked = |nonce| {
        let (seal, mut answers) = (Hash(job.seal), Vec::new());
        prove(cache, &[Question { seal, nonce }], &mut answers);
        (nonce, answers[0])
    };
    // Where no rig of `orebook mine` begins but by a chance of one to a million.
    let nonces = (0xc0_ffee_0000_0000_u64..).map(asked);
    let shares = nonces.filter(|(_, answer)| block < answer.value && answer.value <= job.target);
    let found = |(nonce, answer): (u64, orebook_pow::ethash::Answer)| EthFound {
        nonce,
        mix: answer.mix.0,
    };
    shares.take(count).map(found).collect()
}

/// Every share in the ledger by its name, and how often it is there.
fn held(data: &Path) -> BTreeMap<Hash, usize> {
    let output = Command::new(orebook_binary())
        .args(["ledger", "cat", "--data"])
        .arg(data)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut seals = BTreeMap::new();
    let mut held = BTreeMap::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("a line of JSON");
        let epoch = format!("{} {}", event["stream"], event["epoch"]);
        let hex = |key: &str| {
            let text = event[key].as_str().expect(key);
            orebook_schema::units::unhex(text).expect("hex")
        };
        match event["kind"].as_str() {
            Some("ethash_job") => {
                let seal = Hash(hex("seal").try_into().expect("32 bytes"));
                seals.insert((epoch, event["number"].as_u64()), seal);
            }
            Some("ethash_share") => {
                let nonce = u64::from_be_bytes(hex("nonce").try_into().expect("8 bytes"));
                let seal = seals[&(epoch, event["job"].as_u64())];
                *held.entry(ethash_name(&seal, nonce)).or_insert(0) += 1;
            }
            _ => {}
        }
    }
    held
}

pub(crate) fn verify_work(data: &Path) -> Value {
    let output = Command::new(orebook_binary())
        .args(["ledger", "verify", "--work", "--format", "json", "--data"])
        .arg(data)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn count(pools: &Value, state: &str) -> u64 {
    let counts = &pools["pools"][0]["blocks"];
    counts[state].as_u64().unwrap_or_else(|| panic!("{pools}"))
}

/// Every confirmed block is the node's and is worth something; the miner has what is not the pool's of them. Returns the
/// digests of the pool at rest.
fn paid(pool: &Pool, geth: &Geth) -> books::Digests {
    // The newest have nothing on them, and stay what they are; the ledger comes to rest.
    let digests = books::settle(pool);
    let page = pool.json("/api/v1/pools/0/blocks?limit=200");
    let blocks = page["blocks"].as_array().expect("a list");
    let mut rewards = 0;
    for block in blocks.iter().filter(|block| block["state"] == "confirmed") {
        let height = format!("0x{:x}", block["height"].as_u64().expect("a height"));
        let of_chain = geth.call("eth_getBlockByNumber", &json!([height, false]));
        assert_eq!(of_chain["miner"], POOL, "{block}");
        let reward = block["reward"]
            .as_str()
            .and_then(|text| text.parse::<u128>().ok());
        let reward = reward.unwrap_or_else(|| panic!("{block}"));
        assert!(REWARD * 2 / 8 <= reward, "the oldest uncle's part: {block}");
        rewards += reward;
    }
    let account = pool.json(&format!("/api/v1/accounts/{MINER}"));
    let available = account["balances"]["available"].as_str();
    let available = available.and_then(|text| text.parse::<u128>().ok());
    let available = available.unwrap_or_else(|| panic!("{account}"));
    assert!(rewards / 2 < available && available < rewards, "{account}");
    digests
}

#[test]
fn geth_takes_our_blocks_a_kill_changes_nothing_and_their_values_come_to_the_balance() {
    let geth = Geth::start(POOL);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ethash.toml");
    std::fs::write(&path, config(&geth)).expect("written");
    let data = folder.path().join("pool");
    let pool = Pool::start(&data, &path);
    let mut accepted = 0;
    for dialect in ["eth-proxy", "getwork"] {
        accepted += mine_blocks(&geth, pool.stratum[0], dialect);
    }

    // The chain stands still, so that the same work is there again after the kill; unless the node hears late of a block beside
    // its chain, and makes new work with that as an uncle.
    let cache = Cache::build(EpochRule::Ethash.epoch(0).expect("the first"));
    let (mut pool, mut tries) = (pool, 0);
    let (pool, mut rig, again, memory) = loop {
        let (mut rig, job) = Rig::start(pool.stratum[0], "memory");
        let memory = shares_of(&cache, &job, AGAIN);
        for found in &memory {
            assert_eq!(rig.submit(&job, found), None, "it is a share");
        }
        drop(pool.kill());
        pool = Pool::start(&data, &path);
        let (rig, again) = Rig::start(pool.stratum[0], "memory");
        if again.seal == job.seal {
            break (pool, rig, again, memory);
        }
        tries += 1;
        assert!(tries < 5, "the node's work is never what it was");
    };
    for found in &memory {
        let words = rig.submit(&again, found).expect("it is refused");
        assert!(words.to_lowercase().contains("duplicate"), "{words}");
    }
    drop(rig);
    for (gateway, dialect) in [(0, "nicehash"), (1, "es2"), (1, "legacy")] {
        accepted += mine_blocks(&geth, pool.stratum[gateway], dialect);
    }
    while count(&pool.json("/api/v1/pools"), "confirmed") < CONFIRMED {
        accepted += mine_blocks(&geth, pool.stratum[0], "eth-proxy");
    }
    let digests = paid(&pool, &geth);
    pool.stop();
    books::agree(&data, &path, &digests);

    let verified = verify_work(&data);
    let held = held(&data);
    let count: u64 = held.values().map(|times| *times as u64).sum();
    assert_eq!(verified["hashed"].as_u64(), Some(count), "{verified}");
    assert!(accepted + AGAIN as u64 <= count, "{accepted} of {count}");
    assert!(held.values().all(|times| *times == 1), "nothing is twice");
    for found in &memory {
        let name = ethash_name(&Hash(again.seal), found.nonce);
        assert_eq!(held.get(&name), Some(&1), "{found:?}");
    }
    let blocks = geth.blocks();
    for block in &blocks {
        assert_eq!(block["miner"], POOL, "{block}");
        assert_eq!(number(&block["difficulty"]), DIFFICULTY, "{block}");
    }
    let found = verified["blocks"].as_u64().expect("a count");
    assert!(blocks.len() as u64 <= found, "{found} blocks in the ledger");
    assert!(5 * BLOCKS <= blocks.len() as u64);
}
