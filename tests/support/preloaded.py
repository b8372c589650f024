"""Run the installed commands in forks of a process that has loaded them.

Loading takes longer than most commands do. A fork is still a process of its own, with its own streams,
environment, folder and exit code; only the start of Python is left out, so tests about that must start the
installed program themselves.
"""

from __future__ import annotations

import array
import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chatd import crashpoints

BIN = Path(sys.executable).parent
MAINS = {"chatd": "chatd.cli", "chatctl": "chatctl.cli", "chat": "chatctl.chat"}
# The modules of the commands, which the programs import when they are called. The window needs a display.
PACKAGES = ("chatd.cli", "chatctl.admin", "chatctl.scripts", "chatctl.terminal")
# Python and its libraries read these when they start: the locale chooses the process that is forked.
_READ_AT_START = ("PYTHON", "LD_", "SSL_", "OPENSSL_", "MALLOC_")
_LOCALE = ("LC_", "LANG")
COMMAND_SECONDS = 120.0
_REQUEST_BYTES = 256 * 1024
_STREAMS = 3


def can_run(program: str, environ: Mapping[str, str]) -> bool:
    """Whether a fork behaves as a new process with this environment."""
    return program in MAINS and _those(environ, _READ_AT_START) == _those(own_environment(), _READ_AT_START)


def own_environment() -> dict[str, str]:
    """The environment of this process without chatd's settings. Users run Python with buffered output."""
    return {k: v for k, v in os.environ.items() if not k.startswith("CHATD_") and k != "PYTHONUNBUFFERED"}


def run(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    folder: Path,
    *,
    text: str = "",
    out: str = "",
    closed: bool = False,
    seconds: float = COMMAND_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run an installed command as `subprocess.run` does, with ``text`` on its standard input.

    Standard output goes to the file ``out`` if it is named. ``closed``: the command has no standard streams.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    (stdin, feed), (printed, stdout), (told, stderr) = (os.pipe() for _ in range(_STREAMS))
    if out:
        os.close(stdout)
        stdout = os.open(out, os.O_WRONLY)
    request = {
        "arguments": list(arguments),
        "environ": dict(environ),
        "folder": str(folder),
        "closed": closed,
    }
    with ours, ThreadPoolExecutor(_STREAMS) as pool:
        try:
            passed = array.array("i", [stdin, stdout, stderr, theirs.fileno()])
            _loaded(tuple(_those(environ, _LOCALE).items())).sendmsg(
                [json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]
            )
        finally:
            theirs.close()
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        pool.submit(_feed, feed, text.encode())
        shown = [pool.submit(_read, descriptor) for descriptor in (printed, told)]
        ours.settimeout(seconds)
        pid = int(ours.recv(64))
        try:
            code = int(ours.recv(64))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(arguments), seconds) from None
    return subprocess.CompletedProcess(list(arguments), code, *(future.result() for future in shown))


def _those(environ: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {name: environ[name] for name in sorted(environ) if name.startswith(prefixes)}


def _feed(descriptor: int, data: bytes) -> None:
    try:
        with open(descriptor, "wb", buffering=0) as file:
            file.write(data)
    except BrokenPipeError:
        pass


def _read(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as file:
        return file.read()


@functools.cache
def _loaded(locale: tuple[tuple[str, str], ...]) -> socket.socket:
    """Start the process that is forked, once for each locale."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=Path(__file__).parents[2],
            env={k: v for k, v in own_environment().items() if not k.startswith(_LOCALE)} | dict(locale),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _load() -> None:
    for name in (*MAINS.values(), *PACKAGES):
        module = importlib.import_module(name)
        if name in PACKAGES:
            for found in pkgutil.iter_modules(module.__path__):
                importlib.import_module(f"{name}.{found.name}")
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> Callable[[], object]:
    """Fork for each request; return the program's main function in the fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watchers
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, _STREAMS + 1)
        if not data:
            return lambda: None
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            return _watch(json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(request: dict[str, object], descriptors: Sequence[int]) -> Callable[[], object]:
    """Fork the command; tell its pid, and then its exit code."""
    *streams, report = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(report)
        return _become(request, streams)
    for descriptor in streams:
        os.close(descriptor)
    with socket.socket(fileno=report) as sock:
        sock.send(str(pid).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sock.send(str(code).encode())
    os._exit(0)


def _become(request: dict[str, object], streams: Sequence[int]) -> Callable[[], object]:
    arguments, environ, folder = request["arguments"], request["environ"], request["folder"]
    assert isinstance(arguments, list) and isinstance(environ, dict)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["closed"]:
        # As Python starts without them.
        for number in range(_STREAMS):
            os.close(number)
        for name in ("stdin", "stdout", "stderr"):
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
    os.chdir(str(folder))
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    importlib.reload(crashpoints)
    program = str(arguments[0])
    sys.argv = [str(BIN / program), *arguments[1:]]
    sys.path[0] = str(BIN)
    Path("/proc/self/comm").write_text(program)
    main: Callable[[], object] = importlib.import_module(MAINS[program]).main
    return main


if __name__ == "__main__":
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))()
