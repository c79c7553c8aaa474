//! Ethash and etchash: light verification of many claims at once, from a cache of its epoch.
//!
//! A claim is a [`Question`] (the header's hash and a nonce); its [`Answer`] is the mix and the number that is compared with
//! targets. [`prove`] asks many together, because one alone waits for memory nearly all the time. Where the miner said
//! what the mix is, [`claimed_value`] comes first: it costs a microsecond and refuses garbage.
//!
//! Reading order: `epoch` (which epoch, how large), `cache` (made from a seed; its file), `light` (items of the dataset from
//! a cache), `hashimoto` (the algorithm's main loop), `dataset` (all items at hand, for those who have the memory).
//!
//! Not here: files and threads (the gateway's `caches`), what a share is worth, who asked before. The crate `ethash` computes
//! the same in another way; tests and `orebook ledger verify --work --oracle` compare the two (ADR 0021).
//!
//! Source: the ethash specification (Ethereum wiki, revision 23), ECIP-1099. Byte orders: seal hash, seed and mix as on the
//! wire; the nonce is a number, big-endian hex on the wire and hashed little-endian; a value is read big-endian, unlike
//! that of bitcoin-likes.

mod cache;
mod dataset;
mod epoch;
mod hashimoto;
mod keccak;
mod kept;
mod light;
mod mapped;

pub use self::cache::Cache;
pub use self::dataset::Dataset;
pub use self::epoch::{
    ECIP_1099_BLOCK, EPOCH_BLOCKS, EPOCHS_MAX, ETCHASH_EPOCH_BLOCKS, Epoch, EpochRule, PAGE_BYTES,
    ROW_BYTES,
};
pub use self::hashimoto::{Prove, TOGETHER_MAX, claimed_value, prove};
pub use self::kept::{FILE_HEADER_BYTES, FileFlaw};
pub use self::mapped::Mapped;

use orebook_schema::Hash;
use orebook_schema::units::U256;

/// Prime of the multiplication in [`fnv`].
const FNV_PRIME: u32 = 0x0100_0193;

/// What a miner claims to have found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Keccak-256 of the header without mix and nonce, byte order of the wire.
    pub seal: Hash,
    /// The nonce as a number: its eight bytes on the wire are big-endian.
    pub nonce: u64,
}

/// What a question comes to: always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The mix, byte order of the wire; a block's header carries it.
    pub mix: Hash,
    /// The result as a number: valid at or below a target.
    pub value: U256,
}

/// A row of a cache, or an item of a dataset.
type Row = [u8; ROW_BYTES];

/// 64 bytes as words of 32 bits, little-endian.
type Words = [u32; 16];

/// The mixing of two words, after FNV.
#[inline(always)]
const fn fnv(a: u32, b: u32) -> u32 {
    a.wrapping_mul(FNV_PRIME) ^ b
}

/// The words of a row. There is no row past the end: indices are remainders by the number of rows.
#[inline(always)]
fn row_words(rows: &[Row], at: u32) -> Words {
    let row = rows.get(at as usize).copied().unwrap_or([0; ROW_BYTES]);
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(row.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

fn row_of(words: &Words) -> Row {
    let mut row = [0; ROW_BYTES];
    for (bytes, word) in row.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    row
}
