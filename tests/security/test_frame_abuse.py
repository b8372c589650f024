"""Broken frames inside good records, on a real server: refused one by one, and nobody else notices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.proto.requests import REQUESTS
from tests.support.abused import UNLIMITED, Witness, abused, changed
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import Json, RawClient, frame, new_id, pack

RECORD_LIMIT = 64 * 1024


def settings(tree: dict[str, Any]) -> None:
    changed(tree, "limits", per_role={"user": UNLIMITED, "admin": UNLIMITED})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("frames") / "home"
    with abused(home, settings, "mallory", "witness") as daemon, Witness(daemon, "witness") as witness:
        yield daemon
        witness.unharmed()
        witness.alone()


@pytest.fixture
def mallory(daemon: Daemon) -> Path:
    return daemon.identity("mallory")


def ping(label: int = 1) -> bytes:
    return frame({"type": "ping", "id": label})


def test_frames_of_every_length_up_to_64(daemon: Daemon, mallory: Path) -> None:
    """With garbage in them they are refused one by one; of length 0 they end the session."""
    with RawClient(daemon.port, mallory).logged_in() as client:
        for size in range(1, 65):
            client.send_payload(pack(b"x" * size))
            reply = client.receive()
            assert (reply["type"], reply["id"], reply["code"]) == ("error", 0, "E102"), size
        assert client.ask("ping")["type"] == "ok"
        client.send_payload(pack(b""))
        assert client.bye()["code"] == "E100"


@pytest.mark.parametrize("declared", [*range(14), *range(15, 65), 2**31 - 1, 2**31, 2**32 - 1])
def test_frame_of_another_length_than_declared(daemon: Daemon, mallory: Path, declared: int) -> None:
    with RawClient(daemon.port, mallory).logged_in() as client:
        client.send_payload(declared.to_bytes(4, "big") + b"x" * 14)
        assert client.bye()["code"] == "E100"


def test_frame_over_two_records(daemon: Daemon, mallory: Path) -> None:
    with RawClient(daemon.port, mallory).logged_in() as client:
        whole = ping()
        client.send_payload(whole[:10])
        assert client.bye()["code"] == "E100"


def test_largest_frame(daemon: Daemon, mallory: Path) -> None:
    """64 KiB in one record are read, and refused for what is in them."""
    with RawClient(daemon.port, mallory).logged_in() as client:
        head = b'{"type":"ping","id":1}'
        client.send_payload(pack(head.ljust(RECORD_LIMIT - 4)))
        assert client.until(id=1)["type"] == "ok"
        client.send_payload(pack(b"x" * (RECORD_LIMIT - 4)))
        assert client.receive()["code"] == "E102"


def test_many_frames_in_a_record(daemon: Daemon, mallory: Path) -> None:
    with RawClient(daemon.port, mallory).logged_in() as client:
        client.send(*({"type": "ping", "id": label} for label in range(1, 301)))
        replies = [client.receive() for _ in range(300)]
    assert [r["id"] for r in replies] == list(range(1, 301))


def test_a_request_cut_at_every_byte(daemon: Daemon, mallory: Path) -> None:
    """By TLS, where two records carry one of the envelope's, and by TCP, byte for byte."""
    with RawClient(daemon.port, mallory).logged_in() as client:
        whole = len(client.seal(ping(1000)))
        # That record was not sent; another connection starts with the numbers as the server expects them.
    with RawClient(daemon.port, mallory).logged_in() as client:
        for cut in range(1, whole):
            record = client.seal(ping(1000 + cut))
            client.send_plain(record[:cut])
            client.send_plain(record[cut:])
            assert client.receive()["id"] == 1000 + cut
        for byte in client.tls_bytes(client.seal(ping(5))):
            client.send_tcp(bytes([byte]))
        assert client.receive()["id"] == 5


NESTED = 9
PAYLOADS: dict[str, tuple[bytes, str]] = {
    "invalid utf-8": (b'{"type":"ping","id":1,"x":"\xff"}', "E102"),
    "overlong utf-8": (b'{"type":"ping","id":1,"x":"\xc0\xaf"}', "E102"),
    "encoded surrogate": (b'{"type":"ping","id":1,"x":"\xed\xa0\x80"}', "E102"),
    "escaped surrogate": (b'{"type":"ping","id":1,"x":"\\ud800"}', "E102"),
    "utf-16": ('{"type":"ping","id":1}'.encode("utf-16"), "E102"),
    "byte order mark": (b'\xef\xbb\xbf{"type":"ping","id":1}', "E102"),
    "raw NUL": (b'{"type":"ping","id":1,"x":"\0"}', "E102"),
    "NUL after it": (b'{"type":"ping","id":1}\0', "E102"),
    "raw newline in a string": (b'{"type":"ping\n","id":1}', "E102"),
    "trailing bytes": (b'{"type":"ping","id":1}{}', "E102"),
    "an array": (b'[{"type":"ping","id":1}]', "E102"),
    "a string": (b'"ping"', "E102"),
    "null": (b"null", "E102"),
    "spaces": (b"   ", "E102"),
    "nested arrays": (b'{"x":' + b"[" * NESTED + b"]" * NESTED + b"}", "E102"),
    "nested objects": (b'{"x":' * NESTED + b"1" + b"}" * NESTED, "E102"),
    "nested without an end": (b"[" * 60_000, "E102"),
    "duplicate key": (b'{"type":"ping","id":1,"id":2}', "E102"),
    "duplicate key by escape": (b'{"type":"ping","id":1,"i\\u0064":2}', "E102"),
    "over 2^53": (b'{"type":"ping","id":9007199254740993}', "E102"),
    "2^63": (b'{"type":"ping","id":9223372036854775808}', "E102"),
    "an integer of 60,000 digits": (b'{"type":"ping","id":' + b"9" * 60_000 + b"}", "E102"),
    "NaN": (b'{"type":"ping","id":NaN}', "E102"),
    "infinity": (b'{"type":"ping","id":-Infinity}', "E102"),
    "infinity by exponent": (b'{"type":"ping","id":1e999}', "E102"),
    "65 keys": (json.dumps({str(n): n for n in range(65)}).encode(), "E102"),
    "1,025 items": (json.dumps({"x": [0] * 1025}).encode(), "E101"),
    "a string over 16 KiB": (json.dumps({"x": "x" * (16 * 1024 + 1)}).encode(), "E101"),
    "a key over 16 KiB": (json.dumps({"x" * (16 * 1024 + 1): 1}).encode(), "E101"),
    "no type": (b'{"id":1}', "E103"),
    "unknown type": (b'{"type":"shutdown","id":1}', "E103"),
    "a server's type": (b'{"type":"welcome","id":1}', "E103"),
    "type in capitals": (b'{"type":"PING","id":1}', "E103"),
    "type is a list": (b'{"type":["ping"],"id":1}', "E103"),
    "type is null": (b'{"type":null,"id":1}', "E103"),
    "no id": (b'{"type":"ping"}', "E102"),
    "id 0": (b'{"type":"ping","id":0}', "E102"),
    "negative id": (b'{"type":"ping","id":-1}', "E102"),
    "id is true": (b'{"type":"ping","id":true}', "E102"),
    "id is a fraction": (b'{"type":"ping","id":1.0}', "E102"),
    "id is text": (b'{"type":"ping","id":"1"}', "E102"),
    "id is null": (b'{"type":"ping","id":null}', "E102"),
    "an extra field": (b'{"type":"ping","id":1,"admin":true}', "E102"),
    "__proto__": (b'{"type":"ping","id":1,"__proto__":{}}', "E102"),
}


@pytest.fixture(scope="module")
def patient(daemon: Daemon) -> Iterator[RawClient]:
    """One session that all the refused frames below go through: none of them ends it."""
    with RawClient(daemon.port, daemon.identity("mallory")).logged_in() as client:
        yield client
        assert client.ask("rooms")["type"] == "ok"


@pytest.mark.parametrize("case", PAYLOADS)
def test_malformed_payload(patient: RawClient, case: str) -> None:
    payload, code = PAYLOADS[case]
    patient.send_payload(pack(payload))
    reply = patient.receive()
    assert (reply["type"], reply["code"]) == ("error", code)
    assert reply["reason"].isprintable()
    assert reply["fix"]
    assert len(json.dumps(reply)) < 1000


WRONG: list[Any] = [None, True, -1, 1.5, "", "x" * 17_000, [], {}, ["#lobby"], {"a": 1}, "\0", "' OR 1=1 --"]


@pytest.mark.parametrize("kind", REQUESTS)
def test_wrong_types_in_every_field(patient: RawClient, kind: str) -> None:
    """Whatever is put in any one field: an answer, and nothing but an answer."""
    fields = REQUESTS[kind].model_fields
    base = {"type": kind, "id": 1}
    for name in set(fields) - {"type", "id"}:
        for value in WRONG:
            patient.send({**base, name: value})
            reply = _answer(patient)
            assert reply["type"] == "ok" or reply["code"] not in ("E100", "E500"), (name, value, reply)
            if reply["type"] == "error":
                assert len(json.dumps(reply)) < 2000
    patient.send({**base, "surprise": 1})
    assert patient.until(id=1)["code"] == "E102"


def _answer(client: RawClient) -> Json:
    """A frame over a limit is not read as far as its label; then the answer has 0."""
    while True:
        message = client.receive()
        if message["type"] in ("ok", "error"):
            return message


def test_every_request_before_the_welcome_is_refused(daemon: Daemon, mallory: Path) -> None:
    """Sent with the last message of the login: most arrive before the hub has admitted the session."""
    for kind in REQUESTS:
        with RawClient(daemon.port, mallory).tls().envelope() as client:
            client.send({"type": kind, "id": 7})
            replies = {m["type"]: m for m in (client.receive(), client.receive())}
            assert replies.keys() <= {"welcome", "error", "ok"}
            if kind not in ("ping", "stats", "rooms", "users", "bans", "role_show", "away", "resume"):
                assert replies["error"]["code"] in ("E102", "E105", "E300")


def test_a_label_in_use(daemon: Daemon, mallory: Path) -> None:
    """The same label for many requests at once: each is answered, at most one at a time is accepted."""
    with RawClient(daemon.port, mallory).logged_in() as client:
        client.send(*({"type": "rooms", "id": 3} for _ in range(50)))
        replies = [client.receive() for _ in range(50)]
        assert {r["id"] for r in replies} == {3}
        assert {r.get("code", "ok") for r in replies} <= {"ok", "E105"}
        assert any(r["type"] == "ok" for r in replies)
        client.send({"type": "rooms", "id": 3})
        assert client.receive()["type"] == "ok"


def test_requests_and_the_end_in_one_write(daemon: Daemon, mallory: Path) -> None:
    """What was sent before the authenticated close is carried out."""
    text = "last words"
    with RawClient(daemon.port, mallory).logged_in() as client:
        request = frame({"type": "send", "id": 1, "msg_id": new_id(), "to": "#lobby", "body": text})
        client.send_plain(client.seal(request) + client.close_record())
        client.wait_end()

    def said() -> bool:
        with RawClient(daemon.port, mallory).logged_in() as reader:
            events = reader.ask("history", room="#lobby")["result"]["events"]
        return any(e.get("body") == text for e in events)

    wait_until(said, what="the message sent before the close")
