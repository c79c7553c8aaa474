//! The mixing of scrypt (RFC 7914, sections 3 to 5, r = 1) on any processor.

use super::{SLOT_BYTES, Slot};

/// Words of a slot.
const WORDS: usize = SLOT_BYTES / 4;
/// Words of one half, which salsa20/8 takes.
const HALF: usize = WORDS / 2;

/// Words whose sum, turned left by so many bits, is xored to the last one.
#[rustfmt::skip]
const STEPS: [(usize, usize, usize, u32); 32] = [
    (0, 12, 4, 7), (4, 0, 8, 9), (8, 4, 12, 13), (12, 8, 0, 18),
    (5, 1, 9, 7), (9, 5, 13, 9), (13, 9, 1, 13), (1, 13, 5, 18),
    (10, 6, 14, 7), (14, 10, 2, 9), (2, 14, 6, 13), (6, 2, 10, 18),
    (15, 11, 3, 7), (3, 15, 7, 9), (7, 3, 11, 13), (11, 7, 15, 18),
    (0, 3, 1, 7), (1, 0, 2, 9), (2, 1, 3, 13), (3, 2, 0, 18),
    (5, 4, 6, 7), (6, 5, 7, 9), (7, 6, 4, 13), (4, 7, 5, 18),
    (10, 9, 11, 7), (11, 10, 8, 9), (8, 11, 9, 13), (9, 8, 10, 18),
    (15, 14, 12, 7), (12, 15, 13, 9), (13, 12, 14, 13), (14, 13, 15, 18),
];

/// Mixes a slot with a pad of a power of two of slots.
pub(super) fn mix(slot: &mut Slot, pad: &mut [Slot]) {
    assert!(pad.len().is_power_of_two(), "scrypt's N is a power of two");
    let mut words = words_of(slot);
    for place in pad.iter_mut() {
        *place = bytes_of(&words);
        blockmix(&mut words);
    }
    let mask = pad.len().wrapping_sub(1);
    for _ in 0..pad.len() {
        let wanted = words.get(HALF).copied().unwrap_or(0);
        let place = pad.get(usize::try_from(wanted).unwrap_or(0) & mask);
        for (word, other) in words
            .iter_mut()
            .zip(words_of(place.unwrap_or(&[0; SLOT_BYTES])))
        {
            *word ^= other;
        }
        blockmix(&mut words);
    }
    *slot = bytes_of(&words);
}

fn blockmix(words: &mut [u32; WORDS]) {
    let (first, second) = words.split_at_mut(HALF);
    xor(first, second);
    salsa8(first);
    xor(second, first);
    salsa8(second);
}

fn xor(words: &mut [u32], others: &[u32]) {
    for (word, other) in words.iter_mut().zip(others) {
        *word ^= other;
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "places of a constant table, below sixteen"
)]
fn salsa8(half: &mut [u32]) {
    let mut x = [0; HALF];
    x.copy_from_slice(half);
    for _ in 0..4 {
        for (a, b, to, turn) in STEPS {
            x[to] ^= x[a].wrapping_add(x[b]).rotate_left(turn);
        }
    }
    for (word, mixed) in half.iter_mut().zip(x) {
        *word = word.wrapping_add(mixed);
    }
}

fn words_of(slot: &Slot) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(slot.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

fn bytes_of(words: &[u32; WORDS]) -> Slot {
    let mut slot = [0; SLOT_BYTES];
    for (bytes, word) in slot.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    slot
}
