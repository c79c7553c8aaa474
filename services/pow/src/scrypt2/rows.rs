//! The same mixing with registers of four words: the diagonals of salsa20's square, so that its columns and its rows are
//! four steps side by side with three turns of registers between.
//!
//! One code for three kinds of processors: with AVX the instructions do not overwrite what they read, and with AVX-512VL one
//! instruction turns words left, which else takes three.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_or_si128, _mm_shuffle_epi32, _mm_slli_epi32,
    _mm_srli_epi32, _mm_xor_si128,
};

use super::{SLOT_BYTES, Slot};

/// Words of each diagonal, of both halves.
#[rustfmt::skip]
const DIAGONALS: [usize; SLOT_BYTES / 4] = [
    0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11,
    16, 21, 26, 31, 20, 25, 30, 19, 24, 29, 18, 23, 28, 17, 22, 27,
];

/// Four diagonals: what salsa20/8 takes.
type Half = [__m128i; 4];
/// A slot in registers.
type Lane = [Half; 2];

/// What a processor has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows {
    /// SSE2: every one.
    Sse2,
    Avx2(HasAvx2),
    Avx512(HasAvx512),
}

/// A processor with AVX2.
#[derive(Clone, Copy, Debug)]
pub(super) struct HasAvx2(());

/// A processor with AVX-512F and AVX-512VL.
#[derive(Clone, Copy, Debug)]
pub(super) struct HasAvx512(());

impl Rows {
    pub(super) fn detect() -> Self {
        Self::all().pop().unwrap_or(Self::Sse2)
    }

    /// What this processor has, the fastest last.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Sse2];
        if is_x86_feature_detected!("avx2") {
            all.push(Self::Avx2(HasAvx2(())));
        }
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            all.push(Self::Avx512(HasAvx512(())));
        }
        all
    }

    /// Mixes slots, each with its pad; the pads have one length, a power of two.
    #[allow(
        unsafe_code,
        reason = "calls what is compiled for a processor that has the instructions"
    )]
    pub(super) fn mix<const L: usize>(self, slots: &mut [Slot; L], pads: [&mut [Slot]; L]) {
        match self {
            Self::Sse2 => mix(slots, pads),
            // SAFETY: a `HasAvx2` is made only where the processor has AVX2.
            Self::Avx2(HasAvx2(())) => unsafe { mix_avx2(slots, pads) },
            // SAFETY: a `HasAvx512` is made only where the processor has AVX-512F and AVX-512VL.
            Self::Avx512(HasAvx512(())) => unsafe { mix_avx512(slots, pads) },
        }
    }
}

#[target_feature(enable = "avx2")]
fn mix_avx2<const L: usize>(slots: &mut [Slot; L], pads: [&mut [Slot]; L]) {
    mix(slots, pads);
}

#[target_feature(enable = "avx512f,avx512vl")]
fn mix_avx512<const L: usize>(slots: &mut [Slot; L], pads: [&mut [Slot]; L]) {
    mix(slots, pads);
}

#[inline(always)]
fn mix<const L: usize>(slots: &mut [Slot; L], mut pads: [&mut [Slot]; L]) {
    let count = pads.iter().map(|pad| pad.len()).min().unwrap_or(0);
    assert!(count.is_power_of_two(), "scrypt's N is a power of two");
    let mut lanes = slots.map(|slot| turned(&slot));
    for at in 0..count {
        for (lane, pad) in lanes.iter().zip(&mut pads) {
            if let Some(place) = pad.get_mut(at) {
                *place = bytes_of(lane);
            }
        }
        blockmix(&mut lanes);
    }
    for _ in 0..count {
        for (lane, pad) in lanes.iter_mut().zip(&pads) {
            if let Some(place) = pad.get(wanted(lane) & (count - 1)) {
                *lane = xored(lane, &lane_of(place));
            }
        }
        blockmix(&mut lanes);
    }
    *slots = lanes.map(|lane| turned_back(&lane));
}

/// Which slot is wanted next: the first word of the second half, as much of it as a number of slots needs.
#[inline(always)]
fn wanted(lane: &Lane) -> usize {
    let [_, [row, ..]] = lane;
    usize::try_from(first_word(*row)).unwrap_or(0)
}

#[inline(always)]
fn xored(lane: &Lane, other: &Lane) -> Lane {
    let [[a, b, c, d], [e, f, g, h]] = *lane;
    let [[i, j, k, l], [m, n, o, p]] = *other;
    [
        [xor(a, i), xor(b, j), xor(c, k), xor(d, l)],
        [xor(e, m), xor(f, n), xor(g, o), xor(h, p)],
    ]
}

#[inline(always)]
fn blockmix<const L: usize>(lanes: &mut [Lane; L]) {
    for [first, second] in lanes.iter_mut() {
        xor_half(first, second);
    }
    salsa8(&mut lanes.each_mut().map(|[first, _]| first));
    for [first, second] in lanes.iter_mut() {
        xor_half(second, first);
    }
    salsa8(&mut lanes.each_mut().map(|[_, second]| second));
}

#[inline(always)]
fn xor_half(half: &mut Half, other: &Half) {
    for (row, other) in half.iter_mut().zip(other) {
        *row = xor(*row, *other);
    }
}

#[inline(always)]
fn salsa8<const L: usize>(halves: &mut [&mut Half; L]) {
    let mut lanes = halves.each_ref().map(|half| **half);
    for _ in 0..4 {
        steps(&mut lanes);
        turn(&mut lanes);
        steps(&mut lanes);
        turn(&mut lanes);
    }
    for (half, mixed) in halves.iter_mut().zip(&lanes) {
        for (row, mixed) in half.iter_mut().zip(mixed) {
            *row = add(*row, *mixed);
        }
    }
}

/// Columns to rows, and rows to columns.
#[inline(always)]
fn turn<const L: usize>(lanes: &mut [Half; L]) {
    for [_, b, c, d] in lanes.iter_mut() {
        (*b, *c, *d) = (
            shuffle::<0x39>(*d),
            shuffle::<0x4e>(*c),
            shuffle::<0x93>(*b),
        );
    }
}

/// Four columns of each lane.
#[inline(always)]
fn steps<const L: usize>(lanes: &mut [Half; L]) {
    for [a, b, _, d] in lanes.iter_mut() {
        *b = step::<7, 25>(*b, *a, *d);
    }
    for [a, b, c, _] in lanes.iter_mut() {
        *c = step::<9, 23>(*c, *b, *a);
    }
    for [_, b, c, d] in lanes.iter_mut() {
        *d = step::<13, 19>(*d, *c, *b);
    }
    for [a, _, c, d] in lanes.iter_mut() {
        *a = step::<18, 14>(*a, *d, *c);
    }
}

/// `to` xor the sum turned left by so many bits; `RIGHT` is what is left of 32.
#[inline(always)]
fn step<const LEFT: i32, const RIGHT: i32>(to: __m128i, x: __m128i, y: __m128i) -> __m128i {
    let sum = add(x, y);
    xor(to, left::<LEFT, RIGHT>(sum))
}

#[inline(always)]
#[allow(unsafe_code, reason = "one instruction")]
fn add(x: __m128i, y: __m128i) -> __m128i {
    // SAFETY: every processor of this kind has SSE2.
    unsafe { _mm_add_epi32(x, y) }
}

#[inline(always)]
#[allow(unsafe_code, reason = "one instruction")]
fn xor(x: __m128i, y: __m128i) -> __m128i {
    // SAFETY: as in `add`.
    unsafe { _mm_xor_si128(x, y) }
}

/// Words turned left; the compiler makes one instruction of it where there is one.
#[inline(always)]
#[allow(unsafe_code, reason = "three instructions")]
fn left<const LEFT: i32, const RIGHT: i32>(x: __m128i) -> __m128i {
    // SAFETY: as in `add`.
    unsafe { _mm_or_si128(_mm_slli_epi32::<LEFT>(x), _mm_srli_epi32::<RIGHT>(x)) }
}

/// Words in another order.
#[inline(always)]
#[allow(unsafe_code, reason = "one instruction")]
fn shuffle<const ORDER: i32>(x: __m128i) -> __m128i {
    // SAFETY: as in `add`.
    unsafe { _mm_shuffle_epi32::<ORDER>(x) }
}

#[inline(always)]
#[allow(unsafe_code, reason = "one instruction")]
fn first_word(x: __m128i) -> u32 {
    // SAFETY: as in `add`.
    unsafe { _mm_cvtsi128_si32(x) }.cast_unsigned()
}

/// A slot's words by diagonals.
fn turned(slot: &Slot) -> Lane {
    let words = slot.as_chunks::<4>().0;
    let mut diagonals = [0; SLOT_BYTES];
    for (to, from) in diagonals.as_chunks_mut().0.iter_mut().zip(DIAGONALS) {
        *to = words.get(from).copied().unwrap_or_default();
    }
    lane_of(&diagonals)
}

/// Back to a slot.
fn turned_back(lane: &Lane) -> Slot {
    let diagonals = bytes_of(lane);
    let mut slot = [0; SLOT_BYTES];
    let words = slot.as_chunks_mut::<4>().0;
    for (from, to) in diagonals.as_chunks().0.iter().zip(DIAGONALS) {
        if let Some(word) = words.get_mut(to) {
            *word = *from;
        }
    }
    slot
}

#[inline(always)]
#[allow(unsafe_code, reason = "registers from memory")]
fn lane_of(bytes: &Slot) -> Lane {
    // SAFETY: both are 128 bytes without padding, and every bit pattern is legal in both.
    unsafe { core::mem::transmute::<Slot, Lane>(*bytes) }
}

#[inline(always)]
#[allow(unsafe_code, reason = "registers to memory")]
fn bytes_of(lane: &Lane) -> Slot {
    // SAFETY: as in `lane_of`.
    unsafe { core::mem::transmute::<Lane, Slot>(*lane) }
}
