// What owners do in "About this room": invitations, members, other owners. The server decides.

import { ask, explain } from "./dialogs.js";
import { button, fill, h } from "./dom.js";
import { counted } from "../text.js";

// Beyond it, members are found by name.
const SHOWN = 100;
const REASON = { name: "reason", label: "Reason", hint: "The others read it." };

/**
 * Return what whoever may invite sees besides: open invitations; owners also the members.
 * @param {any} model
 * @param {any} info the answer to `room_info`
 * @param {{say: (text: string) => void, again: () => void}} acts `again`: show the room anew
 * @returns {(HTMLElement | false)[]}
 */
export function owning(model, info, acts) {
  const owns = info.owners?.includes(model.me) ?? false;
  const members = h("ul.stack.folk");
  if (owns) void listMembers(model, info, members, acts);
  return [
    info.invitations?.length > 0 && h("h3", {}, "Open invitations"),
    info.invitations?.length > 0 && h("ul.stack.folk", {}, info.invitations.map((/** @type {string} */ user) => invited(model, info.room, user, acts))),
    owns && h("h3", {}, "Members"),
    owns && members,
  ];
}

/** @param {any} model @param {string} room @param {string} user @param {any} acts */
function invited(model, room, user, acts) {
  const withdraw = async () => {
    await model.admin.uninvite(room, user).catch((/** @type {any} */ error) => acts.say(explain(error)));
    acts.again();
  };
  return h("li.row", {}, h("span.grow.cut", {}, user), button("Withdraw", () => void withdraw(), { "aria-label": `Withdraw the invitation of ${user}` }));
}

/** @param {any} model @param {any} info @param {HTMLElement} list @param {any} acts */
async function listMembers(model, { room, owners }, list, acts) {
  try {
    await model.loadMembers(room);
  } catch (error) {
    return fill(list, h("li.note.bad", {}, explain(error)));
  }
  const users = [...model.conversation(room).members.keys()].sort();
  return fill(
    list,
    users.slice(0, SHOWN).map((user) => member(model, room, user, owners.includes(user), acts)),
    users.length > SHOWN && h("li.quiet.small", {}, `and ${counted(users.length - SHOWN, "other")}`),
  );
}

/** @param {any} model @param {string} room @param {string} user @param {boolean} owns @param {any} acts */
function member(model, room, user, owns, acts) {
  const own = (/** @type {boolean} */ on) => () => void makeOwner(model, room, user, on, acts);
  const label = (/** @type {string} */ act) => ({ "aria-label": `${act}: ${user}` });
  return h(
    "li.row",
    {},
    h("span.grow.cut", {}, user, owns && h("span.quiet", {}, ", owner")),
    !owns && button("Make owner\u2026", own(true), label("Make owner")),
    !owns && button("Remove\u2026", () => void remove(model, room, user, acts), { class: "danger", ...label("Remove") }),
    owns && user !== model.me && button("End ownership\u2026", own(false), label("End ownership")),
  );
}

/** @param {any} model @param {string} room @param {string} user @param {boolean} on @param {any} acts */
async function makeOwner(model, room, user, on, acts) {
  await ask({
    title: on ? `Make ${user} an owner of ${room}?` : `End the ownership of ${user} in ${room}?`,
    text: [on ? "Owners invite and remove members, and name other owners." : `${user} stays a member.`],
    yes: on ? "Make owner" : "End it",
    act: () => model.admin.setOwner(room, user, on),
  });
  acts.again();
}

/** @param {any} model @param {string} room @param {string} user @param {any} acts */
async function remove(model, room, user, acts) {
  await ask({
    title: `Remove ${user} from ${room}?`,
    fields: [REASON],
    yes: "Remove",
    danger: true,
    act: async ({ reason }) => {
      await model.admin.removeMember(room, user, { reason });
      acts.say(`${user} was removed from ${room}.`);
    },
  });
  acts.again();
}
