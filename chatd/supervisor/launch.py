"""Launch a template. Imports almost nothing, because the supervisor calls it before loading its modules."""

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
ENROL_MODULE: Final = "chatd.enrol.main"
# -P: a Python file in the folder where a process starts must never be imported.
PYTHON: Final = (sys.executable, "-P", "-m")

# SSLKEYLOGFILE makes OpenSSL write session keys to a file; the others are for the supervisor only.
SUPERVISOR_ONLY: Final = ("SSLKEYLOGFILE", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
MAX_OUTPUT_BYTES: Final = 65536
_MALLOC: Final = {
    # The default is eight arenas per core, and hundreds of threads would spread over all of them.
    "MALLOC_ARENA_MAX": "2",
    # A burst to a large room briefly needs 2 MB. Returning and refetching it each time costs a tenth of a
    # worker's time in page faults (docs/lab/performance-journal.md).
    "MALLOC_TRIM_THRESHOLD_": str(4 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),
}
# Open files per process; the kernel's own default maximum.
DESCRIPTORS_LIMIT: Final = 1024 * 1024


@dataclass
class LaunchedTemplate:
    """A template process, our end of its ``requests`` socket, and the pipe with its ``output``."""

    popen: subprocess.Popen[bytes]
    requests: socket.socket
    output: int

    def last_output_line(self) -> str:
        try:
            lines = os.read(self.output, MAX_OUTPUT_BYTES).decode("utf-8", "replace").splitlines()
        except BlockingIOError:
            return ""
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Close both descriptors; the template then ends."""
        self.requests.close()
        os.close(self.output)


def launch(modules: Sequence[str]) -> LaunchedTemplate:
    """Start a template that loads ``modules``. Raises OSError."""
    raise_descriptor_limit()  # children inherit the template's limits
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    output, output_end = os.pipe()
    os.set_blocking(output, False)
    try:
        popen = subprocess.Popen(
            [*PYTHON, "chatd.child.template", str(theirs.fileno()), *modules],
            stdin=subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            pass_fds=(theirs.fileno(),),
            cwd="/",
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
    return LaunchedTemplate(popen, ours, output)


def launch_early() -> LaunchedTemplate | None:
    """Launch a template of all children before the supervisor loads its own modules.

    Both loads take about as long and a restart needs both, so they run in parallel. Returns None on
    failure; the supervisor then tries again and logs the reason.
    """
    try:
        return launch((HUB_MODULE, WORKER_MODULE, ENROL_MODULE))
    except OSError:
        return None


def child_environment() -> dict[str, str]:
    """Return the environment of every child."""
    kept = {name: value for name, value in os.environ.items() if name not in SUPERVISOR_ONLY}
    return kept | _MALLOC | {"PYTHONUNBUFFERED": "1"}


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files: the usual 1,024 only serves programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = DESCRIPTORS_LIMIT if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < limit:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError):  # Python turns EPERM into ValueError
            return
