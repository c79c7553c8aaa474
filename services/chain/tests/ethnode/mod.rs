//! A real go-ethereum chain, and a miner for it that is not ours: the crate `ethash`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use ethash::{EthereumPatch, LightDAG};
use orebook_chain::eth::EthNode;
use orebook_chain::{EthConfig, EthWork, SubmitEth};
use orebook_schema::units::{Hash, U256};
use tempfile::TempDir;

use crate::golang;

/// Difficulty of every block: a solution is a fraction of a second of the miner's.
pub(crate) const DIFFICULTY: u64 = 32;

/// Caches of the first epoch, for all tests of this process.
static LIGHT: LazyLock<LightDAG<EthereumPatch>> = LazyLock::new(|| LightDAG::new(1.into()));

/// A running chain of one node; it ends when it goes out of scope, whatever happens.
pub(crate) struct Geth {
    child: Child,
    address: String,
    said: Arc<Mutex<String>>,
    more: Vec<String>,
    folder: TempDir,
}

impl Drop for Geth {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
        if std::thread::panicking() {
            let said = self.said.lock().map(|said| said.clone());
            eprintln!("the node said:\n{}", said.unwrap_or_default());
        }
    }
}

impl Geth {
    /// Starts a chain, and waits until it answers.
    pub(crate) fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        let said = Arc::default();
        let (child, address) = run(folder.path(), &more, &said);
        Self {
            child,
            address,
            said,
            more,
            folder,
        }
    }

    /// Kills it at once, and starts it again with what is in its folder, at another port.
    pub(crate) fn kill_and_start(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        (self.child, self.address) = run(self.folder.path(), &self.more, &self.said);
    }

    pub(crate) fn config(&self) -> EthConfig {
        EthConfig::new(self.address.clone())
    }

    /// A question that no client of ours asks; the answer's result.
    pub(crate) fn ask(&self, method: &str, params: &serde_json::Value) -> serde_json::Value {
        let body =
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let body = body.to_string();
        let (address, len) = (&self.address, body.len());
        let mut stream = TcpStream::connect(address).expect("the node listens");
        let head = "Connection: close\r\nContent-Type: application/json";
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {address}\r\n{head}\r\nContent-Length: {len}\r\n\r\n{body}"
        )
        .expect("the node reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let reply: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert!(reply["error"].is_null(), "{method}: {reply}");
        reply["result"].clone()
    }

    pub(crate) fn node(&self) -> EthNode {
        EthNode::new(self.config())
    }
}

/// The program, when it is ready, and where it listens.
fn run(folder: &Path, more: &[String], said: &Arc<Mutex<String>>) -> (Child, String) {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| golang::build("ethnode", "."));
    let caches = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ethash");
    let mut child = Command::new(program)
        .arg("-datadir")
        .arg(folder)
        .arg("-caches")
        .arg(caches)
        .arg(format!("-difficulty={DIFFICULTY}"))
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the node starts");
    let (mut stderr, log) = (child.stderr.take().expect("piped"), Arc::clone(said));
    // It ends with the node.
    std::thread::spawn(move || {
        let mut buffer = [0; 1_024];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            if let Ok(mut log) = log.lock() {
                log.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    });
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let read = stdout.read_line(&mut line).map(|_| ());
    let Some(address) = line.trim().strip_prefix("ready http://") else {
        let _killed = child.kill();
        panic!("the node is not ready: {read:?} {line}");
    };
    (child, address.to_owned())
}

/// The first nonce from `from` on that meets the target.
pub(crate) fn solve(work: &EthWork, from: u64) -> SubmitEth {
    solve_where(work, from, |value| value <= work.target)
}

/// The first nonce from `from` on whose value is wanted.
pub(crate) fn solve_where(work: &EthWork, from: u64, wanted: impl Fn(U256) -> bool) -> SubmitEth {
    let nonces = (from..).map(|nonce| {
        let (mix, value) = LIGHT.hashimoto(work.seal.0.into(), nonce.to_be_bytes().into());
        let (mix, value) = (Hash(mix.0), U256::from_be_bytes(value.0));
        let found = SubmitEth {
            seal: work.seal,
            nonce,
            mix,
        };
        (found, value)
    });
    let mut found = nonces.filter(|(_, value)| wanted(*value));
    found.next().expect("a nonce").0
}
