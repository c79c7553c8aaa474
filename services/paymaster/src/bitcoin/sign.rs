//! Signing with a key: the digest of BIP143 for coins of SegWit addresses, the older one for coins of old addresses.

use orebook_chain::hash::sha256d;
use orebook_chain::wallet::bitcoin::Coin;

use super::key::{Key, KeyError, SIGHASH_ALL};
use super::tx::{Tx, outpoint_bytes, put_bytes, put_output};

/// Why a transaction cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A coin that the key does not open.
    #[error("a coin is not of the wallet's key")]
    Stranger,
    /// As many coins as inputs, in their order: they are not.
    #[error("coins and inputs are not the same")]
    Inputs,
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Signs every input. `coins` are what they spend, in their order.
///
/// # Errors
/// [`SignError`].
pub fn sign(tx: &Tx, coins: &[Coin], key: &Key) -> Result<Tx, SignError> {
    let are_same = tx.inputs.len() == coins.len()
        && tx
            .inputs
            .iter()
            .zip(coins)
            .all(|(input, coin)| input.outpoint == coin.outpoint);
    if !are_same {
        return Err(SignError::Inputs);
    }
    let bare = tx.unsigned();
    let (witness_script, legacy_script) = (key.witness_script(), key.legacy_script());
    let common = Common::of(&bare);
    let mut signed = bare.clone();
    for (index, (input, coin)) in signed.inputs.iter_mut().zip(coins).enumerate() {
        if coin.script == witness_script {
            let digest = witness_digest(&bare, index, &common, &legacy_script, coin.value);
            input.witness = vec![key.sign(&digest)?, key.public().to_vec()];
        } else if coin.script == legacy_script {
            let signature = key.sign(&legacy_digest(&bare, index, &coin.script))?;
            put_bytes(&mut input.script_sig, &signature);
            put_bytes(&mut input.script_sig, key.public());
        } else {
            return Err(SignError::Stranger);
        }
    }
    Ok(signed)
}

/// What the digests of all inputs share (BIP143), so that signing many is not slow.
pub(super) struct Common {
    prevouts: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
}

impl Common {
    pub(super) fn of(tx: &Tx) -> Self {
        let (mut prevouts, mut sequences, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for input in &tx.inputs {
            prevouts.extend(outpoint_bytes(input.outpoint));
            sequences.extend(input.sequence.to_le_bytes());
        }
        for output in &tx.outputs {
            put_output(&mut outputs, output);
        }
        Self {
            prevouts: sha256d(&prevouts).0,
            sequences: sha256d(&sequences).0,
            outputs: sha256d(&outputs).0,
        }
    }
}

/// The digest of BIP143, everything signed. `code` is the old address's script of the same key.
pub(super) fn witness_digest(
    tx: &Tx,
    index: usize,
    common: &Common,
    code: &[u8],
    value: u64,
) -> [u8; 32] {
    let mut bytes = tx.version.to_le_bytes().to_vec();
    bytes.extend(common.prevouts);
    bytes.extend(common.sequences);
    if let Some(input) = tx.inputs.get(index) {
        bytes.extend(outpoint_bytes(input.outpoint));
        put_bytes(&mut bytes, code);
        bytes.extend(value.to_le_bytes());
        bytes.extend(input.sequence.to_le_bytes());
    }
    bytes.extend(common.outputs);
    bytes.extend(tx.locktime.to_le_bytes());
    bytes.extend(u32::from(SIGHASH_ALL).to_le_bytes());
    sha256d(&bytes).0
}

/// The older digest, everything signed: the transaction with the coin's script at its input and none at the others.
pub(super) fn legacy_digest(tx: &Tx, index: usize, script: &[u8]) -> [u8; 32] {
    let mut copy = tx.unsigned();
    if let Some(input) = copy.inputs.get_mut(index) {
        input.script_sig = script.to_vec();
    }
    let mut bytes = copy.bytes();
    bytes.extend(u32::from(SIGHASH_ALL).to_le_bytes());
    sha256d(&bytes).0
}
