//! How a frame changes the rows of `hashrate`, and how old rows are given up.

use std::collections::BTreeMap;

use orebook_schema::names::Pot;
use orebook_schema::units::WorkUnit;
use orebook_schema::{Account, Event, Kind, WorkerName};

use super::{
    DAYS_KEPT, Days, HOUR_MS, HOURS_KEPT, Hours, Ledger, MINUTE_MS, MINUTES_HOURS, Minutes, Who,
    shown_time,
};
use crate::fold::{FinalFrame, FoldStop};
use crate::folds::kept::Kept;
use crate::folds::workers::registry::{self, Rig};
use crate::rows::{self, KeyField, Order, Row, Rows, Span, StoreFault};

/// Most rows of each table given up with one frame; what is left goes with the next. Hours begin together, so this spreads
/// the work of an hour's end over the frames after it.
const GIVEN_UP_MAX: usize = 512;
/// Most minutes of rigs kept until the next commit; at more they are written at once.
const KEPT_MAX: usize = 65_536;
const HOURS_A_DAY: u64 = 24;

/// Minute since 1970 → work.
type Minutely = BTreeMap<u64, u128>;

pub(super) fn apply(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    kept: &mut Sums,
) -> Result<(), FoldStop> {
    kept.rigs.still_whole()?;
    let mut ledger = ledger(frame, rows)?;
    registry::learn(frame, rows)?;
    if frame.has_any(Kind::SHARES | Kind::Moved.bit()) {
        add_shares(frame, rows, kept)?;
    }
    // Minutes that are still kept must not come down into hours that are gone.
    let due = (frame.ledger_time / HOUR_MS).saturating_sub(MINUTES_HOURS);
    if ledger.minutes_from < due || KEPT_MAX <= kept.minutes {
        kept.flush(rows)?;
    }
    give_up(frame, rows, &mut ledger)?;
    Ok(())
}

/// The row of the ledger; made at genesis.
fn ledger(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<Ledger, StoreFault> {
    if let Some(ledger) = rows::get(rows, &Ledger::key_of())? {
        return Ok(ledger);
    }
    let genesis = frame.events().find_map(|(_, _, event)| match event {
        Event::Genesis(genesis) => Some(genesis.algorithm.work_unit()),
        _ => None,
    });
    let ledger = Ledger {
        started_ms: frame.ledger_time,
        unit: genesis.unwrap_or(WorkUnit::Sha256d),
        minutes_from: 0,
        hours_from: 0,
        days_from: 0,
    };
    rows::put(rows, &ledger)?;
    Ok(ledger)
}

/// Adds the frame's shares to what is kept.
fn add_shares(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    kept: &mut Sums,
) -> Result<(), StoreFault> {
    let header = frame.header();
    let mut known = kept.rigs.epoch(header.stream, header.epoch);
    for entry in frame.shares().filter(|entry| !entry.share.stale) {
        let minute = shown_time(entry.time, frame.ledger_time) / MINUTE_MS;
        let work = u128::from(entry.share.work.units());
        if let Some(sum) = known.get_mut(entry.worker) {
            kept.minutes += usize::from(sum.add(minute, work));
        } else if let Some(rig) = registry::rig(frame, rows, entry.worker)? {
            let sum = RigSum {
                minute,
                work,
                before: Vec::new(),
                rig: Box::new(rig),
            };
            known.insert(entry.worker, sum);
            kept.minutes += 1;
        }
    }
    Ok(())
}

/// Shares of a rig that no row has yet.
#[derive(Clone, Debug)]
struct RigSum {
    /// Minute since 1970 of its last share.
    minute: u64,
    /// Work of that minute.
    work: u128,
    /// Other minutes and their work, as they came; one may come again.
    before: Vec<(u64, u128)>,
    rig: Box<Rig>,
}

impl RigSum {
    /// Adds a share; whether that takes more memory.
    fn add(&mut self, minute: u64, work: u128) -> bool {
        if self.minute == minute {
            self.work = self.work.saturating_add(work);
            return false;
        }
        self.before.push((self.minute, self.work));
        (self.minute, self.work) = (minute, work);
        true
    }
}

/// Shares by rig and minute that no row has yet. A sum of rows and these is the same, whenever these are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    rigs: Kept<RigSum>,
    /// Minutes of all rigs together.
    minutes: usize,
}

impl Sums {
    pub(super) const fn new() -> Self {
        Self {
            rigs: Kept::new(),
            minutes: 0,
        }
    }

    pub(super) fn forget(&mut self) {
        self.rigs.forget();
        self.minutes = 0;
    }

    /// Adds what is kept up by worker, account and pot, and writes each row once.
    pub(super) fn flush(&mut self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        self.minutes = 0;
        self.rigs.flush(|rigs| write(rows, rigs))
    }
}

fn write(rows: &mut dyn Rows, rigs: &mut dyn Iterator<Item = RigSum>) -> Result<(), StoreFault> {
    let mut pots: BTreeMap<Pot, Minutely> = BTreeMap::new();
    let mut accounts: BTreeMap<Account, Minutely> = BTreeMap::new();
    let mut workers: BTreeMap<(Account, Pot, WorkerName), Minutely> = BTreeMap::new();
    for sum in rigs {
        let rig = *sum.rig;
        let minutes = [sum.before.as_slice(), &[(sum.minute, sum.work)]].concat();
        merge(pots.entry(rig.pot).or_default(), &minutes);
        match accounts.get_mut(&rig.account) {
            Some(sums) => merge(sums, &minutes),
            None => merge(accounts.entry(rig.account.clone()).or_default(), &minutes),
        }
        let worker = (rig.account, rig.pot, rig.name);
        merge(workers.entry(worker).or_default(), &minutes);
    }
    let pots = pots.into_iter().map(|(pot, sums)| (Who::Pot(pot), sums));
    let accounts = accounts
        .into_iter()
        .map(|(account, sums)| (Who::Account(account), sums));
    let workers = workers
        .into_iter()
        .map(|((account, pot, name), sums)| (Who::Worker(account, pot, name), sums));
    for (who, minutes) in pots.chain(accounts).chain(workers) {
        let mut minutes = minutes.into_iter().peekable();
        while let Some(hour) = minutes.peek().map(|(minute, _)| minute / 60) {
            let of_hour = std::iter::from_fn(|| minutes.next_if(|(minute, _)| minute / 60 == hour));
            let of_hour = of_hour.map(|(minute, work)| (minute_of_hour(minute), work));
            add(rows, hour, &who, of_hour.collect())?;
        }
    }
    Ok(())
}

fn merge(sums: &mut Minutely, more: &[(u64, u128)]) {
    for (minute, work) in more {
        let sum = sums.entry(*minute).or_default();
        *sum = sum.saturating_add(*work);
    }
}

fn minute_of_hour(minute: u64) -> u8 {
    u8::try_from(minute % 60).unwrap_or(0)
}

fn add(
    rows: &mut dyn Rows,
    hour: u64,
    who: &Who,
    mut added: BTreeMap<u8, u128>,
) -> Result<(), StoreFault> {
    if let Some(row) = rows::get::<Minutes>(rows, &Minutes::key_of(&hour, who))? {
        for (minute, work) in row.minutes {
            let sum = added.entry(minute).or_default();
            *sum = sum.saturating_add(work);
        }
    }
    let minutes = added.into_iter().collect();
    let who = who.clone();
    rows::put(rows, &Minutes { hour, who, minutes })
}

/// Gives up what is too old, a bounded piece at a time.
fn give_up(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    ledger: &mut Ledger,
) -> Result<(), StoreFault> {
    let hour = frame.ledger_time / HOUR_MS;
    let before = ledger.clone();
    let due = hour.saturating_sub(MINUTES_HOURS);
    for old in oldest::<Minutes>(rows, &mut ledger.minutes_from, due)? {
        rows::delete::<Minutes>(rows, &old.key())?;
        let works = old.minutes.iter().map(|(_, work)| *work);
        let key = Hours::key_of(&old.hour, &old.who);
        let sum = rows::get::<Hours>(rows, &key)?.map_or(0, |hours| hours.work);
        let hours = Hours {
            hour: old.hour,
            who: old.who,
            work: works.fold(sum, u128::saturating_add),
        };
        rows::put(rows, &hours)?;
    }
    // Minutes that are left above must not come down into hours that are gone.
    let due = hour.saturating_sub(HOURS_KEPT).min(ledger.minutes_from);
    for old in oldest::<Hours>(rows, &mut ledger.hours_from, due)? {
        rows::delete::<Hours>(rows, &old.key())?;
        if matches!(old.who, Who::Worker(..)) {
            continue;
        }
        let day = old.hour / HOURS_A_DAY;
        let sum = rows::get::<Days>(rows, &Days::key_of(&day, &old.who))?;
        let days = Days {
            day,
            work: sum.map_or(0, |days| days.work).saturating_add(old.work),
            who: old.who,
        };
        rows::put(rows, &days)?;
    }
    let due = (hour / HOURS_A_DAY).saturating_sub(DAYS_KEPT);
    let due = due.min(ledger.hours_from / HOURS_A_DAY);
    for old in oldest::<Days>(rows, &mut ledger.days_from, due)? {
        rows::delete::<Days>(rows, &old.key())?;
    }
    if before != *ledger {
        rows::put(rows, ledger)?;
    }
    Ok(())
}

/// Rows from `from` on and below `due`, at most [`GIVEN_UP_MAX`]. `from` goes up to `due` with the last of them.
fn oldest<R: Row>(rows: &dyn Rows, from: &mut u64, due: u64) -> Result<Vec<R>, StoreFault> {
    if due <= *from {
        return Ok(Vec::new());
    }
    let bytes = |bucket: u64| {
        let mut key = Vec::new();
        bucket.put_key(&mut key);
        key
    };
    let span = Span::between(bytes(*from), bytes(due));
    let found: Vec<R> = rows::collect(rows, &span, Order::Forward, GIVEN_UP_MAX)?;
    if found.len() < GIVEN_UP_MAX {
        *from = due;
    }
    Ok(found)
}
