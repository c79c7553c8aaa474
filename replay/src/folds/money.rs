//! `money`: who is owed what, as `docs/rules.md` says. Accounts, policies as jobs cite them, blocks and their states, settlements, postings, books.
//!
//! No row per share: settling a block walks backwards over frame summaries ([`window`]), once, and keeps what each account
//! gets. Its credits stand in `immature` from the first time that it is immature, in `available` from the first time that it
//! is confirmed, and are opposed posting by posting when it is orphaned; nothing is ever changed or removed.
//!
//! Shares of PPS and FPPS pots are paid where they stand ([`per_share`]), out of the reserve, which has their blocks.
//!
//! Payouts are here, since what is obeyed of them depends on balances ([`payouts`]).

mod adjust;

pub mod arithmetic;

mod blocks;

mod books;

pub mod direct;
mod dust;

mod fee_mean;

pub mod origins;

pub mod payouts;

mod per_share;

mod preview;

mod prop;

mod read;

pub mod settings;

mod split;

mod tables;

mod voids;

mod window;

mod write_off;

use orebook_schema::names::Pot;
use orebook_schema::work::{JobRef, Worker};
use orebook_schema::{At, Event, Kind, StreamId};

use crate::fold::{Backwards, BlockEntry, FinalFrame, Fold, FoldStop};
use crate::rows::{Order, Rows, Span, StoreFault, View, first, get, put};

pub use self::books::{Balance, Book, PostingId};
use self::direct::{DirectJobRow, WaitingRow};
pub use self::dust::{
    DUST_INDEX, DustOfRow, DustRow, NoticeRow, ROUNDING_INDEX, announcement, announcements,
    dust_of, notice,
};
pub use self::fee_mean::{FeeMeanRow, in_force as fee_mean_in_force};
use self::payouts::{
    AskedRow, BatchRow, HaltRow, LineOfRow, LineRow, LiveRow, PartRow, RawRow, ReconciledRow,
    StepRow, TxRow, WalletRow, WholeRow,
};
pub use self::per_share::{EarnedRow, Price, SubsidyRow, earned_of};
pub use self::preview::{NextBlock, NextPart, NextSettlement, preview};
pub use self::prop::AddedRow;
pub use self::read::{
    Balances, Credit, account, accounts, adjustments, all_adjustments, block, blocks, book,
    credits, credits_of_block, debt, is_known, pool_books, postings_of, postings_of_block,
    write_offs,
};
use self::settings::{AddressRow, DonationRow, RegisteredRow, SettingsRow};
pub use self::split::{SUB_UNITS, Split, all_to_reserve, split, window_work};
pub(in crate::folds) use self::window::{Walk, Weights, weights};

pub use self::voids::{VoidOfRow, VoidRow};

use self::write_off::ClockRow;
pub use self::write_off::{DebtRow, WriteOffRow};

pub use self::tables::{
    AccountRow, AdjustmentRow, BlockAtRow, BlockRow, BookRow, CreditOfRow, CreditRow,
    DirectTotalsRow, Finding, HeightRow, Held, JobRunRow, MovedRow, PolicyRow, PostingRow,
    RefusedRow, Status, TotalsRow, WorkerRow,
};

/// Kinds that this fold applies where they stand. A frame of shares alone is looked at when a block is settled.
const KINDS: u64 = Kind::Worker.bit()
    | Kind::JOBS
    | Kind::Moved.bit()
    | Kind::BlockFound.bit()
    | Kind::BlockStatus.bit()
    | Kind::BlockRecovered.bit()
    | Kind::Void.bit()
    // These take effect where they stand, or where their last approval does.
    | Kind::Adjustment.bit()
    | Kind::WriteOff.bit()
    | Kind::Account.bit()
    | Kind::FeeMean.bit()
    | Kind::Setting.bit()
    | Kind::InactiveDust.bit()
    | dust::ROUNDS
    | payouts::KINDS;

/// The fold. It keeps nothing but rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Money;

impl Fold for Money {
    fn name(&self) -> &'static str {
        "money"
    }

    fn version(&self) -> u32 {
        6
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        let pays = per_share::has_shares(frame);
        let is_due = dust::is_due(frame, &*rows)?;
        if frame.header().kinds & KINDS == 0 {
            if pays {
                per_share::pay(frame, rows)?;
            }
            if is_due {
                dust::move_due(frame, rows, ledger)?;
                dust::round(frame, rows)?;
            }
            return Ok(());
        }
        note_moved(frame, rows)?;
        write_off::note_time(frame, rows)?;
        for (at, _, event) in frame.events() {
            match event {
                Event::Worker(worker) => announce_worker(frame, at, worker, rows)?,
                Event::Job(_) | Event::EthashJob(_) => {
                    if let Event::Job(job) = event {
                        direct::note_job(frame, at, job, rows)?;
                    }
                    if let Some(job) = event.job() {
                        announce_job(frame, job, rows)?;
                        per_share::note_subsidy(frame, job, rows)?;
                    }
                }
                Event::BlockStatus(status) => {
                    blocks::status(at, frame.ledger_time, status, rows, ledger)?;
                }
                Event::BlockRecovered(block) => {
                    blocks::recovered(at, frame.ledger_time, block, rows)?;
                }
                Event::Adjustment(said) => adjust::said(at, said, rows)?,
                Event::WriteOff(said) => write_off::said(at, said, rows)?,
                Event::Void(void) => voids::said(at, void, rows, ledger)?,
                Event::FeeMean(mean) => fee_mean::said(at, mean, rows)?,
                Event::Part(_)
                | Event::Approval(_)
                | Event::PayoutProposed(_)
                | Event::PayoutSigned(_)
                | Event::PayoutStep(_)
                | Event::PayoutCancelled(_)
                | Event::PayoutHalt(_)
                | Event::PayoutResume(_)
                | Event::Reconciled(_) => payouts::apply(frame, at, event, rows)?,
                // Shares are found again through summaries when a block is settled, or paid below; so are blocks and moved
                // events.
                Event::Share(_)
                | Event::EthashShare(_)
                | Event::BlockFound(_)
                | Event::Moved(_) => {}
                // Admission's own: keys, policies and finality reach this fold through the terms of jobs.
                Event::Genesis(_)
                | Event::SchemaSet(_)
                | Event::KeyChange(_)
                | Event::Policy(_)
                | Event::Checkpoint(_)
                | Event::Heartbeat
                | Event::RecoveryNote(_)
                | Event::Ban(_)
                | Event::Difficulty(_)
                | Event::Account(_)
                | Event::Setting(_)
                // It is written down where it is obeyed.
                | Event::InactiveDust(_) => {}
            }
        }
        adjust::taken(frame, rows)?;
        settings::taken(frame, rows)?;
        if pays {
            per_share::pay(frame, rows)?;
        }
        if frame.has(Kind::BlockFound) || frame.has(Kind::Moved) {
            for block in frame.blocks() {
                found(frame, &block, rows, ledger)?;
            }
        }
        dust::taken(frame, rows)?;
        if is_due {
            dust::move_due(frame, rows, ledger)?;
        }
        if frame.has_any(dust::ROUNDS) || is_due {
            dust::round(frame, rows)?;
        }
        Ok(())
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        crate::canonical_of!(
            table, key, value;
            AccountRow, WorkerRow, PolicyRow, JobRunRow, MovedRow, BlockRow, BlockAtRow, HeightRow,
            CreditRow, CreditOfRow, PostingRow, BookRow, TotalsRow, RefusedRow, AdjustmentRow,
            RegisteredRow, SettingsRow, DonationRow, AddedRow, SubsidyRow, EarnedRow, FeeMeanRow,
            VoidRow, VoidOfRow, WriteOffRow, DebtRow, ClockRow, WalletRow, BatchRow, LineRow, TxRow, StepRow, RawRow, LineOfRow, WholeRow,
            PartRow, HaltRow, AskedRow, LiveRow, DustRow, NoticeRow, DustOfRow, DirectJobRow, WaitingRow, AddressRow, DirectTotalsRow,
            ReconciledRow,
        )
    }

    fn check(&self, rows: &dyn View) -> Result<(), StoreFault> {
        read::assert_conserved(rows)
    }
}

/// Notes what a window asks for: workers, policies that jobs cite, jobs, which moved events count, and voids.
pub(super) fn announced(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    let asked = Kind::Worker.bit() | Kind::JOBS | Kind::Moved.bit() | Kind::Void.bit();
    if frame.header().kinds & asked == 0 {
        return Ok(());
    }
    note_moved(frame, rows)?;
    for (at, _, event) in frame.events() {
        match event {
            Event::Worker(worker) => put_worker(frame, worker, rows)?,
            // Whether it is refused is for `money` to keep.
            Event::Void(void) => drop(voids::note(at, void, rows, ledger)?),
            _ => {}
        }
        if let Some(job) = event.job() {
            announce_job(frame, job, rows)?;
        }
    }
    Ok(())
}

fn note_moved(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let counted: Vec<u16> = frame
        .moved()
        .filter(|(_, _, counts)| *counts)
        .map(|(at, _, _)| at.index)
        .collect();
    if counted.is_empty() {
        return Ok(());
    }
    let row = MovedRow {
        position: frame.position,
        counted,
    };
    put(rows, &row)
}

fn announce_worker(
    frame: &FinalFrame<'_>,
    at: At,
    worker: &Worker,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    put_worker(frame, worker, rows)?;
    if is_known(&*rows, &worker.account)? {
        return Ok(());
    }
    let account = AccountRow {
        account: worker.account.clone(),
        first: at,
    };
    put(rows, &account)
}

fn put_worker(
    frame: &FinalFrame<'_>,
    worker: &Worker,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let header = frame.header();
    let row = WorkerRow {
        stream: header.stream,
        epoch: header.epoch,
        number: worker.number,
        account: worker.account.clone(),
        pot: worker.pot,
    };
    put(rows, &row)
}

/// Notes a job's policy, where it differs from that of the job before.
fn announce_job(frame: &FinalFrame<'_>, job: JobRef, rows: &mut dyn Rows) -> Result<(), FoldStop> {
    let header = frame.header();
    let obeyed = frame
        .terms(job.number)
        .and_then(|terms| terms.policy.as_ref());
    let cited = obeyed.map(|_| job.policy);
    if let Some(policy) = obeyed {
        let key = PolicyRow::key_of(&job.policy);
        if get::<PolicyRow>(&*rows, &key)?.is_none() {
            let row = PolicyRow {
                at: job.policy,
                policy: policy.as_ref().clone(),
            };
            put(rows, &row)?;
        }
    }
    let last = policy_of_job(&*rows, header.stream, header.epoch, job.number)?;
    if last != Some(cited) {
        let row = JobRunRow {
            stream: header.stream,
            epoch: header.epoch,
            from: job.number,
            policy: cited,
        };
        put(rows, &row)?;
    }
    Ok(())
}

/// What is noted of a job of a (stream, epoch): its policy's place, none if it is void; none at all if no job was announced
/// before it.
fn policy_of_job(
    view: &dyn Rows,
    stream: StreamId,
    epoch: u32,
    number: u32,
) -> Result<Option<Option<At>>, StoreFault> {
    let prefix = [stream.0.as_slice(), &epoch.to_be_bytes()].concat();
    let after = JobRunRow::key_of(&stream, &epoch, &number.saturating_add(1));
    let run: Option<JobRunRow> = first(view, &Span::prefix_to(&prefix, after), Order::Backward)?;
    Ok(run.map(|run| run.policy))
}

fn found(
    frame: &FinalFrame<'_>,
    entry: &BlockEntry<'_>,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    if blocks::known(&*rows, entry.found.hash)?.is_some() {
        return Ok(blocks::found_again(entry.at, entry.found.hash, rows)?);
    }
    let header = frame.header();
    let worker = WorkerRow::key_of(&header.stream, &header.epoch, &entry.share.worker);
    let worker: Option<WorkerRow> = get(&*rows, &worker)?;
    let worker = worker.ok_or(StoreFault::Damaged {
        table: <WorkerRow as crate::rows::Row>::TABLE,
        what: "a finder is missing",
    })?;
    let terms = frame.terms(entry.share.job);
    let finding = Finding {
        share: entry.share.at,
        account: worker.account,
        pot: worker.pot,
        policy: policy_of_job(&*rows, header.stream, header.epoch, entry.share.job)?.flatten(),
        network_work: terms.map_or(1, |terms| terms.network_work),
    };
    let block = BlockRow {
        hash: entry.found.hash,
        at: entry.at,
        ledger_time: frame.ledger_time,
        height: entry.found.height,
        coinbase_txid: entry.found.coinbase_txid,
        finding: Some(finding),
        status: None,
        held: Held::Nowhere,
        standing: Vec::new(),
        standing_posted: 0,
        weights: None,
        found_later: false,
        direct: direct::found(frame, entry.share.job, entry.at, rows, ledger)?,
    };
    Ok(blocks::name(block, rows)?)
}

/// Rules of a pot in a policy that a job cited; none if the policy does not have the pot.
fn rules_of(
    rows: &dyn Rows,
    policy: Option<At>,
    pot: Pot,
) -> Result<Option<orebook_schema::policy::PotRules>, StoreFault> {
    let Some(at) = policy else {
        return Ok(None);
    };
    let policy = window::policy(rows, at)?;
    Ok(policy.and_then(|policy| policy.pot(pot).copied()))
}
