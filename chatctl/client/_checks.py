"""Refuse, before it is sent, what no server accepts."""

from __future__ import annotations

from chatctl.client._notices import Sent
from chatctl.client._session import send_frame
from chatd.errors import ChatdError
from chatd.proto.frames import INTEGER_LIMIT, STRING_LIMIT, JsonObject, encode
from chatd.proto.requests import AnyRequest, parse_request


def check_message(sent: Sent) -> None:
    """Raise E401, E402 or E102 for a message that no server accepts."""
    if len(sent.body) > STRING_LIMIT:
        raise ChatdError(
            "E401", f"the message has {len(sent.body)} characters; at most {STRING_LIMIT} can be sent"
        )
    check_request(send_frame(INTEGER_LIMIT, sent))


def check_request(frame: JsonObject) -> AnyRequest:
    """Parse a request as the server will, in the caller's thread.

    Otherwise the server would end the connection, and the client would send the request again until it times
    out. Raises E102 or E103 for a request that does not exist or has a wrong field, E401 or E402 for a text
    that cannot be encoded.
    """
    try:
        encode(frame)
    except UnicodeEncodeError:
        raise ChatdError("E402", "the text is not valid Unicode", "write it again") from None
    except ValueError:
        raise ChatdError("E401", "the message is too long to be sent") from None
    except TypeError:
        pass  # no JSON at all; the parser names the field
    try:
        return parse_request(frame)
    except ChatdError as error:
        raise ChatdError(
            error.code, error.reason, "see docs/protocol.md for requests and their fields"
        ) from None
