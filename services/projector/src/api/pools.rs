//! Pots: their figures, their blocks, their hashrate over time.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use orebook_replay::folds::blocks::{self, Block, List};
use orebook_replay::folds::hashrate::{self, Step, Who};
use orebook_replay::folds::rounds::late;
use orebook_replay::folds::{money, rounds, workers};
use orebook_replay::rows::StoreFault;
use orebook_schema::names::Pot;
use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::units::hex;
use orebook_schema::{At, Genesis, Hash};
use serde::Serialize;

use super::amount::{Rate, base_units, percent, ratio, rounded};
use super::query::{Query, bad, plain};
use super::{Api, Inner, Refusal};
use crate::books::{Books, Point};
use crate::folds::{BLOCKS, HASHRATE, MONEY, ROUNDS, WORKERS};
use crate::metrics::Metrics;
use crate::moment::rfc3339;

/// Time that a hashrate is the mean of.
pub(super) const HASHRATE_WINDOW_MS: u64 = 600_000;
/// Blocks that `luck` looks back over.
const LUCK_BLOCKS: u32 = 100;
/// Difference from producer-time order, in millionths, above which a block's report is an alarm: one percent.
const LATE_ALARM_PPM: u64 = 10_000;
/// Newest reports that the metric of the largest difference is of.
const LATE_BLOCKS: usize = 100;
/// Most points of a hashrate series.
const POINTS_MAX: u64 = 288;

#[derive(Debug, Serialize)]
struct Pools {
    pools: Vec<Pool>,
}

#[derive(Debug, Serialize)]
struct Pool {
    /// The pot's number, as paths name it.
    id: String,
    name: String,
    coin: String,
    decimals: u8,
    algorithm: &'static str,
    scheme: &'static str,
    /// PPLNS window in parts per million of a block's network work.
    n_ppm: u64,
    fee_ppm: u32,
    fee_percent: String,
    /// Hashes a second, mean of the last `hashrate_window_seconds`.
    hashrate: Rate,
    hashrate_window_seconds: u64,
    /// Rigs whose silence their own difficulty explains.
    workers_online: u32,
    /// The same by name: one name may stand for many rigs.
    worker_names_online: u32,
    /// Work of the running round as a multiple of what a block costs on average.
    round_effort: f64,
    /// When the running round began; null before the first share.
    round_since: Option<String>,
    luck: Option<Luck>,
    blocks_found: u64,
    blocks: BlockCounts,
    last_block: Option<BlockView>,
}

#[derive(Debug, Serialize)]
struct Luck {
    /// Blocks looked at.
    blocks: u32,
    /// Mean effort a block.
    effort: f64,
    /// 1 / effort.
    luck: f64,
    /// Chance of having done worse.
    chance_of_worse: Option<f64>,
}

#[derive(Debug, Serialize)]
struct BlockCounts {
    found: u64,
    seen: u64,
    immature: u64,
    /// Uncles of an ethash-like that are not confirmed yet.
    uncle: u64,
    confirmed: u64,
    orphaned: u64,
}

/// A block as pages show it.
#[derive(Debug, Serialize)]
pub(super) struct BlockView {
    height: u64,
    /// As explorers show it: header bytes reversed.
    hash: String,
    /// `found`, `seen`, `immature`, `uncle`, `confirmed` or `orphaned`.
    state: &'static str,
    found_at: String,
    /// Place in the ledger, `position.index`.
    at: String,
    pool: Option<String>,
    /// Address of the finder; null for a recovered block.
    finder: Option<String>,
    worker: Option<String>,
    /// Work of its round as a multiple of what the block cost on average.
    effort: Option<f64>,
    luck: Option<f64>,
    round_shares: Option<u64>,
    /// What a block cost on average, expected hashes in the unit of work.
    network_work: String,
    /// What the chain pays for it, base units, fees included; null until a node said.
    reward: Option<String>,
    fees: Option<String>,
    coinbase_txid: String,
    recovered: bool,
    /// What late frames changed; null until two hours after the block, and where it has no window.
    late: Option<LateView>,
}

/// How far positions are from the order in which shares were made (docs/rules.md, 6.4).
#[derive(Debug, Serialize)]
struct LateView {
    /// Late frames in reach of the block's window.
    frames: u64,
    /// Accounts whose weights differ.
    accounts: u32,
    /// Largest difference of an account in millionths of its own weight.
    own_ppm: u64,
    /// Largest difference of an account in millionths of the reward.
    reward_ppm: u64,
    /// Millionths of the reward that went to others.
    moved_ppm: u64,
    /// Whether an account's own difference, or what moved, is above one percent.
    alarm: bool,
}

#[derive(Debug, Serialize)]
struct Blocks {
    blocks: Vec<BlockView>,
    /// Cursor of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Series {
    step_seconds: u64,
    points: Vec<SeriesPoint>,
}

#[derive(Debug, Serialize)]
struct SeriesPoint {
    /// When it begins.
    time: String,
    hashrate: Rate,
    /// Accepted work, as a decimal string.
    work: String,
}

/// Hash or txid as explorers show it.
pub(super) fn reversed(hash: Hash) -> String {
    let mut bytes = hash.0;
    bytes.reverse();
    hex(&bytes)
}

/// What the ledger is.
pub(super) fn genesis<'p>(point: &'p Point<'_>) -> Result<&'p Genesis, Refusal> {
    let missing = || Refusal::NotReady("nothing is final yet".to_owned());
    point.tip.genesis.as_deref().ok_or_else(missing)
}

/// A pot of the newest policy, by its path.
pub(super) fn pot_of(path: &str) -> Result<Pot, Refusal> {
    let number = plain(path).and_then(|number| u16::try_from(number).ok());
    number.map(Pot).ok_or(Refusal::BadPool)
}

/// The rules of a pot that the newest policy has.
fn rules<'p>(point: &'p Point<'_>, pot: Pot) -> Result<&'p PotRules, Refusal> {
    let policy = point.tip.policy.as_ref().ok_or(Refusal::NoPool)?;
    policy.1.pot(pot).ok_or(Refusal::NoPool)
}

pub(super) fn must_exist(point: &Point<'_>, pot: Pot) -> Result<(), Refusal> {
    rules(point, pot).map(|_| ())
}

/// A place in the ledger, `position.index`.
pub(super) fn place(text: &str) -> Option<At> {
    let (position, index) = text.split_once('.')?;
    Some(At {
        position: plain(position)?,
        index: u16::try_from(plain(index)?).ok()?,
    })
}

/// A place in a list as a cursor, `position.index`.
pub(super) fn parse_at(query: &Query) -> Result<Option<At>, Refusal> {
    let Some(text) = query.text("cursor") else {
        return Ok(None);
    };
    let parsed = place(text);
    let refused = || bad("`cursor` is what `next` of the page before says".to_owned());
    parsed.map(Some).ok_or_else(refused)
}

const POOL_FOLDS: &[&str] = &[BLOCKS, ROUNDS, HASHRATE, WORKERS];

/// `GET /api/v1/pools`
pub(super) async fn pools(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Query::parse(query.as_deref(), &[])?;
    let read = |api: &Inner, point: &Point<'_>| {
        let genesis = genesis(point)?;
        let policy = point.tip.policy.as_ref();
        let pots = policy.map_or(&[][..], |(_, policy)| policy.pots.as_slice());
        let pools = pots.iter().map(|rules| pool(api, point, genesis, rules));
        Ok(Pools {
            pools: pools.collect::<Result<_, Refusal>>()?,
        })
    };
    api.answer(POOL_FOLDS, read).await
}

fn pool(
    api: &Inner,
    point: &Point<'_>,
    genesis: &Genesis,
    rules: &PotRules,
) -> Result<Pool, Refusal> {
    let (pot, now_ms) = (rules.pot, point.tip.ledger_time);
    let rounds_view = point.view(ROUNDS);
    let running = rounds::running(rounds_view, pot)?;
    let window = rounds::window(rounds_view, pot, LUCK_BLOCKS)?;
    let count = blocks::count(point.view(BLOCKS), List::Of(pot))?;
    let newest = blocks::newest(point.view(BLOCKS), List::Of(pot))?;
    let at_work = workers::pot(point.view(WORKERS), pot)?;
    let who = Who::Pot(pot);
    let rate = hashrate::hashrate(point.view(HASHRATE), &who, now_ms, HASHRATE_WINDOW_MS)?;
    let coin = genesis.coin_name.as_str();
    let named = api
        .config
        .pot_names
        .iter()
        .find(|(number, _)| *number == pot.0);
    Ok(Pool {
        id: pot.to_string(),
        name: named.map_or_else(
            || default_name(coin, rules.scheme),
            |(_, name)| name.clone(),
        ),
        coin: coin.to_owned(),
        decimals: genesis.decimals,
        algorithm: genesis.algorithm.name(),
        scheme: rules.scheme.name(),
        n_ppm: rules.n_ppm,
        fee_ppm: rules.fee_ppm,
        fee_percent: percent(rules.fee_ppm),
        hashrate: Rate(rate),
        hashrate_window_seconds: HASHRATE_WINDOW_MS / 1_000,
        workers_online: at_work.machines_active,
        worker_names_online: at_work.workers_active,
        round_effort: ratio(running.as_ref().map_or(0, |round| round.effort)),
        round_since: running.map(|round| rfc3339(round.since_ms)),
        luck: luck(&window),
        blocks_found: count.blocks,
        blocks: BlockCounts {
            found: count.fresh,
            seen: count.seen,
            immature: count.immature,
            uncle: count.uncle,
            confirmed: count.confirmed,
            orphaned: count.orphaned,
        },
        last_block: newest
            .map(|block| block_view(api, point, &block))
            .transpose()?,
    })
}

fn default_name(coin: &str, scheme: Scheme) -> String {
    format!("{coin} {}", scheme.name())
}

fn luck(window: &rounds::Window) -> Option<Luck> {
    Some(Luck {
        blocks: window.blocks,
        effort: ratio(window.mean_effort()?),
        luck: ratio(window.luck()?),
        chance_of_worse: window
            .chance_of_worse()
            .map(|chance| ratio(u128::from(chance))),
    })
}

fn late_view(point: &Point<'_>, block: &Block) -> Result<Option<LateView>, Refusal> {
    let (Some(pot), Some(at)) = (block.pot, block.found_at) else {
        return Ok(None);
    };
    Ok(late::of(point.view(ROUNDS), pot, at)?.map(LateView::of))
}

impl LateView {
    #[allow(
        clippy::needless_pass_by_value,
        reason = "it is what an option is mapped with"
    )]
    const fn of(made: late::Late) -> Self {
        Self {
            frames: made.frames,
            accounts: made.accounts,
            own_ppm: made.own_ppm,
            reward_ppm: made.reward_ppm,
            moved_ppm: made.moved_ppm,
            alarm: made.is_above(LATE_ALARM_PPM),
        }
    }
}

#[derive(Debug, Serialize)]
struct LateReport {
    /// Null until the block's report is made, and where there is no such block with a window.
    late: Option<LateView>,
    /// Those that differ, the largest differences of the reward first; at most 100.
    accounts: Vec<LateAccountView>,
}

#[derive(Debug, Serialize)]
struct LateAccountView {
    account: String,
    address: String,
    /// Its weight as settled: by position.
    by_position: String,
    /// Its weight by the order in which shares were made.
    by_time: String,
}

/// `GET /api/v1/pools/{pool}/blocks/{at}/late`: whom late frames gave more or less of a block, `at` as the block's own.
pub(super) async fn late(
    State(api): State<Api>,
    Path((pool, at)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Query::parse(query.as_deref(), &[])?;
    let pot = pot_of(&pool)?;
    let wrong = || bad("a block is named by `at`, as lists of blocks show it".to_owned());
    let at = place(&at).ok_or_else(wrong)?;
    let read = move |api: &Inner, point: &Point<'_>| {
        must_exist(point, pot)?;
        let view = point.view(ROUNDS);
        let accounts = late::accounts(view, pot, at)?;
        let show = &api.config.accounts.show;
        Ok(LateReport {
            late: late::of(view, pot, at)?.map(LateView::of),
            accounts: accounts
                .into_iter()
                .map(|row| LateAccountView {
                    address: show(&row.account),
                    account: row.account.to_string(),
                    by_position: row.by_position.to_string(),
                    by_time: row.by_time.to_string(),
                })
                .collect(),
        })
    };
    api.answer(&[ROUNDS], read).await
}

/// A block with its round's report: of a point with `blocks` and `rounds`.
pub(super) fn block_view(
    api: &Inner,
    point: &Point<'_>,
    block: &Block,
) -> Result<BlockView, Refusal> {
    let show = &api.config.accounts.show;
    Ok(BlockView {
        height: block.height,
        hash: reversed(block.hash),
        state: block.state.map_or("found", |state| state.name()),
        found_at: rfc3339(block.time_ms),
        at: block.at.to_string(),
        pool: block.pot.map(|pot| pot.to_string()),
        finder: block.finder.as_ref().map(|(account, _)| show(account)),
        worker: block
            .finder
            .as_ref()
            .map(|(_, name)| name.as_str().to_owned()),
        effort: block.effort.map(ratio),
        luck: block.effort.and_then(rounds::luck).map(ratio),
        round_shares: block.round_shares,
        network_work: block.network_work.to_string(),
        reward: block.value.map(|value| value.to_string()),
        fees: block.fees.map(|fees| fees.to_string()),
        coinbase_txid: reversed(block.coinbase_txid),
        recovered: block.is_recovered,
        late: late_view(point, block)?,
    })
}

/// `GET /api/v1/pools/{pool}/blocks?limit=&cursor=`: newest first.
pub(super) async fn blocks(
    State(api): State<Api>,
    Path(pool): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let pot = pot_of(&pool)?;
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, parse_at(&query)?);
    let read = move |api: &Inner, point: &Point<'_>| {
        must_exist(point, pot)?;
        let page = blocks::page(point.view(BLOCKS), List::Of(pot), before, limit)?;
        Ok(Blocks {
            blocks: page
                .blocks
                .iter()
                .map(|block| block_view(api, point, block))
                .collect::<Result<_, _>>()?,
            next: page.next.map(|at| at.to_string()),
        })
    };
    api.answer(&[BLOCKS, ROUNDS], read).await
}

/// `GET /api/v1/pools/{pool}/hashrate?window_seconds=`: oldest first, in steps of a minute, an hour or a day.
pub(super) async fn hashrate(
    State(api): State<Api>,
    Path(pool): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let pot = pot_of(&pool)?;
    let query = Query::parse(query.as_deref(), &["window_seconds"])?;
    let longest = POINTS_MAX * Step::Day.ms() / 1_000;
    let window_seconds = query
        .number("window_seconds", 60..=longest)?
        .unwrap_or(3_600);
    let window_ms = window_seconds.saturating_mul(1_000);
    let steps = [Step::Minute, Step::Hour, Step::Day];
    let fits = |step: &Step| window_ms / step.ms() <= POINTS_MAX;
    let step = steps.into_iter().find(fits).unwrap_or(Step::Day);
    let read = move |_: &Inner, point: &Point<'_>| {
        must_exist(point, pot)?;
        let now_ms = point.tip.ledger_time;
        let from_ms = now_ms.saturating_sub(window_ms);
        let view = point.view(HASHRATE);
        let series = hashrate::series(view, &Who::Pot(pot), step, from_ms, now_ms)?;
        let shown = |point: &hashrate::Point| SeriesPoint {
            time: rfc3339(point.start_ms),
            hashrate: Rate(point.milli_per_second),
            work: point.work.to_string(),
        };
        Ok(Series {
            step_seconds: step.ms() / 1_000,
            points: series.iter().map(shown).collect(),
        })
    };
    api.answer(&[HASHRATE], read).await
}

/// Figures of each pot for `/metrics`. Pots are at most sixteen a policy, so that the label's set is closed.
pub(super) fn add_figures(metrics: &Metrics, books: &Books) {
    let books = books.clone();
    metrics.add_source(Box::new(move |out| {
        // Before the folds are level there are no figures, and no lines say so best.
        let read = books.read(POOL_FOLDS, |point| figures(point, out));
        if let Ok(Err(refusal)) = read {
            tracing::warn!(%refusal, "a scrape got no figures of the pots");
        }
        if let Ok(Err(fault)) = books.read(&[MONEY], |point| book_figures(point, out)) {
            tracing::warn!(%fault, "a scrape got no figures of the books");
        }
    }));
}

/// What the pool's own books have. The reserve below zero is an alarm (docs/rules.md, 5.4).
fn book_figures(point: &Point<'_>, out: &mut String) -> Result<(), StoreFault> {
    let all = money::pool_books(point.view(MONEY))?;
    let help = "Balance of a book of the pool, base units rounded down; the reserve's below zero: \
                docs/runbooks/reserve-below-zero.md";
    out.push_str(&format!(
        "# HELP orebook_book_balance {help}.\n# TYPE orebook_book_balance gauge\n"
    ));
    for (book, balance) in all {
        let (name, balance) = (book.name(), base_units(balance));
        out.push_str(&format!(
            "orebook_book_balance{{book=\"{name}\"}} {balance}\n"
        ));
    }
    Ok(())
}

fn figures(point: &Point<'_>, out: &mut String) -> Result<(), Refusal> {
    let Some((_, policy)) = &point.tip.policy else {
        return Ok(());
    };
    let mut rows: [Vec<(Pot, f64)>; 6] = Default::default();
    for rules in &policy.pots {
        let (pot, who) = (rules.pot, Who::Pot(rules.pot));
        let rate = hashrate::hashrate(
            point.view(HASHRATE),
            &who,
            point.tip.ledger_time,
            HASHRATE_WINDOW_MS,
        )?;
        let at_work = workers::pot(point.view(WORKERS), pot)?;
        let count = blocks::count(point.view(BLOCKS), List::Of(pot))?;
        let running = rounds::running(point.view(ROUNDS), pot)?;
        let effort = ratio(running.map_or(0, |round| round.effort));
        let reports = late::newest(point.view(ROUNDS), pot, LATE_BLOCKS)?;
        let most = reports.iter().map(|late| late.own_ppm.max(late.moved_ppm));
        let late_frames = rounds::total(point.view(ROUNDS), pot)?.late;
        let [rates, online, found, efforts, ppms, lates] = &mut rows;
        ppms.push((pot, rounded(most.max().unwrap_or(0))));
        lates.push((pot, rounded(late_frames)));
        rates.push((pot, Rate(rate).per_second()));
        online.push((pot, f64::from(at_work.machines_active)));
        found.push((pot, rounded(count.blocks)));
        efforts.push((pot, effort));
    }
    let names = [
        (
            "orebook_pool_hashrate",
            "Hashes a second, mean of ten minutes",
        ),
        (
            "orebook_pool_workers_online",
            "Rigs whose silence is explained",
        ),
        (
            "orebook_pool_blocks_found",
            "Blocks found, orphans included",
        ),
        (
            "orebook_pool_round_effort_ratio",
            "Work of the running round by a block's mean cost",
        ),
        (
            "orebook_round_late_ppm_max",
            "Largest difference from producer-time order of the newest hundred blocks",
        ),
        (
            "orebook_pool_late_frames",
            "Frames that were admitted more than ten seconds after their last share",
        ),
    ];
    for ((name, help), rows) in names.into_iter().zip(rows) {
        out.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} gauge\n"));
        for (pot, value) in rows {
            out.push_str(&format!("{name}{{pot=\"{pot}\"}} {value}\n"));
        }
    }
    Ok(())
}
