// Draw one row of the talk: a message, an event, a day line.

import { avatar, nameClass } from "./avatar.js";
import { button, h } from "./dom.js";
import { fold, styled } from "./markup.js";
import { clock, day, exact } from "./times.js";

/** @typedef {import("../rows.js").Row} Row */

/**
 * What is drawn: the row, and what its neighbours and the reader make of it.
 * @typedef {object} Item
 * @property {Row} row
 * @property {boolean} first the first of its author's messages: with avatar and name
 * @property {boolean} open a snippet that is shown in full
 * @property {boolean} found the row that a search or a quote led to
 */

/**
 * What can be done with a message.
 * @typedef {object} RowActions
 * @property {(row: Row) => void} reply
 * @property {(row: Row, anchor: HTMLElement) => void} menu
 * @property {(row: Row, text: string) => void} react
 * @property {(row: Row, anchor: HTMLElement) => void} pick choose a reaction
 * @property {(row: Row) => void} unfold
 * @property {(seq: number) => void} go
 * @property {(row: Row) => boolean} canAnswer
 * @property {(row: Row) => (Node | null)} refusal what can be done about a refused message
 */

/** @param {number} at @returns {HTMLElement} */
export const dayLine = (at) => h("div.day", { role: "separator", "aria-label": day(at) }, day(at));

/** @returns {HTMLElement} */
export const newLine = () => h("div.new", { role: "separator", "aria-label": "New messages" }, "New");

/** @param {Item} item @param {RowActions} acts @returns {HTMLElement} */
export function drawRow(item, acts) {
  const { row } = item;
  if (row.kind === "message" || row.kind === "action") return message(item, acts);
  if (row.kind === "announcement") {
    const head = h("strong", {}, `${row.user || "The server"} announces: `);
    return h("div.event.loud", { title: exact(row.at) }, h("span", {}, head, styled(row.body)));
  }
  const time = row.at ? ` ${clock(row.at)}` : "";
  return h("div.event", row.at ? { title: exact(row.at) } : {}, h("span", {}, row.body, h("small", {}, time)));
}

/** @param {Item} item @param {RowActions} acts */
function message(item, acts) {
  const { row, first, found } = item;
  const names = ["message", first && "first", row.mentionsMe && "mention", found && "found", state(row)];
  const element = h(
    `article.${names.filter(Boolean).join(".")}`,
    { tabindex: "-1", "aria-label": `${row.user}, ${clock(row.at)}`, "data-seq": row.seq || undefined },
    first
      ? avatar(row.user, { size: "large" })
      : h("time", { datetime: new Date(row.at).toISOString(), title: exact(row.at) }, clock(row.at)),
    h(
      "div",
      {},
      first && head(row),
      quoted(row, acts),
      body(item, acts),
      row.state === "refused" && acts.refusal(row),
      reactions(row, acts),
    ),
    row.state === "log" && tools(row, acts),
  );
  return element;
}

/** @param {Row} row */
function state(row) {
  return row.state === "pending" || row.state === "held" ? "pending" : "";
}

/** @param {Row} row */
function head(row) {
  const role = row.role && row.role !== "user" ? row.role : "";
  return h(
    "div.head",
    {},
    h(`span.name.${nameClass(row.user)}`, {}, row.user),
    role && h(`span.role${role === "admin" ? ".admin" : ""}`, {}, role),
    h("time", { datetime: new Date(row.at).toISOString(), title: exact(row.at) }, clock(row.at)),
  );
}

/** @param {Row} row @param {RowActions} acts */
function quoted(row, acts) {
  const { quote } = row;
  if (!quote) return null;
  const gone = quote.known ? "a deleted or unreadable message" : "an earlier message";
  const text = quote.user ? `${quote.user}: ${quote.text}` : gone;
  return h(
    "button.quote.cut",
    { type: "button", "aria-label": `In answer to ${text}`, onclick: () => acts.go(row.replyTo) },
    text,
  );
}

/** @param {Item} item @param {RowActions} acts */
function body(item, acts) {
  const { row } = item;
  const marks = [
    row.edited > 0 && h("span.mark", {}, " (edited)"),
    row.edits > 0 && h("span.mark", {}, " (edit)"),
    row.state === "pending" && h("span.mark", {}, " sending\u2026"),
    row.state === "held" && h("span.mark", {}, " waits for a moderator"),
  ];
  if (row.isSnippet) return [snippet(item, acts), h("div.body", {}, marks)];
  if (row.kind === "action") return h("div.body.action", { dir: "auto" }, `* ${row.user} `, styled(row.body), marks);
  return h("div.body", { dir: "auto" }, styled(row.body), marks);
}

/** @param {Item} item @param {RowActions} acts */
function snippet({ row, open }, acts) {
  const { text, more, cut } = fold(row.body);
  const toggle = button(open ? "Show less" : more, () => acts.unfold(row), { "aria-expanded": open, hidden: !open && !cut });
  const pre = h(`pre${open ? "" : ".folded"}`, { tabindex: "0", "aria-label": "Snippet" }, open ? row.body : text);
  // How many rows a line takes depends on the width.
  if (!open && !cut) new ResizeObserver(() => (toggle.hidden = pre.scrollHeight <= pre.clientHeight + 1)).observe(pre);
  return h(`div.snippet${open ? ".open" : ""}`, {}, pre, toggle);
}

/** @param {Row} row @param {RowActions} acts */
function reactions(row, acts) {
  if (!row.reactions.length) return null;
  return h(
    "div.reactions",
    { role: "group", "aria-label": "Reactions" },
    row.reactions.map((one) =>
      button(`${one.text} ${one.count}`, () => acts.react(row, one.text), {
        "aria-pressed": one.mine,
        "aria-label": `${one.text}, ${one.count}${one.mine ? ", yours too" : ""}`,
        disabled: !acts.canAnswer(row),
      }),
    ),
  );
}

/** @param {Row} row @param {RowActions} acts */
function tools(row, acts) {
  const opens = (/** @type {(row: Row, anchor: HTMLElement) => void} */ act) => (/** @type {any} */ event) =>
    act(row, event.currentTarget);
  return h(
    "div.tools",
    {},
    acts.canAnswer(row) && button("React", opens(acts.pick), { icon: "smile", bare: true, tabIndex: -1 }),
    acts.canAnswer(row) && button("Reply", () => acts.reply(row), { icon: "reply", bare: true, tabIndex: -1 }),
    button("More", opens(acts.menu), { icon: "more", bare: true, tabIndex: -1, "aria-haspopup": "menu" }),
  );
}
