//! SHA-256 where lengths and prefixes are known: straight on the compression function, without a buffering digest.

use orebook_schema::Hash;
use sha2::block_api::compress256;

use crate::HEADER_BYTES;
use crate::rounds::INITIAL;

/// Bytes that the compression function takes.
pub(crate) const BLOCK_BYTES: usize = 64;

/// Bytes of a block before its length field.
const LENGTH_AT: usize = BLOCK_BYTES - 8;

/// What follows the message (FIPS 180-4, section 5.1.1).
pub(crate) const MARK: u8 = 0x80;

/// The block that follows exactly 64 bytes of message.
pub(crate) const PADDING_OF_64: [u8; BLOCK_BYTES] = padded(&[], 64);

/// A last block: `rest` (at most 55 bytes), the mark, and the length of the whole message.
pub(crate) const fn padded(rest: &[u8], message_bytes: u64) -> [u8; BLOCK_BYTES] {
    let mut block = length_only(message_bytes);
    let (data, after) = block.split_at_mut(rest.len());
    data.copy_from_slice(rest);
    if let Some(mark) = after.first_mut() {
        *mark = MARK;
    }
    block
}

const fn length_only(message_bytes: u64) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let (_, length) = block.split_at_mut(LENGTH_AT);
    length.copy_from_slice(&(message_bytes * 8).to_be_bytes());
    block
}

/// A message in the making, with the state of its whole blocks only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Midstate {
    pub(crate) state: [u32; 8],
    pub(crate) bytes: u64,
}

impl Midstate {
    /// State after the whole blocks of `prefix`, and the bytes after them.
    pub(crate) fn new(prefix: &[u8]) -> (Self, &[u8]) {
        let (blocks, rest) = prefix.as_chunks();
        let mut new = Self {
            state: INITIAL,
            bytes: 0,
        };
        new.absorb(blocks);
        (new, rest)
    }

    fn absorb(&mut self, blocks: &[[u8; BLOCK_BYTES]]) {
        compress256(&mut self.state, blocks);
        self.bytes += blocks.as_flattened().len() as u64;
    }

    /// SHA-256 of everything absorbed and then `parts`.
    pub(crate) fn finish(mut self, parts: &[&[u8]]) -> [u8; 32] {
        let mut open = [0; BLOCK_BYTES];
        let mut used = 0;
        for &part in parts {
            let free = open.split_at_mut(used).1;
            let (now, later) = part.split_at(part.len().min(free.len()));
            free.split_at_mut(now.len()).0.copy_from_slice(now);
            used += now.len();
            if used < BLOCK_BYTES {
                continue;
            }
            self.absorb(&[open]);
            let (blocks, rest) = later.as_chunks();
            self.absorb(blocks);
            used = rest.len();
            open.split_at_mut(used).0.copy_from_slice(rest);
        }
        let rest = open.split_at(used).0;
        let message_bytes = self.bytes + used as u64;
        if LENGTH_AT <= used {
            // Mark and length do not fit any more: the length gets a block of its own.
            let mut full = [0; BLOCK_BYTES];
            let (data, after) = full.split_at_mut(used);
            data.copy_from_slice(rest);
            if let Some(mark) = after.first_mut() {
                *mark = MARK;
            }
            compress256(&mut self.state, &[full, length_only(message_bytes)]);
        } else {
            compress256(&mut self.state, &[padded(rest, message_bytes)]);
        }
        bytes_of(self.state)
    }
}

/// SHA-256d of any bytes, in the order of the digest.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> Hash {
    let (state, rest) = Midstate::new(bytes);
    again(&state.finish(&[rest]))
}

/// SHA-256d of 64 bytes: a step of a block's merkle tree.
#[must_use]
pub fn sha256d_pair(left: &Hash, right: &Hash) -> Hash {
    let mut pair = [0; BLOCK_BYTES];
    let (first, second) = pair.split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    let mut state = INITIAL;
    compress256(&mut state, &[pair, PADDING_OF_64]);
    again(&bytes_of(state))
}

/// SHA-256d of a header.
pub(crate) fn sha256d_header(header: &[u8; HEADER_BYTES]) -> Hash {
    let (blocks, rest) = header.as_chunks();
    let mut state = INITIAL;
    compress256(&mut state, blocks);
    compress256(&mut state, &[padded(rest, HEADER_BYTES as u64)]);
    again(&bytes_of(state))
}

/// SHA-256 of a digest: the second half of SHA-256d.
pub(crate) fn again(digest: &[u8; 32]) -> Hash {
    let mut state = INITIAL;
    compress256(&mut state, &[padded(digest, 32)]);
    Hash(bytes_of(state))
}

pub(crate) fn bytes_of(state: [u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (words, _) = bytes.as_chunks_mut();
    for (word, number) in words.iter_mut().zip(state) {
        *word = number.to_be_bytes();
    }
    bytes
}
