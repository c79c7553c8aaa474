// What an account's owner sets himself: a form that asks the desk for the text to sign, and sends it with its signature or the
// account's token. A token is in a field until it is sent: never in a URL, never stored.

import { coins, count, h, hold, put } from "./show.js";

const ASK_AGAIN_MS = 2000;
/** How often what is not final yet is asked for. */
const ASK_AGAIN_MAX = 60;
/** Of per cent a ten-thousandth is one part per million. */
const PPM_DECIMALS = 4;

const box = document.getElementById("settings");
let offered = false;
/** What the form is for: the API's view of the account, and the coin. */
let subject = null;
/** Grows with each subject and step: an answer to an older one is not shown. */
let step = 0;

/** Asks once whether this page's origin takes settings. */
export async function begin() {
  try {
    const response = await fetch("/settings", { headers: { accept: "application/json" } });
    offered = response.ok && (await response.json()).offered === true;
  } catch { /* not there: the page works without */ }
}

/** The account that is looked at, or none; called after each turn. The form begins anew with another account only. */
export function about(view, coin) {
  const shown = offered ? view : null;
  const same = shown?.account === subject?.view.account;
  subject = shown === null ? null : { view: shown, ...coin };
  if (same) return;
  box.hidden = subject === null;
  // What an older account's question is answered is not shown.
  step += 1;
  if (subject === null) box.replaceChildren();
  else choose();
}

/** Digits with at most `decimals` behind the point, as a whole number of the smallest unit; null if it is none. */
export function units(text, decimals) {
  const match = text.trim().replace(",", ".").match(/^(\d{1,30})(?:\.(\d*))?$/);
  if (!match || decimals < (match[2] ?? "").length) return null;
  return (match[1] + (match[2] ?? "").padEnd(decimals, "0")).replace(/^0+(?=\d)/, "");
}

/** What may be set: its name in lists, the field for its value, and how the desk wants it. */
const WHATS = {
  threshold: { name: "From how much on I am paid", field: ({ coin }) => `Threshold (${coin})`,
    hint: ({ view, decimals, coin }) => `Now ${coins(view.payment.threshold, decimals)} ${coin}, ${view.payment.own_threshold ? "your own" : "the pool's"}. 0 takes the pool's.`,
    value: (text, { decimals }) => units(text, decimals), wrong: ({ decimals }) => `Give an amount with at most ${decimals} decimals.` },
  address: { name: "Where I am paid", field: () => "New payout address",
    hint: ({ view }) => view.payment.pending === null ? "It waits before it holds; naming the old address meanwhile drops the change."
      : "A change waits already. Naming the address in force drops it.",
    value: (text) => /^[A-Za-z0-9:]{8,130}$/.test(text.trim()) ? text.trim() : null, wrong: () => "Give an address of this coin." },
  donation: { name: "What I donate to the pool", field: () => "Per cent of each credit",
    hint: ({ view }) => `Now ${percent(view.payment.donation_ppm)}. It holds for blocks found from then on.`,
    value: (text) => units(text, PPM_DECIMALS), wrong: () => "Give a number of per cent, with at most 4 decimals." },
  pay_now: { name: "Pay what is available once, below the threshold too", field: null,
    hint: () => "The next batch pays it.", value: () => "", wrong: () => "" },
};

const percent = (ppm) => `${coins(String(ppm), PPM_DECIMALS).replace(/\.?0+$/, "")} %`;

/** Shows a step of the form and nothing of the one before. */
function show(...nodes) {
  step += 1;
  const open = box.querySelector("details")?.open ?? false;
  box.replaceChildren(h("details", { class: "account fold", open },
    h("summary", {}, "Change how this account is paid"), nodes));
  // What was just pressed is gone: the keyboard goes on where the next step begins.
  if (open) box.querySelector("[data-first]")?.focus();
  return step;
}

const note = (text, kind) => h("p", { class: `notice ${kind ?? ""}`, role: "status", tabindex: -1, "data-first": true }, text);
const again = () => h("p", { class: "more" }, button("Begin anew", choose));

function button(text, press, kind) {
  const made = h("button", { type: "button", class: kind }, text);
  made.addEventListener("click", press);
  return made;
}

function choose() {
  const what = h("select", { id: "set-what" }, Object.entries(WHATS).map(([key, { name }]) => h("option", { value: key }, name)));
  const value = h("div", {});
  const said = h("p", { class: "wrong", role: "alert" });
  const turn = () => {
    const { field, hint } = WHATS[what.value];
    said.textContent = "";
    put(value, field && h("div", { "data-key": what.value }, h("label", { for: "set-value" }, field(subject)),
      h("input", { id: "set-value", type: "text", maxlength: 140, autocomplete: "off", autocapitalize: "off", spellcheck: "false",
        inputmode: what.value === "address" ? "text" : "decimal" })), h("p", { class: "quiet" }, hint(subject)));
  };
  what.addEventListener("change", turn);
  const form = h("form", { class: "set" },
    h("p", { class: "quiet" }, subject.view.account.startsWith("name:") ? "You need this account's token: the pool's operator makes it."
      : "You need the wallet of this address. Nothing changes before you signed a text and sent it."),
    h("div", {}, h("label", { for: "set-what" }, "What"), what), value, h("p", {}, h("button", { type: "submit", class: "do" }, "Make the text to sign")), said);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = document.getElementById("set-value")?.value ?? "";
    const wanted = WHATS[what.value].value(text, subject);
    if (wanted === null) said.textContent = WHATS[what.value].wrong(subject);
    else askText(what.value, wanted, said);
  });
  turn();
  show(form);
}

/** Status and body of a question to the desk; its own words where it gives no answer. */
async function desk(path, options) {
  try {
    const response = await fetch(path, { headers: { accept: "application/json" }, ...options, cache: "no-store", referrerPolicy: "no-referrer" });
    return { status: response.status, body: await response.json() };
  } catch {
    return { status: 0, body: { outcome: "silent", message: "the desk does not answer" } };
  }
}

async function askText(what, value, said) {
  const at = step;
  const query = new URLSearchParams({ account: subject.view.account, what, value });
  const { status, body } = await desk(`/settings/text?${query}`);
  if (at !== step) return;
  if (status === 200) sign(what, value, body);
  else said.textContent = sentence(body.message ?? "the desk refuses it");
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** How an address of this kind signs; null if it cannot. */
function howToSign(account) {
  if (account.startsWith("evm:")) return "Sign it with personal_sign, which wallets call “sign message”: 0x and 130 hex digits.";
  const script = account.replace(/^script:/, "");
  const message = "“sign message” of your wallet: base64, of 65 bytes";
  if (/^76a914.{40}88ac$/.test(script)) return `Sign it with ${message}; signmessage of a node does it too.`;
  if (/^0014.{40}$/.test(script)) return `Sign it with ${message} (a header of BIP137 or the plain one), or BIP322 in its simple form.`;
  if (/^a914.{40}87$/.test(script)) return `Sign it with ${message}, where one SegWit key owns the address. An address of several keys cannot: ask the pool's operator.`;
  if (/^5120.{64}$/.test(script)) return "Sign it by BIP322 in its simple form.";
  return null;
}

/** What a text sets, in the units of the page. */
function meaning(what, value) {
  const { coin, decimals } = subject;
  if (what === "threshold") return value === "0" ? "It sets: the pool's threshold." : `It sets: paid from ${coins(value, decimals)} ${coin} on.`;
  if (what === "donation") return `It sets: ${percent(value)} of each credit goes to the pool's donations.`;
  return what === "address" ? "It sets: paid at the address in it." : "It sets: the next batch pays what is available.";
}

function sign(what, asked, body) {
  const byToken = body.by === "token";
  const { account, address } = subject.view;
  const how = byToken ? null : howToSign(account);
  if (!byToken && how === null) {
    show(note("An address of this kind has no single key that signs: the pool's operator sets it for you.", "bad"), again());
    return;
  }
  if (byToken && !window.isSecureContext) {
    show(note("This page came over a connection that others can read, so it takes no token. Open it over HTTPS, or use `orebook setting send --token`.", "bad"), again());
    return;
  }
  const until = new Date(body.until * 1000);
  const proof = byToken
    ? h("input", { id: "set-proof", type: "password", maxlength: 64, autocomplete: "one-time-code", spellcheck: "false", "data-first": true })
    : h("textarea", { id: "set-proof", rows: 3, maxlength: 256, autocomplete: "off", autocapitalize: "off", spellcheck: "false", "data-first": true });
  const said = h("p", { class: "wrong", role: "alert" });
  const form = h("form", { class: "set" }, h("div", {}, h("label", { for: "set-proof" }, byToken ? "Token of this account" : "Signature"), proof),
    byToken ? h("p", { class: "quiet" }, "64 hex digits. It goes to the pool's desk once and is kept nowhere.") : null,
    h("p", {}, h("button", { type: "submit", class: "do" }, "Send")), said);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const shown = proof.value.replace(/\s+/g, "");
    if (byToken ? !/^[0-9a-f]{64}$/i.test(shown) : shown === "") {
      said.textContent = byToken ? "A token is 64 hex digits." : "Paste the signature first.";
      return;
    }
    proof.value = "";
    send(what, body, byToken ? { token: shown } : { signature: shown });
  });
  show(h("h3", {}, "Read it, then sign exactly this text"),
    h("div", { class: "to-sign" }, h("pre", { id: "set-text", tabindex: 0, "aria-label": "The text to sign" }, body.text),
      h("button", { type: "button", "data-copy": body.text, "aria-label": "Copy the text to sign" }, "Copy")),
    byToken ? null : h("p", {}, how, " With the key of ", h("code", { class: "wrap" }, address), ", without a line's end behind the text."),
    h("p", {}, meaning(what, asked)), h("p", { class: "quiet" }, `It is taken until ${until.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}, and once.`,
      what === "address" ? ` ${waits(body)}` : ""), form, again());
}

/** What a change of an address waits. */
function waits(body) {
  return body.address_hold_ms ? `The new address holds ${hold(body.address_hold_ms)} after it is said; until then payouts go to the old one.`
    : "The new address holds as soon as it is said.";
}

async function send(what, asked, { token, signature }) {
  const sent = show(note("Sending."));
  const headers = { accept: "application/json", "content-type": "application/json" };
  const text = token === undefined ? { text: asked.text, signature } : { text: asked.text };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  let { status, body } = await desk("/settings", { method: "POST", headers, body: JSON.stringify(text) });
  for (let turn = 0; status === 202 && body.id && turn < ASK_AGAIN_MAX; turn += 1) {
    if (sent !== step) return;
    put(box.querySelector("[role=status]"), document.createTextNode("It is written, and not final yet. Waiting."));
    await new Promise((ready) => { setTimeout(ready, ASK_AGAIN_MS); });
    const next = await desk(`/settings/${body.id}`);
    // Told to come again, or no answer: it is written, so it is asked for again.
    if (next.status !== 0 && next.status !== 429 && next.status !== 503) ({ status, body } = next);
  }
  if (sent !== step) return;
  show(note(inWords(what, asked, body), { obeyed: "done", waits: "", unknown: "" }[body.outcome] ?? "bad"), again());
}

/** The desk's answer as its reader needs it. */
function inWords(what, asked, body) {
  switch (body.outcome) {
    case "obeyed":
      return `Done: it stands in the ledger at ${count(body.at[0])}.${body.at[1]}.${what === "address" ? ` ${waits(asked)}` : ""}`;
    case "waits":
      return `It stands in the ledger, and waits for ${body.thing?.missing ?? "some"} approvals of the pool's approvers.`;
    case "unknown":
      return "It is written, and not final yet. Look again later: what is in force stands above.";
    case "overtaken":
      return "Nothing changed: another setting of this account came first. Begin anew.";
    case "silent":
      return "The desk did not answer, so nobody knows here whether it was taken. Look above in a minute whether it is in force, before you begin anew.";
    default:
      if (body.cause === "signature") {
        return `${sentence(body.message)} Copy the text as it is, without a line more, and sign it with the key of the address in it. Nothing changed.`;
      }
      return REFUSED[body.cause] ?? `${sentence(body.message ?? "the desk refuses it")} Nothing changed.`;
  }
}

const REFUSED = {
  token: "That is not this account's token, or it has none: the pool's operator makes one. Nothing changed.",
  expects: "Another setting of this account came first, so this text is void. Begin anew. Nothing changed.",
  expired: "The hour of this text is over. Begin anew. Nothing changed.",
  too_many: "Too many questions or wrong signatures came from your address: wait a minute. Nothing changed.",
  too_often: "Too many settings were said in this hour: come again later. Nothing changed.",
};
