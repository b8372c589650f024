// Who somebody is, and what can be done about them.

import { avatar } from "./avatar.js";
import { button, h } from "./dom.js";
import { ask, explain, openDialog } from "./dialogs.js";
import { counted } from "../text.js";
import { duration, secondsOf, when } from "./times.js";
import { keyWords, verificationWords } from "./words.js";

/** @typedef {{user: string, role: string, state: string, text: string, devices: any[], rooms: string[], banned: any, muted?: any[]}} Whois */

/**
 * @param {any} model
 * @param {string} user
 * @param {{write: (user: string) => void, done: (text: string) => void}} acts
 */
export async function openPerson(model, user, acts) {
  const body = h("div.stack", { "aria-busy": true }, h("p.quiet", {}, "Asking the server\u2026"));
  const dialog = openDialog(user, [body]);
  try {
    const who = await model.whois(user);
    body.replaceChildren(...details(model, who, acts, dialog));
  } catch (error) {
    body.replaceChildren(h("p.note.bad", {}, explain(error)));
  }
  body.removeAttribute("aria-busy");
}

/** @param {any} model @param {Whois} who @param {any} acts @param {HTMLDialogElement} dialog */
function details(model, who, acts, dialog) {
  const { user } = who;
  const then = (/** @type {() => any} */ act) => () => (dialog.close(), void act());
  const devices = who.devices.filter((one) => !one.revoked);
  const state = [who.role, who.state, who.text, who.banned && "banned"].filter(Boolean).join(", ");
  return [
    h("div.row", {}, avatar(user, { size: "large", state: who.state }), h("span", {}, state)),
    who.rooms.length > 0 && h("p.small", {}, h("span.quiet", {}, "Shared rooms: "), who.rooms.join(", ")),
    ...(who.muted ?? []).map((one) => h("p.small", {}, h("span.bad", {}, "Muted "), muted(one))),
    h("h3", {}, "Devices"),
    h(
      "ul.stack",
      {},
      devices.map((one) =>
        h("li.small", {}, h("strong", {}, one.device), one.online ? " (online) " : " ", h("span.quiet", {}, keyWords(one.key))),
      ),
    ),
    h(
      "div.actions.row.wrap",
      {},
      user !== model.me && model.may("dm.send") && button("Write", then(() => acts.write(user)), { class: "main" }),
      user !== model.me && button("Compare words", then(() => openVerify(model, user))),
      user !== model.me && sanctions(model, user, acts).map(([label, act]) => button(label, then(act), { class: "danger" })),
    ),
  ].filter(Boolean);
}

/** @param {any} mute */
function muted({ room, until, reason }) {
  const end = until ? `until ${when(until)}` : "until somebody ends it";
  return `${room ? `in ${room}` : "everywhere"} ${end}${reason ? `: ${reason}` : ""}`;
}

/** @param {any} model @param {string} user @param {any} acts @returns {[string, () => any][]} */
function sanctions(model, user, acts) {
  const room = model.here?.kind === "room" ? model.here.name : "";
  /** @type {[string, string, () => any][]} */
  const all = [
    ["moderate.kick", `Remove from ${room}`, () => room && removal(model, user, room, acts)],
    ["moderate.mute", "Mute\u2026", () => timed(model, "mute", user, acts)],
    ["moderate.ban", "Ban\u2026", () => timed(model, "ban", user, acts)],
  ];
  const mine = all.filter(([permission, label]) => model.may(permission) && !label.endsWith(" "));
  return mine.map(([, label, act]) => [label, act]);
}

const REASON = { name: "reason", label: "Reason", hint: "The others read it." };
const PERIOD = { name: "period", label: "For how long", value: "1h", hint: "30m, 2h, 7d; empty: until somebody ends it" };

/** @param {any} model @param {string} user @param {string} room @param {any} acts */
function removal(model, user, room, acts) {
  return ask({
    title: `Remove ${user} from ${room}?`,
    fields: [REASON],
    yes: "Remove",
    danger: true,
    act: async ({ reason }) => {
      await model.admin.kick(user, { room, reason });
      acts.done(`${user} was removed from ${room}.`);
    },
  });
}

/**
 * Ban or mute somebody, after showing whom it hits.
 * @param {any} model @param {"ban" | "mute"} what @param {string} user @param {{done: (text: string) => void}} acts
 */
export async function timed(model, what, user, acts) {
  const found = await model.admin[what](user, { dryRun: true }).catch((/** @type {any} */ error) => error);
  if (found instanceof Error) return acts.done(explain(found));
  const hits = found.sessions === undefined ? "" : ` It ends ${counted(found.sessions, "session")}.`;
  return ask({
    title: what === "ban" ? `Ban ${user}?` : `Mute ${user} everywhere?`,
    text: [what === "ban" ? `${user} cannot come in until it ends.${hits}` : `${user} can read but not write until it ends.`],
    fields: [PERIOD, REASON],
    yes: what === "ban" ? "Ban" : "Mute",
    danger: true,
    act: async ({ period, reason }) => {
      const seconds = secondsOf(period);
      if (period && !seconds) throw new Error(`"${period}" is no time. To do: write 30m, 2h or 7d`);
      const done = await model.admin[what](user, { seconds: seconds ?? 0, reason });
      const until = seconds ? ` for ${duration(seconds)}` : "";
      acts.done(`${user} is ${what === "ban" ? "banned" : "muted"}${until}.${sessions(done)}`);
    },
  });
}

/** @param {any} result @returns {string} */
export function sessions(result) {
  const until = result?.until ? ` Until ${when(result.until)}.` : "";
  return result?.sessions === undefined ? until : ` ${counted(result.sessions, "session")} ended.${until}`;
}

/** @param {any} model @param {string} user */
export async function openVerify(model, user) {
  const body = h("div.stack", {}, h("p.quiet", {}, "Asking the server\u2026"));
  openDialog(`Compare words with ${user}`, [body]);
  try {
    const [mine, theirs] = await Promise.all([model.whois(model.me), model.whois(user)]);
    const words = await verificationWords(model.identity, mine, theirs);
    body.replaceChildren(
      h("p", {}, `Read these words to ${user} on another way, such as the telephone. ${user} sees the same ones with /verify ${model.me}.`),
      h("p.words", {}, words),
      h("p.note.small", {}, "Other words mean that somebody sits between you, or that one of you has a new device that the other does not see yet."),
    );
  } catch (error) {
    body.replaceChildren(h("p.note.bad", {}, explain(error)));
  }
}
