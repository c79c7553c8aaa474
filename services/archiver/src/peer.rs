//! Fetches another's segment files over HTTP into a folder, where they can be opened like one's own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::segments::{FILES_MAX, Listed, PIECE_BYTES_MAX, is_segment};

/// Bytes of a list of files at most: some 60 for each.
const LIST_BYTES_MAX: usize = 64 * FILES_MAX;
/// Bytes of a segment at most: what a ledger may say of its segments, and an index on top. More is no segment.
const SEGMENT_BYTES_MAX: u64 = 1 << 32;
/// How long one piece may take.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Ending of a file that is not whole yet.
const PART_ENDING: &str = ".part";

/// Why segments could not be fetched. Trying again later helps, or another peer does.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none.
    #[error("{0} is no host:port")]
    Address(String),
    /// The peer did not answer, or not in time.
    #[error("{peer} does not answer: {why}")]
    Unreachable {
        /// Who.
        peer: String,
        /// How.
        why: String,
    },
    /// The peer's answer is not what a peer says.
    #[error("{peer} answers {what}")]
    Wrong {
        /// Who.
        peer: String,
        /// What.
        what: String,
    },
    /// The folder.
    #[error("{0}")]
    Folder(#[from] std::io::Error),
}

/// Somebody who serves segments.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Peer {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Brings the peer's segments into `into`. Sealed ones are equal on every machine: those in `own` are not fetched again.
    pub(crate) async fn fetch(&self, own: &Path, into: &Path) -> Result<(), FetchError> {
        fs::create_dir_all(into)?;
        let files = self.list().await?;
        for entry in fs::read_dir(into)? {
            // What is there is of an earlier try; only what is sealed is worth keeping.
            let entry = entry?;
            if !entry.file_name().to_string_lossy().ends_with(".seg") {
                fs::remove_file(entry.path())?;
            }
        }
        for file in files {
            let to = into.join(&file.name);
            let own = own.join(&file.name);
            if file.name.ends_with(".seg") {
                if to.exists() {
                    continue;
                }
                if own.exists() {
                    // What is sealed never changes again: one file with two names is enough.
                    if fs::hard_link(&own, &to).is_err() {
                        fs::copy(&own, &to)?;
                    }
                    continue;
                }
            }
            self.download(&file, &to).await?;
        }
        Ok(())
    }

    /// What the peer has.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, FetchError> {
        let body = self.get("/ledger/segments", LIST_BYTES_MAX).await?;
        let wrong = |what: &str| FetchError::Wrong {
            peer: self.address.clone(),
            what: what.to_owned(),
        };
        let mut files: Vec<Listed> =
            serde_json::from_slice(&body).map_err(|_| wrong("no list of segments"))?;
        files.sort();
        let fits = |file: &Listed| is_segment(&file.name) && file.bytes <= SEGMENT_BYTES_MAX;
        if files.len() <= FILES_MAX && files.iter().all(fits) {
            Ok(files)
        } else {
            Err(wrong("a list of what is no segment"))
        }
    }

    /// Bytes of one of its files from an offset on; none at its end.
    pub(crate) async fn piece(&self, name: &str, from: u64) -> Result<Bytes, FetchError> {
        let path = format!("/ledger/segments/{name}?from={from}");
        self.get(&path, PIECE_BYTES_MAX).await
    }

    async fn download(&self, listed: &Listed, to: &Path) -> Result<(), FetchError> {
        let part = to.with_extension(format!(
            "{}{PART_ENDING}",
            to.extension().and_then(|end| end.to_str()).unwrap_or("")
        ));
        let mut file = File::create(&part)?;
        let mut from = 0;
        while from < listed.bytes {
            let piece = self.piece(&listed.name, from).await?;
            if piece.is_empty() {
                break;
            }
            if !listed.name.ends_with(".seg") && piece.iter().all(|byte| *byte == 0) {
                // No record is so long: these are the zeros that wait for records.
                break;
            }
            file.write_all(&piece)?;
            from += piece.len() as u64;
        }
        file.sync_all()?;
        fs::rename(&part, to)?;
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str, bytes_max: usize) -> Result<Bytes, FetchError> {
        let peer = || self.address.clone();
        let unreachable = |why: String| FetchError::Unreachable { peer: peer(), why };
        let uri: Uri = format!("http://{}{path}", self.address)
            .parse()
            .map_err(|_| FetchError::Address(peer()))?;
        let request = Request::get(uri)
            .body(Empty::new())
            .map_err(|_| FetchError::Address(peer()))?;
        let exchange = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| unreachable(error.to_string()))?;
            let status = answer.status();
            if status != StatusCode::OK {
                let what = format!("{status} to {path}");
                return Err(FetchError::Wrong { peer: peer(), what });
            }
            let body = Limited::new(answer.into_body(), bytes_max).collect().await;
            let body = body.map_err(|error| unreachable(error.to_string()))?;
            Ok(body.to_bytes())
        };
        tokio::time::timeout(PIECE_TIMEOUT, exchange)
            .await
            .map_err(|_| unreachable("no answer in time".to_owned()))?
    }
}
