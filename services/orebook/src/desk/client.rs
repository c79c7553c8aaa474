//! One question to the desk or another role over HTTP/1.1, on a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::Value;

use crate::Failure;

/// How long connecting, and each silence, may take: longer than the desk waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer at most: some thousand keys and things.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// GET of a path: status and JSON.
pub(crate) fn get(desk: &str, path: &str) -> Result<(u16, Value), Failure> {
    get_of("the desk", desk, path)
}

/// The same of another listener, called `what`.
pub(super) fn get_of(what: &str, host: &str, path: &str) -> Result<(u16, Value), Failure> {
    ask(what, host, ("GET", path), "application/octet-stream", &[])
}

/// POST of JSON to a listener called `what`, with a token: status and JSON.
pub(super) fn post_json(
    what: &str,
    host: &str,
    path: &str,
    body: &Value,
    token: Option<&str>,
) -> Result<(u16, Value), Failure> {
    let json = "application/json";
    let kind = token.map_or_else(
        || json.to_owned(),
        |token| format!("{json}\r\nAuthorization: Bearer {token}"),
    );
    ask(
        what,
        host,
        ("POST", path),
        &kind,
        body.to_string().as_bytes(),
    )
}

/// GET of a path of another role, called `what`: its JSON.
pub(super) fn get_json(what: &str, host: &str, path: &str) -> Result<Value, Failure> {
    let (status, body) = get_of(what, host, path)?;
    match status {
        200 => Ok(body),
        status => {
            let said = body.get("message").and_then(Value::as_str);
            let said = said.unwrap_or("no reason");
            Err(Failure::new(format!("{what} at {host}: {said} ({status})")))
        }
    }
}

/// POST of bytes: status and JSON.
pub(super) fn post(desk: &str, path: &str, body: &[u8]) -> Result<(u16, Value), Failure> {
    ask(
        "the desk",
        desk,
        ("POST", path),
        "application/octet-stream",
        body,
    )
}

fn ask(
    what: &str,
    desk: &str,
    (method, path): (&str, &str),
    content: &str,
    body: &[u8],
) -> Result<(u16, Value), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("{what} at {desk}: {error}")).hint(
            "does it run? `orebook up` prints where; --desk, --miners, --api, --url and --paymaster say it",
        )
    };
    let mut addresses = desk.to_socket_addrs().map_err(failed)?;
    let address = addresses.next();
    let address = address.ok_or_else(|| Failure::new(format!("{desk} is no host:port")))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {desk}\r\nConnection: close\r\n\
         Content-Type: {content}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(failed)?;
    stream.write_all(body).map_err(failed)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX);
    limited.read_to_end(&mut answer).map_err(failed)?;
    read(&answer).ok_or_else(|| Failure::new(format!("{desk} does not answer like {what}")))
}

/// Status and body of an answer that ended with its connection.
fn read(answer: &[u8]) -> Option<(u16, Value)> {
    let text = str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_json_and_anything_else_is_none() {
        let good = b"HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(read(good), Some((409, serde_json::json!({}))));
        for wrong in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nhello",
            b"HTTP/1.1 2\r\n\r\n{}",
            b"SSH-2.0\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n\r\n{\"a\":\xff}",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
