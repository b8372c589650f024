"""The shipper process: send the log to the collector until the supervisor says drain."""

from __future__ import annotations

import select
import socket
from functools import partial
from pathlib import PurePath

from chatd.child.sandbox import Sandbox
from chatd.child.supervised import Supervised, ended
from chatd.config.home import SHIPPED_FOLDER
from chatd.errors import ChatdError
from chatd.shipping.collector_link import CollectorLink, collector_context
from chatd.shipping.log_follower import LogFollower
from chatd.shipping.shipper import Shipper, load_position

TICK_SECONDS = 1.0
# A collector that takes what is left within this gets it before the server stops.
DRAIN_SECONDS = 2.0


def main() -> int:
    """Run the shipper process; the exit code tells the supervisor whether to start it again."""
    child = Supervised.attach(Sandbox(writable=(SHIPPED_FOLDER,), reads_logs=True, network=True))
    try:
        settings = child.settings
        files = child.read_files() if settings.shipping.files else {}
        context = collector_context(files, settings.shipping)
        path = child.home / settings.logging.directory / settings.logging.file
        state = child.home / SHIPPED_FOLDER / f"{PurePath(settings.logging.file).name}.json"
        shipper = Shipper(
            LogFollower(path, load_position(state)),
            partial(CollectorLink, settings.shipping.syslog, context),
            settings.shipping.host_name or socket.gethostname(),
            state,
        )
        shipper.start()
        child.ready()
        if not _serve(child, shipper):
            return 1  # a bug ended the thread, which has told stderr
    except ChatdError as error:
        return ended("shipper_ended", error)
    return 0


def _serve(child: Supervised, shipper: Shipper) -> bool:
    """Return whether the supervisor has said drain."""
    while shipper.is_alive():
        select.select([child], [], [], TICK_SECONDS)
        if any(message["type"] == "drain" for message in child.receive()):
            shipper.stop(DRAIN_SECONDS)
            return True
        child.report(shipper.report())
    return False
