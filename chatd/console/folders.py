"""A person's own folders, also where neither HOME nor the password database names any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chatd.errors import ChatdError


def expanded(path: str) -> Path:
    """The path with its ~ or ~user replaced. Raises E606 if there is no such folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise _no_home(f"{path} cannot be found") from None


def config_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the person's identities. Raises E606 without a home directory."""
    return _of(environ, "XDG_CONFIG_HOME", ".config")


def state_root(environ: Mapping[str, str]) -> Path:
    """The folder of what the programs keep between runs. Raises E606 without a home directory."""
    return _of(environ, "XDG_STATE_HOME", ".local/state")


def _of(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    if chosen := environ.get(variable):
        return Path(chosen) / "chatd"
    try:
        return Path.home() / below_home / "chatd"
    except RuntimeError:
        raise _no_home(f"neither {variable} nor HOME is set") from None


def _no_home(why: str) -> ChatdError:
    return ChatdError("E606", f"{why}, and this user has no home directory", "set HOME to a folder of yours")
