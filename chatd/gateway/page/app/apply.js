/** Apply events to the state: those of the server, judged, and those of this client's session. */

import { author, describe } from "./describe.js";
import { membership, presence, leaveBecause, standing } from "./membership.js";
import { eventRow, makeRow, messageRow, reactedTo } from "./rows.js";
import { beginning, line, visible } from "./text.js";

/** The longest list of rooms in a welcome (docs/protocol.md, section 12). */
const WELCOME_ROOMS = 500;

/** @typedef {import("./state.js").ChatState} ChatState */
/** @typedef {import("./conversation.js").Conversation} Conversation */

/**
 * Apply one event.
 * @param {ChatState} state
 * @param {any} event judged by `events.judged`, or one of the session's own
 */
export function apply(state, event) {
  if (typeof event.seq === "number") state.heard = event.seq;
  if (Object.hasOwn(HANDLERS, event.type)) HANDLERS[event.type](state, event);
  else if (typeof event.seq === "number") logged(state, event);
}

/** @type {{[type: string]: (state: ChatState, event: any) => void}} */
const HANDLERS = {
  connected,
  disconnected,
  restored,
  acknowledged,
  refused,
  skipped: (state) => {
    for (const one of state.conversations.values()) one.drop();
    state.touch("rows", "rooms");
  },
  "caught-up": (state) => state.touch("rows", "rooms"),
  edited,
  reacted,
  presence,
  standing,
  announcement,
  attention: (state, event) => {
    state.waiting.set(line(event.what), event.count);
    state.tell("info", "", describe(event) ?? "");
    state.touch("state");
  },
  slowed: (state, event) => state.note(describe(event) ?? ""),
  isolated: (state, event) => {
    state.isolated = line(event.reason);
    state.note(describe(event) ?? "");
    state.touch("state");
  },
  guest_reminded: (state, event) => state.tell("mention", "", describe(event) ?? ""),
  read: (state, event) => {
    if (!state.joined.has(event.room) && !state.conversations.has(event.room)) return;
    const onScreen = event.room === state.current;
    if (state.conversation(event.room).read.moveMarker(event.upto, onScreen)) state.touch("rooms");
  },
  message_held: (state, event) => {
    const row = messageRow(event, state.me, null);
    state.conversation(event.room).pending.set(event.msg_id, makeRow({ ...row, state: "held" }));
    state.touch("rows");
  },
  message_approved: (state, event) => state.conversation(event.room).pending.delete(event.msg_id),
  message_refused: (state, event) => {
    const { pending } = state.conversation(event.room);
    const text = pending.get(event.msg_id)?.body ?? "";
    pending.delete(event.msg_id);
    logged(state, { ...event, text });
  },
  redacted: (state, event) => redact(state, event, event.target, event.target),
  expired: (state, event) => redact(state, event, 0, event.upto),
  room_removed: (state, event) => {
    const where = state.conversation(event.room);
    where.partedAt = event.seq;
    leaveBecause(state, where, event.by === state.me ? "" : describe(event) ?? "");
    redact(state, event, 0, event.seq);
  },
};

/** @param {ChatState} state @param {any} event */
function connected(state, { welcome }) {
  state.phase = "connected";
  state.trouble = null;
  state.retryAt = 0;
  state.welcome = welcome;
  state.isolated = line(welcome.isolated ?? "");
  state.me = welcome.user;
  state.device = welcome.device;
  state.instance = welcome.instance;
  state.role = line(welcome.role);
  state.permissions = new Set(welcome.permissions);
  state.mutes.clear();
  state.roomsMissing = welcome.rooms.length >= WELCOME_ROOMS;
  const rooms = new Set(welcome.rooms);
  if (!state.roomsMissing) {
    // Being removed from a room while away shows here and nowhere else.
    for (const name of [...state.joined].filter((name) => !rooms.has(name))) {
      leaveBecause(state, state.conversation(name), `you are not in ${state.title(name)} any more`);
    }
  }
  for (const name of rooms) {
    state.joined.add(name);
    state.conversation(name);
  }
  for (const room of (welcome.invites ?? []).filter((/** @type {string} */ r) => !state.invitations.has(r))) {
    state.tell("info", "", `you are invited to ${line(room)}`, { room });
  }
  state.invitations = new Set(welcome.invites ?? []);
  state.touch("state", "rooms", "members");
}

/** @param {ChatState} state @param {any} event */
function disconnected(state, { fault, retryIn }) {
  for (const one of state.conversations.values()) one.membersKnown = false;
  state.phase = retryIn === null ? "ended" : "reconnecting";
  state.trouble = fault;
  state.retryAt = retryIn === null ? 0 : state.clock() + 1000 * retryIn;
  state.touch("state", "members");
}

/** @param {ChatState} state @param {any} event */
function restored(state, { upto: seq }) {
  state.heard = Math.min(state.heard, seq);
  if ([...state.conversations.values()].some((one) => one.newest > seq)) {
    for (const one of state.conversations.values()) one.restore(seq);
  }
  state.restores += 1;
  state.tell("info", "", "the server was restored from a backup; what you saw last may be gone");
  state.touch("rows", "rooms");
}

/** @param {ChatState} state @param {any} event */
function acknowledged(state, { sent, result }) {
  const where = state.conversation(state.resolve(sent.to));
  for (const note of where.fresh(result.notes)) state.note(noteText(note, sent.body), where.name);
  const row = where.pending.get(sent.msgId);
  if (row && (sent.edits || where.message(result.seq))) where.pending.delete(sent.msgId);
  // Until the event arrives the row stays, without its mark; a held one until a moderator decides.
  else if (row) where.pending.set(sent.msgId, makeRow({ ...row, state: result.held ? "held" : "log" }));
  state.touch("rows", "state");
}

/**
 * Return a note of the server on a message; it names a held one, for others may be under way.
 * @param {any} note
 * @param {string} body
 */
function noteText(note, body) {
  const text = String(note.text ?? note.rule ?? "");
  return note.rule === "held" ? `held: "${beginning(body)}"; ${text}` : text;
}

/** @param {ChatState} state @param {any} event */
function refused(state, { sent, fault }) {
  const where = state.conversation(state.resolve(sent.to));
  const row = where.pending.get(sent.msgId);
  if (row) where.pending.set(sent.msgId, makeRow({ ...row, state: "refused", fault }));
  const title = `not sent to ${state.title(where.name)}`;
  state.tell("error", title, fault.reason, { fix: fault.fix, room: where.name });
  state.touch("rows", "state");
}

/** @param {ChatState} state @param {any} event */
function logged(state, event) {
  if (event.type === "dm_opened") state.joined.add(event.room);
  const where = state.conversation(event.room);
  addEvent(state, where, event);
  state.trim(where);
  if (event.type === "joined" || event.type === "parted") membership(state, event, where);
  else if (event.type === "topic" || event.type === "room_created") {
    where.topic = line(event.topic);
    where.topicAt = event.seq;
    if (event.mode) where.mode = event.mode;
  } else if (event.type === "room_mode") where.mode = event.mode;
  else if (event.type === "archived") where.archived = event.on;
  else if (event.type === "message") arrived(state, event, where);
  state.touch("rooms", "rows");
}

/**
 * Add an event to its conversation; also those of pages. False if it is there already.
 * @param {ChatState} state
 * @param {Conversation} where
 * @param {any} event
 */
export function addEvent(state, where, event) {
  if (event.type !== "message") {
    const words = describe(event);
    return words !== null && where.add(eventRow(event, words));
  }
  where.pending.delete(event.msg_id);
  let row = messageRow(event, state.me, event.reply_to ? where.quote(event.reply_to) : null);
  // A page may have been read before reactions that came as events.
  for (const one of where.reacted.filter((late) => late.target === event.seq)) {
    row = makeRow({ ...row, ...reactedTo(row, one) });
  }
  return where.add(row);
}

/** @param {ChatState} state @param {any} event @param {Conversation} where */
function arrived(state, event, where) {
  if (event.user === state.me) return;
  if (where.name === state.current) where.read.awaitView(event.seq - 1);
  const calls = state.addressesMe(event);
  if (state.isVisible(where.name)) where.read.seen = Math.max(where.read.seen, event.seq);
  else if (where.read.arrive(event.seq, calls) && calls) {
    const title = `${line(event.user)} in ${state.title(where.name)}`;
    state.tell("mention", title, beginning(event.body), { room: where.name });
  }
}

/** @param {ChatState} state @param {any} event */
function edited(state, event) {
  const where = state.conversation(event.room);
  where.pending.delete(event.msg_id);
  const row = where.message(event.target);
  if (row && row.edited < event.seq) {
    const now = messageRow({ ...event, reactions: [] }, state.me, null);
    const { body, isSnippet, mentionsMe } = now;
    const changed = Math.max(row.changed, event.seq);
    where.change(event.target, { body, isSnippet, mentionsMe, edited: event.seq, changed });
  } else if (where.quotes.has(event.target)) where.setQuotes([[event.target, event]]);
  state.touch("rows");
}

/** @param {ChatState} state @param {any} event */
function reacted(state, event) {
  const mine = event.user === state.me ? event.on : null;
  const { seq, target, count } = event;
  state.conversation(event.room).react({ seq, target, text: line(event.text), count, mine });
  state.touch("rows");
}

/** @param {ChatState} state @param {any} event @param {number} first @param {number} last */
function redact(state, event, first, last) {
  state.conversation(event.room).redact(first, last);
  logged(state, event);
}

/** @param {ChatState} state @param {any} event */
function announcement(state, event) {
  const by = author(event);
  const body = visible(event.body);
  const fields = { key: `e${event.seq}`, seq: event.seq, at: event.at, user: by, body };
  if (state.here?.add(makeRow({ ...fields, kind: "announcement" })) !== false) {
    state.tell("announcement", `${by} announces`, body);
  }
  state.touch("rows");
}
