//! Keccak as ethash uses it: the padding of 2013, not SHA-3's, and messages of known short lengths only.

use keccak::Keccak;
use orebook_schema::Hash;

/// Words of 64 bits of a state.
const STATE: usize = 25;
/// Mark behind a message, in the low byte of the word after it.
const MARK: u64 = 1;
/// Mark at the end of the rate, in the high byte of its last word.
const END: u64 = 1 << 63;
/// Last word of the rate of 512 bits of digest (72 bytes).
const END_512: usize = 8;
/// Last word of the rate of 256 bits of digest (136 bytes).
const END_256: usize = 16;

/// 64 bytes as words, little-endian.
pub(super) type Wide = [u64; 8];

fn digest<const OUT: usize>(message: &[u64], end: usize) -> [u64; OUT] {
    assert!(message.len() <= end, "the message fits one block");
    let mut state = [0; STATE];
    for (place, word) in state.iter_mut().zip(message) {
        *place = *word;
    }
    for (at, mark) in [(message.len(), MARK), (end, END)] {
        if let Some(place) = state.get_mut(at) {
            *place |= mark;
        }
    }
    Keccak::new().with_f1600(|permute| permute(&mut state));
    state.first_chunk().copied().unwrap_or([0; OUT])
}

/// Keccak-512 of up to eight words.
#[inline]
pub(super) fn keccak512(message: &[u64]) -> Wide {
    digest(message, END_512)
}

/// Keccak-256 of up to sixteen words.
#[inline]
pub(super) fn keccak256(message: &[u64]) -> Hash {
    let words: [u64; 4] = digest(message, END_256);
    let mut hash = Hash::ZERO;
    for (place, word) in hash.0.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    hash
}

/// 32 bytes as words.
pub(super) fn words(hash: &Hash) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(hash.0.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Two words of 32 bits are one of 64.
#[inline]
pub(super) fn wide(narrow: &[u32; 16]) -> Wide {
    let mut words = [0; 8];
    for (word, [low, high]) in words.iter_mut().zip(narrow.as_chunks::<2>().0) {
        *word = u64::from(*low) | u64::from(*high) << 32;
    }
    words
}

/// The other way.
#[inline]
pub(super) fn narrow(wide: &Wide) -> [u32; 16] {
    let mut words = [0; 16];
    for ([low, high], word) in words.as_chunks_mut::<2>().0.iter_mut().zip(wide) {
        *low = (word & 0xffff_ffff) as u32;
        *high = (word >> 32) as u32;
    }
    words
}

#[cfg(test)]
mod tests {
    use orebook_schema::Hash;
    use orebook_schema::units::hex;

    use super::{keccak256, keccak512};

    #[test]
    fn the_empty_message_has_its_known_digests() {
        assert_eq!(
            keccak256(&[]).to_string(),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
        let bytes: Vec<u8> = keccak512(&[])
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(
            hex(&bytes),
            "0eab42de4c3ceb9235fc91acffe746b29c29a8c366b7c60e4e67c466f36a4304\
             c00fa9caf9d87976ba469bcbe06713b435f091ef2769fb160cdab33d3670680e"
        );
    }

    #[test]
    fn the_seed_of_the_second_epoch_is_the_digest_of_zeros() {
        assert_eq!(
            keccak256(&super::words(&Hash::ZERO)).to_string(),
            "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563"
        );
    }
}
