"""Make a home the first node of a cluster, and the join files of the others."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from chatd.cli.addresses import is_wildcard, join_address, split_address
from chatd.cli.join_file import VALID, JoinFile
from chatd.cluster.nats_address import OUTSIDE_FILES
from chatd.config.cluster_section import ClusterSection
from chatd.config.home import Home
from chatd.config.page_address import page_hosts
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, save_issued
from chatd.pki.issued import Issued
from chatd.pki.node_authority import (
    CA_NAME,
    NODE_NAME,
    PINS_FILE,
    NodeAuthority,
    pin_of,
    pins_text,
    write_pins,
)
from chatd.proto.signatures import TIME_FORMAT

ROUTE_PORT: Final = 5002
# Of the CAs and of the record key, all nodes have the same; each may issue what the first one could.
_SHARED: Final = ("ca.pem", "ca.key", "ca-old.key", "ca-retired.pem", "record.pem", "record.key")


class Node(NamedTuple):
    """A machine: its name, HOST:PORT of its route port, and HOST:PORT for clients."""

    name: str
    route: str
    clients: str


def make_node(name: str, host: str, clients: str | None, port: int) -> Node:
    """Return a node of HOST[:PORT]. Raises UsageError."""
    machine, route = split_address(host, ROUTE_PORT)
    return Node(name, join_address(machine, route), clients or join_address(machine, port))


class NodeFiles:
    """The files of the nodes of a cluster. ``nodes``: the first is that of this home.

    ``clients`` of a node that has its files already may be "". Raises E620 without the CA's key, E606.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        nodes: Sequence[Node],
        node_authority: NodeAuthority,
        pins: Mapping[str, str],
        *,
        now: datetime,
    ) -> None:
        self._home = home
        self._settings = settings
        self._nodes = list(nodes)
        self._now = now
        self._authority = Authority.load(home.certs)
        self._node_authority = node_authority
        self.pins = dict(pins)
        self._issued: dict[str, Issued] = {}

    @classmethod
    def of_new_cluster(
        cls, home: Home, settings: Settings, nodes: Sequence[Node], *, now: datetime
    ) -> NodeFiles:
        """Begin a cluster with a CA of its own. Raises E600, E606, E612, E620."""
        authority = NodeAuthority.create(settings.server.name, now=now)
        files = cls(home, settings, nodes, authority, {}, now=now)
        for node in nodes:
            files.issue(node)
        return files

    def issue(self, node: Node) -> None:
        """Issue the certificate of a node. Raises E600, E612."""
        host = split_address(node.route, ROUTE_PORT)[0]
        self._issued[node.name] = issued = self._node_authority.issue(node.name, host, now=self._now)
        self.pins[node.name] = pin_of(issued.certificate)

    def settings_of(self, node: Node) -> Settings:
        """Return the settings of a node: as here, but for its addresses. Raises E600."""
        tree = self._settings.model_dump(mode="json")
        here = self._nodes[0]
        tree["cluster"] |= {"node": node.name, "members": {one.name: one.route for one in self._nodes}}
        tree["cluster"]["listen"] = self._settings.cluster.listen if node is here else ""
        own = self._settings.server.client_addresses
        others = [one.clients for one in self._nodes if one.clients and one not in (here, node)]
        if node is here:
            tree["server"]["addresses"] = list(dict.fromkeys([*own, *others]))
        else:
            tree["server"]["addresses"] = list(dict.fromkeys([node.clients, *own, *others]))
            _move(tree, node)
        try:
            return Settings.model_validate(tree)
        except ValueError as error:
            raise ChatdError("E600", f"node {node.name}: {error}") from None

    def join_file_of(self, node: Node) -> JoinFile:
        """Make the join file of another node."""
        settings = self.settings_of(node)
        return JoinFile(
            server=settings.server.name,
            node=node.name,
            ticket=secrets.token_hex(16),
            settings=settings.model_dump(mode="json"),
            files={f"certs/{name}": text for name, text in self._certs_of(node, settings).items()},
            made=self._now.strftime(TIME_FORMAT),
            expires=(self._now + VALID).strftime(TIME_FORMAT),
        )

    def install(self) -> None:
        """Write the certificates of this home's node. Raises E606."""
        remove_node_files(self._home)
        self._node_authority.save(self._home.certs)
        save_issued(self._home.certs, NODE_NAME, self._issued[self._nodes[0].name])
        write_pins(self._home.certs, self.pins)

    def _certs_of(self, node: Node, settings: Settings) -> dict[str, str]:
        days, bits = settings.security.server_certificate_days, settings.security.rsa_key_size
        own = {
            "server": self._authority.issue_server(page_hosts(settings), now=self._now, days=days),
            "envelope": self._authority.issue_envelope(bits, now=self._now, days=days),
            NODE_NAME: self._issued[node.name],
            CA_NAME: self._node_authority.issued,
        }
        certs = {
            name: _text(self._home.certs / name)
            for name in (*_SHARED, *(OUTSIDE_FILES if settings.cluster.nats else ()))
        }
        for name, issued in own.items():
            certs[f"{name}.pem"] = issued.certificate_pem.decode()
            certs[f"{name}.key"] = issued.key_pem.decode()
        return {name: text for name, text in certs.items() if text} | {PINS_FILE: pins_text(self.pins)}


def cluster_section(settings: Settings, node: str) -> ClusterSection:
    """Return the settings of a cluster of this node alone; of none with "". Raises E600."""
    try:
        values = {**settings.cluster.model_dump(), "node": node, "members": {}, "listen": "", "nats": []}
        return ClusterSection.model_validate(values)
    except ValueError:
        reason = f"{node!r} is no name for a node"
        raise ChatdError("E600", reason, "use 1 to 32 of a-z 0-9 -, a letter or digit at both ends") from None


def remove_node_files(home: Home) -> None:
    """Remove the certificates of a node. Raises E606."""
    names = (f"{CA_NAME}.pem", f"{CA_NAME}.key", f"{NODE_NAME}.pem", f"{NODE_NAME}.key", PINS_FILE)
    try:
        for name in names:
            (home.certs / name).unlink(missing_ok=True)
    except OSError as error:
        raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None


def _text(path: Path) -> str:
    """Return a file's text, "" if there is none. Raises E606."""
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ChatdError("E606", f"{path}: {error}") from None


def _move(tree: dict[str, Any], node: Node) -> None:
    """Change the addresses on which another machine listens."""
    server, gateway = tree["server"], tree["gateway"]
    host, server["port"] = split_address(node.clients, server["port"])
    former = server["host"]
    if not is_wildcard(former):
        server["host"] = host
    # The files are named by paths of this machine.
    gateway |= {"certificate_file": "", "key_file": "", "addresses": []}
    if gateway["listen"]:
        listens, port = split_address(gateway["listen"], 0)
        if listens == former and not is_wildcard(former):
            gateway["listen"] = join_address(host, port)
