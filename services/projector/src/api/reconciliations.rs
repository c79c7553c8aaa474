//! Reconciliations: when a paymaster compared its wallet with the books, and what it found.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::money::payouts::{self, ReconciledRow};
use serde::Serialize;

use super::pools::parse_at;
use super::query::Query;
use super::{Api, Inner, Refusal};
use crate::books::Point;
use crate::folds::MONEY;
use crate::moment::rfc3339;

#[derive(Debug, Serialize)]
struct Reconciliations {
    reconciliations: Vec<ReconciledView>,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ReconciledView {
    wallet: u16,
    at: String,
    time: String,
    /// Every position up to this one was compared.
    compared_position: u64,
    /// The digest of money that was the newest there.
    money: String,
    /// What the wallets hold by the books, base units.
    expected: String,
    /// What the chain says that the wallet holds, base units.
    found: String,
    transactions: u32,
    blocks: u32,
    /// How many there are.
    differences: u32,
    /// The first of them.
    report: Vec<String>,
}

/// `GET /api/v1/reconciliations?limit=&cursor=`: of all wallets, newest first.
pub(super) async fn reconciliations(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, parse_at(&query)?);
    let read = move |_: &Inner, point: &Point<'_>| {
        let view = point.view(MONEY);
        let mut found = Vec::new();
        for wallet in payouts::wallets(view)? {
            let rows = payouts::reconciliations(view, wallet.wallet, before, limit + 1)?;
            found.extend(rows);
        }
        found.sort_by_key(|row| std::cmp::Reverse(row.at));
        let more = limit < found.len();
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        Ok(Reconciliations {
            next: last.map(|row| row.at.to_string()),
            reconciliations: found.iter().map(view_of).collect(),
        })
    };
    api.answer(&[MONEY], read).await
}

pub(super) fn view_of(row: &ReconciledRow) -> ReconciledView {
    ReconciledView {
        wallet: row.wallet,
        at: row.at.to_string(),
        time: rfc3339(row.ledger_time),
        compared_position: row.compared_position,
        money: row.money.to_string(),
        expected: row.expected.to_string(),
        found: row.found.to_string(),
        transactions: row.transactions,
        blocks: row.blocks,
        differences: row.differences,
        report: row.report.lines().map(str::to_owned).collect(),
    }
}
