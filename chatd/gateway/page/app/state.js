/** Everything that the page shows, without network or storage. */

import { Conversation } from "./conversation.js";
import { READING_LIMIT, ROWS_LIMIT } from "./row_list.js";
import { makeRow } from "./rows.js";
import { addressOf, conversationAt, dmMembers, line, mentions, titleOf, visible } from "./text.js";

/** Conversations kept: as many as any server allows. */
const ROOMS_LIMIT = 2_000;
/** Notices kept until the view dismisses them; the oldest go first. */
const NOTICES_LIMIT = 50;

/**
 * @typedef {"starting"|"no-identity"|"joining"|"connecting"|"connected"|"reconnecting"|"ended"|"other-tab"} Phase
 *   "no-identity": ask for an invite, then `model.join`. "ended": `trouble` says why; connecting again
 *   does not help, or `model.reconnect()` tries. "other-tab": another tab has the session;
 *   `model.takeOver()` moves it here.
 *
 * @typedef {"state"|"rooms"|"rows"|"members"|"notices"} Part
 *   "state": phase, trouble, role, permissions, unsent; "rooms": the list, unread, titles; "rows":
 *   the rows or pending messages of the current conversation; "members": those of the current one
 *
 * @typedef {object} Notice Something to tell the person now; dismiss it with `model.dismiss(id)`.
 * @property {number} id
 * @property {"info"|"error"|"mention"|"announcement"|"removal"} kind
 * @property {string} title
 * @property {string} text
 * @property {string} fix what to do, "" for nothing
 * @property {string} room the conversation concerned, "" for none
 * @property {number} at ms since 1970
 */

/** Views read the fields, and change nothing but by methods of the model. */
export class ChatState {
  /** @param {{clock?: () => number}} [options] `clock` gives ms since 1970 */
  constructor({ clock = Date.now } = {}) {
    this.clock = clock;
    /** @type {Phase} */
    this.phase = "starting";
    /** Why there is no session. @type {import("./fault.js").Fault|null} */
    this.trouble = null;
    /** When the next attempt to connect begins, in ms since 1970; 0 when none is awaited. */
    this.retryAt = 0;
    /** How often the server went back to a backup. */
    this.restores = 0;
    /** This user, "" before there is an identity. */
    this.me = "";
    this.device = "";
    this.instance = "";
    this.role = "";
    /** Permissions of this user's present role (docs/protocol.md, section 10). @type {Set<string>} */
    this.permissions = new Set();
    /** Why what the server shows may be old, "" if it is not. */
    this.isolated = "";
    /** The last welcome: `limits`, `long_text`, `version`. @type {any} */
    this.welcome = null;
    /** SHA-256 of this browser's key and of the CA that it knows, in hex; null without an identity. */
    this.identity = /** @type {{keyHash: string, caHash: string}|null} */ (null);
    /** When the certificate of this browser ends, in ms since 1970; 0 for unknown. */
    this.certificateEnds = 0;
    /** Whether the browser keeps identity, drafts and outbox. False: private mode, storage refused. */
    this.isKept = true;
    /** Messages that the server has not answered. */
    this.unsent = 0;
    /** The conversation on the screen, "" for none. */
    this.current = "";
    /** The page has the person's attention; see `look`. */
    this.looking = true;
    /** The person is scrolled back. */
    this.reading = false;
    /** @type {Map<string, Conversation>} */
    this.conversations = new Map();
    /** Rooms and groups that this user is in. @type {Set<string>} */
    this.joined = new Set();
    /** Rooms with an invitation to this user. @type {Set<string>} */
    this.invitations = new Set();
    /**
     * Where this user is muted ("" is everywhere), and until when; null until somebody ends it.
     * @type {Map<string, number|null>}
     */
    this.mutes = new Map();
    /** @type {Notice[]} */
    this.notices = [];
    /** What waits for this user's decision, as the server told last. @type {Map<string, number>} */
    this.waiting = new Map();
    /** Seq of the last event. */
    this.heard = 0;
    /** The welcome could not list all rooms. */
    this.roomsMissing = false;
    /** @type {Set<(parts: Set<Part>) => void>} */
    this.listeners = new Set();
    /** @type {Set<Part>} */
    this.changed = new Set();
    this.made = 0;
  }

  /**
   * Call `listener` with the parts that changed, soon after they did; returns a function that ends it.
   * @param {(parts: Set<Part>) => void} listener
   */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** @param {Part[]} parts */
  touch(...parts) {
    if (this.changed.size === 0) queueMicrotask(() => this.flush());
    for (const part of parts) this.changed.add(part);
  }

  /** Tell the listeners now. */
  flush() {
    const parts = this.changed;
    this.changed = new Set();
    if (parts.size) for (const listener of [...this.listeners]) listener(parts);
  }

  /** The current conversation, or null. */
  get here() {
    return this.current ? this.conversation(this.current) : null;
  }

  /** Unread messages in all conversations. */
  get unread() {
    return sum(this.conversations, (one) => one.unread);
  }

  /** Unread messages that address this user. */
  get mentions() {
    return sum(this.conversations, (one) => one.mentions);
  }

  /** @param {string} permission */
  may(permission) {
    return this.permissions.has(permission);
  }

  /** Whether messages can be read here: in joined rooms and direct conversations. @param {string} name */
  isIn(name) {
    return this.joined.has(name) || dmMembers(name).length > 0;
  }

  /** Joined rooms, then direct conversations, each by title. */
  listed() {
    const shown = [...this.conversations.values()].filter(
      (one) =>
        one.name === this.current ||
        this.joined.has(one.name) ||
        (one.kind !== "room" && !(one.left && one.kind === "group")),
    );
    const order = (/** @type {Conversation} */ one) =>
      (one.kind === "room" ? "0" : "1") + this.title(one.name);
    return shown.sort((one, other) => (order(one) < order(other) ? -1 : 1));
  }

  /** @param {string} name */
  title(name) {
    return titleOf(name, this.me);
  }

  /** @param {string} name */
  address(name) {
    return addressOf(name, this.me);
  }

  /** @param {string} address */
  resolve(address) {
    return conversationAt(address, this.me);
  }

  /** Return a conversation; makes an unknown one. @param {string} name */
  conversation(name) {
    let known = this.conversations.get(name);
    if (!known) {
      if (this.conversations.size >= ROOMS_LIMIT) this.#dropOne();
      known = new Conversation(name);
      this.conversations.set(name, known);
      this.touch("rooms");
    }
    return known;
  }

  /** Whether the person sees what is said in a conversation. @param {string} name */
  isVisible(name) {
    return name === this.current && this.looking && !this.reading;
  }

  /** Whether a message addresses this user: a direct one, or one with their name. @param {any} event */
  addressesMe(event) {
    const direct = dmMembers(event.room).length > 0;
    return event.user !== this.me && (direct || mentions(event.body, this.me));
  }

  /**
   * Add a sentence of this client's own to a conversation.
   * @param {string} text
   * @param {string} [where]
   */
  note(text, where = this.current) {
    if (!where) {
      this.tell("info", "", text);
      return;
    }
    const conversation = this.conversation(where);
    const key = `n${(this.made += 1)}`;
    const seq = conversation.newest;
    const body = visible(text);
    conversation.add(makeRow({ key, seq, kind: "note", state: "local", at: this.clock(), body }));
    this.trim(conversation);
    this.touch("rows");
  }

  /**
   * Add a notice.
   * @param {Notice["kind"]} kind
   * @param {string} title
   * @param {string} text
   * @param {{fix?: string, room?: string}} [more]
   */
  tell(kind, title, text, { fix = "", room = "" } = {}) {
    this.made += 1;
    const shown = { title: line(title), text: visible(text), fix: visible(fix) };
    this.notices.push({ id: this.made, kind, ...shown, room, at: this.clock() });
    if (this.notices.length > NOTICES_LIMIT) this.notices.shift();
    this.touch("notices");
  }

  /** @param {number} id */
  dismiss(id) {
    this.notices = this.notices.filter((notice) => notice.id !== id);
    this.touch("notices");
  }

  /** @param {Conversation} where */
  trim(where) {
    where.trim(where.name === this.current && this.reading ? READING_LIMIT : ROWS_LIMIT);
  }

  #dropOne() {
    const others = [...this.conversations.values()].filter((one) => one.name !== this.current);
    const idle = others.find((one) => !one.unread && !one.pending.size && !one.draft);
    this.conversations.delete((idle ?? others[0]).name);
  }
}

/** @param {Map<string, Conversation>} all @param {(one: Conversation) => number} count */
function sum(all, count) {
  return [...all.values()].reduce((total, one) => total + count(one), 0);
}
