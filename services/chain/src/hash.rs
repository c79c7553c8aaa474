//! Hashes of the chains served here.

pub use orebook_pow::{sha256d, sha256d_pair};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{Hash, U256};
use ripemd::{Digest as _, Ripemd160};

/// The hash of a header that is compared with targets; `None` for an algorithm that is not built.
#[must_use]
pub fn pow_hash(header: &[u8; 80], algorithm: Algorithm) -> Option<Hash> {
    orebook_pow::prove_header(*header, algorithm).map(|proof| proof.pow)
}

/// RIPEMD-160 of SHA-256: how outputs name a public key or a script.
#[must_use]
pub fn hash160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(Hash::of(&[bytes]).0).into()
}

/// A hash as the number that targets are compared with: little-endian.
#[must_use]
pub const fn number(hash: Hash) -> U256 {
    U256::from_le_bytes(hash.0)
}

/// The merkle root of a block's transaction ids, the last of an odd level taken twice; zero for none.
#[must_use]
pub fn merkle_root(mut level: Vec<Hash>) -> Hash {
    while 1 < level.len() {
        level = level
            .chunks(2)
            .filter_map(|pair| Some(sha256d_pair(pair.first()?, pair.last()?)))
            .collect();
    }
    level.first().copied().unwrap_or_default()
}

/// What a coinbase id is folded with, one after another, to give the merkle root, from the ids of the other transactions.
#[must_use]
pub fn merkle_branches(txids: &[Hash]) -> Vec<Hash> {
    // The hole at index 0 stands for the coinbase; its value never reaches a branch.
    let mut level: Vec<Hash> = std::iter::once(Hash::ZERO)
        .chain(txids.iter().copied())
        .collect();
    let mut branches = Vec::new();
    while 1 < level.len() {
        branches.extend(level.get(1).copied());
        level = level
            .chunks(2)
            .filter_map(|pair| Some(sha256d_pair(pair.first()?, pair.last()?)))
            .collect();
    }
    branches
}

/// Folds a coinbase id with its branches.
#[must_use]
pub fn fold_branches(coinbase_txid: Hash, branches: &[Hash]) -> Hash {
    branches
        .iter()
        .fold(coinbase_txid, |node, branch| sha256d_pair(&node, branch))
}

/// Hash of its shown form (RPC, explorers): reversed hex, 64 digits.
#[must_use]
pub fn parse_shown(text: &str) -> Option<Hash> {
    let mut bytes: [u8; 32] = orebook_schema::units::unhex(text)?.try_into().ok()?;
    bytes.reverse();
    Some(Hash(bytes))
}

/// A hash as nodes and explorers show it: reversed hex.
#[must_use]
pub fn shown(hash: Hash) -> String {
    let mut bytes = hash.0;
    bytes.reverse();
    orebook_schema::units::hex(&bytes)
}

/// The compact form of a target, rounded down; the target of compact bits gives the same bits back.
#[must_use]
pub fn bits_of_target(target: U256) -> u32 {
    let bytes = target.bit_len().div_ceil(8);
    let mantissa = if bytes <= 3 {
        target << (8 * (3 - bytes))
    } else {
        target >> (8 * (bytes - 3))
    };
    let (mantissa, bytes) = if mantissa.bit(23) {
        (mantissa >> 8, bytes + 1)
    } else {
        (mantissa, bytes)
    };
    let mantissa = u32::try_from(mantissa).unwrap_or(0);
    let bytes = u32::try_from(bytes).unwrap_or(0);
    bytes << 24 | mantissa
}

#[cfg(test)]
mod tests {
    use orebook_schema::units::{hex, unhex};

    use super::*;

    #[test]
    fn a_public_key_has_the_hash_of_bip173s_example() {
        let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let key = unhex(key).unwrap_or_default();
        assert_eq!(
            hex(&hash160(&key)),
            "751e76e8199196d454941c45d1b3a323f1433bd6"
        );
    }
}
