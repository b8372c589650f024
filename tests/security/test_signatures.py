"""Somebody changes what a signed export or backup says outside the events, or signs it themselves."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.cli.backup import check_manifest
from chatd.cli.heads import judge_signature
from chatd.errors import ChatdError
from chatd.pki.record_key import Trust
from chatd.proto.signatures import BACKUP_DOMAIN, EXPORT_DOMAIN, Signature
from chatd.store.archive import Archive, Facts, write_backup
from chatd.store.event_log import EventLog
from chatd.store.export_verifier import check_export
from chatd.store.log_copy import copied_log
from chatd.store.sealed_file import FileSealer
from tests.security.test_export_forgery import message
from tests.support.certificates import NOW, der
from tests.support.export_document import DOCUMENT, write_verifier
from tests.support.signing import MADE, Signer, change, export_lines, last_line, make_signer, signed_export
from tests.support.storelog import NOW as LOG_NOW
from tests.support.storelog import order

PASSPHRASE = b"correct horse battery"
COST = 10
Lines = list[bytes]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("lab") / "certs")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Another CA for a server of the same name."""
    return make_signer(tmp_path_factory.mktemp("stranger") / "certs")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("signed") / "data"
    log = EventLog.open(data, now=LOG_NOW)
    log.append(
        [order(1, "room_created", "#lobby"), *(message(n, "#lobby", f"text {n}") for n in range(2, 6))]
    )
    log.close()
    return data


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_verifier(tmp_path_factory.mktemp("script"))


def trust(signer: Signer) -> Trust:
    return Trust((signer.record.public.ca_fingerprint,))


def state(lines: Lines, trusted: Trust | None) -> str:
    """What `chatd verify --export` says: trusted, unknown, none or bad."""
    report = check_export(lines, lambda n, of: None)
    if not report.ok:
        return "bad"
    made, server = report.header["made"], report.header["server"]
    signed = EXPORT_DOMAIN + report.signed
    return judge_signature(report.signature, signed, server=server, at=made, trust=trusted).state


def by_script(
    script: Path, lines: Lines, folder: Path, *fingerprint: str
) -> subprocess.CompletedProcess[str]:
    path = folder / "export.jsonl"
    path.write_bytes(b"".join(lines))
    return subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(path), *fingerprint],
        capture_output=True,
        text=True,
        check=False,
    )


def refused(lines: Lines, lab: Signer, script: Path, folder: Path) -> bool:
    """Whether both verifiers refuse the export if they know the CA."""
    done = by_script(script, lines, folder, lab.record.public.ca_fingerprint)
    return state(lines, trust(lab)) == "bad" and done.returncode == 1


def test_a_signed_export_is_accepted(lab: Signer, data: Path, script: Path, tmp_path: Path) -> None:
    lines = signed_export(data, lab)
    assert state(lines, trust(lab)) == "trusted"
    assert state(lines, Trust((lab.record.public.fingerprint,))) == "trusted"
    assert state(lines, None) == "unknown"
    done = by_script(script, lines, tmp_path, lab.record.public.ca_fingerprint)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("signed by lab\n")
    assert by_script(script, lines, tmp_path).stdout.endswith("not checked: who made it\n")


FIELDS: dict[str, Any] = {
    "server": "lob",
    "made": "2020-01-01T00:00:00Z",
    "schema": 1,
    "log": "00" * 16,
    "lineage": [],
    "start": {"seq": 1, "chain": "00" * 32},
    "head": {"seq": 5, "chain": "00" * 32},
    "choice": {"room": None, "since": 1, "until": None},
}


def test_every_field_of_the_first_line_is_covered(data: Path) -> None:
    assert set(json.loads(export_lines(data)[0])) == {*FIELDS, "type"}


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_is_refused(
    field: str, lab: Signer, data: Path, script: Path, tmp_path: Path
) -> None:
    lines = change(signed_export(data, lab), 0, **{field: FIELDS[field]})
    assert refused(lines, lab, script, tmp_path)
    assert state(lines, None) == "bad"


def test_another_branch_in_the_lineage_is_refused(
    lab: Signer, data: Path, script: Path, tmp_path: Path
) -> None:
    """Without the signature, later branches could be invented."""
    lines = signed_export(data, lab)
    lineage = [*json.loads(lines[0])["lineage"], {"id": "1" * 32, "began": 3}]
    assert refused(change(lines, 0, lineage=lineage), lab, script, tmp_path)


def without_signature(lines: Lines) -> Lines:
    return change(lines[:-1], 0, schema=1)


CHANGES: dict[str, Callable[[Lines], Lines]] = {
    "another order of fields": lambda x: [json.dumps(json.loads(x[0])).encode() + b"\n", *x[1:]],
    "signature missing": lambda x: x[:-1],
    "signature twice": lambda x: [*x, x[-1]],
    "signature before the end": lambda x: [*x[:-2], x[-1], x[-2]],
    "an event after the signature": lambda x: [*x, x[-2]],
    "a field more": lambda x: change(x, -1, note=""),
    "upper case": lambda x: change(x, -1, signature=json.loads(x[-1])["signature"].upper()),
    "an empty certificate": lambda x: change(x, -1, certificate=""),
    "the CA's certificate twice": lambda x: change(x, -1, certificate=json.loads(x[-1])["ca"]),
    "the certificate as CA": lambda x: change(x, -1, ca=json.loads(x[-1])["certificate"]),
    "the last event missing": lambda x: [*x[:-2], x[-1]],
    "removed, schema lowered": without_signature,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_signature_is_refused(
    name: str, lab: Signer, data: Path, script: Path, tmp_path: Path
) -> None:
    assert refused(CHANGES[name](signed_export(data, lab)), lab, script, tmp_path)


def test_an_unsigned_export_says_so(lab: Signer, data: Path, script: Path, tmp_path: Path) -> None:
    lines = without_signature(signed_export(data, lab))
    assert state(lines, None) == "none"
    assert "not checked" in by_script(script, lines, tmp_path).stdout


def test_another_server_s_key_is_refused(
    lab: Signer, stranger: Signer, data: Path, script: Path, tmp_path: Path
) -> None:
    lines = signed_export(data, stranger)
    assert refused(lines, lab, script, tmp_path)
    mixed = [*lines[:-1], last_line(stranger.sign(lines[0].removesuffix(b"\n")))]
    genuine = json.loads(last_line(lab.sign(lines[0].removesuffix(b"\n"))))
    assert refused(change(mixed, -1, ca=genuine["ca"]), lab, script, tmp_path)
    assert refused(
        change(mixed, -1, ca=genuine["ca"], certificate=genuine["certificate"]), lab, script, tmp_path
    )


def test_a_user_cannot_sign(lab: Signer, data: Path, script: Path, tmp_path: Path) -> None:
    """The CA has issued certificates to users as well."""
    lines = export_lines(data)
    issued = lab.authority.issue_device("lab", "record", now=NOW)
    assert isinstance(issued.key, ec.EllipticCurvePrivateKey)
    value = issued.key.sign(EXPORT_DOMAIN + lines[0].removesuffix(b"\n"), ec.ECDSA(SHA256()))
    signature = lab.sign(b"").model_dump() | {"certificate": der(issued).hex(), "signature": value.hex()}
    lines.append(json.dumps(signature).encode() + b"\n")
    assert refused(lines, lab, script, tmp_path)
    lines[-1] = last_line(Signature(**signature | {"signature": "00" * 64}))
    assert refused(lines, lab, script, tmp_path)


def test_the_commands_of_the_document_verify_an_export_and_a_head(
    lab: Signer, data: Path, tmp_path: Path
) -> None:
    export_commands, head_commands = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    public = lab.record.public
    for name, certificate in (("ca.pem", public.ca), ("record.pem", public.certificate)):
        (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "FILE").write_bytes(b"".join(signed_export(data, lab)))
    (tmp_path / "HEAD").write_text(lab.head(data, 3).line + "\n")
    verify = export_commands.splitlines()[-1]

    def run(commands: str) -> str:
        done = subprocess.run(
            ["sh", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout

    assert "Signature Verified Successfully" in run(export_commands)
    assert "Signature Verified Successfully" in run(head_commands + verify)
    (tmp_path / "HEAD").write_text(lab.head(data, 3).line.replace(" 3 ", " 4 ") + "\n")
    assert "Signature Verified Successfully" not in run(head_commands + verify)


# --- backups


def make_backup(data: Path, lab: Signer, *, sign: Callable[[bytes], Signature] | None) -> bytes:
    facts = Facts("0.1.0", "lab", MADE, lab.record.public.ca_fingerprint)
    file = io.BytesIO()
    with copied_log(data, lambda what, n, of: None) as copy:
        files = {"config/settings.json": b"{}"}
        write_backup(file, PASSPHRASE, facts, files, copy, lambda what, n, of: None, sign=sign, cost=COST)
    return file.getvalue()


def open_backup(content: bytes) -> Archive:
    return Archive(io.BytesIO(content), len(content), PASSPHRASE)


def reseal(archive: Archive, **changes: Any) -> Archive:
    """Seal a changed manifest with its old signature, as whoever knows the passphrase can."""
    assert archive.signature is not None
    manifest = json.loads(archive.signed.removeprefix(BACKUP_DOMAIN)) | changes
    file = io.BytesIO()
    sealer = FileSealer(file, PASSPHRASE, cost=COST)
    for text in (json.dumps(manifest), archive.signature.model_dump_json()):
        sealer.write(len(text).to_bytes(4) + text.encode())
    sealer.write(bytes(archive.manifest.size))
    sealer.finish()
    return open_backup(file.getvalue())


@pytest.fixture(scope="module")
def backup(data: Path, lab: Signer) -> Archive:
    def sign(signed: bytes) -> Signature:
        return lab.record.make_signature(signed, server="lab", at=MADE)

    return open_backup(make_backup(data, lab, sign=sign))


def test_a_signed_backup_names_its_key(backup: Archive, lab: Signer) -> None:
    assert check_manifest(backup) == lab.record.public.fingerprint


def test_an_unsigned_backup_names_none(data: Path, lab: Signer) -> None:
    assert check_manifest(open_backup(make_backup(data, lab, sign=None))) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "lob"},
        {"made": "2020-01-01T00:00:00Z"},
        {"version": "9"},
        {"ca": "SHA256:00"},
        {"log_schema": 99},
        {"epoch": 99},
        {"head": 4},
        {"chain": "00" * 32},
    ],
    ids=str,
)
def test_a_changed_manifest_is_refused(changes: dict[str, Any], backup: Archive) -> None:
    with pytest.raises(ChatdError, match="manifest was changed"):
        check_manifest(reseal(backup, **changes))


def test_an_exchanged_file_is_refused(backup: Archive) -> None:
    members = [member.model_dump() for member in backup.manifest.members]
    members[0]["sha256"] = "00" * 32
    with pytest.raises(ChatdError, match="manifest was changed"):
        check_manifest(reseal(backup, members=members))
