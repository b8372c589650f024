// Build elements. Text reaches the page through text nodes only; no markup is ever parsed.

/** @typedef {Node | string | null | undefined | false} Child */
/** @typedef {Object<string, any>} Props attributes; `on...` functions are listeners */

const SVG = "http://www.w3.org/2000/svg";
// Set as properties: as attributes they would only be the first value.
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "tabIndex"]);

/**
 * Make an HTML element.
 * @param {string} name tag and classes: "div.row.quiet"
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  return furnish(element, props, children);
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Props} props
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function svg(tag, props = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), props, children);
}

/** @param {any} element @param {Props} props @param {(Child | Child[])[]} children */
function furnish(element, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) element[key] = value;
    else if (value === true) element.setAttribute(key, key.startsWith("aria-") ? "true" : "");
    else if (value !== false) element.setAttribute(key, String(value));
    else if (key.startsWith("aria-")) element.setAttribute(key, "false");
  }
  element.append(...kept(children));
  return element;
}

/** @param {(Child | Child[])[]} children @returns {(Node | string)[]} */
function kept(children) {
  return /** @type {any[]} */ (children.flat()).filter((one) => one || one === 0);
}

/**
 * Replace an element's children.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...kept(children));
}

const PATHS = {
  menu: "M3 6h18M3 12h18M3 18h18",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5",
  people: "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M2.5 20c.4-4 3-6 6.500-6s6 2 6.500 6M16 5.500a3 3 0 0 1 0 6M18 14.500c2 .8 3.200 2.600 3.500 5",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  more: "M5 11.500v1M12 11.500v1M19 11.500v1",
  reply: "M10 7L4 12l6 5M4 12h9c4 0 7 2 7 7",
  send: "M4 12l16-8-5 16-3-7zM12 13l8-9",
  down: "M6 10l6 6 6-6",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.500 2h-15zM10 21h4",
  gauge: "M4 18a9 9 0 1 1 16 0M12 14l4-5",
  key: "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8M11 12l9-9M16 7l3 3",
  back: "M15 5l-7 7 7 7",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M8.500 14.500c1.800 2.300 5.200 2.300 7 0M9 9v1M15 9v1",
  edit: "M4 20l1-4L16 5l3 3L8 19z",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
};

/**
 * Make an icon; a label beside it, or of the button around it, says what it means.
 * @param {keyof typeof PATHS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": true },
    svg("path", { d: PATHS[name] }),
  );
}

/**
 * Make a button.
 * @param {string} label
 * @param {(event: Event) => void} act
 * @param {{icon?: keyof typeof PATHS, class?: string, title?: string, bare?: boolean, [key: string]: any}} [options]
 *   `bare`: the icon alone; the label is read aloud and shown as a tip
 * @returns {HTMLButtonElement}
 */
export function button(label, act, options = {}) {
  const { icon: picture, class: classes = "", bare, ...props } = options;
  const text = bare ? { "aria-label": label, title: label } : {};
  return h(
    ["button", ...classes.split(" "), bare ? "bare" : ""].filter(Boolean).join("."),
    { type: "button", onclick: act, ...text, ...props },
    picture && icon(picture),
    !bare && label,
  );
}
