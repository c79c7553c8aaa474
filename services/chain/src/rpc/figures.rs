//! What asking a node costs, for `/metrics`: by node, never by method or parameter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::node::NodeError;

/// Upper bounds of the buckets of [`RpcFigures`], milliseconds.
pub const RPC_BOUNDS_MS: [u64; 8] = [1, 5, 25, 100, 500, 2_500, 10_000, 30_000];

/// Why questions fail, as [`RpcFigures::errors`] has them.
pub const RPC_ERRORS: [&str; 7] = [
    "connect",
    "timeout",
    "broken",
    "unauthorized",
    "http",
    "fault",
    "garbage",
];

/// What asking a node cost so far. Long polls are not among it: they take as long as they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RpcFigures {
    /// Questions by their times, answered or not: up to each of [`RPC_BOUNDS_MS`], not counting those before; then the rest.
    pub buckets: [u64; RPC_BOUNDS_MS.len() + 1],
    /// Sum of the times, nanoseconds.
    pub sum_ns: u64,
    /// Questions that failed, by [`RPC_ERRORS`]. A `fault` is the node's own error, which may be an answer.
    pub errors: [u64; RPC_ERRORS.len()],
}

/// Counts of a client and its clones.
#[derive(Debug, Default)]
pub(super) struct RpcCounts {
    buckets: [AtomicU64; RPC_BOUNDS_MS.len() + 1],
    sum_ns: AtomicU64,
    errors: [AtomicU64; RPC_ERRORS.len()],
}

/// The index of a failure among [`RPC_ERRORS`].
const fn kind(error: &NodeError) -> usize {
    match error {
        NodeError::Connect(_) | NodeError::Address => 0,
        NodeError::Timeout => 1,
        NodeError::Broken => 2,
        NodeError::Credentials(_) | NodeError::Unauthorized => 3,
        NodeError::Http(_) => 4,
        NodeError::Fault { .. } => 5,
        _ => 6,
    }
}

impl RpcCounts {
    pub(super) fn note(&self, took: Duration, error: Option<&NodeError>) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = RPC_BOUNDS_MS.partition_point(|bound| bound.saturating_mul(1_000_000) < ns);
        let counts = self.buckets.get(bucket).into_iter();
        let counts = counts.chain(error.and_then(|error| self.errors.get(kind(error))));
        for count in counts {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> RpcFigures {
        RpcFigures {
            buckets: self.buckets.each_ref().map(read),
            sum_ns: read(&self.sum_ns),
            errors: self.errors.each_ref().map(read),
        }
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_counts_in_the_first_bucket_that_holds_its_time_and_a_failure_by_its_kind() {
        let counts = RpcCounts::default();
        let ms = Duration::from_millis;
        for (took, error) in [
            (ms(0), None),
            (ms(1), None),
            (ms(2), Some(NodeError::Timeout)),
            (ms(30_000), Some(NodeError::Http(500))),
            (ms(30_001), Some(NodeError::ChainUnknown)),
        ] {
            counts.note(took, error.as_ref());
        }
        let figures = counts.read();
        assert_eq!(figures.buckets, [2, 1, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(figures.errors, [0, 1, 0, 0, 1, 0, 1]);
        assert_eq!(figures.sum_ns, 60_004_000_000);
    }
}
