/** The rows of a conversation, in the order of the log. Pure. */

import { makeRow, quoteOf } from "./rows.js";

/** Rows kept; the server is asked again for older ones. */
export const ROWS_LIMIT = 1_000;
/** The limit while the person is scrolled back, so that no row vanishes while it is read. */
export const READING_LIMIT = 12_000;
const TRIM_STEP = 200;

/** @typedef {import("./rows.js").Row} Row */

export class RowList {
  constructor() {
    /** @type {Row[]} the log's, and this client's notes among them */
    this.rows = [];
    /** The server has events before the first row. */
    this.hasOlder = true;
    /** Grows with every change of the rows. */
    this.revision = 0;
  }

  /** Seq of the first event; 0 without any. */
  get oldest() {
    return this.rows.find((row) => row.state === "log")?.seq ?? 0;
  }

  get newest() {
    return this.rows.at(-1)?.seq ?? 0;
  }

  /**
   * Insert a row by its seq, behind others of the same; false when the event is there already.
   * @param {Row} row
   */
  add(row) {
    const at = this.#after(row.seq);
    if (row.state === "log" && this.#find(row.seq) >= 0) return false;
    this.rows.splice(at, 0, row);
    this.revision += 1;
    return true;
  }

  /**
   * Put rows into the places of those with the same seq.
   * @param {(row: Row) => Row} change
   */
  update(change) {
    this.rows = this.rows.map(change);
    this.revision += 1;
  }

  /** @param {number} [limit] */
  trim(limit = ROWS_LIMIT) {
    if (this.rows.length < limit + TRIM_STEP) return;
    this.rows.splice(0, this.rows.length - limit);
    this.hasOlder = true;
    this.revision += 1;
  }

  /**
   * Return the message with a seq, or null when it is not here.
   * @param {number} seq
   * @returns {Row|null}
   */
  message(seq) {
    const row = this.rows[this.#find(seq)];
    return row && row.msgId ? row : null;
  }

  /**
   * Replace a message, and what others quote of it.
   * @param {number} seq
   * @param {Partial<Row>} fields
   */
  change(seq, fields) {
    const at = this.#find(seq);
    const before = this.rows[at];
    if (!before) return;
    const row = makeRow({ ...before, ...fields });
    this.rows[at] = row;
    if (row.body !== before.body) {
      this.update((one) => (one.replyTo === seq ? makeRow({ ...one, quote: quoteOf(row) }) : one));
    }
    this.revision += 1;
  }

  /**
   * Drop all rows before an event, because those between are missing.
   * @param {number} seq
   */
  dropBefore(seq) {
    this.rows = this.rows.filter((row) => row.seq >= seq);
    this.revision += 1;
  }

  /** The place behind the rows up to `seq`. @param {number} seq */
  #after(seq) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The place of the event with a seq; -1 for none. @param {number} seq */
  #find(seq) {
    for (let at = this.#after(seq) - 1; at >= 0 && this.rows[at].seq === seq; at -= 1) {
      if (this.rows[at].state === "log") return at;
    }
    return -1;
  }
}
