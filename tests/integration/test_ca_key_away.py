"""The CA's key is exported, taken off the server, and put back, while the server runs."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chatd.errors import ChatdError
from chatd.pki.authority import Authority, load_ca
from chatd.pki.ca_key import open_key, seal_key
from tests.support.daemon import BIN, Daemon, running, wait_until

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("ca") / "home") as box:
        (box.home.parent / "words").write_text(PASSPHRASE + "\n")
        yield box


def ca_command(daemon: Daemon, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    passphrase = ("--passphrase-file", str(daemon.home.parent / "words"))
    return daemon.chatd("ca", *words, *passphrase, check=check)


def invite(daemon: Daemon, name: str) -> str:
    return daemon.chatctl("invite", "create", name).stdout.split()[-1]


def join(daemon: Daemon, code: str, file: Path) -> subprocess.CompletedProcess[str]:
    return daemon.run("chat", "join", code, "--no-chat", "--identity", str(file), check=False)


def test_an_exported_key_is_private_encrypted_and_the_cas(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "ca.key"
    before = (daemon.home / "certs" / "ca.key").read_bytes()
    ca_command(daemon, "export", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in file.read_bytes()
    key = load_pem_private_key(file.read_bytes(), PASSPHRASE.encode())
    assert key.public_key() == load_ca(daemon.home / "certs").public_key()
    assert (daemon.home / "certs" / "ca.key").read_bytes() == before
    again = ca_command(daemon, "export", str(file), check=False)
    assert (again.returncode, "already exists" in again.stderr) == (1, True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_opens_the_file(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "ca.key"
    ca_command(daemon, "export", str(file))
    words = ["openssl", "pkey", "-in", str(file), "-passin", f"pass:{PASSPHRASE}", "-pubout"]
    assert "PUBLIC KEY" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_without_the_key_everything_else_goes_on_and_every_report_says_so(
    daemon: Daemon, tmp_path: Path
) -> None:
    file = tmp_path / "ca.key"
    code = invite(daemon, "kim")
    removed = ca_command(daemon, "export", str(file), "--remove")
    assert not (daemon.home / "certs" / "ca.key").exists()
    assert "no longer on this server" in removed.stdout
    try:
        wait_until(lambda: daemon.child("enrol")["report"] == {"ca_key": False}, what="enrol to forget it")
        assert "(W118)" in daemon.chatd("status").stdout
        for program in (daemon.chatd, daemon.chatctl):
            found = wait_until(partial(reported, program), what="the report")
            assert found.returncode == 7
        assert "CA KEY AWAY" in daemon.chatctl("stats").stdout
        refused = join(daemon, code, tmp_path / "kim.pem")
        assert "the CA's key is not on the server (E216)" in refused.stderr
        added = daemon.chatd("user", "add", "lou", check=False)
        assert "error: the CA's key is not on this server (E620)" in added.stderr
        backup = tmp_path / "backup"
        daemon.chatd("backup", "create", str(backup), "--passphrase-file", str(daemon.home.parent / "words"))
        daemon.chatd("restart")
        assert daemon.chatctl("announce", "hello").returncode == 0
    finally:
        ca_command(daemon, "import", str(file))
    wait_until(lambda: join(daemon, code, tmp_path / "kim.pem").returncode == 0, what="the key's return")
    daemon.add_user("lou")
    assert "W118" not in daemon.chatd("check", check=False).stdout
    wait_until(
        lambda: "W118" not in daemon.chatctl("check", check=False).stdout, what="the hub to hear of it"
    )
    assert [line["event"] for line in daemon.log_lines("audit.log") if line["event"].startswith("ca_")][
        -2:
    ] == ["ca_key_exported", "ca_key_imported"]
    restored_without_the_key(daemon, backup, file, tmp_path / "restored")


def reported(
    program: Callable[..., subprocess.CompletedProcess[str]],
) -> subprocess.CompletedProcess[str] | None:
    done = program("check", check=False)
    return done if "W118" in done.stdout else None


def restored_without_the_key(daemon: Daemon, backup: Path, key: Path, folder: Path) -> None:
    words = ("--passphrase-file", str(daemon.home.parent / "words"))
    box = Daemon(folder)
    folder.mkdir()
    box.chatd("restore", str(backup), "--listen", "127.0.0.1:0", *words)
    assert not (folder / "certs" / "ca.key").exists()
    box.chatd("ca", "import", str(key), *words)
    box.add_user("mia")


def test_only_the_key_of_this_ca_is_imported(daemon: Daemon, tmp_path: Path) -> None:
    mine = (daemon.home / "certs" / "ca.key").read_bytes()
    other = Authority.create("lab", now=datetime.now(UTC))
    good = seal_key(Authority.load(daemon.home / "certs").key, PASSPHRASE.encode())
    for name, content, words in (
        ("other", seal_key(other.key, PASSPHRASE.encode()), "is not the key of certs/ca.pem"),
        ("wrong", seal_key(other.key, b"another passphrase"), "the passphrase is wrong"),
        ("cut", good[:150], "cannot be opened"),
        ("changed", good[:-90] + b"AAAA" + good[-86:], "cannot be opened"),
        ("empty", b"", "it is no private key"),
    ):
        (tmp_path / name).write_bytes(content)
        refused = ca_command(daemon, "import", str(tmp_path / name), check=False)
        assert (refused.returncode, words in refused.stderr) == (1, True), (name, refused.stderr)
        assert (daemon.home / "certs" / "ca.key").read_bytes() == mine


def test_an_unencrypted_copy_is_imported_without_a_passphrase(daemon: Daemon, tmp_path: Path) -> None:
    copy = (daemon.home / "certs" / "ca.key").rename(tmp_path / "copy")
    daemon.chatd("ca", "import", str(copy))
    assert stat.S_IMODE((daemon.home / "certs" / "ca.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("words", ["--passphrase-file /nonexistent", "short", "interrupted"])
def test_an_export_that_fails_leaves_the_key_and_no_file(daemon: Daemon, tmp_path: Path, words: str) -> None:
    file, key = tmp_path / "ca.key", daemon.home / "certs" / "ca.key"
    command = [str(BIN / "chatd"), "--home", str(daemon.home), "ca", "export", str(file), "--remove"]
    if words == "interrupted":
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [*command, "--passphrase-file", f"/proc/self/fd/{reader}"],
            env=daemon.environ,
            pass_fds=[reader],
            stderr=subprocess.PIPE,
        )
        os.close(reader)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) != 0
        os.close(writer)
        assert process.stderr is not None
        process.stderr.close()
    else:
        (tmp_path / "short").write_text("short\n")
        option = words.split() if words.startswith("--") else ["--passphrase-file", str(tmp_path / "short")]
        done = subprocess.run([*command, *option], env=daemon.environ, capture_output=True, text=True)
        assert done.returncode == 1 and "error: " in done.stderr
    assert key.exists()
    assert not file.exists()


def test_an_export_killed_while_it_writes_leaves_the_key(daemon: Daemon, tmp_path: Path) -> None:
    """The file has its name only once it is complete; the key goes after that."""
    program = (
        "import os, signal, sys\n"
        "from chatd.cli import authority_commands\n"
        "from chatd.cli.root import main\n"
        "authority_commands.seal_key = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(sys.argv[1:])\n"
    )
    file = tmp_path / "ca.key"
    words = ["--home", str(daemon.home), "ca", "export", str(file), "--remove"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--passphrase-file", str(daemon.home.parent / "words")],
        env=daemon.environ,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL
    assert (daemon.home / "certs" / "ca.key").exists() and not file.exists()


def test_a_file_that_does_not_open_is_noticed_before_the_key_is_removed(
    daemon: Daemon, tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "from chatd.cli import authority_commands as commands\n"
        "from chatd.cli import main\n"
        "commands.seal_key = lambda key, words, seal=commands.seal_key: seal(key, words)[:-60]\n"
        "main()\n"
    )
    words = ["--home", str(daemon.home), "ca", "export", str(tmp_path / "f"), "--remove"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--passphrase-file", str(daemon.home.parent / "words")],
        env=daemon.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "cannot be opened" in done.stderr
    assert (daemon.home / "certs" / "ca.key").exists()


def test_a_sealed_key_opens_with_its_passphrase_only() -> None:
    authority = Authority.create("lab", now=datetime.now(UTC))
    pem = seal_key(authority.key, b"one")
    assert open_key(pem, b"one", authority.certificate, "f").public_key() == authority.key.public_key()
    with pytest.raises(ChatdError, match=r"wrong.*E606"):
        open_key(pem, b"two", authority.certificate, "f")
