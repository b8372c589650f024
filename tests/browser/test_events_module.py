"""The page knows the events, requests and texts that the server knows."""

from __future__ import annotations

import types
import typing
from typing import Any

from chatd.proto import events as ev
from chatd.proto.event_base import FromServer
from chatd.proto.lineage import Branch, common_point
from chatd.proto.requests import REQUESTS
from chatd.proto.text import conversation_at, dm_members, visible
from tests.support.browser import Modules

VALUES: dict[object, object] = {str: "text", int: 7, bool: True}


def _event_types() -> list[type[FromServer]]:
    def below(base: type[FromServer]) -> list[type[FromServer]]:
        return [base, *(found for one in base.__subclasses__() for found in below(one))]

    return [one for one in below(FromServer) if isinstance(_type_of(one), str)]


def _type_of(event: type[FromServer]) -> object:
    annotation = event.fields()["type"].annotation
    return typing.get_args(annotation)[0] if typing.get_args(annotation) else None


def _value(annotation: Any) -> object:
    """Return a value of the type of a field."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(one for one in typing.get_args(annotation) if one is not type(None))
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)[0]
    if typing.get_origin(annotation) is list:
        (item,) = typing.get_args(annotation)
        return [_value(item)] if item in VALUES else []
    return VALUES.get(annotation, {})


def _frame(event: type[FromServer]) -> dict[str, Any]:
    return {name: _value(field.annotation) for name, field in event.fields().items()}


JUDGE = """
const { judged, isLogged } = await load("events.js");
return given.map((frame) => {
  try { return [judged(frame), isLogged(frame.type)]; } catch (error) { return error.code; }
});
"""


def test_every_event_of_the_server_is_known(shared_modules: Modules) -> None:
    known = _event_types()
    assert len(known) > 30
    found = shared_modules.run(JUDGE, [_frame(event) for event in known])
    refused = [_frame(event) for event, told in zip(known, found, strict=True) if isinstance(told, str)]
    assert not refused
    for event, (judged, is_logged) in zip(known, found, strict=True):
        assert judged is not None, f"unknown: {event}"
        assert is_logged == issubclass(event, ev.Logged), event


def test_an_event_without_a_needed_field_or_with_a_wrong_one_is_refused(shared_modules: Modules) -> None:
    known = _event_types()
    read = [judged.keys() for judged, _ in shared_modules.run(JUDGE, [_frame(event) for event in known])]
    wrong = []
    for event, names in zip(known, read, strict=True):
        whole = _frame(event)
        # What the page does not read it does not judge.
        for name in names - {"type"}:
            wrong.append({**whole, name: 5.5})
            if event.fields()[name].is_required():
                wrong.append({key: value for key, value in whole.items() if key != name})
    assert len(wrong) > 200
    found = shared_modules.run(JUDGE, wrong)
    assert [frame for frame, told in zip(wrong, found, strict=True) if told != "E102"] == []


def test_unknown_and_hostile_types_are_ignored(shared_modules: Modules) -> None:
    names = ["newer", "__proto__", "constructor", "toString", "hasOwnProperty", "", 5, None, {"a": 1}, ["ok"]]
    found = shared_modules.run(JUDGE, [{"type": name} for name in names])
    assert [event for event, _ in found] == [None] * len(names)


def test_the_page_sends_again_what_may_be_sent_again(shared_modules: Modules) -> None:
    found = set(
        shared_modules.run('const { REPEATABLE } = await load("requests.js"); return [...REPEATABLE];')
    )
    wanted = {name for name, request in REQUESTS.items() if request.spec.repeatable}
    assert {"history", "who", "join"} <= found <= wanted


TEXTS = [
    "plain\ntext",
    "tab\tand\r\nline",
    "\x1b[31mred\x07",
    "\u202eevil\u2066",
    "zero\u200bwidth\u200d\u00ad",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "a\u200db \u200c",
    "o" + "\u0301" * 12,
    "\u2764\ufe0f heart, 1\ufe0f\u20e3, a\ufe0f",
    "\U000e0041tag \U000e0100",
    "\u3164filler \u2800\u115f",
    "\ue000 private \u0378 unassigned",
    "nbsp\u00a0 em\u2003 line\u2028 para\u2029",
]


def test_texts_are_escaped_as_by_the_server(shared_modules: Modules) -> None:
    found = shared_modules.run('const { visible } = await load("text.js"); return given.map(visible);', TEXTS)
    assert found == [visible(text) for text in TEXTS]


def test_conversations_have_the_names_that_the_server_gives_them(shared_modules: Modules) -> None:
    addresses = ["#war", "@bob", "@alice", "@bob,carol", "@carol,alice,bob", "@zoe,bob"]
    names = ["@alice,bob", "@alice,bob,carol", "#war", "@Alice,bob", "@", "@a", "@a," + ",".join("b" * 9)]
    found = shared_modules.run(
        """
        const { conversationAt, dmMembers } = await load("text.js");
        return [given[0].map((one) => conversationAt(one, "alice")), given[1].map(dmMembers)];
        """,
        [addresses, names],
    )
    assert found[0] == [conversation_at(one, "alice") for one in addresses]
    assert found[1] == [list(dm_members(one) or ()) for one in names]


def test_logs_part_where_the_server_says(shared_modules: Modules) -> None:
    def lineage(*branches: tuple[str, int]) -> list[Branch]:
        return [Branch(id=name * 32, began=began) for name, began in branches]

    cases = [
        (lineage(), lineage(("a", 0))),
        (lineage(("a", 0)), lineage()),
        (lineage(("a", 0)), lineage(("a", 0))),
        (lineage(("a", 0)), lineage(("a", 0), ("b", 50))),
        (lineage(("a", 0), ("b", 50)), lineage(("a", 0), ("c", 40))),
        (lineage(("a", 0), ("b", 50)), lineage(("a", 0), ("c", 60))),
        (lineage(("a", 0)), lineage(("x", 0))),
    ]
    found = shared_modules.run(
        """
        const { lastCommon } = await load("lineage.js");
        return given.map(([known, lineage]) => lastCommon(100, known, { head: 1000, lineage }));
        """,
        [[[one.model_dump() for one in side] for side in case] for case in cases],
    )
    assert found == [common_point(*case) for case in cases]


def test_a_node_that_is_behind_moves_no_cursor_back(shared_modules: Modules) -> None:
    found = shared_modules.run(
        """
        const { lastCommon } = await load("lineage.js");
        const [known, lineage] = given;
        return [false, true].map((clustered) => lastCommon(100, known, { head: 90, lineage, clustered }));
        """,
        [[{"id": "a" * 32, "began": 0}]] * 2,
    )
    assert found == [90, None]
