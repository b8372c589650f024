/** One WebSocket to the server: the login, then frames. */

import { asFault, Fault } from "./fault.js";
import { loginMessage } from "./identity.js";
import { Bye } from "./requests.js";
import { judged } from "./events.js";
import { encode, parseText, split } from "./wire.js";

const SUBPROTOCOL = "chatd.1";
/** Longest time for a whole login: when many log in at once, each waits for its turn. */
const LOGIN_MS = 30_000;

/**
 * @typedef {object} Ends What a connection tells; each is called at most until `lost`.
 * @property {(certificate: boolean) => boolean} challenged the server wants to know who is here; with
 *   `certificate`, TLS has told it. False ends the connection.
 * @property {(events: any[]) => void} took events of the session, in order
 * @property {(fault: Fault) => void} lost the connection is gone, and is not used again
 */

export class Connection {
  #isOver = false;
  #isLoggedIn = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;

  /**
   * @param {string} origin
   * @param {import("./identity.js").Identity|null} identity
   * @param {import("./session.js").Session} session
   * @param {Ends} ends
   */
  constructor(origin, identity, session, ends) {
    this.origin = origin;
    this.identity = identity;
    this.session = session;
    this.ends = ends;
    this.socket = new WebSocket(`${origin.replace(/^http/, "ws")}/session`, SUBPROTOCOL);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.#guard(() => this.#received(data));
    this.socket.onclose = () => this.#fail(new Fault("E607"));
    this.#timer = setTimeout(() => this.#fail(new Fault("E607", "the login took too long")), LOGIN_MS);
  }

  /** Send what the session has to send, and plan the next tick. */
  flush() {
    if (this.#isOver || !this.#isLoggedIn) return;
    this.#guard(() => {
      const now = performance.now();
      const wait = this.session.tick(now);
      for (const frame of this.session.outgoing(now)) this.socket.send(encode(frame));
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.flush(), wait);
    });
  }

  /** Leave. `lost` is not called. */
  close() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.socket.close();
  }

  /** @param {unknown} data */
  #received(data) {
    if (typeof data === "string") {
      if (this.#isLoggedIn) throw new Fault("E100", "the server sent text after the login");
      this.#greeted(data);
      return;
    }
    if (!(data instanceof ArrayBuffer) || !this.#isLoggedIn) throw new Fault("E100");
    const now = performance.now();
    for (const frame of split(data)) {
      const events = this.session.receive(frame, now);
      if (events.length) this.ends.took(events);
    }
    this.flush();
  }

  /** @param {string} text */
  #greeted(text) {
    const message = parseText(text);
    if (message.type === "bye") throw new Bye(judged(message));
    const { type, nonce, instance } = message;
    if (type !== "challenge" || typeof nonce !== "string" || typeof instance !== "string") {
      throw new Fault("E100", "the server began with something else than a challenge");
    }
    if (!this.ends.challenged(message.certificate === true)) {
      this.close();
      return;
    }
    void this.#login(message);
  }

  /** @param {any} challenge */
  async #login(challenge) {
    try {
      const login = await loginMessage(this.identity, challenge, this.origin);
      if (this.#isOver) return;
      this.session.opened(performance.now());
      this.socket.send(JSON.stringify(login));
      // A refusal of the login is text, and may come instead of the welcome.
      this.socket.onmessage = ({ data }) => this.#guard(() => this.#answered(data));
    } catch (error) {
      this.#fail(asFault(error));
    }
  }

  /** @param {unknown} data */
  #answered(data) {
    if (typeof data === "string") {
      const message = parseText(data);
      throw message.type === "bye" ? new Bye(judged(message)) : new Fault("E100");
    }
    this.#isLoggedIn = true;
    this.socket.onmessage = (event) => this.#guard(() => this.#received(event.data));
    this.#received(data);
  }

  /** @param {() => void} step */
  #guard(step) {
    if (this.#isOver) return;
    try {
      step();
    } catch (error) {
      this.#fail(asFault(error));
    }
  }

  /** @param {Fault} fault */
  #fail(fault) {
    if (this.#isOver) return;
    this.close();
    this.ends.lost(fault);
  }
}
