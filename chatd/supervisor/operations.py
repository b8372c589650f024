"""Operations that take more than one iteration of the supervisor's loop.

An operation is a generator: it sets ``wanted`` on children and yields until they have followed. The loop
resumes it in every iteration. It raises ChatdError if it fails.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from chatd.crashpoints import crash_point
from chatd.supervisor.child import Child

Operation = Generator[None, None, None]


def start(children: Sequence[Child]) -> Operation:
    """Start NATS first, which the hub needs, and the hub before the workers, which need it."""
    for group in (_streams(children), _hubs(children), _workers(children)):
        for child in group:
            child.reset()
            child.wanted = True
        for child in group:
            yield from _until_up(child)


def stop(children: Sequence[Child]) -> Operation:
    """Stop the workers first, so that the hub stores what they still hold for it."""
    for group in (_workers(children), _hubs(children), _streams(children)):
        for child in group:
            child.wanted = False
        for child in group:
            while not child.is_down:
                yield
        crash_point("supervisor.stop.workers_down")


def restart(children: Sequence[Child]) -> Operation:
    yield from stop(children)
    yield from start(children)


def rolling_restart(children: Sequence[Child]) -> Operation:
    """Replace one worker, the hub, then the other workers, one at a time; stop at the first failure.

    NATS goes last: the hub waits for it.

    This is how an update goes live. The first worker shows whether the installed code starts at all. The
    hub comes next because that worker needs a hub of its own version.
    """
    workers = _workers(children)
    for child in [*workers[:1], *_hubs(children), *workers[1:], *_streams(children)]:
        child.wanted = False
        while not child.is_down:
            yield
        crash_point("supervisor.rolling.one_down")
        child.reset()
        child.wanted = True
        yield from _until_up(child)


def _until_up(child: Child) -> Operation:
    while not child.is_up:
        child.raise_if_fatal()
        yield


def _hubs(children: Sequence[Child]) -> list[Child]:
    return [child for child in children if child.spec.kind == "hub"]


def _streams(children: Sequence[Child]) -> list[Child]:
    return [child for child in children if child.spec.kind == "nats"]


def _workers(children: Sequence[Child]) -> list[Child]:
    return [child for child in children if child.spec.kind not in ("hub", "nats")]
