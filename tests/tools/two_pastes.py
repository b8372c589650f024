"""Record how somebody joins with two pastes: ``python -m tests.tools.two_pastes`` (needs tmux, curl).

It uses a real daemon, its own client bundle over HTTP, and a real invite. Only the timing is edited.
"""

from __future__ import annotations

import functools
import http.server
import os
import tempfile
import threading
from pathlib import Path

from tests.support.daemon import BIN, running
from tests.support.terminal import Terminal
from tests.tools.recording import COLUMNS, IMAGES, LAST_SECONDS, ROWS, Recorder, say

CAST, PICTURE = IMAGES / "two-pastes.cast", IMAGES / "two-pastes.svg"
TITLE = "chatd: from nothing to chatting with two pastes"
BOB = "bob, on a machine that has only Python"


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and prints nothing."""

    def log_message(self, *_: object) -> None:
        return


def join(record: Recorder, bundle: str, invite: str) -> None:
    """Play the script of the recording."""
    record.hold(0.8)
    record.paste(f"curl -sO {bundle}/chat.pyz")
    record.hold(1.2)
    record.paste(f"python3 chat.pyz {invite.removeprefix('chat ')}")
    record.wait("· connected ·")
    record.hold(2.0)
    say(record.terminal, "alice", "welcome bob!")
    record.wait("welcome bob!")
    record.hold(1.0)
    record.type("thanks, that was quick")
    record.wait("> thanks, that was quick")
    record.hold(LAST_SECONDS)


def main() -> None:
    """Record, and write both files."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as daemon:
        place = Path(folder)
        (place / "bob").mkdir()
        daemon.chatd("client-bundle", str(place / "share"))
        invite = daemon.chatctl("invite", "create", "bob").stdout.splitlines()[0]
        handler = functools.partial(QuietFiles, directory=str(place / "share"))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
            threading.Thread(target=web.serve_forever, daemon=True).start()
            environ = {
                k: v for k, v in daemon.environ.items() if k != "NO_COLOR" and not k.startswith("CHATD_")
            }
            environ |= {"HOME": str(place / "bob"), "XDG_STATE_HOME": str(place / "bob"), "PS1": "$ "}
            environ |= {"PATH": f"{BIN}:{os.environ['PATH']}"}
            terminal = Terminal(place, environ)
            try:
                chat = (str(BIN / "chat"), "--identity", str(daemon.identity("alice", "console")))
                terminal.open("alice", chat)
                terminal.wait("alice", "· connected ·")
                terminal.open("bob", ("sh",), columns=COLUMNS, rows=ROWS)
                terminal.keys("bob", "-l", f"cd {place}/bob; clear")
                terminal.keys("bob", "Enter")
                terminal.wait("bob", "$")
                recorder = Recorder(terminal, "bob", BOB)
                join(recorder, f"http://127.0.0.1:{web.server_port}", invite)
            finally:
                terminal.close()
                web.shutdown()
    film = recorder.film()
    film.save(CAST, PICTURE, TITLE)


if __name__ == "__main__":
    main()
