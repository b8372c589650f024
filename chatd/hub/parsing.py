"""Parse requests as they arrive on a link, all of one read before the first is decided."""

from __future__ import annotations

from typing import NamedTuple, cast

from chatd.errors import ChatdError
from chatd.proto import requests as rq
from chatd.proto.content_digest import digest_of
from chatd.proto.frames import JsonObject, decode
from chatd.proto.requests import RequestKind, parse_request, request_id_of


class Parsed(NamedTuple):
    """A request as parsed, or the error that parsing raised.

    ``digest`` identifies a message's content; ``payload`` is the request as it came.
    """

    request_id: int
    request: rq.AnyRequest | Exception
    digest: bytes = b""
    payload: bytes = b""


NO_REQUEST = Parsed(0, ChatdError("E500"))


def parse(payload: bytes) -> Parsed:
    """Parse one request. Never raises: `Hub` answers errors where it answers everything else."""
    message: JsonObject = {}
    try:
        message = decode(payload)
        request = parse_request(message)
        digest = digest_of(cast(rq.Send | rq.Edit, request)) if request.spec.kind is RequestKind.SEND else b""
        return Parsed(request.id, request, digest, payload)
    except Exception as error:  # noqa: BLE001 - returned
        return Parsed(request_id_of(message), error)
