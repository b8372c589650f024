"""What the hub and the workers know of the supervisor: a channel, a lifeline, a log pipe.

    supervised = Supervised.attach()      # first thing in main()
    ... open, recover, bind ...
    supervised.ready()
    while True:                           # the work loop
        selector.select()
        for message in supervised.receive():
            ...                           # reload, drain, processes

`receive` answers the heartbeat. It must therefore be called from the work loop itself, at least once
a second: a loop that hangs then stops answering and is replaced. A timer thread would go on
answering for a loop that is dead.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from chatd.child.json_channel import ChannelClosedError, JsonChannel
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.logs.log_pipe import set_level, setup_child_logging

FDS_VARIABLE: Final = "CHATD_CHILD_FDS"

EXIT_OK: Final = 0
EXIT_INTEGRITY: Final = 65
"""The event log is damaged: never restart, a person must look (sysexits.h EX_DATAERR)."""
EXIT_STORAGE: Final = 74
"""The log cannot be written (a full disk): tried again for ever, for space may return (EX_IOERR)."""
EXIT_CONFIG: Final = 78
"""Cannot run with these settings or files: restarting does not help (sysexits.h EX_CONFIG)."""


class Supervised:
    """This process as a child of the supervisor. Belongs to the thread that runs the work loop."""

    def __init__(self, fds: Mapping[str, int]) -> None:
        self._fds = dict(fds)
        self._channel = JsonChannel(socket.socket(fileno=self.fd("channel")))
        first, self._early = self._wait_for_settings()
        self.name = str(first.get("name", ""))
        self.home = Path(str(first.get("home", "")))
        self.settings = Settings.model_validate(first["settings"])

    @classmethod
    def attach(cls) -> Supervised:
        """Take over what the supervisor passed on; start the lifeline thread; log into its pipe.

        Raises ChatdError E609 in a process that no supervisor started.
        """
        fds = _passed_fds()
        lifeline = fds["lifeline"]
        for fd in fds.values():
            os.set_inheritable(fd, False)
        faulthandler.enable()  # the supervisor's SIGABRT makes a hung child show its stacks
        threading.Thread(target=_die_with_supervisor, args=(lifeline,), name="lifeline", daemon=True).start()
        child = cls(fds)
        if "log" in fds:
            setup_child_logging(fds["log"], child.name, child.settings.logging.level)
        return child

    def fd(self, name: str) -> int:
        """An inherited descriptor, such as ``listener`` or ``hub_listener``. Raises ChatdError E609."""
        try:
            return self._fds[name]
        except KeyError:
            raise ChatdError("E609", f"the supervisor passed no descriptor named {name}") from None

    def fileno(self) -> int:
        """The channel's descriptor, for the child's own selector."""
        return self._channel.fileno()

    def receive(self) -> list[dict[str, object]]:
        """What the supervisor sent and the child must act on; never waits.

        Answers the heartbeat and takes new settings over by itself (the ``reload`` message is still
        returned). When the supervisor is gone, this process ends.
        """
        try:
            self._channel.flush()
            arrived = self._early + self._channel.receive()
            self._early = []
            return [message for message in arrived if not self._is_answered(message)]
        except ChannelClosedError:
            _end()

    def ready(self) -> None:
        """Tell the supervisor that this child does its work now."""
        self.send({"type": "ready"})

    def report(self, stats: dict[str, object]) -> None:
        """Send counters; the supervisor shows the last report in its status."""
        self.send({"type": "report", "stats": stats})

    def send(self, message: dict[str, object]) -> None:
        """Send one message: ``type`` and more, at most lines.MAX_LINE bytes.

        It is dropped when the supervisor has not read for long.
        """
        try:
            self._channel.send(message)
        except ChannelClosedError:
            _end()

    def _is_answered(self, message: dict[str, object]) -> bool:
        if message["type"] == "ping":
            self._channel.send({"type": "pong", "n": message.get("n")})
            return True
        if message["type"] == "reload":
            self.settings = Settings.model_validate(message["settings"])
            set_level(self.settings.logging.level)
        return False

    def _wait_for_settings(self) -> tuple[dict[str, object], list[dict[str, object]]]:
        # As long as it takes: the lifeline ends what nobody wants any more.
        while True:
            select.select([self._channel], [], [])
            try:
                messages = self._channel.receive()
            except ChannelClosedError:
                _end()
            if messages:
                return messages[0], messages[1:]


def _passed_fds() -> dict[str, int]:
    try:
        # Removed, so that a process this one starts does not take itself for a child of the supervisor.
        fds = json.loads(os.environ.pop(FDS_VARIABLE))
        return {"channel": int(fds["channel"]), "lifeline": int(fds["lifeline"])} | {
            str(name): int(fd) for name, fd in fds.items()
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ChatdError("E609", "this process is not started by hand", "run: chatd start") from None


def _die_with_supervisor(lifeline: int) -> None:
    # PR_SET_PDEATHSIG would follow the *thread* that spawned; the pipe's end follows the process.
    while os.read(lifeline, 1):
        pass
    _end()


def _end() -> NoReturn:
    os._exit(EXIT_OK)
