//! What pages ask of `workers`.

use orebook_schema::names::Pot;
use orebook_schema::{Account, WorkerName};

use super::{AccountWorkers, Machine, PotWorkers, Tally, Worker};
use crate::rows::{self, KeyField, Order, Span, StoreFault, View};

/// A pot's workers together; zeros if none was ever seen.
///
/// # Errors
/// [`StoreFault`].
pub fn pot(view: &(impl View + ?Sized), pot: Pot) -> Result<PotWorkers, StoreFault> {
    let found = rows::get(view, &PotWorkers::key_of(&pot))?;
    Ok(found.unwrap_or(PotWorkers {
        pot,
        shares: Tally::default(),
        workers_active: 0,
        machines_active: 0,
    }))
}

/// An account's workers together; none if it never sent a share.
///
/// # Errors
/// [`StoreFault`].
pub fn account(
    view: &(impl View + ?Sized),
    account: &Account,
) -> Result<Option<AccountWorkers>, StoreFault> {
    rows::get(view, &AccountWorkers::key_of(account))
}

pub(super) fn account_or_new(
    view: &(impl View + ?Sized),
    of: &Account,
) -> Result<AccountWorkers, StoreFault> {
    Ok(account(view, of)?.unwrap_or_else(|| AccountWorkers {
        account: of.clone(),
        shares: Tally::default(),
        workers: 0,
        workers_active: 0,
        machines_active: 0,
    }))
}

/// One worker.
///
/// # Errors
/// [`StoreFault`].
pub fn worker(
    view: &(impl View + ?Sized),
    account: &Account,
    pot: Pot,
    name: &WorkerName,
) -> Result<Option<Worker>, StoreFault> {
    rows::get(view, &Worker::key_of(account, &pot, name))
}

/// A page of an account's workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// By pot, then by length of the name and name.
    pub workers: Vec<Worker>,
    /// Cursor of the next page; none at the end.
    pub next: Option<(Pot, WorkerName)>,
}

/// An account's workers behind the cursor (none: from the first), at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn workers(
    view: &(impl View + ?Sized),
    account: &Account,
    after: Option<&(Pot, WorkerName)>,
    rows_max: usize,
) -> Result<Page, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let span = match after {
        Some((pot, name)) => {
            // No key is the beginning of another, so a byte behind it is behind it and before the next.
            let mut from = Worker::key_of(account, pot, name);
            from.push(0);
            Span::prefix_from(&prefix, from)
        }
        None => Span::prefix(&prefix),
    };
    let mut workers: Vec<Worker> =
        rows::collect(view, &span, Order::Forward, rows_max.saturating_add(1))?;
    let more = rows_max < workers.len();
    workers.truncate(rows_max);
    let last = workers.last().filter(|_| more);
    let next = last.map(|last| (last.pot, last.name.clone()));
    Ok(Page { workers, next })
}

/// Machines of a worker, by stream, epoch and number, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn machines(
    view: &(impl View + ?Sized),
    worker: &Worker,
    rows_max: usize,
) -> Result<Vec<Machine>, StoreFault> {
    let prefix = Worker::key_of(&worker.account, &worker.pot, &worker.name);
    rows::collect(view, &Span::prefix(&prefix), Order::Forward, rows_max)
}
