"""The admin of a trial: bans, mutes, changes roles, revokes devices, and records every act."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.chaos.journal import Journal
from tests.chaos.talker import END_MARK

REPLY_SECONDS = 60.0


class Admin:
    """``victims`` maps ban, mute and role_set to a user; ``devices`` of the user "outcast" get revoked."""

    def __init__(
        self,
        identity: Path,
        journal: Journal,
        rng: random.Random,
        victims: dict[str, str],
        devices: list[str],
    ) -> None:
        self._client = Client(read_identity(identity), live=False)
        self._journal = journal
        self._rng = rng
        self._victims = victims
        self._devices = devices
        self._act_count = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def make_rooms(self, rooms: list[str]) -> None:
        """Connect, and create the rooms of the trial."""
        self._client.start()
        self._client.wait_connected(30.0)
        for room in rooms:
            self._client.request("create", room=room, timeout=REPLY_SECONDS)

    def begin(self) -> None:
        """Start acting at random, on a thread."""
        self._thread.start()

    def end(self) -> None:
        """Stop acting, and lift every sanction."""
        self._stop.set()
        self._thread.join()
        for word, user in self._victims.items():
            if word == "ban":
                self._act("unban", user)
            elif word == "mute":
                self._act("unmute", user)
            elif word == "role_set":
                self._act("role_set", user, role="user")

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def announce_end(self) -> None:
        """Announce the end of the trial to every client."""
        while True:
            try:
                self._client.request("announce", body=END_MARK, timeout=REPLY_SECONDS)
                return
            except ChatdError as error:
                if error.code != "E503":
                    raise

    def _work(self) -> None:
        in_force: set[str] = set()
        while not self._stop.wait(self._rng.uniform(0.3, 1.5)):
            word = self._rng.choice(["ban", "mute", "role_set", "revoke"])
            if word == "revoke":
                if self._devices and self._rng.random() < 0.1:
                    self._act("revoke", "outcast", device=self._devices.pop())
                continue
            user = self._victims[word]
            if word == "role_set":
                self._act(word, user, role=self._rng.choice(["guest", "user"]))
            elif word in in_force:
                self._act(f"un{word}", user)
                in_force.discard(word)
            else:
                self._act(word, user, reason="a trial")
                in_force.add(word)

    def _act(self, word: str, user: str, **fields: Any) -> None:
        """Do one act. It is not retried: if the server dies meanwhile, its outcome stays unknown."""
        self._act_count += 1
        number = self._act_count
        arg = fields.get("role") or fields.get("device") or ""
        self._journal.write("do", n=number, op=word, user=user, arg=arg)
        try:
            self._client.request(word, user=user, timeout=REPLY_SECONDS, **fields)
        except ChatdError as error:
            self._journal.write("failed", n=number, c=error.code)
        else:
            self._journal.write("did", n=number)
