// Times for people: the browser's zone, and UTC beside it where it is asked for.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
});
const SHORT = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const UNITS = /** @type {[number, string][]} */ ([
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
]);

/** @param {number} at ms since 1970 @returns {string} "14:02" */
export const clock = (at) => CLOCK.format(at);

/** @param {number} at @returns {string} "Friday, 27 November 2026" */
export const day = (at) => DAY.format(at);

/** @param {number} at @returns {string} "27 Nov 2026, 14:02" */
export const when = (at) => `${SHORT.format(at)}, ${CLOCK.format(at)}`;

/** @param {number} at @returns {string} with UTC, as the log and the other clients tell it */
export const exact = (at) => `${day(at)}, ${CLOCK.format(at)} (${utc(at)})`;

/** @param {number} at @returns {string} "2026-11-27 14:02:11Z" */
export const utc = (at) => `${new Date(at).toISOString().slice(0, 19).replace("T", " ")}Z`;

/** @param {number} one @param {number} other @returns {boolean} */
export const sameDay = (one, other) => new Date(one).toDateString() === new Date(other).toDateString();

/** @param {number} seconds @returns {string} "3 d 4 h", "12 min", "8 s" */
export function duration(seconds) {
  const parts = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [size, unit] of UNITS) {
    if (rest >= size && parts.length < 2) parts.push(`${Math.floor(rest / size)} ${unit}`);
    rest %= size;
  }
  return parts.length ? parts.join(" ") : `${rest} s`;
}

const PERIOD = /^(\d{1,5})\s*([smhdw])$/;
const SECONDS = /** @type {Object<string, number>} */ ({ s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 });

/** @param {string} text "30m", "2h", "7d" @returns {number | null} seconds; null for anything else */
export function secondsOf(text) {
  const match = PERIOD.exec(text.trim());
  return match && Number(match[1]) ? Number(match[1]) * SECONDS[match[2]] : null;
}
