// The bans and mutes in force, and guests, whose time ends by itself.

import { h } from "../dom.js";
import { ask } from "../dialogs.js";
import { secondsOf, when } from "../times.js";
import { section, table } from "./table.js";
import { buttons } from "./waiting_tab.js";

export class BansTab {
  /** @param {import("./admin_page.js").AdminPage} page */
  constructor(page) {
    this.page = page;
    this.model = page.model;
    this.element = h("div.stack");
  }

  async open() {
    const bans = this.model.may("moderate.ban") ? await this.model.admin.bans() : null;
    const mutes = this.model.may("moderate.mute") ? await this.model.admin.mutes() : null;
    const manages = this.model.may("guest.manage") || this.model.may("guest.sponsor");
    const guests = manages ? await this.model.admin.guests() : null;
    const parts = [
      bans && section("Bans", table("Bans", ["Name", "Until", "Reason", "By", ""], bans.map((/** @type {any} */ one) => this.#ban(one)), "Nobody is banned.")),
      mutes && section("Mutes", table("Mutes", ["Name", "Where", "Until", "Reason", "By", ""], mutes.map((/** @type {any} */ one) => this.#mute(one)), "Nobody is muted.")),
      guests && section("Guests", table("Guests", ["Name", "Sponsor", "Ends", ""], guests.map((/** @type {any} */ one) => this.#guest(one)), "There is no guest.")),
    ];
    this.element.replaceChildren(.../** @type {HTMLElement[]} */ (parts.filter(Boolean)));
  }

  /** @param {any} one */
  #ban(one) {
    const end = () =>
      ask({
        title: `End the ban of ${one.user}?`,
        fields: [{ name: "reason", label: "Reason" }],
        yes: "End the ban",
        act: async ({ reason }) => {
          await this.model.admin.unban(one.user, reason);
          this.page.done(`${one.user} may come in again.`);
        },
      });
    return [one.user, one.until ? when(one.until) : "somebody ends it", one.reason, one.by, buttons(["End\u2026", end])];
  }

  /** @param {any} one */
  #mute(one) {
    const where = one.room ?? "everywhere";
    const end = () =>
      ask({
        title: `End the mute of ${one.user} ${one.room ? `in ${one.room}` : where}?`,
        fields: [{ name: "reason", label: "Reason" }],
        yes: "End the mute",
        act: async ({ reason }) => {
          await this.model.admin.unmute(one.user, { room: one.room ?? undefined, reason });
          this.page.done(`${one.user} may write again.`);
        },
      });
    return [one.user, where, one.until ? when(one.until) : "somebody ends it", one.reason, one.by, buttons(["End\u2026", end])];
  }

  /** @param {any} one */
  #guest(one) {
    const extend = () =>
      ask({
        title: `Let ${one.user} stay longer?`,
        fields: [{ name: "period", label: "Longer by", value: "24h", hint: "30m, 2h, 7d" }],
        yes: "Extend",
        act: async ({ period }) => {
          const seconds = secondsOf(period);
          if (!seconds) throw new Error(`"${period}" is no time. To do: write 30m, 2h or 7d`);
          const { ends } = await this.model.admin.extendGuest(one.user, seconds);
          this.page.done(`${one.user} may stay until ${when(ends)}.`);
        },
      });
    const end = () =>
      ask({
        title: `End the time of ${one.user} now?`,
        fields: [{ name: "reason", label: "Reason" }],
        yes: "End it",
        danger: true,
        act: async ({ reason }) => {
          await this.model.admin.endGuest(one.user, { reason });
          this.page.done(`The time of ${one.user} has ended.`);
        },
      });
    return [one.user, one.sponsor, when(one.ends), one.state === "here" ? buttons(["Longer\u2026", extend], ["End\u2026", end]) : "ended"];
  }
}
