//! The coins of the best chain, and what a branch or the memory pool makes of them.

use std::collections::{BTreeMap, BTreeSet};

use orebook_schema::units::Hash;

use super::script::Signed;
use super::tx::{OutPoint, Tx, out_point};

/// An output that nobody spent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coin {
    pub(super) amount: u64,
    pub(super) script: Vec<u8>,
    /// Of its block.
    pub(super) height: u64,
    pub(super) is_coinbase: bool,
}

/// What a block does to the coins, so that it can be undone.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    /// What it spends, and who does.
    pub(super) spent: Vec<(OutPoint, Coin, Hash)>,
    pub(super) made: Vec<(OutPoint, Coin)>,
    /// Transactions that are not of the seed with their fees, in the block's order; the coinbase is none.
    pub(super) payments: Vec<(Tx, u64)>,
    /// The coinbase's id.
    pub(super) coinbase: Hash,
}

/// The coins of the best chain with what is asked of them.
#[derive(Debug, Default)]
pub(super) struct Coins {
    all: BTreeMap<OutPoint, Coin>,
    of_script: BTreeMap<Vec<u8>, BTreeSet<OutPoint>>,
    /// Who spent what, within the best chain.
    spenders: BTreeMap<OutPoint, Hash>,
    /// In which block of the best chain a transaction is.
    places: BTreeMap<Hash, Hash>,
}

impl Coins {
    pub(super) fn connect(&mut self, block: Hash, effect: &Effect) {
        for (point, coin) in &effect.made {
            self.put(*point, coin.clone());
        }
        for (point, _, by) in &effect.spent {
            self.take(point);
            self.spenders.insert(*point, *by);
        }
        for txid in effect.txids() {
            self.places.insert(txid, block);
        }
    }

    pub(super) fn disconnect(&mut self, effect: &Effect) {
        for (point, coin, _) in &effect.spent {
            self.spenders.remove(point);
            self.put(*point, coin.clone());
        }
        // What it made and spent itself was just put back.
        for (point, _) in &effect.made {
            self.take(point);
        }
        for txid in effect.txids() {
            self.places.remove(&txid);
        }
    }

    /// The coins of a script, in the order of their names.
    pub(super) fn of_script(&self, script: &[u8]) -> impl Iterator<Item = (OutPoint, &Coin)> {
        let points = self.of_script.get(script).into_iter().flatten();
        points.filter_map(|point| Some((*point, self.all.get(point)?)))
    }

    pub(super) fn get(&self, point: &OutPoint) -> Option<&Coin> {
        self.all.get(point)
    }

    pub(super) fn spender(&self, point: &OutPoint) -> Option<Hash> {
        self.spenders.get(point).copied()
    }

    pub(super) fn block_of(&self, txid: Hash) -> Option<Hash> {
        self.places.get(&txid).copied()
    }

    fn put(&mut self, point: OutPoint, coin: Coin) {
        let own = self.of_script.entry(coin.script.clone()).or_default();
        own.insert(point);
        self.all.insert(point, coin);
    }

    fn take(&mut self, point: &OutPoint) {
        let Some(coin) = self.all.remove(point) else {
            return;
        };
        if let Some(own) = self.of_script.get_mut(&coin.script) {
            own.remove(point);
            if own.is_empty() {
                self.of_script.remove(&coin.script);
            }
        }
    }
}

impl Effect {
    fn txids(&self) -> impl Iterator<Item = Hash> {
        let payments = self.payments.iter().map(|(tx, _)| tx.txid);
        payments.chain(std::iter::once(self.coinbase))
    }
}

/// Coins as they would be after more transactions, while the chain's own stay.
pub(super) struct View<'a> {
    base: &'a Coins,
    /// Whoever is not here is as in the base.
    changed: BTreeMap<OutPoint, Option<Coin>>,
}

impl<'a> View<'a> {
    pub(super) const fn new(base: &'a Coins) -> Self {
        Self {
            base,
            changed: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, point: &OutPoint) -> Option<&Coin> {
        match self.changed.get(point) {
            Some(changed) => changed.as_ref(),
            None => self.base.get(point),
        }
    }

    pub(super) fn connect(&mut self, effect: &Effect) {
        for (point, coin) in &effect.made {
            self.changed.insert(*point, Some(coin.clone()));
        }
        for (point, _, _) in &effect.spent {
            self.changed.insert(*point, None);
        }
    }

    pub(super) fn disconnect(&mut self, effect: &Effect) {
        for (point, coin, _) in &effect.spent {
            self.changed.insert(*point, Some(coin.clone()));
        }
        for (point, _) in &effect.made {
            self.changed.insert(*point, None);
        }
    }

    /// Lets a transaction spend what it names, in a block of this height. Gives its fee; the reason in the words of litecoind,
    /// and nothing is changed then.
    pub(super) fn spend(&mut self, tx: &Tx, at: Spending) -> Result<(u64, Effect), &'static str> {
        let signed = Signed::new(tx);
        let mut effect = Effect::default();
        let mut paid = 0u64;
        for input in &tx.inputs {
            let coin = self.get(&input.spends);
            let coin = coin.ok_or("bad-txns-inputs-missingorspent")?;
            if coin.is_coinbase && at.height < coin.height.saturating_add(u64::from(at.maturity)) {
                return Err("bad-txns-premature-spend-of-coinbase");
            }
            paid = paid
                .checked_add(coin.amount)
                .ok_or("bad-txns-inputvalues-outofrange")?;
            effect.spent.push((input.spends, coin.clone(), tx.txid));
        }
        let sent = tx.outputs.iter().map(|(amount, _)| *amount).sum::<u64>();
        let fee = paid.checked_sub(sent).ok_or("bad-txns-in-belowout")?;
        if at.checks_signatures {
            for (input, (_, coin, _)) in tx.inputs.iter().zip(&effect.spent) {
                signed.check(input, coin.amount, &coin.script)?;
            }
        }
        effect.made = made(tx.txid, &tx.outputs, at.height, false);
        self.connect(&effect);
        Ok((fee, effect))
    }
}

/// Where a transaction is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spending {
    /// Of the block that it would be in.
    pub(super) height: u64,
    pub(super) maturity: u32,
    /// False for what was judged before it came into our own file.
    pub(super) checks_signatures: bool,
}

/// The coins that outputs are; what nobody can ever spend is none.
pub(super) fn made(
    txid: Hash,
    outputs: &[(u64, Vec<u8>)],
    height: u64,
    is_coinbase: bool,
) -> Vec<(OutPoint, Coin)> {
    let coins = outputs.iter().enumerate();
    let coins = coins.filter(|(_, (_, script))| script.first() != Some(&0x6a));
    let coins = coins.map(|(index, (amount, script))| {
        let coin = Coin {
            amount: *amount,
            script: script.clone(),
            height,
            is_coinbase,
        };
        (out_point(txid, index), coin)
    });
    coins.collect()
}
