//! Pages of the dataset from the cache, many in step.
//!
//! An item is a walk over 256 rows of the cache, each named by the rows before: alone it waits for memory at every step. So
//! the walks of all items that are wanted take each step together, and all rows of a step are asked for before the first is
//! used.

use super::keccak::{keccak512, narrow, wide};
use super::{Row, Words, fnv, row_of, row_words};

/// Rows that make an item.
const PARENTS: u32 = 256;
/// Pages that are made together for a dataset's file.
const FILL_TOGETHER: usize = 8;

/// Remainders of 32-bit numbers by one divisor without a division, exact for each (D. Lemire, O. Kaser, N. Kurz, *Faster
/// remainder by direct computation*, 2019).
#[derive(Clone, Copy, Debug)]
pub(super) struct Remainder {
    divisor: u32,
    /// ceil(2^64 / divisor).
    inverse: u64,
}

impl Remainder {
    pub(super) const fn by(divisor: u32) -> Self {
        assert!(1 < divisor, "remainders are by more than one");
        Self {
            divisor,
            inverse: u64::MAX / divisor as u64 + 1,
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the upper half of a fraction times the divisor is below the divisor"
    )]
    #[inline(always)]
    pub(super) const fn of(self, number: u32) -> u32 {
        let fraction = self.inverse.wrapping_mul(number as u64);
        ((fraction as u128 * self.divisor as u128) >> 64) as u32
    }
}

/// What the processor can do: with AVX2 eight words are mixed at once. Both ways give the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// A processor with AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Way {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self::Avx2(Avx2(()));
        }
        Self::Plain
    }

    /// The pages at these indices, two items each.
    #[allow(
        unsafe_code,
        reason = "calls what is compiled for a processor that has AVX2"
    )]
    pub(super) fn pages<const N: usize>(
        self,
        rows: &[Row],
        by: Remainder,
        at: &[u32; N],
        pages: &mut [[Words; 2]; N],
    ) {
        match self {
            Self::Plain => walk(rows, by, at, pages),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Avx2` is made only where the processor has AVX2.
            Self::Avx2(Avx2(())) => unsafe { walk_avx2(rows, by, at, pages) },
        }
    }

    /// The pages from `first` on, as a dataset holds them.
    pub(super) fn fill(self, rows: &[Row], by: Remainder, first: u32, out: &mut [[Row; 2]]) {
        let mut next = first;
        for places in out.chunks_mut(FILL_TOGETHER) {
            let mut at = [0; FILL_TOGETHER];
            for index in &mut at {
                *index = next;
                next = next.wrapping_add(1);
            }
            let mut pages = [[[0; 16]; 2]; FILL_TOGETHER];
            self.pages(rows, by, &at, &mut pages);
            // The last time there are fewer places than pages.
            for (place, page) in places.iter_mut().zip(&pages) {
                *place = [row_of(&page[0]), row_of(&page[1])];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn walk_avx2<const N: usize>(
    rows: &[Row],
    by: Remainder,
    at: &[u32; N],
    pages: &mut [[Words; 2]; N],
) {
    walk(rows, by, at, pages);
}

/// Compiled into each way, which is why it must be inlined.
#[inline(always)]
fn walk<const N: usize>(rows: &[Row], by: Remainder, at: &[u32; N], pages: &mut [[Words; 2]; N]) {
    let indices = at.map(|page| [page.wrapping_mul(2), page.wrapping_mul(2).wrapping_add(1)]);
    let indices = indices.as_flattened();
    let items = pages.as_flattened_mut();
    for (item, index) in items.iter_mut().zip(indices) {
        let mut row = row_words(rows, by.of(*index));
        row[0] ^= index;
        *item = hashed(&row);
    }
    for parent in 0..PARENTS {
        let word = parent as usize % 16;
        let mut wanted = [[0; 2]; N];
        let wanted = wanted.as_flattened_mut();
        for ((wanted, item), index) in wanted.iter_mut().zip(&*items).zip(indices) {
            let named = item.get(word).copied().unwrap_or_default();
            *wanted = by.of(fnv(index ^ parent, named));
            prefetch(rows, *wanted);
        }
        for (item, wanted) in items.iter_mut().zip(wanted) {
            let row = row_words(rows, *wanted);
            for (word, row) in item.iter_mut().zip(row) {
                *word = fnv(*word, row);
            }
        }
    }
    for item in items {
        *item = hashed(item);
    }
}

#[inline]
fn hashed(item: &Words) -> Words {
    narrow(&keccak512(&wide(item)))
}

/// Asks for a row, without waiting for it.
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "a hint to the processor; half as fast again as without"
)]
#[inline(always)]
fn prefetch(rows: &[Row], at: u32) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    if let Some(row) = rows.get(at as usize) {
        // SAFETY: every x86-64 has SSE; a prefetch reads nothing that the program sees, and the address is a row's.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch(_: &[Row], _: u32) {}

#[cfg(test)]
mod tests {
    use super::{Remainder, Way};
    use crate::ethash::ROW_BYTES;

    #[test]
    fn remainders_without_division_are_those_of_a_division() {
        for divisor in [2, 3, 7, 262_139, 1_183_739, u32::MAX - 4, u32::MAX] {
            let by = Remainder::by(divisor);
            let near = [0, 1, divisor - 1, divisor, u32::MAX - 1, u32::MAX];
            let far = (0..100_000_u32).map(|number| number.wrapping_mul(2_654_435_761));
            for number in near.into_iter().chain(far) {
                assert_eq!(by.of(number), number % divisor, "{number} by {divisor}");
            }
        }
    }

    #[test]
    fn every_way_of_this_processor_makes_the_same_pages_together_and_alone() {
        let rows: Vec<[u8; ROW_BYTES]> = (0..=252_u8)
            .map(|row| {
                std::array::from_fn(|at| row.wrapping_mul(31) ^ u8::try_from(at).unwrap_or(0))
            })
            .collect();
        let by = Remainder::by(253);
        let mut plain = [[[0; 16]; 2]; 8];
        let at = [0, 1, 2, 99, 5_000, 5_000, 123_456_789, u32::MAX / 2];
        Way::Plain.pages(&rows, by, &at, &mut plain);
        let mut detected = [[[0; 16]; 2]; 8];
        Way::detect().pages(&rows, by, &at, &mut detected);
        assert_eq!(detected, plain);
        for (index, page) in at.iter().zip(&plain) {
            let mut alone = [[[0; 16]; 2]; 1];
            Way::Plain.pages(&rows, by, &[*index], &mut alone);
            assert_eq!(alone[0], *page, "page {index}");
        }
    }
}
