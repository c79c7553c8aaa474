//! A hot wallet's secret key: a file of 64 hex digits that only its owner may read. It is never shown, logged or put into an error.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use k256::elliptic_curve::zeroize::Zeroizing;
use orebook_chain::eth::keccak256;
use orebook_schema::units::{Hash, hex};

/// Hex digits of a key.
const DIGITS: usize = 64;
/// Most bytes of a key's file: the digits and a line end. A longer one is no key.
const FILE_BYTES_MAX: usize = DIGITS + 2;

/// Why a file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("the key's file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Others than its owner may read or write it.
    #[error(
        "others may read the key's file (mode {0:o}): chmod 600, and consider whether it is secret still"
    )]
    Mode(u32),
    /// Its text is none, or the number is none of the curve.
    #[error("a key is 64 hex digits, below the curve's order and not zero")]
    Text,
}

/// A secret key and its address. Its memory is overwritten when it goes.
#[derive(Clone)]
pub struct EvmKey {
    secret: SigningKey,
    address: [u8; 20],
}

impl fmt::Debug for EvmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvmKey(of 0x{})", hex(&self.address))
    }
}

impl EvmKey {
    /// A key from its bytes.
    ///
    /// # Errors
    /// [`KeyError::Text`].
    pub fn new(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SigningKey::from_slice(secret).map_err(|_| KeyError::Text)?;
        let address = address_of(secret.verifying_key());
        Ok(Self { secret, address })
    }

    /// A key from a file of mode 0600 or less: 64 hex digits, with or without a line end.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Mode(mode));
        }
        // Neither buffer grows, so that no copy is left behind.
        let mut text = Zeroizing::new([0; FILE_BYTES_MAX + 1]);
        let mut len = 0;
        let mut file = file.take(text.len() as u64);
        loop {
            let room = text.get_mut(len..).unwrap_or_default();
            match file.read(room)? {
                0 => break,
                count => len += count,
            }
        }
        let line = text.get(..len).unwrap_or_default();
        let digits = line.strip_suffix(b"\n").unwrap_or(line);
        let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
        let (pairs, odd) = digits.as_chunks::<2>();
        let mut secret = Zeroizing::new([0; 32]);
        if pairs.len() != secret.len() || !odd.is_empty() {
            return Err(KeyError::Text);
        }
        for (place, [high, low]) in secret.iter_mut().zip(pairs) {
            let nibble = |digit: u8| char::from(digit).to_digit(16);
            let byte = nibble(*high).zip(nibble(*low));
            let byte = byte.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
            *place = byte.ok_or(KeyError::Text)?;
        }
        Self::new(&secret)
    }

    /// The last 20 bytes of Keccak-256 of the public key.
    #[must_use]
    pub const fn address(&self) -> [u8; 20] {
        self.address
    }

    /// Signs a digest: deterministic (RFC 6979), s in the lower half (EIP-2).
    #[must_use]
    pub fn sign(&self, digest: &Hash) -> Proof {
        let (signature, id) = self.secret.sign_prehash_recoverable(&digest.0);
        Proof {
            is_odd: id.is_y_odd(),
            // r is not below the field's and above the order's size but with a chance of 2^-127.
            r: signature.r().to_bytes().into(),
            s: signature.s().to_bytes().into(),
        }
    }
}

/// A signature of which the signer's address follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whether the point's y is odd.
    pub is_odd: bool,
    /// The point's x, highest byte first.
    pub r: [u8; 32],
    /// The other half, highest byte first.
    pub s: [u8; 32],
}

impl Proof {
    /// Who signed a digest; none if it is no signature, or one with s in the upper half.
    #[must_use]
    pub fn signer(&self, digest: &Hash) -> Option<[u8; 20]> {
        let signature = Signature::from_scalars(self.r, self.s).ok()?;
        if signature.normalize_s() != signature {
            return None;
        }
        let id = RecoveryId::new(self.is_odd, false);
        let key = VerifyingKey::recover_from_prehash(&digest.0, &signature, id).ok()?;
        Some(address_of(&key))
    }
}

fn address_of(key: &VerifyingKey) -> [u8; 20] {
    let point = key.to_sec1_point(false);
    // The first byte says that both coordinates follow.
    let hash = keccak256(point.as_bytes().get(1..).unwrap_or_default());
    let mut address = [0; 20];
    for (place, byte) in address.iter_mut().zip(hash.0.iter().skip(12)) {
        *place = *byte;
    }
    address
}
