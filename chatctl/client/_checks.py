"""Refuse, before it is sent, what no server accepts."""

from __future__ import annotations

from chatctl.client._notices import Sent
from chatctl.client._session import send_frame
from chatd.errors import ChatdError
from chatd.proto.frames import (
    FRAME_LIMIT,
    HEADER_SIZE,
    INTEGER_LIMIT,
    STRING_LIMIT,
    JsonObject,
    compact,
    decode,
    encode,
)

KINDS = ("text", "action", "snippet")


def check_message(sent: Sent) -> None:
    """Raise E401, E402 or E102 for a message that no server accepts."""
    if len(sent.body) > STRING_LIMIT:
        raise ChatdError(
            "E401", f"the message has {len(sent.body)} characters; at most {STRING_LIMIT} can be sent"
        )
    frame = send_frame(INTEGER_LIMIT, sent)
    if frame.get("kind", "text") not in KINDS:
        raise _wrong_field(frame, "kind", f"is none of {', '.join(KINDS)}")
    for name in ("reply_to", "seq"):
        value = frame.get(name, 0)
        if type(value) is not int or value < 0:
            raise _wrong_field(frame, name, "is no number of a message")
    check_request(frame)


def check_stored(sent: Sent) -> None:
    """Raise E401, E402 or E102 for a message from a file, which may be damaged, that no server accepts."""
    # Few programs find such a message, and loading the table of requests takes long.
    from chatd.proto.requests import parse_request

    check_message(sent)
    parse_request(send_frame(INTEGER_LIMIT, sent))


def check_request(frame: JsonObject) -> None:
    """Refuse, in the caller's thread, a frame that the server could not read.

    The server would answer it without the request's id, and the client would wait until it times out. Raises
    E102 for a field that JSON cannot hold, E401 or E402 for a text that cannot be encoded. The server judges
    names and fields.
    """
    for name, value in frame.items():
        if isinstance(value, int | float) and not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:
            raise _wrong_field(frame, name, "is out of bounds")
    try:
        decode(encode(frame)[HEADER_SIZE:])
    except UnicodeEncodeError:
        raise ChatdError("E402", "the text is not valid Unicode", "write it again") from None
    except TypeError:
        name = next(name for name, value in frame.items() if not _is_json(value))
        raise _wrong_field(frame, name, "is not JSON") from None
    except ValueError:
        size = HEADER_SIZE + len(compact(frame))
        reason = f"the message takes {size} bytes on the wire; at most {FRAME_LIMIT} can be sent"
        raise ChatdError("E401", reason) from None


def _is_json(value: object) -> bool:
    try:
        encode({"value": value})
    except TypeError:
        return False
    return True


def _wrong_field(frame: JsonObject, name: str, why: str) -> ChatdError:
    return ChatdError("E102", f"{frame['type']}: field {name} {why}", "pass text, numbers or lists")
