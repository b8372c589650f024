"""Give up what a child never needs, so that whoever takes it over gets no more than that (ADR 23).

Each part is optional: where the kernel refuses one, the child goes on without it and says so.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatd.child import landlock, seccomp
from chatd.child.libc import prctl, syscall
from chatd.crashpoints import fired_folder
from chatd.logs.logger import get_log

log = get_log("server")

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39

# What a Python program reads after its start: modules, libraries, time zones, the process's own usage.
_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc")
# What resolving a name and the system's certificates need.
_RESOLVER: Final = (
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf"),
    *("/etc/ssl", "/etc/pki", "/run/systemd/resolve", "/run/nscd"),
)
_DEVICES: Final = ("/dev/null", "/dev/urandom")


@dataclass(frozen=True)
class Sandbox:
    """What a child keeps: the folders of its home, by name, in which it may write.

    ``reads_logs``: it may read the log files. ``network``: it may connect to other machines.
    """

    writable: tuple[str, ...] = ()
    reads_logs: bool = False
    network: bool = False


def enter(sandbox: Sandbox, home: Path, logs: Path) -> dict[str, bool]:
    """Enter the sandbox; return what is in force. Call it while there is one thread only.

    ``logs`` is the folder of the log files.

    Landlock restricts the thread that asks for it and those it starts later, not its siblings.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would contain keys and messages
    except (OSError, ValueError):
        pass
    steps: dict[str, Callable[[], None]] = {
        "no_new_privs": _forbid_new_privileges,
        "not_dumpable": _forbid_dumps,
        "landlock": lambda: _restrict_files(sandbox, home, logs),
        "seccomp": lambda: _filter_calls(network=sandbox.network),
    }
    in_force = {}
    for name, step in steps.items():
        try:
            step()
            in_force[name] = True
        except OSError as error:
            in_force[name] = False
            log.warning("sandbox_incomplete", part=name, why=error.strerror or str(error))
    return in_force


def _forbid_new_privileges() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError("the kernel did not take it")


def _forbid_dumps() -> None:
    """Keep other processes of this user from reading the memory and the descriptors of this one."""
    prctl(_PR_SET_DUMPABLE, 0)
    if prctl(_PR_GET_DUMPABLE) != 0:
        raise OSError("the kernel did not take it")


def _restrict_files(sandbox: Sandbox, home: Path, logs: Path) -> None:
    # If the checkout is the home, only this package of it may be read.
    package = str(Path(__file__).parents[1])
    code = (package, *sys.path, sys.prefix, sys.base_prefix, *_SYSTEM, *_DEVICES)
    writable = [home / name for name in sandbox.writable]
    if folder := fired_folder():
        writable.append(Path(folder))  # trials note there which crash points have fired
    read = [Path(path) for path in (*code, *(_RESOLVER if sandbox.network else ())) if path]
    own = [logs] if sandbox.reads_logs else []
    landlock.restrict(syscall, read, writable, home, own=own, tcp=sandbox.network)


def _filter_calls(*, network: bool) -> None:
    program = seccomp.filter_program(network=network)
    if program is None:
        raise OSError("there is no filter for this kind of machine")
    import ctypes  # where this fails, so did the calls before

    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    argument = Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(argument))
