//! Proposals (money rules, 8.8): a batch as a whole or not at all. Its lines are reserved where it is obeyed.

use orebook_ledger::authority::{Authority, thing_digest};
use orebook_schema::payout::{BatchBody, BatchLine, PayoutProposed};
use orebook_schema::policy::NetworkFees;
use orebook_schema::{At, Event, Hash, Policy, StreamId};

use crate::fold::FinalFrame;
use crate::folds::money::books::{Book, Entries, balance_of, totals};
use crate::folds::money::settings::settings;
use crate::folds::money::split::SUB_UNITS;
use crate::folds::money::tables::{BlockRow, Held};
use crate::folds::obeyed::Refusal;
use crate::rows::{Rows, View, get, put};

use super::read::{is_enough, wallet};
use super::tables::{
    AskedRow, BatchRow, LineOfRow, LineRow, LiveRow, StepRow, TxRow, WalletRow, What,
};
use super::{Outcome, Stop, approvals, wholes};

/// A batch is proposed.
pub(super) fn said(
    frame: &FinalFrame<'_>,
    at: At,
    said: &PayoutProposed,
    rows: &mut dyn Rows,
) -> Outcome {
    let Some(authority) = frame.authority() else {
        return Ok(());
    };
    let (policy_at, newest) = authority.newest_policy();
    let Some(policy) = newest.map(|newest| &newest.policy) else {
        return Ok(());
    };
    let wallet = wallet(&*rows, said.wallet)?;
    is_its_turn(&wallet, said)?;
    let body = body(&*rows, frame.header().stream, said)?;
    for line in &body.lines {
        is_payable(&*rows, frame.ledger_time, policy, said, line)?;
    }
    for block in &body.blocks {
        is_confirmed(&*rows, *block)?;
    }
    let sum = totals(&*rows)?.credits;
    if sum.checked_add(said.total * SUB_UNITS).is_none() {
        return Err(Refusal::Value.into());
    }
    let batch = batch_row(frame, authority, at, said, policy_at, body.blocks);
    reserve(at, said, &body.lines, rows)?;
    write(wallet, batch, frame.ledger_time, rows)
}

/// Steps 1 to 4: it is the wallet's next batch, and nothing of the wallet is on its way.
fn is_its_turn(wallet: &WalletRow, said: &PayoutProposed) -> Result<(), Refusal> {
    if said.expects != At::default() {
        return Err(Refusal::Expects);
    }
    if wallet.halted.is_some() {
        return Err(Refusal::Halted);
    }
    if said.batch != wallet.batches || !wallet.is_free() {
        return Err(Refusal::Batch);
    }
    Ok(())
}

/// Steps 5 and 6: its body is there, and says what the proposal does.
fn body(view: &dyn Rows, stream: StreamId, said: &PayoutProposed) -> Result<BatchBody, Stop> {
    let bytes = wholes::whole(view, stream, said.body)?.ok_or(Refusal::Whole)?;
    let body = BatchBody::read(&bytes).map_err(|_| Refusal::Whole)?;
    let is_divided = said.txs == 1 || said.txs == said.lines;
    let is_counted = body.lines.len() == usize::from(said.lines);
    if is_divided && is_counted && body.total() == Some(said.total) {
        Ok(body)
    } else {
        Err(Refusal::Whole.into())
    }
}

/// Step 7: the line's address is in force, its account has the amount, and may be paid it; its fee is who bears it.
fn is_payable(
    view: &dyn Rows,
    ledger_time: u64,
    policy: &Policy,
    said: &PayoutProposed,
    line: &BatchLine,
) -> Result<(), Stop> {
    let fee = match policy.network_fees {
        NetworkFees::Pool => 0,
        NetworkFees::Miner => said.fee / u128::from(said.lines),
    };
    let terms = settings(view, &line.account)?;
    let available = balance_of(view, &Book::Available(line.account.clone()))?;
    let is_right = terms.address_at(ledger_time) == Some(&line.address)
        && line.amount * SUB_UNITS <= available.positive()
        && line.fee == fee
        && is_enough(view, &terms, policy, line.amount)?;
    if is_right {
        Ok(())
    } else {
        Err(Refusal::Line.into())
    }
}

/// Step 8.
fn is_confirmed(view: &(impl View + ?Sized), block: Hash) -> Result<(), Stop> {
    let block: Option<BlockRow> = get(view, &BlockRow::key_of(&block))?;
    if block.is_some_and(|block| block.held == Held::Available) {
        Ok(())
    } else {
        Err(Refusal::Block.into())
    }
}

fn batch_row(
    frame: &FinalFrame<'_>,
    authority: &Authority,
    at: At,
    said: &PayoutProposed,
    policy: At,
    cited: Vec<Hash>,
) -> BatchRow {
    let event = Event::PayoutProposed(Box::new(said.clone()));
    let digest = thing_digest(authority.genesis().ledger, &event);
    let needed = authority.payout_approvals_needed(said.total);
    let is_approved = needed <= approvals::count(authority, &digest, at);
    BatchRow {
        wallet: said.wallet,
        batch: said.batch,
        at,
        ledger_time: frame.ledger_time,
        digest,
        body: said.body,
        txs: said.txs,
        lines: said.lines,
        total: said.total,
        fee: said.fee,
        // Genesis has 16 approvers at most.
        needed: u8::try_from(needed).unwrap_or(u8::MAX),
        approved: is_approved.then_some(at),
        cited,
        policy,
    }
}

fn reserve(at: At, said: &PayoutProposed, lines: &[BatchLine], rows: &mut dyn Rows) -> Outcome {
    let mut entries = Entries::new(&mut *rows, at, Hash::ZERO);
    for line in lines {
        let available = Book::Available(line.account.clone());
        let reserved = Book::Reserved(line.account.clone());
        entries.post(&available, &reserved, line.amount * SUB_UNITS, None)?;
    }
    entries.finish()?;
    let (wallet, batch) = (said.wallet, said.batch);
    for (number, line) in (0u16..).zip(lines) {
        put(
            rows,
            &LineRow {
                wallet,
                batch,
                number,
                account: line.account.clone(),
                address: line.address.clone(),
                amount: line.amount,
                fee: line.fee,
                tx: if said.txs == 1 { 0 } else { number },
            },
        )?;
        put(
            rows,
            &LineOfRow {
                account: line.account.clone(),
                at,
                wallet,
                batch,
                number,
            },
        )?;
    }
    Ok(())
}

fn write(mut wallet: WalletRow, batch: BatchRow, ledger_time: u64, rows: &mut dyn Rows) -> Outcome {
    for tx in 0..batch.txs {
        put(rows, &TxRow::new(batch.wallet, batch.batch, tx))?;
        put(
            rows,
            &LiveRow {
                wallet: batch.wallet,
                batch: batch.batch,
                tx,
            },
        )?;
    }
    wallet.batches += 1;
    wallet.open += u32::from(batch.txs);
    put(rows, &wallet)?;
    put(
        rows,
        &StepRow {
            wallet: batch.wallet,
            batch: batch.batch,
            at: batch.at,
            tx: 0,
            ledger_time,
            what: What::Proposed,
            txid: None,
            height: 0,
            fee: batch.fee,
        },
    )?;
    if batch.approved.is_none() {
        let asked = AskedRow {
            digest: batch.digest,
            wallet: batch.wallet,
            batch: Some(batch.batch),
            at: batch.at,
        };
        put(rows, &asked)?;
    }
    Ok(put(rows, &batch)?)
}
