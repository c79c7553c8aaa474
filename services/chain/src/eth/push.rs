//! `miner.notify`: nodes post their newest work to a door of ours, so that nobody waits for a poll.
//!
//! Whoever reaches the door may write anything. So what is posted is never work: if it hangs together and is new, the nodes are
//! asked at once, at most every [`PUSH_SPACING`]; a forged push costs one question and gives nobody false work.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use orebook_schema::units::Hash;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::WorkItems;
use super::header::HeaderJson;

/// Most bytes of a push: a header is about 2 KiB. A longer one is answered 413.
pub const PUSH_BYTES_MAX: usize = 16 << 10;
/// Most connections to the door at once; further ones are closed as they come.
pub const PUSH_CONNECTIONS_MAX: usize = 16;
/// A push is there within this time, or its connection is closed.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Least time between two rounds of questions that pushes cause.
pub const PUSH_SPACING: Duration = Duration::from_millis(50);

/// Most header lines of a push's head; with more it is answered 431.
const HEADERS_MAX: usize = 32;
/// Most bytes of a push's head, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Pause after an accept that failed (no file descriptor left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that is bound: nodes are told its address before the list of nodes starts. Clones are the same port; one list of
/// nodes may use it.
#[derive(Clone, Debug)]
pub struct PushDoor {
    listener: Arc<TcpListener>,
    address: SocketAddr,
}

/// What a push names: enough to see whether it is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    /// The seal hash of the new work.
    pub(crate) seal: Hash,
}

/// A body that a node may post: the work array, or with `miner.notify.full` the header.
#[derive(Deserialize)]
#[serde(untagged)]
enum Posted {
    Items(Vec<String>),
    Header(Box<HeaderJson>),
}

impl PushDoor {
    /// Binds the port. It should be the loopback's, or one that only nodes reach.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener: Arc::new(listener),
            address,
        })
    }

    /// Where nodes are to post: `miner.notify = http://ADDRESS/`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes pushes until it is dropped. Must run inside a tokio runtime.
    pub(crate) async fn serve(
        self,
        take: impl Fn(Push) + Clone + Send + Sync + 'static,
    ) -> io::Result<Infallible> {
        let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
        let places = Arc::new(Semaphore::new(PUSH_CONNECTIONS_MAX));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                continue;
            };
            let take = take.clone();
            tokio::spawn(async move {
                // Too slow, or gone: the node will post again, and polls go on.
                drop(tokio::time::timeout(PUSH_TIMEOUT, one(stream, take)).await);
                drop(place);
            });
        }
    }
}

/// One connection: one request.
async fn one(stream: TcpStream, take: impl Fn(Push)) {
    let answer = async |request| Ok::<_, Infallible>(answered(request, &take).await);
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    // A connection that breaks off has said nothing.
    drop(connection.await);
}

async fn answered(request: Request<Incoming>, take: &impl Fn(Push)) -> Response<Empty<Bytes>> {
    let status = if request.method() == Method::POST {
        match Limited::new(request.into_body(), PUSH_BYTES_MAX)
            .collect()
            .await
        {
            Ok(body) => match Push::read(&body.to_bytes()) {
                Some(push) => {
                    take(push);
                    StatusCode::OK
                }
                None => StatusCode::BAD_REQUEST,
            },
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

impl Push {
    /// Reads a body; `None` if it does not hang together: no work array whose seed is that of its height, and no header whose
    /// hash is that of its fields.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let seal = match serde_json::from_slice(body).ok()? {
            Posted::Items(items) => WorkItems::read(&items).ok()?.seal,
            Posted::Header(header) => header.header()?.seal,
        };
        Some(Self { seal })
    }
}
