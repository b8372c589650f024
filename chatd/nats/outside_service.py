"""The nats process of a node that uses NATS servers of one's own: it starts none, and asks if they suit."""

from __future__ import annotations

import select
import time
from concurrent.futures import Future
from functools import partial
from typing import Final

import nats.errors

from chatd.child.supervised import Supervised
from chatd.cluster.nats_address import read_address
from chatd.cluster.nats_thread import NatsThread
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.nats.among_others import AmongOthers
from chatd.nats.nats_config import CONFIG
from chatd.nats.outside_nats import judge_outside, unreachable, write_outside_address

TICK_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 2.0

log = get_log("server")
log_errors = get_log("errors")


class OutsideService:
    """What a node does for the others, until the supervisor says drain."""

    def __init__(self, child: Supervised) -> None:
        self._child = child
        (child.home / CONFIG).unlink(missing_ok=True)  # of a server that chatd once started
        write_outside_address(child.home, child.settings)
        self._others = AmongOthers(child)
        self._link = NatsThread(partial(read_address, child.home))
        self._judging: Future[None] | None = None
        self._suits = self._told = self._ready = False
        self._next = 0.0

    def run(self) -> int:
        """Serve. Raises E606, E623; E625 if the servers do not suit."""
        while True:
            self._others.tick()
            if not self._suits:
                self._judge()
            select.select([self._child], [], [], TICK_SECONDS)
            if any(message["type"] == "drain" for message in self._child.receive()):
                return 0

    def _judge(self) -> None:
        """Ask the servers until they have answered once. Raises E625."""
        if self._judging is None:
            if time.monotonic() >= self._next:
                self._judging = self._link.begin(self._ask())
            return
        if not self._judging.done():
            return
        judging, self._judging = self._judging, None
        self._next = time.monotonic() + RETRY_SECONDS
        try:
            judging.result()
        except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
            self._tell(unreachable(self._child.settings.cluster.nats, str(error) or type(error).__name__))
        else:
            self._suits = True
            log.info("outside_nats_suits")
        if not self._ready:  # not before: servers that do not suit keep chatd from starting
            self._ready = True
            self._child.ready()

    def _tell(self, problem: ChatdError) -> None:
        """Tell once that none can be used: chatd goes on trying, and can be read meanwhile."""
        if not self._told:
            self._told = True
            log_errors.error(
                "outside_nats_unreachable", code=problem.code, what=problem.reason, fix=problem.fix
            )

    async def _ask(self) -> None:
        await judge_outside(await self._link.connected())
