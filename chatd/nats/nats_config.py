"""The settings file of nats-server."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatd.cluster.nats_address import STREAM_FOLDER, read_address
from chatd.config.schema import Settings
from chatd.pki.node_authority import CA_NAME, NODE_NAME, read_pins

CONFIG: Final = "run/nats.conf"
LOG_NAME: Final = "nats.log"
USER: Final = "chatd"
SYSTEM_USER: Final = "system"
# The hub has three connections; the nats process two, one for its looks at the store, and one while it copies
# a log; commands have one each.
_CONNECTIONS_LIMIT: Final = 16
# The stream of a machine alone and of one among others: the server of one cannot read that of the other.
ROUTED_FOLDER: Final = f"{STREAM_FOLDER}/routed"

# sync_interval: by default NATS syncs every two minutes, and loses what it has acknowledged since.
_SYNC: Final = "sync_interval: always"
_TEMPLATE: Final = """server_name: {node}
listen: "127.0.0.1:-1"
ports_file_dir: {folder}
max_payload: 2MB
max_connections: {connections}
log_file: {log}
logfile_size_limit: 1MB
logfile_max_num: 3
{users}
jetstream {{ {domain}store_dir: {store}, sync_interval: always, max_memory_store: 1MB, max_file_store: 64GB }}
"""

_USERS: Final = "authorization {{ user: {user}, password: {password} }}"
# Only the system account may remove a server that is gone for good from those that keep the streams.
_ACCOUNTS: Final = """accounts {{
  CHATD: {{ jetstream: enabled, users: [ {{ user: {user}, password: {password} }} ] }}
  SYSTEM: {{ users: [ {{ user: {system}, password: {password} }} ] }}
}}
system_account: SYSTEM"""

# verify: whoever comes to the port needs a certificate of the node CA, and pinned_certs: of a member's key.
_CLUSTER: Final = """cluster {{
  name: {name}
  listen: {listen}
  advertise: {advertise}
  no_advertise: true
  routes: {routes}
  ping_interval: "2s"
  ping_max: 2
  tls {{
    cert_file: {certificate}
    key_file: {key}
    ca_file: {ca}
    verify: true
    min_version: "1.3"
    timeout: 5
    pinned_certs: {pins}
  }}
}}
"""


def nats_config(home: Path, settings: Settings, password: str) -> bytes:
    """Return the settings of the home's nats-server. Raises E606 without the keys of the other machines."""
    cluster, folder = settings.cluster, home / STREAM_FOLDER
    name = cluster_name(settings)
    users = _ACCOUNTS if cluster.others else _USERS
    text = _TEMPLATE.format(
        node=cluster.node,
        folder=json.dumps(str(folder)),
        connections=_CONNECTIONS_LIMIT,
        log=json.dumps(str(folder / LOG_NAME)),
        users=users.format(user=USER, system=SYSTEM_USER, password=json.dumps(password)),
        domain=f"domain: {json.dumps(name)}, " if cluster.others else "",
        store=json.dumps(str(home / ROUTED_FOLDER if cluster.others else folder)),
    )
    return (text + (_routes(home / "certs", settings) if cluster.others else "")).encode()


def cluster_name(settings: Settings) -> str:
    """Return the name of the cluster, which has no dots in NATS."""
    return settings.server.name.replace(".", "_")


def _routes(certs: Path, settings: Settings) -> str:
    cluster, pins = settings.cluster, read_pins(certs)
    return _CLUSTER.format(
        name=json.dumps(cluster_name(settings)),
        listen=json.dumps(cluster.listens_on),
        advertise=json.dumps(cluster.members[cluster.node]),
        routes=json.dumps([f"nats://{address}" for address in cluster.others.values()]),
        certificate=json.dumps(str(certs / f"{NODE_NAME}.pem")),
        key=json.dumps(str(certs / f"{NODE_NAME}.key")),
        ca=json.dumps(str(certs / f"{CA_NAME}.pem")),
        pins=json.dumps([pins[node] for node in cluster.others if node in pins]),
    )


def syncs_always(home: Path) -> bool | None:
    """Whether the settings that the home's server was started with make it sync before it acknowledges.

    None if they cannot be read.
    """
    with suppress(OSError):
        address = read_address(home)
        if address.outside:
            return True if address.syncs else None  # only their owner knows
    try:
        return _SYNC in (home / CONFIG).read_text("utf-8")
    except OSError:
        return None
