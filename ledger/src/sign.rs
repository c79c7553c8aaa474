//! Ed25519 signatures (section 1): every signature has a domain line, so that none can be lifted into another place.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use orebook_schema::frame::{APPROVAL_DOMAIN, CHECKPOINT_DOMAIN};
use orebook_schema::{Hash, Key, LedgerId};

/// A producer's or approver's secret key. Shown as its public half only.
#[derive(Clone)]
pub struct Signer {
    secret: SigningKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.key())
    }
}

impl Signer {
    /// From 32 secret bytes, which must come from a good random source.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            secret: SigningKey::from_bytes(seed),
        }
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> Key {
        Key(self.secret.verifying_key().to_bytes())
    }

    /// Signs `domain` followed by `message`.
    #[must_use]
    pub fn sign(&self, domain: &[u8], message: &[u8]) -> [u8; 64] {
        self.secret.sign(&[domain, message].concat()).to_bytes()
    }

    /// Signs a tree head.
    #[must_use]
    pub fn sign_checkpoint(&self, ledger: LedgerId, size: u64, root: &Hash) -> [u8; 64] {
        self.sign(CHECKPOINT_DOMAIN, &checkpoint_message(ledger, size, root))
    }

    /// Approves a thing.
    #[must_use]
    pub fn sign_approval(&self, ledger: LedgerId, thing: &Hash) -> [u8; 64] {
        self.sign(APPROVAL_DOMAIN, &[ledger.0.as_slice(), &thing.0].concat())
    }
}

/// Whether the signature is right, by the strict rules of section 1.
#[must_use]
pub fn verify(key: &Key, domain: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&key.0) else {
        return false;
    };
    key.verify_strict(
        &[domain, message].concat(),
        &Signature::from_bytes(signature),
    )
    .is_ok()
}

/// Whether a tree head was signed by this key.
#[must_use]
pub fn verify_checkpoint(
    key: &Key,
    ledger: LedgerId,
    size: u64,
    root: &Hash,
    signature: &[u8; 64],
) -> bool {
    verify(
        key,
        CHECKPOINT_DOMAIN,
        &checkpoint_message(ledger, size, root),
        signature,
    )
}

/// Whether an approver approved a thing.
#[must_use]
pub fn verify_approval(key: &Key, ledger: LedgerId, thing: &Hash, signature: &[u8; 64]) -> bool {
    verify(
        key,
        APPROVAL_DOMAIN,
        &[ledger.0.as_slice(), &thing.0].concat(),
        signature,
    )
}

fn checkpoint_message(ledger: LedgerId, size: u64, root: &Hash) -> Vec<u8> {
    [ledger.0.as_slice(), &size.to_le_bytes(), &root.0].concat()
}
