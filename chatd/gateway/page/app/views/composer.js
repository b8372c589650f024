// The send box: Enter sends, Shift+Enter begins a line; drafts, replies, edits, pasted texts.

import { button, fill, h } from "./dom.js";
import { explain } from "./dialogs.js";
import { beginning } from "../text.js";
import { agreed, fillOf } from "./text_limits.js";
import { when } from "./times.js";

/** @typedef {import("../rows.js").Row} Row */

// A draft is kept this long after the last key.
const DRAFT_MS = 300;

export class Composer {
  /**
   * @param {any} model
   * @param {{command: (text: string) => Promise<boolean>, sent: () => void, fail: (text: string) => void}} acts
   *   `command`: carry out "/name ..."; false if it is no command
   */
  constructor(model, acts) {
    this.model = model;
    this.acts = acts;
    this.room = "";
    /** The draft of this room as the model has it. */
    this.kept = "";
    /** @type {Row | null} */
    this.reply = null;
    /** @type {Row | null} */
    this.edit = null;
    this.asSnippet = false;
    this.timer = 0;
    this.input = h("textarea", { rows: "1", enterkeyhint: "send", autocapitalize: "sentences", dir: "auto" });
    this.about = h("div.about", { hidden: true });
    this.help = h("span.wide-only", {}, h("kbd", {}, "Enter"), " sends, ", h("kbd", {}, "Shift+Enter"), " begins a line");
    this.length = h("span", { "aria-live": "polite" });
    this.send = button("Send", () => void this.submit(), { icon: "send", bare: true, class: "send" });
    this.element = h(
      "div.composer",
      {},
      this.about,
      h("div.box", {}, this.input, this.send),
      h("div.hint", {}, this.help, this.length),
    );
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    // The client saves drafts on the event that comes next, visibilitychange.
    for (const name of ["pagehide", "blur"]) addEventListener(name, () => this.#keep());
    this.input.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => this.#pasted(event));
  }

  /** Show the draft of the current conversation, and whether one may write here. */
  update() {
    const here = this.model.here;
    const draft = here?.draft ?? "";
    if ((here?.name ?? "") !== this.room) {
      this.#keep();
      this.drop();
      this.room = here?.name ?? "";
      this.#show(draft);
    } else if (draft !== this.kept && !this.edit) this.#show(draft); // Another tab has changed or sent it.
    const why = this.#closed(here);
    this.input.disabled = Boolean(why);
    this.element.toggleAttribute("data-off", Boolean(why));
    const title = here ? this.model.title(here.name) : "";
    this.input.placeholder = why || (title ? `Message ${title}` : "");
    this.input.setAttribute("aria-label", why || `Message ${title}`);
  }

  focus() {
    if (matchMedia("(hover: hover)").matches) this.input.focus();
  }

  /** @param {Row} row */
  answer(row) {
    this.drop();
    this.reply = row;
    this.#note(`Reply to ${row.user}: ${beginning(row.body)}`);
  }

  /** @param {Row} row */
  change(row) {
    if (!this.edit) this.#keep();
    this.reply = null;
    this.edit = row;
    this.#set(row.body);
    this.#note("Edit your message");
  }

  /** Put a text into the box. @param {string} text */
  put(text) {
    this.#set(text);
    this.#keep();
    this.input.focus();
  }

  /** End a reply or an edit; false if there was none. */
  drop() {
    const had = Boolean(this.reply || this.edit || this.asSnippet);
    const was = this.edit;
    this.reply = this.edit = null;
    if (was) this.#set(this.kept);
    this.asSnippet = false;
    this.about.hidden = true;
    return had;
  }

  async submit() {
    const text = this.input.value.replace(/^\n+|\s+$/g, "");
    if (!text || this.input.disabled || !(await agreed(text, this.model.welcome))) return;
    const { room, reply, edit, asSnippet } = this;
    // At once: what is typed meanwhile is the next message, and a command may lead to another conversation.
    this.#empty();
    try {
      if (edit) await this.model.edit(edit.seq, text, room);
      else if (asSnippet || !text.startsWith("/") || !(await this.acts.command(text))) {
        await this.model.send(text, { to: room, replyTo: reply?.seq ?? 0, kind: asSnippet ? "snippet" : "text" });
      }
    } catch (error) {
      // What the server refuses later is shown at the message; this was not even kept.
      this.acts.fail(explain(error));
      this.#giveBack(room, text, { reply, edit, asSnippet });
      return;
    }
    this.acts.sent();
  }

  #empty() {
    if (!this.edit) this.#set("");
    this.drop();
    this.#keep();
  }

  /** @param {string} room @param {string} text @param {{reply: Row | null, edit: Row | null, asSnippet: boolean}} about */
  #giveBack(room, text, { reply, edit, asSnippet }) {
    if (this.room !== room) {
      if (!edit && !this.model.conversation(room).draft) this.model.setDraft(room, text);
      return;
    }
    // What was typed meanwhile stays below it.
    const typed = this.input.value;
    if (edit && typed) return;
    if (edit) this.change(edit);
    else if (reply) this.answer(reply);
    else if (asSnippet) this.#snippet();
    this.#set(typed ? `${text}\n${typed}` : text);
    this.#keep();
  }

  /** @param {any} here */
  #closed(here) {
    if (!here) return "Choose a room first";
    if (this.model.phase === "other-tab") return "This chat is open in another tab";
    if (here.archived) return "This room is archived: it can only be read";
    if (here.left) return "You are not in this room any more";
    if (this.model.welcome && !this.model.may("message.send")) return "Your role may only read";
    for (const where of [here.name, ""]) {
      const until = this.model.mutes.get(where);
      if (until === undefined || (until && until < Date.now())) continue;
      return `You are muted ${until ? `until ${when(until)}` : "until an admin ends it"}`;
    }
    return "";
  }

  #typed() {
    this.#measure();
    if (!this.input.value && this.asSnippet) this.drop();
    this.length.textContent = fillOf(this.input.value, this.model.welcome);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#keep(), DRAFT_MS);
  }

  /** Make the box as high as its text. */
  #measure() {
    // Were the box low in between, the talk above would grow, and no longer be at its end afterwards.
    this.element.style.minHeight = `${this.element.offsetHeight}px`;
    this.input.style.height = "auto";
    if (this.input.value) this.input.style.height = `${this.input.scrollHeight}px`;
    this.element.style.minHeight = "";
  }

  #keep() {
    clearTimeout(this.timer);
    if (!this.room || this.edit || this.kept === this.input.value) return;
    this.kept = this.input.value;
    this.model.setDraft(this.room, this.kept);
  }

  /** @param {string} draft */
  #show(draft) {
    this.kept = draft;
    this.#set(draft);
  }

  /** @param {string} text */
  #set(text) {
    this.input.value = text;
    if (text) this.#typed();
    else {
      this.#measure();
      this.length.textContent = "";
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // 229: a key of an input method, in browsers that do not set isComposing on the last one.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      void this.submit();
    } else if (event.key === "ArrowUp" && !this.input.value) {
      const mine = this.model.here?.rows.findLast((/** @type {Row} */ row) => row.mine && row.msgId);
      if (!mine) return;
      event.preventDefault();
      this.change(mine);
    } else if (event.key === "Escape" && this.drop()) event.stopPropagation();
  }

  /** Several pasted lines into an empty box are a snippet, as in the other clients.
   * @param {ClipboardEvent} event */
  #pasted(event) {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (this.input.value || this.edit || !text.trim().includes("\n")) return;
    this.#snippet();
  }

  #snippet() {
    this.asSnippet = true;
    this.#note("Pasted lines: sent as a snippet", "Send as text");
  }

  /** @param {string} text @param {string} [label] */
  #note(text, label = "Cancel") {
    const end = button(label, () => (this.drop(), this.input.focus()), { class: "plain" });
    fill(this.about, h("span.cut.grow", {}, text), end);
    this.about.hidden = false;
    this.input.focus();
  }
}
