/** What the model fetches of the server: lists, pages of history, messages that are quoted. */

import { addEvent } from "./apply.js";
import { loggedOf } from "./events.js";
import { ChatState } from "./state.js";
import { objectsOf } from "./wire.js";

/** Events of one page of history. */
const PAGE = 100;
/** Bounds what a server can make this page ask; a page of a list has up to 200 entries. */
const PAGES_LIMIT = 500;
/** Messages that one request fetches by their seqs. */
const SEQS_LIMIT = 100;

export class HistoryModel extends ChatState {
  /** @param {{clock?: () => number}} [options] */
  constructor(options) {
    super(options);
    /** The way to the server and the storage, see `Client`. @type {any} */
    this.client = null;
  }

  /**
   * Ask the server (docs/protocol.md, section 7); returns the result. Waits for a session.
   * @param {string} kind
   * @param {import("./wire.js").Json} [fields] those that are null are left out
   * @returns {Promise<any>}
   */
  request(kind, fields = {}) {
    return this.client.request(kind, fields);
  }

  /**
   * Return all entries of a list that comes in pages.
   * @param {string} kind
   * @param {string} key of the list in the result
   * @param {string} by the field of an entry that continues the list
   * @param {import("./wire.js").Json} [fields]
   * @returns {Promise<any[]>}
   */
  async all(kind, key, by, fields = {}) {
    const found = [];
    let after = null;
    for (let page = 0; page < PAGES_LIMIT; page += 1) {
      const result = await this.request(kind, { ...fields, after });
      const entries = objectsOf(result[key]);
      found.push(...entries);
      after = result.next ?? entries.at(-1)?.[by] ?? null;
      if (!result.more || after === null) break;
    }
    return found;
  }

  /**
   * Load the latest messages of a conversation unless they are here.
   * @param {string} name
   */
  async load(name) {
    const where = this.conversation(name);
    if (!where.loaded) await this.#page(name, 0);
    await this.loadQuotes(name);
  }

  /**
   * Load a page of older messages; returns how many rows came. `hasOlder` tells whether there are more.
   * @param {string} name
   * @returns {Promise<number>}
   */
  async loadOlder(name) {
    const where = this.conversation(name);
    if (!where.loaded) return this.#page(name, 0);
    if (!where.hasOlder) return 0;
    const count = await this.#page(name, where.oldest);
    await this.loadQuotes(name);
    return count;
  }

  /**
   * Fetch the messages that rows reply to and that are not here.
   * @param {string} name
   */
  async loadQuotes(name) {
    const where = this.conversation(name);
    while (where.wanted.size) {
      const seqs = [...where.wanted].sort((one, other) => one - other).slice(0, SEQS_LIMIT);
      const result = await this.request("messages", { room: name, seqs });
      const events = loggedOf(result.events).filter((event) => event.type === "message");
      const last = result.more === true ? Math.max(seqs[0], events.at(-1)?.seq ?? 0) : seqs.at(-1) ?? 0;
      const found = new Map(events.map((event) => [event.seq, event]));
      const judged = seqs.filter((seq) => seq <= last);
      where.setQuotes(judged.map((seq) => [seq, found.get(seq) ?? null]));
      this.touch("rows");
    }
  }

  /**
   * Fetch a page of history; returns the number of rows that came.
   * @param {string} name
   * @param {number} before 0 for the latest
   */
  async #page(name, before) {
    const where = this.conversation(name);
    const fields = { room: name, limit: PAGE, before: before || null };
    const result = await this.request("history", fields).catch((error) => {
      if (error.code === "E404" && name.startsWith("@")) return { events: [], more: false };
      throw error;
    });
    const events = loggedOf(result.events).filter((event) => event.room === name);
    // Rows at the top were dropped meanwhile, or the room was left: the page would leave a gap.
    if (before && before !== where.oldest) return 0;
    if (name.startsWith("#") && !this.joined.has(name)) return 0;
    if (!before && where.gap && result.more) where.dropBefore(events[0]?.seq ?? 0);
    where.gap = false;
    const found = events.filter((event) => !(event.type === "message" && where.isRedacted(event.seq)));
    const count = found.filter((event) => addEvent(this, where, event)).length;
    where.hasOlder = result.more === true && events.length > 0;
    where.loaded = true;
    this.client.rowsCame(name);
    this.touch("rows");
    return count;
  }
}
