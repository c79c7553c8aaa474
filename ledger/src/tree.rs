//! The tree of RFC 6962 (section 2.1), SHA-256: over a frame's events, and over the ledger's leaf entries.

use orebook_schema::Hash;
use orebook_schema::frame::RawEvents;

/// Hash of a leaf: SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash::of(&[&[0], entry])
}

/// Hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1u8; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash::of(&[&bytes])
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
    root_of(
        RawEvents::new(body)
            .map_while(Result::ok)
            .map(|event| leaf_hash(event.bytes)),
    )
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
