/** Sentences about events. All functions are pure, and all texts are safe to show. */

import { beginning, counted, dmMembers, line } from "./text.js";

/** What is special about the modes of rooms. @type {Map<string, string>} */
const MODES = new Map([
  ["members", "entered by invitation"],
  ["read-only", "only its owners write"],
]);

/**
 * Return whoever caused an event: "alice", "server", "server (root)".
 * @param {any} event
 */
export function author(event) {
  const by = line(event.by ?? "server");
  return event.by_login ? `${by} (${line(event.by_login)})` : by;
}

/** @param {string|null} reason */
function because(reason) {
  return reason ? `: ${line(reason)}` : "";
}

/** @param {string} room */
function place(room) {
  const members = dmMembers(room);
  return members.length > 2 ? `the group of ${members.map(line).join(", ")}` : line(room);
}

/** @param {number} at */
function moment(at) {
  return `${new Date(Math.min(Math.max(at, 0), 8e15)).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/**
 * Return what is special about a room: its mode, and what new members read.
 * @param {string|null} mode
 * @param {string|null} history
 */
export function rules(mode, history) {
  const special = mode && mode !== "open" ? [MODES.get(mode) ?? line(mode)] : [];
  return history === "since_join" ? [...special, "members read what follows their joining"] : special;
}

/** @type {{[type: string]: (event: any) => string|null}} */
const SENTENCES = {
  joined: (e) => {
    const about = e.role === "user" ? [] : [line(e.role)];
    if (e.by !== e.user && e.by !== "server") about.push(`via ${line(e.by)}`);
    const words = about.length ? ` (${about.join(", ")})` : "";
    return `${line(e.user)}${words} joined ${place(e.room)}`;
  },
  parted: (e) =>
    e.by === e.user
      ? `${line(e.user)} left ${place(e.room)}${because(e.reason)}`
      : `${line(e.user)} was removed from ${place(e.room)} by ${author(e)}${because(e.reason)}`,
  room_created: (e) => {
    const about = [...(e.guests ? [] : ["closed to guests"]), ...rules(e.mode, e.history)];
    return `${author(e)} created ${line(e.room)}${about.map((one) => `, ${one}`).join("")}${because(e.topic)}`;
  },
  topic: (e) =>
    `${author(e)} ${e.topic ? "set" : "removed"} the topic of ${line(e.room)}${because(e.topic)}`,
  redacted: (e) => {
    const whose = e.user && !e.own ? ` of ${line(e.user)}` : "";
    return `${author(e)} deleted a message${whose}${because(e.reason)}`;
  },
  expired: (e) =>
    e.count ? `${counted(e.count, "message")} of ${line(e.room)} reached ${e.count === 1 ? "its age limit and was" : "their age limit and were"} deleted` : null,
  held: (e) =>
    `the messages of ${line(e.room)} are ${e.on ? "" : "no longer "}held, says ${author(e)}${because(e.reason)}`,
  archived: (e) =>
    `${line(e.room)} is ${e.on ? "archived and can only be read" : "no longer archived"}, says ` +
    `${author(e)}${because(e.reason)}`,
  room_removed: (e) => `${line(e.room)} was removed by ${author(e)}${because(e.reason)}`,
  room_mode: (e) =>
    `${line(e.room)} is ${e.mode === "open" ? "open" : MODES.get(e.mode) ?? line(e.mode)} now, says ${author(e)}`,
  owner_set: (e) => {
    if (e.on && e.by === e.user) return `${author(e)} took over ${line(e.room)} as an owner`;
    if (e.on) return `${author(e)} made ${line(e.user)} an owner of ${line(e.room)}`;
    return e.by === e.user
      ? `${line(e.user)} no longer owns ${line(e.room)}`
      : `${author(e)} removed ${line(e.user)} as an owner of ${line(e.room)}`;
  },
  invited: (e) => `${author(e)} invited ${line(e.user)} to ${line(e.room)}`,
  uninvited: (e) =>
    e.by === e.user
      ? `${author(e)} declined the invitation to ${line(e.room)}`
      : `${author(e)} withdrew the invitation of ${line(e.user)} to ${line(e.room)}`,
  guest_reminded: (e) => `the time of your guest ${line(e.guest)} ends ${moment(e.ends)}`,
  message_refused: (e) => {
    const which = `your message${e.text ? ` "${beginning(e.text)}"` : ""} in ${line(e.room)}`;
    return e.by === e.user
      ? `${which} is withdrawn; nobody has read it but moderators`
      : `${which} was refused by ${author(e)}${because(e.reason)}`;
  },
  attention: (e) => {
    const [user, where] = [line(e.user), line(e.place)];
    if (e.what === "ask") return `${user} asks to be let in, from ${where} (${e.count} in all)`;
    return e.what === "withdrawn"
      ? `${user} withdrew a message in ${where} that waited for a moderator (${e.count} still wait)`
      : `a message of ${user} in ${where} waits for a moderator (${e.count} in all)`;
  },
  isolated: (e) => (e.reason ? line(e.reason) : "this server is up to date again"),
  slowed: (e) => `too fast: your messages are held back for ${e.seconds} s; nothing is lost`,
  presence: (e) => presence(e),
  standing: (e) => standing(e),
};

/**
 * Return a sentence about an event; null for messages and events that are not shown.
 * @param {any} event
 * @returns {string|null}
 */
export function describe(event) {
  return Object.hasOwn(SENTENCES, event.type) ? SENTENCES[event.type](event) : null;
}

/**
 * Tell whom others have removed from a room; "" for who left.
 * @param {any} event
 */
export function removal(event) {
  if (event.by === event.user) return "";
  return `you were removed from ${place(event.room)} by ${author(event)}${because(event.reason)}`;
}

/** @param {any} e */
function presence(e) {
  const by = author(e);
  if (e.cause === "new device") {
    const sponsor = e.sponsor ? `, guest of ${line(e.sponsor)}` : "";
    return `${line(e.user)} is here with the new device ${line(e.device ?? "")}, let in by ${by}${sponsor}`;
  }
  if (e.cause) return `${line(e.user)} was ${line(e.cause)} by ${by}${because(e.reason)}`;
  if (e.state === "away") return `${line(e.user)} is away${because(e.text)}`;
  return `${line(e.user)} is ${e.state === "online" ? "here" : "offline"}`;
}

/** @param {any} e */
function standing(e) {
  const where = e.room ? ` in ${line(e.room)}` : "";
  const until = e.until ? `until ${moment(e.until)}` : "until an admin ends it";
  const changes = new Map([
    ["role_set", `gave you the role ${line(e.role)}`],
    ["muted", `muted you${where || " everywhere"} ${until}`],
    ["unmuted", `ended your mute${where}`],
    ["invited", `invited you to ${line(e.room ?? "")}`],
    ["uninvited", `ended your invitation to ${line(e.room ?? "")}`],
  ]);
  const change = changes.get(e.change);
  return change ? `${author(e)} ${change}${because(e.reason)}` : null;
}
