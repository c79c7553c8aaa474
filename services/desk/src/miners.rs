//! The listener for accounts' owners, apart from the operators': `GET /settings/text?account=&what=&value=`, `POST /settings`,
//! `GET /settings/ID`, and nothing else. Answers are JSON.
//!
//! A setting is posted as `{"text": …, "signature": …}`, or as `{"text": …}` with `Authorization: Bearer TOKEN`. A token goes no
//! further than this file: the desk hears its SHA-256.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use orebook_schema::Hash;
use orebook_schema::units::unhex;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::answer::Refusal;
use crate::desk::{DeskHandle, NoAnswer};
use crate::http::{peer, shown};
use crate::machine::{Asked, Sent, Shown};
use crate::notes::hash;

/// Most bytes of a setting that is posted: a text, a signature and their names.
pub const BODY_BYTES_MAX: usize = 2_048;
/// How long they may take to come in.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of miners that are under way at once; further ones are told to come again. Less than the desk's thread has room for, so
/// that operators always get through.
const AT_ONCE_MAX: usize = 32;

/// Who asks for miners.
#[derive(Clone, Debug)]
struct Door {
    desk: DeskHandle,
    places: Arc<Semaphore>,
}

impl Door {
    fn enter(&self) -> Result<SemaphorePermit<'_>, NoAnswer> {
        self.places.try_acquire().map_err(|_| NoAnswer::Busy)
    }
}

/// The routes.
pub fn router(desk: DeskHandle) -> Router {
    Router::new()
        .route("/settings", post(set))
        .route("/settings/text", get(text))
        .route("/settings/{id}", get(ask))
        .with_state(Door {
            desk,
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        })
}

/// What is posted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    text: String,
    signature: Option<String>,
}

async fn set(State(door): State<Door>, request: Request) -> Response {
    let from = peer(&request);
    let _place = match door.enter() {
        Ok(place) => place,
        Err(none) => return shown(none.answer()),
    };
    let token = bearer(request.headers());
    let body = to_bytes(request.into_body(), BODY_BYTES_MAX);
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return shown(Refusal::Question(TOO_LONG).answer(None)),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    match read(&bytes, token) {
        Ok(sent) => {
            let answered = door.desk.set(sent, from).await;
            shown(answered.unwrap_or_else(|none| none.answer()))
        }
        Err(refusal) => shown(refusal.answer(None)),
    }
}

const TOO_LONG: &str = "a setting has at most 2048 bytes";
const POSTED: &str = "post {\"text\": …, \"signature\": …}, or {\"text\": …} with the header `Authorization: Bearer TOKEN`";
const BEARER: &str = "a token is 64 hex digits";

/// The hash of a token, if the header is there.
fn bearer(headers: &HeaderMap) -> Option<Result<Hash, Refusal>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|text| {
        let digits = text.strip_prefix("Bearer ")?;
        let token: [u8; 32] = unhex(digits)?.try_into().ok()?;
        Some(Hash::of(&[&token]))
    });
    Some(token.ok_or(Refusal::Question(BEARER)))
}

fn read(bytes: &[u8], token: Option<Result<Hash, Refusal>>) -> Result<Sent, Refusal> {
    let posted: Posted = serde_json::from_slice(bytes).map_err(|_| Refusal::Question(POSTED))?;
    let shown = match (posted.signature, token.transpose()?) {
        (Some(signature), None) => Shown::Signature(signature),
        (None, Some(token)) => Shown::Token(token),
        _ => return Err(Refusal::Question(POSTED)),
    };
    let text = posted.text;
    Ok(Sent { text, shown })
}

/// What is asked for a text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    account: String,
    what: String,
    #[serde(default)]
    value: String,
}

async fn text(State(door): State<Door>, Query(about): Query<About>, request: Request) -> Response {
    let asked = Asked {
        account: about.account,
        what: about.what,
        value: about.value,
    };
    let from = peer(&request);
    let answered = match door.enter() {
        Ok(_place) => door.desk.text(asked, from).await,
        Err(none) => Err(none),
    };
    shown(answered.unwrap_or_else(|none| none.answer()))
}

async fn ask(State(door): State<Door>, Path(id): Path<String>, request: Request) -> Response {
    let Some(id) = hash(&id) else {
        return shown(Refusal::Question("an id is 64 hex digits").answer(None));
    };
    let from: SocketAddr = peer(&request);
    let answered = match door.enter() {
        Ok(_place) => door.desk.ask_setting(id, from).await,
        Err(none) => Err(none),
    };
    shown(answered.unwrap_or_else(|none| none.answer()))
}
