//! Accounts: balances, credits by block, workers.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::hashrate::{self, Who};
use orebook_replay::folds::money::{self, Balances, Credit};
use orebook_replay::folds::workers::{self, Worker};
use orebook_replay::rows::{KeyField as _, Order, Span, first};
use orebook_schema::names::Pot;
use orebook_schema::units::shown_difficulty;
use orebook_schema::{Account, WorkerName};
use serde::Serialize;

use super::amount::{Rate, base_units, ratio, sub_units, whole};
use super::dust::{self, DustView};
use super::payment::{PaymentView, payment};
use super::pools::{HASHRATE_WINDOW_MS, genesis, must_exist, parse_at, pot_of, reversed};
use super::query::{Query, bad, plain};
use super::{Api, Inner, Refusal};
use crate::books::Point;
use crate::folds::{CONTROL, HASHRATE, MONEY, WORKERS};
use crate::moment::rfc3339;

/// Longest text of an account.
const ACCOUNT_BYTES_MAX: usize = 140;
/// Accounts that one question looks at: pages of a pot whose accounts are few among many are short, and `top` is of these.
const ACCOUNTS_LOOKED_AT_MAX: usize = 1_000;
/// Machines that are looked at for a worker's difficulty.
const MACHINES_MAX: usize = 32;

#[derive(Debug, Serialize)]
struct AccountView {
    /// Canonical text.
    account: String,
    /// As its owner knows it.
    address: String,
    /// Whether the ledger ever named it.
    known: bool,
    payment: PaymentView,
    /// Base units, rounded down.
    balances: BalancesView,
    /// The same in sub-units (10^-9 base units), exactly.
    sub_units: BalancesView,
    /// Hashes a second over all pots.
    hashrate: Rate,
    workers_online: u32,
    last_share: Option<String>,
    accepted: u64,
    stale: u64,
    /// Whether its dust will be moved, and what was.
    dust: DustView,
    credits: Vec<CreditView>,
    /// Cursor of the next page of credits; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct BalancesView {
    immature: String,
    available: String,
    reserved: String,
    paid: String,
}

impl BalancesView {
    fn new(balances: &Balances, show: impl Fn(money::Balance) -> String) -> Self {
        Self {
            immature: show(balances.immature),
            available: show(balances.available),
            reserved: show(balances.reserved),
            paid: show(balances.paid),
        }
    }
}

#[derive(Debug, Serialize)]
struct CreditView {
    /// The block, as explorers show it.
    hash: String,
    height: u64,
    at: String,
    pool: Option<String>,
    /// State of the block: what the credit stands under.
    state: &'static str,
    /// Base units, rounded down, the finder's bonus included.
    amount: String,
    amount_sub_units: String,
    bonus_sub_units: String,
    /// What of it the account donated.
    donation_sub_units: String,
    /// The rest, base units rounded down: what the account has of it.
    net: String,
    net_sub_units: String,
    /// What the block's own coinbase pays the account: of this credit first, then of its balance.
    coinbase: String,
    /// Work of the account in the block's window, and of all: decimal strings.
    weight: String,
    weights: Option<String>,
    weight_ratio: Option<f64>,
}

pub(super) fn account_of(api: &Api, text: &str) -> Result<Account, Refusal> {
    if ACCOUNT_BYTES_MAX < text.len() {
        let says = format!("an account has at most {ACCOUNT_BYTES_MAX} bytes");
        return Err(Refusal::BadAccount(says));
    }
    (api.inner.config.accounts.parse)(text).map_err(Refusal::BadAccount)
}

/// `GET /api/v1/accounts/{account}?limit=&cursor=`: balances, and credits newest first.
pub(super) async fn account(
    State(api): State<Api>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let account = account_of(&api, &account)?;
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, parse_at(&query)?);
    let read = move |api: &Inner, point: &Point<'_>| {
        let view = point.view(MONEY);
        let balances = money::account(view, &account)?;
        let mut credits = money::credits(view, &account, before, limit.saturating_add(1))?;
        let more = limit < credits.len();
        credits.truncate(limit);
        let last = credits.last().filter(|_| more);
        let mining = workers::account(point.view(WORKERS), &account)?;
        let shares = mining
            .as_ref()
            .map(|mining| mining.shares)
            .unwrap_or_default();
        let payment = payment(api, point, &account)?;
        Ok(AccountView {
            account: account.to_string(),
            address: (api.config.accounts.show)(&account),
            known: payment.registered.is_some() || money::is_known(view, &account)?,
            payment,
            balances: BalancesView::new(&balances, base_units),
            sub_units: BalancesView::new(&balances, sub_units),
            dust: dust::of_account(view, &account)?,
            hashrate: rate(point, &Who::Account(account))?,
            workers_online: mining.map_or(0, |mining| mining.machines_active),
            last_share: (!shares.is_empty()).then(|| rfc3339(shares.last_ms)),
            accepted: shares.accepted,
            stale: shares.stale,
            next: last.map(|credit| credit.credit.block.to_string()),
            credits: credits.iter().map(credit_view).collect(),
        })
    };
    api.answer(&[MONEY, HASHRATE, WORKERS, CONTROL], read).await
}

fn rate(point: &Point<'_>, who: &Who) -> Result<Rate, Refusal> {
    let now_ms = point.tip.ledger_time;
    let rate = hashrate::hashrate(point.view(HASHRATE), who, now_ms, HASHRATE_WINDOW_MS)?;
    Ok(Rate(rate))
}

fn credit_view(credit: &Credit) -> CreditView {
    let (row, block) = (&credit.credit, &credit.block);
    let amount = row.amount.saturating_add(row.bonus);
    let pot = block.finding.as_ref().map(|finding| finding.pot);
    let parts = block.weights.and_then(|all| parts_of(row.weight, all));
    CreditView {
        hash: reversed(block.hash),
        height: block.height,
        at: row.block.to_string(),
        pool: pot.map(|pot| pot.to_string()),
        state: credit.state().map_or("found", |state| state.name()),
        amount: whole(amount),
        amount_sub_units: amount.to_string(),
        bonus_sub_units: row.bonus.to_string(),
        donation_sub_units: row.donation.to_string(),
        net: whole(row.net()),
        net_sub_units: row.net().to_string(),
        coinbase: whole(row.direct),
        weight: row.weight.to_string(),
        weights: block.weights.map(|all| all.to_string()),
        weight_ratio: parts.map(ratio),
    }
}

/// Part of a whole in parts of 10^12. Both are shifted until the product fits: this is for showing only.
fn parts_of(part: u128, whole: u128) -> Option<u128> {
    let scale = orebook_ledger::credit::EFFORT_SCALE;
    let shift = 40u32.saturating_sub(whole.leading_zeros());
    (part >> shift)
        .checked_mul(scale)?
        .checked_div(whole >> shift)
}

#[derive(Debug, Serialize)]
struct Workers {
    workers: Vec<WorkerView>,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct WorkerView {
    pool: String,
    name: String,
    /// Whether one of its rigs is at work: its own difficulty explains its silence.
    online: bool,
    /// Rigs of this name that are at work.
    machines_online: u32,
    hashrate: Rate,
    /// Difficulty of its rigs at work, the largest; null if none is.
    difficulty: Option<String>,
    last_share: Option<String>,
    accepted: u64,
    /// Accepted work as a difficulty.
    accepted_difficulty: String,
    stale: u64,
    stale_difficulty: String,
}

/// `GET /api/v1/accounts/{account}/workers?limit=&cursor=`: by pot and name.
pub(super) async fn workers(
    State(api): State<Api>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let account = account_of(&api, &account)?;
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, after) = (query.limit()?, parse_worker(&query)?);
    let read = move |_: &Inner, point: &Point<'_>| {
        let page = workers::workers(point.view(WORKERS), &account, after.as_ref(), limit)?;
        let views = page.workers.iter().map(|worker| worker_view(point, worker));
        Ok(Workers {
            workers: views.collect::<Result<_, Refusal>>()?,
            next: page
                .next
                .map(|(pot, name)| format!("{pot}.{}", name.as_str())),
        })
    };
    api.answer(&[HASHRATE, WORKERS], read).await
}

fn worker_view(point: &Point<'_>, worker: &Worker) -> Result<WorkerView, Refusal> {
    let unit = genesis(point)?.algorithm.work_unit();
    let machines = workers::machines(point.view(WORKERS), worker, MACHINES_MAX)?;
    let active = machines.iter().filter(|machine| machine.is_active);
    let difficulty = active.map(|machine| machine.difficulty).max();
    let who = Who::Worker(worker.account.clone(), worker.pot, worker.name.clone());
    let shares = &worker.shares;
    Ok(WorkerView {
        pool: worker.pot.to_string(),
        name: worker.name.as_str().to_owned(),
        online: worker.is_active(),
        machines_online: worker.machines_active,
        hashrate: rate(point, &who)?,
        difficulty: difficulty.map(|work| shown_difficulty(u128::from(work), unit)),
        last_share: (!shares.is_empty()).then(|| rfc3339(shares.last_ms)),
        accepted: shares.accepted,
        accepted_difficulty: shown_difficulty(shares.accepted_work, unit),
        stale: shares.stale,
        stale_difficulty: shown_difficulty(shares.stale_work, unit),
    })
}

fn parse_worker(query: &Query) -> Result<Option<(Pot, WorkerName)>, Refusal> {
    let Some(text) = query.text("cursor") else {
        return Ok(None);
    };
    let parsed = text.split_once('.').and_then(|(pot, name)| {
        let pot = u16::try_from(plain(pot)?).ok()?;
        Some((Pot(pot), WorkerName::parse(name)?))
    });
    let refused = || bad("`cursor` is what `next` of the page before says".to_owned());
    parsed.map(Some).ok_or_else(refused)
}

#[derive(Debug, Serialize)]
struct PoolAccounts {
    accounts: Vec<PoolAccount>,
    /// Cursor of the next page; null at the end, and with `order=top`.
    next: Option<String>,
    /// Whether every account was looked at; with `order=top` the first thousand are.
    complete: bool,
}

#[derive(Debug, Serialize)]
struct PoolAccount {
    account: String,
    address: String,
    hashrate: Rate,
    workers_online: u32,
    immature: String,
    available: String,
    paid: String,
}

/// `GET /api/v1/pools/{pool}/accounts?limit=&cursor=&order=`: accounts with a worker in the pot, in the order of their
/// canonical form, or by hashrate with `order=top`.
pub(super) async fn of_pool(
    State(api): State<Api>,
    Path(pool): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let pot = pot_of(&pool)?;
    let query = Query::parse(query.as_deref(), &["limit", "cursor", "order"])?;
    let limit = query.limit()?;
    let top = match (query.text("order"), query.text("cursor")) {
        (None, _) => false,
        (Some("top"), None) => true,
        _ => return Err(bad("`order` is `top`, and has no `cursor`".to_owned())),
    };
    let after = query.text("cursor").map(|text| {
        let refused = || bad("`cursor` is what `next` of the page before says".to_owned());
        Account::parse(text).ok_or_else(refused)
    });
    let after = after.transpose()?;
    let read = move |api: &Inner, point: &Point<'_>| {
        must_exist(point, pot)?;
        let wanted = if top { usize::MAX } else { limit };
        let mut page = accounts_of(api, point, pot, after.as_ref(), wanted)?;
        if top {
            page.accounts
                .sort_by_key(|account| std::cmp::Reverse(account.hashrate));
            page.accounts.truncate(limit);
            page.next = None;
        }
        Ok(page)
    };
    api.answer(&[MONEY, HASHRATE, WORKERS], read).await
}

fn accounts_of(
    api: &Inner,
    point: &Point<'_>,
    pot: Pot,
    after: Option<&Account>,
    wanted: usize,
) -> Result<PoolAccounts, Refusal> {
    let rows = money::accounts(point.view(MONEY), after, ACCOUNTS_LOOKED_AT_MAX + 1)?;
    let mut found = Vec::new();
    let mut last = None;
    let mut looked_at = 0;
    for row in rows.iter().take(ACCOUNTS_LOOKED_AT_MAX) {
        if found.len() == wanted {
            break;
        }
        looked_at += 1;
        last = Some(&row.account);
        if mines_in(point, &row.account, pot)? {
            found.push(pool_account(api, point, &row.account)?);
        }
    }
    let complete = looked_at == rows.len();
    Ok(PoolAccounts {
        accounts: found,
        next: last.filter(|_| !complete).map(ToString::to_string),
        complete: complete && after.is_none(),
    })
}

fn mines_in(point: &Point<'_>, account: &Account, pot: Pot) -> Result<bool, Refusal> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    pot.put_key(&mut prefix);
    let found: Option<Worker> = first(point.view(WORKERS), &Span::prefix(&prefix), Order::Forward)?;
    Ok(found.is_some())
}

fn pool_account(api: &Inner, point: &Point<'_>, account: &Account) -> Result<PoolAccount, Refusal> {
    let balances = money::account(point.view(MONEY), account)?;
    let mining = workers::account(point.view(WORKERS), account)?;
    Ok(PoolAccount {
        account: account.to_string(),
        address: (api.config.accounts.show)(account),
        hashrate: rate(point, &Who::Account(account.clone()))?,
        workers_online: mining.map_or(0, |mining| mining.machines_active),
        immature: base_units(balances.immature),
        available: base_units(balances.available),
        paid: base_units(balances.paid),
    })
}
