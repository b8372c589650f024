// What admins and operators did, newest first.

import { button, h } from "../dom.js";
import { explain } from "../dialogs.js";
import { exact, when } from "../times.js";
import { table } from "./table.js";

const PAGE = 50;
// Fields that have columns of their own, or say nothing to a person.
const KNOWN = new Set(["type", "seq", "at", "by", "by_uid", "by_login", "user", "room", "reason"]);

export class AuditTab {
  /** @param {import("./admin_page.js").AdminPage} page */
  constructor(page) {
    this.model = page.model;
    /** @type {any[]} */
    this.events = [];
    this.cursor = 0;
    const field = (/** @type {string} */ name, /** @type {string} */ label) => h("input", { name, type: "text", "aria-label": label, placeholder: label, autocomplete: "off" });
    this.form = h(
      "form.row.wrap.filters",
      { onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void this.open()) },
      field("actor", "By"),
      field("target", "User or room"),
      field("event", "Kind, such as banned"),
      button("Show", () => {}, { type: "submit" }),
    );
    this.list = h("div");
    this.more = button("Older ones", () => void this.#load(this.cursor), { hidden: true });
    this.element = h("div.stack", {}, this.form, this.list, h("div", {}, this.more));
  }

  async open() {
    this.events = [];
    await this.#load(0);
  }

  /** @param {number} before */
  async #load(before) {
    const wanted = Object.fromEntries([...new FormData(this.form)].map(([name, value]) => [name, String(value).trim() || null]));
    try {
      const page = await this.model.admin.audit({ ...wanted, before: before || null, limit: PAGE });
      this.events.push(...page.events);
      this.cursor = page.cursor;
      this.more.hidden = !page.more;
      this.list.replaceChildren(table("Audit", ["When", "By", "What", "Whom", "Reason", "More"], this.events.map(row), "Nothing is recorded."));
    } catch (error) {
      this.list.replaceChildren(h("p.note.bad", { role: "alert" }, explain(error)));
    }
  }
}

/** @param {any} event */
function row(event) {
  const more = Object.entries(event).filter(([name, value]) => !KNOWN.has(name) && value !== null && value !== "" && typeof value !== "object");
  const by = event.by_login ? `${event.by ?? "server"} (${event.by_login})` : event.by ?? "";
  return [
    h("time", { title: exact(event.at) }, when(event.at)),
    by,
    String(event.type).replaceAll("_", " "),
    [event.user, event.room].filter(Boolean).join(" in "),
    event.reason ?? "",
    h("span.quiet.small", {}, more.map(([name, value]) => `${name} ${value}`).join(", ")),
  ];
}
