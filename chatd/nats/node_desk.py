"""Answer the other nodes over core NATS: how this node is, and a copy of its log in pieces for one without.

    subject                    request               answer
    chatd.node                 at                    NodeStatus: of every node
    chatd.join                 node, ticket, home    JoinAnswer: of every node
    chatd.members.NODE         see `chatd.nats.told_members`   MembersAnswer
    chatd.copy.open.NODE       home                  CopyAnswer: repeat until it has a size
    chatd.copy.read.NODE       home, offset          PIECE_BYTES bytes, none at the end

One copy is given at a time; it ends when nobody has read it for `IDLE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import nats.errors
from nats.aio.msg import Msg

from chatd.cluster.joining_note import JOINING_FILE
from chatd.cluster.nats_address import STREAM_FOLDER
from chatd.cluster.nats_thread import NatsThread
from chatd.cluster.stream_place import stored_place
from chatd.config.shared_file import Drift
from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.nats.node_status import STATUS_SUBJECT, NodeStatus, node_status
from chatd.nats.told_members import MEMBERS_SUBJECT, MembersAnswer, take_members
from chatd.store.database import DATABASE_NAME, connect_reader, storage_errors
from chatd.store.log_copy import LogCopy, copied_log

JOIN_SUBJECT: Final = "chatd.join"
OPEN_SUBJECT: Final = "chatd.copy.open."
READ_SUBJECT: Final = "chatd.copy.read."
PIECE_BYTES: Final = 512 * 1024
IDLE_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0
# One for each join file that was ever used: a cluster has five nodes.
_TICKETS_LIMIT: Final = 1000
_TICKETS: Final = f"{STREAM_FOLDER}/tickets.json"

log = get_log("server")


class JoinAnswer(NamedTuple):
    """``used``: another home has come with that join file. ``has_log``: ``node`` can give a copy."""

    node: str
    used: bool
    has_log: bool


class CopyAnswer(NamedTuple):
    """``size`` is 0 while the copy is made; ``problem`` says why there is none.

    ``epoch``, ``head`` and ``chain``, in hex, are those of its mark.
    """

    size: int
    problem: str = ""
    epoch: int = 0
    head: int = 0
    chain: str = ""


class NodeDesk:
    """The desk of one node, on the thread of ``link``. ``on_members`` gets the members that it has taken."""

    def __init__(
        self, home: Path, node: str, link: NatsThread, on_members: Callable[[frozenset[str]], None]
    ) -> None:
        self._home = home
        self._on_members = on_members
        self._node = node
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="copy")
        self._given = _Given(home / "data")
        self._drift = Drift(home, os.environ)
        self._nats = link
        self._nats.begin(self._serve())

    async def _serve(self) -> None:
        while True:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                client = await self._nats.connected()
                await client.subscribe(STATUS_SUBJECT, cb=self._status)
                await client.subscribe(MEMBERS_SUBJECT + self._node, cb=self._members)
                await client.subscribe(JOIN_SUBJECT, cb=self._join)
                await client.subscribe(OPEN_SUBJECT + self._node, cb=self._open)
                await client.subscribe(READ_SUBJECT + self._node, cb=self._read)
                while client.is_connected:
                    await asyncio.sleep(RETRY_SECONDS)
                    self._given.end_if_idle()
            await asyncio.sleep(RETRY_SECONDS)

    async def _status(self, message: Msg) -> None:
        with suppress(ValueError, LookupError, TypeError):
            at = int(json.loads(message.data)["at"])
            await _answer(message, node_status(self._home, self._node, at, self._drift))

    async def _members(self, message: Msg) -> None:
        answer = take_members(self._home, message.data, self._on_members)
        await _answer(message, answer)

    async def _join(self, message: Msg) -> None:
        with suppress(ValueError, LookupError, TypeError):
            question = json.loads(message.data)
            if question["node"] == self._node:
                return
            ticket, home = str(question["ticket"]), str(question["home"])
            used = bool(ticket) and not note_ticket(self._home, ticket, home)
            await _answer(message, JoinAnswer(self._node, used, has_log(self._home)))

    async def _open(self, message: Msg) -> None:
        with suppress(ValueError, LookupError, TypeError):
            home = str(json.loads(message.data)["home"])
            answer = self._given.offer(home)
            if answer is None:
                self._maker.submit(self._given.make, home)
                answer = CopyAnswer(0)
            await _answer(message, answer)

    async def _read(self, message: Msg) -> None:
        with suppress(ValueError, LookupError, TypeError):
            question = json.loads(message.data)
            await message.respond(self._given.read(str(question["home"]), int(question["offset"])))


class _Given:
    """The copy that is given now, to the home with the name ``to``."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._to = ""
        self._problem = ""
        self._copy: LogCopy | None = None
        self._open = ExitStack()
        self._read_at = 0.0

    def offer(self, home: str) -> CopyAnswer | None:
        """Return the answer for a home; None if its copy is to be made now."""
        if self._to and self._to != home:
            return CopyAnswer(0)  # it waits for its turn
        if not self._to:
            self._to, self._read_at = home, time.monotonic()
            return None
        if self._problem:
            problem, self._problem, self._to = self._problem, "", ""
            return CopyAnswer(0, problem)
        if (copy := self._copy) is None:
            return CopyAnswer(0)
        return CopyAnswer(copy.size, "", copy.epoch, copy.head.seq, copy.head.chain_hash.hex())

    def make(self, home: str) -> None:
        """Make the copy, which takes minutes for millions of events."""
        try:
            copy = self._open.enter_context(copied_log(self._data, lambda *_: None))
        except ChatdError as error:
            log.warning("log_not_copied", code=error.code, why=error.reason)
            self._problem = error.reason
            return
        self._read_at = time.monotonic()
        self._copy = copy
        log.info("log_copied", head=copy.head.seq, bytes=copy.size)

    def read(self, home: str, offset: int) -> bytes:
        """Return a piece; raises LookupError if the copy is not for this home, or ended."""
        if self._copy is None or home != self._to:
            raise LookupError
        self._read_at = time.monotonic()
        piece = os.pread(self._copy.file.fileno(), PIECE_BYTES, offset)
        if not piece:
            self._end()
        return piece

    def end_if_idle(self) -> None:
        """End the copy if nobody reads it."""
        if self._copy is not None and time.monotonic() - self._read_at > IDLE_SECONDS:
            self._end()

    def _end(self) -> None:
        self._copy, self._to = None, ""
        self._open.pop_all().close()


async def _answer(message: Msg, answer: JoinAnswer | CopyAnswer | MembersAnswer | NodeStatus) -> None:
    await message.respond(json.dumps(answer._asdict()).encode())


def has_log(home: Path) -> bool:
    """Whether the home's log is in the stream, so that a copy of it can follow that."""
    if (home / JOINING_FILE).exists() or not (home / "data" / DATABASE_NAME).exists():
        return False
    try:
        with storage_errors("read the event log"):
            connection = connect_reader(home / "data")
            try:
                place = stored_place(connection)
            finally:
                connection.close()
    except ChatdError:
        return False
    return place.generation > 0 and place.seq > 0


def note_ticket(home: Path, ticket: str, by: str) -> bool:
    """Note which home has come with a join file; return False if another one had. Raises ValueError."""
    known = dict(_tickets(home))
    if (before := known.get(ticket)) is not None:
        return bool(before == by)
    if len(known) >= _TICKETS_LIMIT:
        raise ValueError("too many join files")
    known[ticket] = by
    with suppress(ChatdError):  # a full disk: the other nodes note it, too
        replace_file(home / _TICKETS, json.dumps(known).encode(), PRIVATE)
    return True


def _tickets(home: Path) -> Iterator[tuple[str, Any]]:
    with suppress(OSError, ValueError, AttributeError):
        yield from json.loads((home / _TICKETS).read_bytes()).items()
