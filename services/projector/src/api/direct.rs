//! What a coinbase made now should pay (docs/rules.md, 11.6 to 11.8): gateways ask before they make a job.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::money::direct::list::{Coinbase, Room, list};
use orebook_schema::units::hex;
use serde::Serialize;

use super::pools::pot_of;
use super::query::{Query, bad};
use super::{Api, Inner, Refusal};
use crate::books::Point;
use crate::folds::MONEY;

/// Questions at once: each walks back over a window. Above it the answer is 503 `busy`.
pub(super) const LISTS_MAX: usize = 2;
/// Most bytes of outputs that a question may offer room for: a coinbase's second part.
const ROOM_BYTES_MAX: u64 = 16_384;
/// Most cost of signature operations that a block may have.
const ROOM_SIGOPS_MAX: u64 = 80_000;

#[derive(Debug, Serialize)]
struct ListView {
    /// What the job's `direct` says: positions that the list stands on.
    direct: u64,
    /// Ledger time of the last of them, milliseconds since 1970.
    ledger_time_ms: u64,
    /// Place of the policy that it follows: jobs of another one must not use it.
    policy: String,
    /// In the coinbase's order, behind the pool's own output.
    outputs: Vec<OutputView>,
    /// What is left for the pool's own output, base units.
    pool: u64,
}

#[derive(Debug, Serialize)]
struct OutputView {
    account: String,
    /// Output script, hex.
    script: String,
    /// Base units.
    amount: u64,
}

const PARAMETERS: [&str; 5] = ["value", "fees", "network_work", "room", "sigops"];

/// `GET /api/v1/pools/{pool}/direct?value=…&fees=…&network_work=…&room=…&sigops=…`
pub(super) async fn of_pool(
    State(api): State<Api>,
    Path(pool): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let pot = pot_of(&pool)?;
    let query = Query::parse(query.as_deref(), &PARAMETERS)?;
    let needed = |name: &'static str, most: u64| {
        let number = query.number(name, 0..=most)?;
        number.ok_or_else(|| bad(format!("`{name}` is missing")))
    };
    let value = needed("value", u64::MAX)?;
    let fees = needed("fees", value)?;
    let room = Room {
        bytes: needed("room", ROOM_BYTES_MAX)?,
        sigops: needed("sigops", ROOM_SIGOPS_MAX)?,
        outputs: usize::MAX,
    };
    let network_work = query.text("network_work").and_then(wide);
    let network_work = network_work
        .ok_or_else(|| bad("`network_work` is a number of at least 1, below 2^128".to_owned()))?;
    let _place = api.inner.lists.try_acquire().map_err(|_| Refusal::Busy)?;
    let read = move |_: &Inner, point: &Point<'_>| {
        let (at, policy) = point.tip.policy.as_ref().ok_or(Refusal::NoPool)?;
        let coinbase = Coinbase {
            size: point.tip.size,
            ledger_time: point.tip.ledger_time,
            pot,
            network_work,
            value,
            fees,
            room,
        };
        let view = point.view(MONEY);
        let made = point.looking_back(|past| list(view, past, policy, &coinbase))?;
        let made = made.ok_or(Refusal::NoDirect)?;
        Ok(ListView {
            direct: point.tip.size,
            ledger_time_ms: point.tip.ledger_time,
            policy: at.to_string(),
            outputs: made
                .outputs
                .into_iter()
                .map(|output| OutputView {
                    account: output.account.to_string(),
                    script: hex(output.script.bytes()),
                    amount: output.amount,
                })
                .collect(),
            pool: made.rest,
        })
    };
    api.answer(&[MONEY], read).await
}

/// A plain number above zero, below 2^128.
fn wide(text: &str) -> Option<u128> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|number| is_plain && 0 < *number)
}
