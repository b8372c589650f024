"""Warn before an identity ends."""

from __future__ import annotations

from datetime import datetime

from chatd.codes import NEW_IDENTITY
from chatd.pki.identity import IDENTITY_WARNING_DAYS


def expiry_warning(not_after: datetime, now: datetime) -> str:
    """What to tell the owner of an identity that ends within `IDENTITY_WARNING_DAYS`; "" for others."""
    days = (not_after - now).days
    if days >= IDENTITY_WARNING_DAYS:
        return ""
    when = "today" if days < 1 else "tomorrow" if days == 1 else f"in {days} days"
    return f"your identity ends {when} ({not_after:%Y-%m-%d}): {NEW_IDENTITY}"
