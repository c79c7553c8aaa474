//! Figures as JSON shows them.

use orebook_ledger::credit::EFFORT_SCALE;
use orebook_replay::folds::money::Balance;

/// Sub-units in a base unit.
const SUB_UNITS: u128 = 1_000_000_000;

/// A balance in whole base units, rounded down: a balance below zero is never shown better than it is.
pub(super) fn base_units(balance: Balance) -> String {
    let magnitude = balance.magnitude();
    if balance.is_negative() {
        format!("-{}", magnitude.div_ceil(SUB_UNITS))
    } else {
        (magnitude / SUB_UNITS).to_string()
    }
}

/// A balance in sub-units, exactly.
pub(super) fn sub_units(balance: Balance) -> String {
    let sign = if balance.is_negative() { "-" } else { "" };
    format!("{sign}{}", balance.magnitude())
}

/// A sum in whole base units, rounded down.
pub(super) fn whole(sub_units: u128) -> String {
    (sub_units / SUB_UNITS).to_string()
}

/// A ratio in parts of 10^12 as a JSON number, exact to 10^-6; above four thousand it is shown as that.
pub(super) fn ratio(parts: u128) -> f64 {
    let millionths = parts / (EFFORT_SCALE / 1_000_000);
    f64::from(u32::try_from(millionths).unwrap_or(u32::MAX)) / 1e6
}

/// A hashrate as a JSON number; nothing on earth reaches 2^64.
pub(super) fn hashrate(hashes_per_second: u128) -> u64 {
    u64::try_from(hashes_per_second).unwrap_or(u64::MAX)
}

/// Parts per million as per cent: `9000` is `0.9`.
pub(super) fn percent(ppm: u32) -> String {
    let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances_are_rounded_down_and_kept_exactly_beside() {
        for (credits, debits, base, sub) in [
            (0, 0, "0", "0"),
            (999_999_999, 0, "0", "999999999"),
            (1_000_000_000, 0, "1", "1000000000"),
            (5_000_000_007, 2_000_000_000, "3", "3000000007"),
            (0, 1, "-1", "-1"),
            (0, 1_000_000_000, "-1", "-1000000000"),
            (0, 1_000_000_001, "-2", "-1000000001"),
        ] {
            let balance = Balance { debits, credits };
            assert_eq!(
                (base_units(balance).as_str(), sub_units(balance).as_str()),
                (base, sub)
            );
        }
    }

    #[test]
    fn ratios_and_per_cents_are_plain() {
        assert_eq!(ratio(EFFORT_SCALE / 2), 0.5);
        assert_eq!(ratio(u128::MAX), 4_294.967_295);
        for (ppm, shown) in [
            (0, "0"),
            (9_000, "0.9"),
            (10_000, "1"),
            (1_000_000, "100"),
            (1, "0.0001"),
        ] {
            assert_eq!(percent(ppm), shown);
        }
    }
}
