// The server's page for those who may: figures, people, certificates, what waits, bans, the audit.
// What is shown here is a convenience; the server decides every request.

import { button, fill, h } from "../dom.js";
import { explain } from "../dialogs.js";
import { AuditTab } from "./audit_tab.js";
import { BansTab } from "./bans_tab.js";
import { CertificatesTab } from "./certificates_tab.js";
import { Overview } from "./overview.js";
import { PeopleTab } from "./people_tab.js";
import { WaitingTab } from "./waiting_tab.js";

/** @typedef {{element: HTMLElement, open: () => Promise<void>, close?: () => void}} Tab */

/** @type {[string, string[], new (page: AdminPage) => Tab][]} */
const TABS = [
  ["Overview", ["stats.read"], Overview],
  ["People", ["user.list"], PeopleTab],
  ["Waiting", ["message.review", "invite.create"], WaitingTab],
  ["Certificates", ["user.list"], CertificatesTab],
  ["Bans", ["moderate.ban", "moderate.mute"], BansTab],
  ["Audit", ["audit.read"], AuditTab],
];

/** @type {WeakMap<object, AdminPage>} */
const pages = new WeakMap();

/** @param {any} model @returns {HTMLElement} the page of this model, always the same one */
export function adminPage(model) {
  const known = pages.get(model) ?? new AdminPage(model);
  pages.set(model, known);
  known.update();
  return known.element;
}

export class AdminPage {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    /** @type {Tab | null} */
    this.tab = null;
    this.name = "";
    this.allowed = "";
    this.title = h("h1.cut");
    this.tabs = h("div.tabs", { role: "tablist", "aria-label": "Server" });
    this.said = h("p.note.good", { role: "status", hidden: true });
    this.panel = h("div", { role: "tabpanel", id: "admin-panel", tabindex: "0" });
    this.element = h(
      "main.server",
      {},
      h("header.row", {}, button("Back to the chat", () => (location.hash = ""), { icon: "back", bare: true }), this.title),
      this.tabs,
      this.said,
      this.panel,
    );
    this.tabs.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    addEventListener("hashchange", () => location.hash !== "#admin" && this.tab?.close?.());
  }

  /** Show the tabs that the present role may use. */
  update() {
    this.title.textContent = `Server ${this.model.instance}`;
    const mine = TABS.filter(([, permissions]) => permissions.some((one) => this.model.may(one)));
    const names = mine.map(([name]) => name);
    if (names.join() === this.allowed && this.element.isConnected) return;
    this.allowed = names.join();
    if (!names.length) {
      fill(this.panel, h("p.note", {}, "Your role has nothing to do here. To do: ask an admin for another role."));
      return;
    }
    if (this.model.phase === "connected") this.show(names.includes(this.name) ? this.name : names[0]);
    else this.allowed = "";
  }

  /** @param {string} name */
  show(name) {
    const found = TABS.find(([one]) => one === name);
    if (!found) return;
    this.tab?.close?.();
    this.name = name;
    this.said.hidden = true;
    this.tab = new found[2](this);
    const tab = (/** @type {string} */ one) =>
      button(one, () => this.show(one), {
        role: "tab",
        id: `tab-${one}`,
        "aria-selected": one === name,
        "aria-controls": "admin-panel",
        tabIndex: one === name ? 0 : -1,
        class: "plain",
      });
    fill(this.tabs, this.allowed.split(",").map(tab));
    this.panel.setAttribute("aria-labelledby", `tab-${name}`);
    fill(this.panel, this.tab.element);
    void this.#load(this.tab);
  }

  /** Show what was done, and the new state of affairs. @param {string} text */
  done(text) {
    this.said.textContent = text;
    this.said.hidden = false;
    if (this.tab) void this.#load(this.tab);
  }

  /** @param {Tab} tab */
  async #load(tab) {
    try {
      await tab.open();
    } catch (error) {
      if (tab === this.tab) fill(tab.element, h("p.note.bad", { role: "alert" }, explain(error)));
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const names = this.allowed.split(",");
    if (!step) return;
    this.show(names[(names.indexOf(this.name) + step + names.length) % names.length]);
    document.getElementById(`tab-${this.name}`)?.focus();
  }
}
