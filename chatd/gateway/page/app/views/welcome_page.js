// The first visit: paste an invite, or arrive with one in the link. Nothing else is to choose.

import { button, h } from "./dom.js";
import { explain } from "./dialogs.js";

export const PLAIN_WORDS =
  "No envelope here: this page is protected by HTTPS alone, and the server delivers its code. " +
  "Whoever controls the server can change what runs in this page. The programs chat and chatctl do not " +
  "have this weakness.";

const BROWSERS = /** @type {[RegExp, string][]} */ ([
  [/Edg\//, "edge"],
  [/Firefox\//, "firefox"],
  [/Chrom(e|ium)\//, "chrome"],
  [/Safari\//, "safari"],
]);

/** A name for this device that its owner recognizes in a list. @returns {string} */
export function deviceName() {
  const agent = navigator.userAgent;
  const browser = BROWSERS.find(([pattern]) => pattern.test(agent))?.[1] ?? "browser";
  return /Android|iPhone|iPad|Mobile/.test(agent) ? `${browser}-phone` : browser;
}

export class WelcomePage {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    this.input = h("textarea", {
      id: "invite",
      required: true,
      spellcheck: "false",
      autocomplete: "off",
      autocapitalize: "off",
      placeholder: "chat.example.net:5443/0ABC\u2026",
    });
    this.problem = h("p.note.bad", { role: "alert", hidden: true });
    this.submit = button("Join", () => {}, { class: "main", type: "submit" });
    this.progress = h("p.quiet", { role: "status" });
    this.element = h(
      "main.page",
      {},
      h(
        "form.card",
        { onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void this.join()) },
        h("h1", {}, "Join the chat"),
        h("p", {}, "You need an invite: a line that an admin gives you. It works once."),
        h("label", { for: "invite" }, h("span", {}, "Invite"), this.input),
        this.problem,
        h("div.row.wrap", {}, this.submit, this.progress),
        h(
          "p.note.small",
          {},
          "Your key is made in this browser and cannot be copied out of it. If you clear this site's data, " +
            "you need a new invite.",
        ),
        h("p.note.small", {}, PLAIN_WORDS),
      ),
    );
    if (!globalThis.crypto?.subtle) this.#fail("This page works over https:// only. To do: open it with https.");
  }

  /** Redeem the invite of a link. @param {string} code */
  async redeem(code) {
    this.input.value = code;
    await this.join();
  }

  async join() {
    const code = this.input.value.trim();
    if (!code) return;
    this.problem.hidden = true;
    this.submit.disabled = true;
    this.progress.textContent = "Making a key and asking the server\u2026";
    try {
      await this.model.join(code, deviceName());
    } catch (error) {
      this.#fail(explain(error));
    }
    this.progress.textContent = "";
    this.submit.disabled = false;
  }

  /** @param {string} text */
  #fail(text) {
    this.problem.textContent = text;
    this.problem.hidden = false;
  }
}
