//! The key that made a signature of 64 bytes, r ‖ s, and the number that says which of its candidates (SEC 1, 4.1.6).

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use orebook_schema::units::Hash;

/// The key, if there is one. `which`: bit 0, whether y of the point is odd; bit 1, whether its x was above the group's order.
pub(super) fn recover(digest: &Hash, signature: &[u8], which: u8) -> Option<VerifyingKey> {
    let signature = Signature::from_slice(signature).ok()?;
    let id = RecoveryId::from_byte(which)?;
    // Of s and −s both are signatures: the key is the same when the point is the other one, and the library takes the lower s only.
    let lower = signature.normalize_s();
    let is_odd = id.is_y_odd() ^ (lower != signature);
    let id = RecoveryId::new(is_odd, id.is_x_reduced());
    VerifyingKey::recover_from_prehash(&digest.0, &lower, id).ok()
}

/// The key's bytes (SEC 1, 2.3.3): 33 or 65.
pub(super) fn key_bytes(key: &VerifyingKey, compressed: bool) -> Vec<u8> {
    key.to_sec1_point(compressed).as_bytes().to_vec()
}
