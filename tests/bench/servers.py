"""The servers under test: how to configure, start and stop each.

All listen on 127.0.0.1 with mutual TLS 1.3, certificates of one authority, and flood control off. ngircd
26 and miniircd cannot request client certificates, which saves them a verification.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.bench_server import Server
from tests.bench.chathome import ROOMS

FLOOR_SOURCE = Path(__file__).with_name("floor.c")


class ChatdServer(Server):
    """chatd with its defaults; only rate and session limits are raised."""

    name, dialect, program = "chatd", "chatd", sys.executable

    @classmethod
    def missing(cls) -> str:
        return ""

    def identities(self) -> list[Path]:
        return [self.home.identity(room) for room in range(ROOMS + 1)]

    def start(self) -> None:
        self.home.start()
        self.port = self.home.port

    @property
    def pid(self) -> int:
        return self.home.pid()

    def stop(self) -> None:
        self.home.stop()


class Ngircd(Server):
    name, dialect, program = "ngircd", "irc", "ngircd"

    def settings(self) -> str:
        return f"""[Global]
Name = bench.local
Info = bench
Listen = 127.0.0.1
Ports =
ServerUID = {os.getuid()}
ServerGID = {os.getgid()}
MotdPhrase = bench
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
PongTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
[SSL]
CertFile = {self.certs}/server.pem
KeyFile = {self.certs}/server.key
Ports = {self.port}
"""

    def command(self, path: str, file: Path) -> list[str]:
        return [path, "--nodaemon", "--config", str(file)]


class Inspircd(Server):
    name, dialect, program = "inspircd", "irc", "inspircd"

    def settings(self) -> str:
        return f"""<server name="bench.local" description="bench" id="1BE" network="bench">
<admin name="b" nick="b" email="b@localhost">
<module name="ssl_gnutls">
<sslprofile name="bench" provider="gnutls" cafile="{self.certs}/ca.pem" certfile="{self.certs}/server.pem"
 keyfile="{self.certs}/server.key" requestclientcert="yes" hash="sha256"
 priority="NORMAL:-VERS-ALL:+VERS-TLS1.3">
<bind address="127.0.0.1" port="{self.port}" type="clients" sslprofile="bench">
<connect allow="*" timeout="60" pingfreq="3600" hardsendq="64M" softsendq="64M" recvq="4M" threshold="1000000"
 commandrate="1000000" fakelag="no" localmax="100000" globalmax="100000" maxchans="2000"
 maxconnwarn="no" resolvehostnames="no">
<performance softlimit="100000" somaxconn="512" quietbursts="yes" clonesonconnect="no">
<options prefixquit="" defaultmodes="nt" syntaxhints="no">
<pid file="{self.folder}/inspircd.pid">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{self.folder}/inspircd.txt">
<files motd="">
"""

    def command(self, path: str, file: Path) -> list[str]:
        return [path, "--runasroot", "--nofork", "--config", str(file)]


class Miniircd(Server):
    """A Python server with one thread and a `select` loop. Install it with ``pip install miniircd``."""

    name, dialect, program = "miniircd", "irc", "miniircd"
    # `select` only accepts descriptors below 1024.
    max_clients = 500

    def command(self, path: str, file: Path) -> list[str]:
        certs = ["--ssl-cert-file", f"{self.certs}/server.pem", "--ssl-key-file", f"{self.certs}/server.key"]
        as_root = ["--setuid", "root"] if os.getuid() == 0 else []
        return [path, "--listen", "127.0.0.1", "--ports", str(self.port), *certs, *as_root]


class Nats(Server):
    """Core NATS, without storage."""

    name, dialect, program = "nats", "nats", "nats-server"

    def settings(self) -> str:
        return f"""listen: "127.0.0.1:{self.port}"
ping_interval: "1h"
max_pending: 512MB
tls {{ cert_file: "{self.certs}/server.pem", key_file: "{self.certs}/server.key"
  ca_file: "{self.certs}/ca.pem", verify: true, timeout: 30 }}
"""

    def command(self, path: str, file: Path) -> list[str]:
        return [path, "-c", str(file)]


class NatsJetStream(Nats):
    """NATS with its log, and an fsync before a message is acknowledged or delivered, as chatd has."""

    name, dialect = "jetstream", "jetstream"

    def settings(self) -> str:
        store = self.folder / "jetstream"
        shutil.rmtree(store, ignore_errors=True)
        return f'{super().settings()}jetstream {{ store_dir: "{store}", sync_interval: always }}\n'


class Mosquitto(Server):
    name, dialect, program = "mosquitto", "mqtt", "mosquitto"

    def settings(self) -> str:
        return f"""listener {self.port} 127.0.0.1
user root
cafile {self.certs}/ca.pem
certfile {self.certs}/server.pem
keyfile {self.certs}/server.key
require_certificate true
tls_version tlsv1.3
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
log_type error
"""

    def command(self, path: str, file: Path) -> list[str]:
        return [path, "-c", str(file)]


class Prosody(Server):
    name, dialect, program = "prosody", "xmpp", "prosody"
    max_clients = 200

    def settings(self) -> str:
        data = self.folder / "prosody"
        data.mkdir(exist_ok=True)
        return f"""run_as_root = true
data_path = "{data}"
pidfile = "{data}/pid"
plugin_paths = {{ }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco" }}
modules_disabled = {{ "s2s", "offline", "limits" }}
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ {self.port} }}
c2s_direct_tls_interfaces = {{ "127.0.0.1" }}
c2s_direct_tls_ssl = {{ key = "{self.certs}/server.key"; certificate = "{self.certs}/server.pem";
  cafile = "{self.certs}/ca.pem"; protocol = "tlsv1_3"; verify = {{ "peer", "fail_if_no_peer_cert" }} }}
ssl = {{ key = "{self.certs}/server.key"; certificate = "{self.certs}/server.pem" }}
log = {{ warn = "*console" }}
VirtualHost "localhost"
  authentication = "anonymous"
Component "rooms.localhost" "muc"
  muc_room_default_public = true
  muc_room_locking = false
"""

    def command(self, path: str, file: Path) -> list[str]:
        return [path, "-F", "--root", "--config", str(file)]


class ProsodyArchive(Prosody):
    """prosody that archives rooms in files, without fsync: what the last seconds brought can be lost."""

    name = "prosody-archive"

    def settings(self) -> str:
        return f'{super().settings()}  modules_enabled = {{ "muc_mam" }}\n  muc_log_by_default = true\n'


class Floor(Server):
    """tests/bench/floor.c: a C program that only does TLS."""

    name, dialect, program = "floor", "floor", "cc"
    # It blocks in SSL_write, so sending flat out would measure the load generator.
    sends_flat_out = False
    has_rooms = False

    def command(self, path: str, file: Path) -> list[str]:
        binary = self.folder / "floor"
        subprocess.run([path, "-O2", "-o", str(binary), str(FLOOR_SOURCE), "-lssl", "-lcrypto"], check=True)
        return [str(binary), str(self.port), str(self.certs)]


class Price(Floor):
    """The floor plus chatd's guarantees: fdatasync per message, a seal and an event's bytes per delivery."""

    name = "price"

    def command(self, path: str, file: Path) -> list[str]:
        return [*super().command(path, file), str(self.folder / "price.messages")]


SERVERS: dict[str, type[Server]] = {
    s.name: s
    for s in (
        *(ChatdServer, Ngircd, Inspircd, Miniircd, Nats, NatsJetStream),
        *(Mosquitto, Prosody, ProsodyArchive, Floor, Price),
    )
}
