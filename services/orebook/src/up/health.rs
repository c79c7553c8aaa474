//! Health and metrics of a process without pages: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use orebook_projector::{METRICS_TYPE, Metrics};

/// Says why the process is not ready yet; nothing if it is. Must not wait.
pub(crate) type Readiness = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// 200 at `/livez` while the process turns, at `/readyz` 200 or 503 with the reason, and the figures at `/metrics`.
pub(crate) fn router(metrics: &Metrics, readiness: Readiness) -> Router {
    let metrics = metrics.clone();
    let ready = move || async move {
        match readiness() {
            None => (StatusCode::OK, "ready\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    };
    let figures = move || async move {
        let text = tokio::task::spawn_blocking(move || metrics.text()).await;
        match text {
            Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
}
