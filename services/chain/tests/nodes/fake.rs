//! Fake nodes on ports of their own, and what every test of nodes needs.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orebook_chain::rpc::RpcNode;
use orebook_chain::{Credentials, DevChain, DevConfig, RpcConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const OURS: [u8; 22] = [
    0, 20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
];
/// What a fake node does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This status and body.
    Http(u16, String),
    /// These bytes as they are, then the end.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The connection ends without an answer.
    Close,
}

pub(crate) fn result(value: Value) -> Reply {
    Reply::Http(
        200,
        json!({"result": value, "error": null, "id": "orebook"}).to_string(),
    )
}

pub(crate) fn fault(code: i64, message: &str) -> Reply {
    Reply::Http(
        500,
        json!({"result": null, "error": {"code": code, "message": message}, "id": "orebook"})
            .to_string(),
    )
}

pub(crate) type Script = Arc<dyn Fn(&str, &Value) -> Reply + Send + Sync>;

/// An HTTP server on a port of its own that answers by a script and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Fake {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address, asked }
    }

    /// Answers each method with one reply, in the same way always.
    pub(crate) async fn with(replies: Vec<(&'static str, Reply)>) -> Self {
        Self::start(Arc::new(move |method, _| {
            let reply = replies.iter().find(|(of, _)| *of == method || *of == "*");
            reply.map_or_else(
                || fault(-32_601, "Method not found"),
                |(_, reply)| reply.clone(),
            )
        }))
        .await
    }

    pub(crate) fn config(&self) -> RpcConfig {
        let mut config = RpcConfig::new(
            self.address.clone(),
            Credentials::new("user", "password"),
            true,
        );
        (config.timeout, config.submit_timeout) =
            (Duration::from_millis(400), Duration::from_millis(400));
        config
    }

    pub(crate) fn client(&self) -> RpcNode {
        RpcNode::new(self.config())
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.asked
            .lock()
            .expect("unpoisoned")
            .iter()
            .filter(|(asked, _)| asked == method)
            .count()
    }
}

pub(crate) async fn serve(
    mut stream: TcpStream,
    script: Script,
    asked: Arc<Mutex<Vec<(String, String)>>>,
) {
    let mut bytes = Vec::new();
    let body_at = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..body_at]).to_ascii_lowercase();
    let len = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("a length");
    let len: usize = len.trim().parse().expect("a number");
    while bytes.len() < body_at + len {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request: Value = serde_json::from_slice(&bytes[body_at..]).expect("our client sends JSON");
    // Of several questions in one request the script gets all, as they are.
    let (first, params) = match request.get(0) {
        Some(first) => (first, &request),
        None => (&request, &request["params"]),
    };
    let method = first["method"].as_str().expect("a method").to_owned();
    asked
        .lock()
        .expect("unpoisoned")
        .push((method.clone(), head));
    let answer = match script(&method, params) {
        Reply::Http(status, body) => format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
        Reply::Raw(bytes) => bytes,
        Reply::Close => return,
        Reply::Hang => {
            std::future::pending::<()>().await;
            return;
        }
    };
    // The client may have had enough and be gone; that is its right.
    let _sent = stream.write_all(&answer).await;
    let _closed = stream.shutdown().await;
}

pub(crate) fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors/chain-litecoind-template.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vector")).expect("JSON")
}

/// What a node says of a block on its best chain.
pub(crate) fn header(hash: &Value, height: u64) -> Reply {
    result(
        json!({"hash": hash, "height": height, "confirmations": 1, "time": 1, "previousblockhash": hash}),
    )
}

/// A node that has the golden template, with the long poll id taken away.
pub(crate) fn golden_node() -> Vec<(&'static str, Reply)> {
    let mut template = golden();
    template["longpollid"] = Value::Null;
    let tip = template["previousblockhash"].clone();
    vec![
        ("getblocktemplate", result(template)),
        ("getblockheader", header(&tip, 101)),
        ("getbestblockhash", result(tip)),
    ]
}
pub(crate) fn easy_chain() -> DevChain {
    let seconds = AtomicU64::new(1_800_000_000);
    let config = DevConfig {
        bits_start: 0x207f_ffff,
        ..DevConfig::default()
    };
    DevChain::new(
        config,
        Arc::new(move || seconds.fetch_add(1, Ordering::SeqCst)),
    )
    .expect("a chain")
}

/// Runs a test on a runtime of its own, with real sockets and a real clock.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}
