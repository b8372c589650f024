"""A real rsyslogd as a collector, with TLS, in a folder of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from chatd.pki.authority import Authority
from tests.support.daemon import free_port, wait_until

PROGRAM = Path("/usr/sbin/rsyslogd")
_DRIVERS = "*/rsyslog/lmnsd_ossl.so"
_CONFIG = """
global(workDirectory="{folder}" maxMessageSize="128k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{folder}/ca.pem" defaultNetstreamDriverCertFile="{folder}/server.pem"
  defaultNetstreamDriverKeyFile="{folder}/server.key")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="raw" type="string" string="%pri% %app-name% %procid% %msgid%%msg%\\n")
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omfile" file="{folder}/received" template="raw")
"""


class Rsyslog:
    """`start` and `stop` it as often as you like; `records` is what it has received."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        _write_certificates(folder)
        (folder / "rsyslog.conf").write_text(_CONFIG.format(folder=folder, port=self.port))

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a daemon that ships here."""
        return {
            "CHATD_SHIPPING__SYSLOG": f"127.0.0.1:{self.port}",
            "CHATD_SHIPPING__CA_FILE": str(self.folder / "ca.pem"),
            "CHATD_SHIPPING__HOST_NAME": "box",
        }

    def start(self) -> None:
        command = [
            str(PROGRAM),
            "-n",
            "-f",
            str(self.folder / "rsyslog.conf"),
            "-i",
            str(self.folder / "pid"),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self, kill: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(kill)
            self._process.wait(30)
            self._process = None
            (self.folder / "pid").unlink(missing_ok=True)

    def lines(self) -> list[str]:
        try:
            return (self.folder / "received").read_text().splitlines()
        except FileNotFoundError:
            return []

    def records(self) -> list[dict[str, Any]]:
        """The records in the order of their arrival."""
        return [json.loads(line.partition("@cee: ")[2]) for line in self.lines() if "@cee: " in line]


def is_available() -> bool:
    return PROGRAM.exists() and any(Path("/usr/lib").glob(_DRIVERS))


def _write_certificates(folder: Path) -> None:
    authority = Authority.create("collector", now=datetime.now(UTC))
    server = authority.issue_server(["127.0.0.1"], now=datetime.now(UTC))
    (folder / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(server.certificate_pem)
    (folder / "server.key").write_bytes(server.key_pem)


def wait_for_record(collector: Rsyslog, **fields: object) -> dict[str, Any]:
    """Wait until the collector has a record with these fields; return it."""

    def found() -> dict[str, Any] | None:
        matching = (one for one in collector.records() if fields.items() <= one.items())
        return next(matching, None)

    record: dict[str, Any] = wait_until(found, what=f"a record with {fields}")
    return record
