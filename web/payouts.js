// Payouts: an account's status and lines, the pool's batches, one batch with its steps, and one line back to the blocks that it pays.
// What it says is what the API says; it computes no figure.

import { count, day, h, short, table } from "./show.js";

/** States of transactions and batches in a miner's words, and how they look. */
const STATES = {
  waits: ["waits for approval", "found"], unsigned: ["being prepared", "found"], signed: ["signed", "found"], broadcast: ["sent", "found"],
  seen: ["in the network", "found"], confirmed: ["paid", "confirmed"], final: ["paid for good", "confirmed"],
  conflicted: ["being checked", "orphaned"], unknown: ["being checked", "orphaned"], failed: ["given back", "orphaned"],
  cancelled: ["given back", "orphaned"], returned: ["given back", "orphaned"],
};

const badge = (state) => h("span", { class: `badge ${STATES[state]?.[1] ?? "found"}`, title: state }, STATES[state]?.[0] ?? state);
const hash = (text) => text === null ? "" : h("code", { title: text }, short(text, 10, 8));

/** Where a batch, or an account's line of it, is shown on this page. */
const place = (wallet, batch, account) => `#payout=${wallet}/${batch}${account === undefined ? "" : `/${encodeURIComponent(account)}`}`;
const named = (wallet, batch) => `${wallet}/${count(batch)}`;

/** Whole base units of sub-units, 10^-9 of one each, rounded down; what is cut off is in the tooltip. */
function subUnits(text, money) {
  const whole = text.length <= 9 ? "0" : text.slice(0, -9);
  const shown = whole === "0" && text !== "0" ? ["less than ", money("1")] : money(whole);
  return h("span", { title: `${text} sub-units, of which a base unit has 1\u202f000\u202f000\u202f000` }, shown);
}

/** A condition as a sentence. Amounts are the account's own, in coins; what else it says is the API's. */
function sentence(condition, view, { money, coin }) {
  const { threshold, own_threshold: own } = view.payment;
  const sum = (units) => [money(units), ` ${coin()}`];
  if (condition.name === "available" && !view.balances.available.startsWith("-")) {
    return condition.met ? [...sum(view.balances.available), " is available."] : ["Nothing is available yet."];
  }
  if (condition.name === "threshold") {
    const whose = own ? "your threshold" : "the pool's threshold";
    if (condition.met && condition.detail.includes("payment at once")) return [`Below ${whose}, `, ...sum(threshold), ", but payment at once was asked for."];
    return condition.met ? [`Enough for a payout: ${whose} is `, ...sum(threshold), "."]
      : [`Not enough yet: ${whose} is `, ...sum(threshold), "."];
  }
  const detail = condition.name !== "batch" || condition.met ? condition.detail
    : condition.detail.replace(/: (\w+)$/, (_, state) => ` (${STATES[state]?.[0] ?? state}); the next one comes after it`);
  return [`${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`];
}

/** What is missing for the next payout of an account, in plain words. */
export function status(view, answer, tools) {
  const missing = answer.conditions.filter((one) => !one.met && one.name !== "pay_now");
  const head = missing.length === 0 ? "Nothing is missing: the next batch of payouts can pay this account."
    : missing.length === 1 ? "One thing is missing for the next payout." : `${count(missing.length)} things are missing for the next payout.`;
  const shown = answer.conditions.filter((one) => one.name !== "pay_now" || one.detail.includes("was asked for at"));
  const items = shown.map((one) => h("li", { class: one.met ? "met" : "unmet" },
    h("span", { class: "mark", "aria-hidden": "true" }, one.met ? "✓" : "✕"),
    h("span", { class: "hidden" }, one.met ? "Met: " : "Missing: "), h("span", {}, sentence(one, view, tools))));
  return [h("h3", {}, "Next payout"), h("p", { class: missing.length === 0 ? "good" : "note" }, head), h("ul", { class: "checks" }, items)];
}

/** An account's lines, newest first. */
export function lines(page, { money, time, coin }) {
  if (page.payouts.length === 0) return [];
  const rows = page.payouts.map((line) => [h("a", { href: place(line.wallet, line.batch, line.account), title: "Steps, and the blocks that it pays" },
    named(line.wallet, line.batch)), time(line.time), money(line.amount), line.fee === "0" ? "" : money(line.fee), badge(line.state),
  hash(line.txid), h("code", { title: line.address }, short(line.address, 10, 6))]);
  const columns = [["Batch", ""], ["Proposed", ""], [`Amount (${coin()})`, "n"], ["Of it network fee", "n"], ["State", ""], ["Transaction", ""], ["To", ""]];
  const more = page.next === null ? null : h("p", { class: "quiet" }, `The newest ${count(rows.length)}; the API has the others.`);
  return [h("h3", {}, "Payouts"), table("Payouts of this account, newest first", columns, rows), more];
}

/** When the wallets were compared with their chains, and what differs. */
function compared(page, { money, time, coin }) {
  const [last] = page?.reconciliations ?? [];
  if (last === undefined) return null;
  const says = last.differences === 0 ? "nothing differs" : `${count(last.differences)} differ: ${last.report.join("; ")}`;
  const rows = page.reconciliations.map((one) => [time(one.time), String(one.wallet), count(one.compared_position), count(one.transactions),
    count(one.blocks), money(one.expected), money(one.found), one.differences === 0 ? "none" : `${count(one.differences)}: ${one.report.join("; ")}`]);
  const columns = [["When", ""], ["Wallet", ""], ["Up to position", "n"], ["Transactions", "n"], ["Blocks", "n"], [`By the books (${coin()})`, "n"],
    ["On the chain", "n"], ["Differences", "why"]];
  return h("div", { class: "compared" },
    h("p", { class: last.differences === 0 ? "quiet" : "notice bad" }, "Ledger and chain were compared ", time(last.time), `: ${says}.`),
    h("details", { class: "fold" }, h("summary", {}, "All comparisons"),
      h("p", { class: "quiet" }, "The books do not know what was moved into the wallet or out of it by hand, so the two sums may differ."),
      table("Comparisons of ledger and chain, newest first", columns, rows)));
}

/** The pool's batches, newest first, with what its wallets and books say. */
export function batches(page, reconciled, tools) {
  const { money, time, coin, figure } = tools;
  const halted = page.wallets.filter((wallet) => wallet.halted !== null).map((wallet) => h("p", { class: "notice" },
    `Payouts of wallet ${wallet.wallet} are halted since `, time(wallet.halted.time), `: ${wallet.halted.reason}. Nothing is lost; batches on their way go on.`));
  // Rounded down, so that a sub-unit below zero shows; docs/runbooks has what it means.
  const owes = page.books.reserve.startsWith("-") ? h("p", { class: "notice" },
    "The reserve is below zero by ", money(page.books.reserve.slice(1)), ` ${coin()}: the pool paid more than blocks brought in.`) : null;
  const sum = (units) => [money(units), " ", h("span", { class: "quiet" }, coin())];
  const { books } = page;
  const by_coinbase = (units) => units === "0" ? "" : [", ", money(units), " of it by blocks' own coinbases"];
  const facts = h("dl", { class: "facts" },
    figure("Paid so far", sum(books.paid), ["to all accounts", by_coinbase(books.paid_by_coinbase)]),
    figure("Being paid", sum(books.reserved), ["on its way", by_coinbase(books.reserved_by_coinbase)]),
    figure("Network fees", sum(books.network_fees), "what lines brought in, less what the chain took"));
  const rows = page.payouts.map((batch) => [h("a", { href: place(batch.wallet, batch.batch) }, named(batch.wallet, batch.batch)), time(batch.time),
    badge(batch.state), count(batch.lines), money(batch.total), money(batch.cost), approvals(batch)]);
  const columns = [["Batch", ""], ["Proposed", ""], ["State", ""], ["Accounts", "n"], [`Total (${coin()})`, "n"], ["Network took", "n"], ["Approvals", ""]];
  return h("div", { class: "payouts" }, halted, owes, facts, compared(reconciled, tools), h("h3", {}, "Batches"), rows.length === 0 ? h("p", { class: "empty" }, "No batch yet.")
    : table("Batches of payouts, newest first", columns, rows),
  page.next === null ? null : h("p", { class: "quiet" }, `The newest ${count(rows.length)}; the API has the others.`));
}

const approvals = ({ approvals: { had, needed } }) => needed === 0 ? "none needed" : `${had} of ${needed}`;

const STEPS = {
  proposed: "proposed", approved: "approved", signed: "signed", broadcast: "sent to the network", seen: "seen in the network", confirmed: "confirmed",
  final: "final", conflicted: "in conflict with another transaction", failed: "failed; given back", unknown: "not known to the chain",
  cancelled: "cancelled; given back", block_lost: "a block that it pays stopped being confirmed; given back",
};

/** What happened, in order. */
function steps(all) {
  return h("ol", { class: "trail" }, all.map((step) => h("li", {}, h("span", {}, STEPS[step.what] ?? step.what,
    step.height === null ? "" : ` in block ${count(step.height)}`), " ", h("time", { class: "quiet", datetime: step.time }, day(step.time, true)),
  h("span", { class: "quiet", title: "Place of the event in the ledger" }, ` at ${step.at}`))));
}

const head = (title) => h("div", { class: "panel-head" }, h("h3", { id: "payout-title", tabindex: -1 }, title), h("a", { href: "#payouts" }, "Close"));

/** One batch: what it pays, its transactions with what happened to each, and its lines. */
export function batch(answer, tools) {
  const { money, coin, figure } = tools;
  const { payout } = answer;
  const of = (line) => h("a", { href: place(line.wallet, line.batch, line.account), title: line.account }, short(line.address, 12, 8));
  const lines = answer.lines.map((line) => [of(line), money(line.amount), line.fee === "0" ? "" : money(line.fee), money(line.sent), badge(line.state), hash(line.txid)]);
  const columns = [["Account", ""], [`Amount (${coin()})`, "n"], ["Of it network fee", "n"], ["Sent", "n"], ["State", ""], ["Transaction", ""]];
  const first = new Set(answer.steps.map((step) => step.at));
  return h("div", { class: "account" }, head(`Batch ${named(payout.wallet, payout.batch)}`),
    h("dl", { class: "facts" },
      figure("State", badge(payout.state)),
      figure("Total", [money(payout.total), ` ${coin()}`], `${count(payout.lines)} accounts, ${count(payout.blocks)} blocks`),
      figure("Network took", [money(payout.cost), ` ${coin()}`], [money(payout.fee), " expected"]),
      figure("Approvals", approvals(payout))),
    steps(answer.steps),
    answer.transactions.map((tx) => h("div", { class: "tx", "data-key": tx.tx },
      h("p", {}, `Transaction ${count(tx.tx)} `, badge(tx.state)), tx.txid === null ? null : h("p", {}, h("code", { class: "wrap" }, tx.txid)),
      tx.txids.length < 2 ? null : h("p", { class: "quiet" }, `The newest of ${tx.txids.length} versions; all spend the same coin or nonce.`),
      steps(tx.steps.filter((step) => !first.has(step.at))))),
    h("h3", {}, "Lines"), table("Lines of this batch", columns, lines),
    answer.next === null ? null : h("p", { class: "quiet" }, `The first ${count(lines.length)}; the API has the others.`),
    h("details", { class: "fold" }, h("summary", {}, "Blocks that it pays of, and what approvers sign"),
      h("ul", { class: "hashes" }, answer.blocks.map((block) => h("li", {}, h("code", { class: "wrap" }, block)))),
      h("p", { class: "quiet" }, "Digest ", h("code", { class: "wrap" }, payout.digest))));
}

const SOURCES = { by_share: "Paid by share", adjustment: "Adjustment", write_off: "Written off" };

/** One line: what arrives, what happened, and which credits it pays. */
export function line(answer, tools) {
  const { money, coin, figure } = tools;
  const { line: own, transaction, pays } = answer;
  const rows = (pays ?? []).map((one) => [one.source === "block"
    ? h("span", {}, `Block ${count(one.height)} `, hash(one.hash)) : SOURCES[one.source] ?? one.source,
  subUnits(one.amount_sub_units, money), subUnits(one.of_sub_units, money), one.at === null ? "" : h("code", {}, one.at)]);
  const columns = [["Credit", ""], [`Pays of it (${coin()})`, "n"], ["Whole credit", "n"], ["Posted at", ""]];
  const command = `orebook explain --data pool --payout ${own.wallet}/${own.batch} --account ${own.account}`;
  return h("div", { class: "account" }, head(`Payout to ${short(own.account.startsWith("name:") ? own.account : own.address, 12, 8)}`),
    h("dl", { class: "facts" },
      figure("State", badge(own.state)),
      figure("Amount", [money(own.amount), ` ${coin()}`], own.fee === "0" ? "the pool pays the network" : [money(own.fee), " of it for the network"]),
      figure("Sent", [money(own.sent), ` ${coin()}`]),
      figure("Batch", h("a", { href: place(own.wallet, own.batch) }, named(own.wallet, own.batch)), `line ${count(own.line)}`)),
    h("p", {}, "To ", h("code", { class: "wrap" }, own.address)),
    own.txid === null ? null : h("p", {}, "By ", h("code", { class: "wrap" }, own.txid)),
    steps(transaction.steps),
    h("h3", {}, "What it pays"),
    pays === null ? h("p", { class: "empty" }, "This account has too many credits to be looked through here; the command below does it.")
      : table("Credits that this line pays, oldest first", columns, rows),
    ["0", null].includes(answer.uncovered_sub_units) ? null
      : h("p", { class: "notice" }, subUnits(answer.uncovered_sub_units, money), ` ${coin()} of it are covered by no credit any more: a block was orphaned after it was paid.`),
    h("p", { class: "quiet" }, "Each block's arithmetic, from the ledger's files alone:"),
    h("div", { class: "command" }, h("code", {}, command), h("button", { type: "button", "data-copy": command, "aria-label": `Copy: ${command}` }, "Copy")));
}
