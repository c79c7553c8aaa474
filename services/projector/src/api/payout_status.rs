//! Which precondition of a payout to an account is missing: only what the ledger knows, as one list. Nodes, funds and limits of
//! the paymaster are not in it: the paymaster halts, and says why, where those are the reason.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::money;
use orebook_replay::folds::money::payouts::{self, WalletRow};
use orebook_replay::folds::money::settings::{self, SettingsRow};
use orebook_replay::rows::View;
use orebook_schema::Account;
use serde::Serialize;

use super::accounts::account_of;
use super::amount::base_units;
use super::payouts::{approvals_had, halt, state_of};
use super::query::Query;
use super::{Api, Inner, Refusal};
use crate::books::Point;
use crate::folds::MONEY;
use crate::moment::rfc3339;

/// Sub-units in a base unit.
const SUB_UNITS: u128 = 1_000_000_000;

#[derive(Debug, Serialize)]
struct StatusView {
    account: String,
    /// Whether nothing is missing: the next batch may pay it.
    ready: bool,
    /// Base units, rounded down.
    available: String,
    /// Base units that a batch under way holds for it.
    reserved: String,
    conditions: Vec<Condition>,
}

/// A precondition.
#[derive(Debug, Serialize)]
struct Condition {
    /// `available`, `threshold`, `pay_now`, `address`, `halt`, `batch` or `approvals`.
    name: &'static str,
    met: bool,
    /// In words.
    detail: String,
}

/// `GET /api/v1/accounts/{account}/payout-status`
pub(super) async fn status(
    State(api): State<Api>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Query::parse(query.as_deref(), &[])?;
    let account = account_of(&api, &account)?;
    let read = move |api: &Inner, point: &Point<'_>| {
        let view = point.view(MONEY);
        let balances = money::account(view, &account)?;
        let terms = settings::settings(view, &account)?;
        let available = balances.available.positive() / SUB_UNITS;
        let mut conditions = vec![if balances.available.is_negative() {
            let missing = balances.available.magnitude();
            condition("available", false, below_zero(missing))
        } else {
            let detail = format!("{available} base units are available");
            condition("available", available != 0, detail)
        }];
        conditions.extend(enough(view, point, &terms, available)?);
        conditions.push(address(api, point, &terms));
        let mut wallets = payouts::wallets(view)?;
        if wallets.is_empty() {
            wallets.push(WalletRow::new(0));
        }
        for wallet in &wallets {
            conditions.extend(of_wallet(view, point, wallet)?);
        }
        Ok(StatusView {
            account: account.to_string(),
            ready: conditions.iter().all(|condition| condition.met),
            available: base_units(balances.available),
            reserved: base_units(balances.reserved),
            conditions,
        })
    };
    api.answer(&[MONEY], read).await
}

const fn condition(name: &'static str, met: bool, detail: String) -> Condition {
    Condition { name, met, detail }
}

fn below_zero(sub_units: u128) -> String {
    let missing = sub_units.div_ceil(SUB_UNITS);
    format!(
        "{missing} base units below zero: a block was orphaned after it was paid; the next credits fill it first"
    )
}

/// The threshold, and payment at once, which is asked for instead.
fn enough(
    view: &dyn View,
    point: &Point<'_>,
    terms: &SettingsRow,
    available: u128,
) -> Result<[Condition; 2], Refusal> {
    let policy = point.tip.policy.as_ref();
    let policys = policy.map_or(0, |(_, policy)| policy.threshold);
    let (threshold, whose) = if terms.threshold == 0 {
        (policys, "the pool's threshold")
    } else {
        (terms.threshold, "its own threshold")
    };
    let last = payouts::lines_of(view, &terms.account, None, 1)?;
    let last = last.first().map(|line| line.batch.at);
    let asked = terms
        .pay_now
        .filter(|asked| last.is_none_or(|last| last < *asked));
    let reaches = threshold <= available;
    let met = reaches || asked.is_some();
    let detail = match (reaches, asked) {
        (true, _) => format!("{available} base units reach {threshold}, {whose}"),
        (false, Some(_)) => format!(
            "{available} base units are below {threshold}, {whose}; payment at once was asked for"
        ),
        (false, None) => format!("{available} base units are below {threshold}, {whose}"),
    };
    let pay_now = match (asked, terms.pay_now) {
        (Some(asked), _) => format!("payment at once was asked for at {asked}"),
        (None, Some(before)) => {
            format!("the payment at once that was asked for at {before} was made")
        }
        (None, None) => "payment at once was not asked for".to_owned(),
    };
    Ok([
        condition("threshold", met, detail),
        condition("pay_now", met, pay_now),
    ])
}

fn address(api: &Inner, point: &Point<'_>, terms: &SettingsRow) -> Condition {
    let now_ms = point.tip.ledger_time;
    let shown = |address: &Account| (api.config.accounts.show)(address);
    let in_force = terms.address_at(now_ms);
    let mut detail = in_force.map_or_else(
        || "no address was ever named".to_owned(),
        |address| format!("it is paid at {}", shown(address)),
    );
    if let Some(waits) = terms.waiting_at(now_ms) {
        let until = rfc3339(waits.until_ms);
        detail.push_str(&format!("; {} waits until {until}", shown(&waits.address)));
    }
    condition("address", in_force.is_some(), detail)
}

/// What keeps a wallet from its next batch.
fn of_wallet(
    view: &dyn View,
    point: &Point<'_>,
    wallet: &WalletRow,
) -> Result<Vec<Condition>, Refusal> {
    let number = wallet.wallet;
    let detail = match halt(view, wallet)? {
        Some(halt) => format!(
            "wallet {number} is halted since {}: {}",
            halt.at, halt.reason
        ),
        None => format!("wallet {number} is not halted"),
    };
    let mut conditions = vec![condition("halt", wallet.halted.is_none(), detail)];
    let newest = match wallet.batches.checked_sub(1) {
        Some(newest) if !wallet.is_free() => payouts::batch(view, number, newest)?,
        _ => None,
    };
    let Some(batch) = newest else {
        let detail = format!("no batch of wallet {number} is under way");
        conditions.push(condition("batch", wallet.is_free(), detail));
        return Ok(conditions);
    };
    let state = state_of(&batch, &payouts::txs(view, number, batch.batch)?);
    let detail = format!(
        "batch {} of wallet {number} is under way: {state}",
        batch.batch
    );
    conditions.push(condition("batch", false, detail));
    if batch.approved.is_none() {
        let had = approvals_had(point, &batch);
        let detail = format!(
            "batch {} has {had} of {} approvals",
            batch.batch, batch.needed
        );
        conditions.push(condition("approvals", false, detail));
    }
    Ok(conditions)
}
