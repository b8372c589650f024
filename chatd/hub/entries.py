"""From the state machine's events to the log's entries."""

from __future__ import annotations

from chatd.hub.state.model import audience_of
from chatd.hub.state.turn import Principal
from chatd.proto.frames import JsonObject, compact
from chatd.store.records import Entry


def to_entry(event: JsonObject, who: Principal, digest: bytes | None = None) -> Entry:
    """The log's entry for an event that ``who`` brought about. ``digest``: see `Entry`."""
    message = event["type"] == "message"
    return Entry(
        seq=event["seq"],
        at=event["at"],
        kind=event["type"],
        room=audience_of(event),
        device=who.label,
        msg_id=bytes.fromhex(event["msg_id"]) if message else None,
        digest=digest if message else None,
        body=compact(event),
    )
