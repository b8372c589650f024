"""When a certificate is renewed, and when its owner is warned because that has not happened."""

from __future__ import annotations

from datetime import datetime, timedelta

# The jitter spreads the renewals of a team that joined on one day.
_RENEW_AT = 2 / 3
_JITTER = 1 / 12
# From here on a renewal is late, so people are told.
_WARN_AT = 3 / 4
# They are told so long before the end at most: long enough to meet an admin.
_LONGEST_WARNING = timedelta(days=14)


def renewal_due(not_before: datetime, not_after: datetime, serial: int) -> datetime:
    """Return when a certificate is to be renewed: at two thirds of its life, or up to a twelfth of it later.

    The ``serial`` decides on the moment, so that it is the same after a restart.
    """
    return not_before + (not_after - not_before) * (_RENEW_AT + _JITTER * (serial % 1024) / 1024)


def warning_begins(not_before: datetime, not_after: datetime) -> datetime:
    """Return from when on the owner of a certificate is told that it ends."""
    late = not_before + (not_after - not_before) * _WARN_AT
    return max(late, not_after - _LONGEST_WARNING)
