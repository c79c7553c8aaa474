//! What a unit of gas may cost: pure, from what the node says now, the operator's caps and the order's.

use super::tx::Fees;
use crate::wallet::WalletError;

/// What the node says now, base units for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Market {
    /// Before London: a price that is taken.
    Legacy {
        /// `eth_gasPrice`.
        price: u128,
    },
    /// From London on.
    London {
        /// The best block's base fee. The next block's is at most an eighth higher.
        base: u128,
        /// What miners are paid.
        priority: u128,
    },
}

/// Most that the operator allows, base units for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    /// For all.
    pub(super) price: u128,
    /// For the miner, from London on.
    pub(super) priority: u128,
}

/// An eighth more, at least 1, rounded up: the most that a base fee rises in a block (EIP-1559), and enough for every node to
/// take a replacement (geth wants 10 %, others 12.5 %).
pub(super) const fn eighth_more(fee: u128) -> u128 {
    let more = fee.div_ceil(8);
    fee.saturating_add(if more == 0 { 1 } else { more })
}

/// What a unit probably costs in one of the next blocks.
///
/// # Errors
/// [`WalletError::NotReady`] if that is above the cap.
pub(super) fn expected(market: Market, caps: Caps) -> Result<u128, WalletError> {
    let price = match market {
        Market::Legacy { price } => price,
        Market::London { base, priority } => {
            eighth_more(base).saturating_add(priority.min(caps.priority))
        }
    };
    within(price, caps.price)
}

/// The fees of a transaction that may cost so much for a unit: twice the base fee where that is allowed, so that it is mined also
/// after five full blocks. A replacement pays an eighth more than what it replaces, of both fees.
///
/// # Errors
/// [`WalletError::NotReady`] if what is needed now is above a cap.
pub(super) fn choose(
    market: Market,
    caps: Caps,
    unit_max: u128,
    replaces: Option<Fees>,
) -> Result<Fees, WalletError> {
    let ceiling = caps.price.min(unit_max);
    let least = replaces.map_or(0, |fees| eighth_more(fees.max()));
    match market {
        Market::Legacy { price } => Ok(Fees::Legacy {
            price: within(price.max(least), ceiling)?,
        }),
        Market::London { base, priority } => {
            let least_priority = replaces.map_or(0, |fees| eighth_more(fees.priority()));
            let priority = priority.min(caps.priority).max(least_priority);
            let priority = within(priority, caps.priority)?;
            let needed = eighth_more(base).saturating_add(priority).max(least);
            let wished = base.saturating_mul(2).saturating_add(priority);
            let max = wished.max(needed).min(ceiling);
            within(needed, ceiling)?;
            Ok(Fees::Market { max, priority })
        }
    }
}

fn within(price: u128, cap: u128) -> Result<u128, WalletError> {
    if price <= cap {
        Ok(price)
    } else {
        Err(WalletError::NotReady(format!(
            "a unit of gas costs {price} base units now, above its cap of {cap}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        price: 1_000,
        priority: 100,
    };
    const fn london(base: u128, priority: u128) -> Market {
        Market::London { base, priority }
    }
    const fn market(max: u128, priority: u128) -> Fees {
        Fees::Market { max, priority }
    }
    const fn legacy(price: u128) -> Fees {
        Fees::Legacy { price }
    }

    #[test]
    fn fees_are_what_is_needed_and_never_above_a_cap() {
        let all = u128::MAX;
        for (now, unit_max, replaces, fees) in [
            (london(80, 10), all, None, Some(market(170, 10))),
            // Less than twice the base fee, if no more is allowed; not less than the next block may need.
            (london(80, 10), 150, None, Some(market(150, 10))),
            (london(80, 10), 100, None, Some(market(100, 10))),
            (london(80, 10), 99, None, None),
            // The node's word for the miner's fee is cut.
            (london(80, all), all, None, Some(market(260, 100))),
            (london(800, 100), all, None, Some(market(1_000, 100))),
            (london(801, 100), all, None, None),
            (london(all, 1), all, None, None),
            (london(0, 0), all, None, Some(market(1, 0))),
            // Replacements: an eighth more of both, rounded up, or what is needed now.
            (
                london(80, 10),
                all,
                Some(market(170, 10)),
                Some(market(192, 12)),
            ),
            (
                london(90, 10),
                all,
                Some(market(170, 10)),
                Some(market(192, 12)),
            ),
            (
                london(95, 10),
                all,
                Some(market(170, 10)),
                Some(market(202, 12)),
            ),
            (london(80, 10), 191, Some(market(170, 10)), None),
            (
                london(80, 10),
                all,
                Some(market(170, 88)),
                Some(market(259, 99)),
            ),
            (london(80, 10), all, Some(market(170, 89)), None),
            (london(80, 10), all, Some(legacy(88)), Some(market(259, 99))),
            (
                london(80, 10),
                all,
                Some(market(0, 0)),
                Some(market(170, 10)),
            ),
            (london(80, 0), all, Some(market(0, 0)), Some(market(161, 1))),
            // Before London.
            (Market::Legacy { price: 7 }, all, None, Some(legacy(7))),
            (Market::Legacy { price: 7 }, 7, None, Some(legacy(7))),
            (Market::Legacy { price: 7 }, 6, None, None),
            (Market::Legacy { price: 1_001 }, all, None, None),
            (
                Market::Legacy { price: 7 },
                all,
                Some(legacy(7)),
                Some(legacy(8)),
            ),
            (
                Market::Legacy { price: 20 },
                all,
                Some(legacy(7)),
                Some(legacy(20)),
            ),
            (Market::Legacy { price: 7 }, all, Some(legacy(889)), None),
        ] {
            let chosen = choose(now, CAPS, unit_max, replaces);
            assert_eq!(chosen.ok(), fees, "{now:?}, {unit_max}, {replaces:?}");
        }
    }

    #[test]
    fn what_is_expected_is_the_next_blocks_price() {
        for (now, price) in [
            (london(80, 10), Some(100)),
            (london(80, 1_000), Some(190)),
            (london(900, 0), None),
            (Market::Legacy { price: 1_000 }, Some(1_000)),
            (Market::Legacy { price: 1_001 }, None),
        ] {
            assert_eq!(expected(now, CAPS).ok(), price, "{now:?}");
        }
    }
}
