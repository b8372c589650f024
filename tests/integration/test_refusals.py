"""Each refusal of a real server, or of what answers in its place: its code, and a sentence that helps.

`LOGINS` and `JOINS` are the tables. A refusal is shown by a one-shot command, and ends the client that the
line client and the window use at the first attempt. An invite past its time (E212) takes a minute at least:
tests/unit/test_invites.py; a guest past theirs (E219): tests/integration/test_guests_live.py.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from chatctl.client import Client, Disconnected, read_identity
from chatd.codes import CODES, NEW_IDENTITY
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import write_identity
from tests.support import preloaded
from tests.support.certificates import DEVICE, forge, san, signer
from tests.support.daemon import TIMEOUT_SECONDS, Daemon, free_port, running, wait_until
from tests.support.joining import invite, join
from tests.support.strange_services import HTTP, SMTP, SSH, answers, greets, speaks_tls, strange_service

HOUR = timedelta(hours=1)
SLOW_CLOCK = (
    "import time; real = time.time; time.time = lambda: real() - 7200; "
    "import sys; sys.argv[0] = 'chatctl'; from chatctl.cli import main; main()"
)


class Place(NamedTuple):
    """A daemon, another one of the same name, and the ports of strangers by their names."""

    daemon: Daemon
    other: Daemon
    ports: dict[str, int]
    folder: Path

    def forged(self, name: str, **changes: Any) -> Path:
        """Write an identity of bob that the CA has signed without a thought."""
        authority = Authority.load(self.daemon.home / "certs")
        uri = san(f"chatd://lab/user/{name}/device/laptop")
        path = self.folder / f"{name}.pem"
        write_identity(
            path,
            forge(signer(authority), DEVICE | {"san": uri}, **changes),
            authority.certificate,
            instance="lab",
            user=name,
            device="laptop",
            servers=[f"127.0.0.1:{self.daemon.port}"],
        )
        return path

    def moved(self, identity: Path, *ports: int) -> Path:
        """Copy an identity file, with other ports in it."""
        path = self.folder / f"moved-{'-'.join(map(str, ports))}.pem"
        lines = identity.read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("server: "))
        lines[at : at + 1] = [f"server: 127.0.0.1:{port}" for port in ports]
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return path

    def stranger(self, name: str) -> Path:
        return self.moved(self.daemon.identity("good"), self.ports[name])

    def sanctioned(self, user: str, *command: str) -> Path:
        """Add a user, and let the admin do something to them."""
        path = self.daemon.add_user(user)
        self.daemon.chatctl(*command)
        return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, gateway = tmp_path_factory.mktemp("refusals"), free_port()
    with (
        running(folder / "home", CHATD_GATEWAY__LISTEN=f"127.0.0.1:{gateway}") as daemon,
        running(folder / "other") as other,
        strange_service(answers(HTTP)) as http,
        strange_service(greets(SSH)) as ssh,
        strange_service(greets(SMTP)) as smtp,
        strange_service(speaks_tls(folder)) as web,
    ):
        daemon.add_user("good")
        other.add_user("good")
        ports = {"http": http.port, "ssh": ssh.port, "smtp": smtp.port, "web": web.port}
        ports |= {"gateway": gateway, "nothing": free_port()}
        yield Place(daemon, other, ports, folder)


class Login(NamedTuple):
    """An identity, and the code, a part of the sentence, and the advice that its user gets."""

    identity: Callable[[Place], Path]
    code: str
    words: str
    advice: str = ""


LOGINS = {
    "expired": Login(lambda p: p.forged("old", start=-2 * HOUR, end=-HOUR), "E202", "expired on"),
    "not yet valid": Login(lambda p: p.forged("new", start=HOUR, end=2 * HOUR), "E203", " slow"),
    "not registered": Login(lambda p: p.forged("nobody"), "E205", "not in the registry"),
    "RSA-1024": Login(
        lambda p: p.forged("short", key=rsa.generate_private_key(65537, 1024)),  # noqa: S505
        "E608",
        "the kind of key",
        NEW_IDENTITY,
    ),
    "revoked": Login(
        lambda p: p.sanctioned("rev", "revoke", "rev/laptop", "--yes", "--reason", "lost"),
        "E206",
        "rev/laptop was revoked: lost",
        "ask an admin for an invite",
    ),
    "removed": Login(
        lambda p: p.sanctioned("out", "user", "remove", "out", "--yes", "--reason", "left"),
        "E206",
        "the user out was removed: left",
        "ask the operator of the server, who alone can undo it: chatd user add out --device NEW",
    ),
    "banned": Login(
        lambda p: p.sanctioned("bad", "ban", "bad", "--for", "2h", "--reason", "spam"),
        "E207",
        "is banned for another",
        "wait until the ban ends",
    ),
    "kicked": Login(lambda p: p.sanctioned("kid", "kick", "kid"), "E208", "is kicked for", "come back later"),
    "other server": Login(
        lambda p: p.moved(p.other.identity("good"), p.daemon.port), "E209", "not from the CA of 'lab'"
    ),
    "web server with TLS": Login(lambda p: p.stranger("web"), "E209", "not from the CA of 'lab'"),
    "the gateway": Login(lambda p: p.stranger("gateway"), "E107", "belongs to 'lab'", "not the gateway's"),
    "HTTP": Login(lambda p: p.stranger("http"), "E630", "answers with HTTP"),
    "SSH": Login(lambda p: p.stranger("ssh"), "E630", "answers with SSH"),
    "SMTP": Login(lambda p: p.stranger("smtp"), "E630", "answers with FTP or SMTP"),
}


@pytest.mark.parametrize("case", LOGINS)
def test_a_refused_login_says_what_to_do_and_is_not_tried_again(place: Place, case: str) -> None:
    make, code, words, advice = LOGINS[case]
    path = make(place)
    done = place.daemon.run("chat", "send", "lobby", "hello", "--identity", str(path), check=False)
    check_told(done, code, words, advice or CODES[code].fix if code != "E209" else "check the address")
    if code == "E608":
        return  # no client begins with it
    with Client(read_identity(path)) as client:
        wait_until(lambda: client.error is not None, what="the client's end")
        ends = [event for event in client.events() if isinstance(event, Disconnected)]
    assert [(end.error.code, end.retry_in) for end in ends] == [(code, None)]


def check_told(done: subprocess.CompletedProcess[str], code: str, words: str, advice: str) -> None:
    (told,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode not in (0, 2), done
    assert f"({code})." in told and words in told, told
    assert told.endswith(advice) or advice in told.partition(f"({code}).")[2], told
    explained = explain(code)
    assert CODES[code].summary in explained and CODES[code].fix in explained


def explain(code: str) -> str:
    """What `chatctl explain` prints: offline, without an identity."""
    done = preloaded.run(["chatctl", "explain", code], preloaded.own_environment(), Path("/"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_clock_that_is_wrong_is_told_with_by_how_much(place: Place) -> None:
    path = place.forged("late", start=-4 * HOUR, end=-HOUR)
    done = subprocess.run(
        [sys.executable, "-c", SLOW_CLOCK, "whoami", "--identity", str(path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, "XDG_STATE_HOME": str(place.folder)},
    )
    check_told(done, "E204", "ahead", CODES["E204"].fix)
    assert re.search(r"the server's clock is at least \d\dm( \d+s)? ahead", done.stderr)


def test_with_the_servers_ca_a_foreign_certificate_is_told_as_such(place: Place) -> None:
    stranger = read_identity(place.other.identity("good"))
    good = read_identity(place.daemon.identity("good"))
    identity = dataclasses.replace(stranger, ca_pem=good.ca_pem, servers=good.servers)
    with Client(identity) as client, pytest.raises(ChatdError) as told:
        client.wait_connected(TIMEOUT_SECONDS)
    assert told.value.code == "E201"


@pytest.mark.parametrize("stranger", ["http", "ssh", "web"])
def test_another_service_at_one_address_does_not_keep_anyone_out(place: Place, stranger: str) -> None:
    """A private address may be another machine's in another network."""
    path = place.moved(place.daemon.identity("good"), place.ports[stranger], place.daemon.port)
    done = place.daemon.run("chat", "send", "lobby", f"past {stranger}", "--identity", str(path))
    assert done.returncode == 0


def test_a_server_that_is_down_is_waited_for_although_another_service_answers(place: Place) -> None:
    ports = (place.ports["http"], place.ports["nothing"])
    path = place.moved(place.daemon.identity("good"), *ports)
    with Client(read_identity(path)) as client:
        event = wait_until(lambda: client.next_event(1.0), what="the first failure")
        while isinstance(event, Disconnected) and event.error.code == "E630":
            event = wait_until(lambda: client.next_event(1.0), what="the round's failure")
        assert isinstance(event, Disconnected)
        assert event.error.code == "E607"
        assert "answers with HTTP" in event.error.reason and "Connection refused" in event.error.reason
        assert event.retry_in is not None


def test_nothing_at_the_port_and_an_end_without_an_answer_are_unreachable(place: Place) -> None:
    good = place.daemon.identity("good")
    command = ("chatctl", "whoami", "--identity")
    done = place.daemon.run(*command, str(place.stranger("nothing")), check=False)
    check_told(done, "E607", "Connection refused", "chatd start")
    with strange_service(answers(b"")) as closes:
        done = place.daemon.run(*command, str(place.moved(good, closes.port)), check=False)
    check_told(done, "E607", "without an answer", "check the address")


class Join(NamedTuple):
    """A changed invite, and the code, a part of the sentence and of the advice."""

    change: Callable[[Place, str], str]
    code: str
    words: str
    advice: str = ""


def at(name: str) -> Callable[[Place, str], str]:
    return lambda place, code: f"127.0.0.1:{place.ports[name]}/{code.partition('/')[2]}"


def used(place: Place, code: str) -> str:
    path = place.folder / "used.pem"
    assert join(place.daemon, code, path).returncode == 0
    return code


def cancelled(place: Place, code: str) -> str:
    place.daemon.chatctl("invite", "cancel", "ivy")
    return code


JOINS = {
    "used": Join(used, "E213", "was used"),
    "cancelled": Join(cancelled, "E214", "was cancelled"),
    "mistyped": Join(lambda p, c: c[:-1] + ("A" if c[-1] != "A" else "B"), "E215", "mistyped"),
    "cut short": Join(lambda p, c: c[:-3], "E215", "instead of 58"),
    "without the server": Join(
        lambda p, c: c.partition("/")[2], "E215", "HOST:PORT/CODE", "the server is missing"
    ),
    "a link": Join(
        lambda p, c: f"https://127.0.0.1:5443/#{c.partition('/')[2]}", "E215", "web page", "chat join"
    ),
    "other server": Join(
        lambda p, c: f"127.0.0.1:{p.other.port}/{c.partition('/')[2]}",
        "E209",
        "its CA has another fingerprint",
        "chatd cert show",
    ),
    "the gateway": Join(at("gateway"), "E216", "redeems no invites", "ask an admin"),
    "web server with TLS": Join(at("web"), "E630", "but not as a chatd"),
    "HTTP": Join(at("http"), "E630", "answers with HTTP"),
    "SSH": Join(at("ssh"), "E630", "answers with SSH"),
    "SMTP": Join(at("smtp"), "E630", "answers with FTP or SMTP"),
    "nothing": Join(at("nothing"), "E607", "Connection refused", "chatd start"),
}


@pytest.mark.parametrize("case", JOINS)
def test_a_refused_invite_says_what_to_do_and_leaves_nothing(place: Place, tmp_path: Path, case: str) -> None:
    change, code, words, advice = JOINS[case]
    user = f"ivy{list(JOINS).index(case)}" if case != "cancelled" else "ivy"
    done = join(place.daemon, change(place, invite(place.daemon, user)), tmp_path / "new.pem")
    check_told(done, code, words, advice or CODES[code].fix)
    assert list(tmp_path.iterdir()) == []
