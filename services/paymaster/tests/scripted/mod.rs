//! A node of ours that answers by a script.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A result, or an error's code and words; none: the connection ends.
pub(crate) type Reply = Option<Result<Value, (i64, &'static str)>>;
pub(crate) type Script = Arc<dyn Fn(&str, &Value) -> Reply + Send + Sync>;

/// The address of a node that answers by a script, as long as the test runs.
pub(crate) async fn listen(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&script)));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, script: Script) {
    let mut bytes = Vec::new();
    let request: Value = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let body = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        let body = body.and_then(|at| serde_json::from_slice(&bytes[at + 4..]).ok());
        if let Some(request) = body {
            break request;
        }
    };
    let answer = |of: &Value| {
        let method = of["method"].as_str().expect("a method");
        Some(match script(method, &of["params"])? {
            Ok(result) => json!({"jsonrpc": "2.0", "id": of["id"], "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": of["id"], "error": {"code": code, "message": message}})
            }
        })
    };
    let body = match request.as_array() {
        Some(all) => all
            .iter()
            .map(answer)
            .collect::<Option<Vec<_>>>()
            .map(Value::from),
        None => answer(&request),
    };
    let Some(body) = body.map(|body| body.to_string()) else {
        return;
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    // The client may be gone; that is its right.
    let _sent = stream.write_all((head + &body).as_bytes()).await;
}
