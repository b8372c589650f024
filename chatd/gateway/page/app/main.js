// The beginning of the page: which view is shown, and the invite in the link.

import { ChatModel } from "./model.js";
import { ChatPage } from "./views/chat_page.js";
import { forget, isLost } from "./views/devices_panel.js";
import { h } from "./views/dom.js";
import { explain } from "./views/dialogs.js";
import { applyTheme } from "./views/main_menu.js";
import { WelcomePage } from "./views/welcome_page.js";

const ADMIN = "#admin";
const INVITE_CHARS = 58;

/** Take the invite out of the address, so that neither history nor a bookmark keeps it. */
function inviteOfLink() {
  const text = decodeURIComponent(location.hash.slice(1));
  if (text.replace(/[^0-9a-z]/gi, "").length < INVITE_CHARS) return "";
  history.replaceState(null, "", location.pathname);
  return text;
}

/** @param {ChatModel} model @param {HTMLElement} root */
export async function run(model, root) {
  applyTheme();
  let code = inviteOfLink();
  /** A tab that has not joined was asked to let this one go first. */
  let asked = false;
  /** @type {any} */
  let chat = null;
  /** @type {any} */
  let shown = null;
  const show = (/** @type {HTMLElement} */ element) => {
    if (shown !== element) root.replaceChildren(element);
    shown = element;
  };
  const welcome = new WelcomePage(model);
  const view = async () => {
    if (code && !asked && model.phase === "other-tab" && !model.me) {
      asked = true;
      model.takeOver();
    } else if (["no-identity", "joining"].includes(model.phase) || (model.phase === "other-tab" && !model.me)) {
      show(welcome.element);
      if (code && model.phase === "no-identity") {
        const given = code;
        code = "";
        await welcome.redeem(given);
      }
    } else if (model.phase !== "starting") {
      chat ??= new ChatPage(model);
      if (code && isLost(model)) {
        const given = code;
        code = "";
        void forget(model, given);
      } else if (code && model.phase !== "connecting") {
        code = "";
        chat.attention.say(`The invite was not used: this browser is ${model.me} already. To do: forget it first, in the menu under your devices.`);
      }
      if (location.hash !== ADMIN) show(chat.element);
      else {
        const { adminPage } = await import("./views/admin/admin_page.js");
        show(adminPage(model));
      }
    }
  };
  model.subscribe(() => void view());
  addEventListener("hashchange", () => {
    code = inviteOfLink() || code;
    void view();
  });
  try {
    await model.start();
  } catch (error) {
    show(h("main.page", {}, h("p.note.bad", { role: "alert" }, explain(error))));
    return;
  }
  await view();
}
