"""Open links in the person's browser."""

from __future__ import annotations

import threading
import webbrowser
from collections import deque
from collections.abc import Callable
from urllib.parse import quote

# Characters of an address that are not escaped: it may have escapes already, and the rest divides it.
_KEPT = "/%.~?&=#+,;@$:!'()-_"


class LinkOpener:
    """Starts the browser on a thread, because some browsers return only when they end.

    ``failed`` gets each address for which none could be started, on the thread that calls `poll`.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._unopened: deque[str] = deque()

    def open(self, address: str) -> None:
        """Open an address of `chatctl.model.markup`, which begins with http:// or https://."""
        threading.Thread(target=self._run, args=(address,), name="window-link", daemon=True).start()

    def poll(self) -> None:
        """Report what could not be opened. Call this regularly."""
        while self._unopened:
            self._failed(self._unopened.popleft())

    def _run(self, address: str) -> None:
        try:
            opened = webbrowser.open(quote(address, safe=_KEPT))
        except (OSError, webbrowser.Error):
            opened = False
        if not opened:
            self._unopened.append(address)
