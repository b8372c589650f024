"""Hooks of a real server: each kind, who is refused, and storms with retries while processes are killed."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.support.chat_program import admin_client, create_room
from tests.support.daemon import Daemon, free_port, wait_until
from tests.support.hook_senders import alert, alert_post, bearer, make_hook, post, post_on, signed
from tests.support.https import Https, gateway

Running = tuple[Daemon, Https]
STORM = 1000
SENDERS = 8


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("hooks") / "home", CHATD_GATEWAY__HOOK_RATE="1000") as found:
        yield found


def messages(daemon: Daemon, room: str) -> list[dict[str, Any]]:
    """Return all messages of a room as its history has them."""
    found: list[dict[str, Any]] = []
    with admin_client(daemon) as alice:
        more = True
        while more:
            after = found[-1]["seq"] if found else 0
            page = alice.request("history", room=room, after=after, limit=500)
            found, more = found + page["events"], page["more"]
    return [one for one in found if one["type"] == "message"]


def test_each_kind_posts(served: Running) -> None:
    daemon, https = served
    room = f"#{create_room(daemon, 'kinds')}"
    bodies: dict[str, bytes] = {
        "alertmanager": alert_post(alert()),
        "grafana": alert_post(alert(2, values={"B": 44.2394})),
        "slack": b'{"text": "a &lt;deploy&gt; is done"}',
        "text": b"the backup is done\n",
    }
    for kind, body in bodies.items():
        made = make_hook(daemon, room, kind, f"{kind}-bot")
        reply = post(https, "kinds", body, bearer(made["token"]))
        assert (reply.status, json.loads(reply.text)["posted"]) == (202, 1), reply
    made = make_hook(daemon, room, "github", "github-bot")
    body = json.dumps(
        {
            "action": "opened",
            "issue": {"number": 7, "title": "it is broken", "html_url": "https://github.com/a/b/issues/7"},
            "repository": {"full_name": "a/b"},
            "sender": {"login": "octocat"},
        }
    ).encode()
    headers = signed(made["secret"], body) | {"X-GitHub-Event": "issues", "X-GitHub-Delivery": "1"}
    assert post(https, "kinds", body, headers).status == 202
    shown = {one["user"]: one for one in messages(daemon, room)}
    assert {one["role"] for one in shown.values()} == {"bot"}
    assert shown["alertmanager-bot"]["body"] == (
        "FIRING: Alert1 [critical] number 1 is wrong\n"
        "instance=web1\nhttp://prometheus.example.org/graph?g0.expr=up"
    )
    assert "instance=web1 B=44.2394" in shown["grafana-bot"]["body"]
    assert shown["slack-bot"]["body"] == "a <deploy> is done"
    assert shown["text-bot"]["body"] == "the backup is done"
    assert shown["github-bot"]["body"].startswith("a/b: octocat opened issue #7: it is broken\n")


def test_who_is_refused_learns_nothing(served: Running) -> None:
    daemon, https = served
    create_room(daemon, "secret-room")
    made = make_hook(daemon, "secret-room", "text", "sec-bot")
    wrong = post(https, "secret-room", b"x", bearer("wrong"))
    nowhere = post(https, "no-such-room", b"x", bearer(made["token"]))
    assert (wrong.status, wrong.text) == (nowhere.status, nowhere.text) == (404, "there is no such hook\n")
    for path in ("secret-room", "no-such-room"):
        reply = post(https, path, b"x", {})
        assert reply.status == 401 and reply.headers["WWW-Authenticate"].startswith("Bearer")
    basic = base64.b64encode(f"anybody:{made['token']}".encode()).decode()
    assert post(https, "secret-room", b"x", {"Authorization": f"Basic {basic}"}).status == 202
    wait_until(lambda: any(line["event"] == "hook_refused" for line in daemon.log_lines("security.log")))
    assert made["token"] not in "".join(path.read_text() for path in (daemon.home / "logs").glob("*.log"))


def test_a_token_ends_when_it_is_rotated(served: Running) -> None:
    daemon, https = served
    create_room(daemon, "rotate")
    made = make_hook(daemon, "rotate", "text", "turning")
    assert post(https, "rotate", b"before", bearer(made["token"])).status == 202
    turned = json.loads(daemon.chatctl("hook", "rotate", "turning", "--json").stdout)
    assert post(https, "rotate", b"again", bearer(made["token"])).status == 404
    assert post(https, "rotate", b"after", bearer(turned["token"])).status == 202
    daemon.chatctl("hook", "remove", "turning")
    assert post(https, "rotate", b"gone", bearer(turned["token"])).status == 404
    assert [one["body"] for one in messages(daemon, "#rotate")] == ["before", "after"]


def posted(daemon: Daemon, so_many: int) -> bool:
    return len(messages(daemon, "#storm")) >= so_many


class Storm:
    """Senders that post alerts and post each again until it is accepted, some of them twice."""

    def __init__(self, https: Https, room: str, token: str) -> None:
        self._https = https
        self._room = room
        self._headers = bearer(token)

    def send(self, numbers: range) -> None:
        connection = None
        for number in numbers:
            for _ in range(2 if number % 5 == 0 else 1):
                connection = self._until_accepted(connection, alert_post(alert(number)))
        if connection is not None:
            connection.close()

    def _until_accepted(self, connection: Any, body: bytes) -> Any:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                connection = connection or self._https.connect()
                reply = post_on(connection, self._room, body, self._headers)
                if reply.status == 202:
                    return connection
                assert reply.status in (429, 503), reply
                assert int(reply.headers["Retry-After"]) >= 1
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
            time.sleep(0.2)
        raise AssertionError("a post was never accepted")


def test_a_storm_with_retries_is_each_alert_once_while_processes_are_killed(served: Running) -> None:
    daemon, https = served
    create_room(daemon, "storm")
    storm = Storm(https, "storm", make_hook(daemon, "storm", "alertmanager", "storm-bot")["token"])
    with ThreadPoolExecutor(SENDERS) as pool:
        sent = [pool.submit(storm.send, range(first, STORM, SENDERS)) for first in range(SENDERS)]
        for name, so_many in (("hub", 20), ("gateway", 300)):
            wait_until(partial(posted, daemon, so_many))
            os.kill(daemon.child(name)["pid"], signal.SIGKILL)
        for one in sent:
            one.result()
    bodies = [one["body"].partition(" [")[0] for one in messages(daemon, "#storm")]
    assert sorted(bodies) == sorted(f"FIRING: Alert{number}" for number in range(STORM))


@pytest.mark.skipif(
    not shutil.which("prometheus-alertmanager"), reason="prometheus-alertmanager is not installed"
)
def test_alertmanager_posts_an_alert_and_its_end(served: Running, tmp_path: Path) -> None:
    """The hub and the gateway are killed before it posts, so that it has to try again."""
    daemon, _ = served
    create_room(daemon, "prod")
    made = make_hook(daemon, "prod", "alertmanager", "prom")
    receiver = {
        "url": made["url"],
        "max_alerts": 100,
        "http_config": {
            "authorization": {"credentials": made["token"]},
            "tls_config": {"ca_file": str(daemon.home / "certs" / "ca.pem")},
        },
    }
    (tmp_path / "alertmanager.yml").write_text(
        json.dumps(
            {
                "route": {
                    "receiver": "chat",
                    "group_by": ["alertname"],
                    "group_wait": "0s",
                    "group_interval": "1s",
                },
                "receivers": [{"name": "chat", "webhook_configs": [receiver]}],
            }
        )
    )
    port = free_port()
    command = [
        "prometheus-alertmanager",
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (
        (tmp_path / "output").open("w") as output,
        subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(lambda: _alert(port, []), seconds=60)
            for name in ("gateway", "hub"):
                os.kill(daemon.child(name)["pid"], signal.SIGKILL)
            firing = {
                "labels": {"alertname": "DiskFull", "instance": "db1", "severity": "page"},
                "annotations": {"summary": "91 % used"},
                "startsAt": "2026-01-31T12:00:00Z",
            }
            wait_until(lambda: _alert(port, [firing]))
            wait_until(lambda: len(messages(daemon, "#prod")) == 1, seconds=60)
            assert _alert(port, [firing | {"endsAt": "2026-01-31T12:05:00Z"}])
            wait_until(lambda: len(messages(daemon, "#prod")) == 2, seconds=60)
        finally:
            process.terminate()
    fired, resolved = messages(daemon, "#prod")
    assert fired["body"].startswith("FIRING: DiskFull [page] 91 % used\ninstance=db1")
    assert resolved["body"].startswith("RESOLVED: DiskFull [page] 91 % used")
    assert resolved["reply_to"] == fired["seq"]


def _alert(port: int, alerts: list[dict[str, Any]]) -> bool:
    """Post alerts to Alertmanager as Prometheus does; return whether it took them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json"}
    try:
        connection.request("POST", "/api/v2/alerts", json.dumps(alerts), headers)
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
