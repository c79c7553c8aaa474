//! PPS and FPPS (money rules, 3.6): every share is paid for itself, out of the reserve, where it stands. A frame with such
//! shares is opened, since each is rounded down by itself; an account's sum of a frame is one posting. These postings have no
//! rows of their own, which would be as many as shares for ever: books and [`EarnedRow`] have them, and the ledger has what
//! they are computed from.

use std::collections::BTreeMap;

use orebook_ledger::credit::{JobTerms, credit};
use orebook_schema::names::Pot;
use orebook_schema::policy::{PPM, PotRules, Scheme};
use orebook_schema::units::U256;
use orebook_schema::work::JobRef;
use orebook_schema::{Account, At, Event, Hash, Kind, StreamId};

use crate::fold::{Backwards, FinalFrame, FoldStop, FrameSummary};
use crate::folds::obeyed::{Refusal, VALUE_MAX};
use crate::row;
use crate::rows::{Order, Row as _, Rows, Span, StoreFault, View, first, get, put};

use super::books::{Book, Entries, totals};
use super::settings::{DonationRow, donation_at};
use super::split::donation;
use super::tables::{RefusedRow, WorkerRow};
use super::window::{entry, policy};
use super::{SUB_UNITS, fee_mean, policy_of_job};

row! {
    /// The subsidy of the jobs from a number on, within a stream's epoch, until the next such row. Only jobs whose policy has
    /// a pot that is paid by share are looked at.
    pub struct SubsidyRow in table 55 {
        key {
            /// Stream.
            stream: StreamId,
            /// Its epoch.
            epoch: u32,
            /// First job's number.
            from: u32,
        }
        value {
            /// Reward without fees, base units; 0 if it is above [`VALUE_MAX`].
            subsidy: u128,
        }
    }
}

row! {
    /// What an account was paid by share, ever.
    pub struct EarnedRow in table 57 {
        key {
            /// Who.
            account: Account,
        }
        value {
            /// Sub-units from the reserve, donations not taken off.
            paid: u128,
            /// Sub-units that went back, of voids.
            taken_back: u128,
            /// Sub-units that it donated of what it was paid and kept, those that voids gave back taken off.
            donated: u128,
            /// Position of the last frame that paid it.
            last: u64,
        }
    }
}

/// Index of the place at which a frame's shares are paid: behind its events, whose numbers are below 1,000.
const BEHIND_EVENTS: u16 = u16::MAX;

/// What a share's pay depends on beside its credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Subsidy of the share's job, base units, at most [`VALUE_MAX`].
    pub subsidy: u128,
    /// Mean fees in force, base units, at most [`VALUE_MAX`].
    pub mean: u128,
    /// Network work of the share's job, at least 1.
    pub network_work: u128,
}

impl Price {
    /// What a share of `credit` work is paid under a pot's rules, sub-units, each part rounded down; nothing under schemes
    /// that pay by block. What does not fit saturates, and no sum has room for it.
    #[must_use]
    pub fn of(&self, credit: u128, rules: &PotRules) -> u128 {
        let mean = match rules.scheme {
            Scheme::Pps => 0,
            Scheme::Fpps => self.mean,
            Scheme::Pplns | Scheme::Solo | Scheme::Prop => return 0,
        };
        let work = U256::from(credit) * U256::from(SUB_UNITS);
        let network = U256::from(self.network_work);
        let kept = U256::from(PPM - rules.fee_ppm);
        let subsidy = work * U256::from(self.subsidy) * kept / (network * U256::from(PPM));
        let fees = work * U256::from(mean) / network;
        u128::try_from(subsidy + fees).unwrap_or(u128::MAX)
    }
}

/// Whether a frame may have shares that are paid by share: told by its summary, but for moved ones.
pub(super) fn has_shares(frame: &FinalFrame<'_>) -> bool {
    let Some(authority) = frame.authority() else {
        return false;
    };
    let is_per_share = |pot| authority.scheme(pot).is_some_and(Scheme::is_per_share);
    frame.has(Kind::Moved) || frame.summary().pots.iter().any(|pot| is_per_share(pot.pot))
}

/// Notes a job's subsidy, where it differs from that of the job before.
pub(super) fn note_subsidy(
    frame: &FinalFrame<'_>,
    job: JobRef,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let policy = frame
        .terms(job.number)
        .and_then(|terms| terms.policy.as_ref());
    let pays = policy.is_some_and(|policy| policy.pots.iter().any(|pot| pot.scheme.is_per_share()));
    if !pays {
        return Ok(());
    }
    let header = frame.header();
    let (stream, epoch) = (header.stream, header.epoch);
    let subsidy = subsidy_of(&job);
    if subsidy_at(&*rows, stream, epoch, job.number)? == Some(subsidy) {
        return Ok(());
    }
    let row = SubsidyRow {
        stream,
        epoch,
        from: job.number,
        subsidy,
    };
    put(rows, &row)
}

fn subsidy_of(job: &JobRef) -> u128 {
    let subsidy = job.reward.saturating_sub(job.fees);
    if VALUE_MAX < subsidy { 0 } else { subsidy }
}

fn subsidy_at(
    view: &(impl View + ?Sized),
    stream: StreamId,
    epoch: u32,
    job: u32,
) -> Result<Option<u128>, StoreFault> {
    let prefix = [stream.0.as_slice(), &epoch.to_be_bytes()].concat();
    let after = SubsidyRow::key_of(&stream, &epoch, &job.saturating_add(1));
    let run: Option<SubsidyRow> = first(view, &Span::prefix_to(&prefix, after), Order::Backward)?;
    Ok(run.map(|run| run.subsidy))
}

/// Pays the shares of a frame: one posting for each account, and its donation.
pub(super) fn pay(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let earned = by_account(frame, &*rows)?;
    if earned.is_empty() {
        return Ok(());
    }
    let position = frame.position;
    let at = At {
        position,
        index: BEHIND_EVENTS,
    };
    let mut posted = totals(&*rows)?.credits;
    let mut donations = Vec::new();
    let anybody_donates = first::<DonationRow>(&*rows, &Span::all(), Order::Forward)?.is_some();
    for (account, amount) in &earned {
        let ppm = if anybody_donates {
            donation_at(&*rows, account, At { position, index: 0 })?
        } else {
            0
        };
        let given = donation(*amount, ppm);
        donations.push(given);
        posted = posted.saturating_add(*amount).saturating_add(given);
    }
    if posted == u128::MAX {
        let (hash, why) = (Hash::ZERO, Refusal::Value);
        return put(rows, &RefusedRow { at, hash, why });
    }
    let mut entries = Entries::summed(rows, at);
    for ((account, amount), given) in earned.iter().zip(&donations) {
        let available = Book::Available(account.clone());
        entries.post(&Book::Reserve, &available, *amount, None)?;
        entries.post(&available, &Book::Donation, *given, None)?;
    }
    entries.finish()?;
    for ((account, amount), given) in earned.into_iter().zip(donations) {
        let mut row = earned_of(&*rows, &account)?;
        row.paid += amount;
        row.donated += given;
        row.last = position;
        put(rows, &row)?;
    }
    Ok(())
}

/// What each account's shares in a frame are paid; those that are paid nothing are left out.
fn by_account(
    frame: &FinalFrame<'_>,
    rows: &dyn Rows,
) -> Result<BTreeMap<Account, u128>, StoreFault> {
    let header = frame.header();
    let (stream, epoch) = (header.stream, header.epoch);
    let mut prices = Prices {
        rows,
        stream,
        epoch,
        mean: None,
        position: frame.position,
        subsidies: BTreeMap::new(),
    };
    let mut by_worker: BTreeMap<u32, u128> = BTreeMap::new();
    // Rigs have few difficulties, and divisions of 256 bits are slow.
    let mut amounts: BTreeMap<(u32, Pot, u128), u128> = BTreeMap::new();
    for share in frame.shares() {
        let (Some(pot), Some(terms)) = (frame.pot(share.worker), frame.terms(share.job)) else {
            continue;
        };
        let Some(rules) = rules_of(terms, pot) else {
            continue;
        };
        let work = credit(share.share, pot, terms);
        let key = (share.job, pot, work);
        let amount = match amounts.get(&key) {
            Some(amount) => *amount,
            None => {
                let price = prices.of(share.job, terms.network_work)?;
                let amount = price.of(work, rules);
                amounts.insert(key, amount);
                amount
            }
        };
        let sum = by_worker.entry(share.worker).or_insert(0);
        *sum = sum.saturating_add(amount);
    }
    let mut earned: BTreeMap<Account, u128> = BTreeMap::new();
    for (worker, amount) in by_worker.into_iter().filter(|(_, amount)| 0 < *amount) {
        let (account, _) = worker_of(rows, stream, epoch, worker)?;
        let sum = earned.entry(account).or_insert(0);
        *sum = sum.saturating_add(amount);
    }
    Ok(earned)
}

/// Rules of a pot whose shares are paid one by one; none of any other.
fn rules_of(terms: &JobTerms, pot: Pot) -> Option<&PotRules> {
    let rules = terms.policy.as_ref()?.pot(pot)?;
    Some(rules).filter(|rules| rules.scheme.is_per_share())
}

/// Prices of a frame's jobs.
struct Prices<'r> {
    rows: &'r dyn Rows,
    stream: StreamId,
    epoch: u32,
    position: u64,
    mean: Option<u128>,
    subsidies: BTreeMap<u32, u128>,
}

impl Prices<'_> {
    fn of(&mut self, job: u32, network_work: u128) -> Result<Price, StoreFault> {
        let mean = match self.mean {
            Some(mean) => mean,
            None => *self.mean.insert(mean_before(self.rows, self.position)?),
        };
        let subsidy = match self.subsidies.get(&job) {
            Some(subsidy) => *subsidy,
            None => {
                let found = subsidy_at(self.rows, self.stream, self.epoch, job)?;
                let subsidy = found.ok_or(StoreFault::Damaged {
                    table: SubsidyRow::TABLE,
                    what: "a job's subsidy is missing",
                })?;
                self.subsidies.insert(job, subsidy);
                subsidy
            }
        };
        Ok(Price {
            subsidy,
            mean,
            network_work,
        })
    }
}

/// What an account was paid by share so far; zero if nothing.
///
/// # Errors
/// [`StoreFault`].
pub fn earned_of(view: &(impl View + ?Sized), account: &Account) -> Result<EarnedRow, StoreFault> {
    let row = get(view, &EarnedRow::key_of(account))?;
    Ok(row.unwrap_or(EarnedRow {
        account: account.clone(),
        paid: 0,
        taken_back: 0,
        donated: 0,
        last: 0,
    }))
}

pub(super) fn worker_of(
    view: &dyn Rows,
    stream: StreamId,
    epoch: u32,
    number: u32,
) -> Result<(Account, Pot), StoreFault> {
    let row: Option<WorkerRow> = get(view, &WorkerRow::key_of(&stream, &epoch, &number))?;
    let row = row.ok_or(StoreFault::Damaged {
        table: WorkerRow::TABLE,
        what: "a worker is missing",
    })?;
    Ok((row.account, row.pot))
}

/// Mean fees in force before a position; 0 before the first.
fn mean_before(view: &dyn Rows, position: u64) -> Result<u128, StoreFault> {
    let place = At { position, index: 0 };
    let row = fee_mean::in_force(view, place)?;
    Ok(row.map_or(0, |row| row.mean))
}

/// Takes back what a share was paid, at the place of the void that says so: the opposite posting. Nothing for a share whose
/// pot is paid by block, or that was paid nothing.
pub(super) fn undo(
    share: At,
    at: At,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    let Some((account, amount)) = paid(share, &*rows, ledger)? else {
        return Ok(());
    };
    let frame = At {
        position: share.position,
        index: 0,
    };
    let given = donation(amount, donation_at(&*rows, &account, frame)?);
    let sum = totals(&*rows)?.credits.saturating_add(amount);
    if sum.saturating_add(given) == u128::MAX {
        let (hash, why) = (Hash::ZERO, Refusal::Value);
        return Ok(put(rows, &RefusedRow { at, hash, why })?);
    }
    let mut entries = Entries::new(rows, at, Hash::ZERO);
    let available = Book::Available(account.clone());
    entries.post(&available, &Book::Reserve, amount, None)?;
    entries.post(&Book::Donation, &available, given, None)?;
    entries.finish()?;
    let mut row = earned_of(&*rows, &account)?;
    row.taken_back += amount;
    row.donated -= given;
    Ok(put(rows, &row)?)
}

/// Whom a share was paid, and how much: worked out again, as its frame did.
fn paid(
    share: At,
    rows: &dyn Rows,
    ledger: &dyn Backwards,
) -> Result<Option<(Account, u128)>, FoldStop> {
    let stored = ledger.frame(share.position)?;
    let header = stored.frame.header();
    let (stream, epoch) = (header.stream, header.epoch);
    let unreadable = |error| FoldStop::Unreadable(format!("position {}: {error}", share.position));
    let events = stored.frame.decode().map_err(unreadable)?;
    let place = At {
        position: share.position,
        index: BEHIND_EVENTS,
    };
    if get::<RefusedRow>(rows, &RefusedRow::key_of(&place))?.is_some() {
        return Ok(None);
    }
    let said = events.get(usize::from(share.index));
    let Some((worker, number, share_ref)) = said.and_then(|event| entry(event, true)) else {
        return Ok(None);
    };
    let (account, pot) = worker_of(rows, stream, epoch, worker)?;
    let Some(cited) = policy_of_job(rows, stream, epoch, number)?.flatten() else {
        return Ok(None);
    };
    let mut terms = JobTerms {
        network_work: 1,
        policy: policy(rows, cited)?,
    };
    if rules_of(&terms, pot).is_none() {
        return Ok(None);
    }
    let job = job_of(stream, epoch, number, share.position, ledger)?;
    terms.network_work = job.network_work;
    let price = Price {
        subsidy: subsidy_of(&job),
        mean: mean_before(rows, share.position)?,
        network_work: job.network_work,
    };
    let work = credit(share_ref, pot, &terms);
    let amount = rules_of(&terms, pot).map_or(0, |rules| price.of(work, rules));
    Ok((0 < amount).then_some((account, amount)))
}

/// A job of a (stream, epoch), announced at a position or before it.
fn job_of(
    stream: StreamId,
    epoch: u32,
    number: u32,
    from: u64,
    ledger: &dyn Backwards,
) -> Result<JobRef, FoldStop> {
    let mut frame = FrameSummary::new();
    for position in (0..=from).rev() {
        ledger.summary(position, &mut frame)?;
        let may_have = frame.stream == stream && frame.epoch == epoch;
        if !may_have || frame.kinds & Kind::JOBS == 0 {
            continue;
        }
        let stored = ledger.frame(position)?;
        let events = stored.frame.decode();
        let events = events
            .map_err(|error| FoldStop::Unreadable(format!("position {position}: {error}")))?;
        let mut jobs = events.iter().filter_map(Event::job);
        if let Some(job) = jobs.find(|job| job.number == number) {
            return Ok(job);
        }
    }
    Err(FoldStop::Store(StoreFault::Damaged {
        table: SubsidyRow::TABLE,
        what: "a share's job is missing",
    }))
}
