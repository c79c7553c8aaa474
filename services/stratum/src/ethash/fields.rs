//! The numbers of ethash miners: hex of exact sizes, either case.

use orebook_schema::Hash;
use orebook_schema::work::Extranonce;

use super::NONCE_BYTES;
use crate::hex;

/// Most digits of a quantity: 32 bytes, as ethminer pads them.
const QUANTITY_DIGITS_MAX: usize = 64;

/// 32 bytes of exactly 64 digits; `0x` may be missing, since nothing else could be meant.
pub(super) fn hash(text: &str) -> Option<Hash> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::fill(digits.as_bytes(), &mut bytes).then_some(Hash(bytes))
}

/// A whole nonce of exactly 16 digits, with or without `0x`.
pub(super) fn nonce(text: &str) -> Option<u64> {
    let mut bytes = [0; NONCE_BYTES];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::fill(digits.as_bytes(), &mut bytes).then(|| u64::from_be_bytes(bytes))
}

/// What a miner adds to the prefix, without `0x`. A whole nonce is taken too, if it begins with the prefix: else the miner
/// searches where another does.
pub(super) fn nonce_rest(text: &str, prefix: Extranonce) -> Option<u64> {
    let prefix = prefix.bytes();
    let mut bytes = [0; NONCE_BYTES];
    if text.len() == 2 * NONCE_BYTES {
        let is_whole = hex::fill(text.as_bytes(), &mut bytes);
        return (is_whole && bytes.starts_with(prefix)).then(|| u64::from_be_bytes(bytes));
    }
    let (ours, theirs) = bytes.split_at_mut_checked(prefix.len())?;
    ours.copy_from_slice(prefix);
    hex::fill(text.as_bytes(), theirs).then(|| u64::from_be_bytes(bytes))
}

/// A number, with zeros before it or without; `None` if it has no digit, too many, or does not fit.
pub(super) fn quantity(text: &str, prefixed: bool) -> Option<u64> {
    let digits = match text.strip_prefix("0x") {
        Some(digits) => digits,
        None if prefixed => return None,
        None => text,
    };
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if digits.is_empty() || QUANTITY_DIGITS_MAX < digits.len() || !is_hex {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(significant, 16).ok()
}
