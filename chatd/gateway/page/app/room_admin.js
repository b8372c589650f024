/** What owners and admins do to rooms. The server decides; ask the person before each change. */

/** @typedef {{reason?: string, dryRun?: boolean}} How */

export class RoomAdmin {
  /** @param {import("./rooms.js").RoomModel} model */
  constructor(model) {
    this.model = model;
  }

  /** A room's mode, history, owners, invitations. @param {string} room */
  roomInfo(room) {
    return this.act("room_info", { room });
  }

  /** @param {string} room @param {"open"|"members"|"read-only"} mode @param {How} [how] */
  setMode(room, mode, how = {}) {
    return this.act("room_mode", { room, mode }, how);
  }

  /** Invite a user to a room. @param {string} room @param {string} user */
  inviteTo(room, user) {
    return this.act("invite", { room, user });
  }

  /** Withdraw an invitation, or decline one's own. @param {string} room @param {string} user */
  uninvite(room, user) {
    return this.act("uninvite", { room, user });
  }

  /** @param {string} room @param {string} user @param {boolean} on */
  setOwner(room, user, on) {
    return this.act("owner", { room, user, on });
  }

  /** @param {string} room @param {string} user @param {How} [how] */
  removeMember(room, user, how = {}) {
    return this.act("member_remove", { room, user }, how);
  }

  /** @param {string} room @param {boolean} on @param {How} [how] */
  archiveRoom(room, on, how = {}) {
    return this.act("room_archive", { room, on }, how);
  }

  /** Remove a room and its messages for good. @param {string} room @param {How} [how] */
  removeRoom(room, how = {}) {
    return this.act("room_remove", { room }, how);
  }

  /**
   * Put a room on hold: no message is removed.
   * @param {string} room
   * @param {boolean} on
   * @param {string} [reason]
   */
  hold(room, on, reason) {
    return this.act("hold", { room, on }, { reason });
  }

  /**
   * @param {string} kind
   * @param {import("./wire.js").Json} [fields]
   * @param {How} [how]
   * @returns {Promise<any>}
   */
  act(kind, fields = {}, { reason, dryRun } = {}) {
    return this.model.request(kind, { ...fields, reason: reason || null, dry_run: dryRun || null });
  }
}
