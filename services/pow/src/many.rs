//! SHA-256 of many short messages at once, each behind one byte: what the ledger's trees are made of.
//!
//! What a tree is, is the ledger's; it is handed this by the binary, so that it needs no `unsafe` of its own.

use orebook_schema::Hash;
use sha2::block_api::compress256;

#[cfg(target_arch = "x86_64")]
use crate::quad::Quad;
use crate::rounds::INITIAL;
use crate::sha256::{BLOCK_BYTES, bytes_of, padded};
#[cfg(target_arch = "x86_64")]
use crate::wide::Wide;

/// Most bytes of a message that makes one block: with the prefix before it, the mark and the length after it.
pub(crate) const SHORT_BYTES_MAX: usize = BLOCK_BYTES - 8 - 2;

/// Bytes of a prefix and two hashes.
pub(crate) const PAIR_BYTES: u32 = 65;

/// From how many messages on sixteen lanes beat rounds of four.
#[cfg(target_arch = "x86_64")]
const WIDE_MIN: usize = 9;

/// The same without the SHA extensions, where the other way is one by one.
#[cfg(target_arch = "x86_64")]
const WIDE_ALONE_MIN: usize = 5;

/// Hashes many messages at once, the fastest way that this processor has. Every way gives the same.
#[derive(Clone, Copy, Debug)]
pub struct Many {
    #[cfg(target_arch = "x86_64")]
    wide: Option<Wide>,
    #[cfg(target_arch = "x86_64")]
    quad: Option<Quad>,
}

impl Many {
    /// Asks the processor what it can do.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            wide: Wide::detect(),
            #[cfg(target_arch = "x86_64")]
            quad: Quad::detect(),
        }
    }

    /// Writes SHA-256(prefix ‖ message) of each message to the same place of `hashes`; as many as the shorter list has.
    /// Messages of up to 54 bytes are fast, longer ones are hashed one by one.
    pub fn prefixed(&self, prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]) {
        let count = messages.len().min(hashes.len());
        let (messages, hashes) = (messages.split_at(count).0, hashes.split_at_mut(count).0);
        let done = self.prefixed_in_lanes(prefix, messages, hashes);
        let (in_lanes, alone) = messages.split_at(done);
        let (hashes_in_lanes, hashes_alone) = hashes.split_at_mut(done);
        for (message, hash) in in_lanes.iter().zip(hashes_in_lanes) {
            // A lane holds one block: what is longer was not hashed in it.
            if SHORT_BYTES_MAX < message.len() {
                *hash = Hash::of(&[&[prefix], message]);
            }
        }
        for (message, hash) in alone.iter().zip(hashes_alone) {
            *hash = prefixed_alone(prefix, message);
        }
    }

    /// Writes SHA-256(prefix ‖ left ‖ right) of each pair to the same place of `hashes`; as many as the shorter list has.
    pub fn prefixed_pairs(&self, prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]) {
        let count = pairs.len().min(hashes.len());
        let (pairs, hashes) = (pairs.split_at(count).0, hashes.split_at_mut(count).0);
        let done = self.pairs_in_lanes(prefix, pairs, hashes);
        for (pair, hash) in pairs.iter().zip(hashes).skip(done) {
            let mut state = INITIAL;
            compress256(&mut state, &pair_blocks(prefix, pair));
            *hash = Hash(bytes_of(state));
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn prefixed_in_lanes(&self, _: u8, _: &[&[u8]], _: &mut [Hash]) -> usize {
        0
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn pairs_in_lanes(&self, _: u8, _: &[[Hash; 2]], _: &mut [Hash]) -> usize {
        0
    }

    /// Hashes the first messages and says how many; long ones are passed over.
    #[cfg(target_arch = "x86_64")]
    fn prefixed_in_lanes(&self, prefix: u8, messages: &[&[u8]], hashes: &mut [Hash]) -> usize {
        let mut done = 0;
        if let Some(wide) = self.wide {
            while self.wide_min() <= messages.len() - done {
                let rest = (messages.split_at(done).1, hashes.split_at_mut(done).1);
                done += wide.prefixed(prefix, rest.0, rest.1);
            }
        }
        if let Some(quad) = self.quad {
            let rest = (messages.split_at(done).1, hashes.split_at_mut(done).1);
            let fours = rest.0.as_chunks::<4>().0;
            for (four, hashes) in fours.iter().zip(rest.1.as_chunks_mut::<4>().0) {
                let mut blocks = [[0; BLOCK_BYTES]; 4];
                for (block, message) in blocks.iter_mut().zip(four) {
                    *block = short_block(prefix, message).unwrap_or([0; BLOCK_BYTES]);
                }
                quad.digests(&[blocks], hashes);
            }
            done += fours.as_flattened().len();
        }
        done
    }

    /// Hashes the first pairs and says how many.
    #[cfg(target_arch = "x86_64")]
    fn pairs_in_lanes(&self, prefix: u8, pairs: &[[Hash; 2]], hashes: &mut [Hash]) -> usize {
        let mut done = 0;
        if let Some(wide) = self.wide {
            while self.wide_min() <= pairs.len() - done {
                let rest = (pairs.split_at(done).1, hashes.split_at_mut(done).1);
                done += wide.pairs(prefix, rest.0, rest.1);
            }
        }
        if let Some(quad) = self.quad {
            let rest = (pairs.split_at(done).1, hashes.split_at_mut(done).1);
            let fours = rest.0.as_chunks::<4>().0;
            for (four, hashes) in fours.iter().zip(rest.1.as_chunks_mut::<4>().0) {
                let blocks = four.map(|pair| pair_blocks(prefix, &pair));
                quad.digests(
                    &[blocks.map(|[first, _]| first), blocks.map(|[_, last]| last)],
                    hashes,
                );
            }
            done += fours.as_flattened().len();
        }
        done
    }

    #[cfg(target_arch = "x86_64")]
    const fn wide_min(&self) -> usize {
        match self.quad {
            Some(_) => WIDE_MIN,
            None => WIDE_ALONE_MIN,
        }
    }
}

fn prefixed_alone(prefix: u8, message: &[u8]) -> Hash {
    let Some(block) = short_block(prefix, message) else {
        return Hash::of(&[&[prefix], message]);
    };
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    Hash(bytes_of(state))
}

/// The one block of a short message; none for a longer one.
fn short_block(prefix: u8, message: &[u8]) -> Option<[u8; BLOCK_BYTES]> {
    let mut bytes = [prefix; SHORT_BYTES_MAX + 1];
    let (used, _) = bytes.split_at_mut_checked(1 + message.len())?;
    used.split_at_mut(1).1.copy_from_slice(message);
    Some(padded(used, used.len() as u64))
}

/// The two blocks of a pair.
fn pair_blocks(prefix: u8, [left, right]: &[Hash; 2]) -> [[u8; BLOCK_BYTES]; 2] {
    let mut first = [prefix; BLOCK_BYTES];
    let (now, later) = right.0.split_at(31);
    let (place, rest) = first.split_at_mut(1).1.split_at_mut(32);
    place.copy_from_slice(&left.0);
    rest.copy_from_slice(now);
    [first, padded(later, u64::from(PAIR_BYTES))]
}

#[cfg(test)]
mod tests {
    use orebook_schema::Hash;

    use super::{Many, SHORT_BYTES_MAX};

    /// SplitMix64: the same messages in every run.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }

        fn bytes(&mut self, count: usize) -> Vec<u8> {
            (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
        }
    }

    /// Every set of ways that this processor has, and none.
    fn ways() -> Vec<Many> {
        let all = Many::detect();
        #[cfg(target_arch = "x86_64")]
        let ways = vec![
            all,
            Many { quad: None, ..all },
            Many { wide: None, ..all },
            Many {
                wide: None,
                quad: None,
            },
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let ways = vec![all];
        ways
    }

    fn assert_messages(prefix: u8, messages: &[&[u8]], what: &str) {
        let plain = |message: &&[u8]| Hash::of(&[&[prefix], message]);
        let expected: Vec<Hash> = messages.iter().map(plain).collect();
        for way in ways() {
            let mut hashes = vec![Hash::ZERO; messages.len()];
            way.prefixed(prefix, messages, &mut hashes);
            assert_eq!(hashes, expected, "{what}, {way:?}");
        }
    }

    #[test]
    fn every_way_hashes_messages_of_every_length_in_every_lane() {
        let mut numbers = Numbers(11);
        let bytes = numbers.bytes(4_096);
        for len in 0..=200 {
            // Odd starts: messages stand in a body wherever the one before ended.
            let messages: Vec<&[u8]> = (0..70).map(|n| &bytes[n * 7..n * 7 + len]).collect();
            assert_messages(0, &messages, &format!("70 of {len} bytes"));
        }
        let ones = [0xff; SHORT_BYTES_MAX + 2];
        for len in 0..=ones.len() {
            assert_messages(0xff, &[&ones[..len]; 40], &format!("ones, {len} bytes"));
        }
    }

    #[test]
    fn every_way_hashes_every_number_of_messages_of_mixed_lengths() {
        let mut numbers = Numbers(12);
        for count in 0..=130 {
            let lens: Vec<usize> = (0..count)
                .map(|_| usize::try_from(numbers.next() % 64).unwrap())
                .collect();
            let bodies: Vec<Vec<u8>> = lens.iter().map(|len| numbers.bytes(*len)).collect();
            let messages: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            assert_messages(count, &messages, &format!("{count} messages"));
        }
    }

    #[test]
    fn every_way_hashes_every_number_of_pairs() {
        let mut numbers = Numbers(13);
        for count in 0..=130 {
            let mut hash = || Hash(numbers.bytes(32).try_into().unwrap());
            let pairs: Vec<[Hash; 2]> = (0..count).map(|_| [hash(), hash()]).collect();
            let plain = |[left, right]: &[Hash; 2]| Hash::of(&[&[count], &left.0, &right.0]);
            let expected: Vec<Hash> = pairs.iter().map(plain).collect();
            for way in ways() {
                let mut hashes = vec![Hash::ZERO; pairs.len()];
                way.prefixed_pairs(count, &pairs, &mut hashes);
                assert_eq!(hashes, expected, "{count} pairs, {way:?}");
            }
        }
    }

    #[test]
    fn the_shorter_list_says_how_many_are_hashed() {
        let message: &[u8] = b"event";
        for (given, room) in [(40, 33), (33, 40), (5, 3), (0, 2)] {
            for way in ways() {
                let mut hashes = vec![Hash::ZERO; room];
                way.prefixed(0, &vec![message; given], &mut hashes);
                let done = hashes.iter().filter(|hash| **hash != Hash::ZERO).count();
                assert_eq!(done, given.min(room), "{given} messages, room for {room}");
                let mut hashes = vec![Hash::ZERO; room];
                way.prefixed_pairs(1, &vec![[Hash::ZERO; 2]; given], &mut hashes);
                let done = hashes.iter().filter(|hash| **hash != Hash::ZERO).count();
                assert_eq!(done, given.min(room), "{given} pairs, room for {room}");
            }
        }
    }
}
