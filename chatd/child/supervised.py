"""A child's connections to the supervisor: a channel, a lifeline, a log pipe.

    child = Supervised.attach()      # first thing in main()
    ... open, recover, bind ...
    child.ready()
    while True:                      # the main loop
        selector.select()
        for message in child.receive():
            ...                      # reload, drain, processes

`receive` answers the heartbeat. Call it from the main loop itself, at least once a second, so that a child
whose loop hangs stops answering and is replaced. A timer thread would keep answering for it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, NoReturn

from pydantic import ValidationError

from chatd.child.handed_files import receive_files
from chatd.child.json_channel import ChannelClosedError, JsonChannel
from chatd.child.sandbox import Sandbox, enter
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.logs.log_pipe import set_level, setup_child_logging
from chatd.logs.logger import get_log

log_errors = get_log("errors")

FDS_VARIABLE: Final = "CHATD_CHILD_FDS"

_OWN_FDS: Final = "/proc/self/fd"

EXIT_OK: Final = 0
EXIT_INTEGRITY: Final = 65
"""The event log is damaged: not restarted, an operator must act (sysexits.h EX_DATAERR)."""
EXIT_STORAGE: Final = 74
"""The log cannot be written (a full disk): restarted until there is space again (EX_IOERR)."""
EXIT_CONFIG: Final = 78
"""Cannot run with these settings or files: not restarted (EX_CONFIG)."""


def ended(event: str, error: ChatdError) -> int:
    """Log and print the error that ends a child; return its exit code."""
    log_errors.error(event, code=error.code, why=error.reason, fix=error.fix)
    print(error, file=sys.stderr, flush=True)
    return EXIT_CONFIG if error.code in ("E600", "E601", "E606", "E621", "E623", "E625") else 1


class Supervised:
    """This process as a child of the supervisor. Only the thread of the main loop may use it.

    ``settings`` are those in force; a ``reload`` message replaces them. ``workers`` are the workers' pids by
    name, and ``supervisor`` is the supervisor's.
    """

    def __init__(self, fds: Mapping[str, int]) -> None:
        self._fds = dict(fds)
        self._sandbox: dict[str, bool] = {}
        self._channel = JsonChannel(socket.socket(fileno=self.fd("channel")))
        first, self._queued = self._wait_for_settings()
        self.name = str(first.get("name", ""))
        self.home = Path(str(first.get("home", "")))
        self.settings = _settings(first)
        self.workers: dict[str, int] = {}
        self._take_workers(first)
        supervisor = first.get("supervisor")
        self.supervisor = supervisor if isinstance(supervisor, int) else os.getppid()

    @classmethod
    def attach(cls, sandbox: Sandbox | Callable[[Settings], Sandbox] | None = None) -> Supervised:
        """Take over the inherited descriptors, log into the log pipe, enter the sandbox, watch the lifeline.

        ``sandbox`` may depend on the settings. Ends this process with EXIT_CONFIG if no supervisor started
        it, or if the settings are invalid.
        """
        try:
            fds = _passed_fds()
            for fd in fds.values():
                os.set_inheritable(fd, False)
            faulthandler.enable()  # a hung child prints its stacks on the supervisor's SIGABRT
            child = cls(fds)
        except ChatdError as error:
            print(error, file=sys.stderr, flush=True)  # there is no log yet
            raise SystemExit(EXIT_CONFIG) from None
        lifeline = fds["lifeline"]
        if "log" in fds:
            setup_child_logging(fds["log"], child.name, child.settings.logging.level)
        if callable(sandbox):
            sandbox = sandbox(child.settings)
        if sandbox is not None:
            child._sandbox = enter(sandbox, child.home, child.home / child.settings.logging.directory)
        # After the sandbox, which does not hold for threads that exist already.
        threading.Thread(target=_die_with_supervisor, args=(lifeline,), name="lifeline", daemon=True).start()
        return child

    def fd(self, name: str) -> int:
        """Return an inherited descriptor, such as ``listener``. Raises ChatdError E609."""
        try:
            return self._fds[name]
        except KeyError:
            raise ChatdError("E609", f"the supervisor passed no descriptor named {name}") from None

    def fileno(self) -> int:
        return self._channel.fileno()

    def receive(self) -> list[dict[str, object]]:
        """Return the messages the child must act on, without waiting.

        Answers the heartbeat. A ``reload`` message is returned after its settings are in force. Ends this
        process if the supervisor is gone. Raises E600 for invalid settings.
        """
        try:
            self._channel.flush()
            messages = self._queued + self._channel.receive()
            self._queued = []
            return [message for message in messages if not self._handle(message)]
        except ChannelClosedError:
            _end()

    def keep(self, messages: list[dict[str, object]]) -> None:
        """Let the next `receive` return these messages first."""
        self._queued = messages + self._queued

    def ready(self) -> None:
        """Tell the supervisor that this child is serving."""
        self.send({"type": "ready", "sandbox": self._sandbox})

    def read_files(self, optional: Collection[str] = ()) -> dict[str, bytes]:
        """Return the files that the supervisor has opened for this child, by name, as they are now.

        It opens them again for each reload. Raises ChatdError E606 if one that is not ``optional`` cannot be
        read.
        """
        with socket.socket(fileno=os.dup(self.fd("files"))) as sock:
            return receive_files(sock, optional)

    def report(self, stats: dict[str, object]) -> None:
        """Send stats; the status shows the last report."""
        self.send({"type": "report", "stats": stats})

    def send(self, message: dict[str, object]) -> None:
        """Send a message with a ``type``; it is dropped if too much is queued already."""
        try:
            self._channel.send(message)
        except ChannelClosedError:
            _end()

    def _handle(self, message: dict[str, object]) -> bool:
        """Return whether the message is fully dealt with."""
        if message["type"] == "ping":
            self._channel.send({"type": "pong", "n": message.get("n"), "fds": _open_descriptors()})
            return True
        if message["type"] == "workers":
            self._take_workers(message)
            return True
        if message["type"] == "reload":
            self.settings = _settings(message)
            set_level(self.settings.logging.level)
        return False

    def _take_workers(self, message: Mapping[str, object]) -> None:
        workers = message.get("workers")
        if isinstance(workers, dict):
            self.workers = workers

    def _wait_for_settings(self) -> tuple[dict[str, object], list[dict[str, object]]]:
        # No timeout: the channel ends if the supervisor dies.
        while True:
            select.select([self._channel], [], [])
            try:
                messages = self._channel.receive()
            except ChannelClosedError:
                _end()
            if messages:
                return messages[0], messages[1:]


def _settings(message: dict[str, object]) -> Settings:
    """The settings in a message. Raises E600: only a supervisor of another version sends invalid ones."""
    try:
        return Settings.model_validate(message.get("settings"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(map(str, first["loc"])) or "settings"
        reason = f"the supervisor sent invalid settings: {key}: {first['msg']}"
        raise ChatdError("E600", reason, "run: chatd restart") from None


def _open_descriptors() -> int:
    """Count this process's descriptors; nobody else may once it is not dumpable."""
    # Linux 6.2 and later; listing thousands takes milliseconds.
    return os.stat(_OWN_FDS).st_size or len(os.listdir(_OWN_FDS)) - 1  # noqa: PTH116, PTH208 - runs each second


def _passed_fds() -> dict[str, int]:
    try:
        # Removed from the environment, so that a process started by this one does not use it.
        fds = json.loads(os.environ.pop(FDS_VARIABLE))
        return {"channel": int(fds["channel"]), "lifeline": int(fds["lifeline"])} | {
            str(name): int(fd) for name, fd in fds.items()
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ChatdError("E609", "only the supervisor starts this process", "run: chatd start") from None


def _die_with_supervisor(lifeline: int) -> None:
    # PR_SET_PDEATHSIG would act on the end of the spawning thread; a pipe's end follows the process.
    while os.read(lifeline, 1):
        pass
    _end()


def _end() -> NoReturn:
    os._exit(EXIT_OK)
