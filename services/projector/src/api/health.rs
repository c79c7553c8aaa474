//! Health: is the process alive, and are its figures near the ledger?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Api;

/// Final positions that the projections may lag and still be called ready.
const LAG_POSITIONS_MAX: u64 = 4_096;

#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// Positions applied.
    as_of: u64,
    /// Final positions that are not applied yet.
    lag: u64,
    /// Why not; none if it is ready.
    why: Option<String>,
    /// What the log answered the mirror instead of records, with the page of docs/runbooks; none if all is well.
    log: Option<String>,
}

/// The event loop turns.
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// 200 if the projections are level and near the final end of the ledger, else 503.
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    let (books, mirror) = (&api.inner.books, &api.inner.config.mirror);
    let (waits, log) = ((mirror.waits)(), (mirror.trouble)());
    let (Some(tip), Some(heads)) = (books.tip(), books.heads()) else {
        let why = waits.unwrap_or_else(|| "the projections have not begun yet".to_owned());
        return answer(0, 0, Some(why), log);
    };
    let lag = heads.final_size.saturating_sub(tip.size);
    let stopped = tip
        .stops
        .first()
        .map(|(fold, why)| format!("{fold}: {why}"));
    let lags =
        (LAG_POSITIONS_MAX < lag).then(|| format!("{lag} final positions are not applied yet"));
    answer(
        tip.size,
        lag,
        // What the mirror waits for is why the folds wait.
        stopped.or(waits).or_else(|| books.waits_for()).or(lags),
        log,
    )
}

fn answer(as_of: u64, lag: u64, why: Option<String>, log: Option<String>) -> Response {
    let ready = why.is_none();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = Ready {
        ready,
        as_of,
        lag,
        why,
        log,
    };
    (status, axum::Json(body)).into_response()
}
