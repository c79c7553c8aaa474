//! More that a chain is told: a block of one's own, a deposit, and to leave every question without an answer.

use orebook_schema::{Account, Hash};

use super::{COIN, Chain, Tx, outpoint};

/// Changes what a transaction pays.
pub(crate) type Alters = fn(&mut Vec<(Account, u128)>);

impl Chain {
    /// From now on the wallet signs something else than what was ordered, or that again.
    pub(crate) fn alters(&self, alters: Option<Alters>) {
        self.lock().alters = alters;
    }

    /// A block with this transaction, which a miner had all along.
    pub(crate) fn mine_this(&self, raw: &[u8]) {
        let tx = Tx::read(raw);
        let mut inner = self.lock();
        inner.pool.retain(|it| !it.conflicts_with(&tx));
        inner.mine(&[tx]);
    }

    /// Somebody gives the wallet another coin.
    pub(crate) fn deposit(&self) {
        let mut inner = self.lock();
        let name = Hash::of(&[b"deposit", &inner.made.to_le_bytes()]);
        inner.given.insert(outpoint(name), COIN);
    }

    /// From now on nobody is answered, or everybody again.
    pub(crate) fn hold(&self, is_held: bool) {
        self.lock().gate.send_replace(is_held);
    }

    /// Questions that came while nobody was answered.
    pub(crate) fn held(&self) -> u64 {
        self.lock().held
    }

    pub(super) async fn answers(&self) {
        let mut gate = {
            let mut inner = self.lock();
            let is_held = *inner.gate.borrow();
            inner.held += u64::from(is_held);
            inner.gate.subscribe()
        };
        gate.wait_for(|is_held| !is_held)
            .await
            .expect("the chain is there");
    }
}
