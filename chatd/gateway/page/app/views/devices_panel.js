// The devices of oneself: what may log in, another one, and this browser's end.

import { button, fill, h } from "./dom.js";
import { ask, explain, openDialog } from "./dialogs.js";
import { when } from "./times.js";

const INVITE_SECONDS = 3_600;

/** @param {any} model @param {{say: (text: string) => void}} acts */
export async function openDevices(model, acts) {
  const list = h("ul.stack", {}, h("li.quiet", {}, "Asking the server\u2026"));
  const dialog = openDialog("Your devices", [
    list,
    h(
      "div.actions.row.wrap",
      {},
      model.may("device.add") && button("Add a device\u2026", () => (dialog.close(), void addDevice(model))),
      button("Forget this browser\u2026", () => (dialog.close(), void forget(model)), { class: "danger" }),
      button("Close", () => dialog.close(), { class: "main" }),
    ),
  ]);
  try {
    const devices = await model.admin.devices();
    fill(list, devices.map((/** @type {any} */ one) => h("li", {}, device(model, one))));
  } catch (error) {
    fill(list, h("li.note.bad", {}, explain(error)));
  }
}

/** @param {any} model @param {any} one */
function device(model, one) {
  const here = one.device === model.device ? " (this browser)" : "";
  const ends = one.ends ? `, certificate until ${when(one.ends)}` : "";
  const seen = one.sessions ? ", online" : one.seen ? `, last seen ${when(one.seen)}` : "";
  return [h("strong", {}, one.device), here, h("div.quiet.small", {}, `${one.state}${ends}${seen}, let in by ${one.by}`)];
}

/** @param {any} model */
async function addDevice(model) {
  try {
    const { code, link } = await model.admin.addDevice({ seconds: INVITE_SECONDS });
    openDialog("Add a device", [
      h("p", {}, "Open this link on the other device, or paste the line there. It works once, for an hour, and lets in whoever has it."),
      h("p.words.small", {}, link),
      h("p.words.small", {}, `chat join ${code}`),
    ]);
  } catch (error) {
    openDialog("Add a device", [h("p.note.bad", {}, explain(error))]);
  }
}

// Refusals after which this browser's identity is of no use any more (docs/protocol.md, section 13).
const LOST = new Set(["E202", "E205", "E206", "E210", "E608"]);

/** Whether only a new invite helps. @param {any} model @returns {boolean} */
export function isLost(model) {
  return model.phase === "ended" && LOST.has(model.trouble?.code);
}

/** Ask, then delete what this browser keeps; begin anew, with the invite if one is given. @param {any} model */
export function forget(model, invite = "") {
  const lost = isLost(model);
  return ask({
    title: invite ? "Use the new invite?" : "Forget this browser?",
    text: [
      `The key, the drafts and the unsent messages are deleted from this browser.${invite ? "" : " You need a new invite to come back."}`,
      lost ? "Its certificate is of no use any more." : "The certificate stays valid until an admin revokes it; without the key nobody can use it.",
    ],
    yes: invite ? "Use it" : "Forget",
    danger: !invite,
    act: async () => {
      try {
        localStorage.clear();
      } catch {
        // Nothing was kept.
      }
      await model.forget();
      // Unlike a new location.hash, this page does not hear of it.
      if (invite) history.replaceState(null, "", `#${invite}`);
      location.reload();
    },
  });
}
