"""A process that copies a cluster's stream for one node: python -m tests.chaos.stream_copy HOME JOURNAL.

A redaction deletes the stream up to there and destroys the key: what is to be judged later has to be copied
as it comes. Lines of the journal:

    stored  made, seq, data     message seq of the stream that was made then, in base64
    key     n, key              a key of the stream's bodies, in hexadecimal
    end     last                all was copied up to here; written at the end of standard input

Only the core of nats-py is used, and nothing of chatd.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

from tests.chaos.journal import Journal

STREAM = "CHATD"
KEY_PREFIX = "tail_key:"
REPLY_SECONDS = 2.0
POLL_SECONDS = 0.02
KEY_SECONDS = 0.25
# A stream that was made anew begins at 1: whoever waits for message 1000 has to ask.
IDLE_SECONDS = 2.0
_FAULTS = (nats.errors.Error, OSError, TimeoutError, ValueError, LookupError, TypeError)


class StreamCopier:
    """Copies what any server answers; the node's own is asked, which answers first if it can."""

    def __init__(self, home: Path, journal: Journal) -> None:
        self._home = home
        self._journal = journal
        self._made = ""
        self._next = 1
        self._keys: set[int] = set()
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Copy until the end of standard input, and then up to the end of the stream."""
        keys = asyncio.create_task(self._copy_keys())
        ending = asyncio.create_task(self._read_input())
        while True:
            try:
                client = await self._connect()
            except _FAULTS:
                await asyncio.sleep(KEY_SECONDS)
                continue
            try:
                if await self._copy(client):
                    break
            except _FAULTS:
                await asyncio.sleep(POLL_SECONDS)
            finally:
                await client.close()
        keys.cancel()
        await asyncio.gather(keys, ending, return_exceptions=True)

    async def _read_input(self) -> None:
        await asyncio.to_thread(sys.stdin.read)
        self._ending.set()

    async def _connect(self) -> Client:
        # The file of the node's server, which has another password at each start.
        address = json.loads((self._home / "data" / "stream" / "address.json").read_bytes())
        connecting = nats.connect(
            f"nats://{address['host']}:{address['port']}",
            user=address["user"],
            password=address["password"],
            allow_reconnect=False,
            error_cb=_ignore,
        )
        return await asyncio.wait_for(connecting, REPLY_SECONDS)

    async def _copy(self, client: Client) -> bool:
        """Copy until a request fails; return True at the end of it all."""
        loop = asyncio.get_running_loop()
        await self._look(client)
        heard = loop.time()
        while True:
            if await self._copy_next(client):
                heard = loop.time()
                continue
            if self._ending.is_set() and await self._look(client) < self._next:
                self._take_keys(_read_keys(self._home))
                self._journal.write("end", last=self._next - 1)
                return True
            await asyncio.sleep(POLL_SECONDS)
            if loop.time() - heard > IDLE_SECONDS:
                await self._look(client)
                heard = loop.time()

    async def _look(self, client: Client) -> int:
        """Ask for the stream; return its last message. One that was made anew is copied from its begin."""
        reply = await client.request(f"$JS.API.STREAM.INFO.{STREAM}", b"", timeout=REPLY_SECONDS)
        info = json.loads(reply.data)
        if info["created"] != self._made:
            self._made, self._next = info["created"], 1
        return int(info["state"]["last_seq"])

    async def _copy_next(self, client: Client) -> bool:
        question = json.dumps({"seq": self._next, "next_by_subj": ">"}).encode()
        reply = await client.request(f"$JS.API.DIRECT.GET.{STREAM}", question, timeout=REPLY_SECONDS)
        seq = int((reply.headers or {}).get("Nats-Sequence", 0))
        if seq < self._next:
            return False
        self._journal.write("stored", made=self._made, seq=seq, data=base64.b64encode(reply.data).decode())
        self._next = seq + 1
        return True

    async def _copy_keys(self) -> None:
        while True:
            self._take_keys(await asyncio.to_thread(_read_keys, self._home))
            await asyncio.sleep(KEY_SECONDS)

    def _take_keys(self, found: dict[int, bytes]) -> None:
        for number in found.keys() - self._keys:
            self._journal.write("key", n=number, key=found[number].hex())
        self._keys |= found.keys()


def _read_keys(home: Path) -> dict[int, bytes]:
    """The keys that a node has; none while its log cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{home}/data/events.db?mode=ro", uri=True, timeout=0.1)) as log:
            rows = log.execute("SELECT key, value FROM meta WHERE key LIKE ?", (f"{KEY_PREFIX}%",)).fetchall()
    except sqlite3.Error:
        return {}
    return {int(name.removeprefix(KEY_PREFIX)): bytes(key) for name, key in rows}


async def _ignore(_: Any) -> None:
    return


if __name__ == "__main__":
    with suppress(OSError):  # only root may
        os.nice(-10)  # on a busy box a message may be deleted before its turn comes
    asyncio.run(StreamCopier(Path(sys.argv[1]), Journal(Path(sys.argv[2]))).run())
