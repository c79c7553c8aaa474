//! Why a question got no answer: one variant a cause, each with its HTTP status and its code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Seconds after which a client may ask again where waiting helps.
const RETRY_AFTER_SECONDS: u64 = 2;

/// A refused question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A parameter that this route does not have, one given twice, or one that cannot be read.
    #[error("{0}")]
    BadQuery(String),
    /// A pot that is no number.
    #[error("a pool is named by its pot's number, 0 to 65535")]
    BadPool,
    /// Neither an address of this coin nor an account.
    #[error("{0}")]
    BadAccount(String),
    /// A path longer than any of ours.
    #[error("the path is longer than any of this API")]
    PathTooLong,
    /// No such route.
    #[error("there is nothing at this path; the routes are in docs/api.md")]
    NoRoute,
    /// The policy knows no such pot.
    #[error("no policy of this ledger has that pot")]
    NoPool,
    /// The pot's blocks pay the pool alone.
    #[error("blocks of that pot do not pay accounts by their coinbase")]
    NoDirect,
    /// No such batch of payouts, or no line of the account in it.
    #[error("there is no such batch of payouts, or it has no line of that account")]
    NoPayout,
    /// No fold of that name.
    #[error("no fold has that name")]
    NoFold,
    /// No digest was taken there.
    #[error("no digest of this fold is kept for that position")]
    NoDigest,
    /// Not a GET.
    #[error("only GET and HEAD are answered")]
    Method,
    /// Too many questions at once.
    #[error("too many questions at once; ask again")]
    Busy,
    /// Folds are being rebuilt, or nothing is final yet.
    #[error("{0}")]
    NotReady(String),
    /// The rows could not be read; the log says why.
    #[error("the rows cannot be read now")]
    Broken,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    message: String,
}

impl Refusal {
    /// The code: what programs look at.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadQuery(_) => "bad_query",
            Self::BadPool => "bad_pool",
            Self::BadAccount(_) => "bad_account",
            Self::PathTooLong => "path_too_long",
            Self::NoRoute => "no_route",
            Self::NoPool => "no_pool",
            Self::NoDirect => "no_direct",
            Self::NoPayout => "no_payout",
            Self::NoFold => "no_fold",
            Self::NoDigest => "no_digest",
            Self::Method => "method",
            Self::Busy => "busy",
            Self::NotReady(_) => "not_ready",
            Self::Broken => "broken",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BadQuery(_) | Self::BadPool | Self::BadAccount(_) => StatusCode::BAD_REQUEST,
            Self::PathTooLong => StatusCode::URI_TOO_LONG,
            Self::NoRoute
            | Self::NoPool
            | Self::NoDirect
            | Self::NoPayout
            | Self::NoFold
            | Self::NoDigest => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Body {
            error: self.code(),
            message: self.to_string(),
        };
        let mut response = (self.status(), axum::Json(body)).into_response();
        let headers = response.headers_mut();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if self == Self::Method {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
