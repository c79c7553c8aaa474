//! Approvals of batches and resumes (money rules, 8.7.1 and 8.12). Which ones are valid is admission's to say.

use orebook_ledger::authority::Authority;
use orebook_schema::{At, Hash};

use crate::fold::FinalFrame;
use crate::rows::{Row as _, Rows, StoreFault, delete, get, put};

use super::tables::{AskedRow, BatchRow, StepRow, What};
use super::{Outcome, halts};

/// How many approvers have approved a digest at a place, that event's included.
pub(super) fn count(authority: &Authority, digest: &Hash, at: At) -> usize {
    let approvals = authority.approvals_of(digest);
    approvals.filter(|(_, place)| *place <= at).count()
}

/// An approval was said: what it was waited for by may happen here.
pub(super) fn said(frame: &FinalFrame<'_>, at: At, digest: &Hash, rows: &mut dyn Rows) -> Outcome {
    let asked: Option<AskedRow> = get(&*rows, &AskedRow::key_of(digest))?;
    let (Some(asked), Some(authority)) = (asked, frame.authority()) else {
        return Ok(());
    };
    let count = count(authority, digest, at);
    match asked.batch {
        Some(batch) => approve(frame, at, &asked, batch, count, rows),
        None => halts::approved(at, &asked, count, rows),
    }
}

fn approve(
    frame: &FinalFrame<'_>,
    at: At,
    asked: &AskedRow,
    batch: u64,
    count: usize,
    rows: &mut dyn Rows,
) -> Outcome {
    let row: Option<BatchRow> = get(&*rows, &BatchRow::key_of(&asked.wallet, &batch))?;
    let mut row = row.ok_or(StoreFault::Damaged {
        table: BatchRow::TABLE,
        what: "a batch is missing",
    })?;
    if count < usize::from(row.needed) {
        return Ok(());
    }
    row.approved = Some(at);
    put(rows, &row)?;
    delete::<AskedRow>(rows, &asked.key())?;
    let step = StepRow {
        wallet: row.wallet,
        batch,
        at,
        tx: 0,
        ledger_time: frame.ledger_time,
        what: What::Approved,
        txid: None,
        height: 0,
        fee: 0,
    };
    Ok(put(rows, &step)?)
}
