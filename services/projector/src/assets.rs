//! The page: files of `web/` inside the binary, served byte for byte, each with an entity tag.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use orebook_schema::Hash;
use orebook_schema::units::hex;

use crate::api::query::Query;

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Path below the root.
    pub path: &'static str,
    /// Media type.
    pub media_type: &'static str,
    /// The file.
    pub bytes: &'static [u8],
}

macro_rules! assets {
    ($($path:literal $file:literal $media_type:literal),* $(,)?) => {
        /// Every file of the page.
        pub const ASSETS: &[Asset] = &[$(Asset {
            path: $path,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../../web/", $file)),
        }),*];
    };
}

assets! {
    "/" "index.html" "text/html; charset=utf-8",
    "/page.css" "page.css" "text/css; charset=utf-8",
    "/page.js" "page.js" "text/javascript; charset=utf-8",
    "/chart.js" "chart.js" "text/javascript; charset=utf-8",
    "/payouts.js" "payouts.js" "text/javascript; charset=utf-8",
    "/settings.js" "settings.js" "text/javascript; charset=utf-8",
    "/show.js" "show.js" "text/javascript; charset=utf-8",
    "/icon.svg" "icon.svg" "image/svg+xml",
}

/// Routes of the page.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let tag = etag(asset.bytes);
        router.route(
            asset.path,
            get(move |request: Request| {
                let answer = answer(asset, &tag, &request);
                async move { answer }
            }),
        )
    })
}

/// A strong entity tag: the first 16 bytes of the content's SHA-256.
fn etag(bytes: &[u8]) -> HeaderValue {
    let hash = Hash::of(&[bytes]);
    let (start, _) = hash.0.split_at(16);
    HeaderValue::from_str(&format!("\"{}\"", hex(start)))
        .unwrap_or(HeaderValue::from_static("\"\""))
}

fn answer(asset: &Asset, tag: &HeaderValue, request: &Request) -> Response {
    if let Err(refusal) = Query::parse(request.uri().query(), &[]) {
        return refusal.into_response();
    }
    let mut response = if matches(request.headers(), tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Bytes::from_static(asset.bytes).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(asset.media_type),
    );
    headers.insert(header::ETAG, tag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether the client has this very file (RFC 9110, 13.1.2: weak comparison).
fn matches(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else {
        return false;
    };
    let given = headers.get_all(header::IF_NONE_MATCH).into_iter();
    let texts = given.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    })
}
