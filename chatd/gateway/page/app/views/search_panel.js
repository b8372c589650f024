// Search: words and filters, hits newest first, each leading to its place in the talk.

import { nameClass } from "./avatar.js";
import { button, fill, h } from "./dom.js";
import { explain } from "./dialogs.js";
import { styled } from "./markup.js";
import { when } from "./times.js";

const HINTS = ["from:", "in:#", "before:7d", "since:2h", "has:snippet"];
const EXCERPT = 400;
// A word that is searched whole: no filter, no phrase, no star.
const PLAIN = /^[\p{L}\p{N}_-]{2,}$/u;

export class SearchPanel {
  /**
   * @param {any} model
   * @param {{go: (room: string, seq: number) => void, close: () => void}} acts
   */
  constructor(model, acts) {
    this.model = model;
    this.acts = acts;
    this.input = h("input", { type: "search", "aria-label": "Search messages", placeholder: "Search messages", autocomplete: "off" });
    this.result = h("p.quiet.small", { role: "status" });
    this.list = h("ol", { "aria-label": "Found messages" });
    this.wider = h("div.hints", { hidden: true });
    this.older = button("Older ones", () => void this.#search(this.before), { hidden: true, class: "plain" });
    this.before = 0;
    this.query = "";
    const hint = (/** @type {string} */ text) => button(text, () => this.#add(text), { title: `Add ${text} to the search` });
    this.element = h(
      "section.search",
      { "aria-label": "Search", hidden: true },
      h("form", { role: "search", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void this.#search(0)) },
        this.input,
        button("Search", () => {}, { type: "submit", class: "main" }),
        button("Close the search", acts.close, { icon: "close", bare: true }),
      ),
      h("div.hints", { role: "group", "aria-label": "Filters" }, HINTS.map(hint)),
      h("div.hints", {}, this.result),
      this.wider,
      this.list,
      h("div.hints", {}, this.older),
    );
  }

  open() {
    this.element.hidden = false;
    this.input.focus();
    this.input.select();
  }

  /** @param {string} words */
  ask(words) {
    this.input.value = words;
    void this.#search(0);
  }

  /** @param {string} text */
  #add(text) {
    this.input.value = `${this.input.value.trim()} ${text}`.trim();
    this.input.focus();
  }

  /** @param {number} before */
  async #search(before) {
    const query = before ? this.query : this.input.value.trim();
    if (!query) return;
    this.query = query;
    this.result.textContent = "Searching\u2026";
    this.wider.hidden = true;
    try {
      const found = await this.model.search(query, before);
      const items = found.hits.map((/** @type {any} */ hit) => this.#hit(hit));
      if (before) this.list.append(...items);
      else fill(this.list, ...items);
      this.before = found.before;
      this.older.hidden = !found.more;
      const count = this.list.children.length;
      const partial = found.partial ? " Not all messages were searched: narrow the search." : "";
      const nothing = count ? "" : this.#widen(query);
      this.result.textContent = `${nothing || `${count} found.`}${partial}`;
    } catch (error) {
      this.result.textContent = explain(error);
    }
  }

  /** Say that nothing is found, and offer to find the words within others. @param {string} query */
  #widen(query) {
    const words = query.split(/\s+/);
    const plain = words.filter((word) => PLAIN.test(word));
    // Within a phrase a word is not searched alone.
    if (!plain.length || query.includes('"')) return "Nothing found.";
    const starred = (/** @type {(word: string) => string} */ star) => words.map((word) => (PLAIN.test(word) ? star(word) : word)).join(" ");
    const offer = (/** @type {string} */ text) => button(text, () => this.ask(text), { title: `Search ${text}` });
    const [begin, within] = [starred((word) => `${word}*`), starred((word) => `*${word}*`)];
    const what = plain.length > 1 ? "all of these words" : "this word";
    const note = (/** @type {string} */ text) => h("span.small", {}, text);
    fill(this.wider, offer(begin), note("finds words that begin with it,"), offer(within), note("words that contain it."));
    this.wider.hidden = false;
    return `Nothing has exactly ${what}.`;
  }

  /** @param {{room: string, row: import("../rows.js").Row}} hit */
  #hit({ room, row }) {
    return h(
      "li",
      {},
      h(
        "button.hit",
        { type: "button", onclick: () => this.acts.go(room, row.seq) },
        h("span.small", {}, h(`span.name.${nameClass(row.user)}`, {}, row.user), h("span.quiet", {}, ` ${this.model.title(room)}, ${when(row.at)}`)),
        h("span.body", { dir: "auto" }, styled(row.body.slice(0, EXCERPT)).map((one) => (one instanceof HTMLAnchorElement ? one.textContent : one))),
      ),
    );
  }
}
