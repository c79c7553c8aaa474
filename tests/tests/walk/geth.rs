//! A real go-ethereum 1.10.26 with ethash at a small difficulty, as services/chain's tests build it. A missing Go is a failure.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use orebook_pow::ethash::{Cache, Question, prove};
use orebook_schema::Hash;
use orebook_schema::units::{U256, hex, unhex};
use orebook_tests::pool::DEADLINE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golang;

/// Difficulty of every block: of so many hashes one is a block.
pub(crate) const DIFFICULTY: u64 = 64;

/// A running chain of one node, which mines nothing by itself; it ends when it goes out of scope.
pub(crate) struct Geth {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Drop for Geth {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.log());
            eprintln!("the node said:\n{}", said.unwrap_or_default());
        }
    }
}

impl Geth {
    /// Starts a chain whose blocks pay an address, and waits until it answers.
    pub(crate) fn start(pays: &str) -> Self {
        let program = golang::build("ethnode", ".");
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a file");
        let mut child = Command::new(program)
            .arg("-datadir")
            .arg(folder.path().join("chain"))
            .arg("-caches")
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("ethash"))
            .arg(format!("-difficulty={DIFFICULTY}"))
            .args(["-etherbase", pays, "-london"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("ready http://");
        let address = address.and_then(|address| address.parse().ok());
        Self {
            child,
            address: address.unwrap_or_else(|| panic!("the node is not ready: {line}")),
            folder,
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The result of a call.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).expect("the node listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let (address, len) = (self.address, body.len());
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let mut answer: Value = serde_json::from_str(body).expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Somebody finds so many blocks beside the chain, which leave the newest `back` of it behind.
    pub(crate) fn branch(&self, cache: &Cache, back: u64, blocks: u64) {
        let least = U256::MAX / U256::from(DIFFICULTY);
        for _ in 0..blocks {
            let seal = self.call("eth_sideWork", &json!([format!("0x{back:x}")]));
            let seal = seal.as_str().and_then(|text| text.strip_prefix("0x"));
            let seal = seal.and_then(unhex).and_then(|seal| seal.try_into().ok());
            let seal = Hash(seal.expect("a hash"));
            let solve = |nonce| {
                let mut answers = Vec::new();
                prove(cache, &[Question { seal, nonce }], &mut answers);
                (nonce, answers[0])
            };
            let mut found = (0..).map(solve).filter(|(_, answer)| answer.value <= least);
            let (nonce, answer) = found.next().expect("a nonce");
            let mix = format!("0x{}", hex(&answer.mix.0));
            self.call("eth_sideSeal", &json!([format!("0x{nonce:016x}"), mix]));
        }
        let height = self.height();
        self.call("eth_sideInsert", &json!([]));
        assert_eq!(self.height(), height - back + blocks, "it is the chain now");
    }

    /// The newest block's number.
    pub(crate) fn height(&self) -> u64 {
        number(&self.call("eth_blockNumber", &json!([])))
    }

    /// All blocks from the first mined one on.
    pub(crate) fn blocks(&self) -> Vec<Value> {
        let block = |height: u64| {
            let height = format!("0x{height:x}");
            self.call("eth_getBlockByNumber", &json!([height, false]))
        };
        (1..=self.height()).map(block).collect()
    }
}

/// A quantity of the node's.
pub(crate) fn number(value: &Value) -> u64 {
    let text = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let text = text.unwrap_or_else(|| panic!("a quantity: {value}"));
    u64::from_str_radix(text, 16).expect("hex")
}
