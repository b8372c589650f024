"""NATS servers that chatd has not started, as an operator runs them: TLS, a login, an account."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chatd.durable_files import PRIVATE, create_file
from chatd.nats.nats_server import find_nats_server
from chatd.pki.node_authority import NodeAuthority
from tests.support.daemon import wait_until
from tests.support.fixed_port import fixed_port

LOGIN = "chatd:the-password-of-chatd"
PASSWORD = LOGIN.partition(":")[2]

_CONFIG = """server_name: {name}
listen: "127.0.0.1:{port}"
max_payload: {payload}
log_file: {log}
pid_file: {pid}
tls {{ cert_file: {certificate}, key_file: {key}, ca_file: {ca}, verify: {verify} }}
accounts {{ CHAT: {{ jetstream: enabled, users: [ {{ user: chatd, password: {password} }} ] }} }}
jetstream {{ store_dir: {store}, sync_interval: always, max_file_store: 1GB }}
"""
_CLUSTER = """cluster {{ name: nats, listen: "127.0.0.1:{port}", no_advertise: true, routes: {routes} }}
"""


class OutsideNats:
    """The servers by number, with the files that chatd needs for them in ``files``."""

    def __init__(self, root: Path, count: int = 3, *, payload: str = "2MB", verify: bool = True) -> None:
        self.files = root / "files"
        self.files.mkdir(parents=True)
        self._root = root
        self._payload = payload
        self._verify = verify
        self._ports = [fixed_port() for _ in range(count)]
        self._routes = [fixed_port() for _ in range(count)] if count > 1 else []
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._issue(count)

    @property
    def urls(self) -> list[str]:
        return [f"tls://localhost:{port}" for port in self._ports]

    def start(self) -> None:
        for number in range(len(self._ports)):
            self.start_one(number)

    def start_one(self, number: int) -> None:
        config = self._root / f"{number}.conf"
        config.write_text(self._config(number))
        self._running[number] = subprocess.Popen([find_nats_server(), "-c", str(config)])
        pid = self._root / f"{number}.pid"
        wait_until(pid.exists, what=f"NATS server {number}")

    def kill(self, number: int) -> None:
        process = self._running.pop(number)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for number in list(self._running):
            self.kill(number)

    def install(self, home: Path) -> None:
        """Put the files and the settings into a home."""
        for path in self.files.iterdir():
            create_file(home / "certs" / path.name, path.read_bytes(), PRIVATE)
        settings = home / "config" / "settings.json"
        tree: dict[str, Any] = json.loads(settings.read_text())
        tree.setdefault("cluster", {})["nats"] = self.urls
        settings.write_text(json.dumps(tree))

    def _issue(self, count: int) -> None:
        now = datetime.now(UTC)
        authority = NodeAuthority.create("nats", now=now)
        (self.files / "nats-ca.pem").write_bytes(authority.issued.certificate_pem)
        (self.files / "nats-login.key").write_text(f"{LOGIN}\n")
        for name in ("client", *map(str, range(count))):
            issued = authority.issue(name, "localhost", now=now)
            folder = self.files if name == "client" else self._root
            (folder / f"nats-{name}.pem").write_bytes(issued.certificate_pem)
            (folder / f"nats-{name}.key").write_bytes(issued.key_pem)

    def _config(self, number: int) -> str:
        paths = {
            "log": self._root / f"{number}.log",
            "pid": self._root / f"{number}.pid",
            "certificate": self._root / f"nats-{number}.pem",
            "key": self._root / f"nats-{number}.key",
            "ca": self.files / "nats-ca.pem",
            "store": self._root / f"{number}.store",
        }
        text = _CONFIG.format(
            name=f"nats-{number}",
            port=self._ports[number],
            payload=self._payload,
            verify=json.dumps(self._verify),
            password=json.dumps(PASSWORD),
            **{name: json.dumps(str(path)) for name, path in paths.items()},
        )
        routes = [f"nats://127.0.0.1:{port}" for port in self._routes if port != self._routes[number]]
        return text + (
            _CLUSTER.format(port=self._routes[number], routes=json.dumps(routes)) if routes else ""
        )
