//! What miners' work looks like in the ledger (section 3, kinds 16 to 24).

mod ethash;

pub use self::ethash::{ETHASH_HEADER_BYTES, EthashHeader, EthashJob, EthashShare, ethash_name};
pub(crate) use self::ethash::{
    read_ethash_job, read_ethash_share, write_ethash_job, write_ethash_share,
};
use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::names::{Account, Pot, WorkerName};
use crate::units::{At, Hash, Work};

/// Up to eight bytes of an extranonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Extranonce {
    bytes: [u8; 8],
    len: u8,
}

impl Extranonce {
    /// Most bytes.
    pub const BYTES_MAX: usize = 8;

    /// The bytes, if there are at most eight.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut all = [0; 8];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            bytes: all,
            len: u8::try_from(bytes.len()).ok()?,
        })
    }

    /// The same; four and eight bytes, which most rigs send, as one word: what is written by parts and read as a whole
    /// waits for memory.
    #[inline(always)]
    fn at_once(bytes: &[u8]) -> Option<Self> {
        if let Ok(four) = <[u8; 4]>::try_from(bytes) {
            let bytes = u64::from(u32::from_le_bytes(four)).to_le_bytes();
            return Some(Self { bytes, len: 4 });
        }
        match <[u8; 8]>::try_from(bytes) {
            Ok(bytes) => Some(Self { bytes, len: 8 }),
            Err(_) => Self::new(bytes),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Bytes of a share's fields before the extranonce.
const SHARE_FIXED_BYTES: usize = 30;

/// A rig is given a number, with its first accepted share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Dense from 0 within (stream, epoch).
    pub number: u32,
    /// The pot its shares go to.
    pub pot: Pot,
    /// The session's part of the coinbase.
    pub extranonce1: Extranonce,
    /// Bytes the rig adds, at most 8.
    pub extranonce2_size: u8,
    /// Version bits the rig may roll; 0 if none.
    pub version_mask: u32,
    /// Who is paid.
    pub account: Account,
    /// The rig's name.
    pub name: WorkerName,
}

/// A worker's difficulty, announced before the first share that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difficulty {
    /// Worker's number.
    pub worker: u32,
    /// What a share at this difficulty is worth.
    pub work: Work,
}

/// Work handed to miners: everything needed to hash its shares again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Dense from 0 within (stream, epoch).
    pub number: u32,
    /// The policy its shares and blocks are settled under.
    pub policy: At,
    /// Height of the block it would make.
    pub height: u64,
    /// Network work, at least 1 (money rules, section 1).
    pub network_work: u128,
    /// What the block would pay us, base units, fees included.
    pub reward: u128,
    /// Transaction fees therein, base units.
    pub fees: u128,
    /// Header version.
    pub version: u32,
    /// Previous block, header order.
    pub prev: Hash,
    /// Compact target of the block.
    pub nbits: u32,
    /// Template's current time, seconds.
    pub time: u32,
    /// Whether it replaces the work before it.
    pub clean: bool,
    /// Coinbase up to the extranonces, without witness; at most 8,192 bytes.
    pub coinbase1: Vec<u8>,
    /// Coinbase after the extranonces; at most 16,384 bytes.
    pub coinbase2: Vec<u8>,
    /// Merkle branches from the coinbase up; at most 16.
    pub branches: Vec<Hash>,
    /// 0: its coinbase pays no miner; else the position, plus 1, at which the list of its outputs was computed: every
    /// position up to that one counts. Folds ask that it is before the job's own.
    pub direct: u64,
}

/// An accepted share of a chain with an 80-byte header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
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
    /// Header nonce.
    pub nonce: u32,
    /// Header time.
    pub ntime: u32,
    /// Header version, rolled bits included.
    pub version: u32,
    /// What the rig put into the coinbase.
    pub extranonce2: Extranonce,
}

/// What every job says, of whatever algorithm: what folds and admission ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRef {
    /// Dense from 0 within (stream, epoch).
    pub number: u32,
    /// The policy its shares and blocks are settled under.
    pub policy: At,
    /// Height of the block it would make.
    pub height: u64,
    /// Network work, at least 1.
    pub network_work: u128,
    /// What the block would pay us, base units, fees included.
    pub reward: u128,
    /// Transaction fees therein, base units.
    pub fees: u128,
    /// Whether it replaces the work before it.
    pub clean: bool,
    /// As [`Job::direct`]; 0 of ethash, whose blocks pay one address.
    pub direct: u64,
}

/// What every share says, of whatever algorithm: what is paid, and by which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareRef {
    /// Worker's number.
    pub worker: u32,
    /// Job's number.
    pub job: u32,
    /// Work at the difficulty its job was sent with.
    pub work: Work,
    /// Meets its block target.
    pub block: bool,
    /// Arrived after its job was replaced.
    pub stale: bool,
}

impl From<&Job> for JobRef {
    fn from(job: &Job) -> Self {
        Self {
            number: job.number,
            policy: job.policy,
            height: job.height,
            network_work: job.network_work,
            reward: job.reward,
            fees: job.fees,
            clean: job.clean,
            direct: job.direct,
        }
    }
}

impl From<&EthashJob> for JobRef {
    fn from(job: &EthashJob) -> Self {
        Self {
            number: job.number,
            policy: job.policy,
            height: job.height,
            network_work: job.network_work,
            reward: job.reward,
            fees: job.fees,
            clean: job.clean,
            direct: 0,
        }
    }
}

impl From<&Share> for ShareRef {
    #[inline]
    fn from(share: &Share) -> Self {
        Self {
            worker: share.worker,
            job: share.job,
            work: share.work,
            block: share.block,
            stale: share.stale,
        }
    }
}

impl From<&EthashShare> for ShareRef {
    #[inline]
    fn from(share: &EthashShare) -> Self {
        Self {
            worker: share.worker,
            job: share.job,
            work: share.work,
            block: share.block,
            stale: share.stale,
        }
    }
}

/// A share of ours met the block target; stands right after that share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFound {
    /// Block hash, header order; of ethash the share's name ([`ethash_name`]).
    pub hash: Hash,
    /// Height.
    pub height: u64,
    /// Id of the coinbase transaction, header order; zero for ethash, where the coinbase is the node's.
    pub coinbase_txid: Hash,
    /// The header, at most 80 bytes; of ethash those of [`EthashHeader`].
    pub header: Vec<u8>,
}

/// What the settler says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum BlockState {
    /// The chain has it.
    Seen = 1,
    /// Deep enough for immature postings.
    Immature = 2,
    /// Deep enough to be spent.
    Confirmed = 3,
    /// Another block stands at its height, deep enough.
    Orphaned = 4,
    /// Another block stands at its height, and one of the chain's includes it as an uncle (ethash-likes).
    Uncle = 5,
}

impl BlockState {
    /// Every state, by number.
    pub const ALL: [Self; 5] = [
        Self::Seen,
        Self::Immature,
        Self::Confirmed,
        Self::Orphaned,
        Self::Uncle,
    ];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Immature => "immature",
            Self::Confirmed => "confirmed",
            Self::Orphaned => "orphaned",
            Self::Uncle => "uncle",
        }
    }
}

/// A change of a block's state, by compare and set on the block's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockStatus {
    /// Block hash, header order.
    pub hash: Hash,
    /// The block's last obeyed status, zero if none.
    pub expects: At,
    /// New state.
    pub state: BlockState,
    /// Height.
    pub height: u64,
    /// What the chain paid us, base units.
    pub value: u128,
    /// Transaction fees therein, base units.
    pub fees: u128,
}

/// A coinbase of ours on the chain that no share explains: a found block goes to the nodes before its share is durable, and
/// the gateway may die between the two. Compare and set on the height. All it pays goes to `reserve` until an adjustment
/// names the finder, so it names no pot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRecovered {
    /// Block hash, header order.
    pub hash: Hash,
    /// Height, the subject.
    pub height: u64,
    /// The height's last obeyed recovered block, zero if none.
    pub expects: At,
    /// Txid of its coinbase, byte order of the digest.
    pub coinbase_txid: Hash,
    /// What the chain paid us, base units.
    pub value: u128,
    /// Transaction fees therein, base units; zero if the chain does not tell.
    pub fees: u128,
}

/// Largest mean of fees, base units: the limit of a block's value.
pub const FEE_MEAN_MAX: u128 = 1 << 80;

/// What the newest 144 blocks of the chain paid beside their subsidy, on average: what FPPS adds. Compare and set on the one
/// figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeMean {
    /// Height of the newest of the blocks.
    pub height: u64,
    /// The last obeyed mean, zero if none.
    pub expects: At,
    /// Floor of the mean, base units, at most [`FEE_MEAN_MAX`].
    pub mean: u128,
}

pub(crate) fn write_worker(worker: &Worker, out: &mut Vec<u8>) {
    out.put(&worker.number.to_le_bytes());
    out.put(&worker.pot.0.to_le_bytes());
    out.put_bytes8(worker.extranonce1.bytes());
    out.push(worker.extranonce2_size);
    out.put(&worker.version_mask.to_le_bytes());
    worker.account.write(out);
    out.put_bytes8(worker.name.as_str().as_bytes());
}

pub(crate) fn read_worker(reader: &mut Reader<'_>) -> Decoded<Worker> {
    Ok(Worker {
        number: reader.u32()?,
        pot: Pot(reader.u16()?),
        extranonce1: read_extranonce(reader.bytes8(8)?)?,
        extranonce2_size: reader.count8(0, 8)?,
        version_mask: reader.u32()?,
        account: Account::read(reader)?,
        name: str::from_utf8(reader.bytes8(64)?)
            .ok()
            .and_then(WorkerName::parse)
            .ok_or(DecodeError::Value("worker name"))?,
    })
}

pub(crate) fn read_work(reader: &mut Reader<'_>) -> Decoded<Work> {
    Work::new(reader.u64()?).ok_or(DecodeError::Limit("work"))
}

pub(crate) fn write_job(job: &Job, out: &mut Vec<u8>) {
    out.put(&job.number.to_le_bytes());
    out.put_at(job.policy);
    out.put(&job.height.to_le_bytes());
    out.put(&job.network_work.to_le_bytes());
    out.put(&job.reward.to_le_bytes());
    out.put(&job.fees.to_le_bytes());
    out.put(&job.version.to_le_bytes());
    out.put(&job.prev.0);
    out.put(&job.nbits.to_le_bytes());
    out.put(&job.time.to_le_bytes());
    out.push(u8::from(job.clean));
    out.put_bytes16(&job.coinbase1);
    out.put_bytes16(&job.coinbase2);
    out.push(u8::try_from(job.branches.len()).unwrap_or(u8::MAX));
    job.branches.iter().for_each(|branch| out.put(&branch.0));
    out.put(&job.direct.to_le_bytes());
}

pub(crate) fn read_job(reader: &mut Reader<'_>) -> Decoded<Job> {
    let job = Job {
        number: reader.u32()?,
        policy: reader.at()?,
        height: reader.u64()?,
        network_work: reader.u128()?,
        reward: reader.u128()?,
        fees: reader.u128()?,
        version: reader.u32()?,
        prev: reader.hash()?,
        nbits: reader.u32()?,
        time: reader.u32()?,
        clean: match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Value("job flags")),
        },
        coinbase1: reader.bytes16(8_192)?.to_vec(),
        coinbase2: reader.bytes16(16_384)?.to_vec(),
        branches: {
            let count = reader.count8(0, 16)?;
            (0..count).map(|_| reader.hash()).collect::<Decoded<_>>()?
        },
        direct: reader.u64()?,
    };
    let ok = 1 <= job.network_work && job.fees <= job.reward;
    if ok {
        Ok(job)
    } else {
        Err(DecodeError::Limit("job"))
    }
}

#[inline]
pub(crate) fn write_share(share: &Share, out: &mut Vec<u8>) {
    // One append instead of eight: of all events this one is written most.
    let mut fixed = [0; SHARE_FIXED_BYTES];
    fixed[..4].copy_from_slice(&share.worker.to_le_bytes());
    fixed[4..8].copy_from_slice(&share.job.to_le_bytes());
    fixed[8..16].copy_from_slice(&share.work.units().to_le_bytes());
    fixed[16] = u8::from(share.block) | u8::from(share.stale) << 1;
    fixed[18..22].copy_from_slice(&share.nonce.to_le_bytes());
    fixed[22..26].copy_from_slice(&share.ntime.to_le_bytes());
    fixed[26..].copy_from_slice(&share.version.to_le_bytes());
    out.put(&fixed);
    out.put(share.extranonce2.bytes());
}

#[inline]
pub(crate) fn read_share(reader: &mut Reader<'_>) -> Decoded<Share> {
    let worker = reader.u32()?;
    let job = reader.u32()?;
    let work = read_work(reader)?;
    let flags = reader.u16()?;
    if 3 < flags {
        return Err(DecodeError::Value("share flags"));
    }
    Ok(Share {
        worker,
        job,
        work,
        block: flags & 1 != 0,
        stale: flags & 2 != 0,
        nonce: reader.u32()?,
        ntime: reader.u32()?,
        version: reader.u32()?,
        extranonce2: read_extranonce(reader.take_rest())?,
    })
}

/// What [`read_share`] gives for all fields of a share; none for what it refuses. The length is asked for once, and a
/// caller's loop writes the fields where they belong.
#[inline(always)]
pub(crate) fn share_at_once(fields: &[u8]) -> Option<Share> {
    let (fixed, extranonce2) = fields.split_first_chunk::<SHARE_FIXED_BYTES>()?;
    let mut reader = Reader::new(fixed, "");
    let (worker, job) = (reader.u32().ok()?, reader.u32().ok()?);
    let work = Work::new(reader.u64().ok()?)?;
    let flags = reader.u16().ok()?;
    let share = Share {
        worker,
        job,
        work,
        block: flags & 1 != 0,
        stale: flags & 2 != 0,
        nonce: reader.u32().ok()?,
        ntime: reader.u32().ok()?,
        version: reader.u32().ok()?,
        extranonce2: Extranonce::at_once(extranonce2)?,
    };
    (flags <= 3).then_some(share)
}

pub(crate) fn write_block_found(block: &BlockFound, out: &mut Vec<u8>) {
    out.put(&block.hash.0);
    out.put(&block.height.to_le_bytes());
    out.put(&block.coinbase_txid.0);
    out.put_bytes8(&block.header);
}

pub(crate) fn read_block_found(reader: &mut Reader<'_>) -> Decoded<BlockFound> {
    Ok(BlockFound {
        hash: reader.hash()?,
        height: reader.u64()?,
        coinbase_txid: reader.hash()?,
        header: reader.bytes8(80)?.to_vec(),
    })
}

pub(crate) fn write_block_status(status: &BlockStatus, out: &mut Vec<u8>) {
    out.put(&status.hash.0);
    out.put_at(status.expects);
    out.push(status.state as u8);
    out.put(&status.height.to_le_bytes());
    out.put(&status.value.to_le_bytes());
    out.put(&status.fees.to_le_bytes());
}

pub(crate) fn read_block_status(reader: &mut Reader<'_>) -> Decoded<BlockStatus> {
    let hash = reader.hash()?;
    let expects = reader.at()?;
    let state = reader.u8()?;
    let state = BlockState::ALL
        .into_iter()
        .find(|known| *known as u8 == state)
        .ok_or(DecodeError::Value("block state"))?;
    let status = BlockStatus {
        hash,
        expects,
        state,
        height: reader.u64()?,
        value: reader.u128()?,
        fees: reader.u128()?,
    };
    if status.fees <= status.value {
        Ok(status)
    } else {
        Err(DecodeError::Limit("fees"))
    }
}

pub(crate) fn write_fee_mean(mean: &FeeMean, out: &mut Vec<u8>) {
    out.put(&mean.height.to_le_bytes());
    out.put_at(mean.expects);
    out.put(&mean.mean.to_le_bytes());
}

pub(crate) fn read_fee_mean(reader: &mut Reader<'_>) -> Decoded<FeeMean> {
    let mean = FeeMean {
        height: reader.u64()?,
        expects: reader.at()?,
        mean: reader.u128()?,
    };
    if mean.mean <= FEE_MEAN_MAX {
        Ok(mean)
    } else {
        Err(DecodeError::Limit("mean of fees"))
    }
}

pub(crate) fn write_block_recovered(block: &BlockRecovered, out: &mut Vec<u8>) {
    out.put(&block.hash.0);
    out.put(&block.height.to_le_bytes());
    out.put_at(block.expects);
    out.put(&block.coinbase_txid.0);
    out.put(&block.value.to_le_bytes());
    out.put(&block.fees.to_le_bytes());
}

pub(crate) fn read_block_recovered(reader: &mut Reader<'_>) -> Decoded<BlockRecovered> {
    let block = BlockRecovered {
        hash: reader.hash()?,
        height: reader.u64()?,
        expects: reader.at()?,
        coinbase_txid: reader.hash()?,
        value: reader.u128()?,
        fees: reader.u128()?,
    };
    if block.fees <= block.value {
        Ok(block)
    } else {
        Err(DecodeError::Limit("fees"))
    }
}

fn read_extranonce(bytes: &[u8]) -> Decoded<Extranonce> {
    Extranonce::new(bytes).ok_or(DecodeError::Limit("extranonce"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_oneof};

    use super::*;

    /// Fields of shares: right ones, ones with a wrong work or flag, and of any length.
    fn fields() -> impl Strategy<Value = Vec<u8>> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..48);
        let work = prop_oneof![0..3u64, any::<u64>(), (Work::MAX - 1)..=(Work::MAX + 1)];
        let flags = prop_oneof![0..5u16, any::<u16>()];
        (bytes, work, flags).prop_map(|(mut bytes, work, flags)| {
            if let Some(fixed) = bytes.first_chunk_mut::<SHARE_FIXED_BYTES>() {
                fixed[8..16].copy_from_slice(&work.to_le_bytes());
                fixed[16..18].copy_from_slice(&flags.to_le_bytes());
            }
            bytes
        })
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 20_000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            ..Default::default()
        })]

        #[test]
        fn shares_read_at_once_equal_those_read_field_by_field(fields in fields()) {
            let mut reader = Reader::new(&fields, "share");
            let slow = read_share(&mut reader).ok().filter(|_| reader.rest().is_empty());
            proptest::prop_assert_eq!(share_at_once(&fields), slow);
        }
    }
}
