"""`chat doctor`: find out on a member's machine why chatting does not work, and say what to do."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import click

from chatctl.client import (
    Client,
    Identity,
    Welcome,
    addresses_of,
    authority_of,
    identity_to_write,
    load_identity,
    reach,
)
from chatctl.connecting import root_options
from chatctl.model.expiring import renewal_advice
from chatd.codes import CODES
from chatd.console.findings import Finding, report
from chatd.errors import ChatdError
from chatd.pki.explain import expired
from chatd.pki.home_addresses import servers_of
from chatd.proto.alpn import is_loopback
from chatd.proto.durations import two_units
from chatd.proto.text import is_host_port

# A busy server takes seconds for a login; a larger difference is the clocks'.
CLOCK_SECONDS = 15
LOGIN_SECONDS = 20.0
# What a failed login says of the steps before it.
_BEFORE_TLS = frozenset({"E106", "E607", "E630"})
_OF_THE_SERVER = frozenset({"E107", "E209"})
_FULL_TERM = ("dumb", "unknown", "")


@click.command()
@click.argument("address", metavar="[HOST:PORT]", required=False)
@root_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON (with schema: 1) for programs.")
@click.pass_context
def doctor(
    context: click.Context, address: str | None, identity: str | None, home: str | None, as_json: bool
) -> int:
    """Check identity, network, server, clock and terminal, and say how to mend what is wrong.

    Tries each address in the identity file, or only HOST:PORT, also before you have joined. Logs in and sends
    nothing. Exit code 0: no
    problem; 7: warnings only; 1: a problem that needs action.
    """
    if address is not None and not is_host_port(address):
        raise click.UsageError(f"{address!r} is not HOST:PORT")
    root = context.find_root().params
    findings = examine(identity or root.get("identity"), home or root.get("home"), address)
    return report(findings, as_json=as_json)


def examine(option: str | None, home: str | None, address: str | None) -> Iterator[Finding]:
    """Go from the identity to the server, then to what this terminal can show."""
    identity: Identity | None = None
    try:
        identity = load_identity(option, home)
    except ChatdError as error:
        # Before joining there is none to be found, and the address can be checked all the same.
        named = option or home or os.environ.get("CHATD_IDENTITY") or os.environ.get("CHATD_HOME")
        joined = named or identity_to_write(None, os.environ).exists()
        yield _failed("identity", error)._replace(level="fail" if joined or not address else "warn")
    else:
        yield _identity(identity, time.time())
    servers = (address,) if address else servers_of(identity) if identity else ()
    yield from _network(servers, identity)
    if identity and not servers:
        yield _failed("network", ChatdError("E608", "the identity file names no address", "name HOST:PORT"))
    yield _terminal()
    yield _window()


def _failed(area: str, error: ChatdError) -> Finding:
    return Finding("fail", area, error.reason, error.code, error.fix)


def _identity(identity: Identity, now: float) -> Finding:
    """Its file was found, is its owner's only, and its key fits: see `read_identity`."""
    who = f"{identity.user}/{identity.device} of {identity.instance} in {identity.path}"
    left = int(identity.not_after.timestamp() - now)
    if left <= 0:
        return _failed("identity", expired(identity.not_after))
    if now < identity.not_before.timestamp():
        return _failed("identity", ChatdError("E203", f"{who} is not valid yet by this machine's clock"))
    if identity.ends_soon(datetime.fromtimestamp(now, UTC)):
        return Finding(
            "warn", "identity", f"{who} ends in {two_units(left)}", "W112", renewal_advice(identity)
        )
    return Finding("ok", "identity", f"{who}, valid for another {two_units(left)}")


def _network(servers: Iterable[str], identity: Identity | None) -> Iterator[Finding]:
    """Try every address. Once one has let us in, a failure of another is no more than a warning."""
    failed: list[list[Finding]] = []
    works = False
    for server in servers:
        steps = list(_server(server, identity))
        if steps[-1].level == "fail":
            failed.append(steps)
            continue
        works = True
        yield from steps
    for steps in failed:
        if not works:
            yield from steps
        elif not is_loopback(steps[0].text.rpartition(" is ")[2]):
            # A server names its loopback address, too, for clients on its own box.
            yield steps[-1]._replace(level="warn")


def _server(server: str, identity: Identity | None) -> Iterator[Finding]:
    """The steps to one address; the first that fails ends them."""
    try:
        found = addresses_of(server)
        yield Finding("ok", "name", f"{server} is {', '.join(found)}")
        yield Finding("ok", "network", f"{reach(server)} takes connections")
    except ChatdError as error:
        yield _failed("network", error)
        return
    if identity is None:
        yield _newcomer(server)
        return
    alone = dataclasses.replace(identity, servers=(server,))
    with Client(alone, live=False, reconnect=False) as client:
        try:
            welcome = client.wait_connected(LOGIN_SECONDS)
        except ChatdError as error:
            yield from _refused(server, error)
            return
    yield from _verified(server)
    yield Finding("ok", "login", f"{welcome.user} with the role {welcome.role}; chatd {welcome.version}")
    yield _clock(welcome, time.time())


def _verified(server: str) -> Iterator[Finding]:
    yield Finding("ok", "tls", f"{server} is a chatd")
    yield Finding("ok", "ca", "its certificate is from the CA in the identity file")


def _refused(server: str, error: ChatdError) -> Iterator[Finding]:
    if error.code in _BEFORE_TLS:
        yield _failed("tls", error)
        return
    if error.code in _OF_THE_SERVER:
        yield _failed("ca" if error.code == "E209" else "tls", error)
        return
    # TLS 1.3: a client has verified the server before the server judges the client.
    yield from _verified(server)
    yield _failed("clock" if error.code in ("E203", "E204") else "login", error)


def _newcomer(server: str) -> Finding:
    """Without an identity, what the server says of itself; nothing vouches for it."""
    try:
        return Finding(
            "ok", "ca", f"{server} shows the CA {authority_of(server)}; compare it: chatd cert show"
        )
    except ChatdError as error:
        return _failed("tls", error)


def _clock(welcome: Welcome, now: float) -> Finding:
    ahead = int(now - welcome.time / 1000)
    if abs(ahead) < CLOCK_SECONDS:
        return Finding("ok", "clock", f"within {CLOCK_SECONDS} seconds of the server's")
    side = "ahead of" if ahead > 0 else "behind"
    text = f"this machine's clock is {two_units(abs(ahead))} {side} the server's"
    return Finding("warn", "clock", text, "E204", CODES["E204"].fix)


def _terminal() -> Finding:
    encoding = (sys.stdout.encoding or "").lower().replace("_", "-")
    if encoding not in ("utf-8", "utf8"):
        text = f"the locale's encoding is {encoding or 'unknown'}: other letters are shown as escapes"
        return Finding("warn", "terminal", text, "W130", CODES["W130"].fix)
    if os.environ.get("TERM", "") in _FULL_TERM:
        return Finding("ok", "terminal", "UTF-8; TERM names no terminal, so that chat works as in a pipe")
    return Finding("ok", "terminal", f"UTF-8 on {os.environ['TERM']}")


def _window() -> Finding:
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return Finding("ok", "window", "there is no desktop here, so that chat window cannot be used")
    if importlib.util.find_spec("_tkinter") is None:
        return Finding("warn", "window", "this Python has no Tk for chat window", "W131", CODES["W131"].fix)
    if not os.environ.get("DISPLAY"):
        return Finding("warn", "window", "Tk needs X11, and DISPLAY is not set", "W131", "start Xwayland")
    return Finding("ok", "window", "this Python has Tk, and there is a desktop")
