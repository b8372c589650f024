"""Targets for what arrives on a connection or a link: frames, lengths, requests, events of the server."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from chatd.errors import ChatdError
from chatd.link.wire import LINK_FRAME_LIMIT, LinkBuffer, pack
from chatd.logs.line_buffer import LineBuffer
from chatd.proto.events import EVENTS, AnyFromServer, error_frame, parse_from_server
from chatd.proto.frames import PAYLOAD_LIMIT, _decode_any, _decode_flat, compact, decode, encode, frame, split
from chatd.proto.length_prefix import take_message
from chatd.proto.requests import REQUESTS, parse_request, request_id_of
from chatd.proto.unsealed import PlainOpener, PlainSealer
from tests.fuzz.byte_source import ByteSource
from tests.fuzz.expected_refusals import refused
from tests.support.harmless import assert_harmless

NAMES = ("alice", "bob", "a", "ALICE", "x" * 32, "x" * 33)
ROOMS = ("#lobby", "#war", "@alice,bob", "@bob", "@alice,alice", "#", "", "&lobby")
TIMES = (0, 1, 1_795_442_531_000, -1, 10**15, 2**53)
SEQS = (0, 1, 2, 3, 7, 2**53)
# Values that a field of this name usually has.
LIKELY: dict[str, Any] = {
    "id": (1, 2, 3, 2**53),
    **dict.fromkeys(("seq", "target", "upto", "before", "after", "reply_to", "head", "cursor"), SEQS),
    **dict.fromkeys(("user", "by", "device", "server", "instance"), NAMES),
    **dict.fromkeys(("room", "to"), ROOMS),
    **dict.fromkeys(("guests", "on", "dry_run", "retry", "envelope", "more"), (True, False)),
    **dict.fromkeys(("seconds", "count", "limit", "protocol"), (1, 60, 500, 501)),
    **dict.fromkeys(("at", "time"), TIMES),
    "role": ("user", "admin", "guest", "auditor"),
    "kind": ("text", "action", "other"),
    "msg_id": ("0" * 32, "a" * 32, "A" * 32, "0" * 31),
    "serial": ("1", "ab", "f" * 40, "f" * 41),
    "state": ("online", "offline", "away"),
    "cause": ("kicked", "banned", None),
    "code": ("E300", "E502", "E503", "E504", "E208", "E999", ""),
    "rooms": ([], ["#lobby"], ["#war", "@alice,bob"]),
    "permissions": ([], ["message.send", "room.list"]),
    "lineage": ([], [{"id": "0" * 32, "began": 0}], [{"id": "1" * 32, "began": 2}]),
    "result": ({}, {"seq": 7, "at": 1}, {"events": [], "cursor": 3, "more": False}),
    "limits": (
        dict.fromkeys(
            (
                *("message_chars", "topic_chars", "rooms", "history_on_join", "idle_seconds"),
                *("messages_per_minute", "burst"),
            ),
            60,
        ),
    ),
}


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal including their types: to Python, True == 1 == 1.0."""
    return repr(one) == repr(other)


def frames(data: bytes) -> None:
    """A record is split and decoded as the json module does it, or refused with E100, E101, E102."""
    payloads = refused(lambda: list(split(data)), "E100")
    if payloads is not None:
        assert b"".join(map(frame, payloads)) == data
    for payload in [data, *(payloads or ())]:
        value = refused(partial(decode, payload), "E101", "E102")
        flat = _decode_flat(payload) if len(payload) <= PAYLOAD_LIMIT else None
        if flat is not None:
            assert same(flat, _decode_any(payload)), "the fast decoder differs from the strict one"
        if value is not None:
            assert same(value, json.loads(payload))
            assert same(decode(compact(value)), value)


def lengths(data: bytes) -> None:
    """Messages and lines come out the same however the stream is cut, and none is over its limit."""
    source = ByteSource(data)
    limit, minimum = source.below(300) + 1, source.below(2)
    stream = source.blob() + source.blob() + source.take(1024)
    whole, cut = _messages([stream], limit, minimum), _messages(source.pieces(stream), limit, minimum)
    assert whole == cut
    assert all(minimum <= len(message) <= limit for message in whole[0])
    lines = LineBuffer(limit)
    found = [line for piece in source.pieces(stream) for line in lines.feed(piece)]
    assert all(len(line) <= limit and b"\n" not in line for line in found)
    if all(len(line) <= limit for line in stream.split(b"\n")):
        assert [*found, lines.take_partial()] == stream.split(b"\n")


def _messages(pieces: list[bytes], limit: int, minimum: int) -> tuple[list[bytes], str]:
    buffer, found = bytearray(), []
    try:
        for piece in pieces:
            buffer += piece
            while (message := take_message(buffer, limit, "E104", minimum=minimum)) is not None:
                found.append(message)
    except ChatdError as error:
        return found, error.code
    assert len(buffer) < limit + 4
    return found, ""


def plain_records(data: bytes) -> None:
    """Records without the envelope: the same payloads however cut, E100 or E101 for anything else."""
    source = ByteSource(data)
    sealer = PlainSealer()
    payloads = [source.blob() or b"x" for _ in range(source.below(4))]
    stream = b"".join(map(sealer.seal, payloads)) + (sealer.close() if source.byte() & 1 else b"")
    altered = source.altered(stream)
    whole, cut = _opened([altered]), _opened(source.pieces(altered))
    assert whole[1] == cut[1]
    assert whole[1] or whole == cut
    if altered == stream:
        assert whole == (payloads, "")


def _opened(pieces: list[bytes]) -> tuple[list[bytes], str]:
    opener, found = PlainOpener(), []
    try:
        for piece in pieces:
            found += opener.feed(piece)
    except ChatdError as error:
        assert error.code in ("E100", "E101")
        return found, error.code
    return found, ""


def link_frames(data: bytes) -> None:
    """Link frames come back as packed, the same however cut; only ValueError for anything else."""
    source = ByteSource(data)
    sent = [([source.choice(("hello", "open", "reply")), source.value()], source.blob()) for _ in range(2)]
    stream = b"".join(pack(header, payload) for header, payload in sent if _packable(header))
    altered = source.altered(stream)
    whole, cut = _link_frames([altered]), _link_frames(source.pieces(altered))
    assert same(whole, cut)
    if altered == stream and all(_packable(header) for header, _ in sent):
        assert same(whole, (sent, False))


def _packable(header: list[Any]) -> bool:
    try:
        return len(pack(header)) < LINK_FRAME_LIMIT
    except TypeError:  # orjson refuses lone surrogates and integers over 64 bits
        return False


def _link_frames(pieces: list[bytes]) -> tuple[list[tuple[list[Any], bytes]], bool]:
    buffer = LinkBuffer()
    found: list[tuple[list[Any], bytes]] = []
    try:
        for piece in pieces:
            found += [item for item in buffer.feed(piece)]  # noqa: C416 - keeps what came before an error
    except ValueError:
        return [], True
    return found, False


def requests(data: bytes) -> None:
    """A request keeps every field it was sent with, or is refused with E102 or E103 in a short frame."""
    source = ByteSource(data)
    kind = source.choice([*REQUESTS, "unknown"])
    model = REQUESTS.get(kind)
    message = source.fields(sorted(model.model_fields if model else LIKELY), LIKELY)
    message["type"] = source.value() if source.byte() == 1 else kind
    assert request_id_of(message) >= 0
    try:
        request = parse_request(message)
    except ChatdError as error:
        assert error.code in ("E102", "E103")
        reply = error_frame(request_id_of(message), error)
        assert_harmless(reply["reason"])
        assert len(encode(reply)) < 2048
        return
    assert same(
        request.model_dump(include=set(message)),
        {k: message[k] for k in request.model_dump() if k in message},
    )
    assert message.keys() <= request.model_dump().keys()


def server_frame(source: ByteSource) -> dict[str, Any]:
    """Return a frame of a server, well-formed or not."""
    kind = source.choice([*EVENTS, "unknown"])
    model = EVENTS.get(kind)
    message = source.fields(sorted(model.fields() if model else LIKELY), LIKELY)
    message["type"] = source.value() if source.byte() == 1 else kind
    return message


def server_events(data: bytes) -> None:
    """A client parses any frame into an event, ignores an unknown one, or refuses it with E100."""
    message = server_frame(ByteSource(data))
    event: AnyFromServer | None = refused(lambda: parse_from_server(message), "E100")
    if event is not None:
        known = {name: value for name, value in message.items() if name in type(event).fields()}
        if event.type not in ("welcome",):
            dumped = {name: value for name, value in event.model_dump().items() if name in known}
            assert same(dumped, {name: known[name] for name in dumped})


def frame_seeds() -> list[bytes]:
    """Records of requests, and payloads that tests name."""
    objects: list[dict[str, Any]] = [
        {"type": "send", "id": 1, "to": "#war", "body": "x", "msg_id": "0" * 32},
        {},
        {"a": [{"b": 0.5}]},
    ]
    texts = [
        '{"a":1,"a":2}',
        "NaN",
        '{"a":1e999}',
        '{"a":"\\ud800"}',
        "[" * 2000,
        '{"a":"' + '\\"' * 500,
        '{"a":-0}',
    ]
    return [b"".join(map(encode, objects)), *map(compact, objects), *(text.encode() for text in texts)]
