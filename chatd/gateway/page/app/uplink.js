/** Keep a session with the server: connect, and connect again after random delays. */

import { Connection } from "./connection.js";
import { asFault } from "./fault.js";
import { Bye } from "./requests.js";

const BACKOFF_MS = 250;
const BACKOFF_LIMIT_MS = 30_000;
/** After a session of at least this length the delays start small again. */
const GOOD_SESSION_MS = 5_000;
/** The longest kick or ban that the page waits out. For a longer one nobody keeps it open. */
const WAIT_LIMIT_S = 3600;
/** Errors that connecting again cannot change: the server judges this browser the same way next time. */
const FINAL = new Set("E107 E200 E201 E202 E203 E205 E206 E207 E208 E209 E210 E219 E608".split(" "));

/**
 * @typedef {object} UplinkEnds
 * @property {() => Promise<import("./identity.js").Identity|null>} identity called before each attempt
 * @property {() => void} unknown the server wants an identity, and there is none
 * @property {(events: any[]) => void} took
 * @property {(fault: import("./fault.js").Fault, retryIn: number|null) => void} down the session is
 *   gone; the next attempt is in so many seconds, or there is none
 */

export class Uplink {
  /** @type {Connection|null} */
  #connection = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #retry;
  /** Attempts since the last good session. */
  #delays = 0;
  #openedAt = 0;
  /** Counts attempts, so that one that was given up does not go on. */
  #attempt = 0;
  #isBusy = false;

  /**
   * @param {string} origin
   * @param {import("./session.js").Session} session
   * @param {UplinkEnds} ends
   */
  constructor(origin, session, ends) {
    this.origin = origin;
    this.session = session;
    this.ends = ends;
  }

  /** Connect now, unless that is under way. */
  async connect() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    clearTimeout(this.#retry);
    const attempt = (this.#attempt += 1);
    try {
      const identity = await this.ends.identity();
      if (attempt !== this.#attempt) return;
      this.#connection = new Connection(this.origin, identity, this.session, {
        challenged: (certificate) => this.#challenged(certificate || identity !== null),
        took: (events) => this.#took(events),
        lost: (fault) => this.#lost(fault),
      });
    } catch (error) {
      if (attempt === this.#attempt) this.#lost(asFault(error));
    }
  }

  /** Leave, and do not come back by itself. */
  stop() {
    this.#attempt += 1;
    this.#isBusy = false;
    clearTimeout(this.#retry);
    this.#connection?.close();
    this.#connection = null;
    this.session.closed();
  }

  /** Send what the session has to send. */
  flush() {
    this.#connection?.flush();
  }

  /** @param {boolean} isKnown */
  #challenged(isKnown) {
    if (isKnown) return true;
    this.#connection = null;
    this.#isBusy = false;
    this.ends.unknown();
    return false;
  }

  /** @param {any[]} events */
  #took(events) {
    if (events.some((event) => event.type === "connected")) this.#openedAt = performance.now();
    this.ends.took(events);
  }

  /** @param {import("./fault.js").Fault} fault */
  #lost(fault) {
    const wasGood = this.session.online && performance.now() - this.#openedAt >= GOOD_SESSION_MS;
    if (wasGood) this.#delays = 0;
    this.stop();
    const wait = this.#delay(fault);
    if (wait === null) this.session.abandon(fault);
    else this.#retry = setTimeout(() => void this.connect(), 1000 * wait);
    this.ends.down(fault, wait);
  }

  /**
   * Return the seconds until the next attempt; null for none.
   * @param {import("./fault.js").Fault} fault
   */
  #delay(fault) {
    const bye = fault instanceof Bye ? fault : null;
    if (bye ? !bye.retry : FINAL.has(fault.code)) {
      const after = bye?.after ?? Infinity;
      // A second more, because the server rounds, and others come back at the same time.
      return after <= WAIT_LIMIT_S ? Math.max(after, 0) + 1 + Math.random() : null;
    }
    const longest = Math.min(BACKOFF_LIMIT_MS, BACKOFF_MS * 2 ** Math.min(this.#delays, 16));
    this.#delays += 1;
    // Full jitter: after a restart of the server its clients come back spread over time.
    return (Math.random() * longest) / 1000;
  }
}
