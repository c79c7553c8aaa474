//! A miner of these tests: speaks Stratum over a real socket and puts headers together on its own.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use orebook_pow::{prove_header, sha256d, sha256d_pair};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, hex, unhex};
use orebook_schema::{Hash, Work};
use serde_json::{Value, json};
use socket2::SockRef;

use crate::pool::{DEADLINE, UNIT};

/// A job as notified.
#[derive(Clone, Debug)]
pub(crate) struct Notified {
    pub(crate) id: String,
    pub(crate) prev: String,
    coinbase1: Vec<u8>,
    coinbase2: Vec<u8>,
    branches: Vec<Hash>,
    pub(crate) version: u32,
    nbits: u32,
    pub(crate) ntime: u32,
    pub(crate) clean: bool,
    /// The difficulty in force when it came.
    pub(crate) difficulty: String,
}

/// The numbers of a submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) job: String,
    pub(crate) extranonce2: [u8; 4],
    pub(crate) ntime: u32,
    pub(crate) nonce: u32,
    pub(crate) bits: Option<u32>,
    pub(crate) hash: Hash,
    pub(crate) pow: U256,
}

pub(crate) struct Miner {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    next_id: u64,
    pub(crate) extranonce1: Vec<u8>,
    pub(crate) difficulty: String,
    pub(crate) jobs: Vec<Notified>,
    pub(crate) messages: Vec<String>,
    /// Where it was sent, `host:port`.
    pub(crate) reconnects: Vec<String>,
    next_extranonce2: u32,
    pub(crate) algorithm: Algorithm,
}

fn number(value: &Value) -> u32 {
    u32::from_str_radix(value.as_str().expect("hex"), 16).expect("eight hex digits")
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().expect("hex")).expect("hex digits")
}

impl Miner {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
        let reader = BufReader::new(stream.try_clone().expect("a descriptor"));
        Self {
            stream,
            reader,
            next_id: 1,
            extranonce1: Vec::new(),
            difficulty: "1".to_owned(),
            jobs: Vec::new(),
            messages: Vec::new(),
            reconnects: Vec::new(),
            next_extranonce2: 0,
            algorithm: Algorithm::Sha256d,
        }
    }

    /// Connected, subscribed, authorized, and with its first job.
    pub(crate) fn ready(address: SocketAddr, user: &str) -> Self {
        let mut miner = Self::connect(address);
        miner.subscribe();
        let reply = miner.authorize(user);
        assert_eq!(reply["result"], json!(true), "{reply}");
        miner.job();
        miner
    }

    /// Its end of the connection.
    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().expect("a socket").port()
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the gateway reads");
    }

    /// Writes as long as the gateway reads; whether all of it went.
    pub(crate) fn try_raw(&mut self, bytes: &[u8], patience: Duration) -> bool {
        self.stream
            .set_write_timeout(Some(patience))
            .expect("a socket");
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn shutdown_write(&self) {
        self.stream
            .shutdown(std::net::Shutdown::Write)
            .expect("a socket");
    }

    /// Leaves so that the gateway cannot write to it any more.
    pub(crate) fn reset(self) {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// The next line, or none if the gateway closed.
    pub(crate) fn try_line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                // The number as it is written: a float would say another.
                let params = line.split_once("\"mining.set_difficulty\",\"params\":[");
                if let Some((number, _)) = params.and_then(|(_, rest)| rest.split_once(']')) {
                    self.difficulty = number.to_owned();
                }
                Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("JSON: {line}")))
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line within the deadline: {error}"),
        }
    }

    fn line(&mut self) -> Value {
        self.try_line().expect("the gateway goes on")
    }

    /// Whether the gateway closed; what it still says is heard.
    pub(crate) fn is_closed(&mut self) -> bool {
        while let Some(line) = self.try_line() {
            self.notice(&line);
        }
        true
    }

    /// Whether the gateway answered as web servers do, and closed.
    pub(crate) fn is_told_in_http(&mut self) -> bool {
        let mut text = String::new();
        let read = std::io::Read::read_to_string(&mut self.reader, &mut text);
        read.is_ok() && text.starts_with("HTTP/1.1 200 OK")
    }

    /// Takes a notification; `false` if it is a reply.
    fn notice(&mut self, line: &Value) -> bool {
        let Some(method) = line.get("method").and_then(Value::as_str) else {
            return false;
        };
        let params = &line["params"];
        match method {
            "mining.set_difficulty" => assert!(params[0].is_number(), "{line}"),
            "mining.notify" => {
                let branches = params[4].as_array().expect("a list");
                self.jobs.push(Notified {
                    id: params[0].as_str().expect("a text").to_owned(),
                    prev: params[1].as_str().expect("a text").to_owned(),
                    coinbase1: bytes(&params[2]),
                    coinbase2: bytes(&params[3]),
                    branches: branches
                        .iter()
                        .map(|branch| Hash(bytes(branch).try_into().expect("32 bytes")))
                        .collect(),
                    version: number(&params[5]),
                    nbits: number(&params[6]),
                    ntime: number(&params[7]),
                    clean: params[8].as_bool().expect("a flag"),
                    difficulty: self.difficulty.clone(),
                });
            }
            "client.reconnect" => {
                let host = line["params"][0].as_str().expect("a host");
                let port = line["params"][1].as_u64().expect("a port");
                self.reconnects.push(format!("{host}:{port}"));
            }
            "client.show_message" => {
                self.messages
                    .push(params[0].as_str().expect("a text").to_owned());
            }
            other => panic!("an unexpected {other}"),
        }
        true
    }

    /// The next reply; notifications on the way are taken.
    pub(crate) fn reply(&mut self) -> Value {
        loop {
            let line = self.line();
            if !self.notice(&line) {
                return line;
            }
        }
    }

    pub(crate) fn send(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let line = json!({ "id": id, "method": method, "params": params });
        self.raw(format!("{line}\n").as_bytes());
        id
    }

    /// Sends a request and gives its reply.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send(method, params);
        let reply = self.reply();
        assert_eq!(
            reply["id"],
            json!(id),
            "replies come in the order of requests"
        );
        reply
    }

    pub(crate) fn subscribe(&mut self) -> Value {
        self.subscribe_as("test/1")
    }

    pub(crate) fn subscribe_as(&mut self, agent: &str) -> Value {
        let reply = self.ask("mining.subscribe", &json!([agent]));
        if reply["result"].is_array() {
            self.extranonce1 = bytes(&reply["result"][1]);
            assert_eq!(reply["result"][2], json!(4));
        }
        reply
    }

    pub(crate) fn authorize(&mut self, user: &str) -> Value {
        self.ask("mining.authorize", &json!([user, "x"]))
    }

    /// The newest job; waits for the first one.
    pub(crate) fn job(&mut self) -> Notified {
        while self.jobs.is_empty() {
            let line = self.line();
            assert!(self.notice(&line), "a reply nobody asked for: {line}");
        }
        self.jobs.last().expect("there is one").clone()
    }

    /// Waits for a further job.
    pub(crate) fn next_job(&mut self) -> Notified {
        let count = self.jobs.len();
        while self.jobs.len() == count {
            let line = self.line();
            assert!(self.notice(&line), "a reply nobody asked for: {line}");
        }
        self.jobs.last().expect("there is one").clone()
    }

    /// Looks for a share of a job, for so many hashes at least this rare, and not of `below`.
    pub(crate) fn mine_between(
        &mut self,
        job: &Notified,
        bits: Option<u32>,
        target: U256,
        above: U256,
    ) -> Found {
        let extranonce2 = self.next_extranonce2.to_be_bytes();
        self.next_extranonce2 += 1;
        let coinbase = [
            &job.coinbase1,
            &self.extranonce1,
            extranonce2.as_slice(),
            &job.coinbase2,
        ]
        .concat();
        let root = job
            .branches
            .iter()
            .fold(sha256d(&coinbase), |root, branch| {
                sha256d_pair(&root, branch)
            });
        let mut prev = unhex(&job.prev).expect("hex digits");
        prev.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        let mask = orebook_gateway::VERSION_MASK_DEFAULT;
        let version = bits.map_or(job.version, |bits| job.version & !mask | bits);
        let mut header = [0; 80];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..36].copy_from_slice(&prev);
        header[36..68].copy_from_slice(&root.0);
        header[68..72].copy_from_slice(&job.ntime.to_le_bytes());
        header[72..76].copy_from_slice(&job.nbits.to_le_bytes());
        for nonce in 0..u32::MAX {
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            let proof = prove_header(header, self.algorithm).expect("an algorithm of ours");
            if proof.value() <= target && above < proof.value() {
                return Found {
                    job: job.id.clone(),
                    extranonce2,
                    ntime: job.ntime,
                    nonce,
                    bits,
                    hash: proof.block_hash,
                    pow: proof.value(),
                };
            }
        }
        panic!("no share in 2^32 nonces");
    }

    /// A share of a job at the difficulty that it came with.
    pub(crate) fn mine(&mut self, job: &Notified) -> Found {
        let work = Work::from_difficulty(&job.difficulty, self.algorithm.work_unit());
        let target = work
            .expect("a difficulty")
            .target(self.algorithm.work_unit());
        self.mine_between(job, None, target, U256::ZERO)
    }

    /// A claim that misses the target of its difficulty, and of no block.
    pub(crate) fn mine_low(&mut self, job: &Notified) -> Found {
        let work = Work::from_difficulty(&job.difficulty, UNIT).expect("a difficulty");
        self.mine_between(job, None, U256::MAX, work.target(UNIT))
    }

    pub(crate) fn params(user: &str, found: &Found) -> Value {
        let mut params = vec![
            json!(user),
            json!(found.job),
            json!(hex(&found.extranonce2)),
            json!(format!("{:08x}", found.ntime)),
            json!(format!("{:08x}", found.nonce)),
        ];
        params.extend(found.bits.map(|bits| json!(format!("{bits:08x}"))));
        Value::Array(params)
    }

    /// Submits; whether it was accepted before the gateway closed.
    pub(crate) fn try_submit(&mut self, user: &str, found: &Found) -> bool {
        let id = self.next_id;
        self.next_id += 1;
        let params = Self::params(user, found);
        let line = json!({ "id": id, "method": "mining.submit", "params": params });
        if writeln!(self.stream, "{line}").is_err() {
            return false;
        }
        while let Some(line) = self.try_line() {
            if !self.notice(&line) {
                assert_eq!(code(&line), 0);
                return true;
            }
        }
        false
    }

    pub(crate) fn submit(&mut self, user: &str, found: &Found) -> Value {
        self.ask("mining.submit", &Self::params(user, found))
    }
}

/// The code of a reply: 0 for `true`.
pub(crate) fn code(reply: &Value) -> u64 {
    if reply["result"] == json!(true) {
        assert_eq!(reply["error"], Value::Null);
        0
    } else {
        let code = reply["error"][0].as_u64();
        code.unwrap_or_else(|| panic!("neither true nor an error: {reply}"))
    }
}
