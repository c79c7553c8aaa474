//! Payouts: batches, their lines and transactions, what became of them, and which credits a line pays.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::money::origins::{self, Source};
use orebook_replay::folds::money::payouts::{
    self, BatchRow, LineOf, LineRow, StepRow, TxRow, TxState, WalletRow, What,
};
use orebook_replay::folds::money::{self, Book, SUB_UNITS, direct};
use orebook_replay::rows::View;
use orebook_schema::genesis::Algorithm;
use orebook_schema::{Account, At, Hash};
use serde::Serialize;

use super::accounts::account_of;
use super::amount::base_units;
use super::pools::{genesis, parse_at, reversed};
use super::query::{Query, bad, plain};
use super::{Api, Inner, Refusal};
use crate::books::Point;
use crate::folds::MONEY;
use crate::moment::rfc3339;

/// Transactions that a page of batches looks at: a batch has up to 2,000, so that pages of large ones are short.
const TXS_LOOKED_AT_MAX: usize = 20_000;

#[derive(Debug, Serialize)]
struct Payouts {
    payouts: Vec<BatchView>,
    wallets: Vec<WalletView>,
    books: BooksView,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct WalletView {
    wallet: u16,
    /// Batches proposed so far: the number of the next.
    batches: u64,
    /// Whether another batch may be proposed: every transaction is confirmed or at an end.
    free: bool,
    /// Where it was halted; null if it is not.
    halted: Option<HaltView>,
    /// What its lines sent, base units, without their fees.
    paid: String,
    /// What the chain took of it, base units.
    fees: String,
}

#[derive(Debug, Serialize)]
pub(super) struct HaltView {
    pub(super) at: String,
    time: String,
    pub(super) reason: String,
}

/// The pool's books and the sums of two of the accounts', base units, rounded down.
#[derive(Debug, Serialize)]
struct BooksView {
    fee: String,
    donation: String,
    rounding: String,
    reserve: String,
    network_fees: String,
    wallet: String,
    reward: String,
    /// Of all accounts together, by batches and by coinbases.
    reserved: String,
    /// Likewise.
    paid: String,
    /// Of that, what coinbases of immature blocks pay accounts.
    reserved_by_coinbase: String,
    /// Of that, what coinbases of confirmed blocks paid accounts.
    paid_by_coinbase: String,
}

#[derive(Debug, Serialize)]
struct BatchView {
    wallet: u16,
    batch: u64,
    /// `waits` for approvals, the state of its transaction that is least far, `confirmed`, `final`, or `returned`.
    state: &'static str,
    /// Transactions by state; those that are none are left out.
    states: Vec<StateCount>,
    /// Place of its proposal.
    at: String,
    time: String,
    lines: u16,
    txs: u16,
    /// Sum of the lines, base units.
    total: String,
    /// Network fee that was expected, base units.
    fee: String,
    /// What the chain took, base units.
    cost: String,
    approvals: ApprovalsView,
    /// What approvers sign.
    digest: String,
    /// Confirmed blocks that it says it pays of.
    blocks: usize,
}

#[derive(Debug, Serialize)]
struct StateCount {
    state: &'static str,
    count: u32,
}

#[derive(Debug, Serialize)]
struct ApprovalsView {
    /// Distinct approvers so far; those that were needed, once it is approved.
    had: u64,
    needed: u8,
    /// Event at which it was approved; null before.
    approved: Option<String>,
}

/// A batch with its lines.
#[derive(Debug, Serialize)]
struct BatchDetail {
    payout: BatchView,
    /// The confirmed blocks that it says it pays of, as explorers show them.
    blocks: Vec<String>,
    lines: Vec<LineView>,
    /// Of the lines above, each once.
    transactions: Vec<TxView>,
    /// What happened to the batch as a whole.
    steps: Vec<StepView>,
    /// Cursor of the next page of lines; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct LineView {
    wallet: u16,
    batch: u64,
    /// Its number in the batch.
    line: u16,
    /// Canonical text.
    account: String,
    /// Where it is paid.
    address: String,
    /// What is taken from the account, base units.
    amount: String,
    /// What of it goes to the network, base units.
    fee: String,
    /// The rest: what arrives.
    sent: String,
    tx: u16,
    /// State of its transaction.
    state: &'static str,
    /// Newest name of its transaction, as explorers show it; null before it is signed.
    txid: Option<String>,
    /// Place of the proposal.
    at: String,
    time: String,
}

#[derive(Debug, Serialize)]
struct TxView {
    tx: u16,
    state: &'static str,
    txid: Option<String>,
    /// Names of all its versions, oldest first.
    txids: Vec<String>,
    /// What it cost, base units.
    cost: String,
    /// Height of its block; null for none.
    height: Option<u64>,
    block: Option<String>,
    steps: Vec<StepView>,
}

#[derive(Debug, Serialize)]
struct StepView {
    what: &'static str,
    at: String,
    time: String,
    txid: Option<String>,
    height: Option<u64>,
    /// Base units: expected by a proposal, most by a signed version, else what it cost.
    fee: String,
}

/// A line, and the credits that it pays (docs/rules.md, 8.14).
#[derive(Debug, Serialize)]
struct LineDetail {
    line: LineView,
    transaction: TxView,
    /// Null where an account has too many credits to be looked through.
    pays: Option<Vec<PaysView>>,
    /// Sub-units that no credit covers.
    uncovered_sub_units: Option<String>,
}

#[derive(Debug, Serialize)]
struct PaysView {
    /// `block`, `by_share`, `adjustment` or `write_off`.
    source: &'static str,
    /// The block, as explorers show it.
    hash: Option<String>,
    height: Option<u64>,
    /// Event that named the block, or said the adjustment.
    said: Option<String>,
    /// Event that posted the credit.
    at: Option<String>,
    /// Sub-units that the line takes of it.
    amount_sub_units: String,
    /// Sub-units of the whole credit.
    of_sub_units: String,
}

#[derive(Debug, Serialize)]
struct AccountPayouts {
    payouts: Vec<LineView>,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

/// Transactions and blocks as the coin's explorers show them.
fn chain_hash(algorithm: Algorithm, hash: Hash) -> String {
    match algorithm {
        Algorithm::Ethash | Algorithm::Etchash => format!("0x{hash}"),
        Algorithm::Sha256d | Algorithm::Scrypt | Algorithm::Scrypt2 => reversed(hash),
    }
}

fn height(height: u64) -> Option<u64> {
    (height != 0).then_some(height)
}

/// `GET /api/v1/payouts?limit=&cursor=`: batches of all wallets, newest first.
pub(super) async fn payouts(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, parse_at(&query)?);
    let read = move |_: &Inner, point: &Point<'_>| {
        let view = point.view(MONEY);
        let wallets = payouts::wallets(view)?;
        let mut found = Vec::new();
        for wallet in &wallets {
            let below = first_not_before(view, wallet, before)?;
            found.extend(payouts::batches(
                view,
                wallet.wallet,
                Some(below),
                limit + 1,
            )?);
        }
        found.sort_by_key(|row| std::cmp::Reverse(row.at));
        let more = limit < found.len();
        found.truncate(limit);
        let (mut views, mut looked_at, mut last) = (Vec::new(), 0, None);
        for row in &found {
            if TXS_LOOKED_AT_MAX <= looked_at {
                break;
            }
            let txs = payouts::txs(view, row.wallet, row.batch)?;
            looked_at += txs.len();
            views.push(batch_view(point, row, &txs));
            last = Some(row.at);
        }
        let more = more || views.len() < found.len();
        Ok(Payouts {
            payouts: views,
            books: books(view, &wallets)?,
            wallets: wallets
                .iter()
                .map(|row| wallet_view(view, row))
                .collect::<Result<_, Refusal>>()?,
            next: last.filter(|_| more).map(|at| at.to_string()),
        })
    };
    api.answer(&[MONEY], read).await
}

/// The first batch of a wallet that was not proposed before a place: their places ascend with their numbers.
fn first_not_before(
    view: &dyn View,
    wallet: &WalletRow,
    before: Option<At>,
) -> Result<u64, Refusal> {
    let Some(before) = before else {
        return Ok(wallet.batches);
    };
    let (mut low, mut high) = (0, wallet.batches);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = payouts::batch(view, wallet.wallet, middle)?;
        if row.is_some_and(|row| row.at < before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn wallet_view(view: &dyn View, row: &WalletRow) -> Result<WalletView, Refusal> {
    Ok(WalletView {
        wallet: row.wallet,
        batches: row.batches,
        free: row.is_free(),
        halted: halt(view, row)?,
        paid: row.paid.to_string(),
        fees: row.fees.to_string(),
    })
}

/// Why a wallet is halted; none if it is not.
pub(super) fn halt(view: &dyn View, row: &WalletRow) -> Result<Option<HaltView>, Refusal> {
    let Some(at) = row.halted else {
        return Ok(None);
    };
    let after = At {
        position: at.position,
        index: at.index.saturating_add(1),
    };
    let said = payouts::halts(view, row.wallet, Some(after), 1)?;
    let said = said.first();
    Ok(Some(HaltView {
        at: at.to_string(),
        time: rfc3339(said.map_or(0, |halt| halt.ledger_time)),
        reason: said.map_or_else(String::new, |halt| halt.reason.clone()),
    }))
}

fn books(view: &dyn View, wallets: &[WalletRow]) -> Result<BooksView, Refusal> {
    let book =
        |book: &Book| -> Result<String, Refusal> { Ok(base_units(money::book(view, book)?)) };
    let mut reserved = 0;
    // A wallet with a batch under way proposes no other: what lines hold is in the newest.
    for wallet in wallets.iter().filter(|wallet| !wallet.is_free()) {
        let newest = wallet.batches.saturating_sub(1);
        let txs = payouts::txs(view, wallet.wallet, newest)?;
        let is_held = |line: &LineRow| txs.get(usize::from(line.tx)).is_some_and(TxRow::is_held);
        let lines = payouts::lines(view, wallet.wallet, newest)?;
        reserved += lines
            .iter()
            .filter(|line| is_held(line))
            .map(|line| line.amount)
            .sum::<u128>();
    }
    let paid: u128 = wallets.iter().map(|wallet| wallet.paid).sum();
    let direct = direct::totals(view)?;
    let by_coinbase = [direct.reserved, direct.paid].map(|sub_units| sub_units / SUB_UNITS);
    let [reserved_by_coinbase, paid_by_coinbase] = by_coinbase;
    Ok(BooksView {
        fee: book(&Book::Fee)?,
        donation: book(&Book::Donation)?,
        rounding: book(&Book::Rounding)?,
        reserve: book(&Book::Reserve)?,
        network_fees: book(&Book::NetworkFees)?,
        wallet: book(&Book::Wallet)?,
        reward: book(&Book::Reward)?,
        reserved: (reserved + reserved_by_coinbase).to_string(),
        paid: (paid + paid_by_coinbase).to_string(),
        reserved_by_coinbase: reserved_by_coinbase.to_string(),
        paid_by_coinbase: paid_by_coinbase.to_string(),
    })
}

/// In one word.
pub(super) fn state_of(row: &BatchRow, txs: &[TxRow]) -> &'static str {
    if row.approved.is_none() && txs.iter().any(|tx| tx.state == TxState::Unsigned) {
        return "waits";
    }
    let open = txs
        .iter()
        .map(|tx| tx.state)
        .filter(|state| state.is_open());
    if let Some(least) = open.min() {
        return least.name();
    }
    let all = |state: fn(TxState) -> bool| txs.iter().all(|tx| state(tx.state));
    if all(TxState::is_returned) {
        "returned"
    } else if all(TxState::is_end) {
        "final"
    } else {
        "confirmed"
    }
}

fn batch_view(point: &Point<'_>, row: &BatchRow, txs: &[TxRow]) -> BatchView {
    let states = TxState::ALL.into_iter().map(|state| StateCount {
        state: state.name(),
        count: u32::try_from(txs.iter().filter(|tx| tx.state == state).count()).unwrap_or(0),
    });
    BatchView {
        wallet: row.wallet,
        batch: row.batch,
        state: state_of(row, txs),
        states: states.filter(|state| state.count != 0).collect(),
        at: row.at.to_string(),
        time: rfc3339(row.ledger_time),
        lines: row.lines,
        txs: row.txs,
        total: row.total.to_string(),
        fee: row.fee.to_string(),
        cost: txs.iter().map(|tx| tx.fee).sum::<u128>().to_string(),
        approvals: ApprovalsView {
            had: approvals_had(point, row),
            needed: row.needed,
            approved: row.approved.map(|at| at.to_string()),
        },
        digest: row.digest.to_string(),
        blocks: row.cited.len(),
    }
}

/// Distinct approvals of a batch so far: nobody counts those beyond what was needed.
pub(super) fn approvals_had(point: &Point<'_>, row: &BatchRow) -> u64 {
    if row.approved.is_some() {
        return row.needed.into();
    }
    let asked = point.tip.asked.iter();
    let mut found = asked.filter(|(digest, _)| *digest == row.digest);
    found.next().map_or(0, |(_, had)| *had)
}

/// Wallet and batch of a path; a batch that is not there is 404.
fn batch_of(view: &dyn View, wallet: u16, batch: u64) -> Result<BatchRow, Refusal> {
    payouts::batch(view, wallet, batch)?.ok_or(Refusal::NoPayout)
}

fn number<N: TryFrom<u64>>(text: &str) -> Result<N, Refusal> {
    let number = plain(text).and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| bad("a batch is named by two numbers, wallet and batch".to_owned()))
}

/// `GET /api/v1/payouts/{wallet}/{batch}?limit=&cursor=`: a batch, and its lines in their order.
pub(super) async fn batch(
    State(api): State<Api>,
    Path((wallet, batch)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (wallet, batch): (u16, u64) = (number(&wallet)?, number(&batch)?);
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let limit = query.limit()?;
    let from = query.number("cursor", 0..=u64::from(u16::MAX))?;
    let from = usize::try_from(from.unwrap_or(0)).unwrap_or(usize::MAX);
    let read = move |api: &Inner, point: &Point<'_>| {
        let view = point.view(MONEY);
        let algorithm = genesis(point)?.algorithm;
        let row = batch_of(view, wallet, batch)?;
        let txs = payouts::txs(view, wallet, batch)?;
        let lines = payouts::lines(view, wallet, batch)?;
        let steps = payouts::steps(view, wallet, batch)?;
        let shown: Vec<&LineRow> = lines.iter().skip(from).take(limit).collect();
        let mut numbers: Vec<u16> = shown.iter().map(|line| line.tx).collect();
        numbers.dedup();
        let tx = |number: u16| txs.get(usize::from(number));
        let next = from.saturating_add(limit);
        Ok(BatchDetail {
            payout: batch_view(point, &row, &txs),
            blocks: row.cited.iter().map(|hash| reversed(*hash)).collect(),
            lines: shown
                .iter()
                .filter_map(|line| Some(line_view(api, algorithm, &row, line, tx(line.tx)?)))
                .collect(),
            transactions: numbers
                .into_iter()
                .filter_map(|number| Some(tx_view(algorithm, tx(number)?, &steps)))
                .collect(),
            steps: steps
                .iter()
                .filter(|step| is_of_batch(step.what))
                .map(|step| step_view(algorithm, step))
                .collect(),
            next: (next < lines.len()).then(|| next.to_string()),
        })
    };
    api.answer(&[MONEY], read).await
}

const fn is_of_batch(what: What) -> bool {
    matches!(what, What::Proposed | What::Approved)
}

fn line_view(
    api: &Inner,
    algorithm: Algorithm,
    batch: &BatchRow,
    line: &LineRow,
    tx: &TxRow,
) -> LineView {
    LineView {
        wallet: line.wallet,
        batch: line.batch,
        line: line.number,
        account: line.account.to_string(),
        address: (api.config.accounts.show)(&line.address),
        amount: line.amount.to_string(),
        fee: line.fee.to_string(),
        sent: line.sent().to_string(),
        tx: line.tx,
        state: tx.state.name(),
        txid: txid(algorithm, tx),
        at: batch.at.to_string(),
        time: rfc3339(batch.ledger_time),
    }
}

/// The version that its last event meant, else the newest.
fn txid(algorithm: Algorithm, tx: &TxRow) -> Option<String> {
    let meant = tx.txid.filter(|txid| tx.txids.contains(txid));
    let newest = meant.or(tx.txids.last().copied());
    newest.map(|txid| chain_hash(algorithm, txid))
}

fn tx_view(algorithm: Algorithm, tx: &TxRow, steps: &[StepRow]) -> TxView {
    let shown = |hash: &Hash| chain_hash(algorithm, *hash);
    let own = |step: &&StepRow| step.tx == tx.tx && !is_of_batch(step.what);
    TxView {
        tx: tx.tx,
        state: tx.state.name(),
        txid: txid(algorithm, tx),
        txids: tx.txids.iter().map(shown).collect(),
        cost: tx.fee.to_string(),
        height: height(tx.height),
        block: tx.block.as_ref().map(shown),
        steps: steps
            .iter()
            .filter(own)
            .map(|step| step_view(algorithm, step))
            .collect(),
    }
}

fn step_view(algorithm: Algorithm, step: &StepRow) -> StepView {
    StepView {
        what: step.what.name(),
        at: step.at.to_string(),
        time: rfc3339(step.ledger_time),
        txid: step.txid.map(|txid| chain_hash(algorithm, txid)),
        height: height(step.height),
        fee: step.fee.to_string(),
    }
}

/// `GET /api/v1/payouts/{wallet}/{batch}/{account}`: an account's line, and the credits that it pays.
pub(super) async fn line(
    State(api): State<Api>,
    Path((wallet, batch, account)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Query::parse(query.as_deref(), &[])?;
    let (wallet, batch): (u16, u64) = (number(&wallet)?, number(&batch)?);
    let account = account_of(&api, &account)?;
    let read = move |api: &Inner, point: &Point<'_>| {
        let view = point.view(MONEY);
        let algorithm = genesis(point)?.algorithm;
        let row = batch_of(view, wallet, batch)?;
        let after = At {
            position: row.at.position,
            index: row.at.index.saturating_add(1),
        };
        let found = payouts::lines_of(view, &account, Some(after), 1)?;
        let found = found.into_iter().find(|line| line.batch.at == row.at);
        let LineOf { line, tx, .. } = found.ok_or(Refusal::NoPayout)?;
        let steps = payouts::steps(view, wallet, batch)?;
        let (pays, uncovered) = pays(view, &account, wallet, batch)?;
        Ok(LineDetail {
            line: line_view(api, algorithm, &row, &line, &tx),
            transaction: tx_view(algorithm, &tx, &steps),
            pays,
            uncovered_sub_units: uncovered,
        })
    };
    api.answer(&[MONEY], read).await
}

type Pays = (Option<Vec<PaysView>>, Option<String>);

fn pays(view: &dyn View, account: &Account, wallet: u16, batch: u64) -> Result<Pays, Refusal> {
    let Some(origins) = origins::origins(view, account)? else {
        return Ok((None, None));
    };
    let Some(taken) = origins.line(wallet, batch) else {
        return Ok((Some(Vec::new()), Some("0".to_owned())));
    };
    let views = taken.parts.iter().filter_map(|(number, amount)| {
        let credit = origins.credits.get(*number)?;
        let (source, block, said) = match credit.source {
            Source::Block { hash, at, height } => ("block", Some((hash, height)), Some(at)),
            Source::ByShare => ("by_share", None, None),
            Source::Adjustment(at) => ("adjustment", None, Some(at)),
            Source::WriteOff(at) => ("write_off", None, Some(at)),
        };
        Some(PaysView {
            source,
            hash: block.map(|(hash, _)| reversed(hash)),
            height: block.map(|(_, height)| height),
            said: said.map(|at| at.to_string()),
            at: credit.place.map(|at| at.to_string()),
            amount_sub_units: amount.to_string(),
            of_sub_units: credit.amount.to_string(),
        })
    });
    Ok((Some(views.collect()), Some(taken.uncovered.to_string())))
}

/// `GET /api/v1/accounts/{account}/payouts?limit=&cursor=`: an account's lines, newest first.
pub(super) async fn of_account(
    State(api): State<Api>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let account = account_of(&api, &account)?;
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, parse_at(&query)?);
    let read = move |api: &Inner, point: &Point<'_>| {
        let algorithm = genesis(point)?.algorithm;
        let mut lines = payouts::lines_of(point.view(MONEY), &account, before, limit + 1)?;
        let more = limit < lines.len();
        lines.truncate(limit);
        let last = lines.last().filter(|_| more);
        let view = |of: &LineOf| line_view(api, algorithm, &of.batch, &of.line, &of.tx);
        Ok(AccountPayouts {
            next: last.map(|of| of.batch.at.to_string()),
            payouts: lines.iter().map(view).collect(),
        })
    };
    api.answer(&[MONEY], read).await
}
