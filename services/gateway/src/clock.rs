//! The process's clock and randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use orebook_schema::StreamId;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A name for a new stream (uuid v7): the time and 74 random bits.
///
/// # Panics
/// If the system gives no randomness: two streams of one name would be a fork.
pub(crate) fn new_stream() -> StreamId {
    let mut random = [0; 10];
    let filled = getrandom::fill(&mut random);
    assert!(filled.is_ok(), "the system gives no randomness");
    StreamId::from_parts(now_ms(), random)
}

/// A secret of this process.
///
/// # Panics
/// If the system gives no randomness: others could guess it.
pub(crate) fn new_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    let filled = getrandom::fill(&mut secret);
    assert!(filled.is_ok(), "the system gives no randomness");
    secret
}
