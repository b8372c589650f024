"""One trial of one server: connect, idle, fixed load, flat out."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.bench_server import Server
from tests.bench.load import DELIVERED, SENT, SHARED_BYTES, Shared
from tests.bench.machine import usage, wait_until_idle

Json = dict[str, Any]

# Above this share of its wall time, the load generator may limit the deliveries.
GENERATOR_LIMIT = 0.9


class Shape:
    """The load of a trial."""

    def __init__(self, clients: int, rooms: int, load: int, seconds: float, flat: float) -> None:
        """``load``: deliveries per second at the fixed load; ``flat``: seconds of sending flat out, or 0."""
        self.clients = clients
        self.rooms = rooms
        self.load = load
        self.seconds = seconds
        self.flat = flat

    @property
    def name(self) -> str:
        return f"{self.rooms} rooms of {self.clients // self.rooms}" if self.rooms > 1 else str(self.clients)


class Process:
    """One process of the load generator."""

    def __init__(self, role: str, server: Server, shared: Path, module: str = "tests.bench.load") -> None:
        names = [str(path) for path in server.identities()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, role, server.dialect, str(shared), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, **arguments: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Json:
        """Wait for the answer. Raises RuntimeError if the process reports an error."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        answer: Json = json.loads(line) if line else {"error": "the load generator has ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def call(self, do: str, **arguments: Any) -> Json:
        self.ask(do, **arguments)
        return self.answer()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


class Trial:
    """Runs one shape against a server that is up."""

    def __init__(self, server: Server, shape: Shape) -> None:
        self._server = server
        self._shape = shape
        self._file = tempfile.NamedTemporaryFile(prefix="bench-")  # noqa: SIM115 - closed in `close`
        self._file.write(bytes(SHARED_BYTES))
        self._file.flush()
        path = Path(self._file.name)
        self._shared = Shared(path)
        self._receiver = Process("receive", server, path)
        self._sender = Process("send", server, path)

    def close(self) -> None:
        self._receiver.end()
        self._sender.end()
        self._file.close()

    def run(self) -> Json:
        """Run all phases; return all measurements."""
        shape = self._shape
        result = self.connect()
        result["fixed"] = self.fixed(shape.seconds)
        if shape.flat and shape.rooms == 1 and self._server.sends_flat_out:
            result["flat"] = self.phase("flat_out", seconds=shape.flat, per_message=shape.clients)
        result["rss_kb_after"] = usage(self._server.pid).rss_kb
        return result

    def fixed(self, seconds: float) -> Json:
        """Run the fixed load for ``seconds``."""
        shape = self._shape
        gap = shape.clients / shape.rooms / shape.load
        return self.phase("rate", gap=gap, count=max(20, round(seconds / gap)), rooms=shape.rooms)

    def connect(self) -> Json:
        """Log every client in and subscribe it to its room."""
        shape, server = self._shape, self._server
        # The first ten warm the server up: modules, buffers, threads.
        self._receiver.call("login", port=server.port, first=0, count=10, rooms=shape.rooms)
        wait_until_idle(server.pid)
        before = usage(server.pid)
        remaining = shape.clients - 10
        answer = self._receiver.call("login", port=server.port, first=10, count=remaining, rooms=shape.rooms)
        wait_until_idle(server.pid)
        after = usage(server.pid)
        self._receiver.call("subscribe", rooms=shape.rooms)
        self._sender.call("login", port=server.port, first=shape.clients, rooms=shape.rooms)
        time.sleep(0.5)
        self._idle_cpu = self._measure_idle_cpu()
        return {
            "connect_ms": (after.cpu - before.cpu) / remaining * 1e3,
            "connect_seconds": answer["seconds"],
            "idle_kb": (after.rss_kb - before.rss_kb) / remaining,
        }

    def _measure_idle_cpu(self) -> float:
        before = usage(self._server.pid).cpu
        time.sleep(1.0)
        return usage(self._server.pid).cpu - before

    def phase(self, do: str, **arguments: Any) -> Json:
        """Run one phase of sending; ``do`` names a method of the sender."""
        shape = self._shape
        for slot in (DELIVERED, SENT):
            self._shared.set(slot, 0)
        before, start = usage(self._server.pid).cpu, time.monotonic()
        self._receiver.ask("run", per_message=shape.clients // shape.rooms)
        sent = self._sender.call(do, **arguments)
        result = self._receiver.answer()
        wall = time.monotonic() - start
        cpu = usage(self._server.pid).cpu - before
        result |= {
            "server_cpu": cpu,
            "us": cpu / max(1, result["deliveries"]) * 1e6,
            "per_second": result["deliveries"] / max(result["seconds"], 1e-9),
            "receiver_busy": result["cpu"] / wall,
            "sender_busy": sent["cpu"] / wall,
            "sent": sent["sent"],
            "late_ms": sent.get("late", 0.0) * 1e3,
            "idle_cpu": self._idle_cpu,
        }
        result["generator_limits"] = max(result["receiver_busy"], result["sender_busy"]) > GENERATOR_LIMIT
        return result


def measure(server: Server, shape: Shape) -> Json:
    """Start the server, run the trial, stop the server. A failure becomes the result's "error"."""
    trial: Trial | None = None
    try:
        server.start()
        trial = Trial(server, shape)
        return trial.run()
    except (RuntimeError, OSError) as error:
        return {"error": str(error)}
    finally:
        if trial:
            trial.close()
        server.stop()
