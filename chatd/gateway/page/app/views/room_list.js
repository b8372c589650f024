// The list of rooms and direct conversations, with what is unread.

import { avatar } from "./avatar.js";
import { button, fill, h, icon } from "./dom.js";

/** @typedef {import("../conversation.js").Conversation} Conversation */

export class RoomList {
  /**
   * @param {any} model
   * @param {{enter: (name: string) => void, browse: () => void, write: () => void}} acts
   */
  constructor(model, acts) {
    this.model = model;
    this.acts = acts;
    this.element = h("nav", { "aria-label": "Rooms and conversations" });
  }

  update() {
    const all = this.model.listed();
    const focused = document.activeElement?.getAttribute("data-room");
    const rooms = all.filter((/** @type {Conversation} */ one) => one.kind === "room");
    const people = all.filter((/** @type {Conversation} */ one) => one.kind !== "room");
    const open = [...this.model.invitations].filter((name) => !this.model.joined.has(name));
    fill(
      this.element,
      this.#section("Rooms", rooms.map((/** @type {any} */ one) => this.#room(one)), "Find or make a room", () =>
        this.acts.browse(),
      ),
      open.length > 0 && this.#section("Invitations", open.map((name) => this.#invitation(name))),
      this.#section("People", people.map((/** @type {any} */ one) => this.#room(one)), "Write to someone", () =>
        this.acts.write(),
      ),
    );
    if (focused) {
      const again = [...this.element.querySelectorAll("[data-room]")];
      /** @type {any} */ (again.find((one) => one.getAttribute("data-room") === focused))?.focus();
    }
  }

  /** The room `step` places after the current one; with `unread` the next one with unread messages.
   * @param {number} step @param {boolean} unread @returns {string} "" for none */
  neighbour(step, unread) {
    const all = this.model.listed();
    const at = all.findIndex((/** @type {Conversation} */ one) => one.name === this.model.current);
    for (let away = 1; away <= all.length; away += 1) {
      const one = all[(((at + step * away) % all.length) + all.length) % all.length];
      if (!unread || one.unread > 0) return one.name;
    }
    return "";
  }

  /** @param {string} title @param {HTMLElement[]} items @param {string} [label] @param {() => void} [act] */
  #section(title, items, label, act) {
    return [
      h("h2", {}, title, label && act && button(label, act, { icon: "plus", bare: true })),
      h("ul", {}, items.map((one) => h("li", {}, one))),
    ];
  }

  /** @param {Conversation} one */
  #room(one) {
    const title = this.model.title(one.name);
    const isHere = one.name === this.model.current;
    const label = [title, one.unread && `${one.unread} unread`, one.mentions && `${one.mentions} for you`];
    return h(
      `button.room${one.unread ? ".unread" : ""}`,
      {
        type: "button",
        "data-room": one.name,
        "aria-current": isHere ? "page" : undefined,
        "aria-label": label.filter(Boolean).join(", "),
        onclick: () => this.acts.enter(one.name),
      },
      this.#sign(one, title),
      h("span.cut", {}, title.replace(/^[#@]/, "")),
      one.draft && !isHere && h("span.draft", {}, "draft"),
      one.unread > 0 && h(`span.badge${one.mentions ? ".for-me" : ""}`, {}, short(one.unread)),
    );
  }

  /** @param {Conversation} one @param {string} title */
  #sign(one, title) {
    if (one.kind === "direct") {
      const user = title.slice(1);
      return avatar(user, { size: "tiny", state: this.#state(user) });
    }
    if (one.kind === "group") return h("span.sign", {}, icon("people"));
    return h("span.sign", {}, one.mode === "members" ? icon("lock") : "#");
  }

  /** @param {string} user @returns {string} "" if no list of members has told it */
  #state(user) {
    for (const one of this.model.conversations.values()) {
      const known = one.members.get(user);
      if (known) return known.state;
    }
    return "";
  }

  /** @param {string} name */
  #invitation(name) {
    return h(
      "button.room",
      { type: "button", "data-room": name, onclick: () => this.acts.enter(name) },
      h("span.sign", {}, "#"),
      h("span.cut", {}, name.slice(1)),
      h("span.badge.for-me", {}, "Join"),
    );
  }
}

/** @param {number} number @returns {string} a count in at most four characters */
export function short(number) {
  if (number < 1_000) return String(number);
  return number < 100_000 ? `${Math.floor(number / 1_000)}k` : "99k+";
}
