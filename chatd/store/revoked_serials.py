"""The serial numbers of revoked certificates. The log has them all; the state forgets replaced ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import orjson

from chatd.proto.frames import JsonObject
from chatd.store.database import connect_reader, storage_errors
from chatd.store.log_reader import COLUMNS, to_entry
from chatd.store.migrations import require_schema

# "+seq": SQLite then finds the few events by their kind, instead of reading the whole log in order.
_ROWS = f"""SELECT {COLUMNS} FROM events WHERE kind <> 'message'
 AND kind IN ('device_added', 'device_renewed', 'device_revoked', 'guest_ended', 'user_removed')
 ORDER BY +seq"""  # noqa: S608


class RevokedSerial(NamedTuple):
    """A revoked certificate: ``serial`` in hex, ``at`` and ``ends`` in ms since 1970.

    ``ends`` is None if the log does not say when the certificate ends.
    """

    serial: str
    at: int
    ends: int | None


def read_revoked(data: Path) -> list[RevokedSerial]:
    """Return all revoked certificates, in the order of their revocation; a hub may write meanwhile.

    Raises E610 for damage, E504 if the log cannot be read.
    """
    with storage_errors("read the event log"):
        connection = connect_reader(data)
        try:
            require_schema(connection)
            return revoked_by(orjson.loads(to_entry(row).body) for row in connection.execute(_ROWS))
        finally:
            connection.close()


def revoked_by(events: Iterable[JsonObject]) -> list[RevokedSerial]:
    """Return the certificates that these events revoke: all that a device has had, not just its last."""
    issued: dict[str, dict[str, list[tuple[str, int | None]]]] = defaultdict(lambda: defaultdict(list))
    revoked: dict[str, RevokedSerial] = {}
    for event in events:
        match event["type"]:
            case "device_added" | "device_renewed":
                issued[event["user"]][event["device"]].append((event["serial"], event.get("ends")))
                continue
            case "device_revoked":
                ended = [event["device"]]
            case "guest_ended" | "user_removed":  # every device that the user has then
                ended = list(issued[event["user"]])
            case _:
                continue
        for serial, ends in (one for device in ended for one in issued[event["user"]][device]):
            revoked.setdefault(serial, RevokedSerial(serial, event["at"], ends))
    return list(revoked.values())
