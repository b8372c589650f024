"""Compare chatd with other servers: ``python -m tests.bench [--quick] [--servers A,B] [--clients N,M]``.

Each round runs all servers, so that noise on the machine hits all of them. A trial does not count if the
calibration loop ran slowly before or after it. The report has medians, and ratios to the best peer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.bench_server import Server
from tests.bench.chathome import ChatHome
from tests.bench.machine import allow_descriptors, calibrate, describe_machine
from tests.bench.report import report_text
from tests.bench.servers import SERVERS
from tests.bench.trial import Shape, measure

Json = dict[str, Any]

# Deliveries per second at the fixed load: within reach of every server and of the load generator.
LOAD = 10_000
QUICK = [Shape(50, 1, LOAD, 4.0, 2.0), Shape(200, 1, LOAD, 4.0, 2.0)]
FULL = [
    Shape(50, 1, LOAD, 8.0, 5.0),
    Shape(200, 1, LOAD, 8.0, 5.0),
    Shape(500, 1, LOAD, 8.0, 5.0),
    Shape(1000, 1, LOAD, 8.0, 0.0),
    Shape(1000, 100, LOAD, 8.0, 0.0),
]
QUICK_SERVERS = ("chatd", "ngircd", "inspircd", "nats", "mosquitto", "floor")


def main() -> None:
    """Print the report; progress goes to standard error."""
    options = _options()
    # On SIGTERM, still stop the server under test.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    allow_descriptors()
    names, shapes = _chosen(options)
    rows: list[Json] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _say("creating a chatd home")
        home = ChatHome(Path(folder) / "home")
        servers = [SERVERS[name](Path(folder), home) for name in names]
        best = min(calibrate() for _ in range(3))
        for number in range(options.rounds):
            for shape in shapes:
                best = min(best, _round(servers, shape, number, best, rows))
    result = {"machine": describe_machine(best), "rows": rows}
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1))
    print(report_text(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="small sizes only; about five minutes")
    parser.add_argument("--rounds", type=int, default=0, help="default: 5, or 2 with --quick")
    parser.add_argument("--servers", default="", help=f"any of {','.join(SERVERS)}")
    parser.add_argument(
        "--clients", default="", help="numbers of clients, such as 50,200,100x10 (100 rooms of 10)"
    )
    parser.add_argument("--seconds", type=float, default=0, help="duration of the fixed load")
    parser.add_argument(
        "--load", type=int, default=0, help=f"deliveries per second at the fixed load; default: {LOAD}"
    )
    parser.add_argument("--json", default="", help="write all results to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    return options


def _chosen(options: argparse.Namespace) -> tuple[list[str], list[Shape]]:
    wanted = options.servers.split(",") if options.servers else (QUICK_SERVERS if options.quick else SERVERS)
    names = []
    for name in wanted:
        why = SERVERS[name].missing()
        if why:
            _say(f"skipped {name}: {why}")
        else:
            names.append(name)
    shapes = QUICK if options.quick else FULL
    if options.clients:
        shapes = [_shape(part) for part in options.clients.split(",")]
    for shape in shapes:
        shape.seconds = options.seconds or shape.seconds
        shape.load = options.load or shape.load
    return names, shapes


def _shape(part: str) -> Shape:
    rooms, _, members = part.rpartition("x")
    clients = int(rooms or 1) * int(members)
    return Shape(clients, int(rooms or 1), LOAD, 4.0, 0.0 if rooms or clients > 500 else 2.0)


def _round(servers: list[Server], shape: Shape, number: int, best: float, rows: list[Json]) -> float:
    # Another server goes first in each round.
    first = number % len(servers)
    for server in servers[first:] + servers[:first]:
        if shape.clients > server.max_clients or (shape.rooms > 1 and not server.has_rooms):
            continue
        before = calibrate()
        row = {"round": number, "server": server.name, "shape": shape.name, **measure(server, shape)}
        after = calibrate()
        best = min(best, before, after)
        row["slowed"] = max(before, after) / best
        row["load_average"] = os.getloadavg()[0]
        rows.append(row)
        _say(_line(row))
    return best


def _line(row: Json) -> str:
    head = f"{row['round']} {row['server']:10} {row['shape']:>16}"
    if "error" in row:
        return f"{head}  FAILED {row['error'][:200]}"
    fixed, flat = row["fixed"], row.get("flat")
    return (
        f"{head}  {fixed['us']:6.1f} us  p50/p99 {fixed['ages'][3]:.1f}/{fixed['ages'][7]:.1f} ms"
        f"  connect {row['connect_ms']:.2f} ms  idle {row['idle_kb']:.0f} KB"
        + (f"  flat {flat['per_second'] / 1e3:.0f} k/s ({flat['us']:.1f} us)" if flat else "")
        + f"  lost {fixed['lost'] + (flat['lost'] if flat else 0)}"
        + ("  LIMITED BY GENERATOR" if flat and flat["generator_limits"] else "")
        + f"  slowed x{row['slowed']:.2f}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
