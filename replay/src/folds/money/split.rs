//! The split of a reward (money rules, section 4). Rounding is down everywhere; remainders have a book.

use orebook_schema::policy::{PPM, PotRules};
use orebook_schema::units::U256;

/// Sub-units of a base unit.
pub const SUB_UNITS: u128 = 1_000_000_000;

/// A reward, split; sub-units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// All of it.
    pub whole: u128,
    /// To the finder.
    pub bonus: u128,
    /// To `fee`: the pool's part, and the transaction fees if it keeps them.
    pub fee: u128,
    /// To the accounts, in the order of their weights.
    pub parts: Vec<u128>,
    /// To `rounding`.
    pub rounding: u128,
    /// To `reserve`.
    pub reserve: u128,
}

/// Splits `value` base units, `fees` of them transaction fees, by weights. Both are at most
/// [`VALUE_MAX`](super::VALUE_MAX), and `fees` at most `value`.
///
/// # Panics
/// If the parts do not add up to the whole, which is a mistake of ours.
#[must_use]
pub fn split(value: u128, fees: u128, rules: &PotRules, weights: &[u128]) -> Split {
    let whole = value * SUB_UNITS;
    let kept = if rules.keep_tx_fees {
        fees * SUB_UNITS
    } else {
        0
    };
    let shared = whole - kept;
    let bonus = scaled(shared, u128::from(rules.bonus_ppm), u128::from(PPM));
    let pool = scaled(shared - bonus, u128::from(rules.fee_ppm), u128::from(PPM));
    let rest = shared - bonus - pool;
    let total: u128 = weights.iter().sum();
    let (parts, reserve) = if total == 0 {
        (vec![0; weights.len()], rest)
    } else {
        let part = |weight: &u128| scaled(rest, *weight, total);
        (weights.iter().map(part).collect(), 0)
    };
    let rounding = rest - reserve - parts.iter().sum::<u128>();
    let split = Split {
        whole,
        bonus,
        fee: pool + kept,
        parts,
        rounding,
        reserve,
    };
    let sum = split.bonus + split.fee + split.rounding + split.reserve;
    assert!(
        sum + split.parts.iter().sum::<u128>() == whole,
        "what is split adds up to what was paid"
    );
    split
}

/// What an account donates of an amount: floor(amount · ppm / 10^6), at most all of it.
#[must_use]
pub(super) fn donation(amount: u128, ppm: u32) -> u128 {
    scaled(amount, u128::from(ppm.min(PPM)), u128::from(PPM))
}

/// All to `reserve`: no share explains the block, no rules apply to its share, or shares of its pot are paid one by one.
#[must_use]
pub const fn all_to_reserve(value: u128) -> Split {
    Split {
        whole: value * SUB_UNITS,
        bonus: 0,
        fee: 0,
        parts: Vec::new(),
        rounding: 0,
        reserve: value * SUB_UNITS,
    }
}

/// Work of a PPLNS window: max(1, floor(n_ppm · network work / 10^6)). One that does not fit is larger than all work that
/// can be, and saturates.
#[must_use]
pub fn window_work(n_ppm: u64, network_work: u128) -> u128 {
    let product = U256::from(n_ppm) * U256::from(network_work);
    u128::try_from(product / U256::from(PPM))
        .unwrap_or(u128::MAX)
        .max(1)
}

/// floor(amount · part / whole), the product in 256 bits; part ≤ whole, whole > 0.
fn scaled(amount: u128, part: u128, whole: u128) -> u128 {
    let product = U256::from(amount) * U256::from(part) / U256::from(whole);
    let fits = u128::try_from(product);
    assert!(fits.is_ok(), "a part is not above the whole");
    fits.unwrap_or(0)
}
