//! A wallet's key from a file. It is in memory once, wiped when it goes, and in no error, log or `Debug`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use k256::ecdsa::{Signature, SigningKey};
use orebook_chain::hash::hash160;
use zeroize::Zeroizing;

/// Most bytes of a key file; a longer one is refused unread.
pub const KEY_FILE_BYTES_MAX: usize = 128;

/// Why a file gives no key. No part of the file is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It cannot be opened or read.
    #[error("the key file cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// No plain file, or readable by others than its owner.
    #[error("the key file must be a plain file that only its owner may read: chmod 600")]
    Permissions,
    /// Longer than [`KEY_FILE_BYTES_MAX`].
    #[error("the key file is longer than {KEY_FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Neither of the two forms.
    #[error("the key file holds neither a WIF key nor 64 hex digits")]
    Form,
    /// A WIF key whose checksum does not fit.
    #[error("the WIF key has a wrong checksum: a character is mistyped or missing")]
    Checksum,
    /// A WIF key of an uncompressed public key.
    #[error("the WIF key is of an uncompressed public key, which no SegWit address has")]
    Uncompressed,
    /// Zero, or not below the curve's order.
    #[error("the key is no number that the curve has")]
    Range,
}

/// A private key with its public one.
pub struct Key {
    secret: SigningKey,
    public: [u8; 33],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(held)")
    }
}

impl Key {
    /// Reads a file of one line: a WIF key of a compressed public key, or the 32 bytes in hex.
    ///
    /// # Errors
    /// [`KeyError`], the first that applies.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |error: io::Error| KeyError::Unreadable(error.kind());
        let file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() || about.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Permissions);
        }
        // One byte more than is allowed, in one piece: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(2 * KEY_FILE_BYTES_MAX));
        let most = u64::try_from(KEY_FILE_BYTES_MAX + 1).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut text).map_err(unreadable)?;
        if KEY_FILE_BYTES_MAX < text.len() {
            return Err(KeyError::TooLong);
        }
        Self::parse(text.trim_ascii())
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let secret = if text.len() == 64 {
            of_hex(text).ok_or(KeyError::Form)?
        } else {
            of_wif(text)?
        };
        let secret = SigningKey::from_slice(secret.as_slice()).map_err(|_| KeyError::Range)?;
        let point = secret.verifying_key().to_sec1_point(true);
        let public = point.as_bytes().try_into().map_err(|_| KeyError::Range)?;
        Ok(Self { secret, public })
    }

    /// The compressed public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 33] {
        &self.public
    }

    /// The output script of a SegWit address of this key (P2WPKH).
    #[must_use]
    pub fn witness_script(&self) -> Vec<u8> {
        [&[0, 20], hash160(&self.public).as_slice()].concat()
    }

    /// The output script of an old address of this key (P2PKH).
    #[must_use]
    pub fn legacy_script(&self) -> Vec<u8> {
        let hash = hash160(&self.public);
        [&[0x76, 0xa9, 20], hash.as_slice(), &[0x88, 0xac]].concat()
    }

    /// A signature of a digest: RFC 6979, lower half of the curve's order (BIP146), DER, and SIGHASH_ALL behind it.
    ///
    /// # Errors
    /// [`KeyError::Range`] never comes in practice: no nonce was found.
    pub(super) fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        let signature: Signature = self
            .secret
            .sign_prehash(digest)
            .map_err(|_| KeyError::Range)?;
        let signature = signature.normalize_s();
        let (r, s) = signature.split_bytes();
        let mut der = Vec::with_capacity(72);
        for number in [r.as_slice(), s.as_slice()] {
            let number = number.trim_start_zeros();
            let pad = number.first().is_none_or(|top| top & 0x80 != 0);
            der.push(2);
            der.push(length(number.len() + usize::from(pad)));
            der.extend(pad.then_some(0));
            der.extend_from_slice(number);
        }
        let mut signed = vec![0x30, length(der.len())];
        signed.append(&mut der);
        signed.push(SIGHASH_ALL);
        Ok(signed)
    }
}

/// Everything is signed: all inputs, all outputs.
pub(super) const SIGHASH_ALL: u8 = 1;

trait Zeros {
    fn trim_start_zeros(&self) -> &Self;
}

impl Zeros for [u8] {
    fn trim_start_zeros(&self) -> &Self {
        let zeros = self.iter().take_while(|b| **b == 0).count();
        self.get(zeros..).unwrap_or_default()
    }
}

/// DER's length byte; a signature has none above 72.
fn length(bytes: usize) -> u8 {
    u8::try_from(bytes).unwrap_or(u8::MAX)
}

fn of_hex(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let (pairs, _) = text.as_chunks::<2>();
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    for (to, [high, low]) in key.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(key)
}

/// Which network the first byte names is not asked: the wallet's address must fit the key, and that says more.
fn of_wif(text: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut buffer = Zeroizing::new([0; KEY_FILE_BYTES_MAX]);
    let decoded = bs58::decode(text)
        .with_check(None)
        .onto(buffer.as_mut_slice());
    let len = decoded.map_err(|error| match error {
        bs58::decode::Error::InvalidChecksum { .. } => KeyError::Checksum,
        _ => KeyError::Form,
    })?;
    let mut key = Zeroizing::new([0; 32]);
    match buffer.get(..len) {
        Some([_, found @ .., 1]) if found.len() == 32 => key.copy_from_slice(found),
        Some([_, found @ ..]) if found.len() == 32 => return Err(KeyError::Uncompressed),
        _ => return Err(KeyError::Form),
    }
    Ok(key)
}
