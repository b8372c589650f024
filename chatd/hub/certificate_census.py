"""How many devices have a certificate that has ended or ends soon; each look counts some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatd.hub.state.entities import DAY_MS
from chatd.hub.state.state_tables import StateTables

# Devices that one look counts: 2 ms of the hub's loop. The counts of larger servers need several looks.
LOOKED_AT: Final = 5_000
# By the days left. Renewals come when a third of the life is left, 10 of 30 days: a week's is late.
_BOUNDS: Final = (("past", 0), ("7d", 7), ("30d", 30))
_LATER: Final = "later"


class CertificateCensus:
    """Counts of devices that are not revoked, and whose certificate's end is known."""

    def __init__(self) -> None:
        self._after = ""  # the last user that is counted
        self._counting = _zeros()
        self._counts: Mapping[str, int] = {}

    def look(self, state: StateTables, now: int) -> Mapping[str, int]:
        """Go on counting; return the last complete counts, none before the first."""
        looked = 0
        for name in state.user_names.between(self._after):
            if looked >= LOOKED_AT:
                return self._counts
            self._after = name
            devices = state.users[name].devices.values()
            looked += max(1, len(devices))
            for device in devices:
                if not device.revoked and device.ends is not None:
                    self._counting[_left(device.ends, now)] += 1
        self._counts, self._counting, self._after = self._counting, _zeros(), ""
        return self._counts


def _zeros() -> dict[str, int]:
    return {label: 0 for label, _ in _BOUNDS} | {_LATER: 0}


def _left(ends: int, now: int) -> str:
    return next((label for label, days in _BOUNDS if ends <= now + days * DAY_MS), _LATER)
