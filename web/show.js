// How figures are written, and how the page's elements are made and kept.

const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z"];

/** Hashes a second with three significant digits. */
export function hashrate(perSecond) {
  let value = Number(perSecond);
  let step = 0;
  while (value >= 1000 && step < PREFIXES.length - 1) {
    value /= 1000;
    step += 1;
  }
  const whole = step === 0 && Number.isInteger(value);
  const digits = whole || value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return `${value.toFixed(digits)} ${PREFIXES[step]}H/s`;
}

/** Hashes with three significant digits: of ethash-likes a difficulty is how many a share needs. */
export const hashes = (count) => hashrate(count).replace("/s", "");

/** A string of base units as coins; all decimals, groups of three before the point. */
export function coins(units, decimals) {
  const negative = units.startsWith("-");
  const digits = (negative ? units.slice(1) : units).padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const sign = negative ? "\u2212" : "";
  return decimals === 0 ? sign + whole : `${sign}${whole}.${digits.slice(-decimals)}`;
}

export const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

/** A ratio as per cent: effort, luck. */
export const percent = (ratio) => `${(ratio * 100).toFixed(ratio >= 10 ? 0 : 1)} %`;

export function ago(time, now) {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

/** A time as it stands in the ledger. */
export const day = (time, seconds = false) => `${time.slice(0, seconds ? 19 : 16).replace("T", " ")} UTC`;

/** A length of time in milliseconds, in the largest unit that says it exactly. */
export function hold(ms) {
  const units = [[86400000, "day"], [3600000, "hour"], [60000, "minute"], [1000, "second"]];
  const [step, name] = units.find(([size]) => size <= ms && ms % size === 0) ?? [1000, "second"];
  const many = Math.ceil(ms / step);
  return `${count(many)} ${name}${many === 1 ? "" : "s"}`;
}

export const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** Start and end of a long name. */
export const short = (text, start = 8, end = 6) =>
  text.length <= start + end + 1 ? text : `${text.slice(0, start)}…${text.slice(-end)}`;

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "line", "text", "circle", "g", "rect"]);

/** An element: h("td", {class: "n"}, "12"). Text is text, never markup. */
export function h(tag, attributes, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** Makes `target` hold `wanted`, and touches only what differs: focus, selection and scrolling stay. */
export function put(target, ...wanted) {
  patchChildren(target, wanted.flat(2).filter((node) => node instanceof Node));
}

function patchChildren(target, wanted) {
  wanted.forEach((node, index) => {
    const have = target.childNodes[index];
    if (!have) target.append(node);
    else patch(have, node);
  });
  while (target.childNodes.length > wanted.length) target.lastChild.remove();
}

function patch(have, node) {
  const same = have.nodeType === node.nodeType && have.nodeName === node.nodeName
    && have.getAttribute?.("data-key") === node.getAttribute?.("data-key");
  if (!same) {
    have.replaceWith(node);
  } else if (node.nodeType === Node.TEXT_NODE) {
    if (have.data !== node.data) have.data = node.data;
  } else {
    for (const { name } of [...have.attributes]) {
      // What a reader opened stays open.
      if (!node.hasAttribute(name) && name !== "open") have.removeAttribute(name);
    }
    for (const { name, value } of node.attributes) {
      if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    }
    patchChildren(have, [...node.childNodes]);
  }
}

/**
 * A table whose cells carry their column's name, so that a narrow screen can show rows as cards. Roles are said, since a
 * browser forgets them where the style sheet makes a row a grid.
 */
export function table(caption, columns, rows) {
  const head = columns.map(([name, kind]) => h("th", { scope: "col", role: "columnheader", class: kind }, name));
  const body = rows.map((cells) =>
    h("tr", { role: "row" }, cells.map((cell, index) => {
      const [name, kind] = columns[index];
      return h("td", { role: "cell", class: kind, "data-label": name }, cell);
    })));
  return h("table", { role: "table" }, h("caption", { class: "hidden" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)), h("tbody", { role: "rowgroup" }, body));
}
