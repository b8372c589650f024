"""What the page shows of the events and replies that it gets, hostile ones included."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.browser import Modules

LOAD = """
const { ChatModel } = await load("model.js");
const { judged } = await load("events.js");
const { welcome, message } = await import("/staged/sessions.js");
const replies = new Map();
const client = {
  asked: [],
  background: (work) => Promise.resolve().then(work),
  request: async (kind, fields) => { client.asked.push(kind); return replies.get(kind)?.(fields) ?? {}; },
  rowsCame: () => {}, drop: () => {}, keepDraft: () => {},
  send: async (draft) => {
    const one = { ...draft, msgId: "f".repeat(32), at: 1, fault: null };
    m.pending(one);
    return one;
  },
};
const m = new ChatModel({ client, clock: () => 1_000_000 });
const take = (...events) => m.take(events.map((event) => judged(event) ?? event));
const begin = (more) =>
  m.take([{ type: "connected", welcome: judged(welcome(more)) }, { type: "caught-up", cursor: 10 }]);
const logged = (type, seq, more) =>
  judged({ type, seq, at: seq, room: "#lobby", by: "bob", user: "bob", ...more });
const edit = (seq, target, body) => judged({ ...message(seq), type: "edited", target, body });
const bodies = (name = "#lobby") => m.conversation(name).rows.map((row) => row.body);
const row = (seq, name = "#lobby") => m.conversation(name).message(seq);
begin();
"""


@pytest.fixture
def show(shared_modules: Modules) -> Any:
    """Run a script with a model `m` whose session has begun; returns what it returns."""
    return lambda script, given=None: shared_modules.run(LOAD + script, given)


def test_messages_stand_in_the_order_of_the_log_once(show: Any) -> None:
    found = show("""
        take(message(13), message(11), message(12), message(11), message(13));
        return [bodies(), m.conversation("#lobby").unread];
    """)
    assert found == [["message 11", "message 12", "message 13"], 1]


def test_unread_and_mentions_are_counted_until_they_are_shown(show: Any) -> None:
    found = show("""
        take(message(11), message(12, { body: "hello ALICE!" }), message(13, { room: "@alice,bob" }));
        take(message(14, { user: "alice" }), message(15, { body: "malice" }));
        const counts = (one) => [one.name, one.unread, one.mentions, one.firstUnread];
        const before = m.listed().map(counts);
        const told = m.notices.map(({ kind, title }) => [kind, title]);
        await m.enter("#lobby");
        const after = [m.conversation("#lobby").unread, m.unread, m.mentions, m.here.firstUnread];
        take(message(16));
        m.look(false);
        take(message(17));
        return [before, told, after, m.here.unread];
    """)
    assert found == [
        [["#lobby", 3, 1, 11], ["@alice,bob", 1, 1, 13]],
        [["mention", "bob in #lobby"], ["mention", "bob in @bob"]],
        [0, 1, 1, 11],
        1,
    ]


def test_edits_reactions_and_quotes_change_their_message(show: Any) -> None:
    found = show("""
        take(message(11), message(12, { reply_to: 11 }));
        m.take([edit(13, 11, "better"), edit(12, 11, "older")]);
        const react = (seq, user, count, on = true) =>
          logged("reacted", seq, { user, target: 11, text: "+1", count, on });
        const mine = react(15, "alice", 2);
        m.take([react(14, "bob", 1), mine, mine, react(16, "bob", 1, false), edit(17, 999, "unknown")]);
        m.take([logged("reacted", 18, { target: 998, text: "x", count: 1, on: true })]);
        return [row(11).body, row(11).edited, row(11).reactions, row(12).quote, bodies()];
    """)
    body, edited, reactions, quote, bodies = found
    assert (body, edited) == ("better", 13) and bodies == ["better", "message 12"]
    assert reactions == [{"text": "+1", "count": 1, "mine": True}]
    assert quote == {"user": "bob", "text": "better", "known": True}


def test_a_page_that_was_read_before_reactions_and_redactions_is_corrected(show: Any) -> None:
    found = show("""
        m.take([logged("reacted", 14, { target: 5, text: "+1", count: 1, on: true })]);
        m.take([logged("redacted", 15, { target: 4 })]);
        replies.set("history", () => ({ events: [message(4), message(5)], more: false }));
        await m.load("#lobby");
        return [bodies(), row(5).reactions.length];
    """)
    assert found == [["message 5", "bob deleted a message of bob"], 1]


def test_deleted_texts_are_gone_wherever_they_stood(show: Any) -> None:
    found = show("""
        take(message(11, { body: "secret" }), message(12, { reply_to: 11 }), message(13));
        m.take([logged("redacted", 14, { target: 11, own: true })]);
        const first = JSON.stringify(m.conversation("#lobby").rows);
        m.take([logged("expired", 15, { upto: 12, count: 1 })]);
        m.take([logged("room_removed", 16, {})]);
        return [first.includes("secret"), row(12), row(13), m.joined.has("#lobby"), bodies()];
    """)
    assert found[:4] == [False, None, None, False] and len(found[4]) == 3


def test_a_sent_message_is_pending_then_in_the_log_in_either_order(show: Any) -> None:
    found = show("""
        const states = [];
        const { pending } = m.conversation("#lobby");
        const look = () => states.push([...pending.values()].map((one) => one.state));
        const mine = (seq) => message(seq, { user: "alice", msg_id: "f".repeat(32) });
        const ok = (seq, held = false) => ({ type: "acknowledged", result: { seq, at: 1, notes: [], held },
          sent: { msgId: "f".repeat(32), to: "#lobby", edits: 0 } });
        await m.send("one", { to: "#lobby" }); look();
        m.take([ok(11)]); look(); take(mine(11)); look();
        await m.send("two", { to: "#lobby" }); take(mine(12)); m.take([ok(12)]); look();
        await m.send("held", { to: "#lobby" }); m.take([ok(13, true)]); look();
        const who = { msg_id: "f".repeat(32), target: 13, by: "eve", user: "alice" };
        m.take([logged("message_refused", 14, who)]); look();
        return [states, m.conversation("#lobby").rows.filter((one) => one.mine).length, bodies().at(-1)];
    """)
    refused = 'your message "held" in #lobby was refused by eve'
    assert found == [[["pending"], ["log"], [], [], ["held"], []], 2, refused]


def test_who_does_not_get_what_is_written_is_told_until_that_changes(show: Any) -> None:
    found = show("""
        const sent = { msgId: "f".repeat(32), to: "#lobby", edits: 0 };
        const ok = (...notes) => m.take([{ type: "acknowledged", result: { seq: 1, at: 1, notes }, sent }]);
        const left = (text) => ({ rule: "left", text });
        ok(left("bob")); ok(left("bob"), { rule: "absent", text: "dora" });
        ok(left("bob, carol")); ok(); ok(left("bob"));
        return bodies();
    """)
    assert found[-4:] == ["bob", "dora", "bob, carol", "bob"]


def test_a_refused_text_comes_back_to_its_writer(show: Any) -> None:
    found = show("""
        const { Fault } = await load("fault.js");
        const key = await m.send("bad word", { to: "#lobby" });
        const sent = { msgId: key, to: "#lobby", edits: 0 };
        m.take([{ type: "refused", sent, fault: new Fault("E400", "why", "rephrase") }]);
        const { state, fault } = m.conversation("#lobby").pending.get(key);
        const text = m.takeBack(key, "#lobby");
        return [state, fault.fix, text, m.conversation("#lobby").pending.size, m.takeBack(key, "#lobby")];
    """)
    assert found == ["refused", "rephrase", "bad word", 0, ""]


def test_who_was_removed_while_away_is_out(show: Any) -> None:
    found = show("""
        take(message(11));
        begin({ rooms: ["#other"], invites: ["#war"] });
        return [[...m.joined], m.conversation("#lobby").left, [...m.invitations], m.notices.at(-1).room];
    """)
    assert found == [["#other"], True, ["#war"], "#war"]


def test_a_gap_after_being_away_from_a_room_is_closed_by_the_next_page(show: Any) -> None:
    found = show("""
        take(message(11));
        m.take([logged("parted", 12, { user: "alice", by: "bob" })]);
        m.take([logged("joined", 40, { user: "alice", by: "alice", role: "user" })]);
        replies.set("history", () => ({ events: [message(38), message(39)], more: true }));
        await m.load("#lobby");
        return [bodies(), m.conversation("#lobby").hasOlder];
    """)
    assert found == [["message 38", "message 39", "alice joined #lobby"], True]


def test_older_pages_are_loaded_until_there_are_none(show: Any) -> None:
    found = show("""
        const all = Array.from({ length: 250 }, (_, at) => message(at + 1));
        replies.set("history", ({ before = Infinity, limit }) => {
          const older = all.filter((one) => one.seq < (before ?? Infinity));
          return { events: older.slice(-limit), more: older.length > limit };
        });
        await m.load("#lobby");
        const counts = [];
        while (m.conversation("#lobby").hasOlder) counts.push(await m.loadOlder("#lobby"));
        counts.push(await m.loadOlder("#lobby"));
        return [counts, bodies().length, m.conversation("#lobby").oldest];
    """)
    assert found == [[100, 50, 0], 250, 1]


def test_members_follow_the_events_since_the_request(show: Any) -> None:
    found = show("""
        m.permissions.add("presence.read");
        replies.set("who", () => {
          const joined = logged("joined", 11, { user: "carol", by: "carol", role: "guest" });
          m.take([joined, logged("parted", 12, {})]);
          const member = (user) => ({ user, role: "user", state: "online", text: "" });
          return { members: ["alice", "bob", "dora"].map(member), more: false };
        });
        await m.loadMembers("#lobby");
        take({ type: "presence", room: "#lobby", user: "dora", state: "away", text: "lunch" });
        take({ type: "presence", room: "#lobby", user: "nobody", state: "online" });
        const found = [...m.conversation("#lobby").members.values()];
        return found.map(({ user, state, text }) => [user, state, text]);
    """)
    assert found == [["alice", "online", ""], ["dora", "away", "lunch"], ["carol", "online", ""]]


def test_the_role_and_a_mute_are_known(show: Any) -> None:
    found = show("""
        const now = { type: "standing", role: "admin", permissions: ["audit.read"], by: "bob" };
        const told = (change, more = {}) => take({ ...now, change, ...more });
        told("role_set"); told("muted", { room: "#lobby", until: 5 }); told("muted");
        const muted = [...m.mutes];
        told("unmuted"); told("strange <change>");
        return [m.role, m.may("audit.read"), m.may("announce"), muted, [...m.mutes], m.notices.length];
    """)
    assert found == ["admin", True, False, [["#lobby", 5], ["", None]], [["#lobby", 5]], 4]


def test_markers_are_sent_when_a_room_is_left_and_not_twice(show: Any) -> None:
    found = show("""
        const rooms = [{ room: "#lobby", seq: 5, unread: 2 }];
        replies.set("unread", () => ({ rooms, cursor: 10, more: false }));
        await m.markers.count();
        const unread = m.conversation("#lobby").unread;
        await m.enter("#lobby");
        m.view(5, 6, Infinity);
        await m.markers.send();
        take(message(11));
        m.view(5, 6, Infinity);
        await m.markers.send();
        await m.enter("@bob");
        await m.markers.send(true);
        take({ type: "read", seq: 12, at: 1, room: "#lobby", user: "alice", upto: 11 });
        await m.markers.send(true);
        return [unread, client.asked.filter((kind) => kind === "read").length];
    """)
    assert found == [2, 2]


def test_a_message_is_read_once_it_was_in_view(show: Any) -> None:
    found = show("""
        const rooms = [{ room: "#lobby", seq: 5, unread: 9 }];
        replies.set("unread", () => ({ rooms, cursor: 14, more: false }));
        await m.markers.count();
        await m.enter("#lobby");
        const { read } = m.here;
        const upto = [read.readUpto];
        const view = (...span) => { m.view(...span); upto.push(read.readUpto); };
        view(11, 12, Infinity);
        view(4, 5, 8);
        take(message(15));
        view(11, 12, Infinity);
        m.look(false);
        view(8, 9, 12);
        m.look(true, true);
        view(8, 9, 11);
        take(message(16));
        view(11, 12, 16);
        m.look(true, false);
        view(15, 16, Infinity);
        return upto;
    """)
    assert found == [5, 5, 8, 8, 8, 15, 15, 16]


def test_what_was_not_in_view_is_unread_again_once_the_room_is_left(show: Any) -> None:
    found = show("""
        let answer = { rooms: [{ room: "#lobby", seq: 5, unread: 9 }], cursor: 14, more: false };
        replies.set("unread", () => answer);
        await m.markers.count();
        await m.enter("#lobby");
        m.view(5, 6, 8);
        answer = { rooms: [{ room: "#lobby", seq: 8, unread: 6 }], cursor: 14, more: false };
        const inside = m.here.unread;
        await m.enter("@bob");
        await m.markers.send(true);
        const outside = m.conversation("#lobby");
        return [inside, outside.unread, outside.firstUnread];
    """)
    assert found == [0, 6, 9]


@pytest.mark.parametrize(
    "name", ["__proto__", "constructor", "toString", "#__proto__", "@__proto__,alice", ""]
)
def test_names_of_javascript_are_names_like_others(show: Any, name: str) -> None:
    found = show(
        """
        take(message(11, { room: given, user: given, role: given, msg_id: given }));
        m.take([logged("joined", 12, { room: given, user: given, by: given, role: given })]);
        take({ type: "presence", room: given, user: given, state: given, cause: given, by: given });
        const reaction = { target: 11, text: given, count: 1, on: true };
        m.take([logged("reacted", 13, { room: given, user: given, ...reaction })]);
        take({ type: "standing", change: given, role: given, permissions: [given], by: given, room: given });
        take({ type: "attention", what: given, count: 1, user: given, place: given });
        m.setDraft(given, given);
        await m.enter(given || "@bob");
        const where = m.conversation(given);
        return [{}.polluted, Object.keys(Object.prototype).length, where.message(11)?.body, where.draft];
        """,
        name,
    )
    assert found == [None, 0, "message 11", name]


def test_a_flood_of_hostile_events_stays_bounded(show: Any) -> None:
    found = show("""
        for (let seq = 11; seq < 20_011; seq += 1) take(message(seq, { body: "x".repeat(100) }));
        for (let n = 0; n < 3_000; n += 1) take(message(30_000 + n, { room: `#r${n}`, body: "alice" }));
        for (let n = 0; n < 6_000; n += 1) {
          m.take([logged("joined", 40_000 + n, { user: `u${n}`, by: "x", role: "user" })]);
          m.take([logged("redacted", 50_000 + n, { target: n })]);
        }
        const where = m.conversation("#lobby");
        const sizes = [where.members.size, where.redactions.length, m.notices.length];
        return [where.rows.length < 1_300, m.conversations.size, ...sizes];
    """)
    assert found[0] is True and found[1] <= 2_000 and found[2:] == [5_000, 1_000, 50]


def test_hostile_texts_are_escaped_before_they_are_kept(show: Any) -> None:
    found = show("""
        const evil = "a\\u202eb\\u0007<b>";
        take(message(11, { body: evil, user: evil, role: evil, reactions: [{ text: evil, count: 1 }] }));
        m.take([logged("topic", 12, { by: evil, topic: evil, room: "#lobby" })]);
        m.take([logged("announcement", 13, { by: evil, body: evil })]);
        const { Fault } = await load("fault.js");
        const { conversations, notices } = m;
        const { rows, topic } = conversations.get("#lobby");
        const all = JSON.stringify([rows, topic, notices, Object.values(new Fault("E400", evil, evil))]);
        return [all.includes("\\u202e"), all.includes("\\u0007"), row(11).body];
    """)
    assert found == [False, False, "a\\u202eb\\x07<b>"]


def test_wrong_replies_are_survived(show: Any) -> None:
    junk = [
        {},
        {"events": 5, "rooms": "x", "members": {}, "more": True},
        {"events": [None, 5, {"type": "message"}], "rooms": [None, {}], "members": [None, {"user": 5}]},
    ]
    found = show(
        """
        const told = [];
        const failed = (error) => told.push(error.code ?? String(error));
        const guard = (work) => work.then(() => told.push(""), failed);
        m.permissions.add("presence.read");
        const kinds = ["history", "who", "unread", "messages", "search", "rooms"];
        for (const reply of given) {
          for (const kind of kinds) replies.set(kind, () => reply);
          m.conversation("#lobby").loaded = false;
          await guard(m.load("#lobby"));
          await guard(m.loadMembers("#lobby"));
          await guard(m.markers.count());
          await guard(m.search("x"));
          await guard(m.rooms());
        }
        return [...new Set(told)];
        """,
        junk,
    )
    assert set(found) <= {"", "E102"}


def test_listeners_are_told_once_for_what_changed_together(show: Any) -> None:
    found = show("""
        const told = [];
        await Promise.resolve();
        const end = m.subscribe((parts) => told.push([...parts].sort()));
        take(message(11), message(12));
        await Promise.resolve();
        end();
        take(message(13));
        await Promise.resolve();
        return told;
    """)
    assert found == [["rooms", "rows"]]
