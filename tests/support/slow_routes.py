"""Slow the connections between machines of a `Network`: python -m tests.support.slow_routes PORT.

Connections that a machine opens to the given ports of others are redirected to a proxy on that machine, which
holds back what it passes on, in both directions. TCP loses nothing: a lost packet arrives late, with all that
follows it. Commands to the proxy are lines "DELAY LOSS": seconds, and the share of pieces sent again.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.support.wired_network import Network

_PORT = 7000
# Packets of the proxy itself have this mark, and are not redirected to it.
_MARK = 7
_ORIGINAL_DESTINATION = 80
_PIECE_BYTES = 64 * 1024
_PIECES = 64
# The time until TCP sends again: 0.2 s at least.
_RESEND_SECONDS = 0.2
_RULES = """
table ip slow {
  chain out {
    type nat hook output priority -100;
    oifname eth0 meta mark != %d tcp dport { %s } redirect to :%d;
  }
}
"""


class SlowRoutes:
    """The proxies of some machines, from now on used by each new connection to one of the ``ports``."""

    def __init__(self, network: Network, names: Iterable[str], ports: Iterable[int]) -> None:
        self._proxies = []
        rules = _RULES % (_MARK, ", ".join(map(str, ports)), _PORT)
        for name in names:
            command = [*network.enter(name), sys.executable, "-m", __name__, str(_PORT)]
            pipe = subprocess.PIPE
            folder = Path(__file__).parents[2]
            proxy = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, text=True, cwd=folder, start_new_session=True
            )
            self._proxies.append(proxy)
            assert proxy.stdout is not None
            assert proxy.stdout.readline() == "up\n"
            network.run(name, "nft", "-f", "-", text=rules)

    def set(self, delay: float, loss: float) -> None:
        """Hold each piece back for ``delay`` seconds, and a share of ``loss`` for longer."""
        for proxy in self._proxies:
            assert proxy.stdin is not None
            proxy.stdin.write(f"{delay} {loss}\n")
            proxy.stdin.flush()

    def close(self) -> None:
        """End the proxies: they end with their input."""
        for proxy in self._proxies:
            if proxy.stdin:
                proxy.stdin.close()
            proxy.wait()
            if proxy.stdout:
                proxy.stdout.close()


class _Proxy:
    def __init__(self) -> None:
        self.delay = 0.0
        self.loss = 0.0

    async def obey(self) -> None:
        """Take commands until the end of standard input."""
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            self.delay, self.loss = map(float, line.split())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on to where it was going."""
        client: socket.socket = writer.get_extra_info("socket")
        raw = client.getsockopt(socket.SOL_IP, _ORIGINAL_DESTINATION, 16)
        port, address = struct.unpack("!2xH4s8x", raw)
        # Cancelled: the trial is over.
        with suppress(OSError, asyncio.CancelledError), socket.socket() as out:
            out.setblocking(False)
            out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _MARK)
            await asyncio.get_running_loop().sock_connect(out, (socket.inet_ntoa(address), port))
            back, there = await asyncio.open_connection(sock=out.dup())
            # Either side's end is the end of both, as with a connection that is reset.
            ways = [self._pass(reader, there), self._pass(back, writer)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            there.close()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES)

        async def read() -> None:
            while data := await reader.read(_PIECE_BYTES):
                late = _RESEND_SECONDS * (1 + random.random()) if random.random() < self.loss else 0.0
                await pieces.put((loop.time() + self.delay + late, data))
            await pieces.put((0.0, b""))

        reading = asyncio.ensure_future(read())
        try:
            while True:
                at, data = await pieces.get()
                if not data:
                    return
                await asyncio.sleep(max(0.0, at - loop.time()))
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _main(port: int) -> None:
    proxy = _Proxy()
    async with await asyncio.start_server(proxy.serve, None, port):
        print("up", flush=True)
        await proxy.obey()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
