"""Seats without a screen: the library, plain mode on pipes, `chat send` with `chat tail`, `chat bot`."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from chatctl.client import Parted
from chatctl.model.render import title
from tests.conformance.script import Listener
from tests.conformance.seat import TOKEN, Seat, Shown, read_lines_of_text
from tests.support.daemon import BIN, Daemon, wait_until


class Program:
    """A `chat ...` with pipes; what it prints is kept."""

    def __init__(self, seat: Seat, *arguments: str) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self._process = subprocess.Popen(
            [str(BIN / "chat"), *arguments],
            env={**seat.daemon.environ, "CHATD_IDENTITY": str(seat.identity)},
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
            lines.append(line.rstrip("\n"))  # noqa: PERF401 - others read the list meanwhile

    def write(self, line: str) -> None:
        """A line for its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def objects(self) -> list[dict[str, Any]]:
        """Its output, when that is JSON Lines."""
        return [json.loads(line) for line in list(self.out)]

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        with self._process:
            for thread in self._threads:
                thread.join()


class LibrarySeat(Seat):
    """chatctl.client, with events taken on its own thread."""

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

    def act(self, room: str, body: str) -> None:
        self._me.client.send(room, body, kind="action")

    def shown(self, where: str) -> list[Shown]:
        return self._me.shown(where)

    def history(self, room: str) -> list[Shown]:
        return self._me.log(room)

    def away(self, why: str) -> None:
        self._me.client.request("away", text=why)

    def leave(self, room: str) -> None:
        self._me.client.request("part", room=room)

    def told(self) -> str:
        return "\n".join(e.reason for e in list(self._me.events) if isinstance(e, Parted))

    def close(self) -> None:
        self._me.client.close()


class _Programs(Seat):
    """One program, or two, for each conversation."""

    cannot = frozenset({"action", "away", "leave"})

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        super().__init__(daemon, user, folder)
        self._reading: dict[str, Program] = {}
        self._writing: dict[str, Program] = {}

    def say(self, where: str, body: str) -> None:
        self._writing[where].write(body)

    def told(self) -> str:
        return "\n".join(line for one in self._reading.values() for line in (*one.out, *one.err))

    def close(self) -> None:
        for program in {*self._reading.values(), *self._writing.values()}:
            program.end()

    def _run(self, *arguments: str) -> list[str]:
        return self.daemon.run("chat", "--identity", str(self.identity), *arguments).stdout.splitlines()


class PlainSeat(_Programs):
    """`chat --plain` on pipes."""

    name = "plain"

    def enter(self, where: str) -> None:
        if where not in self._reading:
            self._reading[where] = self._writing[where] = Program(self, "--plain", "--room", where)

    def shown(self, where: str) -> list[Shown]:
        return read_lines_of_text(list(self._reading[where].out))

    def history(self, room: str) -> list[Shown]:
        return read_lines_of_text(self._run("history", room, "-n", "500"))


class ScriptsSeat(_Programs):
    """`chat send --lines` and `chat tail --json`."""

    name = "scripts"

    def enter(self, where: str) -> None:
        if where not in self._reading:
            self._reading[where] = Program(self, "tail", where, "--json", "-n", "500")
            self._writing[where] = Program(self, "send", where, "--lines", "--json")

    def shown(self, where: str) -> list[Shown]:
        return of_objects(self._reading[where].objects(), where, self.user)

    def history(self, room: str) -> list[Shown]:
        lines = self._run("history", room, "--json", "-n", "500")
        return of_objects([json.loads(line) for line in lines], room, self.user)


class BotSeat(Seat):
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

    def act(self, room: str, body: str) -> None:
        self._do("send", to=room, body=body, kind="action")

    def shown(self, where: str) -> list[Shown]:
        return of_objects(self._bot.objects(), where, self.user)

    def history(self, room: str) -> list[Shown]:
        return of_objects(self._ask("history", room=room, limit=500)["events"], room, self.user)

    def away(self, why: str) -> None:
        self._ask("away", text=why)

    def leave(self, room: str) -> None:
        self._ask("part", room=room)

    def told(self) -> str:
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


def of_objects(events: list[dict[str, Any]], where: str, me: str) -> list[Shown]:
    """The messages of one conversation among events as JSON."""
    messages = [one for one in events if one.get("type") == "message" and title(one["room"], me) == where]
    return [Shown(e["user"], e["kind"], e["body"]) for e in messages if TOKEN.search(e["body"])]
