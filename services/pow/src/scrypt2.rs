//! scrypt² (Verium): scrypt (RFC 7914) of a header with N = 2^20, r = p = 1 and the header as its salt.
//!
//! A hash fills 128 MiB and then reads from them what the value before says, 2^20 times. So the memory is lent by whoever
//! owns it (aligned to 64 bytes and on huge pages it is fastest), and two headers can be hashed side by side: while one waits
//! for memory, the other is computed.

mod plain;
#[cfg(target_arch = "x86_64")]
mod rows;

use orebook_schema::Hash;

use crate::HEADER_BYTES;
#[cfg(target_arch = "x86_64")]
use rows::Rows;

/// Bytes of the scratchpad of one hash: N slots of 128 bytes.
pub const SCRYPT2_PAD_BYTES: usize = SLOTS * SLOT_BYTES;

/// N.
const SLOTS: usize = 1 << 20;

/// Bytes that are mixed: 128 r.
const SLOT_BYTES: usize = 128;

/// Bytes of a block of SHA-256, to which HMAC fills its key.
const KEY_BYTES: usize = 64;

/// The mixed bytes.
type Slot = [u8; SLOT_BYTES];

/// Hashes a header. `pad` is overwritten; what was in it does not matter. `None` if it has fewer than [`SCRYPT2_PAD_BYTES`].
#[must_use]
pub fn scrypt2(header: &[u8; HEADER_BYTES], pad: &mut [u8]) -> Option<Hash> {
    let [hash] = hashes(Way::detect(), [header], [slots(pad, SLOTS)?]);
    Some(hash)
}

/// Hashes two headers side by side: the same as [`scrypt2`] of each. `None` if a pad is too small.
#[must_use]
pub fn scrypt2_pair(
    headers: [&[u8; HEADER_BYTES]; 2],
    [first, second]: [&mut [u8]; 2],
) -> Option<[Hash; 2]> {
    let pads = [slots(first, SLOTS)?, slots(second, SLOTS)?];
    Some(hashes(Way::detect(), headers, pads))
}

/// Hashes in memory that is taken for it and given back.
pub(crate) fn scrypt2_alone(header: &[u8; HEADER_BYTES]) -> Hash {
    let mut pad = vec![0; SCRYPT2_PAD_BYTES + KEY_BYTES];
    let hash = scrypt2(header, &mut pad);
    assert!(hash.is_some(), "the pad has the size that was asked for");
    hash.unwrap_or(Hash::ZERO)
}

/// The first whole slots of a pad, from a line of the cache on if there is room for that.
fn slots(pad: &mut [u8], count: usize) -> Option<&mut [Slot]> {
    let spare = pad.len().checked_sub(count * SLOT_BYTES)?;
    let skip = pad.as_ptr().align_offset(KEY_BYTES);
    let skip = if skip <= spare { skip } else { 0 };
    pad.get_mut(skip..)?.as_chunks_mut().0.get_mut(..count)
}

/// How slots are mixed. Every way gives the same.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// On any processor.
    #[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "tests compare it"))]
    Plain,
    #[cfg(target_arch = "x86_64")]
    Rows(Rows),
}

impl Way {
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        Self::Rows(Rows::detect())
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self::Plain
    }
}

/// Hashes as many headers as there are pads, each of a power of two of slots.
fn hashes<const L: usize>(
    way: Way,
    headers: [&[u8; HEADER_BYTES]; L],
    pads: [&mut [Slot]; L],
) -> [Hash; L] {
    let hmacs = headers.map(Hmac::new);
    let mut mixed = [[0; SLOT_BYTES]; L];
    for ((slot, hmac), header) in mixed.iter_mut().zip(&hmacs).zip(headers) {
        // PBKDF2 with one round: each part is an HMAC of the salt and the part's number.
        for (number, part) in (1u32..).zip(slot.as_chunks_mut().0) {
            *part = hmac.of(&[header, &number.to_be_bytes()]).0;
        }
    }
    match way {
        Way::Plain => {
            for (slot, pad) in mixed.iter_mut().zip(pads) {
                plain::mix(slot, pad);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Way::Rows(rows) => rows.mix(&mut mixed, pads),
    }
    let mut hashes = [Hash::ZERO; L];
    for ((hash, hmac), slot) in hashes.iter_mut().zip(&hmacs).zip(&mixed) {
        *hash = hmac.of(&[slot, &1u32.to_be_bytes()]);
    }
    hashes
}

/// HMAC-SHA-256 (RFC 2104) with one key.
#[derive(Debug)]
struct Hmac {
    inner: [u8; KEY_BYTES],
    outer: [u8; KEY_BYTES],
}

impl Hmac {
    /// The key is longer than a block, so its hash is taken.
    fn new(header: &[u8; HEADER_BYTES]) -> Self {
        let mut key = [0; KEY_BYTES];
        for (byte, hashed) in key.iter_mut().zip(Hash::of(&[header]).0) {
            *byte = hashed;
        }
        Self {
            inner: key.map(|byte| byte ^ 0x36),
            outer: key.map(|byte| byte ^ 0x5c),
        }
    }

    fn of(&self, parts: &[&[u8]; 2]) -> Hash {
        let [first, second] = *parts;
        let inner = Hash::of(&[&self.inner, first, second]);
        Hash::of(&[&self.outer, &inner.0])
    }
}

#[cfg(test)]
mod tests;
