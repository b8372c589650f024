"""Copy the log of another node into this home, before its hub opens it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chatd.cluster.joining_note import Joining, end_joining
from chatd.cluster.nats_address import NatsAddress
from chatd.cluster.nats_thread import NatsThread, ask, ask_all
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.nats.answer_fields import read_answer
from chatd.nats.node_desk import JOIN_SUBJECT, OPEN_SUBJECT, READ_SUBJECT, CopyAnswer, JoinAnswer
from chatd.store.chain import point_at
from chatd.store.database import DATABASE_NAME, connect_reader, head_seq, storage_errors
from chatd.store.entry import Point
from chatd.store.log_copy import check_log, require_space, write_mark
from chatd.store.mark import MARK_NAME, Mark
from chatd.store.search_index import SEARCH_NAME

# The nodes that answer do so in milliseconds.
ANSWERS_SECONDS: Final = 1.0
PIECE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.5
DIFFERS: Final = "keep the longer log: see docs/cluster.md"
_FOLDER: Final = ".joining"
# What belongs to the log that is replaced.
_FORMER: Final = (MARK_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", SEARCH_NAME)

log = get_log("server")


def end_of(data: Path) -> Point:
    """Return the end of the log in a folder. Raises apsw.Error."""
    connection = connect_reader(data)
    try:
        return point_at(connection, head_seq(connection))
    finally:
        connection.close()


def point_in(data: Path, seq: int) -> Point | None:
    """Return the point after an entry; None if the log ends before. Raises apsw.Error."""
    connection = connect_reader(data)
    try:
        return point_at(connection, seq) if seq <= head_seq(connection) else None
    finally:
        connection.close()


def require_continuation(data: Path, copy: Path, giver: str) -> None:
    """Raise E621 if the log in ``data``, if there is one, is not a part of the copy of another node's log.

    Raises OSError if that node has not got so far yet: it may have been cut off, too.
    """
    if not (data / DATABASE_NAME).exists():
        return
    with storage_errors("read the event log"):
        own, copied = end_of(data), end_of(copy)
        continues = point_in(copy, own.seq) == own
        is_behind = point_in(data, copied.seq) == copied
    if continues:
        return
    if is_behind:
        raise OSError(f"the log of node {giver} ends at event {copied.seq}, the one here at {own.seq}")
    raise ChatdError(
        "E621", f"this node's log, up to event {own.seq}, is not a part of the other node's", DIFFERS
    )


class LogFetch:
    """Copies on a thread of its own until the home has the log. ``refusal`` is why it never will."""

    def __init__(self, home: Path, node: str, joining: Joining, address: Callable[[], NatsAddress]) -> None:
        self.refusal: ChatdError | None = None
        self._home = home
        self._node = node
        self._joining = joining
        self._nats = NatsThread(address)
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._thread.start()

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._ends():
                time.sleep(PAUSE_SECONDS)
        finally:
            # The server takes few connections: what was left of a few copies would keep a hub out.
            self._nats.close()

    def _ends(self) -> bool:
        """Try once; return whether the home has the log now, or never will."""
        try:
            return self._try()
        except ChatdError as error:
            if error.code in ("E621", "E623"):
                self.refusal = error
                return True
            self._tell(error.reason)
        except OSError as error:
            self._tell(str(error))
        return False

    def _try(self) -> bool:
        """Copy the log once; return False if no node can give it yet. Raises ChatdError, OSError."""
        answers = self._nats.run(self._ask_all())
        if any(answer.used for answer in answers):
            raise ChatdError("E623", "another home has become this node with the same join file")
        giver = next((answer.node for answer in answers if answer.has_log), None)
        if giver is None:
            self._tell("no other node that has the log answers")
            return False
        folder = self._home / "data" / _FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            self._copy(giver, folder)
            check_log(folder, lambda *_: None)
            require_continuation(self._home / "data", folder, giver)
            self._install(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        log.info("log_fetched", node=giver)
        return True

    def _copy(self, giver: str, folder: Path) -> None:
        """Copy the log from a node into a folder. Raises ChatdError, OSError."""
        while not (answer := self._open(giver)).size:
            if answer.problem:
                raise OSError(f"node {giver}: {answer.problem}")
            time.sleep(PAUSE_SECONDS)
        require_space(folder, answer.size)
        fd = os.open(folder / DATABASE_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            while piece := self._ask(READ_SUBJECT + giver, offset=file.tell()):
                file.write(piece)
            file.flush()
            os.fsync(fd)
        write_mark(folder, Mark(answer.epoch, Point(answer.head, bytes.fromhex(answer.chain))))

    def _install(self, folder: Path) -> None:
        """Put the copy in the place of the log, which no hub opens before `end_joining`."""
        data = self._home / "data"
        for name in _FORMER:
            (data / name).unlink(missing_ok=True)
        for name in (DATABASE_NAME, MARK_NAME):
            (folder / name).rename(data / name)
        sync_folder(data)
        end_joining(self._home)

    def _open(self, giver: str) -> CopyAnswer:
        try:
            return read_answer(CopyAnswer, self._ask(OPEN_SUBJECT + giver))
        except (ValueError, TypeError):
            raise OSError(f"node {giver} runs another version of chatd") from None

    def _ask(self, subject: str, **more: Any) -> bytes:
        return self._nats.run(self._request(subject, {"home": self._joining.home, **more}))

    async def _request(self, subject: str, question: dict[str, Any]) -> bytes:
        return await ask(await self._nats.connected(), subject, question, PIECE_SECONDS)

    async def _ask_all(self) -> list[JoinAnswer]:
        answers: list[JoinAnswer] = []

        def take(data: bytes) -> bool:
            answers.append(read_answer(JoinAnswer, data))
            return False  # each node may be the one that knows of another home

        question = {"node": self._node, **self._joining._asdict()}
        await ask_all(await self._nats.connected(), JOIN_SUBJECT, question, take, ANSWERS_SECONDS)
        return answers

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            log.warning("log_awaited", why=why)
