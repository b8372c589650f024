// The mark of a person: initials on a colour, the same for a name as in the desktop window.

import { h } from "./dom.js";

const COLOURS = 12;
const PART = /[\s._-]+/;

/** @param {string} user @returns {string} one or two capitals: "A" for alice, "JD" for john.doe */
export function initials(user) {
  const parts = user.split(PART).filter(Boolean);
  return parts.slice(0, 2).map((part) => [...part][0]).join("").toUpperCase() || user.slice(0, 1);
}

/** @param {string} user @returns {string} the class with the colour of a user's name */
export function nameClass(user) {
  return `n${(crc32(user) >>> 7) % COLOURS}`;
}

/** @param {string} text @returns {number} */
function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/**
 * @param {string} user
 * @param {{size?: string, state?: string}} [options] `state`: a dot, "" for none
 * @returns {HTMLElement}
 */
export function avatar(user, { size = "", state = "" } = {}) {
  return h(
    `span.avatar.${nameClass(user)}${size && `.${size}`}`,
    { "aria-hidden": true },
    initials(user),
    state && h(`i.${state}`),
  );
}
