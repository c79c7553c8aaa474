//! The listener for accounts' owners, apart from the operators': `GET /settings` (that settings are taken here),
//! `GET /settings/text?account=&what=&value=`, `POST /settings`, `GET /settings/ID`, and nothing else. Answers are JSON.
//!
//! A setting is posted as `{"text": …, "signature": …}`, or as `{"text": …}` with `Authorization: Bearer TOKEN`. A token goes no
//! further than this file: the desk hears its SHA-256.
//!
//! The pool's page asks it from a browser, at the page's own origin. What a browser sends for a page of any other origin is
//! refused, and no answer allows one to read it: there is no header of CORS here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use orebook_schema::Hash;
use orebook_schema::units::unhex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::answer::{Answer, Refusal};
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

/// Whose a request is: of the peer that sent it and the addresses that proxies wrote into `X-Forwarded-For`, empty if none did.
pub type Whose = dyn Fn(IpAddr, &str) -> IpAddr + Send + Sync;

/// Who asks for miners.
#[derive(Clone)]
struct Door {
    desk: DeskHandle,
    places: Arc<Semaphore>,
    whose: Arc<Whose>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

impl Door {
    fn enter(&self) -> Result<SemaphorePermit<'_>, NoAnswer> {
        self.places.try_acquire().map_err(|_| NoAnswer::Busy)
    }

    /// Where a request comes from. Of a forwarded one no port is known.
    fn from(&self, request: &Request) -> SocketAddr {
        let peer = peer(request);
        let headers = request.headers().get_all(FORWARDED_FOR).into_iter();
        // What is no text is no address: nothing before it is believed.
        let texts: Vec<&str> = headers.map(|value| value.to_str().unwrap_or("?")).collect();
        let whose = (self.whose)(peer.ip(), &texts.join(","));
        if whose == peer.ip().to_canonical() {
            peer
        } else {
            SocketAddr::new(whose, 0)
        }
    }
}

const FORWARDED_FOR: &str = "x-forwarded-for";
/// What a browser says of who asks (Fetch Metadata): no script can write or leave it out. Sent to TLS and the loopback only.
const FETCH_SITE: &str = "sec-fetch-site";

/// The routes; clones share one limit. `whose` says whom a request is counted to.
pub fn router(desk: DeskHandle, whose: Arc<Whose>) -> Router {
    Router::new()
        .route("/settings", get(offered).post(set))
        .route("/settings/text", get(text))
        .route("/settings/{id}", get(ask))
        .layer(from_fn(around))
        .with_state(Door {
            desk,
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            whose,
        })
}

/// Refuses what is asked for pages of others, and says that no answer is for them.
async fn around(request: Request, next: Next) -> Response {
    let mut response = if is_foreign(request.headers()) {
        shown(Refusal::Origin.answer(None))
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a browser asks for a page of another origin. Where it says so itself its word counts; older ones, and all over plain
/// HTTP, name the page's origin alone, which is compared with the name that we were asked by. Programs say neither.
fn is_foreign(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(FETCH_SITE).into_iter().peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| *site == "same-origin" || *site == "none");
    }
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    origins.any(|origin| {
        let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
        !origin
            .zip(host)
            .is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
    })
}

/// That settings are taken here: a page without this listener hears otherwise from whom it asks.
async fn offered() -> Response {
    shown(Answer {
        status: 200,
        body: json!({ "offered": true }),
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
    let from = door.from(&request);
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
    let from = door.from(&request);
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
    let from = door.from(&request);
    let answered = match door.enter() {
        Ok(_place) => door.desk.ask_setting(id, from).await,
        Err(none) => Err(none),
    };
    shown(answered.unwrap_or_else(|none| none.answer()))
}
