//! What producer-time order would have given each account (docs/rules.md, 6.4 to 6.7). Positions decide money; after an
//! outage of the log they differ from the order in which shares were made. Per block it is told by how much.
//!
//! The window is `money`'s own walk over frame summaries; here frames come to it in another order. Without a late frame in
//! reach of a block nothing is walked.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use orebook_ledger::reader::is_late;
use orebook_ledger::segment::Summarised;
use orebook_schema::names::Pot;
use orebook_schema::policy::Scheme;
use orebook_schema::units::U256;
use orebook_schema::{Account, At, Kind};

use crate::fold::{Backwards, FinalFrame, FoldStop, FrameSummary};
use crate::folds::hashrate::shown_time;
use crate::folds::money::{Walk, Weights, weights, window_work};
use crate::row;
use crate::rows::{self, KeyField, Order, Rows, Span, StoreFault, View};

use super::tally::Ended;
use super::{running, total};

/// Ledger time from a block to its report, milliseconds: frames that are later than that come too late for it. As far as a
/// gateway's clock may be off before it keeps its frames.
pub const REPORT_AFTER_MS: u64 = 7_200_000;
/// Most accounts of one report that are kept by name, those with the largest differences.
pub const ACCOUNTS_MAX: usize = 100;
/// An account whose difference is below so many millionths of the reward is dust: it is in the sums, not in
/// [`Late::own_ppm`], since a single share more or less is all of a small miner's weight.
pub const DUST_PPM: u64 = 100;
/// Late rows read at once.
const PAGE_ROWS: usize = 256;
/// Parts of one that differences are computed in.
const PARTS: u64 = 1_000_000_000;

row! {
    /// A late frame with shares of a pot.
    pub(super) struct LateFrame in table 9 {
        key {
            /// Which pot.
            pot: Pot,
            /// The frame's position.
            position: u64,
        }
        value {
            /// Its last time, clamped as statistics are, milliseconds since 1970.
            time_ms: u64,
            /// Credited work of the pot up to the frame's end.
            work: u128,
        }
    }
}

row! {
    /// A block that has no report yet.
    pub(super) struct Due in table 10 {
        key {
            /// Ledger time from which on it is made, milliseconds since 1970.
            from_ms: u64,
            /// Place of the `block_found`.
            at: At,
        }
        value {
            /// Which pot.
            pot: Pot,
            /// The finding share.
            share: At,
            /// Last time of its frame, clamped, milliseconds since 1970.
            time_ms: u64,
            /// Whether that frame is late.
            is_late: bool,
            /// N: work that the window takes.
            n: u128,
            /// Credited work of the pot up to the finding share.
            work: u128,
        }
    }
}

row! {
    /// The report of a block.
    pub struct Late in table 11 {
        key {
            /// Which pot.
            pot: Pot,
            /// Place of the `block_found`.
            at: At,
        }
        value {
            /// Late frames with shares of the pot in its window, or made before it and admitted after it.
            frames: u64,
            /// Accounts whose weights differ.
            accounts: u32,
            /// Largest difference of an account in millionths of its weight by time (of no weight: a million); dust left out.
            own_ppm: u64,
            /// Largest difference of an account in millionths of the reward.
            reward_ppm: u64,
            /// What all who gained by position gained, in millionths of the reward.
            moved_ppm: u64,
        }
    }
}

row! {
    /// An account that differs; the largest differences of the reward first.
    pub struct LateAccount in table 12 {
        key {
            /// Which pot.
            pot: Pot,
            /// Place of the `block_found`.
            at: At,
            /// 0 for the largest.
            rank: u32,
        }
        value {
            /// Who.
            account: Account,
            /// Its weight as settled: by position.
            by_position: u128,
            /// Its weight by producer-time order.
            by_time: u128,
        }
    }
}

impl Late {
    /// Whether it is above a threshold, in millionths: an account's own difference, or what moved in all.
    #[must_use]
    pub const fn is_above(&self, ppm: u64) -> bool {
        ppm < self.own_ppm || ppm < self.moved_ppm
    }
}

/// The report of a block; none if it was not made yet, or the block has no window.
///
/// # Errors
/// [`StoreFault`].
pub fn of(view: &(impl View + ?Sized), pot: Pot, at: At) -> Result<Option<Late>, StoreFault> {
    rows::get(view, &Late::key_of(&pot, &at))
}

/// The accounts of a report by name, at most [`ACCOUNTS_MAX`].
///
/// # Errors
/// [`StoreFault`].
pub fn accounts(
    view: &(impl View + ?Sized),
    pot: Pot,
    at: At,
) -> Result<Vec<LateAccount>, StoreFault> {
    let mut prefix = Vec::new();
    pot.put_key(&mut prefix);
    at.put_key(&mut prefix);
    rows::collect(view, &Span::prefix(&prefix), Order::Forward, ACCOUNTS_MAX)
}

/// The newest reports of a pot, at most `rows_max`, newest first.
///
/// # Errors
/// [`StoreFault`].
pub fn newest(
    view: &(impl View + ?Sized),
    pot: Pot,
    rows_max: usize,
) -> Result<Vec<Late>, StoreFault> {
    let mut prefix = Vec::new();
    pot.put_key(&mut prefix);
    rows::collect(view, &Span::prefix(&prefix), Order::Backward, rows_max)
}

/// Notes a block that has a window; `before` is the credited work of the pot before its round.
pub(super) fn expect(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    ended: &Ended<'_>,
    before: u128,
) -> Result<(), StoreFault> {
    let terms = frame.terms(ended.block.share.job);
    let policy = terms.and_then(|terms| terms.policy.as_ref());
    let rules = policy.and_then(|policy| policy.pot(ended.pot));
    let (Some(terms), Some(rules)) = (terms, rules) else {
        return Ok(());
    };
    if rules.scheme != Scheme::Pplns {
        return Ok(());
    }
    let last_time = frame.header().last_time;
    let due = Due {
        from_ms: frame.ledger_time.saturating_add(REPORT_AFTER_MS),
        at: ended.block.at,
        pot: ended.pot,
        share: ended.block.share.at,
        time_ms: shown_time(last_time, frame.ledger_time),
        is_late: is_late(frame.ledger_time, last_time),
        n: window_work(rules.n_ppm, terms.network_work),
        work: before.saturating_add(ended.round.work),
    };
    rows::put(rows, &due)
}

/// Notes a late frame, once for each pot that it has shares of.
pub(super) fn note(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let last_time = frame.header().last_time;
    if !is_late(frame.ledger_time, last_time) {
        return Ok(());
    }
    let mut pots: BTreeSet<Pot> = frame.summary().pots.iter().map(|pot| pot.pot).collect();
    if frame.has(Kind::Moved) {
        pots.extend(frame.shares().filter_map(|share| frame.pot(share.worker)));
    }
    for pot in pots {
        let mut total = total(rows, pot)?;
        total.late = total.late.saturating_add(1);
        let round = running(rows, pot)?.map_or(0, |round| round.work);
        let late = LateFrame {
            pot,
            position: frame.position,
            time_ms: shown_time(last_time, frame.ledger_time),
            work: total.work.saturating_add(round),
        };
        rows::put(rows, &late)?;
        rows::put(rows, &total)?;
    }
    Ok(())
}

/// Makes the reports that are due: at the first frame with a checkpoint of that ledger time, of what stands before it.
pub(super) fn report(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    if !frame.has(Kind::Checkpoint) {
        return Ok(());
    }
    while let Some(due) = rows::first::<Due>(&*rows, &Span::all(), Order::Forward)? {
        if frame.ledger_time < due.from_ms {
            break;
        }
        let frames = in_reach(&*rows, &due, frame.position)?;
        let mut late = Late {
            pot: due.pot,
            at: due.at,
            frames,
            accounts: 0,
            own_ppm: 0,
            reward_ppm: 0,
            moved_ppm: 0,
        };
        if 0 < frames {
            let settled = weights(&*rows, ledger, due.pot, due.share, due.n)?;
            let by_time = by_time(&*rows, ledger, &due, frame.position)?;
            compare(&mut late, rows, &settled, &by_time)?;
        }
        rows::put(rows, &late)?;
        rows::delete::<Due>(rows, &Due::key_of(&due.from_ms, &due.at))?;
    }
    Ok(())
}

/// Late frames that are in the window by position, or would have stood before the block.
fn in_reach(rows: &dyn Rows, due: &Due, end: u64) -> Result<u64, StoreFault> {
    let begin = due.work.saturating_sub(due.n);
    let mut frames = 0;
    let span = before(due.pot, end);
    rows::scan(rows, &span, Order::Backward, |late: LateFrame| {
        if late.position <= due.share.position {
            if late.work <= begin {
                return ControlFlow::Break(());
            }
            frames += 1;
        } else if late.time_ms < due.time_ms {
            frames += 1;
        }
        ControlFlow::Continue(())
    })?;
    Ok(frames)
}

/// Late frames of a pot below a position.
fn before(pot: Pot, position: u64) -> Span {
    let mut prefix = Vec::new();
    pot.put_key(&mut prefix);
    Span::prefix_to(&prefix, LateFrame::key_of(&pot, &position))
}

/// A late frame by the time that it is ordered by, then its position.
type Place = (u64, u64);

/// Late frames of a pot, by position downwards.
struct LateFrames<'r> {
    rows: &'r dyn Rows,
    pot: Pot,
    page: VecDeque<LateFrame>,
    /// Position below which the next page begins.
    below: u64,
}

impl LateFrames<'_> {
    /// Takes the late frame of a position, if it is one. Positions only go down.
    fn take(&mut self, position: u64) -> Result<Option<LateFrame>, StoreFault> {
        while self
            .page
            .front()
            .is_some_and(|late| position < late.position)
        {
            self.page.pop_front();
        }
        if self.page.is_empty() && position < self.below {
            let span = before(self.pot, position.saturating_add(1));
            let page = rows::collect(self.rows, &span, Order::Backward, PAGE_ROWS)?;
            let is_last = page.len() < PAGE_ROWS;
            let lowest = page.last().map_or(0, |late: &LateFrame| late.position);
            self.below = if is_last { 0 } else { lowest };
            self.page = page.into();
        }
        let is_it = self
            .page
            .front()
            .is_some_and(|late| late.position == position);
        Ok(if is_it { self.page.pop_front() } else { None })
    }
}

/// Weights in producer-time order. Frames that are in time keep their order, and are as old as the oldest in-time frame of
/// the pot after them says; late ones are put where their times say.
fn by_time(
    rows: &dyn Rows,
    ledger: &dyn Backwards,
    due: &Due,
    end: u64,
) -> Result<Weights, FoldStop> {
    let block: Place = (due.time_ms, due.share.position);
    let mut waiting = late_after(rows, due, end)?;
    let mut late = LateFrames {
        rows,
        pot: due.pot,
        page: VecDeque::new(),
        below: u64::MAX,
    };
    let mut walk = Walk::new(rows, ledger, due.pot, due.n);
    walk.open(due.share.position, 0..=due.share.index)?;
    // Before a block that is in time all that is in time comes in; before a late one what is not newer.
    let mut time_ms = if due.is_late { u64::MAX } else { due.time_ms };
    let mut frame = FrameSummary::new();
    let mut position = due.share.position;
    while 0 < position && !walk.is_full() {
        position -= 1;
        if let Some(late) = late.take(position)? {
            let place = (late.time_ms, late.position);
            if place < block {
                waiting.insert(place);
            }
            continue;
        }
        ledger.summary(position, &mut frame)?;
        if frame.summary.pots.iter().any(|pot| pot.pot == due.pot) {
            time_ms = time_ms.min(frame.last_time);
        } else if !frame.has(Kind::Moved) && !frame.has(Kind::Void) {
            continue;
        }
        let place = (time_ms.min(frame.last_time), position);
        if block < place {
            continue;
        }
        take_after(&mut walk, ledger, &mut waiting, place)?;
        walk.step(&frame)?;
    }
    take_after(&mut walk, ledger, &mut waiting, (0, 0))?;
    Ok(walk.weights())
}

/// Late frames that were admitted after the block and made before it.
fn late_after(rows: &dyn Rows, due: &Due, end: u64) -> Result<BTreeSet<Place>, StoreFault> {
    let from = LateFrame::key_of(&due.pot, &due.share.position.saturating_add(1));
    let span = Span::between(from, LateFrame::key_of(&due.pot, &end));
    let mut places = BTreeSet::new();
    rows::scan(rows, &span, Order::Forward, |late: LateFrame| {
        if late.time_ms < due.time_ms {
            places.insert((late.time_ms, late.position));
        }
        ControlFlow::Continue(())
    })?;
    Ok(places)
}

/// Takes the late frames that come after a place, the last first.
fn take_after(
    walk: &mut Walk<'_>,
    ledger: &dyn Backwards,
    waiting: &mut BTreeSet<Place>,
    after: Place,
) -> Result<(), FoldStop> {
    let mut frame = FrameSummary::new();
    while !walk.is_full()
        && let Some(place) = waiting.last().copied()
        && after <= place
    {
        waiting.remove(&place);
        // Not by the way of summaries, whose memory of the walk it would disturb.
        let stored = ledger.frame(place.1)?;
        let found = Summarised {
            header: stored.frame.header(),
            summary: stored.frame.summary(),
        };
        frame.read(place.1, found)?;
        walk.step(&frame)?;
    }
    Ok(())
}

/// Writes what differs.
fn compare(
    late: &mut Late,
    rows: &mut dyn Rows,
    settled: &Weights,
    by_time: &Weights,
) -> Result<(), StoreFault> {
    let (sum, sum_by_time) = (settled.values().sum(), by_time.values().sum());
    let accounts: BTreeSet<&Account> = settled.keys().chain(by_time.keys()).collect();
    let mut differing = Vec::new();
    let mut moved = 0;
    for account in accounts {
        let weight = |of: &Weights| of.get(account).copied().unwrap_or(0);
        let (is, would) = (weight(settled), weight(by_time));
        let (part, part_by_time) = (parts(is, sum), parts(would, sum_by_time));
        let reward = part.abs_diff(part_by_time);
        moved += part.saturating_sub(part_by_time);
        if is == would && reward == 0 {
            continue;
        }
        let own = match would {
            0 => 1_000_000,
            would => parts(is.abs_diff(would), would).div_ceil(1_000),
        };
        if DUST_PPM <= reward / 1_000 {
            late.own_ppm = late.own_ppm.max(own);
        }
        late.reward_ppm = late.reward_ppm.max(reward.div_ceil(1_000));
        differing.push((std::cmp::Reverse(reward), account, is, would));
    }
    late.moved_ppm = moved.div_ceil(1_000);
    late.accounts = u32::try_from(differing.len()).unwrap_or(u32::MAX);
    differing.sort_unstable();
    for (rank, (_, account, is, would)) in (0..).zip(differing.into_iter().take(ACCOUNTS_MAX)) {
        let row = LateAccount {
            pot: late.pot,
            at: late.at,
            rank,
            account: account.clone(),
            by_position: is,
            by_time: would,
        };
        rows::put(rows, &row)?;
    }
    Ok(())
}

/// A weight in parts of 10^9 of a sum, rounded down; 0 of nothing.
fn parts(weight: u128, sum: u128) -> u64 {
    if sum == 0 {
        return 0;
    }
    let parts = U256::from(weight) * U256::from(PARTS) / U256::from(sum);
    u64::try_from(parts).unwrap_or(u64::MAX)
}
