"""Log lines as syslog messages (RFC 5424), framed for TLS (RFC 5425, 4.3: octet counting)."""

from __future__ import annotations

import re
from typing import Final

import orjson

from chatd import __version__
from chatd.logs.logger import DEFAULT_SEVERITY, SEVERITIES
from chatd.proto.frames import JsonObject

# Facilities (RFC 5424, 6.2.1): what unknown peers can cause, acts of admins, all else.
_FACILITIES: Final = {"security": 10, "audit": 13}
_OTHERS: Final = 16  # local0
_ORIGIN: Final = f'[origin software="chatd" swVersion="{__version__}"]'
_NOT_PRINTED: Final = re.compile(r"[^\x21-\x7e]")
# Longest HOSTNAME, PROCID and MSGID.
_HOST_CHARS, _PROCESS_CHARS, _KIND_CHARS = 255, 128, 32


def syslog_message(line: bytes, host: str) -> bytes:
    """Return a line of the log, a JSON object, as one framed message.

    The object follows the cookie "@cee: ", by which collectors recognize structured text.
    """
    record = _record(line)
    facility = _FACILITIES.get(str(record.get("cat")), _OTHERS)
    severity = SEVERITIES.get(str(record.get("level")), DEFAULT_SEVERITY)
    header = " ".join(
        (
            f"<{facility * 8 + severity}>1",
            _word(record.get("at"), 32),
            _word(host, _HOST_CHARS),
            "chatd",
            _word(record.get("proc"), _PROCESS_CHARS),
            _word(record.get("event"), _KIND_CHARS),
            _ORIGIN,
        )
    )
    message = header.encode("ascii") + b" @cee: " + line
    return b"%d %s" % (len(message), message)


def _record(line: bytes) -> JsonObject:
    """Return the record of a line; empty if another program wrote the line."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _word(value: object, limit: int) -> str:
    """Return a header's field: printable ASCII without spaces, "-" for none."""
    return _NOT_PRINTED.sub("_", str(value or ""))[:limit] or "-"
