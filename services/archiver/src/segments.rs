//! Segment files over HTTP, for readers that cannot get them from the log any more: `GET /ledger/segments` lists them,
//! `GET /ledger/segments/NAME?from=OFFSET` gives a piece of one.
//!
//! Nothing is promised by who serves: a reader admits every frame again and compares the root ([`crate::Source`]).

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Path as Named, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// Bytes of a piece at most; who wants more asks again from where it ended.
pub const PIECE_BYTES_MAX: usize = 1 << 20;
/// Files that are listed at most: 2^32 positions.
pub(crate) const FILES_MAX: usize = 1 << 16;
/// Digits of the position in a file's name.
const NAME_DIGITS: usize = 20;

/// A segment's file, as it is listed.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    /// Its name: the first position in 20 digits, then `.seg` where it is sealed, else `.open`.
    pub(crate) name: String,
    /// Its bytes, zeros that wait for records included.
    pub(crate) bytes: u64,
}

#[derive(Debug, Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// Whether a name is a segment's. Nothing else is ever opened, so that no question reaches another file.
pub(crate) fn is_segment(name: &str) -> bool {
    let stem = name.strip_suffix(".seg").or(name.strip_suffix(".open"));
    stem.is_some_and(|stem| {
        stem.len() == NAME_DIGITS && stem.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Serves the segment files of a folder, as an archiver or a mirror keeps them.
pub fn segments_router(dir: PathBuf) -> Router {
    Router::new()
        .route("/ledger/segments", get(list))
        .route("/ledger/segments/{name}", get(piece))
        .with_state(Arc::new(dir))
}

async fn list(State(dir): State<Arc<PathBuf>>) -> Response {
    let listed = tokio::task::spawn_blocking(move || listed(&dir)).await;
    match listed {
        Ok(Ok(files)) => Json(files).into_response(),
        Ok(Err(error)) => refused(&error),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn piece(
    State(dir): State<Arc<PathBuf>>,
    Named(name): Named<String>,
    Query(From { from }): Query<From>,
) -> Response {
    if !is_segment(&name) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let read = tokio::task::spawn_blocking(move || read_piece(&dir.join(name), from)).await;
    match read {
        Ok(Ok(bytes)) => {
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            (kind, bytes).into_response()
        }
        Ok(Err(error)) => refused(&error),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn refused(error: &io::Error) -> Response {
    if error.kind() == ErrorKind::NotFound {
        // A file that was sealed meanwhile has another name.
        StatusCode::NOT_FOUND.into_response()
    } else {
        tracing::warn!(%error, "a segment cannot be served");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

pub(crate) fn listed(dir: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)?.take(FILES_MAX) {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if is_segment(&name) {
            let bytes = entry.metadata()?.len();
            files.push(Listed { name, bytes });
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) fn read_piece(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    // The system has limits of its own for offsets, and an error for them.
    if file.metadata()?.len() <= from {
        return Ok(Vec::new());
    }
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(PIECE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_have_names_that_are_served() {
        for (name, expected) in [
            ("00000000000000000000.seg", true),
            ("00000000000000065536.open", true),
            ("0000000000000065536.open", false),
            ("00000000000000065536", false),
            ("00000000000000065536.key", false),
            ("0000000000000006553x.seg", false),
            ("../keys/gateway-1.key", false),
            ("..", false),
            ("", false),
        ] {
            assert_eq!(is_segment(name), expected, "{name}");
        }
    }

    #[test]
    fn a_file_is_read_in_pieces_from_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000.seg");
        let bytes: Vec<u8> = (0..PIECE_BYTES_MAX + 100)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        std::fs::write(&path, &bytes).unwrap();
        let first = read_piece(&path, 0).unwrap();
        assert_eq!(first, bytes[..PIECE_BYTES_MAX]);
        let rest = read_piece(&path, PIECE_BYTES_MAX as u64).unwrap();
        assert_eq!(rest, bytes[PIECE_BYTES_MAX..]);
        assert!(read_piece(&path, u64::MAX).unwrap().is_empty());
        std::fs::write(dir.path().join("archiver-1.key"), "secret").unwrap();
        let names: Vec<String> = listed(dir.path())
            .unwrap()
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(names, ["00000000000000000000.seg"]);
    }
}
