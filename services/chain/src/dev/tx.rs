//! A transaction that spends coins of the development chain, and the tests of it that need no coins.

use std::collections::BTreeSet;

use orebook_schema::units::Hash;

use super::rules::SUBSIDY_MAX;
use crate::wire::{NO_PREVOUT, Parts, transaction};

/// Most bytes of a transaction; a longer one is refused (`tx-size`). As many as nodes relay without witness.
pub const TRANSACTION_BYTES_MAX: usize = 100_000;
/// Smallest amount of an output to a witness program that is relayed, base units (as Bitcoin's).
pub const DUST_WITNESS: u64 = 294;
/// Smallest amount of any other output that is relayed, base units.
pub const DUST_OTHER: u64 = 546;
/// Heights in lock times are below this, times above (as Bitcoin's).
const LOCKTIME_IS_TIME: u32 = 500_000_000;
/// An input with this sequence waits for no lock time.
const SEQUENCE_FINAL: u32 = u32::MAX;
/// The bit of a sequence that says that it is no relative lock (BIP68).
const SEQUENCE_NO_LOCK: u32 = 1 << 31;
/// Longest output that holds data only (as nodes relay it).
const DATA_SCRIPT_BYTES_MAX: usize = 83;

/// Which output: the transaction's id in header order, then its index, little-endian, as inputs have it.
pub type OutPoint = [u8; 36];

/// An output's name.
pub(super) fn out_point(txid: Hash, index: usize) -> OutPoint {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let mut point = NO_PREVOUT;
    let bytes = txid.0.into_iter().chain(index.to_le_bytes());
    for (to, from) in point.iter_mut().zip(bytes) {
        *to = from;
    }
    point
}

/// A transaction taken apart.
#[derive(Clone, Debug)]
pub(super) struct Tx {
    pub(super) raw: Vec<u8>,
    pub(super) txid: Hash,
    pub(super) wtxid: Hash,
    pub(super) version: u32,
    pub(super) inputs: Vec<Input>,
    /// Base units and script.
    pub(super) outputs: Vec<(u64, Vec<u8>)>,
    pub(super) locktime: u32,
    /// Size by which fees count, bytes of witnesses for a quarter (BIP141).
    pub(super) vbytes: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) spends: OutPoint,
    pub(super) script_sig: Vec<u8>,
    pub(super) sequence: u32,
    pub(super) witness: Vec<Vec<u8>>,
}

impl Tx {
    /// Reads exactly one transaction.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let Parts {
            txid,
            wtxid,
            version,
            inputs,
            outputs,
            witnesses,
            locktime,
            bytes,
            bytes_stripped,
        } = transaction(raw, super::RECORD_BYTES_MAX).ok()?;
        let mut witnesses = witnesses.into_iter();
        let inputs = inputs.into_iter().map(|input| Input {
            spends: input.prevout,
            script_sig: input.script_sig.to_vec(),
            sequence: input.sequence,
            witness: witnesses
                .next()
                .map(|items| items.into_iter().map(<[u8]>::to_vec).collect())
                .unwrap_or_default(),
        });
        let weight = 3 * bytes_stripped + bytes.len();
        Some(Self {
            raw: raw.to_vec(),
            txid,
            wtxid,
            version,
            inputs: inputs.collect(),
            outputs: outputs
                .into_iter()
                .map(|(amount, script)| (amount, script.to_vec()))
                .collect(),
            locktime,
            vbytes: u64::try_from(weight.div_ceil(4)).unwrap_or(u64::MAX),
        })
    }

    /// What holds whatever coins there are, for a block of this height. The reason in the words of litecoind.
    pub(super) fn check(&self, height: u64) -> Result<(), &'static str> {
        if self.inputs.is_empty() {
            return Err("bad-txns-vin-empty");
        }
        if self.outputs.is_empty() {
            return Err("bad-txns-vout-empty");
        }
        let total = self
            .outputs
            .iter()
            .try_fold(0u64, |sum, (amount, _)| sum.checked_add(*amount));
        if total.is_none_or(|total| SUBSIDY_MAX < total) {
            return Err("bad-txns-txouttotal-toolarge");
        }
        let spent: BTreeSet<&OutPoint> = self.inputs.iter().map(|input| &input.spends).collect();
        if spent.len() != self.inputs.len() {
            return Err("bad-txns-inputs-duplicate");
        }
        if spent.contains(&NO_PREVOUT) {
            return Err("bad-txns-prevout-null");
        }
        let is_final = |input: &Input| input.sequence == SEQUENCE_FINAL;
        let is_reached = self.locktime < LOCKTIME_IS_TIME && u64::from(self.locktime) < height;
        // Lock times that are times are not followed: such a transaction waits for ever.
        if !is_reached && self.locktime != 0 && !self.inputs.iter().all(is_final) {
            return Err("non-final");
        }
        let waits = |input: &Input| input.sequence != 0 && input.sequence & SEQUENCE_NO_LOCK == 0;
        if 2 <= self.version && self.inputs.iter().any(waits) {
            return Err("non-BIP68-final");
        }
        Ok(())
    }

    /// What nodes ask before they relay it; a block may hold it nevertheless.
    pub(super) fn check_policy(&self) -> Result<(), &'static str> {
        if TRANSACTION_BYTES_MAX < self.raw.len() {
            return Err("tx-size");
        }
        for (amount, script) in &self.outputs {
            let least = match kind(script) {
                Kind::Data => 0,
                Kind::Witness => DUST_WITNESS,
                Kind::Hash => DUST_OTHER,
                Kind::Other => return Err("scriptpubkey"),
            };
            if *amount < least {
                return Err("dust");
            }
        }
        Ok(())
    }
}

enum Kind {
    /// P2WPKH, P2WSH, P2TR.
    Witness,
    /// P2PKH, P2SH.
    Hash,
    /// Nobody can spend it.
    Data,
    Other,
}

fn kind(script: &[u8]) -> Kind {
    match script {
        [0, 20, program @ ..] if program.len() == 20 => Kind::Witness,
        [0 | 0x51, 32, program @ ..] if program.len() == 32 => Kind::Witness,
        [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => Kind::Hash,
        [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => Kind::Hash,
        [0x6a, ..] if script.len() <= DATA_SCRIPT_BYTES_MAX => Kind::Data,
        _ => Kind::Other,
    }
}
