"""From the state machine's events to the log's entries."""

from __future__ import annotations

from chatd.hub.state.context import Principal
from chatd.hub.state.model import audience_of
from chatd.proto.frames import JsonObject, compact
from chatd.store.entry import Entry


def to_entry(event: JsonObject, who: Principal, digest: bytes | None = None) -> Entry:
    """The log's entry for an event that ``who`` brought about. ``digest``: see `Entry`."""
    kind, seq, at = event["type"], event["seq"], event["at"]
    if kind == "message":
        msg_id = bytes.fromhex(event["msg_id"])
        return Entry(seq, at, kind, event["room"], who.device_id, msg_id, digest, compact(event))
    return Entry(seq, at, kind, audience_of(event), who.device_id, None, None, compact(event))
