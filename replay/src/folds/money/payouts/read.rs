//! What others ask of payouts: the paymaster, pages, the API, auditors. Each takes a view, so that several answers can be of
//! one position.

use std::ops::ControlFlow;

use orebook_schema::{Account, At, Hash, Policy};

use crate::folds::money::books::Book;
use crate::folds::money::direct::Waits;
use crate::folds::money::settings::{SettingsRow, settings};
use crate::folds::money::split::SUB_UNITS;
use crate::folds::money::tables::BookRow;
use crate::rows::{KeyField, Order, Span, StoreFault, View, collect, first, get, scan};

use super::tables::{
    BatchRow, HaltRow, LineOfRow, LineRow, LiveRow, RawRow, ReconciledRow, StepRow, TxRow,
    WalletRow,
};

/// A line of an account, with its batch and the transaction that pays it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineOf {
    /// The batch.
    pub batch: BatchRow,
    /// The line.
    pub line: LineRow,
    /// The transaction.
    pub tx: TxRow,
}

/// An account that may be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payable {
    /// Whom.
    pub account: Account,
    /// The address in force.
    pub address: Account,
    /// What a line may pay, whole base units, at least 1: floor(available / 10^9).
    pub available: u128,
}

/// A wallet; its beginnings where nothing of it was ever obeyed.
///
/// # Errors
/// [`StoreFault`].
pub fn wallet(view: &(impl View + ?Sized), wallet: u16) -> Result<WalletRow, StoreFault> {
    let row = get(view, &WalletRow::key_of(&wallet))?;
    Ok(row.unwrap_or(WalletRow::new(wallet)))
}

/// Every wallet of which something was obeyed.
///
/// # Errors
/// [`StoreFault`].
pub fn wallets(view: &(impl View + ?Sized)) -> Result<Vec<WalletRow>, StoreFault> {
    collect(view, &Span::all(), Order::Forward, usize::MAX)
}

/// Whether every transaction of a wallet is confirmed or at an end: another batch may be proposed, if it is not halted.
///
/// # Errors
/// [`StoreFault`].
pub fn is_free(view: &(impl View + ?Sized), wallet: u16) -> Result<bool, StoreFault> {
    self::wallet(view, wallet).map(|row| row.is_free())
}

/// Halts and resumes of a wallet, newest first, those that wait or were refused included: said before `before`, at most
/// `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn halts(
    view: &(impl View + ?Sized),
    wallet: u16,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<HaltRow>, StoreFault> {
    let prefix = WalletRow::key_of(&wallet);
    let span = match before {
        Some(at) => Span::prefix_to(&prefix, HaltRow::key_of(&wallet, &at)),
        None => Span::prefix(&prefix),
    };
    collect(view, &span, Order::Backward, rows_max)
}

/// Reconciliations of a wallet, newest first: said before `before`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn reconciliations(
    view: &(impl View + ?Sized),
    wallet: u16,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<ReconciledRow>, StoreFault> {
    let prefix = WalletRow::key_of(&wallet);
    let span = match before {
        Some(at) => Span::prefix_to(&prefix, ReconciledRow::key_of(&wallet, &at)),
        None => Span::prefix(&prefix),
    };
    collect(view, &span, Order::Backward, rows_max)
}

/// A batch.
///
/// # Errors
/// [`StoreFault`].
pub fn batch(
    view: &(impl View + ?Sized),
    wallet: u16,
    batch: u64,
) -> Result<Option<BatchRow>, StoreFault> {
    get(view, &BatchRow::key_of(&wallet, &batch))
}

/// Batches of a wallet, newest first: those below `before`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn batches(
    view: &(impl View + ?Sized),
    wallet: u16,
    before: Option<u64>,
    rows_max: usize,
) -> Result<Vec<BatchRow>, StoreFault> {
    let prefix = WalletRow::key_of(&wallet);
    let span = match before {
        Some(batch) => Span::prefix_to(&prefix, BatchRow::key_of(&wallet, &batch)),
        None => Span::prefix(&prefix),
    };
    collect(view, &span, Order::Backward, rows_max)
}

/// Lines of a batch, in the order of its body.
///
/// # Errors
/// [`StoreFault`].
pub fn lines(
    view: &(impl View + ?Sized),
    wallet: u16,
    batch: u64,
) -> Result<Vec<LineRow>, StoreFault> {
    let span = Span::prefix(&BatchRow::key_of(&wallet, &batch));
    collect(view, &span, Order::Forward, usize::MAX)
}

/// A line of a batch by its number.
///
/// # Errors
/// [`StoreFault`].
pub fn line(
    view: &(impl View + ?Sized),
    wallet: u16,
    batch: u64,
    number: u16,
) -> Result<Option<LineRow>, StoreFault> {
    get(view, &LineRow::key_of(&wallet, &batch, &number))
}

/// Lines that pay an account, newest first: proposed before `before`, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn lines_of(
    view: &(impl View + ?Sized),
    account: &Account,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<LineOf>, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let span = match before {
        Some(at) => Span::prefix_to(&prefix, LineOfRow::key_of(account, &at)),
        None => Span::prefix(&prefix),
    };
    let found: Vec<LineOfRow> = collect(view, &span, Order::Backward, rows_max)?;
    let mut all = Vec::new();
    for row in found {
        let batch = batch(view, row.wallet, row.batch)?;
        let line = line(view, row.wallet, row.batch, row.number)?;
        let (Some(batch), Some(line)) = (batch, line) else {
            continue;
        };
        if let Some(tx) = tx(view, row.wallet, row.batch, line.tx)? {
            all.push(LineOf { batch, line, tx });
        }
    }
    Ok(all)
}

/// Where an account was paid last: the place of the last obeyed proposal with a line of it, whatever became of that.
pub(in crate::folds::money) fn paid_last(
    view: &(impl View + ?Sized),
    account: &Account,
) -> Result<Option<At>, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let row: Option<LineOfRow> = first(view, &Span::prefix(&prefix), Order::Backward)?;
    Ok(row.map(|row| row.at))
}

/// A transaction of a batch.
///
/// # Errors
/// [`StoreFault`].
pub fn tx(
    view: &(impl View + ?Sized),
    wallet: u16,
    batch: u64,
    tx: u16,
) -> Result<Option<TxRow>, StoreFault> {
    get(view, &TxRow::key_of(&wallet, &batch, &tx))
}

/// Transactions of a batch, in their order.
///
/// # Errors
/// [`StoreFault`].
pub fn txs(view: &(impl View + ?Sized), wallet: u16, batch: u64) -> Result<Vec<TxRow>, StoreFault> {
    let span = Span::prefix(&BatchRow::key_of(&wallet, &batch));
    collect(view, &span, Order::Forward, usize::MAX)
}

/// Transactions of a wallet that are not at an end, confirmed ones included, oldest batch first: what is watched, and what
/// holds coins or nonces.
///
/// # Errors
/// [`StoreFault`].
pub fn live(view: &(impl View + ?Sized), wallet: u16) -> Result<Vec<TxRow>, StoreFault> {
    let span = Span::prefix(&WalletRow::key_of(&wallet));
    let rows: Vec<LiveRow> = collect(view, &span, Order::Forward, usize::MAX)?;
    let mut all = Vec::new();
    for row in rows {
        all.extend(tx(view, row.wallet, row.batch, row.tx)?);
    }
    Ok(all)
}

/// What happened to a batch, oldest first.
///
/// # Errors
/// [`StoreFault`].
pub fn steps(
    view: &(impl View + ?Sized),
    wallet: u16,
    batch: u64,
) -> Result<Vec<StepRow>, StoreFault> {
    let span = Span::prefix(&BatchRow::key_of(&wallet, &batch));
    collect(view, &span, Order::Forward, usize::MAX)
}

/// Raw bytes of a signed version, by the place of the event that said it.
///
/// # Errors
/// [`StoreFault`].
pub fn raw(
    view: &(impl View + ?Sized),
    wallet: u16,
    batch: u64,
    tx: u16,
    at: At,
) -> Result<Option<Vec<u8>>, StoreFault> {
    let row: Option<RawRow> = get(view, &RawRow::key_of(&wallet, &batch, &tx, &at))?;
    Ok(row.map(|row| row.bytes))
}

/// Accounts that may be paid at a ledger time under a policy, in the books' order, at most `max`: what they have available
/// reaches their threshold, or is a base unit and they asked for payment at once; they have an address, and wait for no coinbase.
///
/// # Errors
/// [`StoreFault`].
pub fn payable(
    view: &(impl View + ?Sized),
    ledger_time: u64,
    policy: &Policy,
    max: usize,
) -> Result<Vec<Payable>, StoreFault> {
    let waits = Waits::read(view)?;
    let mut all = Vec::new();
    let mut fault = None;
    // Books order by kind: those of all accounts' available stand together, behind `immature` and before `reserved`.
    let span = Span {
        from: Book::AVAILABLE_KEYS.start.to_vec(),
        to: Some(Book::AVAILABLE_KEYS.end.to_vec()),
    };
    scan(view, &span, Order::Forward, |row: BookRow| {
        if max <= all.len() {
            return ControlFlow::Break(());
        }
        match payable_of(view, &row, ledger_time, policy, &waits) {
            Ok(found) => all.extend(found),
            Err(error) => {
                fault = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    fault.map_or(Ok(all), Err)
}

fn payable_of(
    view: &(impl View + ?Sized),
    row: &BookRow,
    ledger_time: u64,
    policy: &Policy,
    waits: &Waits,
) -> Result<Option<Payable>, StoreFault> {
    let Book::Available(account) = &row.book else {
        return Ok(None);
    };
    let available = row.balance().positive() / SUB_UNITS;
    if available == 0 {
        return Ok(None);
    }
    let terms = settings(view, account)?;
    if !is_due(view, &terms, policy, available)? {
        return Ok(None);
    }
    let address = terms.address_at(ledger_time).cloned();
    // A coinbase may pay it already (money rules, 11.5.2).
    if waits.has(view, account)? {
        return Ok(None);
    }
    Ok(address.map(|address| Payable {
        account: account.clone(),
        address,
        available,
    }))
}

/// The threshold in force (money rules, 10.5), base units.
pub(super) const fn threshold(terms: &SettingsRow, policy: &Policy) -> u128 {
    if terms.threshold == 0 {
        policy.threshold
    } else {
        terms.threshold
    }
}

/// Whether an account asked for payment at once after it was paid last (money rules, 8.8.1).
pub(super) fn asks_now(
    view: &(impl View + ?Sized),
    terms: &SettingsRow,
) -> Result<bool, StoreFault> {
    let Some(asked) = terms.pay_now else {
        return Ok(false);
    };
    let paid = paid_last(view, &terms.account)?;
    Ok(paid.is_none_or(|paid| paid < asked))
}

/// Whether a payout may pay an account that has so many base units available.
pub(in crate::folds::money) fn is_due(
    view: &(impl View + ?Sized),
    terms: &SettingsRow,
    policy: &Policy,
    available: u128,
) -> Result<bool, StoreFault> {
    Ok(0 < available && is_enough(view, terms, policy, available)?)
}

/// Whether an account may be paid at once or reaches its threshold with an amount, base units.
pub(super) fn is_enough(
    view: &(impl View + ?Sized),
    terms: &SettingsRow,
    policy: &Policy,
    amount: u128,
) -> Result<bool, StoreFault> {
    Ok(threshold(terms, policy) <= amount || asks_now(view, terms)?)
}

/// Lines that a transaction pays, in the order of the body.
pub(super) fn lines_of_tx(
    view: &(impl View + ?Sized),
    row: &TxRow,
    txs: u16,
) -> Result<Vec<LineRow>, StoreFault> {
    if txs == 1 {
        return lines(view, row.wallet, row.batch);
    }
    let found = line(view, row.wallet, row.batch, row.tx)?;
    Ok(found.into_iter().collect())
}

/// Where the newest batch of a wallet that cites a block stands, and whether it does. Only newest batches have unsigned
/// transactions, since their wallets were free before.
pub(super) fn newest_citing(
    view: &(impl View + ?Sized),
    row: &WalletRow,
    block: Hash,
) -> Result<Option<BatchRow>, StoreFault> {
    let Some(newest) = row.batches.checked_sub(1) else {
        return Ok(None);
    };
    let batch = batch(view, row.wallet, newest)?;
    Ok(batch.filter(|batch| batch.cited.binary_search(&block).is_ok()))
}
