//! Work of ethash and etchash (section 3, kinds 23 and 24): a header that the node made and nobody here can build, so that a
//! share is a nonce under a seal hash. Nothing here hashes with Keccak: names are SHA-256's (ADR 0020).

use super::BlockFound;
use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::units::{At, Hash, Work};

/// Bytes of an ethash share's fields.
const SHARE_BYTES: usize = 26;

/// Bytes of what a `block_found` has as its header in a ledger of ethash: seal hash, nonce, mix.
pub const ETHASH_HEADER_BYTES: usize = 72;

/// Bytes of such a header that the name is over: seal hash and nonce.
const NAMED_BYTES: usize = 40;

/// Work handed to miners of ethash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthashJob {
    /// Dense from 0 within (stream, epoch), in one count with [`Job`](super::Job)'s.
    pub number: u32,
    /// The policy its shares and blocks are settled under.
    pub policy: At,
    /// Height of the block it would make; the cache's epoch follows from it.
    pub height: u64,
    /// Network work, at least 1 (money rules, section 1).
    pub network_work: u128,
    /// What the block would pay us, base units, fees included.
    pub reward: u128,
    /// Transaction fees therein, base units.
    pub fees: u128,
    /// Seal hash: Keccak-256 of the header without nonce and mix, in the order that nodes show.
    pub seal: Hash,
    /// Seed hash of the epoch, in the order that nodes show.
    pub seed: Hash,
    /// Template's current time, seconds.
    pub time: u32,
    /// Whether it replaces the work before it.
    pub clean: bool,
}

/// An accepted share of ethash. Its mix follows from seal hash, height and nonce, so that it is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthashShare {
    /// Worker's number.
    pub worker: u32,
    /// Job's number.
    pub job: u32,
    /// Work at the difficulty its job was sent with.
    pub work: Work,
    /// Meets its block target.
    pub block: bool,
    /// Arrived after its job was replaced; paid as the policy says.
    pub stale: bool,
    /// The nonce as a number, the worker's prefix in its highest bytes.
    pub nonce: u64,
}

/// What a `block_found` of ethash has as its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthashHeader {
    /// The job's seal hash.
    pub seal: Hash,
    /// The share's nonce.
    pub nonce: u64,
    /// The mix that the nonce gives.
    pub mix: Hash,
}

impl EthashHeader {
    /// Seal hash, nonce big-endian, mix.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ETHASH_HEADER_BYTES);
        out.put(&self.seal.0);
        out.put(&self.nonce.to_be_bytes());
        out.put(&self.mix.0);
        out
    }

    /// What 72 bytes say; none for another length.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (seal, rest) = bytes.split_first_chunk::<32>()?;
        let (nonce, mix) = rest.split_first_chunk::<8>()?;
        Some(Self {
            seal: Hash(*seal),
            nonce: u64::from_be_bytes(*nonce),
            mix: Hash(mix.try_into().ok()?),
        })
    }

    /// Name of the share and of its block.
    #[must_use]
    pub fn name(&self) -> Hash {
        ethash_name(&self.seal, self.nonce)
    }

    /// The event that says that this is a block: named by SHA-256, without a coinbase of ours.
    #[must_use]
    pub fn found(&self, height: u64) -> BlockFound {
        BlockFound {
            hash: self.name(),
            height,
            coinbase_txid: Hash::ZERO,
            header: self.to_bytes(),
        }
    }
}

/// Name of a share of ethash, and of the block it makes: SHA-256(seal hash ‖ nonce, big-endian). No two blocks have one: the
/// seal hash binds the whole header but for the nonce and the mix that follows from it.
#[must_use]
pub fn ethash_name(seal: &Hash, nonce: u64) -> Hash {
    let mut named = [0; NAMED_BYTES];
    named[..32].copy_from_slice(&seal.0);
    named[32..].copy_from_slice(&nonce.to_be_bytes());
    Hash::of(&[&named])
}

pub(crate) fn write_ethash_job(job: &EthashJob, out: &mut Vec<u8>) {
    out.put(&job.number.to_le_bytes());
    out.put_at(job.policy);
    out.put(&job.height.to_le_bytes());
    out.put(&job.network_work.to_le_bytes());
    out.put(&job.reward.to_le_bytes());
    out.put(&job.fees.to_le_bytes());
    out.put(&job.seal.0);
    out.put(&job.seed.0);
    out.put(&job.time.to_le_bytes());
    out.push(u8::from(job.clean));
}

pub(crate) fn read_ethash_job(reader: &mut Reader<'_>) -> Decoded<EthashJob> {
    let job = EthashJob {
        number: reader.u32()?,
        policy: reader.at()?,
        height: reader.u64()?,
        network_work: reader.u128()?,
        reward: reader.u128()?,
        fees: reader.u128()?,
        seal: reader.hash()?,
        seed: reader.hash()?,
        time: reader.u32()?,
        clean: match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Value("ethash job flags")),
        },
    };
    if 1 <= job.network_work && job.fees <= job.reward {
        Ok(job)
    } else {
        Err(DecodeError::Limit("ethash job"))
    }
}

pub(crate) fn write_ethash_share(share: &EthashShare, out: &mut Vec<u8>) {
    let mut fields = [0; SHARE_BYTES];
    fields[..4].copy_from_slice(&share.worker.to_le_bytes());
    fields[4..8].copy_from_slice(&share.job.to_le_bytes());
    fields[8..16].copy_from_slice(&share.work.units().to_le_bytes());
    fields[16] = u8::from(share.block) | u8::from(share.stale) << 1;
    fields[18..].copy_from_slice(&share.nonce.to_le_bytes());
    out.put(&fields);
}

pub(crate) fn read_ethash_share(reader: &mut Reader<'_>) -> Decoded<EthashShare> {
    let (worker, job) = (reader.u32()?, reader.u32()?);
    let work = super::read_work(reader)?;
    let flags = reader.u16()?;
    if 3 < flags {
        return Err(DecodeError::Value("ethash share flags"));
    }
    Ok(EthashShare {
        worker,
        job,
        work,
        block: flags & 1 != 0,
        stale: flags & 2 != 0,
        nonce: reader.u64()?,
    })
}
