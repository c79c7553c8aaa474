//! What moves a transaction of a batch (money rules, 8.9 to 8.11): signed versions, steps, cancels, and the block that a batch
//! cites and that is no more.

use orebook_schema::payout::{PayoutCancelled, PayoutSigned, PayoutStep, Step};
use orebook_schema::{At, Hash};

use crate::fold::FinalFrame;
use crate::folds::money::books::{Book, Entries, totals};
use crate::folds::money::split::SUB_UNITS;
use crate::folds::obeyed::Refusal;
use crate::rows::{Row as _, Rows, StoreFault, View, delete, get, put};

use super::read::{lines_of_tx, newest_citing, tx, txs, wallet, wallets};
use super::tables::{BatchRow, LineRow, LiveRow, RawRow, StepRow, TxRow, TxState, What};
use super::{Outcome, Stop, wholes};

/// Most signed versions of a transaction: one more is refused. Each replaces the one before at a higher fee, so that 64 are
/// more than any fee can be raised.
pub const VERSIONS_MAX: usize = 64;

/// A version of a transaction is signed.
pub(super) fn signed(
    frame: &FinalFrame<'_>,
    at: At,
    said: &PayoutSigned,
    rows: &mut dyn Rows,
) -> Outcome {
    let mut row = subject(&*rows, (said.wallet, said.batch, said.tx), said.expects)?;
    if wallet(&*rows, said.wallet)?.halted.is_some() {
        return Err(Refusal::Halted.into());
    }
    if !may_become(row.state, TxState::Signed) {
        return Err(Refusal::State.into());
    }
    if row.state == TxState::Unsigned && batch_of(&*rows, &row)?.approved.is_none() {
        return Err(Refusal::Approval.into());
    }
    let is_first = row.txids.is_empty();
    if !is_first && row.spends != said.spends.bytes()
        || row.txids.contains(&said.txid)
        || VERSIONS_MAX <= row.txids.len()
    {
        return Err(Refusal::State.into());
    }
    let bytes = raw_bytes(frame, said, &*rows)?.ok_or(Refusal::Whole)?;
    put(
        rows,
        &RawRow {
            wallet: said.wallet,
            batch: said.batch,
            tx: said.tx,
            at,
            bytes,
        },
    )?;
    row.txids.push(said.txid);
    row.signed.push(at);
    row.spends = said.spends.bytes().to_vec();
    let moved = Moved {
        to: TxState::Signed,
        what: What::Signed,
        txid: Some(said.txid),
        height: 0,
        block: None,
        fee: said.fee,
    };
    Ok(write(row, &moved, at, frame.ledger_time, rows)?)
}

fn raw_bytes(
    frame: &FinalFrame<'_>,
    said: &PayoutSigned,
    view: &dyn Rows,
) -> Result<Option<Vec<u8>>, StoreFault> {
    if said.raw.is_empty() {
        return wholes::whole(view, frame.header().stream, said.body);
    }
    Ok((Hash::of(&[&said.raw]) == said.body).then(|| said.raw.clone()))
}

/// A transaction went a step.
pub(super) fn step(
    frame: &FinalFrame<'_>,
    at: At,
    said: &PayoutStep,
    rows: &mut dyn Rows,
) -> Outcome {
    let mut row = subject(&*rows, (said.wallet, said.batch, said.tx), said.expects)?;
    let (to, what) = step_to(said.step);
    if !may_become(row.state, to) {
        return Err(Refusal::State.into());
    }
    let names_another = matches!(said.step, Step::Conflicted | Step::Unknown);
    if !names_another && !row.txids.contains(&said.txid) {
        return Err(Refusal::State.into());
    }
    let lines = match said.step {
        Step::Confirmed if !row.posted => Lines::Send,
        Step::Failed => Lines::GiveBack,
        _ => Lines::Stay,
    };
    if said.step.is_in_a_block() {
        settle(&mut row, lines, said.fee, at, rows)?;
    }
    let moved = Moved {
        to,
        what,
        txid: Some(said.txid),
        height: said.height,
        block: said.block,
        fee: said.fee,
    };
    Ok(write(row, &moved, at, frame.ledger_time, rows)?)
}

/// A transaction will never be paid.
pub(super) fn cancelled(
    frame: &FinalFrame<'_>,
    at: At,
    said: &PayoutCancelled,
    rows: &mut dyn Rows,
) -> Outcome {
    let mut row = subject(&*rows, (said.wallet, said.batch, said.tx), said.expects)?;
    let is_unsigned = row.state == TxState::Unsigned;
    let names_itself = said.by.is_some_and(|by| row.txids.contains(&by));
    if !may_become(row.state, TxState::Cancelled)
        || is_unsigned != said.by.is_none()
        || names_itself
    {
        return Err(Refusal::State.into());
    }
    settle(&mut row, Lines::GiveBack, said.fee, at, rows)?;
    let moved = Moved {
        to: TxState::Cancelled,
        what: What::Cancelled,
        txid: said.by,
        height: said.height,
        block: None,
        fee: said.fee,
    };
    Ok(write(row, &moved, at, frame.ledger_time, rows)?)
}

/// Sub-units that [`lose_block`] would post.
///
/// # Errors
/// [`StoreFault`].
pub(in crate::folds::money) fn held_of_block(
    view: &dyn Rows,
    block: Hash,
) -> Result<u128, StoreFault> {
    let mut held = 0u128;
    for (txs, row) in unsigned_citing(view, block)? {
        let lines = lines_of_tx(view, &row, txs)?;
        held = held.saturating_add(amounts(&lines) * SUB_UNITS);
    }
    Ok(held)
}

/// A block stops being confirmed: transactions that nobody signed and whose batches cite it are cancelled, and what they hold
/// goes back, with the block's own postings (money rules, 8.11).
///
/// # Errors
/// [`StoreFault`].
pub(in crate::folds::money) fn lose_block(
    block: Hash,
    ledger_time: u64,
    entries: &mut Entries<'_>,
) -> Result<(), StoreFault> {
    for (txs, row) in unsigned_citing(&*entries.rows(), block)? {
        for line in lines_of_tx(&*entries.rows(), &row, txs)? {
            post_line(&line, Lines::GiveBack, false, entries)?;
        }
        let moved = Moved {
            to: TxState::Cancelled,
            what: What::BlockLost,
            txid: None,
            height: 0,
            block: Some(block),
            fee: 0,
        };
        let at = entries.at();
        write(row, &moved, at, ledger_time, entries.rows())?;
    }
    Ok(())
}

/// Transactions that nobody signed, of batches that cite a block, each with how many its batch has. Only a wallet's newest
/// batch has any: the wallet was free before it.
fn unsigned_citing(view: &dyn Rows, block: Hash) -> Result<Vec<(u16, TxRow)>, StoreFault> {
    let mut found = Vec::new();
    for wallet in wallets(view)?.iter().filter(|wallet| !wallet.is_free()) {
        let Some(batch) = newest_citing(view, wallet, block)? else {
            continue;
        };
        let all = txs(view, batch.wallet, batch.batch)?;
        let unsigned = all
            .into_iter()
            .filter(|row| row.state == TxState::Unsigned)
            .map(|row| (batch.txs, row));
        found.extend(unsigned);
    }
    Ok(found)
}

/// Compare and set.
fn subject(
    view: &dyn Rows,
    (wallet, batch, number): (u16, u64, u16),
    expects: At,
) -> Result<TxRow, Stop> {
    let row = tx(view, wallet, batch, number)?.ok_or(Refusal::Unknown)?;
    if row.last == expects {
        Ok(row)
    } else {
        Err(Refusal::Expects.into())
    }
}

fn batch_of(view: &(impl View + ?Sized), row: &TxRow) -> Result<BatchRow, StoreFault> {
    let batch = get(view, &BatchRow::key_of(&row.wallet, &row.batch))?;
    batch.ok_or(StoreFault::Damaged {
        table: BatchRow::TABLE,
        what: "a batch is missing",
    })
}

const fn step_to(step: Step) -> (TxState, What) {
    match step {
        Step::Broadcast => (TxState::Broadcast, What::Broadcast),
        Step::Seen => (TxState::Seen, What::Seen),
        Step::Confirmed => (TxState::Confirmed, What::Confirmed),
        Step::Final => (TxState::Final, What::Final),
        Step::Conflicted => (TxState::Conflicted, What::Conflicted),
        Step::Failed => (TxState::Failed, What::Failed),
        Step::Unknown => (TxState::Unknown, What::Unknown),
    }
}

/// The table of the money rules, 8.9: whether a transaction in one state may come into another.
#[must_use]
pub(super) const fn may_become(from: TxState, to: TxState) -> bool {
    use TxState::{
        Broadcast, Cancelled, Confirmed, Conflicted, Failed, Final, Seen, Signed, Unknown, Unsigned,
    };
    match to {
        Unsigned => false,
        Signed => matches!(
            from,
            Unsigned | Signed | Broadcast | Seen | Unknown | Conflicted
        ),
        Broadcast => matches!(from, Signed | Seen | Confirmed | Unknown | Conflicted),
        Seen => matches!(from, Signed | Broadcast | Confirmed | Unknown | Conflicted),
        Confirmed => matches!(from, Signed | Broadcast | Seen | Unknown | Conflicted),
        Final => matches!(from, Confirmed),
        Conflicted => matches!(from, Signed | Broadcast | Seen | Confirmed | Unknown),
        Unknown => matches!(from, Signed | Broadcast | Seen | Confirmed | Conflicted),
        Failed => matches!(
            from,
            Signed | Broadcast | Seen | Confirmed | Unknown | Conflicted
        ),
        Cancelled => matches!(
            from,
            Unsigned | Signed | Broadcast | Seen | Confirmed | Unknown | Conflicted
        ),
    }
}

/// What an event does with the lines of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// Nothing.
    Stay,
    /// What they hold is paid.
    Send,
    /// What they hold, or what they sent, is their accounts' again.
    GiveBack,
}

/// Posts what an event does with the lines, and what the chain took (money rules, 8.10). Refused if the sums have no room.
fn settle(row: &mut TxRow, lines: Lines, fee: u128, at: At, rows: &mut dyn Rows) -> Outcome {
    let moving = match lines {
        Lines::Stay => Vec::new(),
        Lines::Send | Lines::GiveBack => lines_of_tx(&*rows, row, batch_of(&*rows, row)?.txs)?,
    };
    let posts = (amounts(&moving) + fee.abs_diff(row.fee)) * SUB_UNITS;
    if totals(&*rows)?.credits.checked_add(posts).is_none() {
        return Err(Refusal::Value.into());
    }
    let mut wallet = wallet(&*rows, row.wallet)?;
    let mut entries = Entries::new(&mut *rows, at, Hash::ZERO);
    for line in &moving {
        post_line(line, lines, row.posted, &mut entries)?;
        match lines {
            Lines::Send => wallet.paid += line.sent(),
            Lines::GiveBack if row.posted => wallet.paid -= line.sent(),
            Lines::GiveBack | Lines::Stay => {}
        }
    }
    let (more, less) = (fee.saturating_sub(row.fee), row.fee.saturating_sub(fee));
    entries.post(&Book::NetworkFees, &Book::Wallet, more * SUB_UNITS, None)?;
    entries.post(&Book::Wallet, &Book::NetworkFees, less * SUB_UNITS, None)?;
    entries.finish()?;
    wallet.fees = wallet.fees + more - less;
    put(rows, &wallet)?;
    row.fee = fee;
    match lines {
        Lines::Stay => {}
        Lines::Send => row.posted = true,
        Lines::GiveBack => row.posted = false,
    }
    Ok(())
}

/// Base units: each amount is at most 2^80, and there are at most 2,000.
fn amounts(lines: &[LineRow]) -> u128 {
    lines.iter().map(|line| line.amount).sum()
}

fn post_line(
    line: &LineRow,
    lines: Lines,
    was_sent: bool,
    entries: &mut Entries<'_>,
) -> Result<(), StoreFault> {
    let (sent, fee) = (line.sent() * SUB_UNITS, line.fee * SUB_UNITS);
    let available = Book::Available(line.account.clone());
    let reserved = Book::Reserved(line.account.clone());
    let paid = Book::Paid(line.account.clone());
    match lines {
        Lines::Stay => Ok(()),
        Lines::Send => {
            entries.post(&reserved, &paid, sent, None)?;
            entries.post(&reserved, &Book::NetworkFees, fee, None)
        }
        Lines::GiveBack if was_sent => {
            entries.post(&paid, &available, sent, None)?;
            entries.post(&Book::NetworkFees, &available, fee, None)
        }
        Lines::GiveBack => entries.post(&reserved, &available, sent + fee, None),
    }
}

/// What an obeyed event says of a transaction.
struct Moved {
    to: TxState,
    what: What,
    txid: Option<Hash>,
    height: u64,
    block: Option<Hash>,
    fee: u128,
}

fn write(
    mut row: TxRow,
    moved: &Moved,
    at: At,
    ledger_time: u64,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let mut wallet = wallet(&*rows, row.wallet)?;
    wallet.open += u32::from(moved.to.is_open());
    wallet.open -= u32::from(row.state.is_open());
    put(rows, &wallet)?;
    row.state = moved.to;
    row.last = at;
    row.txid = moved.txid;
    row.height = moved.height;
    row.block = moved.block;
    put(rows, &row)?;
    if row.state.is_end() {
        let key = LiveRow::key_of(&row.wallet, &row.batch, &row.tx);
        delete::<LiveRow>(rows, &key)?;
    }
    let step = StepRow {
        wallet: row.wallet,
        batch: row.batch,
        at,
        tx: row.tx,
        ledger_time,
        what: moved.what,
        txid: moved.txid,
        height: moved.height,
        fee: moved.fee,
    };
    put(rows, &step)
}
