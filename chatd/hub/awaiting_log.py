"""Wait for the log of a home that joins a cluster: the nats process copies it from another node."""

from __future__ import annotations

import select
from collections.abc import Callable

from chatd.child.supervised import Supervised
from chatd.cluster.joining_note import joining_of
from chatd.errors import ChatdError

POLL_SECONDS = 0.1


def await_log(child: Supervised, progress: Callable[[], None]) -> None:
    """Return once no copy of the log is awaited. Raises E506 when the supervisor says drain, E606."""
    kept: list[dict[str, object]] = []
    try:
        while joining_of(child.home) is not None:
            if any(message["type"] == "drain" for message in kept):
                raise ChatdError("E506", "the log has not been copied from another node yet")
            progress()
            select.select([child], [], [], POLL_SECONDS)
            kept += child.receive()
    except OSError as error:
        raise ChatdError("E606", str(error)) from None
    finally:
        child.keep(kept)
