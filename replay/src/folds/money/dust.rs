//! What moves behind the events of a position: dust of who is not active (money rules, 7.3), and whole base units of `rounding`
//! (7.2). Whether an announcement of dust is obeyed, and where, is admission's to say ([`orebook_ledger::authority`]).
//!
//! Nothing is kept of who was active when: that would be a row for each frame and account. Where dust moves, which is rare, the
//! frames since the cut-off are walked by their summaries, as for a window, and only if somebody named has dust at all.

use std::collections::BTreeSet;

use orebook_ledger::authority::ObeyedDust;
use orebook_schema::dust::{DUST_NOTICE_MS, DustBook};
use orebook_schema::{Account, At, Hash, Kind};

use crate::fold::{Backwards, FinalFrame, FoldStop};
use crate::row;
use crate::rows::{
    KeyField as _, Order, Row as _, Rows, Span, StoreFault, View, collect, get, put,
};

use super::SUB_UNITS;
use super::books::{Balance, Book, Entries, balance_of, totals};
use super::direct::Waits;
use super::payouts::paid_last;
use super::settings::{registered, settings};
use super::tables::WorkerRow;
use super::window::credited;

/// Kinds by whose frames `rounding`, or the policy that says where it goes, may change.
pub(super) const ROUNDS: u64 = Kind::BlockStatus.bit()
    | Kind::Adjustment.bit()
    | Kind::Approval.bit()
    | Kind::Policy.bit()
    | Kind::Void.bit();

/// Index of the place where dust moves: behind the position's events, whose numbers are below 1,000.
pub const DUST_INDEX: u16 = u16::MAX - 1;
/// Index of the place where whole base units of `rounding` go to `fee`: behind that.
pub const ROUNDING_INDEX: u16 = u16::MAX;

row! {
    /// An obeyed announcement of dust.
    pub struct DustRow in table 75 {
        key {
            /// Place of its event: what the next must expect.
            at: At,
        }
        value {
            /// Who was active above this position keeps what he has.
            cutoff: u64,
            /// Where the dust goes.
            to: Book,
            /// Whose, ascending.
            accounts: Vec<Account>,
            /// Why.
            reason: String,
            /// Where it took effect: announced there.
            announced: At,
            /// Ledger time from which on it moves, milliseconds since 1970.
            until_ms: u64,
            /// The position where it moved; none before, and for ever if it was withdrawn.
            moved: Option<u64>,
            /// The announcement that took its place before it moved.
            withdrawn: Option<At>,
            /// Sub-units moved, of all accounts.
            amount: u128,
        }
    }
}

row! {
    /// The announcement that waits for its time.
    pub struct NoticeRow in table 76 {
        key {}
        value {
            /// Its place; none if none waits.
            at: Option<At>,
            /// Ledger time from which on it moves, milliseconds since 1970.
            until_ms: u64,
        }
    }
}

row! {
    /// Dust that moved, by account.
    pub struct DustOfRow in table 77 {
        key {
            /// Whose it was.
            account: Account,
            /// Place of the announcement.
            at: At,
        }
        value {
            /// The place of its posting.
            place: At,
            /// Sub-units.
            amount: u128,
        }
    }
}

/// Whether an announcement that waits is due at a frame. Ledgers without any are not asked.
pub(super) fn is_due(frame: &FinalFrame<'_>, view: &dyn View) -> Result<bool, StoreFault> {
    let authority = frame.authority();
    if authority.is_none_or(|authority| authority.last_dust() == At::default()) {
        return Ok(false);
    }
    let notice = notice(view)?;
    Ok(notice.is_some_and(|(_, until_ms)| until_ms <= frame.ledger_time))
}

/// Writes down the announcements that took effect in a frame: the last one waits, and who waited before is withdrawn.
pub(super) fn taken(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let Some(authority) = frame.authority() else {
        return Ok(());
    };
    for obeyed in authority.dust_taken_at(frame.position) {
        announce(obeyed, frame.ledger_time, rows)?;
    }
    Ok(())
}

fn announce(obeyed: &ObeyedDust, ledger_time: u64, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    if let Some((before, _)) = notice(&*rows)? {
        let mut row = dust(&*rows, before)?;
        row.withdrawn = Some(obeyed.at);
        put(rows, &row)?;
    }
    let said = &obeyed.dust;
    let row = DustRow {
        at: obeyed.at,
        cutoff: said.cutoff,
        to: match said.to {
            DustBook::Reserve => Book::Reserve,
            DustBook::Donation => Book::Donation,
            DustBook::Fee => Book::Fee,
        },
        accounts: said.accounts.clone(),
        reason: said.reason.as_str().to_owned(),
        announced: obeyed.effective,
        until_ms: ledger_time.saturating_add(DUST_NOTICE_MS),
        moved: None,
        withdrawn: None,
        amount: 0,
    };
    let waits = NoticeRow {
        at: (!row.accounts.is_empty()).then_some(row.at),
        until_ms: row.until_ms,
    };
    put(rows, &row)?;
    put(rows, &waits)
}

/// Moves the dust of an announcement that is due.
pub(super) fn move_due(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    let Some((at, until_ms)) = notice(&*rows)? else {
        return Ok(());
    };
    if frame.ledger_time < until_ms {
        return Ok(());
    }
    let mut row = dust(&*rows, at)?;
    let mut named = BTreeSet::new();
    let waits = Waits::read(&*rows)?;
    for account in &row.accounts {
        if has_dust(frame, &*rows, account)?
            && !waits.has(&*rows, account)?
            && is_quiet(&*rows, account, row.cutoff)?
        {
            named.insert(account.clone());
        }
    }
    let active = active(frame, &*rows, ledger, row.cutoff, &named)?;
    let place = At {
        position: frame.position,
        index: DUST_INDEX,
    };
    let mut room = u128::MAX - totals(&*rows)?.credits;
    let mut entries = Entries::new(rows, place, Hash::ZERO);
    for account in named.difference(&active) {
        let available = Book::Available(account.clone());
        let amount = balance_of(&*entries.rows(), &available)?.positive();
        if amount <= room {
            entries.post(&available, &row.to, amount, None)?;
            let account = account.clone();
            let moved = DustOfRow {
                account,
                at,
                place,
                amount,
            };
            put(entries.rows(), &moved)?;
            room -= amount;
        }
    }
    row.amount = entries.finish()?;
    row.moved = Some(frame.position);
    put(rows, &row)?;
    put(rows, &NoticeRow { at: None, until_ms })?;
    Ok(())
}

/// Whether an account has something, below its threshold, and nothing on its way to it or from it.
fn has_dust(
    frame: &FinalFrame<'_>,
    view: &dyn View,
    account: &Account,
) -> Result<bool, StoreFault> {
    let newest = frame.authority().and_then(|all| all.newest_policy().1);
    let threshold = match settings(view, account)?.threshold {
        0 => newest.map_or(0, |newest| newest.policy.threshold),
        said => said,
    };
    let balance = |book| balance_of(view, &book);
    let available = balance(Book::Available(account.clone()))?.positive();
    let is_nothing = |balance: Balance| balance.debits == balance.credits;
    Ok(0 < available
        && available / SUB_UNITS < threshold
        && is_nothing(balance(Book::Reserved(account.clone()))?)
        && is_nothing(balance(Book::Immature(account.clone()))?))
}

/// Whether nothing was set for an account above a position, and no line paid it.
fn is_quiet(view: &dyn View, account: &Account, cutoff: u64) -> Result<bool, StoreFault> {
    let set = settings(view, account)?.last;
    let said = registered(view, account)?.map_or(At::default(), |row| row.last);
    let paid = paid_last(view, account)?.unwrap_or_default();
    Ok([set, said, paid].iter().all(|at| at.position <= cutoff))
}

/// Which of these had a credited share above the cut-off, up to and with the frame.
fn active(
    frame: &FinalFrame<'_>,
    view: &dyn View,
    ledger: &dyn Backwards,
    cutoff: u64,
    named: &BTreeSet<Account>,
) -> Result<BTreeSet<Account>, FoldStop> {
    if named.is_empty() {
        return Ok(BTreeSet::new());
    }
    let header = frame.header();
    let mut active = BTreeSet::new();
    for entry in frame.shares().filter(|entry| 0 < frame.credit(entry)) {
        let key = WorkerRow::key_of(&header.stream, &header.epoch, &entry.worker);
        let worker: Option<WorkerRow> = get(view, &key)?;
        let account = worker.map(|row| row.account);
        active.extend(account.filter(|account| named.contains(account)));
    }
    let positions = cutoff.saturating_add(1)..frame.position;
    credited(view, ledger, positions, named, &mut active)?;
    Ok(active)
}

/// Moves whole base units of `rounding` to `fee`, if the newest policy says so.
pub(super) fn round(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let newest = frame.authority().and_then(|all| all.newest_policy().1);
    if !newest.is_some_and(|newest| newest.policy.rounding_to_fee) {
        return Ok(());
    }
    let balance = balance_of(&*rows, &Book::Rounding)?.positive();
    let whole = balance - balance % SUB_UNITS;
    if totals(&*rows)?.credits.checked_add(whole).is_none() {
        return Ok(());
    }
    let place = At {
        position: frame.position,
        index: ROUNDING_INDEX,
    };
    let mut entries = Entries::new(rows, place, Hash::ZERO);
    entries.post(&Book::Rounding, &Book::Fee, whole, None)?;
    entries.finish()?;
    Ok(())
}

/// The announcement that waits, and until when; none if none does.
///
/// # Errors
/// [`StoreFault`].
pub fn notice(view: &(impl View + ?Sized)) -> Result<Option<(At, u64)>, StoreFault> {
    let row: Option<NoticeRow> = get(view, &NoticeRow::key_of())?;
    Ok(row.and_then(|row| row.at.map(|at| (at, row.until_ms))))
}

/// Announcements of dust that were obeyed, the newest first, below `before` if it is given.
///
/// # Errors
/// [`StoreFault`].
pub fn announcements(
    view: &(impl View + ?Sized),
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<DustRow>, StoreFault> {
    let span = match before {
        Some(at) => Span::prefix_to(&[], DustRow::key_of(&at)),
        None => Span::all(),
    };
    collect(view, &span, Order::Backward, rows_max)
}

/// The announcement of a place, if an obeyed one stands there.
///
/// # Errors
/// [`StoreFault`].
pub fn announcement(view: &(impl View + ?Sized), at: At) -> Result<Option<DustRow>, StoreFault> {
    get(view, &DustRow::key_of(&at))
}

/// What was moved of an account, the newest announcement first.
///
/// # Errors
/// [`StoreFault`].
pub fn dust_of(
    view: &(impl View + ?Sized),
    account: &Account,
    rows_max: usize,
) -> Result<Vec<DustOfRow>, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    collect(view, &Span::prefix(&prefix), Order::Backward, rows_max)
}

fn dust(view: &(impl View + ?Sized), at: At) -> Result<DustRow, StoreFault> {
    let row: Option<DustRow> = get(view, &DustRow::key_of(&at))?;
    row.ok_or(StoreFault::Damaged {
        table: DustRow::TABLE,
        what: "an announcement is missing",
    })
}
