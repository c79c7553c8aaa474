//! Whether a text was signed with the key of a payout address, as wallets sign messages. Pure: text, signature and account come
//! as arguments.
//!
//! Sources: `signmessage` of bitcoin-like nodes (compact signatures with a header byte from 27 on), BIP137 (header bytes for segwit
//! addresses), BIP322 (the *simple* form: a witness), EIP-191 (`personal_sign`). Addresses that no single key owns cannot sign here.

mod bip322;
mod compact;

use orebook_schema::names::Account;
use orebook_schema::units::{Hash, unhex};

use crate::address::Network;
use crate::eth::keccak256;
use crate::hash::{hash160, sha256d};
use crate::wire::put_size;

/// Longest text that is looked at, bytes; a longer one is refused unread.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Longest signature as text that is looked at, bytes: a witness of BIP322 with a key has 144.
pub const SIGNATURE_CHARS_MAX: usize = 256;

/// Why a signature does not count, in words that a miner may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("the text is longer than {TEXT_BYTES_MAX} bytes")]
    Text,
    /// Longer than [`SIGNATURE_CHARS_MAX`], or empty.
    #[error("a signature has 1 to {SIGNATURE_CHARS_MAX} characters")]
    Length,
    /// Neither base64 nor hex, or bytes of another form.
    #[error(
        "this is no signature: give base64 as wallets print it (65 bytes, or a witness of BIP322); of Ethereum-like \
         addresses 0x and 130 hex digits"
    )]
    Form,
    /// A script that no single key owns.
    #[error("an address of this kind cannot sign: give one that a single key owns")]
    NoKey,
    /// A registered name has no key.
    #[error("a registered name has no key that signs: use its token")]
    Name,
    /// Somebody else's, or of another text.
    #[error("the signature is not of this text by this address's key")]
    Wrong,
}

/// Whether `signature`, as a wallet prints it, is one of `text` by the key of `account` on `network`.
///
/// A wallet may choose the larger of the two numbers `s` that do; in a witness of BIP322 only the lower one counts, as on the chain.
///
/// # Errors
/// [`SignedError`], the first that applies.
pub fn verify(
    account: &Account,
    network: Network,
    text: &str,
    signature: &str,
) -> Result<(), SignedError> {
    if TEXT_BYTES_MAX < text.len() {
        return Err(SignedError::Text);
    }
    if signature.is_empty() || SIGNATURE_CHARS_MAX < signature.len() {
        return Err(SignedError::Length);
    }
    match account {
        Account::Name(_) => Err(SignedError::Name),
        Account::Evm(address) => evm(address, text, signature),
        Account::Script(script) => {
            // `smp` names the simple form in newer texts of BIP322.
            let plain = signature.strip_prefix("smp").unwrap_or(signature);
            let bytes = base64(plain).ok_or(SignedError::Form)?;
            match <[u8; 65]>::try_from(bytes.as_slice()) {
                // A witness begins with the count of its items.
                Ok(compact) if 27 <= compact[0] => {
                    by_script(script.bytes(), &digest(text, network), &compact)
                }
                _ => bip322::verify(script.bytes(), text, &bytes),
            }
        }
    }
}

/// What a bitcoin-like signs of a text: SHA-256 twice over magic and text, each after its length.
fn digest(text: &str, network: Network) -> Hash {
    let mut bytes = Vec::new();
    for part in [network.message_magic(), text] {
        put_size(&mut bytes, part.len());
        bytes.extend_from_slice(part.as_bytes());
    }
    sha256d(&bytes)
}

fn by_script(script: &[u8], digest: &Hash, signature: &[u8; 65]) -> Result<(), SignedError> {
    let (header, rest) = (signature[0], &signature[1..]);
    // 27 to 30: a key of 65 bytes. 31 to 34: of 33 bytes, and of segwit addresses by wallets that know no other header. Then BIP137:
    // 35 to 38 for P2SH of P2WPKH, 39 to 42 for P2WPKH.
    let form = match header {
        27..=30 => 0,
        31..=34 => 1,
        35..=38 => 2,
        39..=42 => 3,
        _ => return Err(SignedError::Form),
    };
    let key_hash = |compressed: bool| {
        let key = compact::recover(digest, rest, (header - 27) & 3).ok_or(SignedError::Wrong)?;
        Ok(hash160(&compact::key_bytes(&key, compressed)))
    };
    let is_signer = match (script, form) {
        ([0x76, 0xa9, 20, hash @ .., 0x88, 0xac], 0 | 1) if hash.len() == 20 => {
            key_hash(form == 1)? == *hash
        }
        ([0, 20, hash @ ..], 1 | 3) if hash.len() == 20 => key_hash(true)? == *hash,
        ([0xa9, 20, hash @ .., 0x87], 1 | 2) if hash.len() == 20 => {
            let program = [&[0, 20], key_hash(true)?.as_slice()].concat();
            hash160(&program) == *hash
        }
        // Right kinds of address under another's header, then what no key is recovered for.
        ([0x76, ..] | [0, 20, ..] | [0xa9, ..], _) => return Err(SignedError::Wrong),
        ([0x51, 32, ..], _) => return Err(SignedError::Form),
        _ => return Err(SignedError::NoKey),
    };
    is_signer.then_some(()).ok_or(SignedError::Wrong)
}

/// EIP-191, version 0x45: `0x19`, the magic, the text's length in decimal, the text. The last byte says which key: 0, 1, 27 or 28.
fn evm(address: &[u8; 20], text: &str, signature: &str) -> Result<(), SignedError> {
    let digits = signature.strip_prefix("0x").unwrap_or(signature);
    let bytes = unhex(&digits.to_ascii_lowercase()).ok_or(SignedError::Form)?;
    let bytes: [u8; 65] = bytes.try_into().map_err(|_| SignedError::Form)?;
    let which = match bytes[64] {
        which @ (0 | 1) => which,
        which @ (27 | 28) => which - 27,
        _ => return Err(SignedError::Form),
    };
    let magic = Network::EthereumClassic.message_magic();
    let digest = keccak256(format!("\x19{magic}{}{text}", text.len()).as_bytes());
    let key = compact::recover(&digest, &bytes[..64], which).ok_or(SignedError::Wrong)?;
    let key = compact::key_bytes(&key, false);
    let hash = keccak256(key.get(1..).unwrap_or_default());
    (hash.0[12..] == *address)
        .then_some(())
        .ok_or(SignedError::Wrong)
}

/// Base64 (RFC 4648, 4) with its padding; one spelling only.
fn base64(text: &str) -> Option<Vec<u8>> {
    let value = |symbol: u8| match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (groups, rest) = text.as_bytes().as_chunks::<4>();
    if groups.is_empty() || !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let padding = group.iter().rev().take_while(|symbol| **symbol == b'=');
        let padding = padding.count();
        let is_last = number + 1 == groups.len();
        if 2 < padding || (0 < padding && !is_last) {
            return None;
        }
        let mut bits = 0_u32;
        for symbol in group.get(..4 - padding)? {
            bits = bits << 6 | u32::from(value(*symbol)?);
        }
        bits <<= 6 * padding;
        let [_, whole @ ..] = bits.to_be_bytes();
        let (kept, cut) = whole.split_at_checked(3 - padding)?;
        // Bits of no byte are zero in the one spelling.
        if cut.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_spelling() {
        // RFC 4648, section 10.
        for (text, bytes) in [
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for wrong in [
            "", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm9_", "Zm 9",
        ] {
            assert_eq!(base64(wrong), None, "{wrong:?}");
        }
    }
}
