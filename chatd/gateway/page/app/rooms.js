/** The rooms of the model: entering, leaving, loading. */

import { HistoryModel } from "./history.js";
import { setMember } from "./membership.js";
import { Markers } from "./markers.js";
import { dmMembers, line } from "./text.js";

/** The state, and what a person does with conversations. */
export class RoomModel extends HistoryModel {
  /** @param {{clock?: () => number}} [options] */
  constructor(options) {
    super(options);
    this.markers = new Markers(this);
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
    await this.#find(name);
    this.show(name);
    // What this browser has kept is shown without a connection, too.
    if (this.phase !== "connected" && this.conversation(name).loaded) return;
    await this.load(name);
    if (this.phase !== "connected") return;
    if (name.startsWith("#")) await this.#describe(name);
    await this.loadMembers(name);
  }

  /** Refuse a new conversation with somebody who does not exist. @param {string} name */
  async #find(name) {
    if (this.phase !== "connected" || this.conversations.has(name)) return;
    for (const user of dmMembers(name).filter((one) => one !== this.me)) {
      await this.request("whois", { user }).catch((error) => {
        if (error.code === "E405") throw error;
      });
    }
  }

  /** Ask for topic and mode: the log may have them before the first page. @param {string} room */
  async #describe(room) {
    const since = this.heard;
    const info = await this.request("room_info", { room }).catch(() => null);
    if (info?.joined) this.#entered(info, since);
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

  /** Learn which of this user's rooms are private, once: the welcome names them only. */
  async learnModes() {
    const unknown = [...this.joined].some((name) => name.startsWith("#") && !this.conversation(name).mode);
    if (!unknown || !this.may("room.list")) return;
    for (const one of await this.rooms()) {
      const where = this.joined.has(one.room) ? this.conversation(one.room) : null;
      // What an event has told meanwhile is newer.
      if (where) where.mode ||= String(one.mode);
    }
    this.touch("rooms");
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

  /**
   * Note which messages of the current conversation are on the screen: from seq `first` to `last`.
   * @param {number} above the message before `first`, 0 if that is the oldest row here
   * @param {number} first 0 for no message
   * @param {number} last Infinity while the end is in view
   */
  view(above, first, last) {
    const { here } = this;
    if (!here?.loaded || !this.looking || (here.hasOlder && !first)) return;
    here.read.view(above || (here.hasOlder ? first - 1 : 0), last);
  }

  /** Count everything in the current conversation as read, and hide the line above the first unread message. */
  hideFirstUnread() {
    if (this.here) Object.assign(this.here.read, { first: 0, gap: null });
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

  /**
   * Put a conversation on the screen as it is here; "" for none.
   * @param {string} name
   */
  show(name) {
    if (this.current && this.current !== name && this.here) {
      this.here.read.leaveView();
      this.here.trim();
      this.client.background(() => this.markers.send(true));
    }
    this.current = name;
    this.markRead();
    this.touch("rooms", "rows", "members", "state");
  }

  // -- inside

  /** Count nothing here as unread any more. */
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
}
