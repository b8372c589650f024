"""Warn before an identity ends."""

from __future__ import annotations

from datetime import datetime

from chatd.codes import NEW_IDENTITY
from chatd.console.pasting import pasteable
from chatd.pki.identity import Identity


def expiry_warning(identity: Identity, now: datetime) -> str:
    """What to tell the owner of an identity that ends soon and was not renewed; "" for others."""
    if not identity.ends_soon(now):
        return ""
    days = (identity.not_after - now).days
    when = "today" if days < 1 else "tomorrow" if days == 1 else f"in {days} days"
    return (
        f"your identity ends {when} ({identity.not_after:%Y-%m-%d}) and is not renewed yet:"
        f" {renewal_advice(identity)}"
    )


def renewal_advice(identity: Identity) -> str:
    """Return advice for the owner of an identity that was not renewed in time."""
    if not (obstacle := identity.obstacle):
        return NEW_IDENTITY
    copy = f"~/{pasteable(identity.path.name)}"  # the shell expands no ~ in quotes
    return (
        f"{obstacle}, where its file would be replaced; make it writable for you, or use a copy:"
        f" {pasteable('cp', identity.path)} {copy}, then --identity {copy}"
    )
