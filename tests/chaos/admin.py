"""The admin of a trial: bans, mutes, changes roles and revokes devices all the time, and writes it down."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.chaos.journal import Journal
from tests.chaos.talker import THE_END

ANSWER_SECONDS = 60.0


class Admin:
    """``victims``: the user for each of ban, mute, role_set; ``devices`` of the user outcast are revoked."""

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
        self._done = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def make_rooms(self, rooms: list[str]) -> None:
        """Connect, and make the rooms of the trial."""
        self._client.start()
        self._client.wait_connected(30.0)
        for room in rooms:
            self._client.request("create", room=room, timeout=ANSWER_SECONDS)

    def begin(self) -> None:
        """Go to work."""
        self._thread.start()

    def end(self) -> None:
        """No further acts; what is in force is taken back."""
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
        """Tell everybody that this was the last."""
        while True:
            try:
                self._client.request("announce", body=THE_END, timeout=ANSWER_SECONDS)
                return
            except ChatdError as error:
                if error.code != "E503":
                    raise

    def _work(self) -> None:
        held: set[str] = set()
        while not self._stop.wait(self._rng.uniform(0.3, 1.5)):
            word = self._rng.choice(["ban", "mute", "role_set", "revoke"])
            if word == "revoke":
                if self._devices and self._rng.random() < 0.1:
                    self._act("revoke", "outcast", device=self._devices.pop())
                continue
            user = self._victims[word]
            if word == "role_set":
                self._act(word, user, role=self._rng.choice(["guest", "user"]))
            elif word in held:
                self._act(f"un{word}", user)
                held.discard(word)
            else:
                self._act(word, user, reason="a trial")
                held.add(word)

    def _act(self, word: str, user: str, **fields: Any) -> None:
        """One act; of unknown outcome when the server fell meanwhile. It is not asked twice."""
        self._done += 1
        number = self._done
        arg = fields.get("role") or fields.get("device") or ""
        self._journal.write("do", n=number, op=word, user=user, arg=arg)
        try:
            self._client.request(word, user=user, timeout=ANSWER_SECONDS, **fields)
        except ChatdError as error:
            self._journal.write("failed", n=number, c=error.code)
        else:
            self._journal.write("did", n=number)
