"""``chatd backup`` and ``chatd restore`` without a server: passphrases, errors, leftover files."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import click
import pytest
from click.testing import CliRunner, Result

from chatd.cli import main
from chatd.cli.backup_files import create_new, exit_on_signals
from chatd.errors import ChatdError
from chatd.supervisor.pid_lock import LOCK_FILE, PidLock
from tests.support.daemon import BIN, Daemon

PASSPHRASE = "correct horse battery staple"
FILES_OF_A_HOME = ("certs/ca.key", "certs/ca.pem", "config/settings.json", "data/events.db", "data/mark")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """A home without a running daemon, with a backup (`backup_file`) and its `passphrase_file`."""
    box = Daemon(tmp_path_factory.mktemp("box") / "home")
    box.init()
    passphrase_file(box).write_text(PASSPHRASE + "\n")
    box.chatd(
        "backup",
        "create",
        str(backup_file(box)),
        "--passphrase-file",
        str(passphrase_file(box)),
        "--with-identities",
    )
    return box


def backup_file(box: Daemon) -> Path:
    return box.home.parent / "saved.bak"


def passphrase_file(box: Daemon) -> Path:
    return box.home.parent / "words"


def tree(folder: Path) -> set[str]:
    """Return the relative paths of everything below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def chatd(box: Daemon, *arguments: str, stdin: bytes = b"") -> Result:
    """Run ``chatd`` in this process, which is faster."""
    runner = CliRunner(env={"CHATD_HOME": str(box.home), "CHATD_SECURITY__RSA_KEY_SIZE": "2048"})
    with patch.object(sys, "argv", ["chatd", *arguments]):
        return runner.invoke(click.command()(main), [], input=stdin)


def create(box: Daemon, file: Path, secret: Path | None = None) -> Result:
    """Run ``chatd backup create``."""
    return chatd(box, "backup", "create", str(file), "--passphrase-file", str(secret or passphrase_file(box)))


def restore(box: Daemon, home: Path, *more: str, file: Path | None = None) -> str:
    """Run ``chatd restore``; return its output."""
    arguments = (
        "restore",
        str(file or backup_file(box)),
        "--home",
        str(home),
        "--passphrase-file",
        str(passphrase_file(box)),
    )
    result = chatd(box, *arguments, *more)
    return f"exit {result.exit_code}\n{result.output}"


def with_small_disk(box: Daemon, limit: int, *arguments: str) -> str:
    """Run ``chatd``, which must fail, with a file size limit of ``limit`` bytes; return its output."""

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    option = ("--passphrase-file", str(passphrase_file(box)))
    result = box.chatd(*arguments, *option, check=False, preexec_fn=limit_file_size)
    assert result.returncode == 1
    assert "this is a bug" not in result.stderr
    return result.stderr


def test_the_backup_is_private_and_sealed(box: Daemon) -> None:
    assert stat.S_IMODE(backup_file(box).stat().st_mode) == 0o600
    content = backup_file(box).read_bytes()
    for plain in (b"PRIVATE KEY", b"SQLite format", b"settings.json", b"lobby"):
        assert plain not in content
    assert {path.name for path in backup_file(box).parent.iterdir()} == {"home", "saved.bak", "words"}


def test_show_lists_the_files_and_the_ca_fingerprint(box: Daemon) -> None:
    show = ("backup", "show", str(backup_file(box)), "--passphrase-file")
    report = json.loads(chatd(box, *show, str(passphrase_file(box)), "--json").stdout)
    assert (report["schema"], report["server"], report["bytes"]) == (
        1,
        "lab",
        backup_file(box).stat().st_size,
    )
    names = {member["name"] for member in report["members"]}
    pairs = {
        f"certs/{name}.{kind}" for name in ("ca", "server", "envelope", "record") for kind in ("pem", "key")
    }
    identity = "certs/identities/alice-console.pem"
    assert names == {"config/settings.json", "data/events.db", identity, *pairs}
    assert report["ca"] in chatd(box, "cert", "show").stdout
    assert f"CA fingerprint  {report['ca']}" in chatd(box, *show, "-", stdin=PASSPHRASE.encode()).stdout


def test_a_restored_home_has_the_same_files_and_modes(box: Daemon, tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    output = restore(box, home)
    assert output.startswith("exit 0\nrestored")
    assert "do not start the original server again" in output
    for name in ("certs", "config"):
        assert tree(home / name) == tree(box.home / name)
        for path in (p for p in (home / name).rglob("*") if p.is_file()):
            original = box.home / name / path.relative_to(home / name)
            assert path.read_bytes() == original.read_bytes()
            assert path.stat().st_mode == original.stat().st_mode
    for name in ("certs", "data", "run", "certs/identities"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700, name
    assert tree(home / "data") == {"events.db", "mark", LOCK_FILE}
    assert not (home / ".restore").exists()
    assert chatd(Daemon(home), "verify").stdout.startswith("ok")
    assert chatd(Daemon(home), "user", "add", "bob").exit_code == 0
    assert "E602" in restore(box, home)
    assert "E602" in chatd(Daemon(home), "init").stderr


def test_a_backup_omits_identities_by_default(box: Daemon, tmp_path: Path) -> None:
    assert create(box, tmp_path / "new").exit_code == 0
    assert restore(box, tmp_path / "home", file=tmp_path / "new").startswith("exit 0")
    assert not (tmp_path / "home" / "certs" / "identities").exists()


def test_a_restore_can_set_other_addresses(box: Daemon, tmp_path: Path) -> None:
    output = restore(box, tmp_path / "home", "--listen", "127.0.0.1:6001", "--address", "chat.example.org")
    assert "cert renew" in output
    server = json.loads((tmp_path / "home/config/settings.json").read_text())["server"]
    assert (server["host"], server["port"]) == ("127.0.0.1", 6001)
    assert (server["addresses"], server["name"]) == (["chat.example.org"], "lab")
    assert "E600" in restore(box, tmp_path / "bad", "--address", "x" * 300)
    assert not (tmp_path / "bad").exists()


def test_a_restore_keeps_other_files_in_the_folder(box: Daemon, tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "README.md").write_text("mine")
    (tmp_path / ".restore").mkdir()
    (tmp_path / ".restore" / "old").write_text("of a restore that was killed")
    assert restore(box, tmp_path).startswith("exit 0")
    assert (tmp_path / "certs" / "README.md").read_text() == "mine"
    assert not (tmp_path / ".restore").exists()


@pytest.mark.parametrize("name", FILES_OF_A_HOME)
def test_a_home_is_never_overwritten(box: Daemon, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("mine")
    assert "E602" in restore(box, tmp_path)
    assert tree(tmp_path) == {name, name.partition("/")[0]}


def test_a_conflicting_file_undoes_the_restore(box: Daemon, tmp_path: Path) -> None:
    """Files already in place are removed again when a later one conflicts."""
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "server.key").write_text("mine")
    output = restore(box, tmp_path)
    assert "E606" in output
    assert "server.key already exists" in output
    assert tree(tmp_path) == {"certs", "certs/server.key"}
    assert (tmp_path / "certs" / "server.key").read_text() == "mine"


def test_a_restore_is_refused_while_a_daemon_starts_in_the_folder(box: Daemon, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lock = PidLock(tmp_path / "data")
    try:
        assert "E604" in restore(box, tmp_path)
    finally:
        lock.release()


def _byte(place: int) -> Callable[[bytes], bytes]:
    """Change one bit of the byte at this offset."""

    def change(content: bytes) -> bytes:
        altered = bytearray(content)
        altered[place] ^= 1
        return bytes(altered)

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: content[:-1], "cut short"),
        (lambda content: content[: len(content) // 2], "cut short"),
        (lambda content: content + b"more", "cut short"),
        (lambda content: b"", "not a backup"),
        (lambda content: b"SQLite format 3\0" + content, "not a backup"),
        (_byte(20), "passphrase is wrong, or the header"),
        (_byte(-100), "damaged"),
        (_byte(30_000), "damaged"),
    ],
    ids=["a byte", "half", "longer", "empty", "another kind", "header", "end", "middle"],
)
def test_a_damaged_backup_is_refused_with_the_reason(
    box: Daemon, tmp_path: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    file = tmp_path / "damaged"
    file.write_bytes(change(backup_file(box).read_bytes()))
    output = restore(box, tmp_path / "home", file=file)
    assert output.startswith("exit 1\nerror: ")
    assert why in output
    assert "E613" in output
    assert len(output.splitlines()) == 2
    assert tree(tmp_path) == {"damaged"}


def test_files_that_cannot_be_backups_are_refused(box: Daemon, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "pipe", tmp_path / "nothing"):
        assert "E606" in restore(box, tmp_path / "home", file=file)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("passphrase", "why"),
    [
        (b"too short 1", "fewer than 12 characters"),
        ("é".encode() * 11, "fewer than 12 characters"),
        (b"", "fewer than 12 characters"),
        (b"x" * 1025, "longer than 1024 bytes"),
        (b"correct horse \xff", "not UTF-8"),
    ],
    ids=["short", "letters and not bytes", "empty", "long", "not text"],
)
def test_an_invalid_passphrase_is_refused(box: Daemon, tmp_path: Path, passphrase: bytes, why: str) -> None:
    (tmp_path / "words").write_bytes(passphrase)
    result = create(box, tmp_path / "new", tmp_path / "words")
    assert result.exit_code == 1
    assert why in result.stderr
    assert tree(tmp_path) == {"words"}


def test_passphrases_are_normalised(box: Daemon, tmp_path: Path) -> None:
    """Unicode normal form and line end make no difference to a passphrase."""
    (tmp_path / "words").write_bytes("zwölf Boxkämpfer\r\nmore\n".encode())
    assert create(box, tmp_path / "new", tmp_path / "words").exit_code == 0
    decomposed = "zwo\u0308lf Boxka\u0308mpfer".encode()
    show = ("backup", "show", str(tmp_path / "new"), "--passphrase-file", "-")
    assert chatd(box, *show, stdin=decomposed).exit_code == 0
    assert chatd(box, *show, stdin=decomposed + b" ").exit_code == 1


def test_a_passphrase_file_is_required_without_a_terminal(box: Daemon, tmp_path: Path) -> None:
    result = chatd(box, "backup", "create", str(tmp_path / "new"))
    assert result.exit_code == 2
    assert "--passphrase-file" in result.stderr


@pytest.mark.parametrize("command", [("backup", "show"), ("--home", "new", "restore")])
def test_a_missing_backup_is_told_before_its_passphrase_is_asked_for(
    box: Daemon, tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "E606" in chatd(box, *command, str(tmp_path / "nothing")).stderr


def test_a_terminal_is_asked_for_the_passphrase_twice(box: Daemon, tmp_path: Path) -> None:
    """Input is not echoed; the prompts are repeated if the two passphrases differ."""
    command = [str(BIN / "chatd"), "--home", str(box.home), "backup", "create", str(tmp_path / "new")]
    terminal, inner = pty.openpty()
    # A new session has no /dev/tty, so the prompt uses the given terminal.
    process = subprocess.Popen(
        command, env=box.environ, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    )
    os.close(inner)
    screen = b""
    answers = [PASSPHRASE, "something else", PASSPHRASE, PASSPHRASE]
    try:
        while data := os.read(terminal, 4096):
            screen += data
            prompts = screen.count(b"passphrase: ") + screen.count(b"confirmation: ")
            if answers and prompts == 5 - len(answers):
                os.write(terminal, answers.pop(0).encode() + b"\n")
    except OSError:
        pass  # EIO: the other end of the terminal is closed
    finally:
        status = process.wait(60)
        os.close(terminal)
    assert status == 0, screen
    assert PASSPHRASE.encode() not in screen
    assert b"writing" in screen
    assert (tmp_path / "new").exists()


def test_a_backup_into_a_missing_folder_is_refused(box: Daemon, tmp_path: Path) -> None:
    assert "E606" in create(box, tmp_path / "nowhere" / "new").stderr
    assert tree(tmp_path) == set()


def test_an_existing_file_is_not_replaced(box: Daemon) -> None:
    before = backup_file(box).read_bytes()
    assert "E606" in create(box, backup_file(box)).stderr
    assert backup_file(box).read_bytes() == before


@pytest.mark.parametrize("limit", [20_000, 36_000])
def test_a_backup_on_a_full_disk_leaves_no_file(box: Daemon, tmp_path: Path, limit: int) -> None:
    """With the smaller limit the copy of the log does not fit; with the larger, the backup itself."""
    data = tree(box.home / "data")
    output = with_small_disk(box, limit, "backup", "create", str(tmp_path / "new"))
    assert output.startswith("error: ")
    assert tree(tmp_path) == set()
    assert tree(box.home / "data") == data


def test_a_restore_on_a_full_disk_leaves_no_file(box: Daemon, tmp_path: Path) -> None:
    output = with_small_disk(box, 20_000, "restore", str(backup_file(box)), "--home", str(tmp_path / "home"))
    assert "E606" in output
    assert tree(tmp_path) == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_ended_by_a_signal_leaves_no_file(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as exited, exit_on_signals(), create_new(tmp_path / "new") as file:
        file.write(b"half")
        os.kill(os.getpid(), number)
    assert exited.value.code == 128 + number
    assert tree(tmp_path) == set()
    assert signal.getsignal(number) is before


def test_a_file_created_during_the_backup_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match="already exists"), create_new(tmp_path / "new") as file:
        file.write(b"ours")
        (tmp_path / "new").write_bytes(b"theirs")
    assert tree(tmp_path) == {"new"}
    assert (tmp_path / "new").read_bytes() == b"theirs"


def test_mismatched_keys_are_not_backed_up(box: Daemon, tmp_path: Path) -> None:
    """Key and certificate can differ while certificates are renewed."""
    home = Daemon(tmp_path / "home")
    assert restore(box, home.home).startswith("exit 0")
    path = home.home / "certs" / "server.key"
    key = path.read_bytes()
    assert chatd(home, "cert", "renew").exit_code == 0
    for content in (key, b"no key"):
        path.write_bytes(content)
        result = create(home, tmp_path / "new", passphrase_file(box))
        assert "E613" in result.stderr
        assert "certs/server" in result.stderr
        assert not (tmp_path / "new").exists()
