//! Asking projectors what their `money` has for a digest. Tests answer themselves; the binary asks over HTTP.

use std::future::Future;

use orebook_schema::Hash;

/// Projectors that are asked at most; the proposal has room for so many answers.
pub const PROJECTORS_MAX: usize = 4;

/// What one projector answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who: 1 to 64 bytes of 0x21 to 0x7e, as the configuration names it, without what is secret of it.
    pub who: String,
    /// Its digest of `money` at that size; an error in words if it was not reached, has none there yet or no more.
    pub digest: Result<Hash, String>,
}

/// Projectors.
pub trait Digests: Send + Sync {
    /// Asks each for its digest of `money` over `size` positions (`GET /api/v1/digest?fold=money&position=SIZE`): one answer
    /// each, at most [`PROJECTORS_MAX`]. The caller waits for all, so each has a time-out of its own.
    fn ask(&self, size: u64) -> impl Future<Output = Vec<Answer>> + Send;
}

/// What the answers come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// So many as are needed have ours, and nobody another: what the proposal records.
    Agreed(Vec<(String, Hash)>),
    /// Somebody has another: who, and what.
    Differs(String, Hash),
    /// Too few answered; the last error in words.
    TooFew(String),
}

/// Compares answers with our own digest. `needed` is genesis's `digest_answers`. The same projector named twice counts once.
#[must_use]
pub fn compare(ours: Hash, needed: u8, answers: Vec<Answer>) -> Agreement {
    let mut agreed: Vec<(String, Hash)> = Vec::new();
    let mut last = "no projector was asked".to_owned();
    for answer in answers.into_iter().take(PROJECTORS_MAX) {
        match answer.digest {
            Ok(digest) if digest != ours => return Agreement::Differs(answer.who, digest),
            Ok(digest) => {
                if agreed.iter().all(|(who, _)| *who != answer.who) {
                    agreed.push((answer.who, digest));
                }
            }
            Err(words) => last = format!("{}: {words}", answer.who),
        }
    }
    if agreed.len() < usize::from(needed).max(1) {
        return Agreement::TooFew(last);
    }
    Agreement::Agreed(agreed)
}
