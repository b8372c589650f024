"""The enrol process: load the keys, then serve."""

from __future__ import annotations

import socket

from chatd.child.sandbox import Sandbox
from chatd.child.supervised import Supervised, ended
from chatd.child.unix_socket import connect_unix
from chatd.enrol.enrol_loop import EnrolLoop
from chatd.errors import ChatdError
from chatd.link.hub_desk import HubDesk


def main() -> int:
    """Run the enrol process; the exit code tells the supervisor whether to start it again."""
    child = Supervised.attach(Sandbox())
    try:
        door = socket.socket(fileno=child.fd("enrol_in"))
        path = child.home / "run" / "hub.sock"
        hub = HubDesk(lambda: connect_unix(path), lost_fix="try again with the same invite")
        loop = EnrolLoop(child, door, hub)
        child.ready()
        loop.run()
    except ChatdError as error:
        return ended("enrol_ended", error)
    return 0
