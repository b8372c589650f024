"""The documents agree with the code: links, codes, requests, events, constants, locks, commands."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

import click
import pytest

from chatd.cli.root import main as chatd_command
from chatd.codes import CODES
from chatd.crypto import handshake, records
from chatd.policy.roles import PERMISSIONS
from chatd.proto import alpn, text
from chatd.proto.events import EVENTS, SessionLimits
from chatd.proto.requests import REQUESTS
from tests.tools.doctables import MONITORING, PROTOCOL, TABLES, refreshed, tables_in

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", ".github/**/*.md", "docs/**/*.md", "tests/**/*.md", "*/README.md")
    for path in ROOT.glob(pattern)
)
SOURCES = sorted([*(ROOT / "chatd").rglob("*.py"), *(ROOT / "chatctl").rglob("*.py")])
COLUMNS = 100
_GENERATED = re.compile(r"<!-- table \w+ -->.*?<!-- end -->", re.DOTALL)
_URL = re.compile(r"https?://\S+")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)|^\[[^\]]+\]: ([^#:\s]+)$", re.MULTILINE)
_CODE = re.compile(r"\b[EW][1-6][0-9]{2}\b")
_PATH = re.compile(r"`((?:chatd|chatctl|tests|docs|deploy)/[a-z][\w./-]*)`")
_MODULE = re.compile(r"(?:`|python -m )((?:chatd|chatctl|tests)(?:\.(?!pyz\b)[a-z_]+)+)")
_MAKE = re.compile(r"(?:^    |`)make ([a-z-]+)", re.MULTILINE)
_LOCK = re.compile(r"(\w+)(?:: [\w.]+)? = threading\.(?:R?Lock|Condition|(?:Bounded)?Semaphore)\(")


def _document(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def _section(number: int) -> str:
    """The section of docs/protocol.md with this number."""
    return PROTOCOL.read_text("utf-8").partition(f"\n## {number}. ")[2].partition("\n## ")[0]


def test_tables_are_those_of_the_code() -> None:
    documents = [path.read_text("utf-8") for path in (PROTOCOL, MONITORING)]
    assert set().union(*map(tables_in, documents)) == set(TABLES)
    assert documents == [refreshed(one) for one in documents], "run: python -m tests.tools.doctables"


@pytest.mark.parametrize("name", REQUESTS)
def test_protocol_has_fields_permission_and_result_of_a_request(name: str) -> None:
    section = _section(7)
    (row,) = (line for line in section.splitlines() if line.startswith(f"| `{name}` |"))
    spec = REQUESTS[name].spec
    assert all(f"`{field}`" in row for field in REQUESTS[name].model_fields if field not in ("type", "id"))
    assert f"`{spec.permission}`" in row or spec.permission is None
    assert f"\n- `{name}`: " in section


@pytest.mark.parametrize("name", EVENTS)
def test_protocol_has_the_fields_of_an_event(name: str) -> None:
    (row,) = (line for line in _section(8).splitlines() if line.startswith(f"| `{name}` |"))
    assert all(f"`{field}`" in row for field in EVENTS[name].fields() if field not in ("type", "seq", "at"))
    assert f"`{name}`" in _GENERATED.sub("", PROTOCOL.read_text("utf-8"))


def test_protocol_has_the_constants_of_the_envelope() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| (\w[^|]*?) \|", _section(3) + _section(4), re.MULTILINE)
    constants = {re.sub(r" \(.*| without .*", "", name).strip("`"): value for name, value in rows}
    assert constants == {
        "Constant": "Value",
        "version": f"{handshake.VERSION}",
        "suite": f"{handshake.SUITE}",
        "M1": f"{handshake._M1.size} bytes",
        "M2": f"{handshake._M2.size} bytes",
        "shortest binding value": f"{handshake._BINDING_MINIMUM} bytes",
        "header of a record": f"{records.HEADER.size} bytes",
        "tag of a record": f"{records.TAG_SIZE} bytes",
        "Type": "Name",
        f"{records.DATA}": "data",
        f"{records.REKEY}": "rekey",
        f"{records.CLOSE}": "close",
    }


@pytest.mark.parametrize(
    "name",
    [
        *SessionLimits.fields(),
        *PERMISSIONS,
        alpn.ALPN_ENVELOPE,
        alpn.ALPN_PLAIN,
        text.TRUNCATION_MARK,
        f'K("{records.CLIENT_TO_SERVER.decode()}")',
        f'K("{records.SERVER_TO_CLIENT.decode()}")',
    ],
)
def test_protocol_mentions_every_constant(name: str) -> None:
    assert f"`{name}`" in PROTOCOL.read_text("utf-8")


def test_protocol_lists_the_reserved_names() -> None:
    assert ", ".join(sorted(text.RESERVED)) in " ".join(_section(11).split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_linked_files_and_error_codes_exist(document: Path) -> None:
    content = document.read_text("utf-8")
    links = [inline or reference for inline, reference in _LINK.findall(content)]
    assert not [link for link in links if not (document.parent / link).exists()]
    assert set(_CODE.findall(content)) <= set(CODES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_modules_and_targets_exist(document: Path) -> None:
    content = document.read_text("utf-8")
    modules = [module.replace(".", "/") for module in _MODULE.findall(content)]
    assert not [path for path in _PATH.findall(content) if not (ROOT / path).exists()]
    assert not [path for path in modules if not ((ROOT / path).is_dir() or (ROOT / f"{path}.py").exists())]
    targets = set(re.findall(r"^([a-z-]+):", _document("Makefile"), re.MULTILINE))
    assert set(_MAKE.findall(content)) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_have_at_most_100_columns(document: Path) -> None:
    content = _GENERATED.sub("", document.read_text("utf-8"))
    assert not [line for line in content.splitlines() if len(_URL.sub("", line)) > COLUMNS]


def test_every_lock_is_in_the_list_of_locks() -> None:
    listed = " ".join(_document("docs/locks.md").split())
    found = [
        f"- `{source.relative_to(ROOT)}`, `{name}`:"
        for source in SOURCES
        for name in _LOCK.findall(source.read_text("utf-8"))
    ]
    assert found
    assert not [lock for lock in found if lock not in listed]


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads(_document("pyproject.toml"))["project"]
    extra = project["optional-dependencies"]
    names = {re.split(r"[<>=~]", one)[0] for one in [*project["dependencies"], *chain(*extra.values())]}
    explained = _document("docs/dependencies.md")
    assert not [name for name in names if f"- **{name}**" not in explained]


def test_every_command_of_chatd_is_in_the_operations() -> None:
    described = _document("docs/operations.md")
    paths = []
    for name, command in chatd_command.commands.items():
        below = command.commands if isinstance(command, click.Group) else {}
        paths += [f"chatd {name} {sub}" for sub in below] or [f"chatd {name}"]
    assert not [path for path in paths if f"`{path}" not in described]


def test_every_decision_is_listed_and_dated() -> None:
    index = _document("docs/README.md")
    for decision in sorted((ROOT / "docs" / "adr").glob("*.md")):
        assert f"adr/{decision.name}" in index
        assert re.search(
            r"^Status: .*20[0-9]{2}-[0-9]{2}-[0-9]{2}", decision.read_text("utf-8"), re.MULTILINE
        )
