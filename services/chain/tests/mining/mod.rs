//! A miner for tests: finds a block on a template, by the public interface only.

use orebook_chain::hash::{fold_branches, number, pow_hash, sha256d};
use orebook_chain::wire::HeaderFields;
use orebook_chain::{CoinbaseParts, Template};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::Hash;

/// A found block.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its hash, header order.
    pub(crate) hash: Hash,
    /// Its coinbase's id.
    pub(crate) coinbase_txid: Hash,
    /// All of it, for `submitblock`.
    pub(crate) bytes: Vec<u8>,
}

/// The coinbase's parts that tests use.
pub(crate) fn parts(payout_script: &[u8]) -> CoinbaseParts<'_> {
    CoinbaseParts {
        tag: *b"TESTTAGS",
        text: "/test/",
        payout_script,
        extranonce_bytes: 8,
    }
}

/// Searches nonces until the block target is met. `lot` makes blocks of the same template differ.
pub(crate) fn find(
    template: &Template,
    algorithm: Algorithm,
    payout_script: &[u8],
    lot: u64,
) -> Found {
    let (coinbase1, coinbase2) = template
        .coinbase(&parts(payout_script))
        .expect("legal parts");
    let coinbase = [coinbase1.as_slice(), &lot.to_be_bytes(), &coinbase2].concat();
    let root = fold_branches(sha256d(&coinbase), &template.branches());
    let header = (0..=u32::MAX)
        .map(|nonce| {
            let (version, prev, time, nbits) = (
                template.version,
                template.prev,
                template.time,
                template.nbits,
            );
            HeaderFields {
                version,
                prev,
                root,
                time,
                nbits,
                nonce,
            }
            .bytes()
        })
        .find(|header| {
            number(pow_hash(header, algorithm).expect("a built algorithm")) <= template.target()
        })
        .expect("a nonce below 2^32");
    Found {
        hash: sha256d(&header),
        coinbase_txid: sha256d(&coinbase),
        bytes: template.block(&header, &coinbase),
    }
}
