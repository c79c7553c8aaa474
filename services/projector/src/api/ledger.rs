//! What the figures stand on: the ledger's head, its root, the folds' digests.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use orebook_replay::digest;
use orebook_replay::engine;
use serde::Serialize;

use super::query::{Query, bad};
use super::{Api, Inner, Refusal, Verify};
use crate::books::Point;
use crate::folds;
use crate::moment::{ms_of, rfc3339};

#[derive(Debug, Serialize)]
struct Ledger {
    ledger: String,
    coin: String,
    algorithm: &'static str,
    decimals: u8,
    /// Root of the tree of the first `as_of` positions.
    root: String,
    /// Root of the tree of the first `head` positions; may still change.
    head_root: String,
    checkpoint: Checkpoint,
    streams: Streams,
    folds: Vec<FoldState>,
    verify: Vec<Verify>,
}

#[derive(Debug, Serialize)]
struct Checkpoint {
    /// Positions that are final.
    size: u64,
    /// When this process saw them become final.
    time: String,
    age_ms: u64,
}

#[derive(Debug, Serialize)]
struct Streams {
    open: u64,
    closed: u64,
}

#[derive(Debug, Serialize)]
struct FoldState {
    fold: &'static str,
    version: u32,
    /// Positions applied.
    size: u64,
    /// Newest digest and the size it stands for; null before the first.
    digest: Option<Digest>,
}

#[derive(Debug, Serialize)]
struct Digest {
    position: u64,
    digest: String,
}

/// `GET /api/v1/ledger`
pub(super) async fn ledger(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Query::parse(query.as_deref(), &[])?;
    api.answer(folds::NAMES, read_ledger).await
}

fn read_ledger(api: &Inner, point: &Point<'_>) -> Result<Ledger, Refusal> {
    let genesis = super::pools::genesis(point)?;
    let mut states = Vec::new();
    for (fold, version) in folds::versions() {
        if !api.books.folds().any(|name| name == fold) {
            continue;
        }
        let view = point.view(fold);
        let newest = digest::newest(view)?;
        states.push(FoldState {
            fold,
            version,
            size: engine::cursor(view)?.size,
            digest: newest.map(|row| Digest {
                position: row.size,
                digest: row.digest.to_string(),
            }),
        });
    }
    let since_ms = ms_of(point.heads.final_since);
    Ok(Ledger {
        ledger: genesis.ledger.to_string(),
        coin: genesis.coin_name.as_str().to_owned(),
        algorithm: genesis.algorithm.name(),
        decimals: genesis.decimals,
        root: point.tip.root.to_string(),
        head_root: point.heads.head_root.to_string(),
        checkpoint: Checkpoint {
            size: point.heads.final_size,
            time: rfc3339(since_ms),
            age_ms: ms_of(std::time::SystemTime::now()).saturating_sub(since_ms),
        },
        streams: Streams {
            open: point.tip.streams_open,
            closed: point.tip.streams_closed,
        },
        folds: states,
        verify: api.config.verify.clone(),
    })
}

#[derive(Debug, Serialize)]
struct DigestAnswer {
    fold: &'static str,
    version: u32,
    /// The size that the digest stands for.
    position: u64,
    /// Root of the ledger's tree of that size.
    root: String,
    digest: String,
}

/// `GET /api/v1/digest?fold=&position=`: the newest digest unless a position is given.
pub(super) async fn digest(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::parse(query.as_deref(), &["fold", "position"])?;
    let position = query.number("position", 0..=u64::MAX)?;
    let fold = query
        .text("fold")
        .ok_or_else(|| bad("`fold` is missing".to_owned()))?;
    let known = folds::versions().find(|(name, _)| *name == fold);
    let Some((fold, version)) = known else {
        return Err(Refusal::NoFold);
    };
    let read = move |_: &Inner, point: &Point<'_>| {
        let view = point.view(fold);
        let found = match position {
            Some(position) => digest::at(view, position)?,
            None => digest::newest(view)?,
        };
        let found = found.ok_or(Refusal::NoDigest)?;
        Ok(DigestAnswer {
            fold,
            version,
            position: found.size,
            root: found.root.to_string(),
            digest: found.digest.to_string(),
        })
    };
    api.answer(folds::NAMES, read).await
}
