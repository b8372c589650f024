"""Find the address that answers: look up names, and try one address after another (RFC 8305).

Nothing here waits: names are looked up on threads of their own, and the engine calls `Race.advance` when
a socket is ready or a delay has passed.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import chain, zip_longest
from typing import Generic, NamedTuple, Protocol, TypeVar

from chatd.codes import NOTHING_LISTENS
from chatd.errors import ChatdError
from chatd.proto.alpn import is_loopback

# The next address is tried after this long without a connection (RFC 8305, section 5) ...
ATTEMPT_DELAY = 0.25
# ... or after this long without a byte, if the address accepts connections. A busy server may be slow.
SILENT_DELAY = 2.0
# A round fails when the address that was tried last has not answered for this long.
ANSWER_LIMIT = 10.0
# Failures told at once; a name may have any number of addresses.
_FAILURES_TOLD = 4
# Something else answers at an address: another address may be the server's.
OF_ADDRESS = frozenset({"E107", "E209", "E630"})


class Address(NamedTuple):
    """One address of ``server`` ("host:port"), as for `socket.socket` and `connect`."""

    server: str
    family: int
    sockaddr: tuple[str, int]

    def __str__(self) -> str:
        host, _, _ = self.server.rpartition(":")
        ip = self.sockaddr[0]
        return self.server if host.strip("[]") == ip else f"{self.server} ({ip})"


class Attempt(Protocol):
    """The part of `Transport` that a race uses. ``heard``: whether the peer has sent a byte."""

    @property
    def connected(self) -> bool: ...
    @property
    def heard(self) -> bool: ...
    def fileno(self) -> int: ...
    def advance(self) -> list[bytes]: ...
    def close(self) -> None: ...


AttemptT = TypeVar("AttemptT", bound=Attempt)


class Lookup:
    """The look-up of one server's addresses. ``wake`` is called, on any thread, when it is done."""

    def __init__(self, server: str, wake: Callable[[], None]) -> None:
        self.server = server
        self.result: list[Address] | ChatdError | None = None
        self._wake = wake
        if is_literal(server):
            self._run()
        else:
            # getaddrinfo cannot be interrupted and may take minutes; at exit nobody waits for a daemon.
            threading.Thread(target=self._run, name="chat-lookup", daemon=True).start()

    def _run(self) -> None:
        try:
            self.result = look_up(self.server)
        except ChatdError as error:
            self.result = error
        self._wake()


class Lookups:
    """Starts look-ups, at most one at a time for each server."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._unfinished: dict[str, Lookup] = {}

    def start(self, server: str) -> Lookup:
        """Return the look-up under way, or a new one."""
        lookup = self._unfinished.get(server)
        if lookup is None or lookup.result is not None:
            lookup = self._unfinished[server] = Lookup(server, self._wake)
        return lookup


class Race(Generic[AttemptT]):
    """One round of attempts to reach any of ``servers``; the first address that sends a byte wins.

    Literal addresses come before names: they work when name resolution does not. On the server's own box
    loopback comes first: it answers whatever network the box is in. ``dial`` starts an attempt; it raises
    E607 if the address cannot be reached.
    """

    def __init__(
        self,
        servers: Iterable[str],
        look_up: Callable[[str], Lookup],
        dial: Callable[[Address], AttemptT],
        now: float,
    ) -> None:
        self._dial = dial
        self._lookups = [look_up(server) for server in in_order(servers)]
        self._untried: deque[Address] = deque()
        # Attempt -> its address, oldest first.
        self._running: dict[AttemptT, Address] = {}
        self._failures: list[ChatdError] = []
        self._last_start = now

    @property
    def attempts(self) -> Collection[AttemptT]:
        """The attempts under way."""
        return self._running.keys()

    @property
    def has_more(self) -> bool:
        """Whether untried addresses are left, or addresses that gave way to a winner."""
        return bool(self._untried or self._lookups)

    def advance(self, now: float, ready: Collection[int]) -> tuple[AttemptT, list[bytes]] | None:
        """Continue the attempts whose descriptors are ``ready`` and start those that are due.

        Returns the winner and the payloads that it has received. Raises the failure of a peer that has
        answered, or the reasons of all when nothing is left to try.
        """
        self._take_addresses()
        for attempt in [attempt for attempt in self._running if attempt.fileno() in ready]:
            payloads = self._continue(attempt)
            if attempt.heard:
                self._end_others(attempt)
                return attempt, payloads
        while self._untried and now >= self._due(now):
            self._start(self._untried.popleft(), now)
        if not (self._running or self.has_more) or now >= self._last_start + ANSWER_LIMIT:
            raise self._failed()
        return None

    def wait_seconds(self, now: float) -> float:
        """The longest time until `advance` must be called."""
        limit = self._last_start + ANSWER_LIMIT
        due = min(limit, self._due(now)) if self._untried else limit
        return max(due - now, 0.0)

    def failed_at(self, error: ChatdError) -> ChatdError | None:
        """Take the winner's failure, one of OF_ADDRESS; return the round's if nothing is left to try."""
        if error not in self._failures:
            self._failures.append(error)
        return None if self.has_more else self._failed()

    def close(self) -> None:
        """End all attempts."""
        for attempt in self._running:
            attempt.close()
        self._running.clear()

    def _take_addresses(self) -> None:
        for lookup in list(self._lookups):
            if lookup.result is None:
                continue
            self._lookups.remove(lookup)
            if isinstance(lookup.result, ChatdError):
                self._failures.append(lookup.result)
            else:
                self._untried += lookup.result

    def _due(self, now: float) -> float:
        """The time at which the next attempt may begin."""
        if not self._running:
            return now
        newest = next(reversed(self._running))
        return self._last_start + (SILENT_DELAY if newest.connected else ATTEMPT_DELAY)

    def _start(self, address: Address, now: float) -> None:
        self._last_start = now
        try:
            self._running[self._dial(address)] = address
        except ChatdError as error:
            if error.code != "E607":
                raise
            self._failures.append(error)

    def _continue(self, attempt: AttemptT) -> list[bytes]:
        try:
            return attempt.advance()
        except ChatdError as error:
            attempt.close()
            del self._running[attempt]
            if attempt.heard:
                self._end_others(attempt)
                raise
            self._failures.append(error)
            return []

    def _end_others(self, winner: AttemptT) -> None:
        """End all other attempts; their addresses are left for the case that the winner fails, too."""
        self._running.pop(winner, None)
        self._untried.extendleft(reversed(self._running.values()))
        self.close()

    def _failed(self) -> ChatdError:
        silent = [
            f"{address} did not answer within {ANSWER_LIMIT:.0f} seconds"
            for address in self._running.values()
        ]
        silent += [
            f"nothing has told the address of {lookup.server} within {ANSWER_LIMIT:.0f} seconds"
            for lookup in self._lookups
        ]
        self.close()
        self._lookups.clear()
        self._untried.clear()
        telling = [error for error in self._failures if error.code not in OF_ADDRESS | {"E607"}]
        strange = [error for error in self._failures if error.code in OF_ADDRESS]
        if telling:
            return telling[0]
        # The server may be at an address that cannot be reached now.
        if len(strange) == len(self._failures) and strange and not silent:
            return strange[0]
        refused = all(error.reason.endswith(os.strerror(errno.ECONNREFUSED)) for error in self._failures)
        if len(self._failures) == 1 and not (refused or silent):
            return self._failures[0]
        fix = NOTHING_LISTENS if refused and not silent else ""
        reasons = [*(error.reason for error in self._failures), *silent][:_FAILURES_TOLD]
        return ChatdError("E607", "; ".join(reasons), fix)


def in_order(servers: Iterable[str]) -> list[str]:
    """Order servers as they are tried; those of equal rank stay in the identity file's order."""
    ordered = sorted(servers, key=lambda one: not is_literal(one))
    literals = [_host_of(server) for server in ordered if is_literal(server)]
    others = [host for host in literals if not is_loopback(host)]
    # The first is the box's main address; others may be of bridges, which many boxes have alike.
    if others and is_own(others[0]):
        ordered.sort(key=lambda one: not is_loopback(_host_of(one)))
    return ordered


def is_own(host: str) -> bool:
    """Whether an IP address belongs to this machine: nothing else can be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True


def is_literal(server: str) -> bool:
    """Whether the host in "host:port" is an IP address."""
    try:
        ipaddress.ip_address(_host_of(server))
    except ValueError:
        return False
    return True


def _host_of(server: str) -> str:
    return server.rpartition(":")[0].strip("[]").partition("%")[0]


def look_up(server: str) -> list[Address]:
    """Resolve "host:port", alternating the address families (RFC 8305, section 4). Raises E607."""
    host, _, port = server.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # ValueError: a name that IDNA cannot encode
        reason = getattr(error, "strerror", None) or str(error)
        raise ChatdError("E607", f"cannot find the address of {server}: {reason}") from None
    addresses = [Address(server, int(family), sockaddr) for family, _, _, _, sockaddr in found]  # type: ignore[arg-type]
    first = [one for one in addresses if one.family == addresses[0].family]
    others = [one for one in addresses if one.family != addresses[0].family]
    return [one for one in chain.from_iterable(zip_longest(first, others)) if one is not None]
