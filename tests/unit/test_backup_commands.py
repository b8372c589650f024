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
from chatd.supervisor.pid_lock import PidLock
from tests.support.daemon import BIN, Daemon

WORDS = "correct horse battery staple"
ALREADY_A_HOME = ("certs/ca.key", "certs/ca.pem", "config/settings.json", "data/events.db", "data/mark")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """A home without a running daemon, its backup `saved` and the passphrase in `words`."""
    box = Daemon(tmp_path_factory.mktemp("box") / "home")
    box.init()
    words(box).write_text(WORDS + "\n")
    box.chatd("backup", "create", str(saved(box)), "--passphrase-file", str(words(box)), "--with-identities")
    return box


def saved(box: Daemon) -> Path:
    return box.home.parent / "saved.bak"


def words(box: Daemon) -> Path:
    return box.home.parent / "words"


def tree(folder: Path) -> set[str]:
    """All paths below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def chatd(box: Daemon, *arguments: str, stdin: bytes = b"") -> Result:
    """Run ``chatd`` in this process, which is faster."""
    runner = CliRunner(env={"CHATD_HOME": str(box.home), "CHATD_SECURITY__RSA_KEY_SIZE": "2048"})
    with patch.object(sys, "argv", ["chatd", *arguments]):
        return runner.invoke(click.command()(main), [], input=stdin)


def create(box: Daemon, file: Path, given: Path | None = None) -> Result:
    """``chatd backup create``."""
    return chatd(box, "backup", "create", str(file), "--passphrase-file", str(given or words(box)))


def restore(box: Daemon, home: Path, *more: str, file: Path | None = None) -> str:
    """Run ``chatd restore``; return its output."""
    arguments = (
        "restore",
        str(file or saved(box)),
        "--home",
        str(home),
        "--passphrase-file",
        str(words(box)),
    )
    done = chatd(box, *arguments, *more)
    return f"exit {done.exit_code}\n{done.output}"


def with_small_disk(box: Daemon, limit: int, *arguments: str) -> str:
    """Run ``chatd``, which must fail, with a file size limit of ``limit`` bytes; return its output."""

    def few_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    given = ("--passphrase-file", str(words(box)))
    done = box.chatd(*arguments, *given, check=False, preexec_fn=few_bytes)
    assert done.returncode == 1
    assert "this is a bug" not in done.stderr
    return done.stderr


def test_the_backup_is_private_and_sealed(box: Daemon) -> None:
    assert stat.S_IMODE(saved(box).stat().st_mode) == 0o600
    content = saved(box).read_bytes()
    for plain in (b"PRIVATE KEY", b"SQLite format", b"settings.json", b"lobby"):
        assert plain not in content
    assert {path.name for path in saved(box).parent.iterdir()} == {"home", "saved.bak", "words"}


def test_show(box: Daemon) -> None:
    show = ("backup", "show", str(saved(box)), "--passphrase-file")
    told = json.loads(chatd(box, *show, str(words(box)), "--json").stdout)
    assert (told["schema"], told["server"], told["bytes"]) == (1, "lab", saved(box).stat().st_size)
    names = {member["name"] for member in told["members"]}
    pairs = {f"certs/{name}.{kind}" for name in ("ca", "server", "envelope") for kind in ("pem", "key")}
    identity = "certs/identities/alice-console.pem"
    assert names == {"config/settings.json", "data/events.db", identity, *pairs}
    assert told["ca"] in chatd(box, "cert", "show").stdout
    assert f"CA fingerprint  {told['ca']}" in chatd(box, *show, "-", stdin=WORDS.encode()).stdout


def test_backup_and_restore(box: Daemon, tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    said = restore(box, home)
    assert said.startswith("exit 0\nrestored")
    assert "do not start the original server again" in said
    for name in ("certs", "config"):
        assert tree(home / name) == tree(box.home / name)
        for path in (p for p in (home / name).rglob("*") if p.is_file()):
            original = box.home / name / path.relative_to(home / name)
            assert path.read_bytes() == original.read_bytes()
            assert path.stat().st_mode == original.stat().st_mode
    for name in ("certs", "data", "run", "certs/identities"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700, name
    assert tree(home / "data") == {"events.db", "mark"}
    assert not (home / ".restore").exists()
    assert chatd(Daemon(home), "verify").stdout.startswith("ok")
    assert chatd(Daemon(home), "user", "add", "bob").exit_code == 0
    assert "E602" in restore(box, home)
    assert "E602" in chatd(Daemon(home), "init").stderr


def test_without_identities(box: Daemon, tmp_path: Path) -> None:
    assert create(box, tmp_path / "new").exit_code == 0
    assert restore(box, tmp_path / "home", file=tmp_path / "new").startswith("exit 0")
    assert not (tmp_path / "home" / "certs" / "identities").exists()


def test_other_addresses(box: Daemon, tmp_path: Path) -> None:
    said = restore(box, tmp_path / "home", "--listen", "127.0.0.1:6001", "--address", "chat.example.org")
    assert "cert renew" in said
    server = json.loads((tmp_path / "home/config/settings.json").read_text())["server"]
    assert (server["host"], server["port"]) == ("127.0.0.1", 6001)
    assert (server["addresses"], server["name"]) == (["chat.example.org:6001"], "lab")
    assert "E600" in restore(box, tmp_path / "bad", "--address", "x" * 300)
    assert not (tmp_path / "bad").exists()


def test_restore_into_a_folder_with_other_files(box: Daemon, tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "README.md").write_text("mine")
    (tmp_path / ".restore").mkdir()
    (tmp_path / ".restore" / "old").write_text("of a restore that was killed")
    assert restore(box, tmp_path).startswith("exit 0")
    assert (tmp_path / "certs" / "README.md").read_text() == "mine"
    assert not (tmp_path / ".restore").exists()


@pytest.mark.parametrize("name", ALREADY_A_HOME)
def test_a_home_is_never_overwritten(box: Daemon, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("mine")
    assert "E602" in restore(box, tmp_path)
    assert tree(tmp_path) == {name, name.partition("/")[0]}


def test_a_conflicting_file_undoes_the_restore(box: Daemon, tmp_path: Path) -> None:
    """The conflict appears after half of the files are in place; they are removed again."""
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "server.key").write_text("mine")
    said = restore(box, tmp_path)
    assert "E606" in said
    assert "server.key already exists" in said
    assert tree(tmp_path) == {"certs", "certs/server.key"}
    assert (tmp_path / "certs" / "server.key").read_text() == "mine"


def test_no_restore_while_a_daemon_starts_there(box: Daemon, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lock = PidLock(tmp_path / "run")
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
def test_errors_of_damaged_backups(
    box: Daemon, tmp_path: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    file = tmp_path / "damaged"
    file.write_bytes(change(saved(box).read_bytes()))
    said = restore(box, tmp_path / "home", file=file)
    assert said.startswith("exit 1\nerror: ")
    assert why in said
    assert "E613" in said
    assert len(said.splitlines()) == 2
    assert tree(tmp_path) == {"damaged"}


def test_files_that_are_not_backups(box: Daemon, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "pipe", tmp_path / "nothing"):
        assert "E606" in restore(box, tmp_path / "home", file=file)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (b"too short 1", "fewer than 12 characters"),
        ("é".encode() * 11, "fewer than 12 characters"),
        (b"", "fewer than 12 characters"),
        (b"x" * 1025, "longer than 1024 bytes"),
        (b"correct horse \xff", "not UTF-8"),
    ],
    ids=["short", "letters and not bytes", "empty", "long", "not text"],
)
def test_invalid_passphrases(box: Daemon, tmp_path: Path, given: bytes, why: str) -> None:
    (tmp_path / "words").write_bytes(given)
    done = create(box, tmp_path / "new", tmp_path / "words")
    assert done.exit_code == 1
    assert why in done.stderr
    assert tree(tmp_path) == {"words"}


def test_passphrases_are_normalised(box: Daemon, tmp_path: Path) -> None:
    """Composed or decomposed, with or without a newline: the same passphrase."""
    (tmp_path / "words").write_bytes("zwölf Boxkämpfer\r\nmore\n".encode())
    assert create(box, tmp_path / "new", tmp_path / "words").exit_code == 0
    decomposed = "zwo\u0308lf Boxka\u0308mpfer".encode()
    show = ("backup", "show", str(tmp_path / "new"), "--passphrase-file", "-")
    assert chatd(box, *show, stdin=decomposed).exit_code == 0
    assert chatd(box, *show, stdin=decomposed + b" ").exit_code == 1


def test_no_prompt_without_a_terminal(box: Daemon, tmp_path: Path) -> None:
    done = chatd(box, "backup", "create", str(tmp_path / "new"))
    assert done.exit_code == 2
    assert "--passphrase-file" in done.stderr


def test_prompt_on_a_terminal(box: Daemon, tmp_path: Path) -> None:
    """Prompts twice without echo, and again if the two differ."""
    command = [str(BIN / "chatd"), "--home", str(box.home), "backup", "create", str(tmp_path / "new")]
    terminal, inner = pty.openpty()
    # A new session has no /dev/tty, so the prompt uses the given terminal.
    process = subprocess.Popen(
        command, env=box.environ, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    )
    os.close(inner)
    shown = b""
    answers = [WORDS, "something else", WORDS, WORDS]
    try:
        while data := os.read(terminal, 4096):
            shown += data
            asked = shown.count(b"passphrase: ") + shown.count(b"confirmation: ")
            if answers and asked == 5 - len(answers):
                os.write(terminal, answers.pop(0).encode() + b"\n")
    except OSError:
        pass  # how the end of a terminal shows
    finally:
        status = process.wait(60)
        os.close(terminal)
    assert status == 0, shown
    assert WORDS.encode() not in shown
    assert b"writing" in shown
    assert (tmp_path / "new").exists()


def test_a_missing_folder(box: Daemon, tmp_path: Path) -> None:
    assert "E606" in create(box, tmp_path / "nowhere" / "new").stderr
    assert tree(tmp_path) == set()


def test_an_existing_file_is_not_replaced(box: Daemon) -> None:
    before = saved(box).read_bytes()
    assert "E606" in create(box, saved(box)).stderr
    assert saved(box).read_bytes() == before


@pytest.mark.parametrize("limit", [20_000, 36_000])
def test_a_backup_on_a_full_disk_leaves_no_file(box: Daemon, tmp_path: Path, limit: int) -> None:
    """Once the copy of the log does not fit, once the backup itself."""
    data = tree(box.home / "data")
    said = with_small_disk(box, limit, "backup", "create", str(tmp_path / "new"))
    assert said.startswith("error: ")
    assert tree(tmp_path) == set()
    assert tree(box.home / "data") == data


def test_a_restore_on_a_full_disk(box: Daemon, tmp_path: Path) -> None:
    said = with_small_disk(box, 20_000, "restore", str(saved(box)), "--home", str(tmp_path / "home"))
    assert "E606" in said
    assert tree(tmp_path) == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_file(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as left, exit_on_signals(), create_new(tmp_path / "new") as file:
        file.write(b"half")
        os.kill(os.getpid(), number)
    assert left.value.code == 128 + number
    assert tree(tmp_path) == set()
    assert signal.getsignal(number) is before


def test_a_file_created_meanwhile_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match="already exists"), create_new(tmp_path / "new") as file:
        file.write(b"ours")
        (tmp_path / "new").write_bytes(b"theirs")
    assert tree(tmp_path) == {"new"}
    assert (tmp_path / "new").read_bytes() == b"theirs"


def test_mismatched_keys_are_not_backed_up(box: Daemon, tmp_path: Path) -> None:
    """As can happen while certificates are renewed."""
    home = Daemon(tmp_path / "home")
    assert restore(box, home.home).startswith("exit 0")
    path = home.home / "certs" / "server.key"
    key = path.read_bytes()
    assert chatd(home, "cert", "renew").exit_code == 0
    for content in (key, b"no key"):
        path.write_bytes(content)
        done = create(home, tmp_path / "new", words(box))
        assert "E613" in done.stderr
        assert "certs/server" in done.stderr
        assert not (tmp_path / "new").exists()
