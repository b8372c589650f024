"""Requests with the operator's authority: through its socket, or on the log if chatd is not running."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chatd.child.unix_socket import connect_unix
from chatd.cli.audit_lines import note_acts
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.recovery import Outcome, carry_out
from chatd.link.wire import LinkBuffer, pack
from chatd.proto.frames import HEADER_SIZE, JsonObject, decode, encode
from chatd.supervisor.control import ask

ANSWER_SECONDS = 10.0
# The request may have been carried out.
OUTCOME_UNKNOWN = ("E503", "E611")
_RECEIVE_BYTES = 64 * 1024


# Requests ahead of their replies: the hub decides them in one batch, and the socket holds them all.
WINDOW = 64


def operate(home: Path, settings: Settings, kind: str, **fields: object) -> JsonObject:
    """Carry out one request and return its result. Raises its error, E611, E606 or E503."""
    outcome = operate_all(home, settings, [{"type": kind, **fields}])[0]
    if isinstance(outcome, ChatdError):
        raise outcome
    return outcome


def operate_all(
    home: Path,
    settings: Settings,
    requests: Sequence[JsonObject],
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Carry out requests over one link; return a result or an error for each that was sent.

    The list is shorter than ``requests`` if the link fails; its last items are then E503 or E611, for those
    whose outcome is unknown. On the log itself all are carried out, or the first that is refused is raised.
    Raises E611 or E606 if there is no link.
    """
    numbered: list[JsonObject] = [{**request, "id": number} for number, request in enumerate(requests, 1)]
    try:
        ask(home, {"type": "ping"}, 2.0)
    except ChatdError as error:
        if error.code != "E603":
            raise
        results, events = carry_out(home / "data", settings, numbered)
        fields = ({k: v for k, v in event.items() if k not in ("type", "at")} for event in events)
        note_acts(home, [(event["type"], one) for event, one in zip(events, fields, strict=True)])
        return results
    return _over_socket(home / "run" / "operator.sock", numbered, progress)


def _over_socket(
    path: Path, requests: Sequence[JsonObject], progress: Callable[[int], None]
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    sent = 0
    try:
        with connect_unix(path, ANSWER_SECONDS) as sock:
            replies = _replies(sock)
            while len(outcomes) < len(requests):
                window = requests[sent : len(outcomes) + WINDOW]
                sent += len(window)
                if window:
                    sock.sendall(
                        b"".join(pack(["request", 0], encode(item)[HEADER_SIZE:]) for item in window)
                    )
                outcomes.append(_outcome(next(replies)))
                progress(len(outcomes))
    except (TimeoutError, OSError) as error:
        failure = _failure(path, error)
        if not sent:
            raise failure from None
        unknown = failure if failure.code in OUTCOME_UNKNOWN else ChatdError("E503")
        outcomes += [unknown] * (sent - len(outcomes))
    return outcomes


def _failure(path: Path, error: OSError) -> ChatdError:
    if isinstance(error, TimeoutError):
        return ChatdError("E611", "the hub did not answer in time")
    if isinstance(error, ConnectionResetError):
        return ChatdError("E503")
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | BrokenPipeError):
        return ChatdError("E611", "the hub is restarting", "try again in a moment")
    return ChatdError("E606", f"{path}: {error.strerror}")


def _outcome(reply: JsonObject) -> Outcome:
    if reply["type"] == "error":
        return ChatdError(reply["code"], reply["reason"], reply["fix"])
    result: JsonObject = reply["result"]
    return result


def _replies(sock: socket.socket) -> Iterator[JsonObject]:
    """Yield the replies, in the order of the requests. Raises TimeoutError, ConnectionResetError."""
    buffer = LinkBuffer()
    while True:
        # The socket's own timeout is ANSWER_SECONDS.
        data = sock.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError
        for header, payload in buffer.feed(data):
            if header[0] == "reply":
                yield decode(payload[HEADER_SIZE:])
