"""Finding the identity file of a client program, and the folder for its state."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chatctl.client._piped_identity import is_piped, newest
from chatd.console.folders import config_folder, expanded, state_root
from chatd.console.pasting import pasteable
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, read_identity


def find_identity(option: str | None, home: str | None, environ: Mapping[str, str]) -> Path:
    """The identity file to use: the first of these that is given or exists.

    1. ``option`` (--identity). 2. CHATD_IDENTITY. 3. An admin's in the home ``home`` (--home), of CHATD_HOME,
    or of the working directory: see `_of_home`. 4. ~/.config/chatd/identity.pem, or the only .pem file there.
    Raises E608 with what to do.
    """
    if chosen := option or environ.get("CHATD_IDENTITY"):
        return expanded(chosen)
    if named := home or environ.get("CHATD_HOME"):
        if found := _of_home(expanded(named)):
            return found
        raise ChatdError("E608", f"there is no identity in {named}/certs/identities", _first_identity(named))
    if found := _of_home(Path.cwd()):
        return found
    return _users_own(environ)


def identity_to_write(option: str | None, environ: Mapping[str, str]) -> Path:
    """The identity file that an invite makes: --identity, CHATD_IDENTITY, or where programs look for it."""
    chosen = option or environ.get("CHATD_IDENTITY")
    return expanded(chosen) if chosen else config_folder(environ) / "identity.pem"


def _first_identity(home: str) -> str:
    """Return how to make an identity in this home; one that is initialised refuses another `chatd init`."""
    if (expanded(home) / "certs" / "ca.pem").exists():
        return f"make one with: {pasteable('chatd', '--home', home, 'user', 'add')} NAME --device NEW"
    init = pasteable("chatd", "--home", home, "init")
    return f"check the path of the home, or create the first one with: {init}"


def _users_own(environ: Mapping[str, str]) -> Path:
    folder = config_folder(environ)
    standard = folder / "identity.pem"
    if standard.is_file():
        return standard
    found = sorted(folder.glob("*.pem"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise ChatdError(
            "E608",
            f"{folder} has several identities: {names}",
            "choose one with --identity or CHATD_IDENTITY",
        )
    raise ChatdError(
        "E608",
        "there is no identity file",
        f"run the line of your invite (chat join HOST:PORT/CODE), or put the file that an admin gave you "
        f"(chatd user add) at {standard}, or name it with --identity; "
        "on the server's machine, name its home with --home",
    )


def _of_home(home: Path) -> Path | None:
    """Return the oldest identity in a home of an admin whom its settings name, as they name the first.

    An expired one only if all have expired. Files of others may lie there until they are sent: they are used
    only if the settings name no admin. Raises E608 if there are no other ones.
    """
    folder = home / "certs" / "identities"
    files = [path for path in folder.glob("*.pem") if path.is_file()]
    admins = _named_admins(home)
    if not admins:
        return _oldest(files)
    # By their names first: to read a thousand files takes a second.
    likely = [path for path in files if path.name.startswith(tuple(f"{user}-" for user in admins))]
    for candidates in (likely, files):
        if found := _oldest(candidates, admins):
            return found
    if files:
        raise ChatdError(
            "E608",
            f"{folder} has no identity of {' or '.join(admins)}",
            "choose one with --identity or CHATD_IDENTITY",
        )
    return None


def _named_admins(home: Path) -> list[str]:
    """Return the users whom the home's settings make admins; none if the settings cannot be read."""
    try:
        assigned = json.loads((home / "config" / "settings.json").read_bytes())["roles"]["assigned"]
        return sorted(user for user, role in assigned.items() if role == "admin")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _oldest(files: Iterable[Path], users: Collection[str] = ()) -> Path | None:
    """Return the oldest identity, of one of ``users`` if any are given; an expired one if all have expired.

    One that cannot be read counts as valid, and its file's name tells the user: its error helps.
    """
    expired: Path | None = None
    for path in sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name)):
        try:
            identity = read_identity(path)
            user, valid = identity.user, identity.not_after > datetime.now(UTC)
        except ChatdError:
            user, valid = path.name.rpartition("-")[0], True
        if users and user not in users:
            continue
        if valid:
            return path
        expired = expired or path
    return expired


def load_identity(option: str | None, home: str | None) -> Identity:
    """Read the identity file that `chat` would use with --identity ``option`` and --home ``home``.

    With None and None it looks at CHATD_IDENTITY, CHATD_HOME, the working directory and
    ~/.config/chatd, in this order. An identity from a pipe gets its renewed certificate. Raises E608.
    """
    identity = read_identity(find_identity(option, home, os.environ))
    return newest(identity, state_folder(identity, os.environ)) if is_piped(identity) else identity


def state_folder(identity: Identity, environ: Mapping[str, str]) -> Path:
    """The folder for this device's outbox, cursor and input history; does not create it.

    It is named after the key, which stays when the certificate is renewed. ``environ``: environment
    variables, of which XDG_STATE_HOME counts.
    """
    root = state_root(environ)
    key = x509.load_der_x509_certificate(identity.certificate_der).public_key()
    folder = root / _folder_name(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    # Earlier versions named it after the certificate. A link, because such a version may be using it now.
    former = root / _folder_name(identity.certificate_der)
    if former.is_dir() and not folder.exists():
        try:
            folder.symlink_to(former.name)
        except FileExistsError:
            pass  # another program of this device has just made it
        except OSError:
            return former
    return folder


def _folder_name(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()[:16]
