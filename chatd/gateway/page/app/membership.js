/** Who is in a room, who is here, and what this user may do. */

import { describe, removal } from "./describe.js";
import { line } from "./text.js";

/** Bounds what a server can make this page keep. */
const MEMBERS_LIMIT = 5_000;

/** @typedef {import("./state.js").ChatState} ChatState */
/** @typedef {import("./conversation.js").Conversation} Conversation */

/** Note that this user is not in a room. @param {ChatState} state @param {Conversation} where */
export function leave(state, where) {
  state.joined.delete(where.name);
  where.leave();
  state.touch("rooms", "members");
}

/**
 * Note that this user is not in a room, and why; "" for somebody who left.
 * @param {ChatState} state
 * @param {Conversation} where
 * @param {string} why
 */
export function leaveBecause(state, where, why) {
  const draft = where.draft ? "; what you have not sent there is kept as a draft" : "";
  if (why && state.joined.has(where.name)) state.tell("removal", "", `${why}${draft}`);
  leave(state, where);
}

/** @param {ChatState} state @param {any} event @param {Conversation} where */
export function membership(state, event, where) {
  if (event.type === "parted") where.members.delete(line(event.user));
  else setMember(where, event, event.by === event.user ? "online" : null);
  where.late?.push(event);
  if (event.user === state.me && event.type === "joined") {
    state.joined.add(event.room);
    state.invitations.delete(event.room);
    where.joinedAt = event.seq;
    where.left = false;
  } else if (event.user === state.me) {
    where.partedAt = event.seq;
    leaveBecause(state, where, removal(event));
  }
  state.touch("members", "rooms");
}

/** @param {ChatState} state @param {any} event */
export function presence(state, event) {
  const where = state.conversation(event.room);
  if (where.members.has(line(event.user))) setMember(where, event, event.state);
  where.late?.push(event);
  if (event.cause && where.newest) state.note(describe(event) ?? "", where.name);
  state.touch("members");
}

/**
 * Put a member into the list.
 * @param {Conversation} where
 * @param {any} entry with `user`, perhaps `role`, `state` and `text`
 * @param {string|null} presence null: as known
 */
export function setMember(where, entry, presence) {
  const user = line(String(entry.user));
  const known = where.members.get(user);
  if (!known && where.members.size >= MEMBERS_LIMIT) return;
  const state = presence ?? known?.state;
  where.members.set(user, {
    user,
    role: typeof entry.role === "string" ? line(entry.role) : known?.role ?? "",
    state: state === "online" || state === "away" ? state : "offline",
    text: typeof entry.text === "string" ? line(entry.text) : "",
  });
}

/** @param {ChatState} state @param {any} event */
export function standing(state, event) {
  state.role = line(event.role);
  state.permissions = new Set(event.permissions);
  if (event.change === "muted") state.mutes.set(event.room ?? "", event.until);
  if (event.change === "unmuted") state.mutes.delete(event.room ?? "");
  if (event.change === "invited" && event.room) state.invitations.add(event.room);
  if (event.change === "uninvited" && event.room) state.invitations.delete(event.room);
  const words = describe(event);
  if (words) state.tell("info", "", words, { room: event.room ?? "" });
  state.touch("state", "rooms");
}
