"""A new CA while clients go on: they keep talking, move to it, and the old one is retired."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.authority import is_serial_of, load_ca, load_roots
from chatd.pki.identity import Identity, read_identity
from chatd.pki.profiles import fingerprint
from tests.support.daemon import Daemon, running, wait_until

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "home") as box:
        (tmp_path / "words").write_text(PASSPHRASE + "\n")
        yield box


def client_of(identity: Path) -> Client:
    return Client(read_identity(identity), reconnect=True)


def is_moved(identity: Path, daemon: Daemon) -> bool:
    new = load_ca(daemon.home / "certs")
    return read_identity(identity).ca == new


def say(client: Client, text: str) -> None:
    client.wait_connected(30)
    client.send("#lobby", text).wait(30)


def join(daemon: Daemon, code: str, file: Path) -> subprocess.CompletedProcess[str]:
    return daemon.run("chat", "join", code, "--no-chat", "--identity", str(file), check=False)


def invite(daemon: Daemon, name: str) -> str:
    return daemon.chatctl("invite", "create", name).stdout.split()[-1]


def test_clients_go_on_move_and_the_old_ca_is_retired(daemon: Daemon, tmp_path: Path) -> None:
    certs = daemon.home / "certs"
    bob, absent = daemon.add_user("bob"), daemon.add_user("zoe")
    early, late = invite(daemon, "early"), invite(daemon, "late")
    head = daemon.chatd("head").stdout
    export = tmp_path / "before.jsonl"
    daemon.chatd("export", "-o", str(export))
    old = load_ca(certs)
    old_print = fingerprint(old.public_bytes(Encoding.DER))
    shutil.copy(absent, tmp_path / "old.pem")
    with client_of(bob) as talking:
        say(talking, "before")
        rotated = daemon.chatd("ca", "rotate")
        assert fingerprint(load_ca(certs).public_bytes(Encoding.DER)) in rotated.stdout
        say(talking, "after")
        wait_until(lambda: is_moved(bob, daemon), what="bob's client to move")
        say(talking, "moved, in the same session")
    with client_of(bob) as again:
        say(again, "with the new certificate only")
    assert [root == old for root in load_roots(certs)] == [False, True]

    # Somebody new gets an identity of the new CA, by an old code, a new code and a file.
    for name, code in (("early", early), ("new", invite(daemon, "new"))):
        file = tmp_path / f"{name}.pem"
        done = join(daemon, code, file)
        assert done.returncode == 0, done.stderr
        assert is_moved(file, daemon)
        with client_of(file) as fresh:
            say(fresh, f"{name} is here")
    with client_of(daemon.add_user("lou")) as lou:
        say(lou, "lou is here")
    daemon.chatd("cert", "renew")
    for file in (absent, bob):
        daemon.run("chat", "whoami", "--identity", str(file))

    # A restart with both.
    daemon.chatd("restart")
    wait_until(lambda: moved_by(daemon, absent), what="zoe's client to move")
    refused = daemon.chatd("ca", "rotate", check=False)
    assert "the last rotation is not complete" in refused.stderr
    wait_until(lambda: moved_by(daemon, daemon.identity("alice", "console")), what="alice to move")
    daemon.add_user("yan", device="never")
    assert daemon.chatd("ca", "retire").returncode == 0
    assert load_roots(certs) == [load_ca(certs)] and not (certs / "ca-old.key").exists()
    wait_until(lambda: daemon.child("enrol").get("state") == "running", what="enrol")

    for file in (bob, tmp_path / "new.pem", absent, daemon.identity("lou")):
        with client_of(file) as member:
            say(member, "still here")
    # An old copy of an identity is refused with a sentence that helps, at the server's own word.
    done = daemon.run("chat", "whoami", "--identity", str(tmp_path / "old.pem"), check=False)
    assert done.returncode != 0
    assert "(E201)" in done.stderr and "another CA" in done.stderr
    # An old code still works, through the certificate of the old CA for the new one.
    done = join(daemon, late, tmp_path / "late.pem")
    assert done.returncode == 0, done.stderr

    # What was signed before is still verified, by people with old and with new knowledge.
    assert daemon.chatd("verify", "--head", head).returncode == 0
    assert daemon.chatd("verify", "--head", head, "--trust", str(bob)).returncode == 0
    for trust in (old_print, str(tmp_path / "old.pem"), str(bob)):
        assert daemon.chatd("verify", "--export", str(export), "--trust", trust).returncode == 0, trust
    backup = tmp_path / "backup"
    daemon.chatd("backup", "create", str(backup), "--passphrase-file", str(tmp_path / "words"))
    events = [line["event"] for line in daemon.log_lines("audit.log")]
    assert "ca_rotated" in events and "ca_retired" in events
    assert daemon.chatd("check", check=False).returncode in (0, 7)


def moved_by(daemon: Daemon, identity: Path) -> bool:
    """Whether a device has moved, after one more connection of it."""
    with client_of(identity) as client:
        client.wait_connected(30)
        client.request("ping")
        return is_moved(identity, daemon)


def test_a_retirement_names_the_devices_that_have_not_moved(daemon: Daemon) -> None:
    zoe = daemon.add_user("zoe")
    assert "there is no old CA" in daemon.chatd("ca", "retire", check=False).stderr
    daemon.chatd("ca", "rotate")
    refused = daemon.chatd("ca", "retire", check=False)
    assert refused.returncode == 3 or refused.returncode == 1
    assert "still with the old CA: alice/console" in refused.stderr
    assert "still with the old CA: zoe/laptop" in refused.stderr
    assert len(load_roots(daemon.home / "certs")) == 2
    (zoe.parent / f".{zoe.name}.new").mkdir()  # in the way of the renewed file, so that she cannot move
    identity = read_identity(zoe)
    with Client(identity) as left_behind, client_of(daemon.identity("alice", "console")) as mover:
        say(left_behind, "still with the old CA")
        wait_until(lambda: is_moved(daemon.identity("alice", "console"), daemon), what="alice to move")
        daemon.chatd("ca", "retire", "--force")
        wait_until(lambda: not left_behind.connected, what="the end of a session of the old CA")
        with pytest.raises(ChatdError, match="E201"):
            left_behind.request("ping")
        say(mover, "moved, and back")
    done = wait_until(lambda: refusal(daemon, zoe), what="the workers to drop the old CA")
    assert "another CA" in done


def refusal(daemon: Daemon, identity: Path) -> str:
    return daemon.run("chat", "whoami", "--identity", str(identity), check=False).stderr


def test_without_a_server_and_cut_short_at_every_step(tmp_path: Path) -> None:
    box = Daemon(tmp_path / "home")
    box.init()
    certs = box.home / "certs"
    old = load_ca(certs)
    for number in range(1, 9):
        box.environ |= {"CHATD_CRASH_AT": f"pki.change.half:{number}"}
        done = box.chatd("ca", "rotate", check=False)
        del box.environ["CHATD_CRASH_AT"]
        if done.returncode == 0:
            break
        box.start()
        box.stop()
        assert not (certs / ".change").exists()
        assert load_roots(certs)[1:] == [old], number
        assert box.chatd("check", check=False).returncode in (0, 7)
        box.chatd("ca", "retire", "--force")
        old = load_ca(certs)
    assert number > 4


def identity_serial(identity: Identity) -> str:
    from cryptography import x509

    return f"{x509.load_der_x509_certificate(identity.certificate_der).serial_number:x}"


def test_serial_numbers_tell_which_ca_issued_them(tmp_path: Path) -> None:
    box = Daemon(tmp_path / "home")
    box.init()
    before = identity_serial(read_identity(box.identity("alice", "console")))
    old = load_ca(box.home / "certs")
    box.chatd("ca", "rotate")
    new = load_ca(box.home / "certs")
    after = identity_serial(read_identity(box.add_user("bob")))
    assert [is_serial_of(one, ca) for one in (before, after) for ca in (old, new)] == [
        True,
        False,
        False,
        True,
    ]
