//! How hashes of trees are computed: one after another, or many at once where the process was given something that can.

use std::fmt::Debug;
use std::sync::OnceLock;

use orebook_schema::Hash;

use super::{LEAF_PREFIX, NODE_PREFIX, leaf_hash, node_hash};

/// SHA-256 of many messages at once, each behind one byte. Lists of two lengths: the shorter says how many.
///
/// What is handed to [`use_lanes`] changes how fast a tree is, never its root.
pub trait Lanes: Debug + Send + Sync {
    /// Writes SHA-256(prefix ‖ message) of each message to the same place of `hashes`.
    fn messages(&self, prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]);
    /// Writes SHA-256(prefix ‖ left ‖ right) of each pair to the same place of `hashes`.
    fn pairs(&self, prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]);
}

/// Lanes that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LanesError {
    /// They gave other hashes than the plain way.
    #[error("the lanes give other hashes than SHA-256")]
    Differ,
    /// Others were given before, which stay.
    #[error("the process has lanes already")]
    Taken,
}

/// Given once for each process: hashes are the same with and without.
static LANES: OnceLock<&'static dyn Lanes> = OnceLock::new();

/// From now on the trees of this process are hashed by these lanes, if they pass a test.
///
/// # Errors
/// [`LanesError`]; trees go on as before.
pub fn use_lanes(lanes: &'static dyn Lanes) -> Result<(), LanesError> {
    if !are_right(lanes) {
        return Err(LanesError::Differ);
    }
    LANES.set(lanes).map_err(|_| LanesError::Taken)
}

/// Messages of the test: more than any lanes hold at once, of lengths on both sides of a block.
const TRIED: u8 = 130;

/// Whether lanes give what the plain way gives.
fn are_right(lanes: &dyn Lanes) -> bool {
    let bytes: Vec<u8> = (0..=u8::MAX).map(|n| n.wrapping_mul(167) ^ 0x5a).collect();
    let messages: Vec<&[u8]> = (0..TRIED)
        .filter_map(|n| bytes.get(usize::from(n)..usize::from(n) + usize::from(n) % 72))
        .collect();
    (0..=messages.len()).all(|count| {
        let messages = messages.get(..count).unwrap_or_default();
        let leaves: Vec<Hash> = messages.iter().map(|entry| leaf_hash(entry)).collect();
        let nodes = leaves.as_chunks().0.iter();
        let nodes: Vec<Hash> = nodes.map(|[left, right]| node_hash(left, right)).collect();
        of_leaves(lanes, messages) == leaves && of_nodes(lanes, &leaves) == nodes
    })
}

fn of_leaves(lanes: &dyn Lanes, messages: &[&[u8]]) -> Vec<Hash> {
    let mut hashes = vec![Hash::ZERO; messages.len()];
    lanes.messages(LEAF_PREFIX, messages, &mut hashes);
    hashes
}

fn of_nodes(lanes: &dyn Lanes, level: &[Hash]) -> Vec<Hash> {
    let pairs = level.as_chunks().0;
    let mut hashes = vec![Hash::ZERO; pairs.len()];
    lanes.pairs(NODE_PREFIX, pairs, &mut hashes);
    hashes
}

/// Root over leaves given by their entries, level by level; an odd node at the end of a level goes up as it is, which is
/// what RFC 6962 defines from the other end.
#[must_use]
pub fn root_of_entries<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Hash {
    let entries: Vec<&[u8]> = entries.into_iter().collect();
    root_in_lanes(LANES.get().copied().unwrap_or(&Plain), &entries)
}

fn root_in_lanes(lanes: &dyn Lanes, entries: &[&[u8]]) -> Hash {
    let mut level = of_leaves(lanes, entries);
    while 1 < level.len() {
        let mut above = of_nodes(lanes, &level);
        above.extend(level.as_chunks::<2>().1);
        level = above;
    }
    level.pop().unwrap_or_else(|| Hash::of(&[]))
}

/// One hash after another.
#[derive(Debug)]
struct Plain;

impl Lanes for Plain {
    fn messages(&self, prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]) {
        for (message, hash) in messages.iter().zip(hashes) {
            *hash = super::prefixed(prefix, message);
        }
    }

    fn pairs(&self, prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]) {
        for ([left, right], hash) in pairs.iter().zip(hashes) {
            *hash = super::prefixed_pair(prefix, left, right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::root_of;
    use super::*;

    /// Lanes that are wrong in one place: the planted fault.
    #[derive(Debug)]
    struct Wrong {
        /// From how many messages or pairs on.
        from: usize,
        pairs: bool,
    }

    impl Lanes for Wrong {
        fn messages(&self, prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]) {
            Plain.messages(prefix, messages, hashes);
            if let Some(hash) = hashes.get_mut(self.from).filter(|_| !self.pairs) {
                hash.0[31] ^= 1;
            }
        }

        fn pairs(&self, prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]) {
            Plain.pairs(prefix, pairs, hashes);
            if let Some(hash) = hashes.get_mut(self.from).filter(|_| self.pairs) {
                hash.0[0] ^= 0x80;
            }
        }
    }

    #[test]
    fn lanes_with_one_wrong_bit_in_one_place_are_refused() {
        assert!(are_right(&Plain));
        for from in 0..usize::from(TRIED) {
            assert!(!are_right(&Wrong { from, pairs: false }), "message {from}");
        }
        for from in 0..usize::from(TRIED) / 2 {
            assert!(!are_right(&Wrong { from, pairs: true }), "pair {from}");
        }
    }

    #[test]
    fn roots_by_levels_equal_roots_by_peaks_for_every_number_of_leaves() {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        for count in 0..=200 {
            let entries: Vec<&[u8]> = (0..count).map(|n| &bytes[n..n + n % 56]).collect();
            let expected = root_of(entries.iter().map(|entry| leaf_hash(entry)));
            assert_eq!(root_in_lanes(&Plain, &entries), expected, "{count} leaves");
            assert_eq!(root_of_entries(entries), expected, "{count} leaves");
        }
    }
}
