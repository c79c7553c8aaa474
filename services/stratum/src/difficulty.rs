//! Difficulties as text: exact decimals, since a float cannot say 0.003.

use std::fmt;

use orebook_schema::Work;
use orebook_schema::units::WorkUnit;

/// Most digits before the point; 2^63 units of work are far below it.
const WHOLE_DIGITS_MAX: usize = 20;
/// Most digits after the point; further ones are cut off, which rounds down.
const FRACTION_DIGITS_MAX: usize = 18;
/// Largest exponent read, either sign; beyond it nothing is left within the digits above.
const EXPONENT_MAX: i32 = 60;
/// Longest text read; a double written in full has fewer digits that matter.
const TEXT_BYTES_MAX: usize = 64;

/// A difficulty above zero as a plain decimal without exponent, sign or needless zeros: `0.003`, `1024`. It is a legal JSON
/// number and what [`Work::from_difficulty`] reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DifficultyText(Box<str>);

impl DifficultyText {
    /// Reads a decimal as people and JSON write it: `1024`, `0.5`, `.5`, `1e3`, `1024.0`. `None` for zero, a sign, more than 20
    /// digits before the point, or anything else; digits beyond 18 after the point are cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if TEXT_BYTES_MAX < text.len() {
            return None;
        }
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, read_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
        Self::at_point(&digits, point)
    }

    /// The number `0.digits × 10^point`.
    fn at_point(digits: &str, point: i32) -> Option<Self> {
        let padding = |zeros: i32| "0".repeat(usize::try_from(zeros).unwrap_or(0));
        let len = i32::try_from(digits.len()).ok()?;
        let all = [&padding(-point), digits, &padding(point - len)].concat();
        let (whole, fraction) = all.split_at(usize::try_from(point).unwrap_or(0));
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
        let fraction = fraction.trim_end_matches('0');
        if WHOLE_DIGITS_MAX < whole.len() {
            return None;
        }
        let text = match (whole, fraction) {
            ("", "") => return None,
            ("", fraction) => format!("0.{fraction}"),
            (whole, "") => whole.to_owned(),
            (whole, fraction) => format!("{whole}.{fraction}"),
        };
        Some(Self(text.into()))
    }

    /// The decimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a share at this difficulty is worth; `None` if that is no legal work.
    #[must_use]
    pub fn work(&self, unit: WorkUnit) -> Option<Work> {
        Work::from_difficulty(&self.0, unit)
    }
}

impl fmt::Display for DifficultyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An exponent, `+` allowed, within ±[`EXPONENT_MAX`].
fn read_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = text.parse().ok()?;
    (-EXPONENT_MAX..=EXPONENT_MAX)
        .contains(&exponent)
        .then_some(exponent)
}
