"""Requests with the operator's authority: through its socket, or on the log if chatd is not running."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from chatd.child.unix_socket import connect_unix
from chatd.cli.audit_lines import note_act
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.recovery import carry_out
from chatd.link.wire import LinkBuffer, pack
from chatd.proto.frames import HEADER_SIZE, JsonObject, decode, encode
from chatd.supervisor.control import ask

ANSWER_SECONDS = 10.0
_RECEIVE_BYTES = 64 * 1024


def operate(home: Path, settings: Settings, kind: str, **fields: object) -> JsonObject:
    """Carry out one request and return its result. Raises its error, E611, E606 or E503."""
    request: JsonObject = {"type": kind, "id": 1, **fields}
    try:
        ask(home, {"type": "ping"}, 2.0)
    except ChatdError as error:
        if error.code != "E603":
            raise
        result, events = carry_out(home / "data", settings, request)
        for event in events:
            note_act(home, event["type"], **{k: v for k, v in event.items() if k not in ("type", "at")})
        return result
    return _over_socket(home / "run" / "operator.sock", request)


def _over_socket(path: Path, request: JsonObject) -> JsonObject:
    try:
        with connect_unix(path, ANSWER_SECONDS) as sock:
            sock.sendall(pack(["request", 0], encode(request)[HEADER_SIZE:]))
            reply = _first_reply(sock)
    except TimeoutError:
        raise ChatdError("E611", "the hub did not answer in time") from None
    except ConnectionResetError:
        raise ChatdError("E503") from None
    except (FileNotFoundError, ConnectionRefusedError, BrokenPipeError):
        raise ChatdError("E611", "the hub is restarting", "try again in a moment") from None
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from None
    if reply["type"] == "error":
        raise ChatdError(reply["code"], reply["reason"], reply["fix"])
    result: JsonObject = reply["result"]
    return result


def _first_reply(sock: socket.socket) -> JsonObject:
    buffer, deadline = LinkBuffer(), time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        data = sock.recv(_RECEIVE_BYTES)
        if not data:
            raise ChatdError("E503")
        for header, payload in buffer.feed(data):
            if header[0] == "reply":
                return decode(payload[HEADER_SIZE:])
    raise TimeoutError
