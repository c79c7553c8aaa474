//! The development chain's consensus, as pure functions: difficulty, times, transactions on offer, the first block.

use orebook_schema::units::{Hash, U256, target_of_bits};

use super::DevConfig;
use crate::hash::{bits_of_target, merkle_root, sha256d};
use crate::template::Transaction;
use crate::wire::{HeaderFields, height_push, put_bytes, put_size};

/// Most blocks that a development chain keeps, side branches included; further ones are refused. Two months at 5 s a block.
pub const BLOCKS_MAX: usize = 1_000_000;
/// Largest subsidy, so that no sum of a block's amounts overflows; a configuration with more is refused.
pub const SUBSIDY_MAX: u64 = 1 << 62;
/// Seconds that a block's time may run ahead of the clock (as Bitcoin's).
pub const TIME_LEAD_S_MAX: u64 = 7_200;
/// Most transactions on offer at one height; between none and this many by the seed.
pub const TRANSACTIONS_OFFERED_MAX: u64 = 3;
/// Blocks whose pace decides the next difficulty.
pub(super) const WINDOW_BLOCKS: usize = 8;
/// Blocks whose median time a block's must exceed (as Bitcoin's).
pub(super) const MEDIAN_BLOCKS: usize = 11;
/// The easiest target there is, of two hashes a block (as regtest's).
const BITS_EASIEST: u32 = 0x207f_ffff;
/// Seconds after its parent at which each further transaction is offered.
const TRANSACTION_EVERY_S: u64 = 2;
/// An interval counts for at most so many block times, so that a night switched off does not make blocks free.
const INTERVAL_BLOCK_TIMES_MAX: u64 = 6;

/// Compact target of the block after these, oldest first, each with time and compact target. The mean target of the window
/// times its pace, within 3/4 and 5/4 of the newest, rounded down. The first block has an arbitrary time: leave it out.
pub(super) fn next_bits(window: &[(u32, u32)], config: &DevConfig) -> u32 {
    let Some((_, newest)) = window.last() else {
        return config.bits_start;
    };
    let pairs = || window.iter().zip(window.iter().skip(1));
    let count = u64::try_from(pairs().count()).unwrap_or(0);
    if count == 0 {
        return *newest;
    }
    let block_time = u64::from(config.block_time_s);
    let longest = block_time * INTERVAL_BLOCK_TIMES_MAX;
    let span: u64 = pairs()
        .map(|((a, _), (b, _))| u64::from(b.saturating_sub(*a)).min(longest))
        .sum();
    let of = |bits: u32| target_of_bits(bits).unwrap_or(U256::ONE);
    // Each term is divided first: a sum of targets may not fit 256 bits. What is lost is below 2^-200 of a real target.
    let pace = pairs().fold(U256::ZERO, |sum, (_, (_, bits))| {
        sum + of(*bits) / U256::from(count * count * block_time)
    });
    let newest = of(*newest);
    let (least, most) = (
        newest - newest / U256::from(4),
        newest.saturating_add(newest / U256::from(4)),
    );
    let target = pace
        .saturating_mul(U256::from(span.max(1)))
        .clamp(least, most);
    bits_of_target(target.min(of(BITS_EASIEST)).max(U256::ONE))
}

/// The median of the newest times, at most [`MEDIAN_BLOCKS`]; a block's time is above it.
pub(super) fn median(mut times: Vec<u32>) -> u32 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

/// Hashes that a block of this target costs on average, as chains add up their work: 2^256 / (target + 1).
pub(super) fn chain_work(bits: u32) -> U256 {
    let target = target_of_bits(bits).unwrap_or(U256::MAX);
    match target.checked_add(U256::ONE) {
        // 2^256 / (t + 1) = (2^256 − 1 − t) / (t + 1) + 1
        Some(next) => !target / next + U256::ONE,
        None => U256::ONE,
    }
}

/// A transaction on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) transaction: Transaction,
    /// Its id with witness.
    pub(super) wtxid: Hash,
    /// From when on templates have it.
    from: u64,
}

impl Offered {
    pub(super) const fn is_out(&self, now: u64) -> bool {
        self.from <= now
    }
}

/// What may be mined on a parent: between none and [`TRANSACTIONS_OFFERED_MAX`] transactions that nobody else spends, by seed
/// and parent. Every second one has a witness.
pub(super) fn offered(seed: u64, parent: Hash, parent_time: u32) -> Vec<Offered> {
    let lot = Hash::of(&[b"orebook/dev/offer", &seed.to_le_bytes(), &parent.0]);
    let [count, ..] = lot.0;
    (0..u64::from(count) % (TRANSACTIONS_OFFERED_MAX + 1))
        .map(|index| {
            let own = Hash::of(&[b"orebook/dev/transaction", &lot.0, &index.to_le_bytes()]);
            let (plain, full) = spend(own, index % 2 == 1);
            let [a, b, ..] = own.0;
            let txid = sha256d(&plain);
            Offered {
                wtxid: sha256d(&full),
                transaction: Transaction {
                    data: full,
                    txid,
                    fee: 1_000 + u64::from(u16::from_le_bytes([a, b])),
                },
                from: u64::from(parent_time) + index * TRANSACTION_EVERY_S,
            }
        })
        .collect()
}

/// A transaction that spends an output named by `own`, without and with its witness.
fn spend(own: Hash, has_witness: bool) -> (Vec<u8>, Vec<u8>) {
    let mut body = vec![1];
    body.extend(own.0);
    body.extend([0; 4]);
    body.push(0);
    body.extend([0xff; 4]);
    body.push(1);
    body.extend(100_000u64.to_le_bytes());
    let program = own.0.get(..20).unwrap_or_default();
    put_bytes(&mut body, &[&[0, 20], program].concat());
    let version = 2u32.to_le_bytes();
    let plain = [version.as_slice(), &body, &[0; 4]].concat();
    if has_witness {
        let full = [
            version.as_slice(),
            &[0, 1],
            &body,
            &[1, 4],
            b"test",
            &[0; 4],
        ]
        .concat();
        (plain, full)
    } else {
        (plain.clone(), plain)
    }
}

/// The output script that commits to the witnesses of a block whose other transactions have these ids (BIP141), with the
/// reserved value that pools use: 32 zero bytes.
pub(super) fn commitment(wtxids: &[Hash]) -> Vec<u8> {
    commitment_with(wtxids, &[0; 32])
}

pub(super) fn commitment_with(wtxids: &[Hash], reserved: &[u8]) -> Vec<u8> {
    let leaves = std::iter::once(Hash::ZERO).chain(wtxids.iter().copied());
    let root = merkle_root(leaves.collect());
    let hash = sha256d(&[root.0.as_slice(), reserved].concat());
    [COMMITMENT_PREFIX.as_slice(), &hash.0].concat()
}

/// How a commitment's output script begins.
pub(super) const COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// The first block: its coinbase holds the configuration's hash, so that another configuration is another chain. It has no
/// proof of work, as no chain's first block needs one.
pub(super) fn genesis_block(config: &DevConfig) -> Vec<u8> {
    let digest = Hash::of(&[
        b"orebook/dev/0\n",
        config.algorithm.name().as_bytes(),
        b"\n",
        &config.seed.to_le_bytes(),
        &config.bits_start.to_le_bytes(),
        &config.block_time_s.to_le_bytes(),
        &config.maturity.to_le_bytes(),
        &config.subsidy.to_le_bytes(),
        &config.genesis_time.to_le_bytes(),
    ]);
    let mut coinbase = 1u32.to_le_bytes().to_vec();
    coinbase.push(1);
    coinbase.extend([0; 32]);
    coinbase.extend([0xff; 4]);
    put_bytes(&mut coinbase, &[height_push(0), digest.0.to_vec()].concat());
    coinbase.extend([0xff; 4]);
    coinbase.push(1);
    coinbase.extend(0u64.to_le_bytes());
    put_bytes(&mut coinbase, &[0x6a]);
    coinbase.extend([0; 4]);
    let header = HeaderFields {
        version: 1,
        prev: Hash::ZERO,
        root: sha256d(&coinbase),
        time: config.genesis_time,
        nbits: config.bits_start,
        nonce: 0,
    };
    let mut block = header.bytes().to_vec();
    put_size(&mut block, 1);
    block.extend(coinbase);
    block
}
