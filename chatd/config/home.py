"""The home: the folder with one server's certificates, settings, logs and data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError

HOME_VARIABLE = "CHATD_HOME"
# Not "run chatd init", which refuses to run beside existing certificates.
SETTINGS_LOST = 'restore it, or write {"server": {"name": NAME}} with the name in the CA certificate'


SHIPPED_FOLDER = "data/shipped"
"""Where the shipper notes how far it has got; it may write nowhere else."""


class Home:
    """Paths in a home. Nothing here creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.certs = path / "certs"
        self.identities = self.certs / "identities"  # where `chatd user add` writes identity files
        self.config = path / "config"
        self.settings_file = self.config / "settings.json"
        self.logs, self.data, self.run = path / "logs", path / "data", path / "run"
        # Only the owner may look into these.
        self.private_folders = (self.certs, self.data, self.run)

    def identity_file(self, user: str, device: str) -> Path:
        """Return where `chatd user add` writes the identity of a device by default."""
        return self.identities / f"{user}-{device}.pem"

    def require_initialised(self) -> None:
        """Raise E601 unless `chatd init` has run here, E606 if that cannot be determined."""
        for file in (self.certs / "ca.pem", self.settings_file):
            try:
                file.stat()
            except (FileNotFoundError, NotADirectoryError):
                why = f"{self.path} is not a chatd home: there is no {file.relative_to(self.path)}"
                init = chatd_command(self.path, "init")
                lost = file == self.settings_file
                fix = SETTINGS_LOST if lost else f"name the home with --home or CHATD_HOME, or run: {init}"
                raise ChatdError("E601", why, fix) from None
            except OSError as error:
                raise ChatdError("E606", f"{file}: {error.strerror}") from None


def resolve_home(option: str | None, environ: Mapping[str, str], cwd: Path) -> Home:
    """Return the home in --home, else in $CHATD_HOME, else the current folder.

    Raises E601 if the path starts with the ~ of an unknown user, E606 if it is not UTF-8.
    """
    chosen = option or environ.get(HOME_VARIABLE) or "."
    try:
        path = (cwd / Path(chosen).expanduser()).resolve()
    except RuntimeError:
        raise ChatdError("E601", f"{chosen}: that user has no home directory") from None
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # SQLite's file names are UTF-8, and so are settings and identities that name files here.
        fix = "use a folder with another path; if it is UTF-8 and only the locale is not, set PYTHONUTF8=1"
        raise ChatdError("E606", f"the path {path} is not UTF-8", fix) from None
    return Home(path)
