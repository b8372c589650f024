"""A seccomp filter for hub and workers: what neither ever does fails with EPERM (seccomp(2)).

The filter is a program of classic BPF over `struct seccomp_data`: the number at offset 0, the architecture at
4, the lower half of the first argument at 16. A denied call fails instead of killing the process, because a
library may try one and go on without it.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import struct
from typing import Final

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_FROM: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_BITS: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_X32_BIT: Final = 0x40000000  # numbers from here on are x32 calls, which reach the same code
_CLONE_THREAD: Final = 0x00010000
_INSTRUCTION: Final = struct.Struct("HBBI")

# machine -> (AUDIT_ARCH value, column of the tables below)
_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
# Numbers on x86_64 and aarch64; None where the call does not exist.
_Numbers = tuple[int, int | None]
DENIED: Final[dict[str, _Numbers]] = {
    # other programs and other processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # mounts, namespaces, disks
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "setns": (308, 268),
    "unshare": (272, 97), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "acct": (163, 89), "swapon": (167, 224),
    "swapoff": (168, 225),
    # large parts of the kernel that are not needed; io_uring also makes calls past this filter
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    # the machine
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "syslog": (103, 116),
    "personality": (135, 92), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161),
    "setdomainname": (171, 162), "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None),
}  # fmt: skip
# Calls with a process as their first argument, which must be this one.
_OWN_PROCESS: Final[dict[str, _Numbers]] = {
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
_PRLIMIT: Final[_Numbers] = (302, 261)
_CLONE: Final[_Numbers] = (56, 220)
_CLONE3: Final[_Numbers] = (435, 435)
_SOCKET: Final[_Numbers] = (41, 198)


def filter_program(machine: str = "", pid: int = 0, *, network: bool = False) -> bytes | None:
    """Return the filter for this process as `struct sock_filter`s; None on an unknown machine.

    ``network``: whether it may connect to other machines.
    """
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    architecture, column = known
    pid = pid or os.getpid()
    deny = _op(_RETURN, _ERRNO | errno.EPERM)
    program = [
        _op(_LOAD, _ARCHITECTURE),
        _op(_JUMP_EQUAL, architecture, 1, 0),
        deny,
        _op(_LOAD, _NUMBER),
        _op(_JUMP_FROM, _X32_BIT, 0, 1),
        deny,
    ]
    for numbers in DENIED.values():
        program += _on(numbers[column], [deny])
    # The argument of clone3 is in memory, which a filter cannot read. The C library then uses clone.
    program += _on(_CLONE3[column], [_op(_RETURN, _ERRNO | errno.ENOSYS)])
    # New threads, but no new processes.
    program += _on(_CLONE[column], _if_argument(_JUMP_BITS, _CLONE_THREAD))
    # No connection to anywhere but Unix sockets; accepted ones need no call of this.
    families = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
    program += _on(_SOCKET[column], _if_argument(_JUMP_EQUAL, *families[: 4 if network else 1]))
    for numbers in _OWN_PROCESS.values():
        program += _on(numbers[column], _if_argument(_JUMP_EQUAL, pid))
    program += _on(_PRLIMIT[column], _if_argument(_JUMP_EQUAL, 0, pid))
    program.append(_op(_RETURN, _ALLOW))
    return b"".join(program)


def _on(number: int | None, then: list[bytes]) -> list[bytes]:
    """Run ``then``, which returns, for one system call."""
    return [] if number is None else [_op(_JUMP_EQUAL, number, 0, len(then)), *then]


def _if_argument(jump: int, *values: int) -> list[bytes]:
    """Allow a call whose first argument passes the test for one of the values; deny it otherwise."""
    allowed = [op for value in values for op in (_op(jump, value, 0, 1), _op(_RETURN, _ALLOW))]
    return [_op(_LOAD, _FIRST_ARGUMENT), *allowed, _op(_RETURN, _ERRNO | errno.EPERM)]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, if_true, if_false, value)
