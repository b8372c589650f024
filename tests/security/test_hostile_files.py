"""What the programs print about hostile files and paths cannot control a terminal or forge a line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatd.cli.backup_files import utc_now
from chatd.proto.text import visible
from chatd.store.archive import Facts, write_backup
from chatd.store.log_copy import copied_log
from tests.support.daemon import Daemon

# Sequences for terminals, C1 controls, bidi controls, and a line of its own.
HOSTILE = "x\x1b]0;t\x07\x1b[2J\x9b2J\u202e\x7f\r\nforged"
SHORT = "\x1b[2J\x9b\u202e\x7f\nforged"
WORDS = "correct horse battery staple"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """A home without a running daemon, a backup of it and the passphrase."""
    box = Daemon(tmp_path_factory.mktemp("box") / "home")
    box.init()
    (box.home / "words").write_text(WORDS)
    box.chatd("backup", "create", "saved", "--passphrase-file", "words")
    return box


def check_printed(done: subprocess.CompletedProcess[str], *, quoted: bool = False) -> None:
    """Require harmless output, which must quote the hostile text if ``quoted``."""
    for text in (done.stdout, done.stderr):
        assert visible(text) == text
        assert not re.search("^forged", text, re.MULTILINE)
    assert "this is a bug" not in done.stderr
    assert "forged" in done.stdout + done.stderr or not quoted, done


def unchecked(box: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return box.run(*arguments, check=False)


@contextmanager
def settings_of(box: Daemon, text: str) -> Iterator[None]:
    """Replace the settings of the box meanwhile."""
    file = box.home / "config" / "settings.json"
    before = file.read_bytes()
    file.write_text(text)
    try:
        yield
    finally:
        file.write_bytes(before)


FIELDS = ("version", "server", "made", "ca")


def hostile_backup(box: Daemon, folder: Path, fields: tuple[str, ...]) -> Path:
    """Write a backup of the box with a hostile text in these fields of its manifest."""
    facts = Facts("0.1.0", "lab", utc_now(), "SHA256:00")._replace(**dict.fromkeys(fields, HOSTILE))
    files = {"config/settings.json": (box.home / "config" / "settings.json").read_bytes()}
    backup = folder / "hostile.bak"
    with copied_log(box.home / "data", lambda *_: None) as log, backup.open("wb") as target:
        write_backup(target, WORDS.encode(), facts, files, log, lambda *_: None)
    return backup


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_manifest_of_a_backup(box: Daemon, tmp_path: Path, options: tuple[str, ...]) -> None:
    backup, words = str(hostile_backup(box, tmp_path, FIELDS)), str(box.home / "words")
    shown = unchecked(box, "chatd", "backup", "show", backup, "--passphrase-file", words, *options)
    check_printed(shown, quoted=True)
    assert shown.stdout.count("forged") == len(FIELDS), "each field is shown"


@pytest.mark.parametrize("field", FIELDS)
def test_restoring_a_hostile_backup(box: Daemon, tmp_path: Path, field: str) -> None:
    """As text or as JSON, the refusal is made in one place."""
    backup, words = str(hostile_backup(box, tmp_path, (field,))), str(box.home / "words")
    home, options = str(tmp_path / "new"), ("--json",) if field == "server" else ()
    restored = unchecked(
        box, "chatd", "--home", home, "restore", backup, "--passphrase-file", words, *options
    )
    assert restored.returncode == 1
    check_printed(restored)


HEADERS: dict[str, dict[str, Any]] = {
    "server": {"type": "export", "schema": 1, "server": HOSTILE},
    "made": {"type": "export", "schema": 1, "made": HOSTILE},
    "key": {"type": "export", "schema": 1, HOSTILE: 1},
    "type": {"type": HOSTILE},
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_foreign_export(box: Daemon, tmp_path: Path, case: str) -> None:
    file = tmp_path / "export.jsonl"
    file.write_text(json.dumps(HEADERS[case], ensure_ascii=False) + "\n")
    check_printed(unchecked(box, "chatd", "verify", "--export", str(file)))
    done = unchecked(box, "chatd", "verify", "--export", str(file), "--json")
    check_printed(done, quoted=True)
    assert done.stdout.isascii()


def test_a_valid_export_of_a_hostile_server(box: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    box.chatd("export", "-o", str(file))
    header, *events, _signature = file.read_text().splitlines(keepends=True)
    unsigned = json.loads(header) | {"schema": 1, "server": HOSTILE}
    file.write_text(json.dumps(unsigned) + "\n" + "".join(events))
    check_printed(unchecked(box, "chatd", "verify", "--export", str(file)), quoted=True)


@pytest.mark.parametrize("text", [f"{HOSTILE}: x\n", f"schema: {HOSTILE}\n", f"server: {HOSTILE}\n"])
@pytest.mark.parametrize("program", [("chat", "whoami"), ("chatctl", "users")])
def test_an_identity_file(box: Daemon, tmp_path: Path, text: str, program: tuple[str, ...]) -> None:
    file = tmp_path / "identity.pem"
    file.write_text(text.encode("ascii", "ignore").decode())
    file.chmod(0o600)
    check_printed(unchecked(box, *program, "--identity", str(file)))


SETTINGS = {
    "not JSON": "{" + HOSTILE,
    "key": json.dumps({HOSTILE: 1}),
    "key of a section": json.dumps({"server": {HOSTILE: 1}}, ensure_ascii=False),
    "value": json.dumps({"server": {"port": HOSTILE}}),
    "name": json.dumps({"server": {"name": HOSTILE}}),
    "room": json.dumps({"rooms": [{"name": HOSTILE}]}),
    "role": json.dumps({"roles": {"permissions": {HOSTILE: [HOSTILE]}}}),
    "address": json.dumps({"server": {"addresses": [HOSTILE]}}),
}
COMMANDS = (("config", "check"), ("config", "show"), ("check",), ("check", "--json"), ("start",))


# Each text with one command, and each command with a text of the file itself and with one of its values.
PAIRS: list[tuple[str, tuple[str, ...]]] = [(case, COMMANDS[0]) for case in SETTINGS]
PAIRS += [(case, command) for case in ("not JSON", "role") for command in COMMANDS[1:]]


@pytest.mark.parametrize(
    ("case", "command"), PAIRS, ids=lambda one: one if isinstance(one, str) else " ".join(one)
)
def test_settings(box: Daemon, case: str, command: tuple[str, ...]) -> None:
    with settings_of(box, SETTINGS[case]):
        done = box.chatd(*command, check=False)
    assert done.returncode == 1
    check_printed(done)


def test_settings_are_shown_in_ascii(box: Daemon) -> None:
    settings = json.loads((box.home / "config" / "settings.json").read_text())
    settings["filter"] = {"words": ["gr\u00fc\u00dfe"]}
    with settings_of(box, json.dumps(settings)):
        done = box.chatd("config", "show")
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["filter"]["words"] == ["gr\u00fc\u00dfe"]


PATHS: dict[str, tuple[str, ...]] = {
    "home": ("chatd", "--home", SHORT, "check"),
    "start": ("chatd", "--home", SHORT, "start"),
    "backup": ("chatd", "backup", "show", SHORT, "--passphrase-file", "words"),
    "restore": ("chatd", "--home", "new", "restore", SHORT, "--passphrase-file", "words"),
    "passphrase": ("chatd", "backup", "show", "saved", "--passphrase-file", SHORT),
    "verify": ("chatd", "verify", "--export", SHORT),
    "export": ("chatd", "--home", ".", "export", "--room", SHORT, "-o", SHORT + "/x"),
    "user": ("chatd", "--home", ".", "user", "add", SHORT),
    "out": ("chatd", "--home", ".", "user", "add", "bob", "--out", SHORT + "/x"),
    "identity": ("chat", "--identity", SHORT, "whoami"),
    "client home": ("chatctl", "--home", SHORT, "users"),
    "command": ("chatd", SHORT),
    "option": ("chat", "--" + SHORT),
    "choice": ("chat", "--theme", SHORT),
    "number": ("chat", "tail", "lobby", "-n", SHORT),
    "code": ("chatctl", "explain", SHORT),
}


@pytest.mark.parametrize("case", PATHS)
def test_paths_and_arguments(box: Daemon, case: str) -> None:
    done = unchecked(box, *PATHS[case])
    assert done.returncode not in (0, 130)
    check_printed(done, quoted=True)


@pytest.mark.parametrize("command", [("init",), ("check",), ("cert", "show"), ("status",), ("stop",)])
def test_a_home_under_a_hostile_path(tmp_path: Path, command: tuple[str, ...]) -> None:
    home = tmp_path / SHORT
    home.mkdir()
    box = Daemon(home)
    if command != ("init",):
        box.init()
    done = box.chatd(*command, check=False)
    check_printed(done)


# Where text may be written without `output`: it is a constant, drawn by the program, or escaped there.
DIRECT = {
    "chatd/cli/backup_files.py",
    "chatd/console/output.py",
    "chatd/console/progress.py",
    "chatd/console/qr_code.py",
    "chatd/console/shell_completion.py",
    "chatd/child/supervised.py",
    "chatd/hub/main.py",
    "chatd/worker/main.py",
    "chatd/supervisor/monitor.py",
    "chatctl/admin/server.py",
    "chatctl/admin/top.py",
    "chatctl/scripts/showing.py",
    "chatctl/scripts/pipe.py",
    "chatctl/scripts/search_command.py",
}


def test_programs_print_through_one_module() -> None:
    printing = re.compile(
        r"click\.(echo|secho)\(|output\.write\(|(?<![\w.])print\(|sys\.std(out|err)\.write\("
    )
    sources = [*(ROOT / "chatd").rglob("*.py"), *(ROOT / "chatctl").rglob("*.py")]
    found = {str(p.relative_to(ROOT)) for p in sources if printing.search(p.read_text("utf-8"))}
    assert found <= DIRECT
