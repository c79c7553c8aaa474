//! Randomness from a seed: xoshiro256** of Blackman and Vigna, seeded by SplitMix64. The same seed gives the same
//! numbers for ever, so a failed seed found years ago still shows its failure.

/// A seeded source of numbers. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

/// One step of SplitMix64: moves `state` and mixes it.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The numbers of `seed`; every seed is good, 0 too.
    #[must_use]
    pub fn new(mut seed: u64) -> Self {
        Self {
            state: std::array::from_fn(|_| split_mix(&mut seed)),
        }
    }

    /// The next number, any of 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }

    /// A number below `n`; 0 if `n` is 0. The bias is under n / 2^64.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next_u64().checked_rem(n).unwrap_or(0)
    }

    /// True `numerator` times out of `denominator` in the long run; never if `denominator` is 0.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        let drawn = self.below(denominator);
        denominator > 0 && drawn < numerator
    }

    /// A number from `lo` up to and without `hi`; `lo` if there is none.
    pub fn range(&mut self, lo: u64, hi: u64) -> u64 {
        lo.saturating_add(self.below(hi.saturating_sub(lo)))
    }

    /// Fills `bytes`; eight bytes, or what is left, from each number.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next_u64().to_le_bytes()) {
                *to = from;
            }
        }
    }

    /// A source of its own, seeded by the next number: what one actor draws then moves no other actor's numbers.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<const N: usize>(mut next: impl FnMut() -> u64) -> [u64; N] {
        std::array::from_fn(|_| next())
    }

    #[test]
    fn the_authors_reference_numbers_come_out() {
        let mut seed = 1_234_567;
        let split = first(|| split_mix(&mut seed));
        assert_eq!(
            split,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
        let mut rng = Rng {
            state: [1, 2, 3, 4],
        };
        let stars = first(|| rng.next_u64());
        assert_eq!(
            stars,
            [
                11_520,
                0,
                1_509_978_240,
                1_215_971_899_390_074_240,
                1_216_172_134_540_287_360,
                607_988_272_756_665_600,
                16_172_922_978_634_559_625,
                8_476_171_486_693_032_832,
                10_595_114_339_597_558_777,
                2_904_607_092_377_533_576,
            ]
        );
    }

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut rng = Rng::new(0);
        let numbers = first(|| rng.next_u64());
        assert_eq!(
            numbers,
            [
                11_091_344_671_253_066_420,
                13_793_997_310_169_335_082,
                1_900_383_378_846_508_768
            ]
        );
        assert_eq!(
            (rng.below(6), rng.range(10, 20), rng.chance(1, 2)),
            (4, 17, true)
        );
        let mut bytes = [0; 11];
        rng.fill(&mut bytes);
        assert_eq!(bytes, [152, 76, 245, 210, 238, 13, 22, 108, 63, 10, 195]);
        assert_eq!(rng.fork().next_u64(), 8_367_321_170_050_143_165);
        assert_eq!(rng.next_u64(), 16_949_938_600_482_740_797);
    }

    #[test]
    fn the_edges_are_defined() {
        let mut rng = Rng::new(7);
        assert_eq!(
            (rng.below(0), rng.below(1), rng.range(5, 5), rng.range(9, 5)),
            (0, 0, 5, 9)
        );
        assert!((0..100).all(|_| !rng.chance(1, 0) && !rng.chance(0, 3) && rng.chance(3, 3)));
        assert!((0..100).all(|_| (10..13).contains(&rng.range(10, 13))));
        rng.range(0, u64::MAX);
        rng.fill(&mut []);
    }

    #[test]
    fn a_die_is_fair_enough() {
        let mut rng = Rng::new(3);
        let mut faces = [0_u32; 6];
        for _ in 0..60_000 {
            faces[usize::try_from(rng.below(6)).unwrap()] += 1;
        }
        assert!(
            faces.iter().all(|count| (9_600..10_400).contains(count)),
            "{faces:?}"
        );
    }
}
