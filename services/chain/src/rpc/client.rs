//! One JSON-RPC request and its answer, for every kind of node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::figures::{RpcCounts, RpcFigures};
use super::{Credentials, NODE_TEXT_CHARS_MAX, http};
use crate::node::NodeError;

/// Where a node is, who asks, and which JSON-RPC it speaks.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
    path: String,
    credentials: Option<Credentials>,
    version: &'static str,
    counts: Arc<RpcCounts>,
}

/// An answer as JSON-RPC 1.0 and 2.0 nodes write it. A missing `result` is not `null`: an empty object accepts nothing.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Reply<T> {
    #[serde(default, deserialize_with = "present")]
    result: Option<Option<T>>,
    error: Option<Fault>,
}

/// One of several answers: to the question of this number.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Numbered<T> {
    id: usize,
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

impl From<Fault> for NodeError {
    fn from(fault: Fault) -> Self {
        Self::Fault {
            code: fault.code,
            message: plain(&fault.message),
        }
    }
}

fn present<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl Client {
    pub(crate) fn new(
        address: String,
        credentials: Option<Credentials>,
        version: &'static str,
    ) -> Self {
        Self {
            address,
            path: "/".to_owned(),
            credentials,
            version,
            counts: Arc::default(),
        }
    }

    /// The same node, asked at another path: one of its wallets.
    pub(crate) fn at(&self, path: String) -> Self {
        Self {
            path,
            ..self.clone()
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

    /// Several questions of one method in one request; the answers' results are in the order of the questions. The first
    /// question that failed fails all.
    pub(crate) async fn batch<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &[Value],
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Vec<Option<T>>, NodeError> {
        let version = self.version;
        let asked = |(id, params): (usize, &Value)| json!({"jsonrpc": version, "id": id, "method": method, "params": params});
        let request: Vec<Value> = params.iter().enumerate().map(asked).collect();
        let request = Bytes::from(Value::from(request).to_string());
        let began = Instant::now();
        let answer = self.answer(request, bytes_max, timeout).await;
        self.counts.note(began.elapsed(), answer.as_ref().err());
        let answer = answer?;
        let Ok(replies) = serde_json::from_slice::<Vec<Numbered<T>>>(&answer.body) else {
            // A node that takes no batches, or not this one, answers once.
            return match answer.read::<T>() {
                Ok(_) => Err(NodeError::Garbage("the answer")),
                Err(error) => Err(error),
            };
        };
        let mut results: Vec<Option<Option<T>>> = params.iter().map(|_| None).collect();
        for reply in replies {
            if let Some(fault) = reply.error {
                return Err(fault.into());
            }
            match (results.get_mut(reply.id), reply.result) {
                (Some(place @ None), Some(result)) => *place = Some(result),
                _ => return Err(NodeError::Garbage("the answer")),
            }
        }
        let all: Option<Vec<Option<T>>> = results.into_iter().collect();
        all.ok_or(NodeError::Garbage("the answer"))
    }

    /// What its questions cost so far.
    pub(crate) fn figures(&self) -> RpcFigures {
        self.counts.read()
    }

    /// One request and its answer's result; `None` is an explicit `null`.
    pub(crate) async fn exchange<T: DeserializeOwned>(
        &self,
        request: Bytes,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Option<T>, NodeError> {
        let began = Instant::now();
        let answer = self.wait(request, bytes_max, timeout).await;
        self.counts.note(began.elapsed(), answer.as_ref().err());
        answer
    }

    /// The same of a request that is answered when there is something new.
    pub(crate) async fn wait<T: DeserializeOwned>(
        &self,
        request: Bytes,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Option<T>, NodeError> {
        self.answer(request, bytes_max, timeout).await?.read()
    }

    async fn answer(
        &self,
        request: Bytes,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Answer, NodeError> {
        let work = async {
            let authorization = match &self.credentials {
                Some(credentials) => Some(credentials.header().await?),
                None => None,
            };
            http::post(&self.address, &self.path, authorization, request, bytes_max).await
        };
        let (status, body) = tokio::time::timeout(timeout, work)
            .await
            .map_err(|_| NodeError::Timeout)??;
        if status == 401 || status == 403 {
            return Err(NodeError::Unauthorized);
        }
        Ok(Answer { status, body })
    }
}

/// An answer of any status but a refusal of our credentials.
struct Answer {
    status: u16,
    body: Bytes,
}

impl Answer {
    fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, NodeError> {
        // Nodes send RPC errors with status 404 and 500; any other body of such a status is nobody's judgement.
        let is_ok = (200..300).contains(&self.status);
        match serde_json::from_slice::<Reply<T>>(&self.body) {
            Ok(Reply {
                error: Some(fault), ..
            }) => Err(fault.into()),
            Ok(Reply {
                result: Some(result),
                ..
            }) if is_ok => Ok(result),
            _ if is_ok => Err(NodeError::Garbage("the answer")),
            _ => Err(NodeError::Http(self.status)),
        }
    }
}

/// A node's words, fit for a log: no control characters, at most [`NODE_TEXT_CHARS_MAX`].
pub(crate) fn plain(text: &str) -> String {
    let kept = text.chars().take(NODE_TEXT_CHARS_MAX);
    kept.map(|c| if c.is_control() { '?' } else { c }).collect()
}
