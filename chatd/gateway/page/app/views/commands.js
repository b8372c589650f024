// The commands of the send box; the other clients have the same ones and more.

import { openPerson, openVerify } from "./person_panel.js";
import { leave } from "./rooms_panel.js";

/**
 * @typedef {object} CommandActions
 * @property {any} model
 * @property {(room: string) => Promise<void>} enter throws what the server refuses
 * @property {(text: string) => void} say
 * @property {(query: string) => void} search
 * @property {{write: (user: string) => void, done: (text: string) => void}} person
 */

/** @type {Object<string, {about: string, run: (acts: CommandActions, rest: string) => any}>} */
export const COMMANDS = {
  me: { about: "TEXT: say what you do", run: ({ model }, rest) => model.send(rest, { kind: "action" }) },
  "say!": {
    about: "TEXT: send a text although it has a forbidden word",
    run: ({ model }, rest) => model.send(rest, { anyway: true }),
  },
  join: { about: "ROOM: join and show a room", run: ({ enter }, rest) => enter(room(rest)) },
  leave: {
    about: "leave this room",
    run: ({ model, person }, rest) => leave(model, rest ? room(rest) : model.current, person.done),
  },
  msg: {
    about: "NAME TEXT: write to somebody",
    run: async ({ model, enter }, rest) => {
      const [name, ...words] = rest.split(" ");
      const to = `@${bare(name)}`;
      // What is refused is thrown: nothing of it goes where the page is now.
      await enter(to);
      if (words.length) await model.send(words.join(" "), { to });
    },
  },
  topic: { about: "TEXT: set the topic of this room", run: ({ model }, rest) => model.setTopic(rest) },
  away: { about: "TEXT: be away; without TEXT you are back", run: ({ model }, rest) => model.away(rest) },
  search: { about: "WORDS: search messages", run: ({ search }, rest) => search(rest) },
  whois: {
    about: "NAME: who somebody is",
    run: ({ model, person }, rest) => void openPerson(model, bare(rest), person),
  },
  verify: {
    about: "NAME: words to compare by telephone",
    run: ({ model }, rest) => void openVerify(model, bare(rest)),
  },
};

/**
 * Carry out "/name rest"; false if it is text. A path or a double slash is text.
 * @param {string} line
 * @param {CommandActions} acts
 * @returns {Promise<boolean>}
 */
export async function runCommand(line, acts) {
  const match = /^\/([a-z]+!?)(?:\s+([^]*))?$/.exec(line);
  if (!match) return false;
  const known = COMMANDS[match[1]];
  if (!known || !Object.hasOwn(COMMANDS, match[1])) {
    const fix = `write one of ${Object.keys(COMMANDS).map((one) => `/${one}`).join(", ")}, or a space before it to send it`;
    throw Object.assign(new Error(`this page has no command /${match[1]}`), { fix });
  }
  await known.run(acts, (match[2] ?? "").trim());
  return true;
}

/** @param {string} text */
function room(text) {
  return /^[#@]/.test(text) ? text : `#${text}`;
}

/** @param {string} text */
function bare(text) {
  return text.replace(/^@/, "");
}
