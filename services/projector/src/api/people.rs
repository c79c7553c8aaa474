//! What people did by hand: operators' bans, adjustments. Both are the desk's words in the ledger, as final positions have them.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::control::{self, BanInForce};
use orebook_replay::folds::money;
use orebook_schema::bytes::Reader;
use orebook_schema::desk::BanTarget;
use orebook_schema::units::{hex, unhex};
use orebook_schema::{Account, At};
use serde::Serialize;

use super::amount::whole;
use super::pools::{place, reversed};
use super::query::{Query, bad};
use super::{Api, Inner, Refusal};
use crate::folds::{CONTROL, MONEY};
use crate::moment::rfc3339;

#[derive(Debug, Serialize)]
struct Bans {
    bans: Vec<BanView>,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct BanView {
    /// `account` or `network`.
    kind: &'static str,
    /// The account's canonical text, or the network.
    target: String,
    /// The account as its owner knows it; null of a network.
    address: Option<String>,
    /// `banned`, `ended` (its time ran out) or `lifted`.
    state: &'static str,
    /// When it ends; null if it does not by itself.
    until: Option<String>,
    reason: String,
    /// Place of the desk's event, `position.index`.
    at: String,
    /// Position where it took effect: its own, or that of the last approval.
    effective: u64,
}

#[derive(Debug, Serialize)]
struct Adjustments {
    adjustments: Vec<AdjustmentView>,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct AdjustmentView {
    account: String,
    address: String,
    /// The book on the other side: `reserve`, `fee`, `donation` or `rounding`.
    book: String,
    /// Whether it goes from the book to the account, or back.
    to_account: bool,
    /// Base units, rounded down.
    amount: String,
    amount_sub_units: String,
    /// The block that it explains, as explorers show it.
    block: Option<String>,
    reason: String,
    at: String,
    /// Where it took effect; null while approvals are missing, and for ever if it was refused.
    taken: Option<String>,
}

/// `GET /api/v1/bans`
pub(super) async fn bans(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, after) = (query.limit()?, target_of(&query)?);
    let read = move |api: &Inner, point: &crate::books::Point<'_>| {
        let view = point.view(CONTROL);
        let mut rows = control::bans(view, after.as_ref(), limit.saturating_add(1))?;
        // They come behind all accounts, so that no cursor names one either.
        rows.retain(|ban| api.config.show_networks || is_account(ban));
        let more = limit < rows.len();
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|last| hex(&last.target.to_bytes()));
        let now_ms = point.tip.ledger_time;
        let bans = rows.iter().map(|ban| ban_view(api, ban, now_ms)).collect();
        Ok(Bans { bans, next })
    };
    api.answer(&[CONTROL], read).await
}

const fn is_account(ban: &BanInForce) -> bool {
    matches!(ban.target, BanTarget::Account(_))
}

fn ban_view(api: &Inner, ban: &BanInForce, now_ms: u64) -> BanView {
    let (kind, target, address) = match &ban.target {
        BanTarget::Account(account) => {
            let address = (api.config.accounts.show)(account);
            ("account", account.to_string(), Some(address))
        }
        BanTarget::Network(network) => ("network", network.to_string(), None),
    };
    let state = match (ban.is_ban, ban.holds_at(now_ms)) {
        (false, _) => "lifted",
        (true, true) => "banned",
        (true, false) => "ended",
    };
    BanView {
        kind,
        target,
        address,
        state,
        until: (ban.until_ms != 0).then(|| rfc3339(ban.until_ms)),
        reason: ban.reason.clone(),
        at: ban.at.to_string(),
        effective: ban.effective,
    }
}

/// The target that a cursor names: its bytes as hex.
fn target_of(query: &Query) -> Result<Option<BanTarget>, Refusal> {
    let Some(text) = query.text("cursor") else {
        return Ok(None);
    };
    let target = unhex(text).and_then(|bytes| {
        let mut reader = Reader::new(&bytes, "cursor");
        let target = BanTarget::from_reader(&mut reader).ok()?;
        reader.end().ok().map(|()| target)
    });
    target.map(Some).ok_or_else(bad_cursor)
}

/// `GET /api/v1/adjustments`
pub(super) async fn adjustments(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::parse(query.as_deref(), &["account", "limit", "cursor"])?;
    let limit = query.limit()?;
    let of = match query.text("account") {
        Some(text) => Some((api.inner.config.accounts.parse)(text).map_err(Refusal::BadAccount)?),
        None => None,
    };
    let after = query
        .text("cursor")
        .map(|text| cursor_of(text, of.as_ref()));
    let after = after.transpose()?;
    let read = move |api: &Inner, point: &crate::books::Point<'_>| {
        let (view, rows_max) = (point.view(MONEY), limit.saturating_add(1));
        let mut rows = match &of {
            Some(account) => {
                let before = after.as_ref().map(|(_, at)| *at);
                money::adjustments(view, account, before, rows_max)?
            }
            None => {
                let after = after.as_ref().map(|(account, at)| (account, *at));
                money::all_adjustments(view, after, rows_max)?
            }
        };
        let more = limit < rows.len();
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|last| match &of {
            Some(_) => last.at.to_string(),
            None => format!("{}@{}", last.account, last.at),
        });
        let adjustments = rows.iter().map(|row| AdjustmentView {
            account: row.account.to_string(),
            address: (api.config.accounts.show)(&row.account),
            book: row.book.to_string(),
            to_account: row.to_account,
            amount: whole(row.amount),
            amount_sub_units: row.amount.to_string(),
            block: row.block.map(reversed),
            reason: row.reason.clone(),
            at: row.at.to_string(),
            taken: row.taken.map(|at| at.to_string()),
        });
        Ok(Adjustments {
            adjustments: adjustments.collect(),
            next,
        })
    };
    api.answer(&[MONEY], read).await
}

/// `position.index` of an account's list, `account@position.index` of everybody's.
fn cursor_of(text: &str, of: Option<&Account>) -> Result<(Account, At), Refusal> {
    let parsed = match of {
        Some(account) => place(text).map(|at| (account.clone(), at)),
        None => text
            .split_once('@')
            .and_then(|(account, at)| Some((Account::parse(account)?, place(at)?))),
    };
    parsed.ok_or_else(bad_cursor)
}

fn bad_cursor() -> Refusal {
    bad("`cursor` is what `next` of the page before says".to_owned())
}
