"""Folders with the certificates and settings of a cluster's machines, all on loopback, without a chatd."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from chatd.config.cluster_section import ClusterSection
from chatd.config.schema import Settings
from chatd.config.sections import ServerSection
from chatd.pki.authority import save_issued
from chatd.pki.node_authority import NODE_NAME, NodeAuthority, pin_of, write_pins
from tests.support.fixed_port import fixed_port


def node_homes(root: Path, names: str = "abc") -> dict[Path, Settings]:
    """Make a folder for each of the names; return their settings."""
    now = datetime.now(UTC)
    authority = NodeAuthority.create("lab", now=now)
    members = {name: f"127.0.0.1:{fixed_port()}" for name in names}
    issued = {name: authority.issue(name, "127.0.0.1", now=now) for name in names}
    homes = {}
    for name in names:
        home = root / name
        for folder in ("certs", "data", "run"):
            (home / folder).mkdir(parents=True)
        authority.save(home / "certs")
        save_issued(home / "certs", NODE_NAME, issued[name])
        write_pins(home / "certs", {other: pin_of(issued[other].certificate) for other in names})
        section = ClusterSection(node=name, members=members)
        homes[home] = Settings(server=ServerSection(name="lab"), cluster=section)
    return homes
