/** Messages that are kept until the server has answered, in the order of writing. */

import { toHex } from "./der.js";
import { Fault } from "./fault.js";
import { encode } from "./wire.js";
import { sendFrame } from "./requests.js";

/** Messages that may wait: more than anybody writes while a server is away. */
const WAITING_LIMIT = 1_000;
const MSG_ID_BYTES = 16;
/** Characters of a text and of an address in a request (docs/protocol.md, sections 7 and 12). */
const STRING_LIMIT = 32_768;
const TO_LIMIT = 264;

/**
 * @typedef {object} Draft What a person wants to send.
 * @property {string} to "#room", "@user", "@one,two,three"; of an edit the conversation's name
 * @property {string} body
 * @property {"text"|"action"|"snippet"|"edit"} kind
 * @property {number} replyTo seq of the message it replies to, 0 for none
 * @property {number} edits of an edit, the message's seq; else 0
 * @property {boolean} anyway send it although it has a forbidden word
 *
 * @typedef {Draft & {msgId: string, order: number, at: number, fault: Refusal|null}} Sent
 *   A message in the outbox. With a `fault` it was refused, and waits for its writer.
 * @typedef {{code: string, reason: string, fix: string}} Refusal
 */

export class Outbox {
  /** @param {import("./store.js").Store|import("./store.js").MemoryStore} store */
  constructor(store) {
    this.store = store;
    /** @type {Map<string, Sent>} */
    this.messages = new Map();
    this.last = 0;
  }

  /** Messages without an answer. */
  get waiting() {
    return [...this.messages.values()].filter((sent) => !sent.fault);
  }

  /** Read what earlier pages have left, in order. */
  async load() {
    this.messages.clear();
    for (const [order, sent] of await this.store.all("outbox")) {
      this.messages.set(sent.msgId, sent);
      this.last = Math.max(this.last, Number(order));
    }
    return [...this.messages.values()];
  }

  /**
   * Make a message, behind those before it. Throws E401 or E402 for one that no server accepts, E409 if
   * too many wait.
   * @param {Draft} draft
   * @param {number} at
   * @returns {Sent}
   */
  make(draft, at) {
    if (this.messages.size >= WAITING_LIMIT) throw new Fault("E409");
    const msgId = toHex(crypto.getRandomValues(new Uint8Array(MSG_ID_BYTES)));
    this.last += 1;
    const sent = { ...draft, msgId, order: this.last, at, fault: null };
    check(sent);
    return sent;
  }

  /**
   * Keep a message; resolves once it is on the disk. Throws E606 if the browser cannot keep it.
   * @param {Sent} sent
   */
  async keep(sent) {
    this.messages.set(sent.msgId, sent);
    try {
      await this.store.write([["outbox", sent.order, sent]]);
    } catch (error) {
      this.messages.delete(sent.msgId);
      throw error;
    }
  }

  /**
   * Keep a message that was refused for its writer.
   * @param {Sent} sent
   * @param {Refusal} fault
   */
  async refuse(sent, { code, reason, fix }) {
    const refused = { ...sent, fault: { code, reason, fix } };
    this.messages.set(sent.msgId, refused);
    await this.#write(sent.order, refused);
  }

  /** @param {string} msgId */
  async remove(msgId) {
    const sent = this.messages.get(msgId);
    this.messages.delete(msgId);
    if (sent) await this.#write(sent.order, undefined);
  }

  /** @param {number} order @param {Sent|undefined} sent */
  async #write(order, sent) {
    // If it fails, a later page sends the message again, and the server recognizes its msg_id.
    await this.store.write([["outbox", order, sent]]).catch(() => {});
  }
}

/**
 * Refuse what no server accepts: it would end each connection, and get the message again on the next.
 * @param {Sent} sent
 */
function check(sent) {
  const characters = [...sent.body].length;
  if (characters > STRING_LIMIT) {
    throw new Fault("E401", `the message has ${characters} characters; at most ${STRING_LIMIT} can be sent`);
  }
  const numbers = [sent.replyTo, sent.edits].every((seq) => Number.isSafeInteger(seq) && seq >= 0);
  const known = ["text", "action", "snippet", "edit"].includes(sent.kind);
  if (!numbers || !known || typeof sent.anyway !== "boolean") throw new Fault("E102");
  if (sent.to.length > TO_LIMIT) throw new Fault("E404", "there is no such room", "choose another one");
  encode(sendFrame(2 ** 53, sent));
}
