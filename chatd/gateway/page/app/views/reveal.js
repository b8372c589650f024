// Find a message that a search or a quote leads to.

import { explain } from "./dialogs.js";

// Pages of history asked for at most.
const PAGES = 40;

/**
 * Show a message, asking for older pages until it is here.
 * @param {import("./chat_page.js").ChatPage} page
 * @param {string} room
 * @param {number} seq
 */
export async function reveal(page, room, seq) {
  const { model, timeline, attention } = page;
  if (room !== model.current) await page.enter(room);
  page.showSearch(false);
  for (let count = 0; count < PAGES; count += 1) {
    timeline.update();
    const here = model.here;
    if (timeline.reveal(seq)) return;
    if (!here?.hasOlder || here.oldest < seq) break;
    model.look(model.looking, true);
    await model.loadOlder(here.name).catch((/** @type {any} */ error) => attention.say(explain(error)));
  }
  attention.say("This message is not in the history any more.");
}
