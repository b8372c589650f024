// Find a room, make one, write to somebody, see and change what a room is.

import { button, fill, h } from "./dom.js";
import { ask, explain, openDialog } from "./dialogs.js";
import { rules } from "../describe.js";
import { counted } from "../text.js";
import { owning } from "./room_owner.js";

/** @param {any} model @param {(room: string) => void} enter */
export async function openRooms(model, enter) {
  const list = h("ul", { "aria-busy": true }, h("li.quiet", {}, "Asking the server\u2026"));
  const making = model.may("room.create") && button("Make a room\u2026", () => (dialog.close(), makeRoom(model, enter)), { class: "main" });
  const dialog = openDialog("Rooms", [list, h("div.actions.row", {}, making, button("Close", () => dialog.close()))]);
  try {
    const rooms = await model.rooms();
    const item = (/** @type {any} */ one) =>
      h(
        "button.room",
        { type: "button", onclick: () => (dialog.close(), enter(one.room)) },
        h("span.sign", {}, "#"),
        h("span", {}, one.room.slice(1)),
        h("span.quiet.small.cut.grow", {}, one.topic),
        h("span.quiet.small", {}, [one.joined ? "joined" : one.invited ? "invited" : "", `${one.members}`].filter(Boolean).join(", ")),
      );
    fill(list, rooms.map((/** @type {any} */ one) => h("li", {}, item(one))), rooms.length === 0 && h("li.quiet", {}, "There is no room yet."));
  } catch (error) {
    fill(list, h("li.note.bad", {}, explain(error)));
  }
  list.removeAttribute("aria-busy");
}

/** @param {any} model @param {(room: string) => void} enter */
function makeRoom(model, enter) {
  void ask({
    title: "Make a room",
    fields: [
      { name: "room", label: "Name", required: true, limit: 33, hint: "Small letters, digits, and . _ - between them" },
      { name: "topic", label: "Topic", limit: model.welcome?.limits?.topic_chars ?? 256 },
      { name: "closed", label: "Members come by invitation only", check: true },
      { name: "guests", label: "Guests may enter", check: true },
    ],
    yes: "Make the room",
    act: async ({ room, topic, closed, guests }) => {
      const name = `#${room.replace(/^#/, "")}`;
      await model.createRoom(name, { topic, guests, mode: closed ? "members" : "open" });
      enter(name);
    },
  });
}

const UNREADABLE = "If you come back, you cannot read anything from before, your own messages included.";

/** Return what joining again does not bring back. @param {any} info @param {string} me @returns {string[]} */
function losses({ archived = false, mode = "open", history = "all", members = 0, owners }, me) {
  const found = [];
  if (archived) found.push("Nobody enters an archived room.");
  else if (mode === "members" && members > 1) found.push("Only an invitation brings you back.");
  else if (mode === "members") found.push("You are its last member, so nobody can invite you back.");
  if (history === "since_join" && !archived) found.push(UNREADABLE);
  if (owners?.length === 1 && owners[0] === me) found.push("Nobody owns it then.");
  else if (owners?.includes(me)) found.push("You no longer own it then.");
  return found;
}

/** @param {any} model @param {string} room @param {(text: string) => void} say */
export function inviteTo(model, room, say) {
  void ask({
    title: `Invite someone to ${room}`,
    fields: [{ name: "user", label: "Name", required: true, limit: 32 }],
    yes: "Invite",
    act: async ({ user }) => {
      await model.admin.inviteTo(room, user.replace(/^@/, ""));
      say(`${user} is invited to ${room}.`);
    },
  });
}

/** @param {any} model @param {string} room @param {(text: string) => void} say */
export async function openRoomInfo(model, room, say) {
  const body = h("div.stack", {}, h("p.quiet", {}, "Asking the server\u2026"));
  const dialog = openDialog(room, [body]);
  const show = async () => {
    try {
      fill(body, ...about(model, await model.admin.roomInfo(room), { say, again: () => void show(), close: () => dialog.close() }));
    } catch (error) {
      fill(body, h("p.note.bad", {}, explain(error)));
    }
  };
  await show();
}

/** @param {any} model @param {any} info @param {{say: (text: string) => void, again: () => void, close: () => void}} acts */
function about(model, info, acts) {
  const then = (/** @type {() => any} */ act) => () => (acts.close(), void act());
  const { room } = info;
  const special = [info.guests ? "open to guests" : "closed to guests", ...rules(info.mode, info.history), info.archived && "archived"];
  return [
    info.topic && h("p", {}, info.topic),
    h("p.quiet.small", {}, [counted(info.members, "member"), ...special.filter(Boolean)].join(", ")),
    info.owners?.length > 0 && h("p.small", {}, h("span.quiet", {}, "Owners: "), info.owners.join(", ")),
    ...owning(model, info, acts),
    h(
      "div.actions.row.wrap",
      {},
      info.invitations && button("Invite\u2026", then(() => inviteTo(model, room, acts.say))),
      model.may("room.topic") && button("Topic\u2026", then(() => setTopic(model, room, info.topic))),
      button("Leave\u2026", then(() => leave(model, room, acts.say)), { class: "danger" }),
    ),
  ];
}

/** @param {any} model @param {string} room @param {string} value */
function setTopic(model, room, value) {
  void ask({
    title: `Topic of ${room}`,
    fields: [{ name: "topic", label: "Topic", value, limit: model.welcome?.limits?.topic_chars ?? 256 }],
    yes: "Set",
    act: ({ topic }) => model.setTopic(topic, room),
  });
}

/** @param {any} model @param {string} room @param {(text: string) => void} say */
export async function leave(model, room, say) {
  const group = !room.startsWith("#");
  // Everybody comes back to a group, and reads what follows.
  const info = group ? { history: "since_join" } : await model.admin.roomInfo(room).catch(() => null);
  void ask({
    title: `Leave ${model.title(room)}?`,
    text: [`You get none of its messages until you ${group ? "write there" : "join"} again.`, ...losses(info ?? {}, model.me)],
    yes: "Leave",
    danger: true,
    act: async () => {
      await model.leaveRoom(room);
      say(`You left ${model.title(room)}.`);
    },
  });
}
