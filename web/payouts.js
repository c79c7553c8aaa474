// Payouts: an account's status and lines, and the pool's batches. What it says is what the API says; it computes no figure.

import { count, h, short, table } from "./show.js";

/** States of transactions and batches in a miner's words, and how they look. */
const STATES = {
  waits: ["waits for approval", "found"], unsigned: ["being prepared", "found"], signed: ["signed", "found"], broadcast: ["sent", "found"],
  seen: ["in the network", "found"], confirmed: ["paid", "confirmed"], final: ["paid for good", "confirmed"],
  conflicted: ["being checked", "orphaned"], unknown: ["being checked", "orphaned"], failed: ["given back", "orphaned"],
  cancelled: ["given back", "orphaned"], returned: ["given back", "orphaned"],
};

const badge = (state) => h("span", { class: `badge ${STATES[state]?.[1] ?? "found"}`, title: state }, STATES[state]?.[0] ?? state);
const hash = (text) => text === null ? "" : h("code", { title: text }, short(text, 10, 8));

/** A condition as a sentence. Amounts are the account's own, in coins; what else it says is the API's. */
function sentence(condition, view, { money, coin }) {
  const { threshold, own_threshold: own } = view.payment;
  const sum = (units) => [money(units), ` ${coin()}`];
  if (condition.name === "available" && !view.balances.available.startsWith("-")) {
    return condition.met ? [...sum(view.balances.available), " is available."] : ["Nothing is available yet."];
  }
  if (condition.name === "threshold") {
    const whose = own ? "your threshold" : "the pool's threshold";
    return condition.met ? [`Enough for a payout: ${whose} is `, ...sum(threshold), "."]
      : [`Not enough yet: ${whose} is `, ...sum(threshold), "."];
  }
  return [`${condition.detail.charAt(0).toUpperCase()}${condition.detail.slice(1)}.`];
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
  const rows = page.payouts.map((line) => [time(line.time), money(line.amount), line.fee === "0" ? "" : money(line.fee), badge(line.state),
    hash(line.txid), h("code", { title: line.address }, short(line.address, 10, 6))]);
  const columns = [["Proposed", ""], [`Amount (${coin()})`, "n"], ["Of it network fee", "n"], ["State", ""], ["Transaction", ""], ["To", ""]];
  const more = page.next === null ? null : h("p", { class: "quiet" }, `The newest ${count(rows.length)}; the API has the others.`);
  return [h("h3", {}, "Payouts"), table("Payouts of this account, newest first", columns, rows), more];
}

/** When the wallet was compared with its chain last, and whether they differ. */
function compared(page, time) {
  const last = page === null ? undefined : page.reconciliations[0];
  if (last === undefined) return null;
  const says = last.differences === 0 ? "nothing differs" : `${count(last.differences)} differences: ${last.report[0]}`;
  return h("p", { class: last.differences === 0 ? "quiet" : "notice" }, "Ledger and chain were compared ", time(last.time), `: ${says}.`);
}

/** The pool's batches, newest first, with what its wallets and books say. */
export function batches(page, reconciled, { money, time, coin, figure }) {
  const halted = page.wallets.filter((wallet) => wallet.halted !== null).map((wallet) => h("p", { class: "notice" },
    `Payouts of wallet ${wallet.wallet} are halted since `, time(wallet.halted.time), `: ${wallet.halted.reason}. Nothing is lost; batches on their way go on.`));
  const sum = (units) => [money(units), " ", h("span", { class: "quiet" }, coin())];
  const facts = h("dl", { class: "facts" },
    figure("Paid so far", sum(page.books.paid), "to all accounts"),
    figure("Being paid", sum(page.books.reserved), "held by a batch on its way"),
    figure("Network fees", sum(page.books.network_fees), "what lines brought in, less what the chain took"));
  const rows = page.payouts.map((batch) => [`${batch.wallet}/${count(batch.batch)}`, time(batch.time), badge(batch.state), count(batch.lines),
    money(batch.total), money(batch.cost), batch.approvals.needed === 0 ? "none needed" : `${batch.approvals.had} of ${batch.approvals.needed}`]);
  const columns = [["Batch", ""], ["Proposed", ""], ["State", ""], ["Accounts", "n"], [`Total (${coin()})`, "n"], ["Network took", "n"], ["Approvals", ""]];
  return h("div", { class: "payouts" }, halted, compared(reconciled, time), facts, h("h3", {}, "Batches"), rows.length === 0 ? h("p", { class: "empty" }, "No batch yet.")
    : table("Batches of payouts, newest first", columns, rows),
  page.next === null ? null : h("p", { class: "quiet" }, `The newest ${count(rows.length)}; the API has the others.`));
}
