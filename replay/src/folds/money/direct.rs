//! Blocks that pay accounts by their own coinbase (money rules, section 11): which jobs do, what their outputs pay to whom, and
//! who waits for a block to be settled.
//!
//! Of a direct job its place is kept, not its outputs: a job each half minute has them, a block in many thousand jobs asks.

pub mod list;

mod waiting;

use std::collections::BTreeMap;

use orebook_schema::coinbase::{MinerOutput, miner_outputs};
use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::work::Job;
use orebook_schema::{Account, At, Event, StreamId};

use crate::fold::{Backwards, FinalFrame, FoldStop};
use crate::row;
use crate::rows::{Order, Rows, Span, StoreFault, View, collect, delete, get, put};

use super::settings::{address_before, changed_before};
use super::split::SUB_UNITS;
use super::tables::{BlockRow, DirectTotalsRow, Held, struct_field};
use super::window::Weights;

pub use self::waiting::WaitingRow;
pub(in crate::folds::money) use self::waiting::Waits;

/// Rows of former epochs' jobs that one frame with a direct job takes away.
const OLD_JOBS_PER_FRAME: usize = 100;

row! {
    /// A direct job of a stream's newest epochs.
    pub struct DirectJobRow in table 90 {
        key {
            /// Stream.
            stream: StreamId,
            /// Its epoch.
            epoch: u32,
            /// The job's number.
            number: u32,
        }
        value {
            /// Place of its event.
            at: At,
            /// Positions that its list stands on (11.1).
            size: u64,
        }
    }
}

/// What a block's direct job says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direct {
    /// Place of the job's event: its outputs are there.
    pub job: At,
    /// Positions that the list stands on: those below count.
    pub size: u64,
    /// What its outputs pay accounts, sub-units.
    pub pays: u128,
}

struct_field!(Direct { job, size, pays });

impl Direct {
    /// The last place below its positions.
    pub(super) fn end(self) -> At {
        end(self.size)
    }
}

/// The last place below a position.
pub(super) fn end(size: u64) -> At {
    size.checked_sub(1).map_or_else(At::default, |position| At {
        position,
        index: u16::MAX,
    })
}

/// Whether a pot's blocks are divided by the list's positions, if their job is a direct one (11.3).
pub(super) fn pays(rules: PotRules) -> bool {
    rules.scheme == Scheme::Pplns && 0 < rules.direct_min
}

/// A block's credits stand elsewhere now: what its coinbase pays is reserved where they are immature, paid where they are
/// available.
pub(super) fn count(
    direct: Option<Direct>,
    before: Held,
    after: Held,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let Some(direct) = direct.filter(|_| before != after) else {
        return Ok(());
    };
    let mut totals = totals(&*rows)?;
    match before {
        Held::Nowhere => {}
        Held::Immature => totals.reserved -= direct.pays,
        Held::Available => totals.paid -= direct.pays,
    }
    match after {
        Held::Nowhere => {}
        Held::Immature => totals.reserved += direct.pays,
        Held::Available => totals.paid += direct.pays,
    }
    put(rows, &totals)
}

/// What coinbases pay, sub-units: reserved as long as their blocks are immature, then paid.
///
/// # Errors
/// [`StoreFault`].
pub fn totals(view: &(impl View + ?Sized)) -> Result<DirectTotalsRow, StoreFault> {
    let none = DirectTotalsRow {
        reserved: 0,
        paid: 0,
    };
    Ok(get(view, &DirectTotalsRow::key_of())?.unwrap_or(none))
}

/// Notes a direct job.
pub(super) fn note_job(
    frame: &FinalFrame<'_>,
    at: At,
    job: &Job,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    if job.direct == 0 {
        return Ok(());
    }
    let header = frame.header();
    let row = DirectJobRow {
        stream: header.stream,
        epoch: header.epoch,
        number: job.number,
        at,
        size: job.direct.min(at.position),
    };
    put(rows, &row)?;
    // No share refers to a former epoch's jobs any more.
    let span = Span::between(
        DirectJobRow::key_of(&header.stream, &0, &0),
        DirectJobRow::key_of(&header.stream, &header.epoch, &0),
    );
    let old: Vec<DirectJobRow> = collect(&*rows, &span, Order::Forward, OLD_JOBS_PER_FRAME)?;
    old.iter().try_for_each(|job| {
        let key = DirectJobRow::key_of(&job.stream, &job.epoch, &job.number);
        delete::<DirectJobRow>(rows, &key)
    })
}

/// A block of a job was found: if it is a direct one, those wait from here on whom its coinbase pays.
pub(super) fn found(
    frame: &FinalFrame<'_>,
    job: u32,
    block: At,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<Option<Direct>, FoldStop> {
    let header = frame.header();
    let key = DirectJobRow::key_of(&header.stream, &header.epoch, &job);
    let Some(row) = get::<DirectJobRow>(&*rows, &key)? else {
        return Ok(None);
    };
    let outputs = if row.at.position == frame.position {
        let mut events = frame.events();
        let found = events.find(|(at, _, _)| *at == row.at);
        found.map_or_else(Vec::new, |(_, _, event)| outputs_of(event))
    } else {
        outputs(row.at, ledger)?
    };
    let amounts = outputs.iter().map(|output| u128::from(output.amount));
    let pays = amounts.sum::<u128>() * SUB_UNITS;
    let ledger_time = time_before(row.size, ledger)?;
    waiting::begin(block, row.size, ledger_time, outputs, rows)?;
    Ok(Some(Direct {
        job: row.at,
        size: row.size,
        pays,
    }))
}

/// The block is settled, or orphaned: nobody waits for it any more.
pub(super) fn end_waiting(block: &BlockRow, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    match block.direct {
        Some(_) => waiting::end(block.at, rows),
        None => Ok(()),
    }
}

/// What the outputs pay to each account, sub-units (11.4); `weights` are the block's.
pub(super) fn paid(
    direct: Direct,
    weights: &Weights,
    rows: &dyn Rows,
    ledger: &dyn Backwards,
) -> Result<BTreeMap<Account, u128>, FoldStop> {
    let weighed = weights.iter().filter(|(_, weight)| 0 < **weight);
    let accounts = weighed.map(|(account, _)| account);
    let ledger_time = time_before(direct.size, ledger)?;
    let mut owners = owners(accounts, direct.size, ledger_time, rows)?;
    let outputs = outputs(direct.job, ledger)?;
    let is_owned =
        |output: &MinerOutput| owners.contains_key(&Account::Script(output.script.clone()));
    if !outputs.iter().all(is_owned) {
        // Whoever made the list knew them, or it is wrong: all accounts are asked, which a right one never needs.
        for (account, address) in changed_before(rows, direct.size, ledger_time)? {
            owners.entry(address).or_insert(account);
        }
    }
    let mut paid = BTreeMap::new();
    for output in outputs {
        let script = Account::Script(output.script);
        let owner = owners.get(&script).cloned().unwrap_or(script);
        *paid.entry(owner).or_insert(0) += u128::from(output.amount) * SUB_UNITS;
    }
    Ok(paid)
}

/// By script, the first of the accounts whose address it is before position `size`; the accounts ascend.
pub(in crate::folds::money) fn owners<'a>(
    accounts: impl Iterator<Item = &'a Account>,
    size: u64,
    ledger_time: u64,
    view: &(impl View + ?Sized),
) -> Result<BTreeMap<Account, Account>, StoreFault> {
    let mut owners = BTreeMap::new();
    for account in accounts {
        if let Some(address) = address_before(view, account, size, ledger_time)? {
            owners.entry(address).or_insert_with(|| account.clone());
        }
    }
    Ok(owners)
}

/// Ledger time of the last position below `size`.
fn time_before(size: u64, ledger: &dyn Backwards) -> Result<u64, FoldStop> {
    match size.checked_sub(1) {
        Some(last) => Ok(ledger.frame(last)?.ledger_time),
        None => Ok(0),
    }
}

/// Outputs of a job's event in a frame before.
fn outputs(job: At, ledger: &dyn Backwards) -> Result<Vec<MinerOutput>, FoldStop> {
    let stored = ledger.frame(job.position)?;
    let raw = stored.frame.events().nth(usize::from(job.index));
    let event = raw.and_then(Result::ok).map(|raw| raw.decode());
    let event = event
        .transpose()
        .map_err(|error| FoldStop::Unreadable(format!("position {}: {error}", job.position)))?;
    Ok(event.as_ref().map_or_else(Vec::new, outputs_of))
}

fn outputs_of(event: &Event) -> Vec<MinerOutput> {
    match event {
        Event::Job(job) => miner_outputs(&job.coinbase2),
        _ => Vec::new(),
    }
}
