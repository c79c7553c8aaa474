//! One JSON-RPC request and its answer, for every kind of node.

use std::time::Duration;

use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{Credentials, NODE_TEXT_CHARS_MAX, http};
use crate::node::NodeError;

/// Where a node is, who asks, and which JSON-RPC it speaks.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
    credentials: Option<Credentials>,
    version: &'static str,
}

/// An answer as JSON-RPC 1.0 and 2.0 nodes write it. A missing `result` is not `null`: an empty object accepts nothing.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Reply<T> {
    #[serde(default, deserialize_with = "present")]
    result: Option<Option<T>>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
    #[serde(default)]
    message: String,
}

fn present<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl Client {
    pub(crate) const fn new(
        address: String,
        credentials: Option<Credentials>,
        version: &'static str,
    ) -> Self {
        Self {
            address,
            credentials,
            version,
        }
    }

    /// A request's text; it may be sent more than once.
    pub(crate) fn body(&self, method: &'static str, params: &Value) -> Bytes {
        let version = self.version;
        Bytes::from(
            json!({"jsonrpc": version, "id": "orebook", "method": method, "params": params})
                .to_string(),
        )
    }

    /// One request and its answer's result; `None` is an explicit `null`.
    pub(crate) async fn exchange<T: DeserializeOwned>(
        &self,
        request: Bytes,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Option<T>, NodeError> {
        let work = async {
            let authorization = match &self.credentials {
                Some(credentials) => Some(credentials.header().await?),
                None => None,
            };
            http::post(&self.address, authorization, request, bytes_max).await
        };
        let (status, answer) = tokio::time::timeout(timeout, work)
            .await
            .map_err(|_| NodeError::Timeout)??;
        if status == 401 || status == 403 {
            return Err(NodeError::Unauthorized);
        }
        // Nodes send RPC errors with status 404 and 500; any other body of such a status is nobody's judgement.
        let is_ok = (200..300).contains(&status);
        match serde_json::from_slice::<Reply<T>>(&answer) {
            Ok(Reply {
                error: Some(fault), ..
            }) => Err(NodeError::Fault {
                code: fault.code,
                message: plain(&fault.message),
            }),
            Ok(Reply {
                result: Some(result),
                ..
            }) if is_ok => Ok(result),
            _ if is_ok => Err(NodeError::Garbage("the answer")),
            _ => Err(NodeError::Http(status)),
        }
    }
}

/// A node's words, fit for a log: no control characters, at most [`NODE_TEXT_CHARS_MAX`].
pub(super) fn plain(text: &str) -> String {
    let kept = text.chars().take(NODE_TEXT_CHARS_MAX);
    kept.map(|c| if c.is_control() { '?' } else { c }).collect()
}
