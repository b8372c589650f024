"""Targets for certificates and identity files."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.contexts import check_server, envelope_key_of
from chatd.pki.identity import MAX_SERVERS, Identity, read_identity, write_identity
from chatd.pki.issued import Issued
from chatd.pki.profiles import device_of, valid_name
from chatd.proto.text import is_host_port
from tests.fuzz.expected_refusals import refused
from tests.support.certificates import DEVICE, NOW, der, forge, san, signer
from tests.support.harmless import assert_harmless

__all__ = ["certificates", "certificates_of_a_home", "der", "identity_files"]


@cache
def scratch_folder() -> Path:
    """Return a folder for the files of this process."""
    folder = Path(tempfile.mkdtemp(prefix="chatd-fuzz-"))
    # The fuzzer ends the process without this; `tests.fuzz` then removes the folder.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class _Certificates(NamedTuple):
    authority: Authority
    device: Issued
    server: Issued
    envelope: Issued
    identity: Identity
    identity_text: bytes


@cache
def certificates_of_a_home() -> _Certificates:
    """Issue one certificate of each kind."""
    authority = Authority.create("lab", now=NOW)
    device = authority.issue_device("bob", "laptop", now=NOW)
    path = scratch_folder() / "bob.pem"
    path.unlink(missing_ok=True)
    servers = ["192.0.2.7:5000", "[::1]:5000"]
    write_identity(
        path, device, authority.certificate, instance="lab", user="bob", device="laptop", servers=servers
    )
    return _Certificates(
        authority,
        device,
        authority.issue_server(["127.0.0.1"], now=NOW),
        authority.issue_envelope(2048, now=NOW),
        read_identity(path),
        path.read_bytes(),
    )


def certificate_seeds() -> list[bytes]:
    """Certificates of every kind, and some with other names."""
    home = certificates_of_a_home()
    uris = ("chatd://lab/user/bob", "chatd://lab/user/b%00ob/device/x", "chatd:///user/bob/device/x")
    forged = [forge(signer(home.authority), DEVICE | {"san": san(uri)}) for uri in uris]
    return [der(one) for one in (home.device, home.server, home.envelope, signer(home.authority), *forged)]


def certificates(data: bytes) -> None:
    """A DER certificate names the device it was issued for, or is refused with E201, E209 or E210."""
    home = certificates_of_a_home()
    try:
        found = device_of(data, home.authority.certificate)
    except ChatdError as error:
        assert error.code == "E210"
        assert len(error.reason) < 300
    else:
        assert all(map(valid_name, found.name))
        assert found.name[:3] == ("lab", "bob", "laptop")
    try:
        check_server(data, home.identity)
    except ChatdError as error:
        assert error.code in ("E201", "E209")
    else:
        assert data[:64] == der(home.server)[:64]
    if refused(lambda: envelope_key_of(home.identity)(data), "E209") is not None:
        assert data[:64] == der(home.envelope)[:64]


def identity_files(data: bytes) -> None:
    """An identity file gives the device its certificate names, or is refused with E608 in short words."""
    path = scratch_folder() / "identity.pem"
    path.touch(mode=0o600)
    path.write_bytes(data)
    try:
        identity = read_identity(path)
    except ChatdError as error:
        assert error.code == "E608"
        assert len(error.reason) < 600
        return
    assert (identity.instance, identity.user, identity.device) == ("lab", "bob", "laptop")
    assert len(identity.servers) <= MAX_SERVERS
    assert all(map(is_host_port, identity.servers))
    for text in (identity.instance, identity.user, identity.device, *identity.servers):
        assert_harmless(text)


def identity_seeds() -> list[bytes]:
    """A whole identity file, and one without its header."""
    text = certificates_of_a_home().identity_text
    return [text, text[text.index(b"-----") :], text.replace(b"\n", b"\r\n")]
