//! The tree of RFC 6962 (section 2.1), SHA-256: over a frame's events, and over the ledger's leaf entries.
//!
//! Shares are short and there are many, so their leaves and all nodes go straight to the compression function; where a
//! whole frame is at hand, to as many lanes of it as the process was given.

mod lanes;

use orebook_schema::Hash;
use orebook_schema::frame::RawEvents;
use sha2::block_api::compress256;

pub use self::lanes::{Lanes, LanesError, root_of_entries, use_lanes};

/// What stands before an entry when its leaf is hashed.
const LEAF_PREFIX: u8 = 0;
/// What stands before two hashes when their node is hashed.
const NODE_PREFIX: u8 = 1;
/// Bytes that the compression function takes.
const BLOCK_BYTES: usize = 64;
/// Bytes of a block before the message's length in bits.
const LENGTH_AT: usize = BLOCK_BYTES - 8;
/// Longest entry whose leaf is one block: prefix, entry, the mark that ends a message, its length.
const SHORT_ENTRY_BYTES_MAX: usize = LENGTH_AT - 2;
/// Ends a message (FIPS 180-4, section 5.1.1).
const MARK: u8 = 0x80;
/// Bits of a node's message: prefix and two hashes.
const NODE_BITS: u64 = 8 * 65;
/// First state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256 of a message that was padded into these blocks.
#[inline]
fn hash_of_blocks(blocks: &[[u8; BLOCK_BYTES]]) -> Hash {
    let mut state = INITIAL;
    compress256(&mut state, blocks);
    let mut bytes = [0; 32];
    for (word, out) in state.iter().zip(bytes.as_chunks_mut::<4>().0) {
        *out = word.to_be_bytes();
    }
    Hash(bytes)
}

/// Hash of a leaf: SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    prefixed(LEAF_PREFIX, entry)
}

/// SHA-256(prefix ‖ entry).
#[inline]
fn prefixed(prefix: u8, entry: &[u8]) -> Hash {
    short_prefixed(prefix, entry).unwrap_or_else(|| Hash::of(&[&[prefix], entry]))
}

/// The same for an entry whose message is one block, as a share's is; none for a longer one.
#[inline]
fn short_prefixed(prefix: u8, entry: &[u8]) -> Option<Hash> {
    if SHORT_ENTRY_BYTES_MAX < entry.len() {
        return None;
    }
    let mut block = [0; BLOCK_BYTES];
    block[0] = prefix;
    let (now, after) = block.get_mut(1..)?.split_at_mut_checked(entry.len())?;
    now.copy_from_slice(entry);
    *after.first_mut()? = MARK;
    let bits = 8 * (1 + entry.len() as u64);
    block[LENGTH_AT..].copy_from_slice(&bits.to_be_bytes());
    Some(hash_of_blocks(&[block]))
}

/// Hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    prefixed_pair(NODE_PREFIX, left, right)
}

/// SHA-256(prefix ‖ left ‖ right).
fn prefixed_pair(prefix: u8, left: &Hash, right: &Hash) -> Hash {
    let mut blocks = [[0; BLOCK_BYTES]; 2];
    let bytes = blocks.as_flattened_mut();
    if let Some(message) = bytes.first_chunk_mut::<66>() {
        message[0] = prefix;
        message[1..33].copy_from_slice(&left.0);
        message[33..65].copy_from_slice(&right.0);
        message[65] = MARK;
    }
    blocks[1][LENGTH_AT..].copy_from_slice(&NODE_BITS.to_be_bytes());
    hash_of_blocks(&blocks)
}

/// An append-only tree, kept as the roots of its complete subtrees: at most 64 hashes whatever the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of complete subtrees, largest first; their sizes are the bits of `size`.
    peaks: Vec<Hash>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::new(),
        }
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of its complete subtrees, largest first: with the size, all that the tree is.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The tree of a size and its peaks; none unless there is one peak per set bit of the size.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        let fits = u32::try_from(peaks.len()) == Ok(size.count_ones());
        fits.then_some(Self { size, peaks })
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop();
            assert!(left.is_some(), "one peak per set bit of the size");
            hash = node_hash(&left.unwrap_or_default(), &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Root of the tree as it is.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(smallest) = peaks.next() else {
            return Hash::of(&[]);
        };
        peaks.fold(*smallest, |right, left| node_hash(left, &right))
    }
}

/// Root over leaves given by their hashes.
#[must_use]
pub fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut tree = Tree::new();
    leaves.into_iter().for_each(|leaf| tree.push(leaf));
    tree.root()
}

/// Root over the canonical events of a body; events after one that does not parse are left out, so call it on bodies
/// that were decoded.
#[must_use]
pub fn events_root(body: &[u8]) -> Hash {
    let events = RawEvents::new(body).map_while(Result::ok);
    root_of_entries(events.map(|event| event.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962's definition, word for word, as the reference.
    fn reference(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [one] => *one,
            many => {
                let k = many.len().next_power_of_two() / 2;
                node_hash(&reference(&many[..k]), &reference(&many[k..]))
            }
        }
    }

    /// The same hashes through the digest that buffers.
    fn slow_leaf_hash(entry: &[u8]) -> Hash {
        Hash::of(&[&[0], entry])
    }

    fn slow_node_hash(left: &Hash, right: &Hash) -> Hash {
        Hash::of(&[&[1], &left.0, &right.0])
    }

    fn slow_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [one] => *one,
            many => {
                let k = many.len().next_power_of_two() / 2;
                slow_node_hash(&slow_root(&many[..k]), &slow_root(&many[k..]))
            }
        }
    }

    #[test]
    fn leaves_of_every_length_equal_the_digest() {
        let bytes: Vec<u8> = (0..200u8).map(|n| n.wrapping_mul(167) ^ 0x5a).collect();
        for len in 0..=bytes.len() {
            let entry = &bytes[..len];
            assert_eq!(leaf_hash(entry), slow_leaf_hash(entry), "length {len}");
            let ones = vec![0xff; len];
            assert_eq!(leaf_hash(&ones), slow_leaf_hash(&ones), "length {len}");
            let short = len <= SHORT_ENTRY_BYTES_MAX;
            assert_eq!(
                short_prefixed(LEAF_PREFIX, entry).is_some(),
                short,
                "length {len}"
            );
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 128,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            ..Default::default()
        })]

        #[test]
        fn roots_of_random_trees_equal_the_digest(
            entries in proptest::collection::vec(
                proptest::collection::vec(proptest::num::u8::ANY, 0..130),
                0..70,
            )
        ) {
            let leaves: Vec<Hash> = entries.iter().map(|entry| slow_leaf_hash(entry)).collect();
            let root = root_of(entries.iter().map(|entry| leaf_hash(entry)));
            proptest::prop_assert_eq!(root, slow_root(&leaves));
        }
    }

    #[test]
    fn incremental_root_equals_the_recursive_definition_at_every_size() {
        let leaves: Vec<Hash> = (0..130u32).map(|n| leaf_hash(&n.to_le_bytes())).collect();
        let mut tree = Tree::new();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), reference(&leaves[..size]), "size {size}");
            tree.push(*leaf);
        }
    }

    #[test]
    fn known_roots_of_certificate_transparency_hold() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let root = root_of(inputs.iter().map(|entry| leaf_hash(entry)));
        let expected = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
        assert_eq!(root.to_string(), expected);
        assert_eq!(
            Tree::new().root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
