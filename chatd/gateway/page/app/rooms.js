/** The rooms of the model: entering, leaving, loading. */

import { addEvent, setMember } from "./apply.js";
import { loggedOf } from "./events.js";
import { Markers } from "./markers.js";
import { ChatState } from "./state.js";
import { line } from "./text.js";
import { objectsOf } from "./wire.js";

/** Events of one page of history. */
const PAGE = 100;
/** Bounds what a server can make this page ask; a page of a list has up to 200 entries. */
const PAGES_LIMIT = 500;
/** Messages that one request fetches by their seqs. */
const SEQS_LIMIT = 100;

/** The state, and what a person does with conversations. */
export class RoomModel extends ChatState {
  /** @param {{clock?: () => number}} [options] */
  constructor(options) {
    super(options);
    /** The way to the server and the storage, see `Client`. @type {any} */
    this.client = null;
    this.markers = new Markers(this);
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

  // -- conversations

  /**
   * Show a conversation: "#room" (joins it), "@bob", "@bob,carol" or the name of a conversation.
   * Loads its latest messages and its members.
   * @param {string} address
   */
  async enter(address) {
    const name = this.resolve(address);
    if (name.startsWith("#") && !this.joined.has(name)) await this.joinRoom(name);
    this.#switch(name);
    await this.load(name);
    if (this.phase === "connected") await this.loadMembers(name);
  }

  /**
   * Join a room without showing it.
   * @param {string} room
   */
  async joinRoom(room) {
    const since = this.heard;
    this.#entered(await this.request("join", { room }), since);
  }

  /**
   * Create a room, own it and show it.
   * @param {string} room "#name"
   * @param {{topic?: string, guests?: boolean, mode?: "open"|"members"|"read-only",
   *   history?: "all"|"since_join"}} [options]
   */
  async createRoom(room, options = {}) {
    const since = this.heard;
    this.#entered(await this.request("create", { room, ...options }), since);
    await this.enter(room);
  }

  /**
   * Leave a room or a group.
   * @param {string} room
   */
  async leaveRoom(room) {
    await this.request("part", { room });
  }

  /**
   * Return the rooms that the user is in or may join.
   * @param {boolean} [archived] the archived ones instead
   * @returns {Promise<{room: string, topic: string, guests: boolean, members: number, archived: boolean,
   *   mode: string, history: string, joined: boolean, invited: boolean}[]>}
   */
  rooms(archived = false) {
    return this.all("rooms", "rooms", "room", { archived });
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
   * Fetch the members of a room.
   * @param {string} name
   */
  async loadMembers(name) {
    const where = this.conversation(name);
    if (!this.may("presence.read") || where.membersKnown) return;
    /** @type {any[]} */
    const late = (where.late = []);
    const entries = await this.all("who", "members", "user", { room: name }).catch((error) => {
      // Two users who have not written to each other.
      if (error.code === "E404" && name.startsWith("@")) return [];
      throw error;
    });
    // A later request was made meanwhile.
    if (where.late !== late) return;
    where.late = null;
    where.members.clear();
    for (const entry of entries) setMember(where, entry, String(entry.state));
    // The pages may be older than events received since the request.
    for (const event of late) {
      if (event.type === "parted") where.members.delete(line(event.user));
      else if (event.type === "joined" || where.members.has(line(event.user))) {
        setMember(where, event, event.state ?? (event.by === event.user ? "online" : null));
      }
    }
    where.membersKnown = this.phase === "connected";
    this.touch("members");
  }

  /**
   * Note whether the page has the person's attention, and whether they are scrolled back.
   * @param {boolean} looking
   * @param {boolean} [reading]
   */
  look(looking, reading = false) {
    this.looking = looking;
    this.reading = reading;
    if (this.current && this.isVisible(this.current)) this.markRead();
  }

  /** Hide the line above the first unread message of the current conversation. */
  hideFirstUnread() {
    if (this.here) this.here.read.first = 0;
    this.touch("rows");
  }

  /**
   * Keep a text that is being written; also across reloads.
   * @param {string} name
   * @param {string} text
   */
  setDraft(name, text) {
    this.conversation(name).draft = text;
    this.client.keepDraft(name, text);
    this.touch("rooms");
  }

  // -- inside

  /** @param {string} name */
  #switch(name) {
    if (this.current && this.current !== name && this.here) {
      this.here.read.first = 0;
      this.here.trim();
      this.client.background(() => this.markers.send(true));
    }
    this.current = name;
    this.markRead();
    this.touch("rooms", "rows", "members", "state");
  }

  /** Count what is on the screen as read. */
  markRead() {
    if (this.here?.read.readAll()) this.touch("rooms");
  }

  /**
   * Apply the reply to `join` or `create`.
   * @param {any} result
   * @param {number} since the seq of the last event at the request; later events win
   */
  #entered(result, since) {
    const where = this.conversation(String(result.room));
    if (where.partedAt > since) return;
    this.joined.add(where.name);
    where.left = false;
    where.archived = result.archived === true;
    if (typeof result.mode === "string") where.mode = result.mode;
    if (where.topicAt <= since) where.topic = line(String(result.topic ?? ""));
    this.touch("rooms", "state");
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
}
