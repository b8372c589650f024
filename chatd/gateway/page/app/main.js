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
const INVITE = "chatd.invite";

/** Take the invite out of the address, so that neither history nor a bookmark keeps it. */
function inviteOfLink() {
  const text = decodeURIComponent(location.hash.slice(1));
  if (text.replace(/[^0-9a-z]/gi, "").length < INVITE_CHARS) return "";
  history.replaceState(null, "", location.pathname + location.search);
  keepInvite(text);
  return text;
}

/** Keep the invite of this tab across reloads; "" once it has served. @param {string} text */
function keepInvite(text) {
  try {
    if (text) sessionStorage.setItem(INVITE, text);
    else sessionStorage.removeItem(INVITE);
  } catch {
    // The browser keeps nothing.
  }
}

/** The invite that a reload has interrupted. */
function keptInvite() {
  try {
    return sessionStorage.getItem(INVITE) ?? "";
  } catch {
    return "";
  }
}

/** @param {ChatModel} model @param {HTMLElement} root */
export async function run(model, root) {
  applyTheme();
  let code = inviteOfLink() || keptInvite();
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
  const wait = h("main.page", {}, h("p.quiet", { role: "status" }, "Connecting\u2026"));
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
    } else if (model.phase === "connecting" && !model.me && !chat) {
      // Whose page it is shows in a moment; a browser without a key is asked for an invite.
      show(wait);
    } else if (model.phase !== "starting") {
      if (!code) keepInvite("");
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
