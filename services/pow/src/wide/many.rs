//! Sixteen or thirty-two short messages at once: a message is loaded as a row, rows are turned into words of all lanes.

use std::arch::x86_64::{
    __m512i, _mm512_mask_mov_epi8, _mm512_maskz_loadu_epi8, _mm512_permutex2var_epi64,
    _mm512_set1_epi8, _mm512_set4_epi32, _mm512_setr_epi64, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_slli_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use orebook_schema::Hash;

use super::{
    BOTH_MIN, Block, LANES, State, Wide, Word, add, all_spread, compress, gathered, plus, shift,
    spread,
};
use crate::many::{PAIR_BYTES, SHORT_BYTES_MAX};
use crate::rounds::INITIAL;
use crate::sha256::MARK;

/// Sixteen messages, one a register.
type Rows = [__m512i; LANES];

impl Wide {
    /// Hashes the first messages behind the prefix, 16 or 32 of them or what there is, and says how many. The place of a
    /// message that is longer than a block gets the hash of nothing.
    #[allow(
        unsafe_code,
        reason = "calls what is compiled for a processor that has AVX-512"
    )]
    pub(crate) fn prefixed(self, prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]) -> usize {
        let count = messages.len().min(hashes.len());
        if count < BOTH_MIN {
            // SAFETY: a `Wide` is made only where the processor has AVX-512F and BW.
            unsafe { prefixed::<1>(prefix, messages, hashes) }
            count.min(LANES)
        } else {
            // SAFETY: as above.
            unsafe { prefixed::<2>(prefix, messages, hashes) }
            count.min(2 * LANES)
        }
    }

    /// Hashes the first pairs behind the prefix, 16 or 32 of them or what there is, and says how many.
    #[allow(
        unsafe_code,
        reason = "calls what is compiled for a processor that has AVX-512"
    )]
    pub(crate) fn pairs(self, prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]) -> usize {
        let count = pairs.len().min(hashes.len());
        if count < BOTH_MIN {
            // SAFETY: a `Wide` is made only where the processor has AVX-512F and BW.
            unsafe { prefixed_pairs::<1>(prefix, pairs, hashes) }
            count.min(LANES)
        } else {
            // SAFETY: as above.
            unsafe { prefixed_pairs::<2>(prefix, pairs, hashes) }
            count.min(2 * LANES)
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn prefixed<const N: usize>(prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]) {
    let mut rows = [[_mm512_setzero_si512(); LANES]; N];
    let mut bits = [[0_u32; LANES]; N];
    let places = rows.as_flattened_mut().iter_mut();
    for ((row, bits), message) in places.zip(bits.as_flattened_mut()).zip(messages) {
        if message.len() <= SHORT_BYTES_MAX {
            *row = row_of(message);
            *bits = 8 * (1 + u32::try_from(message.len()).unwrap_or(0));
        }
    }
    let (mut block, _) = behind(prefix, &words_of_rows(&rows));
    block[15] = gathered(bits.as_flattened().iter().copied());
    let mut state = all_spread(INITIAL);
    compress(&mut state, &block);
    write_hashes(&state, hashes);
}

#[target_feature(enable = "avx512f,avx512bw")]
fn prefixed_pairs<const N: usize>(prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]) {
    let mut rows = [[_mm512_setzero_si512(); LANES]; N];
    for (row, pair) in rows.as_flattened_mut().iter_mut().zip(pairs) {
        *row = row_of_pair(pair);
    }
    let (first, over) = behind(prefix, &words_of_rows(&rows));
    let mut state = all_spread(INITIAL);
    compress(&mut state, &first);
    let mut last = [spread(0); 16];
    last[0] = plus(over, u32::from(MARK) << 16);
    last[15] = spread(8 * PAIR_BYTES);
    compress(&mut state, &last);
    write_hashes(&state, hashes);
}

/// Words of the block that is the prefix and then the first 63 bytes of these; and the byte that is left over, on top of a
/// word.
#[target_feature(enable = "avx512f")]
fn behind<const N: usize>(prefix: u8, words: &Block<N>) -> (Block<N>, Word<N>) {
    let mut over = spread(u32::from(prefix) << 24);
    let mut block = *words;
    for word in &mut block {
        let next = to_top_byte(*word);
        *word = add(over, shift::<8, N>(*word));
        over = next;
    }
    (block, over)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn to_top_byte<const N: usize>(x: Word<N>) -> Word<N> {
    let mut out = x;
    for out in &mut out.0 {
        *out = _mm512_slli_epi32::<24>(*out);
    }
    out
}

/// A short message and its mark, then zeros.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
#[allow(unsafe_code, reason = "a register from memory")]
fn row_of(message: &[u8]) -> __m512i {
    let mark = 1_u64 << message.len().min(SHORT_BYTES_MAX);
    // SAFETY: the bits below the mark are the message's bytes, at most all of them; no other byte is read.
    let row = unsafe { _mm512_maskz_loadu_epi8(mark - 1, message.as_ptr().cast()) };
    _mm512_mask_mov_epi8(row, mark, _mm512_set1_epi8(MARK.cast_signed()))
}

#[target_feature(enable = "avx512f")]
#[inline]
#[allow(unsafe_code, reason = "a register from memory")]
fn row_of_pair([left, right]: &[Hash; 2]) -> __m512i {
    let halves = [left, right].map(|hash| hash.0);
    // SAFETY: both are 64 bytes without padding, and every bit pattern is legal in both.
    unsafe { core::mem::transmute::<[[u8; 32]; 2], __m512i>(halves) }
}

/// Bytes of each word the other way round, in each 16 bytes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn swapped(x: __m512i) -> __m512i {
    let order = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    _mm512_shuffle_epi8(x, order)
}

/// Word by word what rows hold, as SHA-256 reads it.
#[target_feature(enable = "avx512f,avx512bw")]
fn words_of_rows<const N: usize>(rows: &[Rows; N]) -> Block<N> {
    let mut words = [spread(0); 16];
    for (n, rows) in rows.iter().enumerate() {
        for (word, column) in words.iter_mut().zip(transposed(rows)) {
            if let Some(place) = word.0.get_mut(n) {
                *place = swapped(column);
            }
        }
    }
    words
}

/// Row i, word j becomes row j, word i.
#[target_feature(enable = "avx512f")]
fn transposed(rows: &Rows) -> Rows {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *rows;
    let [a, b, c, d] = transposed_in_fours(a, b, c, d);
    let [e, f, g, h] = transposed_in_fours(e, f, g, h);
    let [i, j, k, l] = transposed_in_fours(i, j, k, l);
    let [m, n, o, p] = transposed_in_fours(m, n, o, p);
    let [w0, w4, w8, w12] = fours_transposed(a, e, i, m);
    let [w1, w5, w9, w13] = fours_transposed(b, f, j, n);
    let [w2, w6, w10, w14] = fours_transposed(c, g, k, o);
    let [w3, w7, w11, w15] = fours_transposed(d, h, l, p);
    [
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15,
    ]
}

/// Four words of four rows, transposed within each 16 bytes.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed_in_fours(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// Four times 16 bytes of four rows, transposed as they are.
#[target_feature(enable = "avx512f")]
#[inline]
fn fours_transposed(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let ab_even = _mm512_shuffle_i32x4::<0x88>(a, b);
    let ab_odd = _mm512_shuffle_i32x4::<0xdd>(a, b);
    let cd_even = _mm512_shuffle_i32x4::<0x88>(c, d);
    let cd_odd = _mm512_shuffle_i32x4::<0xdd>(c, d);
    [
        _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even),
        _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd),
        _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even),
        _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd),
    ]
}

/// The hash of each lane, as many as there is room for.
#[target_feature(enable = "avx512f,avx512bw")]
fn write_hashes<const N: usize>(state: &State<N>, hashes: &mut [Hash]) {
    for (n, hashes) in (0..N).zip(hashes.chunks_mut(LANES)) {
        let mut words = [_mm512_setzero_si512(); 8];
        for (place, word) in words.iter_mut().zip(state) {
            *place = word.0.get(n).copied().unwrap_or(*place);
        }
        let lanes = hashes_of(&words);
        match hashes.first_chunk_mut::<LANES>() {
            Some(all) => *all = lanes.map(Hash),
            None => hashes
                .iter_mut()
                .zip(lanes)
                .for_each(|(hash, bytes)| hash.0 = bytes),
        }
    }
}

/// The hashes of sixteen lanes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
#[allow(unsafe_code, reason = "registers to memory")]
fn hashes_of(words: &[__m512i; 8]) -> [[u8; 32]; LANES] {
    let [a, b, c, d, e, f, g, h] = *words;
    // Now words 0 to 3, or 4 to 7, of lanes j, 4 + j, 8 + j and 12 + j.
    let [a, b, c, d] = transposed_in_fours(a, b, c, d);
    let [e, f, g, h] = transposed_in_fours(e, f, g, h);
    let registers = [
        front_halves(a, e),
        front_halves(b, f),
        front_halves(c, g),
        front_halves(d, h),
        back_halves(a, e),
        back_halves(b, f),
        back_halves(c, g),
        back_halves(d, h),
    ];
    // SAFETY: both are 512 bytes without padding, and every bit pattern is legal in both.
    let pairs = unsafe { core::mem::transmute::<[__m512i; 8], [[[u8; 32]; 2]; 8]>(registers) };
    let [
        [l0, l4],
        [l1, l5],
        [l2, l6],
        [l3, l7],
        [l8, l12],
        [l9, l13],
        [l10, l14],
        [l11, l15],
    ] = pairs;
    [
        l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15,
    ]
}

/// The hashes of lanes j and 4 + j: their first words in `a`, their last in `b`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn front_halves(a: __m512i, b: __m512i) -> __m512i {
    let order = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    swapped(_mm512_permutex2var_epi64(a, order, b))
}

/// The same of lanes 8 + j and 12 + j.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn back_halves(a: __m512i, b: __m512i) -> __m512i {
    let order = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    swapped(_mm512_permutex2var_epi64(a, order, b))
}
