"""The name of a home's server is read from its CA's certificate as cryptography reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.errors import ChatdError
from chatd.pki.authority import Authority, instance_of
from chatd.pki.home_name import refuse_other_name
from tests.support.certificates import NOW


@pytest.mark.parametrize("name", ["lab", "a", "x" * 32])
def test_the_name_is_that_of_the_certificate(tmp_path: Path, name: str) -> None:
    authority = Authority.create(name, now=NOW)
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    assert instance_of(authority.certificate) == name
    refuse_other_name(tmp_path, name)
    for other in ("other", name[:-1] + "z", name + "b"):
        with pytest.raises(ChatdError, match=f"of {name!r}"):
            refuse_other_name(tmp_path, other)


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_that_is_no_certificate_is_for_others_to_tell(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "certs").mkdir()
    if content is not None:
        (tmp_path / "certs" / "ca.pem").write_bytes(content)
    refuse_other_name(tmp_path, "lab")
