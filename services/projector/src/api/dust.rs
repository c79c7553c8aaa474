//! Dust of who is not active (docs/rules.md, 7.3): what was announced, when it moves, and what moved.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::money::{self, DustOfRow, DustRow};
use orebook_replay::rows::{StoreFault, View};
use orebook_schema::Account;
use serde::Serialize;

use super::pools::parse_at;
use super::query::Query;
use super::{Api, Inner, Refusal};
use crate::books::Point;
use crate::folds::MONEY;
use crate::moment::rfc3339;

/// Most movements that an account's page has.
const MOVED_MAX: usize = 20;

#[derive(Debug, Serialize)]
struct Announcements {
    announcements: Vec<AnnouncementView>,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct AnnouncementView {
    at: String,
    /// Where it took effect.
    announced_at: String,
    /// From this ledger time on it moves.
    moves_at: String,
    /// `waiting`, `moved` or `withdrawn`.
    state: &'static str,
    /// Who was active above this position keeps what he has.
    cutoff: u64,
    /// The book where it goes.
    to: &'static str,
    accounts: Vec<String>,
    reason: String,
    /// The position where it moved; null if it did not.
    moved_position: Option<u64>,
    /// Sub-units moved, of all accounts.
    amount: String,
}

/// What an account is told of its dust.
#[derive(Debug, Serialize)]
pub(super) struct DustView {
    /// The announcement that names it and waits; null if none does.
    notice: Option<NoticeView>,
    /// What was moved of it, the newest first, at most twenty.
    moved: Vec<MovedView>,
}

#[derive(Debug, Serialize)]
struct NoticeView {
    at: String,
    /// From this ledger time on it moves, unless the account is active before or has reached its threshold.
    moves_at: String,
    to: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct MovedView {
    /// The announcement.
    at: String,
    /// Place of the posting.
    place: String,
    /// Sub-units.
    amount: String,
}

/// `GET /api/v1/dust?limit=&cursor=`: announcements, the newest first.
pub(super) async fn announcements(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, parse_at(&query)?);
    let read = move |_: &Inner, point: &Point<'_>| {
        let mut found = money::announcements(point.view(MONEY), before, limit + 1)?;
        let more = limit < found.len();
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        Ok(Announcements {
            next: last.map(|row| row.at.to_string()),
            announcements: found.iter().map(view_of).collect(),
        })
    };
    api.answer(&[MONEY], read).await
}

fn view_of(row: &DustRow) -> AnnouncementView {
    let state = match (row.moved, row.withdrawn) {
        (Some(_), _) => "moved",
        (None, Some(_)) => "withdrawn",
        (None, None) => "waiting",
    };
    AnnouncementView {
        at: row.at.to_string(),
        announced_at: row.announced.to_string(),
        moves_at: rfc3339(row.until_ms),
        state,
        cutoff: row.cutoff,
        to: row.to.name(),
        accounts: row.accounts.iter().map(Account::to_string).collect(),
        reason: row.reason.clone(),
        moved_position: row.moved,
        amount: row.amount.to_string(),
    }
}

/// What an account is told of its dust.
pub(super) fn of_account(view: &dyn View, account: &Account) -> Result<DustView, StoreFault> {
    let waiting = match money::notice(view)? {
        Some((at, _)) => money::announcement(view, at)?,
        None => None,
    };
    let names_it = waiting.filter(|row| row.accounts.binary_search(account).is_ok());
    let moved = money::dust_of(view, account, MOVED_MAX)?;
    Ok(DustView {
        notice: names_it.map(|row| NoticeView {
            at: row.at.to_string(),
            moves_at: rfc3339(row.until_ms),
            to: row.to.name(),
            reason: row.reason,
        }),
        moved: moved.iter().map(moved_view).collect(),
    })
}

fn moved_view(row: &DustOfRow) -> MovedView {
    MovedView {
        at: row.at.to_string(),
        place: row.place.to_string(),
        amount: row.amount.to_string(),
    }
}
