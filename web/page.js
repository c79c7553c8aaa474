// The page: asks the public API every two seconds and shows what changed. It computes no figure of its own.

import { chart, summary } from "./chart.js";
import * as payouts from "./payouts.js";
import * as settings from "./settings.js";
import { ago, clock, coins, count, day, h, hashes, hashrate, percent, put, short, table } from "./show.js";

const POLL_MS = 2000;
/** Older than this, figures are shown as stale. */
const STALE_MS = 8000;
const BLOCKS_PAGE = 15;
const HANDS_PAGE = 20;
const PAYOUTS_PAGE = 10;
/** Shorter than any address of any coin: a registered name, or nothing. */
const SHORT_NAME = /^[a-z0-9_-]{1,25}$/i;
const REMEMBERED = "orebook.account";

const $ = (id) => document.getElementById(id);

const state = {
  pools: [], pool: null, window: 3600, blocks: null, older: [], olderNext: null,
  points: [], accounts: null, account: "", accountView: null, accountError: null, ledger: null, activity: null, bans: null, adjustments: null, payouts: null, reconciled: null, dust: null,
  payout: null, payoutView: null, payoutError: null,
  answered: 0, failed: null,
};

async function ask(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  const body = await response.json();
  if (!response.ok) {
    throw Object.assign(new Error(body.message ?? response.statusText), { status: response.status });
  }
  return body;
}

async function poll() {
  try {
    const [pools, ledger] = await Promise.all([ask("/api/v1/pools"), ask("/api/v1/ledger")]);
    state.pools = pools.pools;
    state.ledger = ledger;
    if (!state.pools.some((pool) => pool.id === state.pool)) state.pool = state.pools[0]?.id ?? null;
    if (state.pool !== null) await pollPool(`/api/v1/pools/${state.pool}`);
    if (state.account) await pollAccount();
    if (state.payout) await pollPayout();
    await pollActivity();
    [state.bans, state.adjustments, state.dust, state.payouts, state.reconciled] = await Promise.all([ask(`/api/v1/bans?limit=${HANDS_PAGE}`),
      ask(`/api/v1/adjustments?limit=${HANDS_PAGE}`), ask(`/api/v1/dust?limit=${HANDS_PAGE}`), ask(`/api/v1/payouts?limit=${PAYOUTS_PAGE}`),
      ask(`/api/v1/reconciliations?limit=${PAYOUTS_PAGE}`)]);
    state.answered = Date.now();
    state.failed = null;
  } catch (error) {
    state.failed = error.message;
  }
  show();
}

async function pollPool(base) {
  const [blocks, accounts, series] = await Promise.all([
    ask(`${base}/blocks?limit=${BLOCKS_PAGE}`),
    ask(`${base}/accounts?limit=20&order=top`),
    ask(`${base}/hashrate?window_seconds=${state.window}`),
  ]);
  if (state.blocks === null) state.olderNext = blocks.next;
  state.blocks = blocks;
  state.accounts = accounts;
  state.points = drawn(series);
}

/** A process that reads no activity log says so with 503: the section stays hidden. */
async function pollActivity() {
  try {
    state.activity = await ask("/api/v1/activity");
  } catch (error) {
    if (error.status !== 503) throw error;
    state.activity = null;
  }
}

/** Whole steps, from the one before the first work on: a young pool's chart begins with it, and none ends in half a minute. */
function drawn(series) {
  const end = Date.parse(series.as_of_time) - 1000 * series.step_seconds;
  const whole = series.points.filter((point) => Date.parse(point.time) <= end);
  const first = whole.findIndex((point) => point.hashrate > 0);
  return whole.slice(Math.max(0, first - 1));
}

/** A registered name is looked up as its miners write it, if it is one. */
async function registered(text) {
  if (text.includes(":")) return null;
  try {
    const name = `name:${text.toLowerCase()}`;
    return (await ask(`/api/v1/accounts/${encodeURIComponent(name)}?limit=1`)).known ? name : null;
  } catch (error) {
    if (error.status !== 400) throw error;
    return null;
  }
}

async function pollAccount() {
  const asked = state.account;
  try {
    // As it stands it would be refused, once for each question.
    const name = SHORT_NAME.test(asked) ? await registered(asked) : null;
    if (asked !== state.account) return;
    if (name !== null) state.account = name;
    await readAccount();
  } catch (error) {
    if (error.status !== 400) throw error;
    const name = SHORT_NAME.test(asked) ? null : await registered(asked);
    // Another one may have been looked up meanwhile.
    if (asked !== state.account) return;
    if (name !== null) {
      state.account = name;
      await readAccount();
      return;
    }
    state.accountView = null;
    state.accountError = error.message;
  }
}

async function readAccount() {
  const path = `/api/v1/accounts/${encodeURIComponent(state.account)}`;
  // What is no account is refused once, not by each of the four.
  const view = await ask(`${path}?limit=10`);
  const [workers, lines, status] = await Promise.all([ask(`${path}/workers?limit=50`),
    ask(`${path}/payouts?limit=${PAYOUTS_PAGE}`), ask(`${path}/payout-status`)]);
  state.accountView = { ...view, workers: workers.workers, lines, status };
  state.accountError = null;
}

async function pollPayout() {
  const asked = state.payout;
  let answer = null;
  let wrong = null;
  try {
    answer = await ask(`/api/v1/payouts/${asked}`);
  } catch (error) {
    if (![400, 404].includes(error.status)) throw error;
    wrong = error.message;
  }
  // Another one may have been opened meanwhile.
  if (asked === state.payout) [state.payoutView, state.payoutError] = [answer, wrong];
}

// ---- what is shown ----

function show() {
  showLive();
  if (state.ledger === null) return;
  showPools();
  showChart();
  showBlocks();
  showAccounts();
  showAccount();
  showPayouts();
  showActivity();
  showHands();
  showLedger();
}

const decimals = () => state.ledger.decimals;
const coin = () => state.ledger.coin;
const money = (units) => h("span", { class: "money" }, coins(units, decimals()));
const time = (value) => h("time", { datetime: value, title: value }, ago(value, Date.now()));

function showLive() {
  const stale = state.failed !== null || STALE_MS < Date.now() - state.answered;
  const live = $("live");
  live.className = `live ${stale ? "stale" : "fresh"}`;
  let text = "Connecting";
  if (state.answered === 0 && state.failed !== null) text = state.failed;
  else if (state.answered !== 0 && stale) text = `Stale since ${clock(state.answered)}`;
  else if (state.ledger !== null) text = `Final up to ${count(state.ledger.as_of)}`;
  // Figures inside change each second; a screen reader hears changes of state only.
  if ($("live-text").textContent !== text) $("live-text").textContent = text;
  live.setAttribute("aria-live", stale ? "polite" : "off");
}

function figure(label, value, hint) {
  return h("div", { class: "figure" }, h("dt", {}, label), h("dd", {}, value, hint ? h("small", {}, hint) : null));
}

function effortBar(effort) {
  return h("div", { class: "effort" },
    h("div", { class: "effort-text" }, h("span", {}, "This round"), h("strong", {}, percent(effort))),
    h("progress", { max: 1, value: Math.min(1, effort), class: effort > 1 ? "over" : null,
      "aria-label": `Effort of this round: ${percent(effort)} of the work a block costs on average` }),
    h("p", { class: "quiet" }, effort > 1 ? "past what a block costs on average" : "of what a block costs on average"));
}

function showPools() {
  put($("pools"), state.pools.map((pool) => h("article", { class: "card", "data-key": pool.id },
    h("header", {}, h("h2", {}, pool.name),
      h("p", { class: "tags" }, h("span", { class: "tag" }, pool.scheme.toUpperCase()),
        h("span", { class: "tag" }, `fee ${pool.fee_percent} %`), h("span", { class: "tag" }, pool.algorithm))),
    h("p", { class: "big" }, hashrate(pool.hashrate)),
    h("dl", { class: "figures" },
      figure("Workers online", count(pool.workers_online)),
      figure("Blocks found", count(pool.blocks_found), pool.blocks.orphaned ? `${count(pool.blocks.orphaned)} orphaned` : null),
      figure("Last block", pool.last_block ? time(pool.last_block.found_at) : "none yet",
        pool.last_block ? `height ${count(pool.last_block.height)}` : null),
      figure("Luck", pool.luck ? percent(pool.luck.luck) : "none yet",
        pool.luck ? `last ${count(pool.luck.blocks)} blocks` : null)),
    effortBar(pool.round_effort))));
  const choice = $("pool-choice");
  put(choice, state.pools.map((pool) => h("option", { value: pool.id, "data-key": pool.id }, pool.name)));
  choice.value = state.pool ?? "";
  choice.closest(".choice").hidden = state.pools.length < 2;
}

function showChart() {
  const some = state.points.some((point) => point.hashrate > 0) && state.points.length > 1;
  const width = Math.max(280, Math.floor($("chart").clientWidth));
  if (!some) {
    put($("chart"), h("p", { class: "empty" }, "No accepted work in this time yet."));
    put($("chart-table"));
    return;
  }
  put($("chart"), chart(state.points, width), h("figcaption", { class: "quiet" }, summary(state.points)));
  const rows = [...state.points].reverse().map((point) => [clock(point.time), hashrate(point.hashrate)]);
  put($("chart-table"), table("Hashrate over time", [["From", ""], ["Hashrate", "n"]], rows));
}

const MARKS = { found: "○", seen: "◔", immature: "◑", uncle: "◒", confirmed: "●", orphaned: "✕" };

function badge(block) {
  return h("span", { class: `badge ${block.state}` },
    h("span", { "aria-hidden": "true" }, `${MARKS[block.state] ?? "○"} `), block.state);
}

function blockRow(block) {
  const luck = block.luck === null ? "unknown" : percent(block.luck);
  return [count(block.height), time(block.found_at), badge(block),
    h("span", { class: block.luck !== null && block.luck >= 1 ? "good" : null }, luck),
    block.reward === null ? "unknown" : money(block.reward), finder(block),
    h("code", { title: block.hash }, short(block.hash.replace(/^0+/, "…"), 7, 6))];
}

function finder(block) {
  if (!block.finder) return "unknown";
  return h("a", { href: `#account=${encodeURIComponent(block.finder)}`, title: block.finder }, short(block.finder));
}

function showBlocks() {
  const pool = state.pools.find((one) => one.id === state.pool);
  put($("luck"), pool?.luck
    ? document.createTextNode(`${pool.name}: luck ${percent(pool.luck.luck)} over the last ${count(pool.luck.blocks)} blocks`)
    : document.createTextNode(pool?.name ?? ""));
  const newest = state.blocks?.blocks ?? [];
  if (newest.length === 0) {
    put($("blocks-table"), h("p", { class: "empty" }, "No block yet. When one is found it stands here at once."));
    return;
  }
  const known = new Set(newest.map((block) => block.hash));
  const rows = [...newest, ...state.older.filter((block) => !known.has(block.hash))].map(blockRow);
  const columns = [["Height", "n"], ["Found", ""], ["State", ""], ["Luck", "n"],
    [`Value (${coin()})`, "n"], ["Finder", ""], ["Hash", ""]];
  put($("blocks-table"), table("Blocks, newest first", columns, rows));
  $("blocks-more").hidden = !state.olderNext;
}

function showAccounts() {
  const accounts = state.accounts?.accounts ?? [];
  if (accounts.length === 0) {
    put($("accounts-table"), h("p", { class: "empty" }, "Nobody has mined here yet."));
    return;
  }
  const link = (one) => h("a", { href: `#account=${encodeURIComponent(one.address)}`, title: one.address }, short(one.address, 12, 8));
  const rows = accounts.map((one) => [link(one), hashrate(one.hashrate), count(one.workers_online),
    money(one.immature), money(one.available)]);
  const columns = [["Account", ""], ["Hashrate", "n"], ["Workers", "n"],
    [`Immature (${coin()})`, "n"], [`Available (${coin()})`, "n"]];
  put($("accounts-table"), table("Accounts with their balances", columns, rows));
}

function balance(label, units, hint, strong) {
  return h("div", { class: strong ? "balance strong" : "balance" },
    h("dt", {}, label), h("dd", {}, money(units), " ", h("span", { class: "quiet" }, coin())), h("p", { class: "quiet" }, hint));
}

const tools = { money, time, coin, figure };

function showPayouts() {
  const page = state.payouts;
  $("payouts").hidden = page === null;
  if ($("payouts").hidden) return;
  put($("payouts-view"), payouts.batches(page, state.reconciled, tools));
  const view = state.payoutView;
  if (state.payoutError !== null) put($("payout-view"), h("p", { class: "notice" }, `${state.payoutError}.`));
  else if (state.payout === null || view === null) put($("payout-view"));
  else put($("payout-view"), view.payout ? payouts.batch(view, tools) : payouts.line(view, tools));
}

function showAccount() {
  const [target, more] = [$("account-view"), $("account-more")];
  settings.about(state.account ? state.accountView : null, { coin: coin(), decimals: decimals() });
  if (state.accountError) {
    put(target, h("p", { class: "notice" }, `That is no account here: ${state.accountError}.`));
    put(more);
    return;
  }
  const view = state.accountView;
  if (!state.account || view === null) {
    put(target);
    put(more);
    return;
  }
  const parts = [h("p", { class: "account-name" }, h("code", {}, view.address)),
    h("dl", { class: "balances" },
      balance("Immature", view.balances.immature, "credited by blocks that can still be orphaned"),
      balance("Available", view.balances.available, "yours; paid when it reaches the threshold", true),
      balance("Being paid", view.balances.reserved, "on its way: in a batch, or in the coinbase of a block that is immature"),
      balance("Paid", view.balances.paid, "sent and confirmed"))];
  const { pending } = view.payment;
  if (pending !== null) {
    parts.push(h("p", { class: "notice" }, "A new payout address waits: ", h("code", { class: "wrap" }, pending.address), " holds from ",
      h("time", { datetime: pending.holds_from }, day(pending.holds_from)), " on, if nobody names the old one before. Was it not you? See below."));
  }
  const { notice } = view.dust;
  if (notice !== null) {
    parts.push(h("p", { class: "notice" }, `What is available moves to the pool's ${notice.to} after ${day(notice.moves_at)}, unless you mine, set something or reach the `
      + `threshold before: ${notice.reason}`));
  }
  if (!view.known) parts.push(h("p", { class: "notice" }, "No accepted share names this account yet."));
  if (view.known) parts.push(...payouts.status(view, view.status, tools));
  parts.push(...terms(view));
  put(target, h("div", { class: "account" }, parts));
  const behind = mined(view);
  put(more, behind.length === 0 ? null : h("div", { class: "account" }, behind));
}

/** What an account was paid, its workers, and what blocks gave it. */
function mined(view) {
  const parts = view.known ? payouts.lines(view.lines, tools) : [];
  if (view.workers.length > 0) {
    // A pool has one algorithm in all its pots.
    const isEthash = ["ethash", "etchash"].includes(state.pools[0]?.algorithm);
    const due = (worker) => isEthash && worker.difficulty ? hashes(worker.difficulty) : worker.difficulty ?? "";
    const columns = [["Worker", ""], ["State", ""], ["Hashrate", "n"], [isEthash ? "A share" : "Difficulty", "n"], ["Last share", ""], ["Accepted", "n"], ["Stale", "n"]];
    const rows = view.workers.map((worker) => [worker.name,
      h("span", { class: `badge ${worker.online ? "confirmed" : "orphaned"}` }, worker.online ? "● online" : "✕ silent"),
      hashrate(worker.hashrate), due(worker), worker.last_share ? time(worker.last_share) : "", count(worker.accepted), count(worker.stale)]);
    parts.push(h("h3", {}, "Workers"), table("Workers of this account", columns, rows));
  }
  if (view.credits.length > 0) {
    // Most accounts donate nothing, and most pools pay by batches alone.
    const donates = view.credits.some((credit) => credit.donation_sub_units !== "0");
    const is_direct = view.credits.some((credit) => credit.coinbase !== "0");
    const columns = [["Block", "n"], ["State", ""], ["Hash", ""], ["Share of the block", "n"], donates ? ["Before donation", "n"] : null,
      [`Credit (${coin()})`, "n"], is_direct ? ["Its coinbase pays", "n"] : null].filter((column) => column !== null);
    const rows = view.credits.map((credit) => [count(credit.height), badge(credit), h("code", { title: credit.hash }, short(credit.hash.replace(/^0+/, "…"), 7, 6)),
      credit.weight_ratio === null ? "" : percent(credit.weight_ratio), donates ? money(credit.amount) : null, money(credit.net),
      is_direct ? credit.coinbase === "0" ? "" : money(credit.coinbase) : null].filter((cell) => cell !== null));
    parts.push(h("h3", {}, "Credits by block"), table("Credits by block, newest first", columns, rows),
      view.next === null ? null : h("p", { class: "quiet" }, `The newest ${count(rows.length)}; the API has the others.`));
  }
  return parts;
}

/** How an account is paid: what its owner, or the pool, set. */
function terms(view) {
  const { address, threshold, own_threshold: own, donation_ppm: ppm, registered } = view.payment;
  const facts = [figure("Threshold", [money(threshold), " ", h("span", { class: "quiet" }, coin())], own ? "this account's own" : "the pool's"),
    figure("Donation", `${(ppm / 10000).toFixed(4).replace(/\.?0+$/, "")} %`, "of each credit"),
    figure("Paid at", address === null ? "no address yet" : h("code", { class: "wrap" }, address))];
  if (registered !== null) {
    facts.push(figure("Registered", count(registered.workers), registered.only_registered_workers ? "workers, and no others may mine" : "workers; others may mine too"));
  }
  return [h("h3", {}, "How it is paid"), h("dl", { class: "facts" }, facts)];
}

const REASONS = {
  other: "Malformed or out of range", unknown_job: "Job not known any more", duplicate: "Sent before",
  low_difficulty: "Below its difficulty", unauthorized: "Not logged in", not_subscribed: "Not subscribed",
  unrecorded: "No room to record it", name: "No payout address", too_many_workers: "Too many workers",
  no_pot: "No such pot", request: "Malformed", banned: "Banned",
};

function reasons(title, rows) {
  const seen = rows.filter((row) => row.count > 0).sort((a, b) => b.count - a.count);
  if (seen.length === 0) return h("div", {}, h("h3", {}, title), h("p", { class: "empty" }, "None."));
  const cells = seen.map((row) => [REASONS[row.reason] ?? row.reason, count(row.count)]);
  return h("div", {}, h("h3", {}, title), table(title, [["Reason", "text"], ["Count", "n"]], cells));
}

const NODES = {
  well: "Well again", dead: "Does not answer as it should", old_work: "Gives old work", wrong_height: "Is behind, or ahead alone",
  other_chain: "Is on another chain", other_payee: "Its blocks pay somebody else", unusable_work: "Gives work that cannot be used",
  accepted_twice: "Took one block twice", source: "Work comes from it",
};

function nodesSaid(activity) {
  const cells = activity.nodes.map((row) => [row.node, NODES[row.said] ?? row.said, count(row.count), time(row.last)]);
  return h("div", {}, h("h3", {}, "Chain nodes"),
    table("What happened to chain nodes, newest first", [["Node", ""], ["What", ""], ["Times", "n"], ["Last", ""]], cells));
}

function showActivity() {
  const activity = state.activity;
  $("activity").hidden = activity === null;
  if (activity === null) return;
  const sum = (rows) => rows.reduce((total, row) => total + row.count, 0);
  const rest = (kind) => sum(activity.rest.filter((row) => row.reason === kind));
  const away = activity.gateways.filter((gateway) => gateway.away).length;
  const agents = activity.agents.map((one) => `${one.agent || "unknown"} ${count(one.workers)}`).join(", ");
  put($("activity-view"), h("dl", { class: "facts" },
    figure("Sessions now", count(activity.sessions), agents || null),
    figure("Gateways", count(activity.gateways.length - away), away ? `${count(away)} not heard of` : null),
    figure("Rejected shares", count(sum(activity.rejects) + rest("rejects")), `in ${activity.hours} h`),
    figure("Failed logins", count(sum(activity.failed_logins) + rest("failed_logins")),
      activity.bans ? `${count(activity.bans)} times an address was kept out` : `in ${activity.hours} h`)),
    h("div", { class: "pair" }, reasons("Rejected shares by reason", activity.rejects),
      reasons("Failed logins by reason", activity.failed_logins)),
    activity.nodes.length === 0 ? null : nodesSaid(activity));
}

const BANS = { banned: "orphaned", ended: "found", lifted: "confirmed" };

function hand(title, page, columns, rows) {
  if (rows.length === 0) return h("div", {}, h("h3", {}, title), h("p", { class: "empty" }, "None."));
  const more = page.next === null ? null : h("p", { class: "quiet" }, `The first ${rows.length}; the API has the others.`);
  return h("div", {}, h("h3", {}, title), table(title, columns, rows), more);
}

const DUST = { waiting: ["waits", "found"], moved: ["moved", "confirmed"], withdrawn: ["withdrawn", "orphaned"] };

/** Without a ban, an adjustment or an announcement of dust there is nothing to say. */
function showHands() {
  const [bans, adjustments, dust] = [state.bans?.bans ?? [], state.adjustments?.adjustments ?? [], state.dust?.announcements ?? []];
  $("hands").hidden = bans.length + adjustments.length + dust.length === 0;
  if ($("hands").hidden) return;
  const banned = bans.map((ban) => [h("span", { title: ban.address ?? ban.target }, short(ban.address ?? ban.target, 12, 8)),
    h("span", { class: `badge ${BANS[ban.state]}` }, ban.state), ban.until === null ? (ban.state === "lifted" ? "" : "until lifted") : h("time", { datetime: ban.until }, day(ban.until)), ban.reason]);
  const adjusted = adjustments.map((one) => [h("a", { href: `#account=${encodeURIComponent(one.address)}`, title: one.address }, short(one.address, 12, 8)),
    h("span", {}, one.to_account ? "+" : "−", money(one.amount)), one.book, one.taken === null ? "not in force" : "in force", one.reason]);
  const announced = dust.map((one) => [h("span", { class: `badge ${DUST[one.state]?.[1] ?? "found"}` }, DUST[one.state]?.[0] ?? one.state),
    h("time", { datetime: one.moves_at }, day(one.moves_at)), count(one.accounts.length ?? one.accounts), one.to, one.reason]);
  put($("hands-view"), h("div", {},
    dust.length === 0 ? null : hand("Small balances of inactive accounts", state.dust,
      [["State", ""], ["Moves after", ""], ["Accounts", "n"], ["To", "text"], ["Why", "why"]], announced),
    hand("Adjustments", state.adjustments, [["Account", ""], [`Amount (${coin()})`, "n"], ["Against", "text"], ["State", "text"], ["Why", "why"]], adjusted),
    hand("Bans", state.bans, [["Whom", ""], ["State", ""], ["Ends", ""], ["Why", "why"]], banned)));
}

function showLedger() {
  const ledger = state.ledger;
  const mono = (text) => h("code", { class: "wrap" }, text);
  put($("ledger-view"), h("dl", { class: "facts" },
    figure("Final", count(ledger.as_of), "positions; what is shown stands on these"),
    figure("Head", count(ledger.head), `${count(Math.max(0, ledger.head - ledger.as_of))} not final yet`),
    figure("Last checkpoint", ledger.checkpoint ? time(ledger.checkpoint.time) : "none yet",
      ledger.checkpoint ? `signed for ${count(ledger.checkpoint.size)} positions` : null),
    figure("Streams", count(ledger.streams.open), ledger.streams.closed ? `${count(ledger.streams.closed)} closed` : "none closed")),
    h("dl", { class: "roots" },
      h("div", {}, h("dt", {}, "Ledger"), h("dd", {}, mono(ledger.ledger))),
      h("div", {}, h("dt", {}, `Root of the first ${count(ledger.as_of)} positions`), h("dd", {}, mono(ledger.root)))));
  showVerify(ledger);
}

function showVerify(ledger) {
  const step = (text, command) => h("li", {}, h("p", {}, text),
    h("div", { class: "command" }, h("code", {}, command),
      h("button", { type: "button", "data-copy": command, "aria-label": `Copy: ${command}` }, "Copy")));
  put($("verify"), h("ol", { class: "steps" }, ledger.verify.map((one) => step(one.what, one.command))));
}

// ---- what a reader does ----

async function lookUp(account) {
  state.account = account;
  state.accountView = null;
  state.accountError = null;
  $("account").value = account;
  try {
    if (account) localStorage.setItem(REMEMBERED, account);
    else localStorage.removeItem(REMEMBERED);
  } catch { /* private mode: the page works without memory */ }
  if (account && state.ledger !== null) {
    try {
      await pollAccount();
    } catch (error) {
      state.failed = error.message;
    }
  }
  show();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `#account=A` looks an account up, `#payout=W/B` opens a batch, `#payout=W/B/A` a line of it; anything else closes the batch. */
function fromHash() {
  const [, what, whose] = location.hash.match(/^#(account|payout)=(.+)$/) ?? [];
  if (what === "account") {
    lookUp(decoded(whose));
    $("balances").scrollIntoView();
  }
  const path = what === "payout" ? whose.split("/").map((part) => encodeURIComponent(decoded(part))).join("/") : null;
  if (path !== state.payout) openPayout(path);
}

async function openPayout(path) {
  Object.assign(state, { payout: path, payoutView: null, payoutError: null });
  if (path !== null && state.ledger !== null) {
    try {
      await pollPayout();
    } catch (error) {
      state.failed = error.message;
    }
  }
  show();
  if (path === null || state.payout !== path) return;
  $("payouts").scrollIntoView();
  $("payout-title")?.focus({ preventScroll: true });
}

$("look-up").addEventListener("submit", (event) => {
  event.preventDefault();
  const account = $("account").value.trim();
  history.replaceState(null, "", account ? `#account=${encodeURIComponent(account)}` : "#balances");
  lookUp(account);
});

$("pool-choice").addEventListener("change", (event) => {
  Object.assign(state, { pool: event.target.value, blocks: null, older: [], olderNext: null, points: [], accounts: null });
  poll();
});

$("window-choice").addEventListener("change", (event) => {
  state.window = Number(event.target.value);
  state.points = [];
  poll();
});

$("blocks-more").addEventListener("click", async () => {
  try {
    const page = await ask(`/api/v1/pools/${state.pool}/blocks?limit=50&cursor=${encodeURIComponent(state.olderNext)}`);
    state.older.push(...page.blocks);
    state.olderNext = page.next;
  } catch (error) {
    state.failed = error.message;
  }
  show();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

addEventListener("hashchange", fromHash);
new ResizeObserver(() => state.ledger !== null && showChart()).observe($("chart"));
document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });

let waiting = null;
async function turn() {
  clearTimeout(waiting);
  if (!document.hidden) await poll();
  // Two turns at once would race: the later one replaces the timer of the earlier.
  clearTimeout(waiting);
  waiting = setTimeout(turn, POLL_MS);
}

try {
  state.account = localStorage.getItem(REMEMBERED) ?? "";
} catch { /* private mode */ }
$("account").value = state.account;
fromHash();
settings.begin().then(turn);
