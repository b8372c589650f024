// Tables of the admin page. The roles hold where a phone shows each row as a card.

import { h } from "../dom.js";

/** @typedef {import("../dom.js").Child} Child */

/**
 * @param {string} caption read aloud
 * @param {string[]} columns
 * @param {(Child | Child[])[][]} rows
 * @param {string} none shown in place of an empty table
 * @returns {HTMLElement}
 */
export function table(caption, columns, rows, none) {
  if (!rows.length) return h("p.quiet", {}, none);
  const cell = (/** @type {Child | Child[]} */ one, /** @type {number} */ at) =>
    at ? h("td", { role: "cell", "data-label": columns[at] }, one) : h("th", { role: "rowheader", scope: "row" }, one);
  return h(
    "div.scroll",
    { tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { role: "table" },
      h("caption.unseen", {}, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(heading))),
      h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, row.map(cell)))),
    ),
  );
}

/** @param {string} name */
function heading(name) {
  return name ? h("th", { role: "columnheader", scope: "col" }, name) : h("td", { role: "cell" });
}

/** @param {string} title @param {...(Child | Child[])} content @returns {HTMLElement} */
export function section(title, ...content) {
  return h("section", {}, h("h2", {}, title), ...content);
}
