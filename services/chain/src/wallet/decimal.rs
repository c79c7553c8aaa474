//! Amounts that nodes write as decimal numbers of whole coins, read as text: no float ever holds one.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Decimal places of a coin.
const PLACES: i32 = 8;
/// Longest number that is looked at; a longer one is refused.
const CHARS_MAX: usize = 40;

/// Base units, from a JSON number of whole coins. Exact: a number with more than eight decimal places that matter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount(pub(super) i64);

impl Amount {
    /// Reads `-12.00000001`, `3`, `1e-05`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if CHARS_MAX < text.len() {
            return None;
        }
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let are_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(part) {
            return None;
        }
        // The number is digits · 10^-places; zeros at its end carry nothing.
        let digits = format!("{whole}{part}");
        let kept = digits.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Self(0));
        }
        let dropped = i32::try_from(digits.len() - kept.len()).ok()?;
        let places = i32::try_from(part.len()).ok()?;
        let shift = PLACES
            .checked_add(exponent)?
            .checked_add(dropped)?
            .checked_sub(places)?;
        let scale = 10_i64.checked_pow(u32::try_from(shift).ok()?)?;
        let value = kept.parse::<i64>().ok()?.checked_mul(scale)?;
        Some(Self(if is_negative { -value } else { value }))
    }

    /// Base units, if they are not below zero.
    pub(super) fn units(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        Self::parse(raw.get()).ok_or_else(|| D::Error::custom("no amount of coins"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        let table = [
            ("0", Some(0)),
            ("0.00000000", Some(0)),
            ("50.00000000", Some(5_000_000_000)),
            ("0.00000001", Some(1)),
            ("0.1", Some(10_000_000)),
            ("-0.00001410", Some(-1_410)),
            ("20999999.97690000", Some(2_099_999_997_690_000)),
            // A float holds neither of these.
            ("90071992.54740993", Some(9_007_199_254_740_993)),
            ("84000000.00000001", Some(8_400_000_000_000_001)),
            ("1e-05", Some(1_000)),
            ("1.5E-7", Some(15)),
            ("1e2", Some(10_000_000_000)),
            ("0.1000000000000", Some(10_000_000)),
            ("0.000000001", None),
            ("1e-9", None),
            ("92233720368.54775807", Some(i64::MAX)),
            ("92233720368.54775808", None),
            ("1e99999999999", None),
            ("1e2147483647", None),
            ("", None),
            (".5", None),
            ("1.2.3", None),
            ("--1", None),
            ("+1", None),
            ("\"1\"", None),
            ("null", None),
            ("0.0000000000000000000000000000000000000000", None),
        ];
        for (text, units) in table {
            assert_eq!(Amount::parse(text).map(|one| one.0), units, "{text}");
            let read = serde_json::from_str::<Amount>(text).ok();
            assert_eq!(read.map(|one| one.0), units, "{text} as JSON");
        }
    }
}
