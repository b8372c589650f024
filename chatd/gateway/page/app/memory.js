/** Keep the cursor, drafts and the last rows of each conversation, and show them after a reload. */

import { makeRow } from "./rows.js";

/** Rows kept of a conversation, and conversations of which rows are kept. */
const ROWS_KEPT = 100;
const ROOMS_KEPT = 100;
/** Characters kept of a conversation: a hundred snippets would be five million. */
const CHARS_KEPT = 100_000;
const SAVE_MS = 1_000;
const PARKED = "chatd.drafts";

/** @typedef {import("./store.js").Write} Write */

export class Memory {
  /** Conversations whose rows changed since they were saved. @type {Set<string>} */
  #dirty = new Set();
  /** @type {Map<string, string>} */
  #drafts = new Map();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  /** Another tab has the session, or everything was forgotten: nothing more is written. */
  #isOver = false;
  #saved = "";
  #owner = "";

  /**
   * @param {import("./store.js").Store|import("./store.js").MemoryStore} store
   * @param {import("./state.js").ChatState} state
   * @param {import("./session.js").Session} session
   */
  constructor(store, state, session) {
    this.store = store;
    this.state = state;
    this.session = session;
  }

  /** Keep nothing more: what this tab has not written yet is older than what the next one writes. */
  release() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dirty.clear();
    this.#drafts.clear();
    unpark();
  }

  /** Show what earlier pages, or other tabs meanwhile, have kept; the session goes on behind it. */
  async load() {
    const { state, session } = this;
    const cursor = await this.store.get("keep", "cursor");
    this.#owner = (await this.store.get("keep", "owner")) ?? "";
    const drafts = await this.store.all("drafts");
    // Another tab may have sent one.
    for (const one of state.conversations.values()) one.draft = "";
    for (const [name, text] of drafts) state.conversation(String(name)).draft = text;
    this.#isOver = false;
    for (const [name, text] of parked()) {
      state.conversation(name).draft = text;
      await this.keepDraft(name, text);
    }
    // This tab may have had the session before, and another one since.
    session.cursor = cursor?.seq ?? null;
    session.lineage = cursor?.lineage ?? [];
    for (const [name, kept] of await this.store.all("recent")) {
      const where = state.conversation(String(name));
      if (!cursor) continue;
      where.rows = kept.rows.map((/** @type {any} */ row) => makeRow(row));
      where.topic = kept.topic;
      where.mode = kept.mode ?? "";
      where.loaded = true;
      where.revision += 1;
      if (kept.joined) state.joined.add(where.name);
    }
    state.heard = session.cursor ?? 0;
    state.touch("rooms", "rows");
  }

  /**
   * Whether what is kept belongs to a user; nothing belongs to anybody.
   * @param {string} owner
   */
  belongsTo(owner) {
    if (this.#owner && this.#owner !== owner) return false;
    if (!this.#owner) void this.store.write([["keep", "owner", owner]]).catch(() => {});
    this.#owner = owner;
    return true;
  }

  /**
   * Note what events have changed, and save it soon.
   * @param {any[]} events
   */
  note(events) {
    for (const event of events) {
      if (event.type === "restored" || event.type === "skipped") {
        for (const name of this.state.conversations.keys()) this.#dirty.add(name);
      }
      if (typeof event.room === "string") this.#dirty.add(event.room);
    }
    this.#later();
  }

  /** Note that the rows of a conversation were fetched. @param {string} name */
  noteRows(name) {
    this.#dirty.add(name);
    this.#later();
  }

  /** Save a draft at once: the page may be reloaded right after the last key. @param {string} name @param {string} text */
  async keepDraft(name, text) {
    if (this.#isOver) return;
    this.#drafts.set(name, text);
    await this.store.write([["drafts", name, text || undefined]]);
    if (this.#drafts.get(name) === text) this.#drafts.delete(name);
    if (!this.#drafts.size) unpark();
  }

  /** Put drafts that are not saved where it takes no time: the page goes away. */
  park() {
    if (this.#isOver || !this.#drafts.size) return;
    try {
      sessionStorage.setItem(PARKED, JSON.stringify([...this.#drafts]));
    } catch {
      // The browser keeps nothing.
    }
  }

  /** Save what is not saved: rows and cursor at once, so that they fit together. */
  async save() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isOver) return;
    /** @type {Write[]} */
    const writes = [...this.#drafts].map(([name, text]) => ["drafts", name, text || undefined]);
    const { cursor, lineage } = this.session;
    const now = JSON.stringify([cursor, lineage]);
    if (cursor !== null && now !== this.#saved) writes.push(["keep", "cursor", { seq: cursor, lineage }]);
    const dirty = [...this.#dirty];
    for (const name of dirty) writes.push(["recent", name, this.#recent(name)]);
    this.#dirty.clear();
    this.#drafts.clear();
    if (!writes.length) return;
    try {
      await this.store.write(writes);
      this.#saved = now;
      if (!this.#drafts.size) unpark();
    } catch (error) {
      for (const name of dirty) this.#dirty.add(name);
      throw error;
    }
  }

  /** @param {string} name */
  #recent(name) {
    const where = this.state.conversations.get(name);
    const kept = [...this.state.conversations.keys()].slice(0, ROOMS_KEPT);
    if (!where?.loaded || !kept.includes(name)) return undefined;
    const joined = this.state.joined.has(name);
    let chars = 0;
    const rows = where.rows.filter((row) => row.state === "log").slice(-ROWS_KEPT).reverse();
    const tooMuch = rows.findIndex((row) => (chars += row.body.length) > CHARS_KEPT);
    const fitting = (tooMuch < 0 ? rows : rows.slice(0, tooMuch)).reverse();
    return { rows: fitting, topic: where.topic, mode: where.mode, joined };
  }

  #later() {
    this.#timer ??= setTimeout(() => void this.save().catch(() => {}), SAVE_MS);
  }
}

/** The drafts that the page before could not save. @returns {[string, string][]} */
function parked() {
  try {
    const found = JSON.parse(sessionStorage.getItem(PARKED) ?? "[]");
    unpark();
    return found.map((/** @type {any[]} */ [name, text]) => [String(name), String(text)]);
  } catch {
    return [];
  }
}

function unpark() {
  try {
    sessionStorage.removeItem(PARKED);
  } catch {
    // The browser keeps nothing.
  }
}
