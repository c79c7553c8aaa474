//! API version 1 over the projections, and what stands beside it: the page, health, metrics. `docs/api.md` is its contract.
//!
//! Each answer is read at one position ([`Books::read`]) and names it. Reads may wait for rows, so that they run on threads
//! of their own; more than [`QUESTIONS_MAX`] at once are told to come again.

pub(crate) mod query;

mod accounts;

mod activity;

mod amount;

mod direct;
mod dust;

mod health;

mod ledger;

mod payment;

mod payout_status;

mod payouts;

mod people;

mod pools;

mod reconciliations;

mod refusal;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, RawQuery, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use orebook_replay::fold::FoldStop;
use orebook_schema::Account;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::Serialize;
use tokio::sync::Semaphore;

use self::query::Query;
use crate::activity::Activity;
use crate::assets;
use crate::books::{Books, NotNow, Point};
use crate::metrics::{METRICS_TYPE, Metrics, Summary};
use crate::moment::rfc3339;

pub use self::refusal::Refusal;

/// Questions that may wait for rows at once; above it the answer is 503 `busy` with `Retry-After`.
pub const QUESTIONS_MAX: usize = 64;
/// Longest path; above it the answer is 414.
const PATH_BYTES_MAX: usize = 512;
/// Scripts, styles and figures come from here and from nowhere else; nobody frames the page.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Reads an account; the error says what is wrong.
pub type ParseAccount = dyn Fn(&str) -> Result<Account, String> + Send + Sync;
/// Shows an account.
pub type ShowAccount = dyn Fn(&Account) -> String + Send + Sync;

/// How accounts are written on this chain.
#[derive(Clone)]
pub struct Accounts {
    /// Reads an address of the coin, or the canonical text; the error says what is wrong.
    pub parse: Arc<ParseAccount>,
    /// Shows an account as its owner knows it: its address.
    pub show: Arc<ShowAccount>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

impl Default for Accounts {
    /// Canonical text only (`script:HEX`, `evm:HEX`, `name:NAME`).
    fn default() -> Self {
        let says = "an account is `script:HEX`, `evm:HEX` or `name:NAME`";
        Self {
            parse: Arc::new(move |text| Account::parse(text).ok_or_else(|| says.to_owned())),
            show: Arc::new(ToString::to_string),
        }
    }
}

/// A command that checks a figure of the page, for the ledger's card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verify {
    /// What it does, one sentence.
    pub what: String,
    /// The command.
    pub command: String,
}

/// What the API is told at its start.
#[derive(Clone, Debug, Default)]
pub struct ApiConfig {
    /// How accounts are written.
    pub accounts: Accounts,
    /// Names of pots as the operator calls them: (pot, name). Others are named by coin and scheme.
    pub pot_names: Vec<(u16, String)>,
    /// Commands that check the ledger.
    pub verify: Vec<Verify>,
    /// What gateways reported; none if nobody reads it here.
    pub activity: Option<Activity>,
    /// Whether everybody may see from which networks logins failed.
    pub show_networks: bool,
    /// What the process's mirror says of itself, for `/readyz`.
    pub mirror: MirrorSays,
    /// Routes under `/settings`, where the desk that takes miners' settings is in this process. They have limits and headers of their
    /// own. None: `GET /settings` says that none are taken here, unless a proxy in front asks the desk.
    pub settings: Option<Router>,
}

/// Says why something does not go on, with the page that an operator opens; nothing if it does. Must not wait.
pub type Says = dyn Fn() -> Option<String> + Send + Sync;

/// What a mirror says.
#[derive(Clone)]
pub struct MirrorSays {
    /// Why it waits for peers: what the log has not, nobody gives it. It comes no further, so the process is not ready.
    pub waits: Arc<Says>,
    /// What the log answered instead of records, as long as it does: brokers may be away for hours, and pages stay.
    pub trouble: Arc<Says>,
}

impl fmt::Debug for MirrorSays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MirrorSays")
    }
}

impl Default for MirrorSays {
    /// Nothing, ever.
    fn default() -> Self {
        Self {
            waits: Arc::new(|| None),
            trouble: Arc::new(|| None),
        }
    }
}

#[derive(Clone, Debug)]
struct Api {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    books: Books,
    config: ApiConfig,
    metrics: Metrics,
    places: Semaphore,
    lists: Semaphore,
    requests: Family<RequestLabels, Counter>,
    took: Arc<Summary>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

/// Paths by what metrics call them: a closed set, whatever strangers ask for.
const ROUTES: [(&str, &str); 23] = [
    ("/api/v1/pools", "pools"),
    ("/api/v1/pools/{pool}/blocks", "blocks"),
    ("/api/v1/pools/{pool}/blocks/{at}/late", "late"),
    ("/api/v1/pools/{pool}/accounts", "pool_accounts"),
    ("/api/v1/pools/{pool}/hashrate", "hashrate"),
    ("/api/v1/pools/{pool}/direct", "direct"),
    ("/api/v1/accounts/{account}", "account"),
    ("/api/v1/accounts/{account}/workers", "workers"),
    ("/api/v1/accounts/{account}/activity", "account_activity"),
    ("/api/v1/accounts/{account}/payouts", "account_payouts"),
    ("/api/v1/accounts/{account}/payout-status", "payout_status"),
    ("/api/v1/payouts", "payouts"),
    ("/api/v1/payouts/{wallet}/{batch}", "payout"),
    ("/api/v1/payouts/{wallet}/{batch}/{account}", "payout_line"),
    ("/api/v1/dust", "dust"),
    ("/api/v1/reconciliations", "reconciliations"),
    ("/api/v1/activity", "activity"),
    ("/api/v1/bans", "bans"),
    ("/api/v1/adjustments", "adjustments"),
    ("/api/v1/ledger", "ledger"),
    ("/api/v1/digest", "digest"),
    ("/metrics", "metrics"),
    ("/readyz", "readyz"),
];
const OTHER: &str = "other";

/// The API, the page, `/livez`, `/readyz` and `/metrics`.
pub fn router(books: Books, config: ApiConfig, metrics: &Metrics) -> Router {
    let names: Vec<&'static str> = ROUTES
        .iter()
        .map(|(_, name)| *name)
        .chain([OTHER])
        .collect();
    let took = metrics.summary(
        "orebook_api_request_seconds",
        "Time from a request's head to its answer",
        "route",
        &names,
    );
    let requests = Family::<RequestLabels, Counter>::default();
    metrics.register(|registry| {
        let help = "Requests answered, by route and status";
        registry.register("orebook_api_requests", help, requests.clone());
    });
    pools::add_figures(metrics, &books);
    let api = Api {
        inner: Arc::new(Inner {
            books,
            config,
            metrics: metrics.clone(),
            places: Semaphore::new(QUESTIONS_MAX),
            lists: Semaphore::new(direct::LISTS_MAX),
            requests,
            took,
        }),
    };
    let settings = api.inner.config.settings.clone();
    let routes = Router::new()
        .route("/api/v1/pools", get(pools::pools))
        .route("/api/v1/pools/{pool}/blocks", get(pools::blocks))
        .route("/api/v1/pools/{pool}/blocks/{at}/late", get(pools::late))
        .route("/api/v1/pools/{pool}/accounts", get(accounts::of_pool))
        .route("/api/v1/pools/{pool}/hashrate", get(pools::hashrate))
        .route("/api/v1/pools/{pool}/direct", get(direct::of_pool))
        .route("/api/v1/accounts/{account}", get(accounts::account))
        .route("/api/v1/accounts/{account}/workers", get(accounts::workers))
        .route(
            "/api/v1/accounts/{account}/activity",
            get(activity::of_account),
        )
        .route(
            "/api/v1/accounts/{account}/payouts",
            get(payouts::of_account),
        )
        .route(
            "/api/v1/accounts/{account}/payout-status",
            get(payout_status::status),
        )
        .route("/api/v1/payouts", get(payouts::payouts))
        .route("/api/v1/payouts/{wallet}/{batch}", get(payouts::batch))
        .route(
            "/api/v1/payouts/{wallet}/{batch}/{account}",
            get(payouts::line),
        )
        .route("/api/v1/dust", get(dust::announcements))
        .route(
            "/api/v1/reconciliations",
            get(reconciliations::reconciliations),
        )
        .route("/api/v1/activity", get(activity::of_all))
        .route("/api/v1/bans", get(people::bans))
        .route("/api/v1/adjustments", get(people::adjustments))
        .route("/api/v1/ledger", get(ledger::ledger))
        .route("/api/v1/digest", get(ledger::digest))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics_text))
        .merge(assets::routes());
    let routes = match &settings {
        Some(_) => routes,
        None => routes.route("/settings", get(no_settings)),
    };
    let routes = routes
        .fallback(async || Refusal::NoRoute)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(from_fn_with_state(api.clone(), around))
        .with_state(api);
    match settings {
        Some(settings) => routes.merge(settings),
        None => routes,
    }
}

/// The page asks whether it may offer its form. An answer, since a 404 would be a complaint in every reader's console.
async fn no_settings(RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    Query::parse(query.as_deref(), &[])?;
    Ok(axum::Json(serde_json::json!({ "offered": false })).into_response())
}

/// Limits before, headers and figures after each answer.
async fn around(State(api): State<Api>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let is_api = request.uri().path().starts_with("/api/");
    let path = request.extensions().get::<MatchedPath>();
    let route = path.and_then(|path| ROUTES.iter().find(|(known, _)| *known == path.as_str()));
    let route = route.map_or(OTHER, |(_, name)| *name);
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let mut response = if PATH_BYTES_MAX < request.uri().path().len() {
        Refusal::PathTooLong.into_response()
    } else if reads {
        next.run(request).await
    } else {
        Refusal::Method.into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    if is_api {
        // The figures are public, and other pages may show them.
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let status = response.status().as_u16();
    let labels = RequestLabels { route, status };
    api.inner.requests.get_or_create(&labels).inc();
    api.inner.took.record(route, start.elapsed());
    response
}

/// What every answer begins with.
#[derive(Debug, Serialize)]
struct Answer<T> {
    /// Positions that the answer stands on; all of them final.
    as_of: u64,
    /// Ledger time there.
    as_of_time: String,
    /// Positions admitted, provisional ones included.
    head: u64,
    #[serde(flatten)]
    body: T,
}

impl Api {
    /// Reads rows of `folds` at one position, away from the event loop, and answers with what `read` makes of them.
    async fn answer<T: Serialize + Send + 'static>(
        &self,
        folds: &'static [&'static str],
        read: impl FnOnce(&Inner, &Point<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let _place = self.inner.places.try_acquire().map_err(|_| Refusal::Busy)?;
        let api = self.clone();
        let answer = move || -> Result<Answer<T>, Refusal> {
            let inner = &api.inner;
            let read = |point: &Point<'_>| {
                Ok(Answer {
                    as_of: point.tip.size,
                    as_of_time: rfc3339(point.tip.ledger_time),
                    head: point.heads.head.max(point.tip.size),
                    body: read(inner, point)?,
                })
            };
            inner.books.read(folds, read)?
        };
        let answer = tokio::task::spawn_blocking(answer).await;
        // A panic ends the process (see `orebook`); this is what a client hears until it has.
        let answer = answer.map_err(|_| Refusal::Broken)??;
        Ok(axum::Json(answer).into_response())
    }
}

impl From<NotNow> for Refusal {
    fn from(why: NotNow) -> Self {
        match why {
            NotNow::NotBegun | NotNow::NotLevel(_) => Self::NotReady(why.to_string()),
            NotNow::Store(fault) => fault.into(),
        }
    }
}

impl From<orebook_replay::rows::StoreFault> for Refusal {
    fn from(fault: orebook_replay::rows::StoreFault) -> Self {
        tracing::error!(%fault, "the API cannot read rows");
        Self::Broken
    }
}

impl From<FoldStop> for Refusal {
    fn from(stop: FoldStop) -> Self {
        match stop {
            FoldStop::Store(fault) => fault.into(),
            FoldStop::Missing { .. } | FoldStop::Unreadable(_) | FoldStop::Unknown { .. } => {
                Self::NotReady(stop.to_string())
            }
        }
    }
}

async fn metrics_text(State(api): State<Api>) -> Response {
    let metrics = api.inner.metrics.clone();
    let text = tokio::task::spawn_blocking(move || metrics.text()).await;
    let answer = text.map_err(|_| Refusal::Broken);
    answer.map_or_else(IntoResponse::into_response, |text| {
        ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
    })
}
