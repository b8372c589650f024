/**
 * The model of the page: the state (see `ChatState`) and everything that a person can do.
 *
 * Actions return promises that are rejected with a `Fault` (`code`, `reason`, `fix`) when the server or
 * this client refuses; show it. What the state shows changes by itself: subscribe to it.
 *
 *     const model = new ChatModel();
 *     model.subscribe((parts) => draw(model, parts));
 *     await model.start();            // phase is "no-identity" now, or "connecting"
 *     await model.join(code, "laptop");
 *     await model.enter("#lobby");
 *     await model.send("hello");
 */

import { Admin } from "./admin.js";
import { apply } from "./apply.js";
import { Client } from "./client.js";
import { loggedOf } from "./events.js";
import { Fault } from "./fault.js";
import { makeRow, messageRow } from "./rows.js";
import { RoomModel } from "./rooms.js";
import { visible } from "./text.js";

const HITS = 50;

/**
 * @typedef {object} Found
 * @property {{room: string, row: import("./rows.js").Row}[]} hits newest first
 * @property {boolean} more there are older ones: search again with `before`
 * @property {number} before
 * @property {boolean} partial not all messages were searched: narrow the search
 */

export class ChatModel extends RoomModel {
  /**
   * @param {object} [options]
   * @param {() => number} [options.clock] ms since 1970
   * @param {any} [options.client] another way to the server; for tests
   */
  constructor({ clock = Date.now, client } = {}) {
    super({ clock });
    /** The acts of admins and owners. */
    this.admin = new Admin(this);
    this.client = client ?? new Client(this);
  }

  /** Open the browser's storage and connect if there is an identity. */
  async start() {
    await this.client.start();
  }

  /**
   * Redeem an invite, "HOST:PORT/CODE" or the code alone: make the key, check the CA's fingerprint, get
   * the certificate, connect. E607 and E5xx: try again with the same code.
   * @param {string} code
   * @param {string} [device] a name for this browser, such as "firefox"; "" if the invite has one
   */
  async join(code, device = "") {
    await this.client.join(code, device);
  }

  /** Forget everything in this browser: identity, drafts, messages. Nothing can bring it back. */
  async forget() {
    await this.client.forget();
  }

  /** Connect now instead of waiting, also after "ended". */
  reconnect() {
    this.client.tryNow();
  }

  /** Take the session over from the tab that has it. */
  takeOver() {
    this.client.takeOver();
  }

  // -- messages

  /**
   * Send a message to the current conversation. Resolves once it is kept; from then on it is sent until
   * the server answers, once, across reloads. Its row shows what became of it. E606: nothing is kept.
   * @param {string} body
   * @param {{kind?: "text"|"action"|"snippet", replyTo?: number, anyway?: boolean, to?: string}} [options]
   *   `anyway`: although it has a forbidden word; `to`: another conversation or address
   * @returns {Promise<string>} the msgId, the key of its row
   */
  async send(body, { kind = "text", replyTo = 0, anyway = false, to = this.current } = {}) {
    if (!to) throw new Fault("E301");
    if (!body.trim()) throw new Fault("E402");
    return this.#hand({ to: this.address(this.resolve(to)), body, kind, replyTo, edits: 0, anyway });
  }

  /**
   * Replace the text of an own message; kept and sent as a message is.
   * @param {number} seq
   * @param {string} body
   * @param {string} [room]
   */
  async edit(seq, body, room = this.current) {
    if (!body.trim()) throw new Fault("E402");
    return this.#hand({ to: room, body, kind: "edit", replyTo: 0, edits: seq, anyway: false });
  }

  /**
   * Remove the row of a refused message, and return its text to correct it.
   * @param {string} msgId
   * @param {string} [room]
   */
  takeBack(msgId, room = this.current) {
    const where = this.conversation(room);
    const row = where.pending.get(msgId);
    if (row?.state !== "refused") return "";
    this.unpend(msgId, where.name);
    this.client.drop(msgId);
    return row.body;
  }

  /**
   * Delete an own message for everybody, permanently.
   * @param {number} seq
   * @param {string} [room]
   */
  async remove(seq, room = this.current) {
    await this.request("delete", { room, seq });
  }

  /**
   * React to a message, or take the reaction back.
   * @param {number} seq
   * @param {string} text one word or emoji
   * @param {boolean} [on]
   * @param {string} [room]
   */
  async react(seq, text, on = true, room = this.current) {
    await this.request("react", { room, seq, text, on });
  }

  /**
   * Return who reacted to a message.
   * @param {number} seq
   * @param {string} [room]
   * @returns {Promise<{text: string, count: number, users: string[]}[]>}
   */
  async reactions(seq, room = this.current) {
    return (await this.request("reactions", { room, seq })).reactions;
  }

  /**
   * Find messages: words, "phrases", swap*, from:NAME, in:#room, has:snippet, since:2h, before:2026-01-31.
   * @param {string} query
   * @param {number} [before] `before` of the page before
   * @returns {Promise<Found>}
   */
  async search(query, before = 0) {
    const result = await this.request("search", { query, limit: HITS, before: before || null });
    const events = loggedOf(result.events).filter((event) => event.type === "message");
    return {
      hits: events.map((event) => ({ room: event.room, row: messageRow(event, this.me, null) })),
      more: result.more === true,
      before: events.at(-1)?.seq ?? 0,
      partial: result.partial === true,
    };
  }

  /**
   * Show who somebody is: role, devices, presence, shared rooms.
   * @param {string} user
   * @returns {Promise<any>} as the result of `whois` (docs/protocol.md, section 7)
   */
  whois(user) {
    return this.request("whois", { user });
  }

  /**
   * Set the away text; "" ends being away.
   * @param {string} text
   */
  async away(text) {
    await this.request("away", { text });
  }

  /**
   * Set the topic of a room.
   * @param {string} topic
   * @param {string} [room]
   */
  async setTopic(topic, room = this.current) {
    await this.request("topic", { room, topic });
  }

  // -- what the client tells

  /**
   * Apply events of the session, in order.
   * @param {any[]} events
   */
  take(events) {
    for (const event of events) {
      apply(this, event);
      if (event.type === "caught-up") this.#caughtUp();
    }
  }

  /**
   * Show a message as pending.
   * @param {import("./outbox.js").Sent} sent
   */
  pending(sent) {
    const where = this.conversation(this.resolve(sent.to));
    where.pending.set(
      sent.msgId,
      makeRow({
        key: sent.msgId, seq: where.newest, state: sent.fault ? "refused" : "pending", at: sent.at,
        user: this.me, mine: true, fault: sent.fault && new Fault(sent.fault.code, sent.fault.reason, sent.fault.fix),
        kind: sent.kind === "action" ? "action" : "message", role: this.role, body: visible(sent.body),
        msgId: sent.msgId, isSnippet: sent.kind === "snippet", edits: sent.edits,
        replyTo: sent.replyTo, quote: where.quote(sent.replyTo),
      }),
    );
    this.touch("rows", "state");
  }

  /**
   * Remove the row of a message that is not kept.
   * @param {string} msgId
   * @param {string} to
   */
  unpend(msgId, to) {
    this.conversation(this.resolve(to)).pending.delete(msgId);
    this.touch("rows");
  }

  /** @param {import("./outbox.js").Draft} draft */
  async #hand(draft) {
    const sent = await this.client.send(draft);
    return sent.msgId;
  }

  /** Load what a session that begins anew has to know. */
  #caughtUp() {
    this.client.background(async () => {
      await this.markers.count();
      await this.learnModes();
      if (this.current && this.isIn(this.current)) await this.enter(this.current);
    });
  }
}
