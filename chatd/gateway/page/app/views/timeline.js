// The talk of the current conversation: day lines, grouped messages, the line above the first unread one.

import { h } from "./dom.js";
import { dayLine, drawRow, newLine } from "./message_row.js";
import { sameDay } from "./times.js";
import { VirtualList } from "./virtual_list.js";

/** @typedef {import("../rows.js").Row} Row */
/** @typedef {import("./message_row.js").Item} Item */
/** @typedef {import("./message_row.js").RowActions} RowActions */
/** @typedef {import("./virtual_list.js").Row} ListRow */

// Messages of one author that follow within this time are one group.
const GROUP_MS = 5 * 60_000;
// How long the message is marked to which a quote or a search has led.
const FOUND_MS = 4_000;

export class Timeline {
  /**
   * @param {any} model
   * @param {RowActions} acts
   * @param {{onScroll: () => void, onTop: () => void, onFocusLost: () => void}} listeners
   */
  constructor(model, acts, listeners) {
    this.model = model;
    this.acts = acts;
    this.element = h("div.timeline", { role: "log", "aria-live": "off", tabindex: "0", "aria-label": "Messages" });
    this.list = new VirtualList(this.element, (value) => this.#draw(value), listeners);
    this.room = "";
    this.line = 0;
    this.found = 0;
    /** @type {Set<string>} */
    this.opened = new Set();
    /** @type {Map<string, Item>} */
    this.items = new Map();
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show the current conversation as it is now. */
  update() {
    const here = this.model.here;
    const isNew = (here?.name ?? "") !== this.room;
    if (isNew) {
      this.room = here?.name ?? "";
      this.opened.clear();
      this.items.clear();
      this.line = here?.firstUnread ?? 0;
      this.element.setAttribute("aria-label", here ? `Messages in ${this.model.title(here.name)}` : "Messages");
    } else if (here && here.firstUnread > this.line) this.line = here.firstUnread;
    this.list.set(here ? this.#rows(here) : [], { forget: isNew });
    if (isNew && this.line && this.list.places.has("new")) this.list.show("new", "start");
  }

  /** Tell the model which messages are on the screen. */
  tellView() {
    if (!this.model.here?.read.gap || this.room !== this.model.current || this.element.hidden) return;
    const rows = this.list.inView().map(seqOf).filter(Boolean);
    const place = this.list.rows.findIndex((row) => seqOf(row) === rows[0]);
    const above = this.list.rows.slice(0, Math.max(0, place)).map(seqOf).findLast(Boolean);
    this.model.view(above ?? 0, rows[0] ?? 0, this.list.stuck ? Infinity : (rows.at(-1) ?? 0));
  }

  /** @param {number} seq @returns {boolean} false when the message is not here */
  reveal(seq) {
    const known = this.list.show(`m${seq}`);
    if (!known) return false;
    this.found = seq;
    this.update();
    this.list.element(`m${seq}`)?.focus();
    setTimeout(() => {
      if (this.found === seq) this.found = 0;
      this.update();
    }, FOUND_MS);
    return true;
  }

  /** @param {Row} row */
  unfold(row) {
    if (!this.opened.delete(row.key)) this.opened.add(row.key);
    this.update();
  }

  /** @param {any} value */
  #draw(value) {
    if (typeof value === "number") return dayLine(value);
    return value === "new" ? newLine() : drawRow(value, this.acts);
  }

  /** @param {any} here @returns {ListRow[]} */
  #rows(here) {
    /** @type {ListRow[]} */
    const rows = [];
    /** @type {Row | null} */
    let before = null;
    const all = [...here.rows, ...here.pending.values()];
    const items = new Map();
    let marked = !this.line;
    for (const row of all) {
      const newDay = row.at > 0 && !(before && sameDay(before.at, row.at));
      if (newDay) rows.push({ key: `d${row.key}`, value: dayStart(row.at) });
      const isNew = !marked && row.seq >= this.line && !row.mine && row.msgId !== "";
      if (isNew) rows.push({ key: "new", value: "new" });
      marked ||= isNew;
      const first = newDay || isNew || !before || !follows(row, before);
      const item = this.#item(row, first);
      items.set(row.key, item);
      rows.push({ key: row.key, value: item });
      before = row;
    }
    this.items = items;
    return rows;
  }

  /** The same object as before if nothing has changed, so that it is not drawn again.
   * @param {Row} row @param {boolean} first @returns {Item} */
  #item(row, first) {
    const open = this.opened.has(row.key);
    const found = this.found > 0 && row.seq === this.found && row.msgId !== "";
    const known = this.items.get(row.key);
    const same = known && known.row === row && known.first === first && known.open === open;
    return same && known.found === found ? known : { row, first, open, found };
  }

  /** Move among messages with the arrow keys. @param {KeyboardEvent} event */
  #key(event) {
    const steps = /** @type {Object<string, number>} */ ({ ArrowUp: -1, ArrowDown: 1 });
    const step = steps[event.key];
    const on = document.activeElement;
    if (!step || event.altKey || event.ctrlKey || !(on instanceof HTMLElement)) return;
    const articles = /** @type {HTMLElement[]} */ ([...this.element.querySelectorAll("article")]);
    const at = articles.indexOf(on);
    if (at < 0 && on !== this.element) return;
    event.preventDefault();
    const shown = at < 0 ? articles.filter((one) => this.#inView(one)) : articles;
    const next = at < 0 ? shown.at(step < 0 ? -1 : 0) : shown[at + step];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  /** @param {HTMLElement} element */
  #inView(element) {
    const [outer, inner] = [this.element.getBoundingClientRect(), element.getBoundingClientRect()];
    return inner.bottom > outer.top && inner.bottom <= outer.bottom + 1;
  }
}

/** The seq of the message in a row of the list; 0 for other rows. @param {ListRow} row @returns {number} */
function seqOf({ value }) {
  return value.row?.msgId ? value.row.seq : 0;
}

/** @param {number} at */
function dayStart(at) {
  return new Date(at).setHours(12, 0, 0, 0);
}

/** @param {Row} row @param {Row} before */
function follows(row, before) {
  const plain = row.kind === "message" && before.kind === "message" && !row.quote;
  return plain && row.user === before.user && row.at - before.at < GROUP_MS;
}
