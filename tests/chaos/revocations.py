"""Take the access of people who are talking, and time how long their sessions live on.

Every act meets three live sessions, spread over the workers, while somebody else keeps talking. In some
rounds the hub or a worker is killed around the same moment. Afterwards nobody who lost access may log in, and
nothing that they got may be newer than the act.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto.events import Message, Standing
from tests.chaos.journal import Journal
from tests.chaos.log_chain import read_log
from tests.chaos.summary import spread
from tests.chaos.trial_server import TrialServer

ROOM = "#lobby"
DEVICE = "laptop"
SESSIONS = 3
TALK_PAUSE = 0.02
WAIT_SECONDS = 60.0
LIMIT_SECONDS = 1.0
# One round in so many kills a process within this time after the request; its time counts separately.
KILL_EVERY = 5
KILL_WITHIN = 0.01


# The role that takes a user's permissions.
LOST_ROLE = "guest"


class AccessAct(NamedTuple):
    """One way to take access. ``ends``: whether sessions end, ``refused`` the code of the next login."""

    kind: str
    event: str
    fields: dict[str, Any]
    ends: bool
    refused: str


ACTS = (
    AccessAct("revoke", "device_revoked", {"device": DEVICE}, True, "E206"),
    AccessAct("ban", "banned", {}, True, "E207"),
    AccessAct("guest_end", "guest_ended", {}, True, "E219"),
    AccessAct("role_set", "role_set", {"role": LOST_ROLE}, False, ""),
)


class WatchedSession:
    """One session of a person who loses access; it notes when it ended and the last message it got."""

    def __init__(self, identity: Path) -> None:
        self.last_seq = 0
        self.touched_at = 0.0
        self._client = Client(read_identity(identity), reconnect=False)
        self._client.start()
        self._client.wait_connected(WAIT_SECONDS)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        for event in self._client.events():
            if isinstance(event, Message):
                self.last_seq = event.seq
            elif isinstance(event, Standing) and event.role == LOST_ROLE:
                self.touched_at = self.touched_at or time.monotonic()
        if self._client.error is not None and self._client.error.fix != "start it again":
            self.touched_at = self.touched_at or time.monotonic()

    def wait_touched(self) -> bool:
        """Wait until the session has ended or been told; return whether it was."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.touched_at and time.monotonic() < deadline:
            time.sleep(0.002)
        return bool(self.touched_at)

    def close(self) -> None:
        self._client.close()
        self._thread.join(WAIT_SECONDS)


class _Round(NamedTuple):
    user: str
    act: AccessAct
    seconds: float
    killed: str
    last_seq: int


def run(folder: Path, *, rounds: int, seed: int) -> dict[str, Any]:
    """Take the access of ``rounds`` people. Times are seconds from before the request to the last session."""
    rng = random.Random(seed)
    server = TrialServer(folder / "home", Journal(folder / "faults.jsonl"))
    findings: list[str] = []
    done: list[_Round] = []
    try:
        server.begin()
        users = _add_users(server, folder, rounds)
        with Client(read_identity(server.daemon.identity("alice", "console"))) as admin:
            admin.wait_connected(WAIT_SECONDS)
            with _Talking(admin):
                for number, (user, act) in enumerate(users):
                    killed = rng.choice(("hub", "worker-1")) if number % KILL_EVERY == KILL_EVERY - 1 else ""
                    delay = rng.uniform(0, KILL_WITHIN)
                    done.append(_take(server, admin, user, act, killed, delay, findings))
        _check_logins(server, users, findings)
    finally:
        server.stop()
    _check_log(folder, server, done, findings)
    undisturbed = [one for one in done if not one.killed]
    worst = max((one.seconds for one in undisturbed), default=0.0)
    if worst > LIMIT_SECONDS:
        findings.append(f"a session lived on for {worst:.2f} s")
    return {
        "trial": "revocations",
        "date": time.strftime("%Y-%m-%d"),
        "seed": seed,
        "rounds": rounds,
        "sessions": SESSIONS * rounds,
        "seconds": {act.kind: spread([one.seconds for one in undisturbed if one.act is act]) for act in ACTS},
        "seconds_with_kill": spread([one.seconds for one in done if one.killed]),
        "findings": findings,
    }


def _add_users(server: TrialServer, folder: Path, rounds: int) -> list[tuple[str, AccessAct]]:
    users = [(f"p{number:03d}", ACTS[number % len(ACTS)]) for number in range(rounds)]
    listed = folder / "names.csv"
    listed.write_text("".join(f"{user}\n" for user, act in users if act.kind != "guest_end"))
    server.daemon.chatd("user", "add", "--file", str(listed), "--device", DEVICE)
    for user, act in users:
        if act.kind == "guest_end":
            guest = ("--ends", "30d", "--sponsor", "alice")
            server.daemon.chatd("user", "add", user, "--device", DEVICE, *guest)
    return users


class _Talking:
    """Somebody keeps sending to the room, so that there is always something to deliver."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _talk(self) -> None:
        number = 0
        while not self._stop.wait(TALK_PAUSE):
            number += 1
            if self._client.unsent < 100:
                self._client.send(ROOM, f"message {number}")


def _take(
    server: TrialServer,
    admin: Client,
    user: str,
    act: AccessAct,
    killed: str,
    delay: float,
    findings: list[str],
) -> _Round:
    identity = server.daemon.identity(user, DEVICE)
    sessions = [WatchedSession(identity) for _ in range(SESSIONS)]
    killer = threading.Timer(delay, server.kill, [[killed]]) if killed else None
    if killer is not None:
        killer.start()
    began = time.monotonic()
    _until_done(lambda: admin.request(act.kind, user=user, **act.fields))
    if not all(session.wait_touched() for session in sessions):
        findings.append(f"{act.kind} {user}: a session was neither ended nor told")
    if killer is not None:
        killer.join()
    seconds = max(session.touched_at for session in sessions) - began
    for session in sessions:
        session.close()
    return _Round(user, act, seconds, killed, max(session.last_seq for session in sessions))


def _until_done(request: Callable[[], object]) -> None:
    """Repeat a request whose outcome is unknown; a refusal then says that it has happened already."""
    unknown = False
    while True:
        try:
            request()
        except ChatdError as error:
            if unknown and error.code.startswith("E4"):
                return
            if error.code not in ("E502", "E503", "E611"):
                raise
            unknown = True
        else:
            return


def _check_logins(server: TrialServer, users: list[tuple[str, AccessAct]], findings: list[str]) -> None:
    """Try to log in as everybody who lost access, before and after the hub is killed."""
    for _ in range(2):
        for user, act in users:
            code = _login(server.daemon.identity(user, DEVICE))
            if code != act.refused:
                findings.append(f"{act.kind} {user}: the next login got {code or 'in'}")
        server.kill(["hub"])


def _login(identity: Path) -> str:
    """Try to log in, again while no process of the server answers; return the refusal's code."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (code := _attempt(identity)) in ("E607", "E502") and time.monotonic() < deadline:
        time.sleep(0.05)
    return code


def _attempt(identity: Path) -> str:
    client = Client(read_identity(identity), reconnect=False, live=False)
    try:
        client.start()
        client.wait_connected(WAIT_SECONDS)
    except ChatdError as error:
        return error.code
    finally:
        client.close()
    return ""


def _check_log(folder: Path, server: TrialServer, done: list[_Round], findings: list[str]) -> None:
    """Compare the last message of each person who lost access with the place of the act in the log."""
    events = read_log(server.home / "data", folder / "copy").events
    for one in done:
        if one.act.ends:
            seqs = [e.seq for e in events if e.kind == one.act.event and e.body.get("user") == one.user]
            if not seqs:
                findings.append(f"{one.act.kind} {one.user}: the log does not have it")
            elif one.last_seq > seqs[0]:
                findings.append(f"{one.act.kind} {one.user}: got {one.last_seq}, after the act at {seqs[0]}")
