// Dialogs: questions, forms, and the menu of a message.

import { button, h } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

let made = 0;

/**
 * Open a dialog; it is removed when it closes. Escape closes it.
 * @param {string} title
 * @param {(Child | Child[])[]} content
 * @param {{class?: string, onclose?: () => void}} [options]
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, content, options = {}) {
  const id = `dialog${(made += 1)}`;
  const before = document.activeElement;
  const element = h(
    `dialog${options.class ? `.${options.class}` : ""}`,
    { "aria-labelledby": id, closedby: "any" },
    h("div.stack", {}, h("h2", { id }, title), ...content),
  );
  element.addEventListener("close", () => {
    element.remove();
    options.onclose?.();
    if (before instanceof HTMLElement && before.isConnected) before.focus();
  });
  // The keys scroll what has the focus.
  if (!element.querySelector("button, input, select, textarea, a")) element.tabIndex = 0;
  document.body.append(element);
  element.showModal();
  return element;
}

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [value]
 * @property {string} [hint]
 * @property {string[]} [choices] a list instead of a text
 * @property {boolean} [check] a box to tick
 * @property {boolean} [required]
 * @property {number} [limit] characters
 */

/**
 * Ask, and act on yes. What `act` refuses is shown in the dialog, which stays open.
 * @param {object} question
 * @param {string} question.title
 * @param {Child[]} [question.text]
 * @param {Field[]} [question.fields]
 * @param {string} question.yes the name of the action
 * @param {boolean} [question.danger]
 * @param {(values: Object<string, any>) => (Promise<any> | any)} question.act
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, text = [], fields = [], yes, danger = false, act }) {
  return new Promise((resolve) => {
    let done = false;
    const problem = h("p.note.bad", { role: "alert", hidden: true });
    const inputs = fields.map(fieldOf);
    const confirm = button(yes, () => {}, { class: danger ? "danger" : "main", type: "submit" });
    const form = h(
      "form",
      { onsubmit: (/** @type {Event} */ event) => void submit(event) },
      text.map((one) => h("p", {}, one)),
      inputs.map((one) => one.element),
      problem,
      h("div.actions", {}, button("Cancel", () => dialog.close(), { class: "plain" }), confirm),
    );
    const dialog = openDialog(title, [form], { onclose: () => resolve(done) });
    (inputs[0]?.input ?? confirm).focus();

    /** @param {Event} event */
    async function submit(event) {
      event.preventDefault();
      confirm.disabled = true;
      try {
        await act(Object.fromEntries(inputs.map((one) => [one.name, one.value()])));
        done = true;
        dialog.close();
      } catch (error) {
        problem.textContent = explain(error);
        problem.hidden = false;
      }
      confirm.disabled = false;
    }
  });
}

/** @param {Field} field */
function fieldOf({ name, label, value = "", hint = "", choices, check = false, required = false, limit = 256 }) {
  const known = { name, required, maxlength: String(limit), autocomplete: "off", spellcheck: "false" };
  const input = choices
    ? h("select", { name }, choices.map((one) => h("option", { value: one, selected: one === value }, one)))
    : h("input", check ? { name, type: "checkbox", checked: value === "yes" } : { ...known, value, type: "text" });
  const element = check
    ? h("label.check", {}, input, label)
    : h("label", {}, h("span", {}, label), input, hint && h("span.quiet.small", {}, hint));
  return { name, element, input, value: () => (check ? input.checked : input.value.trim()) };
}

/** @param {any} error a Fault @returns {string} what happened and what to do */
export function explain(error) {
  const reason = error?.reason || error?.message || String(error);
  const code = error?.code ? ` (${error.code})` : "";
  return `${reason}${code}.${error?.fix ? ` To do: ${error.fix}.` : ""}`;
}

/**
 * @typedef {object} MenuItem
 * @property {string} label
 * @property {() => void} act
 * @property {boolean} [danger]
 */

/**
 * Open a menu beside an element; "-" is a line.
 * @param {HTMLElement} anchor
 * @param {(MenuItem | "-")[]} items
 * @param {string} label
 * @param {MenuItem[]} [quick] a row of short items above
 */
export function openMenu(anchor, items, label, quick = []) {
  const item = (/** @type {MenuItem} */ one) =>
    button(one.label, () => (close(), one.act()), { class: one.danger ? "danger" : "", role: "menuitem" });
  const menu = h(
    "div.menu",
    { role: "menu", "aria-label": label, popover: "auto" },
    quick.length > 0 && h("div.quick", { role: "none" }, quick.map(item)),
    items.map((one) => (one === "-" ? h("hr") : item(one))),
  );
  const close = () => menu.hidePopover();
  menu.addEventListener("toggle", (/** @type {any} */ event) => {
    if (event.newState !== "closed") return;
    const inside = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (inside && anchor.isConnected) (anchor.closest("article") ?? anchor).focus();
  });
  menu.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => step(menu, event));
  document.body.append(menu);
  menu.showPopover();
  place(menu, anchor);
  menu.querySelector("button")?.focus();
}

/** @param {HTMLElement} menu @param {HTMLElement} anchor */
function place(menu, anchor) {
  const [at, size] = [anchor.getBoundingClientRect(), menu.getBoundingClientRect()];
  const below = at.bottom + 4 + size.height < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
  menu.style.top = `${Math.max(8, below ? at.bottom + 4 : Math.min(at.top, innerHeight) - size.height - 4)}px`;
}

/** @param {HTMLElement} menu @param {KeyboardEvent} event */
function step(menu, event) {
  const moves = /** @type {Object<string, number>} */ ({ ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 });
  const move = moves[event.key];
  if (!move) return;
  event.preventDefault();
  const all = [...menu.querySelectorAll("button")];
  const at = all.indexOf(/** @type {any} */ (document.activeElement));
  all[(at + move + all.length) % all.length].focus();
}
