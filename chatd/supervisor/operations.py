"""What takes longer than one turn of the loop, each written as what it is: a sequence with waits.

An operation is a generator. It sets what is wanted of the children and yields until they are there;
the loop resumes it every turn. It raises ChatdError when it cannot be done.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from chatd.crashpoints import crash_point
from chatd.supervisor.child import Child

Operation = Generator[None, None, None]


def start(children: Sequence[Child]) -> Operation:
    """The hub first, because workers can do nothing without it; then all workers at once."""
    for group in (_hubs(children), _workers(children)):
        for child in group:
            child.reset()
            child.wanted = True
        for child in group:
            yield from _until_up(child)


def stop(children: Sequence[Child]) -> Operation:
    """Workers first: what they still hold for the hub is stored before the hub goes."""
    for group in (_workers(children), _hubs(children)):
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
    """A worker, the hub, the other workers, one after the other. Stops at the first that does not come back.

    This is how an update is taken over. The first worker shows whether what is installed now starts at all;
    it cannot do without a hub of the same version for longer than that.
    """
    workers = _workers(children)
    for child in [*workers[:1], *_hubs(children), *workers[1:]]:
        child.wanted = False
        while not child.is_down:
            yield
        crash_point("supervisor.rolling.one_down")
        child.reset()
        child.wanted = True
        yield from _until_up(child)


def _until_up(child: Child) -> Operation:
    while True:
        yield  # the loop spawns before it resumes this, so a stopped child is never taken for a running one
        child.require_up()
        if child.is_up:
            return


def _hubs(children: Sequence[Child]) -> list[Child]:
    return [child for child in children if child.spec.kind == "hub"]


def _workers(children: Sequence[Child]) -> list[Child]:
    return [child for child in children if child.spec.kind != "hub"]
