/** Hold this browser's identity: load it, get it with an invite, renew it in time. */

import { readCertificate, sha256, toHex } from "./der.js";
import { redeem, renew } from "./enrol.js";
import { Fault } from "./fault.js";
import { renewalDue } from "./identity.js";
import { codeText } from "./invite.js";

/** Pause after a failed renewal; there are days left for the next ones. */
const RENEW_AGAIN_MS = 3_600_000;
const PART_BYTES = 16;
/** Refusals of a renewal that a login would get as well. */
const TELLING = new Set("E202 E205 E206 E207 E208 E209 E219".split(" "));

/** @typedef {import("./identity.js").Identity} Identity */

export class Holder {
  /** @type {Identity|null} */
  identity = null;
  #renewAt = Infinity;

  /**
   * @param {import("./enrol.js").AnyStore} store
   * @param {import("./state.js").ChatState} state
   * @param {string} origin
   */
  constructor(store, state, origin) {
    this.store = store;
    this.state = state;
    this.origin = origin;
  }

  /** Take the identity that this browser has kept. */
  async load() {
    const kept = await this.store.get("keep", "identity");
    if (kept) await this.#hold(kept);
  }

  /** @param {import("./invite.js").InviteCode} code @param {string} device */
  async join(code, device) {
    const attempt = (/** @type {string} */ name) => redeem(this.store, this.origin, code, name);
    const identity = await attempt(device).catch((fault) => {
      // The user has a device of this name: let the server choose another one.
      if (fault.code !== "E406" || !device) throw fault;
      return attempt("");
    });
    await this.#hold(identity);
  }

  /** Return the identity; renewed if it has expired, with which no server lets anybody log in. */
  async fresh() {
    // Another tab may have renewed it, or joined.
    if (!this.identity || this.#hasEnded()) await this.load();
    if (this.identity && this.#hasEnded()) {
      await this.#renew(this.identity).catch((fault) => {
        // The clock here may be wrong: the server judges the login by its own.
        if (TELLING.has(fault.code)) throw fault;
      });
    }
    return this.identity;
  }

  /**
   * Renew the certificate if it is time.
   * @param {boolean} now the server has a new CA
   */
  async renewIfDue(now) {
    if (!this.identity || !(now || this.state.clock() >= this.#renewAt)) return;
    this.#renewAt = this.state.clock() + RENEW_AGAIN_MS;
    await this.#renew(this.identity);
  }

  /** Return a new invite code, and the hash of its secret for the server. */
  async makeInvite() {
    if (!this.identity) {
      throw new Fault("E608", "an invite names the CA that this browser knows", "use: chatctl invite create");
    }
    const secret = crypto.getRandomValues(new Uint8Array(PART_BYTES));
    const authority = (await sha256(readCertificate(this.identity.ca).der)).slice(0, PART_BYTES);
    return { code: codeText({ secret, authority }), hash: toHex(await sha256(secret)) };
  }

  #hasEnded() {
    return this.state.clock() >= this.state.certificateEnds;
  }

  /** @param {Identity} identity */
  async #renew(identity) {
    await this.#hold(await renew(this.store, this.origin, identity));
  }

  /** @param {Identity} identity */
  async #hold(identity) {
    this.identity = identity;
    const [own, ca] = [readCertificate(identity.certificate), readCertificate(identity.ca)];
    const [keyHash, caHash] = (await Promise.all([sha256(own.key), sha256(ca.der)])).map(toHex);
    this.state.identity = { keyHash, caHash };
    this.state.me = identity.user;
    this.state.device = identity.device;
    this.state.instance = identity.instance;
    this.state.certificateEnds = own.notAfter;
    this.#renewAt = renewalDue(identity);
    this.state.touch("state");
  }
}
