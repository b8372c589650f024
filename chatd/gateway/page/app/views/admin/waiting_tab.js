// What waits for a decision: held messages, people who ask to be let in, open invites.

import { button, h } from "../dom.js";
import { ask } from "../dialogs.js";
import { when } from "../times.js";
import { section, table } from "./table.js";

export class WaitingTab {
  /** @param {import("./admin_page.js").AdminPage} page */
  constructor(page) {
    this.page = page;
    this.model = page.model;
    this.element = h("div.stack");
  }

  async open() {
    const { model } = this;
    const held = model.may("message.review") ? await model.admin.held() : null;
    const invites = model.may("invite.create") ? await model.admin.invites() : null;
    const asks = invites && model.may("user.list") ? await model.admin.asks() : null;
    const open = invites?.filter((/** @type {any} */ one) => one.state === "open");
    const parts = [
      asks && section("Asks to be let in", table("Asks", ["Name", "Device", "From", "Words to compare", "Since", ""], asks.map((/** @type {any} */ one) => this.#ask(one)), "Nobody asks.")),
      held && section("Held messages", table("Held messages", ["Author", "Room", "Text", "Word", "Since", ""], held.map((/** @type {any} */ one) => this.#held(one)), "No message is held.")),
      open && section("Open invites", table("Open invites", ["Name", "Role", "Until", "By", ""], open.map((/** @type {any} */ one) => this.#invite(one)), "No invite is open.")),
    ];
    this.element.replaceChildren(.../** @type {HTMLElement[]} */ (parts.filter(Boolean)));
  }

  /** @param {any} one */
  #ask(one) {
    const approve = () =>
      ask({
        title: `Let ${one.user} in?`,
        text: ["Compare these words with the asker by voice. Others mean that somebody sits between you.", h("span.words", {}, one.words)],
        fields: [{ name: "user", label: "Name", value: one.user, limit: 32 }],
        yes: "The words are the same: let in",
        act: async ({ user }) => {
          await this.model.admin.approveAsk(one.ask, user === one.user ? {} : { user });
          this.page.done(`${user} is let in.`);
        },
      });
    const deny = () =>
      this.#sure(`Send ${one.user} away?`, "Send away", async () => {
        await this.model.admin.denyAsk(one.ask);
        this.page.done(`${one.user} was sent away.`);
      });
    return [one.user, one.device, one.address, h("code", {}, one.words), when(one.at), buttons(["Let in\u2026", approve], ["Send away\u2026", deny])];
  }

  /** @param {any} one */
  #held(one) {
    const approve = () =>
      this.#sure("Publish this message?", "Publish", async () => {
        const done = await this.model.admin.approve(one.seq);
        this.page.done(done.published === null ? `Refused: ${done.refused}` : `The message of ${one.user} is published.`);
      }, one.body);
    const refuse = () =>
      ask({
        title: "Refuse this message?",
        text: [one.body],
        fields: [{ name: "reason", label: "Reason", hint: `${one.user} reads it.` }],
        yes: "Refuse",
        danger: true,
        act: async ({ reason }) => {
          await this.model.admin.refuse(one.seq, reason);
          this.page.done(`The message of ${one.user} was refused.`);
        },
      });
    return [one.user, one.room, h("span.body", { dir: "auto" }, one.body), h("code", {}, one.word), when(one.at), buttons(["Publish\u2026", approve], ["Refuse\u2026", refuse])];
  }

  /** @param {any} one */
  #invite(one) {
    const cancel = () =>
      this.#sure(`Cancel the invite for ${one.user}?`, "Cancel the invite", async () => {
        await this.model.admin.cancelInvite(one.user);
        this.page.done(`The invite for ${one.user} is cancelled.`);
      });
    return [one.user, one.role ?? "", when(one.until), one.by, buttons(["Cancel\u2026", cancel])];
  }

  /** @param {string} title @param {string} yes @param {() => Promise<void>} act @param {string} [text] */
  #sure(title, yes, act, text = "") {
    return ask({ title, text: text ? [text] : [], yes, act });
  }
}

/** @param {...[string, () => any]} all */
export function buttons(...all) {
  return h("span.row", {}, all.map(([label, act]) => button(label, () => void act(), { class: "plain" })));
}
