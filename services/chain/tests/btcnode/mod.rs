//! A real btcd on a test network of its own, alone: it needs no peer and no wallet.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use orebook_chain::{Credentials, RpcConfig};
use tempfile::TempDir;

use crate::golang;

/// An address of simnet, which btcd wants to know although coinbases are ours.
const MINING_ADDRESS: &str = "SMJ2EsMn4iEfrGr1c7hW9KnykTxwffDZkM";

/// A running node; it is killed when it goes out of scope, whatever happens.
pub(crate) struct Btcd {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Btcd {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

impl Btcd {
    /// Starts a node on simnet. It may take a moment until it answers.
    pub(crate) fn start() -> Self {
        Self::start_on("simnet", MINING_ADDRESS)
    }

    /// Starts a node on a network; blocks that it finds itself (`generate`) pay an address.
    pub(crate) fn start_on(network: &str, pays: &str) -> Self {
        static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| golang::build("btcnode", "github.com/btcsuite/btcd"));
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let place = folder.path().display();
        let child = Command::new(program)
            .args(["--nodnsseed", "--nolisten", "--notls"])
            .arg(format!("--{network}"))
            .args([
                "--configfile=/dev/null",
                "--rpcuser=user",
                "--rpcpass=password",
            ])
            .arg(format!("--datadir={place}/data"))
            .arg(format!("--logdir={place}/log"))
            .arg(format!("--rpclisten=127.0.0.1:{port}"))
            .arg(format!("--miningaddr={pays}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("btcd starts");
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    pub(crate) fn config(&self) -> RpcConfig {
        let credentials = Credentials::new("user", "password");
        RpcConfig::new(format!("127.0.0.1:{}", self.port), credentials, false)
    }
}
