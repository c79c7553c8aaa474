//! Figures as JSON shows them.

use orebook_ledger::credit::EFFORT_SCALE;
use orebook_replay::folds::money::Balance;
use serde::{Serialize, Serializer};

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

/// A hashrate in thousandths of hashes a second. As a JSON number it is whole hashes from a thousand on, below that exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rate(pub(super) u128);

impl Rate {
    /// From here on thousandths say nothing: so many of them are a thousand hashes a second.
    const WHOLE: u128 = 1_000_000;

    /// Hashes a second, as `/metrics` says them.
    pub(super) fn per_second(self) -> f64 {
        match u32::try_from(self.0) {
            Ok(milli) if self.0 < Self::WHOLE => f64::from(milli) / 1e3,
            _ => rounded(self.whole()),
        }
    }

    /// Nothing on earth reaches 2^64.
    fn whole(self) -> u64 {
        u64::try_from(self.0 / 1_000).unwrap_or(u64::MAX)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 < Self::WHOLE && !self.0.is_multiple_of(1_000) {
            serializer.serialize_f64(self.per_second())
        } else {
            serializer.serialize_u64(self.whole())
        }
    }
}

/// A count as Prometheus takes it.
#[allow(
    clippy::cast_precision_loss,
    reason = "Prometheus knows floats only; the API has the exact figure"
)]
pub(super) const fn rounded(value: u64) -> f64 {
    value as f64
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
    fn a_hashrate_is_whole_from_a_thousand_on_and_exact_below() {
        for (milli, json) in [
            (0, "0"),
            (1, "0.001"),
            (210, "0.21"),
            (4_000, "4"),
            (999_999, "999.999"),
            (1_000_000, "1000"),
            (1_000_999, "1000"),
            (u128::MAX, "18446744073709551615"),
        ] {
            assert_eq!(serde_json::to_string(&Rate(milli)).expect("JSON"), json);
        }
    }

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
