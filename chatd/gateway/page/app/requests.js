/** What a session sends, and how the server ends it. */

import { Fault } from "./fault.js";

/** Requests that may be sent again when it is unknown whether they arrived. */
export const REPEATABLE = new Set(
  ("history search rooms who whois unread messages reactions read users bans mutes devices certificates " +
    "invite_list asks held_list guest_list audit stats role_show room_info join part topic away react " +
    "hold room_archive room_mode invite invite_create device_add").split(" "),
);

/** @typedef {import("./outbox.js").Sent} Sent */

/**
 * @typedef {object} Asked A request that somebody waits for.
 * @property {string} kind
 * @property {import("./wire.js").Json} fields
 * @property {(result: any) => void} resolve
 * @property {(fault: Fault) => void} reject
 * @property {boolean} given the caller has stopped waiting
 */

/** The server's last word: whether to connect again, or when. */
export class Bye extends Fault {
  /** @param {any} event a judged `bye` */
  constructor(event) {
    if (event?.type !== "bye") throw new Fault("E100");
    super(event.code, event.reason, event.fix);
    this.retry = event.retry;
    /** @type {number|null} seconds */
    this.after = event.retry_after;
  }
}

/**
 * Return the request that sends a message or an edit.
 * @param {number} id
 * @param {Sent} sent
 */
export function sendFrame(id, sent) {
  const { msgId: msg_id, to, body } = sent;
  if (sent.edits) return { type: "edit", id, msg_id, room: to, seq: sent.edits, body };
  /** @type {import("./wire.js").Json} */
  const frame = { type: "send", id, msg_id, to, body };
  if (sent.kind !== "text") frame.kind = sent.kind;
  if (sent.anyway) frame.anyway = true;
  if (sent.replyTo) frame.reply_to = sent.replyTo;
  return frame;
}
