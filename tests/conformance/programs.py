"""Drivers without a screen: the library, plain mode on pipes, `chat send` with `chat tail`, `chat bot`."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from chatctl.client import Parted
from chatctl.model.render import title
from tests.conformance.conversation_script import Listener
from tests.conformance.driver import TOKEN, Driver, ShownMessage, parse_lines
from tests.support.daemon import BIN, Daemon, wait_until


class Program:
    """A `chat ...` process on pipes; keeps its output."""

    def __init__(self, driver: Driver, *arguments: str) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self._process = subprocess.Popen(
            [str(BIN / "chat"), *arguments],
            env={**driver.daemon.environ, "CHATD_IDENTITY": str(driver.identity)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [
            threading.Thread(target=self._keep, args=pair)
            for pair in ((self._process.stdout, self.out), (self._process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _keep(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))  # noqa: PERF401 - other threads read the list meanwhile

    def write(self, line: str) -> None:
        """Write a line to standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def objects(self) -> list[dict[str, Any]]:
        """The output, parsed as JSON Lines."""
        return [json.loads(line) for line in list(self.out)]

    def end(self) -> None:
        """Terminate the process."""
        self._process.terminate()
        with self._process:
            for thread in self._threads:
                thread.join()


class LibraryDriver(Driver):
    """chatctl.client with a callback for events."""

    name = "library"

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        super().__init__(daemon, user, folder)
        self._me = Listener(daemon, user)

    def enter(self, where: str) -> None:
        if not self._me.events:
            self._me.start()
        if where.startswith("#"):
            self._me.client.request("join", room=where)

    def say(self, where: str, body: str) -> None:
        self._me.client.send(where, body)

    def send_action(self, room: str, body: str) -> None:
        self._me.client.send(room, body, kind="action")

    def shown(self, where: str) -> list[ShownMessage]:
        return self._me.shown(where)

    def history(self, room: str) -> list[ShownMessage]:
        return self._me.log(room)

    def away(self, why: str) -> None:
        self._me.client.request("away", text=why)

    def leave(self, room: str) -> None:
        self._me.client.request("part", room=room)

    def output(self) -> str:
        return "\n".join(e.reason for e in list(self._me.events) if isinstance(e, Parted))

    def close(self) -> None:
        self._me.client.close()


class ProgramsDriver(Driver):
    """One or two processes for each conversation."""

    unsupported = frozenset({"action", "away", "leave"})

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        super().__init__(daemon, user, folder)
        self._reading: dict[str, Program] = {}
        self._writing: dict[str, Program] = {}

    def say(self, where: str, body: str) -> None:
        self._writing[where].write(body)

    def output(self) -> str:
        return "\n".join(line for one in self._reading.values() for line in (*one.out, *one.err))

    def close(self) -> None:
        for program in {*self._reading.values(), *self._writing.values()}:
            program.end()

    def _run(self, *arguments: str) -> list[str]:
        return self.daemon.run("chat", "--identity", str(self.identity), *arguments).stdout.splitlines()


class PlainDriver(ProgramsDriver):
    """`chat --plain` on pipes."""

    name = "plain"

    def enter(self, where: str) -> None:
        if where not in self._reading:
            self._reading[where] = self._writing[where] = Program(self, "--plain", "--room", where)

    def shown(self, where: str) -> list[ShownMessage]:
        return parse_lines(list(self._reading[where].out))

    def history(self, room: str) -> list[ShownMessage]:
        return parse_lines(self._run("history", room, "-n", "500"))


class ScriptsDriver(ProgramsDriver):
    """`chat send --lines` and `chat tail --json`."""

    name = "scripts"

    def enter(self, where: str) -> None:
        if where not in self._reading:
            self._reading[where] = Program(self, "tail", where, "--json", "-n", "500")
            self._writing[where] = Program(self, "send", where, "--lines", "--json")

    def shown(self, where: str) -> list[ShownMessage]:
        return parse_objects(self._reading[where].objects(), where, self.user)

    def history(self, room: str) -> list[ShownMessage]:
        lines = self._run("history", room, "--json", "-n", "500")
        return parse_objects([json.loads(line) for line in lines], room, self.user)


class BotDriver(Driver):
    """`chat bot`."""

    name = "bot"

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        super().__init__(daemon, user, folder)
        self._bot = Program(self, "bot", "--own")

    def enter(self, where: str) -> None:
        if where.startswith("#"):
            self._ask("join", room=where)

    def say(self, where: str, body: str) -> None:
        self._do("send", to=where, body=body)

    def send_action(self, room: str, body: str) -> None:
        self._do("send", to=room, body=body, kind="action")

    def shown(self, where: str) -> list[ShownMessage]:
        return parse_objects(self._bot.objects(), where, self.user)

    def history(self, room: str) -> list[ShownMessage]:
        return parse_objects(self._ask("history", room=room, limit=500)["events"], room, self.user)

    def away(self, why: str) -> None:
        self._ask("away", text=why)

    def leave(self, room: str) -> None:
        self._ask("part", room=room)

    def output(self) -> str:
        return "\n".join(self._bot.out)

    def close(self) -> None:
        self._bot.end()

    def _do(self, do: str, **fields: object) -> None:
        self._bot.write(json.dumps({"do": do, **fields}))

    def _ask(self, do: str, **fields: object) -> dict[str, Any]:
        ref = f"ref {len(self._bot.out)}"
        self._do(do, ref=ref, **fields)
        (reply,) = wait_until(lambda: [one for one in self._bot.objects() if one.get("ref") == ref], what=do)
        assert reply["type"] == "ok", reply
        return dict(reply["result"])


def parse_objects(events: list[dict[str, Any]], where: str, me: str) -> list[ShownMessage]:
    """The messages of one conversation among JSON events."""
    messages = [one for one in events if one.get("type") == "message" and title(one["room"], me) == where]
    return [ShownMessage(e["user"], e["kind"], e["body"]) for e in messages if TOKEN.search(e["body"])]
