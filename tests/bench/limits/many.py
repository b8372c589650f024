"""Five thousand connections: a thousand users with five sessions each, all in one room."""

from __future__ import annotations

import time

from tests.bench.limits.crowd import Crowd
from tests.bench.limits.testbed import Chatd, Testbed, say, serving
from tests.bench.limits.verdict import Result, Row, at_most, exactly, measured
from tests.bench.machine import usage, wait_until_idle
from tests.bench.trial import Json

USERS, SHORT_USERS = 1_000, 100
SESSIONS = 5
PROCESSES = 2
MESSAGES, GAP = 5, 1.0
IDLE_KB = 60.0
LEAVING_SECONDS = 60.0


def run(testbed: Testbed) -> Result:
    """Log in, stay idle, receive a few messages, disconnect."""
    users = SHORT_USERS if testbed.short else USERS
    server = Chatd(testbed.folder, testbed.home(f"crowd of {users}", users), users)
    with serving(server):
        with Crowd(server, testbed.folder, users * SESSIONS, PROCESSES) as crowd:
            found = _measure(crowd, users * SESSIONS)
            before = usage(crowd.pid).cpu
        found["leaving_cpu"] = _cpu_after_leaving(crowd.pid) - before
    return Result(_rows(found), found)


def _measure(crowd: Crowd, connections: int) -> Json:
    before = usage(crowd.pid)
    seconds = crowd.log_in()
    wait_until_idle(crowd.pid)
    logged_in = usage(crowd.pid)
    say(f"{connections} logged in after {seconds:.0f} s")
    crowd.subscribe()
    received = crowd.say(MESSAGES, GAP)
    wait_until_idle(crowd.pid)
    after = usage(crowd.pid)
    return {
        "connections": connections,
        "login_seconds": seconds,
        "login_cpu_ms": (logged_in.cpu - before.cpu) / connections * 1e3,
        "idle_kb": (logged_in.rss_kb - before.rss_kb) / connections,
        "idle_kb_end": (after.rss_kb - before.rss_kb) / connections,
        "rss_mb": after.rss_kb / 1024,
        "generator_mb": crowd.own_rss_kb() / 1024,
        "deliveries": sum(part["deliveries"] for part in received),
        "wanted": MESSAGES * connections,
        "doubled": sum(part["doubled"] for part in received),
        "oldest_ms": max(part["ages"][-1] for part in received),
    }


def _cpu_after_leaving(pid: int) -> float:
    """The server's CPU seconds once it has handled all disconnects."""
    time.sleep(1.0)
    wait_until_idle(pid, LEAVING_SECONDS)
    return usage(pid).cpu


def _rows(found: Json) -> list[Row]:
    return [
        measured("connections", found["connections"]),
        measured("time until all were logged in", found["login_seconds"], "s"),
        measured("CPU per login", found["login_cpu_ms"], "ms"),
        at_most("memory per idle connection, before any message", found["idle_kb"], IDLE_KB, "KB"),
        at_most("memory per idle connection, at the end", found["idle_kb_end"], IDLE_KB, "KB"),
        measured("server's RSS", found["rss_mb"], "MB"),
        measured("generator's RSS", found["generator_mb"], "MB"),
        exactly(f"deliveries of {MESSAGES} messages", found["deliveries"], found["wanted"]),
        exactly("duplicated deliveries", found["doubled"], 0),
        measured("greatest age of a message on arrival", found["oldest_ms"], "ms"),
        measured("CPU when all disconnect at once", found["leaving_cpu"], "s"),
    ]
