//! What ethash-likes pay for a block and for an uncle, by height (docs/rules.md 5.6 to 5.8). Nodes do not tell it.
//!
//! It stands beside the client, not in the settler: a job's reward needs the same table as a block's value. Integers only,
//! every division as the chain does it: go-ethereum 1.10.26 and go-expanse `consensus/ethash`, core-geth `params/mutations`.

use std::sync::Arc;

use crate::eth::{ETH_HEIGHT_MAX, UNCLE_DEPTH};

/// Most steps of a table.
pub const STEPS_MAX: usize = 64;
/// Most that a block pays without fees, base units: 2^79, half of what a block's value may be in the ledger.
pub const REWARD_MAX: u128 = 1 << 79;
/// Most bytes of a table's text.
pub const REWARDS_TEXT_BYTES_MAX: usize = 4_096;

/// Heights of an era of Ethereum Classic (ECIP-1017).
const ERA_BLOCKS: u64 = 5_000_000;
/// What a block of the first era pays.
const ERA_FIRST: u128 = 5 * ETHER;
const ETHER: u128 = 1_000_000_000_000_000_000;

/// Byzantium, Constantinople, and the first block of proof of stake.
const ETHEREUM: [Step; 4] = [
    Step::new(0, Some(5 * ETHER)),
    Step::new(4_370_000, Some(3 * ETHER)),
    Step::new(7_280_000, Some(2 * ETHER)),
    Step::new(15_537_394, None),
];
/// Byzantium, and the first block that is not ethash's.
const EXPANSE: [Step; 3] = [
    Step::new(0, Some(8 * ETHER)),
    Step::new(800_000, Some(4 * ETHER)),
    Step::new(8_570_000, None),
];
/// A chain of our own that has every fork from its first block.
const TEST: [Step; 1] = [Step::new(0, Some(2 * ETHER))];

/// From a height on a block pays this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The first height.
    pub from: u64,
    /// Base units without fees and uncles; `None` where the chain pays no miner, or not by ethash.
    pub reward: Option<u128>,
}

impl Step {
    /// A step.
    #[must_use]
    pub const fn new(from: u64, reward: Option<u128>) -> Self {
        Self { from, reward }
    }
}

/// A chain's table. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewards(Table);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Table {
    /// Ascending, the first from height 0.
    Steps(Arc<[Step]>),
    /// ×4/5 each era; from the second era on every uncle gets a 32nd.
    Eras,
}

/// Why a text is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewardsError {
    /// Neither a coin's name nor numbers.
    #[error(
        "{0:?} is no whole number of base units, no coin whose rewards are known ({names}), and no list like \
         `0:5000000000000000000,4370000:3000000000000000000,15537394:none`",
        names = NAMES.join(", ")
    )]
    Text(String),
    /// Steps that are not in order, or do not begin at 0.
    #[error("the heights of rewards begin at 0 and ascend, and are at most {STEPS_MAX}")]
    Order,
    /// A reward above the limit.
    #[error("a block's reward is at most {REWARD_MAX} base units")]
    Large,
}

/// Coins whose rewards are known.
const NAMES: [&str; 4] = ["ethereum", "ethereum-classic", "expanse", "ethash-test"];

impl Rewards {
    /// The table of a coin, by the name that ledgers have it under: `ethereum`, `ethereum-classic`, `expanse`, and `ethash-test`,
    /// a chain of one's own with every fork from its first block.
    #[must_use]
    pub fn of_coin(name: &str) -> Option<Self> {
        let steps: &[Step] = match name {
            "ethereum" => &ETHEREUM,
            "expanse" => &EXPANSE,
            "ethash-test" => &TEST,
            "ethereum-classic" => return Some(Self(Table::Eras)),
            _ => return None,
        };
        Some(Self(Table::Steps(steps.into())))
    }

    /// The same reward at every height, base units, at most [`REWARD_MAX`]; uncles as in Ethereum.
    ///
    /// # Errors
    /// [`RewardsError::Large`].
    pub fn fixed(reward: u128) -> Result<Self, RewardsError> {
        Self::steps(&[Step::new(0, Some(reward))])
    }

    /// A table of one's own; uncles as in Ethereum.
    ///
    /// # Errors
    /// [`RewardsError::Order`], [`RewardsError::Large`].
    pub fn steps(steps: &[Step]) -> Result<Self, RewardsError> {
        let is_first = steps.first().is_some_and(|step| step.from == 0);
        let ascends = steps.windows(2).all(|pair| match pair {
            [before, after] => before.from < after.from,
            _ => false,
        });
        if !is_first || !ascends || STEPS_MAX < steps.len() {
            return Err(RewardsError::Order);
        }
        let most = steps.iter().filter_map(|step| step.reward).max();
        if most.is_some_and(|most| REWARD_MAX < most) {
            return Err(RewardsError::Large);
        }
        Ok(Self(Table::Steps(steps.into())))
    }

    /// A table as the configuration says it: a coin's name, one number of base units, or `height:reward` steps with commas
    /// between, `none` for a reward that is not paid.
    ///
    /// # Errors
    /// [`RewardsError`].
    pub fn parse(text: &str) -> Result<Self, RewardsError> {
        let not = || RewardsError::Text(text.chars().take(80).collect());
        if REWARDS_TEXT_BYTES_MAX < text.len() {
            return Err(not());
        }
        if let Some(known) = Self::of_coin(text) {
            return Ok(known);
        }
        if !text.contains(':') {
            return Self::fixed(number(text).ok_or_else(not)?);
        }
        let step = |text: &str| {
            let (from, reward) = text.trim().split_once(':')?;
            let reward = match reward {
                "none" => None,
                number_text => Some(number(number_text)?),
            };
            Some(Step::new(u64::try_from(number(from)?).ok()?, reward))
        };
        let steps: Option<Vec<Step>> = text.split(',').map(step).collect();
        Self::steps(&steps.ok_or_else(not)?)
    }

    /// New coins of a block at a height, base units, without its uncles and fees. `None` where the chain pays none, and above
    /// [`ETH_HEIGHT_MAX`].
    #[must_use]
    pub fn block(&self, height: u64) -> Option<u128> {
        if ETH_HEIGHT_MAX < height {
            return None;
        }
        match &self.0 {
            Table::Steps(steps) => {
                let reached = steps.iter().take_while(|step| step.from <= height);
                reached.last().and_then(|step| step.reward)
            }
            Table::Eras => {
                // Heights end at era 26: 5·10^18·4^26 fits. The division is last, as ECIP-1017 has it.
                let era = u32::try_from(era(height)).ok()?;
                Some(ERA_FIRST.checked_mul(4_u128.checked_pow(era)?)? / 5_u128.checked_pow(era)?)
            }
        }
    }

    /// What a block at a height gets for each uncle that it includes, base units.
    #[must_use]
    pub fn nephew(&self, height: u64) -> Option<u128> {
        Some(self.block(height)? / 32)
    }

    /// What an uncle gets, base units, by its height and that of the block that includes it. `None` unless it is 1 to
    /// [`UNCLE_DEPTH`] below.
    #[must_use]
    pub fn uncle(&self, height: u64, included_at: u64) -> Option<u128> {
        let distance = included_at.checked_sub(height)?;
        if !(1..=UNCLE_DEPTH).contains(&distance) {
            return None;
        }
        let reward = self.block(included_at)?;
        match &self.0 {
            Table::Eras if 0 < era(included_at) => Some(reward / 32),
            Table::Eras | Table::Steps(_) => Some(u128::from(8 - distance) * reward / 8),
        }
    }
}

/// Era of a height, from 0; the first block of an era is one after a multiple.
const fn era(height: u64) -> u64 {
    height.saturating_sub(1) / ERA_BLOCKS
}

/// A whole number of decimal digits only.
fn number(text: &str) -> Option<u128> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(coin: &str) -> Rewards {
        Rewards::of_coin(coin).unwrap()
    }

    /// The figures of docs/rules.md 5.6, and the last block before each boundary.
    #[test]
    fn a_block_pays_what_its_chain_says_at_every_boundary() {
        for (coin, height, reward) in [
            ("ethereum", 0, Some(5_000_000_000_000_000_000)),
            ("ethereum", 1, Some(5_000_000_000_000_000_000)),
            ("ethereum", 4_369_999, Some(5_000_000_000_000_000_000)),
            ("ethereum", 4_370_000, Some(3_000_000_000_000_000_000)),
            ("ethereum", 7_279_999, Some(3_000_000_000_000_000_000)),
            ("ethereum", 7_280_000, Some(2_000_000_000_000_000_000)),
            // London changes fees, not the reward.
            ("ethereum", 12_965_000, Some(2_000_000_000_000_000_000)),
            ("ethereum", 15_537_393, Some(2_000_000_000_000_000_000)),
            ("ethereum", 15_537_394, None),
            ("ethereum", u64::MAX, None),
            ("ethereum-classic", 0, Some(5_000_000_000_000_000_000)),
            ("ethereum-classic", 1, Some(5_000_000_000_000_000_000)),
            (
                "ethereum-classic",
                4_999_999,
                Some(5_000_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                5_000_000,
                Some(5_000_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                5_000_001,
                Some(4_000_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                10_000_000,
                Some(4_000_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                10_000_001,
                Some(3_200_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                15_000_000,
                Some(3_200_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                15_000_001,
                Some(2_560_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                20_000_000,
                Some(2_560_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                20_000_001,
                Some(2_048_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                25_000_000,
                Some(2_048_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                25_000_001,
                Some(1_638_400_000_000_000_000),
            ),
            ("ethereum-classic", 95_000_001, Some(72_057_594_037_927_936)),
            // The first era whose division leaves a remainder.
            (
                "ethereum-classic",
                100_000_001,
                Some(57_646_075_230_342_348),
            ),
            (
                "ethereum-classic",
                105_000_001,
                Some(46_116_860_184_273_879),
            ),
            (
                "ethereum-classic",
                ETH_HEIGHT_MAX,
                Some(15_111_572_745_182_864),
            ),
            ("ethereum-classic", ETH_HEIGHT_MAX + 1, None),
            ("expanse", 1, Some(8_000_000_000_000_000_000)),
            ("expanse", 799_999, Some(8_000_000_000_000_000_000)),
            ("expanse", 800_000, Some(4_000_000_000_000_000_000)),
            // Constantinople changed nothing there.
            ("expanse", 1_860_000, Some(4_000_000_000_000_000_000)),
            ("expanse", 8_569_999, Some(4_000_000_000_000_000_000)),
            ("expanse", 8_570_000, None),
            ("ethash-test", 0, Some(2_000_000_000_000_000_000)),
            ("ethash-test", 134_217_728, Some(2_000_000_000_000_000_000)),
        ] {
            assert_eq!(of(coin).block(height), reward, "{coin} at {height}");
        }
    }

    /// The figures of docs/rules.md 5.8: the including block's height decides era and reward.
    #[test]
    fn an_uncle_pays_by_its_distance_and_by_the_block_that_includes_it() {
        for (coin, height, included_at, reward) in [
            (
                "ethereum",
                4_369_998,
                4_369_999,
                Some(4_375_000_000_000_000_000),
            ),
            (
                "ethereum",
                4_369_999,
                4_370_000,
                Some(2_625_000_000_000_000_000),
            ),
            (
                "ethereum",
                7_279_999,
                7_280_000,
                Some(1_750_000_000_000_000_000),
            ),
            (
                "ethereum",
                7_279_994,
                7_280_000,
                Some(500_000_000_000_000_000),
            ),
            (
                "ethereum",
                15_000_000,
                15_000_001,
                Some(1_750_000_000_000_000_000),
            ),
            (
                "ethereum",
                15_000_000,
                15_000_002,
                Some(1_500_000_000_000_000_000),
            ),
            (
                "ethereum",
                15_000_000,
                15_000_003,
                Some(1_250_000_000_000_000_000),
            ),
            (
                "ethereum",
                15_000_000,
                15_000_004,
                Some(1_000_000_000_000_000_000),
            ),
            (
                "ethereum",
                15_000_000,
                15_000_005,
                Some(750_000_000_000_000_000),
            ),
            (
                "ethereum",
                15_000_000,
                15_000_006,
                Some(500_000_000_000_000_000),
            ),
            ("ethereum", 15_000_000, 15_000_007, None),
            ("ethereum", 15_000_000, 15_000_000, None),
            ("ethereum", 15_000_001, 15_000_000, None),
            ("ethereum", 15_537_393, 15_537_394, None),
            (
                "ethereum-classic",
                4_999_999,
                5_000_000,
                Some(4_375_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                4_999_994,
                5_000_000,
                Some(1_250_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                5_000_000,
                5_000_001,
                Some(125_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                5_000_001,
                5_000_007,
                Some(125_000_000_000_000_000),
            ),
            ("ethereum-classic", 5_000_001, 5_000_008, None),
            (
                "ethereum-classic",
                9_999_999,
                10_000_000,
                Some(125_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                9_999_996,
                10_000_001,
                Some(100_000_000_000_000_000),
            ),
            (
                "ethereum-classic",
                25_000_000,
                25_000_001,
                Some(51_200_000_000_000_000),
            ),
            (
                "ethereum-classic",
                105_000_000,
                105_000_001,
                Some(1_441_151_880_758_558),
            ),
            ("expanse", 799_998, 799_999, Some(7_000_000_000_000_000_000)),
            ("expanse", 799_998, 800_000, Some(3_000_000_000_000_000_000)),
            ("expanse", 8_569_999, 8_570_000, None),
            ("ethash-test", 4, 5, Some(1_750_000_000_000_000_000)),
        ] {
            let given = of(coin).uncle(height, included_at);
            assert_eq!(given, reward, "{coin}: {height} in {included_at}");
        }
    }

    #[test]
    fn a_nephew_gets_a_thirty_second_of_its_own_heights_reward() {
        for (coin, height, reward) in [
            ("ethereum", 4_369_999, Some(156_250_000_000_000_000)),
            ("ethereum", 4_370_000, Some(93_750_000_000_000_000)),
            ("ethereum", 7_280_000, Some(62_500_000_000_000_000)),
            ("ethereum", 15_537_394, None),
            ("ethereum-classic", 5_000_000, Some(156_250_000_000_000_000)),
            ("ethereum-classic", 5_000_001, Some(125_000_000_000_000_000)),
            ("ethereum-classic", 20_000_001, Some(64_000_000_000_000_000)),
            ("expanse", 799_999, Some(250_000_000_000_000_000)),
            ("expanse", 800_000, Some(125_000_000_000_000_000)),
        ] {
            assert_eq!(of(coin).nephew(height), reward, "{coin} at {height}");
        }
    }

    #[test]
    fn a_table_is_read_or_refused_with_the_reason() {
        let steps = |steps: &[Step]| Rewards::steps(steps).unwrap();
        let many: Vec<String> = (0..65).map(|from| format!("{from}:1")).collect();
        for (text, read) in [
            ("ethereum-classic", Ok(of("ethereum-classic"))),
            ("2000000000000000000", Ok(of("ethash-test"))),
            ("0", Ok(steps(&[Step::new(0, Some(0))]))),
            (
                "0:5,10:3,20:none",
                Ok(steps(&[
                    Step::new(0, Some(5)),
                    Step::new(10, Some(3)),
                    Step::new(20, None),
                ])),
            ),
            (
                "0:5, 10:3",
                Ok(steps(&[Step::new(0, Some(5)), Step::new(10, Some(3))])),
            ),
            ("", Err("no whole number")),
            ("2.5", Err("no whole number")),
            ("-1", Err("no whole number")),
            ("+1", Err("no whole number")),
            ("bitcoin", Err("no whole number")),
            (
                "340282366920938463463374607431768211456",
                Err("no whole number"),
            ),
            ("0:", Err("no whole number")),
            ("0:5,", Err("no whole number")),
            ("18446744073709551616:5", Err("no whole number")),
            ("1:5", Err("begin at 0")),
            ("0:5,0:4", Err("begin at 0")),
            ("0:5,9:4,8:3", Err("begin at 0")),
            (&many.join(","), Err("begin at 0")),
            (&"0:5,".repeat(2_000), Err("no whole number")),
            (
                "604462909807314587353088",
                Ok(Rewards::fixed(1 << 79).unwrap()),
            ),
            ("604462909807314587353089", Err("at most")),
        ] {
            match (Rewards::parse(text), read) {
                (Ok(given), Ok(read)) => assert_eq!(given, read, "{text}"),
                (Err(why), Err(part)) => {
                    let why = why.to_string();
                    assert!(why.contains(part) && why.len() < 400, "{text}: {why}");
                }
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }
}
