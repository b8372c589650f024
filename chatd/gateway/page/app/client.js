/** The way from the model to the server and to the browser's storage. */

import { asFault, Fault } from "./fault.js";
import { Holder } from "./holder.js";
import { parseCode } from "./invite.js";
import { Memory } from "./memory.js";
import { Outbox } from "./outbox.js";
import { Session } from "./session.js";
import { MemoryStore, openStore } from "./store.js";
import { TabLock } from "./tabs.js";
import { Uplink } from "./uplink.js";

const ANSWER_MS = 10_000;
/** Between two looks at read markers and at the certificate's end. */
const UPKEEP_MS = 5_000;

export class Client {
  session = new Session();
  /** @type {import("./store.js").Store|MemoryStore} */
  store = new MemoryStore();

  /**
   * @param {import("./model.js").ChatModel} model
   * @param {string} [origin]
   */
  constructor(model, origin = globalThis.location?.origin ?? "") {
    this.model = model;
    this.origin = origin;
    this.memory = new Memory(this.store, model, this.session);
    this.outbox = new Outbox(this.store);
    this.holder = new Holder(this.store, model, origin);
    this.uplink = new Uplink(origin, this.session, {
      identity: () => this.holder.fresh(),
      unknown: () => this.#phase("no-identity"),
      took: (events) => this.#took(events),
      down: (fault, retryIn) => this.model.take([{ type: "disconnected", fault, retryIn }]),
    });
    this.tabs = new TabLock({
      got: () => this.background(() => this.#begin()),
      waits: () => this.#otherTab(),
      lost: () => this.#otherTab(),
    });
  }

  async start() {
    this.store = await openStore();
    this.memory.store = this.outbox.store = this.holder.store = this.store;
    this.model.isKept = this.store.isKept;
    await this.holder.load();
    setInterval(() => this.background(() => this.#upkeep()), UPKEEP_MS);
    addEventListener("online", () => this.tryNow());
    document.addEventListener("visibilitychange", () => {
      // Also when the page goes away, after pagehide.
      if (document.hidden) this.#rest();
      else if (this.model.phase === "reconnecting") this.tryNow();
    });
    this.tabs.ask();
  }

  /** @param {string} text @param {string} device */
  async join(text, device) {
    const code = parseCode(text);
    const before = this.model.phase;
    this.#phase("joining");
    try {
      if (before === "other-tab") await this.#refuseSecond();
      // Ask the browser not to drop the key when space is short. Firefox answers when the user does, or never.
      navigator.storage?.persist?.().catch(() => {});
      await this.holder.join(code, device);
    } catch (error) {
      this.#phase(before);
      throw asFault(error);
    }
    if (this.tabs.isMine) this.#connect();
    else this.tabs.steal();
  }

  async forget() {
    this.uplink.stop();
    this.#phase("no-identity");
    this.memory.release();
    await this.store.clear();
    this.tabs.release();
    globalThis.location.reload();
  }

  takeOver() {
    this.tabs.steal();
  }

  tryNow() {
    if (["reconnecting", "ended"].includes(this.model.phase)) this.#connect();
  }

  /**
   * @param {string} kind
   * @param {import("./wire.js").Json} fields
   * @returns {Promise<any>}
   */
  request(kind, fields) {
    const given = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
    return new Promise((resolve, reject) => {
      if (!["connecting", "connected", "reconnecting"].includes(this.model.phase)) {
        reject(this.model.trouble ?? new Fault("E607"));
        return;
      }
      const asked = { kind, fields: Object.fromEntries(given), resolve, reject, given: false };
      this.session.ask(asked);
      setTimeout(() => {
        asked.given = true;
        reject(new Fault("E611"));
      }, ANSWER_MS);
      this.uplink.flush();
    });
  }

  /** @param {import("./outbox.js").Draft} draft */
  async send(draft) {
    if (!this.tabs.isMine) throw new Fault("E606", "this page is open in another tab", "write there");
    const { model, outbox } = this;
    const sent = outbox.make(draft, model.clock());
    model.pending(sent);
    try {
      await outbox.keep(sent);
    } catch (error) {
      model.unpend(sent.msgId, sent.to);
      throw error;
    }
    this.session.send(sent);
    this.#countUnsent();
    this.uplink.flush();
    return sent;
  }

  /** Forget a refused message. @param {string} msgId */
  drop(msgId) {
    void this.outbox.remove(msgId);
  }

  /** @param {string} name @param {string} text */
  keepDraft(name, text) {
    const saving = this.memory.keepDraft(name, text);
    this.background(() => saving);
  }

  /** @param {string} name */
  rowsCame(name) {
    this.memory.noteRows(name);
  }

  /**
   * Make an invite. The code holds the CA's fingerprint and a secret, of which the server gets the hash.
   * @param {string} kind
   * @param {import("./wire.js").Json} terms
   */
  async invite(kind, terms) {
    const { code, hash } = await this.holder.makeInvite();
    const { user, until } = await this.request(kind, { ...terms, secret_hash: hash });
    const [address] = this.holder.identity?.addresses ?? [];
    return { code: address ? `${address}/${code}` : code, link: `${this.origin}/#${code}`, user, until };
  }

  /**
   * Do something that nobody waits for; a refusal is a notice.
   * @param {() => unknown} work
   */
  background(work) {
    Promise.resolve()
      .then(work)
      .catch((error) => {
        const { code, reason, fix } = asFault(error);
        // A cut connection is shown as such.
        if (!["E503", "E607", "E611"].includes(code)) this.model.tell("error", "", reason, { fix });
      });
  }

  #rest() {
    this.memory.park();
    this.background(() => this.memory.save());
  }

  /** Another tab may have joined since this one was opened. */
  async #refuseSecond() {
    await this.holder.load();
    const { identity } = this.holder;
    if (identity) throw new Fault("E608", `this browser is ${identity.user} already`, "use this tab");
  }

  /** This tab has the session. */
  async #begin() {
    await this.memory.load();
    // Another tab may have sent them meanwhile.
    this.session.clearMessages();
    for (const one of this.model.conversations.values()) one.pending.clear();
    for (const sent of await this.outbox.load()) {
      this.model.pending(sent);
      if (!sent.fault) this.session.send(sent);
    }
    this.#countUnsent();
    this.#connect();
  }

  #otherTab() {
    this.uplink.stop();
    this.memory.release();
    this.#phase("other-tab");
  }

  #connect() {
    this.#phase("connecting");
    void this.uplink.connect();
  }

  /** @param {any[]} events */
  #took(events) {
    const welcome = events.find((event) => event.type === "connected")?.welcome;
    const owner = welcome && `${welcome.instance}/${welcome.user}/${welcome.device}`;
    if (owner && !this.memory.belongsTo(owner)) {
      const fix = "forget it in this browser, then reload the page";
      throw new Fault("E608", "this browser keeps the messages of another user", fix);
    }
    for (const event of events) {
      if (event.type === "acknowledged") this.drop(event.sent.msgId);
      if (event.type === "refused") void this.outbox.refuse(event.sent, event.fault);
    }
    this.model.take(events);
    this.memory.note(events);
    this.#countUnsent();
  }

  async #upkeep() {
    if (this.model.phase !== "connected") return;
    await this.model.markers.send();
    const isDue = this.session.authorityChanged;
    this.session.authorityChanged = false;
    await this.holder.renewIfDue(isDue);
  }

  #countUnsent() {
    this.model.unsent = this.outbox.waiting.length;
    this.model.touch("state");
  }

  /** @param {import("./state.js").Phase} phase */
  #phase(phase) {
    this.model.phase = phase;
    this.model.retryAt = 0;
    this.model.touch("state");
  }
}
