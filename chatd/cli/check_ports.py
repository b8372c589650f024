"""The part of ``chatd check`` about the addresses that a stopped server will listen on."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from chatd.config.schema import Settings
from chatd.console.findings import Finding
from chatd.errors import ChatdError
from chatd.supervisor.listeners import cannot_listen, gateway_place, gateway_refusal, why_not_bound


def port_findings(settings: Settings) -> Iterator[Finding]:
    """Warn of each address on which the next start could not listen, and name the program that does."""
    server = settings.server
    if (refusal := refusal_of(server.host, server.port)) is not None:
        yield Finding("warn", "port", refusal.reason, refusal.code, refusal.fix)
    if not settings.gateway.listen:
        return
    if (refusal := refusal_of(*gateway_place(settings.gateway.listen))) is not None:
        refusal = gateway_refusal(refusal)
        yield Finding("warn", "port", refusal.reason, refusal.code, refusal.fix)


def refusal_of(host: str, port: int) -> ChatdError | None:
    """Return the E605 of a server that would listen there now; None if it could, or only its service can."""
    obstacle = why_not_bound(host, port)
    # The service may have the right to a low port that whoever checks has not.
    if obstacle is None or obstacle.errno == errno.EACCES:
        return None
    refusal = cannot_listen(host, port, obstacle)
    who = listener_on(port) if obstacle.errno == errno.EADDRINUSE else ""
    return ChatdError(refusal.code, refusal.reason + (f" by {who}" if who else ""), refusal.fix)


def listener_on(port: int) -> str:
    """Name the program that listens on a TCP port; "" for one of another user, which only root can see."""
    import psutil  # takes long to load

    try:
        for found in psutil.net_connections("tcp"):
            place = found.laddr if found.status == psutil.CONN_LISTEN and found.pid else None
            if place and place.port == port:
                return f"{psutil.Process(found.pid).name()}, pid {found.pid}"
    except (psutil.Error, OSError):
        return ""
    return ""
