// People: role, presence, devices; invite, change a role, end sessions, ban, revoke, remove.

import { avatar } from "../avatar.js";
import { button, fill, h } from "../dom.js";
import { ask, openDialog, openMenu } from "../dialogs.js";
import { sessions, timed } from "../person_panel.js";
import { secondsOf } from "../times.js";
import { line } from "../../text.js";
import { table } from "./table.js";

const REASON = { name: "reason", label: "Reason" };
const HOURS_24 = "24h";
/** Rooms that a sentence names. */
const NAMED = 8;

export class PeopleTab {
  /** @param {import("./admin_page.js").AdminPage} page */
  constructor(page) {
    this.page = page;
    this.model = page.model;
    /** @type {any[]} */
    this.users = [];
    this.filter = h("input", { type: "search", "aria-label": "Filter people", placeholder: "Filter people", oninput: () => this.#draw() });
    this.list = h("div");
    const invite = this.model.may("invite.create") && button("Invite someone\u2026", () => this.#invite(), { class: "main" });
    const announce = this.model.may("announce") && button("Announce\u2026", () => this.#announce());
    this.element = h("div.stack", {}, h("div.row.wrap", {}, h("div.grow", {}, this.filter), announce, invite), this.list);
  }

  async open() {
    this.users = await this.model.admin.users();
    this.#draw();
  }

  #draw() {
    const word = this.filter.value.trim().toLowerCase();
    const shown = this.users.filter((one) => `${one.user} ${one.role}`.includes(word));
    fill(this.list, table("People", ["Name", "Role", "State", "Devices", ""], shown.map((one) => this.#row(one)), "Nobody has this name."));
  }

  /** @param {any} one */
  #row(one) {
    const state = one.removed ? "removed" : one.banned ? "banned" : one.state ?? "";
    const devices = (one.device_list ?? []).filter((/** @type {any} */ device) => !device.revoked);
    return [
      h("span.row", {}, avatar(one.user, { size: "tiny" }), one.user),
      one.pinned ? `${one.role} (pinned)` : one.role,
      h(`span.${state === "banned" ? "bad" : state === "online" ? "good" : "quiet"}`, {}, state),
      devices.map((/** @type {any} */ device) => device.device).join(", ") || String(one.devices),
      !one.removed && button(`Actions for ${one.user}`, (event) => this.#menu(one, devices, /** @type {any} */ (event.currentTarget)), { icon: "more", bare: true, "aria-haspopup": "menu" }),
    ];
  }

  /** @param {any} one @param {any[]} devices @param {HTMLElement} anchor */
  #menu(one, devices, anchor) {
    const { model, page } = this;
    const { user } = one;
    const acts = { done: (/** @type {string} */ text) => page.done(text) };
    const may = (/** @type {string} */ permission, /** @type {string} */ label, /** @type {() => any} */ act, danger = true) =>
      model.may(permission) && { label, act: () => void act(), danger };
    const items = [
      may("role.set", "Change role\u2026", () => this.#role(one), false),
      may("moderate.kick", "End sessions\u2026", () => this.#hit("kick", user, `End the sessions of ${user}?`, "End them")),
      may("moderate.mute", "Mute\u2026", () => timed(model, "mute", user, acts)),
      may("moderate.mute", "Unmute\u2026", () => this.#unmute(user), false),
      may("moderate.ban", "Ban\u2026", () => timed(model, "ban", user, acts)),
      ...devices.map((device) => may("device.revoke", `Revoke ${device.device}\u2026`, () => this.#revoke(user, device.device))),
      may("user.remove", "Remove for good\u2026", () => this.#hit("removeUser", user, `Remove ${user} for good?`, "Remove")),
    ].filter(Boolean);
    openMenu(anchor, /** @type {any} */ (items), `Actions for ${user}`);
  }

  /** Ask with what it would hit, then act. @param {"kick" | "removeUser"} what @param {string} user @param {string} title @param {string} yes */
  async #hit(what, user, title, yes) {
    const act = (/** @type {any} */ how) => this.model.admin[what](user, how);
    const text = await preview(act({ dryRun: true }));
    await ask({
      title,
      text,
      fields: [REASON],
      yes,
      danger: true,
      act: async ({ reason }) => this.page.done(`${user}: done.${sessions(await act({ reason }))}`),
    });
  }

  /** @param {string} user */
  #unmute(user) {
    return ask({
      title: `End the mute of ${user}?`,
      fields: [REASON],
      yes: "End the mute",
      act: async ({ reason }) => {
        await this.model.admin.unmute(user, { reason });
        this.page.done(`${user} may write again.`);
      },
    });
  }

  /** @param {string} user @param {string} device */
  async #revoke(user, device) {
    const text = await preview(this.model.admin.revoke(user, device, { dryRun: true }));
    await ask({
      title: `Revoke ${user}/${device}?`,
      text: ["Its certificate never logs in again.", ...text],
      fields: [REASON],
      yes: "Revoke",
      danger: true,
      act: async ({ reason }) => {
        const done = await this.model.admin.revoke(user, device, { reason });
        this.page.done(`Revoked ${user}/${device}.${sessions(done)}`);
      },
    });
  }

  /** @param {any} one */
  async #role(one) {
    const known = await this.model.admin.roles().catch(() => ({ roles: { admin: 0, user: 0, guest: 0 } }));
    await ask({
      title: `Role of ${one.user}`,
      text: ["Whoever may not be in rooms closed to guests leaves them and all groups, and does not come back to them with another role."],
      fields: [{ name: "role", label: "Role", value: one.role, choices: Object.keys(known.roles) }, REASON],
      yes: "Change",
      act: async ({ role, reason }) => {
        const done = await this.model.admin.setRole(one.user, role, reason);
        this.page.done([`${one.user} has the role ${role}`, ...removals(done)].join("; ").concat("."));
      },
    });
  }

  async #invite() {
    const known = await this.model.admin.roles().catch(() => ({ roles: { user: 0 }, default: "user" }));
    await ask({
      title: "Invite someone",
      fields: [
        { name: "user", label: "Name", required: true, limit: 32 },
        { name: "role", label: "Role", value: known.default, choices: Object.keys(known.roles) },
        { name: "period", label: "Good for", value: HOURS_24, hint: "30m, 2h, 7d" },
      ],
      yes: "Make the invite",
      act: async ({ user, role, period }) => {
        const seconds = secondsOf(period);
        if (!seconds) throw new Error(`"${period}" is no time. To do: write 30m, 2h or 7d`);
        const made = await this.model.admin.invite(user, { seconds, role });
        openDialog(`Invite for ${user}`, [
          h("p", {}, "Send one of these on a way that nobody else reads. It works once and is not shown again."),
          h("p.words.small", {}, made.link),
          h("p.words.small", {}, `chat join ${made.code}`),
        ]);
        this.page.done(`${user} is invited.`);
      },
    });
  }

  #announce() {
    return ask({
      title: "Announce to everybody",
      fields: [{ name: "body", label: "Text", required: true, limit: this.model.welcome?.limits?.message_chars ?? 1_000 }],
      yes: "Announce",
      act: async ({ body }) => {
        await this.model.admin.announce(body);
        this.page.done("Announced.");
      },
    });
  }
}

/** Say what a user is removed from. @param {any} result @returns {string[]} */
function removals({ rooms = [], more_rooms: more = 0, groups = 0, ownerless = [], dry_run: dry = false }) {
  const counted = (/** @type {number} */ one, /** @type {string} */ what) => (one ? [`${one} ${what}${one === 1 ? "" : "s"}`] : []);
  const from = [...rooms.slice(0, NAMED), ...counted(more + Math.max(0, rooms.length - NAMED), "more room"), ...counted(groups, "group")];
  return [
    ...(from.length ? [`${dry ? "would be " : ""}removed from ${from.map(line).join(", ")}`] : []),
    ...(ownerless.length ? [`without an owner ${dry ? "then" : "now"}: ${ownerless.slice(0, NAMED).map(line).join(", ")}`] : []),
  ];
}

/** What a dry run says of the effect; why it would fail. @param {Promise<any>} trial @returns {Promise<string[]>} */
async function preview(trial) {
  try {
    const result = await trial;
    const { sessions: open = 0, devices } = result;
    const all = [`${open} ${open === 1 ? "session ends" : "sessions end"}`, typeof devices === "number" && `${devices} devices are revoked`, ...removals(result)];
    return [`${all.filter(Boolean).join(", ")}.`];
  } catch (error) {
    const { reason = "", fix = "" } = /** @type {any} */ (error);
    return [`The server would refuse: ${reason}. To do: ${fix}.`];
  }
}
