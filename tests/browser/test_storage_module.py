"""What the browser keeps: messages until they are answered, drafts, rows; and when it keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Modules

OPEN = """
const { openStore } = await load("store.js");
const { Outbox } = await load("outbox.js");
const store = await openStore();
const outbox = new Outbox(store);
const draft = (body, more = {}) =>
  ({ to: "#lobby", body, kind: "text", replyTo: 0, edits: 0, anyway: false, ...more });
const add = async (body, more) => {
  const sent = outbox.make(draft(body, more), 5);
  await outbox.keep(sent);
  return sent;
};
const code = (work) => work.then(() => "", (error) => error.code);
"""
LOADED = OPEN + "return (await outbox.load()).map((one) => [one.body, one.fault?.code ?? null]);"


@pytest.fixture
def fresh(shared_modules: Modules) -> Iterator[Modules]:
    """A page whose storage is empty."""
    shared_modules.clear()
    shared_modules.run("(await (await load('store.js')).openStore()).clear();")
    yield shared_modules
    shared_modules.clear()


def test_messages_stay_in_order_until_they_are_answered(fresh: Modules) -> None:
    ids = fresh.run(f"""{OPEN}
        const sent = [];
        for (let n = 0; n < 30; n += 1) sent.push(await add(`text ${{n}}`));
        await outbox.remove(sent[3].msgId);
        await outbox.refuse(sent[5], {{ code: "E400", reason: "r", fix: "f" }});
        return sent.map((one) => one.msgId);
    """)
    assert len(set(ids)) == 30 and all(len(one) == 32 for one in ids)
    fresh.clear()
    wanted = [[f"text {n}", "E400" if n == 5 else None] for n in range(30) if n != 3]
    assert fresh.run(LOADED) == wanted
    later = OPEN + 'await outbox.load(); await add("last"); return (await outbox.load()).at(-1).body;'
    assert fresh.run(later) == "last"


def test_what_no_server_accepts_is_not_kept(fresh: Modules) -> None:
    found = fresh.run(f"""{OPEN}
        const bodies = ["\\ud800", "x".repeat(70_000), "x".repeat(40_000)];
        bodies.push(String.fromCodePoint(0x1f600).repeat(20_000));
        const codes = await Promise.all(bodies.map((body) => code(add(body))));
        codes.push(await code(add("far", {{ to: "#" + "x".repeat(300) }})));
        codes.push(await code(add("odd", {{ replyTo: -1 }})), await code(add("odd", {{ kind: "html" }})));
        for (let n = 0; n < 1_000; n += 1) outbox.messages.set(String(n), {{}});
        return [codes, await code(add("one too many")), (await store.all("outbox")).length];
    """)
    assert found == [["E402", "E401", "E401", "E401", "E404", "E102", "E102"], "E409", 0]


def test_a_browser_that_keeps_nothing_is_noticed(fresh: Modules) -> None:
    found = fresh.run("""
        const refuse = () => { throw new DOMException("private", "SecurityError"); };
        Object.defineProperty(window, "indexedDB", { value: { open: refuse }, configurable: true });
        const { openStore } = await load("store.js");
        const store = await openStore();
        await store.write([["drafts", "__proto__", "text"], ["drafts", "#a", "b"]]);
        await store.write([["drafts", "#a", undefined]]);
        return [store.isKept, await store.all("drafts"), await store.get("keep", "identity") ?? null];
    """)
    assert found == [False, [["__proto__", "text"]], None]


def test_storage_that_another_tab_has_removed_refuses_writes(fresh: Modules) -> None:
    found = fresh.run(f"""{OPEN}
        await new Promise((resolve) => (indexedDB.deleteDatabase("chatd").onsuccess = resolve));
        return [await code(add("text")), outbox.messages.size];
    """)
    assert found == ["E606", 0]


REMEMBER = """
const { Memory } = await load("memory.js");
const { ChatModel } = await load("model.js");
const { Session } = await load("session.js");
const { openStore } = await load("store.js");
const { judged } = await load("events.js");
const { message, welcome } = await import("/staged/sessions.js");
const store = await openStore();
const client = { background: () => {}, drop: () => {}, keepDraft: () => {} };
const m = new ChatModel({ client });
const session = new Session();
const memory = new Memory(store, m, session);
"""


def test_rows_cursor_and_drafts_are_there_after_a_reload(fresh: Modules) -> None:
    fresh.run(f"""{REMEMBER}
        const branch = {{ id: "a".repeat(32), began: 0 }};
        m.take([{{ type: "connected", welcome: judged(welcome({{ rooms: ["#lobby", "#war"] }})) }}]);
        for (const name of ["#lobby", "#war"]) m.conversation(name).loaded = true;
        const events = [11, 12, 13].map((seq) => judged(message(seq)));
        m.take(events);
        m.conversation("#lobby").draft = "half a text";
        [session.cursor, session.lineage] = [13, [branch]];
        memory.note(events);
        memory.keepDraft("#lobby", "half a text");
        memory.keepDraft("__proto__", "another");
        await memory.save();
    """)
    fresh.clear()
    found = fresh.run(f"""{REMEMBER}
        await memory.load();
        const {{ rows, draft }} = m.conversation("#lobby");
        memory.keepDraft("#lobby", "");
        await memory.save();
        const drafts = (await store.all("drafts")).map(([name]) => name);
        const {{ cursor, lineage }} = session;
        return [rows.map((row) => row.body), Object.isFrozen(rows[0]), draft, cursor, lineage.length, drafts];
    """)
    bodies = [f"message {seq}" for seq in (11, 12, 13)]
    assert found == [bodies, True, "half a text", 13, 1, ["__proto__"]]


def test_long_texts_are_kept_up_to_a_bound(fresh: Modules) -> None:
    found = fresh.run(f"""{REMEMBER}
        m.take([{{ type: "connected", welcome: judged(welcome()) }}]);
        m.conversation("#lobby").loaded = true;
        const body = "x".repeat(30_000);
        const events = Array.from({{ length: 50 }}, (_, at) => judged(message(11 + at, {{ body }})));
        m.take(events);
        memory.note(events);
        session.cursor = 60;
        await memory.save();
        const [[, kept]] = await store.all("recent");
        return kept.rows.map((row) => row.seq);
    """)
    assert found == [58, 59, 60]


def test_deleted_messages_are_deleted_from_the_disk(fresh: Modules) -> None:
    found = fresh.run(f"""{REMEMBER}
        m.take([{{ type: "connected", welcome: judged(welcome()) }}]);
        m.conversation("#lobby").loaded = true;
        const step = async (event) => {{
          m.take([event]);
          memory.note([event]);
          session.cursor = event.seq;
          await memory.save();
          return JSON.stringify(await store.all("recent")).includes("secret");
        }};
        const deletion = {{ type: "redacted", seq: 12, at: 1, by: "bob", room: "#lobby", target: 11 }};
        return [await step(judged(message(11, {{ body: "secret" }}))), await step(judged(deletion))];
    """)
    assert found == [True, False]


def test_messages_of_another_user_are_not_shown(fresh: Modules) -> None:
    found = fresh.run(f"""{REMEMBER}
        await memory.load();
        const first = [memory.belongsTo("lab/alice/web"), memory.belongsTo("lab/alice/web")];
        const again = new Memory(store, m, session);
        await again.load();
        return [...first, again.belongsTo("lab/bob/web")];
    """)
    assert found == [True, True, False]


TAB = """
const { TabLock } = await load("tabs.js");
window.told = [];
const ends = Object.fromEntries(["got", "waits", "lost"].map((name) => [name, () => told.push(name)]));
window.lock = new TabLock(ends);
lock.ask();
"""


def test_one_tab_has_the_session_until_another_takes_it(fresh: Modules) -> None:
    def wait(page: Any, told: list[str]) -> None:
        page.wait_for_function("(wanted) => JSON.stringify(window.told) === JSON.stringify(wanted)", arg=told)

    fresh.run(TAB)
    wait(fresh.page, ["got"])
    other = Modules(fresh.page.context.new_page(), fresh.origin)
    other.run(TAB)
    wait(other.page, ["waits"])
    other.run("lock.steal();")
    wait(other.page, ["waits", "got"])
    wait(fresh.page, ["got", "lost", "waits"])
    other.page.close()
    wait(fresh.page, ["got", "lost", "waits", "got"])
