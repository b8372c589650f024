"""Post to hooks as their programs do."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from typing import Any

from tests.support.daemon import Daemon
from tests.support.https import Https, Reply

START = "2026-01-31T12:00:00.000Z"


def make_hook(daemon: Daemon, room: str, kind: str, name: str) -> dict[str, Any]:
    """Make a hook with chatctl; return what it prints."""
    made: dict[str, Any] = json.loads(
        daemon.chatctl("hook", "create", room, "--kind", kind, "--name", name, "--json").stdout
    )
    return made


def alert(number: int = 1, status: str = "firing", start: str = START, **fields: Any) -> dict[str, Any]:
    """Return an alert as Alertmanager and Grafana send it."""
    return {
        "status": status,
        "labels": {"alertname": f"Alert{number}", "instance": "web1", "severity": "critical"},
        "annotations": {"summary": f"number {number} is wrong"},
        "startsAt": start,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.org/graph?g0.expr=up",
        "fingerprint": f"{number:016x}",
    } | fields


def alert_post(*alerts: dict[str, Any]) -> bytes:
    """Return a post of version 4 of Alertmanager's webhook."""
    return json.dumps(
        {
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
            "status": alerts[0]["status"] if alerts else "firing",
            "receiver": "chat",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.org",
            "alerts": list(alerts),
        }
    ).encode()


def signed(secret: str, body: bytes) -> dict[str, str]:
    """Return the header with which GitHub signs a body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def post(https: Https, room: str, body: bytes, headers: dict[str, str]) -> Reply:
    """Post on a connection of its own."""
    with https.connection() as connection:
        return post_on(connection, room, body, headers)


def post_on(
    connection: http.client.HTTPSConnection, room: str, body: bytes, headers: dict[str, str]
) -> Reply:
    """Post on a connection that is open."""
    connection.request("POST", f"/hook/{room}", body=body, headers=headers)
    response = connection.getresponse()
    return Reply(response.status, response.read().decode(), dict(response.getheaders()))
