"""Landlock rules: which files a process may open from now on (landlock(7), Linux 5.13).

Rules permit; whatever no rule permits is denied, for the calling thread and all threads and processes that it
starts later. Descriptors that are open already keep working.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

# Same numbers on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS: Final = 0b111 | 1 << 14 | 1 << 15  # execute, write, read; truncate; ioctl on devices
# ABI version -> rights to files that exist from it on: bits below this one.
_RIGHTS_BITS: Final = {1: 13, 2: 14, 3: 15, 5: 16}
_NET_ABI: Final = 4
_NET_RIGHTS: Final = 0b11  # bind and connect TCP
_SCOPE_ABI: Final = 6
_SCOPES: Final = 0b11  # abstract Unix sockets and signals stay within this process

SystemCall = Callable[..., int]
"""The C library's ``syscall``; raises OSError."""


# The folders of a home (chatd.config.home).
_OWN_FOLDERS = ("certs", "config", "data", "logs", "run")


def restrict(
    syscall: SystemCall,
    read: Sequence[Path],
    write: Sequence[Path],
    never: Path,
    *,
    own: Sequence[Path] = (),
    tcp: bool = False,
) -> None:
    """Permit reading below ``read`` and ``own``, and everything below ``write``. Raises OSError.

    Of a folder in ``read`` that contains the folder ``never``, all the rest is permitted. ``tcp``: whether
    TCP is permitted.
    """
    abi = syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    all_rights = (1 << max(bits for version, bits in _RIGHTS_BITS.items() if version <= abi)) - 1
    # The kernel takes a shorter structure from a caller that knows less of it.
    denied_net = 0 if tcp or abi < _NET_ABI else _NET_RIGHTS
    attributes = struct.pack("QQQ", all_rights, denied_net, _SCOPES if abi >= _SCOPE_ABI else 0)[
        : 24 if abi >= _SCOPE_ABI else 16 if abi >= _NET_ABI else 8
    ]
    ruleset = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in read:
            for part in _without(path, never):
                _permit(syscall, ruleset, part, _READ_FILE | _READ_DIR)
        for path in own:
            _permit(syscall, ruleset, path, _READ_FILE | _READ_DIR)
        for path in write:
            _permit(syscall, ruleset, path, all_rights & ~1)  # bit 0: execute
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _permit(syscall: SystemCall, ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it does not exist or cannot be reached, so nobody misses it
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _FILE_RIGHTS
        syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _without(path: Path, never: Path) -> Iterator[Path]:
    """Yield ``path``, or, if it contains ``never``, everything else in it.

    A checkout that is a home contains code: its packages and its virtual environment.
    """
    path = path.resolve()
    if path.is_relative_to(never):
        if path != never and path.relative_to(never).parts[0] not in _OWN_FOLDERS:
            yield path
        return
    if not never.is_relative_to(path):
        yield path
        return
    try:
        inside = sorted(path.iterdir())
    except OSError:
        return
    for part in inside:
        if not part.is_symlink():  # a link's target has a rule of its own, or none
            yield from _without(part, never)
