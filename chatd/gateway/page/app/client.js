/** The way from the model to the server and to the browser's storage. */

import { readCertificate, sha256, toHex } from "./der.js";
import { redeem, renew } from "./enrol.js";
import { asFault, Fault } from "./fault.js";
import { renewalDue } from "./identity.js";
import { codeText, parseCode } from "./invite.js";
import { Memory } from "./memory.js";
import { Outbox } from "./outbox.js";
import { Session } from "./session.js";
import { MemoryStore, openStore } from "./store.js";
import { TabLock } from "./tabs.js";
import { Uplink } from "./uplink.js";

const ANSWER_MS = 10_000;
/** Between two looks at read markers and at the certificate's end. */
const UPKEEP_MS = 5_000;
/** Pause after a failed renewal; there are days left for the next ones. */
const RENEW_AGAIN_MS = 3_600_000;
const PART_BYTES = 16;

/** @typedef {import("./identity.js").Identity} Identity */

export class Client {
  /** @type {Identity|null} */
  identity = null;
  session = new Session();
  /** @type {import("./store.js").Store|MemoryStore} */
  store = new MemoryStore();
  #renewAt = Infinity;

  /**
   * @param {import("./model.js").ChatModel} model
   * @param {string} [origin]
   */
  constructor(model, origin = globalThis.location?.origin ?? "") {
    this.model = model;
    this.origin = origin;
    this.memory = new Memory(this.store, model, this.session);
    this.outbox = new Outbox(this.store);
    this.uplink = new Uplink(origin, this.session, {
      identity: () => this.#freshIdentity(),
      unknown: () => this.#phase("no-identity"),
      took: (events) => this.#took(events),
      down: (fault, retryIn) => this.model.take([{ type: "disconnected", fault, retryIn }]),
    });
    this.tabs = new TabLock({
      got: () => this.background(() => this.#begin()),
      waits: () => this.#phase("other-tab"),
      lost: () => {
        this.uplink.stop();
        this.#phase("other-tab");
      },
    });
  }

  async start() {
    this.store = await openStore();
    this.memory.store = this.outbox.store = this.store;
    this.model.isKept = this.store.isKept;
    await this.#setIdentity((await this.store.get("keep", "identity")) ?? null);
    setInterval(() => this.background(() => this.#upkeep()), UPKEEP_MS);
    addEventListener("online", () => this.tryNow());
    addEventListener("pagehide", () => this.background(() => this.memory.save()));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.background(() => this.memory.save());
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
      // Ask the browser not to drop the key when space is short.
      await navigator.storage?.persist?.();
      await this.#setIdentity(await redeem(this.store, this.origin, code, device));
    } catch (error) {
      this.#phase(before);
      throw asFault(error);
    }
    this.#connect();
  }

  async forget() {
    this.uplink.stop();
    this.#phase("no-identity");
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
    this.background(() => this.outbox.remove(msgId));
  }

  /** @param {string} name @param {string} text */
  keepDraft(name, text) {
    this.memory.keepDraft(name, text);
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
    if (!this.identity) throw new Fault("E608", "an invite names the CA that this browser knows", "use chatctl");
    const secret = crypto.getRandomValues(new Uint8Array(PART_BYTES));
    const authority = (await sha256(readCertificate(this.identity.ca).der)).slice(0, PART_BYTES);
    const hash = toHex(await sha256(secret));
    const { user, until } = await this.request(kind, { ...terms, secret_hash: hash });
    const code = codeText({ secret, authority });
    const [address] = this.identity.addresses;
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

  /** This tab has the session. */
  async #begin() {
    await this.memory.load();
    for (const sent of await this.outbox.load()) {
      this.model.pending(sent);
      if (!sent.fault) this.session.send(sent);
    }
    this.#countUnsent();
    this.#connect();
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
      if (event.type === "refused") this.background(() => this.outbox.refuse(event.sent, event.fault));
    }
    this.model.take(events);
    this.memory.note(events);
    this.#countUnsent();
  }

  async #upkeep() {
    if (this.model.phase !== "connected") return;
    await this.model.markers.send();
    if (this.session.authorityChanged) this.#renewAt = 0;
    if (this.identity && Date.now() >= this.#renewAt) {
      this.session.authorityChanged = false;
      this.#renewAt = Date.now() + RENEW_AGAIN_MS;
      await this.#setIdentity(await renew(this.store, this.origin, this.identity));
    }
  }

  /** Renew a certificate that has expired, with which no server lets anybody log in. */
  async #freshIdentity() {
    if (this.identity && Date.now() >= this.model.certificateEnds) {
      await this.#setIdentity(await renew(this.store, this.origin, this.identity));
    }
    return this.identity;
  }

  /** @param {Identity|null} identity */
  async #setIdentity(identity) {
    this.identity = identity;
    if (!identity) return;
    const [own, ca] = [readCertificate(identity.certificate), readCertificate(identity.ca)];
    const [keyHash, caHash] = (await Promise.all([sha256(own.key), sha256(ca.der)])).map(toHex);
    this.model.identity = { keyHash, caHash };
    this.model.me = identity.user;
    this.model.device = identity.device;
    this.model.instance = identity.instance;
    this.model.certificateEnds = own.notAfter;
    this.#renewAt = renewalDue(identity);
    this.model.touch("state");
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
