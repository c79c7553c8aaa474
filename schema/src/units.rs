//! Units: work, hashes, positions. Integers only; what rounds says how.

use std::fmt;

use ruint::Uint;
use sha2::{Digest, Sha256};

/// 256-bit number of a proof-of-work target.
pub type U256 = Uint<256, 4>;
type U320 = Uint<320, 5>;

/// 32 bytes that name something. Shown as plain hex, in stored order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// All zero: "none" where the format says so.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 of the parts joined.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Writes lower-case hex.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Lower-case hex of any bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Bytes of a hex string of even length, upper or lower case, without prefix; `None` for anything else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let nibble = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}

/// One event: the position of its frame and its index there. Zero means "none" (section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct At {
    /// Position of the frame.
    pub position: u64,
    /// Index of the event in the frame, from 0.
    pub index: u16,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.index)
    }
}

/// Which kind of chain a work unit belongs to: it decides U and F of the money rules, section 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkUnit {
    /// Bitcoin-likes with sha256d: U = 2^32, F = 1.
    Sha256d,
    /// Bitcoin-likes with scrypt or scrypt²: U = 2^32, F = 65,536.
    Scrypt,
    /// Ethash-likes: the assigned number of hashes, U = 1.
    Ethash,
}

/// What a share is worth: 1 ≤ work < 2^63. For bitcoin-likes the difficulty times 2^32, for ethash-likes expected hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work(u64);

impl Work {
    /// Largest work of one share.
    pub const MAX: u64 = (1 << 63) - 1;

    /// A work figure, if 1 ≤ `units` < 2^63.
    #[must_use]
    pub const fn new(units: u64) -> Option<Self> {
        if units == 0 || Self::MAX < units {
            None
        } else {
            Some(Self(units))
        }
    }

    /// Units of work.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Work of a difficulty written as a plain decimal (`0.003`, `1024`): round(d·U), halves up. `None` if the text is no
    /// plain decimal, or the work is out of range.
    #[must_use]
    pub fn from_difficulty(text: &str, unit: WorkUnit) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty()
            || !digits(whole)
            || !digits(fraction)
            || 18 < fraction.len()
        {
            return None;
        }
        let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let whole: u128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let fraction: u128 = if fraction.is_empty() {
            0
        } else {
            fraction.parse().ok()?
        };
        let units = whole
            .checked_mul(scale)?
            .checked_add(fraction)?
            .checked_mul(unit.scale())?;
        Self::new(u64::try_from(units.checked_add(scale / 2)? / scale).ok()?)
    }

    /// The share target: hashes at or below it are worth this work.
    #[must_use]
    pub fn target(self, unit: WorkUnit) -> U256 {
        match unit {
            WorkUnit::Ethash if self.0 == 1 => U256::MAX,
            WorkUnit::Ethash => saturate((U320::from(1) << 256) / U320::from(self.0)),
            WorkUnit::Sha256d | WorkUnit::Scrypt => saturate(unit.numerator() / U320::from(self.0)),
        }
    }

    /// Shown difficulty: work/U rounded half-even to 6 decimals, never zero unless it is.
    #[must_use]
    pub fn shown(self, unit: WorkUnit) -> String {
        shown_difficulty(u128::from(self.0), unit)
    }
}

impl WorkUnit {
    /// U: work units of difficulty 1.
    #[must_use]
    pub const fn scale(self) -> u128 {
        match self {
            Self::Sha256d | Self::Scrypt => 1 << 32,
            Self::Ethash => 1,
        }
    }

    /// 0xffff·2^208·F·U.
    fn numerator(self) -> U320 {
        let shift = match self {
            Self::Sha256d => 208 + 32,
            Self::Scrypt => 208 + 16 + 32,
            Self::Ethash => 0,
        };
        U320::from(0xffff) << shift
    }

    /// Network work of a block target: max(1, floor(numerator / target)) for bitcoin-likes, floor(2^256 / target) for
    /// ethash-likes that give no difficulty. Saturates at 2^128 − 1, far above any chain.
    #[must_use]
    pub fn network_work(self, target: U256) -> u128 {
        if target.is_zero() {
            return u128::MAX;
        }
        let target: U320 = Uint::from(target);
        let numerator = match self {
            Self::Sha256d | Self::Scrypt => self.numerator(),
            Self::Ethash => U320::from(1) << 256,
        };
        u128::try_from(numerator / target)
            .unwrap_or(u128::MAX)
            .max(1)
    }
}

/// Sum of work shown as a difficulty: work/U rounded half-even to 6 decimals without trailing zeros; what is above zero
/// never shows as zero (the first digit that is not zero is shown then).
#[must_use]
pub fn shown_difficulty(work: u128, unit: WorkUnit) -> String {
    const MILLION: u128 = 1_000_000;
    let scale = unit.scale();
    let whole = work / scale;
    let rest = work % scale;
    let product = rest * MILLION;
    let (micro, left) = (product / scale, product % scale);
    let up = scale < 2 * left || (2 * left == scale && micro % 2 == 1);
    let micro = micro + u128::from(up);
    let (whole, micro) = (whole + micro / MILLION, micro % MILLION);
    if whole == 0 && micro == 0 && work != 0 {
        let mut digits = 7;
        let mut value = rest * MILLION * 10;
        while value < scale {
            value *= 10;
            digits += 1;
        }
        return format!("0.{}{}", "0".repeat(digits - 1), value / scale);
    }
    let text = format!("{whole}.{micro:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Block target of compact bits; `None` where the encoding is negative, zero or over 256 bits.
#[must_use]
pub fn target_of_bits(bits: u32) -> Option<U256> {
    let (size, mantissa) = (bits >> 24, bits & 0x007f_ffff);
    if bits & 0x0080_0000 != 0 || mantissa == 0 {
        return None;
    }
    let mantissa = U256::from(mantissa);
    let target = if size <= 3 {
        mantissa >> (8 * (3 - size))
    } else {
        let shift = usize::try_from(8 * (size - 3)).ok()?;
        if 256 < mantissa.bit_len() + shift {
            return None;
        }
        mantissa << shift
    };
    if target.is_zero() { None } else { Some(target) }
}

fn saturate(value: U320) -> U256 {
    U256::uint_try_from(value).unwrap_or(U256::MAX)
}
use ruint::UintTryFrom as _;
