"""Requests as they come off a link: read before any of them is decided."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject, compact, decode
from chatd.proto.requests import parse_request, request_id_of


class Arrival(NamedTuple):
    """What a client asks, or what kept it from being read. ``digest`` is a message's."""

    label: int
    request: rq.AnyRequest | Exception
    digest: bytes = b""


def read(payload: bytes) -> Arrival:
    """Read one request. Never raises: what is wrong is answered where all answers are given."""
    message: JsonObject = {}
    try:
        message = decode(payload)
        request = parse_request(message)
        return Arrival(request.id, request, _digest(request) if isinstance(request, rq.Send) else b"")
    except Exception as error:  # noqa: BLE001 - handed on
        return Arrival(request_id_of(message), error)


def _digest(request: rq.Send) -> bytes:
    """What tells a resent message from another one under the same msg_id."""
    parts = [request.to, request.kind, request.reply_to, request.body]
    return hashlib.sha256(compact(parts)).digest()[:16]
