/** One conversation: its rows in the order of the log, its members, what is unread. Pure. */

import { ReadState } from "./reading.js";
import { RowList } from "./row_list.js";
import { makeRow, quoteOf, reactedTo } from "./rows.js";
import { dmMembers } from "./text.js";

/** Redactions and reactions remembered, for pages that were read before them and arrive after. */
const LATE_LIMIT = 1_000;
const QUOTES_LIMIT = 500;

/**
 * @typedef {object} Member
 * @property {string} user
 * @property {string} role
 * @property {"online"|"away"|"offline"} state
 * @property {string} text the away text
 */

/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./rows.js").Quote} Quote */
/** @typedef {import("./rows.js").Reacted} Reacted */

/** A room or a direct conversation. Views only read it. */
export class Conversation extends RowList {
  /** @param {string} name "#war", "@alice,bob" */
  constructor(name) {
    super();
    this.name = name;
    this.topic = "";
    /** "open", "members", "read-only"; "" as long as it is unknown. */
    this.mode = "";
    this.archived = false;
    this.draft = "";
    this.read = new ReadState();
    /** Messages by msgId that have no place in the log yet, below all rows. @type {Map<string, Row>} */
    this.pending = new Map();
    /** @type {Map<string, Member>} */
    this.members = new Map();
    /** The members were fetched since the session began. */
    this.membersKnown = false;
    /** The latest rows were fetched. */
    this.loaded = false;
    /** This user has left. */
    this.left = false;
    /** Events between the rows and those to come may be missing. */
    this.gap = false;
    /** Events since the members were requested; null without a request. @type {any[]|null} */
    this.late = null;
    this.topicAt = this.joinedAt = this.partedAt = 0;
    /** The server's note on those who do not get what is written here, as it was told last. */
    this.unreached = "";
    /** @type {Map<number, Quote>} */
    this.quotes = new Map();
    /** Seqs of messages that others reply to and that are to be fetched. @type {Set<number>} */
    this.wanted = new Set();
    /** @type {[number, number][]} */
    this.redactions = [];
    /** @type {Reacted[]} */
    this.reacted = [];
  }

  /** "room", "direct" (two users) or "group". */
  get kind() {
    const users = dmMembers(this.name);
    return users.length > 2 ? "group" : users.length ? "direct" : "room";
  }

  get unread() {
    return this.read.unread;
  }

  /** Unread messages that address this user; in a direct conversation, all of them. */
  get mentions() {
    return this.kind === "room" ? this.read.calls.length : this.read.unread;
  }

  /** Seq of the first unread message, for the line above it; 0 for none. */
  get firstUnread() {
    return this.read.first;
  }

  /**
   * Drop the messages `first` to `last`, and quotes of them.
   * @param {number} first
   * @param {number} last
   */
  redact(first, last) {
    keep(this.redactions, /** @type {[number, number]} */ ([first, last]));
    const within = (/** @type {number} */ seq) => seq >= first && seq <= last;
    this.rows = this.rows.filter((row) => !(row.msgId && within(row.seq)));
    this.setQuotes([...this.quotes.keys()].filter(within).map((seq) => [seq, null]));
    this.update((row) => (within(row.replyTo) ? makeRow({ ...row, quote: quoteOf(null) }) : row));
  }

  /**
   * Leave out of the notes on a message who does not get it, if the last message had the same one.
   * @param {any[]} notes
   */
  fresh(notes) {
    const left = String(notes.find((one) => one.rule === "left")?.text ?? "");
    const told = this.unreached;
    this.unreached = left;
    return notes.filter((one) => one.rule !== "left" || left !== told);
  }

  /** @param {number} seq */
  isRedacted(seq) {
    return this.redactions.some(([first, last]) => seq >= first && seq <= last);
  }

  /**
   * Count a reaction; the event has the count, so that none is counted twice.
   * @param {Reacted} one
   */
  react(one) {
    keep(this.reacted, one);
    const row = this.message(one.target);
    if (row) this.change(one.target, reactedTo(row, one));
  }

  /**
   * Return what a reply to `seq` quotes. Notes that it has to be fetched if it is not known.
   * @param {number} seq
   * @returns {Quote|null}
   */
  quote(seq) {
    if (!seq) return null;
    const row = this.message(seq);
    if (row) return quoteOf(row);
    const known = this.quotes.get(seq);
    if (!known && this.wanted.size < QUOTES_LIMIT) this.wanted.add(seq);
    return known ?? { user: "", text: "", known: false };
  }

  /**
   * Keep messages that were fetched for quotes; null for those that cannot be read.
   * @param {[number, {user: string, body: string}|null][]} found
   */
  setQuotes(found) {
    for (const [seq, one] of found) {
      this.quotes.set(seq, quoteOf(this.isRedacted(seq) ? null : one));
      this.wanted.delete(seq);
    }
    for (const old of [...this.quotes.keys()].slice(0, -QUOTES_LIMIT)) this.quotes.delete(old);
    this.update((row) => {
      const quote = this.quotes.get(row.replyTo);
      return quote ? makeRow({ ...row, quote }) : row;
    });
  }

  /** Note that this user is not in the room: its events no longer arrive. */
  leave() {
    this.left = true;
    this.#expectGap();
    this.members.clear();
    this.read.leave();
  }

  /**
   * Drop everything after `seq`: the server's log continues differently from there.
   * @param {number} seq
   */
  restore(seq) {
    const lost = this.rows.findIndex((row) => row.seq > seq || row.changed > seq);
    if (lost >= 0) {
      this.rows.splice(lost);
      this.#expectGap();
    }
    this.redactions = [];
    this.reacted = [];
    this.quotes.clear();
    this.topicAt = this.joinedAt = this.partedAt = 0;
    this.read.restore(seq);
    this.revision += 1;
  }

  /** Drop all rows: others follow, and those between are missing. */
  drop() {
    this.rows = [];
    this.#expectGap();
    this.revision += 1;
  }

  #expectGap() {
    this.gap = true;
    this.loaded = this.membersKnown = false;
  }
}

/**
 * Append to a bounded list.
 * @template T
 * @param {T[]} list
 * @param {T} item
 */
function keep(list, item) {
  list.push(item);
  if (list.length > LATE_LIMIT) list.shift();
}
