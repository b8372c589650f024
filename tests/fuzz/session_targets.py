"""Targets for whole conversations: a client that any server talks to, a hub that any user asks."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any

from chatctl.client._notices import AnyEvent, Sent
from chatctl.client._session import ByeReceived, ClientSession, PendingRequest
from chatctl.model import answers, paging
from chatctl.model.chat_model import ChatModel
from chatctl.model.render import Line, Viewer, render
from chatctl.model.wrapping import wrap
from chatd.errors import ChatdError
from chatd.hub.state.context import OPERATOR
from chatd.hub.state.model import State
from chatd.proto import events as ev
from chatd.proto.frames import decode, encode
from chatd.proto.requests import REQUESTS
from tests.fuzz.byte_source import ByteSource
from tests.fuzz.wire_targets import LIKELY, NAMES, server_frame
from tests.support.harmless import assert_harmless
from tests.support.hubworld import World, copier

WELCOME: dict[str, Any] = {
    "type": "welcome",
    **dict.fromkeys(("server", "version", "instance", "device", "role"), "x"),
    "protocol": 1,
    "user": "alice",
    "permissions": [],
    "rooms": ["#lobby"],
    "head": 2,
    "time": 0,
    "envelope": True,
    "limits": LIKELY["limits"][0],
}
_SHOWN = (ev.Logged, ev.Presence, ev.Slowed)


def client_session(data: bytes) -> None:
    """Whatever a server sends, a client raises a documented code and shows harmless lines."""
    source = ByteSource(data)
    session, model, now = ClientSession(), ChatModel("alice", clock=lambda: 0.0), 0.0
    session.opened(now)
    frames = [WELCOME] if source.byte() else []
    session.send(Sent("0" * 32, "#lobby", "hello", "text", None))
    session.ask(PendingRequest("rooms", {}))
    with contextlib.suppress(ChatdError, ByeReceived):
        while source.left or frames:
            now += source.byte() / 16
            frame = frames.pop() if frames else server_frame(source)
            events = session.receive(frame, now)
            _show(events, model)
            for sent in session.outgoing(now, space=source.byte() & 1 == 1):
                assert decode(encode(sent)[4:]) == sent
            assert session.tick(now) > 0
    session.closed()
    for one in model.conversations.values():
        for row in one.rows:
            assert_harmless(row.body, newlines=True)
            assert_harmless(row.user + row.role + row.quote)


def _show(events: list[AnyEvent], model: ChatModel) -> None:
    for event in events:
        model.take(event)
        if isinstance(event, _SHOWN):
            lines = render(event, Viewer("alice", "#lobby", dated=True), model.quote(event))
            _assert_lines(lines)
            for line in lines:
                wrap(line, 80)


def _assert_lines(lines: list[Line]) -> None:
    for line in lines:
        for _, text in line:
            assert_harmless(text)


def answer_lines(data: bytes) -> None:
    """The lists that a client shows have harmless lines, whatever the server's results hold."""
    source = ByteSource(data)
    names = ("user", "role", "state", "text", "room", "members", "topic", "guests", "joined", "devices")
    more = ("rooms", "banned", "by", "reason", "until", "sessions", "default", "roles", "pinned", "device")
    entries = [source.fields((*names, *more), LIKELY) for _ in range(source.below(3) + 1)]
    first = entries[0]
    for lines in (answers.who("#war", entries), answers.rooms(entries), answers.bans(entries)):
        _assert_lines(lines)
    _assert_lines([*answers.whois(first), *answers.roles(first)])
    _assert_lines([answers.note(answers.sanction(first, "is banned", lasting=True))])
    _assert_lines([answers.note(answers.room_head(first, "#war", 1))])
    _read_pages(source)
    model = ChatModel("alice", clock=lambda: 0.0)
    model.joined.add("#war")
    model.set_rooms(entries, 0)
    model.set_members("#war", entries)


def _read_pages(source: ByteSource) -> None:
    def request(*_: object, **__: object) -> dict[str, Any]:
        items = (
            [server_frame(source) for _ in range(source.below(3))] if source.byte() & 3 else source.value()
        )
        return {"events": items, "rooms": items, "more": source.left > 0}

    assert paging.list_all(request, "rooms", "rooms", "room") is not None
    with contextlib.suppress(ChatdError):
        paging.history(request, "#war", count=3, after=source.choice((None, 0)))


@cache
def _worlds() -> Any:
    def build() -> World:
        world = World()
        world.create_configured_rooms()
        for name, role in (("alice", "admin"), ("bob", None), ("a", "guest")):
            world.add_user(name, role)
        world.ask("alice", "create", room="#war")
        world.ask("bob", "send", to="@alice", body="hello")
        return world

    return copier(build)


def hub_requests(data: bytes) -> None:
    """The hub answers any requests or refuses them with a code; replay and snapshot give the same state."""
    source = ByteSource(data)
    world: World = _worlds()()
    replayed = State.restore(world.state.snapshot())
    for _ in range(6):
        if not source.left:
            break
        kind = source.choice([*REQUESTS])
        fields = source.fields(
            [name for name in sorted(REQUESTS[kind].model_fields) if name != "type"], LIKELY
        )
        fields.pop("type", None)
        who: Any = source.choice((*NAMES[:3], OPERATOR))
        world.now += source.below(100_000)
        with contextlib.suppress(ChatdError):
            fields.pop("kind", None) if kind != "send" else None
            world.ask(who, kind, **{name: value for name, value in fields.items() if name.isidentifier()})
    for event in world.log:
        assert len(encode(event)) < 64 * 1024
        replayed.apply(event)
    assert replayed == world.state
    assert State.restore(world.state.snapshot()) == world.state
