//! Words of the Ethereum RPC: data and quantities in hex behind `0x`.

use orebook_schema::units::{Hash, U256, hex, unhex};

/// Bytes of a data word.
pub(crate) fn data(text: &str) -> Option<Vec<u8>> {
    unhex(text.strip_prefix("0x")?)
}

/// A data word of exactly so many bytes.
pub(crate) fn array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    // The length before the work: a word may be as long as an answer.
    let is_sized = digits.len() == 2 * N;
    unhex(digits).filter(|_| is_sized)?.try_into().ok()
}

/// A hash, first byte first.
pub(crate) fn hash32(text: &str) -> Option<Hash> {
    array(text).map(Hash)
}

/// A number of 1 to 64 digits; leading zeros are allowed, since pools and proxies write targets with them.
pub(crate) fn quantity(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x")?;
    let is_number =
        (1..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_number.then(|| U256::from_str_radix(digits, 16).ok())?
}

/// A number of 64 bits.
pub(crate) fn quantity64(text: &str) -> Option<u64> {
    quantity(text).and_then(|number| u64::try_from(number).ok())
}

/// A number as the specification spells it: no leading zero, zero is `0x0`. For amounts, where nothing may be guessed.
pub(crate) fn strict_quantity(text: &str) -> Option<U256> {
    let number = quantity(text)?;
    let is_short = text == "0x0" || !text.starts_with("0x0");
    is_short.then_some(number)
}

/// The same of 128 bits: base units.
pub(crate) fn strict_quantity128(text: &str) -> Option<u128> {
    strict_quantity(text).and_then(|number| u128::try_from(number).ok())
}

/// The same of 64 bits.
pub(crate) fn strict_quantity64(text: &str) -> Option<u64> {
    strict_quantity(text).and_then(|number| u64::try_from(number).ok())
}

/// A hash as it is asked for.
pub(crate) fn shown(hash: &Hash) -> String {
    shown_bytes(&hash.0)
}

/// Bytes as a data word.
pub(crate) fn shown_bytes(bytes: &[u8]) -> String {
    format!("0x{}", hex(bytes))
}
