//! Projectors asked over HTTP for what they have for a digest of money.

use std::net::SocketAddr;
use std::time::Duration;

use orebook_paymaster::digests::{Answer, Digests, PROJECTORS_MAX};
use orebook_schema::Hash;
use orebook_schema::units::unhex;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use orebook::config::projector;

/// How long one projector may take for all of it. A payout waits for them, and nothing else does.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read: it has some two hundred.
const ANSWER_BYTES_MAX: u64 = 16_384;

/// Projectors by `host:port`.
#[derive(Clone, Debug)]
pub(crate) struct Projectors {
    hosts: Vec<String>,
}

#[derive(Deserialize)]
struct DigestReply {
    fold: String,
    position: u64,
    digest: String,
}

impl Projectors {
    /// Those of the configuration; where there is none, the pages of this process.
    pub(crate) fn new(urls: &[String], pages: Option<SocketAddr>) -> Self {
        let hosts = urls.iter().filter_map(|url| projector(url));
        let mut hosts: Vec<String> = hosts.map(str::to_owned).collect();
        if hosts.is_empty() {
            hosts.extend(pages.map(|pages| pages.to_string()));
        }
        hosts.truncate(PROJECTORS_MAX);
        Self { hosts }
    }
}

impl Digests for Projectors {
    async fn ask(&self, size: u64) -> Vec<Answer> {
        let mut asked = Vec::new();
        for host in &self.hosts {
            let host = host.clone();
            asked.push(tokio::spawn(async move {
                let digest = match timeout(PATIENCE, ask(&host, size)).await {
                    Ok(answer) => answer,
                    Err(_) => Err("no answer in time".to_owned()),
                };
                Answer { who: host, digest }
            }));
        }
        let mut answers = Vec::new();
        for one in asked {
            // A task that panicked ends the process anyway.
            answers.extend(one.await);
        }
        answers
    }
}

async fn ask(host: &str, size: u64) -> Result<Hash, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(host).await.map_err(failed)?;
    let request = format!(
        "GET /api/v1/digest?fold=money&position={size} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX);
    limited.read_to_end(&mut answer).await.map_err(failed)?;
    read(&answer, size)
}

/// The digest of an answer that ended with its connection.
fn read(answer: &[u8], size: u64) -> Result<Hash, String> {
    let strange = || "it does not answer like a projector".to_owned();
    let text = str::from_utf8(answer).map_err(|_| strange())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(strange)?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|head| head.get(..3));
    match status.ok_or_else(strange)? {
        "200" => {}
        "404" => return Err(format!("it has no digest over {size} positions")),
        status => return Err(format!("HTTP status {status}")),
    }
    let reply: DigestReply = serde_json::from_str(body).map_err(|_| strange())?;
    let bytes = unhex(&reply.digest).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if reply.fold != "money" || reply.position != size {
        return Err(strange());
    }
    bytes.map(Hash).ok_or_else(strange)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A projector that answers once; what it was asked comes when it ends.
    fn serve(answer: String) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            let len = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..len]).into_owned()
        });
        (url, thread)
    }

    fn answer(status: &str, fold: &str, position: u64, digest: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\n\r\n{{\"as_of\":9,\"fold\":\"{fold}\",\"version\":1,\"position\":{position},\"root\":\"\",\"digest\":\"{digest}\"}}"
        )
    }

    #[tokio::test]
    async fn every_projector_is_asked_and_only_the_digest_of_that_place_counts() {
        let digest = "ab".repeat(32);
        let table = [
            (answer("200 OK", "money", 7, &digest), Ok(Hash([0xab; 32]))),
            (
                answer("200 OK", "blocks", 7, &digest),
                Err("not answer like"),
            ),
            (
                answer("200 OK", "money", 8, &digest),
                Err("not answer like"),
            ),
            (answer("200 OK", "money", 7, "ab"), Err("not answer like")),
        ];
        let (urls, threads): (Vec<String>, Vec<_>) = table
            .iter()
            .map(|(answer, _)| serve(answer.clone()))
            .unzip();
        let answers = Projectors::new(&urls, None).ask(7).await;
        assert_eq!(answers.len(), table.len());
        for ((found, url), (_, expected)) in answers.iter().zip(&urls).zip(&table) {
            assert_eq!(format!("http://{}", found.who), *url);
            match (&found.digest, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
                other => panic!("{other:?}"),
            }
        }
        for thread in threads {
            let request = thread.join().unwrap();
            assert!(request.starts_with("GET /api/v1/digest?fold=money&position=7 HTTP/1.1\r\n"));
        }
    }

    #[tokio::test]
    async fn a_projector_that_has_no_such_digest_or_is_not_there_is_named_with_the_reason() {
        let (missing, thread) = serve(answer("404 Not Found", "money", 7, ""));
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let answers = Projectors::new(&[missing], None).ask(7).await;
        assert_eq!(
            answers[0].digest,
            Err("it has no digest over 7 positions".to_owned())
        );
        thread.join().unwrap();
        let answers = Projectors::new(&[], Some(address)).ask(7).await;
        assert_eq!(answers[0].who, address.to_string());
        assert!(answers[0].digest.is_err());
    }
}
