"""Malformed bytes at every layer below frames, sent to a real server: TCP, TLS, envelope handshake, records.

Each case ends with one error code, in the bye or, before a bye is possible, in security.log. Two sessions
of a witness, one on each worker, must not be affected.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import RawClient, frame, new_id, pack, unverified_context
from tests.support.under_attack import log_in

HEADER = struct.Struct(">IBHQ")
MESSAGE_LIMIT = 16 * 1024
RECORD_LIMIT = 64 * 1024
TAG = 16


@pytest.fixture
def mallory(daemon: Daemon) -> Path:
    return daemon.identity("mallory")


@pytest.fixture
def wait_for_refusal(daemon: Daemon) -> Callable[[str], None]:
    """A function that waits for a refusal with this code or reason in security.log, logged in this test."""
    lines_before = len(daemon.log_lines("security.log"))

    def wait(code_or_reason: str) -> None:
        def is_logged() -> bool:
            new = daemon.log_lines("security.log")[lines_before:]
            return any(code_or_reason in (line.get("code"), line.get("why")) for line in new)

        wait_until(is_logged, what=f"{code_or_reason} in security.log")

    return wait


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
def test_bytes_other_than_tls_leave_nothing_behind(daemon: Daemon, data: bytes, reset: bool) -> None:
    with RawClient(daemon.port) as client:
        client.send_tcp(data)
        if reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        client.sock.shutdown(socket.SHUT_WR)
        client.wait_for_end()


def test_tls_1_2_is_refused(daemon: Daemon, mallory: Path, wait_for_refusal: Callable[[str], None]) -> None:
    context = unverified_context(mallory)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        RawClient(daemon.port, mallory) as client,
        pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"),
    ):
        client.tls(context)
    wait_for_refusal("UNSUPPORTED_PROTOCOL")


@pytest.mark.parametrize("alpn", ["http/1.1", "chatd-plain/1", "chatd/2"])
def test_another_protocol_over_tls_is_refused(
    daemon: Daemon, mallory: Path, alpn: str, wait_for_refusal: Callable[[str], None]
) -> None:
    with RawClient(daemon.port, mallory) as client, pytest.raises((EOFError, ssl.SSLError)):
        client.tls(unverified_context(mallory, alpn)).envelope()
    wait_for_refusal("E107")


def test_an_interrupted_tls_handshake_or_record_leaves_nothing_behind(daemon: Daemon, mallory: Path) -> None:
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


# Case -> what the client sends, and the code in security.log.
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
    "m1 with a changed nonce": (lambda c: _change_m1(c, 8), "E104"),
    "m1 with a changed exchange key": (lambda c: _change_m1(c, 40), "E104"),
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


def _change_m1(client: RawClient, at: int) -> None:
    """Change M1 on the way, as a man in the middle would: the transcripts differ."""
    client.send_plain(pack(flipped(client.start_envelope(), at)))
    client.send_plain(pack(client.make_m3(client.read_message())))


def _exchange_of_zero(client: RawClient) -> None:
    client.send_plain(pack(client.start_envelope()[:40] + bytes(32)))
    client.send_plain(pack(client.make_m3(client.read_message())))


@pytest.mark.parametrize("case", HANDSHAKES)
def test_a_malformed_envelope_handshake_is_refused(
    daemon: Daemon, mallory: Path, case: str, wait_for_refusal: Callable[[str], None]
) -> None:
    run, code = HANDSHAKES[case]
    with RawClient(daemon.port, mallory).tls() as client:
        run(client)
        with pytest.raises(EOFError):
            # The server may have answered what came before the malformed part.
            client.read_message()
            client.read_message()
    wait_for_refusal(code)


@pytest.mark.parametrize("offer", ["00010002", "00020001", "ffffffff"])
def test_a_client_that_offers_another_version_or_suite_learns_what_the_server_speaks(
    daemon: Daemon, mallory: Path, offer: str
) -> None:
    """It can then offer that on its next connection. Suite 2 is the one reserved for RFC 9266."""
    with RawClient(daemon.port, mallory).tls() as client:
        client.send_plain(pack(b"CHD1" + bytes.fromhex(offer) + client.start_envelope()[8:]))
        assert client.read_message().hex() == "00010001"
        with pytest.raises(EOFError, match="has closed TLS"):
            client.read_message()
    with log_in(daemon, "mallory"):
        pass


@pytest.mark.parametrize("stop", ["before m1", "in m1", "before m3", "in m3"])
def test_an_abandoned_envelope_handshake_leaves_nothing_behind(
    daemon: Daemon, mallory: Path, stop: str
) -> None:
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


def test_an_unauthenticated_peer_may_send_64_kib_at_most(
    daemon: Daemon, mallory: Path, wait_for_refusal: Callable[[str], None]
) -> None:
    with RawClient(daemon.port, mallory).tls() as client:
        # One message within its limit, but each byte in its own TLS record.
        client.send_plain(length(MESSAGE_LIMIT))
        with contextlib.suppress(OSError):
            client.send_tcp(b"".join(client.tls_bytes(b"x") for _ in range(MESSAGE_LIMIT - 1)))
        client.wait_for_end()
    wait_for_refusal("E101")


# --- records ---------------------------------------------------------------------------------------


def ping(request_id: int = 1) -> bytes:
    return frame({"type": "ping", "id": request_id})


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


# Case -> what makes the bytes, and the code in the bye.
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
def test_a_malformed_record_ends_the_session_with_its_code(daemon: Daemon, mallory: Path, case: str) -> None:
    make, code = RECORDS[case]
    with log_in(daemon, "mallory") as client:
        client.send_plain(make(client))
        bye = client.read_bye()
    assert (bye["code"], bye["retry"]) == (code, False)
    if code == "E104":
        # The peer must not learn what was wrong; security.log says it.
        assert bye["reason"] == "the envelope cannot be opened"


def test_a_forged_record_of_any_length_up_to_64_ends_the_session(daemon: Daemon, mallory: Path) -> None:
    for size in range(65):
        with log_in(daemon, "mallory") as client:
            client.send_plain(HEADER.pack(size, 1, 0, 0) + bytes(size))
            assert client.read_bye()["code"] == "E104", size


def test_a_reflected_record_ends_the_session(daemon: Daemon, mallory: Path) -> None:
    with RawClient(daemon.port, mallory).tls().envelope() as client:
        client.send_plain(client.read_raw_record())
        assert client.read_bye()["code"] == "E104"


def test_the_request_in_a_truncated_record_is_not_carried_out(daemon: Daemon, mallory: Path) -> None:
    """A truncated record counts as a lost connection, not as an error of the peer."""
    with log_in(daemon, "mallory") as client:
        record = client.seal(
            frame({"type": "send", "id": 1, "msg_id": new_id(), "to": "#lobby", "body": "cut"})
        )
        client.send_plain(record[:-1])
        client.sock.shutdown(socket.SHUT_WR)
        client.wait_for_end()
    with log_in(daemon, "mallory") as client:
        bodies = [e.get("body") for e in client.ask("history", room="#lobby")["result"]["events"]]
    assert "cut" not in bodies
