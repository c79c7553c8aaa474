//! What chance predicts for rounds, in integers.
//!
//! A block is found with a chance proportional to work, so the effort of one block is Exp(1), and the sum over n blocks is
//! Erlang(n): P(sum ≥ s) = e^−s · Σ s^k / k! for k < n. That is the probability of doing worse than s, which pages show.
//! Every figure is a mantissa of 128 bits with a binary exponent; no float.

use orebook_ledger::credit::EFFORT_SCALE;
use orebook_schema::units::U256;

/// Parts of one that probabilities count in.
pub const CHANCE_SCALE: u64 = 1_000_000_000_000;
/// Most blocks of one question: the sum has as many terms. More have no answer.
pub const CHANCE_BLOCKS_MAX: u32 = 1_000;

/// floor(ln 2 · 2^128).
const LN2: u128 = 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af;
/// Efforts from 2^20 on are answered with zero: even a thousand blocks exceed it with a chance below e^−900,000.
const EFFORT_MAX: u128 = EFFORT_SCALE << 20;
/// Bits that are added before a division and taken away after it.
const GUARD_BITS: usize = 64;

/// mantissa · 2^−(128 + down); the mantissa has 128 or 129 bits.
#[derive(Clone, Copy, Debug)]
struct Scaled {
    mantissa: U256,
    down: i64,
}

/// Probability, in parts of 10^12, that `blocks` blocks need at least this much effort together (`effort` in parts of 10^12,
/// as rounds keep it): 1 if nothing was spent. Of the running round ask with one block.
///
/// Rounded to the nearest part; the error is below one part. None for no block, or more than [`CHANCE_BLOCKS_MAX`].
#[must_use]
pub fn of_doing_worse(effort: u128, blocks: u32) -> Option<u64> {
    if blocks == 0 || CHANCE_BLOCKS_MAX < blocks {
        return None;
    }
    if EFFORT_MAX <= effort {
        return Some(0);
    }
    let mut term = exp_minus(effort);
    let mut sum = U256::ZERO;
    for k in 1..=blocks {
        sum += term.fixed();
        term = term.times(effort, k);
    }
    let half = U256::from(1) << 127;
    let parts = (sum * U256::from(CHANCE_SCALE) + half) >> 128;
    Some(u64::try_from(parts).map_or(CHANCE_SCALE, |parts| parts.min(CHANCE_SCALE)))
}

impl Scaled {
    /// In parts of 2^128; what is smaller is dropped.
    fn fixed(self) -> U256 {
        match usize::try_from(self.down) {
            Ok(down) if 256 <= down => U256::ZERO,
            Ok(down) => self.mantissa >> down,
            // A term of a sum of probabilities is never above one.
            Err(_) => U256::from(1) << 128,
        }
    }

    /// This · effort / k.
    fn times(self, effort: u128, k: u32) -> Self {
        // 129 + 64 bits by at most 60, so the product fits; the quotient keeps at least 128 bits or is zero.
        let product = (self.mantissa << GUARD_BITS) * U256::from(effort);
        let quotient = product / (U256::from(k) * U256::from(EFFORT_SCALE));
        Self::normal(quotient, self.down, GUARD_BITS)
    }

    /// The figure quotient · 2^−(128 + down + guard), with its mantissa brought to 128 bits.
    fn normal(quotient: U256, down: i64, guard: usize) -> Self {
        let bits = quotient.bit_len();
        let signed = |bits: usize| i64::try_from(bits).unwrap_or(0);
        if bits < 128 {
            return Self {
                mantissa: quotient << (128 - bits),
                down: down + signed(guard) + signed(128 - bits),
            };
        }
        Self {
            mantissa: quotient >> (bits - 128),
            down: down + signed(guard) - signed(bits - 128),
        }
    }
}

/// e^−effort = 2^−q · e^−r, r = effort − q · ln 2 in [0, ln 2).
fn exp_minus(effort: u128) -> Scaled {
    // effort < 2^60, so this is below 2^189; q below 2^21 costs q · 2^−128 of precision.
    let fixed = (U256::from(effort) << 128) / U256::from(EFFORT_SCALE);
    let ln2 = U256::from(LN2);
    let (q, rest) = (fixed / ln2, fixed % ln2);
    let (mut above, mut below) = (U256::ZERO, U256::ZERO);
    let mut term: U256 = U256::from(1) << 128;
    let mut k = 0u32;
    while !term.is_zero() {
        // Alternating series: even powers are added, odd ones taken away.
        if k.is_multiple_of(2) {
            above += term;
        } else {
            below += term;
        }
        k += 1;
        term = ((term * rest) >> 128) / U256::from(k);
    }
    Scaled {
        mantissa: above - below,
        down: i64::try_from(q).unwrap_or(i64::MAX),
    }
}
