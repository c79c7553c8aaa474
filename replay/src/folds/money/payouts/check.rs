//! What must hold of payouts' rows and books at every digest point.

use crate::folds::money::books::{Book, balance_of};
use crate::folds::money::direct;
use crate::folds::money::split::SUB_UNITS;
use crate::rows::{StoreFault, View};

use super::read::{lines, txs, wallets};

/// Sums over the accounts' books that payouts alone post to.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::folds::money) struct PayoutBooks {
    /// Σ of `reserved`, sub-units.
    pub(in crate::folds::money) reserved: u128,
    /// Σ of `paid`, sub-units.
    pub(in crate::folds::money) paid: u128,
}

impl PayoutBooks {
    /// Takes a book's balance into account.
    pub(in crate::folds::money) fn add(&mut self, book: &Book, credits: u128, debits: u128) {
        let sum = match book {
            Book::Reserved(_) => &mut self.reserved,
            Book::Paid(_) => &mut self.paid,
            _ => return,
        };
        assert!(
            debits <= credits,
            "what a payout holds or paid is never below zero"
        );
        *sum += credits - debits;
    }
}

/// What is reserved is what lines hold, what is paid is what lines sent, no line is both its account's and paid, and `wallet`
/// has what the chain took. Only wallets' newest batches are looked at line by line: older ones hold nothing, since their
/// wallets were free after them.
pub(in crate::folds::money) fn assert_payouts(
    view: &dyn View,
    books: PayoutBooks,
) -> Result<(), StoreFault> {
    let (mut held, mut paid, mut fees) = (0u128, 0u128, 0u128);
    for wallet in wallets(view)? {
        paid += wallet.paid * SUB_UNITS;
        fees += wallet.fees * SUB_UNITS;
        let Some(newest) = wallet.batches.checked_sub(1) else {
            continue;
        };
        let txs = txs(view, wallet.wallet, newest)?;
        for row in &txs {
            assert!(
                !(row.posted && row.state.is_returned()),
                "no line is both paid and its account's again"
            );
        }
        let open = txs.iter().filter(|row| row.state.is_open()).count();
        let known = usize::try_from(wallet.open).unwrap_or(usize::MAX);
        assert!(open <= known, "a wallet knows what is on its way");
        for line in lines(view, wallet.wallet, newest)? {
            // They are numbered from 0, without gaps.
            let row = txs.get(usize::from(line.tx));
            if row.is_some_and(super::TxRow::is_held) {
                held += line.amount * SUB_UNITS;
            }
        }
    }
    let direct = direct::totals(view)?;
    assert!(
        held + direct.reserved == books.reserved,
        "what is reserved is what lines hold that are neither sent nor given back, and what coinbases of immature blocks pay"
    );
    assert!(
        paid + direct.paid == books.paid,
        "what is paid is what lines sent, and what coinbases of confirmed blocks paid"
    );
    let wallet = balance_of(view, &Book::Wallet)?;
    assert!(
        !wallet.is_negative() && wallet.magnitude() == fees,
        "the book wallet has what the chain took"
    );
    Ok(())
}
