"""A home: the folder with one server's certificates, settings, logs and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chatd.errors import ChatdError

HOME_VARIABLE = "CHATD_HOME"
# `init` would refuse: the certificates are there.
SETTINGS_LOST = 'restore it, or write {"server": {"name": NAME}} with the name in the CA certificate'


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
        """Raises E601 unless `chatd init` has been here, E606 if that cannot be seen."""
        for file in (self.certs / "ca.pem", self.settings_file):
            try:
                file.stat()
            except (FileNotFoundError, NotADirectoryError):
                why = f"{self.path} is not a chatd home: there is no {file.relative_to(self.path)}"
                lost = file == self.settings_file
                raise ChatdError("E601", why, SETTINGS_LOST if lost else "") from None
            except OSError as error:
                raise ChatdError("E606", f"{file}: {error.strerror}") from None


def resolve_home(option: str | None, environ: Mapping[str, str], cwd: Path) -> Home:
    """--home, else $CHATD_HOME, else the current folder; nowhere else, so that no command surprises.

    Raises E601 for the ~ of a user who does not exist.
    """
    chosen = option or environ.get(HOME_VARIABLE) or "."
    try:
        return Home((cwd / Path(chosen).expanduser()).resolve())
    except RuntimeError:
        raise ChatdError("E601", f"{chosen}: there is no such user's folder") from None
