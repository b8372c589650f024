/** The messages of a session, from the outbox to the server's answer. Pure. */

import { Fault } from "./fault.js";
import { sendFrame } from "./requests.js";
import { objectsOf } from "./wire.js";

/** Messages sent ahead of their replies: they hide a round trip, and a refusal is noticed early. */
const IN_FLIGHT_LIMIT = 64;
/** Refusals that mean "not now": the message is sent again with the same msg_id. */
const SEND_AGAIN = new Set(["E502", "E503", "E504", "E506"]);
const SEND_AGAIN_MS = 500;
/** Nobody frees a full disk or mends a cluster in half a second, and a thousand pages may ask. */
const READ_ONLY = new Set(["E504", "E506"]);
const READ_ONLY_MS = 5_000;

/** @typedef {import("./outbox.js").Sent} Sent */

export class Sending {
  /** @type {Sent[]} */
  #queue = [];
  /** @type {Map<number, Sent>} */
  #inFlight = new Map();
  #sendAfter = 0;

  /** Queue a message behind those before it. @param {Sent} sent */
  add(sent) {
    this.#queue.push(sent);
  }

  /** Forget all; the outbox has them. */
  clear() {
    this.#queue = [];
    this.#inFlight.clear();
  }

  /** Queue those without an answer once more: the connection is gone. */
  again() {
    this.#queue.push(...this.#inFlight.values());
    this.#inFlight.clear();
    this.#sort();
  }

  /**
   * Return the frames to send now.
   * @param {number} now
   * @param {() => number} nextId
   */
  due(now, nextId) {
    const frames = [];
    while (this.#queue.length && this.#inFlight.size < IN_FLIGHT_LIMIT && now >= this.#sendAfter) {
      const sent = /** @type {Sent} */ (this.#queue.shift());
      const id = nextId();
      this.#inFlight.set(id, sent);
      frames.push(sendFrame(id, sent));
    }
    return frames;
  }

  /** Return the ms until a message may be sent again. @param {number} now */
  wait(now) {
    return this.#queue.length && this.#sendAfter > now ? this.#sendAfter - now : Infinity;
  }

  /** @param {number} id */
  has(id) {
    return this.#inFlight.has(id);
  }

  /** @param {number} id @param {any} result */
  acknowledged(id, { seq, at, notes, held }) {
    const sent = this.#inFlight.get(id);
    if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(at)) throw new Fault("E102");
    this.#inFlight.delete(id);
    return { type: "acknowledged", sent, result: { seq, at, notes: objectsOf(notes), held: held === true } };
  }

  /** @param {number} id @param {Fault} fault @param {number} now */
  refused(id, fault, now) {
    const sent = /** @type {Sent} */ (this.#inFlight.get(id));
    this.#inFlight.delete(id);
    if (!SEND_AGAIN.has(fault.code)) return [{ type: "refused", sent, fault }];
    this.#queue.push(sent);
    this.#sort();
    this.#sendAfter = now + (READ_ONLY.has(fault.code) ? READ_ONLY_MS : SEND_AGAIN_MS);
    return [];
  }

  #sort() {
    this.#queue.sort((one, other) => one.order - other.order);
  }
}
