"""What tells a resent message or edit from another one under the same msg_id."""

from __future__ import annotations

import hashlib

from chatd.proto.frames import compact
from chatd.proto.requests import Edit, Send


def digest_of(request: Send | Edit) -> bytes:
    """Return the first 16 bytes of the SHA-256 of a message's content."""
    parts: list[str | int | None]
    if isinstance(request, Edit):
        parts = [request.type, request.room, request.seq, request.body]
    else:
        parts = [request.to, request.kind, request.reply_to, request.body]
    return hashlib.sha256(compact(parts)).digest()[:16]
