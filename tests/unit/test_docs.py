"""The documents say what the code does: a thing without its words fails here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from chatd.cli.root import main as chatd_command
from chatd.codes import CODES
from chatd.crypto import handshake, records
from chatd.crypto.records import CLIENT_TO_SERVER, CLOSE, DATA, REKEY, SERVER_TO_CLIENT
from chatd.policy.roles import PERMISSIONS
from chatd.proto import alpn, text
from chatd.proto.events import EVENTS, SessionLimits
from chatd.proto.requests import REQUESTS
from tests.tools.doctables import PROTOCOL, TABLES, refreshed, tables_in

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted([*(ROOT / "chatd").rglob("*.py"), *(ROOT / "chatctl").rglob("*.py")])
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")
_LOCK = re.compile(r"(\w+)(?:: [\w.]+)? = threading\.(?:R?Lock|Condition|(?:Bounded)?Semaphore)\(")


def _document(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_protocol_tables_are_those_of_the_code() -> None:
    document = PROTOCOL.read_text("utf-8")
    assert tables_in(document) == set(TABLES)
    assert document == refreshed(document), "run: python -m tests.tools.doctables"


@pytest.mark.parametrize("name", REQUESTS)
def test_protocol_tells_fields_and_result_of_a_request(name: str) -> None:
    section = PROTOCOL.read_text("utf-8").partition("\n## 7.")[2].partition("\n## 8.")[0]
    fields, result = (line for line in section.splitlines() if line.startswith(f"| `{name}` |"))
    spec = REQUESTS[name].spec
    assert all(f"`{field}`" in fields for field in REQUESTS[name].model_fields if field not in ("type", "id"))
    assert f"`{spec.permission}`" in fields or spec.permission is None
    assert result.split(" | ")[1].strip()


@pytest.mark.parametrize("name", EVENTS)
def test_protocol_tells_the_fields_of_an_event(name: str) -> None:
    table = TABLES["events"]()
    row = next(line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
    described = PROTOCOL.read_text("utf-8").replace(table, "")
    assert row in PROTOCOL.read_text("utf-8")
    assert f"`{name}`" in described
    common = {"type", "seq", "at"}
    assert all(f"`{field}`" in row for field in EVENTS[name].model_fields if field not in common)


@pytest.mark.parametrize(
    "words",
    [
        *(f"`{name}`" for name in SessionLimits.model_fields),
        *(f"`{name}`" for name in PERMISSIONS),
        *(f"`{name}`" for name in (alpn.ALPN_ENVELOPE, alpn.ALPN_PLAIN)),
        ", ".join(sorted(text.RESERVED)),
        f"`{text.TRUNCATION_MARK}`",
        f"1 to {handshake.HANDSHAKE_LIMIT}",
        f"{handshake._M1.size} bytes",
        f"{handshake._M2.size} bytes and more",
        f"A value below {handshake._BINDING_MINIMUM} bytes",
        f"`version` is {handshake.VERSION} and `suite` is {handshake.SUITE}",
        f"The header is {records.HEADER.size} bytes",
        f"{records.TAG_SIZE} bytes of tag",
        f"| {DATA} | data | 1 to {records.MAX_PAYLOAD} bytes",
        f"| {REKEY} | rekey | empty |",
        f"| {CLOSE} | close | empty |",
        f'"{CLIENT_TO_SERVER.decode()}" or "{SERVER_TO_CLIENT.decode()}"',
        f"a seq of 2^{records.RECORDS_PER_KEY.bit_length() - 1} or more",
        f"2^{records.BYTES_PER_KEY.bit_length() - 1} bytes of plaintext",
        f"The last epoch is {records.LAST_EPOCH}",
    ],
)
def test_protocol_says(words: str) -> None:
    assert words in " ".join(PROTOCOL.read_text("utf-8").split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_and_codes_exist(document: Path) -> None:
    content = document.read_text("utf-8")
    missing = [link for link in _LINK.findall(content) if not (document.parent / link).exists()]
    assert not missing
    assert set(re.findall(r"\b[EW][1-6][0-9]{2}\b", content)) <= set(CODES)


def test_every_lock_is_in_the_list_of_locks() -> None:
    listed = _document("docs/locks.md")
    found = [
        f"| `{source.relative_to(ROOT)}` | `{name}` |"
        for source in SOURCES
        for name in _LOCK.findall(source.read_text("utf-8"))
    ]
    assert found
    assert not [lock for lock in found if lock not in listed]


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads(_document("pyproject.toml"))["project"]
    extra = project["optional-dependencies"]
    names = {re.split(r"[<>=]", one)[0] for one in [*project["dependencies"], *extra["dev"], *extra["build"]]}
    explained = _document("docs/dependencies.md")
    assert not [name for name in names if f"| {name} |" not in explained]


def test_every_command_of_the_box_is_in_the_operations() -> None:
    described = _document("docs/operations.md")
    paths = []
    for name, command in chatd_command.commands.items():
        below = command.commands if isinstance(command, click.Group) else {}
        paths += [f"chatd {name} {sub}" for sub in below] or [f"chatd {name}"]
    assert not [path for path in paths if path not in described]
