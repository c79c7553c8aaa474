//! Many claims of one job at once: what the ways to do it share, and which is taken.
//!
//! A way is a processor's: [`wide`](crate::wide) for AVX-512, [`quad`](crate::quad) for the SHA extensions; without either,
//! claims are hashed one by one. All give the same, for every number of claims; the tests below compare them.

use std::ops::Range;

use orebook_schema::Hash;

use crate::job::PreparedJob;
use crate::quad::Quad;
use crate::sha256::{BLOCK_BYTES, MARK};
use crate::wide::Wide;
use crate::{Claim, HEADER_BYTES};

/// From how many claims on sixteen lanes beat rounds of four (measured: 747 ns a share of sixteen, 1,040 of four, 1,870 alone,
/// with twelve branches).
const WIDE_CLAIMS_MIN: usize = 11;

/// The same without the SHA extensions, where the other way is one by one.
const WIDE_ALONE_CLAIMS_MIN: usize = 5;

/// A header and its SHA-256d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashed {
    pub(crate) header: [u8; HEADER_BYTES],
    pub(crate) hash: Hash,
}

/// What this processor can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    pub(crate) wide: Option<Wide>,
    pub(crate) quad: Option<Quad>,
}

impl Lanes {
    pub(crate) fn detect() -> Self {
        Self {
            wide: Wide::detect(),
            quad: Quad::detect(),
        }
    }

    /// Hashes claims and appends the results in order; what no way takes is left over.
    pub(crate) fn hash<'a>(
        self,
        job: &PreparedJob,
        claims: &'a [Claim],
        out: &mut Vec<Hashed>,
    ) -> &'a [Claim] {
        if claims.len() < 2 {
            return claims;
        }
        // Lanes go in step, so coinbases must be of one length.
        let Some(tail) = Tail::of(job, claims) else {
            return claims;
        };
        let wide_min = match self.quad {
            Some(_) => WIDE_CLAIMS_MIN,
            None => WIDE_ALONE_CLAIMS_MIN,
        };
        let mut claims = claims;
        if let Some(wide) = self.wide {
            while wide_min <= claims.len() {
                claims = wide.hash(job, &tail, claims, out);
            }
        }
        match self.quad {
            Some(quad) => quad.hash(job, &tail, claims, out),
            None => claims,
        }
    }
}

/// The blocks of a coinbase after the midstate, padded, with a hole where each claim has its extranonces.
#[derive(Debug)]
pub(crate) struct Tail {
    blocks: Vec<[u8; BLOCK_BYTES]>,
    hole_at: usize,
    hole_bytes: usize,
}

impl Tail {
    /// `None` if there is no claim, or if extranonces differ in length.
    fn of(job: &PreparedJob, claims: &[Claim]) -> Option<Self> {
        let hole_bytes = extranonces(claims.first()?).1;
        if claims
            .iter()
            .any(|claim| extranonces(claim).1 != hole_bytes)
        {
            return None;
        }
        let rest = job.rest();
        let mut bytes = Vec::with_capacity(rest.len() + hole_bytes + job.coinbase2.len() + 128);
        bytes.extend_from_slice(rest);
        bytes.resize(rest.len() + hole_bytes, 0);
        bytes.extend_from_slice(&job.coinbase2);
        let message_bytes = job.midstate.bytes + bytes.len() as u64;
        bytes.push(MARK);
        let with_length = (bytes.len() + 8).next_multiple_of(BLOCK_BYTES);
        bytes.resize(with_length - 8, 0);
        bytes.extend_from_slice(&(message_bytes * 8).to_be_bytes());
        Some(Self {
            blocks: bytes.as_chunks().0.to_vec(),
            hole_at: rest.len(),
            hole_bytes,
        })
    }

    pub(crate) fn blocks(&self) -> &[[u8; BLOCK_BYTES]] {
        &self.blocks
    }

    /// Whether a block is another for each claim.
    pub(crate) fn varies(&self, block: usize) -> bool {
        let start = block * BLOCK_BYTES;
        start < self.hole_at + self.hole_bytes && self.hole_at < start + BLOCK_BYTES
    }

    /// Which words of a block are another for each claim.
    pub(crate) fn words_that_vary(&self, block: usize) -> Range<usize> {
        let start = block * BLOCK_BYTES;
        let first = self.hole_at.saturating_sub(start) / 4;
        let end = (self.hole_at + self.hole_bytes).saturating_sub(start);
        first..end.div_ceil(4).min(BLOCK_BYTES / 4)
    }

    /// A block with the extranonces of a claim.
    pub(crate) fn filled(&self, index: usize, claim: &Claim) -> [u8; BLOCK_BYTES] {
        let mut block = self.blocks.get(index).copied().unwrap_or([0; BLOCK_BYTES]);
        let (bytes, count) = extranonces(claim);
        let filling = bytes.get(..count).unwrap_or_default();
        // The hole may have begun in the block before.
        let start = index * BLOCK_BYTES;
        let filling = filling.get(start.saturating_sub(self.hole_at)..);
        let place = block.get_mut(self.hole_at.saturating_sub(start)..);
        for (place, byte) in place.into_iter().flatten().zip(filling.unwrap_or_default()) {
            *place = *byte;
        }
        block
    }
}

/// Both extranonces joined, and how many bytes they are.
fn extranonces(claim: &Claim) -> ([u8; 16], usize) {
    let (first, second) = (claim.extranonce1.bytes(), claim.extranonce2.bytes());
    let mut joined = [0; 16];
    for (place, byte) in joined.iter_mut().zip(first.iter().chain(second)) {
        *place = *byte;
    }
    (joined, first.len() + second.len())
}

/// The big-endian words that SHA-256 reads.
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use orebook_schema::genesis::Algorithm;
    use orebook_schema::work::{Extranonce, Job};
    use orebook_schema::{At, Hash};

    use super::{Hashed, Lanes};
    use crate::quad::Quad;
    use crate::wide::Wide;
    use crate::{Claim, PreparedJob};

    /// SplitMix64: the same jobs and claims in every run.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }

        fn below(&mut self, limit: u64) -> usize {
            usize::try_from(self.next() % limit).unwrap()
        }

        fn number(&mut self) -> u32 {
            u32::try_from(self.next() >> 32).unwrap()
        }

        fn bytes(&mut self, count: usize) -> Vec<u8> {
            (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
        }

        fn hash(&mut self) -> Hash {
            Hash(self.bytes(32).try_into().unwrap())
        }

        fn job(&mut self) -> Job {
            let (first, second, branches) = (self.below(200), self.below(400), self.below(17));
            Job {
                number: 0,
                policy: At::default(),
                height: 1,
                network_work: 1,
                reward: 0,
                fees: 0,
                direct: 0,
                version: self.number(),
                prev: self.hash(),
                nbits: 0x207f_ffff,
                time: self.number(),
                clean: false,
                coinbase1: self.bytes(first),
                coinbase2: self.bytes(second),
                branches: (0..branches).map(|_| self.hash()).collect(),
            }
        }

        fn claim(&mut self, first: usize, second: usize) -> Claim {
            Claim {
                extranonce1: Extranonce::new(&self.bytes(first)).unwrap(),
                extranonce2: Extranonce::new(&self.bytes(second)).unwrap(),
                ntime: self.number(),
                nonce: self.number(),
                version: self.number(),
            }
        }
    }

    fn one_by_one(job: &PreparedJob, claims: &[Claim]) -> Vec<Hashed> {
        let proofs = claims.iter().map(|claim| job.prove(claim));
        proofs
            .map(|proof| Hashed {
                header: proof.header,
                hash: proof.block_hash,
            })
            .collect()
    }

    /// Every set of ways that this processor has.
    fn ways() -> Vec<Lanes> {
        let all = Lanes::detect();
        let mut ways = vec![all];
        ways.extend(all.wide.map(|wide| Lanes {
            wide: Some(wide),
            quad: None,
        }));
        ways.extend(all.quad.map(|quad| Lanes {
            wide: None,
            quad: Some(quad),
        }));
        ways
    }

    #[test]
    fn every_way_gives_what_one_lane_gives_for_every_number_of_claims() {
        let mut numbers = Numbers(7);
        for round in 0..12 {
            let job = PreparedJob::new(&numbers.job(), Algorithm::Sha256d).unwrap();
            let (first, second) = (numbers.below(9), numbers.below(9));
            for count in 0..=70 {
                let claims: Vec<Claim> = (0..count).map(|_| numbers.claim(first, second)).collect();
                let expected = one_by_one(&job, &claims);
                for way in ways() {
                    let mut hashed = Vec::new();
                    let left = way.hash(&job, &claims, &mut hashed);
                    hashed.extend(one_by_one(&job, left));
                    assert_eq!(hashed, expected, "round {round}, {count} claims, {way:?}");
                }
            }
        }
    }

    #[test]
    fn every_place_of_the_extranonces_in_a_block_is_filled() {
        let mut numbers = Numbers(8);
        for before in 0..=130 {
            let second = before % 9;
            let job = Job {
                coinbase1: numbers.bytes(before),
                coinbase2: numbers.bytes(130 - before),
                ..numbers.job()
            };
            let job = PreparedJob::new(&job, Algorithm::Sha256d).unwrap();
            let claims: Vec<Claim> = (0..20).map(|_| numbers.claim(4, second)).collect();
            let expected = one_by_one(&job, &claims);
            for way in ways() {
                let mut hashed = Vec::new();
                let left = way.hash(&job, &claims, &mut hashed);
                hashed.extend(one_by_one(&job, left));
                assert_eq!(hashed, expected, "{before} bytes before, {way:?}");
            }
        }
    }

    #[test]
    fn claims_of_different_lengths_are_left_over() {
        let mut numbers = Numbers(9);
        let job = PreparedJob::new(&numbers.job(), Algorithm::Sha256d).unwrap();
        let claims = [4, 4, 4, 3].map(|second| numbers.claim(4, second));
        let mut hashed = Vec::new();
        assert_eq!(Lanes::detect().hash(&job, &claims, &mut hashed), claims);
        assert!(hashed.is_empty());
        let mut proofs = Vec::new();
        job.prove_batch(&claims, &mut proofs);
        assert_eq!(proofs, claims.map(|claim| job.prove(&claim)));
    }

    #[test]
    fn single_ways_take_what_they_are_given() {
        let mut numbers = Numbers(10);
        let job = PreparedJob::new(&numbers.job(), Algorithm::Sha256d).unwrap();
        let claims: Vec<Claim> = (0..33).map(|_| numbers.claim(4, 4)).collect();
        let tail = super::Tail::of(&job, &claims).unwrap();
        if let Some(wide) = Wide::detect() {
            for count in 1..=33 {
                let mut hashed = Vec::new();
                let left = wide.hash(&job, &tail, &claims[..count], &mut hashed);
                let taken = if count < 26 {
                    count.min(16)
                } else {
                    count.min(32)
                };
                assert_eq!((left.len(), hashed.len()), (count - taken, taken));
                assert_eq!(hashed, one_by_one(&job, &claims[..taken]), "{count}");
            }
        }
        if let Some(quad) = Quad::detect() {
            for count in 0..=33 {
                let mut hashed = Vec::new();
                let left = quad.hash(&job, &tail, &claims[..count], &mut hashed);
                assert_eq!(left.len(), usize::from(count % 4 == 1), "{count}");
                assert_eq!(
                    hashed,
                    one_by_one(&job, &claims[..count - left.len()]),
                    "{count}"
                );
            }
        }
    }
}
