//! How an account is paid: its address, what waits to take its place, threshold and donation, and what it is registered as.

use orebook_replay::folds::control;
use orebook_replay::folds::money::settings::{self, donation_at};
use orebook_schema::{Account, At};
use serde::Serialize;

use super::{Inner, Refusal};
use crate::books::Point;
use crate::folds::{CONTROL, MONEY};
use crate::moment::rfc3339;

#[derive(Debug, Serialize)]
pub(super) struct PaymentView {
    /// Where it is paid; null of a name that never named an address.
    address: Option<String>,
    pending: Option<PendingView>,
    /// Base units from which on it is paid: its own, or the policy's.
    threshold: String,
    /// Whether that is its own.
    own_threshold: bool,
    /// Parts per million of what it is credited.
    donation_ppm: u32,
    /// Where payment at once was asked for last.
    pay_now: Option<String>,
    pub(super) registered: Option<RegisteredView>,
}

/// An address that holds when its time has come.
#[derive(Debug, Serialize)]
struct PendingView {
    address: String,
    /// Place of the change.
    at: String,
    /// Ledger time from which on it holds.
    holds_from: String,
}

#[derive(Debug, Serialize)]
pub(super) struct RegisteredView {
    /// Where the name was registered.
    since: String,
    /// Whether its owner has a token.
    token: bool,
    only_registered_workers: bool,
    workers: u64,
}

/// As of a position, at its ledger time.
pub(super) fn payment(
    api: &Inner,
    point: &Point<'_>,
    account: &Account,
) -> Result<PaymentView, Refusal> {
    let (view, now_ms) = (point.view(MONEY), point.tip.ledger_time);
    let shown = |address: &Account| (api.config.accounts.show)(address);
    let terms = settings::settings(view, account)?;
    let policy = point.tip.policy.as_ref();
    let policys = policy.map_or(0, |(_, policy)| policy.threshold);
    let own_threshold = terms.threshold != 0;
    // Everything up to here.
    let end = At {
        position: u64::MAX,
        index: u16::MAX,
    };
    let registered = settings::registered(view, account)?;
    let registered = registered
        .map(|row| {
            Ok::<_, Refusal>(RegisteredView {
                since: row.since.to_string(),
                token: row.token.is_some(),
                only_registered_workers: row.registered_only,
                workers: control::registered_workers(point.view(CONTROL), account)?,
            })
        })
        .transpose()?;
    Ok(PaymentView {
        address: terms.address_at(now_ms).map(shown),
        pending: terms.waiting_at(now_ms).map(|waits| PendingView {
            address: shown(&waits.address),
            at: waits.said.to_string(),
            holds_from: rfc3339(waits.until_ms),
        }),
        threshold: if own_threshold {
            terms.threshold
        } else {
            policys
        }
        .to_string(),
        own_threshold,
        donation_ppm: donation_at(view, account, end)?,
        pay_now: terms.pay_now.map(|at| at.to_string()),
        registered,
    })
}
