//! Reconciliations (kind 40): what a paymaster found when it compared its wallet on the chain with the books. They move nothing.

use orebook_schema::At;
use orebook_schema::reconciled::Reconciled;

use crate::fold::FinalFrame;
use crate::rows::{Row as _, Rows, StoreFault, delete, put};

use super::read::reconciliations;
use super::tables::ReconciledRow;

/// Reconciliations of a wallet that are kept: more than a year of one a night. The ledger has them all.
pub const RECONCILIATIONS_KEPT: usize = 400;

/// It is kept, whatever it says, and the oldest goes.
pub(super) fn said(
    frame: &FinalFrame<'_>,
    at: At,
    said: &Reconciled,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let row = ReconciledRow {
        wallet: said.wallet,
        at,
        ledger_time: frame.ledger_time,
        compared_position: said.compared_position,
        money: said.money,
        expected: said.wallet_expected,
        found: said.wallet_found,
        transactions: said.transactions,
        blocks: said.blocks,
        differences: said.differences,
        report: said.report.as_str().to_owned(),
    };
    put(rows, &row)?;
    let kept = reconciliations(&*rows, said.wallet, None, RECONCILIATIONS_KEPT + 1)?;
    match kept.get(RECONCILIATIONS_KEPT) {
        Some(oldest) => delete::<ReconciledRow>(rows, &oldest.key()),
        None => Ok(()),
    }
}
