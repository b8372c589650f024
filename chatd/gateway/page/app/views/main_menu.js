// Oneself at the foot of the list of rooms, and the menu of the page.

import { avatar } from "./avatar.js";
import { fill, h } from "./dom.js";
import { ask, explain, openDialog, openMenu } from "./dialogs.js";
import { openDevices } from "./devices_panel.js";
import { COMMANDS } from "./commands.js";
import { KEYS } from "./keys.js";
import { recall, remember } from "./notify.js";
import { PLAIN_WORDS } from "./welcome_page.js";

const THEME = "chatd.theme";
const THEMES = /** @type {[string, string][]} */ ([
  ["", "Light or dark as the system"],
  ["light", "Light"],
  ["dark", "Dark"],
]);
// Whoever may do one of these has something to do on the admin page.
const ADMIN = ["stats.read", "user.list", "moderate.ban", "message.review", "audit.read", "invite.create"];

/** Apply the colours that were chosen last. */
export function applyTheme() {
  document.documentElement.dataset.theme = recall(THEME);
}

export class MainMenu {
  /** @param {any} model @param {import("./notify.js").Attention} attention */
  constructor(model, attention) {
    this.model = model;
    this.attention = attention;
    this.button = h("button.plain", { type: "button", "aria-haspopup": "menu", onclick: () => this.#open() });
    this.element = h("div.me", {}, this.button);
  }

  update() {
    const { me, role, instance, phase, waiting } = this.model;
    const count = [...waiting.values()].reduce((sum, one) => sum + one, 0);
    // Until the server has welcomed it, the page knows neither the role nor, without a key, the name.
    this.element.hidden = !me;
    const about = role ? `${role} on ${instance}` : instance;
    fill(
      this.button,
      avatar(me, { size: "large", state: phase === "connected" ? "online" : "offline" }),
      h("span.who-am-i", {}, h("strong.cut", {}, me), h("span.quiet.small.cut", {}, about)),
      count > 0 && h("span.badge.for-me", { title: "waits for your decision" }, String(count)),
    );
    this.button.setAttribute("aria-label", `${me}, ${about}: menu`);
  }

  #open() {
    const { model, attention } = this;
    const may = ADMIN.some((permission) => model.may(permission));
    const items = [
      may && { label: "Server\u2026", act: () => (location.hash = "admin") },
      { label: "Set an away text\u2026", act: () => void this.#away() },
      {
        label: attention.on ? "Turn notifications off" : "Turn notifications on",
        act: () => void attention.toggle().then((text) => attention.say(text)),
      },
      "-",
      ...THEMES.map(([theme, label]) => ({
        label: `${recall(THEME) === theme ? "\u2713 " : ""}${label}`,
        act: () => (remember(THEME, theme), applyTheme()),
      })),
      "-",
      { label: "Your devices\u2026", act: () => void openDevices(model, { say: (text) => attention.say(text) }) },
      { label: "Keys and commands", act: openKeys },
      { label: "About this page", act: () => this.#about() },
    ];
    openMenu(this.button, /** @type {any} */ (items.filter(Boolean)), "Menu");
  }

  #away() {
    return ask({
      title: "Away",
      fields: [{ name: "text", label: "What the others read", hint: "Empty: you are here again." }],
      yes: "Set",
      act: ({ text }) => this.model.away(text),
    });
  }

  #about() {
    const version = this.model.welcome?.version ?? "";
    openDialog("About this page", [
      h("p", {}, `chatd ${version} on ${location.host}, as ${this.model.me}/${this.model.device}.`),
      h("p.note", {}, PLAIN_WORDS),
      h("p.small.quiet", {}, "The key of this browser cannot be copied out of it. Drafts and unsent messages are kept in this browser until it is forgotten."),
    ]);
  }
}

function openKeys() {
  const row = (/** @type {string} */ name, /** @type {string} */ text) => h("li.row", {}, h("kbd", {}, name), h("span.small", {}, text));
  openDialog("Keys and commands", [
    h("ul.stack", {}, KEYS.map(([name, text]) => row(name, text))),
    h("h3", {}, "Commands"),
    h("ul.stack", {}, Object.entries(COMMANDS).map(([name, { about }]) => row(`/${name}`, about))),
  ]);
}
