"""Refuse, before it is sent, what no server accepts."""

from __future__ import annotations

from chatctl.client._notices import Sent
from chatctl.client._session import send_frame
from chatd.errors import ChatdError
from chatd.proto.frames import HEADER_SIZE, INTEGER_LIMIT, STRING_LIMIT, JsonObject, decode, encode


def check_message(sent: Sent) -> None:
    """Raise E401, E402 or E102 for a message that no server accepts."""
    if len(sent.body) > STRING_LIMIT:
        raise ChatdError(
            "E401", f"the message has {len(sent.body)} characters; at most {STRING_LIMIT} can be sent"
        )
    check_request(send_frame(INTEGER_LIMIT, sent))


def check_stored(sent: Sent) -> None:
    """Raise E401, E402 or E102 for a message from a file, which may be damaged, that no server accepts."""
    # Few programs find such a message, and loading the table of requests takes long.
    from chatd.proto.requests import parse_request

    check_message(sent)
    parse_request(send_frame(INTEGER_LIMIT, sent))


def check_request(frame: JsonObject) -> None:
    """Refuse, in the caller's thread, a frame that the server could not read.

    The server would answer it without the request's id, and the client would wait until it times out. Raises
    E101 or E102 for a frame out of bounds, E401 or E402 for a text that cannot be encoded. Names and fields
    are judged by the server.
    """
    try:
        decode(encode(frame)[HEADER_SIZE:])
    except UnicodeEncodeError:
        raise ChatdError("E402", "the text is not valid Unicode", "write it again") from None
    except TypeError as error:
        raise ChatdError("E102", f"a field is not JSON: {error}", "pass text, numbers or lists") from None
    except ValueError:
        raise ChatdError("E401", "the message is too long to be sent") from None
