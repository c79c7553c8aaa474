//! Up to four claims in step, with the SHA extensions: the rounds of one wait for each other, so others go between.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_setzero_si128,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32,
};

use orebook_schema::Hash;

use crate::Claim;
use crate::job::PreparedJob;
use crate::lanes::{Hashed, Tail, words};
use crate::rounds::{INITIAL, K};
use crate::sha256::{BLOCK_BYTES, PADDING_OF_64, bytes_of, padded};

/// A processor with the SHA extensions, SSSE3 and SSE4.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quad(());

impl Quad {
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        has.then_some(Self(()))
    }

    /// Hashes claims by four, then by two, and gives a single one back.
    pub(crate) fn hash<'a>(
        self,
        job: &PreparedJob,
        tail: &Tail,
        mut claims: &'a [Claim],
        out: &mut Vec<Hashed>,
    ) -> &'a [Claim] {
        while let Some((four, later)) = claims.split_first_chunk::<4>() {
            self.hash_chunk(job, tail, four, out);
            claims = later;
        }
        match claims {
            [a, b, c] => {
                // A lane is cheaper wasted than a claim hashed alone.
                self.hash_chunk(job, tail, &[*a, *b, *c, *c], out);
                out.pop();
                &[]
            }
            [a, b] => {
                self.hash_chunk(job, tail, &[*a, *b], out);
                &[]
            }
            rest => rest,
        }
    }

    fn hash_chunk<const N: usize>(
        self,
        job: &PreparedJob,
        tail: &Tail,
        claims: &[Claim; N],
        out: &mut Vec<Hashed>,
    ) {
        let mut states = [job.midstate.state; N];
        for (index, block) in tail.blocks().iter().enumerate() {
            if tail.varies(index) {
                self.compress(&mut states, &claims.map(|claim| tail.filled(index, &claim)));
            } else {
                self.compress(&mut states, &[*block; N]);
            }
        }
        states = self.again(&states);
        for branch in &job.branches {
            let pairs = states.map(|state| {
                let mut pair = [0; BLOCK_BYTES];
                let (left, right) = pair.split_at_mut(32);
                left.copy_from_slice(&bytes_of(state));
                right.copy_from_slice(&branch.0);
                pair
            });
            states = [INITIAL; N];
            self.compress(&mut states, &pairs);
            self.compress(&mut states, &[PADDING_OF_64; N]);
            states = self.again(&states);
        }
        let mut headers = [[0; crate::HEADER_BYTES]; N];
        for ((header, state), claim) in headers.iter_mut().zip(&states).zip(claims) {
            *header = job.header_with(claim, &bytes_of(*state));
        }
        states = [INITIAL; N];
        let first = headers.map(|header| header.first_chunk().copied().unwrap_or([0; BLOCK_BYTES]));
        self.compress(&mut states, &first);
        let last = headers.map(|header| padded(header.split_at(BLOCK_BYTES).1, 80));
        self.compress(&mut states, &last);
        for (header, state) in headers.into_iter().zip(self.again(&states)) {
            let hash = Hash(bytes_of(state));
            out.push(Hashed { header, hash });
        }
    }

    /// SHA-256 of messages that were padded into these blocks: first blocks, second blocks.
    pub(crate) fn digests<const N: usize>(
        self,
        blocks: &[[[u8; BLOCK_BYTES]; N]],
        hashes: &mut [Hash; N],
    ) {
        let mut states = [INITIAL; N];
        blocks
            .iter()
            .for_each(|blocks| self.compress(&mut states, blocks));
        *hashes = states.map(|state| Hash(bytes_of(state)));
    }

    /// SHA-256 of digests.
    fn again<const N: usize>(self, digests: &[[u32; 8]; N]) -> [[u32; 8]; N] {
        let mut states = [INITIAL; N];
        let blocks = digests.map(|digest| padded(&bytes_of(digest), 32));
        self.compress(&mut states, &blocks);
        states
    }

    #[allow(
        unsafe_code,
        reason = "calls what is compiled for a processor that has the extensions"
    )]
    fn compress<const N: usize>(self, states: &mut [[u32; 8]; N], blocks: &[[u8; BLOCK_BYTES]; N]) {
        // SAFETY: a `Quad` is made only where the processor has them.
        unsafe { compress(states, blocks) }
    }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: &[[u8; BLOCK_BYTES]; N]) {
    let zero = _mm_setzero_si128();
    let mut lanes = [Lane([zero; 2], [zero; 4]); N];
    for ((lane, state), block) in lanes.iter_mut().zip(states.iter()).zip(blocks) {
        *lane = begin(state, block);
    }
    let (first, later) = K.as_flattened().split_at(16);
    for (step, constants) in first.as_chunks::<4>().0.iter().enumerate() {
        let constants = register(*constants);
        for Lane(state, schedule) in &mut lanes {
            let words = schedule.get(step).copied().unwrap_or(zero);
            four_rounds(state, _mm_add_epi32(words, constants));
        }
    }
    for constants in later.as_chunks::<4>().0 {
        let constants = register(*constants);
        for Lane(state, schedule) in &mut lanes {
            let [w0, w1, w2, w3] = *schedule;
            let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
            let next = _mm_sha256msg2_epu32(sum, w3);
            four_rounds(state, _mm_add_epi32(next, constants));
            *schedule = [w1, w2, w3, next];
        }
    }
    for (state, Lane([abef, cdgh], _)) in states.iter_mut().zip(lanes) {
        let feba = _mm_shuffle_epi32::<0x1b>(abef);
        let dchg = _mm_shuffle_epi32::<0xb1>(cdgh);
        let new = [
            words_of(_mm_blend_epi16::<0xf0>(feba, dchg)),
            words_of(_mm_alignr_epi8::<8>(dchg, feba)),
        ];
        for (word, new) in state.iter_mut().zip(new.as_flattened()) {
            *word = word.wrapping_add(*new);
        }
    }
}

/// State (a, b, e, f and c, d, g, h, as the instructions want them) and the newest sixteen words of the schedule.
#[derive(Clone, Copy)]
struct Lane([__m128i; 2], [__m128i; 4]);

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn begin(state: &[u32; 8], block: &[u8; BLOCK_BYTES]) -> Lane {
    let [a, b, c, d, e, f, g, h] = *state;
    let words = words::<16>(block);
    let mut schedule = [_mm_setzero_si128(); 4];
    for (place, four) in schedule.iter_mut().zip(words.as_chunks().0) {
        *place = register(*four);
    }
    Lane([register([f, e, b, a]), register([h, g, d, c])], schedule)
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn four_rounds([abef, cdgh]: &mut [__m128i; 2], words: __m128i) {
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, words);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0e>(words));
}

/// Four words, the first in the lowest place.
#[target_feature(enable = "sse2")]
#[inline]
#[allow(unsafe_code, reason = "a register from memory")]
fn register(words: [u32; 4]) -> __m128i {
    // SAFETY: both are 16 bytes without padding, and every bit pattern is legal in both.
    unsafe { core::mem::transmute::<[u32; 4], __m128i>(words) }
}

#[target_feature(enable = "sse2")]
#[inline]
#[allow(unsafe_code, reason = "a register to memory")]
fn words_of(register: __m128i) -> [u32; 4] {
    // SAFETY: as in `register`.
    unsafe { core::mem::transmute::<__m128i, [u32; 4]>(register) }
}
