"""The driver of the web page: its model in Chromium, while the gateway and the hub are killed as well."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.conformance.driver import TOKEN, Driver, ShownMessage
from tests.support.browser import profiled
from tests.support.daemon import Daemon
from tests.support.joining import invite
from tests.support.live_page import LivePage

# Killed when these messages have been handed over; the conversation itself kills the workers.
KILLED_AFTER = {"storm-5": "gateway", "storm-7": "hub", "storm-9": "gateway"}
# A new browser with the same profile goes on after this one.
RESTART_AFTER = "storm-10"
_SHOWN = """
const where = model.conversation(model.resolve(given));
return JSON.stringify(where.rows.filter((row) => row.msgId));
"""
_OUTPUT = """
const rows = [...model.conversations.values()].flatMap((where) => where.rows);
return JSON.stringify([rows, model.notices, model.trouble?.reason ?? ""]);
"""


class BrowserDriver(Driver):
    """One user at the page. ``port`` is the gateway's."""

    name = "browser"

    def __init__(self, daemon: Daemon, user: str, folder: Path, port: int) -> None:
        super().__init__(daemon, user, folder)
        self._port = port
        self._stack = ExitStack()
        self._open()
        self.tab.join(invite(daemon, user), "chromium")

    def enter(self, where: str) -> None:
        self.tab.wait_connected()
        self.tab.run("await model.enter(given);", where)

    def say(self, where: str, body: str) -> None:
        self.tab.run("await model.send(given[1], { to: given[0] });", [where, body])
        if (name := KILLED_AFTER.get(body)) is not None:
            os.kill(self.daemon.child(name)["pid"], signal.SIGKILL)
        if body == RESTART_AFTER:
            self._stack.close()
            self._open()
            self.tab.wait("model.me !== '' && model.conversation(given).rows.length > 0", where)

    def shown(self, where: str) -> list[ShownMessage]:
        return [
            ShownMessage(row["user"], "action" if row["kind"] == "action" else "text", row["body"])
            for row in self._json(_SHOWN, where)
            if TOKEN.search(row["body"])
        ]

    def history(self, room: str) -> list[ShownMessage]:
        self.tab.wait_connected()
        self.tab.run("while (model.conversation(given).hasOlder) await model.loadOlder(given);", room)
        return self.shown(room)

    def output(self) -> str:
        return json.dumps(self._json(_OUTPUT))

    def close(self) -> None:
        self._stack.close()

    def send_action(self, room: str, body: str) -> None:
        self.tab.run("await model.send(given[1], { to: given[0], kind: 'action' });", [room, body])

    def away(self, why: str) -> None:
        self.tab.run("await model.away(given);", why)

    def leave(self, room: str) -> None:
        self.tab.run("await model.leaveRoom(given);", room)

    def alerted(self) -> bool | None:
        # The current room is on the screen, so the page marks the row and does not call.
        return None

    def _open(self) -> None:
        context = self._stack.enter_context(profiled(self.folder / "profile"))
        self.tab = LivePage(context, self._port)

    def _json(self, script: str, argument: object = None) -> Any:
        return json.loads(self.tab.run(script, argument))
