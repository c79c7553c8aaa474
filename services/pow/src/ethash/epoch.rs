//! Which epoch a height is in, and how large its cache and dataset are (ethash specification, appendix; ECIP-1099).

use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;

use super::keccak::{keccak256, words};

/// Blocks of an epoch of ethash.
pub const EPOCH_BLOCKS: u64 = 30_000;
/// Blocks of an epoch of etchash from its fork on.
pub const ETCHASH_EPOCH_BLOCKS: u64 = 60_000;
/// First block of ECIP-1099 on Ethereum Classic's main net.
pub const ECIP_1099_BLOCK: u64 = 11_700_000;
/// Size epochs below this one are known: their sizes were compared with two other implementations. The last one ends at block
/// 61 million (etchash: 122 million), and its cache takes 272 MiB. A node that speaks of a height beyond is not believed.
pub const EPOCHS_MAX: u32 = 2_048;

/// Bytes of a row of a cache, and of an item of a dataset.
pub const ROW_BYTES: usize = 64;
/// Bytes of a page of a dataset: two items.
pub const PAGE_BYTES: usize = 128;

const CACHE_BYTES_FIRST: u64 = 1 << 24;
const CACHE_BYTES_GROWTH: u64 = 1 << 17;
const DATASET_BYTES_FIRST: u64 = 1 << 30;
const DATASET_BYTES_GROWTH: u64 = 1 << 23;

/// How a chain counts epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochRule {
    /// An epoch each 30,000 blocks.
    Ethash,
    /// ECIP-1099: from the block `from` on sizes grow each 60,000 blocks only, while seeds keep their pace: the epoch after
    /// the fork has the sizes of half its number and the seed of the number.
    Etchash {
        /// First block of the rule: [`ECIP_1099_BLOCK`]; 2,520,000 on the test net Mordor.
        from: u64,
    },
}

impl EpochRule {
    /// The rule of an algorithm on its main net; `None` for those that know no epochs.
    #[must_use]
    pub const fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Ethash => Some(Self::Ethash),
            Algorithm::Etchash => Some(Self::Etchash {
                from: ECIP_1099_BLOCK,
            }),
            Algorithm::Sha256d | Algorithm::Scrypt | Algorithm::Scrypt2 => None,
        }
    }

    /// The epoch of a block; `None` from size epoch [`EPOCHS_MAX`] on.
    #[must_use]
    pub fn epoch(self, height: u64) -> Option<Epoch> {
        let (blocks, rounds_a_size) = match self {
            Self::Etchash { from } if from <= height => (ETCHASH_EPOCH_BLOCKS, 2),
            Self::Ethash | Self::Etchash { .. } => (EPOCH_BLOCKS, 1),
        };
        let size = u32::try_from(height / blocks).ok()?;
        (size < EPOCHS_MAX).then_some(Epoch {
            seed_rounds: size * rounds_a_size,
            size,
        })
    }

    /// The first block at or after `height` of another epoch, and that epoch; `None` if it is not known.
    #[must_use]
    pub fn next(self, height: u64) -> Option<(u64, Epoch)> {
        let now = self.epoch(height)?;
        // An epoch's length changes at the fork, so the next one is looked for at both paces.
        let after = |blocks: u64| (height / blocks).checked_add(1)?.checked_mul(blocks);
        let mut candidates = [after(EPOCH_BLOCKS)?, after(ETCHASH_EPOCH_BLOCKS)?];
        candidates.sort_unstable();
        candidates
            .into_iter()
            .find_map(|block| Some((block, self.epoch(block)?)).filter(|(_, next)| *next != now))
    }
}

/// What a cache and a dataset are made from. In the order of time: by seed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    seed_rounds: u32,
    size: u32,
}

impl Epoch {
    /// Number that decides the sizes.
    #[must_use]
    pub const fn size(self) -> u32 {
        self.size
    }

    /// How often the seed was hashed, from 32 zero bytes on.
    #[must_use]
    pub const fn seed_rounds(self) -> u32 {
        self.seed_rounds
    }

    /// The seed hash, as nodes name an epoch to miners. Takes up to a millisecond.
    #[must_use]
    pub fn seed(self) -> Hash {
        (0..self.seed_rounds).fold(Hash::ZERO, |seed, _| keccak256(&words(&seed)))
    }

    /// Bytes of the cache: the largest prime number of rows below a bound that grows with the epoch.
    #[must_use]
    pub fn cache_bytes(self) -> u64 {
        let bound = CACHE_BYTES_FIRST + CACHE_BYTES_GROWTH * u64::from(self.size);
        prime_below(bound / ROW_BYTES as u64) * ROW_BYTES as u64
    }

    /// Bytes of the dataset: the largest prime number of pages below a bound that grows with the epoch.
    #[must_use]
    pub fn dataset_bytes(self) -> u64 {
        let bound = DATASET_BYTES_FIRST + DATASET_BYTES_GROWTH * u64::from(self.size);
        prime_below(bound / PAGE_BYTES as u64) * PAGE_BYTES as u64
    }

    pub(super) fn shape(self) -> Shape {
        // Below EPOCHS_MAX both counts are below 2^28.
        let count = |bytes: u64, each: usize| u32::try_from(bytes / each as u64).unwrap_or(1);
        Shape {
            rows: count(self.cache_bytes(), ROW_BYTES),
            pages: count(self.dataset_bytes(), PAGE_BYTES),
        }
    }
}

/// The sizes in their own units. Tests make small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Rows of the cache.
    pub(super) rows: u32,
    /// Pages of the dataset.
    pub(super) pages: u32,
}

impl Shape {
    pub(super) const fn cache_bytes(self) -> usize {
        self.rows as usize * ROW_BYTES
    }

    pub(super) const fn dataset_bytes(self) -> usize {
        self.pages as usize * PAGE_BYTES
    }
}

/// The largest odd prime below an even bound.
fn prime_below(bound: u64) -> u64 {
    let mut candidate = bound - 1;
    while !is_prime(candidate) {
        candidate -= 2;
    }
    candidate
}

/// By trial: the square root of the largest number asked for is below 12,000.
fn is_prime(number: u64) -> bool {
    let mut divisors = (3..).step_by(2).take_while(|by: &u64| by * by <= number);
    number == 2 || number % 2 == 1 && 1 < number && divisors.all(|by| !number.is_multiple_of(by))
}

#[cfg(test)]
mod tests {
    use super::{ECIP_1099_BLOCK, EpochRule, is_prime};

    #[test]
    fn primes_are_known() {
        let primes: Vec<u64> = (0..60).filter(|number| is_prime(*number)).collect();
        assert_eq!(
            primes,
            [
                2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59
            ]
        );
    }

    #[test]
    fn heights_are_in_their_epochs() {
        let etchash = EpochRule::Etchash {
            from: ECIP_1099_BLOCK,
        };
        for (rule, height, expected) in [
            (EpochRule::Ethash, 0, Some((0, 0))),
            (EpochRule::Ethash, 29_999, Some((0, 0))),
            (EpochRule::Ethash, 30_000, Some((1, 1))),
            (EpochRule::Ethash, 11_700_000, Some((390, 390))),
            (EpochRule::Ethash, 61_439_999, Some((2_047, 2_047))),
            (EpochRule::Ethash, 61_440_000, None),
            (EpochRule::Ethash, u64::MAX, None),
            (etchash, 11_699_999, Some((389, 389))),
            (etchash, 11_700_000, Some((195, 390))),
            (etchash, 11_759_999, Some((195, 390))),
            (etchash, 11_760_000, Some((196, 392))),
            (etchash, 20_000_000, Some((333, 666))),
            (etchash, u64::MAX, None),
        ] {
            let epoch = rule.epoch(height);
            assert_eq!(
                epoch.map(|epoch| (epoch.size(), epoch.seed_rounds())),
                expected,
                "{rule:?} {height}"
            );
        }
    }

    #[test]
    fn the_next_epoch_is_found_across_the_fork() {
        let etchash = EpochRule::Etchash {
            from: ECIP_1099_BLOCK,
        };
        for (rule, height, block, rounds) in [
            (EpochRule::Ethash, 0, 30_000, 1),
            (EpochRule::Ethash, 30_000, 60_000, 2),
            (etchash, 29_999, 30_000, 1),
            (etchash, 11_699_999, 11_700_000, 390),
            (etchash, 11_700_000, 11_760_000, 392),
            (etchash, 11_759_999, 11_760_000, 392),
        ] {
            let next = rule
                .next(height)
                .map(|(at, epoch)| (at, epoch.seed_rounds()));
            assert_eq!(next, Some((block, rounds)), "{rule:?} {height}");
        }
        assert_eq!(EpochRule::Ethash.next(61_439_999), None);
        assert_eq!(etchash.next(u64::MAX), None);
    }
}
