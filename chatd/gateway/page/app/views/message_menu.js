// What can be done with a message: reply, react, edit, delete, copy; redact for those who may.

import { button, h } from "./dom.js";
import { ask, explain, openDialog, openMenu } from "./dialogs.js";
import { beginning, counted } from "../text.js";

/** @typedef {import("../rows.js").Row} Row */

// Offered at once, as in the desktop window; others are typed.
const COMMON = ["+1", "-1", "\u2713", "?"];
const EMOJI = ["\u{1f44d}", "\u2764\ufe0f", "\u{1f602}", "\u{1f389}", "\u{1f440}", "\u{1f64f}"];
const REACTION_CHARS = 16;
// The filter's refusal, which those with the permission may override (docs/protocol.md, section 13).
const FILTERED = "E400";

/**
 * @param {any} model
 * @param {{reply: (row: Row) => void, edit: (row: Row) => void, fail: (text: string) => void,
 *   say: (text: string) => void, put: (text: string) => void, go: (seq: number) => void,
 *   unfold: (row: Row) => void}} acts
 * @returns {import("./message_row.js").RowActions}
 */
export function rowActions(model, acts) {
  const canAnswer = () => model.may("message.send") && !model.here?.archived && !model.here?.left;
  const attempt = (/** @type {Promise<any>} */ done) => done.catch((error) => acts.fail(explain(error)));
  const react = (/** @type {Row} */ row, /** @type {string} */ text) => {
    const mine = row.reactions.some((one) => one.text === text && one.mine);
    void attempt(model.react(row.seq, text, !mine));
  };
  const quick = (/** @type {Row} */ row, /** @type {string[]} */ texts) =>
    texts.map((label) => ({ label, act: () => react(row, label) }));
  return {
    canAnswer,
    react,
    reply: acts.reply,
    unfold: acts.unfold,
    go: acts.go,
    pick: (row, anchor) =>
      openMenu(
        anchor,
        [...quick(row, COMMON), { label: "Another\u2026", act: () => void typeReaction(row, react) }],
        "Reactions",
        quick(row, EMOJI),
      ),
    menu: (row, anchor) => {
      const mayDelete = row.mine && model.may("message.delete");
      const mayRedact = !row.mine && model.may("moderate.redact");
      /** @type {(import("./dialogs.js").MenuItem | false)[]} */
      const items = [
        canAnswer() && { label: "Reply", act: () => acts.reply(row) },
        canAnswer() && row.mine && { label: "Edit", act: () => acts.edit(row) },
        { label: "Copy text", act: () => void attempt(copy(row.body).then(() => acts.say("Copied."))) },
        row.reactions.length > 0 && { label: "Who reacted", act: () => void whoReacted(model, row) },
        mayDelete && { label: "Delete\u2026", danger: true, act: () => void remove(model, row) },
        mayRedact && { label: "Remove for everybody\u2026", danger: true, act: () => void redact(model, row) },
      ];
      openMenu(anchor, /** @type {any} */ (items.filter(Boolean)), "Message", canAnswer() ? quick(row, EMOJI) : []);
    },
    refusal: (row) => refusal(model, row, acts, attempt),
  };
}

/** What a refused message says, and its ways on. @param {any} model @param {Row} row @param {any} acts @param {any} attempt */
function refusal(model, row, acts, attempt) {
  const room = model.current;
  // A rule that binds this role is not overridden: the refusal does not offer it.
  const offered = row.fault?.code === FILTERED && String(row.fault.fix).includes("send it anyway");
  const anyway = offered && model.may("filter.override") && !row.edits;
  const kind = row.isSnippet ? "snippet" : row.kind === "action" ? "action" : "text";
  const again = (/** @type {boolean} */ force) => () => {
    const text = model.takeBack(row.msgId, room);
    void attempt(model.send(text, { to: room, replyTo: row.replyTo, kind, anyway: force }));
  };
  return h(
    "div.failed.small",
    {},
    h("span.bad", {}, `Not sent: ${explain(row.fault)}`),
    h(
      "div.row.wrap",
      {},
      anyway && button("Send anyway", again(true), { class: "link" }),
      !anyway && !row.edits && button("Try again", again(false), { class: "link" }),
      button("Take back to edit", () => acts.put(model.takeBack(row.msgId, room)), { class: "link" }),
    ),
  );
}

/** @param {string} text */
async function copy(text) {
  await navigator.clipboard.writeText(text);
}

/** @param {Row} row @param {(row: Row, text: string) => void} react */
function typeReaction(row, react) {
  return ask({
    title: "React",
    fields: [{ name: "text", label: "One word or emoji", required: true, limit: REACTION_CHARS }],
    yes: "React",
    act: ({ text }) => react(row, text),
  });
}

/** @param {any} model @param {Row} row */
async function whoReacted(model, row) {
  const list = h("dl.stack", {}, h("dt.quiet", {}, "Asking the server\u2026"));
  openDialog("Reactions", [list]);
  try {
    const found = await model.reactions(row.seq);
    list.replaceChildren(
      ...found.flatMap((/** @type {any} */ one) => {
        const more = one.count - one.users.length;
        const names = `${one.users.join(", ")}${more > 0 ? ` and ${counted(more, "other")}` : ""}`;
        return [h("dt", {}, `${one.text} ${one.count}`), h("dd.quiet", {}, names)];
      }),
    );
  } catch (error) {
    list.replaceChildren(h("dd.note.bad", {}, explain(error)));
  }
}

/** @param {any} model @param {Row} row */
function remove(model, row) {
  return ask({
    title: "Delete your message?",
    text: [beginning(row.body), "Its text is removed for everybody. Nothing brings it back."],
    yes: "Delete",
    danger: true,
    act: () => model.remove(row.seq),
  });
}

/** @param {any} model @param {Row} row */
function redact(model, row) {
  const room = model.current;
  return ask({
    title: `Remove this message of ${row.user}?`,
    text: [beginning(row.body), "Its text is removed for everybody. Nothing brings it back."],
    fields: [{ name: "reason", label: "Reason", hint: "The others read it." }],
    yes: "Remove",
    danger: true,
    act: ({ reason }) => model.admin.redact(room, row.seq, reason),
  });
}
