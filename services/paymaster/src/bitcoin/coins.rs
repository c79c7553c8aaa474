//! Which coins a transaction spends, what it costs and what comes back. Pure: the same coins, payments and rates choose the same.
//!
//! What a replaced version spent comes first, then the largest coins, those of one value by name, until payments and fee are
//! covered. What is left comes back as change, or, where it would be dust, goes to the fee.

use std::cmp::Reverse;

use orebook_chain::wallet::bitcoin::{Coin, Outpoint};

use super::tx::{Output, size_bytes};

/// Most weight of a transaction that is made; nodes relay 400,000 (Bitcoin Core's policy.h).
pub const WEIGHT_MAX: u64 = 390_000;

/// What locks a coin, as far as it can be spent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// P2WPKH: a SegWit address.
    Witness,
    /// P2PKH: an old address.
    Legacy,
    /// P2SH, taken for P2WPKH within: only a node's wallet opens it.
    Nested,
}

impl Lock {
    /// The lock of a script; `None` for one that is not spent here.
    #[must_use]
    pub fn of(script: &[u8]) -> Option<Self> {
        match script {
            [0, 20, hash @ ..] if hash.len() == 20 => Some(Self::Witness),
            [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => Some(Self::Legacy),
            [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => Some(Self::Nested),
            _ => None,
        }
    }

    /// Most weight of an input with this lock: 41 bytes, and signature and public key (72 and 33 bytes, and their lengths) beside
    /// them or in them. An old input in a transaction with witnesses has an empty one.
    #[must_use]
    pub const fn input_weight(self) -> u64 {
        match self {
            Self::Witness => 4 * 41 + 108,
            Self::Legacy => 4 * (41 + 107) + 1,
            Self::Nested => 4 * (41 + 23) + 108,
        }
    }
}

/// What is to be paid, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The payments.
    pub pays: &'a [Output],
    /// Where change goes.
    pub change_script: &'a [u8],
    /// Change below this is none, base units.
    pub dust: u64,
    /// Base units for 1,000 virtual bytes, as one would like it.
    pub rate: u64,
    /// Least that is relayed, in the same unit.
    pub rate_least: u64,
    /// Most that the whole may cost.
    pub fee_max: u64,
    /// What it replaces, if it does.
    pub replaces: Option<Replaces>,
}

/// What a replacement must beat (BIP125): the fee by the rate for its own size, and the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// What the older version costs.
    pub fee: u64,
    /// Its virtual bytes, at least 1.
    pub vsize: u64,
    /// What must come on top, base units for 1,000 virtual bytes.
    pub rate_more: u64,
}

/// What was chosen. Coins = payments + change + fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The coins, in the order of the inputs.
    pub coins: Vec<Coin>,
    /// What comes back; `None` for no output.
    pub change: Option<u64>,
    /// What it costs.
    pub fee: u64,
}

/// Why nothing can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Too few coins, all together.
    #[error("no funds: {need} base units are needed and {have} can be spent")]
    Funds {
        /// Needed with fee.
        need: u64,
        /// There.
        have: u64,
    },
    /// The least fee is above the cap.
    #[error("the fee would be {least} base units, above its cap of {cap}")]
    Fee {
        /// The least.
        least: u64,
        /// The cap.
        cap: u64,
    },
    /// So many lines or coins that no node would relay it.
    #[error("the transaction would be too large: bring coins together, or pay fewer at once")]
    Size,
    /// Sums that no chain has.
    #[error("the amounts are too large")]
    Amount,
}

/// Chooses. `must` come first, in their order; of `coins` those that are named in `must` are passed over.
///
/// # Errors
/// [`ChoiceError`].
pub fn choose(must: &[Coin], coins: &[Coin], wish: &Wish<'_>) -> Result<Choice, ChoiceError> {
    let named: Vec<Outpoint> = must.iter().map(|coin| coin.outpoint).collect();
    let mut more: Vec<&Coin> = coins
        .iter()
        .filter(|coin| Lock::of(&coin.script).is_some() && !named.contains(&coin.outpoint))
        .collect();
    more.sort_by_key(|coin| (Reverse(coin.value), coin.outpoint));
    let mut more = more.into_iter();
    let paid = sum(wish.pays.iter().map(|pay| pay.value))?;
    let mut chosen: Vec<Coin> = must.to_vec();
    loop {
        let have = sum(chosen.iter().map(|coin| coin.value))?;
        match settle(&chosen, have, paid, wish) {
            Ok((fee, change)) => {
                return Ok(Choice {
                    coins: chosen,
                    change,
                    fee,
                });
            }
            // More coins help against nothing else.
            Err(ChoiceError::Funds { need, have }) => match more.next() {
                Some(coin) => chosen.push(coin.clone()),
                None => return Err(ChoiceError::Funds { need, have }),
            },
            Err(error) => return Err(error),
        }
    }
}

/// Fee and change of these coins.
fn settle(
    chosen: &[Coin],
    have: u64,
    paid: u64,
    wish: &Wish<'_>,
) -> Result<(u64, Option<u64>), ChoiceError> {
    let bare = fee_of(vsize(chosen, wish, false)?, wish)?;
    let need = paid.checked_add(bare).ok_or(ChoiceError::Amount)?;
    if have < need || chosen.is_empty() {
        return Err(ChoiceError::Funds { need, have });
    }
    let rest = have - paid;
    let with_change = fee_of(vsize(chosen, wish, true)?, wish);
    if let Ok(fee) = with_change
        && let Some(change) = rest.checked_sub(fee)
        && wish.dust.max(1) <= change
    {
        return Ok((fee, Some(change)));
    }
    // Less than the dust limit and the price of an output is left: it is the miners', within the cap.
    if rest <= wish.fee_max {
        return Ok((rest, None));
    }
    let need = need
        .checked_add(wish.dust.max(1))
        .ok_or(ChoiceError::Amount)?;
    let need = need.max(have.saturating_add(1));
    Err(ChoiceError::Funds { need, have })
}

/// What a transaction of this size costs: by the rate one would like, not above the cap, not below what is relayed.
fn fee_of(vsize: u64, wish: &Wish<'_>) -> Result<u64, ChoiceError> {
    let of_rate = |rate: u64| {
        let fee = (u128::from(rate) * u128::from(vsize)).div_ceil(1_000);
        u64::try_from(fee).map_err(|_| ChoiceError::Amount)
    };
    let mut least = of_rate(wish.rate_least)?;
    if let Some(old) = wish.replaces {
        let more = of_rate(old.rate_more)?.max(1);
        let same_rate = u128::from(old.fee) * u128::from(vsize);
        let same_rate = u64::try_from(same_rate.div_ceil(u128::from(old.vsize.max(1))));
        let same_rate = same_rate.map_err(|_| ChoiceError::Amount)?;
        let beaten = old.fee.max(same_rate).checked_add(more);
        least = least.max(beaten.ok_or(ChoiceError::Amount)?);
    }
    if wish.fee_max < least {
        let cap = wish.fee_max;
        return Err(ChoiceError::Fee { least, cap });
    }
    Ok(of_rate(wish.rate)?.clamp(least, wish.fee_max))
}

/// Most virtual bytes that the transaction takes.
fn vsize(chosen: &[Coin], wish: &Wish<'_>, with_change: bool) -> Result<u64, ChoiceError> {
    let wide = |bytes: usize| u64::try_from(bytes).map_err(|_| ChoiceError::Size);
    let output = |script: &[u8]| wide(8 + size_bytes(script.len()) + script.len());
    let outputs = wish.pays.len() + usize::from(with_change);
    // Version and lock time, counts, and two units for the mark of witnesses.
    let mut weight = 2 + 4 * wide(8 + size_bytes(chosen.len()) + size_bytes(outputs))?;
    for pay in wish.pays {
        weight += 4 * output(&pay.script)?;
    }
    if with_change {
        weight += 4 * output(wish.change_script)?;
    }
    for coin in chosen {
        weight += Lock::of(&coin.script).map_or(Lock::Legacy.input_weight(), Lock::input_weight);
    }
    if WEIGHT_MAX < weight {
        return Err(ChoiceError::Size);
    }
    Ok(weight.div_ceil(4))
}

fn sum(values: impl Iterator<Item = u64>) -> Result<u64, ChoiceError> {
    let mut sum: u64 = 0;
    for value in values {
        sum = sum.checked_add(value).ok_or(ChoiceError::Amount)?;
    }
    Ok(sum)
}
