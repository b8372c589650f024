"""A process that has loaded the modules of all children and makes each of them by fork().

    python -m chatd.child.template FD MODULE...    # the supervisor starts it, with a socket as FD

It has one thread, opens nothing and reads no key: what it copies is loaded modules only. Python and
OpenSSL (RAND_bytes(3), since 1.1.1) notice a fork and seed their generators anew.
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
"""Names: a module, a handful of descriptors, a folder (PATH_MAX is 4096)."""
MAX_FDS: Final = 16
COMM: Final = "/proc/self/comm"
_PID_BYTES: Final = 20

Main = Callable[[], int]


def main(fd: int, modules: list[str]) -> int:
    """Load, tell so, and fork until the supervisor is gone; in a child: its own ``main``."""
    os.set_inheritable(fd, False)
    # Whoever started the supervisor may have ignored it (nohup-like tools do); `waitpid` would find nothing.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    mains: dict[str, Main] = {name: importlib.import_module(name).main for name in modules}
    # What is loaded now stays: no child looks through it again, and its pages remain shared.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=fd) as forks:
        child = _serve(forks, mains)
    return child() if child else 0


def _serve(forks: socket.socket, mains: Mapping[str, Main]) -> Main | None:
    """None when the supervisor is gone. In a child: what it is to run."""
    try:
        forks.send(LOADED)
        while True:
            data, fds, _, _ = socket.recv_fds(forks, MAX_REQUEST, MAX_FDS)
            if not data:
                return None
            request = json.loads(data)
            pid = _fork()
            if pid == 0:
                _settle(request["name"], request["folder"], dict(zip(request["fds"], fds, strict=True)))
                return mains[request["module"]]
            for fd in fds:
                os.close(fd)
            forks.send(b"%d" % pid)
    except (ConnectionResetError, BrokenPipeError):
        return None


def _fork() -> int:
    """The pid of a process whose parent is the supervisor; 0 in that process.

    The process between the two ends at once, and the kernel then gives its child to the nearest ancestor
    that has asked for orphans (prctl(2), PR_SET_CHILD_SUBREAPER): the supervisor gets the exit code.
    """
    reader, writer = os.pipe()
    between = os.fork()
    if between:
        os.close(writer)
        pid = os.read(reader, _PID_BYTES)
        os.close(reader)
        os.waitpid(between, 0)
        if not pid:
            raise SystemExit("the process between could not fork")
        return int(pid)
    try:
        if os.fork():
            os._exit(0)
        # Before anybody knows its pid: the supervisor signals the whole group.
        os.setsid()
        os.write(writer, b"%d" % os.getpid())
        os.close(writer)
        os.close(reader)
    except OSError:
        os._exit(1)
    return 0


def _settle(name: str, folder: str, fds: dict[str, int]) -> None:
    """What exec() and subprocess do for a child that is started the ordinary way."""
    os.chdir(folder)
    for standard in (1, 2):
        os.dup2(fds["err"], standard)
    os.close(fds.pop("err"))
    os.environ[FDS_VARIABLE] = json.dumps(fds)
    try:
        with open(COMM, "w") as file:  # noqa: PTH123 - what `top` and `ps -o comm` show
            file.write(f"chatd-{name}")
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
