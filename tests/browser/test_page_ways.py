"""The advice of errors names only what the page has; what it lacks is sent to a terminal."""

from __future__ import annotations

import re

import pytest

from chatd.proto.advice import NEEDS, fitting
from tests.support.browser import Modules
from tests.unit.test_advice import ALL, MENTION, TYPED

# Advice that is printed on the server's box or by the terminal programs alone.
ELSEWHERE = ("chatctl/", "chatd/cli/", "chatd/cluster/", "chatd/console/", "chatd/supervisor/")
FITTED = {
    fitting(text, {*permissions})
    for text, place in ALL.items()
    if not place.startswith(ELSEWHERE)
    for permissions in ([], *([one] for one in sorted({*NEEDS.values()})), NEEDS.values())
}
PUT = """
const { inPage } = await load("page_ways.js");
const { COMMANDS } = await load("views/commands.js");
const shown = given.map(inPage);
return [Object.keys(COMMANDS), shown, shown.map(inPage)];
"""


def test_advice_names_what_the_page_has(shared_modules: Modules) -> None:
    commands, shown, again = shared_modules.run(PUT, sorted(FITTED))
    assert shown == again, "advice that is kept is put into words once more"
    assert len(shown) > 150 and shown != sorted(FITTED)
    for text in shown:
        assert {match[1] for match in TYPED.finditer(text)} <= {*commands, "proc", "hook"}, text
        programs = {match[1] for match in MENTION.finditer(text)} - {"chatd"}
        assert not programs or "at a terminal" in text or re.search("data folder|in a browser", text), text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("see /who or chatctl users", "see the members of your rooms, on the right"),
        ("see /rooms or chatctl rooms, or create it", "find or make a room with the + beside Rooms"),
        ("ask an admin for a new one (chatctl invite create NAME)", "ask an admin for a new one"),
        ("end the hold: chatctl hold --off ROOM", "end the hold: chatctl hold --off ROOM, at a terminal"),
        ("write some text", "write some text"),
    ],
)
def test_a_refusal_is_shown_so(shared_modules: Modules, given: str, shown: str) -> None:
    told = "const { Fault } = await load('fault.js'); return new Fault('E405', 'why', given).fix;"
    assert shared_modules.run(told, given) == shown
