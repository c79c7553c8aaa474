//! Payouts (money rules, section 8): batches, their transactions and what becomes of them, halts.
//!
//! `money` has their rows, since whether something is obeyed depends on balances, and balances on it (ADR 0026). Others see
//! them through the questions below.
//!
//! Reading order: `tables`, `proposal` (available → reserved), `approvals`, `steps` (what moves a transaction, and what it
//! posts), `halts`, `reconciled`, `wholes` (what a stream says in parts), `check`, `read`.

mod approvals;

mod check;

mod halts;

mod proposal;

mod read;

mod reconciled;

mod steps;

mod tables;

mod wholes;

use orebook_schema::{At, Event, Hash, Kind};

use crate::fold::FinalFrame;
use crate::folds::money::tables::RefusedRow;
use crate::folds::obeyed::Refusal;
use crate::rows::{Rows, StoreFault, put};

pub(super) use self::check::{PayoutBooks, assert_payouts};
pub(super) use self::read::is_due;
pub(super) use self::read::paid_last;
pub use self::read::{
    LineOf, Payable, batch, batches, halts, is_free, line, lines, lines_of, live, payable, raw,
    reconciliations, steps, tx, txs, wallet, wallets,
};
pub use self::reconciled::RECONCILIATIONS_KEPT;
pub use self::steps::VERSIONS_MAX;
pub(super) use self::steps::{held_of_block, lose_block};
pub use self::tables::{
    AskedRow, BatchRow, HaltRow, LineOfRow, LineRow, LiveRow, PartRow, RawRow, ReconciledRow,
    StepRow, TxRow, TxState, WalletRow, What, WholeRow,
};

/// Kinds that are applied here.
pub(super) const KINDS: u64 = Kind::Part.bit()
    | Kind::Approval.bit()
    | Kind::PayoutProposed.bit()
    | Kind::PayoutSigned.bit()
    | Kind::PayoutStep.bit()
    | Kind::PayoutCancelled.bit()
    | Kind::PayoutHalt.bit()
    | Kind::PayoutResume.bit()
    | Kind::Reconciled.bit();

/// Why an event was not applied.
enum Stop {
    /// It is refused, and changes nothing.
    Refused(Refusal),
    /// The store failed.
    Fault(StoreFault),
}

type Outcome = Result<(), Stop>;

impl From<Refusal> for Stop {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}

impl From<StoreFault> for Stop {
    fn from(fault: StoreFault) -> Self {
        Self::Fault(fault)
    }
}

/// Applies an event of [`KINDS`]; others pass by.
pub(super) fn apply(
    frame: &FinalFrame<'_>,
    at: At,
    event: &Event,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let done = match event {
        Event::Part(part) => wholes::part(frame.header().stream, part, rows).map_err(Stop::from),
        Event::Approval(approval) => approvals::said(frame, at, &approval.thing, rows),
        Event::PayoutProposed(said) => proposal::said(frame, at, said, rows),
        Event::PayoutSigned(said) => steps::signed(frame, at, said, rows),
        Event::PayoutStep(said) => steps::step(frame, at, said, rows),
        Event::PayoutCancelled(said) => steps::cancelled(frame, at, said, rows),
        Event::PayoutHalt(said) => halts::halt(frame, at, said, rows),
        Event::PayoutResume(said) => halts::resume(frame, at, said, rows),
        Event::Reconciled(said) => reconciled::said(frame, at, said, rows).map_err(Stop::from),
        _ => Ok(()),
    };
    match done {
        Ok(()) => Ok(()),
        Err(Stop::Refused(why)) => {
            let hash = Hash::ZERO;
            put(rows, &RefusedRow { at, hash, why })
        }
        Err(Stop::Fault(fault)) => Err(fault),
    }
}
