//! Two litecoinds in regtest, connected to each other: a lonely one gives no templates. A missing litecoind is a failure.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How often a port may be taken by somebody else in between.
const TRIES: usize = 5;

/// What a regtest node is told. Without the last two it asks for a peg-in at height 432, and gives up early.
const FLAGS: [&str; 11] = [
    "-regtest",
    "-server",
    "-rpcbind=127.0.0.1",
    "-rpcallowip=127.0.0.1",
    "-listenonion=0",
    "-discover=0",
    "-dnsseed=0",
    "-upnp=0",
    "-printtoconsole=0",
    "-maxtipage=2000000000",
    "-vbparams=mweb:4000000000:4100000000",
];

/// A running node; killed when it goes.
#[derive(Debug)]
pub struct Node {
    child: Child,
    folder: PathBuf,
    rpc: u16,
}

/// Two connected nodes.
#[derive(Debug)]
pub struct Pair {
    /// One that listens.
    pub a: Node,
    /// One that connects to it.
    pub b: Node,
    _folder: TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
    }
}

impl Node {
    fn start(folder: &Path, rpc: u16, more: &[String]) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let child = Command::new("litecoind")
            .args(FLAGS)
            .arg(format!("-datadir={}", folder.display()))
            .arg(format!("-rpcport={rpc}"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            child: child.expect("litecoind starts; if it is missing: apt-get install litecoind"),
            folder: folder.to_owned(),
            rpc,
        }
    }

    /// `host:port` of its RPC.
    #[must_use]
    pub fn rpc(&self) -> String {
        format!("127.0.0.1:{}", self.rpc)
    }

    /// Its cookie file.
    #[must_use]
    pub fn cookie(&self) -> PathBuf {
        self.folder.join("regtest").join(".cookie")
    }

    fn try_cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("litecoin-cli");
        command
            .arg("-regtest")
            .arg(format!("-datadir={}", self.folder.display()))
            .arg(format!("-rpcport={}", self.rpc))
            .args(arguments);
        command.output().expect("litecoin-cli comes with litecoind")
    }

    /// What a command of the node's own client prints.
    ///
    /// # Panics
    /// If the node refuses.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    /// Makes it give up a block. Whether it knew the block.
    #[must_use]
    pub fn forget(&self, hash: &str) -> bool {
        self.try_cli(&["invalidateblock", hash]).status.success()
    }

    fn is_gone(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }
}

/// Ports that were free a moment ago; all are held until all are known, so they differ.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

impl Pair {
    /// Starts both and waits until both know each other.
    ///
    /// # Panics
    /// If they do not.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// The same; each is told more.
    ///
    /// # Panics
    /// If they do not.
    #[must_use]
    pub fn start_with(more_a: &[&str], more_b: &[&str]) -> Self {
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().expect("a folder");
            let [p2p, rpc_a, rpc_b] = free_ports();
            let listens = [
                format!("-port={p2p}"),
                format!("-bind=127.0.0.1:{p2p}"),
                "-listen=1".to_owned(),
            ];
            let connects = [format!("-connect=127.0.0.1:{p2p}"), "-listen=0".to_owned()];
            let with = |flags: &[String], more: &[&str]| -> Vec<String> {
                let more = more.iter().map(|flag| (*flag).to_owned());
                flags.iter().cloned().chain(more).collect()
            };
            let (listens, connects) = (with(&listens, more_a), with(&connects, more_b));
            let mut pair = Self {
                a: Node::start(&folder.path().join("a"), rpc_a, &listens),
                b: Node::start(&folder.path().join("b"), rpc_b, &connects),
                _folder: folder,
            };
            if pair.is_ready() {
                return pair;
            }
        }
        panic!("litecoind ended {TRIES} times right after its start");
    }

    fn is_ready(&mut self) -> bool {
        let started = Instant::now();
        let knows = |node: &Node| {
            let output = node.try_cli(&["getconnectioncount"]);
            output.status.success() && output.stdout.trim_ascii() == b"1"
        };
        while !(knows(&self.a) && knows(&self.b)) {
            if self.a.is_gone() || self.b.is_gone() {
                return false;
            }
            assert!(started.elapsed() < PATIENCE, "litecoind does not get ready");
            std::thread::park_timeout(LOOK);
        }
        true
    }

    /// Waits until both have the same best block. Returns its height.
    ///
    /// # Panics
    /// If they do not agree in time.
    pub fn agree(&self) -> u64 {
        let started = Instant::now();
        while self.a.cli(&["getbestblockhash"]) != self.b.cli(&["getbestblockhash"]) {
            assert!(started.elapsed() < PATIENCE, "the nodes do not agree");
            std::thread::park_timeout(LOOK);
        }
        self.a.cli(&["getblockcount"]).parse().expect("a height")
    }
}
