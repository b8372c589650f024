"""Random sequences of requests to a real hub, compared with an independent model made of plain sets.

After each step the hub and the model must agree on the members of every room and on the receivers of
every event. At the end the log is read back, replayed and restored from a snapshot.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chatd.config.schema import Settings
from chatd.hub.recovery import recover
from chatd.hub.state.model import State
from chatd.proto.frames import JsonObject
from tests.support.hub_harness import HubHarness, WorkerEnd

USERS = ("alice", "bob", "carl", "gus", "zoe")
ROOMS = ("#lobby", "#one", "#two", "#hall")
WORDS = ("hello", "drop", "fine")
# Settings for a reload: (settings, pinned roles, room -> whether it admits guests, forbidden words).
LOBBY = {"name": "#lobby", "autojoin": True}
# The model does not know the limits on sessions and new rooms; other tests cover them.
NO_LIMITS: JsonObject = {
    "limits": {"sessions_per_user": 1000, "per_role": {"user": {"rooms_per_day": 1000}}},
    "server": {"max_connections": 1000},
}
VARIANTS: tuple[tuple[JsonObject, dict[str, str], dict[str, bool], set[str]], ...] = (
    ({"rooms": [LOBBY | {"guests": True}]}, {}, {"#lobby": True}, {"drop"}),
    (
        {"rooms": [LOBBY], "roles": {"assigned": {"carl": "guest", "gus": "admin"}}, "filter": {"words": []}},
        {"carl": "guest", "gus": "admin"},
        {"#lobby": False},
        set(),
    ),
    (
        {"rooms": [LOBBY | {"guests": True}, {"name": "#hall"}], "filter": {"words": ["hello"]}},
        {},
        {"#lobby": True, "#hall": False},
        {"hello"},
    ),
)
user, room, place = st.sampled_from(USERS), st.sampled_from(ROOMS), st.integers(0, 1)
seconds = st.none() | st.integers(1, 90)


class Model:
    """Users, roles, memberships and sanctions, as plain sets."""

    def __init__(self) -> None:
        self.now = 0
        self.roles: dict[str, str | None] = {}
        self.revoked: set[str] = set()
        self.members: dict[str, set[str]] = {}
        self.guests: dict[str, bool] = {}
        self.archived: set[str] = set()
        # Removed rooms whose names are not free yet.
        self.removing: set[str] = set()
        self.left: set[tuple[str, str]] = set()
        # (sanction, user, room) -> its end
        self.until: dict[tuple[str, str, str], float] = {}
        self.messages: list[tuple[str, str, str]] = []
        self.reload(0)

    def reload(self, variant: int) -> None:
        _, self.pinned, self.configured, self.words = VARIANTS[variant]
        self.create_configured()
        self.remove_disallowed_members()

    def create_configured(self) -> None:
        for name in self.configured:
            if name not in self.removing:
                self.members.setdefault(name, set())

    def remove(self, where: str) -> None:
        del self.members[where]
        self.archived.discard(where)
        self.removing.add(where)

    def free_names(self) -> None:
        """Forget all of the removed rooms."""
        self.messages = [said for said in self.messages if said[1] not in self.removing]
        self.until = {key: end for key, end in self.until.items() if key[2] not in self.removing}
        self.removing.clear()
        self.create_configured()

    def role(self, name: str) -> str:
        return self.pinned.get(name) or self.roles[name] or "user"

    def allowed_in(self, name: str, where: str) -> bool:
        return self.role(name) != "guest" or self.configured.get(where, self.guests.get(where, False))

    def remove_disallowed_members(self) -> None:
        for where, members in self.members.items():
            for name in list(members):
                if where[0] == "#" and not self.allowed_in(name, where):
                    members.remove(name)
                    self.left.add((name, where))

    def sanctioned(self, what: str, name: str, where: str = "") -> bool:
        return self.now < self.until.get((what, name, where), 0)

    def impose(self, what: str, name: str, for_seconds: int | None, where: str = "") -> None:
        self.until[what, name, where] = float("inf") if for_seconds is None else self.now + for_seconds

    def may_log_in(self, name: str) -> bool:
        known = name in self.roles and name not in self.revoked
        return known and not self.sanctioned("ban", name) and not self.sanctioned("kick", name)

    def auto_join(self, name: str) -> None:
        """Join #lobby, as after registration and at every login."""
        open_lobby = "#lobby" not in self.archived
        if open_lobby and self.allowed_in(name, "#lobby") and (name, "#lobby") not in self.left:
            self.members["#lobby"].add(name)

    def knows(self, name: str, other: str) -> bool:
        """Whether ``name`` may begin a conversation with ``other``, or has one."""
        shared = any({name, other} <= members for members in self.members.values())
        return shared or name == other or self.role(name) == "admin"

    def may_sanction(self, by: str, name: str) -> bool:
        admin = self.role(by) == "admin"
        return admin and name in self.roles and name != by and self.role(name) != "admin"

    def may_say(self, name: str, where: str, body: str) -> bool:
        muted = self.sanctioned("mute", name) or self.sanctioned("mute", name, where)
        return not muted and body not in self.words


class HubMachine(RuleBasedStateMachine):
    """Each rule is one action of one user, done at the hub and in the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.harness = self.make_harness(
            Path(self.folder.name), Settings.model_validate(NO_LIMITS | VARIANTS[0][0])
        )
        self.model = Model()
        self.sids = 0
        self.sessions: dict[tuple[int, int], str] = {}
        self.said = 0
        self.sent: dict[str, list[tuple[JsonObject, JsonObject]]] = {name: [] for name in USERS}
        for name, role in zip(USERS[:-1], ("admin", None, None, "guest"), strict=True):
            self.add(name, role)
            self.login(name, 0)

    def make_harness(self, data: Path, settings: Settings) -> HubHarness:
        return HubHarness(data, settings)

    # --- helpers of the rules ---------------------------------------------------------------------

    def session(self, name: str) -> tuple[WorkerEnd, int] | None:
        for (place, sid), owner in self.sessions.items():
            if owner == name:
                return self.harness.workers[place], sid
        return None

    def ask(self, name: str, permitted: bool, kind: str, /, **fields: Any) -> JsonObject | None:
        """Send a request; return its result or None. The hub must permit it exactly if ``permitted``."""
        at = self.session(name)
        if at is None:
            return None
        reply = self.harness.ask(*at, kind, **fields)
        assert reply is not None
        assert (reply["type"] == "ok") == permitted, reply
        assert reply.get("code") != "E500"
        self.drop_cut_sessions()
        return reply.get("result")

    def drop_cut_sessions(self) -> None:
        """Assert that the hub has cut the sessions of the users in ``cuts`` and no others; forget those."""
        for (place, sid), owner in list(self.sessions.items()):
            assert (sid in self.harness.workers[place].sessions) == (owner not in self.cuts), owner
            if sid not in self.harness.workers[place].sessions:
                del self.sessions[place, sid]

    cuts: frozenset[str] = frozenset()

    def take_delivered(self) -> list[tuple[int, int, JsonObject]]:
        delivered = [
            (n, sid, event)
            for n, worker in enumerate(self.harness.workers)
            for sid, event in worker.delivered
        ]
        for worker in self.harness.workers:
            worker.delivered.clear()
        return delivered

    def check_receivers(self, kind: str, members: set[str] | None) -> None:
        """Assert that the event went once to each live session of ``members`` (None: of all users)."""
        receivers = [(n, sid) for n, sid, event in self.take_delivered() if event["type"] == kind]
        live = {(n, sid) for n, worker in enumerate(self.harness.workers) for sid in worker.live}
        wanted = {key for key in live if members is None or self.sessions[key] in members}
        assert sorted(receivers) == sorted(wanted)

    # --- sessions ----------------------------------------------------------------------------------

    @rule(name=user, place=place)
    def login(self, name: str, place: int) -> None:
        self.sids += 1
        permitted = self.model.may_log_in(name)
        assert (
            self.harness.open_session(
                self.harness.workers[place], self.sids, name, "dev", name.encode().hex()
            )
            == permitted
        )
        if permitted:
            self.model.auto_join(name)
            self.sessions[place, self.sids] = name
            self.harness.ask(self.harness.workers[place], self.sids, "resume")
            assert self.sids in self.harness.workers[place].live

    @rule(name=user)
    def logout(self, name: str) -> None:
        for (place, sid), owner in list(self.sessions.items()):
            if owner == name:
                self.harness.close_session(self.harness.workers[place], sid)
                del self.sessions[place, sid]

    @rule(by=st.integers(1, 100))
    def advance_clock(self, by: int) -> None:
        self.model.now += by
        self.harness.now += by * 1000

    # --- messages ----------------------------------------------------------------------------------

    @rule(name=user, where=room, body=st.sampled_from(WORDS))
    def send(self, name: str, where: str, body: str) -> None:
        self.say(name, where, where, body, name in self.model.members.get(where, ()))

    @rule(name=user, other=user, body=st.sampled_from(WORDS))
    def send_direct(self, name: str, other: str, body: str) -> None:
        if name not in self.model.roles:
            return
        pair = ",".join(sorted((name, other)))
        both = other in self.model.roles and "guest" not in (self.model.role(name), self.model.role(other))
        both = both and self.model.knows(name, other)
        if self.say(name, f"@{other}", f"@{pair}", body, both):
            self.model.members.setdefault(f"@{pair}", {name, other})

    def say(self, name: str, to: str, where: str, body: str, inside: bool) -> bool:
        permitted = inside and where not in self.model.archived and self.model.may_say(name, where, body)
        self.said += 1
        message = {"to": to, "body": body, "msg_id": f"{self.said:032x}"}
        self.take_delivered()
        result = self.ask(name, permitted, "send", **message)
        if result is None:
            return False
        self.model.messages.append((name, where, body))
        self.sent[name].append((message, result))
        self.check_receivers("message", self.model.members.get(where, set(where[1:].split(","))))
        return True

    @rule(name=user, data=st.data())
    def resend(self, name: str, data: st.DataObject) -> None:
        if not self.sent[name]:
            return
        message, first = data.draw(st.sampled_from(self.sent[name]))
        self.take_delivered()
        again = self.ask(name, True, "send", **message)
        if again is not None:
            assert (again["seq"], again["at"]) == (first["seq"], first["at"])
            self.ask(name, False, "send", **message | {"body": "other"})
        assert not self.take_delivered()

    @rule(name=user)
    def announce(self, name: str) -> None:
        self.take_delivered()
        permitted = name in self.model.roles and self.model.role(name) == "admin"
        permitted = permitted and "hello" not in self.model.words
        if self.ask(name, permitted, "announce", body="hello") is not None:
            self.check_receivers("announcement", None)

    # --- rooms -------------------------------------------------------------------------------------

    @rule(name=user, where=room, guests=st.booleans())
    def create(self, name: str, where: str, guests: bool) -> None:
        if self.session(name) is None:
            return
        permitted = self.model.role(name) != "guest"
        permitted = permitted and where not in self.model.members and where not in self.model.removing
        permitted = permitted and not self.model.sanctioned("mute", name)
        if self.ask(name, permitted, "create", room=where, guests=guests) is not None:
            self.model.members[where], self.model.guests[where] = {name}, guests

    @rule(name=user, where=room)
    def join(self, name: str, where: str) -> None:
        if self.session(name) is None:
            return
        members = self.model.members.get(where, set())
        permitted = where in self.model.members and self.model.allowed_in(name, where)
        permitted = permitted and (where not in self.model.archived or name in members)
        if self.ask(name, permitted, "join", room=where) is not None:
            self.model.members[where].add(name)
            self.model.left.discard((name, where))

    @rule(name=user, where=room)
    def part(self, name: str, where: str) -> None:
        if self.ask(name, name in self.model.members.get(where, ()), "part", room=where) is not None:
            self.model.members[where].remove(name)
            self.model.left.add((name, where))

    @rule(by=user, where=room, on=st.booleans())
    def archive(self, by: str, where: str, on: bool) -> None:
        permitted = by in self.model.roles and self.model.role(by) == "admin" and where in self.model.members
        if self.ask(by, permitted, "room_archive", room=where, on=on) is not None:
            (self.model.archived.add if on else self.model.archived.discard)(where)

    @rule(by=user, where=room, hold=st.booleans())
    def remove(self, by: str, where: str, hold: bool) -> None:
        admin = by in self.model.roles and self.model.role(by) == "admin" and where in self.model.members
        if hold and admin and self.ask(by, True, "hold", room=where) is not None:
            self.ask(by, False, "room_remove", room=where)
            self.ask(by, True, "hold", room=where, on=False)
        self.take_delivered()
        permitted = admin and where not in self.model.configured
        if self.ask(by, permitted, "room_remove", room=where) is not None:
            self.check_receivers("room_removed", self.model.members[where])
            self.model.remove(where)

    @rule()
    def upkeep(self) -> None:
        # Redact the messages of each removed room, free its name, and commit that.
        for _ in range(2 * len(ROOMS) + 1):
            self.harness.hub.before_commit()
            self.harness.run_iteration()
        for name in USERS:
            self.sent[name] = [s for s in self.sent[name] if s[0]["to"] not in self.model.removing]
        self.model.free_names()

    # --- sanctions -----------------------------------------------------------------------------------

    def sanction(self, by: str, other: str, permitted: bool, kind: str, /, **fields: Any) -> bool:
        """Request a sanction, which cuts the other user's sessions if it is permitted."""
        if self.session(by) is None:
            return False
        self.cuts = frozenset({other}) if permitted else frozenset()
        done = self.ask(by, permitted, kind, user=other, **fields) is not None
        self.cuts = frozenset()
        return done

    @rule(by=user, other=user, seconds=seconds)
    def ban(self, by: str, other: str, seconds: int | None) -> None:
        permitted = by in self.model.roles and self.model.may_sanction(by, other)
        if self.sanction(by, other, permitted, "ban", seconds=seconds):
            self.model.impose("ban", other, seconds)

    @rule(by=user, other=user)
    def kick(self, by: str, other: str) -> None:
        permitted = by in self.model.roles and self.model.may_sanction(by, other)
        if self.sanction(by, other, permitted, "kick"):
            self.model.impose("kick", other, 60)

    @rule(by=user, other=user)
    def revoke(self, by: str, other: str) -> None:
        known = other in self.model.roles and other not in self.model.revoked
        permitted = by in self.model.roles and self.model.role(by) == "admin" and known
        # Each has one device: the last one of another admin whose role is pinned.
        permitted = permitted and (by == other or self.model.pinned.get(other) != "admin")
        if other not in ("alice", "bob") and self.sanction(by, other, permitted, "revoke", device="dev"):
            self.model.revoked.add(other)

    @rule(by=user, other=user, where=room)
    def kick_from_room(self, by: str, other: str, where: str) -> None:
        permitted = by in self.model.roles and self.model.may_sanction(by, other)
        permitted = permitted and other in self.model.members.get(where, ())
        if self.ask(by, permitted, "kick", user=other, room=where) is not None:
            self.model.members[where].remove(other)
            self.model.left.add((other, where))

    @rule(by=user, other=user, where=st.none() | room, seconds=seconds)
    def mute(self, by: str, other: str, where: str | None, seconds: int | None) -> None:
        permitted = by in self.model.roles and self.model.may_sanction(by, other)
        permitted = permitted and (where is None or where in self.model.members)
        if self.ask(by, permitted, "mute", user=other, room=where, seconds=seconds) is not None:
            self.model.impose("mute", other, seconds, where or "")

    @rule(by=user, other=user)
    def unban(self, by: str, other: str) -> None:
        sanctioned = self.model.sanctioned("ban", other) or self.model.sanctioned("kick", other)
        permitted = by in self.model.roles and self.model.role(by) == "admin" and sanctioned
        if self.ask(by, permitted, "unban", user=other) is not None:
            self.model.impose("ban", other, 0)
            self.model.impose("kick", other, 0)

    @rule(by=user, other=user, role=st.sampled_from(("guest", "user", "admin")))
    def set_role(self, by: str, other: str, role: str) -> None:
        known = other in self.model.roles and other not in self.model.pinned and by != other
        permitted = by in self.model.roles and self.model.role(by) == "admin" and known
        if self.ask(by, permitted, "role_set", user=other, role=role) is not None:
            self.model.roles[other] = role
            self.model.remove_disallowed_members()

    # --- administration ----------------------------------------------------------------------------------

    @rule(name=user, role=st.sampled_from((None, "guest", "user")))
    def add(self, name: str, role: str | None) -> None:
        reply = self.harness.ask(
            self.harness.operator,
            0,
            "user_add",
            user=name,
            device="dev",
            serial=name.encode().hex(),
            role=role,
        )
        pinned = self.model.pinned.get(name)
        fits = role is None or pinned in (None, role)
        assert reply is not None
        assert (reply["type"] == "ok") == (name not in self.model.roles and fits), reply
        if reply["type"] == "ok":
            self.model.roles[name] = role
            self.model.auto_join(name)

    @rule(variant=st.integers(0, len(VARIANTS) - 1))
    def reload(self, variant: int) -> None:
        self.harness.hub.reload(Settings.model_validate(NO_LIMITS | VARIANTS[variant][0]))
        self.harness.run_iteration()
        self.model.reload(variant)

    # --- invariants ------------------------------------------------------------------------------------

    @invariant()
    def hub_and_model_agree_on_rooms(self) -> None:
        state = self.harness.hub.state
        assert {name: set(room.members) for name, room in state.rooms.items()} == self.model.members
        for name, known in state.users.items():
            assert set(known.rooms) == {
                where for where, members in self.model.members.items() if name in members
            }
            assert self.harness.hub.rules.role_of(state, name) == self.model.role(name)

    @invariant()
    def workers_know_the_rooms_of_each_session(self) -> None:
        for place, worker in enumerate(self.harness.workers):
            for sid, rooms in worker.live.items():
                owner = self.sessions[place, sid]
                own = {w for w, members in self.model.members.items() if owner in members}
                assert rooms == own | {"*", f"={owner}"}

    def teardown(self) -> None:
        try:
            state, replayed = self.harness.hub.state, State()
            events = list(self.harness.logged_events())
            assert [event["seq"] for event in events] == list(range(1, state.head + 1))
            logged = [
                (e["user"], e["room"], e["body"]) for e in events if e["type"] == "message" and "body" in e
            ]
            assert logged == self.model.messages
            for event in events:
                replayed.apply(event)
            assert replayed == state
            assert State.restore(state.snapshot()) == state
            assert recover(self.harness.log) == state
        finally:
            self.harness.close()
            self.folder.cleanup()


TestHub = HubMachine.TestCase
TestHub.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
