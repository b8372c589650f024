/** Redeem an invite, and renew a certificate: the enrol protocol through a WebSocket. */

import { fromHex, makeRequest, readCertificate, sha256, toBase64, toHex } from "./der.js";
import { judged } from "./events.js";
import { Fault } from "./fault.js";
import { checkIssued, makeKeys, renewalProof, successor } from "./identity.js";
import { Bye } from "./requests.js";
import { encode, FrameBuffer, parseText } from "./wire.js";

const SUBPROTOCOL = "chatd-join.1";
/** A busy server may queue an enrolment behind others. */
const ANSWER_MS = 15_000;
const AGAIN = "try again: the invite works until it is answered";
/** Bounds of lists in the server's frames. */
const ROOTS_LIMIT = 8;
const ADDRESSES_LIMIT = 16;

/** @typedef {import("./identity.js").Identity} Identity */
/** @typedef {import("./store.js").Store|import("./store.js").MemoryStore} AnyStore */

/**
 * Redeem an invite. The key is kept until the server has answered, so that a lost answer costs nothing.
 * Nothing secret is sent before the server has shown that its CA is the one in the code. Throws Fault;
 * after E5xx and E607 trying again is safe, and needed.
 * @param {AnyStore} store
 * @param {string} origin
 * @param {import("./invite.js").InviteCode} code
 * @param {string} device
 * @returns {Promise<Identity>}
 */
export async function redeem(store, origin, code, device) {
  const door = await Door.open(origin);
  try {
    const authority = await door.receive("authority");
    const roots = [authority.ca, ...strings(authority.roots)];
    const ca = await marked(roots, code.authority);
    const invite = toHex(await sha256(code.secret));
    const kept = await store.get("keep", "joining");
    const keys = kept?.invite === invite ? kept.keys : await makeKeys();
    await store.write([["keep", "joining", { invite, keys }]]);
    const csr = toBase64(await makeRequest(keys));
    door.send({ type: "redeem", secret: toHex(code.secret), csr, device });
    const enrolled = await door.receive("enrolled").catch(async (fault) => {
      // Final: another attempt would get the same answer. A ban ends.
      if (/^E[234]/.test(fault.code) && !["E207", "E208", "E218"].includes(fault.code)) {
        await store.write([["keep", "joining", undefined]]);
      }
      throw fault;
    });
    const identity = await accept(keys, ca, enrolled, strings(authority.crosses));
    await store.write([["keep", "identity", identity], ["keep", "joining", undefined]]);
    return identity;
  } finally {
    door.close();
  }
}

/**
 * Renew a certificate: the same key and names. Throws Fault: E202 too late, E409 a moment ago.
 * @param {AnyStore} store
 * @param {string} origin
 * @param {Identity} identity
 * @returns {Promise<Identity>}
 */
export async function renew(store, origin, identity) {
  const door = await Door.open(origin);
  try {
    const authority = await door.receive("authority");
    if (typeof authority.binding !== "string") throw new Fault("E102");
    const proof = await renewalProof(identity, fromHex(authority.binding));
    door.send({ type: "renew", certificate: identity.certificate, proof });
    const enrolled = await door.receive("enrolled");
    const crosses = strings(authority.crosses);
    const renewed = await accept(identity.keys, identity.ca, enrolled, crosses);
    const names = (/** @type {Identity} */ one) => `${one.instance}/${one.user}/${one.device}`;
    if (names(renewed) !== names(identity)) throw new Fault("E209", "the server renewed another device");
    await store.write([["keep", "identity", renewed]]);
    return renewed;
  } finally {
    door.close();
  }
}

/**
 * Return the root that an invite names. Throws E209.
 * @param {string[]} roots
 * @param {Uint8Array} mark
 */
async function marked(roots, mark) {
  for (const root of roots) {
    const print = await sha256(readCertificate(root).der);
    if (toHex(print.subarray(0, mark.length)) === toHex(mark)) return root;
  }
  const why = "this is not the server of this invite: its CA has another fingerprint";
  throw new Fault("E209", why, "do not continue; ask whoever invited you for the fingerprint");
}

/**
 * Check what the server has issued.
 * @param {CryptoKeyPair} keys
 * @param {string} pinned
 * @param {any} enrolled
 * @param {string[]} crosses
 * @returns {Promise<Identity>}
 */
async function accept(keys, pinned, enrolled, crosses) {
  const { certificate, instance, user, device } = enrolled;
  const ca = await successor(pinned, enrolled.ca, crosses);
  await checkIssued(keys, certificate, ca);
  const addresses = strings(enrolled.addresses, ADDRESSES_LIMIT);
  return { keys, certificate, ca, instance, user, device, addresses };
}

/**
 * @param {unknown} list
 * @param {number} [limit]
 * @returns {string[]}
 */
function strings(list, limit = ROOTS_LIMIT) {
  return Array.isArray(list) ? list.filter((one) => typeof one === "string").slice(0, limit) : [];
}

/** Fields that are texts, by the type of the frame. */
const TEXTS = new Map([
  ["authority", ["ca"]],
  ["enrolled", ["certificate", "ca", "instance", "user", "device", "role"]],
]);

/** A connection to the server's enrol process. */
class Door {
  #buffer = new FrameBuffer();
  /** @type {import("./wire.js").Json[]} */
  #frames = [];
  /** @type {Fault|null} */
  #fault = null;
  #wake = () => {};

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      try {
        if (data instanceof ArrayBuffer) this.#frames.push(...this.#buffer.push(data));
        // The gateway's refusal.
        else this.#fault ??= new Bye(judged(parseText(data)));
      } catch (error) {
        this.#fault ??= /** @type {Fault} */ (error);
      }
      this.#wake();
    };
    socket.onclose = () => {
      this.#fault ??= new Fault("E607", "the connection was cut before the server answered", AGAIN);
      this.#wake();
    };
  }

  /** @param {string} origin */
  static async open(origin) {
    const door = new Door(new WebSocket(`${origin.replace(/^http/, "ws")}/join`, SUBPROTOCOL));
    await new Promise((resolve) => {
      door.socket.onopen = resolve;
      door.#wake = () => resolve(undefined);
      setTimeout(resolve, ANSWER_MS);
    });
    if (door.socket.readyState !== WebSocket.OPEN) {
      door.close();
      throw new Fault("E607", "", AGAIN);
    }
    return door;
  }

  /** @param {import("./wire.js").Json} frame */
  send(frame) {
    this.socket.send(encode(frame));
  }

  /**
   * Return the next frame, of a type. Throws the error that the server sends instead.
   * @param {string} type
   * @returns {Promise<any>}
   */
  async receive(type) {
    const late = setTimeout(() => {
      this.#fault ??= new Fault("E607", "the server did not answer in time", AGAIN);
      this.#wake();
    }, ANSWER_MS);
    while (!this.#frames.length && !this.#fault) {
      await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    }
    clearTimeout(late);
    const frame = this.#frames.shift();
    if (!frame) throw this.#fault;
    if (frame.type === "error") {
      const [code, reason, fix] = [frame.code, frame.reason, frame.fix].map(String);
      throw new Fault(code, reason, fix);
    }
    const texts = TEXTS.get(type) ?? [];
    if (frame.type !== type || !texts.every((name) => typeof frame[name] === "string")) {
      throw new Fault("E102", "the server sent something else than was asked for");
    }
    return frame;
  }

  close() {
    this.socket.close();
  }
}
