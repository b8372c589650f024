"""Broken bytes at every layer, on a real server: TCP, TLS, the envelope's handshake, records, frames.

Each case ends with one clear code (in the goodbye, or in security.log where no goodbye is possible
yet), and a witness on each worker goes on talking.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.abused import UNLIMITED, Witness, abused, changed
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import RawClient, careless_context, frame, new_id, pack

HEADER = struct.Struct(">IBHQ")
MESSAGE_LIMIT = 16 * 1024
RECORD_LIMIT = 64 * 1024
TAG = 16


def settings(tree: dict[str, Any]) -> None:
    changed(tree, "limits", per_role={"user": UNLIMITED, "admin": UNLIMITED})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("wire") / "home"
    with abused(home, settings, "mallory", "witness") as daemon, Witness(daemon, "witness") as witness:
        yield daemon
        witness.unharmed()
        witness.alone()


@pytest.fixture
def mallory(daemon: Daemon) -> Path:
    return daemon.identity("mallory")


@pytest.fixture
def refusals(daemon: Daemon) -> Callable[[str], None]:
    """Waits until as many refusals as this test has caused are in security.log with a code or reason."""
    seen = len(daemon.log_lines("security.log"))

    def wait_for(word: str) -> None:
        def told() -> bool:
            new = daemon.log_lines("security.log")[seen:]
            return any(word in (line.get("code"), line.get("why")) for line in new)

        wait_until(told, what=f"{word} in security.log: {daemon.log_lines('security.log')[seen:]}")

    return wait_for


# --- before and during TLS -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\xff\xff" + b"\x01" * 100,
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"CHD1" + bytes(68),
        bytes(1000),
        b"\x00",
    ],
    ids=["silence", "http", "ssh", "long-record", "short-hello", "envelope", "zeros", "one-byte"],
)
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_bytes_that_are_not_tls(daemon: Daemon, data: bytes, reset: bool) -> None:
    with RawClient(daemon.port) as client:
        client.send_tcp(data)
        if reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        client.sock.shutdown(socket.SHUT_WR)
        client.wait_end()


def test_tls_1_2_is_refused(daemon: Daemon, mallory: Path, refusals: Callable[[str], None]) -> None:
    context = careless_context(mallory)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        RawClient(daemon.port, mallory) as client,
        pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"),
    ):
        client.tls(context)
    refusals("UNSUPPORTED_PROTOCOL")


@pytest.mark.parametrize("alpn", ["http/1.1", "chatd-plain/1", "chatd/2"])
def test_another_protocol_over_tls_is_refused(
    daemon: Daemon, mallory: Path, alpn: str, refusals: Callable[[str], None]
) -> None:
    with RawClient(daemon.port, mallory) as client, pytest.raises((EOFError, ssl.SSLError)):
        client.tls(careless_context(mallory, alpn)).envelope()
    refusals("E107")


def test_tls_cut_in_the_middle(daemon: Daemon, mallory: Path) -> None:
    """After each flight, and a record that says more than comes."""
    for stop in (1, 2, 3):
        with RawClient(daemon.port, mallory) as client:
            for flight, _ in enumerate(client.tls_flights(), 1):
                if flight == stop:
                    break
    with RawClient(daemon.port, mallory).tls() as client:
        client.send_tcp(client.tls_bytes(b"x" * 100)[:50])


# --- the envelope's handshake ----------------------------------------------------------------------


def m1(change: Callable[[bytes], bytes]) -> Callable[[RawClient], None]:
    def run(client: RawClient) -> None:
        client.send_plain(change(client.start_envelope()))

    return run


def m3(change: Callable[[bytes], bytes]) -> Callable[[RawClient], None]:
    def run(client: RawClient) -> None:
        client.send_plain(pack(client.start_envelope()))
        client.send_plain(change(client.make_m3(client.read_message())))

    return run


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def length(number: int) -> bytes:
    return number.to_bytes(4, "big")


HANDSHAKES: dict[str, tuple[Callable[[RawClient], None], str]] = {
    "m1 empty": (m1(lambda m: length(0)), "E104"),
    "m1 one over the limit": (m1(lambda m: length(MESSAGE_LIMIT + 1)), "E104"),
    "m1 of 2^31": (m1(lambda m: length(2**31)), "E104"),
    "m1 of 2^32-1": (m1(lambda m: length(2**32 - 1)), "E104"),
    "m1 at the limit": (m1(lambda m: pack(m.ljust(MESSAGE_LIMIT, b"x"))), "E104"),
    "m1 short": (m1(lambda m: pack(m[:-1])), "E104"),
    "m1 of one byte": (m1(lambda m: pack(m[:1])), "E104"),
    "m1 long": (m1(lambda m: pack(m + b"x")), "E104"),
    "m1 with another magic": (m1(lambda m: pack(b"CHD2" + m[4:])), "E104"),
    "m1 of another version": (m1(lambda m: pack(m[:4] + b"\0\2" + m[6:])), "E107"),
    "m1 of another suite": (m1(lambda m: pack(m[:6] + b"\0\2" + m[8:])), "E107"),
    "m1 twice": (m1(lambda m: pack(m) * 2), "E104"),
    "m1 missing": (m1(lambda m: pack(bytes(256 + 32))), "E104"),
    "m1 with a nonce of its own": (lambda c: _swap(c, 8), "E104"),
    "m1 with a key of its own": (lambda c: _swap(c, 40), "E104"),
    "m1 with an exchange key of zero": (lambda c: _exchange_of_zero(c), "E104"),
    "m3 empty": (m3(lambda m: length(0)), "E104"),
    "m3 of 2^32-1": (m3(lambda m: length(2**32 - 1) + m), "E104"),
    "m3 short": (m3(lambda m: pack(m[:-1])), "E104"),
    "m3 long": (m3(lambda m: pack(m + b"x")), "E104"),
    "m3 with another ciphertext": (m3(lambda m: pack(flipped(m, 100))), "E104"),
    "m3 with a ciphertext over the modulus": (m3(lambda m: pack(b"\xff" * (len(m) - 32) + m[-32:])), "E104"),
    "m3 with a ciphertext of zero": (m3(lambda m: pack(bytes(len(m) - 32) + m[-32:])), "E104"),
    "m3 with another proof": (m3(lambda m: pack(flipped(m, -1))), "E104"),
    "m3 without a proof": (m3(lambda m: pack(m[:-32] + bytes(32))), "E104"),
    "m3 twice": (m3(lambda m: pack(m) * 2), "E104"),
    "m3 with a record before the server's proof": (m3(lambda m: pack(m) + HEADER.pack(16, 1, 0, 0)), "E104"),
    "m3 is m1 again": (m3(lambda m: pack(b"CHD1\0\1\0\1" + bytes(64))), "E104"),
}


def _swap(client: RawClient, at: int) -> None:
    """Somebody in between who changes M1: the transcripts differ."""
    client.send_plain(pack(flipped(client.start_envelope(), at)))
    client.send_plain(pack(client.make_m3(client.read_message())))


def _exchange_of_zero(client: RawClient) -> None:
    client.send_plain(pack(client.start_envelope()[:40] + bytes(32)))
    client.send_plain(pack(client.make_m3(client.read_message())))


@pytest.mark.parametrize("case", HANDSHAKES)
def test_broken_envelope_handshake(
    daemon: Daemon, mallory: Path, case: str, refusals: Callable[[str], None]
) -> None:
    run, code = HANDSHAKES[case]
    with RawClient(daemon.port, mallory).tls() as client:
        run(client)
        with pytest.raises(EOFError):
            # The server may have answered what came before the fault.
            client.read_message()
            client.read_message()
    refusals(code)


@pytest.mark.parametrize("stop", ["before m1", "in m1", "before m3", "in m3"])
def test_handshake_given_up(daemon: Daemon, mallory: Path, stop: str) -> None:
    with RawClient(daemon.port, mallory).tls() as client:
        if stop == "before m1":
            return
        first = pack(client.start_envelope())
        client.send_plain(first[:30] if stop == "in m1" else first)
        if stop == "in m1":
            return
        third = pack(client.make_m3(client.read_message()))
        if stop == "in m3":
            client.send_plain(third[:30])


def test_more_than_the_login_needs(daemon: Daemon, mallory: Path, refusals: Callable[[str], None]) -> None:
    """An unauthenticated peer has 64 KiB in all, however it spends them."""
    with RawClient(daemon.port, mallory).tls() as client:
        # One message inside its limit, but each byte in a TLS record of its own.
        client.send_plain(length(MESSAGE_LIMIT))
        with contextlib.suppress(OSError):
            client.send_tcp(b"".join(client.tls_bytes(b"x") for _ in range(MESSAGE_LIMIT - 1)))
        client.wait_end()
    refusals("E101")


# --- records ---------------------------------------------------------------------------------------


def ping(label: int = 1) -> bytes:
    return frame({"type": "ping", "id": label})


def _reordered(client: RawClient) -> bytes:
    first, second = client.seal(ping(1)), client.seal(ping(2))
    return second + first


def _replayed(client: RawClient) -> bytes:
    record = client.seal(ping())
    return record + record


def _with_header(**change: int) -> Callable[[RawClient], bytes]:
    def make(client: RawClient) -> bytes:
        record = client.seal(ping())
        size, kind, epoch, seq = HEADER.unpack_from(record)
        header = {"size": size, "kind": kind, "epoch": epoch, "seq": seq} | change
        return HEADER.pack(*header.values()) + record[HEADER.size :]

    return make


def _flip(at: int) -> Callable[[RawClient], bytes]:
    return lambda client: flipped(client.seal(ping()), at)


RECORDS: dict[str, tuple[Callable[[RawClient], bytes], str]] = {
    "length flipped": (_flip(3), "E104"),
    "type flipped": (_flip(4), "E104"),
    "epoch flipped": (_flip(6), "E104"),
    "seq flipped": (_flip(14), "E104"),
    "ciphertext flipped": (_flip(HEADER.size), "E104"),
    "tag flipped": (_flip(-1), "E104"),
    "replayed": (_replayed, "E104"),
    "reordered": (_reordered, "E104"),
    "retyped to close": (_with_header(kind=3), "E104"),
    "retyped to rekey": (_with_header(kind=2), "E104"),
    "retyped to 0": (_with_header(kind=0), "E104"),
    "retyped to 255": (_with_header(kind=255), "E104"),
    "next epoch": (_with_header(epoch=1), "E104"),
    "seq of 2^64-1": (_with_header(seq=2**64 - 1), "E104"),
    "one over the limit": (_with_header(size=RECORD_LIMIT + TAG + 1), "E100"),
    "2^31-1": (_with_header(size=2**31 - 1), "E100"),
    "2^31": (_with_header(size=2**31), "E100"),
    "2^32-1": (_with_header(size=2**32 - 1), "E100"),
    "after the close": (lambda c: c.close_record() + HEADER.pack(16, 1, 0, 1) + bytes(16), "E104"),
    "plaintext": (lambda c: ping().ljust(100), "E104"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_broken_record(daemon: Daemon, mallory: Path, case: str) -> None:
    make, code = RECORDS[case]
    with RawClient(daemon.port, mallory).logged_in() as client:
        client.send_plain(make(client))
        bye = client.bye()
    assert (bye["code"], bye["retry"]) == (code, False)
    if code == "E104":
        # What was wrong with it is nobody's business but security.log's.
        assert bye["reason"] == "the envelope could not be opened"


def test_record_lengths_up_to_64(daemon: Daemon, mallory: Path) -> None:
    for size in range(65):
        with RawClient(daemon.port, mallory).logged_in() as client:
            client.send_plain(HEADER.pack(size, 1, 0, 0) + bytes(size))
            assert client.bye()["code"] == "E104", size


def test_reflected_record(daemon: Daemon, mallory: Path) -> None:
    """The server's own record sent back to it."""
    with RawClient(daemon.port, mallory).tls().envelope() as client:
        client.send_plain(client.read_sealed())
        assert client.bye()["code"] == "E104"


def test_truncated_record_then_the_end(daemon: Daemon, mallory: Path) -> None:
    """Half a record is no error of the peer's: the line was cut. It is just not delivered."""
    with RawClient(daemon.port, mallory).logged_in() as client:
        record = client.seal(
            frame({"type": "send", "id": 1, "msg_id": new_id(), "to": "#lobby", "body": "cut"})
        )
        client.send_plain(record[:-1])
        client.sock.shutdown(socket.SHUT_WR)
        client.wait_end()
    with RawClient(daemon.port, mallory).logged_in() as client:
        bodies = [e.get("body") for e in client.ask("history", room="#lobby")["result"]["events"]]
    assert "cut" not in bodies
