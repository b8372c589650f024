/** Judge what the server sends (docs/protocol.md, section 8), before anything else reads it. */

import { Fault } from "./fault.js";
import { isObject, objectsOf } from "./wire.js";

const BY = "by by_login?";
const ROOM = `${BY} room`;
const WRITTEN = "room user device role msg_id kind body reply_to?:i";

/** Fields of the events in the log, which also have `seq` and `at`: name, ? for optional, type. */
const LOGGED = {
  message: `${WRITTEN} edited?:i edited_at?:i reactions?:a`,
  edited: `target:i ${WRITTEN}`,
  reacted: "room target:i user text on:b count:i",
  joined: `${ROOM} user role`,
  parted: `${ROOM} user reason?`,
  room_created: `${ROOM} topic guests:b mode? history?`,
  dm_opened: "room by?",
  topic: `${ROOM} topic`,
  redacted: `${ROOM} target:i user? own?:b reason?`,
  expired: "room upto:i count:i",
  held: `${ROOM} on:b reason?`,
  archived: `${ROOM} on:b reason?`,
  room_removed: `${ROOM} reason?`,
  room_mode: `${ROOM} mode`,
  owner_set: `${ROOM} user on:b`,
  invited: `${ROOM} user until:i`,
  uninvited: `${ROOM} user`,
  announcement: `${BY} body`,
  read: "room user upto:i",
  guest_reminded: "user guest ends:i",
  message_held: `${WRITTEN} word`,
  message_approved: `${ROOM} user msg_id target:i published:i`,
  message_refused: `${ROOM} user msg_id target:i reason?`,
};
const OTHERS = {
  welcome:
    "protocol:i server version instance user device role permissions:t rooms:t invites?:t head:i " +
    "lineage?:a time:i long_text? isolated? limits:o",
  ok: "id:i result:o",
  error: "id:i code reason fix",
  attention: "what count:i user place",
  presence: "room user state text? cause? by? by_login? reason? device? key? sponsor?",
  standing: "change role permissions:t by by_login? reason? room? until?:i",
  ping: "",
  lagged: "",
  slowed: "seconds:i",
  isolated: "reason",
  authority_changed: "",
  bye: "code reason fix retry:b retry_after?:i",
};

/** @type {{[type: string]: (value: unknown) => boolean}} */
const IS = {
  s: (value) => typeof value === "string",
  i: (value) => Number.isSafeInteger(value),
  b: (value) => typeof value === "boolean",
  a: (value) => Array.isArray(value) && value.every(isObject),
  t: (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
  o: isObject,
};

/**
 * @typedef {object} ServerEvent A judged frame: the fields of its type are there and have their types.
 * @property {string} type
 */

/** @typedef {[name: string, optional: boolean, type: string]} Field */
/** @type {Map<string, {fields: Field[], logged: boolean}>} */
const KINDS = new Map();
for (const [table, logged] of /** @type {[{[name: string]: string}, boolean][]} */ ([
  [LOGGED, true],
  [OTHERS, false],
])) {
  for (const [type, words] of Object.entries(table)) {
    const all = `${words} ${logged ? "seq:i at:i" : ""}`.split(" ").filter(Boolean);
    const fields = all.map((word) => {
      const [name, kind = "s"] = word.split(":");
      return /** @type {Field} */ ([name.replace("?", ""), name.endsWith("?"), kind]);
    });
    KINDS.set(type, { fields, logged });
  }
}

/**
 * Return a frame of a known type; null for others, which newer servers send. Throws E102.
 * @param {import("./wire.js").Json} frame
 * @returns {any}
 */
export function judged(frame) {
  const kind = typeof frame.type === "string" ? KINDS.get(frame.type) : undefined;
  if (!kind) return null;
  /** @type {import("./wire.js").Json} */
  const event = { type: frame.type };
  for (const [name, optional, type] of kind.fields) {
    const value = Object.hasOwn(frame, name) ? frame[name] : undefined;
    if (value === undefined || value === null) {
      if (!optional) throw new Fault("E102", `the server sent ${frame.type} without ${name}`);
    } else if (!IS[type](value)) {
      throw new Fault("E102", `the server sent a wrong ${name} in ${frame.type}`);
    }
    event[name] = value ?? null;
  }
  return event;
}

/**
 * Whether this is the type of an event in the log.
 * @param {unknown} type
 */
export function isLogged(type) {
  return typeof type === "string" && KINDS.get(type)?.logged === true;
}

/**
 * Return the known events in the log among the items of a page; throws E102 for malformed ones.
 * @param {unknown} items
 * @returns {any[]}
 */
export function loggedOf(items) {
  return objectsOf(items).filter((item) => isLogged(item.type)).map(judged);
}
