//! BIP322, the simple form: a witness that would spend an output to the address in a transaction that no chain has. Of P2WPKH (BIP143)
//! and of taproot by its key (BIP341); other scripts need the full form, which is not read here.

use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use k256::ecdsa::{Signature, VerifyingKey};
use k256::schnorr;
use orebook_schema::units::Hash;

use super::SignedError;
use crate::hash::{hash160, sha256d};
use crate::wire::put_bytes;

/// Tag of the message's hash.
const MESSAGE_TAG: &str = "BIP0322-signed-message";
/// Tag of what taproot signs.
const SIGHASH_TAG: &str = "TapSighash";
/// Every input and output is signed.
const SIGHASH_ALL: u8 = 1;
/// Items of a witness at most; a longer one is of no form that is read here.
const ITEMS_MAX: usize = 2;
/// The one output of the transaction that would spend: nothing, to a script that only says so (OP_RETURN).
const OUTPUT: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0x6a];
/// Version, lock time and sequence are zero.
const ZERO: [u8; 4] = [0; 4];

/// Whether the witness spends an output to `script` for the text.
pub(super) fn verify(script: &[u8], text: &str, witness: &[u8]) -> Result<(), SignedError> {
    let items = items(witness).ok_or(SignedError::Form)?;
    let spends = spent(script, text);
    match (script, items.as_slice()) {
        ([0, 20, hash @ ..], [signature, key]) if hash.len() == 20 => {
            by_key_hash(hash, &spends, signature, key)
        }
        ([0x51, 32, key @ ..], [signature]) if key.len() == 32 => {
            by_taproot(key, script, &spends, signature)
        }
        ([0, 20, ..] | [0x51, 32, ..] | [0x76, ..] | [0xa9, ..], _) => Err(SignedError::Form),
        _ => Err(SignedError::NoKey),
    }
}

/// A witness as it stands in transactions: how many items, then each after its length. All of the bytes.
fn items(witness: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = witness.split_first()?;
    let mut items = Vec::new();
    for _ in 0..usize::from(*count).min(ITEMS_MAX + 1) {
        let (len, after) = rest.split_first()?;
        // From 253 on a length has more bytes: no item here is as long.
        let (item, after) = after.split_at_checked(usize::from(*len))?;
        items.push(item);
        rest = after;
    }
    (rest.is_empty() && items.len() <= ITEMS_MAX).then_some(items)
}

fn tagged(tag: &str, message: &[u8]) -> Hash {
    let tag = Hash::of(&[tag.as_bytes()]);
    Hash::of(&[&tag.0, &tag.0, message])
}

/// The output that is spent: its transaction's id, and number 0.
fn spent(script: &[u8], text: &str) -> Vec<u8> {
    let message = tagged(MESSAGE_TAG, text.as_bytes());
    // Version, one input that spends nothing, its script: OP_0 and the hash; sequence, one output of nothing, lock time.
    let mut bytes = [ZERO.as_slice(), &[1], &[0; 32], &[0xff; 4], &[34, 0, 32]].concat();
    bytes.extend(message.0);
    bytes.extend(ZERO);
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
    put_bytes(&mut bytes, script);
    bytes.extend(ZERO);
    [sha256d(&bytes).0.as_slice(), &ZERO].concat()
}

fn by_key_hash(
    hash: &[u8],
    spends: &[u8],
    signature: &[u8],
    key: &[u8],
) -> Result<(), SignedError> {
    let (how, der) = signature.split_last().ok_or(SignedError::Form)?;
    if *how != SIGHASH_ALL || key.len() != 33 {
        return Err(SignedError::Form);
    }
    if hash160(key) != hash {
        return Err(SignedError::Wrong);
    }
    let code = [&[25, 0x76, 0xa9, 20], hash, &[0x88, 0xac]].concat();
    let parts: [&[u8]; 10] = [
        &ZERO,
        &sha256d(spends).0,
        &sha256d(&ZERO).0,
        spends,
        &code,
        &[0; 8],
        &ZERO,
        &sha256d(&OUTPUT).0,
        &ZERO,
        &u32::from(SIGHASH_ALL).to_le_bytes(),
    ];
    let digest = sha256d(&parts.concat());
    let signature = Signature::from_der(der).map_err(|_| SignedError::Form)?;
    if signature.normalize_s() != signature {
        return Err(SignedError::Form);
    }
    let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| SignedError::Wrong)?;
    key.verify_prehash(&digest.0, &signature)
        .map_err(|_| SignedError::Wrong)
}

fn by_taproot(
    key: &[u8],
    script: &[u8],
    spends: &[u8],
    signature: &[u8],
) -> Result<(), SignedError> {
    // Without a byte behind it the default, which signs as much as 1 does.
    let (signature, how) = match signature {
        [signature @ .., how] if signature.len() == 64 && *how == SIGHASH_ALL => (signature, *how),
        signature if signature.len() == 64 => (signature, 0),
        _ => return Err(SignedError::Form),
    };
    let mut scripts = Vec::new();
    put_bytes(&mut scripts, script);
    let parts: [&[u8]; 11] = [
        // Epoch 0, then how, version, lock time.
        &[0, how],
        &ZERO,
        &ZERO,
        &Hash::of(&[spends]).0,
        &Hash::of(&[&[0; 8]]).0,
        &Hash::of(&[&scripts]).0,
        &Hash::of(&[&ZERO]).0,
        &Hash::of(&[&OUTPUT]).0,
        // By the key, without an annex; the first input.
        &[0],
        &ZERO,
        &[],
    ];
    let digest = tagged(SIGHASH_TAG, &parts.concat());
    let signature = schnorr::Signature::try_from(signature).map_err(|_| SignedError::Form)?;
    let key = schnorr::VerifyingKey::from_slice(key).map_err(|_| SignedError::Wrong)?;
    key.verify_raw(&digest.0, &signature)
        .map_err(|_| SignedError::Wrong)
}
