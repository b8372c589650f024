"""Repeated events become few lines, whatever their reasons and sources."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import chatd
from chatd.logs.repeats import FIRST_LINES, OTHERS, PERIOD_SECONDS, REASONS, SHOWN_SOURCES, SOURCES, Repeats

# The modules that handle connections of which the hub knows nothing yet.
BEFORE_ADMISSION = (
    *(
        "child/listener.py",
        "worker/reader.py",
        "worker/session_reader.py",
        "worker/login.py",
        "worker/enrol_door.py",
    ),
    *("child/login_slots.py", "child/tls.py", "child/handed_socket.py"),
    *("enrol/admission.py", "enrol/enrolment.py"),
)
Line = tuple[str, dict[str, Any]]


class Bench:
    """Repeats, the lines they write, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 50.0
        self.repeats = Repeats(clock=lambda: self.now)
        self._lines: list[Line] = []

    def write(self, event: str, /, **fields: object) -> None:
        self._lines.append((event, fields))

    def note(self, source: str = "A", why: str = "junk", event: str = "refused") -> None:
        self.repeats.note(self.write, event, source, {"address": f"{source}1"}, why=why)

    def lines(self) -> list[Line]:
        """The lines written since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def end_period(self) -> list[Line]:
        self.now += PERIOD_SECONDS
        self.repeats.flush()
        return self.lines()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_event_is_logged_at_once_and_the_others_are_counted(bench: Bench) -> None:
    bench.note()
    assert bench.lines() == [("refused", {"address": "A1", "why": "junk"})]
    for _ in range(1000):
        bench.note()
    bench.now += PERIOD_SECONDS / 2
    bench.repeats.flush()
    assert bench.lines() == []
    bench.now += PERIOD_SECONDS / 2
    bench.repeats.flush()
    repeated = {"why": "junk", "count": 1000, "seconds": PERIOD_SECONDS, "sources": {"A": 1000}}
    assert bench.lines() == [("refused", repeated)]


def test_a_flood_that_lasts_is_one_line_a_period_and_nothing_after_it(bench: Bench) -> None:
    bench.note()
    bench.lines()
    bench.end_period()
    for _ in range(5):
        bench.note()
        bench.note()
        assert [fields["count"] for _, fields in bench.end_period()] == [2]
    assert bench.end_period() == []
    bench.note()
    assert bench.lines() == [("refused", {"address": "A1", "why": "junk"})]


def test_another_source_reason_or_event_has_a_first_line_of_its_own(bench: Bench) -> None:
    bench.note()
    bench.note(source="B")
    bench.note(why="late")
    bench.note(event="cut")
    assert len(bench.lines()) == 4
    assert bench.end_period() == []


def test_the_most_frequent_sources_are_named(bench: Bench) -> None:
    for n in range(SHOWN_SOURCES + 3):
        for _ in range(n + 2):
            bench.note(source=f"S{n}")
    bench.lines()
    ((_, fields),) = bench.end_period()
    assert fields["sources"] == {f"S{n}": n + 1 for n in range(3, SHOWN_SOURCES + 3)}
    assert fields["count"] == sum(n + 1 for n in range(SHOWN_SOURCES + 3))


def test_neither_many_sources_nor_many_reasons_cost_lines_or_memory(bench: Bench) -> None:
    written = noted = 0
    for _ in range(3):
        for n in range(10 * REASONS):
            for m in range(2 * SOURCES):
                bench.note(source=f"{n}-{m}", why=f"reason {n}")
                noted += 1
        lines = [*bench.lines(), *bench.end_period()]
        assert len(lines) <= FIRST_LINES + REASONS + 1
        assert any(fields["why"] == OTHERS for _, fields in lines)
        written += sum(fields.get("count", 1) for _, fields in lines)
    assert written == noted
    kept = sum(len(sources) for sources in bench.repeats._last_counts.values())
    assert kept <= FIRST_LINES + (REASONS + 1) * (SOURCES + 1)


def test_what_was_counted_is_logged_at_the_end(bench: Bench) -> None:
    bench.note()
    bench.note()
    bench.lines()
    bench.repeats.flush(now=True)
    assert [fields["count"] for _, fields in bench.lines()] == [1]


@pytest.mark.parametrize("name", BEFORE_ADMISSION)
def test_no_line_that_an_unknown_peer_can_cause_is_written_directly(name: str) -> None:
    tree = ast.parse((Path(chatd.__path__[0]) / name).read_text())
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    direct = [
        f"{call.value.id}.{call.attr}, line {call.lineno}"
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name)
        if call.value.id.startswith("log") and call.attr in ("info", "warning", "error", "exception")
    ]
    assert direct == []
