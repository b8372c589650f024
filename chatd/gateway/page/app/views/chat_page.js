// The chat: rooms, talk, members and what connects them.

import { runCommand } from "./commands.js";
import { Composer } from "./composer.js";
import { explain } from "./dialogs.js";
import { button, fill, h } from "./dom.js";
import { openGoto, placesOf } from "./goto_panel.js";
import { listenKeys } from "./keys.js";
import { MainMenu } from "./main_menu.js";
import { MemberList } from "./member_list.js";
import { rowActions } from "./message_menu.js";
import { firstRoom, rememberRoom } from "./first_room.js";
import { Announcer, Attention } from "./notify.js";
import { openPerson } from "./person_panel.js";
import { reveal } from "./reveal.js";
import { RoomList, short } from "./room_list.js";
import { inviteTo, openRoomInfo, openRooms } from "./rooms_panel.js";
import { SearchPanel } from "./search_panel.js";
import { StatusLine } from "./status_line.js";
import { Timeline } from "./timeline.js";

export class ChatPage {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    this.attention = new Attention(model, (room) => void this.enter(room));
    this.announcer = new Announcer(model);
    this.status = new StatusLine(model);
    const say = (/** @type {string} */ text) => this.attention.say(text);
    const person = { write: (/** @type {string} */ user) => void this.enter(`@${user}`), done: say };
    this.rooms = new RoomList(model, {
      enter: (name) => void this.enter(name),
      browse: () => void openRooms(model, (name) => void this.enter(name)),
      write: () => this.goto("@"),
    });
    this.members = new MemberList(model, {
      person: (user) => void openPerson(model, user, person),
      close: () => this.#drawer(""),
      invite: () => inviteTo(model, model.current, say),
    });
    this.search = new SearchPanel(model, { go: (room, seq) => void this.go(room, seq), close: () => this.showSearch(false) });
    const command = { model, person, say, enter: (/** @type {string} */ room) => this.reach(room), search: (/** @type {string} */ words) => this.showSearch(true, words) };
    this.composer = new Composer(model, {
      command: (text) => runCommand(text, command),
      sent: () => this.timeline.list.toEnd(),
      fail: say,
    });
    const acts = {
      reply: (/** @type {any} */ row) => this.composer.answer(row),
      edit: (/** @type {any} */ row) => this.composer.change(row),
      put: (/** @type {string} */ text) => this.composer.put(text),
      unfold: (/** @type {any} */ row) => this.timeline.unfold(row),
      go: (/** @type {number} */ seq) => void this.go(model.current, seq),
      fail: say,
      say,
    };
    const listeners = {
      onScroll: () => this.#scrolled(),
      onTop: () => void this.#older(),
      onFocusLost: () => this.composer.focus(),
    };
    this.timeline = new Timeline(model, rowActions(model, acts), listeners);
    this.menu = new MainMenu(model, this.attention);
    this.loading = "";
    /** The room on the screen that this user was in. */
    this.wasIn = "";
    this.#build(say);
    listenKeys(this);
    for (const name of ["focus", "blur"]) window.addEventListener(name, () => this.#look());
    document.addEventListener("visibilitychange", () => this.#look());
    // What had the focus before may be gone, as a deleted message is.
    document.addEventListener("close", () => setTimeout(() => document.activeElement === document.body && this.composer.focus()), true);
    model.subscribe((/** @type {Set<string>} */ parts) => this.update(parts));
    this.update(new Set(["state", "rooms", "rows", "members", "notices"]));
  }

  /** @param {(text: string) => void} say */
  #build(say) {
    const { model } = this;
    this.title = h("h1.cut");
    this.topic = h("p.cut.grow.small");
    this.instance = h("h1.cut");
    this.newest = h("span");
    this.jump = button("", () => this.timeline.list.toEnd(), { icon: "down", class: "jump", hidden: true, "aria-label": "To the newest message" });
    this.jump.append(this.newest);
    this.veil = button("Close", () => this.#drawer(""), { class: "veil", bare: true });
    this.about = button("About this room", () => model.here?.kind === "room" && void openRoomInfo(model, model.current, say), { icon: "more", bare: true });
    this.side = h(
      "aside.side",
      { id: "side", "aria-label": "Navigation" },
      h("header", {}, this.instance, button("Go to (Ctrl+K)", () => this.goto(), { icon: "search", bare: true })),
      this.rooms.element,
      this.menu.element,
    );
    this.empty = h("div.empty", {}, h("p", {}, "Choose a room, or find one."), button("Find a room", () => void openRooms(model, (name) => void this.enter(name)), { class: "main" }));
    const talk = h(
      "main.talk",
      { id: "talk" },
      h(
        "header",
        {},
        button("Rooms", () => this.#drawer("side"), { icon: "menu", bare: true, class: "narrow-only" }),
        this.title,
        this.topic,
        this.about,
        button("Search messages", () => this.showSearch(true), { icon: "search", bare: true }),
        button("Members", () => this.#drawer("members"), { icon: "people", bare: true, "aria-controls": "members" }),
      ),
      this.search.element,
      this.timeline.element,
      this.empty,
      h("div.foot", {}, this.jump, this.composer.element),
    );
    this.element = h("div.chat", {}, this.side, this.status.element, talk, this.members.element, this.veil, this.attention.element, this.announcer.element);
  }

  /** @param {Set<string>} parts */
  update(parts) {
    const { model } = this;
    if (parts.has("state") || parts.has("rooms")) {
      this.status.update();
      this.rooms.update();
      this.menu.update();
      this.instance.textContent = model.instance || "chatd";
    }
    const here = model.here;
    this.title.textContent = here ? model.title(here.name) : "";
    this.topic.textContent = here?.topic ?? "";
    this.topic.title = here?.topic ?? "";
    this.about.hidden = here?.kind !== "room";
    this.empty.hidden = Boolean(here) || model.phase !== "connected" || !this.search.element.hidden;
    this.timeline.element.hidden = !here || !this.search.element.hidden;
    if (parts.has("rows") || parts.has("rooms")) {
      // A message that arrives may answer one that is not here.
      if (here?.wanted.size && here.loaded) void this.#once(() => model.loadQuotes(here.name).catch(() => {}));
      this.timeline.update();
      this.announcer.update();
      this.#scrolled();
    }
    if (["members", "rooms", "state"].some((part) => parts.has(part))) this.members.update();
    this.composer.update();
    this.attention.count();
    if (parts.has("notices")) this.attention.notices();
    this.#first();
  }

  /** @param {string} address */
  async enter(address) {
    await this.reach(address).catch((/** @type {any} */ error) => this.attention.say(explain(error)));
    this.composer.focus();
  }

  /** The same; throws what the server refuses. @param {string} address */
  async reach(address) {
    this.#drawer("");
    this.showSearch(false);
    await this.model.enter(address);
    rememberRoom(this.model.current);
  }

  /** @param {string} room @param {number} seq */
  go(room, seq) {
    return reveal(this, room, seq);
  }

  /** @param {string} [sign] "@": people only */
  goto(sign = "") {
    const places = placesOf(this.model).filter((one) => one.name.startsWith(sign));
    openGoto(places, (name) => void this.enter(name), sign ? { title: "Write to", label: "A person" } : {});
  }

  /** @param {boolean} on @param {string} [words] */
  showSearch(on, words = "") {
    if (on && words) this.search.ask(words);
    if (on) this.search.open();
    else if (!this.search.element.hidden) this.search.element.hidden = true;
    else return;
    this.update(new Set(["rows"]));
    if (!on) this.composer.focus();
  }

  /** One step back; what Escape does. */
  escape() {
    if (this.side.classList.contains("open") || this.members.element.classList.contains("open")) this.#drawer("");
    else if (!this.search.element.hidden) this.showSearch(false);
    else if (this.composer.drop() || document.activeElement !== this.composer.input) this.composer.input.focus();
    else {
      this.timeline.list.toEnd();
      this.model.hideFirstUnread();
      this.timeline.line = 0;
      this.timeline.update();
    }
  }

  /** Show a conversation if none is, or if this user is no longer in the one that is shown. */
  #first() {
    const { here } = this.model;
    if (here && !here.left) this.wasIn = here.name;
    const gone = Boolean(here?.left) && this.wasIn === here.name;
    if ((here && !gone) || this.loading) return;
    const name = firstRoom(this.model);
    if (gone) this.wasIn = "";
    if (name) void this.#once(() => this.enter(name));
    else if (gone) this.model.show("");
  }

  async #older() {
    const here = this.model.here;
    if (!here?.loaded || !here.hasOlder) return;
    await this.#once(() => this.model.loadOlder(here.name).catch((/** @type {any} */ error) => this.attention.say(explain(error))));
  }

  /** @param {() => Promise<any>} act */
  async #once(act) {
    if (this.loading) return;
    this.loading = "yes";
    await act();
    this.loading = "";
    this.#first();
  }

  #scrolled() {
    const { list } = this.timeline;
    const away = Boolean(this.model.here) && !list.stuck;
    this.jump.hidden = !away || this.timeline.element.hidden;
    const unread = this.model.here?.unread ?? 0;
    this.newest.textContent = unread ? `${short(unread)} new` : "Newest";
    this.#look();
  }

  #look() {
    const away = !this.timeline.list.stuck;
    const looking = document.visibilityState === "visible" && document.hasFocus();
    if (looking !== this.model.looking || away !== this.model.reading) this.model.look(looking, away);
    this.timeline.tellView();
  }

  /** @param {string} which "side", "members" or "" */
  #drawer(which) {
    const both = { side: this.side, members: this.members.element };
    const beside = which === "members" && matchMedia("(min-width: 1001px)").matches;
    if (beside) {
      this.members.element.hidden = !this.members.element.hidden;
      return;
    }
    for (const [name, element] of Object.entries(both)) element.classList.toggle("open", name === which);
    this.veil.classList.toggle("on", Boolean(which));
    if (which) /** @type {any} */ (both[/** @type {"side"} */ (which)].querySelector("button"))?.focus();
  }
}
