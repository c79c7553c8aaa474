//! Ethash-likes: work by `eth_getWork`, solutions by `eth_submitWork`, blocks and uncles by their headers.
//!
//! Hashes here are as nodes show them, first byte first; nothing is reversed. A header's seal hash and block hash are always
//! computed from its fields, never believed.

mod header;
mod node;
mod pay;
mod push;
pub(crate) mod words;

use orebook_schema::units::{Hash, U256, WorkUnit};

pub use header::{EXTRA_BYTES_MAX, EthHeader, SealFields, UNCLES_MAX, keccak256};
pub use node::{
    BLOCK_ANSWER_BYTES_MAX, EthConfig, EthNode, GIVEN_MAX, LOOKS_MAX, Landmark, UNCLE_DEPTH,
};
pub use pay::{RECEIPTS_ANSWER_BYTES_MAX, RECEIPTS_PER_BATCH, TRANSACTIONS_MAX};
pub use push::{PUSH_BYTES_MAX, PUSH_CONNECTIONS_MAX, PUSH_SPACING, PUSH_TIMEOUT, PushDoor};

pub(crate) use push::Push;

use crate::node::NodeError;
use words::{hash32, quantity, quantity64};

/// Highest block whose work is taken: 4,473 steps of the seed's chain, a few milliseconds. Above it work is unusable.
pub const ETH_HEIGHT_MAX: u64 = 1 << 27;
/// Blocks of one step of the seed's chain, in ethash and in etchash (ECIP-1099 keeps the pace).
const SEED_BLOCKS: u64 = 30_000;

/// What a node gives to be sealed. A share or block is a nonce for [`Self::seal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthWork {
    /// Keccak-256 of the header's RLP without mix and nonce: what is hashed, and the work's name at its node.
    pub seal: Hash,
    /// What the height's cache is made of; checked against the height.
    pub seed: Hash,
    /// A block's value is at most this, as a big-endian number; never zero.
    pub target: U256,
    /// Height of the block to be found.
    pub height: u64,
    /// floor(2^256 / target): the difficulty of the block.
    pub network_work: u128,
    /// The block below, which was the node's newest when it gave this.
    pub parent: Hash,
    /// Seconds since 1970: the block's own time where the node tells it, else the least it may have.
    pub time: u32,
    /// What the block pays without fees and uncles, base units, by [`EthConfig::rewards`]: `eth_getWork` tells nothing of it.
    pub reward: Option<u128>,
}

/// A solution for `eth_submitWork`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitEth {
    /// The work's name.
    pub seal: Hash,
    /// The nonce as a number; big-endian hex on the wire.
    pub nonce: u64,
    /// The mix that comes with it.
    pub mix: Hash,
}

/// What became of a solution, as a node sees it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EthFate {
    /// It is the best chain's block at its height.
    Block(Box<EthHeader>),
    /// It is an uncle.
    Uncle {
        /// The uncle itself: our header.
        uncle: Box<EthHeader>,
        /// The block of the best chain that names it.
        of: Box<EthHeader>,
    },
    /// Neither, so far.
    Nowhere,
}

/// The answer to `eth_getWork`, or a pushed work array: three items from older nodes, else four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkItems {
    pub(crate) seal: Hash,
    pub(crate) seed: Hash,
    pub(crate) target: U256,
    pub(crate) height: Option<u64>,
}

impl WorkItems {
    /// Reads the items.
    pub(crate) fn read(items: &[String]) -> Result<Self, NodeError> {
        let unusable = |what| NodeError::Work(what);
        let (three, height) = match items {
            [seal, seed, target] => ([seal, seed, target], None),
            [seal, seed, target, height] => ([seal, seed, target], Some(height)),
            _ => return Err(unusable("it has not three or four items")),
        };
        let [seal, seed, target] = three;
        let height = height.map(|text| quantity64(text).ok_or(unusable("its height is no number")));
        let items = Self {
            seal: hash32(seal).ok_or(unusable("its seal hash is none"))?,
            seed: hash32(seed).ok_or(unusable("its seed hash is none"))?,
            target: quantity(target).ok_or(unusable("its target is no number"))?,
            height: height.transpose()?,
        };
        match items.height {
            _ if items.target.is_zero() => Err(unusable("its target is zero")),
            Some(height) if height == 0 || ETH_HEIGHT_MAX < height => {
                Err(unusable("its height is out of range"))
            }
            Some(height) if !is_seed_of(items.seed, height) => {
                Err(unusable("its seed is not that of its height"))
            }
            _ => Ok(items),
        }
    }

    /// The work on a parent, if it can be the parent's child.
    pub(crate) fn on(self, tip: &EthHeader, reward: Option<u128>) -> Result<EthWork, NodeError> {
        let height = tip.number.saturating_add(1);
        if ETH_HEIGHT_MAX < height {
            return Err(NodeError::Work("its height is out of range"));
        }
        if !is_seed_of(self.seed, height) {
            return Err(NodeError::Work("its seed is not that of its height"));
        }
        let network_work = WorkUnit::Ethash.network_work(self.target);
        let (least, most) = (
            tip.difficulty >> 1,
            tip.difficulty.saturating_mul(U256::from(2)),
        );
        let own = U256::from(network_work);
        if own < least || most < own {
            return Err(NodeError::Work("its target is not near its parent's"));
        }
        Ok(EthWork {
            seal: self.seal,
            seed: self.seed,
            target: self.target,
            height,
            network_work,
            parent: tip.hash,
            time: tip.time.saturating_add(1),
            reward,
        })
    }
}

/// Whether a seed belongs to a height: by ethash's epochs, or by etchash's, which are twice as long and skip every other seed.
fn is_seed_of(seed: Hash, height: u64) -> bool {
    let steps = height / SEED_BLOCKS;
    let mut link = Hash::ZERO;
    let mut before = link;
    for _ in 0..steps {
        (before, link) = (link, keccak256(&link.0));
    }
    link == seed || (steps % 2 == 1 && before == seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(texts: &[&str]) -> Result<WorkItems, NodeError> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        WorkItems::read(&texts)
    }

    fn wide(digit: char) -> String {
        format!("0x{}", digit.to_string().repeat(64))
    }

    #[test]
    fn work_items_are_read_or_refused_with_the_reason() {
        let (seal, zero) = (wide('5'), wide('0'));
        let target = format!("0x{:064x}", 1u64 << 40);
        for (name, texts, refused) in [
            ("four items", vec![&*seal, &*zero, &*target, "0x1"], None),
            ("three items", vec![&*seal, &*zero, &*target], None),
            ("a short target", vec![&*seal, &*zero, "0x10", "0x1"], None),
            (
                "the last of the first seed",
                vec![&*seal, &*zero, &*target, "0x752f"],
                None,
            ),
            ("no items", vec![], Some("three or four")),
            ("two items", vec![&*seal, &*zero], Some("three or four")),
            (
                "five items",
                vec![&*seal, &*zero, &*target, "0x1", "0x1"],
                Some("three or four"),
            ),
            (
                "a seal without 0x",
                vec![&seal[2..], &*zero, &*target],
                Some("seal hash"),
            ),
            (
                "a short seal",
                vec![&seal[..64], &*zero, &*target],
                Some("seal hash"),
            ),
            (
                "a seed of words",
                vec![&*seal, "seed", &*target],
                Some("seed hash"),
            ),
            (
                "a wide target",
                vec![
                    &*seal,
                    &*zero,
                    "0x10000000000000000000000000000000000000000000000000000000000000000",
                ],
                Some("target is no"),
            ),
            (
                "an empty target",
                vec![&*seal, &*zero, "0x"],
                Some("target is no"),
            ),
            (
                "a target with a sign",
                vec![&*seal, &*zero, "0x+1"],
                Some("target is no"),
            ),
            (
                "a target with a line below",
                vec![&*seal, &*zero, "0x1_0"],
                Some("target is no"),
            ),
            (
                "no target",
                vec![&*seal, &*zero, &*zero],
                Some("target is zero"),
            ),
            (
                "height zero",
                vec![&*seal, &*zero, &*target, "0x0"],
                Some("out of range"),
            ),
            (
                "a far height",
                vec![&*seal, &*zero, &*target, "0x8000001"],
                Some("out of range"),
            ),
            (
                "a height of 65 bits",
                vec![&*seal, &*zero, &*target, "0x10000000000000000"],
                Some("height is no"),
            ),
            (
                "another seed's height",
                vec![&*seal, &*zero, &*target, "0xea60"],
                Some("seed is not"),
            ),
        ] {
            match (items(&texts), refused) {
                (Ok(read), None) => assert_eq!(read.seed, Hash::ZERO, "{name}"),
                (Err(NodeError::Work(why)), Some(part)) => {
                    assert!(why.contains(part), "{name}: {why}")
                }
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_seed_is_taken_for_the_heights_of_either_epoch_length_and_for_no_other() {
        let seeds: Vec<Hash> =
            std::iter::successors(Some(Hash::ZERO), |seed| Some(keccak256(&seed.0)))
                .take(5)
                .collect();
        for (height, taken) in [
            (1, vec![0]),
            (29_999, vec![0]),
            // etchash keeps an even step for two epochs of ethash.
            (30_000, vec![0, 1]),
            (59_999, vec![0, 1]),
            (60_000, vec![2]),
            (90_000, vec![2, 3]),
            (120_000, vec![4]),
        ] {
            let places = seeds.iter().enumerate();
            let found: Vec<usize> = places
                .filter(|(_, seed)| is_seed_of(**seed, height))
                .map(|(place, _)| place)
                .collect();
            assert_eq!(found, taken, "height {height}");
        }
    }
}
