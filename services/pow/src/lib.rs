//! Is this share real? Assembly, hashing, targets: pure, and the same for the gateway and for an auditor.
//!
//! A [`Claim`] is what a miner says; [`PreparedJob::prove`] puts the header of it together and hashes it; [`judge`] compares
//! the [`Proof`] with the targets. Not here: what a claim is worth, whether it came before, whether its job still lives.
//!
//! `unsafe` is in `wide`, `quad`, `scrypt2::rows`, `ethash::light` and `ethash::mapped` only: to call what is compiled for a processor's
//! instructions after asking it whether it has them, to move registers to and from memory, to prefetch, and to map a file.
//!
//! Byte orders: a [`Hash`](struct@Hash) is in header order, as in the 80 bytes; explorers show it reversed. As a number it is read
//! little-endian (`schema/LEDGER-FORMAT.md`, section 3).

mod engine;
pub mod ethash;
mod job;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod many;
#[cfg(target_arch = "x86_64")]
mod quad;
mod rounds;
mod scrypt2;
mod sha256;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use self::engine::prove_header;
pub use self::job::PreparedJob;
pub use self::many::Many;
pub use self::scrypt2::{SCRYPT2_PAD_BYTES, scrypt2, scrypt2_pair};
pub use self::sha256::{sha256d, sha256d_pair};

use orebook_schema::units::U256;
use orebook_schema::work::Extranonce;
use orebook_schema::{Hash, StreamId};

/// Bytes of the header of a bitcoin-like chain.
pub const HEADER_BYTES: usize = 80;

/// What a miner says, in numbers of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The session's part of the coinbase.
    pub extranonce1: Extranonce,
    /// The rig's part of the coinbase.
    pub extranonce2: Extranonce,
    /// Header time, seconds.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Header version after rolling, all 32 bits ([`version_of`]).
    pub version: u32,
}

/// What the claim comes to: the same claim of the same job gives the same proof, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The header as the chain has it.
    pub header: [u8; HEADER_BYTES],
    /// The hash that is compared with targets, header order.
    pub pow: Hash,
    /// SHA-256d of the header, header order: the block's name, and the share's in duplicate sets.
    pub block_hash: Hash,
}

impl Proof {
    /// The proof of work as a number, to be at or below a target.
    #[must_use]
    pub const fn value(&self) -> U256 {
        U256::from_le_bytes(self.pow.0)
    }
}

/// How a proof stands to its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Meets the block target; an accepted share also where it misses its own (money rules, section 1).
    Block,
    /// Meets the share target only.
    Share,
    /// Meets neither.
    Low,
}

/// Compares a proof with the share's target and the block's; at the target is met.
#[must_use]
pub fn judge(proof: &Proof, share_target: U256, block_target: U256) -> Judgement {
    let value = proof.value();
    if value <= block_target {
        Judgement::Block
    } else if value <= share_target {
        Judgement::Share
    } else {
        Judgement::Low
    }
}

/// The eight bytes in each coinbase input script that make a proof valid in one epoch of one stream only: the first of
/// SHA-256(stream uuid ‖ epoch LE).
#[must_use]
pub fn coinbase_tag(stream: StreamId, epoch: u32) -> [u8; 8] {
    let Hash(digest) = Hash::of(&[&stream.0, &epoch.to_le_bytes()]);
    digest.first_chunk().copied().unwrap_or_default()
}

/// Header version after rolling: (job & !mask) | (bits & mask); `None` if a bit is outside the mask (BIP 310).
#[must_use]
pub const fn version_of(job_version: u32, mask: u32, bits: u32) -> Option<u32> {
    if bits & !mask == 0 {
        Some(job_version & !mask | bits)
    } else {
        None
    }
}
