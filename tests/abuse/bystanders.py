"""The users who must not notice: they talk and read at an ordinary pace and time each answer.

    python -m tests.abuse.bystanders IDENTITY...

Prints "ready". For each line "SECONDS" on standard input it prints one JSON object: the seconds that each
message and each page of history took, and how many requests failed. It ends with its standard input.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity

ROOM = "#lobby"
SECONDS_BETWEEN_MESSAGES = 0.4
# Every so many messages the bystander reads a page of history.
MESSAGES_PER_PAGE = 5
TIMEOUT_SECONDS = 60.0


class Bystander:
    """One user with one session."""

    def __init__(self, identity: Path) -> None:
        self._client = Client(read_identity(identity))
        self._client.on_event(lambda _: None)
        self._client.start()
        self._client.wait_connected(TIMEOUT_SECONDS)
        self._sent = 0

    def work(self, seconds: float) -> dict[str, Any]:
        """Talk and read for so long; return the times of all answers."""
        times: dict[str, list[float]] = {"send": [], "history": []}
        failed = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                times["send"].append(self._say())
                if self._sent % MESSAGES_PER_PAGE == 0:
                    times["history"].append(self._read())
            except ChatdError:
                failed += 1
            time.sleep(SECONDS_BETWEEN_MESSAGES)
        return {"times": times, "failed": failed}

    def close(self) -> None:
        self._client.close()

    def _say(self) -> float:
        self._sent += 1
        begun = time.monotonic()
        self._client.send(ROOM, f"{self._client.identity.user}-{self._sent}").wait(TIMEOUT_SECONDS)
        return time.monotonic() - begun

    def _read(self) -> float:
        begun = time.monotonic()
        self._client.request("history", room=ROOM, limit=50, timeout=TIMEOUT_SECONDS)
        return time.monotonic() - begun


def main() -> None:
    bystanders = [Bystander(Path(argument)) for argument in sys.argv[1:]]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        results: list[dict[str, Any]] = []
        threads = [
            threading.Thread(target=lambda one=one: results.append(one.work(float(line))))  # noqa: B023
            for one in bystanders
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        merged = {
            "send": [value for result in results for value in result["times"]["send"]],
            "history": [value for result in results for value in result["times"]["history"]],
            "failed": sum(result["failed"] for result in results),
        }
        sys.stdout.write(json.dumps(merged) + "\n")
        sys.stdout.flush()
    for one in bystanders:
        one.close()


if __name__ == "__main__":
    main()
