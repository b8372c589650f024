"""Log lines as syslog messages: headers by RFC 5424, frames by RFC 5425, no field that breaks out."""

from __future__ import annotations

import json
import re

import pytest

from chatd.shipping.shipper import Numbers
from chatd.shipping.syslog_message import syslog_message

# RFC 5424, section 6.
_MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\S{1,32}) ([!-~]{1,255}) chatd ([!-~]{1,128}) ([!-~]{1,32})"
    rb' \[origin software="chatd" swVersion="[^"]+"\] @cee: (.*)',
    re.DOTALL,
)


def record(**fields: object) -> bytes:
    plain = {"at": "2026-01-31T14:02:11.042Z", "n": 1, "proc": "hub", "level": "info", "cat": "server"}
    return json.dumps(plain | {"event": "started"} | fields).encode()


def parts(line: bytes, host: str = "box") -> tuple[bytes, ...]:
    framed = syslog_message(line, host)
    length, _, message = framed.partition(b" ")
    assert int(length) == len(message)
    found = _MESSAGE.fullmatch(message)
    assert found is not None, message
    return found.groups()


def test_a_record_keeps_its_time_process_and_event() -> None:
    assert parts(record())[:5] == (b"134", b"2026-01-31T14:02:11.042Z", b"box", b"hub", b"started")
    assert parts(record(user="bob"))[5] == record(user="bob")


@pytest.mark.parametrize(
    ("category", "level", "priority"),
    [
        ("security", "warning", 84),
        ("audit", "info", 110),
        ("errors", "error", 131),
        ("connections", "info", 134),
        ("server", "debug", 135),
        ("server", "critical", 130),
        ("unheard-of", "unheard-of", 134),
    ],
)
def test_facility_and_severity(category: str, level: str, priority: int) -> None:
    assert int(parts(record(cat=category, level=level))[0]) == priority


@pytest.mark.parametrize("value", ["", None, "a b", "x\n<0>1 fake", "\u2028", "]" * 500, 7, ["a"], {"b": 1}])
@pytest.mark.parametrize("field", ["at", "proc", "event", "level", "cat"])
def test_no_value_breaks_a_header(field: str, value: object) -> None:
    parts(record(**{field: value}))


@pytest.mark.parametrize("line", [b"", b"no json", b"[]", b"7", b"{", b'{"event":'])
def test_lines_of_other_programs_are_sent_as_they_are(line: bytes) -> None:
    assert parts(line)[4:] == (b"-", line)


def test_a_host_name_is_made_printable() -> None:
    assert parts(record(), "my box\n")[2] == b"my_box_"


def test_the_numbers_tell_what_is_missing() -> None:
    numbers = Numbers()
    for process, number in (("hub", 5), ("hub", 6), ("w", 1), ("hub", 9), ("w", 2), ("hub", 1), ("hub", 2)):
        numbers.note(record(proc=process, n=number))
    numbers.note(b"no json")
    assert numbers.missing == 2
