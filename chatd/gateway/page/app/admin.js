/**
 * What admins, owners, moderators and sponsors do. The server decides every one of these; ask the
 * person before each that changes something. `dryRun` changes nothing and shows who would be hit.
 */

import { RoomAdmin } from "./room_admin.js";

/** @typedef {import("./room_admin.js").How} How */

export class Admin extends RoomAdmin {
  /**
   * End a user's sessions, or remove the user from `room`.
   * @param {string} user
   * @param {How & {room?: string}} [how]
   */
  kick(user, how = {}) {
    return this.act("kick", { user, room: how.room }, how);
  }

  /**
   * Ban for so many seconds, 0: until `unban`.
   * @param {string} user
   * @param {How & {seconds?: number}} [how]
   */
  ban(user, how = {}) {
    return this.act("ban", { user, seconds: how.seconds || null }, how);
  }

  /** @param {string} user @param {string} [reason] */
  unban(user, reason) {
    return this.act("unban", { user }, { reason });
  }

  /** `[{user, until, reason, by, at}]` */
  bans() {
    return this.model.all("bans", "bans", "user");
  }

  /** `[{user, room, until, reason, by, at}]`, with no room for a mute everywhere */
  mutes() {
    return this.model.all("mutes", "mutes", "user");
  }

  /**
   * Mute in `room` or everywhere.
   * @param {string} user
   * @param {How & {room?: string, seconds?: number}} [how]
   */
  mute(user, how = {}) {
    return this.act("mute", { user, room: how.room, seconds: how.seconds || null }, how);
  }

  /** @param {string} user @param {{room?: string, reason?: string}} [how] */
  unmute(user, how = {}) {
    return this.act("unmute", { user, room: how.room }, how);
  }

  /**
   * Remove somebody's message for everybody.
   * @param {string} room
   * @param {number} seq
   * @param {string} [reason]
   */
  redact(room, seq, reason) {
    return this.act("redact", { room, seq }, { reason });
  }

  /** @param {string} body */
  announce(body) {
    return this.act("announce", { body });
  }

  /** `{roles: {role: [permission]}, default, pinned}` */
  roles() {
    return this.act("role_show");
  }

  /** @param {string} user @param {string} role @param {string} [reason] */
  setRole(user, role, reason) {
    return this.act("role_set", { user, role }, { reason });
  }

  /** `[{user, role, pinned, devices, state, banned, removed, device_list}]` */
  users() {
    return this.model.all("users", "users", "user", { devices: true });
  }

  /** Remove a user for good. @param {string} user @param {How} [how] */
  removeUser(user, how = {}) {
    return this.act("user_remove", { user }, how);
  }

  /**
   * Revoke a device's certificate.
   * @param {string} user
   * @param {string} device
   * @param {How} [how]
   */
  revoke(user, device, how = {}) {
    return this.act("revoke", { user, device }, how);
  }

  /**
   * This user's own devices: `[{user, device, serial, state, issued, ends, by, sessions, seen}]`
   */
  devices() {
    return this.model.all("devices", "certificates", "next");
  }

  /**
   * All certificates, or those that expire within so many seconds.
   * @param {{user?: string, expiring?: number}} [of]
   */
  certificates(of = {}) {
    return this.model.all("certificates", "certificates", "next", of);
  }

  /**
   * Invite a user; returns `{code, link, user, until}`. The code is shown once and kept nowhere.
   * @param {string} user
   * @param {{seconds: number, role?: string, device?: string, rooms?: string[], guest_seconds?: number,
   *   sponsor?: string}} terms
   */
  invite(user, terms) {
    return this.model.client.invite("invite_create", { user, ...terms });
  }

  /**
   * Invite another device of one's own, as `invite`.
   * @param {{seconds: number, device?: string}} terms
   */
  addDevice(terms) {
    return this.model.client.invite("device_add", terms);
  }

  /** `[{invite, user, role, device, rooms, state, until, by, at, guest_until, sponsor}]` */
  invites() {
    return this.model.all("invite_list", "invites", "invite");
  }

  /** @param {string} user */
  cancelInvite(user) {
    return this.act("invite_cancel", { user });
  }

  /** Who asks to be let in: `[{ask, user, device, address, words, at}]` */
  asks() {
    return this.model.all("asks", "asks", "ask");
  }

  /**
   * Let an asker in, after comparing the words.
   * @param {string} ask
   * @param {import("./wire.js").Json} [terms]
   */
  approveAsk(ask, terms = {}) {
    return this.act("ask_approve", { ask, ...terms });
  }

  /** @param {string} ask */
  denyAsk(ask) {
    return this.act("ask_deny", { ask });
  }

  /** Messages that wait for a moderator: `[{seq, at, room, user, device, kind, word, body}]` */
  held() {
    return this.model.all("held_list", "held", "seq");
  }

  /** @param {number} seq */
  approve(seq) {
    return this.act("held_approve", { seq });
  }

  /** @param {number} seq @param {string} [reason] */
  refuse(seq, reason) {
    return this.act("held_refuse", { seq }, { reason });
  }

  /** `[{user, sponsor, ends, state}]` */
  guests() {
    return this.model.all("guest_list", "guests", "user");
  }

  /** @param {string} user @param {number} seconds */
  extendGuest(user, seconds) {
    return this.act("guest_extend", { user, seconds });
  }

  /** @param {string} user @param {How} [how] */
  endGuest(user, how = {}) {
    return this.act("guest_end", { user }, how);
  }

  /** Counters and the state of every process; see `stats` in docs/protocol.md. */
  stats() {
    return this.act("stats");
  }

  /**
   * One page of what admins did, newest first: `{events, cursor, more}`; go on with `before: cursor`.
   * @param {{actor?: string, target?: string, event?: string, since?: number, until?: number,
   *   before?: number, limit?: number}} [of]
   */
  audit(of = {}) {
    return this.act("audit", of);
  }
}
