//! Adjustments (money rules, 7.5): money that people move by hand. Whether one is obeyed, and where, is admission's to say
//! ([`orebook_ledger::authority`]); here it is written down and posted.

use orebook_ledger::authority::ObeyedAdjustment;
use orebook_schema::desk::{AdjustedBook, Adjustment, Direction};
use orebook_schema::{At, Hash};

use crate::fold::FinalFrame;
use crate::folds::obeyed::Refusal;
use crate::rows::{Rows, StoreFault, get, put};

use super::books::{Book, Entries, totals};
use super::is_known;
use super::tables::{AccountRow, AdjustmentRow, RefusedRow};
use super::write_off;

/// An adjustment was said; it waits for what it needs.
pub(super) fn said(at: At, said: &Adjustment, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    put(
        rows,
        &AdjustmentRow {
            account: said.account.clone(),
            at,
            book: book_of(said.book),
            to_account: said.direction == Direction::ToAccount,
            amount: said.amount,
            block: said.block,
            reason: said.reason.as_str().to_owned(),
            taken: None,
        },
    )
}

/// Posts the adjustments and write-offs that took effect in a frame, each at the event where it did, in that order.
pub(super) fn taken(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let Some(authority) = frame.authority() else {
        return Ok(());
    };
    let mut adjustments = authority.adjustments_taken_at(frame.position).peekable();
    for written_off in authority.write_offs_taken_at(frame.position) {
        let is_before = |obeyed: &&ObeyedAdjustment| obeyed.effective < written_off.effective;
        while let Some(obeyed) = adjustments.next_if(is_before) {
            post(obeyed, rows)?;
        }
        write_off::post(written_off, frame.ledger_time, rows)?;
    }
    adjustments.try_for_each(|obeyed| post(obeyed, rows))
}

fn post(obeyed: &ObeyedAdjustment, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let ObeyedAdjustment {
        adjustment,
        at,
        effective,
    } = obeyed;
    let block = adjustment.block.unwrap_or(Hash::ZERO);
    let sum = totals(&*rows)?.credits;
    if sum.checked_add(adjustment.amount).is_none() {
        let why = Refusal::Value;
        return put(
            rows,
            &RefusedRow {
                at: *effective,
                hash: block,
                why,
            },
        );
    }
    let key = AdjustmentRow::key_of(&adjustment.account, at);
    let row: Option<AdjustmentRow> = get(&*rows, &key)?;
    let mut row = row.ok_or(StoreFault::Damaged {
        table: <AdjustmentRow as crate::rows::Row>::TABLE,
        what: "an adjustment is missing",
    })?;
    row.taken = Some(*effective);
    put(rows, &row)?;
    if !is_known(&*rows, &adjustment.account)? {
        let account = AccountRow {
            account: adjustment.account.clone(),
            first: *effective,
        };
        put(rows, &account)?;
    }
    let (book, available) = (row.book, Book::Available(row.account));
    let mut entries = Entries::new(rows, *effective, block);
    match adjustment.direction {
        Direction::ToAccount => entries.post(&book, &available, adjustment.amount, None)?,
        Direction::FromAccount => entries.post(&available, &book, adjustment.amount, None)?,
    }
    entries.finish()?;
    Ok(())
}

const fn book_of(book: AdjustedBook) -> Book {
    match book {
        AdjustedBook::Reserve => Book::Reserve,
        AdjustedBook::Donation => Book::Donation,
        AdjustedBook::Fee => Book::Fee,
        AdjustedBook::Rounding => Book::Rounding,
    }
}
