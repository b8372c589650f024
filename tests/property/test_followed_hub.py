"""Random conversations at a hub that leads: the hub that follows it ends with the same log and state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import hypothesis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import rule

from chatd.config.schema import Settings
from chatd.hub.recovery import recover
from tests.property.test_hub_state import HubMachine, place, room, user
from tests.support.followed_hub import FollowedHarness
from tests.support.hub_harness import HubHarness

_TABLES = ("events", "edits", "reactions", "erased")


class FollowedMachine(HubMachine):
    """The actions of `HubMachine`, and changes of messages, at a hub with a follower."""

    def make_harness(self, data: Path, settings: Settings) -> HubHarness:
        return FollowedHarness(data, settings)

    def change(self, name: str, kind: str, /, **fields: Any) -> None:
        """Make a request that may be refused."""
        at = self.session(name)
        if at is not None:
            reply = self.harness.ask(*at, kind, **fields)
            assert reply is not None and reply.get("code") != "E500"

    def drawn_message(self, name: str, data: st.DataObject) -> dict[str, Any] | None:
        """Return the room and seq of a message to a room that this user has sent; None without any."""
        sent = [(m["to"], r["seq"]) for m, r in self.sent[name] if m["to"][0] == "#"]
        if not sent:
            return None
        where, seq = data.draw(st.sampled_from(sent))
        return {"room": where, "seq": seq}

    @rule(name=user, data=st.data(), number=st.integers(0, 2**32))
    def edit(self, name: str, data: st.DataObject, number: int) -> None:
        if target := self.drawn_message(name, data):
            self.change(name, "edit", msg_id=f"{number:032x}", body=f"better {number}", **target)

    @rule(name=user, by=user, data=st.data(), on=st.booleans(), text=st.sampled_from(("+1", "-1")))
    def react(self, name: str, by: str, data: st.DataObject, on: bool, text: str) -> None:
        if target := self.drawn_message(name, data):
            self.change(by, "react", text=text, on=on, **target)

    @rule(where=room, on=st.booleans())
    def hold(self, where: str, on: bool) -> None:
        self.change("alice", "hold", room=where, on=on)

    @rule(where=room, place=place)
    def topic(self, where: str, place: int) -> None:
        self.change("alice", "topic", room=where, topic=f"topic {place}")

    @rule(name=user, where=room)
    def read_marker(self, name: str, where: str) -> None:
        self.change(name, "read", room=where, seq=self.harness.hub.state.head)

    def teardown(self) -> None:
        try:
            harness = self.harness
            assert isinstance(harness, FollowedHarness)
            harness.hub.before_commit()
            harness.run_iteration()
            follower = harness.follower
            assert follower is not None
            assert (follower.log.head, follower.log.chain_hash) == (harness.log.head, harness.log.chain_hash)
            assert follower.hub.state == harness.hub.state == recover(follower.log)
            ours, theirs = (json.loads(hub.state.snapshot()) for hub in (harness.hub, follower.hub))
            assert ours == theirs
            assert _rows(harness.log.folder) == _rows(follower.log.folder)
            assert list(follower.hub._fanout._recent) == list(harness.hub._fanout._recent)
        finally:
            self.harness.close()
            self.folder.cleanup()


def _rows(data: Path) -> dict[str, list[Any]]:
    connection = apsw.Connection(str(data / "events.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr)  # noqa: S608 - ours
            for table in _TABLES
        }
    finally:
        connection.close()


TestFollowedHub = FollowedMachine.TestCase
TestFollowedHub.settings = hypothesis.settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
