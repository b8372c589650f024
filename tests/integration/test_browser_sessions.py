"""Sessions of browsers: the same as a native client's, through a WebSocket at the gateway."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, wait_until
from tests.support.https import Https, gateway
from tests.support.rawclient import RawClient, frame, new_id
from tests.support.web_client import BINARY, CLOSE, PING, WebClient, ws_frame

Running = tuple[Daemon, Https]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("browser-sessions") / "home") as found:
        for user in ("bob", "carol"):
            found[0].add_user(user)
        yield found


def chat_port(daemon: Daemon) -> int:
    return int(daemon.status()["address"].rpartition(":")[2])


def test_a_browser_and_a_native_client_talk(served: Running) -> None:
    daemon, https = served
    with (
        WebClient(https.port, daemon.identity("bob")) as web,
        RawClient(chat_port(daemon), daemon.identity("carol")) as native,
    ):
        for client in (web, native):
            client.logged_in()
            client.ask("resume")
        assert web.say("from the browser")["type"] == "ok"
        assert native.until(type="message", body="from the browser")["user"] == "bob"
        assert native.say("from the terminal")["type"] == "ok"
        assert web.until(type="message", body="from the terminal")["user"] == "carol"
        workers = {
            line["worker"]
            for line in daemon.log_lines("connections.log")
            if line["event"] == "session_opened"
        }
        assert "gateway" in workers


def test_a_browser_is_revoked_within_a_second_of_the_command(served: Running) -> None:
    daemon, https = served
    identity = daemon.add_user("dave")
    with WebClient(https.port, identity) as web:
        web.logged_in()
        daemon.chatctl("revoke", "dave/laptop", "--yes")
        bye = web.read_bye()
        assert (bye["code"], bye["retry"]) == ("E206", False)
        assert web.opener.code == 1000
    with WebClient(https.port, identity) as again:
        again.send_plain(again.login_message(again.challenged()))
        again.open_session()
        assert again.read_bye()["code"] == "E206"


def test_several_messages_and_fragments_are_read_as_they_come(served: Running) -> None:
    daemon, https = served
    with WebClient(https.port, daemon.identity("bob")) as web:
        # The first request comes in one TLS record with the login, before the welcome.
        login = web.login_message(web.challenged())
        web.send_plain(login + ws_frame(PING, b"early"))
        web.open_session()
        assert web.receive()["type"] == "welcome"
        web.ask("resume")
        payload = b"".join(_send(f"part {number}") for number in range(3))
        pieces = [payload[:1], payload[1:50], payload[50:]]
        web.send_plain(ws_frame(BINARY, pieces[0], fin=False) + ws_frame(PING, b"between"))
        web.send_plain(ws_frame(0, pieces[1], fin=False) + ws_frame(0, pieces[2]))
        for number in range(3):
            web.until(type="message", body=f"part {number}")
        assert web.opener.pongs == [b"early", b"between"]


def _send(body: str) -> bytes:
    number = 1000 + int(body.split()[-1])
    return frame({"type": "send", "id": number, "msg_id": new_id(), "to": "#lobby", "body": body})


def test_a_page_that_leaves_is_gone(served: Running) -> None:
    daemon, https = served
    before = _closed(daemon)
    with WebClient(https.port, daemon.identity("bob")) as web:
        web.logged_in()
        web.send_plain(ws_frame(CLOSE, (1001).to_bytes(2, "big")))
        web.wait_for_end()
    wait_until(lambda: _closed(daemon) > before)


def test_the_bytes_of_an_enrolment_pass_through_a_websocket(served: Running) -> None:
    daemon, https = served
    with WebClient(https.port, daemon.identity("bob")) as web:
        web.tls_of(certificate=False)
        assert web.upgrade(web.request("/join", "chatd-join.1")) == 101
        opcode, first = web.next_frame()
        assert (opcode, json.loads(first[4:])["type"]) == (BINARY, "authority")
        redeem = {"type": "redeem", "user": "erin", "secret": "0" * 32, "csr": "", "device": ""}
        web.send_plain(ws_frame(BINARY, frame(redeem)))
        opcode, refusal = web.next_frame()
        assert (opcode, json.loads(refusal[4:])["type"]) == (BINARY, "error")
        assert web.next_frame()[0] == CLOSE


def test_without_enrolment_a_page_is_told_so(tmp_path: Path) -> None:
    with (
        gateway(tmp_path / "home", CHATD_SERVER__ENROL="false") as (daemon, https),
        WebClient(https.port, daemon.identity("alice", "console")) as web,
    ):
        web.tls_of(certificate=False)
        assert web.upgrade(web.request("/join", "chatd-join.1")) == 101
        assert web.refused()["code"] == "E216"


def _closed(daemon: Daemon) -> int:
    lines = daemon.log_lines("connections.log")
    return sum(line["event"] == "session_closed" and line["user"] == "bob" for line in lines)


@pytest.mark.parametrize("victim", ["worker-1", "hub", "gateway"])
def test_nothing_is_lost_or_doubled_when_a_process_is_killed(served: Running, victim: str) -> None:
    daemon, https = served
    told = [(new_id(), f"{victim} {number}") for number in range(6)]
    with WebClient(https.port, daemon.identity("bob")) as web:
        web.logged_in()
        for msg_id, body in told[:3]:
            assert web.ask("send", msg_id=msg_id, to="#lobby", body=body)["type"] == "ok"
        os.kill(daemon.child(victim)["pid"], signal.SIGKILL)
    wait_until(lambda: daemon.status()["state"] == "running")
    with WebClient(https.port, daemon.identity("bob")) as web:
        web.logged_in()
        # All again, as a page does that has not seen the acknowledgements.
        for msg_id, body in told:
            assert web.ask("send", msg_id=msg_id, to="#lobby", body=body)["type"] == "ok"
        found = web.ask("history", room="#lobby", limit=50)
        bodies = [event["body"] for event in found["result"]["events"] if event["type"] == "message"]
        assert [body for body in bodies if body.startswith(f"{victim} ")] == [body for _, body in told]


def test_a_closing_frame_is_answered(served: Running) -> None:
    daemon, https = served
    with WebClient(https.port, daemon.identity("bob")) as web:
        web.logged_in()
        web.ask("resume")
        web.send_plain(ws_frame(CLOSE, (1001).to_bytes(2, "big")))
        web.read_to_end()
        assert web.opener.code == 1000
