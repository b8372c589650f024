"""The template: a process that has loaded the modules of all children and forks each child.

    python -m chatd.child.template FD MODULE...    # started by the supervisor; FD is its socket

It has one thread, no open files and no keys, so a fork copies loaded modules only. Python and OpenSSL
(RAND_bytes(3), since 1.1.1) reseed their generators after a fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Final

from chatd.child.supervised import FDS_VARIABLE

LOADED: Final = b"loaded"
MAX_REQUEST: Final = 32 * 1024
"""A request names a module and a few descriptors."""
MAX_FDS: Final = 16
COMM: Final = "/proc/self/comm"
_PID_BYTES: Final = 20

Main = Callable[[], int]


def main(fd: int, modules: list[str]) -> int:
    """Load the modules and fork until the supervisor is gone; in a child, run its module's ``main``."""
    os.set_inheritable(fd, False)
    # It may be inherited as ignored (from a tool like nohup), and then `waitpid` would fail.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    mains: dict[str, Main] = {name: importlib.import_module(name).main for name in modules}
    # The loaded modules are permanent: keep the collector away, so that their pages stay shared.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=fd) as requests:
        child = _serve(requests, mains)
    return child() if child else 0


def _serve(requests: socket.socket, mains: Mapping[str, Main]) -> Main | None:
    """Return None if the supervisor is gone, or, in a child, the ``main`` to run."""
    try:
        requests.send(LOADED)
        while True:
            data, fds, _, _ = socket.recv_fds(requests, MAX_REQUEST, MAX_FDS)
            if not data:
                return None
            request = json.loads(data)
            pid = _fork()
            if pid == 0:
                _set_up_child(request["name"], dict(zip(request["fds"], fds, strict=True)))
                return mains[request["module"]]
            for fd in fds:
                os.close(fd)
            requests.send(b"%d" % pid)
    except (ConnectionResetError, BrokenPipeError):
        return None


def _fork() -> int:
    """Fork twice; return the grandchild's pid, and 0 in the grandchild.

    The intermediate process ends at once. The kernel then reparents its child to the nearest subreaper
    (prctl(2), PR_SET_CHILD_SUBREAPER), the supervisor, which thus gets the exit code.
    """
    reader, writer = os.pipe()
    intermediate = os.fork()
    if intermediate:
        os.close(writer)
        pid = os.read(reader, _PID_BYTES)
        os.close(reader)
        os.waitpid(intermediate, 0)
        if not pid:
            raise SystemExit("the intermediate process could not fork")
        return int(pid)
    try:
        if os.fork():
            os._exit(0)
        # Before its pid is reported, because the supervisor signals the whole group.
        os.setsid()
        os.write(writer, b"%d" % os.getpid())
        os.close(writer)
        os.close(reader)
    except OSError:
        os._exit(1)
    return 0


def _set_up_child(name: str, fds: dict[str, int]) -> None:
    """Do what exec() and subprocess do for a child started by its command line."""
    for standard in (1, 2):
        os.dup2(fds["err"], standard)
    os.close(fds.pop("err"))
    os.environ[FDS_VARIABLE] = json.dumps(fds)
    try:
        with open(COMM, "w", encoding="utf-8") as file:  # noqa: PTH123 - what `top` and `ps -o comm` show
            file.write(f"chatd-{name}")
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
