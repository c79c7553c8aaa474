//! Whether a signature allows an input: outputs that name a key's hash, with and without witness. Any other script is refused
//! by name: nothing here interprets one.
//!
//! Sources: BIP141, BIP143 (what is signed with a witness), BIP66 and BIP146 (one spelling of a signature).

use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use k256::ecdsa::{Signature, VerifyingKey};
use orebook_schema::units::Hash;

use super::tx::{Input, Tx};
use crate::hash::{hash160, sha256d};
use crate::wire::{put_bytes, put_size};

/// Every input and every output is signed; nothing else is taken here.
const SIGHASH_ALL: u8 = 1;
/// Bytes of a compressed public key, the only form that witnesses may have.
const KEY_BYTES: usize = 33;
/// Why a signature does not count, in the words of litecoind.
const REFUSED: &str = "mandatory-script-verify-flag-failed";
/// Why a coin cannot be spent here.
const UNKNOWN_SCRIPT: &str = "bad-txns-nonstandard-inputs";

/// What all inputs of a transaction sign together.
pub(super) struct Signed<'a> {
    tx: &'a Tx,
    spends: Hash,
    sequences: Hash,
    outputs: Hash,
}

impl<'a> Signed<'a> {
    pub(super) fn new(tx: &'a Tx) -> Self {
        let each = |of: &dyn Fn(&Input) -> Vec<u8>| {
            let parts: Vec<Vec<u8>> = tx.inputs.iter().map(of).collect();
            sha256d(&parts.concat())
        };
        Self {
            spends: each(&|input| input.spends.to_vec()),
            sequences: each(&|input| input.sequence.to_le_bytes().to_vec()),
            outputs: sha256d(&outputs(tx)),
            tx,
        }
    }

    /// Whether the input may spend a coin of this amount and script. The reason in the words of litecoind.
    pub(super) fn check(
        &self,
        input: &Input,
        amount: u64,
        script: &[u8],
    ) -> Result<(), &'static str> {
        match script {
            [0, 20, program @ ..] if program.len() == 20 => {
                let [signature, key] = input.witness.as_slice() else {
                    return Err(REFUSED);
                };
                if !input.script_sig.is_empty() || key.len() != KEY_BYTES {
                    return Err(REFUSED);
                }
                let digest = self.with_witness(input, amount, program);
                check_key(signature, key, program, digest)
            }
            [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => {
                let (signature, key) = two_pushes(&input.script_sig).ok_or(REFUSED)?;
                if !input.witness.is_empty() {
                    return Err(REFUSED);
                }
                check_key(signature, key, hash, self.plain(input, script))
            }
            _ => Err(UNKNOWN_SCRIPT),
        }
    }

    /// BIP143, of an output to a key's hash.
    fn with_witness(&self, input: &Input, amount: u64, program: &[u8]) -> Hash {
        let code = [&[25, 0x76, 0xa9, 20], program, &[0x88, 0xac]].concat();
        let parts: [&[u8]; 10] = [
            &self.tx.version.to_le_bytes(),
            &self.spends.0,
            &self.sequences.0,
            &input.spends,
            &code,
            &amount.to_le_bytes(),
            &input.sequence.to_le_bytes(),
            &self.outputs.0,
            &self.tx.locktime.to_le_bytes(),
            &u32::from(SIGHASH_ALL).to_le_bytes(),
        ];
        sha256d(&parts.concat())
    }

    /// As before witnesses: the transaction with this input's script only.
    fn plain(&self, of: &Input, script: &[u8]) -> Hash {
        let mut bytes = self.tx.version.to_le_bytes().to_vec();
        put_size(&mut bytes, self.tx.inputs.len());
        for input in &self.tx.inputs {
            bytes.extend(input.spends);
            let is_it = input.spends == of.spends;
            put_bytes(&mut bytes, if is_it { script } else { &[] });
            bytes.extend(input.sequence.to_le_bytes());
        }
        put_size(&mut bytes, self.tx.outputs.len());
        bytes.extend(outputs(self.tx));
        bytes.extend(self.tx.locktime.to_le_bytes());
        bytes.extend(u32::from(SIGHASH_ALL).to_le_bytes());
        sha256d(&bytes)
    }
}

fn outputs(tx: &Tx) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (amount, script) in &tx.outputs {
        bytes.extend(amount.to_le_bytes());
        put_bytes(&mut bytes, script);
    }
    bytes
}

fn check_key(signature: &[u8], key: &[u8], hash: &[u8], digest: Hash) -> Result<(), &'static str> {
    if hash160(key) != hash {
        return Err(REFUSED);
    }
    let (how, der) = signature.split_last().ok_or(REFUSED)?;
    if *how != SIGHASH_ALL {
        return Err(REFUSED);
    }
    let signature = Signature::from_der(der).map_err(|_| REFUSED)?;
    // Of the two numbers that would do only the lower one is a signature.
    if signature.normalize_s() != signature {
        return Err(REFUSED);
    }
    let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| REFUSED)?;
    key.verify_prehash(&digest.0, &signature)
        .map_err(|_| REFUSED)
}

/// A script of exactly two plain pushes.
fn two_pushes(script: &[u8]) -> Option<(&[u8], &[u8])> {
    let push = |script: &'_ [u8]| {
        let (len, rest) = script.split_first()?;
        let len = usize::from(*len);
        (1..=75).contains(&len).then_some(())?;
        (len <= rest.len()).then_some(len)
    };
    let first = push(script)?;
    let (signature, rest) = script.get(1..)?.split_at_checked(first)?;
    let second = push(rest)?;
    let key = rest.get(1..)?;
    (key.len() == second).then_some((signature, key))
}

#[cfg(test)]
mod tests {
    use orebook_schema::units::unhex;

    use super::*;

    /// BIP143, native P2WPKH: the second input, of six coins.
    const BIP143: &str = concat!(
        "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f",
        "00000000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e",
        "5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01",
        "eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a010000",
        "0000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d59",
        "88ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247",
        "304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a022057",
        "3a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e831",
        "88368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000"
    );

    #[test]
    fn the_example_of_bip143_is_signed_and_nothing_else_is() {
        let tx = Tx::read(&unhex(BIP143).unwrap_or_default());
        let Some(tx) = tx else {
            panic!("a transaction");
        };
        let Some(input) = tx.inputs.get(1) else {
            panic!("two inputs");
        };
        let key = input.witness.last().map(|key| hash160(key));
        let script = [&[0, 20], key.unwrap_or_default().as_slice()].concat();
        let check = |tx: &Tx, amount| {
            let signed = Signed::new(tx);
            tx.inputs
                .get(1)
                .map(|input| signed.check(input, amount, &script))
        };
        assert_eq!(check(&tx, 600_000_000), Some(Ok(())));
        assert_eq!(check(&tx, 600_000_001), Some(Err(REFUSED)));
        let changes: [fn(&mut Tx); 4] = [
            |tx| tx.locktime += 1,
            |tx| tx.version += 1,
            |tx| tx.outputs.truncate(1),
            |tx| tx.inputs.truncate(2),
        ];
        let results = changes.map(|change| {
            let mut other = tx.clone();
            change(&mut other);
            check(&other, 600_000_000)
        });
        let (no, yes) = (Some(Err(REFUSED)), Some(Ok(())));
        assert_eq!(
            results,
            [no, no, no, yes],
            "the last change changes nothing"
        );
    }
}
