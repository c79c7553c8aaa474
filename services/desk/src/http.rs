//! The desk's listener: `POST /commands` (a command's bytes), `GET /commands/ID`, `GET /state?account=`. Answers are JSON.
//!
//! Whoever serves it puts the peer's address into each request ([`ConnectInfo`]): the audit trail says where commands came
//! from, and wrong signatures are counted by it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use orebook_schema::Account;
use serde::Deserialize;

use crate::answer::{Answer, Refusal};
use crate::command::{COMMAND_BYTES_MAX, Signed};
use crate::desk::DeskHandle;
use crate::notes::hash;

/// How long the bytes of a command may take to come in.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The routes of a desk.
pub fn router(desk: DeskHandle) -> Router {
    Router::new()
        .route("/commands", post(submit))
        .route("/commands/{id}", get(ask))
        .route("/state", get(state))
        .with_state(desk)
}

async fn submit(State(desk): State<DeskHandle>, request: Request) -> Response {
    let from = peer(&request);
    let body = to_bytes(request.into_body(), COMMAND_BYTES_MAX);
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(bytes)) => bytes.to_vec(),
        Ok(Err(_)) => {
            let what = format!("more than {COMMAND_BYTES_MAX} bytes, or broken off");
            return shown(Refusal::Malformed(what).answer(None));
        }
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let id = Signed::read(&bytes).ok().map(|signed| signed.id);
    let answered = desk.submit(bytes, from, id).await;
    shown(answered.unwrap_or_else(|none| none.answer()))
}

/// Where a request comes from.
pub(crate) fn peer(request: &Request) -> SocketAddr {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    from.map_or(nobody, |from| from.0)
}

async fn ask(State(desk): State<DeskHandle>, Path(id): Path<String>) -> Response {
    let Some(id) = hash(&id) else {
        let what = "an id is 64 hex digits".to_owned();
        return shown(Refusal::Malformed(what).answer(None));
    };
    let answered = desk.ask(id).await;
    shown(answered.unwrap_or_else(|none| none.answer()))
}

/// What is asked of the state besides.
#[derive(Debug, Deserialize)]
struct About {
    /// An account in its canonical text.
    account: Option<String>,
}

async fn state(State(desk): State<DeskHandle>, Query(about): Query<About>) -> Response {
    let account = match about.account.as_deref().map(Account::parse) {
        Some(None) => {
            let what = "an account is `script:HEX`, `evm:HEX` or `name:NAME`".to_owned();
            return shown(Refusal::Malformed(what).answer(None));
        }
        known => known.flatten(),
    };
    match desk.state(account).await {
        Ok(Some(body)) => shown(Answer { status: 200, body }),
        Ok(None) => shown(Refusal::NotReady.answer(None)),
        Err(none) => shown(none.answer()),
    }
}

pub(crate) fn shown(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let no_store = HeaderValue::from_static("no-store");
    let mut response = (status, Json(answer.body)).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
