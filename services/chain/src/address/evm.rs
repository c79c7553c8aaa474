//! Addresses of ethash-likes: 20 bytes in hex. The case of the letters may carry a checksum (EIP-55); one case alone carries none.

use keccak::Keccak;
use orebook_schema::units::{hex, unhex};

use super::{AddressError, Network};

/// Hex digits of an address.
const DIGITS: usize = 40;
/// Bytes that Keccak-256 takes at a time: more than an address has digits.
const RATE_BYTES: usize = 136;
/// Last byte of a last block, beside the 1 that follows the message (the padding of 2013).
const PADDING_END: u8 = 0x80;

/// The digits, if it is one as far as the eye sees.
fn digits(text: &str) -> Option<&str> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    let is_one = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_one.then_some(digits)
}

/// Whether a text is spelled as one, with its prefix.
pub(super) fn is_spelled(text: &str) -> bool {
    let has_prefix = text.starts_with("0x") || text.starts_with("0X");
    has_prefix && digits(text).is_some()
}

pub(super) fn parse(text: &str, network: Network) -> Result<[u8; 20], AddressError> {
    let Some(digits) = digits(text) else {
        return Err(another(text, network).unwrap_or(AddressError::EvmDigits(network)));
    };
    let bytes = unhex(&digits.to_ascii_lowercase());
    let address: [u8; 20] = bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(AddressError::EvmDigits(network))?;
    if address == [0; 20] {
        return Err(AddressError::EvmZero);
    }
    let has_upper = digits.bytes().any(|b| b.is_ascii_uppercase());
    let has_lower = digits.bytes().any(|b| b.is_ascii_lowercase());
    if has_upper && has_lower && show(&address).strip_prefix("0x") != Some(digits) {
        return Err(AddressError::EvmChecksum);
    }
    Ok(address)
}

/// Whether it is a good address of another network that has spellings of its own.
fn another(text: &str, network: Network) -> Option<AddressError> {
    let mut others = Network::ALL.into_iter().filter(|other| !other.is_evm());
    let of = others.find(|other| super::parse(text, *other).is_ok())?;
    Some(AddressError::OtherNetwork { of, pool: network })
}

/// With its checksum.
pub(super) fn show(address: &[u8; 20]) -> String {
    let digits = hex(address);
    let hash = keccak256(digits.as_bytes());
    let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let spelled = digits.chars().zip(nibbles).map(|(digit, nibble)| {
        if 8 <= nibble {
            digit.to_ascii_uppercase()
        } else {
            digit
        }
    });
    ['0', 'x'].into_iter().chain(spelled).collect()
}

/// Keccak-256 of less than a block: all that an address needs. The first 20 bytes.
fn keccak256(short: &[u8]) -> [u8; 20] {
    let mut block = [0; RATE_BYTES];
    for (place, byte) in block.iter_mut().zip(short.iter().chain(&[1])) {
        *place = *byte;
    }
    if let Some(end) = block.last_mut() {
        *end |= PADDING_END;
    }
    let mut state = [0_u64; 25];
    for (word, bytes) in state.iter_mut().zip(block.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Keccak::new().with_f1600(|permute| permute(&mut state));
    let bytes = state.iter().flat_map(|word| word.to_le_bytes());
    let mut hash = [0; 20];
    for (place, byte) in hash.iter_mut().zip(bytes) {
        *place = byte;
    }
    hash
}
