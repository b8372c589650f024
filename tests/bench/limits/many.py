"""Thousands of connections at once: a thousand users with five sessions each, all in one room."""

from __future__ import annotations

import time

from tests.bench.limits.crowd import Crowd
from tests.bench.limits.testbed import Chatd, Stage, say, serving
from tests.bench.limits.verdict import Result, Row, at_most, exactly, told
from tests.bench.machine import settle, usage
from tests.bench.trial import Json

USERS, SHORT_USERS = 1_000, 100
SESSIONS = 5
PROCESSES = 2
MESSAGES, GAP = 5, 1.0
IDLE_KB = 60.0
LEAVING_SECONDS = 60.0


def run(stage: Stage) -> Result:
    """Log in, be idle, hear a few messages, leave."""
    users = SHORT_USERS if stage.short else USERS
    server = Chatd(stage.folder, stage.home(f"crowd of {users}", users), users)
    with serving(server):
        with Crowd(server, stage.folder, users * SESSIONS, PROCESSES) as crowd:
            found = _measure(crowd, users * SESSIONS)
            left = usage(crowd.pid).cpu
        found["leaving_cpu"] = _gone(crowd.pid) - left
    return Result(_rows(found), found)


def _measure(crowd: Crowd, connections: int) -> Json:
    before = usage(crowd.pid)
    seconds = crowd.log_in()
    settle(crowd.pid)
    logged_in = usage(crowd.pid)
    say(f"{connections} logged in after {seconds:.0f} s")
    crowd.hear()
    heard = crowd.say(MESSAGES, GAP)
    settle(crowd.pid)
    after = usage(crowd.pid)
    return {
        "connections": connections,
        "login_seconds": seconds,
        "login_cpu_ms": (logged_in.cpu - before.cpu) / connections * 1e3,
        "idle_kb": (logged_in.rss_kb - before.rss_kb) / connections,
        "idle_kb_end": (after.rss_kb - before.rss_kb) / connections,
        "rss_mb": after.rss_kb / 1024,
        "generator_mb": crowd.own_rss_kb() / 1024,
        "deliveries": sum(part["deliveries"] for part in heard),
        "wanted": MESSAGES * connections,
        "doubled": sum(part["doubled"] for part in heard),
        "oldest_ms": max(part["ages"][-1] for part in heard),
    }


def _gone(pid: int) -> float:
    """The server's CPU seconds when it is through with everybody's going."""
    time.sleep(1.0)
    settle(pid, LEAVING_SECONDS)
    return usage(pid).cpu


def _rows(found: Json) -> list[Row]:
    return [
        told("connections", found["connections"]),
        told("until all were logged in", found["login_seconds"], "s"),
        told("CPU a login", found["login_cpu_ms"], "ms"),
        at_most("idle connection, before anything was said", found["idle_kb"], IDLE_KB, "KB"),
        at_most("idle connection, at the end", found["idle_kb_end"], IDLE_KB, "KB"),
        told("server's RSS", found["rss_mb"], "MB"),
        told("generator's RSS", found["generator_mb"], "MB"),
        exactly(f"deliveries of {MESSAGES} messages", found["deliveries"], found["wanted"]),
        exactly("doubled", found["doubled"], 0),
        told("oldest message on arrival", found["oldest_ms"], "ms"),
        told("CPU of all leaving at once", found["leaving_cpu"], "s"),
    ]
