/** Names, addresses, and escaping of texts that would mislead whoever reads them. */

export const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?$/;
const GROUP_MEMBERS = 8;
/** Marks on one letter; more overwrite the lines above and below. */
const COMBINING_LIMIT = 8;
/** Assigned characters that are no controls and still show nothing. */
const BLANK = /[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\u{16fe4}\u{1d159}]/u;
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u;
const SELECTOR = /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
const JOINED = /[\p{Lo}\p{Mn}\p{Mc}\p{So}\p{Sm}\p{Sk}]/u;
const SELECTED = /[\p{So}\p{Sm}\p{Sk}\p{Po}\p{Pd}\p{Nd}\p{Lo}]/u;
const PLAIN_ASCII = /^[ -~\n]*$/;

/**
 * Escape whatever is not plainly visible, as the server does: it may be another one some day.
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  if (PLAIN_ASCII.test(text)) return text;
  const characters = [...text.replaceAll("\r\n", "\n").replaceAll("\t", "    ")];
  let shown = "";
  let before = "";
  let marks = 0;
  characters.forEach((character, at) => {
    let plain = true;
    if (character === "\n") marks = 0;
    else if (character === "\u200c" || character === "\u200d") {
      plain = joins(before, characters[at + 1] ?? "", marks);
    } else if (SELECTOR.test(character)) {
      plain = before !== "" && !BLANK.test(before) && SELECTED.test(before);
    } else {
      marks = /\p{M}/u.test(character) ? marks + 1 : 0;
      plain = marks <= COMBINING_LIMIT && !HIDDEN.test(character) && !BLANK.test(character);
    }
    const out = plain ? character : escape(character);
    shown += out;
    before = plain ? character : "x";
  });
  return shown;
}

/**
 * Escape a text, and show it on one line.
 * @param {string} text
 * @returns {string}
 */
export function line(text) {
  return visible(text).replaceAll("\n", "\\x0a");
}

/**
 * Whether a joiner has a meaning between two characters: in emoji, in Arabic and Indic scripts.
 * @param {string} before
 * @param {string} after
 * @param {number} marks
 */
function joins(before, after, marks) {
  if (SELECTOR.test(after) || !isJoined(before) || !isJoined(after)) return false;
  return !/\p{M}/u.test(after) || marks < COMBINING_LIMIT;
}

/** @param {string} character */
function isJoined(character) {
  if (character === "" || character < "\u0080" || BLANK.test(character)) return false;
  return SELECTOR.test(character) || JOINED.test(character);
}

/** @param {string} character */
function escape(character) {
  const number = character.codePointAt(0) ?? 0;
  const [mark, digits] = number < 0x100 ? ["x", 2] : number < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${mark}${number.toString(16).padStart(digits, "0")}`;
}

/**
 * Return the users in the name of a direct conversation ("@alice,bob"); none for a room.
 * @param {string} name
 * @returns {string[]}
 */
export function dmMembers(name) {
  const users = name.startsWith("@") ? name.slice(1).split(",") : [];
  const counts = users.length >= 2 && users.length <= GROUP_MEMBERS;
  return counts && users.every((user) => NAME.test(user)) ? users : [];
}

/**
 * Return the title of a conversation: "#war", "@bob" with bob, "bob, carol" for a group.
 * @param {string} name
 * @param {string} me
 */
export function titleOf(name, me) {
  const users = dmMembers(name);
  if (!users.includes(me)) return line(name);
  const others = users.filter((user) => user !== me);
  return others.length > 1 ? others.join(", ") : `@${others[0] ?? me}`;
}

/**
 * Return the name of the conversation at an address: "@alice,bob" for "@bob" and alice.
 * @param {string} address
 * @param {string} me
 */
export function conversationAt(address, me) {
  if (!address.startsWith("@")) return address;
  const users = address.slice(1).split(",");
  const all = users.length > 1 && users.includes(me) ? users : [me, ...users];
  return `@${all.sort().join(",")}`;
}

/**
 * Return where messages of a conversation are sent: "#war", "@bob", "@alice,bob,carol".
 * @param {string} name
 * @param {string} me
 */
export function addressOf(name, me) {
  const users = dmMembers(name);
  if (users.length !== 2) return name;
  return `@${users.find((user) => user !== me) ?? me}`;
}

/**
 * Whether a text contains a user's name as a whole word.
 * @param {string} body
 * @param {string} user
 */
export function mentions(body, user) {
  if (!NAME.test(user)) return false;
  const name = user.replaceAll(".", "\\.").replaceAll("-", "\\-");
  return new RegExp(`(?<![\\w.-])${name}(?![\\w-])`, "i").test(body);
}

/**
 * Return the beginning of a text on one line.
 * @param {string} body
 * @param {number} [limit]
 */
export function beginning(body, limit = 80) {
  const text = visible(body.slice(0, 4 * limit)).replaceAll(/\s+/g, " ").trim();
  const characters = [...text];
  return characters.length <= limit ? text : `${characters.slice(0, limit - 1).join("")}…`;
}

/**
 * Return a number with what it counts: "1 member", "2,000 members".
 * @param {number} number
 * @param {string} what one of them
 */
export function counted(number, what) {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}
