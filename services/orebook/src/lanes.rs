//! Hands the ledger what `services/pow` can do on this processor: its trees are hashed many leaves at once.

use std::sync::OnceLock;

use orebook_ledger::tree::{Lanes, use_lanes};
use orebook_pow::Many;
use orebook_schema::Hash;

use crate::say;

#[derive(Debug)]
struct Pow(Many);

impl Lanes for Pow {
    fn messages(&self, prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]) {
        self.0.prefixed(prefix, messages, hashes);
    }

    fn pairs(&self, prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]) {
        self.0.prefixed_pairs(prefix, pairs, hashes);
    }
}

static POW: OnceLock<Pow> = OnceLock::new();

/// Once for each process, before the first tree. A processor that hashes wrongly is not used for it, which is said.
pub(crate) fn begin() {
    if let Err(error) = use_lanes(POW.get_or_init(|| Pow(Many::detect()))) {
        say(&format!("trees are hashed one leaf after another: {error}"));
    }
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    reason = "slices whose bounds the test itself sets"
)]
mod tests {
    use orebook_ledger::tree::{leaf_hash, root_of, root_of_entries};

    use super::*;

    /// RFC 6962's definition with the digest that buffers, as the reference.
    fn reference(entries: &[&[u8]]) -> Hash {
        match entries {
            [] => Hash::of(&[]),
            [one] => Hash::of(&[&[0], one]),
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                Hash::of(&[&[1], &reference(left).0, &reference(right).0])
            }
        }
    }

    /// Pseudo-random bytes, the same in every run.
    fn bytes(count: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let [.., top] = state.to_le_bytes();
            top
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn roots_in_lanes_are_the_definitions_for_every_number_and_length_of_entries() {
        begin();
        let bytes = bytes(4_096);
        for count in 0..=130 {
            let of_len = |len: usize| -> Vec<&[u8]> {
                (0..count).map(|n| &bytes[n * 13..n * 13 + len]).collect()
            };
            let mixed = |most: usize| -> Vec<&[u8]> {
                let len = |n: usize| usize::from(bytes[n + count]) % (most + 1);
                (0..count)
                    .map(|n| &bytes[n * 13..n * 13 + len(n)])
                    .collect()
            };
            for entries in (0..=200).step_by(7).map(of_len).chain([54, 200].map(mixed)) {
                let lens: Vec<usize> = entries.iter().map(|entry| entry.len()).collect();
                let expected = reference(&entries);
                let plain = root_of(entries.iter().map(|entry| leaf_hash(entry)));
                assert_eq!(plain, expected, "{count} entries of {lens:?}");
                assert_eq!(
                    root_of_entries(entries),
                    expected,
                    "{count} entries of {lens:?}"
                );
            }
        }
        for len in 0..=200 {
            let entries: Vec<&[u8]> = (0..101).map(|n| &bytes[n..n + len]).collect();
            assert_eq!(
                reference(&entries),
                root_of_entries(entries),
                "101 of {len} bytes"
            );
        }
    }
}
