"""Malformed frames inside valid records: a real server refuses each, and no other client is affected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chatd.proto.requests import REQUESTS
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import RawClient, frame, new_id, pack
from tests.support.under_attack import log_in

RECORD_LIMIT = 64 * 1024


def ping(request_id: int = 1) -> bytes:
    return frame({"type": "ping", "id": request_id})


def test_garbage_of_every_length_up_to_64_is_refused_and_an_empty_frame_ends_the_session(
    daemon: Daemon,
) -> None:
    with log_in(daemon, "mallory") as client:
        for size in range(1, 65):
            client.send_payload(pack(b"x" * size))
            reply = client.receive()
            assert (reply["type"], reply["id"], reply["code"]) == ("error", 0, "E102"), size
        assert client.ask("ping")["type"] == "ok"
        client.send_payload(pack(b""))
        assert client.read_bye()["code"] == "E100"


@pytest.mark.parametrize("declared", [*range(14), *range(15, 65), 2**31 - 1, 2**31, 2**32 - 1])
def test_a_frame_with_a_wrong_length_ends_the_session(daemon: Daemon, declared: int) -> None:
    with log_in(daemon, "mallory") as client:
        client.send_payload(declared.to_bytes(4, "big") + b"x" * 14)
        assert client.read_bye()["code"] == "E100"


def test_a_frame_may_not_continue_in_the_next_record(daemon: Daemon) -> None:
    with log_in(daemon, "mallory") as client:
        whole = ping()
        client.send_payload(whole[:10])
        assert client.read_bye()["code"] == "E100"


def test_a_frame_of_64_kib_is_read(daemon: Daemon) -> None:
    with log_in(daemon, "mallory") as client:
        head = b'{"type":"ping","id":1}'
        client.send_payload(pack(head.ljust(RECORD_LIMIT - 4)))
        assert client.until(id=1)["type"] == "ok"
        client.send_payload(pack(b"x" * (RECORD_LIMIT - 4)))
        assert client.receive()["code"] == "E102"


def test_300_requests_in_one_record_are_answered_in_order(daemon: Daemon) -> None:
    with log_in(daemon, "mallory") as client:
        client.send(*({"type": "ping", "id": request_id} for request_id in range(1, 301)))
        replies = [client.receive() for _ in range(300)]
    assert [r["id"] for r in replies] == list(range(1, 301))


def test_a_request_may_be_split_at_every_byte(daemon: Daemon) -> None:
    """An envelope record is split into two TLS records, then into TCP segments of one byte."""
    with log_in(daemon, "mallory") as client:
        length = len(client.seal(ping(1000)))
        # Sealing has used up a record number, so this connection cannot send any more.
    with log_in(daemon, "mallory") as client:
        for cut in range(1, length):
            record = client.seal(ping(1000 + cut))
            client.send_plain(record[:cut])
            client.send_plain(record[cut:])
            assert client.receive()["id"] == 1000 + cut
        for byte in client.tls_bytes(client.seal(ping(5))):
            client.send_tcp(bytes([byte]))
        assert client.receive()["id"] == 5


TOO_DEEP = 9
# Case -> the frame's body and the error code.
PAYLOADS: dict[str, tuple[bytes, str]] = {
    "invalid utf-8": (b'{"type":"ping","id":1,"x":"\xff"}', "E102"),
    "overlong utf-8": (b'{"type":"ping","id":1,"x":"\xc0\xaf"}', "E102"),
    "encoded surrogate": (b'{"type":"ping","id":1,"x":"\xed\xa0\x80"}', "E102"),
    "escaped surrogate": (b'{"type":"ping","id":1,"x":"\\ud800"}', "E102"),
    "utf-16": ('{"type":"ping","id":1}'.encode("utf-16"), "E102"),
    "byte order mark": (b'\xef\xbb\xbf{"type":"ping","id":1}', "E102"),
    "raw NUL": (b'{"type":"ping","id":1,"x":"\0"}', "E102"),
    "NUL after the object": (b'{"type":"ping","id":1}\0', "E102"),
    "raw newline in a string": (b'{"type":"ping\n","id":1}', "E102"),
    "trailing bytes": (b'{"type":"ping","id":1}{}', "E102"),
    "an array": (b'[{"type":"ping","id":1}]', "E102"),
    "a string": (b'"ping"', "E102"),
    "null": (b"null", "E102"),
    "spaces": (b"   ", "E102"),
    "nested arrays": (b'{"x":' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b"}", "E102"),
    "nested objects": (b'{"x":' * TOO_DEEP + b"1" + b"}" * TOO_DEEP, "E102"),
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
    "a string over 32 KiB": (json.dumps({"x": "x" * (32 * 1024 + 1)}).encode(), "E101"),
    "a key over 32 KiB": (json.dumps({"x" * (32 * 1024 + 1): 1}).encode(), "E101"),
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
def surviving_session(daemon: Daemon) -> Iterator[RawClient]:
    """One session that sends all the refused frames below and must survive them."""
    with log_in(daemon, "mallory") as client:
        yield client
        assert client.ask("rooms")["type"] == "ok"


@pytest.mark.parametrize("case", PAYLOADS)
def test_a_malformed_frame_is_refused_without_ending_the_session(
    surviving_session: RawClient, case: str
) -> None:
    payload, code = PAYLOADS[case]
    surviving_session.send_payload(pack(payload))
    reply = surviving_session.receive()
    assert (reply["type"], reply["code"]) == ("error", code)
    assert reply["reason"].isprintable()
    assert reply["fix"]
    assert len(json.dumps(reply)) < 1000


WRONG_VALUES: list[Any] = [
    *(None, True, -1, 1.5, "", "x" * 17_000, [], {}, ["#lobby"], {"a": 1}, "\0", "' OR 1=1 --")
]


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_wrong_value_in_any_field_is_answered(surviving_session: RawClient, kind: str) -> None:
    fields = REQUESTS[kind].model_fields
    for name in set(fields) - {"type", "id"}:
        for value in WRONG_VALUES:
            reply = surviving_session.ask_unparsable(kind, **{name: value})
            assert reply["type"] == "ok" or reply["code"] not in ("E100", "E500"), (name, value, reply)
            if reply["type"] == "error":
                assert len(json.dumps(reply)) < 2000
    assert surviving_session.ask(kind, surprise=1)["code"] == "E102"


BASE = ("type", "id")


def test_a_request_before_the_welcome_is_refused_unless_it_needs_no_fields(daemon: Daemon) -> None:
    """Most of these arrive before the hub has admitted the session; a few arrive after it."""
    for kind in REQUESTS:
        with RawClient(daemon.port, daemon.identity("mallory")).tls().envelope() as client:
            client.send({"type": kind, "id": 7})
            replies = {m["type"]: m for m in (client.receive(), client.receive())}
            assert replies.keys() <= {"welcome", "error", "ok"}
            if any(f.is_required() for name, f in REQUESTS[kind].model_fields.items() if name not in BASE):
                assert replies["error"]["code"] in ("E102", "E105", "E300")


def test_a_request_id_in_use_is_refused_until_its_request_is_answered(daemon: Daemon) -> None:
    with log_in(daemon, "mallory") as client:
        client.send(*({"type": "rooms", "id": 3} for _ in range(50)))
        replies = [client.receive() for _ in range(50)]
        assert {r["id"] for r in replies} == {3}
        assert {r.get("code", "ok") for r in replies} <= {"ok", "E105"}
        assert any(r["type"] == "ok" for r in replies)
        client.send({"type": "rooms", "id": 3})
        assert client.receive()["type"] == "ok"


def test_a_request_in_one_write_with_the_close_is_carried_out(daemon: Daemon) -> None:
    text = "last words"
    with log_in(daemon, "mallory") as client:
        request = frame({"type": "send", "id": 1, "msg_id": new_id(), "to": "#lobby", "body": text})
        client.send_plain(client.seal(request) + client.close_record())
        client.wait_for_end()

    def is_logged() -> bool:
        with log_in(daemon, "mallory") as reader:
            events = reader.ask("history", room="#lobby")["result"]["events"]
        return any(e.get("body") == text for e in events)

    wait_until(is_logged, what="the message sent before the close")
