//! What a world is asked, and what must hold of it in the end.

use std::collections::BTreeMap;

use orebook_paymaster::book::Book as PaymasterBook;
use orebook_replay::folds::money::payouts::{self, TxRow, TxState};
use orebook_replay::folds::money::{self, Balance, Book, SUB_UNITS};
use orebook_replay::store::Store as _;
use orebook_schema::policy::NetworkFees;
use orebook_schema::{Account, At, Event, Key};

use crate::chain::COIN;
use crate::world::World;

impl World {
    pub(crate) fn why(&self) -> String {
        self.paymasters[0].machine().why_waiting().to_string()
    }

    pub(crate) fn batch(&self, batch: u64) -> Option<payouts::BatchRow> {
        let view = self.projectors.store.view().unwrap();
        payouts::batch(&*view, 0, batch).unwrap()
    }

    pub(crate) fn wallet(&self) -> payouts::WalletRow {
        let view = self.projectors.store.view().unwrap();
        payouts::wallet(&*view, 0).unwrap()
    }

    pub(crate) fn lines(&self, batch: u64) -> Vec<payouts::LineRow> {
        let view = self.projectors.store.view().unwrap();
        payouts::lines(&*view, 0, batch).unwrap()
    }

    pub(crate) fn txs(&self, batch: u64) -> Vec<TxRow> {
        let view = self.projectors.store.view().unwrap();
        payouts::txs(&*view, 0, batch).unwrap()
    }

    pub(crate) fn state(&self, batch: u64, tx: usize) -> Option<TxState> {
        self.txs(batch).get(tx).map(|tx| tx.state)
    }

    /// Raw bytes of every version of a batch's transactions.
    pub(crate) fn raws(&self, batch: u64) -> Vec<Vec<u8>> {
        let book = PaymasterBook::new(self.projectors.store.clone(), 0);
        let txs = self.txs(batch);
        let versions = txs.iter().flat_map(|tx| book.versions(tx).unwrap());
        versions.map(|(_, raw)| raw).collect()
    }

    /// States of every transaction of every batch.
    pub(crate) fn states(&self) -> Vec<Vec<&'static str>> {
        let states = |batch| self.txs(batch).iter().map(|tx| tx.state.name()).collect();
        (0..self.wallet().batches).map(states).collect()
    }

    pub(crate) fn balance(&self, book: &Book) -> Balance {
        let view = self.projectors.store.view().unwrap();
        money::book(&*view, book).unwrap()
    }

    /// Base units that a book has, rounded down.
    pub(crate) fn base(&self, book: &Book) -> i128 {
        let balance = self.balance(book);
        (balance.credits as i128 - balance.debits as i128).div_euclid(SUB_UNITS as i128)
    }

    /// Events of the final ledger from a position on.
    pub(crate) fn events_from(&self, from: u64) -> Vec<(At, Key, Event)> {
        let reader = self.keeper.reader();
        let mut said = Vec::new();
        for position in from..reader.final_size() {
            let stored = reader.store().read(position).unwrap().unwrap();
            for (index, raw) in (0u16..).zip(stored.frame.events()) {
                let event = raw.unwrap().decode().unwrap();
                said.push((At { position, index }, stored.frame.header().key, event));
            }
        }
        said
    }

    /// Every line is paid on the chain once or returned, and the books say what the chain does. Everything is at an end.
    pub(crate) fn check(&self, what: &str) {
        let paid = self.chain.paid();
        let mut by_address: BTreeMap<Account, u128> = BTreeMap::new();
        let mut sent: BTreeMap<Account, u128> = BTreeMap::new();
        for batch in 0..self.wallet().batches {
            let txs = self.txs(batch);
            for line in self.lines(batch) {
                let state = txs[usize::from(line.tx)].state;
                assert!(state.is_end(), "{what}: batch {batch} is {}", state.name());
                if state == TxState::Final {
                    *by_address.entry(line.address.clone()).or_default() += line.amount - line.fee;
                    *sent.entry(line.account.clone()).or_default() += line.amount - line.fee;
                }
            }
        }
        assert_eq!(paid, by_address, "{what}: the chain paid each line once");
        for (account, amount) in &self.given {
            let book = |of: fn(Account) -> Book| self.base(&of(account.clone()));
            let sent = sent.get(account).copied().unwrap_or(0);
            assert_eq!(book(Book::Paid), sent as i128, "{what}: paid:{account}");
            assert_eq!(book(Book::Reserved), 0, "{what}: reserved:{account}");
            let whole = book(Book::Available) + book(Book::Paid);
            assert!(
                whole <= *amount as i128,
                "{what}: {account} got no more than it had"
            );
        }
        assert_eq!(
            self.base(&Book::Wallet),
            self.chain.cost() as i128,
            "{what}: what the chain took"
        );
        assert!(u128::from(self.setup.coins) * COIN > self.chain.cost());
    }

    /// Everybody has nothing left that could be paid.
    pub(crate) fn check_all_paid(&self, what: &str) {
        self.check(what);
        if self.setup.fees == NetworkFees::Pool {
            for (account, amount) in &self.given {
                let paid = self.base(&Book::Paid(account.clone()));
                assert_eq!(paid, *amount as i128, "{what}: {account} is paid");
            }
        }
    }
}
