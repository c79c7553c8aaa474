//! Sixteen or thirty-two claims at once, with AVX-512: each claim has a lane, each word of a block a register.
//!
//! A share stays in its lane from the coinbase to the header: what all claims have (branches, parent, bits) is spread over
//! the lanes, only extranonces, version, time and nonce are gathered.

mod many;

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_ror_epi32, _mm512_set1_epi32, _mm512_srli_epi32,
    _mm512_ternarylogic_epi32,
};

use orebook_schema::Hash;

use crate::Claim;
use crate::job::PreparedJob;
use crate::lanes::{Hashed, Tail, words};
use crate::rounds::{INITIAL, K, K_AND_PADDING_OF_64};
use crate::sha256::bytes_of;

/// Claims, or messages, in a register.
const LANES: usize = 16;

/// From how many on thirty-two lanes beat sixteen and the rest by four.
const BOTH_MIN: usize = 26;

/// A processor with AVX-512F and AVX-512BW.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide(());

impl Wide {
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        has.then_some(Self(()))
    }

    /// Hashes the first claims, 16 or 32 of them or what there is, and gives the others back.
    #[allow(
        unsafe_code,
        reason = "calls what is compiled for a processor that has AVX-512"
    )]
    pub(crate) fn hash<'a>(
        self,
        job: &PreparedJob,
        tail: &Tail,
        claims: &'a [Claim],
        out: &mut Vec<Hashed>,
    ) -> &'a [Claim] {
        if claims.len() < BOTH_MIN {
            let (now, later) = claims.split_at(claims.len().min(LANES));
            // SAFETY: a `Wide` is made only where the processor has AVX-512F.
            unsafe { hash::<1>(job, tail, now, out) };
            later
        } else {
            let (now, later) = claims.split_at(claims.len().min(2 * LANES));
            // SAFETY: as above.
            unsafe { hash::<2>(job, tail, now, out) };
            later
        }
    }
}

/// One word of every lane, in N registers.
#[derive(Clone, Copy)]
struct Word<const N: usize>([__m512i; N]);

/// One word of every lane, in memory.
type Column<const N: usize> = [[u32; LANES]; N];

type State<const N: usize> = [Word<N>; 8];
type Block<const N: usize> = [Word<N>; 16];

#[target_feature(enable = "avx512f")]
fn hash<const N: usize>(job: &PreparedJob, tail: &Tail, claims: &[Claim], out: &mut Vec<Hashed>) {
    let mut state = coinbase(job, tail, claims);
    for branch in &job.branches {
        let mut pair = [spread(0); 16];
        let (left, right) = pair.split_at_mut(8);
        left.copy_from_slice(&state);
        right.copy_from_slice(&all_spread::<8, N>(words(&branch.0)));
        state = all_spread(INITIAL);
        compress(&mut state, &pair);
        compress_padding(&mut state);
        state = again(state);
    }
    let root = state;
    let hashes = stored(again(headers(job, claims, &root)));
    let roots = stored(root);
    for (lane, claim) in claims.iter().enumerate() {
        out.push(Hashed {
            header: job.header_with(claim, &bytes_of(lane_of(&roots, lane))),
            hash: Hash(bytes_of(lane_of(&hashes, lane))),
        });
    }
}

/// Ids of the claims' coinbases.
#[target_feature(enable = "avx512f")]
fn coinbase<const N: usize>(job: &PreparedJob, tail: &Tail, claims: &[Claim]) -> State<N> {
    let mut state = all_spread(job.midstate.state);
    for (index, block) in tail.blocks().iter().enumerate() {
        let block = if tail.varies(index) {
            let filled: Vec<[u32; 16]> = claims
                .iter()
                .map(|claim| words(&tail.filled(index, claim)))
                .collect();
            let mut block = all_spread(words(block));
            for at in tail.words_that_vary(index) {
                if let Some(place) = block.get_mut(at) {
                    let word = |words: &[u32; 16]| words.get(at).copied().unwrap_or_default();
                    *place = gathered(filled.iter().map(word));
                }
            }
            block
        } else {
            all_spread(words(block))
        };
        compress(&mut state, &block);
    }
    again(state)
}

/// SHA-256 of the claims' headers, whose numbers are little-endian.
#[target_feature(enable = "avx512f")]
fn headers<const N: usize>(job: &PreparedJob, claims: &[Claim], root: &State<N>) -> State<N> {
    let [p0, p1, p2, p3, p4, p5, p6, p7] = all_spread(words(&job.prev.0));
    let [r0, r1, r2, r3, r4, r5, r6, r7] = *root;
    let version = gathered(claims.iter().map(|claim| claim.version.swap_bytes()));
    let mut state = all_spread(INITIAL);
    let first = [
        version, p0, p1, p2, p3, p4, p5, p6, p7, r0, r1, r2, r3, r4, r5, r6,
    ];
    compress(&mut state, &first);
    let mut last = [spread(0); 16];
    last[0] = r7;
    last[1] = gathered(claims.iter().map(|claim| claim.ntime.swap_bytes()));
    last[2] = spread(job.nbits.swap_bytes());
    last[3] = gathered(claims.iter().map(|claim| claim.nonce.swap_bytes()));
    last[4] = spread(0x8000_0000);
    last[15] = spread(80 * 8);
    compress(&mut state, &last);
    state
}

/// SHA-256 of a digest of each lane.
#[target_feature(enable = "avx512f")]
fn again<const N: usize>(digest: State<N>) -> State<N> {
    let mut block = [spread(0); 16];
    block.split_at_mut(8).0.copy_from_slice(&digest);
    block[8] = spread(0x8000_0000);
    block[15] = spread(32 * 8);
    let mut state = all_spread(INITIAL);
    compress(&mut state, &block);
    state
}

/// Eight rounds, after which every word stands where it stood. Written out, so that words stay in registers.
macro_rules! eight_rounds {
    ($state:ident, $w0:expr, $w1:expr, $w2:expr, $w3:expr, $w4:expr, $w5:expr, $w6:expr, $w7:expr) => {{
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = $state;
        round(a, b, c, &mut d, e, f, g, &mut h, $w0);
        round(h, a, b, &mut c, d, e, f, &mut g, $w1);
        round(g, h, a, &mut b, c, d, e, &mut f, $w2);
        round(f, g, h, &mut a, b, c, d, &mut e, $w3);
        round(e, f, g, &mut h, a, b, c, &mut d, $w4);
        round(d, e, f, &mut g, h, a, b, &mut c, $w5);
        round(c, d, e, &mut f, g, h, a, &mut b, $w6);
        round(b, c, d, &mut e, f, g, h, &mut a, $w7);
        $state = [a, b, c, d, e, f, g, h];
    }};
}

/// A word with its constant; its place takes the word of the schedule sixteen after it.
macro_rules! taken {
    ($w:ident, $k:ident, $at:literal $after1:literal $after9:literal $after14:literal) => {{
        let word = plus($w[$at], $k[$at]);
        $w[$at] = scheduled($w[$at], $w[$after1], $w[$after9], $w[$after14]);
        word
    }};
}

/// A word with its constant, where no word is scheduled any more.
macro_rules! used {
    ($w:ident, $k:ident, $at:literal $after1:literal $after9:literal $after14:literal) => {
        plus($w[$at], $k[$at])
    };
}

/// Sixteen rounds; what is done with each word, `taken` or `used`, is a macro.
macro_rules! sixteen_rounds {
    ($state:ident, $w:ident, $k:ident, $word:ident) => {
        eight_rounds!(
            $state,
            $word!($w, $k, 0 1 9 14),
            $word!($w, $k, 1 2 10 15),
            $word!($w, $k, 2 3 11 0),
            $word!($w, $k, 3 4 12 1),
            $word!($w, $k, 4 5 13 2),
            $word!($w, $k, 5 6 14 3),
            $word!($w, $k, 6 7 15 4),
            $word!($w, $k, 7 8 0 5)
        );
        eight_rounds!(
            $state,
            $word!($w, $k, 8 9 1 6),
            $word!($w, $k, 9 10 2 7),
            $word!($w, $k, 10 11 3 8),
            $word!($w, $k, 11 12 4 9),
            $word!($w, $k, 12 13 5 10),
            $word!($w, $k, 13 14 6 11),
            $word!($w, $k, 14 15 7 12),
            $word!($w, $k, 15 0 8 13)
        );
    };
}

#[target_feature(enable = "avx512f")]
fn compress<const N: usize>(state: &mut State<N>, block: &Block<N>) {
    let (mut s, mut w) = (*state, *block);
    // Written out: as a loop, words go through memory between its turns.
    let [first, second, third, last] = &K;
    sixteen_rounds!(s, w, first, taken);
    sixteen_rounds!(s, w, second, taken);
    sixteen_rounds!(s, w, third, taken);
    sixteen_rounds!(s, w, last, used);
    for (word, new) in state.iter_mut().zip(s) {
        *word = add(*word, new);
    }
}

/// The block that follows exactly 64 bytes: its schedule is known.
#[target_feature(enable = "avx512f")]
fn compress_padding<const N: usize>(state: &mut State<N>) {
    let mut s = *state;
    for k in K_AND_PADDING_OF_64.as_chunks::<8>().0 {
        eight_rounds!(
            s,
            spread(k[0]),
            spread(k[1]),
            spread(k[2]),
            spread(k[3]),
            spread(k[4]),
            spread(k[5]),
            spread(k[6]),
            spread(k[7])
        );
    }
    for (word, new) in state.iter_mut().zip(s) {
        *word = add(*word, new);
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn scheduled<const N: usize>(
    at: Word<N>,
    one: Word<N>,
    nine: Word<N>,
    fourteen: Word<N>,
) -> Word<N> {
    let first = xor3(
        rotate::<7, N>(one),
        rotate::<18, N>(one),
        shift::<3, N>(one),
    );
    let last = xor3(
        rotate::<17, N>(fourteen),
        rotate::<19, N>(fourteen),
        shift::<10, N>(fourteen),
    );
    add(add(at, first), add(nine, last))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn plus<const N: usize>(word: Word<N>, constant: u32) -> Word<N> {
    add(word, spread(constant))
}

#[target_feature(enable = "avx512f")]
#[inline]
#[allow(
    clippy::too_many_arguments,
    reason = "the eight words of a state, as the standard names them"
)]
fn round<const N: usize>(
    a: Word<N>,
    b: Word<N>,
    c: Word<N>,
    d: &mut Word<N>,
    e: Word<N>,
    f: Word<N>,
    g: Word<N>,
    h: &mut Word<N>,
    added: Word<N>,
) {
    let sum1 = xor3(rotate::<6, N>(e), rotate::<11, N>(e), rotate::<25, N>(e));
    let first = add(add(*h, added), add(sum1, ternary::<CHOOSE, N>(e, f, g)));
    let sum0 = xor3(rotate::<2, N>(a), rotate::<13, N>(a), rotate::<22, N>(a));
    *d = add(*d, first);
    *h = add(first, add(sum0, ternary::<MAJORITY, N>(a, b, c)));
}

/// Truth tables of three bits, as the instruction takes them.
const XOR: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

#[target_feature(enable = "avx512f")]
#[inline]
fn ternary<const TABLE: i32, const N: usize>(x: Word<N>, y: Word<N>, z: Word<N>) -> Word<N> {
    let mut out = x;
    for ((out, y), z) in out.0.iter_mut().zip(&y.0).zip(&z.0) {
        *out = _mm512_ternarylogic_epi32::<TABLE>(*out, *y, *z);
    }
    out
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor3<const N: usize>(x: Word<N>, y: Word<N>, z: Word<N>) -> Word<N> {
    ternary::<XOR, N>(x, y, z)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add<const N: usize>(x: Word<N>, y: Word<N>) -> Word<N> {
    let mut out = x;
    for (out, y) in out.0.iter_mut().zip(&y.0) {
        *out = _mm512_add_epi32(*out, *y);
    }
    out
}

#[target_feature(enable = "avx512f")]
#[inline]
fn rotate<const BITS: i32, const N: usize>(x: Word<N>) -> Word<N> {
    let mut out = x;
    for out in &mut out.0 {
        *out = _mm512_ror_epi32::<BITS>(*out);
    }
    out
}

#[target_feature(enable = "avx512f")]
#[inline]
fn shift<const BITS: u32, const N: usize>(x: Word<N>) -> Word<N> {
    let mut out = x;
    for out in &mut out.0 {
        *out = _mm512_srli_epi32::<BITS>(*out);
    }
    out
}

#[target_feature(enable = "avx512f")]
#[inline]
fn spread<const N: usize>(word: u32) -> Word<N> {
    Word([_mm512_set1_epi32(word.cast_signed()); N])
}

#[target_feature(enable = "avx512f")]
#[inline]
fn all_spread<const COUNT: usize, const N: usize>(words: [u32; COUNT]) -> [Word<N>; COUNT] {
    let mut all = [spread(0); COUNT];
    for (place, word) in all.iter_mut().zip(words) {
        *place = spread(word);
    }
    all
}

/// The state of one lane.
fn lane_of<const N: usize>(state: &[Column<N>; 8], lane: usize) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, column) in words.iter_mut().zip(state) {
        *word = column.as_flattened().get(lane).copied().unwrap_or_default();
    }
    words
}

/// A word that each lane has its own of; lanes without a claim have zero.
#[target_feature(enable = "avx512f")]
#[inline]
#[allow(unsafe_code, reason = "registers from memory")]
fn gathered<const N: usize>(values: impl Iterator<Item = u32>) -> Word<N> {
    let mut column: Column<N> = [[0; LANES]; N];
    for (place, value) in column.as_flattened_mut().iter_mut().zip(values) {
        *place = value;
    }
    let mut word = spread(0);
    for (register, lanes) in word.0.iter_mut().zip(column) {
        // SAFETY: both are 64 bytes without padding, and every bit pattern is legal in both.
        *register = unsafe { core::mem::transmute::<[u32; LANES], __m512i>(lanes) };
    }
    word
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "registers to memory")]
fn stored<const N: usize>(state: State<N>) -> [Column<N>; 8] {
    let mut columns = [[[0; LANES]; N]; 8];
    for (column, word) in columns.iter_mut().zip(&state) {
        for (lanes, register) in column.iter_mut().zip(&word.0) {
            // SAFETY: as in `gathered`.
            *lanes = unsafe { core::mem::transmute::<__m512i, [u32; LANES]>(*register) };
        }
    }
    columns
}
