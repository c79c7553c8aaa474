//! Write-offs (money rules, 5.4): the reserve takes over what an account owes. Whether one is obeyed, and where, is admission's
//! to say ([`orebook_ledger::authority`]); here is judged whether the account owes for long enough.

use orebook_ledger::authority::ObeyedWriteOff;
use orebook_schema::payout::WriteOff;
use orebook_schema::{Account, At, Hash, Kind};

use crate::fold::FinalFrame;
use crate::folds::obeyed::Refusal;
use crate::row;
use crate::rows::{Row as _, Rows, StoreFault, View, delete, get, put};

use super::books::{Balance, Book, Entries, balance_of, totals};
use super::read::debt;
use super::tables::RefusedRow;

/// Kinds by whose frames an account may come to owe: only these note their time.
const TAKES: u64 = Kind::BlockStatus.bit()
    | Kind::Void.bit()
    | Kind::Adjustment.bit()
    | Kind::Approval.bit()
    | Kind::PayoutProposed.bit()
    | Kind::PayoutStep.bit()
    | Kind::PayoutCancelled.bit();

row! {
    /// A write-off, from where it was said.
    pub struct WriteOffRow in table 69 {
        key {
            /// Whose `available`.
            account: Account,
            /// Place of its event.
            at: At,
        }
        value {
            /// Why.
            reason: String,
            /// The event where it took effect: its posting is that one's. None as long as approvals are missing, and for ever
            /// if it was refused.
            taken: Option<At>,
            /// Sub-units that it moved; 0 as long as it took no effect.
            amount: u128,
        }
    }
}

row! {
    /// An account that owes, or did: its `available` is below zero.
    pub struct DebtRow in table 73 {
        key {
            /// Who.
            account: Account,
        }
        value {
            /// The last event that found it at zero or above and left it below.
            since: At,
            /// Ledger time there, milliseconds since 1970.
            ledger_time: u64,
            /// The event that filled it; none as long as it owes.
            filled: Option<At>,
        }
    }
}

row! {
    /// The last frame that might have taken something from an account.
    pub(super) struct ClockRow in table 74 {
        key {}
        value {
            /// Its position.
            position: u64,
            /// Its ledger time, milliseconds since 1970.
            ledger_time: u64,
        }
    }
}

/// Notes the time of a frame that may take something from an account, before it does.
pub(super) fn note_time(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    if frame.header().kinds & TAKES == 0 {
        return Ok(());
    }
    let (position, ledger_time) = (frame.position, frame.ledger_time);
    put(
        rows,
        &ClockRow {
            position,
            ledger_time,
        },
    )
}

/// A balance changed by an event: an account begins to owe, or does not owe any more.
pub(super) fn note_debt(
    rows: &mut dyn Rows,
    at: At,
    book: &Book,
    before: Balance,
    after: Balance,
) -> Result<(), StoreFault> {
    let Book::Available(account) = book else {
        return Ok(());
    };
    if before.is_negative() == after.is_negative() {
        return Ok(());
    }
    let debt: Option<DebtRow> = get(&*rows, &DebtRow::key_of(account))?;
    match debt {
        // What one event fills and takes again counts together.
        Some(mut debt) if after.is_negative() && debt.filled == Some(at) => {
            debt.filled = None;
            put(rows, &debt)
        }
        Some(debt) if before.is_negative() && debt.since == at => {
            delete::<DebtRow>(rows, &DebtRow::key_of(account))
        }
        Some(mut debt) if before.is_negative() => {
            debt.filled = Some(at);
            put(rows, &debt)
        }
        _ => {
            let clock: Option<ClockRow> = get(&*rows, &ClockRow::key_of())?;
            let clock = clock.filter(|clock| clock.position == at.position);
            let clock = clock.ok_or(StoreFault::Damaged {
                table: ClockRow::TABLE,
                what: "a frame that takes from an account noted no time",
            })?;
            put(
                rows,
                &DebtRow {
                    account: account.clone(),
                    since: at,
                    ledger_time: clock.ledger_time,
                    filled: None,
                },
            )
        }
    }
}

/// A write-off was said; it waits for what it needs.
pub(super) fn said(at: At, said: &WriteOff, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    put(
        rows,
        &WriteOffRow {
            account: said.account.clone(),
            at,
            reason: said.reason.as_str().to_owned(),
            taken: None,
            amount: 0,
        },
    )
}

/// Posts a write-off that took effect in a frame of this ledger time, or refuses it.
pub(super) fn post(
    obeyed: &ObeyedWriteOff,
    ledger_time: u64,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let (account, effective) = (&obeyed.write_off.account, obeyed.effective);
    let available = Book::Available(account.clone());
    let balance = balance_of(&*rows, &available)?;
    let owed = balance.magnitude();
    let why = if !owes_for(&*rows, account, ledger_time, obeyed.writeoff_ms)? {
        Some(Refusal::Debt)
    } else if totals(&*rows)?.credits.checked_add(owed).is_none() {
        Some(Refusal::Value)
    } else {
        None
    };
    if let Some(why) = why {
        let (at, hash) = (effective, Hash::ZERO);
        return put(rows, &RefusedRow { at, hash, why });
    }
    let row: Option<WriteOffRow> = get(&*rows, &WriteOffRow::key_of(account, &obeyed.at))?;
    let mut row = row.ok_or(StoreFault::Damaged {
        table: WriteOffRow::TABLE,
        what: "a write-off is missing",
    })?;
    (row.taken, row.amount) = (Some(effective), owed);
    put(rows, &row)?;
    let mut entries = Entries::new(rows, effective, Hash::ZERO);
    entries.post(&Book::Reserve, &available, owed, None)?;
    entries.finish()?;
    Ok(())
}

fn owes_for(
    view: &(impl View + ?Sized),
    account: &Account,
    ledger_time: u64,
    writeoff_ms: u64,
) -> Result<bool, StoreFault> {
    let debt = debt(view, account)?;
    Ok(debt.is_some_and(|debt| {
        let for_ms = ledger_time.saturating_sub(debt.ledger_time);
        writeoff_ms <= for_ms
    }))
}
