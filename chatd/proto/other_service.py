"""Recognise by its first bytes a service that is not chatd."""

from __future__ import annotations

from chatd.errors import ChatdError

# TLS records begin with a content type, then the major version 3 (RFC 8446, 5.1).
_TLS_TYPES = frozenset(range(20, 25))
_TLS_MAJOR = 3
# The longest beginning below.
LOOK_AT = 5
_BEGINNINGS = {
    b"HTTP": "HTTP",
    b"SSH-": "SSH",
    b"220 ": "FTP or SMTP",
    b"220-": "FTP or SMTP",
    b"<?xml": "XML",
}


def refuse_other_service(server: str, first: bytes) -> None:
    """Raise E630 if ``first``, the first bytes from ``server``, do not begin a TLS record."""
    if not first or (first[0] in _TLS_TYPES and first[1:2] in (b"", bytes([_TLS_MAJOR]))):
        return
    spoken = next((name for start, name in _BEGINNINGS.items() if first.startswith(start)), "")
    raise ChatdError("E630", f"{server} answers with {spoken or 'something that is not TLS'}, not as a chatd")
