"""Log records: fields, limits, and escaping of text that could break a line or a terminal."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatd.errors import ChatdError
from chatd.logs import get_log
from chatd.logs.logger import PIPE_LINE, JsonLines, Log

HOSTILE = ["\r\n", "\x1b]0;x\x07", "\x7f", "\x85", "\x9b31m", "\u2028", "\u202e", "\ud800", "e\u0301" * 40]


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines("worker-1"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def last(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.lines[-1])
        return record


@pytest.fixture
def collected() -> Iterator[Collector]:
    collector = Collector()
    logger = logging.getLogger("chatd")
    old = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.DEBUG)
    yield collector
    logger.removeHandler(collector)
    logger.setLevel(old)


def test_a_record_has_its_fields_in_order(collected: Collector) -> None:
    get_log("security").warning("login_refused", user="bob", code="E207", at="mine")
    record = collected.last()
    assert list(record) == ["at", "n", "proc", "level", "cat", "event", "user", "code", "field_at"]
    assert record["at"].endswith("Z")
    assert (record["n"], record["proc"], record["level"], record["cat"]) == (
        1,
        "worker-1",
        "warning",
        "security",
    )
    get_log("server").debug("next")
    assert collected.last()["n"] == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped(collected: Collector, text: str) -> None:
    # pytest collects log records, and its workers cannot transmit a lone surrogate
    event = "event" + text.encode("utf-8", "ignore").decode()
    get_log("server").info(event, field=text, nested={text: [text]})
    assert collected.lines[-1].isascii()
    assert collected.lines[-1].isprintable()
    assert collected.last()["field"] == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**53, 2**53),
        (2**64, hex(2**64)),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1.5, 1.5),
        (b"key", "<3 bytes>"),
        ((1, "a"), [1, "a"]),
        ([[[[1]]]], [[["..."]]]),
        ({"a": 1}, {"a": 1}),
        (ValueError("x"), "x"),
    ],
)
def test_a_value_is_converted_to_bounded_json(collected: Collector, value: object, shown: object) -> None:
    get_log("server").info("event", value=value)
    assert collected.last()["value"] == shown


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 1_000_000},
        {"text": "\U0001f600" * 5000},
        {f"field{n}": "x" * 5000 for n in range(64)},
        {f"field{n}": [["x" * 50] * 60] * 60 for n in range(60)},
        {"x" * 100_000: 1},
    ],
)
def test_a_line_always_fits_the_pipe(collected: Collector, fields: dict[str, object]) -> None:
    get_log("server").info("event", **fields)
    assert len(collected.lines[-1]) < PIPE_LINE
    assert collected.last()["event"] == "event"


def raise_foreign() -> None:
    int("the body of a message")


def raise_own() -> None:
    raise ChatdError("E504", "disk full")


@pytest.mark.parametrize(
    ("fail", "name", "text"),
    [(raise_foreign, "ValueError", ""), (raise_own, "ChatdError", "disk full")],
)
def test_an_exception_is_logged_with_its_place_and_without_values(
    collected: Collector, fail: Callable[[], None], name: str, text: str
) -> None:
    try:
        fail()
    except Exception:  # noqa: BLE001 - any exception is logged
        get_log("errors").exception("failed")
    record = collected.last()
    assert record["error"] == name
    assert record["trace"][-1].endswith(fail.__name__)
    assert text in record["error_text"]
    assert "body" not in collected.lines[-1].replace("test_an_exception", "")


def test_a_record_of_a_library_is_logged_as_text(collected: Collector) -> None:
    logging.getLogger("chatd.elsewhere").warning("hello %s", "there")
    assert collected.last()["event"] == "library"
    assert collected.last()["text"] == "hello there"


def test_an_unknown_category_raises() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        get_log("nonsense")  # type: ignore[arg-type]
    assert isinstance(get_log("server"), Log)
