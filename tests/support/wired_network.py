"""Machines on one wire: network namespaces joined by a bridge, whose wires can be cut one way or both.

Each namespace lives as long as a process in it. When this process ends, in whatever way, the holders of the
namespaces read the end of their input, and the kernel removes what nobody uses: nothing has a name.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SWITCH = "switch"
_SUBNET = "10.77.0"
_HOLDER = 'ip link set lo up && echo "$$" && exec cat'
# Forwarding between ports of the bridge is refused for the pairs of ports in the set.
_RULES = """
table bridge wires {
  set cut { type ifname . ifname; }
  chain forward { type filter hook forward priority 0; iifname . oifname @cut drop; }
}
"""


def missing() -> str:
    """Why there can be no such network here; "" if there can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for program in ("ip", "nft", "unshare", "nsenter"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    probe = ["unshare", "--net", "nft", "-f", "-"]
    done = subprocess.run(probe, input=_RULES, text=True, capture_output=True, check=False)
    return f"nft: {done.stderr.strip()[:200]}" if done.returncode else ""


class Network:
    """Machines by name, each with an address of its own."""

    def __init__(self, names: Sequence[str]) -> None:
        self.addresses = {name: f"{_SUBNET}.{number}" for number, name in enumerate(names, 1)}
        self._holders: dict[str, subprocess.Popen[str]] = {}
        self._pids: dict[str, int] = {}

    def __enter__(self) -> Network:
        with ExitStack() as stack:
            stack.callback(self.close)
            for name in (_SWITCH, *self.addresses):
                self._hold(name)
            self.run(_SWITCH, "ip", "link", "add", "name", "wires", "type", "bridge")
            self.run(_SWITCH, "ip", "link", "set", "wires", "up")
            self.run(_SWITCH, "nft", "-f", "-", text=_RULES)
            for name, address in self.addresses.items():
                self._plug(name, address)
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the namespaces; each is gone with the last process in it."""
        for holder in self._holders.values():
            if holder.stdin:
                holder.stdin.close()
            holder.wait()
            if holder.stdout:
                holder.stdout.close()
        self._holders.clear()

    def _hold(self, name: str) -> None:
        pipe = subprocess.PIPE
        command = ["unshare", "--net", "sh", "-c", _HOLDER]
        # In a session of its own: Ctrl-C reaches this process first, which ends what it has started.
        holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        self._holders[name] = holder
        assert holder.stdout is not None
        self._pids[name] = int(holder.stdout.readline())

    def _plug(self, name: str, address: str) -> None:
        wire = ["peer", "name", "eth0", "netns", str(self._pids[name])]
        self.run(_SWITCH, "ip", "link", "add", "name", _port(name), "type", "veth", *wire)
        self.run(_SWITCH, "ip", "link", "set", _port(name), "master", "wires", "up")
        self.run(name, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        self.run(name, "ip", "link", "set", "eth0", "up")

    def enter(self, name: str) -> list[str]:
        """What a command line begins with that shall run on a machine."""
        return ["nsenter", f"--net={self._path(name)}"]

    def _path(self, name: str) -> Path:
        return Path(f"/proc/{self._pids[name]}/ns/net")

    def run(self, name: str, *command: str, text: str = "") -> None:
        """Run a command on a machine. Raises CalledProcessError."""
        subprocess.run([*self.enter(name), *command], input=text, text=True, check=True)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Let this thread, and what it starts meanwhile, be on a machine."""
        with Path("/proc/thread-self/ns/net").open() as before, self._path(name).open() as there:
            _set_network(there.fileno())
            try:
                yield
            finally:
                _set_network(before.fileno())

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """From now on, nothing that the first machine of a pair sends reaches the second."""
        self._change("add", pairs)

    def mend(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Undo `cut` for these pairs."""
        self._change("delete", pairs)

    def _change(self, word: str, pairs: Iterable[tuple[str, str]]) -> None:
        elements = ", ".join(f'"{_port(one)}" . "{_port(other)}"' for one, other in pairs)
        text = f"{word} element bridge wires cut {{ {elements} }}\n"
        self.run(_SWITCH, "nft", "-f", "-", text=text)


def both_ways(ones: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """All pairs between two groups of machines, in both directions."""
    there = [(one, other) for one in ones for other in others]
    return there + [(other, one) for one, other in there]


def _port(name: str) -> str:
    return f"to-{name}"


def _set_network(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
