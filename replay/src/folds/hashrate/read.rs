//! What pages ask of `hashrate`.

use super::{
    DAY_MS, Days, HOUR_MS, Hours, Ledger, MINUTE_MS, Minutes, SHARE_AGE_MS_MAX, Who,
    milli_per_second,
};
use crate::rows::{self, StoreFault, View};

/// Least time that a hashrate is taken over: one share right after the ledger's begin is no hashrate.
pub const SPAN_MS_MIN: u64 = MINUTE_MS;
/// Longest window; a longer one is cut to it. Use [`series`] for more.
pub const WINDOW_MS_MAX: u64 = SHARE_AGE_MS_MAX;
/// Most points of a series; one that asks for more gets the newest.
pub const POINTS_MAX: u64 = 1_500;

/// Length of a point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Of the last day.
    Minute,
    /// Of the last eight days.
    Hour,
    /// Of the last 400 days; of a worker, of the last eight.
    Day,
}

impl Step {
    /// Its length in milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }
}

/// One point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it begins, milliseconds since 1970; a multiple of the step.
    pub start_ms: u64,
    /// Accepted work.
    pub work: u128,
    /// Thousandths of hashes a second over the step, over what has passed of it if it is the running one.
    pub milli_per_second: u128,
}

/// Thousandths of expected hashes a second over the last `window_ms` (one minute to [`WINDOW_MS_MAX`], in whole minutes) before `as_of_ms`,
/// rounded down. `as_of_ms` is the ledger time of the answer, so that the same position gives the same figure.
///
/// The window is so many whole minutes and the running one. It never begins before the ledger did.
///
/// # Errors
/// [`StoreFault`].
pub fn hashrate(
    view: &(impl View + ?Sized),
    who: &Who,
    as_of_ms: u64,
    window_ms: u64,
) -> Result<u128, StoreFault> {
    let Some(ledger) = rows::get::<Ledger>(view, &Ledger::key_of())? else {
        return Ok(0);
    };
    let (from_ms, work) = work_of(view, who, as_of_ms, window_ms)?;
    let from_ms = from_ms.max(ledger.started_ms);
    let span_ms = as_of_ms.saturating_sub(from_ms).max(SPAN_MS_MIN);
    Ok(milli_per_second(work, ledger.unit, span_ms))
}

/// Accepted work of a window as [`hashrate`] takes it, and when the window begins.
///
/// # Errors
/// [`StoreFault`].
pub fn work_of(
    view: &(impl View + ?Sized),
    who: &Who,
    as_of_ms: u64,
    window_ms: u64,
) -> Result<(u64, u128), StoreFault> {
    let window_ms = window_ms.clamp(MINUTE_MS, WINDOW_MS_MAX);
    let last = as_of_ms / MINUTE_MS;
    let first = last.saturating_sub(window_ms / MINUTE_MS);
    let mut work = 0u128;
    for hour in first / 60..=last / 60 {
        work = work.saturating_add(minutes_between(view, who, hour, first, last)?);
    }
    Ok((first * MINUTE_MS, work))
}

/// Work of the minutes of an hour that lie in first..=last (minutes since 1970).
fn minutes_between(
    view: &(impl View + ?Sized),
    who: &Who,
    hour: u64,
    first: u64,
    last: u64,
) -> Result<u128, StoreFault> {
    let row = rows::get::<Minutes>(view, &Minutes::key_of(&hour, who))?;
    let minutes = row.into_iter().flat_map(|row| row.minutes);
    let inside = minutes.filter(|(minute, _)| {
        let minute = hour.saturating_mul(60).saturating_add(u64::from(*minute));
        (first..=last).contains(&minute)
    });
    Ok(inside.fold(0, |sum, (_, work)| sum.saturating_add(work)))
}

/// Work in steps from `from_ms` up to and including the step of `as_of_ms`, oldest first; steps without work have a point
/// of zero. At most [`POINTS_MAX`], the newest.
///
/// # Errors
/// [`StoreFault`].
pub fn series(
    view: &(impl View + ?Sized),
    who: &Who,
    step: Step,
    from_ms: u64,
    as_of_ms: u64,
) -> Result<Vec<Point>, StoreFault> {
    let Some(ledger) = rows::get::<Ledger>(view, &Ledger::key_of())? else {
        return Ok(Vec::new());
    };
    let last = as_of_ms / step.ms();
    let first = (from_ms / step.ms()).max(last.saturating_sub(POINTS_MAX - 1));
    let mut points = Vec::new();
    for at in first..=last {
        let start_ms = at.saturating_mul(step.ms());
        let work = match step {
            Step::Minute => minutes_between(view, who, at / 60, at, at)?,
            Step::Hour => hour_work(view, &ledger, who, at)?,
            Step::Day => day_work(view, &ledger, who, at)?,
        };
        let begin_ms = start_ms.max(ledger.started_ms.min(as_of_ms));
        let end_ms = start_ms.saturating_add(step.ms()).min(as_of_ms);
        let span_ms = end_ms.saturating_sub(begin_ms).max(SPAN_MS_MIN);
        points.push(Point {
            start_ms,
            work,
            milli_per_second: milli_per_second(work, ledger.unit, span_ms),
        });
    }
    Ok(points)
}

/// Work of an hour, whether its minutes are still there or not.
fn hour_work(
    view: &(impl View + ?Sized),
    ledger: &Ledger,
    who: &Who,
    hour: u64,
) -> Result<u128, StoreFault> {
    let row = rows::get::<Hours>(view, &Hours::key_of(&hour, who))?;
    let work = row.map_or(0, |hours| hours.work);
    if hour < ledger.minutes_from {
        return Ok(work);
    }
    let minutes = minutes_between(view, who, hour, 0, u64::MAX)?;
    Ok(minutes.saturating_add(work))
}

/// Work of a day, whether its hours are still there or not.
fn day_work(
    view: &(impl View + ?Sized),
    ledger: &Ledger,
    who: &Who,
    day: u64,
) -> Result<u128, StoreFault> {
    let row = rows::get::<Days>(view, &Days::key_of(&day, who))?;
    let mut work = row.map_or(0, |days| days.work);
    let first = day.saturating_mul(24);
    for hour in first.max(ledger.hours_from)..first.saturating_add(24) {
        work = work.saturating_add(hour_work(view, ledger, who, hour)?);
    }
    Ok(work)
}
