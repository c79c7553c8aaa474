//! A question to a role's API.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::ground::failed;
use crate::Failure;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// GET of a path: the JSON, or none if the answer is not 200.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<Option<Value>, Failure> {
    let lost = |error: std::io::Error| failed(path, error);
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(lost)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(lost)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(lost)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err(failed(path, "no answer of HTTP"));
    };
    if head.split(' ').nth(1) != Some("200") {
        return Ok(None);
    }
    serde_json::from_str(body)
        .map(Some)
        .map_err(|error| failed(path, error))
}
