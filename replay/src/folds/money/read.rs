//! What others ask of `money`'s rows: pages, the API, payouts, auditors. Each takes a view, so that several answers can be
//! of one position.

use std::ops::ControlFlow;

use orebook_schema::names::Pot;
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Hash};

use crate::rows::{KeyField, Order, Span, StoreFault, View, collect, get, scan};

use super::books::{Balance, Book, balance_of, totals};
use super::payouts::{PayoutBooks, assert_payouts};
use super::tables::{
    AccountRow, AdjustmentRow, BlockAtRow, BlockRow, BookRow, CreditOfRow, CreditRow, PostingRow,
};
use super::write_off::{DebtRow, WriteOffRow};

/// An account's balances, sub-units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Balances {
    /// Of blocks that are not confirmed.
    pub immature: Balance,
    /// What may be paid.
    pub available: Balance,
    /// What a payout holds.
    pub reserved: Balance,
    /// What was paid.
    pub paid: Balance,
}

/// What an account has of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The block.
    pub block: BlockRow,
    /// Its part.
    pub credit: CreditRow,
}

impl Credit {
    /// The state that the part stands under; none before any status.
    #[must_use]
    pub fn state(&self) -> Option<BlockState> {
        self.block.status.map(|status| status.state)
    }
}

/// Whether an account ever had a worker or was adjusted.
///
/// # Errors
/// [`StoreFault`].
pub fn is_known(view: &(impl View + ?Sized), account: &Account) -> Result<bool, StoreFault> {
    let row: Option<AccountRow> = get(view, &AccountRow::key_of(account))?;
    Ok(row.is_some())
}

/// An account's balances; zero for one that is not known.
///
/// # Errors
/// [`StoreFault`].
pub fn account(view: &(impl View + ?Sized), account: &Account) -> Result<Balances, StoreFault> {
    Ok(Balances {
        immature: balance_of(view, &Book::Immature(account.clone()))?,
        available: balance_of(view, &Book::Available(account.clone()))?,
        reserved: balance_of(view, &Book::Reserved(account.clone()))?,
        paid: balance_of(view, &Book::Paid(account.clone()))?,
    })
}

/// A book's balance.
///
/// # Errors
/// [`StoreFault`].
pub fn book(view: &(impl View + ?Sized), book: &Book) -> Result<Balance, StoreFault> {
    balance_of(view, book)
}

/// The pool's books with their balances.
///
/// # Errors
/// [`StoreFault`].
pub fn pool_books(view: &(impl View + ?Sized)) -> Result<Vec<(Book, Balance)>, StoreFault> {
    let mut found = Vec::new();
    for book in Book::POOL {
        let balance = balance_of(view, &book)?;
        found.push((book, balance));
    }
    Ok(found)
}

/// Accounts in their order, from the one after `after`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn accounts(
    view: &(impl View + ?Sized),
    after: Option<&Account>,
    rows_max: usize,
) -> Result<Vec<AccountRow>, StoreFault> {
    let from = after.map_or_else(Vec::new, |account| {
        let mut key = AccountRow::key_of(account);
        key.push(0);
        key
    });
    let span = Span { from, to: None };
    collect(view, &span, Order::Forward, rows_max)
}

/// A block by its hash.
///
/// # Errors
/// [`StoreFault`].
pub fn block(view: &(impl View + ?Sized), hash: &Hash) -> Result<Option<BlockRow>, StoreFault> {
    get(view, &BlockRow::key_of(hash))
}

/// Blocks, newest first: of one pot or of all, named before `before`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn blocks(
    view: &(impl View + ?Sized),
    pot: Option<Pot>,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<BlockRow>, StoreFault> {
    let span = Span {
        from: Vec::new(),
        to: before.map(|at| BlockAtRow::key_of(&at)),
    };
    let mut hashes = Vec::new();
    if rows_max == 0 {
        return Ok(Vec::new());
    }
    scan(view, &span, Order::Backward, |row: BlockAtRow| {
        if pot.is_none() || row.pot == pot {
            hashes.push(row.hash);
        }
        if hashes.len() < rows_max {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    let rows = hashes.iter().map(|hash| block(view, hash));
    Ok(rows
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// What an account has of each block, newest first: of blocks named before `before`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn credits(
    view: &(impl View + ?Sized),
    account: &Account,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<Credit>, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let span = match before {
        Some(at) => Span::prefix_to(&prefix, CreditOfRow::key_of(account, &at)),
        None => Span::prefix(&prefix),
    };
    let found: Vec<CreditOfRow> = collect(view, &span, Order::Backward, rows_max)?;
    let mut all = Vec::new();
    for row in found {
        let at: Option<BlockAtRow> = get(view, &BlockAtRow::key_of(&row.block))?;
        let credit = get(view, &CreditRow::key_of(&row.block, account))?;
        let block = at.map(|at| block(view, &at.hash)).transpose()?.flatten();
        if let (Some(block), Some(credit)) = (block, credit) {
            all.push(Credit { block, credit });
        }
    }
    Ok(all)
}

/// An account's adjustments, newest first, those that wait or were refused included: said before `before`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn adjustments(
    view: &(impl View + ?Sized),
    account: &Account,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<AdjustmentRow>, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let span = match before {
        Some(at) => Span::prefix_to(&prefix, AdjustmentRow::key_of(account, &at)),
        None => Span::prefix(&prefix),
    };
    collect(view, &span, Order::Backward, rows_max)
}

/// An account's write-offs, newest first, those that wait or were refused included: said before `before`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn write_offs(
    view: &(impl View + ?Sized),
    account: &Account,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<WriteOffRow>, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let span = match before {
        Some(at) => Span::prefix_to(&prefix, WriteOffRow::key_of(account, &at)),
        None => Span::prefix(&prefix),
    };
    collect(view, &span, Order::Backward, rows_max)
}

/// Since when an account owes; none if its available is not below zero.
///
/// # Errors
/// [`StoreFault`].
pub fn debt(view: &(impl View + ?Sized), account: &Account) -> Result<Option<DebtRow>, StoreFault> {
    let row: Option<DebtRow> = get(view, &DebtRow::key_of(account))?;
    Ok(row.filter(|row| row.filled.is_none()))
}

/// Adjustments of all accounts behind `after` (none: from the first), by account and place, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn all_adjustments(
    view: &(impl View + ?Sized),
    after: Option<(&Account, At)>,
    rows_max: usize,
) -> Result<Vec<AdjustmentRow>, StoreFault> {
    let mut span = Span::all();
    if let Some((account, at)) = after {
        span.from = AdjustmentRow::key_of(account, &at);
        // No key is the beginning of another, so this is behind it and before the next.
        span.from.push(0);
    }
    collect(view, &span, Order::Forward, rows_max)
}

/// What each account has of a block, by the place of the event that named it first.
///
/// # Errors
/// [`StoreFault`].
pub fn credits_of_block(
    view: &(impl View + ?Sized),
    block: At,
) -> Result<Vec<CreditRow>, StoreFault> {
    let span = Span::prefix(&BlockAtRow::key_of(&block));
    collect(view, &span, Order::Forward, usize::MAX)
}

/// Postings of an event, in order.
///
/// # Errors
/// [`StoreFault`].
pub fn postings_of(view: &(impl View + ?Sized), event: At) -> Result<Vec<PostingRow>, StoreFault> {
    let span = Span::prefix(&BlockAtRow::key_of(&event));
    collect(view, &span, Order::Forward, usize::MAX)
}

/// Postings of a block that stand: each debit and credit, by the events that made them.
///
/// # Errors
/// [`StoreFault`].
pub fn postings_of_block(
    view: &(impl View + ?Sized),
    block: &BlockRow,
) -> Result<Vec<PostingRow>, StoreFault> {
    let mut all = Vec::new();
    for event in &block.standing {
        all.extend(postings_of(view, *event)?);
    }
    Ok(all)
}

/// Sums every book and compares with the running totals: debits equal credits, and nothing is missing; and what payouts hold
/// and sent is what their books have.
pub(super) fn assert_conserved(view: &dyn View) -> Result<(), StoreFault> {
    let (mut debits, mut credits) = (0u128, 0u128);
    let mut payouts = PayoutBooks::default();
    scan(view, &Span::all(), Order::Forward, |row: BookRow| {
        debits += row.debits;
        credits += row.credits;
        payouts.add(&row.book, row.credits, row.debits);
        ControlFlow::Continue(())
    })?;
    let totals = totals(view)?;
    assert!(
        debits == totals.debits && credits == totals.credits && debits == credits,
        "debits equal credits, over all books and in the running totals"
    );
    assert_payouts(view, payouts)
}
