//! What a node said before, to ask it less. All of it may be forgotten at any time: a new process asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use orebook_chain::wallet::bitcoin::{Coin, Outpoint};
use orebook_schema::Hash;

use super::survey::Scan;

/// Most amounts that are kept; with more, those of the lowest names are forgotten.
const VALUES_MAX: usize = 100_000;
/// Most spent coins whose spender is kept.
const SPENDERS_MAX: usize = 10_000;

/// What spent a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spender {
    /// The transaction.
    pub(super) txid: Hash,
    /// Its block.
    pub(super) block: Hash,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The key's coins as of a block.
    coins: Option<(Hash, Vec<Coin>)>,
    values: BTreeMap<Outpoint, u64>,
    spenders: BTreeMap<Outpoint, Spender>,
    /// These were looked for in this block and as many before it as are ever read, and not found.
    missed: Option<(BTreeSet<Outpoint>, Hash)>,
    /// What a survey read of blocks.
    scan: Option<Scan>,
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A half-written note cannot be: every change is one call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn coins_at(&self, tip: Hash) -> Option<Vec<Coin>> {
        let kept = self.kept();
        let (of, coins) = kept.coins.as_ref()?;
        (*of == tip).then(|| coins.clone())
    }

    pub(super) fn keep_coins(&self, tip: Hash, coins: &[Coin]) {
        self.kept().coins = Some((tip, coins.to_vec()));
    }

    pub(super) fn value(&self, of: Outpoint) -> Option<u64> {
        self.kept().values.get(&of).copied()
    }

    pub(super) fn keep_value(&self, of: Outpoint, value: u64) {
        let mut kept = self.kept();
        kept.values.insert(of, value);
        while VALUES_MAX < kept.values.len() {
            kept.values.pop_first();
        }
    }

    pub(super) fn keep_values(&self, coins: &[Coin]) {
        for coin in coins {
            self.keep_value(coin.outpoint, coin.value);
        }
    }

    pub(super) fn spender(&self, of: Outpoint) -> Option<Spender> {
        self.kept().spenders.get(&of).copied()
    }

    pub(super) fn keep_spender(&self, of: Outpoint, spender: Spender) {
        let mut kept = self.kept();
        kept.spenders.insert(of, spender);
        while SPENDERS_MAX < kept.spenders.len() {
            kept.spenders.pop_first();
        }
    }

    pub(super) fn scan(&self) -> Option<Scan> {
        self.kept().scan.clone()
    }

    pub(super) fn keep_scan(&self, scan: Option<Scan>) {
        self.kept().scan = scan;
    }

    /// Whether all these were looked for from this block on, and missed.
    pub(super) fn was_missed(&self, wanted: &BTreeSet<Outpoint>, from: Hash) -> bool {
        let kept = self.kept();
        let missed = kept.missed.as_ref();
        missed.is_some_and(|(missed, tip)| *tip == from && wanted.is_subset(missed))
    }

    pub(super) fn keep_missed(&self, wanted: &BTreeSet<Outpoint>, from: Hash) {
        self.kept().missed = Some((wanted.clone(), from));
    }
}
