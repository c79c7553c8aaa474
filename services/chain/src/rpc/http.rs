//! One HTTP/1.1 request on a connection of its own. The caller sets the deadline: dropping the future ends everything.

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::node::NodeError;

/// Most header lines of an answer; more end the request.
const HEADERS_MAX: usize = 64;
/// Most bytes of an answer's head, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Posts JSON and gives status and body.
///
/// # Errors
/// [`NodeError::Connect`] if nothing was sent; [`NodeError::Broken`] if the exchange broke off, [`NodeError::TooLarge`].
pub(super) async fn post(
    address: &str,
    path: &str,
    authorization: Option<HeaderValue>,
    body: Bytes,
    bytes_max: usize,
) -> Result<(u16, Bytes), NodeError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| NodeError::Connect(error.kind()))?;
    stream
        .set_nodelay(true)
        .map_err(|error| NodeError::Connect(error.kind()))?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, address)
        .header(CONNECTION, "close")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|_| NodeError::Address)?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization);
    }
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| NodeError::Broken)?;
    let exchange = async move {
        let response = sender
            .send_request(request)
            .await
            .map_err(|_| NodeError::Broken)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), bytes_max)
            .collect()
            .await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                NodeError::TooLarge { bytes_max }
            } else {
                NodeError::Broken
            }
        })?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection's end tells the exchange what it needs: the whole answer, or that it broke off.
        _ = connection => exchange.await,
    }
}
