"""A node that asks the others for their log, over a real nats-server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from chatd.cluster.joining_note import Joining
from chatd.cluster.nats_thread import NatsThread
from chatd.nats.log_fetch import LogFetch
from chatd.nats.node_desk import JOIN_SUBJECT
from tests.support.daemon import wait_until
from tests.support.plain_nats import PlainNats

THREADS = {"nats", "fetch"}


@pytest.fixture
def server() -> Iterator[PlainNats]:
    """A server at which another node says that the join file was used."""
    server = PlainNats()
    server.start()
    other = NatsThread(lambda: server.address)
    wait_until(lambda: answers(other))
    yield server
    other.close()
    server.kill()


def answers(other: NatsThread) -> bool:
    try:
        other.run(answer(other))
    except OSError:
        return False
    return True


async def answer(other: NatsThread) -> None:
    async def used(message: Msg) -> None:
        await message.respond(json.dumps({"node": "a", "used": True, "has_log": True}).encode())

    client = await other.connected()
    await client.subscribe(JOIN_SUBJECT, cb=used)
    await asyncio.wait_for(client.flush(), 5.0)


def names() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name in THREADS)


def test_a_fetch_that_ends_leaves_no_connection(server: PlainNats, tmp_path: Path) -> None:
    before = names()
    fetch = LogFetch(tmp_path, "b", Joining("ticket", "home"), lambda: server.address)
    wait_until(lambda: not fetch.is_running())
    assert fetch.refusal is not None and fetch.refusal.code == "E623"
    assert names() == before
