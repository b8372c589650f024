"""A home: the folder with one server's certificates, settings, logs and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chatd.errors import ChatdError

HOME_VARIABLE = "CHATD_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """Where things are. Nothing here creates anything."""

    path: Path

    @property
    def certs(self) -> Path:
        return self.path / "certs"

    @property
    def config(self) -> Path:
        return self.path / "config"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.json"

    @property
    def identities(self) -> Path:
        """Identity files made on the box."""
        return self.certs / "identities"

    def require_initialised(self) -> None:
        """Raises E601 unless `chatd init` has been here."""
        if not (self.certs / "ca.pem").exists() or not self.settings_file.exists():
            raise ChatdError("E601", f"{self.path} is not a chatd home")


def resolve_home(option: str | None, environ: Mapping[str, str], cwd: Path) -> Home:
    """--home, else $CHATD_HOME, else the current folder."""
    chosen = option or environ.get(HOME_VARIABLE)
    return Home((cwd / Path(chosen).expanduser()).resolve() if chosen else cwd.resolve())
