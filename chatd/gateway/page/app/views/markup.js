// Find code, bold words and links in a message's text: the rules of the native clients
// (chatctl/model/markup.py), with the same result. The marks stay in the text.

import { counted } from "../text.js";
import { h } from "./dom.js";

/** @typedef {{text: string, looks: string[]}} Span */

const WORD = "[\\p{L}\\p{N}_]";
// Hosts are ASCII: a letter of another script that looks the same would hide the target. The group that is
// repeated is possessive: what a lookahead has found is not tried again.
const HOST = "(?=(?<host>[A-Za-z0-9][A-Za-z0-9-]*(?:\\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?))\\k<host>";
const PATH = "[/?#][\\p{L}\\p{N}_/%.~?&=#+,;@$:!'()\\-]*";
const MARK = new RegExp(
  "(?<codeblock>```.+?```)" +
    "|(?<code>(?<!`)`[^`\\n]+`(?!`))" +
    `|(?<link>(?<!${WORD})https?://${HOST}(?:${PATH}|(?!:?(?:${WORD}|@))))` +
    "|(?<strong>(?<!\\*)\\*\\*(?!\\*))" +
    "|(?<end>\\n)",
  "gsu",
);
const SENTENCE = ".,;:!?'";
const ASCII_WORD = /[A-Za-z0-9_]/;
// A mark of a letter, or a part of an emoji, stays with what it is drawn on.
const CONTINUES = /^[\p{M}\u200c\u200d\u{1f3fb}-\u{1f3ff}]/u;
const JOINER = /[\u200c\u200d]$/;
/**
 * Divide a text into spans; together they are the text.
 * @param {string} text
 * @returns {Span[]}
 */
export function spans(text) {
  /** @type {Span[]} */
  const found = [];
  let [at, opened] = [0, -1]; // opened: the place in `found` of the mark that begins bold words
  for (const [look, begin, end] of marks(text)) {
    if (look === "strong" && !closes(text, begin, opened) && !opens(text, end, begin, opened)) continue;
    const plain = look === "strong" || look === "end";
    found.push({ text: text.slice(at, begin), looks: [] });
    found.push({ text: text.slice(begin, end), looks: plain ? [] : [look] });
    at = end;
    if (text.slice(begin, end).includes("\n")) opened = -1;
    else if (look === "strong" && opened < 0) opened = found.length - 1;
    else if (look === "strong") {
      for (const one of found.slice(opened)) one.looks = ["strong", ...one.looks];
      opened = -1;
    }
  }
  found.push({ text: text.slice(at), looks: [] });
  return merged(found);
}

/** @param {string} text @returns {Generator<[string, number, number]>} */
function* marks(text) {
  for (const match of text.matchAll(MARK)) {
    const groups = /** @type {Object<string, string>} */ (match.groups);
    const look = ["codeblock", "code", "link", "strong", "end"].find((name) => groups[name]) ?? "end";
    const begin = match.index;
    const end = begin + (look === "link" ? address(match[0]) : match[0]).length;
    if (look === "end" || ![begin, end].some((place) => continues(text, place))) yield [look, begin, end];
  }
}

/** @param {string} text @param {number} place */
function continues(text, place) {
  if (place <= 0 || place >= text.length) return false;
  return CONTINUES.test(text.slice(place, place + 2)) || JOINER.test(text.slice(place - 1, place));
}

/** Return an address without the punctuation after it: a ")" belongs to it if its "(" does.
 * @param {string} text */
function address(text) {
  let end = text.length;
  let excess = text.split(")").length - text.split("(").length;
  while (SENTENCE.includes(text[end - 1]) || (text[end - 1] === ")" && excess > 0)) {
    if (text[end - 1] === ")") excess -= 1;
    end -= 1;
  }
  return text.slice(0, end);
}

/** @param {string} text @param {number} end @param {number} begin @param {number} opened */
function opens(text, end, begin, opened) {
  return opened < 0 && !ASCII_WORD.test(text.charAt(begin - 1)) && text.charAt(end).trim() !== "";
}

/** @param {string} text @param {number} begin @param {number} opened */
function closes(text, begin, opened) {
  return opened >= 0 && !ASCII_WORD.test(text.charAt(begin + 2)) && text.charAt(begin - 1).trim() !== "";
}

/** @param {Span[]} found @returns {Span[]} */
function merged(found) {
  /** @type {Span[]} */
  const result = [];
  for (const one of found) {
    const last = result.at(-1);
    if (!one.text) continue;
    if (last && last.looks.join() === one.looks.join()) last.text += one.text;
    else result.push({ text: one.text, looks: one.looks });
  }
  return result.length ? result : [{ text: "", looks: [] }];
}

const TAGS = /** @type {Object<string, string>} */ ({ code: "code", strong: "strong" });
const FENCE = 3;

/**
 * Return the nodes of a text with its looks.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function styled(text) {
  return spans(text).map(({ text: part, looks }) =>
    looks.reduceRight((/** @type {any} */ inner, look) => {
      if (look === "codeblock") return h("code.block", { tabindex: "0" }, fenced(part));
      if (look !== "link") return h(TAGS[look], {}, inner);
      return h("a", { href: part, target: "_blank", rel: "noopener noreferrer nofollow" }, inner);
    }, part),
  );
}

/** The marks around a block of code are small. @param {string} text */
function fenced(text) {
  const mark = text.slice(0, FENCE);
  return [h("span.mark", {}, mark), text.slice(FENCE, -FENCE), h("span.mark", {}, mark)];
}

export const FOLD_LINES = 6;
const FOLD_CHARS = 2000;

/**
 * Return the beginning of a snippet, and what its button says; `cut`: more follows than the beginning. The page
 * shows six rows of it at most (chat.css), so the button may be needed on a narrow screen only.
 * @param {string} text
 * @returns {{text: string, more: string, cut: boolean}}
 */
export function fold(text) {
  const lines = text.split("\n");
  const hidden = Math.max(0, lines.length - FOLD_LINES);
  const shown = lines.slice(0, FOLD_LINES).join("\n");
  const cut = shown.length > FOLD_CHARS ? `${shown.slice(0, FOLD_CHARS - 1)}\u2026` : shown;
  if (hidden) return { text: cut, more: `\u2026 ${counted(hidden, "more line")}`, cut: true };
  return { text: cut, more: `Show all ${counted(text.length, "character")}`, cut: cut !== text };
}
