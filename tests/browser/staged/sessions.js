// A session with a scripted server, for the tests of its module.

import { Session } from "/app/session.js";

export const welcome = (more = {}) => ({
  type: "welcome", protocol: 1, server: "chatd", version: "1", instance: "lab", user: "alice", device: "web",
  role: "user", permissions: [], rooms: ["#lobby"], head: 10, time: 1, envelope: false, lineage: [],
  limits: { idle_seconds: 60 }, ...more,
});

export const message = (seq, more = {}) => ({
  type: "message", seq, at: seq, room: "#lobby", user: "bob", device: "laptop", role: "user",
  msg_id: String(seq).padStart(32, "0"), kind: "text", body: `message ${seq}`, ...more,
});

export const sent = (order, more = {}) => ({
  msgId: String(order).padStart(32, "a"), order, to: "#lobby", body: `text ${order}`, kind: "text", replyTo: 0,
  edits: 0, anyway: false, at: 0, fault: null, ...more,
});

/** Drives a session; what it sends and tells is kept. */
export class Script {
  constructor() {
    this.session = new Session();
    this.now = 0;
    this.events = [];
    this.answers = [];
  }

  /** Return the frames that the session sends now. */
  out() {
    return this.session.outgoing(this.now);
  }

  /** Let the server send frames; returns the code of the error that ends the connection, "" for none. */
  in(...frames) {
    try {
      for (const frame of frames) this.events.push(...this.session.receive(frame, this.now));
      return "";
    } catch (error) {
      return error.code ?? String(error);
    }
  }

  /** Connect and answer the first resume. */
  begin(more = {}, events = []) {
    this.session.opened(this.now);
    this.in(welcome(more));
    const [resume] = this.out();
    this.in({ type: "ok", id: resume.id, result: { events, cursor: more.head ?? 10, more: false } });
    return resume;
  }

  /** Ask; the answer or the code of the refusal comes into `answers`. */
  ask(kind, fields = {}) {
    const asked = { kind, fields, given: false };
    asked.resolve = (result) => this.answers.push([kind, result]);
    asked.reject = (fault) => this.answers.push([kind, fault.code]);
    this.session.ask(asked);
    return asked;
  }

  /** Types of the events so far. */
  types() {
    return this.events.map(({ type, seq }) => (seq === undefined ? type : `${type} ${seq}`));
  }
}
