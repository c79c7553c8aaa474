//! Words of the Ethereum RPC: data and quantities in hex behind `0x`.

use orebook_schema::units::{Hash, U256, hex, unhex};

/// Bytes of a data word.
pub(super) fn data(text: &str) -> Option<Vec<u8>> {
    unhex(text.strip_prefix("0x")?)
}

/// A data word of exactly so many bytes.
pub(super) fn array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    // The length before the work: a word may be as long as an answer.
    let is_sized = digits.len() == 2 * N;
    unhex(digits).filter(|_| is_sized)?.try_into().ok()
}

/// A hash, first byte first.
pub(super) fn hash32(text: &str) -> Option<Hash> {
    array(text).map(Hash)
}

/// A number of 1 to 64 digits; leading zeros are allowed, since pools and proxies write targets with them.
pub(super) fn quantity(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x")?;
    let is_number =
        (1..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_number.then(|| U256::from_str_radix(digits, 16).ok())?
}

/// A number of 64 bits.
pub(super) fn quantity64(text: &str) -> Option<u64> {
    quantity(text).and_then(|number| u64::try_from(number).ok())
}

/// A hash as it is asked for.
pub(super) fn shown(hash: &Hash) -> String {
    format!("0x{}", hex(&hash.0))
}
