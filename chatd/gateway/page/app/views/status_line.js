// The line above the talk that says why nothing arrives, how long that lasts, and what to do.

import { button, fill, h } from "./dom.js";
import { forget, isLost } from "./devices_panel.js";
import { explain } from "./dialogs.js";
import { counted } from "../text.js";

const TICK_MS = 1_000;
// How long a kick lasted when it was told: the count beside it says how long it lasts now.
const SPAN = / for (another )?\d+[smhd]( \d+[smhd])?/;

export class StatusLine {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    this.element = h("div.status", { hidden: true });
    this.text = h("span", { role: "status" });
    this.count = h("span.quiet", { "aria-hidden": true });
    this.now = button("Connect now", () => model.reconnect(), { class: "plain" });
    this.here = button("Use this tab", () => model.takeOver(), { class: "main" });
    this.join = button("Use a new invite\u2026", () => void forget(model), { class: "plain" });
    fill(this.element, this.text, this.count, this.now, this.here, this.join);
    setInterval(() => this.#tick(), TICK_MS);
  }

  update() {
    const text = this.#text();
    this.element.hidden = !text;
    if (this.text.textContent !== text) this.text.textContent = text;
    this.now.hidden = !["reconnecting", "ended"].includes(this.model.phase);
    this.here.hidden = this.model.phase !== "other-tab";
    this.join.hidden = !isLost(this.model);
    this.#tick();
  }

  #text() {
    const { phase, trouble, unsent, isKept, isolated, certificateEnds } = this.model;
    const waiting = unsent ? ` ${unsent} unsent, kept here.` : "";
    if (phase === "reconnecting") return `Not connected: ${this.#why(trouble)}.${waiting}`;
    if (phase === "connecting" || phase === "starting") return "Connecting\u2026";
    if (phase === "ended") return `Disconnected: ${trouble ? explain(trouble) : "the session has ended."}`;
    if (phase === "other-tab") return "This chat is open in another tab.";
    if (phase === "connected" && isolated) return `${isolated[0].toUpperCase()}${isolated.slice(1)}.${waiting}`;
    if (phase === "connected" && !isKept) {
      return "This browser keeps nothing: once the page is closed, you need a new invite. Leave private mode.";
    }
    const days = certificateEnds ? Math.floor((certificateEnds - Date.now()) / 86_400_000) : 99;
    return phase === "connected" && days < 7 ? `This browser's certificate ends in ${counted(days, "day")}: ask an admin.` : "";
  }

  /** @param {import("../fault.js").Fault | null} trouble */
  #why(trouble) {
    const reason = trouble?.reason ?? "the connection was cut";
    return trouble?.code === "E208" ? reason.replace(SPAN, "") : reason;
  }

  #tick() {
    const left = Math.ceil((this.model.retryAt - Date.now()) / 1_000);
    const counts = this.model.phase === "reconnecting" && this.model.retryAt > 0;
    this.count.textContent = counts ? (left > 0 ? `Again in ${left} s` : "Trying\u2026") : "";
  }
}
