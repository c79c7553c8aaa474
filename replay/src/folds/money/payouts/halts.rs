//! Halts and resumes of a wallet (money rules, 8.12).

use orebook_ledger::authority::thing_digest;
use orebook_schema::payout::{PayoutHalt, PayoutResume};
use orebook_schema::{At, Event, Hash};

use crate::fold::FinalFrame;
use crate::folds::obeyed::Refusal;
use crate::rows::{Row as _, Rows, StoreFault, delete, get, put};

use super::read::wallet;
use super::tables::{AskedRow, HaltRow, WalletRow};
use super::{Outcome, approvals};

/// A wallet is halted, whatever it was.
pub(super) fn halt(
    frame: &FinalFrame<'_>,
    at: At,
    said: &PayoutHalt,
    rows: &mut dyn Rows,
) -> Outcome {
    let mut wallet = wallet(&*rows, said.wallet)?;
    wallet.halted = Some(at);
    wallet.last = at;
    put(rows, &wallet)?;
    let row = HaltRow {
        wallet: said.wallet,
        at,
        ledger_time: frame.ledger_time,
        halts: true,
        reason: said.reason.as_str().to_owned(),
        expects: At::default(),
        digest: Hash::ZERO,
        needed: 0,
        taken: Some(at),
    };
    Ok(put(rows, &row)?)
}

/// A resume is asked for: it takes effect here, or where its last approval is.
pub(super) fn resume(
    frame: &FinalFrame<'_>,
    at: At,
    said: &PayoutResume,
    rows: &mut dyn Rows,
) -> Outcome {
    let Some(authority) = frame.authority() else {
        return Ok(());
    };
    let wallet = wallet(&*rows, said.wallet)?;
    may_resume(&wallet, said.expects)?;
    let event = Event::PayoutResume(Box::new(said.clone()));
    let digest = thing_digest(authority.genesis().ledger, &event);
    let asked: Option<AskedRow> = get(&*rows, &AskedRow::key_of(&digest))?;
    if asked.is_some() {
        // The same said again while the first waits: the first place stands.
        return Ok(());
    }
    let needed = authority.resume_approvals_needed();
    let is_approved = needed <= approvals::count(authority, &digest, at);
    let row = HaltRow {
        wallet: said.wallet,
        at,
        ledger_time: frame.ledger_time,
        halts: false,
        reason: said.reason.as_str().to_owned(),
        expects: said.expects,
        digest,
        // Genesis has 16 approvers at most.
        needed: u8::try_from(needed).unwrap_or(u8::MAX),
        taken: None,
    };
    if is_approved {
        return take(wallet, row, at, rows);
    }
    put(rows, &row)?;
    let asked = AskedRow {
        digest,
        wallet: said.wallet,
        batch: None,
        at,
    };
    Ok(put(rows, &asked)?)
}

/// So many approvers have approved a resume that waits.
pub(super) fn approved(at: At, asked: &AskedRow, count: usize, rows: &mut dyn Rows) -> Outcome {
    let row: Option<HaltRow> = get(&*rows, &HaltRow::key_of(&asked.wallet, &asked.at))?;
    let row = row.ok_or(StoreFault::Damaged {
        table: HaltRow::TABLE,
        what: "a resume is missing",
    })?;
    if count < usize::from(row.needed) {
        return Ok(());
    }
    delete::<AskedRow>(rows, &asked.key())?;
    let wallet = wallet(&*rows, asked.wallet)?;
    may_resume(&wallet, row.expects)?;
    take(wallet, row, at, rows)
}

fn may_resume(wallet: &WalletRow, expects: At) -> Result<(), Refusal> {
    if wallet.last != expects {
        return Err(Refusal::Expects);
    }
    if wallet.halted.is_none() {
        return Err(Refusal::State);
    }
    Ok(())
}

fn take(mut wallet: WalletRow, mut row: HaltRow, at: At, rows: &mut dyn Rows) -> Outcome {
    wallet.halted = None;
    wallet.last = row.at;
    put(rows, &wallet)?;
    row.taken = Some(at);
    Ok(put(rows, &row)?)
}
