"""Starting a template. Imports next to nothing: the supervisor does it before it loads its own modules."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HUB_MODULE: Final = "chatd.hub.main"
WORKER_MODULE: Final = "chatd.worker.main"

# SSLKEYLOGFILE makes OpenSSL write session keys to a file; the others are for the supervisor only.
NOT_FOR_CHILDREN: Final = ("SSLKEYLOGFILE", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
MAX_WORDS: Final = 65536
_MALLOC: Final = {
    # Instead of eight for each core: hundreds of threads otherwise each touch their own.
    "MALLOC_ARENA_MAX": "2",
    # A burst to a large room needs 2 MB for a moment: given back and taken again each time, it costs a
    # tenth of what a worker does then, in page faults (docs/lab/performance-journal.md).
    "MALLOC_TRIM_THRESHOLD_": str(4 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),
}
# Of each process; the kernel's own bound where nobody has raised it.
DESCRIPTORS_LIMIT: Final = 1024 * 1024


@dataclass
class Launched:
    """A template that loads: ``forks`` is our end of its socket, ``output`` of what it prints."""

    popen: subprocess.Popen[bytes]
    forks: socket.socket
    output: int

    def last_words(self) -> str:
        """The last line that it printed."""
        try:
            lines = os.read(self.output, MAX_WORDS).decode("utf-8", "replace").splitlines()
        except BlockingIOError:
            return ""
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Give the descriptors back; a template that lives ends by that."""
        self.forks.close()
        os.close(self.output)


def launch(modules: Sequence[str]) -> Launched:
    """Start a template of these modules. Raises OSError."""
    allow_descriptors()  # its children have the limits that it has
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    output, output_end = os.pipe()
    os.set_blocking(output, False)
    try:
        popen = subprocess.Popen(
            # -P: not from the folder that somebody happened to start it in.
            [sys.executable, "-P", "-m", "chatd.child.template", str(theirs.fileno()), *modules],
            stdin=subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            pass_fds=(theirs.fileno(),),
            env=child_environment(),
            start_new_session=True,
        )
    except OSError:
        ours.close()
        os.close(output)
        raise
    finally:
        theirs.close()
        os.close(output_end)
    return Launched(popen, ours, output)


def launch_first() -> Launched | None:
    """A template of hub and worker, for whoever is about to load the supervisor's modules.

    Both take as long, and a killed server waits for both. None when it cannot be started: the supervisor
    tries again and says why.
    """
    try:
        return launch((HUB_MODULE, WORKER_MODULE))
    except OSError:
        return None


def child_environment() -> dict[str, str]:
    """What every child has in its environment."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_FOR_CHILDREN}
    return kept | _MALLOC | {"PYTHONUNBUFFERED": "1"}


def allow_descriptors() -> None:
    """Take all the open files that the box gives: the usual 1,024 are kept low for programs with select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS_LIMIT if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):  # ValueError is what Python makes of EPERM
            return
