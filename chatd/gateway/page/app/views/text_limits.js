// How long a text may be: what the counter below the box says, and the question before the server cuts one.

import { ask } from "./dialogs.js";

// The counter appears from this part of the limit on.
const NEAR = 0.8;

/**
 * Return what the counter says, in the unit of the limit that holds; "" far below it.
 * @param {string} text
 * @param {any} welcome
 */
export function fillOf(text, welcome) {
  const { limits, long_text: rule } = welcome ?? {};
  const chars = limits?.message_chars ?? 0;
  // A character has one to four bytes.
  if (!chars || 4 * text.length <= chars * NEAR) return "";
  const size = [...text].length;
  if (rule !== "snippet") return size > chars * NEAR ? `${size} of ${chars} characters` : "";
  const bytes = new TextEncoder().encode(text).length;
  if (limits.snippet_bytes && bytes > limits.snippet_bytes * NEAR) return `${bytes} of ${limits.snippet_bytes} bytes`;
  return size > chars ? "long: sent as a snippet" : "";
}

/** Ask before the server would cut a text. @param {string} text @param {any} welcome @returns {Promise<boolean>} */
export async function agreed(text, welcome) {
  const { limits, long_text: rule } = welcome ?? {};
  const limit = limits?.message_chars ?? Infinity;
  const size = [...text].length;
  if (rule !== "truncate" || size <= limit) return true;
  return ask({
    title: "This text is too long",
    text: [`The server cuts texts after ${limit} characters, and this one has ${size}.`],
    yes: "Send it cut",
    act: () => {},
  });
}
