// The members of the current conversation, those who are here first.

import { avatar } from "./avatar.js";
import { button, fill, h } from "./dom.js";
import { counted } from "../text.js";

/** @typedef {import("../conversation.js").Member} Member */

const STATES = ["online", "away", "offline"];
// Beyond it, people are found by name.
const SHOWN = 300;

export class MemberList {
  /**
   * @param {any} model
   * @param {{person: (user: string) => void, close: () => void, invite: () => void}} acts
   */
  constructor(model, acts) {
    this.model = model;
    this.acts = acts;
    this.list = h("ul");
    this.title = h("span");
    this.inviting = button("Invite someone to this room", () => acts.invite(), { icon: "plus", bare: true });
    this.element = h(
      "aside.members",
      { id: "members", "aria-label": "Members" },
      h("h2", {}, this.title, this.inviting, button("Close", acts.close, { icon: "close", bare: true, class: "members-close" })),
      this.list,
    );
  }

  update() {
    const here = this.model.here;
    const live = this.model.phase === "connected";
    const known = here ? [.../** @type {Map<string, Member>} */ (here.members).values()] : [];
    // Without a connection nobody knows who is here.
    const members = live ? known : known.map((one) => ({ ...one, state: "offline", text: "" }));
    const present = members.filter((one) => one.state !== "offline").length;
    members.sort((one, other) => rank(one) - rank(other) || (one.user < other.user ? -1 : 1));
    this.title.textContent = members.length && live ? `Here: ${present} of ${members.length}` : "Members";
    this.inviting.hidden = here?.kind !== "room";
    fill(
      this.list,
      members.slice(0, SHOWN).map((one) => h("li", {}, this.#member(one))),
      members.length > SHOWN && h("li.quiet.small", {}, `and ${counted(members.length - SHOWN, "other")}`),
    );
  }

  /** @param {Member} one */
  #member(one) {
    const role = one.role && one.role !== "user" ? one.role : "";
    const about = [one.user, role, one.state, one.text].filter(Boolean).join(", ");
    return h(
      `button.person${one.state === "offline" ? ".off" : ""}`,
      { type: "button", "aria-label": about, onclick: () => this.acts.person(one.user) },
      avatar(one.user, { size: "tiny", state: one.state }),
      h("span.cut", {}, one.user),
      one.text && h("span.quiet.small.cut", {}, one.text),
      role && h("span.role", {}, role),
    );
  }
}

/** @param {Member} one */
function rank(one) {
  return STATES.indexOf(one.state);
}
