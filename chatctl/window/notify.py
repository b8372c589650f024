"""Notifications of the desktop where it has them, else the bell."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from html import escape

# The shortest time between two notifications; a flood of messages must not become a flood of these.
PAUSE_SECONDS = 3.0
SHOWN_SECONDS = 8
BODY_CHARS = 200
# notify-send waits for the notification service, which may hang.
PROGRAM_SECONDS = 10.0
PROGRAM = "notify-send"


class Notifier:
    """``on`` may be switched at any time. Calls return at once; `notify-send` runs on a thread."""

    def __init__(
        self, bell: Callable[[], None], *, on: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on = on
        self._bell = bell
        self._clock = clock
        self._quiet_until = 0.0
        self._program = shutil.which(PROGRAM)
        self._thread: threading.Thread | None = None
        self._waiting = 0  # notifications that came during the pause
        self._latest = ("", "")
        self._failed = False  # set by the thread, reset by `poll`

    def notify(self, title: str, body: str, *, focused: bool) -> None:
        """Notify the person; a focused window shows the text itself and only rings the bell.

        Those that come within `PAUSE_SECONDS` of one are notified together when the pause ends.
        """
        if self.on:
            self._waiting += 1
            self._latest = (title, body)
            self._flush(focused=focused)

    def poll(self, *, focused: bool) -> None:
        """Notify of what came during a pause that has ended. Call this regularly.

        Rings the bell if notify-send has failed, and uses the bell from then on.
        """
        self._flush(focused=focused)
        if self._failed:
            self._failed, self._program = False, None
            self._bell()

    def _flush(self, *, focused: bool) -> None:
        now = self._clock()
        if not self._waiting or now < self._quiet_until:
            return
        title, body = self._latest
        if self._waiting > 1:
            title = f"{self._waiting} messages for you, the last: {title}"
        self._waiting = 0
        self._quiet_until = now + PAUSE_SECONDS
        if self.on and (focused or not self._send(title, body)):
            self._bell()

    @property
    def busy(self) -> bool:
        """Whether `notify-send` is running."""
        return self._thread is not None and self._thread.is_alive()

    def _send(self, title: str, body: str) -> bool:
        if self._program is None or self.busy:
            return False
        # Many desktops read the body as markup.
        text = escape(body[:BODY_CHARS], quote=False)
        options = ["--app-name=chatd", f"--expire-time={SHOWN_SECONDS * 1000}", "--"]
        command = [self._program, *options, title, text]
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
