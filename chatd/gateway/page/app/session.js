/**
 * A session without I/O: decides which frames to send and turns frames into events.
 *
 * The connection feeds frames in and sends those that come out. One session lives as long as the page,
 * across connections. Times are ms of a clock that only moves forward.
 */

import { judged, isLogged, loggedOf } from "./events.js";
import { Fault } from "./fault.js";
import { branchesOf, lastCommon } from "./lineage.js";
import { Bye, REPEATABLE } from "./requests.js";
import { Sending } from "./sending.js";

/** Silence this much longer than the server's limit: the server or the path to it is gone. */
const SILENCE_GRACE_MS = 5_000;
const WELCOME_MS = 10_000;
/** Further behind the head of the log, the page begins there and loads what is looked at. */
const BEHIND_LIMIT = 20_000;
/** @typedef {import("./outbox.js").Sent} Sent */
/** @typedef {import("./requests.js").Asked} Asked */

export class Session {
  /** @type {"offline"|"greeting"|"resuming"|"ready"} */
  phase = "offline";
  /** @type {number|null} */
  cursor = null;
  /** @type {import("./lineage.js").Branch[]} */
  lineage = [];
  /** The server has a new CA: renew. */
  authorityChanged = false;
  #idleMs = WELCOME_MS;
  #lastId = 0;
  /** @type {Asked[]} */
  #queued = [];
  /** @type {Map<number, Asked>} */
  #asked = new Map();
  #sending = new Sending();
  /** @type {import("./wire.js").Json[]} */
  #control = [];
  /** The id of the resume under way; null for none. @type {number|null} */
  #resumeId = null;
  #lastHeard = 0;
  #pinged = false;

  /** Whether the server has welcomed this connection. */
  get online() {
    return this.phase === "resuming" || this.phase === "ready";
  }

  /** @param {Asked} asked */
  ask(asked) {
    this.#queued.push(asked);
  }

  /** Queue a message behind those before it. @param {Sent} sent */
  send(sent) {
    this.#sending.add(sent);
  }

  /** Forget all messages; the outbox has them. */
  clearMessages() {
    this.#sending.clear();
  }

  /** Expect the welcome on a new connection. @param {number} now */
  opened(now) {
    this.phase = "greeting";
    this.#lastHeard = now;
    this.#pinged = false;
  }

  /** Note that the connection is gone; queue again what may be sent again. */
  closed() {
    this.phase = "offline";
    this.#resumeId = null;
    this.#control = [];
    this.#sending.again();
    const again = [];
    for (const asked of this.#asked.values()) {
      if (REPEATABLE.has(asked.kind)) again.push(asked);
      else asked.reject(new Fault("E503", `the connection was cut while the server worked on ${asked.kind}`));
    }
    this.#queued.unshift(...again);
    this.#asked.clear();
  }

  /** Refuse all requests: there will be no further connection. Messages stay. @param {Fault} fault */
  abandon(fault) {
    this.closed();
    for (const asked of this.#queued) asked.reject(fault);
    this.#queued = [];
  }

  /**
   * Return the frames to send now.
   * @param {number} now
   */
  outgoing(now) {
    const frames = this.#control;
    this.#control = [];
    if (this.phase !== "ready") return frames;
    for (const asked of this.#queued.filter((one) => !one.given)) {
      const id = this.#nextId();
      this.#asked.set(id, asked);
      frames.push({ ...asked.fields, type: asked.kind, id });
    }
    this.#queued = [];
    frames.push(...this.#sending.due(now, () => this.#nextId()));
    return frames;
  }

  /**
   * Queue a ping where due; returns the ms until the next tick. Throws E106 for a silent server.
   * @param {number} now
   */
  tick(now) {
    const greeting = this.phase === "greeting";
    const silent = now - this.#lastHeard;
    const limit = greeting ? WELCOME_MS : this.#idleMs + SILENCE_GRACE_MS;
    if (silent >= limit) throw new Fault("E106");
    if (!greeting && !this.#pinged && silent >= this.#idleMs / 2) {
      this.#ping();
      this.#pinged = true;
    }
    const waits = [limit - silent];
    if (!greeting && !this.#pinged) waits.push(this.#idleMs / 2 - silent);
    return Math.max(Math.min(...waits, this.#sending.wait(now)), 10);
  }

  /**
   * Return the events that a frame causes. Throws E100 or E102 for a wrong one, `Bye` for a bye.
   * @param {import("./wire.js").Json} frame
   * @param {number} now
   * @returns {any[]}
   */
  receive(frame, now) {
    this.#lastHeard = now;
    this.#pinged = false;
    const event = judged(frame);
    if (!event) return [];
    if (event.type === "bye") throw new Bye(event);
    if (this.phase === "greeting" && event.type !== "welcome") {
      throw new Fault("E100", `the server sent ${event.type} before its welcome`);
    }
    if (isLogged(event.type)) return this.#logged(event);
    switch (event.type) {
      case "welcome":
        return this.#welcomed(event);
      case "ok":
        return this.#ok(event);
      case "error":
        return this.#refused(event, now);
      case "ping":
        this.#ping();
        return [];
      case "lagged":
        if (this.#resumeId === null) this.#resume();
        return [];
      case "authority_changed":
        this.authorityChanged = true;
        return [];
      default:
        return [event];
    }
  }

  /** @param {any} welcome */
  #welcomed(welcome) {
    if (this.phase !== "greeting") throw new Fault("E100", "the server sent a second welcome");
    const idle = welcome.limits.idle_seconds;
    this.#idleMs = Number.isSafeInteger(idle) && idle > 0 ? 1000 * idle : WELCOME_MS;
    /** @type {any[]} */
    const events = [{ type: "connected", welcome }];
    const seq = this.cursor === null ? null : lastCommon(this.cursor, this.lineage, welcome);
    if (seq !== null) {
      this.cursor = Math.min(this.cursor ?? 0, seq);
      events.push({ type: "restored", upto: seq });
    }
    if (this.cursor !== null && welcome.head - this.cursor > BEHIND_LIMIT) {
      this.cursor = welcome.head;
      events.push({ type: "skipped" });
    }
    // Somebody counts on events from this welcome on, even if the connection is cut before the resume.
    this.cursor ??= welcome.head;
    const lineage = branchesOf(welcome.lineage);
    if (lineage.length) this.lineage = lineage;
    this.phase = "resuming";
    this.#resume();
    return events;
  }

  /** @param {any} reply */
  #ok({ id, result }) {
    if (id === this.#resumeId) return this.#resumed(result);
    if (this.#sending.has(id)) return [this.#sending.acknowledged(id, result)];
    this.#asked.get(id)?.resolve(result);
    this.#asked.delete(id);
    return [];
  }

  /** @param {any} reply @param {number} now */
  #refused({ id, code, reason, fix }, now) {
    const fault = new Fault(code, reason, fix);
    if (id === this.#resumeId) throw fault;
    if (this.#sending.has(id)) return this.#sending.refused(id, fault, now);
    this.#asked.get(id)?.reject(fault);
    this.#asked.delete(id);
    return [];
  }

  /** @param {any} result */
  #resumed({ events, cursor, more }) {
    this.#resumeId = null;
    if (!Array.isArray(events) || !Number.isSafeInteger(cursor) || typeof more !== "boolean") {
      throw new Fault("E100", "the server sent a malformed result of resume");
    }
    const before = this.cursor ?? 0;
    const delivered = loggedOf(events).flatMap((event) => this.#logged(event));
    if (more && cursor <= before && !delivered.length) {
      throw new Fault("E100", "the server's resume makes no progress");
    }
    this.cursor = Math.max(cursor, this.cursor ?? 0);
    // Requests wait until here: what they cause could fall between this page and the live events.
    this.phase = "ready";
    if (more) this.#resume();
    else delivered.push({ type: "caught-up", cursor: this.cursor });
    return delivered;
  }

  /** Deliver an event unless it was delivered before. @param {any} event */
  #logged(event) {
    if (event.seq <= (this.cursor ?? 0)) return [];
    this.cursor = event.seq;
    return [event];
  }

  #ping() {
    this.#control.push({ type: "ping", id: this.#nextId() });
  }

  #resume() {
    this.#resumeId = this.#nextId();
    this.#control.push({ type: "resume", id: this.#resumeId, after: this.cursor });
  }

  #nextId() {
    this.#lastId += 1;
    return this.#lastId;
  }
}
