// What calls for attention: the title, the icon's badge, notifications (asked for on a click only), toasts.

import { button, fill, h } from "./dom.js";

const KEY = "chatd.notify";
const TOAST_MS = 8_000;
const TOASTS = 3;
// Told by the system while the page is hidden; and what stays until it is dismissed.
const URGENT = new Set(["mention", "announcement", "removal"]);
const LASTING = new Set(["error", "removal"]);

export class Attention {
  /** @param {any} model @param {(room: string) => void} enter */
  constructor(model, enter) {
    this.model = model;
    this.enter = enter;
    this.shown = 0;
    this.element = h("div.toasts", { role: "status", "aria-label": "Notices" });
  }

  /** Whether notifications are wanted and allowed. */
  get on() {
    return "Notification" in globalThis && Notification.permission === "granted" && recall(KEY) === "on";
  }

  /** Turn notifications on or off; only to be called by a click. @returns {Promise<string>} what is so now */
  async toggle() {
    if (!("Notification" in globalThis)) return "This browser has no notifications.";
    if (this.on) {
      remember(KEY, "off");
      return "Notifications are off.";
    }
    if ((await Notification.requestPermission()) !== "granted") {
      return "The browser refuses notifications for this page. To do: allow them beside the address.";
    }
    remember(KEY, "on");
    return "Notifications are on: for direct messages and for your name.";
  }

  /** Show the counts in the title and on the icon. */
  count() {
    const { unread, mentions, here, instance } = this.model;
    const place = here ? this.model.title(here.name) : "";
    const about = [place, instance || "chatd"].filter(Boolean).join(" \u00b7 ");
    document.title = `${mentions ? `(${mentions}) ` : unread ? "\u2022 " : ""}${about}`;
    const badge = /** @type {any} */ (navigator);
    if (mentions) badge.setAppBadge?.(mentions)?.catch(() => {});
    else badge.clearAppBadge?.()?.catch(() => {});
  }

  /** Show the notices that have come since the last time. */
  notices() {
    for (const notice of this.model.notices) {
      if (notice.id <= this.shown) continue;
      this.shown = notice.id;
      if (URGENT.has(notice.kind) && this.on && document.hidden) this.#system(notice);
      // A refused message says so in its place.
      if (notice.kind !== "error" || notice.room !== this.model.current) this.#toast(notice);
      else this.model.dismiss(notice.id);
    }
  }

  /** @param {string} text */
  say(text) {
    this.#toast({ id: 0, kind: "info", title: "", text, fix: "", room: "", at: 0 });
  }

  /** @param {import("../state.js").Notice} notice */
  #system(notice) {
    const shown = new Notification(notice.title || this.model.instance, { body: notice.text, tag: notice.room || "chatd" });
    shown.onclick = () => {
      window.focus();
      if (notice.room) this.enter(notice.room);
      shown.close();
    };
  }

  /** @param {import("../state.js").Notice} notice */
  #toast(notice) {
    const close = () => {
      element.remove();
      if (notice.id) this.model.dismiss(notice.id);
    };
    const element = h(
      `div.toast.${notice.kind}`,
      {},
      h("div.grow", {}, notice.title && h("strong", {}, notice.title), h("p", {}, notice.text), notice.fix && h("p.quiet", {}, `To do: ${notice.fix}.`)),
      notice.room && button("Go there", () => (close(), this.enter(notice.room)), { class: "plain" }),
      button("Dismiss", close, { icon: "close", bare: true }),
    );
    this.element.append(element);
    if (!LASTING.has(notice.kind)) setTimeout(close, TOAST_MS);
    const extra = [...this.element.children].slice(0, -TOASTS);
    for (const one of extra) one.remove();
  }
}

/** Read aloud what arrives in the conversation on the screen. */
export class Announcer {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    this.room = "";
    this.seq = 0;
    this.element = h("div.unseen", { "aria-live": "polite", role: "status" });
  }

  update() {
    const here = this.model.here;
    const newest = here?.newest ?? 0;
    if ((here?.name ?? "") === this.room && this.seq && newest > this.seq) {
      const fresh = here.rows.filter((/** @type {any} */ row) => row.seq > this.seq && !row.mine).slice(-3);
      const lines = fresh.map((/** @type {any} */ row) => h("p", {}, row.user ? `${row.user}: ${row.body.slice(0, 300)}` : row.body));
      if (lines.length) fill(this.element, lines);
    }
    this.room = here?.name ?? "";
    this.seq = newest;
  }
}

/** @param {string} key @returns {string} "" in browsers that keep nothing */
export function recall(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} key @param {string} value */
export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Private mode: it holds until the page is closed.
  }
}
