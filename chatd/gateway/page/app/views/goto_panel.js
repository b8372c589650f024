// Ctrl+K: go to a room or a person by a part of the name.

import { avatar } from "./avatar.js";
import { fill, h } from "./dom.js";
import { openDialog } from "./dialogs.js";

/** @typedef {{name: string, title: string, hint: string}} Place */

const SHOWN = 12;

/**
 * @param {Place[]} places
 * @param {(name: string) => void} enter
 * @param {{title?: string, label?: string}} [words]
 */
export function openGoto(places, enter, { title = "Go to", label = "A room or a person" } = {}) {
  let at = 0;
  /** @type {Place[]} */
  let shown = [];
  const list = h("ul", { role: "listbox", id: "places", "aria-label": "Places" });
  const input = h("input", {
    type: "text",
    role: "combobox",
    "aria-expanded": true,
    "aria-controls": "places",
    "aria-label": label,
    placeholder: label,
    autocomplete: "off",
    spellcheck: "false",
  });
  const dialog = openDialog(title, [input, list], { class: "goto" });
  const draw = () => {
    shown = ranked(places, input.value.trim().toLowerCase()).slice(0, SHOWN);
    at = Math.min(at, Math.max(0, shown.length - 1));
    fill(list, shown.map(option), shown.length === 0 && h("li.quiet", { role: "option", "aria-disabled": true }, "Nothing has this name."));
    input.setAttribute("aria-activedescendant", shown.length ? `place${at}` : "");
  };
  const choose = (/** @type {Place | undefined} */ one) => {
    if (!one) return;
    dialog.close();
    enter(one.name);
  };
  const option = (/** @type {Place} */ one, /** @type {number} */ index) =>
    h(
      "li",
      { role: "option", id: `place${index}`, "aria-selected": index === at, onclick: () => choose(one) },
      one.name.startsWith("@") && !one.title.includes(",") ? avatar(one.title.replace(/^@/, ""), { size: "tiny" }) : h("span.quiet", {}, "#"),
      h("span.cut", {}, one.title.replace(/^[#@]/, "")),
      h("span.quiet.small.cut", {}, one.hint),
    );
  input.addEventListener("input", () => {
    at = 0;
    draw();
  });
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Enter") choose(shown[at]);
    if (!step) return;
    event.preventDefault();
    at = shown.length ? (at + step + shown.length) % shown.length : 0;
    draw();
  });
  draw();
  input.focus();
}

/** The conversations of this user, and the people in them. @param {any} model @returns {Place[]} */
export function placesOf(model) {
  const known = model.listed().map((/** @type {any} */ one) => ({ name: one.name, title: model.title(one.name), hint: one.topic }));
  const members = [...model.conversations.values()].flatMap((one) => [...one.members.keys()]);
  const people = [...new Set(members)].filter((user) => user !== model.me);
  const direct = people.map((user) => ({ name: model.resolve(`@${user}`), title: `@${user}`, hint: "" }));
  return [...new Map([...direct, ...known].map((one) => [one.name, one])).values()];
}

/** Names that begin with the word first. @param {Place[]} places @param {string} word */
function ranked(places, word) {
  const bare = word.replace(/^[#@]/, "");
  const rank = (/** @type {Place} */ one) => one.title.replace(/^[#@]/, "").toLowerCase().indexOf(bare);
  return places.filter((one) => rank(one) >= 0).sort((one, other) => Math.min(rank(one), 1) - Math.min(rank(other), 1));
}
