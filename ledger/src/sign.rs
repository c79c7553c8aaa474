//! Ed25519 signatures (section 1): every signature has a domain line, so that none can be lifted into another place.

use ed25519_dalek::ed25519::signature::MultipartVerifier as _;
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

/// A public key taken apart once, to verify many signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    key: VerifyingKey,
}

/// Canonical bytes of the eight points of small order. A signature whose R is one of them says nothing about its message.
const SMALL_ORDER: [[u8; 32]; 8] = {
    const EIGHTH: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    const OTHER_EIGHTH: [u8; 32] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ];
    const ONE: [u8; 32] = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    const MINUS_ONE: [u8; 32] = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xec;
        bytes[31] = 0x7f;
        bytes
    };
    /// The other point with the same y.
    const fn negated(mut bytes: [u8; 32]) -> [u8; 32] {
        bytes[31] |= 0x80;
        bytes
    }
    [
        ONE,
        MINUS_ONE,
        [0; 32],
        negated([0; 32]),
        EIGHTH,
        negated(EIGHTH),
        OTHER_EIGHTH,
        negated(OTHER_EIGHTH),
    ]
};

impl Verifier {
    /// None for bytes that are no point, or one of small order: no signature is right by the strict rules then.
    #[must_use]
    pub fn of(key: &Key) -> Option<Self> {
        let key = VerifyingKey::from_bytes(&key.0).ok()?;
        (!key.is_weak()).then_some(Self { key })
    }

    /// Whether the signature is right, by the strict rules of section 1.
    ///
    /// What is compared are the bytes of R with those of the point that it must be, so an R that is right is a point in its
    /// canonical bytes, and only its order is left to look at: by its bytes, without taking it apart.
    #[must_use]
    pub fn verify(&self, domain: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
        let of_small_order = SMALL_ORDER.iter().any(|r| signature.starts_with(r));
        let parts = [domain, message];
        let signature = Signature::from_bytes(signature);
        !of_small_order && self.key.multipart_verify(&parts, &signature).is_ok()
    }

    /// Whether a tree head was signed by this key.
    #[must_use]
    pub fn verify_checkpoint(
        &self,
        ledger: LedgerId,
        size: u64,
        root: &Hash,
        signature: &[u8; 64],
    ) -> bool {
        self.verify(
            CHECKPOINT_DOMAIN,
            &checkpoint_message(ledger, size, root),
            signature,
        )
    }
}

/// Whether the signature is right, by the strict rules of section 1.
#[must_use]
pub fn verify(key: &Key, domain: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    Verifier::of(key).is_some_and(|verifier| verifier.verify(domain, message, signature))
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
    Verifier::of(key)
        .is_some_and(|verifier| verifier.verify_checkpoint(ledger, size, root, signature))
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

#[cfg(test)]
mod tests {
    use orebook_schema::frame::FRAME_DOMAIN;
    use orebook_schema::units::unhex;

    use super::*;

    /// The strict rules as the library has them, which takes R apart each time.
    fn strict(key: &Key, domain: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&key.0) else {
            return false;
        };
        let signature = Signature::from_bytes(signature);
        let message = [domain, message].concat();
        key.verify_strict(&message, &signature).is_ok()
    }

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        unhex(hex).unwrap().try_into().unwrap()
    }

    /// A key with a part of small order, which is not weak itself.
    const MIXED_KEY: &str = "6f3cab9ca0acb9d1b43171fec6991c910771e46e16a9e0bdc58543ba43542946";

    /// Message and signature by that key with each R of small order, which the plain equation accepts: made with the key's
    /// secret by trying messages until the small parts cancel.
    const HOLLOW: [(u32, &str); 8] = [
        (
            3,
            "0100000000000000000000000000000000000000000000000000000000000000\
          562a50c3597217e8ad6d60556fed4d56533322f2c388e27fc67d53e71ef8f701",
        ),
        (
            5,
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a\
          1a66894c9f032bd3b800a8eb2b543f9330894a63709d0cec3452ac7b1aea9601",
        ),
        (
            8,
            "0000000000000000000000000000000000000000000000000000000000000080\
          c702e8935d636bca17a5beeca91d812b8bc772b2de5941fbbaa1f6892fde010a",
        ),
        (
            5,
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05\
          91a1e21685a5a2af0d47c4404d66959c73e8778beff6bc145a7c748c10b04f08",
        ),
        (
            10,
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f\
          b14585e51d57ff566cfb61b9e33df99a1d9c19a00db7ef208b7360421e4cdc09",
        ),
        (
            6,
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85\
          1aa543ce795ffd7287769b9f893a1d4de4dd8f3da348133ec9effefcc61c150f",
        ),
        (
            13,
            "0000000000000000000000000000000000000000000000000000000000000000\
          fadb416881298be5ae34d09f8cdeb7e759fb4afa51a07d587fdfcd84c0f70b0b",
        ),
        (
            1,
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa\
          f412ff002e47b334b94a0d4d9262efaddbc2877d68d87c4aae6bbd7bcd46de05",
        ),
    ];

    #[test]
    fn signatures_with_a_hollow_r_are_refused_though_the_equation_holds() {
        let key = Key(bytes(MIXED_KEY));
        let plain = VerifyingKey::from_bytes(&key.0).unwrap();
        let mut seen = Vec::new();
        for (message, signature) in HOLLOW {
            let (message, signature) = (message.to_le_bytes(), bytes(signature));
            let parts: [&[u8]; 2] = [FRAME_DOMAIN, &message];
            let accepted = plain.multipart_verify(&parts, &Signature::from_bytes(&signature));
            assert!(accepted.is_ok(), "the equation holds");
            assert!(!strict(&key, FRAME_DOMAIN, &message, &signature));
            assert!(!verify(&key, FRAME_DOMAIN, &message, &signature));
            seen.push(signature[..32].to_vec());
        }
        seen.sort();
        let mut all = SMALL_ORDER.map(|r| r.to_vec());
        all.sort();
        assert_eq!(seen, all, "each point of small order once");
    }

    #[test]
    fn points_of_small_order_are_eight_and_no_keys() {
        let mut all = SMALL_ORDER.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
        for point in all {
            assert!(VerifyingKey::from_bytes(&point).unwrap().is_weak());
            assert_eq!(Verifier::of(&Key(point)), None);
        }
    }

    #[test]
    fn right_and_spoiled_signatures_are_judged_as_by_the_strict_rules() {
        // R or s replaced by what is not canonical, zero, or of small order; or a bit flipped anywhere.
        let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let one_again = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
        let minus_zero = "0100000000000000000000000000000000000000000000000000000000000080";
        let mut parts = SMALL_ORDER.to_vec();
        parts.extend([order, one_again, minus_zero].map(bytes::<32>));
        let mut right = 0;
        for seed in 0..4u8 {
            let signer = Signer::from_seed(&[seed; 32]);
            let message = [seed; 224];
            let signature = signer.sign(FRAME_DOMAIN, &message);
            let mut tried = vec![signature];
            for bit in 0..512 {
                let mut flipped = signature;
                flipped[bit / 8] ^= 1 << (bit % 8);
                tried.push(flipped);
            }
            for part in &parts {
                let (mut other_r, mut other_s) = (signature, signature);
                other_r[..32].copy_from_slice(part);
                other_s[32..].copy_from_slice(part);
                tried.extend([other_r, other_s]);
            }
            let mut keys = vec![signer.key(), Key(bytes(MIXED_KEY)), Key(bytes(order))];
            keys.extend(parts.iter().map(|part| Key(*part)));
            for signature in &tried {
                let expected = strict(&signer.key(), FRAME_DOMAIN, &message, signature);
                let judged = verify(&signer.key(), FRAME_DOMAIN, &message, signature);
                assert_eq!(judged, expected, "seed {seed}, {signature:x?}");
                right += usize::from(judged);
            }
            for key in &keys {
                let expected = strict(key, FRAME_DOMAIN, &message, &signature);
                let judged = verify(key, FRAME_DOMAIN, &message, &signature);
                assert_eq!(judged, expected, "seed {seed}, key {key}");
            }
        }
        assert_eq!(right, 4, "the four that were signed");
    }
}
