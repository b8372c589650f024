"""The part of ``chatd check`` about the CA: how long it lasts, and where its key is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from chatd.codes import CODES
from chatd.config.home import Home
from chatd.console.findings import Finding
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.pki.authority import CA_WARNING_DAYS, Authority, load_roots
from chatd.pki.profiles import NEW_HOME


def authority_findings(home: Home) -> Iterator[Finding]:
    """Say when the CA ends, and whether something can be issued."""
    try:
        ca, *old = load_roots(home.certs)
    except ChatdError as error:
        yield Finding("fail", "cert", error.reason, "E606", error.fix)
        return
    now = datetime.now(UTC)
    days = (ca.not_valid_after_utc - now).days
    if ca.not_valid_before_utc > now:
        yield Finding("fail", "clock", "certs/ca.pem is not valid yet", "E612", CODES["E612"].fix)
    elif days < 0:
        yield Finding("fail", "cert", "the CA has ended", "E202", NEW_HOME)
    elif days < CA_WARNING_DAYS:
        text = f"the CA ends in {days} days; every device has to renew under a new one before that"
        yield Finding("warn", "cert", text, "W112", chatd_command(home.path, "ca", "rotate"))
    else:
        yield Finding("ok", "cert", f"ca certificate is valid for {days} days")
    for one in old:
        left = (one.not_valid_after_utc - now).days
        text = f"the old CA is accepted, too; it ends in {left} days"
        fix = chatd_command(home.path, "ca", "retire")
        soon = left < CA_WARNING_DAYS // 2
        yield Finding("warn", "cert", text, "W112", fix) if soon else Finding("ok", "cert", text)
    yield _key(home)


def _key(home: Home) -> Finding:
    try:
        Authority.load(home.certs)
    except ChatdError as error:
        if error.code == "E620":
            fix = f"{chatd_command(home.path, 'ca', 'import')} FILE"
            text = f"{error.reason}: nobody can be added, and no certificate renewed"
            return Finding("warn", "keys", text, "W118", fix)
        return Finding("fail", "keys", error.reason, error.code, error.fix)
    return Finding("ok", "keys", "the CA's key is on this server")
