"""The folder of a device's outbox and cursor stays the same when its certificate is renewed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client import state_folder
from chatctl.client._profile import _folder_name
from chatd.pki.authority import Authority
from chatd.pki.identity import Identity
from tests.support.certificates import NOW, make_identity


class Device(NamedTuple):
    """An identity, the same one renewed, and another device's."""

    identity: Identity
    renewed: Identity
    other: Identity


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    folder = tmp_path_factory.mktemp("identities")
    authority = Authority.create("lab", now=NOW)
    identity = make_identity(authority, folder / "bob.pem")
    key = x509.load_der_x509_certificate(identity.certificate_der).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    again = authority.issue_for_key(key, "bob", "laptop", now=NOW + timedelta(minutes=1), days=30)
    renewed = replace(identity, certificate_der=again.public_bytes(Encoding.DER))
    return Device(identity, renewed, make_identity(authority, folder / "other.pem"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path)}


def test_a_renewed_device_finds_its_state(device: Device, environ: dict[str, str]) -> None:
    folder = state_folder(device.identity, environ)
    assert not folder.exists()
    assert state_folder(device.renewed, environ) == folder != state_folder(device.other, environ)


def test_the_folder_of_an_earlier_version_is_still_used(device: Device, environ: dict[str, str]) -> None:
    former = state_folder(device.other, environ).parent / _folder_name(device.identity.certificate_der)
    former.mkdir(parents=True)
    (former / "client.db").write_text("unsent")
    # Twice, and after a renewal; an earlier version that runs meanwhile goes on in the same folder.
    for identity in (device.identity, device.identity, device.renewed):
        assert (state_folder(identity, environ) / "client.db").read_text() == "unsent"
    assert state_folder(device.identity, environ).samefile(former)
    assert not state_folder(device.other, environ).exists()


def test_a_folder_that_this_version_has_made_is_not_replaced(device: Device, environ: dict[str, str]) -> None:
    folder = state_folder(device.identity, environ)
    folder.mkdir(parents=True)
    (folder.parent / _folder_name(device.identity.certificate_der)).mkdir()
    assert state_folder(device.identity, environ) == folder
    assert not folder.is_symlink()
