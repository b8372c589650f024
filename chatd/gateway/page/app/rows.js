/** The rows of conversations. Pure. */

import { beginning, line, mentions, visible } from "./text.js";

const REACTIONS_LIMIT = 20;
const REACTION_CHARS = 16;

/**
 * One row. Rows are never changed: a change puts another object in the row's place. All texts are
 * safe to show with textContent.
 * @typedef {object} Row
 * @property {string} key stable and unique in its conversation
 * @property {number} seq that of the event; of a row without one, the last event before it
 * @property {"message"|"action"|"event"|"announcement"|"note"} kind "action" is "/me"
 * @property {"log"|"pending"|"held"|"refused"|"local"} state "log": the server has it; "pending": it
 *   waits in the outbox; "held": it waits for a moderator; "refused": see `fault`; "local": a note
 * @property {number} at ms since 1970; of a pending row, when it was written
 * @property {string} user its author, "" for none
 * @property {string} role the author's role when it was written
 * @property {string} body
 * @property {string} msgId "" for other rows than messages
 * @property {boolean} mine this user wrote it
 * @property {boolean} mentionsMe
 * @property {boolean} isSnippet a long text or lines of a file: fold it
 * @property {number} edited seq of the last edit, 0 for none
 * @property {number} changed seq of the last edit or reaction, 0 for none
 * @property {number} edits of a pending or refused edit, the message's seq; else 0
 * @property {number} replyTo seq of the message it replies to, 0 for none
 * @property {Quote|null} quote that message, null for none
 * @property {Reaction[]} reactions
 * @property {import("./fault.js").Fault|null} fault why it was refused
 *
 * @typedef {object} Quote
 * @property {string} user "" if the message was deleted or cannot be read, or is not `known` yet
 * @property {string} text its beginning
 * @property {boolean} known it was looked up
 *
 * @typedef {{text: string, count: number, mine: boolean}} Reaction
 *
 * @typedef {object} Reacted
 * @property {number} seq
 * @property {number} target
 * @property {string} text
 * @property {number} count
 * @property {boolean|null} mine null: somebody else's event, which leaves mine as it was
 */

/** @type {Row} */
const EMPTY = Object.freeze({
  key: "", seq: 0, kind: "note", state: "log", at: 0, user: "", role: "", body: "", msgId: "",
  mine: false, mentionsMe: false, isSnippet: false, edited: 0, changed: 0, edits: 0, replyTo: 0,
  quote: null, reactions: [], fault: null,
});

/**
 * Make a row.
 * @param {Partial<Row>} fields
 * @returns {Row}
 */
export function makeRow(fields) {
  return Object.freeze({ ...EMPTY, ...fields });
}

/**
 * Return the row of a message in the log.
 * @param {any} event a judged `message`
 * @param {string} me
 * @param {Quote|null} quote
 */
export function messageRow(event, me, quote) {
  const reactions = (event.reactions ?? []).filter(isReaction).slice(0, REACTIONS_LIMIT);
  return makeRow({
    key: `m${event.seq}`,
    seq: event.seq,
    kind: event.kind === "action" ? "action" : "message",
    at: event.at,
    user: line(event.user),
    role: line(event.role),
    body: visible(event.body),
    msgId: event.msg_id || "?",
    mine: event.user === me,
    mentionsMe: event.user !== me && mentions(event.body, me),
    isSnippet: event.kind === "snippet",
    edited: event.edited ?? 0,
    changed: event.edited ?? 0,
    replyTo: event.reply_to ?? 0,
    quote,
    reactions: reactions.map((/** @type {any} */ one) => ({
      text: line(one.text).slice(0, REACTION_CHARS),
      count: one.count,
      mine: one.mine === true,
    })),
  });
}

/**
 * Return the row of another event of the log: a sentence.
 * @param {any} event
 * @param {string} body
 */
export function eventRow(event, body) {
  return makeRow({ key: `e${event.seq}`, seq: event.seq, kind: "event", at: event.at, body });
}

/**
 * Return what is quoted of a message; null stands for one that cannot be read.
 * @param {{user: string, body: string}|null} message
 * @returns {Quote}
 */
export function quoteOf(message) {
  const text = message ? beginning(message.body) : "";
  return { user: message ? line(message.user) : "", text, known: true };
}

/**
 * Return what a reaction changes in a row. The event has the count, so none is counted twice.
 * @param {Row} row
 * @param {Reacted} one
 * @returns {Partial<Row>}
 */
export function reactedTo(row, one) {
  const before = row.reactions.find((known) => known.text === one.text);
  const now = { text: one.text, count: one.count, mine: one.mine ?? before?.mine ?? false };
  const reactions = before
    ? row.reactions.map((known) => (known === before ? now : known))
    : [...row.reactions, now];
  return {
    reactions: reactions.filter((known) => known.count > 0).slice(0, REACTIONS_LIMIT),
    changed: Math.max(row.changed, one.seq),
  };
}

/** @param {any} one */
function isReaction(one) {
  return typeof one.text === "string" && Number.isSafeInteger(one.count) && one.count > 0;
}
