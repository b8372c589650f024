"""The attackers: each runs all its attacks at once, as fast as the server lets it.

    python -m tests.abuse.attackers {guest|user|host|botnet} PORT SECONDS IDENTITY

Prints one JSON object: how often each attack was carried out, and how often the server ended it. The
process runs at the lowest priority, so that it does not take the processor from those who are measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.hostile import TEXTS
from tests.support.key_updates import KeyUpdates
from tests.support.rawclient import Json, RawClient, new_id, unverified_context

# Requests sent in one record before the attacker reads the replies.
PIPELINED = 32
# 127.0.0.0/8 stands for the internet: a host has all addresses of one block, a botnet has many blocks.
HOST_ADDRESSES = 250
BOTNET_BLOCKS = 1_750
SILENT_CONNECTIONS = 200
KEY_UPDATES = 2_000

# Texts that were expensive to normalise, filter, wrap or escape.
COSTLY_TEXTS = (
    "a" + "\u0344" * 8191 + "\u0316" * 8192,
    "\uac01" * 16_000,
    "\ufdfa" * 900,
    "hack" * 3_000,
    "\x1b" * 9_000,
    *TEXTS.values(),
)


class Attack:
    """The environment of one attack: where, as whom, until when, and its counters."""

    def __init__(
        self, port: int, identity: Path, end: float, name: str, counts: Counter[str], blocks: int = 1
    ) -> None:
        self.port = port
        self.identity = identity
        self._end = end
        self._name = name
        self._counts = counts
        self._blocks = blocks

    def address(self, number: int) -> str:
        """Return one of the attacker's own addresses."""
        block = number % self._blocks
        return f"127.{1 + block // 250}.{block % 250}.{2 + number % HOST_ADDRESSES}"

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    def note(self, times: int = 1) -> None:
        """Count what was done."""
        self._counts[self._name] += times

    def session(self, receive_buffer: int = 0) -> RawClient:
        return RawClient(self.port, self.identity, receive_buffer=receive_buffer).logged_in()

    def repeat(self, action: Callable[[Attack], None]) -> None:
        """Carry out the attack until the end; begin anew whenever the server puts a stop to it."""
        while not self.over:
            try:
                action(self)
            except (OSError, EOFError, AssertionError, KeyError, IndexError):
                self._counts[f"{self._name}, ended by the server"] += 1
                time.sleep(0.01)


def _pipeline(attack: Attack, requests: list[Json]) -> None:
    """Send the requests again and again in full records, reading the replies in between."""
    with attack.session() as client:
        number = 0
        while not attack.over:
            batch = []
            for request in (requests * PIPELINED)[number % len(requests) :][:PIPELINED]:
                number += 1
                unique = {"msg_id": new_id()} if request["type"] == "send" else {}
                batch.append({"id": number, **request, **unique})
            for request in batch:
                client.send(request)
                attack.note()
            client.until(id=number)


def costly_texts(attack: Attack) -> None:
    """Send texts that are expensive to judge."""
    _pipeline(attack, [{"type": "send", "to": "#lobby", "body": text} for text in COSTLY_TEXTS])


def reads(attack: Attack) -> None:
    """Ask for everything that reads the log or lists something."""
    _pipeline(
        attack,
        [
            {"type": "history", "room": "#lobby", "limit": 500},
            {"type": "rooms"},
            {"type": "who", "room": "#lobby"},
            {"type": "whois", "user": "alice"},
            {"type": "search", "query": "user a e i o u bystander", "limit": 500},
            {"type": "search", "query": "-".join("abcdefgh"), "limit": 500},
            {"type": "resume", "after": 0},
        ],
    )


def state(attack: Attack) -> None:
    """Change state that others are told of."""
    _pipeline(
        attack,
        [
            {"type": "away", "text": "a" * 256},
            {"type": "part", "room": "#lobby"},
            {"type": "join", "room": "#lobby"},
            {"type": "away"},
        ],
    )


def rooms(attack: Attack) -> None:
    """Create rooms and conversations."""
    number = 0
    with attack.session() as client:
        while not attack.over:
            number += 1
            attack.note()
            client.ask("create", room=f"#r{number}-{os.getpid()}", topic="t" * 256)
            client.say("hello", to=f"@by{number % 4}")


def malformed(attack: Attack) -> None:
    """Send sealed records whose frames are no valid requests."""
    with attack.session() as client:
        number = 0
        while not attack.over:
            number += 1
            deep = "[" * 5_000
            client.send({"type": "nonsense", "id": number, "x": deep}, {"type": "send", "id": number + 1})
            attack.note()
            number += 1
            client.until(id=number)


def reconnects(attack: Attack) -> None:
    """Log in for a fresh allowance, spend it, and hang up."""
    with attack.session() as client:
        attack.note()
        for number in range(1, 6):
            client.send({"type": "send", "id": number, "msg_id": new_id(), "to": "#lobby", "body": "again"})
        client.until(id=5)


def not_reading(attack: Attack) -> None:
    """Ask for pages and events, and read nothing."""
    with attack.session(receive_buffer=4096) as client:
        client.sock.settimeout(2.0)
        number = 0
        while not attack.over:
            number += 1
            client.send({"type": "history", "id": number, "room": "#lobby", "limit": 500})
            attack.note()


def key_updates(attack: Attack) -> None:
    """Make the server answer TLS key updates that nobody reads."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        context = unverified_context(attack.identity)
        context.keylog_filename = str(Path(folder) / "keys")
        client = stack.enter_context(RawClient(attack.port, attack.identity, receive_buffer=4096))
        client.tls(context).envelope()
        client.receive()
        updates = KeyUpdates(client, Path(folder) / "keys")
        client.sock.settimeout(2.0)
        while not attack.over:
            client.send_tcp(updates.make(KEY_UPDATES))
            attack.note(KEY_UPDATES)


def silent(attack: Attack) -> None:
    """Hold as many connections as possible without sending a byte."""
    held: list[socket.socket] = []
    try:
        number = 0
        while not attack.over:
            number += 1
            sock = socket.socket()
            held.append(sock)
            sock.bind((attack.address(number), 0))
            sock.settimeout(2.0)
            sock.connect(("127.0.0.1", attack.port))
            attack.note()
            if len(held) > SILENT_CONNECTIONS:
                held.pop(0).close()
    finally:
        for sock in held:
            sock.close()


def junk(attack: Attack) -> None:
    """Send bytes that are not TLS."""
    number = 0
    while not attack.over:
        number += 1
        with RawClient(attack.port, source=attack.address(number)) as client:
            client.send_tcp(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.wait_for_end()
        attack.note()


def without_certificate(attack: Attack) -> None:
    """Do the TLS handshake and show no certificate."""
    number = 0
    while not attack.over:
        number += 1
        with (
            contextlib.suppress(OSError, EOFError),
            RawClient(attack.port, source=attack.address(number)) as client,
        ):
            client.tls()
            client.wait_for_end()
        attack.note()


def half_hello(attack: Attack) -> None:
    """Begin a TLS record and never finish it."""
    held: list[socket.socket] = []
    number = 0
    while not attack.over:
        number += 1
        sock = socket.create_connection(("127.0.0.1", attack.port), 2.0, (attack.address(number), 0))
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        held.append(sock)
        attack.note()
        if len(held) > SILENT_CONNECTIONS:
            held.pop(0).close()


_OF_STRANGERS = (silent, junk, without_certificate, half_hello)
_OF_PRINCIPALS = (costly_texts, reads, state, rooms, malformed, reconnects, not_reading, key_updates)
ATTACKS: dict[str, tuple[Callable[[Attack], None], ...]] = {
    "guest": _OF_PRINCIPALS,
    "user": _OF_PRINCIPALS,
    "host": _OF_STRANGERS,
    "botnet": _OF_STRANGERS,
}


def main() -> None:
    who, port, seconds, identity = sys.argv[1:]
    os.nice(19)
    counts: Counter[str] = Counter()
    end = time.monotonic() + float(seconds)
    threads = []
    for action in ATTACKS[who]:
        blocks = BOTNET_BLOCKS if who == "botnet" else 1
        attack = Attack(int(port), Path(identity), end, action.__name__, counts, blocks)
        threads.append(threading.Thread(target=attack.repeat, args=(action,), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0) + 5.0)
    sys.stdout.write(json.dumps(dict(sorted(counts.items()))) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a throttled session may hold its thread for longer


if __name__ == "__main__":
    main()
