"""What the browser keeps on the disk: across restarts, and when the disk is full."""

from __future__ import annotations

from pathlib import Path

from tests.support.browser import Modules, profiled, require_chromium
from tests.support.page_server import serving

OPEN = """
const { openStore } = await load("store.js");
const { Outbox } = await load("outbox.js");
const store = await openStore();
const outbox = new Outbox(store);
const add = async (body) => {
  const sent = outbox.make({ to: "#lobby", body, kind: "text", replyTo: 0, edits: 0, anyway: false }, 5);
  await outbox.keep(sent);
};
"""


def test_the_key_and_what_waits_survive_a_restart_of_the_browser(tmp_path: Path) -> None:
    require_chromium()
    with serving() as address:
        origin = address.rpartition("/")[0]
        with profiled(tmp_path / "profile") as context:
            first = Modules(context.pages[0], origin).run(f"""{OPEN}
                const {{ makeKeys }} = await load("identity.js");
                const {{ toHex, makeRequest }} = await load("der.js");
                const keys = await makeKeys();
                await store.write([["keep", "identity", {{ keys }}]]);
                await add("waits");
                return toHex(new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey)));
            """)
        with profiled(tmp_path / "profile") as context:
            second = Modules(context.pages[0], origin).run(f"""{OPEN}
                const {{ makeRequest, toHex }} = await load("der.js");
                const {{ keys }} = await store.get("keep", "identity");
                await makeRequest(keys);
                const waiting = (await outbox.load()).map((one) => one.body);
                const spki = await crypto.subtle.exportKey("spki", keys.publicKey);
                return [toHex(new Uint8Array(spki)), keys.privateKey.extractable, waiting];
            """)
    assert second == [first, False, ["waits"]]


def test_a_full_disk_refuses_a_message_and_says_what_to_do(tmp_path: Path) -> None:
    require_chromium()
    with serving() as address, profiled(tmp_path / "profile") as context:
        modules = Modules(context.pages[0], address.rpartition("/")[0])
        session = context.new_cdp_session(modules.page)
        session.send("Storage.overrideQuotaForOrigin", {"origin": modules.origin, "quotaSize": 1_000})
        told = modules.run(f"""{OPEN}
            const error = await add("does not fit".repeat(1_000)).catch((fault) => fault);
            return [store.isKept, error.code, error.fix, outbox.messages.size, await outbox.load()];
        """)
    assert told == [True, "E606", "free disk space, then try again", 0, []]
