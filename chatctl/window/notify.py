"""Tells a person who looks elsewhere: by the desktop's notifications where it has them, else by a bell."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from html import escape

# Nobody's desktop can be filled, nor the bell be rung, without end.
PAUSE_SECONDS = 3.0
SHOWN_SECONDS = 8
BODY_CHARS = 200
# A notification service that hangs is not waited for longer.
PROGRAM_SECONDS = 10.0
PROGRAM = "notify-send"


class Notifier:
    """``bell`` rings; ``on`` is the person's switch. Nothing here waits for another program."""

    def __init__(
        self, bell: Callable[[], None], *, on: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on = on
        self._bell = bell
        self._clock = clock
        self._quiet_until = 0.0
        self._program = shutil.which(PROGRAM)
        self._thread: threading.Thread | None = None
        self._failed = False  # set by the thread, read by `poll`

    def tell(self, title: str, body: str, *, looking: bool) -> None:
        """Tell of a call; by the bell alone while the window is looked at, which shows the words itself."""
        now = self._clock()
        if not self.on or now < self._quiet_until:
            return
        self._quiet_until = now + PAUSE_SECONDS
        if looking or not self._sent(title, body):
            self._bell()

    def poll(self) -> None:
        """Call now and then: rings for what the desktop did not take, and leaves it alone from then on."""
        if self._failed:
            self._failed, self._program = False, None
            self._bell()

    def _sent(self, title: str, body: str) -> bool:
        if self._program is None or (self._thread is not None and self._thread.is_alive()):
            return False
        # The body is markup to many desktops.
        shown = escape(body[:BODY_CHARS], quote=False)
        options = ["--app-name=chatd", f"--expire-time={SHOWN_SECONDS * 1000}", "--"]
        command = [self._program, *options, title, shown]
        self._thread = threading.Thread(target=self._run, args=(command,), name="window-notify", daemon=True)
        self._thread.start()
        return True

    def _run(self, command: list[str]) -> None:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=PROGRAM_SECONDS,
                check=False,
            )
            self._failed = done.returncode != 0
        except (OSError, subprocess.SubprocessError):
            self._failed = True
