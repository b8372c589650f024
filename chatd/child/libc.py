"""Calls of the C library that Python does not offer.

Loading ctypes allocates memory that a hardened box may refuse; then no call is available.
"""

from __future__ import annotations

import os
from typing import Any

try:
    import ctypes

    _libc: Any = ctypes.CDLL(None, use_errno=True)
except (ImportError, OSError, MemoryError, AttributeError):
    _libc = None


def prctl(option: int, *arguments: int) -> int:
    """Call prctl(2) and return its result. Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_loaded().prctl(option, *(ctypes.c_ulong(value) for value in padded)))


def syscall(number: int, *arguments: Any) -> int:
    """Make a system call and return its result. Raises OSError."""
    values = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    return _checked(_loaded().syscall(ctypes.c_long(number), *values))


def trim_memory() -> None:
    """Return free memory to the system; does nothing where the C library cannot (musl)."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def _loaded() -> Any:
    if _libc is None:
        raise OSError("ctypes cannot be loaded here")
    return _libc


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
