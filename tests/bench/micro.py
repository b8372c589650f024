"""Time each stage of a message's path against its budget: ``python -m tests.bench.micro``.

The stages run the product's code. The exit code is 1 if a stage takes over twice its budget. The budgets
are for a 2-core x86-64 machine; use ``--scale`` on a slower one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from chatd.child.tls import TlsChannel
from chatd.crypto.records import SERVER_TO_CLIENT, RecordOpener, RecordSealer
from chatd.hub.parsing import parse
from chatd.link.wire import pack
from chatd.pki.authority import Authority, save_issued
from chatd.pki.contexts import server_context
from chatd.pki.identity import write_identity
from chatd.pki.profiles import DeviceName
from chatd.proto.frames import HEADER_SIZE, decode, encode
from chatd.proto.requests import parse_request
from chatd.store.event_log import EventLog
from chatd.worker.delivery import Delivery
from chatd.worker.flush import flush_all
from chatd.worker.session import SessionPhase, WorkerSession
from tests.bench.hubload import HubLoad, hub_load, request
from tests.bench.wire_client import context
from tests.support.storelog import NOW, entries

SECONDS = 0.4
RECIPIENTS = 200
BATCH = 20
# A typical batch under full load.
LARGE_BATCH = 100


class Stage(NamedTuple):
    name: str
    per: str
    budget: float
    run: Callable[[], int]  # process some items; return how many
    between: Callable[[], object] | None = None  # run between two calls of ``run``, untimed


def main() -> None:
    """Print the table; exit with 1 if a stage is over twice its budget."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.micro")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all budgets")
    parser.add_argument("--json", action="store_true", help="print the times as one JSON object")
    options = parser.parse_args()
    slow, found = [], {}
    with tempfile.TemporaryDirectory(prefix="micro-") as folder:
        for stage in _stages(Path(folder)):
            micros = measure(stage.run, stage.between)
            found[stage.name] = round(micros, 2)
            budget = stage.budget * options.scale
            if micros > 2 * budget:
                slow.append(stage.name)
            if not options.json:
                mark = "" if micros <= budget else "over" if micros <= 2 * budget else "OVER TWICE THE BUDGET"
                print(f"{stage.name:28} {micros:8.2f} us per {stage.per:9} budget {budget:6.1f}  {mark}")
    if options.json:
        print(json.dumps(found))
    sys.exit(1 if slow else 0)


def measure(run: Callable[[], int], between: Callable[[], object] | None = None) -> float:
    """CPU microseconds per item; the best of five runs, because noise only adds time."""
    run()
    if between:
        between()
    best = float("inf")
    for _ in range(5):
        done, untimed, start, until = 0, 0.0, time.process_time(), time.perf_counter() + SECONDS / 5
        while time.perf_counter() < until:
            done += run()
            if between:
                before = time.process_time()
                between()
                untimed += time.process_time() - before
        best = min(best, (time.process_time() - start - untimed) / done)
    return best * 1e6


def _stages(folder: Path) -> Iterator[Stage]:
    yield from _worker_in()
    with hub_load(folder) as load:
        yield from _hub(load)
    yield from _log(folder / "log")
    with _sessions(folder) as sessions:
        yield from _worker_out(sessions)


def _worker_in() -> Iterator[Stage]:
    sealer, opener = _pair()
    frame = request(1)
    payload = frame[HEADER_SIZE:]
    message = decode(payload)

    def opened() -> int:
        return len(opener.feed(sealer.seal(frame)))

    yield Stage("envelope: seal and open", "record", 9, opened)
    yield Stage("decode", "request", 3, lambda: bool(decode(payload)))
    yield Stage("parse", "request", 2.5, lambda: bool(parse_request(message)))


def _pair() -> tuple[RecordSealer, RecordOpener]:
    secret, session = os.urandom(32), os.urandom(16)
    return RecordSealer(secret, SERVER_TO_CLIENT, session), RecordOpener(secret, SERVER_TO_CLIENT, session)


def _log(folder: Path) -> Iterator[Stage]:
    with closing(EventLog.open(folder, now=NOW)) as log:
        prepared = [entries(1, LARGE_BATCH)]

        def append() -> int:
            log.append(prepared.pop())
            return LARGE_BATCH

        def prepare() -> None:
            prepared.append(entries(log.head + 1, LARGE_BATCH))

        yield Stage(f"log: append {LARGE_BATCH}", "row", 15, append, prepare)


def _hub(load: HubLoad) -> Iterator[Stage]:
    payload = request(1)[HEADER_SIZE:]
    yield Stage("hub: read", "request", 7, lambda: bool(parse(payload)))
    yield Stage(
        f"hub: read and decide {LARGE_BATCH}", "message", 50, lambda: load.take(LARGE_BATCH), load.settle
    )
    yield Stage("hub: batch of 1", "message", 400, lambda: load.batch(1))
    yield Stage(f"hub: batch of {BATCH}", "message", 85, lambda: load.batch(BATCH))
    yield Stage("hub: pack an event", "link", 1.2, lambda: bool(pack(["room", "#lobby"], b"x" * 300)))


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of a client of a CA made in ``folder``."""
    authority, now = Authority.create("lab", now=datetime.now(UTC)), datetime.now(UTC)
    certs = folder / "certs"
    certs.mkdir()
    authority.save(certs)
    save_issued(certs, "server", authority.issue_server(["127.0.0.1"], now=now))
    identity = certs / "bob.pem"
    issued, at = authority.issue_device("bob", "b", now=now), ["127.0.0.1:1"]
    write_identity(
        identity,
        issued,
        authority.certificate,
        instance="lab",
        user="bob",
        device="b",
        servers=at,
    )
    return server_context(certs, alpn="chatd/1"), context(identity, "chatd/1")


@contextmanager
def _sessions(folder: Path) -> Iterator[list[WorkerSession]]:
    """Sessions with real TLS over real sockets, whose peers never read."""
    server, client = contexts(folder)
    sockets: list[socket.socket] = []
    sessions = []
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for sid in range(RECIPIENTS):
                theirs = socket.create_connection(listener.getsockname())
                ours, _ = listener.accept()
                sockets += [theirs, ours]
                sessions.append(connected(sid, ours, server, client)[0])
        yield sessions
    finally:
        for sock in sockets:
            sock.close()


def connected(
    sid: int, sock: socket.socket, server: ssl.SSLContext, client: ssl.SSLContext
) -> tuple[WorkerSession, Callable[[bytes], bytes]]:
    """Return an open session, and what its client makes of a frame for the socket."""
    channel = TlsChannel(server, server_side=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = client.wrap_bio(incoming, outgoing)
    done = False
    while not done:
        try:
            peer.do_handshake()
        except ssl.SSLWantReadError:
            pass
        done = channel.handshake(outgoing.read())
        incoming.write(channel.take_outgoing())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sealer, opener = _pair()
    name = DeviceName("lab", "bob", "b")
    session = WorkerSession(sid, sock, channel, sealer, opener, name, "1", math.inf, "", "127.0.0.1")
    session.phase = SessionPhase.OPEN

    def protected(frame: bytes) -> bytes:
        peer.write(sealer.seal(frame))
        return outgoing.read()

    return session, protected


def _failed(session: WorkerSession) -> None:
    raise AssertionError(session.sid)


class _Sink:
    """A socket whose `send` does nothing."""

    def send(self, data: bytes, flags: int) -> int:
        return len(data)


def _worker_out(sessions: list[WorkerSession]) -> Iterator[Stage]:
    delivery = Delivery(1 << 20)
    frame = encode({"type": "message", "seq": 1, "at": 1, "room": "#lobby", "user": "bob", "body": "x" * 160})
    for session in sessions:
        delivery.enter("#lobby", session)

    def fan_out() -> int:
        for _ in range(BATCH):
            delivery.to_room("#lobby", frame)
        for session in delivery.take_dirty():
            session.outbox = []
            session.outbox_bytes = 0
        return RECIPIENTS * BATCH

    sealer = sessions[0].sealer
    channel = sessions[0].channel
    sealed = sealer.seal(frame)

    def flush() -> int:
        delivery.to_room("#lobby", frame)
        flush_all(delivery.take_dirty(), fail=_failed)
        return RECIPIENTS

    yield Stage(f"worker: fan out {BATCH}", "delivery", 0.06, fan_out)
    yield Stage("worker: seal", "delivery", 3.5, lambda: bool(sealer.seal(frame)))
    yield Stage("worker: TLS write", "delivery", 4, lambda: bool(channel.protect(sealed)))
    sockets = [session.sock for session in sessions]
    for session in sessions:
        session.sock = _Sink()  # type: ignore[assignment]
    yield Stage("worker: all but send", "delivery", 11, flush)
    for session, sock in zip(sessions, sockets, strict=True):
        session.sock = sock
    yield Stage("worker: send", "delivery", 4.5, _sending(sockets[0], channel.protect(sealed)))


def _sending(sock: socket.socket, data: bytes) -> Callable[[], int]:
    """Time `send` on a separate pair of sockets, whose other end is drained after every 50 calls."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send() -> int:
        for _ in range(50):
            ours.send(data, socket.MSG_DONTWAIT)
        theirs.recv(1 << 20)
        return 50

    return send


if __name__ == "__main__":
    main()
