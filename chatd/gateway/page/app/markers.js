/** Unread counts and read markers: at most one for a room in a while, and at once on leaving it. */

import { objectsOf } from "./wire.js";

/** Between two markers of the room that is being read: each is an entry of the server's log. */
const MARKER_MS = 30_000;
const PAGES_LIMIT = 500;

export class Markers {
  /** @param {import("./rooms.js").RoomModel} model */
  constructor(model) {
    this.model = model;
    /** @type {Map<string, {seq: number, at: number}>} */
    this.sent = new Map();
    /** The server has no markers, or this role none. */
    this.off = false;
    this.restores = model.restores;
  }

  /** Ask the server what is unread. */
  async count() {
    const { model } = this;
    let after = null;
    for (let page = 0; page < PAGES_LIMIT && !this.off; page += 1) {
      const result = await this.#ask("unread", { after });
      const entries = objectsOf(result?.rooms);
      for (const { room, seq, unread } of entries) {
        const numbers = [seq, unread, result.cursor].every(Number.isSafeInteger);
        if (!numbers || typeof room !== "string" || !model.isIn(room)) continue;
        model.conversation(room).read.setCount(seq, unread, result.cursor, model.isVisible(room));
        after = room;
      }
      if (!result?.more || !entries.length) break;
    }
    model.touch("rooms", "rows");
  }

  /**
   * Send the markers that are due. Call it every few seconds, and on leaving a room.
   * @param {boolean} [all] also those that could wait
   */
  async send(all = false) {
    const now = this.model.clock();
    if (this.restores !== this.model.restores) {
      // The server has forgotten them, and what comes now has smaller numbers.
      this.restores = this.model.restores;
      this.sent.clear();
    }
    for (const [room, where] of this.model.conversations) {
      const seq = where.read.wantedMarker();
      const sent = this.sent.get(room);
      if (this.off || !seq || seq <= (sent?.seq ?? 0)) continue;
      // The clock may have been set back.
      const waited = Math.abs(now - (sent?.at ?? 0));
      if (!all && room === this.model.current && waited < MARKER_MS) continue;
      this.sent.set(room, { seq, at: now });
      await this.#ask("read", { room, seq });
    }
    if ([...this.model.conversations.values()].some((where) => where.read.stale)) await this.count();
  }

  /**
   * Ask, unless that is in vain. What fails is unread on the next start.
   * @param {string} kind
   * @param {import("./wire.js").Json} fields
   */
  async #ask(kind, fields) {
    try {
      return await this.model.request(kind, fields);
    } catch (error) {
      const code = /** @type {import("./fault.js").Fault} */ (error).code;
      if (code === "E103" || code === "E300") this.off = true;
      else if (kind === "read" && code !== "E301" && code !== "E404") this.sent.delete(String(fields.room));
      return null;
    }
  }
}
