//! The development chain's memory pool: transactions that wait for a block, parents before children.

use std::collections::BTreeSet;

use orebook_schema::units::Hash;

use super::coins::{Coins, Effect, Spending, View};
use super::tx::{OutPoint, Tx};

/// Most transactions that wait; further ones are refused (`mempool full`).
pub const POOL_TRANSACTIONS_MAX: usize = 1_000;
/// Most bytes that wait; likewise.
pub const POOL_BYTES_MAX: usize = 8 << 20;
/// Most bytes that a template takes of them; the others wait for the next, so that a block fits a record of the file.
pub const BLOCK_POOL_BYTES_MAX: usize = 500_000;
/// Least fee for each virtual byte, base units; of a replacement so much more than what it replaces.
const FEE_PER_VBYTE_MIN: u64 = 1;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: Vec<Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    tx: Tx,
    fee: u64,
    effect: Effect,
}

impl Waiting {
    fn spends_any(&self, points: &BTreeSet<OutPoint>) -> bool {
        let mut inputs = self.tx.inputs.iter();
        inputs.any(|input| points.contains(&input.spends))
    }
}

/// A transaction that may wait, and whom it replaces.
#[derive(Debug)]
pub(super) struct Joining {
    waiting: Waiting,
    replaces: BTreeSet<Hash>,
}

impl Joining {
    pub(super) const fn txid(&self) -> Hash {
        self.waiting.tx.txid
    }
}

impl Pool {
    pub(super) fn get(&self, txid: Hash) -> Option<(&Tx, u64)> {
        let mut waiting = self.waiting.iter();
        let found = waiting.find(|waiting| waiting.tx.txid == txid)?;
        Some((&found.tx, found.fee))
    }

    pub(super) fn spender(&self, point: &OutPoint) -> Option<Hash> {
        let spends = |waiting: &&Waiting| {
            let mut inputs = waiting.tx.inputs.iter();
            inputs.any(|input| input.spends == *point)
        };
        self.waiting
            .iter()
            .find(spends)
            .map(|waiting| waiting.tx.txid)
    }

    /// What the next block takes: the first that fit.
    pub(super) fn next_block(&self) -> impl Iterator<Item = (&Tx, u64)> {
        let mut left = BLOCK_POOL_BYTES_MAX;
        self.waiting.iter().map_while(move |waiting| {
            left = left.checked_sub(waiting.tx.raw.len())?;
            Some((&waiting.tx, waiting.fee))
        })
    }

    /// The tests in litecoind's order, with its words.
    pub(super) fn judge(
        &self,
        tx: Tx,
        coins: &Coins,
        at: Spending,
    ) -> Result<Joining, &'static str> {
        tx.check(at.height)?;
        tx.check_policy()?;
        if self.get(tx.txid).is_some() {
            return Err("txn-already-in-mempool");
        }
        let replaces = self.conflicts(&tx);
        let (gone, staying): (Vec<&Waiting>, Vec<&Waiting>) = self
            .waiting
            .iter()
            .partition(|waiting| replaces.contains(&waiting.tx.txid));
        let mut view = View::new(coins);
        for waiting in &staying {
            view.connect(&waiting.effect);
        }
        let (fee, effect) = view.spend(&tx, at)?;
        let relay = tx.vbytes.saturating_mul(FEE_PER_VBYTE_MIN);
        if fee < relay {
            return Err("min relay fee not met");
        }
        let replaced = gone.iter().map(|waiting| waiting.fee).sum::<u64>();
        if !gone.is_empty() && fee < replaced.saturating_add(relay) {
            return Err("insufficient fee");
        }
        let bytes: usize = staying.iter().map(|waiting| waiting.tx.raw.len()).sum();
        if POOL_TRANSACTIONS_MAX <= staying.len() || POOL_BYTES_MAX < bytes + tx.raw.len() {
            return Err("mempool full");
        }
        Ok(Joining {
            waiting: Waiting { tx, fee, effect },
            replaces,
        })
    }

    pub(super) fn join(&mut self, joining: Joining) {
        let Joining { waiting, replaces } = joining;
        self.waiting.retain(|one| !replaces.contains(&one.tx.txid));
        self.waiting.push(waiting);
    }

    /// After the best chain changed: what was mined on blocks that it left comes first, and what it cannot take any more goes.
    pub(super) fn refresh(&mut self, back: Vec<Tx>, coins: &Coins, at: Spending) {
        let waited = std::mem::take(&mut self.waiting);
        let mut view = View::new(coins);
        let candidates = back
            .into_iter()
            .chain(waited.into_iter().map(|waiting| waiting.tx));
        for tx in candidates {
            if tx.check(at.height).is_ok()
                && let Ok((fee, effect)) = view.spend(&tx, at)
            {
                self.waiting.push(Waiting { tx, fee, effect });
            }
        }
        // Parents stand before children, so that nobody loses its parent.
        self.waiting.truncate(POOL_TRANSACTIONS_MAX);
    }

    /// Those that spend the same outputs, and whoever spends theirs.
    fn conflicts(&self, tx: &Tx) -> BTreeSet<Hash> {
        let mut points: BTreeSet<OutPoint> = tx.inputs.iter().map(|input| input.spends).collect();
        let mut conflicts = BTreeSet::new();
        // Children stand after their parents, so one pass finds all.
        for waiting in &self.waiting {
            if waiting.spends_any(&points) {
                conflicts.insert(waiting.tx.txid);
                points.extend(waiting.effect.made.iter().map(|(point, _)| *point));
            }
        }
        conflicts
    }
}
