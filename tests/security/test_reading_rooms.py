"""What a member, a late joiner and a former member can read: by history, search, resume and seq."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from tests.support.hub_harness import HubHarness

SETTINGS = Settings.model_validate(
    {"roles": {"assigned": {"ann": "admin"}}, "rooms": [{"name": "#lobby", "autojoin": True}]}
)
USERS = ("ann", "bob", "carl")


class Readers(HubHarness):
    """A hub with a session of each user on the first worker."""

    def __init__(self, data: Path, settings: Settings = SETTINGS) -> None:
        super().__init__(data, settings)
        for sid, user in enumerate(USERS):
            self.ask(self.operator, 0, "user_add", user=user, device="dev", serial=f"a{sid}")
            assert self.open_session(self.workers[0], sid, user, "dev", f"a{sid}")

    def by(self, who: str, kind: str, /, **fields: Any) -> Any:
        """Return the result of a user's request, or the code of the refusal."""
        reply = self.ask(self.workers[0], USERS.index(who), kind, **fields)
        while reply is None:
            self.deliver_read()
            self.run_iteration()
            reply = self.workers[0].reply
        return reply.get("result", reply.get("code"))

    def say(self, user: str, to: str, body: str) -> int:
        """Send a message; return its seq."""
        return int(self.by(user, "send", msg_id=os.urandom(16).hex(), to=to, body=body)["seq"])

    def read_by(self, user: str, room: str, seqs: list[int]) -> dict[str, list[int]]:
        """Return which of the messages ``seqs`` a user reads in every way there is."""
        found = {}
        ways: dict[str, dict[str, Any]] = {
            "history": {"room": room, "limit": 500},
            "search": {"query": f"needle in:{room}", "limit": 500},
            "messages": {"room": room, "seqs": seqs},
            "resume": {"after": 0},
        }
        for kind, fields in ways.items():
            result = self.by(user, kind, **fields)
            events = result["events"] if isinstance(result, dict) else []
            found[kind] = sorted(e["seq"] for e in events if e["seq"] in seqs)
        found["search everywhere"] = sorted(
            e["seq"] for e in self.by(user, "search", query="needle")["events"] if e["seq"] in seqs
        )
        # Without the recent events in memory a resume reads the log.
        self.hub._fanout._recent.clear()
        self.hub._fanout._recent_after = self.hub.state.head
        found["resume from the log"] = sorted(
            e["seq"] for e in self.by(user, "resume", after=0)["events"] if e["seq"] in seqs
        )
        return found


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    harness = Readers(tmp_path / "data")
    yield harness
    harness.close()


def everywhere(readers: Readers, user: str, room: str, seqs: list[int]) -> list[int]:
    """Return the messages that a user reads; they must be the same in every way."""
    (found,) = {tuple(seqs) for seqs in readers.read_by(user, room, seqs).values()}
    return list(found)


def test_an_outsider_an_invited_user_and_a_former_member_read_nothing(readers: Readers) -> None:
    readers.by("bob", "create", room="#team", mode="members")
    seqs = [readers.say("bob", "#team", "the first needle")]
    assert everywhere(readers, "ann", "#team", seqs) == []
    readers.by("bob", "invite", room="#team", user="carl")
    assert everywhere(readers, "carl", "#team", seqs) == []
    readers.by("carl", "join", room="#team")
    assert everywhere(readers, "carl", "#team", seqs) == seqs
    readers.by("bob", "member_remove", room="#team", user="carl")
    seqs.append(readers.say("bob", "#team", "a needle after it"))
    assert everywhere(readers, "carl", "#team", seqs) == []
    assert everywhere(readers, "bob", "#team", seqs) == seqs


def test_a_late_joiner_reads_what_follows_the_last_join(readers: Readers) -> None:
    readers.by("bob", "create", room="#short", history="since_join")
    seqs = [readers.say("bob", "#short", "needle before")]
    readers.by("carl", "join", room="#short")
    seqs.append(readers.say("bob", "#short", "needle after"))
    assert everywhere(readers, "carl", "#short", seqs) == seqs[1:]
    readers.by("carl", "part", room="#short")
    seqs.append(readers.say("bob", "#short", "needle meanwhile"))
    readers.by("carl", "join", room="#short")
    seqs.append(readers.say("bob", "#short", "needle at last"))
    assert everywhere(readers, "carl", "#short", seqs) == seqs[3:]
    assert everywhere(readers, "bob", "#short", seqs) == seqs
    for kind, fields in {"reactions": {}, "react": {"text": "x"}}.items():
        assert readers.by("carl", kind, room="#short", seq=seqs[0], **fields) == "E410"
        assert readers.by("bob", kind, room="#short", seq=seqs[0], **fields) != "E410"


def test_pages_of_a_search_pass_over_what_the_asker_may_not_read(readers: Readers) -> None:
    """A page is as full as if the other messages did not exist, and the last one says so."""
    readers.by("bob", "create", room="#short", history="since_join")
    readers.by("carl", "create", room="#whole")
    mine = []
    for number in range(6):
        readers.say("bob", "#short", f"needle {number} before")
        mine.append(readers.say("carl", "#whole", f"needle {number}"))
    readers.by("carl", "join", room="#short")
    mine += [readers.say("bob", "#short", f"needle {number} after") for number in range(3)]
    found: list[int] = []
    before = None
    while True:
        page = readers.by("carl", "search", query="needle", limit=3, before=before)
        found += [event["seq"] for event in page["events"]]
        if not page["more"]:
            break
        assert len(page["events"]) == 3
        before = found[-1]
    assert found == mine[::-1]
    assert readers.by("carl", "search", query="before in:#short")["events"] == []


def test_pages_of_history_end_at_the_join(readers: Readers) -> None:
    readers.by("bob", "create", room="#short", history="since_join")
    for number in range(3):
        readers.say("bob", "#short", f"{number} before")
    readers.by("carl", "join", room="#short")
    join = readers.hub.state.head
    seqs = [readers.say("bob", "#short", f"{number} after") for number in range(3)]
    page = readers.by("carl", "history", room="#short", limit=2)
    assert [event["seq"] for event in page["events"]] == seqs[1:]
    page = readers.by("carl", "history", room="#short", limit=2, before=seqs[1])
    assert [event["seq"] for event in page["events"]] == [join, seqs[0]]
    assert page["more"] is False
    page = readers.by("carl", "history", room="#short", limit=2, after=0)
    assert [event["seq"] for event in page["events"]] == [join, seqs[0]]
    assert readers.by("carl", "history", room="#short", before=join)["events"] == []


def test_an_opened_room_keeps_what_was_written_among_its_members(readers: Readers) -> None:
    readers.by("bob", "create", room="#team", mode="members")
    seqs = [readers.say("bob", "#team", "a needle among us")]
    readers.by("bob", "room_mode", room="#team", mode="open")
    seqs.append(readers.say("bob", "#team", "a needle for all"))
    readers.by("carl", "join", room="#team")
    assert everywhere(readers, "carl", "#team", seqs) == seqs[1:]
    assert everywhere(readers, "bob", "#team", seqs) == seqs


def test_an_admin_reads_a_members_room_only_after_its_members_were_told(readers: Readers) -> None:
    worker = readers.workers[0]
    readers.by("bob", "resume")
    readers.by("bob", "create", room="#team", mode="members")
    seqs = [readers.say("bob", "#team", "a needle among us")]
    assert everywhere(readers, "ann", "#team", seqs) == []
    readers.by("ann", "owner", room="#team", user="ann")
    told = [event["type"] for sid, event in worker.delivered if sid == USERS.index("bob")]
    assert told[-2:] == ["joined", "owner_set"]
    assert everywhere(readers, "ann", "#team", seqs) == seqs
    audited = readers.by("bob", "audit"), readers.by("ann", "audit", event="owner_set")
    assert audited[0] == "E300"
    assert [(e["by"], e["user"], e["room"]) for e in audited[1]["events"]] == [("ann", "ann", "#team")]


def test_an_invited_user_is_told_and_nobody_else(readers: Readers) -> None:
    worker = readers.workers[0]
    for user in USERS:
        readers.by(user, "resume")
    readers.by("bob", "create", room="#team", mode="members")
    readers.by("bob", "invite", room="#team", user="carl")
    ((sid, notice),) = worker.notices
    assert (sid, notice["change"], notice["room"]) == (USERS.index("carl"), "invited", "#team")
    readers.by("bob", "uninvite", room="#team", user="carl")
    assert worker.notices[-1][1]["change"] == "uninvited"
    outsiders = {USERS.index("ann"), USERS.index("carl")}
    assert not [e for sid, e in worker.delivered if sid in outsiders and e.get("room") == "#team"]


def test_messages_of_a_group_reach_its_members_only(readers: Readers) -> None:
    for user in USERS:
        readers.by(user, "resume")
    readers.ask(readers.operator, 0, "user_add", user="dora", device="dev", serial="d0")
    seqs = [readers.say("bob", "@bob,carl,dora", "a needle among three")]
    receivers = {sid for sid, event in readers.workers[0].delivered if event["seq"] == seqs[0]}
    assert receivers == {USERS.index("bob"), USERS.index("carl")}
    assert everywhere(readers, "carl", "@bob,carl,dora", seqs) == seqs
    assert everywhere(readers, "ann", "@bob,carl,dora", seqs) == []
